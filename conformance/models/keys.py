"""The keys of formulas: their words, how they are named, and who shares them."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from conformance.core.arrays import Array
from conformance.core.keys import FOLD
from conformance.models.formula import Complexed, Drawn, Formula, Joined, Key, Placed
from conformance.oracle import fold_in, linen_fold, seed_key, split
from conformance.oracle.threefry import Key as Words

THREEFRY = "fry"
"""What JAX calls the generator whose words are known without JAX."""

SPARE_DRAWS = 8
"""How many more keys than it has parameters a scope may have drawn."""

MOST_COMPARED = 1 << 22
"""Elements of two parts of one draw that are compared place by place."""


def draws_of(formula: Formula | None) -> Iterator[Drawn]:
    """Yield what is drawn for a formula, part by part."""
    match formula:
        case Drawn():
            yield formula
        case Placed(part=drawn):
            yield drawn
        case Complexed(parts=both):
            yield from both
        case Joined(parts=parts):
            for part in parts:
                yield from draws_of(part)


def keys_of(formula: Formula | None) -> list[Key]:
    """Return the keys that draw, in order."""
    return [key for drawn in draws_of(formula) for key in drawn.keys.reshape(-1)]


@functools.lru_cache(maxsize=1 << 16)
def words_of(key: Key, root: str, seed: int, partitionable: bool) -> tuple[int, int] | None:
    """Return the two words of a key, where it is one of Threefry's and its root is known.

    root: what the key of the seed is called.
    """
    if key.prng != THREEFRY:
        return None
    if not key.steps:
        return _root_words(key.root, root, seed)
    *before, step = key.steps
    parent = words_of(Key(key.root, key.prng, tuple(before)), root, seed, partitionable)
    if parent is None:
        return None
    words = np.array(parent, np.uint32)
    if step.name == FOLD:
        return _pair(fold_in(words, step.number))
    return _pair(split(words, step.number, partitionable=partitionable)[step.index])


def _pair(words: Words) -> tuple[int, int]:
    return int(words[0]), int(words[1])


def _root_words(text: str, root: str, seed: int) -> tuple[int, int] | None:
    kind, _, rest = text.partition(" ")
    if text == root:
        return _pair(seed_key(seed))
    if kind == "seed":
        return _pair(seed_key(int(rest)))
    if kind == "words" and len(rest.split()) == 2:
        high, low = (int(word, 16) for word in rest.split())
        return high, low
    return None


def scopes(paths: Iterable[str], *, separator: bool) -> Mapping[int, str]:
    """Return what linen folds into the key of each draw, with its name: `block/Dense_0 #1`."""
    sizes: dict[tuple[str, ...], int] = {}
    for path in paths:
        parts = tuple(path.split("."))[:-1]
        for length in range(len(parts) + 1):
            sizes[parts[:length]] = sizes.get(parts[:length], 0) + 1
    return {
        linen_fold((*scope, number), separator=separator): f"{'/'.join(scope) or '.'} #{number}"
        for scope, size in sizes.items()
        for number in range(1, 3 * size + SPARE_DRAWS + 1)
    }


def label(keys: Sequence[Key], root: str, names: Mapping[int, str]) -> str:
    """Return how keys are made, where they differ by an index with `*`: `split 3[*] block #1`."""
    if not keys:
        return ""
    first = keys[0]
    texts = [] if first.root == root else [first.root]
    for place, step in enumerate(first.steps):
        if step.name == FOLD:
            texts.append(names.get(step.number, f"#{step.number}"))
            continue
        others = {key.steps[place].index for key in keys if len(key.steps) > place}
        texts.append(f"split {step.number}[{step.index if len(others) == 1 else '*'}]")
    return " ".join(texts) or "."


def do_overlap(first: Formula, second: Formula) -> bool:
    """Return whether two formulas that share a key share a word of it, for all that is known."""
    if not (isinstance(first, Drawn) and isinstance(second, Drawn)):
        return True
    same = ("drawn_shape", "width")
    if any(getattr(first, name) != getattr(second, name) for name in same):
        return True
    if first.keys.shape != second.keys.shape or (first.keys != second.keys).any():
        return True
    if drawn_size(first) > MOST_COMPARED:
        return True
    return bool(np.intersect1d(places(first), places(second)).size)


def drawn_size(drawn: Drawn) -> int:
    """Return how many elements all keys draw."""
    return int(drawn.keys.size) * math.prod(drawn.drawn_shape)


def places(drawn: Drawn) -> Array:
    """Return which drawn element each element of the result is."""
    shape = (*drawn.keys.shape, *drawn.drawn_shape)
    numbers: Array = np.arange(drawn_size(drawn)).reshape(shape)
    for move in drawn.moves:
        numbers = move.apply(numbers)
    return numbers


def n_copies(formula: Formula | None) -> int:
    """Return how often each drawn element is in the array: 1 where none is repeated."""
    keys = keys_of(formula)
    if not keys:
        return 1
    copies = len(keys) // len(set(keys)) if len(keys) % len(set(keys)) == 0 else 1
    for drawn in draws_of(formula):
        size = drawn_size(drawn)
        for move in drawn.moves:
            after = math.prod(move.shape)
            if move.name == "broadcast_in_dim" and size and after > size:
                return copies * (after // size)
            size = after
    return copies
