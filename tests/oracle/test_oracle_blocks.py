"""The answers of many seeds at once are those of `solve`, seed by seed."""

from __future__ import annotations

import numpy as np
import pytest

from conformance.core.ids import Problem
from conformance.core.laws import (
    Constant,
    Definition,
    Normal,
    Orthogonal,
    TruncatedNormal,
    Uniform,
)
from conformance.oracle import OracleUnavailable, solve
from conformance.oracle.blocks import Answers
from conformance.oracle.followed import foldings
from conformance.oracle.initializers import CHUNK

SEEDS = (7, 0, 2**40)
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
    assert [each.tobytes() for each in found.followed()] == (
        [np.stack(followed).tobytes()] if followed else []
    )


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
        == 1
    )
    assert len(list(compiled.followed())) == len(foldings(definition)) > 1


@pytest.mark.parametrize(
    ("definition", "dtype"),
    [
        (Orthogonal(scale=1.0, column_axis=-1), "float32"),
        (Constant(value=1.0), "float32"),
        (LAWS[0], "complex64"),
    ],
    ids=["orthogonal", "constant", "complex"],
)
def test_only_reals_drawn_one_after_the_other_have_answers(
    definition: Definition, dtype: str
) -> None:
    with pytest.raises(OracleUnavailable, match=r"mine-.* is not drawn as one real after"):
        Answers(definition, problem_of(dtype), SEEDS)
