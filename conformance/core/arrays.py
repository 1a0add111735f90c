"""Arrays as bits: between NumPy and the `Returned` record.

bfloat16 breaks `.var()`, `numpy.finfo` and most formats, so statistics are taken in float64 and
arrays travel as raw little-endian bytes with the name of their dtype.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import ml_dtypes
import numpy as np
import numpy.typing as npt

from conformance.core.records import Moments, Returned

Array = npt.NDArray[Any]
Part = TypeVar("Part")

FULL_SIZE_LIMIT = 4096
"""Arrays of more elements are stored as digests, moments and a strided sample."""

SAMPLE_SIZE = 1024
"""Least number of elements in a strided sample."""

WIDENED = 1 << 18
"""Elements that are held as float64 at a time: of a parameter of gigabytes there is no room for the
many copies that its moments would take."""

HELD = 1 << 21
"""Elements of the largest array whose parts are all held as float64, in 16 MiB, if they are wanted
again."""

MOST_BLOCKS = 16
"""Parts of an array that is too large to store, each with a digest of its own."""


def as_dtype(name: str) -> np.dtype[Any]:
    """Return the NumPy dtype called `name`, those of ml_dtypes included."""
    return np.dtype(getattr(ml_dtypes, name, name))


def widen(array: Array) -> Array:
    """Return the same values exactly, as float64 or complex128."""
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def differing(one: Array, two: Array) -> npt.NDArray[np.bool_]:
    """Return where two arrays of one dtype and shape have other bits: -0.0 is not 0.0.

    As integers they are compared some ten times as fast as byte by byte.
    """
    size = one.dtype.itemsize
    word = math.gcd(size, 8)
    mine, theirs = (np.ascontiguousarray(side).reshape(-1).view(f"u{word}") for side in (one, two))
    unequal = (mine != theirs).reshape(-1, size // word)
    return np.asarray(functools.reduce(np.logical_or, unequal.T)).reshape(one.shape)


def as_tall(array: Array, column_axis: int = -1) -> Array:
    """Return the (rows, columns) matrix, rows >= columns, whose columns lie on an axis.

    All other axes make up the rows; of a wide matrix it is the transpose. `in_shape` undoes it.
    """
    columns = np.moveaxis(array, column_axis, -1)
    matrix = columns.reshape(-1, columns.shape[-1])
    return matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T


def in_shape(tall: Array, shape: tuple[int, ...], column_axis: int) -> Array:
    """Return a (rows, columns) matrix, rows >= columns, in a shape whose columns lie on an axis.

    Of a wide shape it is the transpose. The rows are folded into the other axes.
    """
    rest = list(shape)
    columns = rest.pop(column_axis)
    matrix = tall if columns == tall.shape[1] else tall.T
    return np.moveaxis(matrix.reshape(*rest, columns), -1, column_axis)


def centred(inner: Array, shape: tuple[int, ...]) -> Array:
    """Return zeros of the shape but for `inner` at its spatial centre, on the last two axes."""
    array = np.zeros(shape, inner.dtype)
    if array.size:
        array[centre_of(shape)] = inner
    return array


def centre_of(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the spatial index, of all axes but the last two, of a shape's centre."""
    return tuple((size - 1) // 2 for size in shape[:-2])


def in_parts(*arrays: Array) -> Iterator[tuple[Any, ...]]:
    """Yield the same WIDENED elements of each array, as rows, after the place where they begin."""
    rows = [np.ascontiguousarray(array).reshape(-1) for array in arrays]
    for start in range(0, rows[0].size, WIDENED):
        yield (start, *(row[start : start + WIDENED] for row in rows))


def repeated(parts: Callable[[], Iterator[Part]], size: int) -> Callable[[], Iterator[Part]]:
    """Return what yields the parts as often as it is asked: made once, where they can be held.

    size: elements of the array whose parts they are; at most HELD are held.
    """
    if size > HELD:
        return parts
    held = tuple(parts())
    return lambda: iter(held)


def moments_of(array: Array) -> Moments:
    """Return the moments over the finite elements; NaN when there are none."""
    n_finite, sums, lowest, highest = 0, [], [], []
    with np.errstate(over="ignore", invalid="ignore"):  # beyond 1e154 the variance is infinite
        parts = repeated(functools.partial(_finite_parts, array), array.size)
        for part in parts():
            size = np.abs(part) if part.dtype.kind == "c" else part
            n_finite += part.size
            sums.append(part.sum())
            lowest.append(size.min())
            highest.append(size.max())
        if not n_finite:
            nan = math.nan
            return Moments(mean=nan, variance=nan, minimum=nan, maximum=nan, nonfinite=array.size)
        mean = _sum(sums) / n_finite
        squares = [_squared(part - mean).sum() for part in parts()]
        variance = float(_sum(squares) / n_finite)
    return Moments(
        mean=float(mean.real),
        mean_imag=float(mean.imag),
        variance=variance,
        minimum=float(min(lowest)),
        maximum=float(max(highest)),
        nonfinite=array.size - n_finite,
    )


def _squared(numbers: Array) -> Array:
    """Return the squares of their sizes."""
    return (np.abs(numbers) if numbers.dtype.kind == "c" else numbers) ** 2


def _sum(terms: list[Any]) -> Any:
    """Return the sum; NumPy makes an array of a list first, which a single term needs not."""
    return np.sum(terms) if terms[1:] else terms[0]


def _finite_parts(array: Array) -> Iterator[Array]:
    """Yield the finite elements in float64 or complex128, some at a time; nothing without any."""
    for _, part in in_parts(array):
        wide = widen(part)  # first: NumPy looks through numbers of 16 bits ten times as slowly
        finite = np.isfinite(wide)
        if finite.all():
            yield wide
        elif finite.any():
            yield wide[finite]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The elements of an array in C order, which its digest tells from all others."""

    dtype: str
    sha256: str
    bits: bytes = dataclasses.field(compare=False, repr=False)

    @property
    def moments(self) -> Moments:
        """What `moments_of` returns; of arrays that are stored whole it is kept for the next few.

        A golden mostly has the bits of the array that was observed just before.
        """
        elements = np.frombuffer(self.bits, dtype=as_dtype(self.dtype))
        return _kept_moments(self) if elements.size <= FULL_SIZE_LIMIT else moments_of(elements)


@functools.lru_cache(maxsize=2)
def _kept_moments(content: Content) -> Moments:
    return moments_of(np.frombuffer(content.bits, dtype=as_dtype(content.dtype)))


def returned(array: Array, *, weak_type: bool = False) -> Returned:
    """Return the full record of an array: every bit of it."""
    bits, dtype = np.ascontiguousarray(array).tobytes(), str(array.dtype)
    digest = hashlib.sha256(bits).hexdigest()
    return Returned(
        dtype=dtype,
        shape=tuple(array.shape),
        sha256=digest,
        bits=bits,
        weak_type=weak_type,
        moments=Content(dtype=dtype, sha256=digest, bits=bits).moments,
    )


def sampled(outcome: Returned) -> Returned:
    """Return the outcome as it is stored: whole up to FULL_SIZE_LIMIT elements, else a sample.

    The stride has no factor in common with any size of the shape, nor with the powers of two that
    shards are made of: else the sample would see some of the columns only.
    """
    size = math.prod(outcome.shape)
    if size <= FULL_SIZE_LIMIT or not outcome.is_whole:
        return outcome
    stride = (size // SAMPLE_SIZE - 1) | 1
    while any(math.gcd(stride, axis) != 1 for axis in outcome.shape):
        stride -= 2
    return dataclasses.replace(thin(outcome, stride), blocks=block_digests(outcome))


def block_size(size: int) -> int:
    """Return how many elements each block of an array of `size` has; the last may have fewer."""
    return max(1, -(-size // MOST_BLOCKS))


def n_blocks(size: int) -> int:
    """Return how many blocks an array of `size` elements has."""
    return -(-size // block_size(size))


def block_digests(outcome: Returned) -> tuple[str, ...]:
    """Return a digest of each block of the flattened array, of 64 bits; () of a sample without any.

    Two arrays whose digests of a block are equal are the same there.
    """
    if not outcome.is_whole:
        return outcome.blocks
    bits = memoryview(outcome.bits)
    length = block_size(math.prod(outcome.shape)) * as_dtype(outcome.dtype).itemsize
    parts = (bits[start : start + length] for start in range(0, len(bits), length))
    return tuple(hashlib.sha256(part).hexdigest()[:16] for part in parts)


def completed(outcome: Returned) -> Returned:
    """Return an outcome of one value with all its elements, of which only a sample was kept."""
    if outcome.is_whole or len(outcome.bits) == 0:
        return outcome
    value = outcome.bits[: as_dtype(outcome.dtype).itemsize]
    if outcome.bits != value * (len(outcome.bits) // len(value)):
        return outcome
    bits = value * math.prod(outcome.shape)
    if hashlib.sha256(bits).hexdigest() != outcome.sha256:
        return outcome
    return dataclasses.replace(outcome, bits=bits, stride=1, blocks=())


def thin(outcome: Returned, stride: int) -> Returned:
    """Return the full outcome reduced to every `stride`-th element.

    Raises:
        ValueError: the outcome is a sample already, of another stride.
    """
    if outcome.stride == stride:
        return outcome
    if not outcome.is_whole:
        raise ValueError(f"cannot take stride {stride} of a sample of stride {outcome.stride}")
    return dataclasses.replace(outcome, bits=flat(outcome)[::stride].tobytes(), stride=stride)


def flat(outcome: Returned) -> Array:
    """Return the stored elements as a 1-D array: all of them, or the strided sample."""
    return np.frombuffer(outcome.bits, dtype=as_dtype(outcome.dtype))


def whole(outcome: Returned) -> Array:
    """Return the array in its shape.

    Raises:
        ValueError: only a sample is stored.
    """
    if not outcome.is_whole:
        raise ValueError(f"only every {outcome.stride}th element of the array is stored")
    return flat(outcome).reshape(outcome.shape)


def digest(array: Array) -> str:
    """Return a short digest of an array's bits: 2^32 values, to compare one pair at a time."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:8]
