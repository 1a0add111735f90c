"""The decision: up to three looks at disjoint draws, each with its share of the error budget."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterable, Sequence

from conformance.core.ids import Problem
from conformance.judge.alpha import STATISTICS
from conformance.judge.statistics.finding import Finding, Test
from conformance.judge.statistics.haar import Matrices
from conformance.judge.statistics.sample import Sample

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
    sizes = [n_draws]
    while len(sizes) < LOOKS and sizes[-1] * size < ENOUGH:
        sizes.append(GROWTH * sizes[-1])
    return sizes


def look_seeds(problem: Problem, fresh: int = 0) -> list[list[int]]:
    """Return the seeds of each look, the problem's own first, in pairs that differ in one bit.

    They follow from the problem, so that equal inputs give equal verdicts. fresh: another number
    gives other seeds, for those who run the same every night.
    """
    seeds: dict[int, None] = {problem.seed: None}
    looks, start = [], 0
    for look, count in enumerate(look_sizes(math.prod(problem.shape))):
        number = 0
        while len(seeds) < start + count:
            if len(seeds) % 2:  # the partner of the last
                bit = 1 << (len(seeds) // 2) % 32
                seeds[list(seeds)[-1] ^ bit] = None
                continue
            text = f"{problem.id} look {look} draw {number} fresh {fresh}"
            digest = hashlib.sha256(text.encode()).digest()
            seeds[int.from_bytes(digest[:4], "big")] = None
            number += 1
        looks.append(list(seeds)[start:])
        start = len(seeds)
    return looks


def decide(looks: Iterable[Sample | Matrices], tests: Sequence[Test]) -> Decision:
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


def _look(number: int, sample: Sample | Matrices, tests: Sequence[Test]) -> Decision:
    measured = ((test, test.measure(sample)) for test in tests)
    found = tuple((test, finding) for test, finding in measured if finding is not None)
    return Decision(
        look=number,
        n_draws=sample.n_draws,
        size=sample.size,
        found=found,
        refused=tuple(each for each in found if each[1].p_value < STATISTICS.alpha),
    )
