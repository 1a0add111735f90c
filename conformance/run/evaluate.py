"""From a case to its verdict: observe it, look up its golden, judge."""

from __future__ import annotations

from conformance.cases.catalogue import Catalogue, InitializerSpec
from conformance.core.ids import Case
from conformance.core.records import CaseResult, DriftClass, Observation, Outcome, Raised, Returned
from conformance.core.settings import installed_jax
from conformance.judge.budgets import Budgets
from conformance.judge.checks.base import Check
from conformance.judge.ledger import Ledger
from conformance.judge.rules import default_checks
from conformance.judge.verdict import Golden, Goldens, judge
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
        max_drift: DriftClass = DriftClass.ROUNDING,
    ) -> None:
        self._catalogue = catalogue
        self._goldens = goldens
        self._budgets = budgets
        self._ledger = ledger
        self._checks: tuple[Check, ...] = default_checks(max_drift)
        self._observer = Observer()

    def evaluate(self, case: Case) -> CaseResult:
        """Observe the case on its backend, look up its golden, and judge.

        Stages are looked into where the outcome is not the golden's: they say what differs first.

        Raises:
            BackendUnavailable: the backend has no device in this process.
        """
        spec = self._catalogue.lookup(case.problem.initializer)
        observation = self._observer.observe(case, spec)
        golden = self._golden(case)
        if golden is None or not is_as_before(observation.outcome, golden.outcome):
            observation = self._observer.in_full(observation, spec)
        return self._judged(observation, spec, golden, installed_jax())

    def judge(self, observation: Observation, jax_version: str | None = None) -> CaseResult:
        """Return the verdict on an observation that was made elsewhere.

        jax_version: of the recording's environment; None means the installed one.
        """
        spec = self._catalogue.lookup(observation.case.problem.initializer)
        golden = self._golden(observation.case)
        return self._judged(observation, spec, golden, jax_version or installed_jax())

    def _judged(
        self,
        observation: Observation,
        spec: InitializerSpec,
        golden: Golden | None,
        jax_version: str,
    ) -> CaseResult:
        return judge(
            observation,
            spec=spec,
            golden=golden,
            budgets=self._budgets,
            ledger=self._ledger,
            checks=self._checks,
            jax_version=jax_version,
        )

    def _golden(self, case: Case) -> Golden | None:
        if self._goldens is None:
            return None
        entry = self._goldens.golden(case.problem.id, case.backend)
        return None if entry is None else Golden.of(entry)


def is_as_before(actual: Outcome, expected: Outcome) -> bool:
    """Return whether an array has the same bits, or an exception the same type."""
    if isinstance(actual, Returned) and isinstance(expected, Returned):
        one, two = ((side.dtype, side.shape, side.sha256) for side in (actual, expected))
        return one == two
    if isinstance(actual, Raised) and isinstance(expected, Raised):
        return actual.exception == expected.exception
    return False
