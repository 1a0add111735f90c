"""The uniform law: the one whose every step is exact but the last product."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from conformance.core.formats import Format
from conformance.core.later import np
from conformance.core.laws.base import Law, NominalMoments, Reals, squared


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Uniform(Law):
    """scale times a uniform on [lower, upper), elementwise; scale may be negative."""

    scale: float
    lower: float = 0.0
    upper: float = 1.0

    family: ClassVar[str] = "uniform"
    drawn_by: ClassVar[str] = "uniform"
    roundings: ClassVar[int] = 1

    @property
    def factor(self) -> float:
        """Return the scale."""
        return self.scale

    @property
    def support(self) -> tuple[float, float]:
        """Return the bounds before scaling."""
        return self.lower, self.upper

    @property
    def call(self) -> str:
        """Return the scale, or the bounds of what does not begin at 0."""
        if not self.lower:
            return super(Uniform, self).call
        return f"uniform({self.scale * self.lower:.4g}, {self.scale * self.upper:.4g})"

    def times(self, factor: float) -> Uniform:
        """Return the uniform between the same bounds under another scale."""
        return Uniform(scale=factor, lower=self.lower, upper=self.upper)

    def nominal(self, shape: tuple[int, ...], *, is_complex: bool) -> NominalMoments:
        """Return the middle, and a twelfth of the width squared."""
        del shape, is_complex
        bounds = (self.scale * self.lower, self.scale * self.upper)
        lower, upper = sorted(bound + 0.0 for bound in bounds)  # no bound is -0
        return NominalMoments(
            mean=(lower + upper) / 2,
            variance=squared(upper - lower) / 12,
            lower=lower,
            upper=upper,
        )

    def cdf(self, unit: Reals) -> Reals:
        """Return how far between the bounds each number lies."""
        return np.asarray(np.clip((unit - self.lower) / (self.upper - self.lower), 0, 1))

    def log_density(self, unit: Reals) -> Reals:
        """Return minus the logarithm of the width."""
        return np.full_like(unit, -np.log(self.upper - self.lower))

    def quantile(self, fraction: Reals, number: Format) -> Reals:
        """Return the uniform itself, exactly."""
        del number
        return np.asarray(self.lower + (self.upper - self.lower) * fraction)

    def followed(self, uniform: Reals, rounded: Any) -> Reals:
        """Return the uniform as it was drawn."""
        del rounded
        return uniform
