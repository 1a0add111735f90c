"""The exact law of one element in its dtype, in the terms of the tests."""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
import numpy.typing as npt
import scipy

from conformance.core.arrays import as_dtype
from conformance.core.formats import FORMATS
from conformance.core.laws import (
    Definition,
    Law,
    Normal,
    TruncatedNormal,
    Uniform,
    law_of,
    nominal_moments,
)
from conformance.judge.statistics.reach import (
    ENUMERATED_WORDS,
    LARGEST_VARIANCE,
    reach_of,
    values_of_words,
)
from conformance.oracle import word_bits

Reals = npt.NDArray[np.float64]

ORDERS = (1, 2, 3, 4)

CLIPPED = 3.0
"""Standard deviations at which the scores of a law of unknown shape are clipped."""

MERGED = 2
"""Lattice points that the rounding of a product may make one value of, where it is monotone: the
factor moves a value within its binade by less than two spacings."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A function of one element: its mean under the law, its variance, its largest distance.

    lean: how far the mean over the dtype's lattice may lie from this one.
    """

    mean: float
    variance: float
    reach: float
    lean: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ElementLaw:
    """One element's law.

    mean, sigma: what values are standardised by.
    powers: of the standardised value, orders 1 to 4, or only those that the law states.
    points, upto: of a small lattice the values in order, and the probability up to each.
    law: of a fine lattice the continuous one. slack: how far its distribution function is off.
    heaviest: the largest probability of a single value; None where nobody knows.
    score: of `Sample.scores`, whose mean is 0 but for its lean. square: of its square, if known.
    """

    mean: float
    sigma: float
    powers: tuple[Term, ...]
    points: Reals | None = None
    upto: Reals | None = None
    law: Law | None = None
    slack: float = 0.0
    heaviest: float | None = None
    score: Term
    square: Term | None = None

    @property
    def has_distribution(self) -> bool:
        """Return whether more than moments are known."""
        return self.points is not None or self.law is not None

    def indices(self, values: Reals) -> npt.NDArray[np.intp]:
        """Return which point of the small lattice each value is nearest to.

        Backends round some points to a neighbour; that is the oracle's and the sweep's business.
        """
        assert self.points is not None
        return np.searchsorted((self.points[1:] + self.points[:-1]) / 2, values)

    def distribution(self, values: Reals) -> tuple[Reals, Reals]:
        """Return the probability below each value, and up to it: of no small lattice the same."""
        if self.upto is not None:
            return self.of_points(self.indices(values))
        assert self.law is not None
        unit = values / self.law.factor
        share = np.clip(_cumulative(self.law, unit), 0.0, 1.0)
        share = 1 - share if np.signbit(self.law.factor) else share
        return share, share

    def of_points(self, indices: npt.NDArray[np.intp]) -> tuple[Reals, Reals]:
        """Return the probability below each of some points of the small lattice, and up to it."""
        assert self.upto is not None
        return np.concatenate([[0.0], self.upto]).take(indices), self.upto.take(indices)


def _cumulative(law: Law, unit: Reals) -> Reals:
    """Return the law's distribution function; of normals by SciPy, a hundred times as fast."""
    match law:
        case Normal():
            return np.asarray(scipy.special.ndtr(unit))
        case TruncatedNormal():
            below, above = scipy.special.ndtr(np.array(law.support))
            return np.asarray((scipy.special.ndtr(unit) - below) / (above - below))
        case _:
            return law.cdf(unit)


@functools.lru_cache(maxsize=4096)
def element_law(definition: Definition, shape: tuple[int, ...], dtype: str) -> ElementLaw | None:
    """Return the law of an element; None where elements share none, or a float64 holds no moments.

    None of complex numbers too: there the oracle judges each element.

    Raises:
        OracleUnavailable: no array of a dtype of few words may be returned.
    """
    nominal = nominal_moments(definition, shape, dtype)
    if nominal is None or not 0 < nominal.variance < LARGEST_VARIANCE or FORMATS[dtype].is_complex:
        return None
    law = law_of(definition, shape, dtype)
    if law is None:
        return _declared(definition, shape, dtype)
    if word_bits(as_dtype(dtype)) in ENUMERATED_WORDS:
        return _enumerated(definition, shape, dtype)
    return _continuous(definition, law, shape, dtype)


def _enumerated(definition: Definition, shape: tuple[int, ...], dtype: str) -> ElementLaw | None:
    """Return the law of all words, with JAX's own roundings."""
    values = values_of_words(definition, shape, dtype)
    points, counts = np.unique(values, return_counts=True)
    if len(points) < 2 or not np.isfinite(points).all():
        return None
    shares = counts / values.size
    upto = np.cumsum(counts) / values.size
    mean = float(shares @ points)
    sigma = math.sqrt(float(shares @ (points - mean) ** 2))
    score = upto - shares / 2 - 0.5
    return ElementLaw(
        mean=mean,
        sigma=sigma,
        powers=tuple(_term(((points - mean) / sigma) ** order, shares) for order in ORDERS),
        points=points,
        upto=upto,
        heaviest=float(shares.max()),
        score=_term(score, shares),
        square=_term(score**2, shares),
    )


def _term(values: Reals, shares: Reals) -> Term:
    mean = float(shares @ values)
    return Term(
        mean=mean,
        variance=float(shares @ (values - mean) ** 2),
        reach=float(np.abs(values - mean).max()),
    )


def _continuous(definition: Definition, law: Law, shape: tuple[int, ...], dtype: str) -> ElementLaw:
    """Return the continuous law, and how far the lattice of so many points may be from it.

    The mean of a function of total variation V over N points, each at a quantile of its cell, is
    off by V / N at most (Koksma).
    """
    nominal = nominal_moments(definition, shape, dtype)
    assert nominal is not None
    mean, sigma = nominal.mean.real, math.sqrt(nominal.variance)
    furthest = reach_of(definition, nominal, shape, dtype)
    reach = furthest / sigma
    cell = FORMATS[dtype].cell
    unit, weights = _quadrature(law.unit, (furthest + abs(mean)) / abs(law.factor))
    standard = (unit * law.factor - mean) / sigma
    powers = []
    for order in ORDERS:
        term = _term(standard**order, weights)
        most, lean = reach**order + abs(term.mean), 2 * reach**order * cell
        powers.append(dataclasses.replace(term, reach=most, lean=lean))
    return ElementLaw(
        mean=mean,
        sigma=sigma,
        powers=tuple(powers),
        law=law,
        slack=_slack(law, dtype),
        heaviest=_heaviest(law, dtype),
        score=uniform_score(cell),
        square=squared_uniform_score(cell),
    )


def uniform_score(lean: float) -> Term:
    """Return the law of a score that is a uniform less a half, as of every continuous law."""
    return Term(mean=0.0, variance=1 / 12, reach=0.5, lean=lean)


def squared_uniform_score(lean: float) -> Term:
    """Return the law of its square, of fourth moment 1/80."""
    return Term(mean=1 / 12, variance=1 / 180, reach=1 / 6, lean=lean)


NODES = 512
"""Of the Gauss-Legendre rule: powers up to 8 of a normal within 1e-13."""


@functools.cache
def _rule() -> tuple[Reals, Reals]:
    """Return the nodes and weights of the rule, found once: that takes 0.1 s."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return nodes, weights


def _quadrature(unit: Law, reach: float) -> tuple[Reals, Reals]:
    """Return places in the support of the unit variate, and their shares of the mass.

    reach: of the outermost draws.
    """
    lower, upper = (min(max(end, -reach), reach) for end in unit.support)
    nodes, weights = _rule()
    places = lower + (upper - lower) * (nodes + 1) / 2
    shares = weights * np.exp(unit.log_density(places))
    return places, shares / shares.sum()


def _step(law: Law, dtype: str) -> float:
    """Return the probability between two uniforms: a cell, or more where their range is narrow.

    There they are as far apart as the format's numbers at the end that is further from zero.
    """
    number = FORMATS[dtype]
    if not isinstance(law, TruncatedNormal):
        return number.cell
    lower, upper = (math.erf(end / math.sqrt(2)) for end in law.support)
    _, exponent = math.frexp(max(abs(lower), abs(upper)))
    return max(number.cell, 2.0 ** (exponent - 1 - number.mantissa_bits) / (upper - lower))


def _heaviest(law: Law, dtype: str) -> float:
    """Return a bound on the probability of a value: of the uniforms that round to it."""
    return min(1.0, MERGED * _step(law, dtype))


def _slack(law: Law, dtype: str) -> float:
    """Return how far the distribution function over the lattice may be from the continuous one.

    A cell; and what moves the uniforms, a few roundings of the bounds of a narrow range.
    """
    return FORMATS[dtype].cell if isinstance(law, Uniform) else 4 * _heaviest(law, dtype)


def _declared(definition: Definition, shape: tuple[int, ...], dtype: str) -> ElementLaw | None:
    """Return what moments alone say; None without bounds, for then nothing contradicts them."""
    nominal = nominal_moments(definition, shape, dtype)
    assert nominal is not None
    mean, sigma = nominal.mean.real, math.sqrt(nominal.variance)
    reach = max(abs(nominal.lower - mean), abs(nominal.upper - mean)) / sigma
    if not math.isfinite(reach):
        return None
    kurtosis = min(nominal.kurtosis, reach**2)  # x^4 <= reach^2 x^2
    first = Term(mean=0.0, variance=1.0, reach=reach)
    second = Term(mean=1.0, variance=max(kurtosis - 1, 0.0), reach=max(reach**2 - 1, 1.0))
    # E (|x| - c)+ <= E x^2 / (4 c) for standardised x: by so much the clipped mean may be off.
    lean = sigma / (4 * CLIPPED)
    return ElementLaw(
        mean=mean,
        sigma=sigma,
        powers=(first, second),
        score=Term(mean=0.0, variance=sigma**2, reach=min(CLIPPED, reach) * sigma, lean=lean),
    )
