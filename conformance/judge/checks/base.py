"""What a check is given and what it gives back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from conformance.cases.catalogue import InitializerSpec
from conformance.core.laws import Definition, expected_error
from conformance.core.records import (
    Budget,
    CheckResult,
    Drift,
    Observation,
    Raised,
    Remedy,
    Returned,
    Status,
)
from conformance.oracle.threefry import Key


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that a check may look at: pure data about one observed case.

    drift: how the observation lies to the golden; None without a golden.
    budget: how far a correct result may lie from the exact one on this backend, in this dtype.
    key: of the draw, where it is not that of the problem's seed.
    """

    spec: InitializerSpec
    observation: Observation
    drift: Drift | None
    budget: Budget
    key: Key | None = None


Check = Callable[[Evidence], CheckResult]


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


def passed(check: str, metrics: Mapping[str, float] | None = None) -> CheckResult:
    """Return a pass."""
    return CheckResult(check=check, status=Status.PASSED, metrics=metrics or {})


def failed(
    check: str,
    message: str,
    metrics: Mapping[str, float] | None = None,
    remedy: Remedy | None = None,
) -> CheckResult:
    """Return a failure that `message` explains."""
    return CheckResult(
        check=check,
        status=Status.FAILED,
        message=message,
        metrics=metrics or {},
        remedy=remedy,
    )


def not_applicable(check: str) -> CheckResult:
    """Return the result of a check that has nothing to say about this case."""
    return CheckResult(check=check, status=Status.NOT_APPLICABLE)
