"""Which other draw an array may be: what people mistake a key, or a layout, for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from conformance.core.arrays import Array
from conformance.core.ids import Problem
from conformance.core.laws import Definition
from conformance.oracle.initializers import (
    OracleUnavailable,
    drawing_key,
    key_of,
    layout_of,
    solve,
)
from conformance.oracle.threefry import Key, fold_in, seed_key, split


def other_draws(
    definition: Definition, problem: Problem, key: Key | None = None
) -> Iterator[tuple[str, tuple[Array, ...]]]:
    """Yield what else may have been drawn, in words, and the arrays that the oracle has for it.

    key: that the initializer is given, where it is not that of the problem's seed.

    Raises:
        OracleUnavailable: the oracle has no answer to the problem.
    """
    layout = layout_of(problem, default=True)
    handed = key_of(problem) if key is None else key
    own = drawing_key(definition, handed, partitionable=layout)
    is_given = key is not None or not problem.key.is_seed or bool(definition.drawn_with)
    if definition.drawn_with:
        definition = dataclasses.replace(definition, drawn_with="")
        yield "drawn with the key that was given", _answers(definition, problem, handed)
    for name, other in _other_keys(problem, own, layout, given=is_given):
        yield f"drawn with {name}", _answers(definition, problem, other)
    forced = f"threefry2x32_{'non' if layout else ''}partitionable"
    other_layout = dataclasses.replace(problem, prng=forced)
    yield f"drawn with the counters of {forced}", _answers(definition, other_layout, own)
    if len(problem.shape) > 1:
        turned = dataclasses.replace(problem, shape=problem.shape[::-1])
        try:
            arrays = _answers(definition, turned, own)
        except OracleUnavailable:
            return
        yield "filled with its first axis fastest", tuple(array.T for array in arrays)


def _other_keys(
    problem: Problem, key: Key, layout: bool, *, given: bool
) -> Iterator[tuple[str, Key]]:
    if not given:
        for seed in dict.fromkeys((problem.seed + 1, problem.seed - 1, 0)):  # of 1 one is 0
            if seed >= 0 and seed != problem.seed:
                yield f"the key of seed {seed}", seed_key(seed)
    children = split(key, partitionable=layout)
    for number, (place, child) in enumerate(zip(("first", "second"), children, strict=True)):
        folded, name = fold_in(key, number), f"fold_in(key, {number})"
        if np.array_equal(child, folded):  # as in the partitionable layout
            yield f"{name}, the {place} key of split(key)", child
        else:
            yield name, folded
            yield f"the {place} key of split(key)", child
    if key[0] != key[1]:
        yield "the key's two words swapped", key[::-1].copy()
    if key[0]:
        yield "the key's low word alone", np.array([0, key[1]], np.uint32)
    if given and key.any():
        yield "the key of seed 0", seed_key(0)


def _answers(definition: Definition, problem: Problem, key: Key) -> tuple[Array, ...]:
    solution = solve(problem, definition, key=key)
    known = (solution.followed, solution.expected)
    return tuple(array for array in known if array is not None)
