"""Judge the arrays of many seeds at once: which checks of one case fail of each?

The bounds are those of the checks of one case, taken once, since none depends on the seed; and so
are the figures, to the last bit. Of what is not settled here those checks are asked, one by one.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from conformance.core.arrays import Array, differing, in_parts, returned, widen
from conformance.core.formats import FORMATS
from conformance.core.ids import Case, Problem
from conformance.core.laws import (
    Constant,
    Definition,
    DeltaOrthogonal,
    Normal,
    Orthogonal,
    expected_error,
    law_of,
    nominal_moments,
    tall_shape,
)
from conformance.core.records import COMPILED, Budget, DriftClass
from conformance.core.ulp import real_parts, spacing_at, ulp_at, ulp_distance, unit_roundoff
from conformance.judge.checks.backward_error import stack_errors, unscaled
from conformance.judge.checks.contract import CONTRACT
from conformance.judge.checks.matrices import (
    MatrixDefinition,
    are_off_centre,
    bound_of,
    tall_stack,
)
from conformance.judge.checks.moments import (
    MOMENTS,
    bounds_of,
    moments_of_element,
    variance_around,
)
from conformance.judge.checks.oracle import (
    ORACLE,
    deviation,
    is_by_flips,
    is_rounding,
    is_warning,
)
from conformance.judge.checks.structure import STRUCTURE, outermost_draws, widened
from conformance.judge.drift.classify import OVERFLOWING, ROUNDINGS
from conformance.judge.drift.statistics import (
    FEWEST,
    fit,
    fit_parts,
    is_one_way,
    n_in_rows,
    ways,
)
from conformance.oracle.blocks import Answers

IN_CACHE = 1 << 15
"""Elements judged at a time: some float64 temporaries of them stay in a 1 MiB cache."""

DISTANCE = "oracle.oracle_ulp_at_sigma"
VARIANCE_ERROR = "oracle.oracle_variance_error"
"""Metrics of the oracle's check, as rows name them."""

Mask = npt.NDArray[np.bool_]
Reals = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What the checks make of an array, but for figures that its seed decides.

    failed: the checks that fail. departs_by: see `CheckResult`. figures: names of those metrics.
    """

    failed: frozenset[str] = frozenset()
    departs_by: DriftClass | None = None
    figures: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What is known of each array of a block.

    kinds: None of an array that its own checks must judge. figures: of those of a kind that has
    them, by metric.
    """

    kinds: tuple[Kind | None, ...]
    figures: Mapping[str, Reals] = dataclasses.field(default_factory=dict)


def is_judged_at_once(definition: Definition | None, problem: Problem) -> bool:
    """Return whether blocks are judged here: where an oracle says what every element must be."""
    if definition is None or not math.prod(problem.shape):
        return False
    if expected_error(definition, problem.shape, problem.dtype):
        return False
    if isinstance(definition, Constant):
        return True
    if not problem.prng.startswith("threefry"):
        return False
    if isinstance(definition, Orthogonal | DeltaOrthogonal):
        return bool(definition.scale)
    if law_of(definition, problem.shape, problem.dtype) is None:
        return False
    moments = nominal_moments(definition, problem.shape, problem.dtype)
    return moments is not None and OVERFLOWING**-2 < moments.variance < OVERFLOWING


def judge_block(
    arrays: Array,
    definition: Definition,
    case: Case,
    seeds: Sequence[int],
    budget: Budget,
    normals: Array | None = None,
) -> Judged:
    """Return what the checks make of the arrays, one for each seed along the first axis.

    case: of any seed, and of a problem for which `is_judged_at_once`. normals: what was drawn for
    each matrix, if that is known.
    """
    n_rows = max(1, IN_CACHE // math.prod(case.problem.shape))
    starts = range(0, len(seeds), n_rows)
    parts = [
        _judged(arrays[part], definition, case, seeds[part], budget, _part(normals, part))
        for part in (slice(start, start + n_rows) for start in starts)
    ]
    return Judged(
        kinds=tuple(itertools.chain.from_iterable(part.kinds for part in parts)),
        figures={
            name: np.concatenate([part.figures[name] for part in parts])
            for name in next(iter(parts)).figures
        },
    )


def _part(normals: Array | None, part: slice) -> Array | None:
    return None if normals is None else normals[part]


def _judged(
    arrays: Array,
    definition: Definition,
    case: Case,
    seeds: Sequence[int],
    budget: Budget,
    normals: Array | None,
) -> Judged:
    if isinstance(definition, Constant):
        return _judged_constants(arrays, definition)
    if not isinstance(definition, Orthogonal | DeltaOrthogonal):
        return _Draws(arrays, definition, case, seeds, budget).judged()
    if normals is None:
        return Judged(kinds=(None,) * len(seeds))
    return _judged_matrices(arrays, normals, definition, case.problem, seeds, budget)


def _judged_constants(arrays: Array, definition: Constant) -> Judged:
    shape = arrays.shape[1:]
    value = np.broadcast_to(definition.values(shape), shape).astype(arrays.dtype)
    kind = Kind(failed=_names({CONTRACT: not np.isfinite(value).all()}))
    is_right = (_bits(_rows(arrays)) == _bits(_rows(value[None]))).all(axis=1)
    return Judged(kinds=tuple(kind if each else None for each in is_right))


def _names(failed: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(name for name, has_failed in failed.items() if has_failed)


# --- Draws, element by element -------------------------------------------------------------------


class _Draws:
    """Arrays whose elements are drawn one by one, and what their own checks would say of them."""

    def __init__(
        self,
        arrays: Array,
        definition: Definition,
        case: Case,
        seeds: Sequence[int],
        budget: Budget,
    ) -> None:
        moments = nominal_moments(definition, case.problem.shape, case.problem.dtype)
        assert moments is not None
        self._arrays, self._rows = arrays, _rows(arrays)
        self._wide = widen(self._rows)
        self._definition, self._case, self._budget = definition, case, budget
        self._moments, self._sigma = moments, math.sqrt(moments.variance)
        is_compiled = case.transform in COMPILED
        self._answers = Answers(definition, case.problem, seeds, is_compiled=is_compiled)
        self._expected = _rows(self._answers.expected())
        self._is_finite: Mask = np.isfinite(self._wide).all(axis=1)

    def judged(self) -> Judged:
        """Return what the checks make of them."""
        failed = {
            CONTRACT: ~self._is_finite,
            STRUCTURE: ~self._is_within(),
            MOMENTS: self._is_finite & ~self._has_moments(),
        }
        by_oracle = self._by_oracle()
        kinds = list(by_oracle.kinds)
        for row in np.flatnonzero(np.any([*failed.values()], axis=0)).tolist():
            if (kind := kinds[row]) is not None:
                more = _names({name: has_failed[row] for name, has_failed in failed.items()})
                kinds[row] = dataclasses.replace(kind, failed=kind.failed | more)
        return dataclasses.replace(by_oracle, kinds=tuple(kinds))

    def _is_within(self) -> Mask:
        """Return which rows `check_structure` finds within the bounds of the law."""
        is_complex = self._rows.dtype.kind == "c"
        sizes = np.abs(self._wide) if is_complex else self._wide
        least, most = _extremes(sizes, self._is_finite)
        lower, upper = widened(self._moments, self._rows.dtype)
        if not is_complex and math.isinf(upper - lower):
            return self._is_drawn(least, most)
        is_within: Mask = (lower <= least) & (most <= upper)
        if self._moments.lower == 0:
            is_within &= ~((sizes == 0) & np.signbit(sizes)).any(axis=1)
        return is_within

    def _is_drawn(self, least: Reals, most: Reals) -> Mask:
        """Return which rows hold nothing that lies beyond the values of all words."""
        problem = self._case.problem
        ends = outermost_draws(self._definition, problem.shape, problem.dtype)
        if ends is None:
            return np.ones(len(least), bool)
        lowest, highest = (
            end + sign * self._budget.max_ulp * spacing_at(end, self._rows.dtype)
            for sign, end in ends
        )
        return np.asarray(~self._is_finite | ((lowest <= least) & (most <= highest)))

    def _has_moments(self) -> Mask:
        """Return which rows of finite elements have the mean and the variance of the law."""
        problem = self._case.problem
        with np.errstate(invalid="ignore", over="ignore"):  # of rows, or laws, that are not finite
            law = moments_of_element(self._definition, problem.shape, problem.dtype)
            if law is None:
                return np.ones(len(self._rows), bool)
            bounds = bounds_of(self._definition, law, problem.shape)
            mean = self._wide.mean(axis=1)
            apart = self._wide - mean[:, None]
            squares = apart**2 if apart.dtype.kind != "c" else np.abs(apart) ** 2
            variance = variance_around(law, mean, squares.mean(axis=1))
            is_off = np.abs(mean - law.mean) > bounds.mean
            is_off |= np.abs(variance - law.variance) > bounds.variance
        return np.asarray(~is_off)

    # --- The oracle ------------------------------------------------------------------------------

    def _by_oracle(self) -> Judged:
        """Return what `check_oracle` makes of each row."""
        n_rows, size = self._rows.shape
        figures = {DISTANCE: np.zeros(n_rows), VARIANCE_ERROR: np.zeros(n_rows)}
        left = np.arange(n_rows)
        is_nearest = np.full(n_rows, self._rows.dtype.itemsize != 2)  # that only 16 bits can tell
        is_lost = np.ones(n_rows, bool)
        for answers in self._references():
            if not is_nearest.all():
                n_off = np.count_nonzero(self._rows != answers, axis=1)
                is_nearest |= is_by_flips(n_off, size)
            distance = self._roundings(left, answers[left])
            is_settled = ~np.isnan(distance)
            figures[DISTANCE][left[is_settled]] = distance[is_settled]
            left = left[~is_settled]
            is_lost[left] &= self._has_lost(left, answers[left])
            if not left.size and is_nearest.all():
                break
        kinds: list[Kind | None] = [_RIGHT if each else None for each in is_nearest]
        for row in left.tolist():
            if is_lost[row]:
                kinds[row], found = self._lost(row)
            else:
                kinds[row], found = self._departure(row)
            for name, value in found.items():
                figures[name][row] = value
        return Judged(kinds=tuple(kinds), figures=figures)

    def _references(self) -> Iterator[Array]:
        yield self._expected
        yield from map(_rows, self._answers.followed())

    def _roundings(self, places: npt.NDArray[np.intp], answers: Array) -> Reals:
        """Return how far each row lies from its answer, at sigma; NaN where not by rounding."""
        same = (_bits(self._rows[places]) == _bits(answers)).all(axis=1)
        found = np.where(same, 0.0, np.nan)
        other = np.flatnonzero(~same)
        if other.size:
            rows, wide = self._rows[places[other]], self._wide[places[other]]
            found[other] = roundings(rows, wide, answers[other], self._sigma, self._budget)
        return found

    def _has_lost(self, places: npt.NDArray[np.intp], answers: Array) -> Mask:
        """Return which rows are not finite where their answer is: a change of law."""
        lost = np.isfinite(answers) & ~np.isfinite(self._rows[places])
        return np.asarray(lost.any(axis=1))

    def _lost(self, row: int) -> Departure:
        """Return what `check_oracle` makes of a row that has lost elements of every answer."""
        return _departing(DriftClass.LAW, {DISTANCE: self._distance(row)})

    def _departure(self, row: int) -> Departure:
        """Return what `check_oracle` makes of a row that is no answer, as the row itself tells."""
        scale = None if FORMATS[self._rows.dtype.name].is_followed else self._scale(row)
        if scale is not None:
            found = {DISTANCE: self._distance(row), VARIANCE_ERROR: scale**2 - 1}
            return _departing(DriftClass.LAW, found)
        return self._alone(row)

    def _distance(self, row: int) -> float:
        return float(ulp_at(self._rows[row], self._expected[row], self._sigma).max())

    def _scale(self, row: int) -> float | None:
        """Return by what the only answer is scaled to be a row, where that is plain; else None.

        It is where every element differs, the row can be no other order of the answer and no copy
        of parts, and ranks are kept but for a few places: see `drift.classify`.
        """
        actual, expected = self._rows[row], self._expected[row]
        first = next(iter(actual))
        if first in expected or np.count_nonzero(actual == first) != 1:
            return None
        if not differing(actual, expected).all():
            return None

        def parts() -> Iterator[tuple[Reals, Reals]]:
            for _, *sides in in_parts(actual, expected):
                one, two = (widen(real_parts(side)).ravel() for side in sides)
                yield one, two

        line = fit_parts(parts)
        if line is None or not line.is_scaled(ROUNDINGS * unit_roundoff(actual.dtype)):
            return None
        scale = float(line.scale)
        one, two = (_reals(side[None]).ravel() for side in (actual, expected))
        return scale if _are_ranks_kept(one, two, scale) else None

    def _alone(self, row: int) -> Departure:
        """Return what `check_oracle` makes of one row, by itself."""
        outcome, budget = returned(self._arrays[row]), self._budget
        found = deviation(outcome, self._answers.solutions(row), self._moments, budget=budget)
        distance = found.comparison.max_ulp_at_sigma
        assert distance is not None  # else it had been an answer
        if is_rounding(found):  # on the verge of it, where the order of a sum decides
            return None, {}
        scale = found.comparison.drift.scale
        of_scale = {} if scale is None else {VARIANCE_ERROR: scale**2 - 1}
        kind, figures = _departing(found.drift_class, {DISTANCE: distance, **of_scale})
        if is_warning(found, self._case):
            return Kind(figures=kind.figures), figures
        return kind, figures


Departure = tuple[Kind | None, Mapping[str, float]]
"""What `check_oracle` makes of an array, and its figures."""

_RIGHT = Kind(figures=(DISTANCE,))


def _departing(
    drift_class: DriftClass, figures: Mapping[str, float]
) -> tuple[Kind, Mapping[str, float]]:
    failed = frozenset({ORACLE})
    return Kind(failed=failed, departs_by=drift_class, figures=tuple(figures)), figures


FEW_PLACES = 8
"""Ranks by which an element may be off where the ranks of a sample are kept."""

FEWEST_RANKED = 100
"""Elements of the smallest sample whose ranks tell so that it is one stream; see below."""


def _are_ranks_kept(actual: Reals, expected: Reals, scale: float) -> bool:
    """Return whether it is plain that `is_same_stream` holds, and that nothing is mirrored.

    Each actual value is within d of scale times the expected one. So two of them are in the order
    of these where these are further apart than 2 d / scale; and if no more than FEW_PLACES of these
    lie so near together, no rank is off by more. The sum of squares of n such differences is at
    most n FEW_PLACES^2, so Spearman's r at least 1 - 6 FEW_PLACES^2 / (n^2 - 1), and with twice
    that for ties 0.92 where n is FEWEST_RANKED: 23 standard errors, and more where it is larger.

    scale: within a factor of 2 of 1, beyond which other things may be told of the pair.
    """
    if len(actual) < FEWEST_RANKED or not 0.5 < scale < 2:
        return False
    near = 2 * np.abs(actual - scale * expected).max() / scale
    ordered = np.sort(expected)
    return bool((ordered[FEW_PLACES:] - ordered[:-FEW_PLACES] > near).all())


def _extremes(sizes: Reals, is_finite: Mask) -> tuple[Reals, Reals]:
    """Return the smallest and the largest finite element of each row; NaN where none is finite."""
    least, most = sizes.min(axis=1), sizes.max(axis=1)
    for row in np.flatnonzero(~is_finite):
        finite = sizes[row][np.isfinite(sizes[row])]
        ends = (finite.min(), finite.max()) if finite.size else (math.nan, math.nan)
        least[row], most[row] = ends
    return least, most


def roundings(rows: Array, wide: Array, answers: Array, sigma: float, budget: Budget) -> Reals:
    """Return how far each row lies from its answer at worst, at sigma; NaN where not by rounding.

    It is rounding where each element is within the budget, and the row has not moved as one, nor
    most of its elements one way; see `drift.classify` and `checks.oracle`. wide: the finite rows.
    """
    right = widen(answers)
    with np.errstate(invalid="ignore", over="ignore"):  # no answer that is not finite is near
        distance = np.abs(wide - right)
        distance /= spacing_at(sigma, rows.dtype)
        furthest: Reals = distance.max(axis=1)
        far = ~(distance <= budget.max_ulp_at_sigma)
    is_far = far.any(axis=1)
    if is_far.any():
        steps = ulp_distance(rows[is_far], answers[is_far]) > np.uint64(budget.max_ulp)
        is_far[is_far] = (far[is_far] & steps).any(axis=1)
    near: Any = np.flatnonzero(~is_far) if is_far.any() else slice(None)  # which copies nothing
    if not is_far.all():
        one, two = (_reals(side[near]) for side in (wide, right))
        is_far[near] = _has_moved(one, two, sigma, rows.dtype)
        if FORMATS[rows.dtype.name].is_followed:
            is_far[near] |= is_one_way(*ways(one, two, n_in_rows))
    return np.where(is_far, np.nan, furthest)


def _has_moved(wide: Reals, right: Reals, sigma: float, dtype: np.dtype[Any]) -> Mask:
    varies = right.max(axis=1) != right.min(axis=1)
    if right.shape[1] < FEWEST or not varies.any():
        return np.zeros(len(right), bool)
    slack = ROUNDINGS * unit_roundoff(dtype)
    with np.errstate(invalid="ignore", divide="ignore"):  # of rows of one value
        line = fit(wide, right)
    return np.asarray(varies & (line.is_scaled(slack) | line.is_shifted(slack * sigma)))


# --- Matrices ------------------------------------------------------------------------------------


def _judged_matrices(
    arrays: Array,
    normals: Array,
    definition: MatrixDefinition,
    problem: Problem,
    seeds: Sequence[int],
    budget: Budget,
) -> Judged:
    """Return what the checks make of matrices, each beside what was drawn for it."""
    matrices = unscaled(tall_stack(arrays, definition), definition.scale)
    _, rows, columns = matrices.shape
    bound = bound_of(rows, columns, definition, arrays.dtype, budget)
    errors = stack_errors(matrices, normals, bound=bound.column)
    is_finite = np.isfinite(_rows(arrays)).all(axis=1)
    is_right = is_finite & ~are_off_centre(arrays, definition) & (errors.gram <= bound.gram)
    is_right &= (errors.column <= bound.column) & (errors.lowest_diagonal >= -bound.column)
    is_right &= _has_mean(arrays, definition, problem)
    is_right &= _are_drawn(normals, definition, problem, seeds, budget)
    figures = {
        f"{STRUCTURE}.gram_error": errors.gram,
        f"{STRUCTURE}.orthogonality_ratio": errors.gram_ratio,
        f"{ORACLE}.column_error": errors.column,
        f"{ORACLE}.n_undetermined_signs": errors.n_undetermined.astype(np.float64),
        f"{ORACLE}.qr_ratio": errors.column_ratio,
    }
    kind = Kind(figures=tuple(figures))
    return Judged(kinds=tuple(kind if each else None for each in is_right), figures=figures)


def _has_mean(arrays: Array, definition: MatrixDefinition, problem: Problem) -> Mask:
    """Return which matrices have the mean of the law, which is 0; it says no more of them."""
    law = moments_of_element(definition, problem.shape, problem.dtype)
    if law is None:
        return np.ones(len(arrays), bool)
    bound = bounds_of(definition, law, problem.shape).mean
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(np.abs(widen(_rows(arrays)).mean(axis=1)) <= bound)


def _are_drawn(
    normals: Array,
    definition: MatrixDefinition,
    problem: Problem,
    seeds: Sequence[int],
    budget: Budget,
) -> Mask:
    """Return which normals are those that the definition draws, but for rounding."""
    law = Normal(stddev=1.0, drawn_with=definition.drawn_with)
    tall = dataclasses.replace(problem, shape=tall_shape(problem.shape, definition))
    answers = Answers(law, tall, seeds)
    rows = _rows(normals)
    wide = widen(rows)
    is_drawn = np.zeros(len(rows), bool)
    for known in (answers.expected(), *itertools.islice(answers.followed(), 1)):
        known = _rows(known)
        is_drawn |= (_bits(rows) == _bits(known)).all(axis=1)
        left = np.flatnonzero(~is_drawn)
        if not left.size:
            break
        found = roundings(rows[left], wide[left], known[left], 1.0, budget)
        is_drawn[left] = ~np.isnan(found)
    return is_drawn


# --- Rows ----------------------------------------------------------------------------------------


def _rows(arrays: Array) -> Array:
    return arrays.reshape(len(arrays), -1)


def _reals(rows: Array) -> Reals:
    return np.asarray(real_parts(rows).reshape(len(rows), -1), np.float64)


def _bits(rows: Array) -> Array:
    return np.ascontiguousarray(rows).view(f"u{min(rows.dtype.itemsize, 8)}")
