"""The normal law. Its quantile and XLA's erf_inv are hooks in the oracle."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

from conformance.core.formats import Format
from conformance.core.later import np
from conformance.core.laws.base import Law, NominalMoments, Reals, squared


def cumulative(unit: Reals) -> Reals:
    """Return the mass of a standard normal up to each number."""
    erfc = np.frompyfunc(math.erfc, 1, 1)
    return np.asarray(erfc(-unit / math.sqrt(2)) / 2, np.float64)


def log_density(unit: Reals) -> Reals:
    """Return the logarithm of the standard normal density."""
    return np.asarray(-(unit**2) / 2 - math.log(2 * math.pi) / 2)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Normal(Law):
    """N(0, stddev^2), elementwise. Complex: circular, E|x|^2 = stddev^2."""

    stddev: float

    family: ClassVar[str] = "normal"
    drawn_by: ClassVar[str] = "normal"
    factor_name: ClassVar[str] = "stddev"
    roundings: ClassVar[int] = 3  # of the uniform, erf_inv, and the product with sqrt(2)
    takes_complex: ClassVar[bool] = True

    @property
    def factor(self) -> float:
        """Return the standard deviation."""
        return self.stddev

    def times(self, factor: float) -> Normal:
        """Return the normal of another standard deviation."""
        return Normal(stddev=factor)

    def nominal(self, shape: tuple[int, ...], *, is_complex: bool) -> NominalMoments:
        """Return mean 0, and no bounds but that of a modulus.

        The square of a circular normal's modulus is exponential: its second moment is twice the
        square of its first.
        """
        del shape
        return NominalMoments(
            mean=0,
            variance=squared(self.stddev),
            lower=0.0 if is_complex else -math.inf,
            upper=math.inf,
            kurtosis=2.0 if is_complex else 3.0,
        )

    def cdf(self, unit: Reals) -> Reals:
        """Return the mass of a standard normal up to each number."""
        return cumulative(unit)

    def log_density(self, unit: Reals) -> Reals:
        """Return the logarithm of the standard normal density."""
        return log_density(unit)

    def uniform_range(self, number: Format) -> tuple[float, float]:
        """Return (nextafter(-1, 0), 1): half a cell off the end, lest erf_inv be infinite."""
        return -1.0 + 0.5 * number.cell, 1.0
