"""Which other draw an array is: each name belongs to what it says."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from conformance.core.ids import Problem
from conformance.core.keys import parse_key
from conformance.core.laws import DeltaOrthogonal, Normal
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


TURNED = "drawn with the counters of threefry2x32_nonpartitionable"
LAYOUT = {TURNED, "filled with its first axis fastest"}
CHILDREN = {
    "drawn with fold_in(key, 0), the first key of split(key)",
    "drawn with fold_in(key, 1), the second key of split(key)",
}
SEED_0 = "drawn with the key of seed 0"
SWAPPED = "drawn with the key's two words swapped"
LOW_WORD = "drawn with the key's low word alone"


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ((3, 9), {SEED_0, SWAPPED, LOW_WORD}),
        ((0, 9), {SEED_0, SWAPPED}),
        ((3, 0), {SEED_0, SWAPPED, LOW_WORD}),
        ((9, 9), {SEED_0, LOW_WORD}),
        ((0, 0), set()),
    ],
)
def test_only_what_makes_another_key_of_the_words_is_tried(
    words: tuple[int, int], names: set[str]
) -> None:
    key = np.array(words, np.uint32)

    found = dict(other_draws(NORMAL, PROBLEM, key))

    assert set(found) == names | CHILDREN | LAYOUT
    others = {SEED_0: (0, 0), SWAPPED: words[::-1], LOW_WORD: (0, words[1])}
    for name in names:
        right = solve(PROBLEM, NORMAL, key=np.array(others[name], np.uint32)).expected
        assert any(np.array_equal(array, right) for array in found[name]), name


@pytest.mark.parametrize(("seed", "tried"), [(0, {1}), (1, {0, 2}), (2, {0, 1, 3}), (7, {0, 6, 8})])
def test_of_a_seed_its_neighbours_and_0_are_tried(seed: int, tried: set[int]) -> None:
    problem = dataclasses.replace(PROBLEM, seed=seed)

    found = [name for name, _ in other_draws(NORMAL, problem) if "seed" in name]

    assert sorted(found) == [f"drawn with the key of seed {other}" for other in sorted(tried)]


def test_a_problem_of_words_is_of_a_key_that_is_given() -> None:
    spec = parse_key("k0000000300000009")
    problem = dataclasses.replace(PROBLEM, seed=spec.seed, words=spec.words)

    names = {name for name, _ in other_draws(NORMAL, problem)}

    assert names == {SEED_0, SWAPPED, LOW_WORD} | CHILDREN | LAYOUT


def test_of_a_key_that_is_made_of_the_given_one_the_given_is_tried_first() -> None:
    definition = Normal(stddev=1.0, drawn_with="fold5")
    own = fold_in(KEY, 5)

    found = list(other_draws(definition, PROBLEM))

    name, arrays = found[0]
    assert name == "drawn with the key that was given"
    right = solve(PROBLEM, NORMAL).expected
    assert any(np.array_equal(array, right) for array in arrays)
    swapped = solve(PROBLEM, NORMAL, key=own[::-1].copy()).expected
    assert any(np.array_equal(array, swapped) for array in dict(found)[SWAPPED])
    assert [name for name, _ in found if "seed" in name] == [SEED_0]


@pytest.mark.parametrize("shape", [(), (32,)])
def test_what_has_one_axis_is_filled_one_way(shape: tuple[int, ...]) -> None:
    problem = dataclasses.replace(PROBLEM, shape=shape)

    names = {name for name, _ in other_draws(NORMAL, problem)}

    assert TURNED in names
    assert not any("axis" in name for name in names)


def test_a_shape_that_cannot_be_turned_is_not() -> None:
    """(1, 2, 5) is a kernel of 2 features and 5, and (5, 2, 1) would have fewer out than in."""
    problem = dataclasses.replace(PROBLEM, shape=(1, 2, 5))

    names = {name for name, _ in other_draws(DeltaOrthogonal(), problem)}

    assert TURNED in names
    assert not any("axis" in name for name in names)


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
