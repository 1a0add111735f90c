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
from conformance.judge.statistics import MATRIX_TESTS, Matrices
from conformance.judge.statistics.finding import Finding

SHARE, MISS = math.log(2 / STATISTICS.alpha), math.log(2 / CERTAIN)
SIGNED_SUM = math.sqrt(2 * SHARE) + math.sqrt(2 * MISS)
"""Standard deviations at which 2 exp(-t^2 / 2) is the share, and that which chance takes back."""


def measured_or_not(name: str, arrays: Array) -> Finding | None:
    (test,) = (test for test in MATRIX_TESTS if test.name == name)
    return test.measure(Matrices(arrays=np.asarray(arrays, np.float64)))


def measured(name: str, arrays: Array) -> Finding:
    found = measured_or_not(name, arrays)
    assert found is not None
    return found


def diagonal(*signs: float) -> Array:
    return np.diag(signs)


def of_coins(heads: int, count: int) -> tuple[float, float]:
    """Return the probabilities that fair coins go so far, and that they go further."""
    fewer = min(heads, count - heads)
    lower = [Fraction(math.comb(count, k), 2**count) for k in range(fewer + 1)]
    return min(1.0, 2 * float(sum(lower))), 2 * float(sum(lower[:-1]))


def agree_with_coins(found: Finding, heads: int, count: int) -> None:
    p_value, beyond = of_coins(heads, count)
    assert found.statistic == heads / count - 0.5
    assert found.p_value == pytest.approx(p_value, rel=1e-12)
    assert found.beyond == pytest.approx(beyond, rel=1e-12)
    certain = math.sqrt(SHARE / (2 * count)) + math.sqrt(MISS / (2 * count))
    assert found.certain == pytest.approx(certain, rel=1e-12)


@pytest.mark.parametrize("heads", [0, 1, 9, 10])
def test_signs_of_a_line_are_coins_and_a_zero_is_none(heads: int) -> None:
    """The diagonal has ten, each of six rows and columns two at most: 13 lines are asked."""
    signs = [1.0] * heads + [-1.0] * (10 - heads)
    arrays = np.stack([diagonal(*signs[:5], 0), diagonal(0, *signs[5:])])

    found = measured("signs", arrays)

    p_value, _ = of_coins(heads, 10)
    assert (found.statistic, found.where) == (heads / 10 - 0.5, "in the diagonal")
    assert found.p_value == pytest.approx(13 * p_value, rel=1e-12)


def test_diagonals_of_zeros_only_have_no_signs() -> None:
    assert measured_or_not("signs", np.zeros((3, 4, 2))) is None


def test_determinants_are_one_coin_a_matrix() -> None:
    """Of what is not orthogonal it may be 0, which is not positive."""
    arrays = [diagonal(-1, 1, 1)] * 5 + [diagonal(-1, -1, 1)] * 2 + [diagonal(0, 1, 1)]

    agree_with_coins(measured("determinants", np.stack(arrays)), 2, 8)


def agree_with_signed_sum(found: Finding, terms: list[float]) -> None:
    root = math.sqrt(math.fsum(term**2 for term in terms)) or 1.0
    ratio = math.fsum(terms) / root
    assert found.statistic == pytest.approx(ratio, rel=1e-12)
    assert found.p_value == pytest.approx(min(1.0, 2 * math.exp(-(ratio**2) / 2)), rel=1e-9)
    assert found.certain == pytest.approx(SIGNED_SUM, rel=1e-12)


@pytest.mark.parametrize("shape", [(6, 4, 4), (6, 5, 3), (1, 2, 2)])
def test_traces_are_sums_of_signed_terms(shape: tuple[int, int, int]) -> None:
    arrays = np.random.default_rng(0).standard_normal(shape) + 0.7
    terms = [float(draw[i, i]) for draw in arrays for i in range(shape[2])]

    agree_with_signed_sum(measured("traces", arrays), terms)


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


@pytest.mark.parametrize(("n_draws", "is_measured"), [(1, False), (2, True)])
def test_keys_need_two_matrices(n_draws: int, is_measured: bool) -> None:
    found = measured_or_not("key_pairs", np.ones((n_draws, 4, 3)))

    assert (found is not None) == is_measured


@pytest.mark.parametrize("n_draws", [2, 40])
def test_traces_of_squares_are_held_to_their_mean(n_draws: int) -> None:
    """Of a reflection of four axes, one of them turned, the square's trace is that of the unit."""
    turned = np.eye(4)
    turned[:2, :2] = [[0, 1], [-1, 0]]
    arrays = np.stack([np.eye(4)] * (n_draws // 2) + [turned] * (n_draws // 2))
    moved = (4 + 0) / 2 - 1

    found = measured("squared_traces", arrays)

    exponent = n_draws * moved**2 / (2 * 2.0 + 2 * 5.0 * moved / 3)
    assert found.statistic == moved
    assert found.p_value == pytest.approx(min(1.0, 2 * math.exp(-exponent)), rel=1e-12)
    certain = sum(bernstein_bound(n_draws, 2.0, 5.0, evidence) for evidence in (SHARE, MISS))
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
