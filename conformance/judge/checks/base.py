"""What a check is given and what it gives back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from conformance.cases.catalogue import InitializerSpec
from conformance.core.arrays import Array
from conformance.core.laws import Definition, expected_error
from conformance.core.records import (
    Budget,
    CheckResult,
    Drift,
    Observation,
    Raised,
    Remedy,
    Returned,
    Statistic,
    Status,
)
from conformance.oracle.threefry import Key


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that a check may look at: pure data about one observed case.

    drift: how the observation differs from the golden; None without a golden.
    budget: how far a correct result may lie from the exact one on this backend, in this dtype.
    key: of the draw, where it is not that of the problem's seed.
    looks: arrays of other keys, the case's own first, along a new first axis: one array for each
        look of a statistical decision. Empty where nobody drew more. fresh: see `look_keys`.
    """

    spec: InitializerSpec
    observation: Observation
    drift: Drift | None
    budget: Budget
    key: Key | None = None
    looks: tuple[Array, ...] = ()
    fresh: int = 0


E = TypeVar("E")
"""What a check is given: `Evidence` of a case, or that of a law."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Check(Generic[E]):
    """One check, called with evidence.

    name: what results, rows and the ledger call it. needs: without what it is not applicable, in
    words. judge: the function, which must give its results this name.
    """

    name: str
    needs: str
    judge: Callable[[E], CheckResult]

    def __call__(self, evidence: E) -> CheckResult:
        """Return what the check says of the evidence."""
        return self.judge(evidence)


Judge = Callable[[Evidence, Definition, Returned], CheckResult]

NOTHING = "nothing: every case has an outcome"
DEFINED = "a definition, and the array that was asked for"


def check(name: str, *, needs: str) -> Callable[[Callable[[E], CheckResult]], Check[E]]:
    """Return the decorator that makes a check of a function of the evidence."""
    return lambda judge: Check(name=name, needs=needs, judge=judge)


def check_of_defined(name: str) -> Callable[[Judge], Check[Evidence]]:
    """Return the decorator that makes a check of a function of the definition and the array.

    It is not applicable where either is missing; see `defined`.
    """

    def decorate(judge: Judge) -> Check[Evidence]:
        def guarded(evidence: Evidence) -> CheckResult:
            found = defined(evidence)
            return judge(evidence, *found) if found else not_applicable(name)

        return Check(name=name, needs=DEFINED, judge=guarded)

    return decorate


def defined(evidence: Evidence) -> tuple[Definition, Returned] | None:
    """Return the definition and the array, where one is wanted and came as asked; else None.

    Of an exception, a refusal that is missing, another dtype or shape, the contract check speaks.
    """
    problem, outcome = evidence.observation.case.problem, evidence.observation.outcome
    definition = evidence.spec.definition
    if definition is None or isinstance(outcome, Raised):
        return None
    if expected_error(definition, problem.shape, problem.dtype):
        return None
    if (outcome.dtype, outcome.shape) != (problem.dtype, problem.shape):
        return None
    return definition, outcome


def passed(
    check: str,
    metrics: Mapping[str, float] | None = None,
    statistic: Statistic | None = None,
) -> CheckResult:
    """Return a pass."""
    return CheckResult(
        check=check, status=Status.PASSED, metrics=metrics or {}, statistic=statistic
    )


def failed(
    check: str,
    message: str,
    metrics: Mapping[str, float] | None = None,
    remedy: Remedy | None = None,
    statistic: Statistic | None = None,
) -> CheckResult:
    """Return a failure that `message` explains."""
    return CheckResult(
        check=check,
        status=Status.FAILED,
        message=message,
        metrics=metrics or {},
        remedy=remedy,
        statistic=statistic,
    )


def not_applicable(check: str) -> CheckResult:
    """Return the result of a check that has nothing to say about this case."""
    return CheckResult(check=check, status=Status.NOT_APPLICABLE)
