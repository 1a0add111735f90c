"""Variance scaling: a law whose factor follows from the fans of the shape."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from conformance.core.errors import unknown
from conformance.core.laws.base import (
    Definition,
    Law,
    NominalMoments,
    Sampler,
    unfit_number,
)
from conformance.core.laws.normal import Normal
from conformance.core.laws.truncated_normal import TRUNCATED_STDDEV, TruncatedNormal
from conformance.core.laws.uniform import Uniform
from conformance.core.laws.ways import Rounded, Rounds

Axes = int | tuple[int, ...]

Fans = Callable[[tuple[int, ...]], tuple[float, float]]
"""(fan_in, fan_out) of a shape."""

# |z|^2 is exponential with mean 1; cut at t it has the mean 1 - t exp(-t) / (1 - exp(-t)).
COMPLEX_TRUNCATED_STDDEV = math.sqrt(1 - 4 * math.exp(-4) / -math.expm1(-4))
"""Root of E|z|^2 for a circular complex normal, E|z|^2 = 1, with |z| < 2: 0.96196182800820835.

JAX 0.12 divides by 0.95311164380491208, the root of 1 - 5 exp(-4). That is the second moment before
division by the mass 1 - exp(-4) within the bound, so its variance comes out 1.87 % too large.
"""

UNITS: Mapping[str, Law] = {
    "truncated_normal": TruncatedNormal(stddev=1.0),
    "normal": Normal(stddev=1.0),
    "uniform": Uniform(scale=1.0, lower=-1.0),
}
"""The unit variate of each distribution."""

MODES = ("fan_in", "fan_out", "fan_avg", "fan_geo_avg")

ROUNDINGS = {"uniform": 3, "normal": 2, "truncated_normal": 4}
"""Of the factor: of the variance; three times it; its root; the truncation constant; the quotient.
"""


def _one(definition: Definition, shape: tuple[int, ...], rounded: Rounded) -> float:
    """Return the factor of what is drawn as it is."""
    del definition, shape, rounded
    return 1.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VarianceScaling(Definition):
    """Mean 0 and variance scale / fan, elementwise.

    mode: fan_in, fan_out, fan_avg (arithmetic mean) or fan_geo_avg (geometric mean).
    distribution: `truncated_normal` (at 2 sigma, rescaled to keep the variance), `normal` or
    `uniform`. Source: LeCun et al. 1998, Glorot & Bengio 2010, He et al. 2015.
    fans_by: another rule than that of `jax.nn.initializers`, such as `keras_fans`. It has fans for
    every shape, or `refusals` says for which it has none.
    """

    scale: float
    mode: str
    distribution: str
    in_axis: Axes = -2
    out_axis: Axes = -1
    batch_axis: Axes = ()
    fans_by: Fans | None = dataclasses.field(default=None, repr=False)

    family: ClassVar[str] = "variance_scaling"

    @property
    def fault(self) -> str:
        """Return what is wrong with scale, mode or distribution."""
        if fault := unfit_number("scale", self.scale):
            return fault
        if self.scale < 0:
            return f"scale={self.scale!r} makes a negative variance: write 0 or more"
        if self.mode not in MODES:
            return unknown("mode", self.mode, MODES)
        if self.distribution not in UNITS:
            return unknown("distribution", self.distribution, UNITS)
        if not (self.fans_by is None or callable(self.fans_by)):
            return f"fans_by={self.fans_by!r} is no function: write one from a shape to two fans"
        return ""

    @property
    def scale_roundings(self) -> int:
        """Return the roundings of the variance and of what is made of it."""
        return ROUNDINGS[self.distribution]

    @property
    def unit(self) -> Law:
        """Return the law that the distribution names, whatever the fans."""
        return UNITS[self.distribution]

    def law(self, shape: tuple[int, ...], *, is_complex: bool) -> Law:
        """Return the law whose variance is scale / fan.

        A complex variate has unit E|z|^2 already; its bounds are of the modulus.
        """
        variance = scaled_variance(shape, self)
        stddev = math.sqrt(variance) if variance >= 0 else math.nan
        match self.distribution:
            case "normal":
                return self.unit.times(stddev)
            case "uniform":
                # The interval (-b, b) has the variance b^2 / 3.
                return self.unit.times(stddev if is_complex else math.sqrt(3) * stddev)
            case _:
                shrink = COMPLEX_TRUNCATED_STDDEV if is_complex else TRUNCATED_STDDEV
                return self.unit.times(stddev / shrink)

    def nominal(self, shape: tuple[int, ...], *, is_complex: bool) -> NominalMoments:
        """Return mean 0, variance scale / fan, and where the draws end."""
        variance = scaled_variance(shape, self)
        sigma = math.sqrt(variance)
        if self.distribution == "normal":
            return Normal(stddev=sigma).nominal(shape, is_complex=is_complex)
        if self.distribution == "uniform":
            # A disk of radius r has E|x|^2 = r^2 / 2; an interval (-b, b) has variance b^2 / 3.
            bound = sigma * math.sqrt(2 if is_complex else 3)
        else:
            bound = 2 * sigma / (COMPLEX_TRUNCATED_STDDEV if is_complex else TRUNCATED_STDDEV)
        lower = 0.0 if is_complex else -bound
        return NominalMoments(mean=0, variance=variance, lower=lower, upper=bound)

    def refusal(self, shape: tuple[int, ...], *, is_complex: bool) -> str | None:
        """Return what too few dimensions for a fan must raise."""
        del is_complex
        if self.fans_by is not None:
            return None
        if self.in_axis == -2 and len(shape) < 2:
            return "ValueError"
        try:
            fans(shape, self)
        except IndexError:
            return "IndexError"
        return None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ScaledBounds(VarianceScaling):
    """The uniform law of that variance, drawn between its two bounds instead of scaled.

    As in `jax.random.uniform(key, shape, dtype, -bound, bound)`. Each bound is rounded.
    """

    distribution: str = "uniform"
    rounds: Rounds = dataclasses.field(default=Rounds(factor=_one), repr=False)

    @property
    def fault(self) -> str:
        """Return that the distribution is another, where it is."""
        if self.distribution != "uniform":
            return f"distribution={self.distribution!r} is not drawn between bounds: leave it out"
        return super(ScaledBounds, self).fault

    def law(self, shape: tuple[int, ...], *, is_complex: bool) -> Law:
        """Return the uniform between the bounds."""
        bound = super(ScaledBounds, self).law(shape, is_complex=is_complex).factor
        return Uniform(scale=1.0, lower=-bound, upper=bound)

    def sampler(self, shape: tuple[int, ...]) -> Sampler:
        """Return the sampler with the bounds of the shape."""
        return self._sampler_of(self.law(shape, is_complex=False), shape)


def fans(shape: Sequence[int], definition: VarianceScaling) -> tuple[float, float]:
    """Return (fan_in, fan_out): axis sizes times the receptive field, or by the definition's rule.

    Axes that are neither in, out nor batch make up the receptive field of a convolution. Every
    dimension of size 0 makes both fans 0.

    Raises:
        IndexError: an axis lies outside the shape.
    """
    if definition.fans_by is not None:
        return definition.fans_by(tuple(shape))
    sizes = [
        math.prod(shape[axis] for axis in ((axes,) if isinstance(axes, int) else axes))
        for axes in (definition.in_axis, definition.out_axis, definition.batch_axis)
    ]
    denominator = math.prod(sizes)
    receptive_field = math.prod(shape) / denominator if denominator else 0.0
    return sizes[0] * receptive_field, sizes[1] * receptive_field


def keras_fans(shape: tuple[int, ...]) -> tuple[float, float]:
    """Return the fans of Keras and Haiku: scalars and vectors have some, and none is less than 1.

    Source: `keras.src.initializers.random_initializers.compute_fans`, whose callers take
    max(1, fan); Haiku's `_compute_fans` is the same.
    """
    if len(shape) < 2:
        fan_in = fan_out = math.prod(shape)
    else:
        receptive_field = math.prod(shape[:-2])
        fan_in, fan_out = (size * receptive_field for size in shape[-2:])
    return max(1, fan_in), max(1, fan_out)


def scaled_variance(shape: Sequence[int], definition: VarianceScaling) -> float:
    """Return scale / fan for the definition's mode; 0 where the fan is 0."""
    fan_in, fan_out = fans(shape, definition)
    fan = {
        "fan_in": fan_in,
        "fan_out": fan_out,
        "fan_avg": (fan_in + fan_out) / 2,
        "fan_geo_avg": math.sqrt(fan_in * fan_out),
    }[definition.mode]
    return definition.scale / fan if fan else 0.0
