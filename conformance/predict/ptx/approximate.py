"""Instructions whose last bits the manual leaves open: a few permitted results, not one.

Each is computed `offset` steps from the correctly rounded result, as far as its bound permits. All
offsets from -REACH to REACH give all permitted results.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Singles = npt.NDArray[np.float32]
Wide = npt.NDArray[np.float64]

REACH = 2
"""Most steps between the correctly rounded result and a permitted one.

2 ULP is what the manual says of `div.full` and `ex2.approx`; the 2^-23 that it says of
`sqrt.approx` is less than 2 ULP, 1 ULP being at least 2^-24 of the value.
"""

OFFSETS = tuple(sorted(range(-REACH, REACH + 1), key=abs))
"""All offsets, the correctly rounded result first."""

SEED_BITS = 20
"""Mantissa bits of the seeds that `rcp.approx.ftz.f64` returns."""


def square_root(values: Singles, offset: int) -> Singles:
    """Return sqrt(a): `sqrt.approx.f32`.

    PTX ISA 9.0, 9.7.3.15: "the maximum relative error over the entire positive finite
    floating-point range is 2^-23"; subnormal numbers are supported.
    """
    with np.errstate(all="ignore"):
        exact = np.sqrt(values.astype(np.float64))
        error = exact * 2.0**-23
        nearest = exact.astype(np.float32)
        permitted = np.clip(_moved(nearest, offset), _up(exact - error), _down(exact + error))
        return np.where(np.isfinite(nearest), permitted, nearest)


def divide(left: Singles, right: Singles, offset: int) -> Singles:
    """Return a / b: `div.full.f32`.

    PTX ISA 9.0, 9.7.3.8: "the maximum ulp error is 2 across the full range of inputs".
    """
    with np.errstate(all="ignore"):
        return _moved((left.astype(np.float64) / right).astype(np.float32), offset)


def exponential(values: Singles, offset: int) -> Singles:
    """Return 2^a: `ex2.approx.ftz.f32`.

    PTX ISA 9.0, 9.7.3.21: "the maximum ulp error is 2 ulp from correctly rounded result across the
    full range of inputs"; `.ftz` flushes subnormal inputs and results to zero of the same sign.
    """
    with np.errstate(all="ignore"):
        results = np.exp2(_flushed(values).astype(np.float64)).astype(np.float32)
        return _flushed(_moved(results, offset))


def reciprocal(values: Wide, offset: int) -> Wide:
    """Return a seed of 1 / a with 20 bits of mantissa: `rcp.approx.ftz.f64`.

    PTX ISA 9.0, 9.7.3.14: "a fast, gross approximation" from the upper 32 bits of the operand; the
    lower 32 bits of the result are zero. The manual bounds no error. REACH steps of 2^-20 are
    assumed here, which is all that a seed for one step of Newton's can mean by 20 bits.
    """
    with np.errstate(all="ignore"):
        cut = _flushed(_upper(values))
        exact = 1 / cut
        half = np.uint64(1 << (51 - SEED_BITS))
        nearest = _upper((exact.view(np.uint64) + half).view(np.float64))
        steps = np.int64(offset) << np.int64(52 - SEED_BITS)
        moved = (nearest.view(np.int64) + steps).view(np.float64)
        is_regular = np.isfinite(exact) & (exact != 0)
        return _flushed(np.where(is_regular, moved, exact))


def _moved(results: Singles, offset: int) -> Singles:
    """Return the neighbours `offset` steps above; zeros and what is not finite stay."""
    towards = np.float32(np.inf if offset > 0 else -np.inf)
    moved = results
    for _ in range(abs(offset)):
        moved = np.nextafter(moved, towards)
    return np.where(np.isfinite(results) & (results != 0), moved, results)


def _upper(values: Wide) -> Wide:
    """Return the values with their lower 32 bits zero."""
    return np.asarray((values.view(np.uint64) & np.uint64(0xFFFFFFFF << 32)).view(np.float64))


def _flushed(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    is_subnormal = np.abs(values) < np.finfo(values.dtype).tiny
    return np.where(is_subnormal, np.copysign(values.dtype.type(0), values), values)


def _up(values: Wide) -> Singles:
    """Return the least float32 that is not below."""
    single = values.astype(np.float32)
    return np.where(single < values, np.nextafter(single, np.float32(np.inf)), single)


def _down(values: Wide) -> Singles:
    """Return the greatest float32 that is not above."""
    single = values.astype(np.float32)
    return np.where(single > values, np.nextafter(single, np.float32(-np.inf)), single)
