"""Backward errors against their definitions in 50 digits, on both sides of what they promise."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt
import pytest

from conformance.core.arrays import Array, widen
from conformance.core.ulp import unit_roundoff
from conformance.judge.checks.backward_error import (
    SPARE_BITS,
    _slices,
    column_errors,
    gram_error,
    products_in,
    scaling_slack,
    stack_errors,
    unscaled,
)
from conformance.oracle import haar

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
DIGITS = 50
EXACT = np.dtype(object)


def normals(dtype: str, shape: tuple[int, int], seed: int = 0) -> Array:
    draws = np.random.default_rng(seed).standard_normal((2, *shape))
    values = draws[0] + 1j * draws[1] if dtype.startswith("complex") else draws[0]
    return np.asarray(values.astype(dtype))


def computed_q(drawn: Array) -> Array:
    """Return the Q of a matrix, rounded to its dtype: backward errors of about one rounding."""
    return haar(widen(drawn)).astype(drawn.dtype)


def exactly(array: Array) -> npt.NDArray[np.object_]:
    """Return the elements as complex numbers of mpmath."""
    wide = widen(array)
    flat = [mpmath.mpc(complex(value)) for value in wide.reshape(-1)]
    exact = np.empty(wide.size, dtype=EXACT)
    exact[:] = flat
    return np.asarray(exact.reshape(wide.shape))


def conjugate_transposed(exact: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    return np.asarray(np.vectorize(mpmath.conj, otypes=[object])(exact.T))


def length(column: npt.NDArray[np.object_]) -> Any:
    return mpmath.sqrt(sum(abs(value) ** 2 for value in column))


def error_in_u(found: Array, left: Array, right: Array, subtracted: Array, u: float) -> float:
    """Return the worst error of a product, in units of u |row of left| |column of right|."""
    with mpmath.workdps(DIGITS):
        exact_left, exact_right = exactly(left), exactly(right)
        exact = exact_left @ exact_right - exactly(subtracted)
        sizes = np.array(
            [[length(row) * length(column) for column in exact_right.T] for row in exact_left]
        )
        return float(np.max(np.abs(exactly(found) - exact) / (u * sizes)))


# --- Products ------------------------------------------------------------------------------------


@DTYPES
@pytest.mark.parametrize("inner", [1, 2, 7, 1000])
def test_a_difference_that_cancels_keeps_the_spare_bits(dtype: str, inner: int) -> None:
    """What is subtracted is the product, rounded: the difference is 2^-11 of u, or less, off."""
    left, right = normals(dtype, (3, inner)), normals(dtype, (inner, 2), seed=1)
    u = unit_roundoff(left.dtype)
    rounded = (widen(left) @ widen(right)).astype(dtype)

    found = products_in(left.dtype)(left, right, rounded)

    assert error_in_u(found, left, right, rounded, u) <= 2.0**-SPARE_BITS


@DTYPES
def test_columns_of_any_scale_keep_the_spare_bits(dtype: str) -> None:
    """As the columns of a badly scaled A: each is multiplied relative to its own length."""
    left, right = normals(dtype, (4, 30)), normals(dtype, (30, 5), seed=1)
    right = (right * np.array([1e-30, 1e-12, 1.0, 1e12, 1e30])).astype(dtype)
    rounded = (widen(left) @ widen(right)).astype(dtype)

    found = products_in(left.dtype)(left, right, rounded)

    u = unit_roundoff(left.dtype)
    assert error_in_u(found, left, right, rounded, u) <= 2.0**-SPARE_BITS


@DTYPES
def test_elements_of_any_scale_within_a_row_keep_the_spare_bits(dtype: str) -> None:
    """Of small elements the lowest bits are dropped: below 2^-64 of the largest beside them."""
    scales = 10.0 ** np.linspace(-30, 0, 40)
    left = (normals(dtype, (3, 40)) * scales).astype(dtype)
    right = normals(dtype, (40, 3), seed=1)
    rounded = (widen(left) @ widen(right)).astype(dtype)

    found = products_in(left.dtype)(left, right, rounded)

    u = unit_roundoff(left.dtype)
    assert error_in_u(found, left, right, rounded, u) <= 2.0**-SPARE_BITS


@DTYPES
def test_a_sum_that_cancels_to_nothing_is_nothing(dtype: str) -> None:
    half = normals(dtype, (1, 500))
    left = np.concatenate([half, -half], axis=1)
    right = np.ones((1000, 1), dtype)

    found = products_in(left.dtype)(left, right, np.zeros((1, 1)))

    assert abs(found[0, 0]) <= 2.0**-SPARE_BITS * unit_roundoff(left.dtype) * 1000


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_that_grow_keep_the_spare_bits(dtype: str) -> None:
    """Of 1000 positive terms, which need ten bits more than each of them."""
    generator = np.random.default_rng(4)
    left, right = (
        generator.uniform(0.5, 1, shape).astype(dtype) for shape in ((3, 1000), (1000, 2))
    )
    u = unit_roundoff(left.dtype)
    rounded = (widen(left) @ widen(right)).astype(dtype)

    found = products_in(left.dtype)(left, right, rounded)

    assert error_in_u(found, left, right, rounded, u) <= 2.0**-SPARE_BITS


@pytest.mark.parametrize(("bits", "count"), [(5, 2), (7, 3)])
def test_slices_leave_nothing_above_their_last_bit(bits: int, count: int) -> None:
    """Relative to the largest element of a row, which is 1 here: a power of two is the worst."""
    matrix = np.random.default_rng(5).uniform(-1, 1, (200, 50))
    matrix[:, 0] = 1

    left = matrix - np.sum(_slices(matrix, bits, count), axis=0)

    assert np.abs(left).max() <= 2.0 ** -(bits * count)


@pytest.mark.parametrize("size", [2, 200, 400, 1000, 2**19 + 1, 2**20])
def test_the_lowest_bits_of_small_elements_add_up(size: int) -> None:
    """Each is 2^-64 of the largest: a thousand of them are 32 times what may be lost.

    How many slices there are, and of how many bits, depends on the size: with a bit fewer in all,
    400 lose 20 times what they may, and half a million 700 times.
    """
    left = np.full((1, size), 2.0**-12 + 2.0**-64)
    left[0, 0] = 1.0
    right = np.ones((size, 1))
    rounded = left @ right
    exact = 1 + (size - 1) * Fraction(left[0, 1]) - Fraction(rounded[0, 0])

    found = products_in(left.dtype)(left, right, rounded)

    assert SPARE_BITS == 11
    u = unit_roundoff(left.dtype)
    assert abs(Fraction(found[0, 0]) - exact) <= 2.0**-11 * u * math.sqrt(size)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_plain_products_would_not_have_the_spare_bits(dtype: str) -> None:
    """Why products of 64 bits are sliced: the planted fault of the two tests above."""
    left, right = normals(dtype, (3, 1000)), normals(dtype, (1000, 2), seed=1)
    rounded = left @ right

    u = unit_roundoff(left.dtype)
    assert error_in_u(left @ right - rounded, left, right, rounded, u) > 2.0**-SPARE_BITS


@DTYPES
def test_products_of_small_integers_are_exact(dtype: str) -> None:
    generator = np.random.default_rng(2)
    left, right = (generator.integers(-9, 9, shape).astype(dtype) for shape in ((4, 6), (6, 3)))

    found = products_in(left.dtype)(left, right, np.zeros((4, 3)))

    np.testing.assert_array_equal(found, left @ right)
    assert found.dtype == widen(left).dtype


# --- Errors of Q ---------------------------------------------------------------------------------


@DTYPES
@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (5, 3), (6, 1)])
def test_the_gram_error_is_that_of_the_definition(dtype: str, shape: tuple[int, int]) -> None:
    matrix = computed_q(normals(dtype, shape))
    u = unit_roundoff(matrix.dtype)
    with mpmath.workdps(DIGITS):
        exact = exactly(matrix)
        gram = conjugate_transposed(exact) @ exact - np.eye(shape[1], dtype=int)
        expected = np.abs(gram).astype(np.float64) / u

    found = gram_error(matrix, matrix.dtype)

    assert found.largest == pytest.approx(expected.max(), abs=2.0**-9)
    assert expected[found.at] == pytest.approx(expected.max(), abs=2.0**-9)
    assert found.ratio == pytest.approx(expected.sum(axis=0).max() / (2 * shape[0]), abs=2.0**-9)


@DTYPES
@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (5, 3), (6, 1)])
@pytest.mark.parametrize("change", ["none", "scaled", "negated", "turned"])
def test_column_errors_are_those_of_the_definition(
    dtype: str, shape: tuple[int, int], change: str
) -> None:
    drawn = normals(dtype, shape)
    q = computed_q(drawn)
    if change == "scaled":
        q[:, -1] *= q.dtype.type(1 + 1e-4)
    elif change == "negated":
        q[:, -1] *= q.dtype.type(-1)
    elif change == "turned":
        q = np.roll(q, 1, axis=0)
    u = unit_roundoff(drawn.dtype)
    errors, diagonal = _defined_errors(q, drawn, u)

    found = column_errors(q, drawn, bound=0.0)

    assert found.largest == pytest.approx(errors.max(), rel=1e-12, abs=2.0**-9)
    assert errors[found.at] == pytest.approx(errors.max(), rel=1e-12, abs=2.0**-8)
    assert found.lowest_diagonal == pytest.approx(diagonal.min(), rel=1e-12, abs=2.0**-9)
    assert diagonal[found.lowest_at] == pytest.approx(diagonal.min(), rel=1e-12, abs=2.0**-8)


@DTYPES
@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (5, 3), (6, 1), (40, 33)])
def test_the_errors_of_a_stack_are_those_of_each_matrix(dtype: str, shape: tuple[int, int]) -> None:
    """To the last bit, whatever else is in the stack, and however its matrices lie in memory."""
    drawn = np.stack([normals(dtype, shape, seed) for seed in range(4)])
    q = np.stack([computed_q(each) for each in drawn])
    q[1, :, -1] *= q.dtype.type(-1)
    q[2, 0, 0] = np.nan
    turned = np.swapaxes(np.ascontiguousarray(np.swapaxes(q, 1, 2)), 1, 2)

    for stack in (q, turned):
        found = stack_errors(stack, drawn, bound=2.0)

        columns = [column_errors(*pair, bound=2.0) for pair in zip(stack, drawn, strict=True)]
        grams = [gram_error(each, each.dtype) for each in stack]
        expected = {
            "gram": [each.largest for each in grams],
            "gram_ratio": [each.ratio for each in grams],
            "column": [each.largest for each in columns],
            "column_ratio": [each.ratio for each in columns],
            "lowest_diagonal": [each.lowest_diagonal for each in columns],
            "n_undetermined": [each.n_undetermined for each in columns],
        }
        for name, values in expected.items():
            np.testing.assert_array_equal(getattr(found, name), values, name)


def test_signs_of_a_stack_are_undetermined_up_to_the_bound() -> None:
    drawn = np.stack([normals("float32", (6, 3), seed) for seed in range(3)])
    q = np.stack([computed_q(each) for each in drawn])
    least = float(stack_errors(q, drawn, bound=0.0).lowest_diagonal.min())
    found = [
        stack_errors(q, drawn, bound=bound).n_undetermined.tolist()
        for bound in (
            math.nextafter(least, 0),
            least,
            2 * float(np.float32(1) / np.float32(2**-24)),
        )
    ]

    assert [sum(each) for each in found] == [0, 1, 9]


def _defined_errors(
    q: Array, drawn: Array, u: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return all c_j and all r_j by the formulas of the module."""
    with mpmath.workdps(DIGITS):
        exact_q, exact_a = exactly(q), exactly(drawn)
        product = conjugate_transposed(exact_q) @ exact_a
        factor = np.triu(product)
        for j in range(len(factor)):
            factor[j, j] = mpmath.re(factor[j, j])
        residual = exact_a - exact_q @ factor
        sizes = [u * length(column) for column in exact_a.T]
        errors = [length(column) / size for column, size in zip(residual.T, sizes, strict=True)]
        diagonal = [mpmath.re(product[j, j]) / size for j, size in enumerate(sizes)]
    return np.array(errors, np.float64), np.array(diagonal, np.float64)


@DTYPES
@pytest.mark.parametrize("n", [1, 2, 8])
def test_exact_factors_have_no_error(dtype: str, n: int) -> None:
    """A triangle with a positive diagonal is its own R, and the identity its Q."""
    identity = np.eye(n, dtype=dtype)
    triangle = np.triu(normals(dtype, (n, n)))
    triangle[np.diag_indices(n)] = np.arange(1, n + 1)

    columns = column_errors(identity, triangle, bound=10.0)
    gram = gram_error(identity, identity.dtype)

    assert (columns.largest, columns.ratio, gram.largest, gram.ratio) == (0, 0, 0, 0)
    assert columns.lowest_diagonal > 0
    assert columns.n_undetermined == 0


def test_an_exact_tall_factor_has_no_error() -> None:
    """Columns of a Hadamard matrix over its root, 2: all products are exact."""
    rows = [[1, 1, 1], [1, -1, 1], [1, 1, -1], [1, -1, -1]]
    q = np.array(rows, np.float32) / np.float32(2)
    factor = np.array([[2, 1, 3], [0, 1, -2], [0, 0, 4]], np.float32)

    assert column_errors(q, q @ factor, bound=0.0).largest == 0
    assert gram_error(q, q.dtype).largest == 0


def test_an_imaginary_diagonal_is_an_error() -> None:
    """A column times i is as orthonormal as before: that R's diagonal is real tells."""
    drawn = normals("complex64", (4, 2))
    q = computed_q(drawn)
    q[:, 1] *= np.complex64(1j)

    assert column_errors(q, drawn, bound=0.0).largest > 1e5
    assert gram_error(q, q.dtype).largest < 4


def test_a_diagonal_near_zero_is_counted_as_undetermined() -> None:
    """The second column lies 30 u from the span of the first: rounding decides its sign."""
    u = unit_roundoff(np.dtype(np.float32))
    drawn = np.array([[1, 1], [0, 30 * u]], np.float32)
    identity = np.eye(2, dtype=np.float32)

    assert column_errors(identity, drawn, bound=31.0).n_undetermined == 1
    assert column_errors(identity, drawn, bound=29.0).n_undetermined == 0


@DTYPES
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_has_errors_that_no_bound_admits(dtype: str, value: float) -> None:
    """And no warning: the suite makes errors of them."""
    drawn = normals(dtype, (4, 3))
    q = computed_q(drawn)
    q[2, 1] = value

    columns, gram = column_errors(q, drawn, bound=0.0), gram_error(q, q.dtype)

    assert math.isnan(columns.largest)
    assert not math.isfinite(gram.largest)
    assert 1 in gram.at


@DTYPES
@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_what_was_drawn_amiss_has_errors_that_no_bound_admits(dtype: str, value: float) -> None:
    drawn = normals(dtype, (4, 3))
    q = computed_q(drawn)
    drawn[:, 1] = value

    assert math.isnan(column_errors(q, drawn, bound=0.0).largest)


@pytest.mark.parametrize(
    ("q", "drawn", "message"),
    [
        ((2, 3), (2, 3), r"Q is \[2, 3\], A \[2, 3\]: both must be tall, and alike"),
        ((4, 3), (4, 2), r"Q is \[4, 3\], A \[4, 2\]: both must be tall, and alike"),
        ((3, 0), (3, 0), r"Q is \[3, 0\], A \[3, 0\]: both must be tall, and alike"),
    ],
)
def test_matrices_that_do_not_match_are_refused(
    q: tuple[int, int], drawn: tuple[int, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        column_errors(np.ones(q, np.float32), np.ones(drawn, np.float32), bound=0.0)


# --- Scale ---------------------------------------------------------------------------------------


def test_a_scale_of_one_leaves_the_matrix_and_allows_nothing() -> None:
    matrix = normals("float32", (3, 2))

    assert unscaled(matrix, 1) is matrix
    assert scaling_slack(1000, 1, matrix.dtype) == 0


@DTYPES
@pytest.mark.parametrize("scale", [-0.5, 2.0])
def test_a_power_of_two_is_undone_exactly(dtype: str, scale: float) -> None:
    matrix = normals(dtype, (3, 2))

    np.testing.assert_array_equal(unscaled(matrix * matrix.dtype.type(scale), scale), matrix)


@pytest.mark.parametrize("scale", [0.001, 1 / 3, 1.5, -(2**0.5), 1e-38, 1e-40, -3.3e-41, 7e-42])
@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (16, 16), (64, 8)])
def test_storing_a_scaled_matrix_adds_no_more_than_the_slack(
    scale: float, shape: tuple[int, int]
) -> None:
    """Below 1.2e-38 elements of float32 are subnormal, and the scale itself loses bits."""
    slack = scaling_slack(shape[0], scale, np.dtype(np.float32))
    for seed in range(20):
        drawn = normals("float32", shape, seed)
        q = computed_q(drawn)
        stored = unscaled(q * np.float32(scale), scale)
        before = column_errors(q, drawn, bound=0.0).largest
        gram_before = gram_error(q, q.dtype).largest

        assert column_errors(stored, drawn, bound=0.0).largest <= before + slack
        assert gram_error(stored, q.dtype).largest <= gram_before + slack


def test_the_slack_of_a_usual_scale_is_six_roundings() -> None:
    assert scaling_slack(1024, 1.5, np.dtype(np.float32)) == pytest.approx(6.0)
    assert scaling_slack(1024, -0.5, np.dtype(np.complex128)) == pytest.approx(6.0)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
@pytest.mark.parametrize("rows", [1, 16, 100])
@pytest.mark.parametrize("scale", [1.5, -0.001, 1e-37])
def test_the_slack_of_a_scale_is_that_of_the_formula(scale: float, rows: int, dtype: str) -> None:
    """In exact terms: three roundings, and u of the smallest normal number for each flush."""
    bits, lowest = (24, -126) if dtype != "float64" else (53, -1022)
    with mpmath.workdps(DIGITS):
        flush = mpmath.mpf(2) ** (lowest + bits) / abs(mpmath.mpf(scale))
        expected = 2 * (3 + (1 + mpmath.sqrt(rows)) * flush)

    assert scaling_slack(rows, scale, np.dtype(dtype)) == pytest.approx(float(expected), rel=1e-14)


def test_a_scaled_matrix_is_divided_in_64_bits() -> None:
    matrix = normals("float32", (3, 2))

    found = unscaled(matrix, 0.3)

    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, matrix.astype(np.float64) / 0.3)


# --- Bounds, at them and beside them -------------------------------------------------------------

LIMIT = 2.0**24
"""1 / u of float32: the error of a column of which nothing is right."""


@pytest.mark.parametrize(
    ("bound", "n_beyond", "n_undetermined"),
    [(LIMIT, 0, 2), (math.nextafter(LIMIT, 0), 1, 1), (0.0, 1, 1)],
)
def test_a_column_is_beyond_its_bound_not_at_it(
    bound: float, n_beyond: int, n_undetermined: int
) -> None:
    """The first column lies in the second row: its R is 0, and all of it is left."""
    identity = np.eye(3, 2, dtype=np.float32)
    drawn = np.array([[0, 0], [2, 1], [0, 0]], np.float32)

    found = column_errors(identity, drawn, bound=bound)

    assert (found.largest, found.at) == (LIMIT, 0)
    assert (found.lowest_diagonal, found.lowest_at) == (0.0, 0)
    assert (found.n_beyond, found.n_undetermined) == (n_beyond, n_undetermined)


@pytest.mark.parametrize(
    ("bound", "n_beyond", "n_undetermined"), [(LIMIT, 0, 2), (math.nextafter(LIMIT, 0), 2, 0)]
)
def test_a_wrong_sign_is_beyond_its_bound_not_at_it(
    bound: float, n_beyond: int, n_undetermined: int
) -> None:
    identity = np.eye(3, 2, dtype=np.float32)

    found = column_errors(identity, -identity, bound=bound)

    assert (found.largest, found.lowest_diagonal) == (0.0, -LIMIT)
    assert (found.n_beyond, found.n_undetermined) == (n_beyond, n_undetermined)


def test_the_ratio_of_lapack_is_of_one_norms() -> None:
    """|A - Q R|_1 and |A|_1 are 5, of columns, and there are 3 rows: 5 / (3 x 5 x 2 u)."""
    identity = np.eye(3, 2, dtype=np.float32)
    drawn = np.array([[0, 4], [2, 0], [3, 0]], np.float32)

    found = column_errors(identity, drawn, bound=0.0)

    assert found.ratio == pytest.approx(5 / (3 * 5 * 2) * LIMIT, rel=1e-15)


def test_the_worst_column_is_named() -> None:
    identity = np.eye(3, dtype=np.float32)
    drawn = np.array([[1, 0, 0], [0, 1, 0], [0, 0.5, -1]], np.float32)

    found = column_errors(identity, drawn, bound=1.0)

    assert (found.at, found.lowest_at) == (1, 2)
    assert (found.n_beyond, found.n_undetermined) == (2, 0)
    assert found.largest == pytest.approx(0.5 / math.sqrt(1.25) * LIMIT, rel=1e-15)


def test_the_worst_product_of_columns_is_named() -> None:
    matrix = np.eye(4, 3)
    matrix[0, 2] = 0.5

    found = gram_error(matrix, matrix.dtype)

    assert found.at in ((0, 2), (2, 0))
    assert found.largest == 0.5 * 2**53
    assert found.ratio == pytest.approx((0.5 + 0.25) * 2**53 / (2 * 4), rel=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_what_the_rounding_of_r_cuts_off_is_nothing_in_fewer_than_64_bits(dtype: str) -> None:
    """So it is not multiplied for, and the product is the very one that was rounded."""
    drawn = normals(dtype, (40, 7))
    q = np.linalg.qr(drawn)[0]
    product = products_in(drawn.dtype)
    square = product(q.conj().T, drawn, np.zeros((7, 7)))

    assert not product(q.conj().T, drawn, square).any()
