"""What the oracle knows of two arrays of which one is kept in part, or which two devices made."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable

from conformance.core.arrays import as_dtype, moments_of, returned
from conformance.core.formats import fusings
from conformance.core.ids import Problem
from conformance.core.laws import Definition, NominalMoments
from conformance.core.records import Budget, Drift, DriftClass, Returned
from conformance.judge.checks.oracle import (
    Deviation,
    answers,
    deviation,
    is_rounding,
    references,
)
from conformance.judge.drift import classify, classify_kept, moments_moved
from conformance.oracle import OracleUnavailable, Solution, solve
from conformance.oracle.threefry import Key


def witnessed(
    actual: Returned,
    expected: Returned,
    definition: Definition,
    problem: Problem,
    moments: NominalMoments,
    *,
    budget: Budget,
    key: Key | None = None,
) -> Drift | None:
    """Return by all elements how two arrays lie of which one keeps a sample.

    Where the oracle returns the very bits of which the digest is kept, it stands for them. Else all
    elements of the first side are held to the definition, and of the second those that are kept,
    and the moments of all: if these are as defined, the change is what the first departs by.

    None where that cannot be told: the oracle has no answer, both sides keep a sample, or the first
    does and is not what the oracle returns, or what the second keeps is not as defined.
    """
    if actual.is_whole == expected.is_whole:
        return None
    known = answers(definition, problem, key=key, is_compiled=True)
    # Each solves the problem anew: what one of these has asked for is kept for the others.
    solutions, again, once_more = itertools.tee(known, 3)
    part = expected if actual.is_whole else actual
    try:
        rebuilt = _rebuilt(part, solutions)
        if rebuilt is not None:
            sides = (actual, rebuilt) if part is expected else (rebuilt, expected)
            return classify(*sides, moments=moments, budget=budget)
        if part is actual:
            return None
        mine = deviation(actual, again, moments, budget=budget)
        theirs = deviation(expected, once_more, moments, budget=budget)
    except OracleUnavailable:
        return None
    if not _is_as_defined(expected, theirs, moments):
        return None
    if not is_rounding(mine):
        drift = mine.comparison.drift
        detail = f"from the definition, which the other side is: {drift.detail}"
        return dataclasses.replace(drift, detail=detail)
    detail = "every element is as defined; so are those of the other side that are kept"
    kept = classify_kept(actual, expected, moments=moments, budget=budget)
    return dataclasses.replace(kept, drift_class=DriftClass.ROUNDING, scale=None, detail=detail)


def is_fused_otherwise(
    actual: Returned,
    expected: Returned,
    definition: Definition,
    problem: Problem,
    moments: NominalMoments,
    *,
    budgets: tuple[Budget, Budget],
    key: Key | None = None,
) -> bool:
    """Return whether both arrays are JAX's own sequence, but one device fused multiply-adds.

    Where a quantile is steep, as beyond 3 sigma, the one rounding between them is many ULP of it.
    budgets: of the kernels that made either.
    """
    try:
        known = [
            solve(problem, definition, key=key, fused=fused).followed
            for fused in fusings(problem.dtype)
        ]
    except OracleUnavailable:
        return False

    def fits(side: Returned, budget: Budget) -> list[bool]:
        return [
            followed is not None
            and is_rounding(classify_kept(side, returned(followed), moments=moments, budget=budget))
            for followed in known
        ]

    (one, two), (other, another) = map(fits, (actual, expected), budgets)
    return (one and another) or (two and other)


def _rebuilt(part: Returned, solutions: Iterable[Solution]) -> Returned | None:
    """Return the array of which the part keeps a sample, if it is one that the oracle returns."""
    for solution in solutions:
        for reference in references(solution):
            if (found := returned(reference)).sha256 == part.sha256:
                return found
    return None


def _is_as_defined(part: Returned, found: Deviation, moments: NominalMoments) -> bool:
    """Return whether all that is kept of an array is: elements, and the moments of the whole."""
    defined, sigma = moments_of(found.reference), math.sqrt(moments.variance)
    if not is_rounding(found) or part.moments.nonfinite != defined.nonfinite:
        return False
    return not moments_moved(part.moments, defined, sigma, as_dtype(part.dtype))
