"""Orthogonal matrices: the one QR factor of positive diagonal, laid along any axis."""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np
import pytest
from jax.nn import initializers

from conformance.core.arrays import Array
from conformance.core.ids import Problem, format_shape
from conformance.core.laws import DeltaOrthogonal, Orthogonal
from conformance.observe.jax_compat import x64
from conformance.oracle import (
    OracleUnavailable,
    Solution,
    fold_in,
    random_bits,
    seed_key,
    solve,
    solve_normals,
    split,
)
from conformance.oracle.initializers import haar

SEED = 3
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])


def solved(
    definition: Orthogonal | DeltaOrthogonal, dtype: str, shape: tuple[int, ...]
) -> Solution:
    return solve(Problem(initializer="o", dtype=dtype, shape=shape, seed=SEED), definition)


def observed(initializer: Any, dtype: str, shape: tuple[int, ...]) -> Array:
    with x64():
        return np.asarray(initializer(jax.random.key(SEED), shape, dtype))


def frobenius_tolerance(solution: Solution, dtype: str) -> float:
    """Return how far two backward-stable QR factors of a matrix of n columns may lie apart.

    Householder's Q belongs to a matrix within n * eps of the given one (Higham, Accuracy and
    Stability, theorem 19.4), and a perturbation of that size moves Q by sqrt(2) times the condition
    number times as much (Sun 1991, theorem 1.6). The 4 stands for the roundings of the normals.
    """
    normals = solution.unit
    assert normals is not None
    columns = min(normals.shape)
    perturbation = (columns + 4) * np.finfo(dtype).eps * math.sqrt(columns)
    return float(math.sqrt(2) * np.linalg.cond(normals) * perturbation)


def assert_same_matrix(actual: Array, solution: Solution, scale: float = 1.0) -> None:
    assert (actual.dtype, actual.shape) == (solution.expected.dtype, solution.expected.shape)
    error = np.linalg.norm((actual.astype(solution.value.dtype) - solution.value).ravel())

    assert error <= scale * frobenius_tolerance(solution, actual.dtype.name)


@DTYPES
@pytest.mark.parametrize(
    "shape", [(24, 8), (4, 32), (13, 13), (1, 16), (16, 1), (1, 1)], ids=format_shape
)
def test_matrices_are_those_of_jax(dtype: str, shape: tuple[int, ...]) -> None:
    actual = observed(initializers.orthogonal(), dtype, shape)

    assert_same_matrix(actual, solved(Orthogonal(), dtype, shape))


@pytest.mark.parametrize("column_axis", [0, 1, 2, 3, -1, -2])
def test_the_columns_lie_along_any_axis(column_axis: int) -> None:
    shape = (2, 3, 4, 5)
    actual = observed(initializers.orthogonal(column_axis=column_axis), "float32", shape)

    assert_same_matrix(actual, solved(Orthogonal(column_axis=column_axis), "float32", shape))


def test_a_scale_multiplies_the_matrix() -> None:
    actual = observed(initializers.orthogonal(1.5), "float32", (9, 6))

    assert_same_matrix(actual, solved(Orthogonal(scale=1.5), "float32", (9, 6)), scale=1.5)


@pytest.mark.parametrize("shape", [(0, 8), (8, 0), (3, 0, 2)], ids=format_shape)
def test_an_empty_matrix_is_empty(shape: tuple[int, ...]) -> None:
    actual = observed(initializers.orthogonal(), "float32", shape)
    expected = solved(Orthogonal(), "float32", shape).expected

    assert (expected.dtype, expected.shape) == (actual.dtype, actual.shape)


@DTYPES
def test_the_factor_is_unitary_and_its_triangle_has_a_positive_diagonal(dtype: str) -> None:
    solution = solved(Orthogonal(), dtype, (12, 7))
    normals, q = solution.unit, solution.value
    assert normals is not None
    triangle = q.conj().T @ normals

    np.testing.assert_allclose(q.conj().T @ q, np.eye(7), atol=12 * 7 * 2.0**-53)
    np.testing.assert_allclose(np.tril(triangle, -1), 0, atol=12 * 7 * 2.0**-49)
    assert (np.diagonal(triangle).real > 0).all()
    np.testing.assert_allclose(np.diagonal(triangle).imag, 0, atol=12 * 7 * 2.0**-49)


def test_without_the_sign_fix_the_comparison_fails() -> None:
    """LAPACK's own signs are not all positive here: the tolerance tells the two factors apart."""
    solution = solved(Orthogonal(), "float32", (24, 8))
    normals = solution.unit
    assert normals is not None
    unfixed = np.linalg.qr(normals).Q

    assert np.linalg.norm(unfixed - haar(normals)) > 1e4 * frobenius_tolerance(solution, "float32")


def test_a_wide_matrix_is_drawn_tall_and_transposed() -> None:
    solution = solved(Orthogonal(), "float32", (4, 10))

    np.testing.assert_array_equal(solution.bits, random_bits(seed_key(SEED), 32, (10, 4)))
    np.testing.assert_array_equal(solution.value, haar(np.asarray(solution.unit)).T)


@pytest.mark.parametrize(
    ("shape", "centre"),
    [((3, 4, 6), (1,)), ((4, 3, 2, 5), (1, 1)), ((2, 3, 5, 4, 4), (0, 1, 2)), ((1, 3, 3), (0,))],
    ids=str,
)
@pytest.mark.parametrize("column_axis", [-1, 0])
def test_delta_kernels_are_those_of_jax(
    shape: tuple[int, ...], centre: tuple[int, ...], column_axis: int
) -> None:
    initializer = initializers.delta_orthogonal(0.5, column_axis=column_axis)
    solution = solved(DeltaOrthogonal(scale=0.5, column_axis=column_axis), "float32", shape)

    actual = observed(initializer, "float32", shape)

    assert_same_matrix(actual, solution, scale=0.5)
    assert np.count_nonzero(solution.expected) == np.count_nonzero(solution.expected[centre])
    assert solution.expected[centre].any()


def test_a_delta_kernel_of_no_inputs_is_empty() -> None:
    actual = observed(initializers.delta_orthogonal(), "float32", (3, 0, 4))
    expected = solved(DeltaOrthogonal(), "float32", (3, 0, 4)).expected

    assert (expected.dtype, expected.shape) == (actual.dtype, actual.shape)


@pytest.mark.parametrize("shape", [(0, 2, 4), (2, 0, 3, 3)], ids=format_shape)
def test_a_delta_kernel_without_a_centre_is_empty_though_jax_raises(shape: tuple[int, ...]) -> None:
    with pytest.raises(IndexError, match="out of bounds for axis"):
        observed(initializers.delta_orthogonal(), "float32", shape)

    assert solved(DeltaOrthogonal(), "float32", shape).expected.shape == shape


# --- What is drawn, without its QR ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("definition", "shape", "tall"),
    [
        (Orthogonal(scale=3.0), (4, 10), (10, 4)),
        (Orthogonal(column_axis=0), (2, 3, 4), (12, 2)),
        (DeltaOrthogonal(scale=3.0), (3, 2, 5), (5, 2)),
    ],
    ids=["wide", "folded", "kernel"],
)
def test_the_normals_of_a_matrix_are_those_of_its_answer(
    definition: Orthogonal | DeltaOrthogonal, shape: tuple[int, ...], tall: tuple[int, int]
) -> None:
    problem = Problem(initializer="o", dtype="float32", shape=shape, seed=SEED)
    answer = solve(problem, definition)

    normals = solve_normals(problem, definition)

    np.testing.assert_array_equal(normals.key, seed_key(SEED))
    np.testing.assert_array_equal(normals.bits, random_bits(seed_key(SEED), 32, tall))
    np.testing.assert_array_equal(normals.value, answer.unit)
    np.testing.assert_array_equal(normals.value, normals.unit)
    assert normals.expected.dtype == np.float32
    assert normals.followed is not None
    assert answer.followed is None


def test_normals_are_drawn_with_the_key_that_is_given_or_that_is_made_of_it() -> None:
    problem = Problem(initializer="o", dtype="float32", shape=(3, 4), seed=SEED)
    key = seed_key(8)

    given = solve_normals(problem, Orthogonal(), key=key)
    made = solve_normals(problem, Orthogonal(drawn_with="fold5"), key=key)
    own = solve_normals(problem, Orthogonal(drawn_with="fold5"))

    np.testing.assert_array_equal(given.bits, random_bits(key, 32, (4, 3)))
    np.testing.assert_array_equal(made.bits, random_bits(fold_in(key, 5), 32, (4, 3)))
    np.testing.assert_array_equal(own.bits, random_bits(fold_in(seed_key(SEED), 5), 32, (4, 3)))


@pytest.mark.parametrize("partitionable", [True, False])
def test_normals_are_drawn_in_the_layout_that_is_asked_for(partitionable: bool) -> None:
    problem = Problem(initializer="o", dtype="float32", shape=(3, 4), seed=SEED)
    definition = Orthogonal(drawn_with="split2at1")
    child = split(seed_key(SEED), partitionable=partitionable)[1]

    found = solve_normals(problem, definition, partitionable=partitionable)

    words = random_bits(child, 32, (4, 3), partitionable=partitionable)
    np.testing.assert_array_equal(found.bits, words)
    usual = solve_normals(problem, definition)
    assert (np.asarray(found.bits).tolist() == np.asarray(usual.bits).tolist()) is partitionable


def test_what_is_no_matrix_has_no_normals() -> None:
    problem = Problem(initializer="o", dtype="float32", shape=(3,), seed=SEED)

    with pytest.raises(OracleUnavailable, match="must raise ValueError"):
        solve_normals(problem, Orthogonal())
