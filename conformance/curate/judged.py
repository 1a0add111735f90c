"""Whether goldens are right, and not only as they were stored.

A golden that was wrong when it was accepted agrees with every run that is wrong alike. So each is
judged once as if it had just been observed: by the oracle, or by statistics where none answers. And
no two keys may have one array.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from conformance.cases.catalogue import Catalogue
from conformance.core.formats import WIDE_DTYPES
from conformance.core.ids import Case, Problem
from conformance.core.laws import expected_error
from conformance.core.paths import BUDGETS
from conformance.core.records import BASE, Entry, Observation, Returned, Status
from conformance.judge.bench import Bench
from conformance.judge.checks.statistics import is_no_accident
from conformance.judge.ledger import Ledger
from conformance.store import budgets
from conformance.store.entries import problem_of
from conformance.store.read import Store, open_store


def judged_faults(folder: Path, catalogue: Catalogue, ledger: Ledger) -> Iterator[str]:
    """Yield what is wrong with the goldens of a set, one line or more each.

    Of a problem whose initializer is not in the catalogue, or has no definition, nobody can tell.

    Raises:
        StoreError: a golden or the budgets cannot be read.
    """
    store = open_store(folder)
    entries = [entry for key in store.ids() if (entry := _known(store, key, catalogue))]
    yield from _twins(entries, catalogue)
    jax_version = store.environment.packages["jax"]
    bench = Bench(
        specs=catalogue.by_name(),
        goldens=store,
        ledger=ledger,
        budgets=budgets.load(folder / BUDGETS),
    )
    for entry in entries:
        result = bench.judge_beside(entry, _observation(entry), jax_version)
        for check in result.checks:
            if check.status is Status.FAILED:
                yield f"the golden {entry.id} is wrong: {check.message}"


def _known(store: Store, key: str, catalogue: Catalogue) -> Entry | None:
    name = problem_of(key).initializer
    if name not in catalogue or catalogue.lookup(name).definition is None:
        return None
    return store.entry(key)


def _observation(entry: Entry) -> Observation:
    """Return the golden as what an eager call on the backend of goldens returned."""
    return Observation(
        case=Case(problem=problem_of(entry.id), backend=BASE, transform="eager"),
        outcome=entry.outcome,
        repeat_sha256=getattr(entry.outcome, "sha256", None),  # nobody called it twice
        device="",
        elapsed_s=0.0,
        stages=entry.stages,
    )


def _twins(entries: list[Entry], catalogue: Catalogue) -> Iterator[str]:
    """Yield pairs of goldens of different keys that are one array, which is no accident."""
    first: dict[tuple[object, ...], dict[object, str]] = defaultdict(dict)
    for entry in entries:
        problem, outcome = problem_of(entry.id), entry.outcome
        definition = catalogue.lookup(problem.initializer).definition
        if not isinstance(outcome, Returned) or outcome.moments.nonfinite:
            continue
        if expected_error(definition, problem.shape, problem.dtype):
            continue
        if not outcome.moments.variance > 0 or not is_no_accident(definition, problem):
            continue
        alike = (problem.initializer, problem.dtype, problem.shape, problem.prng, outcome.sha256)
        key = _key_of(problem)
        others = [name for other, name in first[alike].items() if other != key]
        first[alike].setdefault(key, entry.id)
        if others:
            yield f"the goldens {others[0]} and {entry.id} are one array: the key is ignored"


def _key_of(problem: Problem) -> object:
    """Return what makes the key: of a seed alone, without x64, its low 32 bits."""
    if not problem.key.is_seed:
        return problem.key
    return problem.seed if problem.dtype in WIDE_DTYPES else problem.seed % 2**32
