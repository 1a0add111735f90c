"""Judge the arrays of many seeds at once: which of them are right beyond doubt?

The bounds are those of the checks of one case, taken once, since none depends on the seed. Whatever
is not plainly right here is judged by those checks, one by one, so nothing fails here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from conformance.core.arrays import Array, widen
from conformance.core.formats import FORMATS
from conformance.core.ids import Problem
from conformance.core.laws import (
    Constant,
    Definition,
    NominalMoments,
    expected_error,
    law_of,
    nominal_moments,
)
from conformance.core.records import Budget
from conformance.core.ulp import spacing_at, ulp_distance, unit_roundoff
from conformance.judge.checks.moments import bounds_of, moments_of_element, variance_around
from conformance.judge.checks.oracle import is_by_flips
from conformance.judge.checks.structure import widened
from conformance.judge.drift.classify import OVERFLOWING, ROUNDINGS
from conformance.judge.drift.statistics import FEWEST, fit, is_one_way, ways
from conformance.oracle.blocks import Answers

IN_CACHE = 1 << 15
"""Elements judged at a time: some float64 temporaries of them stay in a 1 MiB cache."""

Mask = npt.NDArray[np.bool_]
Reals = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plain:
    """What is known of each array of a block. is_right: it passes every check of its own.

    at_sigma: how far a right one lies at worst from what it must be, in the spacing at sigma.
    """

    is_right: Mask
    at_sigma: Reals


def is_judged_at_once(definition: Definition | None, problem: Problem) -> bool:
    """Return whether blocks are judged here: where an oracle says what every element must be."""
    if definition is None:
        return False
    if expected_error(definition, problem.shape, problem.dtype) or not math.prod(problem.shape):
        return False
    if FORMATS[problem.dtype].is_complex or not problem.prng.startswith("threefry"):
        return False
    if isinstance(definition, Constant):
        return True
    if law_of(definition, problem.shape, problem.dtype) is None:
        return False
    moments = nominal_moments(definition, problem.shape, problem.dtype)
    return moments is not None and OVERFLOWING**-2 < moments.variance < OVERFLOWING


def judge_block(
    arrays: Array,
    definition: Definition,
    problem: Problem,
    seeds: Sequence[int],
    budget: Budget,
    *,
    is_compiled: bool,
) -> Plain:
    """Return which arrays of the problem, one for each seed along the first axis, are right.

    problem: one for which `is_judged_at_once`, of any seed. is_compiled: whether a compiler saw the
    whole call.
    """
    n_rows = max(1, IN_CACHE // math.prod(problem.shape))
    parts = [
        _judged(arrays[part], definition, problem, seeds[part], budget, is_compiled=is_compiled)
        for start in range(0, len(seeds), n_rows)
        for part in (slice(start, start + n_rows),)
    ]
    return Plain(
        is_right=np.concatenate([part.is_right for part in parts]),
        at_sigma=np.concatenate([part.at_sigma for part in parts]),
    )


def _judged(
    arrays: Array,
    definition: Definition,
    problem: Problem,
    seeds: Sequence[int],
    budget: Budget,
    *,
    is_compiled: bool,
) -> Plain:
    rows = arrays.reshape(len(seeds), -1)
    at_sigma = np.zeros(len(seeds))
    if isinstance(definition, Constant):
        every = np.broadcast_to(definition.values(problem.shape), problem.shape)
        value = every.astype(rows.dtype).reshape(-1)
        return Plain(is_right=(_bits(rows) == _bits(value)).all(axis=1), at_sigma=at_sigma)
    moments = nominal_moments(definition, problem.shape, problem.dtype)
    assert moments is not None
    wide = widen(rows)
    left = np.flatnonzero(_is_lawful(wide, rows.dtype, definition, problem, moments))
    is_right = np.zeros(len(seeds), bool)
    is_nearest = np.full(len(seeds), rows.dtype.itemsize != 2)  # that only 16 bits can tell
    for reference in _references(definition, problem, seeds, is_compiled=is_compiled):
        answers = reference.reshape(rows.shape)
        if not is_nearest.all():
            is_nearest |= is_by_flips(np.count_nonzero(rows != answers, axis=1), rows.shape[1])
        answer = answers[left]
        distance = _roundings(rows[left], wide[left], answer, math.sqrt(moments.variance), budget)
        is_settled = ~np.isnan(distance)
        at_sigma[left[is_settled]] = distance[is_settled]
        is_right[left[is_settled]] = True
        left = left[~is_settled]
        if not left.size and is_nearest.all():
            break
    is_right &= is_nearest
    return Plain(is_right=is_right, at_sigma=at_sigma)


def _references(
    definition: Definition, problem: Problem, seeds: Sequence[int], *, is_compiled: bool
) -> Iterator[Array]:
    answers = Answers(definition, problem, seeds, is_compiled=is_compiled)
    yield answers.expected()
    yield from answers.followed()


def _is_lawful(
    wide: Reals,
    dtype: np.dtype[Any],
    definition: Definition,
    problem: Problem,
    moments: NominalMoments,
) -> Mask:
    """Return which rows are finite, within the law's bounds, and have its mean and variance."""
    lower, upper = widened(moments, dtype)
    least, most = wide.min(axis=1), wide.max(axis=1)
    is_lawful: Mask = np.isfinite(least) & np.isfinite(most) & (lower <= least) & (most <= upper)
    law = moments_of_element(definition, problem.shape, problem.dtype)
    if law is None:
        return is_lawful
    with np.errstate(invalid="ignore", over="ignore"):  # of rows that are no longer lawful
        mean = wide.mean(axis=1)
        variance = variance_around(law, mean, ((wide - mean[:, None]) ** 2).mean(axis=1))
        bounds = bounds_of(definition, law, problem.shape)
        is_lawful &= np.abs(mean - law.mean) <= bounds.mean
        is_lawful &= np.abs(variance - law.variance) <= bounds.variance
    return is_lawful


def _roundings(rows: Array, wide: Reals, answer: Array, sigma: float, budget: Budget) -> Reals:
    """Return how far each row lies from its answer at worst, at sigma; NaN where not by rounding.

    It is rounding where each element is within the budget, and the row has not moved as one, nor
    most of its elements one way; see `drift.classify` and `checks.oracle`.
    """
    worst = np.zeros(len(rows))
    other = np.flatnonzero((_bits(rows) != _bits(answer)).any(axis=1))
    if not other.size:
        return worst
    rows, wide, answer = rows[other], wide[other], answer[other]
    right = widen(answer)
    distance = np.abs(wide - right)
    distance /= spacing_at(sigma, rows.dtype)
    furthest: Reals = distance.max(axis=1)
    far = distance > budget.max_ulp_at_sigma
    is_far = far.any(axis=1)
    if is_far.any():
        steps = ulp_distance(rows[is_far], answer[is_far]) > np.uint64(budget.max_ulp)
        is_far[is_far] = (far[is_far] & steps).any(axis=1)
    is_far |= _has_moved(wide, right, sigma, rows.dtype)
    if FORMATS[rows.dtype.name].is_followed:
        is_far |= is_one_way(*ways(wide, right))
    worst[other] = np.where(is_far, np.nan, furthest)
    return worst


def _has_moved(wide: Reals, right: Reals, sigma: float, dtype: np.dtype[Any]) -> Mask:
    varies = right.max(axis=1) != right.min(axis=1)
    if right.shape[1] < FEWEST or not varies.any():
        return np.zeros(len(right), bool)
    slack = ROUNDINGS * unit_roundoff(dtype)
    with np.errstate(invalid="ignore", divide="ignore"):  # of rows of one value
        line = fit(wide, right)
    return np.asarray(varies & (line.is_scaled(slack) | line.is_shifted(slack * sigma)))


def _bits(array: Array) -> Array:
    return np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")
