"""The golden's word: as before, or what kind of change, and is that kind allowed?"""

from __future__ import annotations

from conformance.cases.catalogue import InitializerSpec
from conformance.cases.planes import tier_of
from conformance.core.ids import Problem
from conformance.core.records import CheckResult, Drift, DriftClass, Remedy, Yardstick
from conformance.judge.checks.base import Check, Evidence, failed, passed
from conformance.judge.checks.matrices import SIDES
from conformance.judge.checks.oracle import whole_of
from conformance.judge.drift import explain

VALUES = "values"


def values_check(max_drift: DriftClass) -> Check:
    """Return the check that lets drift up to `max_drift` pass.

    A problem without a golden fails: nothing passes by being absent.
    """

    def check_values(evidence: Evidence) -> CheckResult:
        drift, case = evidence.drift, evidence.observation.case
        if drift is None:
            return _without_golden(case.problem, evidence.spec)
        metrics = {"n_different": float(drift.n_different)}
        if drift.drift_class.rank <= max_drift.rank:
            return passed(VALUES, metrics)
        if drift.drift_class is DriftClass.UNKNOWN:
            return failed(VALUES, explain(drift, case.id), metrics, whole_of(case))
        fault = _fault_of_golden(drift)
        if not fault:
            return failed(VALUES, explain(drift, case.id), metrics)
        head = f"the golden of {case.problem.id} is wrong, and {case.id} is right: {fault}."
        remedy = _another_golden(case.problem, evidence.spec)
        return failed(VALUES, f"{head}\n{explain(drift, case.id)}", metrics, remedy)

    return check_values


def _fault_of_golden(drift: Drift) -> str:
    """Return what is wrong with the golden, where only that is; else ""."""
    if not drift.detail.startswith(SIDES["expected"]):
        return ""
    return drift.detail.removeprefix(SIDES["expected"]).partition("; ")[0]


def _without_golden(problem: Problem, spec: InitializerSpec) -> CheckResult:
    if tier_of(problem, spec) is None:
        return failed(
            VALUES,
            f"no golden is stored for {problem.id}, and none can be, since no tier asks for it: "
            "`conformance list --problems --tier full` lists what tiers ask for. What the other "
            "checks say of it holds",
        )
    text = f"no golden is stored for {problem.id}"
    return failed(VALUES, text, remedy=_another_golden(problem, spec))


def _another_golden(problem: Problem, spec: InitializerSpec) -> Remedy:
    return Remedy(
        yardstick=Yardstick.GOLDEN,
        initializer=problem.initializer,
        tier=tier_of(problem, spec) or "",
    )
