"""The answers of many seeds at once are those of `solve`, seed by seed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from conformance.core.formats import fusings
from conformance.core.ids import Problem
from conformance.core.laws import (
    Constant,
    Definition,
    Normal,
    Orthogonal,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
)
from conformance.judge.checks.oracle import answers
from conformance.oracle import OracleUnavailable, solve
from conformance.oracle.blocks import Answers
from conformance.oracle.followed import foldings
from conformance.oracle.initializers import CHUNK

SEEDS = (7, 0, 2**40)
FANS = VarianceScaling(
    scale=2.0, mode="fan_in", distribution="normal", in_axis=(-2,), out_axis=(-1,), batch_axis=()
)
LAWS = (Normal(stddev=0.5), Uniform(scale=-2.0), TruncatedNormal(stddev=2.0))


def problem_of(
    dtype: str, shape: tuple[int, ...] = (5, 3), *, prng: str = "threefry2x32", seed: int = 0
) -> Problem:
    return Problem(initializer="mine", dtype=dtype, shape=shape, seed=seed, prng=prng)


@pytest.mark.parametrize("prng", ["threefry2x32", "threefry2x32_nonpartitionable"])
@pytest.mark.parametrize(
    "dtype", ["float32", "bfloat16", "float16", "float64", "float8_e5m2", "float8_e4m3fn"]
)
@pytest.mark.parametrize("definition", LAWS, ids=repr)
def test_answers_are_those_of_each_seed(definition: Definition, dtype: str, prng: str) -> None:
    found = Answers(definition, problem_of(dtype, prng=prng), SEEDS)
    alone = [solve(problem_of(dtype, prng=prng, seed=seed), definition) for seed in SEEDS]

    expected = np.stack([one.expected for one in alone])
    assert found.expected().tobytes() == expected.tobytes()
    assert found.expected().dtype == expected.dtype
    followed = [one.followed for one in alone if one.followed is not None]
    assert [each.tobytes() for each in found.followed()][:1] == (
        [np.stack(followed).tobytes()] if followed else []
    )


@pytest.mark.parametrize("prng", ["threefry2x32", "threefry2x32_nonpartitionable"])
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("distribution", ["normal", "uniform", "truncated_normal"])
def test_complex_answers_are_those_of_each_seed(distribution: str, dtype: str, prng: str) -> None:
    fans = dataclasses.replace(FANS, distribution=distribution)
    found = Answers(fans, problem_of(dtype, prng=prng), SEEDS)

    alone = [solve(problem_of(dtype, prng=prng, seed=seed), fans) for seed in SEEDS]
    assert found.expected().tobytes() == np.stack([each.expected for each in alone]).tobytes()
    assert list(found.followed()) == []
    one = [next(found.solutions(number)) for number in range(len(SEEDS))]
    assert [each.expected.tobytes() for each in one] == [each.expected.tobytes() for each in alone]


@pytest.mark.parametrize("shape", [(), (5,), (5, 3)])
@pytest.mark.parametrize("is_compiled", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_answers_of_a_seed_are_those_of_each_sound_device(
    dtype: str, is_compiled: bool, shape: tuple[int, ...]
) -> None:
    """Each fuses products and sums or does not, and folds erf of the bounds in its own way."""
    law = LAWS[-1]
    found = Answers(law, problem_of(dtype, shape), SEEDS, is_compiled=is_compiled)

    for number, seed in enumerate(SEEDS):
        problem = problem_of(dtype, shape, seed=seed)
        known = list(answers(law, problem, key=None, is_compiled=is_compiled))
        one = list(found.solutions(number))
        assert [each.expected.tobytes() for each in one] == [
            each.expected.tobytes() for each in known
        ]
        followed = [each.followed for each in known if each.followed is not None]
        assert [each[number].tobytes() for each in found.followed()] == [
            each.tobytes() for each in followed
        ]
        assert [each.followed is None for each in one] == [not followed] * len(one)


def test_words_are_cut_into_chunks_without_a_gap() -> None:
    shape = (CHUNK // 2 + 1,)
    found = Answers(LAWS[0], problem_of("float32", shape), SEEDS)
    last = solve(problem_of("float32", shape, seed=SEEDS[-1]), LAWS[0])

    assert last.followed is not None
    assert found.expected()[-1].tobytes() == last.expected.tobytes()
    assert next(found.followed())[-1].tobytes() == last.followed.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_compiler_may_have_folded_what_is_constant(dtype: str) -> None:
    definition = TruncatedNormal(stddev=1.0, lower=-0.25, upper=1.5)
    eager, compiled = (
        Answers(definition, problem_of(dtype), SEEDS, is_compiled=is_compiled)
        for is_compiled in (False, True)
    )

    assert (
        len(list(eager.followed()))
        == len(list(Answers(definition, problem_of(dtype), SEEDS).followed()))
        == len(fusings(dtype))
    )
    assert len(list(compiled.followed())) == len(foldings(definition)) * len(fusings(dtype)) > 2


@pytest.mark.parametrize(
    ("definition", "dtype"),
    [
        (Orthogonal(scale=1.0, column_axis=-1), "float32"),
        (Constant(value=1.0), "float32"),
    ],
    ids=["orthogonal", "constant"],
)
def test_only_numbers_drawn_one_after_the_other_have_answers(
    definition: Definition, dtype: str
) -> None:
    with pytest.raises(OracleUnavailable, match=r"mine-.* is not drawn as one number after"):
        Answers(definition, problem_of(dtype), SEEDS)
