"""What many seeds of one problem must return, at once, and no more of it than a comparison needs.

The arrays are those of `solve`, seed by seed; only draws element by element are known so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from conformance.core.arrays import Array, as_dtype
from conformance.core.formats import FORMATS, WIDE_DTYPES
from conformance.core.ids import Problem
from conformance.core.laws import Definition, law_of
from conformance.oracle.followed import foldings
from conformance.oracle.initializers import (
    Chain,
    OracleUnavailable,
    draw,
    drawing_key,
    layout_of,
    solve_words,
)
from conformance.oracle.threefry import Words, seed_key


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
        return solve_words(self._words, self._definition, self._dtype, self._shape).expected

    def followed(self) -> Iterator[Array]:
        """Yield what JAX's own roundings come to, the likeliest first; nothing if unknown."""
        for folded in foldings(self._law) if self._is_compiled else (None,):
            chain = Chain(
                words=self._words,
                law=self._law,
                definition=self._definition,
                dtype=self._dtype,
                shape=self._shape,
                folded=folded,
            )
            if (found := chain.followed) is not None:
                yield found
