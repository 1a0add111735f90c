"""What many seeds of one problem must return, at once, and no more of it than a comparison needs.

The arrays are those of `solve`, seed by seed; only draws element by element are known so.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from conformance.core.arrays import Array, as_dtype
from conformance.core.formats import FORMATS, FUSED_DTYPES, WIDE_DTYPES
from conformance.core.ids import Problem
from conformance.core.lattice import mantissa_bits, word_bits
from conformance.core.laws import Definition, law_of
from conformance.oracle.distributions import unit_variate
from conformance.oracle.followed import ErfErrors, foldings, followed_uniform, followed_value
from conformance.oracle.initializers import (
    CHUNK,
    OracleUnavailable,
    draw,
    drawing_key,
    layout_of,
    solve_words,
)
from conformance.oracle.rounding import round_once
from conformance.oracle.threefry import Words, seed_key

TABULATED_WORDS = (8, 16)
"""Bits of the words of which all values are looked up in a table: a thousand at most."""


class Answers:
    """The right arrays of a problem under each of some seeds, along a new first axis.

    is_compiled: whether a compiler saw the whole call; see `foldings`.

    Raises:
        OracleUnavailable: there are none, or not element by element.
    """

    def __init__(
        self,
        definition: Definition,
        problem: Problem,
        seeds: Sequence[int],
        *,
        is_compiled: bool = False,
    ) -> None:
        self._dtype = as_dtype(problem.dtype)
        law = law_of(definition, problem.shape, problem.dtype)
        if law is None or FORMATS[problem.dtype].is_complex:
            raise OracleUnavailable(f"{problem.id} is not drawn as one real after the other")
        self._law, self._definition, self._shape = law, definition, problem.shape
        self._is_compiled = is_compiled
        layout = layout_of(problem, default=True)
        given = (seed_key(seed, x64=problem.dtype in WIDE_DTYPES) for seed in seeds)
        keys = np.stack([drawing_key(definition, key, partitionable=layout) for key in given])
        self._words: Words = draw(keys, problem.shape, self._dtype, partitionable=layout)

    def expected(self) -> Array:
        """Return what the definition says, rounded once."""
        if self._is_tabulated:
            return self._looked_up(_table(self._definition, self._shape, self._dtype)[0])
        found = np.empty(self._words.size, self._dtype)
        for part in self._parts():
            unit = unit_variate(self._words.ravel()[part], self._law, self._dtype)
            found[part] = round_once(unit * self._law.factor, self._dtype)
        return found.reshape(self._words.shape)

    def followed(self) -> Iterator[Array]:
        """Yield what JAX's own roundings come to, the likeliest first; nothing if unknown."""
        if not FORMATS[self._dtype.name].is_followed:
            return
        for folded in foldings(self._law) if self._is_compiled else (None,):
            yield self._followed(folded)

    def _followed(self, folded: ErfErrors | None) -> Array:
        law, dtype = self._law, self._dtype
        if self._is_tabulated:
            return self._looked_up(_table(self._definition, self._shape, dtype, folded)[1])
        found = np.empty(self._words.size, dtype)
        for part in self._parts():
            words = self._words.ravel()[part]
            uniform = followed_uniform(words, law, dtype, FUSED_DTYPES, folded=folded)
            found[part] = followed_value(
                uniform, law, self._definition, self._shape, dtype, FUSED_DTYPES
            )
        return found.reshape(self._words.shape)

    @property
    def _is_tabulated(self) -> bool:
        return word_bits(self._dtype) in TABULATED_WORDS

    def _looked_up(self, table: Array) -> Array:
        shift = 8 * self._words.dtype.itemsize - mantissa_bits(self._dtype)
        found: Array = table[self._words >> self._words.dtype.type(shift)]
        return found

    def _parts(self) -> Iterator[slice]:
        return (slice(start, start + CHUNK) for start in range(0, self._words.size, CHUNK))


@functools.lru_cache(maxsize=256)
def _table(
    definition: Definition,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    folded: ErfErrors | None = None,
) -> tuple[Array, Array]:
    """Return what each lattice point becomes: as defined, and by JAX's own roundings."""
    kept, width = mantissa_bits(dtype), word_bits(dtype)
    words = np.arange(1 << kept, dtype=f"u{width // 8}") << np.uint8(width - kept)
    solution = solve_words(words, definition, dtype, shape, folded=folded)
    assert solution.followed is not None
    return solution.expected, solution.followed
