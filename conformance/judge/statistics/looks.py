"""The decision: up to three looks at disjoint draws, each with its share of the error budget."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from conformance.core.ids import Problem
from conformance.core.keys import WORD_BITS, KeySpec
from conformance.judge.alpha import STATISTICS
from conformance.judge.statistics.circular import Circular
from conformance.judge.statistics.finding import Finding, Test
from conformance.judge.statistics.haar import Matrices
from conformance.judge.statistics.sample import Sample

Pair: TypeAlias = tuple[KeySpec, KeySpec]

LOOKS = 3
"""A decision's looks: n, 4 n and 16 n elements. `alpha.STATISTICS` counts each as a decision."""

GROWTH = 4

FIRST = 1 << 14
"""Elements that the first look is to have."""

FEWEST, MOST = 2, 8
"""Draws of the first look: two, to compare keys, and no more than take a few milliseconds."""

ENOUGH = 1 << 18
"""Elements of a look that leave nothing to the next. It sees for certain 4 % of the variance of a
normal and 0.025 sigma of its mean."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the last look found, and which tests refuse the draws.

    found: each test that applies, with its finding. refused: those of a p-value below the share.
    """

    look: int
    n_draws: int
    size: int
    found: tuple[tuple[Test, Finding], ...]
    refused: tuple[tuple[Test, Finding], ...]

    @property
    def least(self) -> tuple[Test, Finding] | None:
        """The test of the smallest p-value."""
        return min(self.found, key=lambda each: each[1].p_value, default=None)


def look_sizes(size: int) -> list[int]:
    """Return how many draws of `size` elements each look takes."""
    if not size:
        return []
    n_draws = min(MOST, max(FEWEST, math.ceil(FIRST / size)))
    sizes = [n_draws * GROWTH**look for look in range(LOOKS)]
    return sizes[: 1 + sum(count * size < ENOUGH for count in sizes)]


def look_keys(problem: Problem, fresh: int = 0, *, n_looks: int = LOOKS) -> list[list[KeySpec]]:
    """Return the keys of each look, the problem's own first, in pairs of kin; see `PAIRS`.

    They follow from the problem, so that equal inputs give equal verdicts. fresh: another number
    gives other keys, for those who run the same every night. n_looks: how many are wanted at most.
    """
    keys: dict[KeySpec, None] = {}
    looks, start, asked = [], 0, problem.id
    for look, count in enumerate(look_sizes(math.prod(problem.shape))[:n_looks]):
        number = 0
        while len(keys) < start + count:
            root = problem.key
            if keys:
                text = f"{asked} look {look} draw {number} fresh {fresh}"
                digest = hashlib.sha256(text.encode()).digest()
                root = KeySpec(seed=int.from_bytes(digest[:4], "big"))
                number += 1
            n_pairs = len(keys) // 2
            pair = PAIRS[n_pairs % len(PAIRS)](root, n_pairs // 2 % WORD_BITS)
            if keys.keys().isdisjoint(pair):
                keys.update(dict.fromkeys(pair))
        looks.append(list(keys)[start:])
        start = len(keys)
    return looks


def first_pair(problem: Problem) -> Pair:
    """Return the first two keys of `look_keys`: the problem's own, and its next of kin."""
    return PAIRS[0](problem.key, 0)


def _one_bit_apart(key: KeySpec, bit: int) -> Pair:
    if key.words:
        *high, low = key.words
        return key, dataclasses.replace(key, words=(*high, low ^ 1 << bit))
    return key, dataclasses.replace(key, seed=key.seed ^ 1 << bit)


def _siblings_of_split(key: KeySpec, _: int) -> Pair:
    return key.split(2, 0), key.split(2, 1)


def _parent_and_child(key: KeySpec, _: int) -> Pair:
    return key, key.split(2, 0)


def _siblings_of_fold_in(key: KeySpec, _: int) -> Pair:
    return key.fold_in(0), key.fold_in(1)


PAIRS = (
    _one_bit_apart,
    _siblings_of_split,
    _one_bit_apart,
    _parent_and_child,
    _one_bit_apart,
    _siblings_of_fold_in,
)
"""How the keys of a pair are kin, (key, bit) -> both, one pair after the other: every second one
differs in one bit, of the seed or the last word. Each pair has a root of its own, since one key may
be made in two ways: `fold_in(key, 0)` is `split(key, 2)[0]` where JAX numbers children so."""


def decide(looks: Iterable[Sample | Circular | Matrices], tests: Sequence[Test]) -> Decision:
    """Return what the looks come to: the first that refuses its draws decides, or the last.

    looks: each the draws of its own keys; one at least.
    """
    decision = None
    for number, sample in enumerate(looks, start=1):
        decision = _look(number, sample, tests)
        if decision.refused:
            break
    assert decision is not None
    return decision


def _look(number: int, sample: Sample | Circular | Matrices, tests: Sequence[Test]) -> Decision:
    measured = ((test, test.measure(sample)) for test in tests)
    found = tuple((test, finding) for test, finding in measured if finding is not None)
    return Decision(
        look=number,
        n_draws=sample.n_draws,
        size=sample.size,
        found=found,
        refused=tuple(each for each in found if each[1].p_value < STATISTICS.alpha),
    )
