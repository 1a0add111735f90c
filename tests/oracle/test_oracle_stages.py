"""What an answer shows of its stages, and how constants, complex numbers and matrices get theirs.

By definition and without JAX, which `test_oracle_solve` and `test_oracle_matrices` ask.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from conformance.core.arrays import Array, as_dtype
from conformance.core.ids import Problem, parse_problem
from conformance.core.laws import (
    Constant,
    Declared,
    Definition,
    DeltaOrthogonal,
    Identity,
    NominalMoments,
    Normal,
    Orthogonal,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
)
from conformance.oracle import OracleUnavailable, random_bits, seed_key, solve, solve_words, split
from conformance.oracle.distributions import complex_unit_variate, lattice, unit_variate
from conformance.oracle.followed import followed_uniform
from conformance.oracle.initializers import CHUNK, drawing_key, haar, key_of, layout_of

SHAPE = (17, 13)
LAWS: tuple[Definition, ...] = (
    Normal(stddev=0.5),
    Uniform(scale=-2.0),
    TruncatedNormal(stddev=2.0, lower=-0.25, upper=1.5),
    VarianceScaling(scale=2.0, mode="fan_in", distribution="uniform"),
)


def problem_of(dtype: str, shape: tuple[int, ...] = SHAPE, seed: int = 3) -> Problem:
    return Problem(initializer="mine", dtype=dtype, shape=shape, seed=seed)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "float8_e5m2"])
@pytest.mark.parametrize("definition", LAWS, ids=repr)
def test_each_stage_of_a_real_law_is_made_of_the_one_before(
    definition: Definition, dtype: str
) -> None:
    number = as_dtype(dtype)
    law = definition.law(SHAPE, is_complex=False)
    assert law is not None

    found = solve(problem_of(dtype), definition)

    assert found.key is not None
    assert found.bits is not None
    np.testing.assert_array_equal(found.key, seed_key(3))
    width = {"float32": 32, "float64": 64, "float16": 16, "float8_e5m2": 8}[dtype]
    np.testing.assert_array_equal(found.bits, random_bits(seed_key(3), width, SHAPE))
    uniform = followed_uniform(found.bits, law, number)
    np.testing.assert_array_equal(np.asarray(found.uniform), uniform)
    np.testing.assert_array_equal(np.asarray(found.unit), unit_variate(found.bits, law, number))
    np.testing.assert_array_equal(found.value, np.asarray(found.unit) * law.factor)
    assert found.expected.dtype == number
    assert (found.followed is None) == (dtype == "float64")


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("definition", [LAWS[0], LAWS[3]], ids=repr)
def test_each_stage_of_a_complex_law_is_made_of_two_words(
    definition: Definition, dtype: str
) -> None:
    number = as_dtype(dtype)
    law = definition.law(SHAPE, is_complex=True)
    assert law is not None

    found = solve(problem_of(dtype), definition)

    assert found.bits is not None
    width = 32 if dtype == "complex64" else 64
    words = [random_bits(key, width, SHAPE) for key in split(seed_key(3))]
    np.testing.assert_array_equal(found.bits, words)
    np.testing.assert_array_equal(np.asarray(found.uniform), lattice(found.bits, number))
    unit = complex_unit_variate(found.bits, law, number)
    np.testing.assert_array_equal(np.asarray(found.unit), unit)
    np.testing.assert_array_equal(found.value, unit * law.factor)
    assert found.expected.tobytes() == found.value.astype(number).tobytes()
    assert found.followed is None


@pytest.mark.parametrize("n", [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 1])
def test_chunks_of_an_array_are_those_of_its_words(n: int) -> None:
    words = np.arange(n, dtype=np.uint32) * np.uint32(40503 * 65537)
    number = np.dtype(np.float32)

    found = solve_words(words, LAWS[1], number, (n,))

    some = np.array([0, 1, CHUNK - 2, n - 1])
    alone = solve_words(words[some], LAWS[1], number, (n,))
    for stage in ("uniform", "unit", "value", "expected", "followed"):
        assert np.array_equal(getattr(found, stage)[some], getattr(alone, stage)), stage


@pytest.mark.parametrize(
    ("definition", "dtype", "expected"),
    [
        (Constant(value=1.5), "float32", [[1.5, 1.5], [1.5, 1.5]]),
        (Constant(value=1.5), "complex64", [[1.5, 1.5], [1.5, 1.5]]),
        (Constant(value=1 - 2j), "complex64", [[1 - 2j, 1 - 2j], [1 - 2j, 1 - 2j]]),
        (Constant(value=1 - 2j), "float32", [[1.0, 1.0], [1.0, 1.0]]),
        (Constant(value=(1.0, 2.0)), "bfloat16", [[1.0, 2.0], [1.0, 2.0]]),
        (Identity(value=3.0), "float16", [[3.0, 0.0], [0.0, 3.0]]),
    ],
    ids=str,
)
def test_a_constant_has_no_stage_before_its_value(
    definition: Constant, dtype: str, expected: Any
) -> None:
    found = solve(problem_of(dtype, (2, 2)), definition)

    assert found.expected.dtype == as_dtype(dtype)
    assert found.expected.tolist() == expected == found.value.tolist()
    assert found.value.dtype == (np.complex128 if dtype == "complex64" else np.float64)
    stages = (found.key, found.bits, found.uniform, found.unit, found.followed)
    assert all(stage is None for stage in stages)
    found.value[0, 0] = 7  # a copy, and no view of one number
    assert found.value[1, 1] != 7


MOMENTS = Declared(
    moments=lambda _: NominalMoments(mean=0, variance=1.0, lower=-math.inf, upper=math.inf)
)


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        (MOMENTS, "Declared is no function of single random words: it is stated by its moments"),
        (Orthogonal(), "Orthogonal is no function of single random words"),
    ],
    ids=["declared", "orthogonal"],
)
def test_why_words_do_not_determine_an_array_is_told(definition: Definition, reason: str) -> None:
    with pytest.raises(OracleUnavailable) as caught:
        solve_words(np.zeros(4, np.uint32), definition, np.dtype(np.float32), (2, 2))

    assert str(caught.value).startswith(reason)
    assert ("moments" in str(caught.value)) == (definition is MOMENTS)


# --- Keys and layouts ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prng", "default", "is_partitionable"),
    [
        ("threefry2x32", True, True),
        ("threefry2x32", False, False),
        ("threefry2x32_partitionable", False, True),
        ("threefry2x32_nonpartitionable", True, False),
    ],
)
def test_a_layout_that_is_named_wins_over_the_default(
    prng: str, default: bool, is_partitionable: bool
) -> None:
    problem = dataclasses.replace(problem_of("float32"), prng=prng)

    assert layout_of(problem, default=default) is is_partitionable
    bits = solve(problem, LAWS[0], partitionable=default).bits
    words = random_bits(seed_key(3), 32, SHAPE, partitionable=is_partitionable)
    np.testing.assert_array_equal(np.asarray(bits), words)


def test_a_seed_is_cut_and_children_are_those_of_today_unless_told() -> None:
    large = problem_of("float32", seed=2**32 + 5)
    child = parse_problem("mine-float32-7-s7.split2at1")

    assert key_of(large).tolist() == [0, 5]
    assert key_of(large, x64=True).tolist() == [1, 5]
    assert key_of(dataclasses.replace(large, dtype="float64")).tolist() == [1, 5]
    for layout in (True, False):
        expected = split(seed_key(7), partitionable=layout)[1].tolist()
        assert key_of(child, partitionable=layout).tolist() == expected
    assert key_of(child).tolist() == key_of(child, partitionable=True).tolist()


def test_a_key_of_its_own_and_its_children_are_made_as_any_other() -> None:
    own, child = (Normal(stddev=1.0, drawn_with=text) for text in (f"s{2**32 + 5}", "split2at1"))
    key = seed_key(7)

    assert drawing_key(own, key).tolist() == [0, 5]
    assert drawing_key(own, key, x64=True).tolist() == [1, 5]
    for layout in (True, False):
        expected = split(key, partitionable=layout)[1].tolist()
        assert drawing_key(child, key, partitionable=layout).tolist() == expected
    assert drawing_key(child, key).tolist() == split(key)[1].tolist()


# --- Matrices ------------------------------------------------------------------------------------


def matrix(shape: tuple[int, int], *, is_complex: bool) -> Array:
    real, imag = np.random.default_rng(1).standard_normal((2, *shape))
    return np.asarray(real + 1j * imag if is_complex else real)


@pytest.mark.parametrize("is_complex", [False, True])
def test_whatever_phases_a_qr_leaves_the_factor_is_the_one_of_a_positive_diagonal(
    is_complex: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LAPACK's diagonal is real, which no standard demands."""
    normals = matrix((7, 4), is_complex=is_complex)
    orthonormal, triangular = np.linalg.qr(normals)
    phases = np.exp(1j * np.array([0.3, 2.0, -2.5, 1.0])) if is_complex else [1, -1, -1, 1]
    turned = orthonormal * phases, (triangular.T * np.conj(phases)).T
    np.testing.assert_allclose(turned[0] @ turned[1], normals, atol=1e-14)
    expected = haar(normals)
    monkeypatch.setattr(np.linalg, "qr", lambda _: turned)

    found = haar(normals)

    np.testing.assert_allclose(found, expected, atol=1e-14)
    diagonal = np.diagonal(found.conj().T @ normals)
    assert (diagonal.real > 0).all()
    np.testing.assert_allclose(diagonal.imag, 0, atol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize(("shape", "axis"), [((6, 4), -1), ((4, 6), -1), ((2, 3, 4), 1)])
def test_a_matrix_is_its_scale_times_the_factor_of_its_normals(
    shape: tuple[int, ...], axis: int, dtype: str
) -> None:
    found = solve(problem_of(dtype, shape), Orthogonal(scale=-1.5, column_axis=axis))

    columns = np.moveaxis(found.value, axis, -1).reshape(-1, shape[axis])
    factor = -1.5 * haar(np.asarray(found.unit))
    tall = columns if columns.shape == factor.shape else columns.T
    np.testing.assert_array_equal(tall, factor)
    assert found.expected.tobytes() == found.value.astype(dtype).tobytes()
    assert found.followed is None


def test_a_kernel_is_the_matrix_of_its_last_two_axes_at_its_centre() -> None:
    problem = problem_of("float32", (4, 3, 2, 5))

    found = solve(problem, DeltaOrthogonal(scale=2.0, column_axis=0))

    inner = Orthogonal(scale=2.0, column_axis=0)
    expected = solve(problem_of("float32", (2, 5)), inner)
    np.testing.assert_array_equal(found.expected[1, 1], expected.expected)
    assert np.count_nonzero(found.value) == np.count_nonzero(expected.value) == 10
    assert found.followed is None
