"""The verdict on one sweep, and what it says for budgets."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable

import numpy as np

from conformance.core.arrays import SAMPLE_SIZE
from conformance.core.errors import UnfitForBudget
from conformance.core.ids import Case
from conformance.core.lattice import Point
from conformance.core.machine import machine_fault
from conformance.core.records import (
    MACHINE,
    CaseResult,
    Moments,
    Observation,
    Raised,
    Returned,
    Status,
)
from conformance.judge.checks.base import failed
from conformance.judge.law.accuracy import LawEvidence
from conformance.judge.law.checks import ACCURACY, MEAN, NOMINAL, SWEEP, VARIANCE
from conformance.judge.ledger import Limitation, apply
from conformance.judge.verdict import unjudged, verdict


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LawResult:
    """The verdict on one sweep; `evidence` is None when there was nothing to look at."""

    case: Case
    result: CaseResult
    evidence: LawEvidence | None

    @property
    def has_failed(self) -> bool:
        """Return whether a check failed."""
        return self.result.status is Status.FAILED

    @property
    def is_judged(self) -> bool:
        """Return whether there is a verdict; not where the machine failed the sweep."""
        return all(check.check != MACHINE for check in self.result.checks)

    @property
    def line(self) -> str:
        """Return the verdict with its figures, as in `passed: variance_error -2.02e-07, ...`."""
        figures = [
            f"{name} {value:.3g}"
            for check in self.result.checks
            for name, value in check.metrics.items()
        ]
        return f"{self.result.status.value}: {', '.join(figures)}"


def unswept(case: Case, error: Exception, entries: tuple[Limitation, ...]) -> CaseResult:
    """Return the result of an initializer that could not be swept."""
    cause = error.__cause__ or error
    raised = Raised(exception=type(cause).__name__, message=str(cause))
    if machine_fault(raised):
        return unjudged(observation_of(case, raised, "", 0.0))
    outcome = Raised(exception=type(error).__name__, message=str(error))
    observation = observation_of(case, outcome, "", 0.0)
    checks = apply(entries, observation, (failed(SWEEP, str(error)),))
    return verdict(observation, checks, None, entries)


def outcome_of(evidence: LawEvidence) -> Returned:
    """Return the record of the swept values: digest of all, a sample, and the exact moments."""
    values, exact = evidence.sweep.values, evidence.law
    stride = max(values.size // SAMPLE_SIZE - 1, 0) | 1
    return Returned(
        dtype=str(values.dtype),
        shape=values.shape,
        sha256=hashlib.sha256(np.ascontiguousarray(values).view(np.uint8)).hexdigest(),
        bits=values[::stride].tobytes(),
        stride=stride,
        moments=Moments(
            mean=exact.mean,
            variance=exact.variance,
            minimum=exact.minimum,
            maximum=exact.maximum,
            nonfinite=exact.n_nonfinite,
        ),
    )


def observation_of(
    case: Case, outcome: Returned | Raised, device: str, elapsed_s: float
) -> Observation:
    """Return a sweep as an observation."""
    return Observation(
        case=case, outcome=outcome, repeat_sha256=None, device=device, elapsed_s=elapsed_s
    )


# --- Budgets -------------------------------------------------------------------------------------
def require_fit(result: LawResult) -> LawResult:
    """Return the result, if its errors may become a budget.

    A failure that a ledger announces is explained.
    """
    for check in result.result.checks:
        if check.status is Status.FAILED and check.check != ACCURACY:
            raise UnfitForBudget(
                f"{result.case.id} sets no budget until this is explained:\n{check.message}\n"
                "  If it is known and stays, announce it in a --ledger: a [[limitation]] with "
                f'checks = ["{check.check}"] and prng = ["{result.case.problem.prng}"]'
            )
    return result


def worst_point(points: Iterable[Point | None]) -> Point | None:
    """Return the point of the largest error, or None where there is none."""
    return max((point for point in points if point), key=lambda point: point.ulp, default=None)


def limitation_of(group: list[LawResult]) -> str:
    """Return the ledger entry that excuses a wrong mean or variance, or ""; see `judge.law`."""
    for result in group:
        for check in result.result.checks:
            if check.check in (MEAN, VARIANCE, NOMINAL) and check.status is Status.LIMITED:
                return result.result.limitation or ""
    return ""
