"""Of budgets nothing is lost, whoever else writes into the set."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conformance.core.budgets import BudgetTable
from conformance.core.errors import LooserBudget
from conformance.core.inventory import INVENTORY
from conformance.core.paths import BUDGETS
from conformance.store.budgets import load, update
from tests.judge.test_budgets import measurement

SWEEP = """
import dataclasses, sys
from pathlib import Path
from conformance.store.budgets import (load, update)

path = Path(sys.argv[1])
(line,) = load(path.with_name("template.json")).measurements.values()
for number in range(15):
    one = dataclasses.replace(line, initializer=f"normal_{sys.argv[2]}{number}")
    update(path, [one], "", lambda _: None)
"""


def test_two_sweeps_at_once_lose_no_line(tmp_path: Path) -> None:
    update(tmp_path / "template.json", [measurement()], "", lambda _: None)
    commands = [[sys.executable, "-c", SWEEP, str(tmp_path / BUDGETS), name] for name in ("a", "b")]

    both = [subprocess.Popen(command) for command in commands]  # noqa: S603

    assert [process.wait(timeout=300) for process in both] == [0, 0]
    assert len(load(tmp_path / BUDGETS).measurements) == 30
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [BUDGETS, INVENTORY, "template.json"]


def test_what_was_written_since_the_sweep_began_counts(tmp_path: Path) -> None:
    path = tmp_path / BUDGETS
    update(path, [measurement(ulp=2.0)], "", lambda _: None)

    with pytest.raises(LooserBudget):
        update(path, [measurement(ulp=3.0)], "", lambda _: None)

    assert load(path).measurements == {measurement().key: measurement(ulp=2.0)}


def test_a_table_is_parsed_once_until_its_file_changes(tmp_path: Path) -> None:
    """Each session reads the table of its set."""
    path = tmp_path / BUDGETS
    update(path, [measurement(ulp=2.0)], "", lambda _: None)
    once, again = load(path), load(path)

    update(path, [measurement(ulp=1.0)], "", lambda _: None)

    assert again.measurements is once.measurements
    assert load(path).measurements == {measurement().key: measurement(ulp=1.0)}


def test_a_line_of_an_overlay_is_no_looser_than_what_counted_before(tmp_path: Path) -> None:
    below = BudgetTable(measurements={measurement().key: measurement(ulp=2.0)})

    with pytest.raises(LooserBudget, match=r"2 ULP, .* -> 3 ULP"):
        update(tmp_path / BUDGETS, [measurement(ulp=3.0)], "", lambda _: None, below)

    assert not (tmp_path / BUDGETS).exists()
