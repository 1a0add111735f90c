"""Whether a law suits what a parameter is used for: its variance times the true fan-in.

A kernel of variance s / fan_in keeps the variance of its inputs, times the gain s: 1 (LeCun et al.,
Efficient BackProp, 1998), 2 before a rectifier (He et al., Delving Deep into Rectifiers, 2015); 1/3
is the uniform of +-fan_in**-0.5 of PyTorch and Equinox. Glorot & Bengio (2010) take the mean of
both fans, that of outputs of each part alone where a kernel is fused, as of q, k and v, and He et
al. allow 2 / fan_out. Any other gain is told, and is a fault where reading the
axes in another way explains it. 1 / fan_out is such a fault: it is what swapped axes give.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from conformance.core.laws import TRUNCATED_STDDEV, Definition, TruncatedNormal
from conformance.models.names import UNIFORM, Reading, Scaled, is_same, readings, scaled_of
from conformance.models.notes import BILINEAR, FUSED, SUMMED, UNKNOWN_USE, Use

WRONG_FAN = "wrong fan"
"""How the fault begins that a wrong fan is."""

OTHER_MODES: Mapping[str, Callable[[Reading], float]] = {
    "2 / (fan_in + fan_out)": lambda reading: 2 / (reading.fan_in + reading.fan_out),
    "1 / fan_out": lambda reading: 1 / reading.fan_out,
    "2 / fan_out": lambda reading: 2 / reading.fan_out,
}
"""Variances that also depend on the axes that are read as those of outputs."""


def gain_of(variance: float, use: Use) -> float | None:
    """Return by what a use multiplies the variance of its inputs; None where nothing is summed."""
    if use.kind not in (*SUMMED, BILINEAR) or use.fan_in is None:
        return None
    return variance * use.factor**2 * use.fan_in


def fan_fault(
    definition: Definition | Scaled, shape: tuple[int, ...], dtype: str, uses: Sequence[Use]
) -> str:
    """Return what is wrong with the scale of a kernel; "" where nothing is, or nobody can say.

    shape: of the parameter. One use that the scale suits is enough: a table may serve two.
    """
    scaled = scaled_of(definition)
    summed = [use for use in uses if use.kind in SUMMED]
    if scaled is None or not summed or any(use.kind == UNKNOWN_USE for use in uses):
        return ""
    faults = [_fault(definition, scaled, shape, dtype, use) for use in _cut(summed, uses)]
    if "" in faults or suited_form(definition, shape, dtype, uses):
        return ""
    return faults[0]


def _cut(summed: Sequence[Use], uses: Sequence[Use]) -> list[Use]:
    """Return the uses, each for each way in which what comes out is cut, if they are equal parts.

    Of unequal parts no variance suits all, and that of the whole is as right as any.
    """
    parts = {use.outputs for use in uses if use.kind == FUSED}
    sizes = {math.prod(size for _, size in outputs) for outputs in parts}
    if len(sizes) != 1:
        return list(summed)
    return [dataclasses.replace(use, outputs=outputs) for use in summed for outputs in parts]


def suited_form(
    definition: Definition | Scaled | None, shape: tuple[int, ...], dtype: str, uses: Sequence[Use]
) -> Use | None:
    """Return the bilinear form that a scale suits which suits no simple sum; None if none."""
    scaled = scaled_of(definition)
    if scaled is None:
        return None
    suited = [
        use
        for use in uses
        if use.kind in (*SUMMED, BILINEAR)
        and _suits(scaled.variance * use.factor**2, scaled.distribution, shape, dtype, use)
    ]
    return suited[0] if suited and all(use.kind == BILINEAR for use in suited) else None


def _fault(
    definition: Definition | Scaled, scaled: Scaled, shape: tuple[int, ...], dtype: str, use: Use
) -> str:
    variance = scaled.variance * use.factor**2
    if variance == 0 or _suits(variance, scaled.distribution, shape, dtype, use):
        return ""
    whole = variance / TRUNCATED_STDDEV**2
    is_cut = isinstance(definition, TruncatedNormal)
    if is_cut and _suits(whole, scaled.distribution, shape, dtype, use):
        return (
            f"missing truncation correction: cut at 2 sigma, a variance of {whole:.4g} becomes "
            f"{variance:.4g}, and the gain {_gain(variance, use)}: divide the stddev by 0.8796"
        )
    return next(_explained(variance, scaled.distribution, shape, dtype, use), "")


def _gain(variance: float, use: Use) -> str:
    assert use.fan_in is not None
    return f"{variance * use.fan_in:.3g}"


def _scales(distribution: str) -> tuple[float, ...]:
    return (1.0, 2.0, 1 / 3) if distribution == UNIFORM else (1.0, 2.0)


def _suits(
    variance: float, distribution: str, shape: tuple[int, ...], dtype: str, use: Use
) -> bool:
    """Return whether an initializer that reads the axes as they are used has this variance."""
    assert use.fan_in is not None
    right = [scale / use.fan_in for scale in _scales(distribution) if use.fan_in]
    for reading in readings(shape):
        if _is_so(reading, use, shape) and reading.fan_in == use.fan_in and reading.fan_out:
            right.append(2 / (reading.fan_in + reading.fan_out / _n_parts(reading, use, shape)))
            right.append(2 / reading.fan_out)
            right.append(1 / math.sqrt(reading.fan_in * reading.fan_out))
    return any(is_same(variance, each, dtype) for each in right)


def _n_parts(reading: Reading, use: Use, shape: tuple[int, ...]) -> float:
    """Return into how many parts the outputs of a reading are cut, each of which is a layer."""
    left = dict(use.outputs)
    outs = [axis for axis, role in enumerate(reading.roles) if role == "out"]
    return math.prod(shape[axis] / left.get(axis, 1) for axis in outs) if left else 1.0


def _is_so(reading: Reading, use: Use, shape: tuple[int, ...]) -> bool:
    """Return whether axes are read as they are used: those of size 1 say nothing.

    An axis along which there is a kernel for each is one of a batch, and of no outputs.
    """
    for axis, (role, size) in enumerate(zip(reading.roles, shape, strict=True)):
        used = "field" if axis in use.field else "in" if axis in use.axes else role
        if size > 1 and (role != used or (axis not in use.axes and role in ("in", "field"))):
            return False
        if size > 1 and role == "out" and axis in use.repeated:
            return False
    return True


def _counted(reading: Reading, shape: tuple[int, ...]) -> frozenset[int]:
    """Return the axes that make up a reading's fan_in."""
    axes = (axis for axis, role in enumerate(reading.roles) if role in ("in", "field"))
    return _sizeable(axes, shape)


def _sizeable(axes: Sequence[int] | Iterator[int], shape: tuple[int, ...]) -> frozenset[int]:
    return frozenset(axis for axis in axes if shape[axis] > 1)


def _explained(
    variance: float, distribution: str, shape: tuple[int, ...], dtype: str, use: Use
) -> Iterator[str]:
    """Yield what wrong fans explain a variance, the likeliest first."""
    assert use.fan_in is not None
    told = f"{WRONG_FAN}: gain {_gain(variance, use)}"
    true = _sizeable(use.axes, shape)
    near = sorted(readings(shape), key=lambda each: len(_counted(each, shape) ^ true))
    for scale in _scales(distribution):
        for reading in near:
            if reading.fan_in and is_same(variance, scale / reading.fan_in, dtype):
                read = _difference(_counted(reading, shape), true)
                yield f"{told}: as if fan-in were {reading.fan_in:g}, not {use.fan_in:g}: {read}"
    for name, of in OTHER_MODES.items():
        for reading in near:
            if reading.fan_in and reading.fan_out and is_same(variance, of(reading), dtype):
                n_parts = _n_parts(reading, use, shape)
                cut = f", and its outputs are cut into {n_parts:g} parts" if n_parts != 1 else ""
                yield (
                    f"{told}: its variance is that of {name} with fans {reading.fan_in:g} and "
                    f"{reading.fan_out:g}; fan-in is {use.fan_in:g}{cut}"
                )


def _difference(counted: frozenset[int], true: frozenset[int]) -> str:
    more, less = sorted(counted - true), sorted(true - counted)
    told = []
    if more:
        told.append(f"{_axes(more)} counted")
    if less:
        told.append(f"{_axes(less)} left out")
    return ", ".join(told) or "the zeros between strides are counted"


def _axes(axes: Sequence[int]) -> str:
    return ("axis " if len(axes) == 1 else "axes ") + ", ".join(map(str, axes))
