"""From a case to its verdict: observe, compare with the golden, check, consult the ledger.

Observing touches devices; judging is pure, so a recording made elsewhere is judged by `judge`
alone.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
from collections.abc import Iterable, Iterator
from typing import Protocol

from conformance.catalogue import Catalogue, InitializerSpec
from conformance.checks import default_checks
from conformance.checks.base import Check, Evidence
from conformance.checks.budget import Budgets, budget_for
from conformance.definition import (
    NominalMoments,
    expected_error,
    nominal_moments,
)
from conformance.drift import DEFAULT_BUDGET, classify, first_differing_stage
from conformance.golden import Entry
from conformance.ledger import Ledger, Limitation, apply
from conformance.model import (
    MACHINE,
    Budget,
    Case,
    CaseResult,
    CheckResult,
    Drift,
    DriftClass,
    Observation,
    Outcome,
    Raised,
    Returned,
    Status,
)
from conformance.observer import Observer
from conformance.recording import machine_fault


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How much drift passes. Every class beyond `max_drift` fails.

    golden_option: how commands name the set in use; see `golden.golden_option`.
    """

    max_drift: DriftClass = DriftClass.ROUNDING
    golden_option: str = ""


class Goldens(Protocol):
    """Where the accepted outcomes come from: a `golden.Store`."""

    def golden(self, problem_id: str, backend: str) -> Entry | None:
        """Return what a backend must return for a problem, or None."""

    def made_on(self, problem_id: str, backend: str) -> str:
        """Return the backend that made it."""


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

    def run(self, cases: Iterable[Case]) -> Iterator[CaseResult]:
        """Yield the verdict on each case, in order."""
        for case in cases:
            yield self.evaluate(case)

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
        if machine_fault(observation.outcome):
            return unjudged(observation)
        case = observation.case
        spec = self._catalogue.lookup(case.problem.initializer)
        budget = budget_for(spec, case, self._budgets)
        evidence = Evidence(
            spec=spec,
            observation=observation,
            drift=self._drift(observation, spec, budget),
            budget=budget,
        )
        results = tuple(check(evidence) for check in self._checks)
        entries = self._limitations(case, spec, jax_version or installed_jax())
        return verdict(observation, apply(entries, observation, results), evidence.drift, entries)

    def _drift(
        self, observation: Observation, spec: InitializerSpec, budget: Budget
    ) -> Drift | None:
        """Return the drift from the golden, with its first cause where both sides have stages.

        What made the golden errs too: the two may lie apart by the sum of their budgets.
        """
        case = observation.case
        golden = self._goldens.golden(case.problem.id, case.backend) if self._goldens else None
        if self._goldens is None or golden is None:
            return None
        maker = self._goldens.made_on(case.problem.id, case.backend)
        made = budget_for(spec, dataclasses.replace(case, backend=maker), self._budgets)
        drift = compare(observation.outcome, golden.outcome, spec, budget.plus(made))
        if drift.drift_class is DriftClass.IDENTICAL:
            return drift
        stage = first_differing_stage(observation.stages, golden.stages)
        return dataclasses.replace(drift, stage=stage)

    def _limitations(
        self, case: Case, spec: InitializerSpec, jax_version: str
    ) -> tuple[Limitation, ...]:
        if expected_error(spec.definition, case.problem.shape, case.problem.dtype):
            return ()
        return self._ledger.matching(case, jax_version)


def unjudged(observation: Observation) -> CaseResult:
    """Return the result of a case that the machine failed: no success, and no word on the array."""
    outcome = observation.outcome
    assert isinstance(outcome, Raised)
    found = f"{outcome.exception}: {outcome.message}".partition("\n")[0]
    message = (
        f"the machine failed {observation.case.id}, so nothing is known about the initializer: "
        f"{found}\n  free memory (fewer workers share a device) or restore the device, then run it "
        "again"
    )
    check = CheckResult(check=MACHINE, status=Status.FAILED, message=message)
    return CaseResult(observation=observation, status=Status.FAILED, checks=(check,))


def verdict(
    observation: Observation,
    results: tuple[CheckResult, ...],
    drift: Drift | None,
    entries: tuple[Limitation, ...],
) -> CaseResult:
    """Return the case's result: failed if any check failed, limited if only announced ones did."""
    statuses = {result.status for result in results}
    worst = next(
        (status for status in (Status.FAILED, Status.LIMITED) if status in statuses), Status.PASSED
    )
    return CaseResult(
        observation=observation,
        status=worst,
        checks=results,
        drift=drift,
        limitation=entries[0].id if entries and worst is not Status.PASSED else None,
    )


def compare(
    actual: Outcome, expected: Outcome, spec: InitializerSpec, budget: Budget = DEFAULT_BUDGET
) -> Drift:
    """Return how `actual` lies to `expected`, judged by the spec's law.

    budget: how far apart two correct results may lie.
    """
    return classify(actual, expected, moments=law_of(spec, expected), budget=budget)


def law_of(spec: InitializerSpec, outcome: Outcome) -> NominalMoments | None:
    """Return the nominal moments for an outcome's shape, or None where the spec states no law."""
    if not isinstance(outcome, Returned) or spec.definition is None:
        return None
    if expected_error(spec.definition, outcome.shape, outcome.dtype):
        return None
    is_complex = outcome.dtype.startswith("complex")
    return nominal_moments(spec.definition, outcome.shape, is_complex=is_complex)


@functools.cache
def installed_jax() -> str:
    """Return the version of the installed JAX."""
    return importlib.metadata.version("jax")
