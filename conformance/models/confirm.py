"""Whether the values of a parameter are what the oracle makes of its key and its law."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.core.arrays import Array, as_dtype, widen
from conformance.core.lattice import word_bits
from conformance.core.laws import (
    Definition,
    Law,
    Normal,
    Orthogonal,
    TruncatedNormal,
    Uniform,
)
from conformance.core.ulp import unit_roundoff
from conformance.judge.drift.classify import ROUNDINGS
from conformance.models.formula import HAAR, Drawn, Formula, Joined, Placed
from conformance.models.keys import drawn_size, places, words_of
from conformance.models.law import LawRead, law_read
from conformance.oracle import haar, random_bits, solve_words
from conformance.oracle.followed import followed_uniform, followed_value

BLOCK = 4096
"""Elements of each draw that are compared, the first of the array."""

MOST_DRAWN = 1 << 22
"""Elements of a draw of which it is told which is where."""

MOST_FACTORED = 1 << 18
"""Elements of a matrix that is factored to be compared."""

FACTOR_ACCURACY = 1e-4
"""Of a value, in sigma: JAX's erf_inv errs by 91 ULP at worst in float32, 1e-5 sigma."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """How the values of one parameter compare with what its formula says.

    n: elements that were compared; 0 if none could be. n_exact: that are equal bit for bit.
    worst: the largest difference, in sigma. is_right: whether roundings explain it.
    """

    n: int
    n_exact: int
    worst: float
    is_right: bool


def confirmed(
    array: Array, formula: Formula, *, root: str, seed: int, partitionable: bool
) -> Confirmed:
    """Return how the first elements of the array compare, those of each part of a joined one."""
    found = [
        _compared(part, drawn, law, words)
        for part, drawn, law, words in _parts(array, formula, root, seed, partitionable)
    ]
    return Confirmed(
        n=sum(each.n for each in found),
        n_exact=sum(each.n_exact for each in found),
        worst=max((each.worst for each in found), default=0.0),
        is_right=all(each.is_right for each in found),
    )


def _parts(
    array: Array, formula: Formula, root: str, seed: int, partitionable: bool
) -> Iterator[tuple[Array, Drawn, LawRead, Array]]:
    """Yield values, what drew them, its law, and the words drawn: of all keys, in their order."""
    if isinstance(formula, Joined) and not formula.moves and formula.parts:
        sizes = [1 if formula.is_stack else part.shape[formula.axis] for part in _drawn(formula)]
        if len(sizes) == len(formula.parts):
            cuts = np.split(array, np.cumsum(sizes)[:-1], formula.axis)
            for cut, part in zip(cuts, formula.parts, strict=True):
                inner = cut.squeeze(formula.axis) if formula.is_stack else cut
                yield from _parts(inner, part, root, seed, partitionable)
    if isinstance(formula, Placed):
        yield from _parts(array[formula.index], formula.part, root, seed, partitionable)
    if not isinstance(formula, Drawn) or drawn_size(formula) > MOST_DRAWN or not array.size:
        return
    law = law_read(formula)
    keys = [words_of(key, root, seed, partitionable) for key in formula.keys.reshape(-1)]
    if law.definition is None or None in keys or not law.drawn_dtype:
        return
    dtype = as_dtype(law.drawn_dtype)
    if formula.width != word_bits(dtype):
        return
    rows = np.array(keys, np.uint32)
    words = random_bits(rows, formula.width, formula.drawn_shape, partitionable=partitionable)
    yield array, formula, law, words


def _drawn(formula: Joined) -> list[Drawn]:
    return [part for part in formula.parts if isinstance(part, Drawn)]


def _compared(array: Array, drawn: Drawn, law: LawRead, words: Array) -> Confirmed:
    if any(rule.name == HAAR for rule in drawn.rules):
        return _compared_matrix(array, drawn, law, words)
    where = places(drawn).reshape(-1)[:BLOCK]
    actual = np.ascontiguousarray(array).reshape(-1)[:BLOCK]
    chosen = words.reshape(-1)[where]
    dtype, definition = as_dtype(law.drawn_dtype), law.definition
    assert isinstance(definition, Law)
    definition, sign = (_mirrored(definition), -1) if law.is_mirrored else (definition, 1)
    followed = _followed(chosen, definition, law, dtype)
    exact = max(_n_equal(actual, sign * each) for each in followed)
    value = sign * solve_words(chosen, definition, dtype, ()).value + law.shift
    return _judged(actual, value, exact, law)


def _mirrored(definition: Law) -> Law:
    """Return the law of the negatives."""
    if isinstance(definition, TruncatedNormal | Uniform):
        return dataclasses.replace(definition, lower=-definition.upper, upper=-definition.lower)
    return definition


def _judged(actual: Array, value: Array, n_exact: int, law: LawRead) -> Confirmed:
    sigma = math.sqrt(law.variance or 0.0) or 1.0
    worst = float(np.abs(widen(actual) - value).max() / sigma)
    dtypes = [as_dtype(name) for name in (law.drawn_dtype, *law.casts, actual.dtype.name)]
    roundings = ROUNDINGS * max(map(unit_roundoff, dtypes)) * max(4.0, np.abs(value).max() / sigma)
    return Confirmed(
        n=actual.size,
        n_exact=n_exact,
        worst=worst,
        is_right=worst <= max(FACTOR_ACCURACY, roundings),
    )


def _followed(words: Array, definition: Law, law: LawRead, dtype: np.dtype[Any]) -> Iterator[Array]:
    """Yield JAX's own roundings of the draw, for the factor as read and for its neighbours.

    From JAX 0.12 on the factor of a normal is known only through its product with sqrt(2).
    """
    if law.shift or dtype.itemsize > 4:
        yield np.empty(0, dtype)
        return
    uniform = followed_uniform(words, definition, dtype)
    factor = dtype.type(definition.factor)
    towards = (
        factor,
        np.nextafter(factor, dtype.type(np.inf)),
        np.nextafter(factor, dtype.type(0)),
    )
    for each in towards:
        near = definition.times(float(each))
        made = followed_value(uniform, near, near, (), dtype)
        for name in law.casts:
            made = made.astype(as_dtype(name))
        yield made


def _n_equal(actual: Array, expected: Array) -> int:
    if expected.shape != actual.shape or expected.dtype != actual.dtype:
        return 0
    bits = f"u{actual.dtype.itemsize}"
    return int((actual.view(bits) == expected.view(bits)).sum())


def _compared_matrix(array: Array, drawn: Drawn, law: LawRead, words: Array) -> Confirmed:
    nothing = Confirmed(n=0, n_exact=0, worst=0.0, is_right=True)
    if words.size > MOST_FACTORED or words.ndim < 3:
        return nothing
    dtype, definition = as_dtype(law.drawn_dtype), law.definition
    assert isinstance(definition, Orthogonal)
    unit: Definition = Normal(stddev=1.0)
    normals = solve_words(words, unit, dtype, ()).value
    matrices = np.stack([haar(each) for each in normals.reshape(-1, *normals.shape[-2:])])
    value = definition.scale * matrices.reshape(*drawn.keys.shape, *drawn.drawn_shape)
    for move in drawn.moves:
        value = move.apply(value)
    return _judged(array.reshape(-1), value.reshape(-1), 0, law)
