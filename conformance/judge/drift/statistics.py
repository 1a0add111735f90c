"""What two samples say about each other: one stream or two, one law or two.

Every decision here is statistical and takes its share of the run's error budget, `alpha.DRIFT`. It
is asked only once bits have changed.

Ranks and distances are those of `scipy.stats`, which tests hold them to. They stand here because
its import takes 1.2 s of CPU, half of what a run of one failing case takes without.
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from conformance.core.arrays import WIDENED, in_parts, widen
from conformance.judge.alpha import DRIFT

Mask = npt.NDArray[np.bool_]

Values = npt.NDArray[np.floating[Any]]
"""Real numbers as one row, of float32 or float64: all sums are taken in float64."""

RANK_TAIL = 1e5
"""How much heavier the law of a rank correlation may be than Student's where the budget ends. Of 16
elements it is 3e4 times, counted over all permutations; of more it comes nearer to Student's."""

SUMMATION = 8 * 2.0**-53
"""What float64 may add to a slope: up to 4 units of 2^-53 were seen where all elements are scaled
alike, in 16 to 2^20 of them; an array without scatter has no standard error to cover it."""

FEWEST = 16
"""Least number of elements to correlate: 15 are in one order, or in its reverse, once in 7e11."""

FEWEST_FOR_LAWS = 32
"""Least number of elements to tell two laws by: with fewer the standard errors are themselves too
uncertain for a number of them to mean what it says."""


@functools.lru_cache(maxsize=4096)
def certainty(n: int) -> float:
    """Return how many standard errors, estimated from n pairs, a difference must be beyond.

    Student's t of n - 2 degrees of freedom at the share of the budget. Source for the ratio of two
    standard deviations of pairs: Pitman, A note on normal correlation, Biometrika 31 (1939).
    """
    return -float(scipy.special.stdtrit(n - 2, DRIFT.alpha / 2))


@functools.lru_cache(maxsize=4096)
def rank_certainty(n: int) -> float:
    """Return the t of a rank correlation of n pairs beyond which they are one stream."""
    return -float(scipy.special.stdtrit(n - 2, DRIFT.alpha / 2 / RANK_TAIL))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The line actual = shift + scale * expected that keeps the spread, with errors of n pairs.

    `scale` is the ratio of standard deviations, negative where one falls as the other rises. Least
    squares would find a smaller one wherever the pairs scatter, and see a change of law in noise.
    """

    shift: Any
    scale: Any
    shift_error: Any
    scale_error: Any
    n: int

    def is_scaled(self, slack: float) -> Any:
        """Return whether the slope is not 1, by more than `slack` and chance."""
        return abs(self.scale - 1) > slack + SUMMATION + certainty(self.n) * self.scale_error

    def is_shifted(self, slack: float) -> Any:
        """Return whether the line misses zero, by more than `slack` and chance."""
        return abs(self.shift) > slack + certainty(self.n) * self.shift_error


def is_same_stream(actual: Values, expected: Values) -> bool:
    """Return whether the values rise together, or one falls as the other rises.

    Spearman's rank correlation r, since another monotone function of the same stream keeps every
    rank. r sqrt((n - 2) / (1 - r^2)) is nearly a Student's t; see RANK_TAIL. Source: Kendall &
    Stuart, The Advanced Theory of Statistics 2 (1961), 31.19.
    """
    n = len(actual)
    if n < FEWEST:
        return False
    correlation = min(abs(rank_correlation(actual, expected)), 1 - 2.0**-53)
    score = correlation * math.sqrt((n - 2) / (1 - correlation**2))
    return correlation > 0.5 and score > rank_certainty(n)


def rank_correlation(one: Values, two: Values) -> float:
    """Return Spearman's coefficient; 0 where the values of a side are all alike.

    Equal values share their mean rank, since a small lattice repeats its values.
    """
    ranks = _ranks(two)
    products, squares, squares_of_two = [], [], []
    for places, found in _ranked(one):
        left, right = found.astype(np.float64), ranks[places].astype(np.float64)
        products.append(float(left @ right))
        squares.append(float(left @ left))
        squares_of_two.append(float(right @ right))
    norm = math.sqrt(math.fsum(squares) * math.fsum(squares_of_two))
    return math.fsum(products) / norm if norm else 0.0


def _ranks(values: Values) -> npt.NDArray[Any]:
    """Return twice the distance of each rank from the mean rank."""
    ranks: npt.NDArray[Any] = np.empty(len(values), np.min_scalar_type(-len(values)))
    for places, found in _ranked(values):
        ranks[places] = found
    return ranks


def _ranked(values: Values) -> Iterator[tuple[Any, Any]]:
    """Yield the places of values, in rising order, and twice their ranks' distance from the mean.

    Of n values, b below and e equal to one (itself included), it has the ranks from b + 1 to b + e:
    b + (e + 1) / 2 in the mean; and (n + 1) / 2 is the mean of all. So it is b + (b + e) - n.
    """
    order = np.argsort(values)
    ordered = values[order]
    for _, places, part in in_parts(order, ordered):
        below, up_to = (np.searchsorted(ordered, part, side=side) for side in ("left", "right"))
        yield places, below + up_to - len(ordered)


def is_reordered(actual: Values, expected: Values, step: float) -> bool:
    """Return whether most values are those of the other sample, as in no two draws of one law.

    Values are taken in whole steps, which hide what rounding moved; 0 takes them as they are. Of
    the t elements that have one value, a toss says of each in which draw it fell. So the sum of
    (a - b)^2 / t over the m values, a and b the numbers in either, has mean m and variance
    sum(2 - 2 / t): the moments of a binomial, whatever the law. Far less is no accident.
    """
    n_values, likeness, variance = 0, [], []
    for cells in _same_cells(actual, expected, step):
        values, inverse = np.unique(np.concatenate(cells), return_inverse=True)
        one, two = (
            np.bincount(part, minlength=len(values)) for part in np.split(inverse, [len(cells[0])])
        )
        n_values += len(values)
        likeness.append(float(np.sum(1 - (one - two) ** 2 / (one + two))))
        variance.append(float(np.sum(2 - 2 / (one + two))))
    deviation = math.sqrt(math.fsum(variance))
    return math.fsum(likeness) > max(n_values / 2, certainty(2 * len(actual)) * deviation)


def _same_cells(actual: Values, expected: Values, step: float) -> Iterator[tuple[Values, Values]]:
    """Yield the values of both in whole steps, in their order, some at a time.

    No value of one part occurs in another: a part ends after the last of equal ones.
    """

    def cells(values: Any) -> Any:
        with np.errstate(over="ignore"):  # far beyond sigma all are one value
            values = np.asarray(values, np.float64)
            return np.rint(values / step) if step else values

    sides = [np.sort(np.where(np.isnan(side), np.inf, side)) for side in (actual, expected)]
    while left := [side for side in sides if side.size]:
        edge = min(cells(side[:WIDENED][-1]) for side in left)
        ends = [bisect.bisect_right(side, edge, key=cells) for side in sides]
        one, two = (cells(side[:end]) for side, end in zip(sides, ends, strict=True))
        yield one, two
        sides = [side[end:] for side, end in zip(sides, ends, strict=True)]


ONE_WAY = 0.6
"""Of the elements in which two right results differ, the share that went one way at most. It is
0.58 of 2048 under AVX without FMA, on an emulated Arm, by StableHLO and by IREE; an erf of bounds
that is off by an ULP moves nearly all of them (`truncated_normal_tail` on CUDA)."""


WAYS = ("up", "down", "away from zero", "towards zero")


def one_way(parts: Parts) -> str:
    """Return which way most elements that differ went, beyond what ONE_WAY and chance explain.

    "" where they went both ways. By the binomial law of so many tosses.
    """
    n_moved, counts = 0, np.zeros(len(WAYS), np.intp)
    for actual, expected in parts():
        n_here, here = ways(actual, expected)
        n_moved, counts = n_moved + int(n_here), counts + here
    if not is_one_way(n_moved, counts):
        return ""
    most = int(counts.argmax())
    return f"{counts[most]} of {n_moved} elements that differ went {WAYS[most]}"


def ways(
    actual: Values, expected: Values, count: Callable[[Mask], Any] = np.count_nonzero
) -> tuple[Any, npt.NDArray[np.intp]]:
    """Return how many elements differ, and how many of them went each of WAYS.

    count: `n_in_rows` of several rows. Of a single one NumPy's own is ten times as fast.
    """
    up, down = actual > expected, actual < expected
    above, below = expected > 0, expected < 0
    went = (up, down, up & above | down & below, up & below | down & above)
    return count(actual != expected), np.stack([count(each) for each in went])


def n_in_rows(marks: Mask) -> Any:
    """Return how many of each row are marked."""
    return np.count_nonzero(marks, axis=1)


def is_one_way(n_moved: Any, counts: npt.NDArray[np.intp]) -> Any:
    """Return whether too many elements of a row went one way; see `ways`.

    Of few elements never: chance explains 58 that went all one way.
    """
    chance = scipy.special.bdtrc(counts.max(axis=0) - 1, n_moved, ONE_WAY)
    return chance < DRIFT.alpha / len(WAYS)


def fit(actual: Values, expected: Values) -> Line:
    """Return the reduced major axis of the pairs; needs FEWEST pairs that are not all alike.

    Of rows of pairs each figure is an array, one for each row.

    The relative standard error of its slope is sqrt((1 - r^2) / n), r the correlation. Source:
    Kermack & Haldane, Organic correlation and allometry, Biometrika 37 (1950). 1 - r^2 is taken
    from the residuals of least squares: r itself is 1 to all its digits.
    """
    n, centre, centre_after = actual.shape[-1], expected.mean(axis=-1), actual.mean(axis=-1)
    deviation, moved = expected - centre[..., None], actual - centre_after[..., None]
    spread, spread_after = _dot(deviation, deviation), _dot(moved, moved)
    slope = _dot(deviation, moved) / spread
    residual = moved - slope[..., None] * deviation
    scatter = _dot(residual, residual)
    scale = np.copysign(np.sqrt(spread_after / spread), slope)
    scale_error = np.sqrt(scatter / spread / n)  # 1 - r^2 is scatter / spread_after
    return Line(
        shift=(actual - scale[..., None] * expected).mean(axis=-1),
        scale=scale,
        shift_error=np.hypot(np.sqrt(scatter) / n, centre * scale_error),
        scale_error=scale_error,
        n=n,
    )


Parts = Callable[[], Iterator[tuple[Values, Values]]]
"""Yields the pairs (actual, expected), some at a time, whenever it is called: a parameter may have
gigabytes. The parts are numbers, and may be empty."""


def fit_parts(parts: Parts) -> Line | None:
    """Return the line of `fit`; None where pairs are too few, or the expected ones all alike."""
    n, lowest, highest = 0, math.inf, -math.inf
    for _, expected in parts():
        if expected.size:
            n += len(expected)
            lowest = min(lowest, float(expected.min()))
            highest = max(highest, float(expected.max()))
    if n < FEWEST or lowest == highest:
        return None
    centre_after, centre = (each / n for each in _totals(parts, lambda *pair: pair))

    def products(actual: Values, expected: Values) -> tuple[Values, ...]:
        moved, deviation = actual - centre_after, expected - centre
        return deviation**2, moved**2, deviation * moved

    spread, spread_after, common = _totals(parts, products)
    slope = common / spread
    scale = math.copysign(math.sqrt(spread_after / spread), slope)

    def left(actual: Values, expected: Values) -> tuple[Values, ...]:
        residual = (actual - centre_after) - slope * (expected - centre)
        return residual**2, actual - scale * expected

    scatter, shift = _totals(parts, left)
    scale_error = math.sqrt(scatter / spread / n)
    return Line(
        shift=shift / n,
        scale=scale,
        shift_error=math.hypot(math.sqrt(scatter) / n, centre * scale_error),
        scale_error=scale_error,
        n=n,
    )


def _totals(parts: Parts, terms: Callable[[Values, Values], tuple[Values, ...]]) -> list[float]:
    """Return the sum of each term of the pairs, over all parts."""
    sums = [[float(term.sum()) for term in terms(*pair)] for pair in parts()]
    return [math.fsum(each) for each in zip(*sums, strict=True)]


def _dot(one: Values, two: Values) -> Values:
    # Added in pairs. einsum adds in a few long rows, and put a scale off by 488 units of 2^-53.
    return np.asarray((one * two).sum(axis=-1))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LawComparison:
    """Whether two independent samples can come from one law.

    `fault` is "" or says what differs. `smallest_change` is the relative change of sigma that a
    sample of this size is certain to show: twice what counts as a difference.
    """

    fault: str
    smallest_change: float


def compare_laws(actual: Values, expected: Values) -> LawComparison:
    """Compare means, variances and distribution functions of two independent samples.

    Mean and variance are of those that are numbers: infinities of both signs have none.
    """
    sides = (actual, expected)
    numbers = [side if (are := np.isfinite(side)).all() else side[are] for side in sides]
    n, m = map(len, numbers)
    if min(n, m) < FEWEST_FOR_LAWS:
        return LawComparison(fault="", smallest_change=math.inf)
    one, two = map(sample_moments, numbers)
    mean_error = math.sqrt(one.variance / n + two.variance / m)
    variance_error = math.hypot(one.variance_error, two.variance_error)
    beyond = certainty(min(n, m))
    spread = two.variance
    # Of sigma, whose relative change is half that of the variance. A law without spread has no
    # sigma that could change by a part of itself.
    smallest_change = 2 * beyond * variance_error / spread / 2 if spread else math.inf
    faults = []
    if abs(one.mean - two.mean) > beyond * mean_error:
        faults.append(f"the mean is {one.mean:.6g}, was {two.mean:.6g}")
    if abs(one.variance - two.variance) > beyond * variance_error:
        faults.append(f"the variance is {one.variance:.6g}, was {two.variance:.6g}")
    distance = kolmogorov_distance(actual, expected)
    if distance > kolmogorov_bound(len(actual), len(expected)):
        faults.append(f"the distribution functions lie {distance:.3g} apart")
    return LawComparison(fault="; ".join(faults), smallest_change=smallest_change)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SampleMoments:
    """Mean and variance of a sample, and the standard error of the variance.

    That is sqrt((m4 - m2^2) / n). Source: Cramer, Mathematical Methods of Statistics (1946), 27.4.
    """

    mean: float
    variance: float
    variance_error: float


def sample_moments(values: Values) -> SampleMoments:
    """Return the moments of a sample."""
    n = len(values)

    def mean_of(term: Callable[[Values], Values]) -> float:
        return math.fsum(float(term(widen(part)).sum()) for _, part in in_parts(values)) / n

    mean = mean_of(lambda part: part)
    variance = mean_of(lambda part: (part - mean) ** 2)
    # As the variance of the squares: m4 - m2^2 itself would cancel.
    error = math.sqrt(mean_of(lambda part: ((part - mean) ** 2 - variance) ** 2) / n)
    return SampleMoments(mean=mean, variance=variance, variance_error=error)


def kolmogorov_distance(one: Values, two: Values) -> float:
    """Return the largest gap between the two empirical distribution functions."""
    ordered = np.sort(one), np.sort(two)
    gaps = []
    for side in ordered:
        for _, points in in_parts(side):
            up_to = [np.searchsorted(each, points, side="right") / len(each) for each in ordered]
            gaps.append(float(np.abs(up_to[0] - up_to[1]).max()))
    return max(gaps)


def kolmogorov_bound(n: int, m: int) -> float:
    """Return the distance that two samples of one law exceed less often than the budget allows.

    Two-sided, P(D > d) <= 2 exp(-2 d^2 n m / (n + m)) (Smirnov 1948; Dvoretzky, Kiefer & Wolfowitz
    1956; with Massart's constant by Wei & Dudley 2012 for n = m >= 458, asymptotically otherwise).
    Ties, which a small lattice has, only make the distance smaller.
    """
    return math.sqrt(DRIFT.evidence * (n + m) / (2 * n * m))
