"""The normal law cut at two bounds. Its quantile and XLA's erf of the bounds are oracle hooks."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import ClassVar

from conformance.core.later import np
from conformance.core.laws.base import Law, NominalMoments, Reals, squared
from conformance.core.laws.normal import cumulative, log_density

TRUNCATED_STDDEV = 0.87962566103423978
"""Standard deviation of a standard normal truncated to (-2, 2); see `truncated_normal_moments`."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TruncatedNormal(Law):
    """stddev times a standard normal conditioned on (lower, upper), elementwise; not rescaled."""

    stddev: float
    lower: float = -2.0
    upper: float = 2.0

    family: ClassVar[str] = "truncated_normal"
    drawn_by: ClassVar[str] = "truncated_normal"
    factor_name: ClassVar[str] = "stddev"
    roundings: ClassVar[int] = 3  # of the uniform, erf_inv, and the product with sqrt(2)
    is_open: ClassVar[bool] = True

    @property
    def factor(self) -> float:
        """Return the standard deviation before truncation."""
        return self.stddev

    @property
    def support(self) -> tuple[float, float]:
        """Return the bounds before scaling."""
        return self.lower, self.upper

    def times(self, factor: float) -> TruncatedNormal:
        """Return the same truncation of a normal of another standard deviation."""
        return TruncatedNormal(stddev=factor, lower=self.lower, upper=self.upper)

    def nominal(self, shape: tuple[int, ...], *, is_complex: bool) -> NominalMoments:
        """Return the moments between the bounds."""
        del shape, is_complex
        mean, variance = truncated_normal_moments(self.lower, self.upper)
        return NominalMoments(
            mean=self.stddev * mean,
            variance=squared(self.stddev) * variance,
            lower=self.stddev * self.lower,
            upper=self.stddev * self.upper,
        )

    def cdf(self, unit: Reals) -> Reals:
        """Return the share of the mass between the bounds that lies up to each number."""
        below, above = cumulative(np.array(self.support))
        return np.asarray(np.clip((cumulative(unit) - below) / (above - below), 0, 1))

    def log_density(self, unit: Reals) -> Reals:
        """Return the logarithm of the normal density over the mass between the bounds."""
        below, above = cumulative(np.array(self.support))
        return np.asarray(log_density(unit) - math.log(above - below))


@functools.lru_cache(maxsize=4096)
def truncated_normal_moments(lower: float, upper: float) -> tuple[float, float]:
    """Return (mean, variance) of a standard normal conditioned on (lower, upper).

    Integrals of the density over its largest value in the interval, by distance from where that is:
    mass and variance have positive terms only, so nothing cancels. The closed formula (Johnson,
    Kotz & Balakrishnan, Continuous Univariate Distributions 1, section 13.10.1) has no digit right
    in a narrow interval or a far tail.

    Each is within 1e-15 of itself, the mean of an interval around 0 within 1e-15 of the standard
    deviation where that is more; a variance below the smallest normal number is rounded as such.

    Raises:
        ValueError: not lower < upper.
    """
    if not lower < upper:
        raise ValueError(
            f"no normal can be truncated to ({lower!r}, {upper!r}): lower must be less than upper"
        )
    nearest = max(lower, min(upper, 0.0))
    start = abs(nearest)
    farthest = _farthest(start)
    above, below = (min(width, farthest) for width in (upper - nearest, nearest - lower))
    unit = max(above, below)  # of distances: their squares would underflow
    points = [
        (side * place, abs(side) * weight * _relative_density(start, unit * abs(side) * place))
        for side in (above / unit, -below / unit)
        for place, weight in _quadrature()
    ]
    mass = math.fsum(weight for _, weight in points)
    mean = math.fsum(place * weight for place, weight in points) / mass
    variance = math.fsum((place - mean) ** 2 * weight for place, weight in points) / mass
    return nearest + unit * mean, unit * (unit * variance)


def _relative_density(start: float, distance: float) -> float:
    """Return the standard normal density at start + distance, over that at start."""
    # (start + distance)^2 / 2 - start^2 / 2, without the difference of squares.
    return math.exp(-distance * (start + distance / 2))


def _farthest(start: float) -> float:
    """Return the distance from start >= 0 at which the density has fallen to exp(-50) of itself.

    What lies beyond is 1e-18 of the variance at most. It is -start + sqrt(start^2 + 100), without
    the cancellation.
    """
    # The root of distance * (start + distance / 2) = 50; see `_relative_density`.
    return 50 / (start / 2 + math.hypot(start / 2, 5))


@functools.cache
def _quadrature() -> tuple[tuple[float, float], ...]:
    """Return places in (0, 1) and relative weights for an average over it, by tanh-sinh quadrature.

    Source: Takahasi & Mori, Double exponential formulas for numerical integration, Publ. RIMS 9
    (1974). The sum stops where the places are 1e-18 from the ends. Half the step would change
    truncated normals by less than rounding does; twice as long a step, by 1e-9.
    """
    step = 1 / 16
    points = []
    for number in range(-52, 53):
        # (1 + tanh(pi / 2 sinh t)) / 2 and its complement, which keeps its digits near the end.
        place, rest = (
            1 / (1 + math.exp(sign * math.pi * math.sinh(number * step))) for sign in (-1, 1)
        )
        # d place / d t is pi cosh(t) place (1 - place); pi and the step are common to all weights.
        points.append((place, math.cosh(number * step) * place * rest))
    return tuple(points)
