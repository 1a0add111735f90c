"""Which other draw an array is: each name belongs to what it says."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from conformance.core.ids import Problem
from conformance.core.laws import Normal
from conformance.oracle import OracleUnavailable, fold_in, other_draws, seed_key, solve, split

NORMAL = Normal(stddev=1.0)
PROBLEM = Problem(initializer="mine", dtype="float32", shape=(8, 4), seed=7)
KEY = seed_key(7)

DRAWS = {
    "drawn with the key of seed 8": {"key": seed_key(8)},
    "drawn with the key of seed 6": {"key": seed_key(6)},
    "drawn with the key of seed 0": {"key": seed_key(0)},
    "drawn with fold_in(key, 0), the first key of split(key)": {"key": split(KEY)[0]},
    "drawn with fold_in(key, 1), the second key of split(key)": {"key": fold_in(KEY, 1)},
    "drawn with the key's two words swapped": {"key": KEY[::-1].copy()},
    "drawn with the counters of threefry2x32_nonpartitionable": {"partitionable": False},
}


def test_each_other_draw_is_what_its_name_says() -> None:
    found = dict(other_draws(NORMAL, PROBLEM))

    for name, asked in DRAWS.items():
        right = solve(PROBLEM, NORMAL, **asked).expected
        assert any(np.array_equal(array, right) for array in found[name]), name
    assert set(found) == {*DRAWS, "filled with its first axis fastest"}


def test_an_array_filled_the_other_way_is_the_turned_ones_transpose() -> None:
    turned = solve(dataclasses.replace(PROBLEM, shape=(4, 8)), NORMAL).expected

    found = dict(other_draws(NORMAL, PROBLEM))["filled with its first axis fastest"]

    assert any(np.array_equal(array, turned.T) for array in found)


def test_of_a_key_that_is_given_the_seeds_are_not_tried() -> None:
    key = np.array([3, 9], np.uint32)

    names = [name for name, _ in other_draws(NORMAL, PROBLEM, key)]

    assert "drawn with the key's low word alone" in names
    assert [name for name in names if "seed" in name] == ["drawn with the key of seed 0"]


@pytest.mark.parametrize("seed", [0, 1])
def test_no_draw_is_the_problems_own(seed: int) -> None:
    problem = dataclasses.replace(PROBLEM, seed=seed)
    own = solve(problem, NORMAL).expected

    for name, arrays in other_draws(NORMAL, problem):
        assert not any(np.array_equal(array, own) for array in arrays), name


def test_where_a_split_is_no_fold_both_are_tried() -> None:
    problem = dataclasses.replace(PROBLEM, prng="threefry2x32_nonpartitionable")
    child = solve(problem, NORMAL, key=split(KEY, partitionable=False)[1]).expected

    found = dict(other_draws(NORMAL, problem))

    assert "drawn with fold_in(key, 1)" in found
    second = found["drawn with the second key of split(key)"]
    assert any(np.array_equal(array, child) for array in second)


def test_of_rbg_no_draw_is_known() -> None:
    with pytest.raises(OracleUnavailable):
        list(other_draws(NORMAL, dataclasses.replace(PROBLEM, prng="rbg")))
