"""What many seeds of one problem must return, at once, and no more of it than a comparison needs.

The arrays are those of `solve`, seed by seed; only draws element by element are known so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from conformance.core.arrays import Array, as_dtype
from conformance.core.formats import WIDE_DTYPES, fusings
from conformance.core.ids import Problem
from conformance.core.laws import Definition, law_of
from conformance.oracle.followed import ErfErrors, foldings
from conformance.oracle.initializers import (
    Chain,
    OracleUnavailable,
    Solution,
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
        if law is None:
            raise OracleUnavailable(f"{problem.id} is not drawn as one number after the other")
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
        for fused, folded in self._devices():
            chain = Chain(
                words=self._words,
                law=self._law,
                definition=self._definition,
                dtype=self._dtype,
                shape=self._shape,
                fused=frozenset(fused),
                folded=folded,
            )
            if (found := chain.followed) is None:
                return
            yield found

    def solutions(self, number: int) -> Iterator[Solution]:
        """Yield the answers to the seed of that place, one for each sound device that is known."""
        words = np.moveaxis(self._words, -1 - len(self._shape), 0)[number]
        for fused, folded in self._devices():
            yield solve_words(
                words, self._definition, self._dtype, self._shape, fused=fused, folded=folded
            )

    def _devices(self) -> Iterator[tuple[Collection[str], ErfErrors | None]]:
        for fused in fusings(self._dtype.name):
            for folded in foldings(self._law) if self._is_compiled else (None,):
                yield fused, folded
