"""Whether goldens are right, and not only as they were stored.

A golden that was wrong when it was accepted agrees with every run that is wrong alike. So each is
judged as if it had just been observed, when it is reviewed and on demand: by the oracle, or by
statistics where none answers. And no two keys may have one array.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from conformance.cases.catalogue import Catalogue
from conformance.core.errors import MissingBudget
from conformance.core.formats import WIDE_DTYPES
from conformance.core.ids import Case, Problem
from conformance.core.laws import expected_error
from conformance.core.paths import BUDGETS
from conformance.core.records import BASE, Entry, Observation, Returned, Status
from conformance.core.watching import Watch, unwatched
from conformance.judge.bench import Bench
from conformance.judge.checks.statistics import is_no_accident
from conformance.judge.ledger import Ledger
from conformance.store import budgets
from conformance.store.entries import problem_of
from conformance.store.read import open_store


def judged_faults(
    folder: Path, catalogue: Catalogue, ledger: Ledger, watch: Watch[Entry] = unwatched
) -> Iterator[str]:
    """Yield what is wrong with each golden of a set that is, one line or more.

    Raises:
        StoreError: a golden or the budgets cannot be read.
    """
    store = open_store(folder)
    bench = Bench(
        specs=catalogue.by_name(),
        goldens=store,
        ledger=ledger,
        budgets=budgets.load(folder / BUDGETS),
    )
    jax_version = store.environment.packages["jax"]
    for key, faults in doubts(store.entries(), catalogue, bench, BASE, jax_version, watch):
        text = "\n".join(faults)
        yield f"the golden {key} is wrong: {text}"


def doubts(
    entries: Iterable[Entry],
    catalogue: Catalogue,
    bench: Bench,
    backend: str,
    jax_version: str,
    watch: Watch[Entry] = unwatched,
) -> Iterator[tuple[str, list[str]]]:
    """Yield the id of each golden that something speaks against, with all that does.

    Of a problem whose initializer is not in the catalogue, or has no definition, nobody can tell.
    backend, jax_version: what made them.
    """
    known = [entry for entry in entries if _is_known(entry, catalogue)]
    twins = _twins(known, catalogue)
    for entry in watch(known, len(known)):
        found = _failed_checks(entry, bench, backend, jax_version)
        if entry.id in twins:
            found.insert(0, f"it is one array with {twins[entry.id]}: the key is ignored")
        if found:
            yield entry.id, found


def _is_known(entry: Entry, catalogue: Catalogue) -> bool:
    name = problem_of(entry.id).initializer
    return name in catalogue and catalogue.lookup(name).definition is not None


def _failed_checks(entry: Entry, bench: Bench, backend: str, jax_version: str) -> list[str]:
    """Return what a run would say, had it observed the golden and found it as it was accepted."""
    observation = Observation(
        case=Case(problem=problem_of(entry.id), backend=backend, transform="eager"),
        outcome=entry.outcome,
        repeat_sha256=getattr(entry.outcome, "sha256", None),  # nobody called it twice
        device="",
        elapsed_s=0.0,
        stages=entry.stages,
    )
    try:
        result = bench.judge_beside(entry, observation, jax_version)
    except MissingBudget as error:
        return [f"it cannot be judged: {error}"]
    return [check.message for check in result.checks if check.status is Status.FAILED]


def _twins(entries: Sequence[Entry], catalogue: Catalogue) -> Mapping[str, str]:
    """Return of each golden that has the array of another key, which is no accident, such one."""
    alike: dict[tuple[object, ...], dict[object, list[str]]] = collections.defaultdict(dict)
    for entry in entries:
        problem, outcome = problem_of(entry.id), entry.outcome
        definition = catalogue.lookup(problem.initializer).definition
        if not isinstance(outcome, Returned) or outcome.moments.nonfinite:
            continue
        if expected_error(definition, problem.shape, problem.dtype):
            continue
        if not outcome.moments.variance > 0 or not is_no_accident(definition, problem):
            continue
        array = (problem.initializer, problem.dtype, problem.shape, problem.prng, outcome.sha256)
        alike[array].setdefault(_key_of(problem), []).append(entry.id)
    return {
        name: others[0]
        for keys in alike.values()
        for key, names in keys.items()
        if (others := [each for other, ids in keys.items() if other != key for each in ids])
        for name in names
    }


def _key_of(problem: Problem) -> object:
    """Return what makes the key: of a seed alone, without x64, its low 32 bits."""
    if not problem.key.is_seed:
        return problem.key
    return problem.seed if problem.dtype in WIDE_DTYPES else problem.seed % 2**32
