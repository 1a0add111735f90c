"""The golden's word: as before, or what kind of change, and is that kind allowed?"""

from __future__ import annotations

from conformance.checks.base import Check, Evidence, failed, passed
from conformance.drift import explain
from conformance.model import CheckResult, DriftClass

VALUES = "values"


def values_check(max_drift: DriftClass) -> Check:
    """Return the check that lets drift up to `max_drift` pass.

    A problem without a golden fails: nothing passes by being absent.
    """

    def check_values(evidence: Evidence) -> CheckResult:
        drift, case = evidence.drift, evidence.observation.case
        if drift is None:
            return failed(VALUES, _missing(case.problem.id))
        metrics = {"n_different": float(drift.n_different)}
        if drift.drift_class.rank <= max_drift.rank:
            return passed(VALUES, metrics)
        return failed(VALUES, explain(drift, case.id), metrics)

    return check_values


def _missing(problem_id: str) -> str:
    initializer = problem_id.partition("-")[0]
    return (
        f"no golden is stored for {problem_id}: record one with "
        f"`conformance goldens stage --initializer {initializer} --reason '...'` "
        "and review what it stages"
    )
