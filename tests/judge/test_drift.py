"""Each kind of change gets its class, and small changes of law are not taken for rounding."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.core.arrays import Array, returned, sampled
from conformance.core.laws import NominalMoments
from conformance.core.records import Budget, Drift, DriftClass, Raised
from conformance.judge.drift import classify, explain, first_differing_stage
from conformance.judge.drift.statistics import compare_laws, fit, is_same_stream, kolmogorov_bound
from conformance.judge.drift.text import number

SIGMA = 0.125
LAW = NominalMoments(mean=0, variance=SIGMA**2, lower=-math.inf, upper=math.inf)
BUDGET = Budget(max_ulp=16, max_ulp_at_sigma=16.0)


def sample(seed: int = 0, shape: tuple[int, ...] = (64, 32), dtype: Any = np.float32) -> Array:
    return (np.random.default_rng(seed).standard_normal(shape) * SIGMA).astype(dtype)


def drift(actual: Array, expected: Array) -> Drift:
    return classify(returned(actual), returned(expected), moments=LAW, budget=BUDGET)


def nudge(array: Array, steps: int, seed: int = 1) -> Array:
    """Return the array with every element moved by up to `steps` ULP, either way."""
    moves = np.random.default_rng(seed).integers(-steps, steps + 1, array.shape)
    bits = array.view(f"i{array.dtype.itemsize}") + moves.astype(f"i{array.dtype.itemsize}")
    moved: Array = bits.view(array.dtype)
    return moved


def test_equal_bits_are_identical() -> None:
    assert drift(sample(), sample()).drift_class is DriftClass.IDENTICAL


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_a_few_ulp_either_way_are_rounding(dtype: Any) -> None:
    expected = sample(dtype=dtype)

    found = drift(nudge(expected, 3), expected)

    assert found.drift_class is DriftClass.ROUNDING
    assert found.max_ulp == 3


@pytest.mark.parametrize("factor", [1 + 5e-6, 1 - 5e-6, 1.0001])
def test_a_variance_off_by_1e_5_is_no_rounding(factor: float) -> None:
    """Each element moves by 42 ULP at most, far less than correct implementations differ by."""
    expected = sample()
    budget = Budget(max_ulp=100, max_ulp_at_sigma=100.0)

    found = classify(
        returned((expected * np.float32(factor)).astype(np.float32)),
        returned(expected),
        moments=LAW,
        budget=budget,
    )

    assert found.drift_class is DriftClass.LAW
    assert "scaled by" in found.detail


def test_a_shift_of_a_millionth_of_sigma_is_no_rounding() -> None:
    expected = sample()

    found = drift((expected.astype(np.float64) + 1e-6 * SIGMA).astype(np.float32), expected)

    assert found.drift_class is DriftClass.LAW
    assert "shifted by" in found.detail


def test_the_same_stream_through_another_monotone_function_is_a_transform() -> None:
    expected = sample()
    bent = expected + np.float32(0.02 * SIGMA) * np.sin(40 * expected / SIGMA).astype(np.float32)

    assert drift(bent, expected).drift_class is DriftClass.TRANSFORM


def test_a_dropped_truncation_correction_changes_the_law() -> None:
    expected = sample()

    found = drift(expected * np.float32(0.8796), expected)

    assert found.drift_class is DriftClass.LAW
    assert "0.879" in found.detail


def test_new_bits_of_the_same_law_are_a_stream() -> None:
    found = drift(sample(seed=1), sample(seed=0))

    assert found.drift_class is DriftClass.STREAM
    assert "certain to show" in found.detail


def test_new_bits_of_another_variance_are_a_law() -> None:
    found = drift(2 * sample(seed=1), sample(seed=0))

    assert found.drift_class is DriftClass.LAW
    assert "variance" in found.detail


def test_new_bits_of_equal_variance_and_another_shape_are_a_law() -> None:
    width = SIGMA * math.sqrt(12)
    uniform = np.random.default_rng(1).uniform(-width / 2, width / 2, (128, 128))

    found = drift(uniform.astype(np.float32), sample(shape=(128, 128)))

    assert found.drift_class is DriftClass.LAW
    assert "distribution functions" in found.detail


def _shuffled(array: Array) -> Array:
    return np.random.default_rng(2).permutation(array.reshape(-1)).reshape(array.shape)


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (lambda a: np.ascontiguousarray(a.T).reshape(a.shape), "transposed"),
        (lambda a: a[::-1], "reversed along axis 0"),
        (lambda a: np.roll(a, -3, axis=1), "rotated by 3 of 32 along axis 1"),
        (_shuffled, "in another order"),
        (lambda a: np.concatenate([a[:32], a[:32]]), "the second half of axis 0 repeats"),
    ],
)
def test_elements_in_another_order_are_structural(change: Any, detail: str) -> None:
    expected = sample()

    found = drift(change(expected), expected)

    assert found.drift_class is DriftClass.STRUCTURAL
    assert detail in found.detail


def test_another_dtype_or_shape_is_structural() -> None:
    expected = sample()

    for actual in (expected.astype(np.float16), expected.reshape(32, 64)):
        assert drift(actual, expected).drift_class is DriftClass.STRUCTURAL


def test_one_nan_is_a_law() -> None:
    broken = sample()
    broken[3, 4] = np.nan

    found = drift(broken, sample())

    assert found.drift_class is DriftClass.LAW
    assert found.worst_index == (3, 4)
    assert "1 element became NaN" in found.detail


def test_another_constant_is_a_law() -> None:
    found = drift(np.full((4, 4), 1.5, np.float32), np.ones((4, 4), np.float32))

    assert found.drift_class is DriftClass.LAW
    assert "constant" in found.detail


@pytest.mark.parametrize(
    ("actual", "expected", "found"),
    [
        (Raised(exception="TypeError", message="a"), returned(np.zeros(2)), DriftClass.CONTRACT),
        (returned(np.zeros(2)), Raised(exception="TypeError", message="a"), DriftClass.CONTRACT),
        (
            Raised(exception="TypeError", message="a"),
            Raised(exception="ValueError", message="a"),
            DriftClass.CONTRACT,
        ),
        (
            Raised(exception="TypeError", message="a"),
            Raised(exception="TypeError", message="reworded"),
            DriftClass.IDENTICAL,
        ),
    ],
)
def test_the_exception_type_is_the_contract(actual: Any, expected: Any, found: DriftClass) -> None:
    assert classify(actual, expected).drift_class is found


def test_a_sampled_golden_sees_a_change_between_its_samples() -> None:
    """Only every 1023rd element is stored; the digest is of all, so nothing can hide."""
    expected = sample(shape=(1024, 1024))
    actual = expected.copy()
    actual[0, 1] += np.float32(0.01)

    found = classify(returned(actual), sampled(returned(expected)), moments=LAW, budget=BUDGET)

    assert found.drift_class is DriftClass.UNKNOWN
    assert "those that are kept show identical" in found.detail


def test_a_sampled_golden_sees_a_transposition() -> None:
    expected = sample(shape=(256, 256))

    found = classify(
        returned(np.ascontiguousarray(expected.T)), sampled(returned(expected)), moments=LAW
    )

    assert found.drift_class is DriftClass.UNKNOWN
    assert (found.n_elements, found.n_compared) == (2**16, len(range(0, 2**16, 63)))


def test_the_place_of_the_worst_element_of_a_sample_is_in_the_whole_array() -> None:
    expected = sample(shape=(256, 256))
    golden = sampled(returned(expected))
    actual = expected.copy()
    actual.reshape(-1)[5 * golden.stride] = 3.0

    found = classify(returned(actual), golden, moments=LAW, budget=BUDGET)

    assert found.worst_index == divmod(5 * golden.stride, 256)


@pytest.mark.parametrize(
    ("places", "words"),
    [
        (np.s_[5, :], "only [5:6] of axis 0"),
        (np.s_[:, 3:7], "only [3:7] of axis 1"),
        (np.s_[::2, ::2], "scattered"),
    ],
)
def test_the_place_of_a_difference_is_named(places: Any, words: str) -> None:
    expected, actual = sample(), sample()
    actual[places] *= np.float32(1.5)

    assert words in drift(actual, expected).detail


def test_differences_near_zero_are_named_so() -> None:
    expected = sample()
    actual = np.where(np.abs(expected) < 0.05 * SIGMA, expected + np.float32(1e-4), expected)

    assert "only near zero" in drift(actual, expected).detail


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_the_order_of_the_sides_does_not_change_rounding(seed: int, steps: int) -> None:
    expected = sample(seed=seed, shape=(32,))
    actual = nudge(expected, steps, seed)

    assert drift(actual, expected).drift_class is drift(expected, actual).drift_class


def test_independent_samples_are_no_stream() -> None:
    pairs = [
        (sample(seed=n, shape=(16,)), sample(seed=n + 1, shape=(16,))) for n in range(0, 800, 2)
    ]

    assert not any(is_same_stream(*(a.astype(np.float64) for a in pair)) for pair in pairs)


def test_samples_of_one_law_are_not_told_apart() -> None:
    faults = [
        compare_laws(*(sample(seed=n + k, shape=(64,)).astype(np.float64) for k in (0, 1))).fault
        for n in range(0, 800, 2)
    ]

    assert not any(faults)


def test_the_line_sees_a_change_of_a_trillionth() -> None:
    expected = sample().astype(np.float64).reshape(-1)

    line = fit(expected * (1 + 1e-12) + 1e-12, expected)

    assert line.scale - 1 == pytest.approx(1e-12, rel=0.01, abs=0)
    assert line.shift == pytest.approx(1e-12, rel=0.01, abs=0)


def test_scatter_around_the_line_is_no_smaller_scale() -> None:
    """Least squares would find a scale of 0.8 here."""
    one, two = (sample(seed=seed, shape=(256, 256)) for seed in (0, 1))
    expected = one.astype(np.float64).reshape(-1)
    noisy = 0.8 * expected + 0.6 * two.astype(np.float64).reshape(-1)

    line = fit(noisy, expected)

    assert abs(line.scale - 1) < 6 * line.scale_error


def test_a_negated_stream_of_a_symmetric_law_is_a_transform() -> None:
    found = drift(-sample(), sample())

    assert found.drift_class is DriftClass.TRANSFORM
    assert "negated" in found.detail


def test_a_negated_stream_of_another_law_is_a_law() -> None:
    assert drift(-np.abs(sample()), np.abs(sample())).drift_class is DriftClass.LAW


def test_the_kolmogorov_bound_falls_with_the_root_of_the_size() -> None:
    assert kolmogorov_bound(400, 400) == pytest.approx(kolmogorov_bound(100, 100) / 2)


def test_the_first_differing_stage_is_named() -> None:
    golden = {"key": "a", "bits": "b", "uniform": "c", "unit": "d"}

    assert first_differing_stage(golden | {"uniform": "x", "unit": "y"}, golden) == "uniform"
    assert first_differing_stage(golden, golden) == "scaled"
    assert first_differing_stage({}, golden) is None


def test_the_explanation_shows_the_worst_element_and_the_class() -> None:
    expected = sample()
    actual = expected.copy()
    actual[5, 1] = np.nextafter(actual[5, 1], np.float32(1))

    text = explain(drift(actual, expected), "normal-float32-64x32-s0-cpu-jit")

    assert "1 of 2048 elements of normal-float32-64x32-s0-cpu-jit differ from the golden." in text
    assert "worst: 1 ULP" in text
    assert "at index (5, 1)" in text
    assert float(actual[5, 1]).hex().replace("0000000p", "p") in text
    assert "class: rounding" in text


def test_the_explanation_of_an_overflow_shows_no_number_of_ulp() -> None:
    expected = np.full(3, np.finfo(np.float32).max, np.float32)

    text = explain(drift(np.full(3, np.inf, np.float32), expected), "case")

    assert "no number of ULP" in text


def test_a_single_draw_is_no_constant() -> None:
    expected = sample(shape=())

    assert drift(np.nextafter(expected, np.float32(9)), expected).drift_class is DriftClass.ROUNDING


# --- Stages ---------------------------------------------------------------------------------------

KEY, BITS, UNIFORM, UNIT = ({stage: "a"} for stage in ("key", "bits", "uniform", "unit"))


@pytest.mark.parametrize(
    ("actual", "expected", "stage"),
    [
        (KEY, KEY, "bits"),
        (KEY | BITS, KEY | BITS, "uniform"),
        (UNIT, UNIT, "scaled"),
        ({"key": "x"}, KEY, "key"),
        (KEY | {"bits": "x", "unit": "x"}, KEY | BITS | UNIT, "bits"),
        (KEY | {"bits": "x"} | UNIT, KEY | UNIT, "scaled"),  # bits are known to one side only
        (KEY | UNIT, KEY | BITS | {"unit": "x"}, "unit"),
        (UNIFORM | {"key": "x"}, KEY | UNIFORM, "key"),  # whatever the order of the records
        ({"scaled": "a"}, {"scaled": "a"}, "scaled"),
        ({"scaled": "x"}, {"scaled": "a"}, "scaled"),
        (KEY, BITS, None),
        (KEY, {}, None),
    ],
)
def test_the_stage_to_blame_is_the_first_of_those_that_both_know(
    actual: dict[str, str], expected: dict[str, str], stage: str | None
) -> None:
    assert first_differing_stage(actual, expected) == stage


# --- Words ----------------------------------------------------------------------------------------

ROUNDED = Drift(
    drift_class=DriftClass.ROUNDING,
    n_elements=2048,
    n_different=2,
    max_ulp=6,
    max_ulp_at_sigma=0.40625,
    worst_index=(5, 1),
    worst_actual=0.0443518087,
    worst_expected=-0.0,
    stage="unit",
    detail="scattered",
)


def test_an_explanation_is_read_line_by_line() -> None:
    assert explain(ROUNDED, "CASE").split("\n") == [
        "2 of 2048 elements of CASE differ from the golden.",
        "  worst: 6 ULP (0.406 ULP of sigma) at index (5, 1)",
        "    actual   0.0443518087 (0x1.6b547bfc517f1p-5)",
        "    expected -0 (-0x0p+0)",
        "  first differing stage: unit; class: rounding",
        "  scattered",
    ]


@pytest.mark.parametrize(
    ("changes", "last"),
    [
        ({"stage": None, "detail": ""}, "  class: rounding"),
        ({"stage": "scaled", "detail": ""}, "  first differing stage: scaled; class: rounding"),
        (
            {"drift_class": DriftClass.STREAM, "stage": "unit", "detail": ""},
            "  the key still gives the same uniforms: others were drawn, or others made of them",
        ),
        (
            {"drift_class": DriftClass.STREAM, "stage": "scaled"},
            "  the samplers of jax.random draw as before: the initializer draws otherwise",
        ),
    ],
)
def test_an_explanation_ends_with_what_is_known_of_the_cause(
    changes: dict[str, Any], last: str
) -> None:
    assert explain(dataclasses.replace(ROUNDED, **changes), "CASE").split("\n")[-1] == last


def test_a_change_without_elements_is_explained_in_its_first_line() -> None:
    drifted = Drift(drift_class=DriftClass.CONTRACT, detail="returns an array -> raises TypeError")

    assert explain(drifted, "CASE").split("\n") == [
        "CASE differs from the golden: returns an array -> raises TypeError",
        "  class: contract",
    ]


@pytest.mark.parametrize("missing", ["worst_actual", "worst_expected"])
def test_an_explanation_without_a_worst_element_shows_none(missing: str) -> None:
    changes: dict[str, Any] = {missing: None}

    text = explain(dataclasses.replace(ROUNDED, **changes), "CASE")

    assert "worst" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1 (0x1p+0)"),
        (0.1, "0.1 (0x1.999999999999ap-4)"),
        (16777217.0, "16777217 (0x1.000001p+24)"),
        (0.0, "0 (0x0p+0)"),
        (math.inf, "inf (inf)"),
        (math.nan, "nan (nan)"),
        (1 + 2j, "(1+2j)"),
        (None, "None"),
    ],
)
def test_a_number_is_shown_in_decimal_and_exactly(value: float | complex | None, text: str) -> None:
    assert number(value) == text
