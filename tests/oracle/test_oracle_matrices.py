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
from conformance.oracle import Solution, random_bits, seed_key, solve
from conformance.oracle.initializers import haar

SEED = 3
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])


def solved(
    definition: Orthogonal | DeltaOrthogonal, dtype: str, shape: tuple[int, ...]
) -> Solution:
    return solve(Problem(initializer="o", dtype=dtype, shape=shape, seed=SEED), definition)


def observed(initializer: Any, dtype: str, shape: tuple[int, ...]) -> Array:
    """Return what JAX draws, compiled whole: one program in place of ten."""
    with x64():
        return np.asarray(
            jax.jit(initializer, static_argnums=(1, 2))(jax.random.key(SEED), shape, dtype)
        )


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
