"""From an observation to its verdict: compare with the golden, check, consult the ledger.

Observing touches devices; judging is pure, so a recording made elsewhere is judged by `judge`
alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from conformance.cases.catalogue import InitializerSpec
from conformance.core.arrays import Array
from conformance.core.ids import Case, Problem
from conformance.core.laws import (
    Definition,
    DeltaOrthogonal,
    NominalMoments,
    Orthogonal,
    expected_error,
    nominal_moments,
)
from conformance.core.machine import machine_fault
from conformance.core.records import (
    COMPILED,
    MACHINE,
    Budget,
    CaseResult,
    CheckResult,
    Drift,
    DriftClass,
    Entry,
    Observation,
    Outcome,
    Raised,
    Returned,
    Status,
)
from conformance.judge.budgets import Budgets, budget_for
from conformance.judge.checks.base import Check, Evidence
from conformance.judge.checks.matrices import compare_matrices
from conformance.judge.checks.witness import is_fused_otherwise, witnessed
from conformance.judge.drift import DEFAULT_BUDGET, classify, first_differing_stage, identical
from conformance.judge.ledger import Ledger, Limitation, apply
from conformance.oracle.threefry import Key


def judge(
    observation: Observation,
    *,
    spec: InitializerSpec,
    golden: Entry | None,
    budgets: Budgets | None,
    ledger: Ledger,
    checks: Iterable[Check[Evidence]],
    jax_version: str,
    key: Key | None = None,
    looks: tuple[Array, ...] = (),
    fresh: int = 0,
) -> CaseResult:
    """Return the verdict of the checks and of the ledger on one observation.

    jax_version: of the JAX that made it. key: of the draw, where it is not that of the problem's
    seed, as the keys of a layer's parameters. looks, fresh: see `Evidence`.
    """
    if machine_fault(observation.outcome):
        return unjudged(observation)
    case = observation.case
    budget = budget_for(spec, case, budgets)
    drift = None if golden is None else _drift(observation, golden, spec, budget, budgets, key)
    if golden and drift and drift.drift_class is DriftClass.IDENTICAL and not observation.stages:
        # Nobody looked into the stages of an array that is as before; the golden's are those.
        observation = dataclasses.replace(observation, stages=golden.stages)
    evidence = Evidence(
        spec=spec,
        observation=observation,
        drift=drift,
        budget=budget,
        key=key,
        looks=looks,
        fresh=fresh,
    )
    results = tuple(check(evidence) for check in checks)
    entries = _limitations(case, spec, ledger, jax_version)
    return verdict(
        observation,
        apply(entries, observation, results),
        drift,
        entries,
        golden_from=golden.overlay if golden else "",
        budget_from=budget.overlay,
    )


def _drift(
    observation: Observation,
    golden: Entry,
    spec: InitializerSpec,
    budget: Budget,
    budgets: Budgets | None,
    key: Key | None,
) -> Drift:
    """Return the drift from the golden, with its first cause where both sides have stages.

    What made the golden errs too: the two may lie apart by the sum of their budgets.
    """
    case = observation.case
    if same := identical(observation.outcome, golden.outcome):
        return same  # as nearly all are: no budget is asked for
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
    if drift.drift_class in (DriftClass.BIASED, DriftClass.TRANSFORM):
        drift = _but_for_fusing(drift, observation, golden, spec, (budget, made), key)
    stage = drift.stage or first_differing_stage(observation.stages, golden.stages)
    return dataclasses.replace(drift, stage=stage)


FUSED = (
    "both sides are JAX's own sequence of roundings, one with fused multiply-adds and one without"
)


def _but_for_fusing(
    drift: Drift,
    observation: Observation,
    golden: Entry,
    spec: InitializerSpec,
    budgets: tuple[Budget, Budget],
    key: Key | None,
) -> Drift:
    """Return the drift, of class rounding where two instruction sets explain it."""
    actual, expected = observation.outcome, golden.outcome
    moments, problem = nominal_of(spec, expected), observation.case.problem
    if moments is None or observation.case.transform in COMPILED:
        return drift
    assert spec.definition is not None
    assert isinstance(actual, Returned)
    assert isinstance(expected, Returned)
    if not is_fused_otherwise(
        actual, expected, spec.definition, problem, moments, budgets=budgets, key=key
    ):
        return drift
    return dataclasses.replace(drift, drift_class=DriftClass.ROUNDING, detail=FUSED)


def _limitations(
    case: Case, spec: InitializerSpec, ledger: Ledger, jax_version: str
) -> tuple[Limitation, ...]:
    entries = ledger.matching(case, jax_version)
    if expected_error(spec.definition, case.problem.shape, case.problem.dtype):
        return tuple(entry for entry in entries if entry.first)
    return entries


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
    *,
    golden_from: str = "",
    budget_from: str = "",
) -> CaseResult:
    """Return the case's result: failed if any check failed, limited if only announced ones did.

    golden_from, budget_from: see `CaseResult`.
    """
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
        golden_from=golden_from,
        budget_from=budget_from,
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
    """Return how `actual` differs from `expected`, judged by the spec's law.

    budget: how far apart two correct results may lie. problem, key: what was asked; of matrices the
    oracle draws from it what nobody recorded, see `checks.matrices`.
    """
    moments, definition = nominal_of(spec, expected), spec.definition
    if isinstance(definition, Orthogonal | DeltaOrthogonal) and _is_wanted(expected, definition):
        return compare_matrices(
            actual, expected, definition, moments, budget, problem=problem, key=key
        )
    drift = classify(actual, expected, moments=moments, budget=budget)
    if drift.drift_class is not DriftClass.UNKNOWN or problem is None or moments is None:
        return drift
    assert isinstance(actual, Returned)
    assert isinstance(expected, Returned)
    assert definition is not None
    by_oracle = witnessed(actual, expected, definition, problem, moments, budget=budget, key=key)
    return by_oracle or drift


def _is_wanted(outcome: Outcome, definition: Definition) -> bool:
    """Return whether the definition wants an array where the outcome is one."""
    if isinstance(outcome, Raised):
        return False
    return expected_error(definition, outcome.shape, outcome.dtype) is None


def nominal_of(spec: InitializerSpec, outcome: Outcome) -> NominalMoments | None:
    """Return the nominal moments for an outcome's shape, or None where the spec states no law."""
    if not isinstance(outcome, Returned) or spec.definition is None:
        return None
    if expected_error(spec.definition, outcome.shape, outcome.dtype):
        return None
    return nominal_moments(spec.definition, outcome.shape, outcome.dtype)
