"""The logistic law."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

from conformance.core.formats import Format
from conformance.core.later import np
from conformance.core.laws.base import Law, NominalMoments, Reals, squared


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Logistic(Law):
    """scale times a standard logistic, elementwise: P(X <= x) = 1 / (1 + exp(-x))."""

    scale: float

    drawn_by: ClassVar[str] = "logistic"
    roundings: ClassVar[int] = 4  # of the uniform, two logarithms, and their difference

    @property
    def factor(self) -> float:
        """Return the scale."""
        return self.scale

    def times(self, factor: float) -> Logistic:
        """Return the logistic of another scale."""
        return Logistic(scale=factor)

    def nominal(self, shape: tuple[int, ...], *, is_complex: bool) -> NominalMoments:
        """Return mean 0 and variance pi^2 / 3; the kurtosis is 21 / 5.

        Source: Johnson, Kotz & Balakrishnan, Continuous Univariate Distributions 2, chapter 23.
        """
        del shape, is_complex
        variance = squared(math.pi * self.scale) / 3
        return NominalMoments(
            mean=0, variance=variance, lower=-math.inf, upper=math.inf, kurtosis=4.2
        )

    def cdf(self, unit: Reals) -> Reals:
        """Return the logistic function, by the hyperbolic tangent, which cannot overflow."""
        return np.asarray((1 + np.tanh(unit / 2)) / 2)

    def log_density(self, unit: Reals) -> Reals:
        """Return -x - 2 log(1 + exp(-x)), of |x|: the density is even."""
        size = np.abs(unit)
        return np.asarray(-size - 2 * np.log1p(np.exp(-size)))

    def uniform_range(self, number: Format) -> tuple[float, float]:
        """Return (smallest normal number, 1): off 0, whose logarithm is infinite."""
        return number.smallest_normal, 1.0

    def quantile(self, fraction: Reals, number: Format) -> Reals:
        """Return log(p) - log(1 - p), `fraction` of the way through the range of the draws.

        That difference cancels around the median. With q the less of p and 1 - p it is
        log((1 - q) / q) = log1p((1 - 2 q) / q) on the one side, and its negative on the other.
        """
        lower, upper = self.uniform_range(number)
        p = lower + (upper - lower) * fraction
        off_median = 2 * p - 1
        return np.copysign(np.log1p(np.abs(off_median) / np.minimum(p, 1 - p)), off_median)

    def followed(self, uniform: Reals, rounded: Any) -> Reals:
        """Return the rounded difference of the rounded logarithms."""
        difference = rounded(np.log(uniform)) - rounded(np.log1p(-uniform))
        return np.asarray(rounded(difference))
