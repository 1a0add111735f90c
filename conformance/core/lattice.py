"""The lattice of words over which an initializer is swept, and the points that come of it."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from conformance.core.arrays import Array
from conformance.core.formats import FORMATS, LOG2_LATTICE, default_log2_points
from conformance.core.ids import Case


# NumPy makes up the name of a dtype anew each time.
@functools.cache
def mantissa_bits(dtype: np.dtype[Any]) -> int:
    """Return how many random bits a uniform of the dtype, or of its real part, has."""
    return FORMATS[dtype.name].mantissa_bits


@functools.cache
def word_bits(dtype: np.dtype[Any]) -> int:
    """Return the width of the word that JAX draws for one real of the dtype."""
    return FORMATS[dtype.name].word_bits


FIBONACCI = 0x9E3779B97F4A7C15
"""2^64 divided by the golden ratio, made odd."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sweep:
    """What an initializer returned on the lattice: one value for each word, in the words' order."""

    case: Case
    device: str
    words: Array = dataclasses.field(repr=False)
    values: Array = dataclasses.field(repr=False)
    elapsed_s: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One point of a lattice, and how far the value there lies from the one expected.

    fraction: where in [0, 1) the word lies. ulp: the distance, in the unit that the holder states.
    """

    ulp: float
    word: int
    fraction: float
    actual: float
    expected: float


def lattice_words(bits: int, log2_count: int | None = None) -> Array:
    """Return 2^log2_count words, ascending: all that differ in a bit that counts, or of strata.

    Without a count: the whole lattice; of 64-bit words, one point of each of 2^LOG2_STRATA strata.
    """
    log2_count = log2_count or default_log2_points(bits)
    counter = np.arange(1 << log2_count, dtype=f"u{bits // 8}")
    return np.asarray(spread(counter, bits, log2_count))


def spread(counter: Any, bits: int, log2_count: int) -> Any:
    """Return the words that the counters stand for; NumPy's integers or JAX's.

    The bits below the counter are zero, or scattered where the word has more to say: the middle of
    each stratum would be a number of few bits, whose square is exact, and hide what rounding costs.
    Fibonacci hashing: Knuth, The Art of Computer Programming 3, section 6.4.
    """
    leading = counter << counter.dtype.type(bits - log2_count)
    if log2_count == LOG2_LATTICE[bits]:
        return leading
    scattered = counter * counter.dtype.type(FIBONACCI >> (64 - bits))
    return leading | (scattered >> counter.dtype.type(log2_count))
