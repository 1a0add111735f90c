"""Are the elements drawn one by one? What neither a law nor a golden shows where no oracle answers.

A draw that two elements share, a half that repeats the other, a row that repeats the one above:
each leaves more equal pairs at a fixed distance than independent elements have by chance.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from conformance.core.arrays import Array, whole
from conformance.core.laws import Constant, Declared, Definition, DeltaOrthogonal
from conformance.core.records import CheckResult, Returned
from conformance.judge.checks.base import (
    Evidence,
    check_of_defined,
    failed,
    not_applicable,
    passed,
)
from conformance.judge.checks.moments import bernstein_bound

INDEPENDENCE = "independence"

FEWEST_PAIRS = 32
"""Least number of pairs to judge by: fewer may all be equal by chance in 8 bits."""


@check_of_defined(INDEPENDENCE)
def check_independence(
    evidence: Evidence, definition: Definition, outcome: Returned
) -> CheckResult:
    """Ensure that neighbours, and the halves of each axis, are not equal beyond chance.

    Chance is the sample's own: the share of equal pairs among all pairs, which small lattices make
    large. Not applicable to constants, to kernels that are mostly zero, to stored samples, and
    where the oracle says of every element what it must be.
    """
    problem = evidence.observation.case.problem
    if isinstance(definition, Constant | DeltaOrthogonal):
        return not_applicable(INDEPENDENCE)
    if problem.prng.startswith("threefry") and not isinstance(definition, Declared):
        return not_applicable(INDEPENDENCE)
    if outcome.stride != 1 or outcome.moments.nonfinite:
        return not_applicable(INDEPENDENCE)
    array = whole(outcome)
    shares = list(_shares(array))
    if not shares:
        return passed(INDEPENDENCE)
    chance = _chance_of_equality(array)
    for axis, lag, share, n_pairs in shares:
        if share > chance + bernstein_bound(n_pairs, chance * (1 - chance), 1.0):
            return failed(
                INDEPENDENCE,
                f"{evidence.observation.case.id}: {share:.3g} of the elements equal the one {lag} "
                f"further along axis {axis}, {chance:.3g} would by chance: draws are shared, or a "
                "part is a copy of another",
            )
    return passed(INDEPENDENCE)


def _chance_of_equality(array: Array) -> float:
    """Return the share of equal pairs among all pairs of elements, of which there must be one."""
    _, counts = np.unique(array, return_counts=True)
    return float(np.sum(counts * (counts - 1.0)) / (array.size * (array.size - 1.0)))


def _shares(array: Array) -> Iterator[tuple[int, int, float, int]]:
    """Yield axis, distance, share of equal pairs at it, and their number, where they are enough."""
    for axis, size in enumerate(array.shape):
        lines = np.moveaxis(array, axis, 0)
        for lag in sorted({1, size // 2}):  # of distance 0 there are no pairs
            near, far = lines[:-lag], lines[lag:]
            if near.size >= FEWEST_PAIRS:
                yield axis, lag, float(np.mean(near == far)), near.size
