"""Parameters of which there are values only: what may have drawn them, sought among likely keys.

A key is sought where a fresh model would have it: in linen under the path of the parameter, in NNX
among the first of the stream. Where none is found, the values are compared with laws.
"""

from __future__ import annotations

import dataclasses
import functools

from conformance.core.arrays import Array
from conformance.flax.recognition import (
    Recognised,
    matching_key,
    matching_orthogonal_key,
    recognise,
)
from conformance.models.keys import SPARE_DRAWS
from conformance.models.model import Model
from conformance.oracle import linen_key, nnx_key, seed_key, split
from conformance.oracle.threefry import Key


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What an array was recognised as.

    draw: where its key comes from, "" where none was found. key: its words.
    unit: the array, or its first copy where a lifted transform has stacked several.
    """

    draw: str
    key: Key | None
    unit: Array
    recognised: Recognised


def found(model: Model, name: str) -> Found:
    """Recognise one parameter: as it is, then as one of several stacked by a lifted transform."""
    array = model.arrays[name]
    for unit, copies in _units(array):
        candidates = _candidates(model, name, copies)
        for seek in (matching_key, matching_orthogonal_key):
            match = seek(unit, candidates, partitionable=model.partitionable)
            if match:
                draw, key = match
                recognised = recognise(unit, key, partitionable=model.partitionable)
                return Found(draw=draw, key=key, unit=unit, recognised=recognised)
    unit = _units(array)[0][0]
    return Found(draw="", key=None, unit=unit, recognised=recognise(unit, None))


def _units(array: Array) -> list[tuple[Array, int]]:
    """Return what one draw may have made: the array, or one of its slices along axis 0.

    With each comes the number of keys that the slices were split for, 0 for none.
    """
    if array.ndim < 2 or len(array) < 2:
        return [(array, 0)]
    return [(array[0] if has_equal_slices(array) else array, 0), (array[0], len(array))]


def has_equal_slices(array: Array) -> bool:
    """Return whether all slices along the first axis are one."""
    return bool((array == array[:1]).all())


def _candidates(model: Model, name: str, copies: int) -> list[tuple[str, Key]]:
    """Return the keys that a parameter of a fresh model may have been given."""
    scope = tuple(name.split("."))[:-1]
    n_siblings = sum(tuple(each.split("."))[:-1] == scope for each in model.leaves)
    root, text = seed_key(model.seed), ""
    if copies:
        root = split(root, copies, partitionable=model.partitionable)[0]
        text = f"split {copies}[*] "
    keys = [
        (
            f"{text}{'/'.join(scope) or '.'} #{number}",
            linen_key(root, (*scope, number), separator=model.separator),
        )
        for number in range(1, 3 * n_siblings + SPARE_DRAWS + 1)
    ]
    if not copies:
        counted = _nnx_keys(model.seed, 2 * len(model.leaves) + SPARE_DRAWS)
        keys += [(f"#{number}", key) for number, key in enumerate(counted)]
    return keys


@functools.lru_cache(maxsize=4)
def _nnx_keys(seed: int, n_draws: int) -> tuple[Key, ...]:
    return tuple(nnx_key({"default": seed}, "params", number) for number in range(n_draws))
