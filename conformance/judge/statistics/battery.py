"""The tests, each with what it sees and the theorem that its p-value rests on.

The families are those of TestU01 (L'Ecuyer & Simard 2007) that an array of weights can show:
distribution, serial and long-range correlation, rank of lines, collisions, copies. Every p-value is
exact, or a bound by an inequality for any sample size, so that shares of 1e-13 mean what they say.
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from conformance.core.lattice import FIBONACCI
from conformance.judge.alpha import CERTAIN, STATISTICS
from conformance.judge.bounds import (
    at_least,
    bernstein,
    bernstein_bound,
    kolmogorov,
    kolmogorov_bound,
)
from conformance.judge.statistics.element import Reals, Term
from conformance.judge.statistics.finding import Finding, Test
from conformance.judge.statistics.sample import Sample


def _certain(size: float, variance: float, reach: float, n_places: int = 1) -> float:
    """Return the mean of terms that is seen for certain: beyond the bound, and beyond chance."""
    evidence = STATISTICS.evidence + math.log(n_places)
    miss = math.log(2 / CERTAIN)
    return bernstein_bound(size, variance, reach, evidence) + bernstein_bound(
        size, variance, reach, miss
    )


# --- The law -------------------------------------------------------------------------------------
def _power(order: int) -> Callable[[Sample], Finding | None]:
    def measure(sample: Sample) -> Finding | None:
        """Hold the mean of a power to the law's by Bernstein's inequality."""
        if len(sample.law.powers) < order:
            return None
        term = sample.law.powers[order - 1]
        power = functools.reduce(np.multiply, [sample.standard] * order)
        moved = float(power.mean()) - term.mean
        beyond = max(abs(moved) - term.lean, 0.0)
        return Finding(
            statistic=moved,
            p_value=float(bernstein(sample.size, beyond, term.variance, term.reach)),
            certain=term.lean + _certain(sample.size, term.variance, term.reach),
        )

    return measure


def _goodness_of_fit(sample: Sample) -> Finding | None:
    """Hold the distribution function to the law's by Kolmogorov's distance."""
    if not sample.law.has_distribution:
        return None
    size = sample.size
    if sample.law.upto is not None:
        points = np.flatnonzero(sample.counts)
        below, upto = sample.law.of_points(points)
        shares = np.concatenate([[0], np.cumsum(sample.counts[points])]) / size
    else:
        share, _ = sample.distribution
        below = upto = np.sort(share, axis=None)
        shares = np.arange(size + 1) / size
    distance = float(max((shares[1:] - upto).max(), (below - shares[:-1]).max()))
    chance = kolmogorov_bound(size, STATISTICS.alpha) + kolmogorov_bound(size, CERTAIN)
    return Finding(
        statistic=distance,
        p_value=kolmogorov(size, distance - sample.law.slack),
        certain=chance + sample.law.slack,
    )


def _extremes(sample: Sample) -> Finding | None:
    """Hold the least and the largest element to their own laws, F^n and 1 - (1 - F)^n.

    Source: David & Nagaraja, Order Statistics (2003), section 2.1. The statistic is the mass beyond
    the outermost elements, the larger of both sides.
    """
    if not sample.law.has_distribution:
        return None
    below, upto = ((each.min(), each.max()) for each in sample.distribution)
    slack, size = sample.law.slack, sample.size
    chances = []
    # Mass strictly outside the element, and mass from the element on outwards.
    for outside, from_here in ((below[0], upto[0]), (1 - upto[1], 1 - below[1])):
        too_near = (1 - max(outside - slack, 0.0)) ** size
        too_far = size * (from_here + slack)
        chances += [too_near, too_far]
    return Finding(
        statistic=float(max(below[0], 1 - upto[1])),
        p_value=min(1.0, 4 * min(chances)),
        certain=math.log(4 / STATISTICS.alpha) / size + slack,
    )


def _atoms(sample: Sample) -> Finding | None:
    """Hold how often one value occurs to the binomial law, by the union over all values.

    Of a fine lattice at most: m of n elements share a value with probability C(n, m) h^(m - 1) at
    most, h the heaviest atom, since the sum of p^m over values of mass p is at most h^(m - 1).
    """
    law, size = sample.law, sample.size
    if law.upto is not None:
        shares = np.diff(law.upto, prepend=0.0)
        counts = sample.counts
        p = 2 * np.minimum(
            scipy.special.bdtr(counts, size, shares),
            scipy.special.bdtrc(counts - 1, size, shares),
        )
        index = int(p.argmin())
        assert law.points is not None
        return Finding(
            statistic=float(counts[index] / size - shares[index]),
            p_value=min(1.0, float(p[index]) * len(shares)),
            certain=_certain(size, float(shares[index]), 1.0, len(shares)),
            where=f"at {law.points[index]:.6g}",
        )
    if law.heaviest is None:
        return None
    starts = np.flatnonzero(np.diff(sample.ordered, prepend=np.nan))  # of each value
    counts = np.diff(starts, append=size)
    most = int(counts.max())
    ways = float(scipy.special.gammaln(size + 1) - scipy.special.gammaln(most + 1))
    ways -= float(scipy.special.gammaln(size - most + 1))
    log_p = ways + (most - 1) * math.log(law.heaviest)
    return Finding(
        statistic=most / size,
        p_value=math.exp(min(0.0, log_p)),
        where=f"at {sample.ordered[starts[counts.argmax()]]:.6g}",
    )


def _collisions(sample: Sample) -> Finding | None:
    """Count elements that repeat another one's value, within a draw or between draws.

    The i-th draws one of the i - 1 values before it with probability (i - 1) h at most, so that the
    number is below a sum of independent events of mean h n (n - 1) / 2: the birthday problem.
    """
    law, size = sample.law, sample.size
    if law.heaviest is None or law.upto is not None:
        return None
    mean = law.heaviest * size * (size - 1) / 2
    if 2 * mean > size:  # nearly every value is there several times
        return None
    repeated = int(np.count_nonzero(np.diff(sample.ordered) == 0))
    # So many copies are counted whatever else repeats.
    fewest = bisect.bisect_left(
        range(size), True, key=lambda count: at_least(count, mean) < STATISTICS.alpha
    )
    return Finding(
        statistic=repeated / size, p_value=at_least(repeated, mean), certain=fewest / size
    )


# --- Independence --------------------------------------------------------------------------------
def _products(
    sample: Sample, sums: Reals, counts: Reals, effective: Reals, name: Callable[[int], str]
) -> Finding | None:
    """Return the largest correlation among many places, each a sum of products of two scores.

    counts: of the products of each place. effective: how many of those are independent; see
    `_lags`. name: of a place.
    """
    term = sample.law.score
    is_place = counts != 0
    if not is_place.any():
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.where(is_place, sums / counts, 0.0)
    # The mean of a product of two independent scores is the square of theirs.
    lean = term.lean**2
    variance, reach = term.variance**2, term.reach**2 + lean
    p = bernstein(effective, np.maximum(np.abs(means) - lean, 0.0), variance, reach)
    index, n_places = int(np.argmin(p)), int(is_place.sum())
    most = float(effective.max())
    return Finding(
        statistic=float(means[index] / term.variance),
        p_value=min(1.0, float(p[index]) * n_places),
        certain=(lean + _certain(most, variance, reach, n_places)) / term.variance,
        where=name(index),
    )


def _lags(sample: Sample) -> Finding | None:
    """Correlate each element with the one so many places on, at all distances at once.

    Neighbours along any axis, strides, halves and repeats are all of them one distance in C order.
    The products x_i x_(i+k) fall into two classes of disjoint pairs; by the inequality of Cauchy
    and Schwarz their sum behaves like that of half as many independent ones. Source: Hoeffding,
    Probability inequalities for sums of bounded random variables, JASA 58 (1963), section 5d.
    """
    size = sample.values.shape[1]
    power = np.sum(np.abs(sample.spectrum) ** 2, axis=0)
    sums = np.fft.irfft(power, sample.padded)[1:size]
    distances = np.arange(1, size)
    counts = sample.n_draws * (size - distances).astype(np.float64)
    effective = np.where(2 * distances >= size, counts, counts / 2)
    return _products(sample, sums, counts, effective, lambda n: f"{n + 1} places on")


def _reflections(sample: Sample) -> Finding | None:
    """Correlate each element with its mirror image, about every place at once."""
    size = sample.values.shape[1]
    both = np.fft.irfft(np.sum(sample.spectrum**2, axis=0), sample.padded)[: 2 * size - 1]
    both[::2] -= np.sum(sample.scores**2, axis=0)
    places = np.arange(2 * size - 1)
    counts = sample.n_draws * ((np.minimum(places, 2 * size - 2 - places) + 1) // 2)
    counts = counts.astype(np.float64)
    return _products(sample, both / 2, counts, counts, lambda n: f"mirrored about place {n / 2:g}")


def _keys(sample: Sample) -> Finding | None:
    """Correlate the draws of two keys whose seeds differ in one bit, at all distances at once."""
    size, n_pairs = sample.values.shape[1], sample.n_draws // 2
    if not n_pairs:
        return None
    first, second = (sample.spectrum[start : 2 * n_pairs : 2] for start in (0, 1))
    cross = np.fft.irfft(np.sum(np.conj(first) * second, axis=0), sample.padded)
    distances = np.arange(1 - size, size)
    sums = cross[distances]  # those before the first are at the end: the transform is periodic
    counts = n_pairs * (size - np.abs(distances)).astype(np.float64)
    return _products(
        sample, sums, counts, counts, lambda n: f"{distances[n]} places on in the next draw"
    )


MOST_LINES = 1024
"""Lines of an axis that are correlated, each with each: 1024^2 pairs of 1024 elements are 1e9
multiplications, 50 ms."""


def _lines(sample: Sample) -> Finding | None:
    """Correlate each two lines of an axis: rows, columns, channels."""
    found = []
    for axis in range(len(sample.shape)):
        columns = sample.lines(axis)[:, :MOST_LINES]
        first, second = np.triu_indices(columns.shape[1], 1)
        sums = (columns.T @ columns)[first, second]
        counts = np.full(len(sums), float(len(columns)))

        def name(n: int, axis: int = axis, first: Any = first, second: Any = second) -> str:
            return f"lines {first[n]} and {second[n]} of axis {axis}"

        found.append(_products(sample, sums, counts, counts, name))
    return worst(found)


def _levels(sample: Sample) -> Finding | None:
    """Hold the mean and the spread of each line of an axis to the law's."""
    found = []
    for axis, size in enumerate(sample.shape):
        columns = sample.lines(axis)
        for what, term, values in (
            ("mean", sample.law.score, columns),
            ("spread", sample.law.square, columns**2),
        ):
            if term is not None:
                name = f"{what} of line {{}} of axis {axis} of {size}"
                found.append(_line_means(values, term, name))
    return worst(found)


def _line_means(values: Reals, term: Term, name: str) -> Finding:
    n, n_lines = values.shape
    # `mean` adds the same terms in the same order, and of lines of two takes four times as long.
    moved = np.einsum("ij->j", values) / n - term.mean
    beyond = np.maximum(np.abs(moved) - term.lean, 0.0)
    p = bernstein(n, beyond, term.variance, term.reach)
    index, sigma = int(np.argmin(p)), math.sqrt(term.variance) or 1.0
    return Finding(
        statistic=float(moved[index]) / sigma,
        p_value=min(1.0, float(p[index]) * n_lines),
        certain=(term.lean + _certain(n, term.variance, term.reach, n_lines)) / sigma,
        where=name.format(index),
    )


def worst(found: Sequence[Finding | None]) -> Finding | None:
    """Return the finding of the smallest p-value, times how many there are: of several, a bound."""
    known = [each for each in found if each is not None]
    if not known:
        return None
    least = min(known, key=lambda each: each.p_value)
    if len(known) == 1:
        return least
    p_value = min(1.0, least.p_value * len(known))
    return dataclasses.replace(least, p_value=p_value, beyond=math.nan)


def _transposed(sample: Sample) -> Finding | None:
    """Correlate each element of the last two axes' leading square with its transpose."""
    if len(sample.shape) < 2:
        return None
    side = min(sample.shape[-2:])
    squares = sample.scores.reshape(-1, *sample.shape[-2:])[:, :side, :side]
    upper, lower = np.triu_indices(side, 1)
    products = squares[:, upper, lower] * squares[:, lower, upper]
    count = np.array([float(products.size)])
    sums = np.array([float(products.sum())])
    return _products(sample, sums, count, count, lambda _: "")


def _copies(sample: Sample) -> Finding | None:
    """Count draws, and lines of an axis, that equal another one in every element.

    r elements equal r others with probability h^r at most, h the heaviest atom.
    """
    shares = [_copied_lines(sample, axis) for axis in range(-1, len(sample.shape))]
    return worst(shares)


def _copied_lines(sample: Sample, axis: int) -> Finding | None:
    """axis: of the array; -1 for whole draws."""
    if axis < 0:
        lines = sample.values
    else:
        rows = np.moveaxis(sample.values.reshape(sample.arrays.shape), axis + 1, 1)
        lines = rows.reshape(sample.n_draws * sample.shape[axis], -1)
    n_lines, length = lines.shape
    if n_lines < 2:
        return None
    n_copies = _n_copies(np.ascontiguousarray(lines).view(np.uint64))
    heaviest = _heaviest(sample)
    log_p = math.log(n_lines * (n_lines - 1) / 2) + length * math.log(heaviest)
    return Finding(
        statistic=n_copies / n_lines,
        p_value=math.exp(min(0.0, log_p)) if n_copies else 1.0,
        where="draws" if axis < 0 else f"lines of axis {axis}",
    )


def _n_copies(lines: npt.NDArray[np.uint64]) -> int:
    """Return how many lines equal an earlier one in every bit."""
    alike = _of_equal_sums(lines)
    of_bytes = alike.view(np.dtype((np.void, lines[0].nbytes)))
    return len(alike) - len(set(of_bytes.ravel().tolist()))


def _of_equal_sums(lines: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return the lines whose weighted sum, which wraps around, another one has: all copies do.

    Hardly any others: as weights are odd, a line that differs by a bit has another sum.
    """
    weights = np.arange(lines.shape[1], dtype=np.uint64) * np.uint64(FIBONACCI) | np.uint64(1)
    sums = (lines * weights).sum(axis=1)
    _, place, counts = np.unique(sums, return_inverse=True, return_counts=True)
    return np.asarray(lines[counts[place] != 1])


def _heaviest(sample: Sample) -> float:
    """Return the heaviest atom's probability, or where nobody knows it a bound by the sample.

    A value's share is off by as much as two distribution functions at most, by Massart's bound.
    """
    if sample.law.heaviest is not None:
        return sample.law.heaviest
    _, counts = np.unique(sample.values, return_counts=True)
    return min(
        1.0, float(counts.max() / sample.size) + 2 * kolmogorov_bound(sample.size, STATISTICS.alpha)
    )


TESTS = (
    Test(name="mean", says="the mean, in sigma", measure=_power(1)),
    Test(name="variance", says="the variance, of itself", measure=_power(2)),
    Test(name="skewness", says="the third moment, in sigma^3", measure=_power(3)),
    Test(name="kurtosis", says="the fourth moment, in sigma^4", measure=_power(4)),
    Test(
        name="goodness_of_fit",
        says="the distance between the distribution functions",
        measure=_goodness_of_fit,
    ),
    Test(name="extremes", says="the mass beyond the outermost elements", measure=_extremes),
    Test(name="atoms", says="the share of one value", measure=_atoms),
    Test(name="collisions", says="the share of elements that repeat another", measure=_collisions),
    Test(name="lags", says="the correlation of an element with another", measure=_lags),
    Test(
        name="reflections",
        says="the correlation of an element with its mirror image",
        measure=_reflections,
    ),
    Test(name="lines", says="the correlation of two lines", measure=_lines),
    Test(name="levels", says="the level of a line, in standard deviations", measure=_levels),
    Test(
        name="transposed",
        says="the correlation of the matrix with its transpose",
        measure=_transposed,
    ),
    Test(name="copies", says="the share of copies", measure=_copies),
    Test(name="keys", says="the correlation of the draws of two keys", measure=_keys),
)
"""As many as `alpha.STATISTICS` says; of matrices there are fewer."""
