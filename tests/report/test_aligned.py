"""Columns line up."""

from __future__ import annotations

import pytest

from conformance.report.aligned import aligned, markdown_table, padded

ROWS = [("name", "n"), ("a", "100"), ("longest", "")]


def test_columns_are_as_wide_as_their_longest_cell_and_lines_end_in_no_blank() -> None:
    assert aligned(ROWS) == ["name     n", "a        100", "longest"]


def test_numbers_end_where_their_column_ends() -> None:
    assert aligned(ROWS, n_left=1) == ["name       n", "a        100", "longest"]


def test_cells_of_one_column_are_equally_wide() -> None:
    assert padded(ROWS) == [["name   ", "n  "], ["a      ", "100"], ["longest", "   "]]


def test_of_no_rows_there_are_no_lines() -> None:
    assert aligned([]) == []


def test_rows_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        aligned([("a", "b"), ("c",)])


def test_a_markdown_table_has_a_rule_under_its_head() -> None:
    assert markdown_table(("name", "n"), [("a", "1")]) == [
        "| name | n |",
        "| --- | --- |",
        "| a | 1 |",
    ]
