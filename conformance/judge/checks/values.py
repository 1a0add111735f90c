"""The golden's word: as before, or what kind of change, and is that kind allowed?"""

from __future__ import annotations

from conformance.cases.catalogue import InitializerSpec
from conformance.cases.planes import tier_of
from conformance.core.ids import Problem
from conformance.core.records import VALUES, CheckResult, Drift, DriftClass, Remedy, Yardstick
from conformance.judge.checks.base import (
    Check,
    Evidence,
    check,
    failed,
    not_applicable,
    passed,
)
from conformance.judge.checks.matrices import SIDES
from conformance.judge.checks.oracle import is_warning, whole_of
from conformance.judge.drift import explain


def values_check(max_drift: DriftClass) -> Check[Evidence]:
    """Return the check that lets drift up to `max_drift` pass.

    A problem without a golden fails: nothing passes by being absent.
    """

    @check(VALUES, needs="a golden; a problem that no tier holds may go without")
    def check_values(evidence: Evidence) -> CheckResult:
        drift, case = evidence.drift, evidence.observation.case
        if drift is None:
            return _without_golden(case.problem, evidence.spec)
        metrics = {"n_different": float(drift.n_different)}
        is_told = is_warning(drift, case) and max_drift is not DriftClass.IDENTICAL
        if drift.drift_class.rank <= max_drift.rank or is_told:
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
    """Return a failure; but for a problem that no tier holds, and whose definition judges it."""
    text = f"no golden is stored for {problem.id}"
    if tier_of(problem, spec) is None:
        if spec.definition is not None:
            return not_applicable(VALUES)
        text += (
            f", no tier asks for it, and {spec.name} states no definition: nothing says what it "
            "must return. Register it with a definition, or stage a golden of your own"
        )
        return failed(VALUES, text)
    return failed(VALUES, text, remedy=_another_golden(problem, spec))


def _another_golden(problem: Problem, spec: InitializerSpec) -> Remedy:
    return Remedy(
        yardstick=Yardstick.GOLDEN,
        initializer=problem.initializer,
        tier=tier_of(problem, spec) or "",
    )
