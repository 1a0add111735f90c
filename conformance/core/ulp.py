"""Distance in units in the last place, at the value and at a scale.

ULP at the value counts representable numbers between two elements: it is exact, and misleading near
zero, where an absolute error far below sigma spans thousands of tiny steps. ULP at sigma divides
the distance by the spacing at one standard deviation: what a user of the weights would notice.
Always show both.
"""

from __future__ import annotations

import functools
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from conformance.core.arrays import Array, widen

INCOMPARABLE = 2**64 - 1
"""Distance of two elements that no number of steps connects: one is NaN, or one is infinite."""


def real_parts(array: Array) -> Array:
    """Return complex elements as pairs of reals along a new last axis; real arrays unchanged."""
    if array.dtype.kind != "c":
        return array
    return np.stack([array.real, array.imag], axis=-1)


def ulp_distance(actual: Array, expected: Array) -> npt.NDArray[np.uint64]:
    """Count the representable values between each pair of elements.

    +0 and -0 are zero apart, and so are two NaNs and two equal infinities. Any other pair in which
    one side is not finite is INCOMPARABLE: the bit patterns of inf and of the largest finite number
    are neighbours, and a distance of 1 there would hide an overflow. Of a complex pair the larger
    distance of its two parts counts.

    Raises:
        ValueError: dtype or shape differ; distance between different formats means nothing.
    """
    if actual.dtype != expected.dtype or actual.shape != expected.shape:
        raise ValueError(
            f"ULP distance needs equal dtype and shape: got {actual.dtype}{list(actual.shape)} "
            f"and {expected.dtype}{list(expected.shape)}"
        )
    if actual.dtype.kind == "c":
        parts = ulp_distance(real_parts(actual), real_parts(expected))
        return parts.max(axis=-1)
    left, right = _ordinal(actual), _ordinal(expected)
    distance = np.asarray(np.maximum(left, right) - np.minimum(left, right))
    same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    comparable = np.isfinite(actual) & np.isfinite(expected)
    distance[~comparable] = INCOMPARABLE
    distance[same] = 0
    return distance


def _ordinal(array: Array) -> npt.NDArray[np.uint64]:
    """Return integers that sort, and step, as the floats do: `ordered`, but with one zero."""
    numbers = ordered(np.ascontiguousarray(array).reshape(array.shape)).astype(np.int64)
    # -0 is -1 there; as unsigned integers their differences cannot overflow.
    return (numbers + (numbers < 0)).view(np.uint64) ^ np.uint64(1 << 63)


@functools.lru_cache(maxsize=1024)
def spacing_at(scale: float, dtype: np.dtype[Any]) -> float:
    """Return the distance from |scale| up to the next representable value, as float64.

    Complex dtypes have the spacing of their parts. A scale of zero has the smallest subnormal;
    one too large for the dtype, or not finite, has the spacing of the largest finite value.
    """
    real = np.zeros((), dtype).real.dtype
    info: Any = ml_dtypes.finfo(real)  # type: ignore[no-untyped-call]  # ml_dtypes has no types
    scale = min(abs(scale), float(info.max)) if np.isfinite(scale) else float(info.max)
    exponent = max(np.frexp(scale)[1] - 1, info.minexp) if scale else info.minexp
    return float(np.ldexp(1.0, int(exponent) - info.nmant))


def unit_roundoff(dtype: np.dtype[Any]) -> float:
    """Return half the spacing at 1: the largest relative error of one rounding to nearest."""
    return spacing_at(1.0, dtype) / 2


def has_64_bits(dtype: np.dtype[Any]) -> bool:
    """Return whether a real, or a part, has as many bits as sums are taken in."""
    return unit_roundoff(dtype) == unit_roundoff(np.dtype(np.float64))


def ulp_at(actual: Array, expected: Array, scale: float) -> npt.NDArray[np.float64]:
    """Return |actual - expected| in units of the spacing at `scale` (usually sigma).

    Infinite where exactly one side is not finite or two infinities disagree; 0 where both are NaN.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.asarray(np.abs(widen(actual) - widen(expected)), np.float64)
        if not np.isfinite(distance.sum()):  # somewhere a side is not finite
            same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
            distance = np.where(same, 0.0, np.where(np.isnan(distance), np.inf, distance))
        # More than a float64 can count is infinitely many.
        return np.asarray(distance / spacing_at(scale, expected.dtype), dtype=np.float64)


def ordered(values: Array) -> Array:
    """Return integers that order floats of their size as numbers, -0 below +0 and NaN outermost."""
    if values.dtype.kind in "biu":
        return values
    bits = values.view(f"i{values.dtype.itemsize}")
    # Negative floats sort backwards as two's-complement integers; mirror them.
    return np.where(bits < 0, bits ^ np.iinfo(bits.dtype).max, bits)
