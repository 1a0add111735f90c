"""From a case to its verdict: observe it, look up its golden, judge."""

from __future__ import annotations

import numpy as np

from conformance.cases.catalogue import Catalogue
from conformance.core.arrays import Array, whole
from conformance.core.ids import Case
from conformance.core.records import CaseResult, Observation, Outcome, Raised, Returned, Status
from conformance.core.settings import installed_jax
from conformance.judge.bench import Bench
from conformance.judge.checks.statistics import wanted_keys
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
        fresh=options.fresh_seeds,
        by=judged_by(goldens.folder, options.ledger_file, options.max_drift, goldens.folders),
    )


def evaluate(case: Case, bench: Bench, observer: Observer) -> CaseResult:
    """Observe the case on its backend, look up its golden, and judge.

    Raises:
        Absent: the backend has no device in this process, or nobody here has the initializer.
        StoreError: the golden or a budget cannot be read.
    """
    return judged(observer.observe(case, bench.specs[case.problem.initializer]), bench, observer)


def judged(observation: Observation, bench: Bench, observer: Observer) -> CaseResult:
    """Return the verdict on what was observed here, beside its golden.

    Stages say what differs first, and cost programs of their own. They are looked into where the
    outcome is not the golden's; and without a golden, where a check has refused the outcome.

    Raises:
        StoreError: the golden or a budget cannot be read.
    """
    case = observation.case
    spec = bench.specs[case.problem.initializer]
    golden = bench.goldens.golden(case.problem.id, case.backend, installed_jax())
    if golden is not None and not is_as_before(observation.outcome, golden.outcome):
        observation = observer.in_full(observation, spec)
    looks = further_draws(observation, bench, observer)
    result = bench.judge_beside(golden, observation, installed_jax(), looks)
    if golden is not None or result.status is Status.PASSED:
        return result
    staged = observer.in_full(observation, spec)
    return bench.judge_beside(None, staged, installed_jax(), looks) if staged.stages else result


def further_draws(observation: Observation, bench: Bench, observer: Observer) -> tuple[Array, ...]:
    """Return what other keys draw, by look, the case's own first; nothing where nobody asks."""
    case, outcome = observation.case, observation.outcome
    spec = bench.specs[case.problem.initializer]
    if not isinstance(outcome, Returned) or not outcome.is_whole:
        return ()
    keys = wanted_keys(spec.definition, case.problem, bench.fresh)
    others = observer.draws(case, spec, [key for look in keys for key in look][1:])
    if others is None:
        return ()
    arrays = np.concatenate([whole(outcome)[None], others])
    ends = np.cumsum([len(look) for look in keys])
    return tuple(np.split(arrays, ends[:-1]))


def is_as_before(actual: Outcome, expected: Outcome) -> bool:
    """Return whether an array has the same bits, or an exception the same type."""
    if isinstance(actual, Returned) and isinstance(expected, Returned):
        one, two = ((side.dtype, side.shape, side.sha256) for side in (actual, expected))
        return one == two
    if isinstance(actual, Raised) and isinstance(expected, Raised):
        return actual.exception == expected.exception
    return False
