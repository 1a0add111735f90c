"""Changes planted where a sample does not see them, by every way that two arrays are judged.

None may pass: not as identical, nor as rounding, nor as a new stream of the same law.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.core.arrays import Array, returned, sampled
from conformance.core.ids import Case, Problem
from conformance.core.paths import BUDGETS, shipped
from conformance.core.records import CaseResult, DriftClass, Entry, Observation, Returned, Status
from conformance.core.settings import installed_jax
from conformance.judge.bench import Bench
from conformance.judge.checks.oracle import ORACLE
from conformance.merge import Fact, Place, Referee, merge
from conformance.oracle import solve
from conformance.report.rows import outcome_text
from conformance.store import budgets
from conformance.store.entries import RECORDING, TREE, parameter_id
from conformance.store.read import Store, open_store
from conformance.store.write import write_store
from conformance.upgrade import whole
from conformance.upgrade.compare import compare_folders
from conformance.upgrade.recordings import Asked
from tests.benches import bench

LARGE = (1 << 20) + 1
SHAPES = {
    "normal_1": ((4097,), (128, 64), (LARGE,)),
    "orthogonal": ((241, 17), (128, 64), (61681, 17)),
}
"""Of 4,097, 8,192 and 2^20 + 1 elements."""

CHANGES: dict[str, Callable[[Array], Array]] = {
    "NaN": lambda part: np.where(np.arange(part.size) < 6, np.float32(np.nan), part),
    "shift": lambda part: part + np.float32(0.5),
    "order": lambda part: part[::-1],
    "scale": lambda part: part * np.float32(1.1),
}
"""Of the elements that a sample does not hold."""


def asked(initializer: str, size: int) -> Problem:
    shape = SHAPES[initializer][size]
    return Problem(initializer=initializer, dtype="float32", shape=shape, seed=0)


@functools.cache
def right(problem: Problem) -> Array:
    """Return the array that the oracle defines."""
    definition = load_catalogue().lookup(problem.initializer).definition
    assert definition is not None
    return solve(problem, definition).expected


def planted(problem: Problem, change: str, *, is_moved: bool) -> Array:
    """Return the array with the change in all that a sample does not hold.

    is_moved: whether one element that it holds is an ULP off, so that it is not equal.
    """
    array = right(problem).copy()
    kept = np.arange(array.size).reshape(array.shape) % sampled(returned(array)).stride == 0
    if change == "columns":
        rows = ~kept[:, :2].any(axis=1)
        array[rows, :2] = array[rows, 1::-1]
    else:
        array[~kept] = CHANGES[change](array[~kept])
    if is_moved:
        array.flat[0] = np.nextafter(array.flat[0], np.float32(9))
    return array


# --- The ways ------------------------------------------------------------------------------------


def bench_beside(problem: Problem, golden: Array | None) -> Bench:
    """Return what judges beside a golden set that holds a sample of an array, or nothing."""
    kept = None
    if golden is not None:
        seen = observation(problem, golden)
        kept = dataclasses.replace(seen, outcome=sampled(returned(golden)))
    return bench(load_catalogue(), kept, budgets=budgets.load(shipped() / BUDGETS))


def judged(problem: Problem, array: Array, golden: Array | None) -> CaseResult:
    seen = observation(problem, array)
    return bench_beside(problem, golden).judge(seen, installed_jax())


def observation(problem: Problem, array: Array) -> Observation:
    outcome = returned(array)
    return Observation(
        case=Case(problem=problem, backend="cpu", transform="eager"),
        outcome=outcome,
        repeat_sha256=outcome.sha256,
        device="cpu",
        elapsed_s=0.0,
    )


def as_case(problem: Problem, array: Array, folder: Path) -> str:
    """Return what the definition says of a case without a golden."""
    assert folder.is_dir()
    result = judged(problem, array, None)
    (check,) = (check for check in result.checks if check.check == ORACLE)
    assert check.status is Status.FAILED
    told = re.search(r"class: (\w+)", check.message)
    return told[1] if told else check.message


def beside_golden(problem: Problem, array: Array, folder: Path) -> str:
    """Return the class of a case beside a golden of which a sample is kept."""
    assert folder.is_dir()
    result = judged(problem, array, right(problem))
    assert result.status is Status.FAILED
    assert result.drift is not None
    return result.drift.drift_class


def stored(folder: Path, key: str, kind: str, outcome: Returned) -> Store:
    entry = Entry(id=key, shard="family/shard.safetensors", outcome=outcome)
    environment = {"packages": {"jax": "1.0"}, "config": {}, "host": {}, "devices": {}}
    provenance = [{"environment": environment}]
    write_store(folder, [entry], kind=kind, provenance=provenance, is_whole=True)
    return open_store(folder)


def both(
    problem: Problem, array: Array, folder: Path, *, is_whole: bool, kind: str = RECORDING
) -> tuple[Store, Store]:
    """Write both sides as stores, with all elements or with samples."""
    key = parameter_id("kernel") if kind == TREE else f"{problem.id}-cpu-eager"
    outcomes = [returned(each) for each in (right(problem), array)]
    kept = outcomes if is_whole else list(map(sampled, outcomes))
    name = "whole" if is_whole else "sampled"
    before, after = (
        stored(folder / name / side, key, kind, outcome)
        for side, outcome in zip(("before", "after"), kept, strict=True)
    )
    return before, after


def compared(problem: Problem, array: Array, folder: Path) -> str:
    """Return the class between two recordings."""
    before, after = both(problem, array, folder, is_whole=True)
    (pair,) = compare_folders(before.folder, after.folder, load_catalogue()).pairs
    return pair.drift.drift_class


def compared_by_samples(problem: Problem, array: Array, folder: Path) -> str:
    """Return the class between two recordings that kept samples, as earlier ones did."""
    before, after = both(problem, array, folder, is_whole=False)
    (pair,) = compare_folders(before.folder, after.folder, load_catalogue()).pairs
    return pair.drift.drift_class


def gated(problem: Problem, array: Array, folder: Path, kind: str = RECORDING) -> str:
    """Return the class that a gate finds, whose recordings kept samples at first."""
    first, again = (
        both(problem, array, folder, is_whole=each, kind=kind) for each in (False, True)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole, "record_sides", lambda *_: again)
        comparison = whole.compared(
            (),
            first,
            Asked(),
            load_catalogue(),
            names=("a", "b"),
            say=lambda _: None,
            passing=folder,
        )
    (pair,) = comparison.pairs
    assert pair.drift.n_compared is None
    return pair.drift.drift_class


def gated_as_parameter(problem: Problem, array: Array, folder: Path) -> str:
    """Return the class that a gate finds of a model's parameter."""
    return gated(problem, array, folder, TREE)


def merged(problem: Problem, array: Array, folder: Path) -> str:
    """Return the class of one place's array beside another's, which is the golden's."""
    assert folder.is_dir()
    outcomes = {outcome_text(each): each for each in map(returned, (right(problem), array))}
    referee = Referee(bench=bench_beside(problem, right(problem)), outcomes=outcomes)
    facts = [
        Fact(
            problem=problem,
            transform="eager",
            place=Place(
                backend="cpu",
                mode="executed",
                jax="0.12.0.1",
                flags="",
                isa=name,
                cpu="",
                device="cpu",
                runtime="cpu",
                packages="",
            ),
            outcome=text,
            source=name,
            root=name,
        )
        for name, text in zip(("one", "another"), outcomes, strict=True)
    ]
    found = merge(facts, referee)
    assert found.has_failed
    ((_, other),) = (each.classes for each in found.problems)
    return other.drift_name


WAYS: dict[str, Callable[[Problem, Array, Path], str]] = {
    "case": as_case,
    "golden": beside_golden,
    "compare": compared,
    "samples": compared_by_samples,
    "gate": gated,
    "target": gated_as_parameter,
    "merge": merged,
}
HARMLESS = (DriftClass.IDENTICAL, DriftClass.ROUNDING, DriftClass.STREAM)


SMALL = [
    (change, size, is_moved)
    for change in (*CHANGES, "columns")
    for size in (0, 1)
    for is_moved in (False, True)
]
LARGEST = [(change, 2, True) for change in ("NaN", "order")]
"""Few, since each takes seconds."""


@pytest.mark.parametrize(("change", "size", "is_moved"), [*SMALL, *LARGEST])
@pytest.mark.parametrize("way", WAYS)
def test_a_change_where_the_sample_is_blind_is_told(
    way: str, change: str, size: int, is_moved: bool, tmp_path: Path
) -> None:
    problem = asked("orthogonal" if change == "columns" else "normal_1", size)

    found = WAYS[way](problem, planted(problem, change, is_moved=is_moved), tmp_path)

    assert found not in HARMLESS
