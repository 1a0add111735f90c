"""Which initializers of a library have just this law: the support and the scale agree.

What a law cannot tell apart is named side by side: of a square kernel, lecun and glorot.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator, Sequence

from conformance.core.arrays import as_dtype
from conformance.core.laws import (
    COMPLEX_TRUNCATED_STDDEV,
    TRUNCATED_STDDEV,
    Axes,
    Definition,
    Normal,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
    fans,
    nominal_moments,
)
from conformance.core.ulp import unit_roundoff

NORMAL, TRUNCATED, UNIFORM = "normal", "truncated_normal", "uniform"

FAMILIES = (
    ("lecun_{}", 1.0, "fan_in"),
    ("he_{}", 2.0, "fan_in"),
    ("glorot_{}", 1.0, "fan_avg"),
    ("he_{} by fan_out", 2.0, "fan_out"),
)
"""Name, scale and mode of the scalings that have a name in `jax.nn.initializers` or in a paper."""

SUFFIXES = {
    TRUNCATED: "normal",  # what JAX calls so is cut at 2 sigma
    NORMAL: "normal (not truncated)",
    UNIFORM: "uniform",
}

COMPLEX_EXCESS = COMPLEX_TRUNCATED_STDDEV**2 / (1 - 5 * math.exp(-4))
"""By what the variance of JAX's complex truncated normals is larger than the definition: what is
named is what JAX draws, see `COMPLEX_TRUNCATED_STDDEV`."""

MOST_ROLES = 4**6
"""Ways to read the axes of a kernel that are tried."""


@dataclasses.dataclass(frozen=True, slots=True)
class Scaled:
    """A law as a variance scaling would draw it: a distribution and a variance.

    corrected: False where a normal cut at 2 sigma was not divided by its stddev, 0.8796.
    is_complex: it is that of complex numbers, |z|^2 on average being the variance.
    """

    distribution: str
    variance: float
    corrected: bool = True
    is_complex: bool = False


def scaled_of(definition: Definition | Scaled | None) -> Scaled | None:
    """Return the law as one of variance scaling; None where no variance scaling draws it."""
    match definition:
        case Scaled():
            return definition
        case Normal(stddev=stddev):
            return Scaled(NORMAL, stddev**2)
        case TruncatedNormal(stddev=stddev, lower=-2.0, upper=2.0):
            return Scaled(TRUNCATED, (stddev * TRUNCATED_STDDEV) ** 2)
        case Uniform(scale=scale, lower=-1.0, upper=1.0):
            return Scaled(UNIFORM, scale**2 / 3)
        case _:
            return None


def accuracy(dtype: str) -> float:
    """Return by what part a variance may differ: the factor is rounded five times on its way.

    Rounded are the variance, its root, the constant of truncation, the quotient, and the product
    with sqrt(2), each to half an ULP; a variance moves twice as much.
    """
    return 2 * 5 * unit_roundoff(as_dtype(dtype))


def is_same(variance: float, other: float, dtype: str) -> bool:
    """Return whether two variances are one to the roundings of the dtype."""
    return other > 0 and abs(variance / other - 1) <= accuracy(dtype)


def library_names(
    definition: Definition | Scaled, shape: tuple[int, ...], dtype: str
) -> tuple[str, ...]:
    """Return the names of all initializers that draw just this law in the shape.

    shape: in which the key draws, before the layer reshapes it.
    """
    scaled = scaled_of(definition)
    if scaled is None or len(shape) < 2 or math.prod(shape) == 0:
        return ()
    asked = {name: _asked(scale, mode, scaled) for name, scale, mode in _named(scaled)}
    if scaled.distribution == NORMAL and len(shape) == 2:
        asked["embedding"] = _asked(1.0, "fan_in", scaled, out_axis=0)
    return tuple(name for name, each in asked.items() if _has(each, scaled, shape, dtype))


def names_by_axes(
    definition: Definition | Scaled,
    shape: tuple[int, ...],
    dtype: str,
    axes: Sequence[int],
    field: Sequence[int] = (),
    known: Sequence[str] = (),
) -> tuple[str, ...]:
    """Return the names, with their axes, of initializers that sum over the axes of the shape.

    field: of these the receptive field. known: names of initializers that draw the law without
    being told axes: they are left out. Of each other one the reading with the fewest axes of a
    batch is named.
    """
    scaled = scaled_of(definition)
    if scaled is None or math.prod(shape) == 0:
        return ()
    found: dict[str, str] = {}
    roles = [
        ("field",) if axis in field else ("in",) if axis in axes else ("out", "batch")
        for axis in range(len(shape))
    ]
    fitting = [
        reading
        for reading in readings(shape)
        if all(role in possible for role, possible in zip(reading.roles, roles, strict=True))
    ]
    for reading in sorted(fitting, key=lambda each: each.roles.count("batch")):
        for name, scale, mode in _named(scaled):
            each = _asked(scale, mode, scaled, **reading.axes)
            if name not in found and name not in known and _has(each, scaled, shape, dtype):
                told = (f"{key}={_axes(value)}" for key, value in reading.axes.items() if value)
                found[name] = f"{name} with {', '.join(told)}"
    return tuple(found.values())


def _axes(axes: tuple[int, ...]) -> str:
    return str(axes[0]) if len(axes) == 1 else str(axes)


def _named(scaled: Scaled) -> Iterator[tuple[str, float, str]]:
    """Yield name, scale and mode of the scalings of a distribution that have a name."""
    suffix = SUFFIXES[scaled.distribution]
    for base, scale, mode in FAMILIES:
        yield base.format(suffix), scale, mode
    if scaled.distribution == UNIFORM:
        yield "uniform of +-fan_in**-0.5 (PyTorch)", 1 / 3, "fan_in"


def _asked(
    scale: float,
    mode: str,
    scaled: Scaled,
    *,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
) -> VarianceScaling:
    return VarianceScaling(
        scale=scale,
        mode=mode,
        distribution=scaled.distribution,
        in_axis=in_axis,
        out_axis=out_axis,
        batch_axis=batch_axis,
    )


def _has(asked: VarianceScaling, scaled: Scaled, shape: tuple[int, ...], dtype: str) -> bool:
    moments = nominal_moments(asked, shape)
    if moments is None:
        return False
    is_wide = scaled.is_complex and scaled.distribution == TRUNCATED
    drawn = moments.variance * (COMPLEX_EXCESS if is_wide else 1.0)
    return is_same(scaled.variance, drawn, dtype)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One way to read the axes of a kernel, with the fans that JAX computes of it.

    roles: of each axis: in, out, batch, or receptive field.
    """

    roles: tuple[str, ...]
    fan_in: float
    fan_out: float

    @property
    def axes(self) -> dict[str, tuple[int, ...]]:
        """Return the arguments of an initializer that reads the axes so."""
        return {
            f"{role}_axis": tuple(axis for axis, each in enumerate(self.roles) if each == role)
            for role in ("in", "out", "batch")
        }


@functools.lru_cache(maxsize=4096)
def readings(shape: tuple[int, ...]) -> tuple[Reading, ...]:
    """Return every way to read the axes that names an axis in and one out."""
    if 4 ** len(shape) > MOST_ROLES:
        return ()
    found = []
    for roles in itertools.product(("in", "out", "field", "batch"), repeat=len(shape)):
        axes = {
            role: tuple(axis for axis, each in enumerate(roles) if each == role)
            for role in ("in", "out", "batch")
        }
        if not axes["in"] or not axes["out"]:
            continue
        asked = VarianceScaling(
            scale=1.0,
            mode="fan_in",
            distribution=NORMAL,
            in_axis=axes["in"],
            out_axis=axes["out"],
            batch_axis=axes["batch"],
        )
        fan_in, fan_out = fans(shape, asked)
        found.append(Reading(roles=roles, fan_in=fan_in, fan_out=fan_out))
    return tuple(found)
