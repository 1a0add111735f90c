"""Each step of JAX's chain is the operation that it stands for, rounded where the device rounds.

By NumPy's own float32, float16 and bfloat16, which round each operation, and by exact fractions
where a multiply-add rounds once. JAX itself is asked in `test_oracle_followed`.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest

from conformance.core.arrays import Array, as_dtype
from conformance.core.laws import (
    AS_JAX,
    SCALE_ONCE,
    SCALE_STEPWISE,
    TRUNCATED_STDDEV,
    Declared,
    Definition,
    Logistic,
    NominalMoments,
    Normal,
    Rounds,
    ScaledBounds,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
)
from conformance.oracle import random_bits, seed_key, solve_words
from conformance.oracle.followed import (
    CENTRAL,
    ERF_DENOMINATOR,
    ERF_NUMERATOR,
    ERF_SATURATION,
    FOLDED_CORRECTLY,
    TAIL,
    ErfErrors,
    _folded_erf_of,
    _horner,
    _uniform_range,
    erf_float32,
    erf_inv_float32,
    erf_inv_quotient,
    foldings,
    followed_product,
    followed_uniform,
    followed_value,
    followed_variate,
)

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
EIGHTHS = np.arange(-48, 49) / 8
NUMBERS = {name: as_dtype(name) for name in ("bfloat16", "float16", "float32", "float64")}
WORDS = {"bfloat16": 8, "float16": 16, "float32": 32, "float64": 64}
KEPT = {"bfloat16": 7, "float16": 10, "float32": 23, "float64": 52}

each_number = pytest.mark.parametrize("name", NUMBERS)


def some_words(name: str) -> Array:
    """Return the words of both ends, and 200 between them."""
    ends = [0, 1, 2 ** WORDS[name] - 1]
    random = np.random.default_rng(3).integers(0, 2 ** WORDS[name], 200, dtype=np.uint64)
    return np.array([*ends, *random.tolist()], f"u{WORDS[name] // 8}")


def nearest(exact: Fraction, dtype: np.dtype[Any]) -> float:
    """Return the number of the dtype that is nearest, of two the even one: rounded but once."""
    guess = dtype.type(float(exact))
    around = np.array(
        [guess, *(np.nextafter(guess, dtype.type(end)) for end in (-math.inf, math.inf))], dtype
    )
    is_odd = around.view(f"u{dtype.itemsize}") % 2
    distances = [abs(Fraction(float(each)) - exact) for each in around]
    return float(min(zip(distances, is_odd, around, strict=True))[2])


def polynomial(coefficients: tuple[float, ...], x: Any, *, is_fused: bool) -> Any:
    """Return its value in NumPy's float32, by exact fractions where a multiply-add rounds once."""
    value, *others = map(np.float32, coefficients)
    for coefficient in others:
        if is_fused:
            exact = Fraction(float(value)) * Fraction(float(x)) + Fraction(float(coefficient))
            value = np.float32(nearest(exact, FLOAT32))
        else:
            value = value * x + coefficient
    return value


# --- Uniforms ------------------------------------------------------------------------------------

RANGE = Uniform(scale=1.0, lower=-0.3, upper=1.1)


@each_number
def test_a_uniform_that_is_fused_rounds_the_sum_alone(name: str) -> None:
    dtype, words = NUMBERS[name], some_words(name)
    lower, upper = (dtype.type(end) for end in RANGE.support)
    width = Fraction(float(upper - lower))

    found = followed_uniform(words, RANGE, dtype, fused=[name])

    for word, uniform in zip(words.tolist(), found.tolist(), strict=True):
        fraction = Fraction(word >> (WORDS[name] - KEPT[name]), 2 ** KEPT[name])
        exact = fraction * width + Fraction(float(lower))
        assert uniform == nearest(exact, dtype)


@each_number
def test_a_uniform_that_is_not_fused_rounds_the_product_too(name: str) -> None:
    dtype, words = NUMBERS[name], some_words(name)
    lower, upper = (np.array(end).astype(dtype) for end in RANGE.support)
    kept = words >> words.dtype.type(WORDS[name] - KEPT[name])
    fraction = (kept * np.float64(2.0 ** -KEPT[name])).astype(dtype)

    found = followed_uniform(words, RANGE, dtype, fused=[])

    expected = np.maximum(lower, fraction * (upper - lower) + lower)
    np.testing.assert_array_equal(found, expected.astype(np.float64))
    fused = followed_uniform(words, RANGE, dtype, fused=[name])
    assert (found != fused).any()


def test_the_first_uniform_is_the_rounded_bound() -> None:
    (first,) = followed_uniform(np.zeros(1, np.uint8), RANGE, NUMBERS["bfloat16"])

    assert first == float(np.array(-0.3).astype(NUMBERS["bfloat16"]))


@pytest.mark.parametrize(
    ("law", "ends"),
    [
        (Normal(stddev=3.0), (-1 + 2.0**-24, 1 - 3 * 2.0**-24)),
        (Uniform(scale=3.0, lower=-1.0, upper=3.0), (-1.0, 3 - 2.0**-21)),
        (Logistic(scale=3.0), (2.0**-126, 1 - 2.0**-23)),
    ],
    ids=["normal", "uniform", "logistic"],
)
def test_the_ends_of_the_uniforms_are_those_of_the_sampler(
    law: Any, ends: tuple[float, float]
) -> None:
    words = np.array([0, 2**32 - 1], np.uint32)

    assert followed_uniform(words, law, FLOAT32).tolist() == list(ends)


# --- erf of the bounds ---------------------------------------------------------------------------


@pytest.mark.parametrize("bound", [-5.9, -2.0, -0.75, -1e-3, 0.0, 0.25, 1.0, 2.5, 3.5])
def test_erf_at_run_time_is_within_2_ulp(bound: float) -> None:
    x = float(np.float32(bound))
    exact = math.erf(x)

    assert abs(erf_float32(x) - exact) <= 2 * float(np.spacing(np.float32(abs(exact))))
    assert erf_float32(-x) == -erf_float32(x)


def test_erf_at_run_time_is_a_quotient_of_two_fused_polynomials() -> None:
    """And each operation of float32 rounds: its square, the product with x, and the quotient."""
    moved = 0
    for x in np.linspace(-3.8, 3.8, 31).astype(np.float32):
        numerator, denominator, rounded_twice = (
            polynomial(coefficients, x * x, is_fused=is_fused)
            for coefficients, is_fused in (
                (ERF_NUMERATOR, True),
                (ERF_DENOMINATOR, True),
                (ERF_DENOMINATOR, False),
            )
        )
        expected = x * numerator / denominator
        moved += bool(expected != x * numerator / rounded_twice)

        assert erf_float32(float(x)) == float(expected)

    assert moved > 5


def test_erf_is_one_from_its_saturation_on() -> None:
    largest = np.float32(ERF_SATURATION)

    assert [erf_float32(float(x)) for x in (largest, 4.0, 1e30, math.inf)] == [1.0] * 4
    assert math.erf(float(largest)) == pytest.approx(1, abs=2.0**-24)
    assert erf_float32(math.nextafter(-math.inf, 0)) == -1.0


ROOT_2 = mpmath.sqrt(2)


@pytest.mark.parametrize("name", ["float32", "float64"])
@pytest.mark.parametrize("bound", [-3.0, -0.25, 0.375, 1.625, 2.0])
def test_a_library_that_errs_is_an_ulp_off_away_from_zero_or_towards_it(
    bound: float, name: str
) -> None:
    dtype = NUMBERS[name]
    quotient = dtype.type(bound) / np.sqrt(dtype.type(2))
    right = dtype.type(math.erf(float(quotient)))
    away = dtype.type(math.copysign(math.inf, bound))

    found = [_folded_erf_of(bound, dtype, error) for error in (0, 1, -1)]

    expected = [right, np.nextafter(right, away), np.nextafter(right, -away)]
    assert found == [float(each) for each in expected]


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
@pytest.mark.parametrize("bound", [-3.0, -0.25, 1.625, 2.0])
def test_in_16_bits_the_library_errs_in_float32_before_it_is_rounded(
    bound: float, name: str
) -> None:
    dtype = NUMBERS[name]
    reciprocal = dtype.type(1) / dtype.type(math.sqrt(2))
    erf = np.float32(math.erf(float(dtype.type(bound) * reciprocal)))
    moved = np.nextafter(erf, np.float32(math.copysign(math.inf, bound)))

    found = [_folded_erf_of(bound, dtype, error) for error in (0, 1)]

    assert found == [float(each.astype(dtype)) for each in (erf, moved)]


def test_what_is_folded_is_the_range_of_the_uniforms() -> None:
    law = TruncatedNormal(stddev=1.0, lower=-0.25, upper=1.5)
    words = np.zeros(1, np.uint32)

    for errors in foldings(law):
        ends = tuple(map(_folded_erf_of, law.support, (FLOAT32, FLOAT32), errors))
        assert _uniform_range(law, FLOAT32, folded=errors) == ends
        (lower,) = followed_uniform(words, law, FLOAT32, folded=errors)
        assert lower == ends[0]
    (eager,) = followed_uniform(words, law, FLOAT32)
    assert eager == erf_float32(float(np.float32(-0.25) * (np.float32(1) / np.float32(ROOT_2))))


@pytest.mark.parametrize(
    ("lower", "upper", "expected"),
    [
        (-2.0, 2.0, {(0, 0), (1, 1), (-1, -1)}),
        (0.0, 2.0, {(0, 0), (0, 1), (0, -1)}),
        (2.0, 4.0, set(itertools.product((0, 1, -1), repeat=2))),
    ],
)
def test_each_size_of_a_bound_has_one_folded_erf(
    lower: float, upper: float, expected: set[ErfErrors]
) -> None:
    found = foldings(TruncatedNormal(stddev=1.0, lower=lower, upper=upper))

    assert found[0] == FOLDED_CORRECTLY
    assert set(found) == expected


def test_only_truncated_normals_have_bounds_to_fold() -> None:
    assert foldings(Normal(stddev=1.0)) == (FOLDED_CORRECTLY,)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_constant_of_a_c_library_without_error_is_the_right_erf_of_the_quotient(
    dtype: type[np.floating],
) -> None:
    root = np.sqrt(dtype(2))
    expected = [float(dtype(math.erf(float(dtype(bound) / root)))) for bound in EIGHTHS]

    assert [_folded_erf_of(bound, np.dtype(dtype), 0) for bound in EIGHTHS.tolist()] == expected


def test_no_folded_erf_exceeds_1() -> None:
    assert [_folded_erf_of(-6.0, np.dtype(np.float32), error) for error in (0, 1)] == [-1.0, -1.0]


@pytest.mark.parametrize(
    ("lower", "upper", "n"), [(0.0, math.inf, 3), (-math.inf, math.inf, 3), (-1.0, 3.0, 9)]
)
def test_the_likeliest_folding_comes_first(lower: float, upper: float, n: int) -> None:
    found: tuple[ErfErrors, ...] = foldings(TruncatedNormal(stddev=1.0, lower=lower, upper=upper))

    assert (found[0], len(found), len(set(found))) == (FOLDED_CORRECTLY, n, n)


# --- erf_inv -------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_fused", [True, False])
@pytest.mark.parametrize("coefficients", [CENTRAL, TAIL], ids=["central", "tail"])
def test_a_polynomial_is_rounded_at_each_step(
    coefficients: tuple[float, ...], is_fused: bool
) -> None:
    x = np.random.default_rng(5).uniform(-2.5, 2.5, 40).astype(np.float32)

    found = _horner(coefficients, x.astype(np.float64), is_fused=is_fused)

    assert found.tolist() == [float(polynomial(coefficients, at, is_fused=is_fused)) for at in x]


def test_the_tail_of_erf_inv_begins_at_5() -> None:
    """No float32 number has this w, and XLA has `w < 5` for the central polynomial."""
    before = float(np.nextafter(np.float32(5), np.float32(0)))
    root = np.array([np.float32(np.sqrt(5.0))], np.float64)
    central, tail = (
        _horner(coefficients, at, is_fused=True)[0]
        for coefficients, at in ((CENTRAL, np.array([2.5])), (TAIL, root - 3))
    )

    found = erf_inv_quotient(np.array([before, 5.0]), is_fused=True)

    assert found[1] == tail != central
    assert found[0] == _horner(CENTRAL, np.array([before - 2.5]), is_fused=True)[0]


@pytest.mark.parametrize("is_fused", [True, False])
def test_erf_inv_is_near_that_of_mpmath_in_its_centre_and_its_tail(is_fused: bool) -> None:
    """Giles states a relative error of 3e-7 where nothing rounds; log1p and the root add to it."""
    u = np.array([2.0**-20, 0.1, -0.5, 0.9, 0.996, -0.9966, 0.998, 1 - 2.0**-20, -1 + 2.0**-24])

    found = erf_inv_float32(u, is_fused=is_fused)

    with mpmath.workdps(40):
        exact = [float(mpmath.erfinv(mpmath.mpf(each))) for each in u.tolist()]
    np.testing.assert_allclose(found, exact, rtol=5e-6)
    assert erf_inv_float32(np.array([-1.0, 0.0, 1.0]), is_fused=is_fused).tolist() == [
        -math.inf,
        0.0,
        math.inf,
    ]


# --- Variates and products -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bfloat16", "float16", "float32"])
def test_the_variate_of_a_truncated_normal_is_that_of_a_normal_times_root_2_and_cut(
    name: str,
) -> None:
    dtype, uniform = NUMBERS[name], np.array([-1.0, -0.5, 0.0, 0.25, 1.0])
    law = TruncatedNormal(stddev=1.0, lower=-2.0, upper=0.5)
    quantile = followed_variate(uniform, Normal(stddev=1.0), dtype).astype(dtype)
    unit = quantile * np.array(math.sqrt(2)).astype(dtype)

    found = followed_variate(uniform, law, dtype)

    inner = [np.nextafter(dtype.type(a), dtype.type(b)) for a, b in ((-2, 0), (0.5, 0))]
    np.testing.assert_array_equal(found, np.clip(unit, *inner).astype(np.float64))


def test_the_float32_of_erf_inv_decides_whether_16_bits_are_fused() -> None:
    uniform = np.random.default_rng(7).uniform(-1, 1, 4000).astype(np.float32).astype(np.float64)
    law = Normal(stddev=1.0)

    fused, other, unfused = (
        followed_variate(uniform, law, FLOAT32, formats)
        for formats in (("float32",), ("float16",), ())
    )

    np.testing.assert_array_equal(other, unfused)
    assert (fused != unfused).any()


SHAPE = (48, 5)


def scaling(distribution: str, **ways: Any) -> VarianceScaling:
    return VarianceScaling(scale=2.0, mode="fan_in", distribution=distribution, **ways)


def rounded_factor(definition: Definition, dtype: np.dtype[Any]) -> Any:
    """Return what the definition multiplies by, in NumPy's arithmetic of the dtype."""
    variance = np.array(2 / 48).astype(dtype)
    match definition:
        case VarianceScaling(distribution="uniform"):
            return np.sqrt(dtype.type(3) * variance)
        case VarianceScaling(distribution="normal"):
            return np.sqrt(variance)
        case VarianceScaling():
            return np.sqrt(variance) / np.array(TRUNCATED_STDDEV).astype(dtype)
        case TruncatedNormal():
            return np.array(definition.stddev).astype(dtype)
        case Normal():
            return np.array(definition.stddev).astype(dtype)
        case Uniform():
            return np.array(definition.scale).astype(dtype)
        case _:
            raise AssertionError(definition)


@pytest.mark.parametrize("name", ["bfloat16", "float16", "float32"])
@pytest.mark.parametrize(
    "definition",
    [
        scaling("uniform"),
        scaling("normal"),
        scaling("truncated_normal"),
        Normal(stddev=0.3),
        TruncatedNormal(stddev=0.3),
        Uniform(scale=0.3),
    ],
    ids=["scaled uniform", "scaled normal", "scaled truncated", "normal", "truncated", "uniform"],
)
def test_a_factor_is_rounded_step_by_step_and_has_the_root_2_of_a_normal(
    definition: Definition, name: str
) -> None:
    dtype = NUMBERS[name]
    law = definition.law(SHAPE, is_complex=False)
    assert law is not None
    variate = np.array([-1.5, 0.1, 0.7]).astype(dtype)
    factor = rounded_factor(definition, dtype)
    root = np.array(math.sqrt(2)).astype(dtype)
    if isinstance(law, Normal):
        factor = root * factor

    found = followed_product(variate.astype(np.float64), law, definition, SHAPE, dtype)

    assert found.dtype == dtype
    assert found.tobytes() == (variate * factor).astype(dtype).tobytes()


@pytest.mark.parametrize("name", ["bfloat16", "float16", "float32"])
@pytest.mark.parametrize("rounds", [SCALE_ONCE, SCALE_STEPWISE], ids=["once", "stepwise"])
def test_a_factor_of_the_unit_variate_leaves_the_root_2_to_it(rounds: Rounds, name: str) -> None:
    dtype, definition = NUMBERS[name], scaling("normal", rounds=rounds)
    law = definition.law(SHAPE, is_complex=False)
    assert law is not None
    variate = np.linspace(-2, 2, 41).astype(dtype)
    factor = {
        SCALE_ONCE: np.array(math.sqrt(2 / 48)).astype(dtype),
        SCALE_STEPWISE: np.sqrt(np.array(2 / 48).astype(dtype)),
    }[rounds]
    root = np.array(math.sqrt(2)).astype(dtype)

    found = followed_product(variate.astype(np.float64), law, definition, SHAPE, dtype)

    np.testing.assert_array_equal(found, ((root * variate) * factor).astype(dtype))
    plain = dataclasses.replace(definition, rounds=AS_JAX)
    other = followed_product(variate.astype(np.float64), law, plain, SHAPE, dtype)
    assert (found != other).any()


def test_a_factor_of_ones_own_is_given_the_rounding_of_the_dtype() -> None:
    def steps(definition: Definition, shape: tuple[int, ...], rounded: Any) -> Any:
        assert (definition, shape) == (mine, SHAPE)
        return rounded(rounded(1 / 3) / 3)

    mine = ScaledBounds(scale=1.0, mode="fan_in", rounds=Rounds(factor=steps))
    law = mine.law(SHAPE, is_complex=False)

    found = followed_product(np.ones(1), law, mine, SHAPE, FLOAT32)

    assert found == np.float32(1 / 3) / np.float32(3)


def test_what_is_stated_by_its_moments_has_no_sequence() -> None:
    moments = NominalMoments(mean=0, variance=1.0, lower=-1.0, upper=1.0)
    definition = Declared(moments=lambda _: moments)

    with pytest.raises(ValueError, match="Declared has no elementwise sequence to follow"):
        followed_product(np.ones(1), Normal(stddev=1.0), definition, SHAPE, FLOAT32)


@pytest.mark.parametrize("fused", [("float32",), ()])
def test_a_value_is_the_product_of_its_variate(fused: tuple[str, ...]) -> None:
    uniform = np.linspace(-0.99, 0.99, 500).astype(np.float32).astype(np.float64)
    definition = scaling("truncated_normal")
    law = definition.law(SHAPE, is_complex=False)

    found = followed_value(uniform, law, definition, SHAPE, FLOAT32, fused)

    variate = followed_variate(uniform, law, FLOAT32, fused)
    expected = followed_product(variate, law, definition, SHAPE, FLOAT32)
    assert found.tobytes() == expected.tobytes()


def test_float64_has_no_followed_value() -> None:
    words = random_bits(seed_key(0), 64, (3,))

    assert solve_words(words, Normal(stddev=1.0), np.dtype(np.float64), (3,)).followed is None


def test_a_factor_beyond_the_format_is_followed_to_what_is_no_number() -> None:
    words = np.arange(0, 256, 32, dtype=np.uint8)
    definition = VarianceScaling(scale=100.0, mode="fan_out", distribution="uniform")

    found = solve_words(words, definition, as_dtype("float8_e3m4"), (17, 13)).followed

    assert found is not None
    assert not np.isfinite(found).any()
