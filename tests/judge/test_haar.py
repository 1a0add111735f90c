"""What each test of orthogonal matrices measures, by the definition of its statistic."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from conformance.core.arrays import Array
from conformance.judge.alpha import CERTAIN, STATISTICS
from conformance.judge.bounds import bernstein_bound
from conformance.judge.statistics import MATRIX_TESTS, TESTS, Matrices
from conformance.judge.statistics.element import Term
from conformance.judge.statistics.finding import Finding
from conformance.oracle import haar

SHARE, MISS = math.log(2 / STATISTICS.alpha), math.log(2 / CERTAIN)
SIGNED_SUM = math.sqrt(2 * SHARE) + math.sqrt(2 * MISS)
"""Standard deviations at which 2 exp(-t^2 / 2) is the share, and that which chance takes back."""


def measured_or_not(name: str, arrays: Array) -> Finding | None:
    (test,) = (test for test in MATRIX_TESTS if test.name == name)
    return test.measure(Matrices(arrays=np.asarray(arrays, np.result_type(arrays, np.float64))))


def measured(name: str, arrays: Array) -> Finding:
    found = measured_or_not(name, arrays)
    assert found is not None
    return found


def diagonal(*signs: complex) -> Array:
    return np.diag(signs)


def of_coins(heads: int, count: int) -> tuple[float, float]:
    """Return the probabilities that fair coins go so far, and that they go further."""
    fewer = min(heads, count - heads)
    lower = [Fraction(math.comb(count, k), 2**count) for k in range(fewer + 1)]
    return min(1.0, 2 * float(sum(lower))), 2 * float(sum(lower[:-1]))


def agree_with_coins(
    found: Finding, heads: int, count: int, n_places: int = 1, n_parts: int = 1
) -> None:
    """Hold a finding to the binomial law. n_places: lines asked. n_parts: real or both."""
    p_value, beyond = of_coins(heads, count)
    n_found = n_places * n_parts
    assert found.statistic == pytest.approx(heads / count - 0.5, rel=1e-12)
    assert found.p_value == pytest.approx(min(1.0, n_found * p_value), rel=1e-12)
    assert found.beyond == pytest.approx(beyond if n_found == 1 else math.nan, nan_ok=True)
    share = SHARE + math.log(n_places)
    certain = math.sqrt(share / (2 * count)) + math.sqrt(MISS / (2 * count))
    assert found.certain == pytest.approx(certain, rel=1e-12)


@pytest.mark.parametrize("heads", [0, 1, 9, 10])
def test_signs_of_a_line_are_coins_and_a_zero_is_none(heads: int) -> None:
    """The diagonal has ten, each of six rows and columns two at most: 13 lines are asked."""
    signs = [1.0] * heads + [-1.0] * (10 - heads)
    arrays = np.stack([diagonal(*signs[:5], 0), diagonal(0, *signs[5:])])

    found = measured("signs", arrays)

    assert found.where == "in the diagonal"
    agree_with_coins(found, heads, 10, n_places=13)


@pytest.mark.parametrize(("axis", "kind"), [(1, "row"), (2, "column")])
@pytest.mark.parametrize("part", [1, 1j], ids=["real", "imaginary"])
def test_signs_of_each_row_and_column_and_part_are_coins(
    axis: int, kind: str, part: complex
) -> None:
    """Each other line of two matrices, and their diagonals, have as many signs of either kind."""
    signs = np.array([[1, -1, 1, -1], [-1, 1, -1, 1], [1, 1, -1, -1], [1, -1, 1, -1]])
    both = np.stack([signs, -signs])
    np.moveaxis(both, axis, 0)[3] = 1  # of all draws
    arrays = both * part if part == 1 else both * part + 0.5 * np.stack([signs, -signs])

    found = measured("signs", arrays)

    assert found.where == f"in {kind} 3"
    agree_with_coins(found, 8, 8, n_places=9, n_parts=1 if part == 1 else 2)


def test_diagonals_of_zeros_only_have_no_signs() -> None:
    assert measured_or_not("signs", np.zeros((3, 4, 2))) is None


@pytest.mark.parametrize("heads", range(8))
def test_determinants_are_one_coin_a_matrix(heads: int) -> None:
    """Of what is not orthogonal it may be 0, which is not positive."""
    arrays = [diagonal(-1, 1, 1)] * (7 - heads) + [diagonal(-1, -1, 1)] * heads
    arrays.append(diagonal(0, 1, 1))

    agree_with_coins(measured("determinants", np.stack(arrays)), heads, 8)


def test_determinants_of_unitary_matrices_are_two_coins_each() -> None:
    """Five of six real parts are positive, and four of the imaginary ones."""
    phases = [1 + 1j, 1 + 1j, 1 + 1j, 1 - 1j, 1 - 1j, -1 + 1j]
    arrays = np.stack([diagonal(phase / math.sqrt(2), 1, 1) for phase in phases])

    agree_with_coins(measured("determinants", arrays), 5, 6, n_parts=2)
    turned = measured("determinants", arrays * 1j)  # whose determinants are -i times those
    agree_with_coins(turned, 1, 6, n_parts=2)


def agree_with_signed_sum(found: Finding, terms: list[float], n_parts: int = 1) -> None:
    root = math.sqrt(math.fsum(term**2 for term in terms)) or 1.0
    ratio = math.fsum(terms) / root
    assert found.statistic == pytest.approx(ratio, rel=1e-12)
    p_value = min(1.0, 2 * math.exp(-(ratio**2) / 2))
    assert found.p_value == pytest.approx(min(1.0, n_parts * p_value), rel=1e-9)
    assert found.certain == pytest.approx(SIGNED_SUM, rel=1e-12)


@pytest.mark.parametrize("shape", [(6, 4, 4), (6, 5, 3), (1, 2, 2)])
def test_traces_are_sums_of_signed_terms(shape: tuple[int, int, int]) -> None:
    arrays = np.random.default_rng(0).standard_normal(shape) + 0.7
    terms = [float(draw[i, i]) for draw in arrays for i in range(shape[2])]

    agree_with_signed_sum(measured("traces", arrays), terms)


@pytest.mark.parametrize("turn", [1, 1j])
def test_traces_of_unitary_matrices_are_sums_of_either_part(turn: complex) -> None:
    rng = np.random.default_rng(4)
    arrays = rng.standard_normal((6, 4, 4)) + 0.9 + 1j * rng.standard_normal((6, 4, 4))
    terms = [float(draw[i, i].real) for draw in arrays for i in range(4)]

    agree_with_signed_sum(measured("traces", arrays * turn), terms, n_parts=2)


@pytest.mark.parametrize(("ratios", "t"), [((4, 4, 2, 0), 1.0), ((5, 5, 5, 5), 4.0)], ids=str)
@pytest.mark.parametrize("turn", [None, 1, 1j], ids=["real", "first part", "second part"])
def test_squares_of_traces_are_held_to_the_tail_of_sub_gaussian_numbers(
    turn: complex | None, ratios: tuple[int, ...], t: float
) -> None:
    """The sum exceeds N + 2 root(N t) + 2 t with probability exp(-t); of k ones each ratio is k."""
    assert sum(ratios) == 4 + 2 * math.sqrt(4 * t) + 2 * t
    arrays = np.stack([diagonal(*[0.25] * k, *[0] * (5 - k)) for k in ratios])
    both = arrays if turn is None else (arrays + 0.0625j * diagonal(1, -1, 0, 0, 0)) * turn

    found = measured("trace_spread", both)

    assert found.statistic == pytest.approx(sum(ratios) / 4 - 1, rel=1e-12)
    n_parts = 1 if turn is None else 2
    assert found.p_value == pytest.approx(n_parts * math.exp(-t), rel=1e-12)


@pytest.mark.parametrize("size", [1, 4])
def test_traces_that_spread_less_than_one_angle_are_no_evidence(size: int) -> None:
    arrays = np.broadcast_to(diagonal(1.0, -1.0, 1.0, -0.5), (size, 4, 4))

    found = measured("trace_spread", arrays)

    assert found.statistic == pytest.approx(0.25 / 3.25 - 1)
    assert found.p_value == 1.0


def test_a_sum_of_nothing_is_no_evidence() -> None:
    agree_with_signed_sum(measured("traces", np.zeros((2, 3, 3))), [0.0])


def test_products_of_two_keys_are_sums_of_signed_terms() -> None:
    """Of five matrices the last has no other."""
    arrays = np.random.default_rng(1).standard_normal((5, 4, 3))
    terms = [
        float(arrays[pair, :, column] @ arrays[pair + 1, :, column])
        for pair, column in itertools.product((0, 2), range(3))
    ]

    agree_with_signed_sum(measured("key_pairs", arrays), terms)


def test_products_of_unitary_matrices_are_those_of_the_conjugate() -> None:
    rng = np.random.default_rng(1)
    arrays = rng.standard_normal((4, 4, 3)) + 1j * rng.standard_normal((4, 4, 3))
    arrays[1::2] += 0.5 * arrays[::2]
    terms = [
        float(np.vdot(arrays[pair, :, column], arrays[pair + 1, :, column]).real)
        for pair, column in itertools.product((0, 2), range(3))
    ]

    agree_with_signed_sum(measured("key_pairs", arrays), terms, n_parts=2)


@pytest.mark.parametrize(("n_draws", "is_measured"), [(1, False), (2, True)])
def test_keys_need_two_matrices(n_draws: int, is_measured: bool) -> None:
    found = measured_or_not("key_pairs", np.ones((n_draws, 4, 3)))

    assert (found is not None) == is_measured


@pytest.mark.parametrize("side", [4, 5])
@pytest.mark.parametrize("n_draws", [2, 40])
@pytest.mark.parametrize(("turn", "mean"), [(1, 1), (1j, 0)], ids=["orthogonal", "unitary"])
def test_traces_of_squares_are_held_to_their_mean(
    n_draws: int, side: int, turn: complex, mean: float
) -> None:
    """Of the unit matrix turned by a quarter in one plane, two of the square's ones are -1."""
    turned = np.eye(side)
    turned[:2, :2] = [[0, 1], [-1, 0]]
    arrays = np.stack([np.eye(side)] * (n_draws // 2) + [turned] * (n_draws // 2)) * turn
    moved = (turn**2).real * (side + (side - 4)) / 2 - mean

    found = measured("squared_traces", arrays)

    reach = side + 1.0
    exponent = n_draws * moved**2 / (2 * 2.0 + 2 * reach * abs(moved) / 3)
    assert found.statistic == moved
    assert found.p_value == pytest.approx(min(1.0, 2 * math.exp(-exponent)), rel=1e-12)
    certain = sum(bernstein_bound(n_draws, 2.0, reach, evidence) for evidence in (SHARE, MISS))
    assert found.certain == pytest.approx(certain, rel=1e-12)


@pytest.mark.parametrize(
    ("size", "is_measured"), [((3, 3), False), ((4, 4), True), ((5, 4), False), ((4, 5), False)]
)
def test_traces_of_squares_are_of_square_matrices_from_four_columns_on(
    size: tuple[int, int], is_measured: bool
) -> None:
    found = measured_or_not("squared_traces", np.ones((8, *size)))

    assert (found is not None) == is_measured


def test_only_square_matrices_have_a_determinant() -> None:
    assert measured_or_not("determinants", np.ones((8, 5, 4))) is None


def test_a_sample_counts_its_matrices_and_elements() -> None:
    sample = Matrices(arrays=np.arange(24.0).reshape(2, 4, 3))

    assert (sample.n_draws, sample.size, sample.is_square) == (2, 24, False)
    assert sample.diagonals.tolist() == [[0, 4, 8], [12, 16, 20]]


# --- What becomes of them ------------------------------------------------------------------------


def triangles(rows: int, columns: int, *, is_complex: bool) -> Array:
    """Return what the first columns of many unit matrices are multiplied with."""
    unit = np.broadcast_to(
        np.eye(rows, columns, dtype=complex if is_complex else float), (3000, rows, columns)
    )
    made = Matrices(arrays=unit).normals.arrays[:, :columns]
    return np.asarray(made[..., 0] + 1j * made[..., 1] if is_complex else made)


@pytest.mark.parametrize("is_complex", [False, True], ids=["orthogonal", "unitary"])
@pytest.mark.parametrize("rows", [3, 5])
def test_the_triangle_is_that_of_a_matrix_of_normals(rows: int, is_complex: bool) -> None:
    """Normals above the diagonal; on it roots of chi-squares of a degree less in each column.

    Of complex ones each part is a standard normal, and there are twice the degrees.
    """
    upper = triangles(rows, 3, is_complex=is_complex)

    parts = 2 if is_complex else 1
    degrees = parts * (rows - np.arange(3))
    squares = np.diagonal(upper, axis1=1, axis2=2) ** 2
    above = upper[:, *np.triu_indices(3, 1)]
    assert not upper[:, *np.tril_indices(3, -1)].any()
    assert (np.diagonal(upper, axis1=1, axis2=2).real > 0).all()
    assert not squares.imag.any()
    error = 5 / math.sqrt(3000)
    assert squares.real.mean(axis=0) == pytest.approx(degrees, abs=error * math.sqrt(2 * 2 * 5))
    assert squares.real.var(axis=0) == pytest.approx(2 * degrees, rel=0.35)
    assert np.abs(above.mean(axis=0)).max() < error * parts
    for part in (above.real, above.imag)[:parts]:
        assert part.var(axis=0) == pytest.approx(np.ones(3), abs=error * math.sqrt(2))


def test_the_triangles_are_the_same_in_every_release() -> None:
    """So that a verdict repeats: of one element it is the root of a chi-square."""
    random = np.random.default_rng(1933)
    random.standard_normal(4)

    found = Matrices(arrays=np.ones((4, 1, 1))).normals.arrays

    assert found.ravel().tolist() == np.sqrt(random.chisquare(1, 4)).tolist()


def test_the_triangles_of_unitary_matrices_are_the_same_in_every_release() -> None:
    random = np.random.default_rng(1933)
    real, imag = random.standard_normal(4)[1], random.standard_normal(4)[1]

    found = Matrices(arrays=np.eye(2, dtype=complex)[None]).normals.arrays

    assert found[0, 0, 1].tolist() == [real, imag]
    assert found[0, 0, 0, 0] == math.sqrt(random.chisquare(4))


def test_each_matrix_is_multiplied_with_its_triangle() -> None:
    """The triangles are those of unit matrices, whatever the matrix."""
    turned = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 3, 3)))[0]
    unit = Matrices(arrays=np.broadcast_to(np.eye(3), (4, 3, 3))).normals.arrays

    found = Matrices(arrays=turned).normals.arrays

    assert found == pytest.approx(turned @ unit, rel=1e-12)


def test_normals_are_off_by_the_rounding_of_a_large_matrix() -> None:
    """The density 1 / root(2 pi) at most, times 12 u of a column as long as root(n), n = 2^13."""
    slack = 12 * 2.0**-24 * math.sqrt(2**13) / math.sqrt(2 * math.pi)

    law = Matrices(arrays=np.ones((1, 1, 1))).normals.law

    assert slack < law.slack == 2.0**-14 < 3 * slack
    assert law.distribution(np.array([0.0]))[0].tolist() == [0.5]
    assert (law.mean, law.sigma, law.powers, law.heaviest) == (0.0, 1.0, (), None)
    assert law.score == Term(mean=0.0, variance=1 / 12, reach=0.5, lean=2.0**-14)
    assert law.square == Term(mean=1 / 12, variance=1 / 180, reach=1 / 6, lean=2.0**-14)


ASKED = {"goodness_of_fit", "lags", "lines", "levels", "keys"}
"""Tests of elements that need neither bounds nor a lattice."""


@pytest.mark.parametrize(
    ("shape", "name"),
    [((16, 4, 1), "goodness_of_fit"), ((64, 8, 8), "keys"), ((40, 2, 2), "levels")],
)
def test_normals_are_asked_as_elements_are_and_the_least_likely_counts(
    shape: tuple[int, int, int], name: str
) -> None:
    unit = haar(np.random.default_rng(0).standard_normal(shape[1:]))
    arrays = np.broadcast_to(unit, shape)
    sample = Matrices(arrays=arrays).normals
    asked = {test.name: test.measure(sample) for test in TESTS if test.name in ASKED}
    least = asked[name]
    assert least is not None
    assert least.p_value == min(each.p_value for each in asked.values() if each is not None)

    found = measured("normals", arrays)

    n_found = sum(each is not None for each in asked.values())
    where = f", {least.where}" if least.where else ""
    assert (found.where == "by goodness_of_fit") == (name == "goodness_of_fit")
    assert found.where == f"by {name}{where}"
    assert found.p_value == pytest.approx(min(1.0, least.p_value * n_found), rel=1e-12)
