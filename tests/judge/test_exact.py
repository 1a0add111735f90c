"""The law of equally likely values, in few numbers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from conformance.core.arrays import Array
from conformance.judge.law import exact
from conformance.judge.law.exact import exact_law


def floats(*values: float) -> Array:
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("values", "direction"),
    [
        ((1, 2, 2, 3), 1),
        ((3, 2, 2, 1), -1),
        ((1, 3, 2), 0),
        ((2, 2), 1),
        ((1,), 1),
        ((3, math.nan, 2, 1), -1),
        ((1, 2, 1), 0),
        ((2, 1, 2), 0),
    ],
)
def test_values_rise_or_fall_with_their_words_though_some_are_equal(
    values: tuple[float, ...], direction: int
) -> None:
    law = exact_law(floats(*values))

    numbers = [value for value in values if math.isfinite(value)]
    assert law.direction == direction
    assert (law.minimum, law.maximum) == (min(numbers), max(numbers))


@pytest.mark.parametrize(
    ("values", "n_distinct", "n_nonfinite"),
    [((), 0, 0), ((1,), 1, 0), ((1, 1), 1, 0), ((2, 1, 2, math.inf, math.nan), 2, 2)],
)
def test_distinct_numbers_are_counted_and_what_is_none(
    values: tuple[float, ...], n_distinct: int, n_nonfinite: int
) -> None:
    law = exact_law(floats(*values))

    assert (law.n_points, law.n_distinct, law.n_nonfinite) == (len(values), n_distinct, n_nonfinite)


def test_moments_err_by_32_roundings_of_a_sum() -> None:
    """27 of the pairwise sum, and 5 of the powers, of half an ULP each.

    NumPy halves an array down to 128 elements, which it adds up in 8 sums, and these in pairs.
    """
    depth = math.log2(exact.CHUNK / 128) + 128 / 8 - 1 + math.log2(8)

    assert (depth + 5) * 2.0**-53 == exact.SUMMATION_ERROR


@pytest.mark.parametrize("chunk", [3, 1000])
def test_moments_are_those_of_exact_fractions(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(exact, "CHUNK", chunk)
    values = (1, 2, 2, 3, 9, -4, 0.5)
    fractions = [Fraction(value) for value in values]
    mean = sum(fractions) / 7
    second, third, fourth = (sum((f - mean) ** n for f in fractions) / 7 for n in (2, 3, 4))

    law = exact_law(floats(*values))

    assert law.mean == pytest.approx(float(mean), rel=1e-15)
    assert law.variance == pytest.approx(float(second), rel=1e-14)
    assert law.skewness == pytest.approx(float(third) / float(second) ** 1.5, rel=1e-13)
    assert law.kurtosis == pytest.approx(float(fourth / second**2), rel=1e-13)


def test_what_does_not_vary_has_no_shape_and_nothing_has_no_moments() -> None:
    level, nothing = exact_law(floats(3, 3)), exact_law(floats())

    assert (level.mean, level.variance) == (3.0, 0.0)
    figures = (level.skewness, level.kurtosis, nothing.mean, nothing.variance, nothing.skewness)
    assert all(map(math.isnan, (*figures, nothing.kurtosis, nothing.minimum, nothing.maximum)))


@pytest.mark.parametrize(
    ("values", "is_symmetric"),
    [
        ((-1, 2, 1, -2), True),
        ((-1, 0, 1), True),
        ((-1, 2), False),
        ((-3, 1, 3), False),
        ((1,), False),
    ],
)
def test_a_law_is_symmetric_where_each_number_has_its_negative(
    values: tuple[float, ...], is_symmetric: bool
) -> None:
    assert exact_law(floats(*values)).is_symmetric == is_symmetric
