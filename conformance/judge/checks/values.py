"""The golden's word: as before, or what kind of change, and is that kind allowed?"""

from __future__ import annotations

from conformance.cases.catalogue import InitializerSpec
from conformance.cases.planes import tier_of
from conformance.core.ids import Case, Problem, Tier
from conformance.core.records import CheckResult, Drift, DriftClass
from conformance.judge.checks.base import Check, Evidence, failed, passed
from conformance.judge.checks.matrices import SIDES
from conformance.judge.drift import explain

VALUES = "values"


def values_check(max_drift: DriftClass, golden_option: str = "") -> Check:
    """Return the check that lets drift up to `max_drift` pass.

    A problem without a golden fails: nothing passes by being absent. golden_option: how commands
    name the set in use; see `golden.golden_option`.
    """

    def check_values(evidence: Evidence) -> CheckResult:
        drift, case = evidence.drift, evidence.observation.case
        if drift is None:
            return failed(VALUES, _missing(case.problem, evidence.spec, golden_option))
        metrics = {"n_different": float(drift.n_different)}
        if drift.drift_class.rank <= max_drift.rank:
            return passed(VALUES, metrics)
        text = _of_wrong_golden(drift, case, golden_option) + explain(drift, case.id)
        return failed(VALUES, text, metrics)

    return check_values


def _of_wrong_golden(drift: Drift, case: Case, golden_option: str) -> str:
    """Return a line that names the golden as what is wrong, where only that is; else ""."""
    if not drift.detail.startswith(SIDES["expected"]):
        return ""
    fault = drift.detail.removeprefix(SIDES["expected"]).partition("; ")[0]
    return (
        f"the golden of {case.problem.id} is wrong, and {case.id} is right: {fault}. Look at how "
        "it came about, and stage another with `conformance goldens stage --initializer "
        f"{case.problem.initializer}{golden_option} --reason '...'`\n"
    )


def _missing(problem: Problem, spec: InitializerSpec, golden_option: str) -> str:
    tier = tier_of(problem, spec)
    if tier is None:
        return (
            f"no golden is stored for {problem.id}, and none can be, since no tier asks for it: "
            "`conformance list --problems --tier full` lists what tiers ask for. What the other "
            "checks say of it holds"
        )
    larger = " --tier full" if tier is Tier.FULL else ""
    return (
        f"no golden is stored for {problem.id}: record one with `conformance goldens stage "
        f"--initializer {problem.initializer}{larger}{golden_option} --reason '...'` "
        "and review what it stages"
    )
