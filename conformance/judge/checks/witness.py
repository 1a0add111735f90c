"""What the oracle knows of an array of which a golden or a recording keeps some elements only."""

from __future__ import annotations

import dataclasses
import math

from conformance.core.arrays import as_dtype, moments_of, returned
from conformance.core.ids import Problem
from conformance.core.laws import Definition, NominalMoments
from conformance.core.records import Budget, Drift, DriftClass, Returned
from conformance.judge.checks.oracle import answers, deviation, is_rounding, references
from conformance.judge.drift import classify, classify_kept, moments_moved
from conformance.oracle import OracleUnavailable
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
    elements of the one side are held to the definition, and of the other those that are kept, and
    the moments of all: if these are as defined, the change is what the first side departs by.

    None where that cannot be told: both sides keep a sample, the oracle has no answer, or what is
    kept is not as defined.
    """
    if (actual.stride == 1) == (expected.stride == 1):
        return None
    whole, part = (actual, expected) if actual.stride == 1 else (expected, actual)
    try:
        rebuilt = _rebuilt(part, definition, problem, key)
        if rebuilt is not None:
            sides = (actual, rebuilt) if part is expected else (rebuilt, expected)
            return classify(*sides, moments=moments, budget=budget)
        return _by_definition(whole, part, definition, problem, moments, budget, key)
    except OracleUnavailable:
        return None


def _rebuilt(
    part: Returned, definition: Definition, problem: Problem, key: Key | None
) -> Returned | None:
    for solution in answers(definition, problem, key=key, is_compiled=True):
        for reference in references(solution):
            if (found := returned(reference)).sha256 == part.sha256:
                return found
    return None


def _by_definition(
    whole: Returned,
    part: Returned,
    definition: Definition,
    problem: Problem,
    moments: NominalMoments,
    budget: Budget,
    key: Key | None,
) -> Drift | None:
    mine, theirs = (
        deviation(side, definition, problem, budget=budget, key=key, is_compiled=True)
        for side in (whole, part)
    )
    defined, sigma = moments_of(theirs.reference), math.sqrt(moments.variance)
    dtype = as_dtype(part.dtype)
    if not is_rounding(theirs.drift) or part.moments.nonfinite != defined.nonfinite:
        return None
    if moments_moved(part.moments, defined, sigma, dtype):
        return None
    kept = classify_kept(whole, part, moments=moments, budget=budget)
    if is_rounding(mine.drift):
        detail = "every element is as defined; so are those of the other side that are kept"
        return dataclasses.replace(kept, drift_class=DriftClass.ROUNDING, scale=None, detail=detail)
    return dataclasses.replace(
        mine.drift,
        detail=f"from the definition, which the other side is: {mine.drift.detail}",
    )
