"""Backward error of a computed Q, column by column: how nearly is it the Q of the A it was made of?

A Householder QR returns, for each column a_j of A, a Q and an R for which A + dA = Q R with
|da_j| <= gamma |a_j| (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed. (2002),
theorem 19.4; with the constants that are seen in practice: Connolly & Higham, SIAM J. Matrix Anal.
Appl. 44 (2023), theorem 4.1). That holds whatever the condition of A, and whatever the order in
which a LAPACK kernel sums. Elements of Q move with it: two right ones may share no digit.

So Q is held to A itself. R is the upper triangle of Q^H A, and in units of the roundoff u

    column error   c_j  = |a_j - Q R e_j| / (u |a_j|)
    gram error     g_ij = |(Q^H Q - I)_ij| / u
    diagonal       r_j  = Re (Q^H A)_jj / (u |a_j|), which the sign fix makes positive

c_j holds what of a_j lies below the diagonal of Q^H A (columns in another order, another A), what
lies outside the span of Q (a tall Q with a wrong last column), and the imaginary part of the
diagonal. LAPACK's own whole-matrix ratios fall with the size, and see no single column at 1024:
they are shown for information only.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from conformance.core.arrays import Array, widen
from conformance.core.ulp import has_64_bits, spacing_at, unit_roundoff

SPARE_BITS = 11
"""Bits that products carry beyond the precision of the matrices: their error is 2^-11 u then."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GramError:
    """The largest |(Q^H Q - I)_ij| in units of u; not finite where an element of Q is not.

    at: its row and column. ratio: LAPACK's |I - Q^H Q|_1 / (m eps) of a Q of m rows, with
    eps = 2 u (xORT01; LAPACK Working Note 41).
    """

    largest: float
    at: tuple[int, int]
    ratio: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ColumnErrors:
    """How the columns of a Q lie to those of its A; NaN where an element is not finite.

    largest: of all c_j; see the module. lowest_diagonal: of all r_j, so that a wrong sign shows.
    n_beyond: columns beyond the bound that was given, in c_j or by a wrong sign. n_undetermined:
    columns whose r_j is so near to zero that rounding decides its sign. ratio:
    LAPACK's |A - Q R|_1 / (m |A|_1 eps) (xQRT01).
    """

    largest: float
    at: int
    lowest_diagonal: float
    lowest_at: int
    n_beyond: int
    n_undetermined: int
    ratio: float


def gram_error(orthonormal: Array, dtype: np.dtype[Any]) -> GramError:
    """Return how far the columns of a tall matrix are from orthonormal.

    dtype: the one in which the matrix was computed, which says what u is.
    """
    gram, ratio = _gram(orthonormal, dtype)
    row, column = np.unravel_index(np.argmax(gram), gram.shape)
    largest = float(gram[row, column])
    return GramError(largest=largest, at=(int(row), int(column)), ratio=float(ratio))


def _gram(orthonormal: Array, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """Return all g_ij, and the ratio of `GramError`: of one matrix, or of each of a stack."""
    rows, columns = orthonormal.shape[-2:]
    with np.errstate(invalid="ignore", over="ignore"):  # NaN, which no bound admits, is the answer
        product = products_in(dtype)(_adjoint(orthonormal), orthonormal, np.eye(columns))
        gram = np.abs(product) / unit_roundoff(dtype)
        return gram, gram.sum(axis=-2).max(axis=-1) / (2 * rows)


def column_errors(orthonormal: Array, drawn: Array, *, bound: float) -> ColumnErrors:
    """Return the backward errors of `orthonormal` as the Q of `drawn`.

    Both are (rows, columns) with rows >= columns >= 1; `drawn`, whose columns must not be zero, is
    of the dtype in which Q was computed: it says what u is.

    R is rounded to 64 bits, which moves a column by some u of a 64-bit matrix; so of those what the
    rounding leaves of it is taken along. The errors are those of the definition to 2^-SPARE_BITS.

    bound: in units of u, of what a right column may err; where |r_j| is no larger, the sign of
        column j is undetermined.

    Raises:
        ValueError: the shapes differ, or the matrix is wide.
    """
    rows, columns = drawn.shape
    if orthonormal.shape != drawn.shape or rows < columns or not columns:
        raise ValueError(
            f"Q is {list(orthonormal.shape)}, A {list(drawn.shape)}: both must be tall, and alike"
        )
    errors, diagonal, ratio = _columns(orthonormal, drawn)
    at, lowest_at = int(np.argmax(errors)), int(np.argmin(diagonal))
    return ColumnErrors(
        largest=float(errors[at]),
        at=at,
        lowest_diagonal=float(diagonal[lowest_at]),
        lowest_at=lowest_at,
        n_beyond=int(np.count_nonzero(~((errors <= bound) & (diagonal >= -bound)))),
        n_undetermined=int(np.count_nonzero(np.abs(diagonal) <= bound)),
        ratio=float(ratio),
    )


def _columns(orthonormal: Array, drawn: Array) -> tuple[Array, Array, Array]:
    """Return c_j, r_j and the ratio of `ColumnErrors`: of one matrix, or of each of a stack."""
    rows, columns = drawn.shape[-2:]
    roundoff, product = unit_roundoff(drawn.dtype), products_in(drawn.dtype)
    with np.errstate(invalid="ignore", over="ignore"):  # NaN, which no bound admits, is the answer
        adjoint = _adjoint(orthonormal)
        # R is what Q^H A has on and above the diagonal.
        square = product(adjoint, drawn, np.zeros((columns, columns)))
        factor = _triangle(square)
        residual = product(orthonormal, factor, drawn)
        if has_64_bits(drawn.dtype):
            rest = _triangle(product(adjoint, drawn, square))  # what the rounding of R cut off
            plain = _by_parts(_plain_product, drawn.dtype)
            residual = residual + plain(orthonormal, rest, np.zeros(()))
        residual = np.abs(residual)
        wide = np.abs(widen(drawn))
        lengths = np.linalg.norm(wide, axis=-2) * roundoff
        errors = np.linalg.norm(residual, axis=-2) / lengths
        diagonal = factor.diagonal(axis1=-2, axis2=-1).real / lengths
        largest = wide.sum(axis=-2).max(axis=-1)
        ratio = residual.sum(axis=-2).max(axis=-1) / (rows * largest * 2 * roundoff)
    return errors, diagonal, ratio


def _adjoint(matrix: Array) -> Array:
    return np.swapaxes(matrix.conj(), -1, -2)


def _triangle(square: Array) -> Array:
    """Return the upper triangle. Of its diagonal only the real part is R's: the sign fix's."""
    triangle = np.triu(square)
    diagonal = np.arange(len(triangle.T))
    triangle[..., diagonal, diagonal] = triangle[..., diagonal, diagonal].real
    return triangle


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StackErrors:
    """What `gram_error` and `column_errors` find of each matrix of a stack, to the last bit.

    gram, gram_ratio: of `GramError` largest and ratio. The others are of `ColumnErrors`.
    """

    gram: Array
    gram_ratio: Array
    column: Array
    column_ratio: Array
    lowest_diagonal: Array
    n_undetermined: Array


def stack_errors(orthonormal: Array, drawn: Array, *, bound: float) -> StackErrors:
    """Return the errors of each matrix along the first axis; see `column_errors`."""
    gram, gram_ratio = _gram(orthonormal, drawn.dtype)
    errors, diagonal, ratio = _columns(orthonormal, drawn)
    return StackErrors(
        gram=gram.max(axis=(-2, -1)),
        gram_ratio=gram_ratio,
        column=errors.max(axis=1),
        column_ratio=ratio,
        lowest_diagonal=diagonal.min(axis=1),
        n_undetermined=np.count_nonzero(np.abs(diagonal) <= bound, axis=1),
    )


def unscaled(matrix: Array, scale: float) -> Array:
    """Return the matrix divided by `scale`, in float64 or complex128 where that is wider.

    A 64-bit matrix is rounded once more, by u relative to each element.
    """
    return matrix if scale == 1 else np.asarray(widen(matrix) / scale)


def scaling_slack(rows: int, scale: float, dtype: np.dtype[Any]) -> float:
    """Return what storing scale * Q adds to its column and gram errors, in units of u.

    Three roundings at most: of the scale to the dtype, of each element of the product, and, of 64
    bits, of each quotient in `unscaled`. Each is of u, and of a subnormal result up to all of it,
    since XLA's CPU compiler flushes those to zero: once for the scale, and for the elements of a
    column together once for each row, as their root. Both errors hold Q twice: Q^H Q, and Q times
    R = Q^H A.
    """
    if scale == 1:
        return 0.0
    smallest_normal = spacing_at(0.0, dtype) / (2 * unit_roundoff(dtype))
    subnormal = smallest_normal / (abs(scale) * unit_roundoff(dtype))
    return 2 * (3.0 + (1 + math.sqrt(rows)) * subnormal)


# --- Products with bits to spare ------------------------------------------------------------------

Product = Callable[[Array, Array, Array], Array]
"""left, right, subtracted -> left right - subtracted, in float64 or complex128; of stacks too."""


def products_in(dtype: np.dtype[Any]) -> Product:
    """Return a matrix product whose error is 2^-11 of the dtype's unit roundoff, or less.

    Of the lengths of row and column, that is, and where the difference cancels: the result itself
    is rounded to 64 bits.

    Of at most 32 bits a part, products in float64 have 29 bits to spare. Of 64 bits they are summed
    from slices so short that each partial product is exact in float64 (Ozaki, Ogita, Oishi & Rump,
    Error-free transformations of matrix multiplication, Numer. Algorithms 59 (2012)). The largest
    comes first, so that the difference loses none of the spare bits. (Arm's longdouble has none.)
    """
    return _by_parts(_sliced_product if has_64_bits(dtype) else _plain_product, dtype)


def _by_parts(real: Product, dtype: np.dtype[Any]) -> Product:
    """Return the product; a complex one by real ones, for which BLAS wakes no thread."""
    return functools.partial(_complex_product, real) if dtype.kind == "c" else real


def _complex_product(real: Product, left: Array, right: Array, subtracted: Array) -> Array:
    """Return the complex product by two real ones, of real and imaginary parts side by side."""
    parts = np.concatenate([left.real, left.imag], axis=-1)
    of_real = np.concatenate([right.real, -right.imag], axis=-2)
    of_imaginary = np.concatenate([right.imag, right.real], axis=-2)
    return np.asarray(
        real(parts, of_real, subtracted.real) + 1j * real(parts, of_imaginary, subtracted.imag)
    )


def _plain_product(left: Array, right: Array, subtracted: Array) -> Array:
    return np.asarray(widen(left) @ widen(right) - subtracted)


def _sliced_product(left: Array, right: Array, subtracted: Array) -> Array:
    """Return the product of float64 matrices to 2^-64 of their largest elements, row by column."""
    precision = np.finfo(np.float64).nmant + 1
    # A product of two slices has 2 bits, and a sum of n such 2 bits + log2 n: all must fit.
    bits = (precision - math.ceil(math.log2(left.shape[-1]))) // 2
    count = -(-(precision + SPARE_BITS + 1) // bits)  # 1.5 units are dropped
    rows = _slices(left, bits, count)
    turned = _slices(np.swapaxes(right, -1, -2), bits, count)
    columns = [np.swapaxes(part, -1, -2) for part in turned]
    total = -subtracted
    # The product of slices i and j is 2^-(bits (i + j)) of the largest: what is small is left.
    for order in range(count):
        for first in range(order + 1):
            total = total + rows[first] @ columns[order - first]
    return np.asarray(total)


def _slices(matrix: Array, bits: int, count: int) -> list[Array]:
    """Return parts that add up to the matrix: `bits` bits each, from a row's largest element down.

    What is left after `count` parts is dropped: it is less than 2^-(bits count) of that element.
    """
    exponents = np.frexp(np.abs(matrix).max(axis=-1, keepdims=True))[1]
    rest, parts = matrix, []
    for number in range(count):
        unit = np.ldexp(1.0, exponents - (number + 1) * bits)
        parts.append(np.round(rest / unit) * unit)
        rest = rest - parts[-1]
    return parts
