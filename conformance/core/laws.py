"""The laws of built-in initializers: what sampler draws each, and how often it rounds."""

from __future__ import annotations

import dataclasses
import enum
import math

from conformance.core.definition import (
    COMPLEX_TRUNCATED_STDDEV,
    TRUNCATED_STDDEV,
    Definition,
    DeltaOrthogonal,
    Normal,
    Orthogonal,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
    scaled_variance,
    tall_shape,
)

COMPLEX_TRUNCATION = 2.0
"""Bound on the modulus of the complex truncated normal of variance scaling."""


class Kind(enum.Enum):
    """Which function of the random words the unit variate is."""

    UNIFORM = "uniform"
    NORMAL = "normal"
    TRUNCATED_NORMAL = "truncated normal"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """`scale` times a unit variate: uniform on [lower, upper), normal, or a truncated normal."""

    kind: Kind
    scale: float
    lower: float = -math.inf
    upper: float = math.inf


def law_of(
    definition: Definition, shape: tuple[int, ...], *, is_complex: bool = False
) -> Law | None:
    """Return the law of one element, or None where elements are not drawn one by one."""
    match definition:
        case Normal(stddev=stddev):
            return Law(kind=Kind.NORMAL, scale=stddev)
        case TruncatedNormal(stddev=stddev, lower=lower, upper=upper):
            return Law(kind=Kind.TRUNCATED_NORMAL, scale=stddev, lower=lower, upper=upper)
        case Uniform(scale=scale):
            return Law(kind=Kind.UNIFORM, scale=scale, lower=0.0, upper=1.0)
        case VarianceScaling():
            return _scaled_law(definition, shape, is_complex=is_complex)
        case _:
            return None


def _scaled_law(definition: VarianceScaling, shape: tuple[int, ...], *, is_complex: bool) -> Law:
    """Return the law whose variance is scale / fan; a complex variate has unit E|z|^2 already."""
    variance = scaled_variance(shape, definition)
    stddev = math.sqrt(variance) if variance >= 0 else math.nan
    match definition.distribution:
        case "normal":
            return Law(kind=Kind.NORMAL, scale=stddev)
        case "uniform":
            width = 1.0 if is_complex else math.sqrt(3)
            return Law(kind=Kind.UNIFORM, scale=width * stddev, lower=-1.0, upper=1.0)
        case _:
            shrink = COMPLEX_TRUNCATED_STDDEV if is_complex else TRUNCATED_STDDEV
            return Law(
                kind=Kind.TRUNCATED_NORMAL,
                scale=stddev / shrink,
                lower=-COMPLEX_TRUNCATION,
                upper=COMPLEX_TRUNCATION,
            )


ELEMENTWISE = (Normal, TruncatedNormal, Uniform, VarianceScaling)
"""Definitions whose every element is a function of one random word."""

UNIT_ROUNDINGS = {Kind.UNIFORM: 1, Kind.NORMAL: 3, Kind.TRUNCATED_NORMAL: 3}
"""Roundings up to the unit variate: of the uniform, erf_inv, and the product with sqrt(2)."""

SCALING_ROUNDINGS = {"uniform": 3, "normal": 2, "truncated_normal": 4}
"""Roundings of variance scaling's factor: of the variance; three times it; its root; the truncation
constant; the quotient. Any other factor is a constant, rounded once."""


def roundings_of_scale(definition: Definition) -> int:
    """Return how many roundings the last factor goes through."""
    if isinstance(definition, VarianceScaling):
        return SCALING_ROUNDINGS[definition.distribution]
    return 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """Which function of `jax.random` draws the unit variate, in which shape, between which bounds.

    kind: the function's name: `normal`, `truncated_normal` or `uniform`.
    """

    kind: str
    shape: tuple[int, ...]
    lower: float = -math.inf
    upper: float = math.inf


def sampler_of(definition: Definition | None, shape: tuple[int, ...]) -> Sampler | None:
    """Return how the elements are drawn; None where nothing is drawn or nobody knows how."""
    match definition:
        case Normal() | VarianceScaling(distribution="normal"):
            return Sampler(kind="normal", shape=shape)
        case TruncatedNormal(lower=lower, upper=upper):
            return Sampler(kind="truncated_normal", shape=shape, lower=lower, upper=upper)
        case VarianceScaling(distribution="truncated_normal"):
            return Sampler(kind="truncated_normal", shape=shape, lower=-2.0, upper=2.0)
        case Uniform():
            return Sampler(kind="uniform", shape=shape, lower=0.0, upper=1.0)
        case VarianceScaling():
            return Sampler(kind="uniform", shape=shape, lower=-1.0, upper=1.0)
        case Orthogonal() | DeltaOrthogonal():
            return Sampler(kind="normal", shape=tall_shape(shape, definition))
        case _:
            return None
