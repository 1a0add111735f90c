"""The class of a change: identical, rounding, biased, transform, stream, law and worse.

All elements tell it. Where only some of a side are kept, they can prove a change of law and nothing
less, since what they do not show may be anything: else the class is unknown.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator

import numpy as np

from conformance.core.arrays import (
    Array,
    as_dtype,
    block_digests,
    completed,
    differing,
    flat,
    in_parts,
    repeated,
    returned,
    thin,
    whole,
    widen,
)
from conformance.core.formats import FORMATS
from conformance.core.lattice import mantissa_bits
from conformance.core.laws import NominalMoments
from conformance.core.records import Budget, Drift, DriftClass, Moments, Outcome, Raised, Returned
from conformance.core.ulp import (
    has_64_bits,
    real_parts,
    spacing_at,
    ulp_at,
    ulp_distance,
    unit_roundoff,
)
from conformance.core.words import counted
from conformance.judge.alpha import DRIFT
from conformance.judge.drift import geometry, statistics

ROUNDINGS = 6
"""Most roundings of a scale factor on its way: variance, its root, the truncation constant, their
quotient, sqrt(2), the product. Each moves it by half an ULP, and all elements with it.

As many lie between a bound of the law and an element: there the unit variate, of which the bound
was rounded, stands for sqrt(2)."""

STEP = 16
"""Units of roundoff, at sigma, within which two elements may be one that rounding moved: few enough
that a step of 16 bits is a sixteenth of sigma, and most roundings of the others stay within one."""

OVERFLOWING = 2.0**240
"""Elements beyond it, or its inverse, are scaled before sums of their powers up to the fourth are
taken: a float64 ends at 2^1024 and, with all its digits, at 2^-1022. Where one side is as much
larger than the other, no scale serves both."""

DEFAULT_BUDGET = Budget(max_ulp=ROUNDINGS, max_ulp_at_sigma=float(ROUNDINGS))
"""Where no sweep has measured one: half an ULP for each rounding, on the way to either element."""


def classify(
    actual: Outcome,
    expected: Outcome,
    *,
    moments: NominalMoments | None = None,
    budget: Budget = DEFAULT_BUDGET,
) -> Drift:
    """Return the class of the change from `expected` to `actual`, the worst element, and where.

    moments: the nominal law, whose sigma scales distances; None takes the expected array's own.
    budget: how far apart two correct results may lie; only within it is a change called rounding.
    """
    if isinstance(actual, Raised) or isinstance(expected, Raised):
        return _classify_exceptions(actual, expected)
    actual, expected = completed(actual), completed(expected)
    drift = classify_kept(actual, expected, moments=moments, budget=budget)
    if drift.n_compared is None:
        return drift
    return classify_part(drift, actual, expected, _sigma(moments, expected))


def classify_kept(
    actual: Returned,
    expected: Returned,
    *,
    moments: NominalMoments | None = None,
    budget: Budget = DEFAULT_BUDGET,
) -> Drift:
    """Return the class of the change of those elements that both sides keep; see `classify`."""
    return compare_kept(actual, expected, moments=moments, budget=budget).drift


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """How two arrays differ, each part of the answer found when somebody asks for it.

    is_within: whether all elements are within the budget, without which nothing is rounding.
    max_ulp_at_sigma: the largest distance at sigma; of the same array, None.
    classify: finds the class; beyond the budget it sorts all elements that differ.
    describe: makes the drift, which says where elements differ too: of an array that is right,
        nobody asks.
    """

    is_within: bool
    max_ulp_at_sigma: float | None = None
    classify: Callable[[], DriftClass]
    describe: Callable[[], Drift]

    @functools.cached_property
    def drift_class(self) -> DriftClass:
        """The class of the change."""
        return self.classify()

    @property
    def is_rounding(self) -> bool:
        """Whether nothing but rounding lies between the two."""
        return self.is_within and self.drift_class.rank <= DriftClass.ROUNDING.rank

    @property
    def drift(self) -> Drift:
        """All that is told of the change."""
        return self.describe()


def compare_kept(
    actual: Returned,
    expected: Returned,
    *,
    moments: NominalMoments | None = None,
    budget: Budget = DEFAULT_BUDGET,
) -> Comparison:
    """Return what `classify_kept` finds, but where it is."""
    if same := identical(actual, expected):
        return _told(same)
    if fault := _type_fault(actual, expected):
        return _told(Drift(drift_class=DriftClass.STRUCTURAL, detail=fault))
    stride = max(actual.stride, expected.stride)
    one, two = (thin(outcome, stride) for outcome in (actual, expected))
    read = whole if stride == 1 else flat
    is_constant = moments is not None and moments.variance == 0
    sides = _Sides(
        actual=read(one),
        expected=read(two),
        shape=expected.shape,
        stride=stride,
        sigma=_sigma(moments, two),
        is_constant=is_constant,
    )
    return _compared(_pair(sides, budget))


def identical(actual: Outcome, expected: Outcome) -> Drift | None:
    """Return the drift between two outcomes that are one array, by the digest; None of others."""
    if isinstance(actual, Raised) or isinstance(expected, Raised):
        return None
    one, two = (
        (each.dtype, each.shape, each.weak_type, each.sha256) for each in (actual, expected)
    )
    if one != two:
        return None
    return Drift(drift_class=DriftClass.IDENTICAL, n_elements=math.prod(expected.shape))


def compare_with(
    actual: Returned, expected: Array, *, moments: NominalMoments, budget: Budget = DEFAULT_BUDGET
) -> Comparison:
    """Return what `compare_kept` finds of an array whose own digest and moments nobody needs."""
    is_kept = actual.is_whole and not actual.weak_type
    if not is_kept or (actual.dtype, actual.shape) != (expected.dtype.name, expected.shape):
        return compare_kept(actual, returned(expected), moments=moments, budget=budget)
    if not _has_sigma(moments):  # the array's own are the scale
        return compare_kept(actual, returned(expected), moments=moments, budget=budget)
    sigma = math.sqrt(moments.variance)
    return compare_arrays(whole(actual), expected, sigma=sigma, budget=budget)


def compare_arrays(
    actual: Array, expected: Array, *, sigma: float, budget: Budget = DEFAULT_BUDGET
) -> Comparison:
    """Return what `compare_kept` finds of two arrays of one dtype and shape, all of which is there.

    sigma: of their law, which varies.
    """
    sides = _Sides(
        actual=actual,
        expected=expected,
        shape=actual.shape,
        stride=1,
        sigma=sigma,
        is_constant=False,
    )
    pair = _pair(sides, budget)
    if not pair.n_different:
        return _told(Drift(drift_class=DriftClass.IDENTICAL, n_elements=actual.size))
    return _compared(pair)


def _compared(pair: _Pair) -> Comparison:
    change = functools.cache(lambda: _classify_values(pair) if pair.n_different else _EQUAL)
    return Comparison(
        is_within=pair.is_within,
        max_ulp_at_sigma=pair.max_ulp_at_sigma,
        classify=lambda: change().drift_class,
        describe=lambda: _described(pair, change()),
    )


def _told(drift: Drift) -> Comparison:
    return Comparison(
        is_within=drift.drift_class is DriftClass.IDENTICAL,
        classify=lambda: drift.drift_class,
        describe=lambda: drift,
    )


def _classify_exceptions(actual: Outcome, expected: Outcome) -> Drift:
    names = [
        f"raises {outcome.exception}" if isinstance(outcome, Raised) else "returns an array"
        for outcome in (expected, actual)
    ]
    if names[0] == names[1]:
        return Drift(drift_class=DriftClass.IDENTICAL)
    return Drift(drift_class=DriftClass.CONTRACT, detail=f"{names[0]} -> {names[1]}")


def _type_fault(actual: Returned, expected: Returned) -> str:
    one, two = (
        f"{'weakly typed ' if outcome.weak_type else ''}{outcome.dtype}{list(outcome.shape)}"
        for outcome in (expected, actual)
    )
    return "" if one == two else f"{one} -> {two}"


def _has_sigma(moments: NominalMoments | Moments) -> bool:
    return moments.variance > 0 and math.isfinite(moments.variance)


def _sigma(moments: NominalMoments | None, expected: Returned) -> float:
    """Return the scale of distances: sigma, or the magnitude where nothing varies.

    Of arrays whose law nobody states it is the median magnitude of what is not zero, where that is
    less: a few large elements must not set the measure for all others. NaN where no element is a
    number: then there are no distances.
    """
    if moments is not None and _has_sigma(moments):
        return math.sqrt(moments.variance)
    median = _median_magnitude(flat(expected))
    if not median:
        return abs(expected.moments.maximum)
    if _has_sigma(expected.moments):
        return min(math.sqrt(expected.moments.variance), median)
    return median


def _median_magnitude(array: Array) -> float:
    """Return the median of what is neither zero nor infinite nor NaN; 0 where nothing is."""
    sizes = np.abs(real_parts(array)).ravel()
    sizes[~np.isfinite(sizes)] = 0
    # The zeros come first, so that no copy without them is made.
    n_zeros, size = int(np.count_nonzero(sizes == 0)), sizes.size
    if n_zeros == size:
        return 0.0
    sizes.sort()
    low, high = float(sizes[(n_zeros + size - 1) // 2]), float(sizes[(n_zeros + size) // 2])
    return low + (high - low) / 2  # their sum may be beyond all numbers


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Pair:
    """Two arrays of one dtype and shape, or two samples of equal stride.

    `shape` is that of the whole arrays. `n_lost`: elements that became NaN or infinite.
    `is_within`: all are within the budget, by either measure. `worst`: the place of the largest
    distance at sigma. `distance`: the root of the sum of squares of all distances.
    `wants_constant`: the law has one value.
    """

    actual: Array
    expected: Array
    different: geometry.Mask
    n_different: int
    n_lost: int
    is_within: bool
    max_ulp_at_sigma: float
    worst: int
    distance: float
    sigma: float
    shape: tuple[int, ...]
    stride: int
    wants_constant: bool

    @property
    def is_sample(self) -> bool:
        return self.stride != 1

    @functools.cached_property
    def is_constant(self) -> bool:
        """Whether one value is wanted everywhere."""
        return self.wants_constant or (self.expected.size != 1 and _are_alike(self.expected))

    @functools.cached_property
    def unit(self) -> float:
        """What sums of powers are taken in; see `_unit`."""
        if not has_64_bits(self.expected.dtype):  # all numbers are within OVERFLOWING
            return 1.0
        sides = (self.actual, self.expected)
        return _unit(*(sides if self.is_within else (side[self.different] for side in sides)))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    drift_class: DriftClass
    detail: str
    scale: float | None = None
    stage: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sides:
    """Two arrays that are to be compared; see `_Pair`."""

    actual: Array
    expected: Array
    shape: tuple[int, ...]
    stride: int
    sigma: float
    is_constant: bool


def _pair(sides: _Sides, budget: Budget) -> _Pair:
    one, two = sides.actual, sides.expected
    different = np.zeros(one.shape, dtype=bool)
    n_different, n_lost, is_within = 0, 0, True
    worst_at_sigma, worst, squares = -math.inf, 0, 0.0
    for start, left, right in in_parts(one, two):
        marks = different.ravel()[start : start + left.size]
        marks[:] = differing(left, right)
        places = np.flatnonzero(marks)  # by which NumPy takes ten times as fast as by a mask
        if not places.size:  # all that is counted here is nothing
            continue
        left, right = left.take(places), right.take(places)
        n_different += places.size
        at_sigma = ulp_at(left, right, sides.sigma)
        place = int(at_sigma.argmax())
        largest = float(at_sigma[place])
        if not math.isfinite(largest):
            n_lost += int(np.count_nonzero(np.isfinite(right) & ~np.isfinite(left)))
        if is_within and not largest <= budget.max_ulp_at_sigma:  # no number is far too
            far = ~(at_sigma <= budget.max_ulp_at_sigma)
            steps = ulp_distance(left[far], right[far])
            is_within = bool((steps <= np.uint64(budget.max_ulp)).all())
        if largest > worst_at_sigma:
            worst_at_sigma, worst = largest, start + int(places[place])
        squares += float(np.einsum("i,i", at_sigma, at_sigma))  # BLAS would wake threads for it
    return _Pair(
        actual=one,
        expected=two,
        different=different,
        n_different=n_different,
        n_lost=n_lost,
        is_within=is_within,
        max_ulp_at_sigma=max(worst_at_sigma, 0.0),
        worst=worst,
        distance=math.sqrt(squares) * spacing_at(sides.sigma, two.dtype),
        sigma=sides.sigma,
        shape=sides.shape,
        stride=sides.stride,
        wants_constant=sides.is_constant,
    )


def _unit(*sides: Array) -> float:
    """Return a power of two, in units of which sums of powers are numbers, and no zeros.

    The largest element is from one to two of them: there is such a power for every float64.
    """
    largest = 0.0
    for _, *parts in in_parts(*sides):
        for part in parts:
            sizes = np.abs(widen(real_parts(part)))
            largest = float(sizes.max(where=np.isfinite(sizes), initial=largest))
    if not largest or 1 / OVERFLOWING < largest < OVERFLOWING:
        return 1.0
    return math.ldexp(1.0, math.frexp(largest)[1] - 1)


_EQUAL = _Change(drift_class=DriftClass.IDENTICAL, detail="")


def classify_part(drift: Drift, actual: Returned, expected: Returned, sigma: float) -> Drift:
    """Return what is certain of two arrays of which only some elements were compared.

    drift: of those; see `classify_kept`. sigma: the scale of the elements.
    """
    if actual.moments.nonfinite != expected.moments.nonfinite:
        detail = _nonfinite(actual, expected)
        return dataclasses.replace(drift, drift_class=DriftClass.LAW, detail=detail)
    if drift.drift_class is DriftClass.LAW:
        return drift
    seen = f"those that are kept show {drift.drift_class.value}"
    moved = moments_moved(actual.moments, expected.moments, sigma, as_dtype(expected.dtype))
    digests = (block_digests(actual), block_digests(expected))
    blocks = geometry.describe_blocks(*digests, math.prod(expected.shape))
    parts = (seen, blocks, moved and f"of all, {moved}", drift.detail)
    return dataclasses.replace(
        drift, drift_class=DriftClass.UNKNOWN, detail="; ".join(filter(None, parts))
    )


def moments_moved(one: Moments, two: Moments, sigma: float, dtype: np.dtype[np.generic]) -> str:
    """Return which moments of two whole arrays differ by more than roundings explain; "" if none.

    sigma: the scale of the elements.
    """
    slack = 2 * ROUNDINGS * unit_roundoff(dtype)
    parts = []
    if abs(one.mean - two.mean) > slack * sigma:
        parts.append(f"the mean moved by {one.mean - two.mean:.3g}")
    if two.variance and abs(one.variance / two.variance - 1) > slack:
        parts.append(f"the variance is {one.variance / two.variance:.9g} of before")
    return " and ".join(parts)


def _nonfinite(actual: Returned, expected: Returned) -> str:
    return (
        f"{counted(actual.moments.nonfinite, 'element')} NaN or infinite, "
        f"before {expected.moments.nonfinite}"
    )


def _classify_values(pair: _Pair) -> _Change:
    if pair.n_lost:
        detail = f"{counted(pair.n_lost, 'element')} became NaN or infinite"
        return _Change(drift_class=DriftClass.LAW, detail=detail)
    if pair.is_constant:
        return _Change(drift_class=DriftClass.LAW, detail="a constant has another value")
    if pair.is_within:
        return _classify_rounding(pair)
    if order := "" if pair.is_sample else geometry.reordering(pair.actual, pair.expected):
        return _Change(drift_class=DriftClass.STRUCTURAL, detail=order)
    return _classify_other(pair)


def _are_alike(array: Array) -> bool:
    """Return whether all elements are one finite number."""
    first = array.flat[:1]
    if not np.isfinite(first).all():
        return False
    return not any(np.any(part != first) for _, part in in_parts(array))


def _classify_rounding(pair: _Pair) -> _Change:
    """Tell rounding, which has no direction, from a small change of scale or mean, or one way."""
    if not _is_still(pair) and (change := _systematic(pair, _numbers(pair))):
        return change
    if way := statistics.one_way(_numbers(pair, is_all=False)):
        return _Change(drift_class=DriftClass.BIASED, detail=f"biased rounding: {way}")
    return _Change(drift_class=DriftClass.ROUNDING, detail="")


def _is_still(pair: _Pair) -> bool:
    """Return whether distances are too small to move scale or mean beyond what roundings explain.

    Let a = e + d, each without its mean: |a| and |e|, roots of sums of squares, differ by |d| at
    most, so the ratio of the two, which is the scale, differs from 1 by |d| / |e| at most. The mean
    moves by |d| / sqrt(n), and by what the scale does to it. Deviations from the mean of each part
    are no larger than from that of all. A hundredth of the slack is more than sums are rounded by.
    """
    if has_64_bits(pair.expected.dtype):  # sums have no digits to spare
        return False
    n, total, squares = 0, 0.0, 0.0
    for _, part in in_parts(pair.expected):
        values = widen(real_parts(part)).ravel()
        n += values.size
        with np.errstate(invalid="ignore"):  # infinities have no variance, and bound nothing
            total += float(values.sum())
            squares += values.size * float(values.var())
    if not squares:  # nothing varies
        return False
    slack = 0.99 * ROUNDINGS * unit_roundoff(pair.expected.dtype)
    scale = pair.distance / math.sqrt(squares)
    shift = pair.distance / math.sqrt(n) + scale * abs(total / n)
    return scale <= slack and shift <= slack * pair.sigma


def _systematic(pair: _Pair, parts: statistics.Parts) -> _Change | None:
    """Return how elements moved together, beyond what the roundings of one factor explain.

    parts: the elements that tell it.
    """
    if (line := statistics.fit_parts(parts)) is None:
        return None
    slack, sigma = ROUNDINGS * unit_roundoff(pair.expected.dtype), pair.sigma / pair.unit
    if line.is_scaled(slack):
        detail = (
            f"scaled by {line.scale:.9g}, so the variance by {line.scale**2:.9g} "
            f"(standard error of the scale {line.scale_error:.2g})"
        )
        return _Change(drift_class=DriftClass.LAW, detail=detail, scale=line.scale)
    if line.is_shifted(slack * sigma):
        sigmas = f" ({line.shift / sigma:.3g} sigma)" if sigma else ""
        detail = f"shifted by {line.shift * pair.unit:.6g}{sigmas}"
        return _Change(drift_class=DriftClass.LAW, detail=detail)
    return None


def _numbers(pair: _Pair, *, sign: float = 1.0, is_all: bool = True) -> statistics.Parts:
    """Return what yields the elements of `_finite_parts`, as often as it is asked.

    A dozen times for one line, so they are made once, unless they are too many to be held.
    """

    def parts() -> Iterator[tuple[statistics.Values, statistics.Values]]:
        return _finite_parts(pair, sign=sign, is_all=is_all)

    return repeated(parts, pair.actual.size)


def _finite_parts(
    pair: _Pair, *, sign: float, is_all: bool
) -> Iterator[tuple[statistics.Values, statistics.Values]]:
    """Yield elements of both sides that are numbers, some at a time; the second times the sign.

    is_all: those that do not differ too.
    """
    for _, *sides, different in in_parts(pair.actual, pair.expected, pair.different):
        if not is_all:
            places = np.flatnonzero(different)
            sides = [side.take(places) for side in sides]
        one, two = (widen(_row(side, pair)) for side in sides)
        finite = np.isfinite(one) & np.isfinite(two)
        if not finite.all():
            one, two = one[finite], two[finite]
        yield one, sign * two


def _row(array: Array, pair: _Pair) -> statistics.Values:
    """Return all real numbers in an array of the pair as one row, in units of `unit`.

    Those of fewer bits as float32, exactly: the others are kept as they are.
    """
    reals = real_parts(array).ravel()
    values = np.asarray(reals, np.result_type(reals, np.float32))
    return values if pair.unit == 1 else values / pair.unit


def _classify_other(pair: _Pair) -> _Change:
    """Judge by the elements that differ: the others say nothing of what happened to these."""
    mask = pair.different
    actual, expected = (_row(side[mask], pair) for side in (pair.actual, pair.expected))
    if len(actual) < statistics.FEWEST:
        detail = f"{counted(len(actual), 'element')}: too few to tell a stream or a law by"
        scale = _common_factor(actual, expected, _step(pair))
        return _Change(drift_class=DriftClass.TRANSFORM, detail=detail, scale=scale)
    if size := _another_size(actual, expected, pair.unit):
        return _Change(drift_class=DriftClass.LAW, detail=size)
    if statistics.is_same_stream(actual, expected):
        return _classify_same_stream(actual, expected, pair)
    return _classify_laws(actual, expected, pair)


def _step(pair: _Pair) -> float:
    """Return within what distance two values may be one that rounding moved; see STEP."""
    return STEP * unit_roundoff(pair.expected.dtype) * pair.sigma / pair.unit


def _common_factor(
    actual: statistics.Values, expected: statistics.Values, step: float
) -> float | None:
    """Return the one factor between all pairs, two at least; None where they have none.

    So few pairs are no evidence of a change of law. But a law that is known to be wrong by a factor
    shows it in an array of any size.
    """
    one, two = (np.asarray(side, np.float64) for side in (actual, expected))
    squares = float(two @ two)
    if len(one) < 2 or not squares:
        return None
    with np.errstate(invalid="ignore", over="ignore"):  # not all need be numbers
        factor = float(one @ two) / squares
        return factor if bool((np.abs(one - factor * two) <= step).all()) else None


def _another_size(actual: statistics.Values, expected: statistics.Values, unit: float) -> str:
    """Return that the elements of one side, not all zeros, vanish beside the other's; "" if not."""
    largest, before = (
        float(np.abs(side).max(where=np.isfinite(side), initial=0)) for side in (actual, expected)
    )
    if max(largest, before) <= OVERFLOWING * min(largest, before) or not min(largest, before):
        return ""
    return f"the largest element is {largest * unit:.3g}, was {before * unit:.3g}"


def _classify_same_stream(
    actual: statistics.Values, expected: statistics.Values, pair: _Pair
) -> _Change:
    line = statistics.fit_parts(_numbers(pair, is_all=False))
    is_mirrored = line is not None and bool(np.signbit(line.scale))
    sign = -1.0 if is_mirrored else 1.0
    if change := _systematic(pair, _numbers(pair, sign=sign, is_all=False)):
        return change
    if is_mirrored and (fault := statistics.compare_laws(actual, expected).fault):
        return _Change(drift_class=DriftClass.LAW, detail=fault)
    if support := _other_support(pair):
        return _Change(drift_class=DriftClass.LAW, detail=support)
    how = "negated" if is_mirrored else "through another computation"
    detail = f"the same stream, {how}; scale and mean intact"
    return _Change(drift_class=DriftClass.TRANSFORM, detail=detail)


def _classify_laws(actual: statistics.Values, expected: statistics.Values, pair: _Pair) -> _Change:
    laws = statistics.compare_laws(actual, expected)
    if laws.fault:
        return _Change(drift_class=DriftClass.LAW, detail=laws.fault)
    if support := _other_support(pair):
        return _Change(drift_class=DriftClass.LAW, detail=support, stage="bits")
    if statistics.is_reordered(actual, expected, _step(pair)):
        detail = f"most of {len(actual)} elements that differ are there in other places"
        return _Change(drift_class=DriftClass.STRUCTURAL, detail=detail)
    detail = (
        f"another stream; {len(actual)} elements show no change of law "
        f"(certain to show a change of sigma beyond {laws.smallest_change:.2g})"
    )
    return _Change(drift_class=DriftClass.STREAM, detail=detail)


def _other_support(pair: _Pair) -> str:
    """Return that all elements have fewer digits than before, as those of a narrower format.

    That n elements end in k zeros more happens once in 2^(n k).
    """
    if pair.actual.dtype.name not in FORMATS:
        return ""
    actual, expected = (_digits(side, pair.different) for side in (pair.actual, pair.expected))
    n_lost = expected - actual
    if n_lost * pair.n_different * math.log(2) < DRIFT.evidence:
        return ""
    return f"every element has {actual} binary digits at most, was {expected}: another support"


def _digits(values: Array, different: geometry.Mask) -> int:
    """Return the most binary digits that an element that differs has after its leading one."""
    bits, mantissa = 0, mantissa_bits(values.dtype)
    for _, part, mask in in_parts(values, different):
        words = np.ascontiguousarray(real_parts(part[mask]))
        bits |= int(np.bitwise_or.reduce(words.view(f"u{words.dtype.itemsize}"), axis=None))
    kept = bits & ((1 << mantissa) - 1)
    return mantissa - ((kept & -kept).bit_length() - 1) if kept else 0


def _described(pair: _Pair, change: _Change) -> Drift:
    """Return the drift, with the worst element by distance at sigma and the two worst distances."""
    places = geometry.describe_places(pair.different, pair.expected) if pair.n_different else ""
    detail = "; ".join(part for part in (change.detail, places) if part)
    worst = pair.worst
    return Drift(
        drift_class=change.drift_class,
        scale=change.scale,
        stage=change.stage,
        n_elements=math.prod(pair.shape),
        n_compared=pair.expected.size if pair.is_sample else None,
        n_different=pair.n_different,
        max_ulp=_max_ulp(pair),
        max_ulp_at_sigma=pair.max_ulp_at_sigma,
        worst_index=tuple(map(int, np.unravel_index(worst * pair.stride, pair.shape))),
        worst_actual=_scalar(pair.actual.ravel()[worst]),
        worst_expected=_scalar(pair.expected.ravel()[worst]),
        detail=detail,
        mismatch="" if pair.is_sample else geometry.mismatch(pair.different),
    )


def _max_ulp(pair: _Pair) -> int:
    """Return the largest distance at the value."""
    parts = in_parts(pair.actual, pair.expected)
    return max(int(ulp_distance(left, right).max()) for _, left, right in parts)


def _scalar(value: Array) -> float | complex:
    return complex(value) if np.asarray(value).dtype.kind == "c" else float(value)
