"""From a case to its verdict: observe it, look up its golden, judge."""

from __future__ import annotations

from conformance.cases.catalogue import Catalogue
from conformance.core.ids import Case
from conformance.core.records import CaseResult, DriftClass, Observation, Status
from conformance.core.settings import installed_jax
from conformance.judge.budgets import Budgets
from conformance.judge.checks import default_checks
from conformance.judge.checks.base import Check
from conformance.judge.ledger import Ledger
from conformance.judge.verdict import Golden, Goldens, Policy, judge
from conformance.observe.observer import Observer


class Engine:
    """Evaluates cases against one catalogue, one golden store and one ledger."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        goldens: Goldens | None,
        ledger: Ledger,
        budgets: Budgets | None = None,
        policy: Policy | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._goldens = goldens
        self._budgets = budgets
        self._ledger = ledger
        policy = policy or Policy()
        self._checks: tuple[Check, ...] = default_checks(policy.max_drift, policy.golden_option)
        self._observer = Observer(catalogue)

    def evaluate(self, case: Case) -> CaseResult:
        """Observe the case on its backend and judge it; look into the stages if something differs.

        Raises:
            BackendUnavailable: the backend has no device in this process.
        """
        observation = self._observer.observe(case)
        result = self.judge(observation)
        has_drifted = result.drift and result.drift.drift_class is not DriftClass.IDENTICAL
        if result.status is not Status.FAILED and not has_drifted:
            return result
        return self.judge(self._observer.with_stages(observation))

    def judge(self, observation: Observation, jax_version: str | None = None) -> CaseResult:
        """Return the verdict on an observation, made here or read from a recording.

        jax_version: of the recording's environment; None means the installed one.
        """
        case = observation.case
        return judge(
            observation,
            spec=self._catalogue.lookup(case.problem.initializer),
            golden=self._golden(case),
            budgets=self._budgets,
            ledger=self._ledger,
            checks=self._checks,
            jax_version=jax_version or installed_jax(),
        )

    def _golden(self, case: Case) -> Golden | None:
        if self._goldens is None:
            return None
        entry = self._goldens.golden(case.problem.id, case.backend)
        if entry is None:
            return None
        maker = self._goldens.made_on(case.problem.id, case.backend)
        return Golden(outcome=entry.outcome, maker=maker, stages=entry.stages)
