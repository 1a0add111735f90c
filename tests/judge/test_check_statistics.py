"""Where the statistical tests are asked, and what the check says of them."""

from __future__ import annotations

import dataclasses
import math
import re

import numpy as np
import pytest

from conformance.core.arrays import Array, returned
from conformance.core.ids import Problem
from conformance.core.laws import (
    Constant,
    Definition,
    DeltaOrthogonal,
    NominalMoments,
    Normal,
    Orthogonal,
    Uniform,
)
from conformance.core.records import CheckResult, Raised, Returned, Status
from conformance.judge.alpha import STATISTICS
from conformance.judge.checks import statistics
from conformance.judge.checks.statistics import (
    check_statistics,
    is_no_accident,
    wanted_keys,
)
from conformance.judge.sampled import is_sampled
from conformance.oracle import haar
from tests.evidence import declared, evidence, with_moments

NORMAL = Normal(stddev=1.0)
DECLARED = declared(NominalMoments(mean=0, variance=1.0, lower=-9.0, upper=9.0))
SHAPE = (64, 32)


def drawn(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def antithetic() -> Array:
    flat = drawn().ravel()
    flat[1::2] = -flat[::2]
    return flat.reshape(SHAPE)


def judged(
    array: Array, definition: Definition = NORMAL, prng: str = "rbg", *others: Array
) -> CheckResult:
    found = evidence(definition, array, prng=prng)
    if others:
        found = dataclasses.replace(found, looks=(np.stack([array, *others]),))
    return check_statistics(found)


# --- Where it applies ----------------------------------------------------------------------------
@pytest.mark.parametrize("prng", ["rbg", "unsafe_rbg"])
@pytest.mark.parametrize("definition", [NORMAL, DECLARED], ids=["normal", "declared"])
def test_where_no_oracle_answers_every_test_is_asked(definition: Definition, prng: str) -> None:
    assert judged(drawn(), definition, prng).status is Status.PASSED
    assert judged(antithetic(), definition, prng).status is Status.FAILED


def test_of_threefry_only_declared_laws_are_tested() -> None:
    assert judged(antithetic(), NORMAL, "threefry2x32").status is Status.PASSED
    assert judged(antithetic(), DECLARED, "threefry2x32").status is Status.FAILED


def test_matrices_are_held_to_haar() -> None:
    right = haar(np.random.default_rng(3).standard_normal((64, 64))).astype(np.float32)
    wrong = right * np.sign(np.diagonal(right))

    assert judged(right, Orthogonal()).status is Status.PASSED
    assert "signs: the share of positive elements in a line" in (
        judged(wrong, Orthogonal()).message
    )


@pytest.mark.parametrize("definition", [None, Constant(value=1.0)], ids=str)
def test_what_is_not_drawn_is_not_judged(definition: Definition | None) -> None:
    result = check_statistics(evidence(definition, antithetic(), prng="rbg"))

    assert result.status is Status.NOT_APPLICABLE


@pytest.mark.parametrize(
    "outcome",
    [
        pytest.param(Raised(exception="ValueError", message=""), id="raised"),
        pytest.param(dataclasses.replace(returned(antithetic()), stride=3), id="sample"),
        pytest.param(with_moments(antithetic(), {"nonfinite": 1}), id="not finite"),
        pytest.param(returned(np.zeros((0, 8), np.float32)), id="empty"),
    ],
)
def test_what_cannot_be_judged_is_not(outcome: Returned | Raised) -> None:
    shape = None if isinstance(outcome, Returned) else SHAPE

    result = check_statistics(evidence(NORMAL, outcome, prng="rbg", shape=shape))

    assert result.status is Status.NOT_APPLICABLE


def test_a_scale_of_zero_leaves_nothing_to_test() -> None:
    zeros = np.zeros((8, 8), np.float32)

    assert judged(zeros, Orthogonal(scale=0.0)).status is Status.NOT_APPLICABLE


# --- What it says --------------------------------------------------------------------------------
def test_a_refusal_names_the_test_the_place_and_the_probability() -> None:
    result = judged(antithetic())

    assert result.message.startswith(
        "mine-float32-64x32-s0-rbg-cpu-eager: 1 of 14 tests refused 2048 elements of 1 key, "
        "each less often than once in 4e+12 by chance\n"
        "  lags: the correlation of an element with another, is off by -0.5"
    )
    assert "1 places on; p = " in result.message


def test_a_test_that_is_certain_to_show_nothing_says_no_more_than_its_probability() -> None:
    copied = drawn()
    copied[:, 20] = copied[:, 3]

    _, certain = judged(antithetic()).message.splitlines()
    _, unknown, *_ = judged(copied).message.splitlines()

    assert unknown.startswith("  copies: ")
    assert re.search(r", 1 places on; p = \S+, certain to show 0\.\d+$", certain)
    assert re.search(r", lines of axis 1; p = \S+$", unknown)


def test_what_decided_is_on_record_with_its_size_and_the_smallest_fault() -> None:
    result = judged(antithetic())

    assert result.statistic is not None
    assert result.statistic.name == "lags"
    assert result.statistic.p_value < result.statistic.share == STATISTICS.alpha
    assert result.statistic.sample_size == 2048
    assert 0.1 < result.statistic.certain < 1
    assert result.metrics["p_lags"] == result.statistic.p_value


def test_a_pass_is_on_record_too() -> None:
    result = judged(drawn())

    assert result.statistic is not None
    assert result.statistic.p_value == min(result.metrics.values()) > 1e-3


# --- Another key ---------------------------------------------------------------------------------
def test_a_key_that_is_ignored_fails_where_an_oracle_answers() -> None:
    result = judged(drawn(), NORMAL, "threefry2x32", drawn())

    assert result.status is Status.FAILED
    assert result.message == (
        "mine-float32-64x32-s0-cpu-eager: seeds 0 and 1 return the same array: the key is ignored"
    )


def test_the_first_two_of_more_keys_are_compared() -> None:
    ignored = judged(drawn(), NORMAL, "threefry2x32", drawn(), drawn(1))
    other = judged(drawn(), NORMAL, "threefry2x32", drawn(1), drawn(1))

    assert (ignored.status, other.status) == (Status.FAILED, Status.PASSED)


def test_another_array_for_another_key_passes() -> None:
    assert judged(drawn(), NORMAL, "threefry2x32", drawn(1)).status is Status.PASSED


@pytest.mark.parametrize(
    ("definition", "dtype", "shape", "expected"),
    [
        (NORMAL, "float32", (2,), True),
        (NORMAL, "float32", (), False),
        (NORMAL, "bfloat16", (5,), False),
        (NORMAL, "bfloat16", (6,), True),
        (NORMAL, "complex64", (), False),
        (NORMAL, "complex64", (2,), True),
        (NORMAL, "complex64", (0,), False),
        (Orthogonal(), "float32", (44, 44), False),
        (Orthogonal(), "float32", (45, 45), True),
        (Orthogonal(), "float32", (44, 64), False),
        (Orthogonal(), "float32", (64, 44), False),
        (Orthogonal(scale=0.0), "float32", (64, 64), False),
        (DeltaOrthogonal(), "float32", (3, 64, 64), True),
        (DECLARED, "float32", (64, 32), False),
    ],
)
def test_equal_arrays_are_no_accident_where_chance_is_below_the_budget(
    definition: Definition, dtype: str, shape: tuple[int, ...], expected: bool
) -> None:
    problem = Problem(initializer="mine", dtype=dtype, shape=shape, seed=0)

    assert is_no_accident(definition, problem) is expected


def test_equal_arrays_as_likely_as_the_budget_are_an_accident(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a float32 a value has 2^-22 at most, so that two are alike with 2^-44."""
    problem = Problem(initializer="mine", dtype="float32", shape=(2,), seed=0)
    found = []
    for alpha in (2.0**-44, 1.001 * 2.0**-44):
        share = dataclasses.replace(STATISTICS, part=alpha * 1e6, decisions=1)
        assert share.alpha == alpha
        monkeypatch.setattr(statistics, "SHARE", share)
        found.append(is_no_accident(NORMAL, problem))

    assert found == [False, True]


def test_where_an_oracle_answers_only_the_first_look_is_compared() -> None:
    """Others are those of a statistical test."""
    evidence_of = evidence(NORMAL, drawn())
    alone, ignored, other = drawn()[None], np.stack([drawn()] * 2), np.stack([drawn(), drawn(1)])

    found = [
        check_statistics(dataclasses.replace(evidence_of, looks=looks)).status
        for looks in ((ignored, other), (other, ignored), (alone, ignored))
    ]

    assert found == [Status.FAILED, Status.PASSED, Status.PASSED]


@pytest.mark.parametrize(
    ("definition", "prng", "expected"),
    [
        (None, "rbg", False),
        (Constant(value=1.0), "rbg", False),
        (NORMAL, "rbg", True),
        (NORMAL, "threefry2x32", False),
        (NORMAL, "threefry2x32_partitionable", False),
        (NORMAL, "threefry2x32_nonpartitionable", False),
        (DECLARED, "threefry2x32", True),
    ],
    ids=str,
)
def test_statistics_decide_on_draws_that_no_oracle_follows(
    definition: Definition | None, prng: str, expected: bool
) -> None:
    problem = Problem(initializer="mine", dtype="float32", shape=(2,), seed=0, prng=prng)

    assert is_sampled(definition, problem) is expected


def test_of_complex_numbers_those_of_known_moduli_are_tested() -> None:
    right = (drawn() + 1j * drawn(1)).astype(np.complex64) / np.float32(math.sqrt(2))

    assert judged(right, NORMAL).status is Status.PASSED
    assert judged(right * np.float32(1.5), NORMAL).status is Status.FAILED
    assert judged(right * np.float32(1.5), DECLARED).status is Status.NOT_APPLICABLE


# --- What is drawn for it ------------------------------------------------------------------------
def seeds(
    definition: Definition | None,
    prng: str = "rbg",
    shape: tuple[int, ...] = SHAPE,
    seed: int = 0,
) -> int:
    problem = Problem(initializer="mine", dtype="float32", shape=shape, seed=seed, prng=prng)
    return sum(map(len, wanted_keys(definition, problem, 0)))


def test_as_many_keys_are_asked_as_the_looks_need() -> None:
    assert seeds(NORMAL) == 8 + 32 + 128
    assert seeds(DECLARED, "threefry2x32") == 8 + 32 + 128


def test_every_key_is_another_and_of_a_seed_of_32_bits() -> None:
    problem = Problem(initializer="mine", dtype="float32", shape=SHAPE, seed=0, prng="rbg")

    looks = wanted_keys(NORMAL, problem, 0)

    keys = [key for look in looks for key in look]
    assert len(set(keys)) == len(keys)
    assert 2**31 <= max(key.seed for key in keys) < 2**32


def test_where_an_oracle_answers_one_other_key_is_asked_of_small_arrays() -> None:
    problem = Problem(initializer="mine", dtype="float32", shape=SHAPE, seed=0)

    assert [[key.text for key in look] for look in wanted_keys(NORMAL, problem, 0)] == [
        ["s0", "s1"]
    ]
    assert seeds(NORMAL, "threefry2x32") == 2
    assert seeds(NORMAL, "threefry2x32", (4096,)) == 2
    assert seeds(NORMAL, "threefry2x32", (4097,)) == 0
    assert seeds(NORMAL, "threefry2x32", seed=1) == 0


@pytest.mark.parametrize("definition", [None, Constant(value=0.0)], ids=str)
def test_of_what_is_not_drawn_no_key_is_asked(definition: Definition | None) -> None:
    assert seeds(definition) == 0
    assert seeds(Uniform(scale=1.0), shape=(0, 8)) == 0


def test_of_a_key_that_is_given_by_its_words_others_are_asked_where_no_oracle_answers() -> None:
    problem = Problem(initializer="mine", dtype="float32", shape=SHAPE, seed=0, words=(3, 9))

    assert wanted_keys(NORMAL, problem, 0) == []
    assert sum(map(len, wanted_keys(DECLARED, problem, 0))) == 8 + 32 + 128


def test_a_law_without_bounds_is_not_tested() -> None:
    unbounded = NominalMoments(mean=0, variance=1.0, lower=-math.inf, upper=math.inf)

    assert judged(drawn(), declared(unbounded)).status is Status.NOT_APPLICABLE
