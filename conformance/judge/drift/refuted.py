"""Which assumption of a prediction fell, as far as the arrays tell: see docs/cuda-predicted.md.

A prediction is a program, and what each of its instructions is taken to do. An array that it does
not permit refutes one of these; which one shows in how it differs.
"""

from __future__ import annotations

import enum
from typing import Any

import ml_dtypes
import numpy as np

from conformance.core.arrays import Array, flat, thin
from conformance.core.records import DriftClass, Outcome, Raised, Returned
from conformance.core.ulp import ordered
from conformance.judge.drift.permitted import Permitted

ONE_FACTOR = 2.0
"""How far apart the quotients of two arrays may lie that are products with one factor each, in
units of the dtype's epsilon: each product is off by half of one at most, relatively, so that each
quotient is by one; to both sides."""


class Assumption(enum.StrEnum):
    """What may fall, in the order in which it is looked for."""

    PROGRAM = "JAX hands the compiler the same program"
    SUBNORMALS = "subnormal numbers are kept"
    CONTRACTION = "mul and add are not contracted to fma"
    SCALE = "div.full, ex2.approx and sqrt.approx are within their bounds, where a scale is made"
    STREAM = "integers give the same random words"
    BOUND = "sqrt.approx is within its bound, element by element"
    ROUNDING = "each instruction rounds as its opcode says"


def fallen(
    actual: Outcome,
    predicted: Outcome,
    permitted: Permitted,
    drift_class: DriftClass,
    on_cpu: Outcome | None = None,
) -> Assumption:
    """Return the first assumption that an outcome contradicts which a prediction does not permit.

    on_cpu: what XLA's CPU returns, whose compiler contracts mul and add. ROUNDING is what is left
    where nothing else explains the difference: by one instruction, or by the emulator.
    """
    if isinstance(actual, Raised) or isinstance(predicted, Raised):
        return Assumption.PROGRAM
    if (actual.dtype, actual.shape, actual.weak_type) != (
        predicted.dtype,
        predicted.shape,
        predicted.weak_type,
    ):
        return Assumption.PROGRAM
    stride = max(actual.stride, predicted.stride)
    one, two = _values(actual, stride), _values(predicted, stride)
    differs = _bits(one) != _bits(two)
    if not differs.any() or one.dtype.kind == "c":  # in no element that was kept; or in two parts
        return Assumption.ROUNDING if drift_class.keeps_stream else Assumption.STREAM
    if np.all(one[differs] == 0) and np.all(np.abs(_wide(two[differs])) < _smallest_normal(two)):
        return Assumption.SUBNORMALS
    if on_cpu is not None and _is_that(one, differs, on_cpu, predicted, stride):
        return Assumption.CONTRACTION
    is_scaled = _is_one_factor(one, two, differs)
    if is_scaled and permitted.digests:
        return Assumption.SCALE
    # A scale that is 8 ULP off is another law, and so is one NaN; both are of the same words.
    if not drift_class.keeps_stream and not is_scaled and 2 * differs.sum() > differs.size:
        return Assumption.STREAM
    if permitted.bounds is not None and _is_open(permitted.bounds, stride)[differs].all():
        return Assumption.BOUND
    return Assumption.ROUNDING


def _values(outcome: Outcome, stride: int) -> Array:
    assert isinstance(outcome, Returned)
    return flat(thin(outcome, stride))


def _bits(values: Array) -> Array:
    return np.asarray(ordered(values))


def _wide(values: Array) -> Array:
    return values.astype(np.float64)


def _smallest_normal(values: Array) -> float:
    return float(_info(values).smallest_normal)


def _info(values: Array) -> Any:
    return ml_dtypes.finfo(values.dtype)  # type: ignore[no-untyped-call]  # it has no types


def _is_that(
    actual: Array, differs: Array, other: Outcome, predicted: Returned, stride: int
) -> bool:
    """Return whether the elements that differ are those of another array in the same place."""
    if isinstance(other, Raised) or (other.dtype, other.shape) != (
        predicted.dtype,
        predicted.shape,
    ):
        return False
    if other.stride not in (1, stride):
        return False
    values = _values(other, stride)
    return bool(np.array_equal(_bits(actual)[differs], _bits(values)[differs]))


def _is_open(bounds: tuple[Outcome, Outcome], stride: int) -> Array:
    lowest, highest = (_bits(_values(bound, stride)) for bound in bounds)
    return np.asarray(lowest != highest)


def _is_one_factor(actual: Array, predicted: Array, differs: Array) -> bool:
    """Return whether most elements moved, and all by one factor, but for rounding."""
    one, two = _wide(actual), _wide(predicted)
    is_normal = np.abs(two) >= _smallest_normal(predicted)
    if not np.isfinite(one).all() or not is_normal.any() or 2 * differs.sum() < is_normal.sum():
        return False
    quotients = one[is_normal] / two[is_normal]
    spread = np.ptp(quotients) / np.abs(quotients).max()
    return bool(spread <= ONE_FACTOR * float(_info(predicted).eps))
