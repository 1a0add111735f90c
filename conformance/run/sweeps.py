"""Which sweeps there are, and the verdict on each: the engine's part for exact laws."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from conformance.cases.catalogue import Catalogue
from conformance.core.budgets import BudgetTable, Measurement
from conformance.core.errors import NotElementwise, SweepError
from conformance.core.ids import Case
from conformance.core.settings import installed_jax
from conformance.judge.checks.contract import faults_left
from conformance.judge.law.accuracy import gather
from conformance.judge.law.checks import judge_law
from conformance.judge.law.verdict import (
    LawResult,
    limitation_of,
    observation_of,
    outcome_of,
    require_fit,
    unswept,
    worst_point,
)
from conformance.judge.ledger import Ledger, apply
from conformance.judge.verdict import verdict
from conformance.observe import sweep as law
from conformance.observe.backends import open_backend
from conformance.observe.environment import device_text
from conformance.observe.state import State


def evaluate(
    case: Case, *, catalogue: Catalogue, budgets: BudgetTable, ledger: Ledger
) -> LawResult:
    """Run one sweep and judge it; an initializer that cannot be swept fails `law_sweep`.

    Raises:
        BackendUnavailable: the backend has no device in this process.
    """
    backend = open_backend(case.backend)
    spec = catalogue.lookup(case.problem.initializer)
    assert spec.definition is not None
    entries = tuple(
        entry
        for entry in ledger.matching(case, installed_jax())
        if case.problem.prng in entry.prng  # an entry about draws says nothing of sweeps
    )
    before = State.now()
    try:
        swept = law.sweep(spec, case, backend)
    except (NotElementwise, SweepError) as error:
        before.restored()  # that it raised is told; what it left is not the cause of anything
        return LawResult(case=case, result=unswept(case, error, entries), evidence=None)
    changed = before.restored()
    budget = budgets.of(case.backend, spec.name, case.problem.dtype)
    evidence = gather(spec.definition, swept, budget)
    observation = observation_of(case, outcome_of(evidence), swept.device, swept.elapsed_s)
    observation = dataclasses.replace(observation, changed=changed)
    found = (*judge_law(evidence), *faults_left(observation))
    checks = apply(entries, observation, found)
    result = verdict(observation, checks, None, entries)
    result = dataclasses.replace(result, budget_from=budget.overlay if budget else "")
    return LawResult(case=case, result=result, evidence=evidence)


def rerun_words(case: Case) -> list[str]:
    """Return the command that runs the sweep again."""
    problem = case.problem
    words = ["conformance", "law", "--initializer", problem.initializer, "--dtype", problem.dtype]
    return [*words, "--backend", case.backend, "--transform", case.transform]


def measurements(
    results: Iterable[LawResult], catalogue: Catalogue, *, date: str
) -> list[Measurement]:
    """Return the worst errors of each initializer and dtype over the transforms that were swept.

    Raises:
        UnfitForBudget: a check other than the accuracy failed; the message is that check's.
    """
    groups: dict[tuple[str, str, str], list[LawResult]] = {}
    for result in results:
        problem = result.case.problem
        key = (result.case.backend, problem.initializer, problem.dtype)
        groups.setdefault(key, []).append(require_fit(result))
    return [
        _measurement(group, catalogue.lookup(initializer).family, date)
        for (_, initializer, _), group in groups.items()
    ]


def _measurement(group: list[LawResult], family: str, date: str) -> Measurement:
    first = group[0]
    accuracies = [result.evidence.accuracy for result in group if result.evidence]
    return Measurement(
        backend=first.case.backend,
        initializer=first.case.problem.initializer,
        dtype=first.case.problem.dtype,
        family=family,
        at_value=worst_point(accuracy.at_value for accuracy in accuracies),
        at_sigma=worst_point(accuracy.at_sigma for accuracy in accuracies),
        limitation=limitation_of(group),
        device=device_text(first.result.observation.device),
        jax=installed_jax(),
        date=date,
    )
