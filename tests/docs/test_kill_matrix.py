"""The stored kill matrix is of today's faults, and the page shows it."""

from __future__ import annotations

import re

import pytest
import refresh_faults

from conformance.core.errors import ExitCode
from conformance.planted.known import known_faults
from conformance.planted.matrix import Matrix
from conformance.planted.power import DTYPES, PLANTS, SIZES

PAGE = refresh_faults.PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def matrix() -> Matrix:
    return refresh_faults.stored()


def test_the_stored_matrix_is_of_every_fault_that_is_known(matrix: Matrix) -> None:
    """On failure: `conformance faults --json docs/kill-matrix.json`, then refresh_faults."""
    assert matrix.is_whole
    assert [each.name for each in matrix.tried] == [fault.name for fault in known_faults()]
    claims = {fault.name: fault.caught_by for fault in known_faults()}
    assert {each.name: each.claim for each in matrix.tried} == claims


def test_every_fault_died_and_every_check_killed_one_alone(matrix: Matrix) -> None:
    assert matrix.faults == {}
    assert matrix.code is ExitCode.OK


def test_the_page_shows_the_stored_matrix(matrix: Matrix) -> None:
    """On failure: `python scripts/refresh_faults.py --no-power`."""
    assert (
        refresh_faults.replaced(PAGE, refresh_faults.MATRIX, refresh_faults.matrix_text(matrix))
        == PAGE
    )


def test_the_page_shows_that_the_stated_power_holds() -> None:
    part = PAGE.partition(refresh_faults.POWER)[2].partition(refresh_faults.END)[0]
    shares = re.findall(r"[\d.e-]+: (\S+) \S+ \S+ (\S+)", part)

    # Of each size `atoms` is stated for two dtypes; `collisions` and `extremes` for one.
    assert len(shares) == len(SIZES) * (len(DTYPES) * (len(PLANTS) - 3) + 4)
    assert {at_the_stated for at_the_stated, _ in shares} == {"100"}
    assert all(float(at_a_quarter) < 5 for _, at_a_quarter in shares)


def test_a_part_is_replaced_and_the_rest_is_kept() -> None:
    page = "a\n<!-- power -->\n\nold\n\n<!-- end -->\nb\n"

    assert refresh_faults.replaced(page, refresh_faults.POWER, "new") == page.replace("old", "new")
