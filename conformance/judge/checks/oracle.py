"""The oracle's word: is it as defined? The second witness, which never saw JAX."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import scipy

from conformance.core.arrays import Array, as_dtype, differing, digest, flat, returned
from conformance.core.formats import fusings
from conformance.core.ids import Case, Problem
from conformance.core.laws import (
    Constant,
    Definition,
    DeltaOrthogonal,
    NominalMoments,
    Orthogonal,
    nominal_moments,
)
from conformance.core.records import (
    BASE,
    COMPILED,
    Budget,
    CheckResult,
    Drift,
    DriftClass,
    Remedy,
    Returned,
    Yardstick,
)
from conformance.judge.alpha import DRIFT
from conformance.judge.checks.base import (
    Evidence,
    check_of_defined,
    failed,
    not_applicable,
    passed,
)
from conformance.judge.checks.matrices import (
    RECORDED,
    Drawn,
    MatrixDefinition,
    column_fault,
    compare_draws,
    drawn_by,
    fault_of,
    matrix_errors,
)
from conformance.judge.drift import (
    Comparison,
    classify_kept,
    classify_part,
    compare_with,
    explain,
    first_differing_stage,
)
from conformance.oracle import (
    OracleUnavailable,
    Solution,
    foldings,
    law_of,
    other_draws,
    solve,
    solve_normals,
)
from conformance.oracle.threefry import Key

ORACLE = "oracle"


@check_of_defined(ORACLE)
def check_oracle(evidence: Evidence, definition: Definition, outcome: Returned) -> CheckResult:
    """Ensure that the array is the defined one, but for rounding within the budget.

    Not applicable where the spec has no definition or the oracle no answer: a PRNG that each
    backend implements as it likes, a law stated by its moments only.
    """
    case = evidence.observation.case
    if isinstance(definition, Constant):
        return not_applicable(ORACLE)  # the structure check compares constants with the definition
    if isinstance(definition, Orthogonal | DeltaOrthogonal):
        return _check_matrix(evidence, outcome, definition)
    try:
        solutions, again = itertools.tee(
            answers(
                definition,
                case.problem,
                key=evidence.key,
                is_compiled=case.transform in COMPILED,
            )
        )
        moments = nominal_moments(definition, outcome.shape, outcome.dtype)
        assert moments is not None
        found = deviation(outcome, solutions, moments, budget=evidence.budget)
    except OracleUnavailable:
        return not_applicable(ORACLE)
    metrics = {"oracle_ulp_at_sigma": found.comparison.max_ulp_at_sigma or 0.0}
    mode = _other_mode(outcome, again) if is_rounding(found) else ""
    if is_rounding(found) and outcome.is_whole and not mode:
        return passed(ORACLE, metrics)
    drift = found.comparison.drift
    if drift.scale is not None:
        metrics["oracle_variance_error"] = drift.scale**2 - 1
    if mode:
        drift = dataclasses.replace(drift, drift_class=DriftClass.BIASED, detail=mode)
    is_right = is_rounding(drift) or is_warning(drift, case) or _is_of_a_factor(found)
    if is_right and (drift.n_compared is None or _is_as_before(evidence)):
        return passed(ORACLE, metrics)
    if drift.n_compared is not None:
        drift = classify_part(drift, outcome, returned(found.reference), found.sigma)
    exact = exact_stages(found.solution, case.problem.dtype)
    stage = drift.stage or first_differing_stage(evidence.observation.stages, exact)
    text = explain(dataclasses.replace(drift, stage=stage), case.id)
    text = text.replace("the golden", "the definition")
    if other := _other_draw(evidence, definition, outcome, found):
        text += f"\n  it is right to rounding, but {other}"
    is_unknown = drift.drift_class is DriftClass.UNKNOWN
    result = failed(ORACLE, text, metrics, whole_of(case) if is_unknown else None)
    return dataclasses.replace(result, departs_by=drift.drift_class)


MOST_TRIED = 1 << 16
"""Elements of the largest array for which other draws are tried: a dozen, of some 10 ms each."""


def _other_draw(
    evidence: Evidence, definition: Definition, outcome: Returned, found: Deviation
) -> str:
    """Return which other draw the array is, in words; "" where none that is known fits."""
    problem = evidence.observation.case.problem
    if found.drift_class not in (DriftClass.STREAM, DriftClass.STRUCTURAL):
        return ""
    if not outcome.is_whole or math.prod(outcome.shape) > MOST_TRIED:
        return ""
    moments = nominal_moments(definition, outcome.shape, outcome.dtype)
    for name, arrays in other_draws(definition, problem, evidence.key):
        for array in arrays:
            drift = classify_kept(outcome, returned(array), moments=moments, budget=evidence.budget)
            if is_rounding(drift):
                return name
    return ""


FLIPS_PER_POINT = 1 / 128
"""Share of 16-bit results that an intact kernel may round to the other neighbour. erf_inv and log1p
are computed in float32, within 16 of its ULP by every vendor; 16 * 2**-24 against half a spacing
of 2**-11 (float16) is one result in 256 for each of the two functions."""


def _other_mode(outcome: Returned, solutions: Iterable[Solution]) -> str:
    """Return that a 16-bit array follows another mode of rounding than JAX's sequence; "" if not.

    But for FLIPS_PER_POINT, and chance, an array is what rounding to nearest at every step gives,
    with or without fused multiply-adds, or what rounding once does. That JAX does not round once,
    the law's `law_sequence` sees. solutions: the oracle's answers, see `answers`.
    """
    dtype = as_dtype(outcome.dtype)
    if dtype.itemsize != 2 or not math.prod(outcome.shape):
        return ""
    actual = flat(outcome)
    fewest = actual.size
    for reference in itertools.chain.from_iterable(map(references, solutions)):
        expected = reference.ravel()[:: outcome.stride]
        # By value, but of the same bits only NaN has another one.
        is_other = (
            slice(None)
            if outcome.moments.nonfinite
            else np.flatnonzero(differing(actual, expected))
        )
        n_off = int(np.count_nonzero(actual[is_other] != expected[is_other]))
        fewest = min(fewest, n_off)
        if is_by_flips(n_off, actual.size):
            return ""
    return (
        f"biased rounding: {fewest} of {actual.size} elements are not what rounding to nearest, "
        "once or at every step, gives; kernels of float32 accuracy explain 1 in "
        f"{1 / FLIPS_PER_POINT:.0f}"
    )


def is_by_flips(n_off: Any, size: int) -> Any:
    """Return whether intact kernels round so many of the elements otherwise, but for chance."""
    return scipy.special.bdtrc(np.asarray(n_off) - 1, size, FLIPS_PER_POINT) >= DRIFT.alpha


def _is_as_before(evidence: Evidence) -> bool:
    """Return whether the array is the golden, of which all elements were seen by this check."""
    return evidence.drift is not None and evidence.drift.drift_class is DriftClass.IDENTICAL


def whole_of(case: Case) -> Remedy:
    """Return what to do about a case of which only some elements are kept."""
    initializer = case.problem.initializer
    return Remedy(yardstick=Yardstick.WHOLE, initializer=initializer, case=case.id)


def _check_matrix(
    evidence: Evidence, outcome: Returned, definition: MatrixDefinition
) -> CheckResult:
    """Ensure that the array is the Q of what was drawn, and that the definition draws just that.

    Where the oracle has no answer (rbg), what the backend recorded as drawn stands alone.
    """
    case = evidence.observation.case
    drawn = drawn_by(outcome, definition, case.problem, evidence.budget, evidence.key)
    if drawn is None:
        return not_applicable(ORACLE)
    if fault := _fault_of_draw(evidence, drawn, definition):
        return failed(ORACLE, fault)
    metrics: dict[str, float] = {}
    if not outcome.is_whole or not math.prod(outcome.shape) or not definition.scale:
        fault = fault_of(outcome, definition, drawn, evidence.budget)
    else:
        errors = matrix_errors(outcome, definition, drawn, evidence.budget)
        metrics = {
            "column_error": errors.columns.largest,
            "n_undetermined_signs": float(errors.columns.n_undetermined),
            "qr_ratio": errors.columns.ratio,
        }
        fault = column_fault(errors.columns, errors.bound, errors.source)
    if fault:
        return failed(ORACLE, f"{case.id}: {fault}", metrics)
    if not outcome.is_whole and not _is_as_before(evidence):
        text = f"{case.id}: one element in {outcome.stride} is kept and is right; of the others"
        return failed(ORACLE, f"{text} nothing is known", metrics, whole_of(case))
    return passed(ORACLE, metrics)


def _fault_of_draw(evidence: Evidence, drawn: Drawn, definition: MatrixDefinition) -> str:
    """Return how a recorded draw departs from the defined one beyond the budget of normals."""
    case = evidence.observation.case
    if drawn.source != RECORDED:
        return ""
    try:
        normals = solve_normals(case.problem, definition, key=evidence.key)
    except OracleUnavailable:
        return ""
    seen: list[Comparison] = []
    for known in (normals.followed, normals.expected):
        if known is not None:
            seen.append(compare_draws(drawn.matrix, known, evidence.budget))
            if seen[-1].is_rounding:
                return ""
    nearest = min(seen, key=lambda each: each.drift_class.rank).drift
    if nearest.drift_class is DriftClass.BIASED and normals.followed is None:  # of a factor
        return ""
    exact = exact_stages(normals, case.problem.dtype)
    stage = first_differing_stage(evidence.observation.stages, exact)
    nearest = dataclasses.replace(nearest, stage=stage)
    text = explain(nearest, f"what was drawn for {case.id}")
    return text.replace("the golden", "the definition")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Deviation:
    """How an array, or what is kept of it, differs from the nearest of the oracle's answers."""

    comparison: Comparison
    reference: Array
    solution: Solution
    sigma: float

    @property
    def drift_class(self) -> DriftClass:
        """The class of the difference."""
        return self.comparison.drift_class


def deviation(
    outcome: Returned, solutions: Iterable[Solution], moments: NominalMoments, *, budget: Budget
) -> Deviation:
    """Return how the outcome differs from the defined array, or JAX's own roundings if nearer.

    solutions: the oracle's answers, see `answers`. moments: of the law.

    In 16 bits a chain of correct roundings strays further from the defined value than any budget
    for a kernel may allow; a deviation that the chain explains is no fault of the kernel. So does
    one that begins with erf of a bound as the C library of the machine has it, under `jit`.

    Raises:
        OracleUnavailable: there is no answer.
    """

    def found(solution: Solution, reference: Array) -> Deviation:
        comparison = compare_with(outcome, reference, moments=moments, budget=budget)
        sigma = math.sqrt(moments.variance)
        return Deviation(comparison=comparison, reference=reference, solution=solution, sigma=sigma)

    seen: list[Deviation] = []
    for solution in solutions:
        for reference in references(solution, is_first=not seen):
            here = found(solution, reference)
            if here.comparison.is_rounding:
                return here
            seen.append(here)
        if solution.followed is None:
            break
    return min(seen, key=lambda each: each.drift_class.rank)


def answers(
    definition: Definition,
    problem: Problem,
    *,
    key: Key | None,
    is_compiled: bool,
) -> Iterator[Solution]:
    """Yield the oracle's answers, the likeliest first: one for each sound device that is known.

    They fuse multiply-adds or do not, and take erf of the bounds from the kernel or, under `jit`,
    from a C library that folds it.

    Raises:
        OracleUnavailable: there is none.
    """
    law = law_of(definition, problem.shape)
    for fused in fusings(problem.dtype):
        for folded in foldings(law) if law and is_compiled else (None,):
            yield solve(problem, definition, key=key, fused=fused, folded=folded)


def references(solution: Solution, *, is_first: bool = True) -> Iterator[Array]:
    """Yield the arrays of an answer: the defined one, which all share, and JAX's own roundings."""
    if is_first:
        yield solution.expected
    if solution.followed is not None:
        yield solution.followed


def is_rounding(drift: Drift | Deviation) -> bool:
    """Return whether nothing but rounding lies between two arrays."""
    return drift.drift_class.rank <= DriftClass.ROUNDING.rank


def _is_of_a_factor(found: Deviation) -> bool:
    """Return whether rounding went one way, and nobody followed it: a factor's moves all alike."""
    is_biased = found.drift_class is DriftClass.BIASED
    return is_biased and found.solution.followed is None


def is_warning(drift: Drift | Deviation, case: Case) -> bool:
    """Return whether the drift is told and let pass: biased rounding on another kind of device.

    What A100 and H100 are predicted to return shows it in bfloat16, and where erf of a bound is an
    ULP off; so does IREE, which rounds less often. No CPU's XLA does.
    """
    return drift.drift_class is DriftClass.BIASED and case.backend != BASE


def exact_stages(solution: Solution, dtype: str) -> dict[str, str]:
    """Return the digests of the stages that no rounding blurs: key, words, uniforms."""
    uniform = None if solution.uniform is None else solution.uniform.astype(as_dtype(dtype))
    stages = {"key": solution.key, "bits": solution.bits, "uniform": uniform}
    return {name: digest(array) for name, array in stages.items() if array is not None}
