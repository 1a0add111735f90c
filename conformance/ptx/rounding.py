"""IEEE 754 operations on whole arrays, each rounded once, in binary16, bfloat16 and binary32.

float64 carries the exact result: the product of two such numbers fits in it, and a sum does as the
float64 sum and its error. Rounding that pair first to odd and then to the format is one rounding.
Source: Boldo & Melquiond, Emulation of FMA and Correctly Rounded Sums (2008), theorem 1; the error
of a sum is Knuth's, The Art of Computer Programming 2, section 4.2.2.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Wide = npt.NDArray[np.float64]

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
CANONICAL_NAN = {2: 0x7FFF, 4: 0x7FFFFFFF}
"""The NaN that instructions return, by size in bytes. PTX ISA 9.0, 9.7.3 and 9.7.4."""


def canonical(values: Array) -> Array:
    """Return the values with every NaN replaced by the one that the device returns."""
    is_nan = np.isnan(values)
    if not is_nan.any():
        return values
    size = values.dtype.itemsize
    bits = np.where(is_nan, np.array(CANONICAL_NAN[size], f"u{size}"), values.view(f"u{size}"))
    return np.asarray(bits, f"u{size}").view(values.dtype)


def nearest(high: Wide, low: Wide, dtype: np.dtype[Any]) -> Array:
    """Return high + low rounded to the format, to nearest, ties to even; |low| < 1 ULP of high."""
    with np.errstate(all="ignore"):
        odd = _to_odd(high, low, np.uint64)
        if dtype != BFLOAT16:
            return canonical(odd.astype(dtype))
        # ml_dtypes goes by way of float32, so that step must be to odd as well.
        single = odd.astype(np.float32)
        return canonical(_to_odd(single, odd - single, np.uint32).astype(dtype))


def towards_zero(high: Wide, low: Wide) -> npt.NDArray[np.float32]:
    """Return high + low cut to float32: the largest finite number where it is too large."""
    with np.errstate(all="ignore"):
        single = high.astype(np.float32)
        excess = (single - high) - low  # exact: single is within one ULP of high
        too_far = np.where(high > 0, excess > 0, excess < 0) & np.isfinite(high)
        pattern = single.view(np.uint32) - too_far.astype(np.uint32)
    return np.asarray(canonical(pattern.view(np.float32)))


def _to_odd(near: Array, error: Array, word: type[np.unsignedinteger[Any]]) -> Array:
    """Cut near + error to the format of `near`, and set the last bit where something was cut."""
    is_cut = (error != 0) & np.isfinite(near) & np.isfinite(error)
    is_beyond = is_cut & (np.signbit(error) != np.signbit(near))
    pattern = np.ascontiguousarray(near).view(word)
    pattern = (pattern - is_beyond.astype(word)) | is_cut.astype(word)
    return np.asarray(pattern.view(near.dtype))


def exact_sum(left: Wide, right: Wide) -> tuple[Wide, Wide]:
    """Return left + right as the float64 nearest to it and what that lacks."""
    with np.errstate(all="ignore"):
        total = left + right
        virtual = total - left
        return total, (left - (total - virtual)) + (right - virtual)


def add(left: Array, right: Array) -> Array:
    """Return the sum in the operands' format, rounded once."""
    return nearest(*exact_sum(_wide(left), _wide(right)), left.dtype)


def multiply(left: Array, right: Array) -> Array:
    """Return the product in the operands' format, rounded once."""
    with np.errstate(all="ignore"):
        product = _wide(left) * _wide(right)
    return nearest(product, np.zeros_like(product), left.dtype)


def multiply_add(left: Array, right: Array, addend: Array) -> Array:
    """Return left * right + addend in the operands' format, rounded once: fused."""
    with np.errstate(all="ignore"):
        product = _wide(left) * _wide(right)
    return nearest(*exact_sum(product, _wide(addend)), left.dtype)


def convert(values: Array, dtype: np.dtype[Any]) -> Array:
    """Return integers of 32 bits, or narrower floats, in the format, rounded once."""
    wide = _wide(values)
    return nearest(wide, np.zeros_like(wide), dtype)


def _wide(values: Array) -> Wide:
    with np.errstate(all="ignore"):
        return np.asarray(values.astype(np.float64))
