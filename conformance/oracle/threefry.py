"""The Threefry-2x32 counter-based generator, and how JAX turns seeds into random words with it.

Source: Salmon, Moraes, Dror & Shaw, Parallel Random Numbers: As Easy as 1, 2, 3 (SC 2011). JAX has
two layouts of counters. Partitionable (the default since JAX 0.5.0): element i hashes the 64-bit
counter i alone. Not partitionable: words i and i + n/2 come from one hash of the pair (i, i + n/2).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Key = npt.NDArray[np.uint32]
"""Two words; where a function takes several keys, they are the rows of a (n, 2) array."""

Words = npt.NDArray[Any]
"""Unsigned integers of any width."""

ROTATIONS = ((17, 29, 16, 24), (13, 15, 26, 6))
"""Of the rounds before an even and before an odd key injection."""

PARITY = 0x1BD11BDA
"""The constant of the key schedule (section 3.3 of the paper: Skein's, cut to 32 bits)."""

CHUNK = 1 << 15
"""Counters hashed at a time: three such arrays of 32-bit words stay in a 512 KiB cache, and each of
the hundred operations is long enough that the call of NumPy does not count."""

MAX_WORDS = 2**32 - 1
"""JAX numbers the words of the non-partitionable layout with 32 bits, and splits the key beyond."""


def seed_key(seed: int, *, x64: bool = False) -> Key:
    """Return the key of an integer seed: its high and its low 32 bits.

    With x64 off JAX truncates the seed to 32 bits first, so the high word is always 0: seeds that
    agree in their low 32 bits are one seed.

    Raises:
        ValueError: the seed is no signed 64-bit integer; JAX raises OverflowError there.
    """
    if not -(2**63) <= seed < 2**63:
        raise ValueError(f"seed {seed} is no signed 64-bit integer: choose a smaller one")
    high = (seed >> 32) % 2**32 if x64 else 0
    return np.array([high, seed % 2**32], np.uint32)


def threefry2x32(key: Key, counters: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Return the hash of each counter pair; `counters` and the result have shape (2, ...)."""
    hashed = np.array(counters, np.uint32, order="C")
    left, right = hashed.reshape(2, -1)  # views even of single counters, which must change in place
    _hash_in_place(key, left, right, np.empty_like(left))
    return hashed


def _hash_in_place(
    key: Key,
    left: npt.NDArray[np.uint32],
    right: npt.NDArray[np.uint32],
    scratch: npt.NDArray[np.uint32],
) -> None:
    """Run the 20 rounds, with a key injection before them and after every fourth.

    Of several keys each hashes its own row of counters.
    """
    high, low = key if key.ndim == 1 else (key[:, :1], key[:, 1:])
    schedule = (high, low, high ^ low ^ np.uint32(PARITY))
    left += schedule[0]
    right += schedule[1]
    for injection in range(1, 6):
        for rotation in ROTATIONS[injection % 2]:
            left += right
            # A rotation: what is shifted out on the left comes back on the right.
            np.left_shift(right, np.uint32(rotation), out=scratch)
            np.right_shift(right, np.uint32(32 - rotation), out=right)
            right |= scratch
            right ^= left
        left += schedule[injection % 3]
        right += schedule[(injection + 1) % 3]
        right += np.uint32(injection)  # so that no two groups of rounds are alike


def split(key: Key, num: int = 2, *, partitionable: bool = True) -> npt.NDArray[np.uint32]:
    """Return `num` new keys as rows, as `jax.random.split` does.

    Of several keys those of each are along a new first axis.
    """
    keys, shape = key.reshape(-1, 2), (*key.shape[:-1], num, 2)
    if not partitionable:
        return _paired_words(keys, 2 * num).reshape(shape)
    left, right, scratch = np.zeros((3, len(keys), num), np.uint32)
    right[:] = np.arange(num)
    _hash_in_place(keys, left, right, scratch)
    return np.stack([left, right], axis=-1).reshape(shape)


def fold_in(key: Key, data: int) -> Key:
    """Return the key that `jax.random.fold_in` makes of a key and a 32-bit integer."""
    return threefry2x32(key, np.array([0, data], np.uint32))


def random_bits(
    key: Key, bit_width: int, shape: tuple[int, ...], *, partitionable: bool = True
) -> Words:
    """Return unsigned words of 8, 16, 32 or 64 bits, as `jax.random.bits` draws them.

    Of several keys the words are along a new first axis.

    Raises:
        ValueError: no such width, or more words than the non-partitionable layout can number.
    """
    if bit_width not in (8, 16, 32, 64):
        raise ValueError(f"bit_width {bit_width} is not offered: choose 8, 16, 32 or 64")
    draw = _counted_bits if partitionable else _paired_bits
    words = draw(key.reshape(-1, 2), bit_width, math.prod(shape))
    return words.reshape((*key.shape[:-1], *shape))


def counters(start: int, count: int) -> tuple[Words, Words]:
    """Return the high and the low 32 bits of the element numbers from `start` on."""
    index = np.arange(start, start + count, dtype=np.uint64)
    return index >> np.uint64(32), index & np.uint64(0xFFFFFFFF)


def _counted_bits(keys: Key, bit_width: int, size: int) -> Words:
    """Partitionable: one hash per element; narrow words keep the low bits of both halves' XOR."""
    words = np.empty((len(keys), size), f"u{bit_width // 8}")
    for rows, first, n in _passes(len(keys), size):
        left, right = np.empty((2, len(keys[rows]), n), np.uint32)
        left[:], right[:] = counters(first, n)
        _hash_in_place(keys[rows], left, right, np.empty_like(left))
        part = words[rows, first : first + n]
        if bit_width == 64:
            np.left_shift(left, np.uint64(32), out=part, dtype=np.uint64)
            part |= right
        else:
            np.bitwise_xor(left, right, out=part, casting="unsafe")
    return words


def _passes(n_keys: int, size: int) -> Iterator[tuple[slice, int, int]]:
    """Yield which keys, from which counter and how many counters, CHUNK hashes at most a time."""
    n_rows = max(1, CHUNK // max(1, size))
    for row in range(0, n_keys, n_rows):
        for first in range(0, size, CHUNK):
            yield slice(row, row + n_rows), first, min(CHUNK, size - first)


def _paired_bits(keys: Key, bit_width: int, size: int) -> Words:
    """Not partitionable: 32-bit words, joined to wide ones or cut, low end first, to narrow."""
    words = _paired_words(keys, -(-bit_width * size // 32))
    if bit_width == 64:
        high, low = words.astype(np.uint64).reshape(len(keys), 2, size).swapaxes(0, 1)
        return (high << np.uint64(32)) | low
    narrow = words.astype("<u4").view(f"<u{bit_width // 8}")[:, :size]
    return narrow.astype(f"u{bit_width // 8}", copy=False)


def _paired_words(keys: Key, size: int) -> npt.NDArray[np.uint32]:
    """Hash the counters 0 ... size - 1, first half against second half; an odd one out meets 0."""
    if size >= MAX_WORDS:
        raise ValueError(
            f"{size} words exceed the {MAX_WORDS - 1} that one key numbers without "
            "jax_threefry_partitionable: ask for a smaller array"
        )
    half = -(-size // 2)
    hashed = np.empty((len(keys), 2, half), np.uint32)
    for rows, first, n in _passes(len(keys), half):
        left, right = hashed[rows, :, first : first + n].swapaxes(0, 1)
        left[:] = np.arange(first, first + n)
        right[:] = np.arange(half + first, half + first + n)
        if size % 2 and first + n == half:
            right[:, -1] = 0
        _hash_in_place(keys[rows], left, right, np.empty(left.shape, np.uint32))
    return hashed.reshape(len(keys), -1)[:, :size]
