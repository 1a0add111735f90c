"""The least magnitude is found within a factor, check by check, and no trial is made twice."""

from __future__ import annotations

import pytest

from conformance.planted.search import DECADES, PRECISION, STEP, smallest_killed


@pytest.mark.parametrize("least", [0.9, 0.5, 1e-3, 2.7e-6])
def test_the_least_magnitude_is_found_within_a_factor(least: float) -> None:
    found = smallest_killed(lambda _, magnitude: magnitude >= least, ["oracle"], 1.0)

    assert least <= found["oracle"] <= least * PRECISION * 1.000001


def test_each_check_has_its_own() -> None:
    limits = {"oracle": 1e-5, "moments": 0.3}

    found = smallest_killed(lambda check, size: size >= limits[check], limits, 2.0)

    assert found["oracle"] < 1e-4 < 0.1 < found["moments"]


def test_what_dies_however_small_it_is_ends_the_search() -> None:
    found = smallest_killed(lambda *_: True, ["values"], 1.0)

    assert found["values"] == pytest.approx(STEP ** -(DECADES + 0.75))
