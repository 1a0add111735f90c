"""Orthogonal matrices: the one QR factor of positive diagonal, laid along any axis."""

from __future__ import annotations

import functools
import math

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
from tests.together import Draw, drawn_together

SEED = 3
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])

Shape = tuple[int, ...]
Matrix = Orthogonal | DeltaOrthogonal

SHAPES = ((24, 8), (4, 32), (13, 13), (1, 16), (16, 1), (1, 1))
OF_FOUR_AXES = (2, 3, 4, 5)
AXES = (0, 1, 2, 3, -1, -2)
SCALED = (Orthogonal(scale=1.5), (9, 6))
EMPTY = ((0, 8), (8, 0), (3, 0, 2))
CENTRES = {(3, 4, 6): (1,), (4, 3, 2, 5): (1, 1), (2, 3, 5, 4, 4): (0, 1, 2), (1, 3, 3): (0,)}
"""The spatial centre of each kernel."""

NO_INPUTS = (3, 0, 4)


def delta(column_axis: int) -> DeltaOrthogonal:
    return DeltaOrthogonal(scale=0.5, column_axis=column_axis)


def asked(dtype: str) -> list[tuple[Matrix, Shape]]:
    """Return all that JAX is asked for in a dtype, and answers."""
    everywhere: list[tuple[Matrix, Shape]] = [(Orthogonal(), shape) for shape in SHAPES]
    if dtype != "float32":
        return everywhere
    return [
        *everywhere,
        *((Orthogonal(column_axis=axis), OF_FOUR_AXES) for axis in AXES),
        SCALED,
        *((Orthogonal(), shape) for shape in EMPTY),
        *((delta(axis), shape) for axis in (-1, 0) for shape in CENTRES),
        (DeltaOrthogonal(), NO_INPUTS),
    ]


def solved(definition: Matrix, dtype: str, shape: Shape) -> Solution:
    return solve(Problem(initializer="o", dtype=dtype, shape=shape, seed=SEED), definition)


def draw_of(definition: Matrix, dtype: str, shape: Shape) -> Draw:
    """Return JAX's draw of what is defined."""
    is_delta = isinstance(definition, DeltaOrthogonal)
    of_kind = initializers.delta_orthogonal if is_delta else initializers.orthogonal
    initializer = of_kind(definition.scale, column_axis=definition.column_axis)
    return lambda key: initializer(key, shape, dtype)


@functools.cache
def all_observed(dtype: str) -> dict[tuple[Matrix, Shape], Array]:
    """Return what JAX draws of a dtype; how its compiler rounds is within the tolerance."""
    questions = asked(dtype)
    draws = [draw_of(definition, dtype, shape) for definition, shape in questions]
    with x64():
        return dict(zip(questions, drawn_together(draws, SEED, is_optimized=False), strict=True))


def observed(definition: Matrix, dtype: str, shape: Shape) -> Array:
    return all_observed(dtype)[definition, shape]


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
@pytest.mark.parametrize("shape", SHAPES, ids=format_shape)
def test_matrices_are_those_of_jax(dtype: str, shape: Shape) -> None:
    actual = observed(Orthogonal(), dtype, shape)

    assert_same_matrix(actual, solved(Orthogonal(), dtype, shape))


@pytest.mark.parametrize("column_axis", AXES)
def test_the_columns_lie_along_any_axis(column_axis: int) -> None:
    definition = Orthogonal(column_axis=column_axis)
    actual = observed(definition, "float32", OF_FOUR_AXES)

    assert_same_matrix(actual, solved(definition, "float32", OF_FOUR_AXES))


def test_a_scale_multiplies_the_matrix() -> None:
    definition, shape = SCALED
    actual = observed(definition, "float32", shape)

    assert_same_matrix(actual, solved(definition, "float32", shape), scale=definition.scale)


@pytest.mark.parametrize("shape", EMPTY, ids=format_shape)
def test_an_empty_matrix_is_empty(shape: Shape) -> None:
    actual = observed(Orthogonal(), "float32", shape)
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


@pytest.mark.parametrize(("shape", "centre"), CENTRES.items(), ids=str)
@pytest.mark.parametrize("column_axis", [-1, 0])
def test_delta_kernels_are_those_of_jax(shape: Shape, centre: Shape, column_axis: int) -> None:
    definition = delta(column_axis)
    solution = solved(definition, "float32", shape)

    actual = observed(definition, "float32", shape)

    assert_same_matrix(actual, solution, scale=definition.scale)
    assert np.count_nonzero(solution.expected) == np.count_nonzero(solution.expected[centre])
    assert solution.expected[centre].any()


def test_a_delta_kernel_of_no_inputs_is_empty() -> None:
    actual = observed(DeltaOrthogonal(), "float32", NO_INPUTS)
    expected = solved(DeltaOrthogonal(), "float32", NO_INPUTS).expected

    assert (expected.dtype, expected.shape) == (actual.dtype, actual.shape)


@pytest.mark.parametrize("shape", [(0, 2, 4), (2, 0, 3, 3)], ids=format_shape)
def test_a_delta_kernel_without_a_centre_is_empty_though_jax_raises(shape: Shape) -> None:
    with pytest.raises(IndexError, match="out of bounds for axis"):
        jax.eval_shape(draw_of(DeltaOrthogonal(), "float32", shape), jax.random.key(SEED))

    assert solved(DeltaOrthogonal(), "float32", shape).expected.shape == shape
