"""IEEE 754 operations on whole arrays, each rounded once, in the formats of 16, 32 and 64 bits.

For the narrower formats float64 carries the exact result: the product of two such numbers fits in
it, and a sum does as the float64 sum and its error. Rounding that pair first to odd and then to the
format is one rounding. In float32 and float64 NumPy rounds sums and products itself; only the fused
product and sum has to be made of several. Source: Boldo & Melquiond, Emulation of FMA and Correctly
Rounded Sums (2008), theorem 1 and algorithm Fma; the error of a sum is Knuth's, The Art of Computer
Programming 2, section 4.2.2, that of a product Dekker's (1971).
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Wide = npt.NDArray[np.float64]

BFLOAT16, FLOAT32, FLOAT64 = map(np.dtype, (ml_dtypes.bfloat16, np.float32, np.float64))
NATIVE = (FLOAT32, FLOAT64)
"""Formats in which NumPy rounds sums and products once."""

CUT_BITS, HALFWAY, LEAST_NORMAL = np.uint64((1 << 29) - 1), np.uint64(1 << 28), 2.0**-126
"""The bits that a float64 has beyond float32, what they are halfway, and where it is normal."""

CANONICAL_NAN = {2: 0x7FFF, 4: 0x7FFFFFFF}
"""The NaN that instructions return, by size in bytes. PTX ISA 9.0, 9.7.3 and 9.7.4. In float64 they
keep a payload, as NumPy does."""

SPLITTER = 2.0**27 + 1
"""Dekker's: splits 53 bits into two halves of which all products are exact."""

LARGEST_EXPONENT = 400
"""Magnitudes within 2^-400 and 2^400 have products, and errors of these, that are normal."""


def canonical(values: Array) -> Array:
    """Return the values with every NaN replaced by the one that the device returns."""
    size = values.dtype.itemsize
    is_nan = np.isnan(values)
    if size not in CANONICAL_NAN or not is_nan.any():
        return values
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


def exact_product(left: Wide, right: Wide) -> tuple[Wide, Wide]:
    """Return left * right as the nearest float64 and what that lacks; see LARGEST_EXPONENT."""
    product = left * right
    one, two = (_halves(side) for side in (left, right))
    lack = ((one[0] * two[0] - product) + one[0] * two[1] + one[1] * two[0]) + one[1] * two[1]
    return product, lack


def _halves(values: Wide) -> tuple[Wide, Wide]:
    scaled = values * SPLITTER
    high = scaled - (scaled - values)
    return high, values - high


def add(left: Array, right: Array) -> Array:
    """Return the sum in the operands' format, rounded once."""
    if left.dtype in NATIVE:
        with np.errstate(all="ignore"):
            return canonical(np.asarray(left + right))
    return nearest(*exact_sum(_wide(left), _wide(right)), left.dtype)


def multiply(left: Array, right: Array) -> Array:
    """Return the product in the operands' format, rounded once."""
    if left.dtype in NATIVE:
        with np.errstate(all="ignore"):
            return canonical(np.asarray(left * right))
    product = _wide(left) * _wide(right)
    return nearest(product, np.zeros_like(product), left.dtype)


def multiply_add(left: Array, right: Array, addend: Array) -> Array:
    """Return left * right + addend in the operands' format, rounded once: fused."""
    if left.dtype == FLOAT64:
        return _fused(left, right, addend)
    with np.errstate(all="ignore"):
        product, wide = _wide(left) * _wide(right), _wide(addend)
        if left.dtype == FLOAT32 and not _rounds_twice(total := product + wide):
            return canonical(total.astype(FLOAT32))
    return nearest(*exact_sum(product, wide), left.dtype)


def _rounds_twice(sums: Wide) -> bool:
    """Return whether any of these rounded sums, rounded to float32, may not be the exact sum's.

    It does only halfway between two float32 numbers: the exact sum is on the same side of any other
    float64 as the sum that was rounded. Below the least normal number halfway is elsewhere.
    """
    is_halfway = (sums.view(np.uint64) & CUT_BITS) == HALFWAY
    is_tiny = np.abs(sums) < LEAST_NORMAL
    return bool(is_halfway.any()) or bool((is_tiny & (sums != 0)).any())


def _fused(left: Wide, right: Wide, addend: Wide) -> Wide:
    """Return left * right + addend, in float64."""
    operands = (left, right, addend)
    is_zero = np.logical_or.reduce([side == 0 for side in operands])
    is_finite = np.logical_and.reduce([np.isfinite(side) for side in operands])
    exponents = [np.abs(np.frexp(side)[1]) for side in operands]
    is_extreme = np.maximum.reduce(exponents) > LARGEST_EXPONENT
    with np.errstate(all="ignore"):
        # A zero leaves one rounding to do: of the product, or none.
        fused = np.where(is_zero | ~is_finite, left * right + addend, _summed(*operands))
    for place in np.flatnonzero(is_extreme & is_finite):
        fused[place] = _rational(*(float(side[place]) for side in operands))
    return fused


def _summed(left: Wide, right: Wide, addend: Wide) -> Wide:
    """Return left * right + addend by the algorithm Fma of Boldo and Melquiond."""
    product, lack = exact_product(left, right)
    low, lowest = exact_sum(addend, lack)
    high, middle = exact_sum(product, low)
    return high + _to_odd(*exact_sum(lowest, middle), np.uint64)


def _rational(left: float, right: float, addend: float) -> float:
    """Return left * right + addend of finite numbers, by integers: Python rounds their quotient."""
    product = Fraction(left) * Fraction(right)
    exact = product + Fraction(addend)
    if not exact:  # of zeros, and of what cancels, the sign is the sum's
        return math.copysign(0.0, left) * math.copysign(1.0, right) + addend if not product else 0.0
    try:
        return float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def convert(values: Array, dtype: np.dtype[Any]) -> Array:
    """Return integers of 32 bits, or floats, in the format, rounded once."""
    wide = _wide(values)
    return wide if dtype == FLOAT64 else nearest(wide, np.zeros_like(wide), dtype)


def _wide(values: Array) -> Wide:
    with np.errstate(all="ignore"):
        return np.asarray(values.astype(np.float64))
