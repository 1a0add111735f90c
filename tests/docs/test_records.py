"""docs/records.md says of every output what is in it, and nothing else."""

from __future__ import annotations

import dataclasses
import datetime
import json
import re
from collections.abc import Iterable, Iterator

import pytest

from conformance.core.records import Environment
from conformance.merge.facts import Merged
from conformance.merge.text import to_json as merge_json
from conformance.report.rows import COLUMNS, Column
from conformance.upgrade.compare import Comparison
from conformance.upgrade.policy import DriftPolicy, judge
from conformance.upgrade.tables import PairRow
from conformance.upgrade.tables import to_json as comparison_json
from tests import ROOT

TEXT = (ROOT / "docs" / "records.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """Return what stands under a heading, up to the next one."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found, f"docs/records.md has no section {title!r}"
    return found[1]


def names(title: str) -> list[str]:
    """Return the names in the first column of the section's table."""
    return re.findall(r"^\| `(\w+)`", section(title), re.MULTILINE)


def lines_of(columns: Iterable[Column]) -> Iterator[str]:
    for each in columns:
        optional = ", may be missing" if each.is_optional else ""
        yield f"| `{each.name}` | {each.dtype}{optional} | {each.since} | {each.says} |"


def test_every_column_of_rows_is_listed_in_order_and_in_its_own_words() -> None:
    """On failure: put the lines that the message shows into the document."""
    listed = [line for line in section("Rows").splitlines() if line.startswith("| `")]

    assert listed == list(lines_of(COLUMNS))


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
def test_a_column_says_something_that_fits_a_cell(column: Column) -> None:
    assert column.says
    assert "|" not in column.says
    assert "\n" not in column.says


def test_every_column_of_pairs_is_listed_in_order() -> None:
    assert names("Pairs of a comparison") == [each.name for each in dataclasses.fields(PairRow)]


def test_every_field_of_a_comparison_is_listed() -> None:
    nowhere = Environment(packages={}, config={}, host={}, devices={})
    empty = Comparison(
        before="a", after="b", environments=(nowhere, nowhere), pairs=(), lost=(), new=()
    )

    verdict = judge(empty, DriftPolicy(), datetime.date(2026, 1, 1))
    written = json.loads(comparison_json(verdict))

    assert names("A comparison") == list(written)


def test_every_field_of_a_merge_is_listed() -> None:
    empty = Merged(
        places=(),
        n_results=0,
        problems=(),
        conflicts=(),
        missing={},
        failed=(),
        beyond=(),
        faults=(),
    )

    assert names("A merge") == list(json.loads(merge_json(empty)))


def test_every_section_of_an_environment_is_listed() -> None:
    assert names("An environment") == [each.name for each in dataclasses.fields(Environment)]
