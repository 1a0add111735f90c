"""From a case to its verdict: observe, compare with the golden, check, consult the ledger.

Observing touches devices; judging is pure, so a recording made elsewhere is judged by `judge`
alone.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from conformance.catalogue import Catalogue, InitializerSpec
from conformance.checks import default_checks
from conformance.checks.base import Check, Evidence
from conformance.checks.budget import Budgets, budget_for
from conformance.checks.matrices import compare_matrices
from conformance.definition import (
    Definition,
    DeltaOrthogonal,
    NominalMoments,
    Orthogonal,
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
    Problem,
    Raised,
    Returned,
    Status,
)
from conformance.observer import Observer
from conformance.oracle.threefry import Key
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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """What a case must return as before, the backend that made it, and digests of its stages."""

    outcome: Outcome
    maker: str
    stages: Mapping[str, str] = dataclasses.field(default_factory=dict)


def judge(
    observation: Observation,
    *,
    spec: InitializerSpec,
    golden: Golden | None,
    budgets: Budgets | None,
    ledger: Ledger,
    checks: Iterable[Check],
    jax_version: str,
    key: Key | None = None,
) -> CaseResult:
    """Return the verdict of the checks and of the ledger on one observation.

    jax_version: of the JAX that made it. key: of the draw, where it is not that of the problem's
    seed, as the keys of a layer's parameters.
    """
    if machine_fault(observation.outcome):
        return unjudged(observation)
    case = observation.case
    budget = budget_for(spec, case, budgets)
    drift = None if golden is None else _drift(observation, golden, spec, budget, budgets, key)
    evidence = Evidence(spec=spec, observation=observation, drift=drift, budget=budget, key=key)
    results = tuple(check(evidence) for check in checks)
    entries = _limitations(case, spec, ledger, jax_version)
    return verdict(observation, apply(entries, observation, results), drift, entries)


def _drift(
    observation: Observation,
    golden: Golden,
    spec: InitializerSpec,
    budget: Budget,
    budgets: Budgets | None,
    key: Key | None,
) -> Drift:
    """Return the drift from the golden, with its first cause where both sides have stages.

    What made the golden errs too: the two may lie apart by the sum of their budgets.
    """
    case = observation.case
    made = budget_for(spec, dataclasses.replace(case, backend=golden.maker), budgets)
    drift = compare(
        observation.outcome,
        golden.outcome,
        spec,
        budget.plus(made),
        problem=case.problem,
        key=key,
    )
    if drift.drift_class is DriftClass.IDENTICAL:
        return drift
    stage = first_differing_stage(observation.stages, golden.stages)
    return dataclasses.replace(drift, stage=stage)


def _limitations(
    case: Case, spec: InitializerSpec, ledger: Ledger, jax_version: str
) -> tuple[Limitation, ...]:
    if expected_error(spec.definition, case.problem.shape, case.problem.dtype):
        return ()
    return ledger.matching(case, jax_version)


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
    actual: Outcome,
    expected: Outcome,
    spec: InitializerSpec,
    budget: Budget = DEFAULT_BUDGET,
    *,
    problem: Problem | None = None,
    key: Key | None = None,
) -> Drift:
    """Return how `actual` lies to `expected`, judged by the spec's law.

    budget: how far apart two correct results may lie. problem, key: what was asked; of matrices the
    oracle draws from it what nobody recorded, see `checks.matrices`.
    """
    moments, definition = law_of(spec, expected), spec.definition
    if isinstance(definition, Orthogonal | DeltaOrthogonal) and _is_wanted(expected, definition):
        return compare_matrices(
            actual, expected, definition, moments, budget, problem=problem, key=key
        )
    return classify(actual, expected, moments=moments, budget=budget)


def _is_wanted(outcome: Outcome, definition: Definition) -> bool:
    """Return whether the definition wants an array where the outcome is one."""
    if isinstance(outcome, Raised):
        return False
    return expected_error(definition, outcome.shape, outcome.dtype) is None


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
