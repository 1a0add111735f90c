"""What holds for every single element, whatever was drawn: constancy, bounds, orthogonality."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from conformance.arrays import Array, as_dtype, flat, whole, widen
from conformance.checks.base import Evidence, failed, not_applicable, passed
from conformance.definition import (
    Constant,
    DeltaOrthogonal,
    Orthogonal,
    expected_error,
    nominal_moments,
)
from conformance.model import CheckResult, Raised, Returned
from conformance.ulp import unit_roundoff

STRUCTURE = "structure"

ROUNDINGS = 6
"""Most roundings between a bound of the law and an element: variance, its root, the truncation
constant, their quotient, the unit variate, the product. Each moves the result by half an ULP."""


LAMBDA = 6.0
"""Standard errors that a sum of roundings strays at most: exceeded once in 5e8."""


def check_structure(evidence: Evidence) -> CheckResult:
    """Ensure what the definition promises of every element.

    Constants are exact. Bounded laws stay within their bounds, widened by the roundings on the way
    there. Orthogonal matrices have a residual max|A^T A - scale^2 I| within
    `orthogonality_tolerance`. Delta-orthogonal kernels are zero off their centre.
    """
    problem, outcome = evidence.observation.case.problem, evidence.observation.outcome
    definition = evidence.spec.definition
    if definition is None or isinstance(outcome, Raised):
        return not_applicable(STRUCTURE)
    if expected_error(definition, problem.shape, problem.dtype):
        return not_applicable(STRUCTURE)
    if (outcome.dtype, outcome.shape) != (problem.dtype, problem.shape):
        return not_applicable(STRUCTURE)  # the contract check speaks of this
    is_matrix = isinstance(definition, Orthogonal | DeltaOrthogonal)
    if is_matrix and (outcome.stride != 1 or not math.prod(outcome.shape)):
        return not_applicable(STRUCTURE)  # nothing to multiply, or only a sample is stored
    metrics: dict[str, float] = {}
    if isinstance(definition, Constant):
        fault = _fault_of_constant(outcome, definition)
    elif isinstance(definition, Orthogonal | DeltaOrthogonal):
        fault = _fault_of_orthogonal(outcome, definition, metrics)
    else:
        fault = _fault_of_bounds(outcome, evidence)
    if not fault:
        return passed(STRUCTURE, metrics)
    return failed(STRUCTURE, f"{evidence.observation.case.id}: {fault}", metrics)


def _fault_of_constant(outcome: Returned, definition: Constant) -> str:
    dtype = as_dtype(outcome.dtype)
    value = np.asarray(definition.value).astype(dtype)
    expected = np.broadcast_to(value, outcome.shape).reshape(-1)[:: outcome.stride]
    actual = flat(outcome)
    # By bits: -0.0 equals 0.0, and is another constant.
    width = f"V{actual.dtype.itemsize}"
    wrong = np.flatnonzero(actual.view(width) != np.ascontiguousarray(expected).view(width))
    if not wrong.size:
        return ""
    first = int(wrong[0])
    return (
        f"{wrong.size} of {actual.size} elements are not the constant: the first, at flat index "
        f"{first * outcome.stride}, is {actual[first]}, needed {expected[first]}"
    )


def _fault_of_bounds(outcome: Returned, evidence: Evidence) -> str:
    definition = evidence.spec.definition
    assert definition is not None
    is_complex = outcome.dtype.startswith("complex")
    nominal = nominal_moments(definition, outcome.shape, is_complex=is_complex)
    if nominal is None or not math.prod(outcome.shape):
        return ""
    slack = ROUNDINGS * unit_roundoff(as_dtype(outcome.dtype))
    lower = nominal.lower - slack * abs(nominal.lower)
    upper = nominal.upper + slack * abs(nominal.upper)
    for name, value in (("minimum", outcome.moments.minimum), ("maximum", outcome.moments.maximum)):
        if not lower <= value <= upper:
            return (
                f"the {name} {value!r} lies outside the law's bounds "
                f"[{nominal.lower!r}, {nominal.upper!r}], widened by {ROUNDINGS} roundings"
            )
    return ""


def orthogonality_tolerance(rows: int, columns: int, dtype: np.dtype[Any]) -> float:
    """Return the bound on max|Q^T Q - I| of a Householder QR in this dtype.

    Rounding errors of random sign add up as their root: each column of the computed Q is within
    LAMBDA sqrt(rows columns) u of an orthonormal one, and the residual within twice that. Source:
    Connolly & Higham, Probabilistic rounding error analysis of Householder QR factorization, SIAM
    J. Matrix Anal. Appl. 44 (2023), theorem 4.1; the worst case of Higham's theorem 19.4 has the
    product itself, and would let a matrix pass that was rounded to bfloat16.
    """
    return 2 * LAMBDA * math.sqrt(rows * columns) * unit_roundoff(dtype)


def _fault_of_orthogonal(
    outcome: Returned, definition: Orthogonal | DeltaOrthogonal, metrics: dict[str, float]
) -> str:
    array = whole(outcome)
    if isinstance(definition, DeltaOrthogonal):
        centre = tuple((size - 1) // 2 for size in outcome.shape[:-2])
        off_centre = array.copy()
        off_centre[centre] = 0
        if off_centre.any():
            return f"elements off the spatial centre {centre} are not zero"
        array = array[centre]
    matrix = as_matrix(array, definition.column_axis)
    residual = orthogonality_residual(matrix, definition.scale)
    tolerance = orthogonality_tolerance(matrix.shape[0], matrix.shape[1], array.dtype)
    metrics["orthogonality_residual"] = residual
    if residual <= tolerance:
        return ""
    return (
        f"the matrix is not orthogonal: max|A^T A - s^2 I| / s^2 is {residual:.3g}, "
        f"needed at most {tolerance:.3g}"
    )


def as_matrix(array: Array, column_axis: int) -> Array:
    """Return the array as the matrix whose columns `column_axis` counts."""
    moved = np.moveaxis(array, column_axis, -1)
    return moved.reshape(-1, moved.shape[-1])


def orthogonality_residual(matrix: Array, scale: float) -> float:
    """Return max|A^H A - s^2 I| / s^2 over the smaller side, computed in float64."""
    wide: npt.NDArray[Any] = widen(matrix)
    tall = wide if wide.shape[0] >= wide.shape[1] else wide.T
    gram = tall.conj().T @ tall / scale**2
    return float(np.abs(gram - np.eye(len(gram))).max())
