"""From a case to its verdict: observe it, look up its golden, judge."""

from __future__ import annotations

from conformance.cases.catalogue import Catalogue
from conformance.core.ids import Case
from conformance.core.records import CaseResult, Outcome, Raised, Returned
from conformance.core.settings import installed_jax
from conformance.judge.bench import Bench
from conformance.judge.ledger import Ledger
from conformance.observe.observer import Observer
from conformance.run.options import Options
from conformance.store import budgets
from conformance.store.stack import Stack
from conformance.store.yardstick import judged_by


def bench_of(options: Options, catalogue: Catalogue, goldens: Stack, ledger: Ledger) -> Bench:
    """Return by what a command judges, with the budgets of its golden sets.

    Raises:
        GoldenError: the budgets cannot be read.
    """
    return Bench(
        specs=catalogue.by_name(),
        goldens=goldens,
        ledger=ledger,
        budgets=budgets.stacked(goldens.folder, goldens.folders),
        max_drift=options.max_drift,
        by=judged_by(goldens.folder, options.ledger_file, options.max_drift, goldens.folders),
    )


def evaluate(case: Case, bench: Bench, observer: Observer) -> CaseResult:
    """Observe the case on its backend, look up its golden, and judge.

    Stages are looked into where the outcome is not the golden's: they say what differs first.

    Raises:
        BackendUnavailable: the backend has no device in this process.
        StoreError: the golden or a budget cannot be read.
    """
    spec = bench.specs[case.problem.initializer]
    observation = observer.observe(case, spec)
    golden = bench.goldens.golden(case.problem.id, case.backend, installed_jax())
    if golden is None or not is_as_before(observation.outcome, golden.outcome):
        observation = observer.in_full(observation, spec)
    return bench.judge_beside(golden, observation, installed_jax())


def is_as_before(actual: Outcome, expected: Outcome) -> bool:
    """Return whether an array has the same bits, or an exception the same type."""
    if isinstance(actual, Returned) and isinstance(expected, Returned):
        one, two = ((side.dtype, side.shape, side.sha256) for side in (actual, expected))
        return one == two
    if isinstance(actual, Raised) and isinstance(expected, Raised):
        return actual.exception == expected.exception
    return False
