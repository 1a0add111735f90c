"""What an initializer must return, said without JAX: the definitions the oracle and checks read.

A definition is data. From it follow the nominal moments, the structure, and which calls must fail.
Standard library only.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

Axes = int | tuple[int, ...]

TRUNCATED_STDDEV = 0.87962566103423978
"""Standard deviation of a standard normal truncated to (-2, 2); see `truncated_normal_moments`."""

COMPLEX_TRUNCATED_STDDEV = math.sqrt(1 - 4 * math.exp(-4) / -math.expm1(-4))
"""Root of E|z|^2 for a circular complex normal, E|z|^2 = 1, with |z| < 2: 0.96196182800820835.

JAX 0.12 divides by 0.95311164380491208, the root of 1 - 5 exp(-4). That is the second moment before
division by the mass 1 - exp(-4) within the bound, so its variance comes out 1.87 % too large.
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """Every element equals `value`, or `value` broadcast to the shape when it is a (nested) tuple.

    A nested tuple is an array, row by row, as `numpy.asarray` reads it.
    """

    value: complex | tuple[object, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Normal:
    """N(0, stddev^2), elementwise. Complex: circular, E|x|^2 = stddev^2."""

    stddev: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TruncatedNormal:
    """stddev times a standard normal conditioned on (lower, upper), elementwise; not rescaled."""

    stddev: float
    lower: float = -2.0
    upper: float = 2.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Uniform:
    """Uniform between 0 and scale, elementwise; scale may be negative."""

    scale: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VarianceScaling:
    """Mean 0 and variance scale / fan, elementwise.

    mode: fan_in, fan_out, fan_avg (arithmetic mean) or fan_geo_avg (geometric mean).
    distribution: `truncated_normal` (at 2 sigma, rescaled to keep the variance), `normal` or
    `uniform`. Source: LeCun et al. 1998, Glorot & Bengio 2010, He et al. 2015.
    """

    scale: float
    mode: str
    distribution: str
    in_axis: Axes = -2
    out_axis: Axes = -1
    batch_axis: Axes = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Orthogonal:
    """scale times a Haar-distributed matrix with orthonormal rows or columns (the smaller side).

    The matrix has prod(shape) / shape[column_axis] rows and shape[column_axis] columns.
    Source: Saxe et al. 2013; Mezzadri 2007 for the sign fix that makes QR Haar.
    """

    scale: float = 1.0
    column_axis: int = -1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DeltaOrthogonal:
    """Zero but for the spatial centre: `Orthogonal` of shape[-2:]. Source: Xiao et al. 2018."""

    scale: float = 1.0
    column_axis: int = -1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NominalMoments:
    """The law's own mean, variance and bounds, before any rounding. Units: of the array's elements.

    For complex dtypes the variance is E|x - mean|^2 and the bounds are of the modulus.
    """

    mean: complex
    variance: float
    lower: float
    upper: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A law that a user states by its moments only: elementwise, independent, no oracle."""

    moments: Callable[[tuple[int, ...]], NominalMoments]


Definition = (
    Constant
    | Normal
    | TruncatedNormal
    | Uniform
    | VarianceScaling
    | Orthogonal
    | DeltaOrthogonal
    | Declared
)


def fans(shape: Sequence[int], definition: VarianceScaling) -> tuple[float, float]:
    """Return (fan_in, fan_out): axis sizes times the receptive field.

    Axes that are neither in, out nor batch make up the receptive field of a convolution. Every
    dimension of size 0 makes both fans 0.

    Raises:
        IndexError: an axis lies outside the shape.
    """
    sizes = [
        math.prod(shape[axis] for axis in ((axes,) if isinstance(axes, int) else axes))
        for axes in (definition.in_axis, definition.out_axis, definition.batch_axis)
    ]
    denominator = math.prod(sizes)
    receptive_field = math.prod(shape) / denominator if denominator else 0.0
    return sizes[0] * receptive_field, sizes[1] * receptive_field


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
    return math.exp(-distance * (start + distance / 2))


def _farthest(start: float) -> float:
    """Return the distance from start >= 0 at which the density has fallen to exp(-50) of itself.

    What lies beyond is 1e-18 of the variance at most. It is -start + sqrt(start^2 + 100), without
    the cancellation.
    """
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
        place, rest = (
            1 / (1 + math.exp(sign * math.pi * math.sinh(number * step))) for sign in (-1, 1)
        )
        points.append((place, math.cosh(number * step) * place * rest))
    return tuple(points)


def nominal_moments(
    definition: Definition, shape: tuple[int, ...], *, is_complex: bool = False
) -> NominalMoments | None:
    """Return the moments of one element, or None where elements follow no common law.

    None for a constant array and for `DeltaOrthogonal`, whose structure check says more. For
    `Orthogonal` an entry of a Haar matrix has mean 0 and variance scale^2 / max(rows, columns).
    """
    match definition:
        case Declared():
            return definition.moments(shape)
        case Constant(value=tuple()) | DeltaOrthogonal():
            return None
        case Constant(value=value):
            assert isinstance(value, (int, float, complex))
            return NominalMoments(mean=value, variance=0.0, lower=abs(value), upper=abs(value))
        case Normal(stddev=stddev):
            return NominalMoments(mean=0, variance=stddev**2, lower=-math.inf, upper=math.inf)
        case TruncatedNormal(stddev=stddev, lower=lower, upper=upper):
            mean, variance = truncated_normal_moments(lower, upper)
            return NominalMoments(
                mean=stddev * mean,
                variance=stddev**2 * variance,
                lower=stddev * lower,
                upper=stddev * upper,
            )
        case Uniform(scale=scale):
            lower, upper = sorted((0.0, scale))
            return NominalMoments(mean=scale / 2, variance=scale**2 / 12, lower=lower, upper=upper)
        case VarianceScaling():
            return _variance_scaling_moments(definition, shape, is_complex=is_complex)
        case Orthogonal(scale=scale):
            longer, _ = tall_shape(shape, definition)
            variance = scale**2 / longer if longer else 0.0
            return NominalMoments(mean=0, variance=variance, lower=-scale, upper=scale)


def _variance_scaling_moments(
    definition: VarianceScaling, shape: tuple[int, ...], *, is_complex: bool
) -> NominalMoments:
    variance = scaled_variance(shape, definition)
    sigma = math.sqrt(variance)
    if definition.distribution == "normal":
        bound = math.inf
    elif definition.distribution == "uniform":
        # A disk of radius r has E|x|^2 = r^2 / 2; an interval (-b, b) has variance b^2 / 3.
        bound = sigma * math.sqrt(2 if is_complex else 3)
    else:
        bound = 2 * sigma / (COMPLEX_TRUNCATED_STDDEV if is_complex else TRUNCATED_STDDEV)
    return NominalMoments(
        mean=0, variance=variance, lower=0.0 if is_complex else -bound, upper=bound
    )


def tall_shape(shape: tuple[int, ...], definition: Orthogonal | DeltaOrthogonal) -> tuple[int, int]:
    """Return (rows, columns), rows >= columns, of the matrix of normals that is orthonormalised.

    A wide result is the transpose of a tall one. (0, 0) where the shape has no elements.
    """
    inner = shape[-2:] if isinstance(definition, DeltaOrthogonal) else shape
    columns = inner[definition.column_axis]
    rows = math.prod(inner) // columns if columns else 0
    return (max(rows, columns), min(rows, columns)) if rows else (0, 0)


def has_bounds(definition: Definition | None) -> bool:
    """Return whether the law is cut at bounds, of which a program takes erf."""
    match definition:
        case TruncatedNormal() | VarianceScaling(distribution="truncated_normal"):
            return True
        case _:
            return False


def expected_error(definition: Definition | None, shape: tuple[int, ...], dtype: str) -> str | None:
    """Return the name of the exception that the call must raise, or None if it must return.

    These are the documented refusals: too few dimensions for a fan, for an orthogonal matrix or for
    a delta-orthogonal kernel; complex dtypes where the law is real only.
    """
    is_complex = dtype.startswith("complex")
    match definition:
        case Constant(value=tuple() as value) if not _broadcasts(value, shape):
            return "ValueError"
        case TruncatedNormal() | Uniform() if is_complex:
            return "ValueError"
        case VarianceScaling(in_axis=-2) if len(shape) < 2:
            return "ValueError"
        case VarianceScaling():
            return _fan_error(definition, shape)
        case Orthogonal() if len(shape) < 2:
            return "ValueError"
        case DeltaOrthogonal() if not 3 <= len(shape) <= 5 or shape[-1] < shape[-2]:
            return "ValueError"
        case _:
            return None


def _fan_error(definition: VarianceScaling, shape: tuple[int, ...]) -> str | None:
    try:
        fans(shape, definition)
    except IndexError:
        return "IndexError"
    return None


def _broadcasts(value: tuple[object, ...], shape: tuple[int, ...]) -> bool:
    """Return whether an array of this nested tuple broadcasts to the shape, as NumPy has it."""
    sizes = []
    inner: object = value
    while isinstance(inner, tuple):
        sizes.append(len(inner))
        inner = inner[0] if inner else None
    if len(sizes) > len(shape):
        return False
    pairs = zip(reversed(sizes), reversed(shape), strict=False)
    return all(size in (1, wanted) for size, wanted in pairs)
