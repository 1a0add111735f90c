"""Rounding from float64 to a narrower format: once, to nearest, ties to even."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from conformance.core.arrays import Array
from conformance.core.formats import FORMATS

Reals = npt.NDArray[np.float64]
Complexes = npt.NDArray[np.complex128]


def round_once(exact: Array, dtype: np.dtype[Any]) -> Array:
    """Return each float64 (or complex128) element rounded to `dtype` in a single rounding.

    `ml_dtypes` converts float64 to its formats by way of float32, which rounds twice: in bfloat16
    1 + 2**-8 + 2**-30 comes out as 1, not as 1 + 2**-7. NumPy rounds once to its own.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return (exact if _is_native(dtype) else _to_odd_float32(exact)).astype(dtype)


# NumPy makes up the name of a dtype anew each time, which takes as long as to round 16 Ki numbers.
@functools.cache
def _is_native(dtype: np.dtype[Any]) -> bool:
    return FORMATS[dtype.name].is_native


def rounded(exact: Array, dtype: np.dtype[Any]) -> Reals:
    """Return `round_once`, as float64 again: one operation of a chain carried out in `dtype`."""
    return round_once(exact, dtype).astype(np.float64)


def _to_odd_float32(exact: Array) -> npt.NDArray[np.float32]:
    """Truncate to float32 and set the last bit wherever something was cut off.

    Rounding such a number again, to at least two bits less, gives what one rounding would.
    Source: Boldo & Melquiond, Emulation of FMA and Correctly Rounded Sums (2008), theorem 1.
    """
    near = np.asarray(exact, np.float64).astype(np.float32)
    back = near.astype(np.float64)
    pattern = near.view(np.uint32)
    # Next representable towards zero: the patterns of one sign are in the order of magnitudes.
    pattern = pattern - (np.abs(back) > np.abs(exact))
    is_cut = (back != exact) & ~np.isnan(exact)
    return np.asarray(pattern | is_cut, np.uint32).view(np.float32)
