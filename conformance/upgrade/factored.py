"""What orthogonal matrix a parameter is, where it is on record what it is the Q of."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from conformance.core.arrays import Array, as_dtype, whole, widen
from conformance.core.laws import DeltaOrthogonal, Orthogonal
from conformance.core.records import Outcome, Returned
from conformance.core.ulp import unit_roundoff
from conformance.judge.checks.matrices import (
    MatrixDefinition,
    drawn_by,
    fault_of,
    tall_of,
)
from conformance.judge.drift import DEFAULT_BUDGET

DIGITS = 4
"""Of a scale that somebody typed."""


def matrix_of(actual: Outcome, expected: Outcome) -> MatrixDefinition | None:
    """Return what orthogonal matrix one side is, a right one, where both say what was factored.

    None where one does not, or neither is a right one.
    """
    sides = [each for each in (expected, actual) if isinstance(each, Returned) and each.drawn]
    if len(sides) < 2:
        return None
    first, second = map(_definition_of, sides)
    return first or second


def _definition_of(outcome: Returned) -> MatrixDefinition | None:
    for definition in _candidates(outcome):
        drawn = drawn_by(outcome, definition, None, DEFAULT_BUDGET)
        if drawn is not None and not fault_of(outcome, definition, drawn, DEFAULT_BUDGET):
            return definition
    return None


def _candidates(outcome: Returned) -> Iterator[MatrixDefinition]:
    """Yield what the array may be, by the axis of its columns, with the scale that it has."""
    assert outcome.drawn is not None
    if not outcome.is_whole or len(outcome.shape) < 2:
        return
    n_drawn = len(outcome.drawn) // as_dtype(outcome.dtype).itemsize
    is_whole = n_drawn == math.prod(outcome.shape)
    kind: type[MatrixDefinition] = Orthogonal if is_whole else DeltaOrthogonal
    n_axes = len(outcome.shape) if is_whole else 2
    for axis in range(-1, -n_axes - 1, -1):
        tall = tall_of(whole(outcome), kind(column_axis=axis))
        yield kind(scale=_scale(widen(tall), unit_roundoff(tall.dtype)), column_axis=axis)


def _scale(tall: Array, u: float) -> float:
    """Return the length of the columns: what somebody typed, if it is that but for rounding."""
    length = float(np.sqrt(np.mean(np.sum(np.abs(tall) ** 2, axis=0))))
    typed = float(f"{length:.{DIGITS}g}")
    return typed if abs(typed - length) <= len(tall) * u * length else length
