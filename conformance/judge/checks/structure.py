"""What holds for every single element, whatever was drawn: constancy, bounds, orthogonality."""

from __future__ import annotations

import functools
import math

import numpy as np

from conformance.core.arrays import as_dtype, differing, flat, returned, whole, widen
from conformance.core.formats import FORMATS
from conformance.core.laws import (
    Constant,
    Definition,
    DeltaOrthogonal,
    NominalMoments,
    Orthogonal,
    Reals,
    nominal_moments,
)
from conformance.core.records import Budget, CheckResult, Returned
from conformance.core.ulp import spacing_at, unit_roundoff
from conformance.core.words import counted
from conformance.judge.checks.backward_error import gram_error, unscaled
from conformance.judge.checks.base import (
    Evidence,
    check_of_defined,
    failed,
    not_applicable,
    passed,
)
from conformance.judge.checks.matrices import (
    MatrixDefinition,
    bound_of,
    gram_fault,
    is_matrix,
    off_centre_fault,
    tall_of,
)
from conformance.judge.drift.classify import ROUNDINGS
from conformance.judge.statistics.reach import ENUMERATED_WORDS, values_of_points
from conformance.oracle import OracleUnavailable, solve_words, word_bits

STRUCTURE = "structure"


@check_of_defined(STRUCTURE)
def check_structure(evidence: Evidence, definition: Definition, outcome: Returned) -> CheckResult:
    """Ensure what the definition promises of every element.

    Constants are exact. Bounded laws stay within their bounds, widened by the roundings on the way
    there, and laws without bounds within what any word draws. Orthogonal matrices have columns, or
    rows, that are orthonormal within the budget. Delta-orthogonal kernels are zero off their
    centre.
    """
    if is_matrix(definition) and (not outcome.is_whole or not math.prod(outcome.shape)):
        return not_applicable(STRUCTURE)  # nothing to multiply, or only a sample is stored
    metrics: dict[str, float] = {}
    if isinstance(definition, Constant):
        fault = _fault_of_constant(outcome, definition)
    elif isinstance(definition, Orthogonal | DeltaOrthogonal):
        fault = _fault_of_matrix(outcome, definition, evidence.budget, metrics)
    else:
        fault = _fault_of_bounds(outcome, definition, evidence.budget)
    if not fault:
        return passed(STRUCTURE, metrics)
    return failed(STRUCTURE, f"{evidence.observation.case.id}: {fault}", metrics)


def _fault_of_constant(outcome: Returned, definition: Constant) -> str:
    dtype = as_dtype(outcome.dtype)
    value = definition.values(outcome.shape).astype(dtype)
    every = np.broadcast_to(value, outcome.shape).ravel()
    expected, actual = every[:: outcome.stride], flat(outcome)
    wrong = np.flatnonzero(differing(actual, expected))
    if not wrong.size:
        is_right = outcome.is_whole or returned(every).sha256 == outcome.sha256
        return "" if is_right else "elements that were not kept differ: the digest is another"
    first = int(wrong[0])
    return (
        f"{wrong.size} of {actual.size} elements are not the constant: the first, at flat index "
        f"{first * outcome.stride}, is {actual[first]}, needed {expected[first]}"
    )


def _fault_of_bounds(outcome: Returned, definition: Definition, budget: Budget) -> str:
    nominal = nominal_moments(definition, outcome.shape, outcome.dtype)
    if nominal is None or not math.prod(outcome.shape):
        return ""
    lower, upper = widened(nominal, as_dtype(outcome.dtype))
    if math.isinf(upper - lower) and not FORMATS[outcome.dtype].is_complex:
        return _fault_of_reach(outcome, definition, nominal, budget)
    for name, value in (("minimum", outcome.moments.minimum), ("maximum", outcome.moments.maximum)):
        if not lower <= value <= upper:
            return (
                f"the {name} {value!r} lies outside the law's bounds "
                f"[{nominal.lower!r}, {nominal.upper!r}], widened by {ROUNDINGS} roundings"
            )
    if nominal.lower == 0 and (n_below := _n_minus_zeros(outcome)):
        # In the total order of IEEE 754 (2019, section 5.10) it comes before 0.0.
        return f"{counted(n_below, 'element')} of -0.0 below the law's bound 0.0"
    return ""


def _fault_of_reach(
    outcome: Returned, definition: Definition, nominal: NominalMoments, budget: Budget
) -> str:
    """Return which element of a law without bounds lies beyond the values of all words, or ""."""
    ends = outermost_draws(definition, outcome.shape, outcome.dtype)
    if ends is None or outcome.moments.nonfinite:  # of which the contract speaks
        return ""
    dtype, sigma = as_dtype(outcome.dtype), math.sqrt(nominal.variance)
    least, most = (end + sign * budget.max_ulp * spacing_at(end, dtype) for sign, end in ends)
    for name, value in (("minimum", outcome.moments.minimum), ("maximum", outcome.moments.maximum)):
        if not least <= value <= most:
            distance = abs(value - nominal.mean.real) / sigma
            return (
                f"the {name} {value!r} lies {distance:.3g} sigma from the mean, and no word draws "
                f"what lies outside [{least:.6g}, {most:.6g}]"
            )
    return ""


@functools.lru_cache(maxsize=4096)
def outermost_draws(
    definition: Definition, shape: tuple[int, ...], dtype: str
) -> tuple[tuple[int, float], tuple[int, float]] | None:
    """Return the values of the outermost words, -1 with the smaller one and 1 with the larger.

    Draws are quantiles at the points of a lattice, so no word has a value beyond: of a normal 5.4
    standard deviations in float32 and 2.9 in bfloat16. None where the oracle knows no such law.
    """
    try:
        values = _values_of_ends(definition, shape, dtype)
    except OracleUnavailable:
        return None
    return (-1, float(values.min())), (1, float(values.max()))


def _values_of_ends(definition: Definition, shape: tuple[int, ...], dtype: str) -> Reals:
    number = as_dtype(dtype)
    if word_bits(number) in ENUMERATED_WORDS:
        values, _ = values_of_points(definition, shape, dtype)
        return values[[0, -1]]
    words = np.array([0, -1]).astype(f"u{word_bits(number) // 8}")
    solution = solve_words(words, definition, number, shape)
    return widen(solution.expected if solution.followed is None else solution.followed)


def _n_minus_zeros(outcome: Returned) -> int:
    """Return how many elements are; none of complex numbers, whose bounds are of the modulus."""
    if FORMATS[outcome.dtype].is_complex:
        return 0
    values = widen(flat(outcome))
    return int(np.count_nonzero((values == 0) & np.signbit(values)))


def widened(law: NominalMoments, dtype: np.dtype[np.generic]) -> tuple[float, float]:
    """Return the bounds of a law, as far out as roundings may carry an element."""
    return law.lower - slack_at(law.lower, dtype), law.upper + slack_at(law.upper, dtype)


def slack_at(bound: float, dtype: np.dtype[np.generic]) -> float:
    """Return how far ROUNDINGS roundings may carry an element beyond a bound of its law.

    One moves a normal number by a unit roundoff of it at most, a subnormal one by half the distance
    of such numbers, and never a zero.
    """
    if not bound or math.isinf(bound):
        return 0.0
    return ROUNDINGS * max(unit_roundoff(dtype) * abs(bound), spacing_at(0.0, dtype) / 2)


def _fault_of_matrix(
    outcome: Returned, definition: MatrixDefinition, budget: Budget, metrics: dict[str, float]
) -> str:
    """Return how a matrix fails to be orthogonal, whatever was drawn for it, or ""."""
    array = whole(outcome)
    if not definition.scale:
        return "elements are not zero, and the scale is" if array.any() else ""
    if fault := off_centre_fault(array, definition):
        return fault
    matrix = unscaled(tall_of(array, definition), definition.scale)
    gram = gram_error(matrix, array.dtype)
    rows, columns = matrix.shape
    bound = bound_of(rows, columns, definition, array.dtype, budget)
    metrics |= {"gram_error": gram.largest, "orthogonality_ratio": gram.ratio}
    return gram_fault(gram, bound)
