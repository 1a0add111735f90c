"""Distances in ULP against all values of the small formats, and by exact fractions in the large."""

from __future__ import annotations

import bisect
import functools
import math
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from conformance.core.arrays import Array
from conformance.core.ulp import (
    INCOMPARABLE,
    has_64_bits,
    ordered,
    real_parts,
    spacing_at,
    ulp_at,
    ulp_distance,
    unit_roundoff,
)

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
FLOAT16, FLOAT32, FLOAT64 = map(np.dtype, ("float16", "float32", "float64"))
SMALL = [BFLOAT16, FLOAT16]
FLOATS = [*SMALL, FLOAT32, FLOAT64]

PRECISION = {BFLOAT16: 8, FLOAT16: 11, FLOAT32: 24, FLOAT64: 53}
"""Bits of the significand, the hidden one among them."""

LOWEST = {BFLOAT16: -126, FLOAT16: -14, FLOAT32: -126, FLOAT64: -1022}
"""Exponent of the smallest normal number."""

NAN, INF = math.nan, math.inf

each_small = pytest.mark.parametrize("dtype", SMALL, ids=str)
each_float = pytest.mark.parametrize("dtype", FLOATS, ids=str)


def array(values: Any, dtype: np.dtype[Any]) -> Array:
    return np.asarray(values).astype(dtype)


def from_bits(pattern: int, dtype: np.dtype[Any]) -> Array:
    return np.array([pattern], f"u{dtype.itemsize}").view(dtype)


def largest_finite(dtype: np.dtype[Any]) -> Array:
    """Return the value below the pattern of infinity."""
    infinity = int(array([INF], dtype).view(f"u{dtype.itemsize}")[0])
    return from_bits(infinity - 1, dtype)


def smallest_subnormal(dtype: np.dtype[Any]) -> Array:
    return from_bits(1, dtype)


@functools.cache
def finite_values(dtype: np.dtype[Any]) -> list[float]:
    """Return every finite value of a format of 16 bits once, in order."""
    every = np.arange(2**16, dtype=np.uint16).view(dtype)
    return sorted(set(every[np.isfinite(every)].astype(np.float64).tolist()))


# --- ulp_distance ---------------------------------------------------------------------------------


@each_small
def test_the_distance_is_the_number_of_values_between(dtype: np.dtype[Any]) -> None:
    values = finite_values(dtype)
    places = np.random.default_rng(0).integers(0, len(values), (2, 500))
    one, two = (array(np.array(values)[row], dtype) for row in places)

    found = ulp_distance(one, two)

    assert found.tolist() == np.abs(places[0] - places[1]).tolist()


@each_small
def test_neighbours_are_one_apart_from_end_to_end(dtype: np.dtype[Any]) -> None:
    values = array(finite_values(dtype), dtype)

    assert set(ulp_distance(values[1:], values[:-1]).tolist()) == {1}
    assert set(ulp_distance(values[:-1], values[1:]).tolist()) == {1}


@each_float
def test_zeros_of_both_signs_are_one_value(dtype: np.dtype[Any]) -> None:
    tiny = smallest_subnormal(dtype)
    zero = array([0.0], dtype)

    assert ulp_distance(zero, -zero).tolist() == [0]
    assert ulp_distance(tiny, zero).tolist() == [1]
    assert ulp_distance(tiny, -zero).tolist() == [1]
    assert ulp_distance(-tiny, zero).tolist() == [1]
    assert ulp_distance(-tiny, tiny).tolist() == [2]


@each_float
def test_the_whole_range_has_a_distance(dtype: np.dtype[Any]) -> None:
    """Of float64 it needs all of 64 bits unsigned."""
    most = largest_finite(dtype)
    n_positive = int(most.view(f"u{dtype.itemsize}")[0])

    assert ulp_distance(most, -most).tolist() == [2 * n_positive]
    assert ulp_distance(-most, most).tolist() == [2 * n_positive]


@each_float
@pytest.mark.parametrize(
    ("one", "two", "distance"),
    [
        (NAN, NAN, 0),
        (INF, INF, 0),
        (-INF, -INF, 0),
        (INF, -INF, INCOMPARABLE),
        (NAN, INF, INCOMPARABLE),
        (NAN, 1.0, INCOMPARABLE),
        (INF, 1.0, INCOMPARABLE),
        (-INF, 0.0, INCOMPARABLE),
    ],
)
def test_what_is_not_finite_is_the_same_or_incomparable(
    one: float, two: float, distance: int, dtype: np.dtype[Any]
) -> None:
    left, right = array([one, 1.0], dtype), array([two, 1.0], dtype)

    assert ulp_distance(left, right).tolist() == [distance, 0]
    assert ulp_distance(right, left).tolist() == [distance, 0]


def test_incomparable_is_beyond_every_distance() -> None:
    most = largest_finite(FLOAT64)

    assert np.iinfo(np.uint64).max == INCOMPARABLE
    assert ulp_distance(most, -most)[0] < INCOMPARABLE


@each_float
def test_infinity_is_no_neighbour_of_the_largest_number(dtype: np.dtype[Any]) -> None:
    overflown = array([INF], dtype)

    assert ulp_distance(overflown, largest_finite(dtype)).tolist() == [INCOMPARABLE]
    assert ulp_distance(largest_finite(dtype), overflown).tolist() == [INCOMPARABLE]


@each_float
def test_nans_of_any_pattern_are_the_same(dtype: np.dtype[Any]) -> None:
    infinity = int(array([INF], dtype).view(f"u{dtype.itemsize}")[0])

    assert ulp_distance(from_bits(infinity + 1, dtype), array([NAN], dtype)).tolist() == [0]


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_of_a_complex_pair_the_larger_distance_counts(dtype: str) -> None:
    one = np.array([1 + 1j, 1 + 1j, 1 + 1j], dtype)
    eps = np.finfo(dtype).eps
    two = np.array([1 + 2 * eps + 1j, 1 + 1j * (1 + 3 * eps), 1 + eps + 1j * (1 + 5 * eps)], dtype)

    assert ulp_distance(two, one).tolist() == [2, 3, 5]


def test_the_distance_keeps_shape_and_strides() -> None:
    one = np.arange(1, 13, dtype=np.float32).reshape(3, 4)[:, ::2]
    two = one.copy()
    two[1, 1] = np.nextafter(two[1, 1], np.float32(99))

    assert ulp_distance(two, one).tolist() == [[0, 0], [0, 1], [0, 0]]
    assert ulp_distance(one[:0], one[:0]).shape == (0, 2)
    assert ulp_distance(np.array(1.0), np.array(1.0)).shape == ()


def test_an_empty_complex_pair_has_no_distance() -> None:
    empty = np.zeros((0, 3), np.complex64)

    assert ulp_distance(empty, empty).shape == (0, 3)


@pytest.mark.parametrize(
    ("one", "two", "message"),
    [
        (np.zeros(2, np.float32), np.zeros(2, np.float16), r"got float32\[2\] and float16\[2\]"),
        (np.zeros(2, np.float32), np.zeros(1, np.float32), r"got float32\[2\] and float32\[1\]"),
    ],
)
def test_arrays_of_other_dtype_or_shape_have_no_distance(
    one: Array, two: Array, message: str
) -> None:
    with pytest.raises(ValueError, match=f"ULP distance needs equal dtype and shape: {message}"):
        ulp_distance(one, two)


# --- real_parts -----------------------------------------------------------------------------------


def test_complex_elements_become_pairs_and_real_ones_stay() -> None:
    numbers = np.array([[1 + 2j, 3 - 4j]], np.complex64)
    real = np.ones(3, np.float16)

    assert real_parts(numbers).tolist() == [[[1, 2], [3, -4]]]
    assert real_parts(numbers).dtype == np.float32
    assert real_parts(real) is real


# --- spacing_at and unit_roundoff -----------------------------------------------------------------


@each_small
def test_the_spacing_is_the_step_to_the_next_of_all_values(dtype: np.dtype[Any]) -> None:
    values = [value for value in finite_values(dtype) if value >= 0]

    for place in range(0, len(values) - 1, 61):
        step = values[place + 1] - values[place]
        assert spacing_at(values[place], dtype) == step
        assert spacing_at(-values[place], dtype) == step


@each_small
def test_between_two_values_the_spacing_is_that_of_the_lower(dtype: np.dtype[Any]) -> None:
    values = [value for value in finite_values(dtype) if value >= 0]
    between = np.random.default_rng(0).uniform(0, 4, 200)

    for scale in [*between.tolist(), 0.0]:
        place = bisect.bisect_right(values, scale) - 1
        assert spacing_at(scale, dtype) == values[place + 1] - values[place]


def exact_spacing(scale: float, dtype: np.dtype[Any]) -> Fraction:
    """Return 2^(e - p + 1), where 2^e <= scale < 2^(e + 1), by exact comparisons."""
    (exponent,) = (
        power
        for power in range(-20, 20)
        if Fraction(2) ** power <= Fraction(scale) < Fraction(2) ** (power + 1)
    )
    return Fraction(2) ** (max(exponent, LOWEST[dtype]) - PRECISION[dtype] + 1)


@each_float
@pytest.mark.parametrize("exponent", [-14, -3, -1, 0, 1, 2, 15])
def test_the_spacing_doubles_at_a_power_of_two(exponent: int, dtype: np.dtype[Any]) -> None:
    power = 2.0**exponent
    below, above = math.nextafter(power, 0), math.nextafter(power, INF)

    for scale in (below, power, above):
        assert spacing_at(scale, dtype) == exact_spacing(scale, dtype)
    if exponent > LOWEST[dtype]:
        assert spacing_at(below, dtype) == spacing_at(power, dtype) / 2


@each_float
def test_below_the_smallest_normal_number_the_spacing_stays(dtype: np.dtype[Any]) -> None:
    normal = 2.0 ** LOWEST[dtype]
    tiny = float(smallest_subnormal(dtype)[0])

    for scale in (0.0, -0.0, tiny, math.nextafter(normal, 0), normal, math.nextafter(normal, 1)):
        assert spacing_at(scale, dtype) == tiny
    assert spacing_at(2 * normal, dtype) == 2 * tiny


@each_float
@pytest.mark.parametrize("scale", [INF, -INF, NAN, 1e308])
def test_a_scale_beyond_all_values_has_the_spacing_of_the_largest(
    scale: float, dtype: np.dtype[Any]
) -> None:
    most = largest_finite(dtype)
    below = from_bits(int(most.view(f"u{dtype.itemsize}")[0]) - 1, dtype)
    step = float(most[0]) - float(below[0])

    assert spacing_at(float(most[0]), dtype) == step
    assert spacing_at(scale, dtype) == step


@pytest.mark.parametrize(("dtype", "part"), [("complex64", FLOAT32), ("complex128", FLOAT64)])
def test_complex_numbers_have_the_spacing_of_their_parts(dtype: str, part: np.dtype[Any]) -> None:
    assert spacing_at(3.0, np.dtype(dtype)) == spacing_at(3.0, part)
    assert unit_roundoff(np.dtype(dtype)) == unit_roundoff(part)


@each_float
def test_the_unit_roundoff_is_half_the_spacing_at_one(dtype: np.dtype[Any]) -> None:
    assert unit_roundoff(dtype) == 2.0 ** -PRECISION[dtype]


def test_the_formats_in_which_sums_are_taken_have_64_bits_a_part() -> None:
    formats = [*FLOATS, np.dtype(np.complex64), np.dtype(np.complex128)]

    assert [each.name for each in formats if has_64_bits(each)] == ["float64", "complex128"]


# --- ulp_at ---------------------------------------------------------------------------------------


@each_float
def test_the_distance_at_a_scale_is_a_number_of_its_spacings(dtype: np.dtype[Any]) -> None:
    actual, expected = array([1.5, -1.5, 0.25, 1.0], dtype), array([1.0, 1.0, -0.25, 1.0], dtype)
    spacing = 2.0 ** (-3 - PRECISION[dtype] + 1)

    found = ulp_at(actual, expected, 0.125)

    assert found.dtype == np.float64
    assert found.tolist() == [0.5 / spacing, 2.5 / spacing, 0.5 / spacing, 0]
    assert ulp_at(expected, actual, 0.125).tolist() == found.tolist()


@each_float
@pytest.mark.parametrize(
    ("one", "two", "distance"),
    [
        (NAN, NAN, 0.0),
        (INF, INF, 0.0),
        (-INF, -INF, 0.0),
        (0.0, -0.0, 0.0),
        (INF, -INF, INF),
        (NAN, 1.0, INF),
        (NAN, INF, INF),
        (INF, 1.0, INF),
    ],
)
def test_what_is_not_finite_is_the_same_or_infinitely_far(
    one: float, two: float, distance: float, dtype: np.dtype[Any]
) -> None:
    """And no warning: the suite makes errors of them."""
    left, right = array([one, 1.0], dtype), array([two, 1.0], dtype)

    assert ulp_at(left, right, 1.0).tolist() == [distance, 0.0]
    assert ulp_at(right, left, 1.0).tolist() == [distance, 0.0]


def test_the_distance_of_complex_numbers_is_that_in_the_plane() -> None:
    actual, expected = np.array([4 + 5j], np.complex64), np.array([1 + 1j], np.complex64)

    assert ulp_at(actual, expected, 1.0).tolist() == [5 * 2.0**23]


@pytest.mark.parametrize("other", [1.0, NAN])
def test_complex_numbers_of_which_a_part_is_nan_are_not_apart_whatever_stands_beside(
    other: float,
) -> None:
    """Their difference need be none: its size is infinite where another part of one is."""
    actual, expected = np.array([complex(NAN, INF), other]), np.array([complex(NAN, 3), other])

    assert ulp_at(actual, expected, 1.0).tolist() == [0.0, 0.0]


def test_the_distance_at_a_scale_is_taken_in_float64() -> None:
    """In bfloat16 itself the difference would be rounded, or be infinite."""
    most = largest_finite(BFLOAT16)

    found = ulp_at(most, -most, 1.0)

    assert found.tolist() == [2 * float(most[0]) * 2.0**7]


@pytest.mark.parametrize("size", [2, 4, 8])
def test_the_nan_of_all_bits_comes_before_all_other_numbers(size: int) -> None:
    every = np.array([-1], f"i{size}").view(f"f{size}")

    assert ordered(every).tolist() == [np.iinfo(f"i{size}").min]
