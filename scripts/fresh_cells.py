"""Judge cells that no golden set holds: right initializers, which no check may call wrong.

    python scripts/fresh_cells.py                       every initializer, shape and dtype, 4 seeds
    python scripts/fresh_cells.py --minutes 20 --seed 7 as many as fit, the same whoever asks
    python scripts/fresh_cells.py --skip 20             go on after the first 20 groups

Cells run eagerly and are judged as in a run, but beside no golden: the check of values, which wants
one, has no say. Stages are left to the rerun of an alarm. Cells of a shape and dtype share
programs and are a group. Seeds are drawn anew each time unless --seed says from what. Exit code 1:
a check failed, and is at fault.
"""

from __future__ import annotations

import argparse
import itertools
import random
import secrets
import time
from collections.abc import Iterable, Iterator

from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import Catalogue
from conformance.cases.planes import LARGEST_SEED
from conformance.core.formats import NARROW_DTYPES
from conformance.core.ids import Case, Problem, format_shape
from conformance.core.paths import BUDGETS, shipped
from conformance.core.records import VALUES, CaseResult, CheckResult, Status
from conformance.core.settings import installed_jax
from conformance.judge.bench import Bench
from conformance.judge.rules import load_ledger
from conformance.observe.observer import Observer
from conformance.store import budgets
from conformance.store.read import open_store

SHAPES = (
    *((), (64,), (1, 16), (0, 8), (64, 32), (17, 13), (5, 4, 8), (3, 3, 4, 8), (2, 3, 3, 4, 4)),
    *((4097,), (64, 64), (64, 65), (64, 100), (1024, 64), (7, 11, 61), (3, 3, 24, 32)),
    (2, 3, 5, 16, 32),
)
"""Scalars, vectors, matrices and kernels, from both sides of the largest array that is stored
whole."""

Group = tuple[tuple[int, ...], str]


def groups(seed: int, shapes: Iterable[tuple[int, ...]], dtypes: Iterable[str]) -> list[Group]:
    """Return every pair of a shape and a dtype, in an order that the seed tells."""
    every = list(itertools.product(shapes, dtypes))
    random.Random(f"{seed} groups").shuffle(every)  # noqa: S311  # no secret
    return every


def cells(catalogue: Catalogue, group: Group, seed: int, n_seeds: int) -> Iterator[Case]:
    """Yield a cell for each initializer and drawn seed; the same for the same seed and group."""
    shape, dtype = group
    draw = random.Random(f"{seed} {format_shape(shape)} {dtype}")  # noqa: S311  # no secret
    for spec in catalogue:
        for _ in range(n_seeds):
            drawn = draw.randint(0, LARGEST_SEED)
            problem = Problem(initializer=spec.name, dtype=dtype, shape=shape, seed=drawn)
            yield Case(problem=problem, backend="cpu", transform="eager")


def alarms(result: CaseResult) -> list[CheckResult]:
    """Return the checks that failed, but for the one that wants a golden."""
    failed = (check for check in result.checks if check.status is Status.FAILED)
    return [check for check in failed if check.check != VALUES]


def judge(cases: Iterable[Case], bench: Bench) -> int:
    """Judge the cases, print every alarm, and return how many there were."""
    observer, n_alarms = Observer(), 0
    for case in cases:
        observation = observer.observe(case, bench.specs[case.problem.initializer])
        for check in alarms(bench.judge_beside(None, observation, installed_jax())):
            n_alarms += 1
            print(f"{check.check}: {check.message}\n  rerun: conformance run {case.id}")
    return n_alarms


def main(arguments: list[str] | None = None) -> int:
    """Judge cells until all are judged or the time is up."""
    options = _parser().parse_args(arguments)
    seed = secrets.randbelow(LARGEST_SEED) if options.seed is None else options.seed
    catalogue, end = load_catalogue(), time.monotonic() + 60 * options.minutes
    bench = Bench(
        specs=catalogue.by_name(),
        goldens=open_store(shipped()),
        ledger=load_ledger(),
        budgets=budgets.load(shipped() / BUDGETS),
    )
    every = groups(seed, SHAPES, NARROW_DTYPES)
    size = len(catalogue) * options.seeds
    print(f"seed {seed}: {len(every)} groups of {size} cells")
    n_alarms, done = 0, options.skip
    while done < len(every) and time.monotonic() < end:
        n_alarms += judge(cells(catalogue, every[done], seed, options.seeds), bench)
        done += 1
        n_cells = size * (done - options.skip)
        print(f"{done} of {len(every)} groups, {n_cells} cells, {n_alarms} alarms", flush=True)
    if done < len(every):
        print(f"go on with --seed {seed} --skip {done}")
    return 1 if n_alarms else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, help="from which the cells are drawn")
    parser.add_argument("--seeds", type=int, default=4, help="of each initializer in a group")
    parser.add_argument("--minutes", type=float, default=60, help="after which no group begins")
    parser.add_argument("--skip", type=int, default=0, help="groups that were judged before")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
