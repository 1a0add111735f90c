"""The class of a change turns exactly where it is said to, and the figures are of the worst."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from conformance.core import arrays
from conformance.core.arrays import Array, as_dtype, returned, sampled, thin
from conformance.core.laws import NominalMoments
from conformance.core.records import Budget, Drift, DriftClass, Moments, Raised, Returned
from conformance.core.ulp import INCOMPARABLE, spacing_at, ulp_distance
from conformance.core.words import counted
from conformance.judge.alpha import DRIFT
from conformance.judge.drift import classify, statistics
from conformance.judge.drift.classify import (
    DEFAULT_BUDGET,
    OVERFLOWING,
    ROUNDINGS,
    STEP,
    Comparison,
    _another_size,
    _common_factor,
    _is_still,
    _median_magnitude,
    _other_support,
    _pair,
    _row,
    _Sides,
    _unit,
    compare_kept,
    compare_with,
    moments_moved,
)

U = 2.0**-24
"""Unit roundoff of float32."""

ANY = Budget(max_ulp=10**9, max_ulp_at_sigma=0.0)
NONE = Budget(max_ulp=0, max_ulp_at_sigma=0.0)

ROUNDING, LAW, TRANSFORM = DriftClass.ROUNDING, DriftClass.LAW, DriftClass.TRANSFORM
BIASED = DriftClass.BIASED


def law(variance: float) -> NominalMoments:
    return NominalMoments(mean=0, variance=variance, lower=-math.inf, upper=math.inf)


def between(
    actual: Array,
    expected: Array,
    budget: Budget = DEFAULT_BUDGET,
    variance: float | None = 1.0,
) -> Drift:
    moments = None if variance is None else law(variance)
    return classify(returned(actual), returned(expected), moments=moments, budget=budget)


def signs(size: int) -> Array:
    """Return ones of either sign in turn: their mean is 0 and their variance 1, exactly."""
    return np.tile(np.array([1, -1], np.float32), size // 2)


def normals(size: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(size).astype(np.float32)


# --- What the budget decides ----------------------------------------------------------------------


def test_by_default_a_change_of_six_roundings_on_either_side_is_rounding() -> None:
    assert ROUNDINGS == 6
    assert Budget(max_ulp=6, max_ulp_at_sigma=6.0) == DEFAULT_BUDGET


@pytest.mark.parametrize("n_ulp", [1, 7, 8, 9])
def test_rounding_ends_beyond_the_budget_at_the_value(n_ulp: int) -> None:
    expected = np.array([1.0, 1.5], np.float32)
    actual = expected + np.array([n_ulp * 2 * U, 0], np.float32)

    found = between(actual, expected, Budget(max_ulp=8, max_ulp_at_sigma=0.0))

    assert found.max_ulp == n_ulp
    assert found.drift_class is (ROUNDING if n_ulp <= 8 else TRANSFORM)


@pytest.mark.parametrize("n_spacings", [1, 7, 8, 9])
def test_rounding_ends_beyond_the_budget_at_sigma(n_spacings: int) -> None:
    expected = np.array([2.0**-20, 1.5], np.float32)
    actual = expected + np.array([n_spacings * 2 * U, 0], np.float32)

    found = between(actual, expected, Budget(max_ulp=0, max_ulp_at_sigma=8.0))

    assert found.max_ulp_at_sigma == n_spacings
    assert found.drift_class is (ROUNDING if n_spacings <= 8 else TRANSFORM)


def test_each_element_may_be_within_either_budget_and_all_must_be() -> None:
    budget = Budget(max_ulp=4, max_ulp_at_sigma=4.0)
    expected = np.array([2.0**-21, 2.0**-20, 8.0, 16.0], np.float32)
    at_sigma = [2.0**-21 + 6 * U, 2.0**-20 + 8 * U]
    near = np.array([*at_sigma, 8 + 4 * 16 * U, 16 + 32 * U], np.float32)
    far = np.array([*at_sigma, 8 + 5 * 16 * U, 16 + 32 * U], np.float32)

    assert between(near, expected, budget).drift_class is ROUNDING
    assert between(far, expected, budget).drift_class is TRANSFORM


@pytest.mark.parametrize(("n_spacings", "is_asked"), [(7, False), (8, False), (9, True)])
def test_the_distance_at_the_value_is_asked_beyond_the_budget_at_sigma(
    n_spacings: int, is_asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def noted(actual: Array, expected: Array) -> Array:
        asked.append(actual.size)
        return ulp_distance(actual, expected)

    monkeypatch.setitem(_pair.__globals__, "ulp_distance", noted)
    expected = np.array([0.5, 1.5, 2.5], np.float32)
    actual = expected + np.array([2 * U, n_spacings * 2 * U, 0], np.float32)
    pair_of_arrays(actual, expected, Budget(max_ulp=0, max_ulp_at_sigma=8.0))

    assert asked == [1] * is_asked


def pair_of_arrays(actual: Array, expected: Array, budget: Budget = DEFAULT_BUDGET) -> Any:
    sides = _Sides(
        actual=actual,
        expected=expected,
        shape=expected.shape,
        stride=1,
        sigma=1.0,
        is_constant=False,
    )
    return _pair(sides, budget)


def test_the_distance_of_two_arrays_is_the_root_of_all_squares() -> None:
    expected = np.array([0.5, 1.5, 2.5, -1.0], np.float32)
    actual = expected + np.array([6 * U, 0, 0, -8 * U], np.float32)

    assert pair_of_arrays(actual, expected).distance == 10 * U


def test_the_budget_may_be_the_largest_number_there_is() -> None:
    expected = np.array([1.0, 2.0], np.float32)
    budget = Budget(max_ulp=INCOMPARABLE, max_ulp_at_sigma=0.0)

    assert between(-expected, expected, budget).drift_class is ROUNDING


# --- The scale of distances -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variance", "sigma"),
    [
        (4.0, 2.0),  # the law's
        (None, 3.0),  # that of the expected array, 3 and -3
        (0.0, 3.0),
        (math.inf, 3.0),
        (math.nan, 3.0),
        (-1.0, 3.0),  # which is no variance
        (0.0625, 0.25),
    ],
)
def test_distances_are_scaled_by_the_laws_sigma_or_by_what_is_seen(
    variance: float | None, sigma: float
) -> None:
    expected = np.array([3.0, -3.0], np.float32)
    actual = np.array([3.5, -3.0], np.float32)

    found = between(actual, expected, variance=variance)

    assert found.max_ulp_at_sigma == 0.5 / spacing_at(sigma, np.dtype(np.float32))


def test_a_sigma_that_is_seen_may_be_small() -> None:
    expected = np.array([0.25, -0.25], np.float32)

    found = between(expected + np.array([0.5, 0], np.float32), expected, variance=None)

    assert found.max_ulp_at_sigma == 0.5 / spacing_at(0.25, np.dtype(np.float32))


@pytest.mark.parametrize(
    ("expected", "sigma"),
    [
        ([-5.0, -5.0], 5.0),
        ([5.0, math.inf], 5.0),  # of the finite ones
        ([math.nan, math.nan], 1.0),  # any will do: all is infinitely far
        ([0.0, 0.0], 0.0),
    ],
)
def test_where_nothing_varies_the_magnitude_is_the_scale(
    expected: list[float], sigma: float
) -> None:
    actual = np.array(expected, np.float32)
    actual[0] = 1.0 if math.isnan(actual[0]) else actual[0] + 0.5

    found = between(actual, np.array(expected, np.float32), variance=None)

    distance = math.inf if math.isnan(expected[0]) else 0.5
    assert found.max_ulp_at_sigma == distance / spacing_at(sigma, np.dtype(np.float32))


def test_what_is_seen_is_the_lesser_of_sigma_and_the_median() -> None:
    """Of 1, 1, 1 and 1.5 the standard deviation is 0.22, and of 5, 1, 1 and 1 it is 1.7."""
    for values, sigma in (([1, 1, 1, 1.5], 0.125), ([5.0, 1, 1, 1], 1.0)):
        expected = np.array(values, np.float32)

        found = between(expected + np.array([0, 0, 0.5, 0], np.float32), expected, variance=None)

        assert found.max_ulp_at_sigma == 0.5 / spacing_at(sigma, np.dtype(np.float32))


def test_an_observed_variance_beyond_all_numbers_is_no_scale() -> None:
    expected = returned(np.array([3.0, -5.0], np.float32))
    moments = dataclasses.replace(expected.moments, variance=math.inf)

    found = classify(
        returned(np.array([3.0, -4.5], np.float32)), dataclasses.replace(expected, moments=moments)
    )

    assert found.max_ulp_at_sigma == 0.5 / spacing_at(4.0, np.dtype(np.float32))  # the median


def test_the_median_of_what_is_not_zero_is_that_of_two_in_the_middle() -> None:
    largest = float(np.finfo(np.float64).max)

    assert _median_magnitude(np.array([0.0, -3.0, np.inf, 1.0, np.nan, 7.0, 0.0])) == 3.0
    assert _median_magnitude(np.array([0.0, -3.0, 1.0, 7.0, 4.0])) == 3.5
    assert _median_magnitude(np.array([3 + 5j, 1 - 7j])) == 4.0
    assert _median_magnitude(np.array([largest, -largest])) == largest
    assert _median_magnitude(np.array([0.0, np.nan])) == 0.0


@pytest.mark.parametrize(
    ("dtype", "large", "change"),
    [
        ("float32", 3e38, lambda rest: np.zeros_like(rest)),
        ("float64", 1e160, lambda rest: 2 * rest[::-1]),
        ("bfloat16", 1e4, lambda rest: rest[::-1].copy()),
    ],
)
def test_one_large_element_does_not_set_the_measure_for_all(
    dtype: str, large: float, change: Callable[[Array], Array]
) -> None:
    expected = normals(4000).astype(as_dtype(dtype))
    expected[17] = large
    rest = np.arange(4000) != 17
    actual = expected.copy()
    actual[rest] = change(expected[rest])

    found = classify(returned(actual), returned(expected))

    assert found.drift_class.rank > DriftClass.ROUNDING.rank


# --- Constants ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("actual", "expected", "variance", "is_constant"),
    [
        ([1.0, 1.5], [1.0, 2.0], 0.0, True),  # the law wants one value
        ([1.0, 1.5], [1.0, 1.0], 1.0, True),  # so did the golden
        ([1.0, 1.5], [1.0, 2.0], 1.0, False),
        ([1.5], [1.0], 1.0, False),  # one draw
        ([1.5], [1.0], 0.0, True),
        ([1.5], [1.0], None, False),
    ],
)
def test_another_value_of_a_constant_is_a_law(
    actual: list[float], expected: list[float], variance: float | None, is_constant: bool
) -> None:
    found = between(np.array(actual), np.array(expected), variance=variance)

    assert ("a constant has another value" in found.detail) == is_constant
    assert (found.drift_class is LAW) == is_constant


@pytest.mark.parametrize("dtype", [np.complex64, np.float16, ml_dtypes.bfloat16])
def test_a_constant_is_one_in_every_dtype(dtype: Any) -> None:
    expected = np.full((2, 2), 1.0, dtype)

    found = between(np.full((2, 2), 1.5, dtype), expected)

    assert found.detail == "a constant has another value; every element"


def test_a_constant_of_which_one_part_varies_is_none() -> None:
    expected = np.array([1 + 1j, 1 + 2j], np.complex64)

    assert "constant" not in between(expected * 2, expected).detail


# --- What is lost ---------------------------------------------------------------------------------


def test_elements_that_were_finite_and_are_not_are_a_law() -> None:
    expected = np.array([1.0, 2.0, np.nan, np.inf, 3.0], np.float32)
    actual = np.array([np.nan, np.inf, 1.0, 2.0, 3.0], np.float32)

    found = between(actual, expected, Budget(max_ulp=2**64 - 1, max_ulp_at_sigma=math.inf))

    assert found.drift_class is LAW
    assert found.detail == "2 elements became NaN or infinite; one run, flat indices 0 to 3"


def test_elements_that_became_finite_are_no_loss() -> None:
    expected = np.array([1.0, np.nan, 3.0], np.float32)

    found = between(np.array([1.0, 2.0, 3.0], np.float32), expected)

    assert found.drift_class is TRANSFORM


# --- Scale and shift ------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "way"), [(16, ROUNDING), (1024, BIASED)])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("n_roundings", [4, 6, 8])
def test_six_roundings_of_the_scale_are_rounding_which_of_many_is_biased(
    n_roundings: int, sign: int, size: int, way: DriftClass
) -> None:
    """All elements times 1 + 6 u, or 1 - 6 u, without any error; and 2 u to either side."""
    found = LAW if n_roundings > 6 else way
    expected = signs(size)
    actual = expected * np.float32(1 + sign * n_roundings * U)

    drift = between(actual, expected, ANY)

    assert drift.drift_class is found
    assert drift.scale == (1 + sign * n_roundings * U if found is LAW else None)


def test_a_change_of_scale_is_told_with_that_of_the_variance() -> None:
    drift = between(signs(1024) * np.float32(1.25), signs(1024), ANY)

    assert drift.detail == (
        "scaled by 1.25, so the variance by 1.5625 (standard error of the scale 0); every element"
    )


@pytest.mark.parametrize("variance", [1.0, 4.0, 16.0])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("n_roundings", "found"), [(4, BIASED), (6, BIASED), (8, LAW)])
def test_a_shift_by_six_roundings_of_sigma_is_rounding_and_biased(
    n_roundings: int, found: DriftClass, sign: int, variance: float
) -> None:
    """Of so many elements of either sign the mean moves by just that, and without any error."""
    expected = signs(64)
    sigma = math.sqrt(variance)
    actual = expected + np.array(sign * n_roundings * U * sigma, np.float32)

    drift = between(actual, expected, ANY, variance)

    assert drift.drift_class is found
    assert drift.scale is None
    if found is LAW:
        assert f"shifted by {sign * n_roundings * U * sigma:.6g} (" in drift.detail
        assert f"({sign * n_roundings * U:.3g} sigma)" in drift.detail


def test_of_fewer_than_sixteen_elements_no_scale_is_told() -> None:
    actual, expected = 1.25 * normals(15), normals(15)

    assert between(actual.astype(np.float32), expected, ANY).drift_class is ROUNDING
    actual, expected = np.float32(1.25) * normals(16), normals(16)
    assert between(actual, expected, ANY).drift_class is LAW


def test_what_is_not_finite_on_either_side_takes_no_part_in_the_line() -> None:
    expected, actual = normals(18), np.float32(1.25) * normals(18)
    expected[0], expected[1] = np.nan, np.inf
    actual[0], actual[1] = np.nan, np.inf

    found = between(actual, expected, ANY)

    assert found.scale == pytest.approx(1.25, rel=1e-6)
    expected[2] = np.nan  # 15 are left
    assert between(actual, expected, dataclasses.replace(ANY, max_ulp=INCOMPARABLE)).scale is None


def test_what_became_finite_takes_no_part_in_the_line_either() -> None:
    expected, actual = normals(18), np.float32(1.25) * normals(18)
    expected[0] = np.nan

    found = between(actual, expected, dataclasses.replace(ANY, max_ulp=INCOMPARABLE))

    assert found.scale == pytest.approx(1.25, rel=1e-6)


def test_finite_elements_that_are_all_alike_have_no_line() -> None:
    """A NaN beside them, and they are no constant."""
    expected, actual = np.ones(20, np.float32), np.full(20, 1 + 2 * U, np.float32)
    expected[0] = actual[0] = np.nan

    assert between(actual, expected, ANY).drift_class is ROUNDING


def test_a_scale_must_be_off_by_more_than_its_error_explains() -> None:
    """Errors of 1e-3 leave that of the scale at 1e-3 / sqrt(n): 6 of them are 2e-4 of 1024."""
    expected = normals(1024)
    noisy = expected * (1 + 1e-3 * normals(1024, seed=1))

    assert between(noisy, expected, ANY).drift_class is ROUNDING
    assert between(noisy * np.float32(1 + 1e-4), expected, ANY).drift_class is ROUNDING
    assert between(noisy * np.float32(1 + 4e-4), expected, ANY).drift_class is LAW
    assert between(noisy + np.float32(1e-4), expected, ANY).drift_class is ROUNDING
    assert between(noisy + np.float32(4e-4), expected, ANY).drift_class is LAW


def test_the_parts_of_complex_elements_are_twice_as_many_reals() -> None:
    expected = (normals(8) + 1j * normals(8, seed=1)).astype(np.complex64)

    assert between(expected * np.complex64(1.25), expected, ANY).drift_class is LAW
    fewer = expected[:7]
    assert between(fewer * np.complex64(1.25), fewer, ANY).drift_class is ROUNDING


# --- Streams --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_different", "is_told"), [(15, False), (16, True)])
def test_fewer_than_sixteen_changed_elements_tell_nothing(n_different: int, is_told: bool) -> None:
    expected = normals(1000)
    actual = expected.copy()
    actual[100 : 100 + n_different] = np.sinh(expected[100 : 100 + n_different])

    found = between(actual, expected, NONE)

    assert found.drift_class in (TRANSFORM, LAW)
    assert (f"{counted(n_different, 'element')}: too few to tell" in found.detail) != is_told


def test_the_same_stream_with_its_scale_and_mean_is_a_transform() -> None:
    expected = normals(1000)
    bent = expected + np.float32(0.01) * np.sin(40 * expected)

    found = between(bent, expected, NONE)

    assert found.drift_class is TRANSFORM
    assert found.detail.startswith(
        "the same stream, through another computation; scale and mean intact"
    )


def test_a_negated_stream_of_another_scale_is_a_law_with_its_scale() -> None:
    expected = signs(1000) * np.abs(normals(1000))

    found = between(np.float32(-1.25) * expected, expected, NONE)

    assert found.drift_class is LAW
    assert abs(found.scale or 0) == pytest.approx(1.25, rel=1e-6)


def test_elements_are_negated_though_most_are_not() -> None:
    expected = signs(1000) * np.abs(normals(1000))
    actual = expected.copy()
    actual[:300] *= -1

    found = between(actual, expected, NONE)

    assert found.drift_class is TRANSFORM
    assert found.detail.startswith("the same stream, negated; scale and mean intact")


def test_a_negated_stream_of_a_skew_law_with_mean_zero_is_a_law() -> None:
    """Of scale and mean nothing shows: the distribution functions do."""
    skew = np.random.default_rng(0).exponential(size=2000)
    expected = (skew - skew.mean()).astype(np.float32)

    found = between(-expected, expected, NONE)

    assert found.drift_class is LAW
    assert found.detail.startswith("the distribution functions lie")


def test_only_the_elements_that_differ_are_asked() -> None:
    """Half of the array has other bits; the half that kept its own does not hide them."""
    expected, other = normals(1000), normals(1000, seed=1)
    actual = np.concatenate([expected[:500], other[500:]])

    found = between(actual, expected, NONE)

    assert found.drift_class is DriftClass.STREAM
    assert found.detail.startswith("another stream; 500 elements show no change of law (certain")


def test_the_scale_is_that_of_the_elements_that_differ() -> None:
    expected = normals(1000)
    actual = expected.copy()
    actual[:100] *= np.float32(1.25)

    found = between(actual, expected, NONE)

    assert found.drift_class is LAW
    assert found.scale == pytest.approx(1.25, rel=1e-6)


@pytest.mark.parametrize("first", [0, 4])
def test_no_later_element_brings_back_what_one_is_beyond_the_budget(
    monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    """Though they are looked at some at a time."""
    monkeypatch.setattr(arrays, "WIDENED", 4)
    expected = np.ones(8, np.float32)
    expected[7] = 2.0
    actual = expected.copy()
    actual[first] += 9 * 2 * U
    actual[4 - first] += 8 * 2 * U

    found = between(actual, expected, Budget(max_ulp=8, max_ulp_at_sigma=0.0))

    assert found.drift_class is TRANSFORM


@pytest.mark.parametrize("sigma", [2.0**10, 2.0**-10, 2.0**500])
def test_elements_that_rounding_moved_are_known_in_other_places(sigma: float) -> None:
    """By steps of 16 units of sigma, whatever sigma is; in units of their own beyond 2^450."""
    dtype, unit = as_dtype("float32"), U
    if sigma > 2.0**100:
        dtype, unit = as_dtype("float64"), 2.0**-53
    expected = np.random.default_rng(0).standard_normal(2000).astype(dtype)
    moved = np.random.default_rng(1).integers(-1, 2, 2000) * unit
    actual = expected[::-1] + moved.astype(dtype)
    one, two = (side * dtype.type(sigma) for side in (actual, expected))

    found = between(one, two, NONE, sigma**2)

    assert found.drift_class is DriftClass.STRUCTURAL
    assert found.detail.startswith("most of ")


@pytest.mark.parametrize(("units", "found"), [(7, DriftClass.STRUCTURAL), (9, DriftClass.STREAM)])
def test_elements_in_other_places_may_lie_half_a_step_off(units: int, found: DriftClass) -> None:
    """A step is 16 units of roundoff of sigma. Of 2,000 elements 1,400 are those of before."""
    assert STEP == 16
    steps = np.random.default_rng(0).choice(np.arange(2**17, 2**18), 2600, replace=False)
    ways = np.random.default_rng(1).choice([-1, 1], 1400)
    moved, expected = steps[:1400] * 16 * U + ways * units * U, steps[:2000] * 16 * U
    actual = np.concatenate([steps[2000:] * 16 * U, moved])

    drift = between(actual.astype(np.float32), expected.astype(np.float32), NONE)

    assert drift.drift_class is found


def test_elements_in_another_order_are_structural_only_beyond_the_budget() -> None:
    expected = np.array([1.0, 1 + 2 * U, 1 + 4 * U], np.float32)

    assert between(expected[::-1], expected).drift_class is ROUNDING
    assert between(expected[::-1], expected, NONE).drift_class is DriftClass.STRUCTURAL


# --- One way, and fewer digits --------------------------------------------------------------------


DIFFER = "elements that differ went"


def moved_by(steps: Array) -> Drift:
    """Return the drift of normals moved by so many representable values each."""
    expected = normals(2048)
    words = expected.view(np.int32) + steps.astype(np.int32)
    return between(words.view(np.float32), expected, ANY)


def test_rounding_that_goes_both_ways_has_no_bias() -> None:
    steps = np.random.default_rng(0).integers(-1, 2, 2048)

    assert moved_by(steps).drift_class is ROUNDING


@pytest.mark.parametrize(
    ("step", "way"), [(1, "away from zero"), (2, "away from zero"), (-1, "towards zero")]
)
def test_rounding_that_goes_one_way_is_biased(step: int, way: str) -> None:
    """A step of the words goes away from zero. Half of the elements suffice to tell."""
    every = moved_by(np.full(2048, step))
    half = moved_by(step * np.random.default_rng(0).integers(0, 2, 2048))

    assert every.drift_class is half.drift_class is BIASED
    assert (
        every.detail
        == f"biased rounding: 2048 of 2048 elements that differ went {way}; every element"
    )
    assert f" {DIFFER} {way}; scattered" in half.detail


@pytest.mark.parametrize(("sign", "way"), [(1, "up"), (-1, "down")])
def test_a_bias_may_be_up_or_down_whatever_the_sign(sign: int, way: str) -> None:
    expected = normals(2048)
    steps = sign * np.sign(expected).astype(np.int32)

    found = between((expected.view(np.int32) + steps).view(np.float32), expected, ANY)

    assert (
        found.detail
        == f"biased rounding: 2048 of 2048 elements that differ went {way}; every element"
    )


def test_only_elements_that_differ_are_asked_which_way_they_went(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    def noted(parts: statistics.Parts) -> str:
        asked.extend(actual.size for actual, _ in parts())
        return ""

    monkeypatch.setattr(statistics, "one_way", noted)
    steps = np.zeros(2048)
    steps[:64] = 1

    assert moved_by(steps).drift_class is ROUNDING
    assert asked == [64]


def test_a_few_elements_that_grew_alike_are_no_other_scale_of_all() -> None:
    """Forty units each are little more than one on average of all: the way is told, and no law."""
    steps = np.zeros(2048)
    steps[:64] = 40

    found = moved_by(steps)

    assert found.drift_class is BIASED
    assert f"64 of 64 {DIFFER} away from zero" in found.detail


def test_what_two_right_machines_differ_by_is_no_bias() -> None:
    """58 % of 1385 elements went one way where IREE keeps bfloat16 in float32."""
    steps = np.zeros(2048, np.int32)
    steps[:1385] = np.where(np.arange(1385) < 0.582 * 1385, 1, -1)

    assert moved_by(steps).drift_class is ROUNDING


def test_a_stream_of_fewer_digits_is_another_law_from_the_random_bits_on() -> None:
    """What was drawn in bfloat16 has 128 values, and ends in 16 zeros."""
    narrow = as_dtype("bfloat16")
    actual = normals(2048, seed=1).astype(narrow).astype(np.float32)

    found = between(actual, normals(2048), NONE)

    assert (found.drift_class, found.stage) == (LAW, "bits")
    assert found.detail.startswith(
        "every element has 7 binary digits at most, was 23: another support"
    )


def test_the_same_stream_of_fewer_digits_is_another_law_too() -> None:
    expected = normals(2048)

    found = between(expected.astype(as_dtype("bfloat16")).astype(np.float32), expected, NONE)

    assert (found.drift_class, found.stage) == (LAW, None)


# --- Figures --------------------------------------------------------------------------------------


def test_the_worst_element_is_the_furthest_at_sigma() -> None:
    """Near zero a distance of many ULP is small."""
    expected = np.array([[1.0, 2.0**-30], [-0.5, 4.0]], np.float32)
    actual = np.array([[1.0, -(2.0**-30)], [-0.75, 4.0]], np.float32)

    found = between(actual, expected, NONE)

    assert found.worst_index == (1, 0)
    assert (found.worst_actual, found.worst_expected) == (-0.75, -0.5)
    assert found.max_ulp_at_sigma == 0.25 / (2 * U)
    assert found.max_ulp is not None
    assert found.max_ulp > 2**29
    assert (found.n_different, found.n_elements) == (2, 4)


def test_of_elements_as_far_the_first_is_the_worst(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though they are looked at some at a time, of which the first do not differ."""
    monkeypatch.setattr(arrays, "WIDENED", 4)
    expected = np.zeros(16, np.float32)
    actual = expected.copy()
    actual[[7, 10]] = 1.0
    actual[13] = 0.5

    assert between(actual, expected, NONE).worst_index == (7,)


def test_of_complex_elements_the_worst_is_complex() -> None:
    expected = np.array([1 + 1j, 2 + 2j], np.complex64)

    found = between(expected + np.array([0, 1j], np.complex64), expected, NONE)

    assert found.worst_index == (1,)
    assert (found.worst_actual, found.worst_expected) == (2 + 3j, 2 + 2j)


def test_a_zero_of_the_other_sign_differs_by_nothing() -> None:
    """The bits differ, and are counted and shown; the distance is 0."""
    expected = np.array([1.0, 0.0], np.float32)

    found = between(np.array([1.0, -0.0], np.float32), expected, NONE)

    assert (found.drift_class, found.n_different, found.worst_index) == (ROUNDING, 1, (1,))
    assert (found.max_ulp, found.max_ulp_at_sigma) == (0, 0.0)


def test_where_it_differs_comes_after_what_changed() -> None:
    expected = normals(64).reshape(8, 8)
    actual = expected.copy()
    actual[:, 2] += np.float32(2.0)

    found = between(actual, expected, NONE)

    assert found.detail == (
        "8 elements: too few to tell a stream or a law by; only [2:3] of axis 1"
    )
    assert found.mismatch == f"8x8 {'/'.join(['00f00000'] * 8)}"


def test_rounding_says_no_more_than_where() -> None:
    expected = normals(64)
    actual = expected.copy()
    actual[5:8] = np.nextafter(expected[5:8], np.float32(9))

    assert between(actual, expected).detail == "one run, flat indices 5 to 7"


def test_identical_arrays_have_as_many_elements_as_the_shape() -> None:
    found = between(normals(24).reshape(2, 3, 4), normals(24).reshape(2, 3, 4))

    assert found == Drift(drift_class=DriftClass.IDENTICAL, n_elements=24)


# --- Types and exceptions -------------------------------------------------------------------------


def test_a_change_of_type_shows_before_and_after() -> None:
    expected, actual = np.ones((2, 3), np.float32), np.ones((3, 2), np.float16)

    found = between(actual, expected)

    assert found == Drift(
        drift_class=DriftClass.STRUCTURAL, detail="float32[2, 3] -> float16[3, 2]"
    )


def test_a_change_of_weak_typing_is_structural_though_the_bits_are_equal() -> None:
    array = np.ones(2, np.float32)

    found = classify(returned(array, weak_type=True), returned(array))

    assert found.drift_class is DriftClass.STRUCTURAL
    assert found.detail == "float32[2] -> weakly typed float32[2]"


def test_a_change_of_contract_shows_before_and_after() -> None:
    raised = Raised(exception="TypeError", message="no")
    array = returned(np.ones(2))

    assert classify(raised, array).detail == "returns an array -> raises TypeError"
    assert classify(array, raised).detail == "raises TypeError -> returns an array"


# --- With what is known to be right ---------------------------------------------------------------


@pytest.mark.parametrize("variance", [4.0, 0.0, -1.0, math.inf, math.nan])
@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (returned(normals(64)), normals(64)),
        (returned(normals(64)), normals(64) * np.float32(1.5)),
        (returned(normals(64)), normals(64).reshape(8, 8)),
        (returned(normals(64)), normals(64).view(np.int32).astype(np.float64)),
        (returned(normals(64), weak_type=True), normals(64)),
        (thin(returned(normals(64)), 7), normals(64) + np.float32(1)),
    ],
    ids=["equal", "scaled", "shape", "dtype", "weak type", "sample"],
)
def test_a_right_array_is_compared_as_its_record_is(
    actual: Returned, expected: Array, variance: float
) -> None:
    moments = law(variance)

    found = compare_with(actual, expected, moments=moments)

    by_record = compare_kept(actual, returned(expected), moments=moments)
    assert (found.drift_class, found.drift) == (by_record.drift_class, by_record.drift)
    assert found.max_ulp_at_sigma == by_record.max_ulp_at_sigma


@pytest.mark.parametrize("stride", [2, 3, 4])
def test_a_sample_is_compared_with_an_array_as_with_its_record(stride: int) -> None:
    expected, actual = normals(64), normals(64)
    actual[2 * stride] += 1.0
    sample = thin(returned(actual), stride)

    found = compare_with(sample, expected, moments=law(1.0))

    assert found.drift == compare_kept(sample, returned(expected), moments=law(1.0)).drift
    assert found.drift.worst_index == (2 * stride,)


@pytest.mark.parametrize(
    ("is_within", "found", "is_rounding"),
    [
        (True, DriftClass.IDENTICAL, True),
        (True, ROUNDING, True),
        (True, BIASED, False),
        (True, LAW, False),
        (False, None, False),  # of which nobody asks the class: that may take long
    ],
)
def test_rounding_is_within_the_budget_and_changes_no_law(
    is_within: bool, found: DriftClass | None, is_rounding: bool
) -> None:
    classes = [found] if found else []
    drift = Drift(drift_class=LAW)
    comparison = Comparison(is_within=is_within, classify=classes.pop, describe=lambda: drift)

    assert comparison.is_rounding is is_rounding
    assert comparison.is_rounding is is_rounding
    assert not classes


def test_equal_arrays_are_within_any_budget_and_those_of_another_type_within_none() -> None:
    array = normals(64)

    equal = compare_with(returned(array), array, moments=law(1.0), budget=NONE)
    other = compare_with(returned(array), array.astype(np.float64), moments=law(1.0), budget=ANY)

    assert (equal.is_within, equal.is_rounding) == (True, True)
    assert (other.is_within, other.is_rounding) == (False, False)


# --- Samples --------------------------------------------------------------------------------------


@pytest.mark.parametrize("thinned", ["actual", "expected", "both"])
def test_a_sample_is_compared_with_what_the_other_side_has_of_it(thinned: str) -> None:
    expected, actual = normals(8200), normals(8200)
    stride = sampled(returned(expected)).stride
    actual[3 * stride] += 1.0
    one, two = returned(actual), returned(expected)

    found = classify(
        thin(one, stride) if thinned in ("actual", "both") else one,
        thin(two, stride) if thinned in ("expected", "both") else two,
        moments=law(1.0),
    )

    assert stride == 7
    assert found.worst_index == (3 * stride,)
    assert (found.n_different, found.n_elements) == (1, 8200)
    assert found.n_compared == len(range(0, 8200, stride))
    assert found.drift_class is DriftClass.UNKNOWN
    assert found.mismatch == ""


def unseen(variance: float, dtype: str = "float32", nonfinite: int = 0) -> Returned:
    """Return a sample of ones of an array of which we are told the variance."""
    record = returned(np.ones(10, dtype))
    moments = Moments(mean=0.0, variance=variance, minimum=-1, maximum=1, nonfinite=nonfinite)
    named = f"{variance.hex()} {nonfinite}"
    return dataclasses.replace(thin(record, 5), moments=moments, sha256=named)


@pytest.mark.parametrize(("dtype", "u"), [("float32", U), ("float16", 2.0**-11)])
@pytest.mark.parametrize("sign", [1, -1])
def test_moments_of_all_that_roundings_do_not_explain_are_told(
    dtype: str, u: float, sign: int
) -> None:
    """Six roundings of the scale are twelve of the variance."""
    at = 1 + sign * 12 * u
    beyond = math.nextafter(at, 1 + sign)

    within = classify(unseen(at, dtype), unseen(1.0, dtype))
    found = classify(unseen(beyond, dtype), unseen(1.0, dtype))

    assert within.drift_class is found.drift_class is DriftClass.UNKNOWN
    assert within.detail == "those that are kept show identical"
    assert found.detail == (
        f"those that are kept show identical; of all, the variance is {beyond:.9g} of before"
    )


def test_the_variance_is_relative_to_that_of_before() -> None:
    assert "variance" not in classify(unseen(4.0), unseen(4.0 * (1 + U))).detail
    assert "the variance is 2 of before" in classify(unseen(8.0), unseen(4.0)).detail


def test_an_array_that_did_not_vary_has_no_relative_variance() -> None:
    assert "variance" not in classify(unseen(1.0), unseen(0.0)).detail


CHANGES: dict[str, Callable[[Array], Array]] = {
    "NaN": lambda part: np.full_like(part, np.nan),
    "shift": lambda part: part + np.float32(0.5),
    "huge": lambda part: part + np.float32(1e6),
    "order": lambda part: part[::-1].copy(),
    "scale": lambda part: part * np.float32(1.1),
}


@pytest.mark.parametrize("size", [4097, 8192, 2**20 + 1])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("is_seen", [False, True])
@pytest.mark.parametrize("thinned", ["actual", "expected", "both"])
def test_no_change_that_a_sample_does_not_see_is_called_harmless(
    size: int, change: str, is_seen: bool, thinned: str
) -> None:
    """With one element of the sample one step off, and without."""
    expected = normals(size)
    actual = expected.copy()
    stride = sampled(returned(expected)).stride
    rest = np.arange(size) % stride != 0
    actual[rest] = CHANGES[change](actual[rest])
    if is_seen:
        actual[stride] = np.nextafter(actual[stride], np.float32(9))
    one, two = returned(actual), returned(expected)

    found = classify(
        thin(one, stride) if thinned != "expected" else one,
        thin(two, stride) if thinned != "actual" else two,
        moments=law(1.0),
    )

    assert stride > 1
    assert found.drift_class is (LAW if change == "NaN" else DriftClass.UNKNOWN)
    assert found.n_elements == size


def test_of_a_sample_in_which_nothing_differs_the_first_element_is_told() -> None:
    expected = normals(8200)
    actual = expected.copy()
    actual[1] += 1.0

    found = classify(sampled(returned(actual)), sampled(returned(expected)), moments=law(1.0))

    assert (found.drift_class, found.n_different) == (DriftClass.UNKNOWN, 0)
    assert found.max_ulp_at_sigma == 0
    assert found.worst_index == (0,)
    assert found.worst_actual == found.worst_expected == expected[0]


def test_a_change_of_law_that_a_sample_shows_is_one() -> None:
    expected = normals(2**20)
    one, two = (sampled(returned(array)) for array in (expected * np.float32(1.1), expected))

    assert classify(one, two, moments=law(1.0)).drift_class is LAW


def test_an_array_of_one_value_is_known_whole_by_its_sample() -> None:
    one, two = (np.full(9000, value, np.float32) for value in (1.0, 2.0))

    same = classify(returned(one), sampled(returned(one)))
    other = classify(sampled(returned(two)), sampled(returned(one)))
    partly = one.copy()
    partly[1] = 3.0
    found = classify(returned(partly), sampled(returned(one)))

    assert same.drift_class is DriftClass.IDENTICAL
    assert (other.drift_class, other.n_different) == (LAW, 9000)
    assert (found.drift_class, found.n_different) == (LAW, 1)


def test_of_what_no_sample_sees_the_number_of_nans_tells() -> None:
    found = classify(unseen(1.0, nonfinite=3), unseen(1.0, nonfinite=1))

    assert found.drift_class is LAW
    assert found.detail == "3 elements NaN or infinite, before 1"


def test_the_order_of_a_sample_is_not_told() -> None:
    """Its elements in another order are no order of the whole."""
    expected = normals(8200)
    one, two = (sampled(returned(array)) for array in (expected[::-1], expected))

    assert classify(one, two, moments=law(1.0)).drift_class is not DriftClass.STRUCTURAL


# --- Symmetry -------------------------------------------------------------------------------------


def test_identity_and_rounding_do_not_depend_on_the_side() -> None:
    arrays = [normals(64), np.nextafter(normals(64), np.float32(9)), -normals(64)]

    for one, two in itertools.permutations(arrays, 2):
        forth, back = between(one, two), between(two, one)
        assert forth.drift_class is back.drift_class
        assert (forth.max_ulp, forth.n_different) == (back.max_ulp, back.n_different)


# --- Values at the ends of a dtype ----------------------------------------------------------------


@pytest.mark.parametrize("magnitude", [1e160, 1e200, 1e300, 1.0, 1e-200, 1e-310])
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda array: array[::-1].copy(), DriftClass.STRUCTURAL),
        (lambda array: array * 1.5, LAW),
        (lambda array: np.zeros_like(array), None),
        (lambda array: np.random.default_rng(9).standard_normal(len(array)), None),
    ],
    ids=["reversed", "scaled", "zeros", "small"],
)
def test_no_magnitude_makes_a_comparison_overflow(
    magnitude: float, change: Callable[[Array], Array], expected: DriftClass | None
) -> None:
    """Warnings are errors here, as they are in a run."""
    array = np.random.default_rng(1).standard_normal(256) * magnitude

    one = classify(returned(change(array)), returned(array))
    two = classify(returned(array), returned(change(array)))

    assert {one.drift_class.rank, two.drift_class.rank}.isdisjoint({0, 1})
    assert expected in (None, one.drift_class)


@pytest.mark.parametrize("power", [240, -240])
def test_elements_from_a_size_on_are_measured_in_units_of_their_own(power: int) -> None:
    """A sum of fourth powers of up to 2^60 elements below it is a number, and no zero."""
    at = 2.0**power
    inside = math.nextafter(at, 1.0)

    assert _unit(np.array([1.0, -at] if power > 0 else [-at])) == at
    assert _unit(np.array([inside])) == 1.0
    assert _unit(np.array([0.0, np.inf, np.nan])) == 1.0
    assert _unit(np.array([0.0]), np.array([at])) == _unit(np.array([at]), np.array([0.0])) == at


def test_numbers_of_float32_are_measured_in_ones_and_not_copied() -> None:
    expected = normals(4)
    pair = pair_of_arrays(-expected, expected)

    assert pair.unit == 1.0
    assert np.shares_memory(_row(expected, pair), expected)
    halves: Any = SimpleNamespace(unit=2.0)
    assert _row(expected, halves).tolist() == (expected / 2).tolist()


@pytest.mark.parametrize(
    ("largest", "unit"), [(np.finfo(np.float64).max, 2.0**1023), (3 * 2.0**-1074, 2.0**-1073)]
)
def test_there_is_a_unit_for_every_number(largest: float, unit: float) -> None:
    assert _unit(np.array([largest, 0.0])) == unit


@pytest.mark.parametrize("change", [np.flip, np.zeros_like, np.sign, lambda array: array / 2])
def test_the_largest_numbers_there_are_can_be_compared(change: Callable[[Array], Array]) -> None:
    """Warnings are errors here: their differences and sums of two are no numbers."""
    array = np.random.default_rng(1).standard_normal(256)
    array *= 2.0**1023.9 / np.abs(array).max()

    for one, two in ((change(array), array), (array, change(array))):
        assert between(one, two, variance=None).drift_class.rank > DriftClass.ROUNDING.rank


@pytest.mark.parametrize("magnitude", [1e-300, 1e-100, 1e-70, 1e70, 1e100, 1e300])
def test_no_magnitude_makes_another_stream_another_law(magnitude: float) -> None:
    one, two = (np.random.default_rng(seed).standard_normal(256) for seed in (0, 1))

    found = between(one * magnitude, two * magnitude, variance=None)

    assert found.drift_class is DriftClass.STREAM


@pytest.mark.parametrize("large", [1e100, 1e160, 1e300])
def test_one_large_element_that_stayed_hides_no_change_of_the_others(large: float) -> None:
    one, two = (np.random.default_rng(seed).standard_normal(256) for seed in (0, 1))
    for side in (one, two):
        side[3] = large
    scaled = np.where(one == large, one, 0.75 * one)

    assert between(one, two, NONE).drift_class is DriftClass.STREAM
    assert between(scaled, one, NONE).scale == pytest.approx(0.75, rel=1e-12)


@pytest.mark.parametrize("size", [2.0**-900, 1.0, 2.0**700])
def test_beside_elements_that_are_2_to_the_240_times_as_large_the_others_vanish(
    size: float,
) -> None:
    small, large = np.array([size, -0.5 * size, np.nan]), np.array([size * OVERFLOWING, np.inf])
    larger = np.array([math.nextafter(size * OVERFLOWING, math.inf)])

    assert _another_size(large, small, 1.0) == _another_size(small, large, 1.0) == ""
    assert _another_size(larger, small, 1.0) != "" != _another_size(small, larger, 1.0)
    for nothing in (np.zeros(2), np.full(2, np.nan)):
        assert _another_size(larger, nothing, 1.0) == _another_size(nothing, larger, 1.0) == ""


def test_how_large_elements_have_become_is_told() -> None:
    array = np.random.default_rng(0).uniform(1, 2, 64)
    array[0] = 2.0

    grown = between(array * 1e200, array, NONE)
    shrunk = between(array, array * 1e200, NONE)

    assert grown.drift_class is shrunk.drift_class is LAW
    assert grown.detail == "the largest element is 2e+200, was 2; every element"
    assert shrunk.detail == "the largest element is 2, was 2e+200; every element"


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("n_roundings", "found"), [(6, BIASED), (8, LAW)])
def test_a_shift_of_large_elements_is_one_of_sigma_too(
    sign: int, n_roundings: int, found: DriftClass
) -> None:
    """Their sums of squares are taken in units of their own, and told in those of the array."""
    large, unit = 2.0**500, 2.0**-53
    expected = signs(64).astype(np.float64) * large

    drift = between(expected + sign * n_roundings * unit * large, expected, ANY, large**2)

    assert drift.drift_class is found
    told = f"shifted by {sign * n_roundings * unit * large:.6g} ({sign * n_roundings * unit:.3g} "
    assert (told in drift.detail) is (found is LAW)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_moments_may_move_by_the_roundings_of_both_sides(dtype: str) -> None:
    slack = 12 * {"float32": 2.0**-24, "bfloat16": 2.0**-8}[dtype]

    def moved(mean: float, variance: float, before: float = 0.0) -> str:
        one, two = (
            Moments(mean=m, variance=v, minimum=0.0, maximum=0.0, nonfinite=0)
            for m, v in ((mean, variance), (before, 1.0))
        )
        return moments_moved(one, two, 0.5, as_dtype(dtype))

    assert ROUNDINGS == 6
    assert moved(slack / 2, 1 + slack) == moved(-slack / 2, 1 - slack) == ""
    assert moved(7.0, 1.0, before=7.0) == ""
    assert "mean moved" in moved(math.nextafter(slack / 2, 1), 1.0)
    assert "mean moved" in moved(math.nextafter(-slack / 2, -1), 1.0)
    assert "variance is" in moved(0.0, math.nextafter(1 + slack, 2))
    assert "variance is" in moved(0.0, math.nextafter(1 - slack, 0))


@pytest.mark.parametrize(
    ("n_lost", "beyond"), [(1, 0), (1, -1), (2, 0), (2, -1), (0, 99), (23, 0), (23, -1)]
)
def test_digits_are_lost_where_chance_hardly_ends_so_many_elements_in_zeros(
    n_lost: int, beyond: int
) -> None:
    """N elements end in k zeros more once in 2^(n k), against half of the share."""
    enough = math.ceil(math.log2(2 / DRIFT.alpha) / max(n_lost, 1)) + beyond
    expected = np.full(enough, 1 + 2.0**-23, np.float32)
    actual = np.full(enough, 1 + 2.0 ** (n_lost - 23), np.float32)
    pair: Any = SimpleNamespace(
        actual=actual, expected=expected, different=np.ones(enough, bool), n_different=enough
    )

    told = _other_support(pair)

    is_lost = n_lost > 0 and beyond >= 0
    digits = f"{23 - n_lost} binary digits at most, was 23"
    assert told == (f"every element has {digits}: another support" if is_lost else "")


def test_digits_are_lost_where_chance_is_as_small_as_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    actual, expected = (np.full(40, 1 + 2.0**power, np.float32) for power in (-22, -23))
    different = np.ones(40, bool)
    pair: Any = SimpleNamespace(
        actual=actual, expected=expected, different=different, n_different=40
    )

    for evidence, is_told in (
        (40 * math.log(2), True),
        (math.nextafter(40 * math.log(2), 99), False),
    ):
        monkeypatch.setitem(_other_support.__globals__, "DRIFT", SimpleNamespace(evidence=evidence))
        assert bool(_other_support(pair)) is is_told


def test_it_is_told_by_how_much_moments_moved() -> None:
    one, two = (
        Moments(mean=mean, variance=variance, minimum=0.0, maximum=0.0, nonfinite=0)
        for mean, variance in ((1.5, 3.0), (1.0, 2.0))
    )

    told = moments_moved(one, two, 1.0, as_dtype("float32"))

    assert told == "the mean moved by 0.5 and the variance is 1.5 of before"


# --- What cannot have moved -----------------------------------------------------------------------

SLACK = ROUNDINGS * U


@pytest.mark.parametrize("mean", [0.0, 0.5])
@pytest.mark.parametrize(("part", "is_still"), [(0.9, True), (1.02, False), (3.0, False)])
@pytest.mark.parametrize("how", ["scaled", "shifted"])
def test_distances_that_cannot_have_moved_a_law_are_told_from_those_that_can(
    how: str, part: float, is_still: bool, mean: float
) -> None:
    expected = np.float32(mean) + normals(4096)
    wide = expected.astype(np.float64)
    deviation = wide - wide.mean()
    most = part * SLACK / (1 + mean)  # what the scale does to the mean comes to the shift
    moved = most * deviation if how == "scaled" else np.full_like(wide, most)
    distance = float(np.linalg.norm(moved))

    found = _is_still(pair_of(expected, distance))
    line = statistics.fit(wide + moved, wide)

    assert found == is_still
    if found:
        assert not line.is_scaled(SLACK)
        assert not line.is_shifted(SLACK)


def pair_of(expected: Array, distance: float, sigma: float = 1.0) -> Any:
    return SimpleNamespace(expected=expected, distance=distance, sigma=sigma)


@pytest.mark.parametrize(("sigma", "part"), [(4.0, 1.0), (1.0, 1.0), (0.5, 0.5)])
def test_distances_are_small_up_to_99_hundredths_of_the_slack(sigma: float, part: float) -> None:
    """Of 64 ones of either sign 8 is the root of all squares, and of their number."""
    most = 8 * part * 0.99 * SLACK

    assert _is_still(pair_of(signs(64), most, sigma))
    assert not _is_still(pair_of(signs(64), math.nextafter(most, 1), sigma))


@pytest.mark.parametrize(
    "expected",
    [
        normals(64).astype(np.float64),  # in which sums are rounded as much as elements are
        np.full(64, 2.0, np.float32),
        np.append(normals(63), np.float32(math.inf)),
        np.append(normals(63), np.float32(math.nan)),
    ],
    ids=["float64", "constant", "infinite", "NaN"],
)
def test_of_other_arrays_no_distance_tells_that(expected: Array) -> None:
    assert not _is_still(pair_of(expected, 0.0))


def test_an_endless_distance_tells_nothing() -> None:
    assert not _is_still(pair_of(normals(64), math.inf))
    assert _is_still(pair_of(normals(64), 0.0))


# --- One factor -----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 4, 15])
@pytest.mark.parametrize("factor", [1.0093, 0.25, -3.0])
def test_a_factor_between_few_elements_is_told_though_it_is_no_evidence(
    n: int, factor: float
) -> None:
    expected = normals(n)

    found = between(np.float32(factor) * expected, expected, NONE)

    assert found.drift_class is TRANSFORM
    assert found.scale == pytest.approx(factor, rel=1e-6)


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        ([2.0], [1.0]),  # of one element there always is one
        ([2.0, 2.0 + 33 * U], [1.0, 1.0]),
        ([1.0, 2.0], [0.0, 0.0]),
        ([1.0, -2.0], [2.0, 1.0]),
        ([1.0, math.inf], [2.0, 0.0]),
        ([1.0, 2.0], [2.0, math.inf]),
        ([0.0, 2.0], [math.inf, 2.0]),
        ([1.0, math.nan], [1.0, 1.0]),
        ([1.0, 1.0], [1.0, math.nan]),
    ],
)
def test_of_few_elements_without_a_common_factor_none_is_told(
    actual: list[float], expected: list[float]
) -> None:
    one, two = (np.array(side) for side in (actual, expected))

    assert _common_factor(one, two, STEP * U) is None


def test_a_common_factor_leaves_every_pair_a_step() -> None:
    step, expected = STEP * U, np.ones(2)

    def factor(distance: float) -> float | None:
        return _common_factor(np.array([3 + distance, 3 - distance]), expected, step)

    assert factor(step) == 3.0
    assert factor(step + 2.0**-50) is None
