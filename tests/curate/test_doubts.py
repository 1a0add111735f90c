"""A golden that was wrong when it was accepted is found without a run."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cli import main
from conformance.core import inventory
from conformance.core.arrays import returned, whole
from conformance.core.paths import BUDGETS
from conformance.core.records import Entry, Returned
from conformance.curate.doubts import judged_faults
from conformance.judge.ledger import Ledger
from conformance.store.entries import GOLDEN
from conformance.store.read import open_store
from conformance.store.write import write_store
from tests import small_golden

CASES = (
    "he_uniform-float32-64x32-s0-cpu-eager",
    "he_uniform-float32-64x32-s1-cpu-eager",
    "normal_1-bfloat16-64x32-s0-rbg-cpu-eager",
    "zeros-float32-64-s0-cpu-eager",
    "zeros-float32-64-s1-cpu-eager",
    "lecun_normal-float32-64-s0-cpu-eager",
)


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    return small_golden.write(tmp_path / "golden", *CASES)


def faults(folder: Path) -> list[str]:
    return list(judged_faults(folder, load_catalogue(), Ledger(limitations=())))


def with_entry(folder: Path, key: str, outcome: Returned) -> Path:
    """Return a copy of the set in which another array is accepted for a problem."""
    store, other = open_store(folder), folder.parent / "other"
    entries: list[Entry] = []
    for name in store.ids():
        entry = store.entry(name)
        assert entry is not None
        entries.append(dataclasses.replace(entry, outcome=outcome) if name == key else entry)
    write_store(other, entries, kind=GOLDEN, provenance=store.provenance)
    shutil.copy(folder / BUDGETS, other)
    inventory.write(other)
    return other


def array_of(folder: Path, key: str) -> Returned:
    entry = open_store(folder).entry(key)
    assert entry is not None
    assert isinstance(entry.outcome, Returned)
    return entry.outcome


def test_right_goldens_have_no_fault(golden: Path) -> None:
    assert faults(golden) == []


def test_two_keys_of_one_array_are_told(golden: Path) -> None:
    one, two = "he_uniform-float32-64x32-s0", "he_uniform-float32-64x32-s1"

    first, second = faults(with_entry(golden, two, array_of(golden, one)))

    told = "the golden {} is wrong: it is one array with {}: the key is ignored"
    assert first == told.format(one, two)
    assert second.startswith(told.format(two, one))
    assert "drawn with the key of seed 0" in second


def test_where_no_oracle_answers_statistics_judge_a_golden(golden: Path) -> None:
    key = "normal_1-bfloat16-64x32-s0-rbg"
    array = whole(array_of(golden, key)).copy()
    array[:, 20] = array[:, 3]

    (found,) = faults(with_entry(golden, key, returned(array)))

    assert found.startswith(f"the golden {key} is wrong: {key}-cpu-eager: ")
    assert "copies: the share of copies" in found


def test_the_command_fails_with_what_is_wrong(
    golden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = "he_uniform-float32-64x32-s0", "he_uniform-float32-64x32-s1"
    assert main(["goldens", "verify", "--golden", str(golden), "--judge"]) == 0
    other = with_entry(golden, two, array_of(golden, one))

    code = main(["goldens", "verify", "--golden", str(other), "--judge"])

    assert code == 1
    assert "other: 2 goldens wrong" in capsys.readouterr().err
