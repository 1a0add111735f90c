"""Equal pairs at a distance, on both sides of what chance explains."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from conformance.core.arrays import Array, returned
from conformance.core.laws import (
    Constant,
    Definition,
    DeltaOrthogonal,
    NominalMoments,
    Normal,
    Orthogonal,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
)
from conformance.core.records import CheckResult, Raised, Returned, Status
from conformance.judge.checks import independence
from conformance.judge.checks.independence import FEWEST_PAIRS, INDEPENDENCE, check_independence
from conformance.judge.checks.moments import bernstein_bound
from tests.evidence import declared, evidence, with_moments

DECLARED = declared(NominalMoments(mean=0, variance=1.0, lower=-9.0, upper=9.0))
NORMAL = Normal(stddev=1.0)
OTHERS = ("rbg", "unsafe_rbg")
"""Generators that the oracle has no answer for."""


def distinct(size: int) -> Array:
    return np.arange(size, dtype=np.float32)


def coupled(n_pairs: int, n_equal: int) -> Array:
    """Return a row of n_pairs + 1 elements of which so many equal the one after them."""
    row = distinct(n_pairs + 1)
    row[1 : n_equal + 1] = row[0]
    return row


def judged(array: Array, definition: Definition = NORMAL, prng: str = "rbg") -> CheckResult:
    return check_independence(evidence(definition, array, prng=prng))


def allowed(array: Array, n_pairs: int) -> float:
    """Return the share of pairs that may be equal, from counting every pair of the array."""
    flat = array.reshape(-1)
    equal = int((flat[:, None] == flat[None, :]).sum()) - flat.size
    chance = equal / (flat.size * (flat.size - 1))
    return chance + bernstein_bound(n_pairs, chance * (1 - chance), 1.0)


# --- Both sides of the bound ---------------------------------------------------------------------


def test_as_many_equal_neighbours_as_chance_explains_pass_and_one_more_fails() -> None:
    """Each of the two halves has fewer than its bound: neighbours decide alone."""
    n_pairs = 400
    shares = {n: n / n_pairs - allowed(coupled(n_pairs, n), n_pairs) for n in range(40)}
    most = max(n for n, beyond in shares.items() if beyond <= 0)

    within, beyond = judged(coupled(n_pairs, most)), judged(coupled(n_pairs, most + 1))

    assert 0 < most < 39
    assert within.status is Status.PASSED
    assert beyond.status is Status.FAILED


def test_a_share_that_chance_just_explains_passes() -> None:
    """All elements are equal: chance is 1, and no share is larger."""
    assert judged(np.full(100, 2.0, np.float32)).status is Status.PASSED


def test_a_small_lattice_may_repeat_itself_as_often_as_chance_has_it() -> None:
    """Of 128 values one pair in 128 is equal."""
    draws = np.random.default_rng(0).integers(0, 128, (64, 64)).astype(np.float32)

    assert judged(draws).status is Status.PASSED


def test_a_small_lattice_that_repeats_every_other_element_fails() -> None:
    draws = np.random.default_rng(0).integers(0, 128, (64, 32)).astype(np.float32)

    assert judged(np.repeat(draws, 2, axis=1)).status is Status.FAILED


def test_chance_that_varies_less_allows_less() -> None:
    """Of two values, half of all pairs are equal: a share of 0.75 is beyond 0.5 and its bound."""
    runs = np.repeat(np.arange(101) % 2, 4).astype(np.float32)

    result = judged(runs)

    assert ": 0.752 of the elements equal the one 1 further along axis 0, 0.499 would" in (
        result.message
    )


def test_an_axis_with_too_few_pairs_leaves_the_others_to_be_judged() -> None:
    """Of 2 x 31 elements 31 pairs are neighbours along the first axis, 32 are half a row apart."""
    half = distinct(30).reshape(2, 15)
    copied = np.concatenate([half, half, [[90.0], [91.0]]], axis=1).astype(np.float32)

    assert "equal the one 15 further along axis 1" in judged(copied).message


def test_the_chance_is_that_of_drawing_two_different_elements() -> None:
    """64 ordered pairs of 64 x 63 are equal."""
    result = judged(np.stack([distinct(32), distinct(32)]))

    assert "along axis 0, 0.0159 would by chance" in result.message


def test_no_fewer_than_32_pairs_are_judged() -> None:
    few, enough = (np.stack([distinct(size), distinct(size)]) for size in (31, 32))

    assert FEWEST_PAIRS == 32
    assert judged(few).status is Status.PASSED
    assert judged(enough).status is Status.FAILED


def test_a_share_at_the_bound_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(independence, "bernstein_bound", lambda *_: 0.0)

    assert judged(distinct(64)).status is Status.PASSED
    assert judged(coupled(64, 1)).status is Status.FAILED


# --- Where the copies are ------------------------------------------------------------------------


@pytest.mark.parametrize("prng", OTHERS)
def test_a_second_half_that_repeats_the_first_is_named(prng: str) -> None:
    rows = distinct(64 * 32).reshape(64, 32)
    copied = np.concatenate([rows[:32], rows[:32]])

    result = judged(copied, prng=prng)

    assert result.check == INDEPENDENCE
    assert result.message == (
        f"mine-float32-64x32-s0-{prng}-cpu-eager: 1 of the elements equal the one 32 further "
        "along axis 0, 0.000489 would by chance: draws are shared, or a part is a copy of another"
    )


@pytest.mark.parametrize(("axis", "lag"), [(0, 1), (1, 1), (2, 1), (0, 3), (1, 4), (2, 5)])
def test_copies_are_seen_along_every_axis_at_both_distances(axis: int, lag: int) -> None:
    shape = (6, 8, 10)
    array = distinct(480).reshape(shape)
    moved = np.moveaxis(array.copy(), axis, 0)
    if lag == 1:
        moved[1::2] = moved[::2]
    else:
        moved[lag:] = moved[:lag]
    copied = np.moveaxis(moved, 0, axis)

    result = judged(copied)

    assert f"equal the one {lag} further along axis {axis}," in result.message


def test_two_rows_that_are_equal_are_neighbours_and_halves_at_once() -> None:
    row = distinct(64)

    result = judged(np.stack([row, row]))

    assert "1 of the elements equal the one 1 further along axis 0" in result.message


def test_axes_of_one_element_have_no_neighbours() -> None:
    assert judged(distinct(64).reshape(1, 64, 1)).status is Status.PASSED


@pytest.mark.parametrize("shape", [(), (1,), (0,), (0, 64), (64, 0)])
def test_arrays_without_pairs_pass(shape: tuple[int, ...]) -> None:
    assert judged(np.zeros(shape, np.float32)).status is Status.PASSED


@pytest.mark.parametrize("dtype", ["float64", "float16", "complex64"])
def test_copies_are_seen_in_every_dtype(dtype: str) -> None:
    row = distinct(64).astype(dtype)

    assert judged(np.stack([row, row])).status is Status.FAILED


# --- Where it applies ----------------------------------------------------------------------------

COPIED = np.stack([distinct(64), distinct(64)])


@pytest.mark.parametrize(
    "definition",
    [
        NORMAL,
        TruncatedNormal(stddev=1.0),
        Uniform(scale=1.0),
        VarianceScaling(scale=1.0, mode="fan_in", distribution="normal"),
        Orthogonal(),
        DECLARED,
    ],
    ids=str,
)
@pytest.mark.parametrize("prng", OTHERS)
def test_every_law_is_judged_where_the_oracle_has_no_answer(
    definition: Definition, prng: str
) -> None:
    assert judged(COPIED, definition, prng).status is Status.FAILED


@pytest.mark.parametrize(
    "prng", ["threefry2x32", "threefry2x32_partitionable", "threefry2x32_nonpartitionable"]
)
def test_of_threefry_the_oracle_says_more_of_all_but_declared_laws(prng: str) -> None:
    assert judged(COPIED, NORMAL, prng).status is Status.NOT_APPLICABLE
    assert judged(COPIED, DECLARED, prng).status is Status.FAILED


@pytest.mark.parametrize("definition", [None, Constant(value=1.0)], ids=str)
def test_what_is_not_drawn_is_not_judged(definition: Definition | None) -> None:
    result = check_independence(evidence(definition, COPIED, prng="rbg"))

    assert result.status is Status.NOT_APPLICABLE


def test_kernels_that_are_mostly_zero_are_not_judged() -> None:
    kernel = np.zeros((7, 4, 4), np.float32)

    assert judged(kernel, DeltaOrthogonal()).status is Status.NOT_APPLICABLE


@pytest.mark.parametrize(
    "outcome",
    [
        pytest.param(Raised(exception="ValueError", message=""), id="raised"),
        pytest.param(dataclasses.replace(returned(COPIED), stride=3), id="sample"),
        pytest.param(with_moments(COPIED, {"nonfinite": 1}), id="not finite"),
    ],
)
def test_what_cannot_be_judged_is_not(outcome: Returned | Raised) -> None:
    result = check_independence(evidence(NORMAL, outcome, prng="rbg", shape=COPIED.shape))

    assert result.status is Status.NOT_APPLICABLE


def test_what_must_be_refused_is_not_judged() -> None:
    uniform = np.stack([distinct(64), distinct(64)]).astype(np.complex64)

    assert judged(uniform, Uniform(scale=1.0)).status is Status.NOT_APPLICABLE
