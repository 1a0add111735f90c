"""From a problem to its array: draws, fans, scales and shapes of every initializer, as JAX's."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import ml_dtypes
import numpy as np
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import InitializerSpec
from conformance.cases.planes import LARGEST_SEED
from conformance.core.arrays import Array, as_dtype, widen
from conformance.core.formats import NARROW_DTYPES, WIDE_DTYPES
from conformance.core.ids import Problem, format_shape
from conformance.core.laws import (
    COMPLEX_TRUNCATED_STDDEV,
    Constant,
    Declared,
    Definition,
    NominalMoments,
    Normal,
    Orthogonal,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
    expected_error,
    scaled_variance,
)
from conformance.core.ulp import ulp_at, ulp_distance
from conformance.observe.jax_compat import x64
from conformance.oracle import (
    OracleUnavailable,
    Solution,
    law_of,
    random_bits,
    seed_key,
    solve,
    solve_words,
    split,
)
from tests.oracle.test_oracle_followed import LOG1P_ULP, flushed, fused_here
from tests.together import Draw, drawn_together

CATALOGUE = load_catalogue()
DRAWN = [spec for spec in CATALOGUE if spec.family not in ("constant", "orthogonal", "custom")]
CONSTANTS = [spec for spec in CATALOGUE if spec.family == "constant"]


def problem(name: str, dtype: str, shape: tuple[int, ...], seed: int = 0, **rest: Any) -> Problem:
    return Problem(initializer=name, dtype=dtype, shape=shape, seed=seed, **rest)


def solved(spec: InitializerSpec, asked: Problem) -> Solution:
    assert spec.definition is not None
    return solve(asked, spec.definition, fused=fused_here())


def observed(spec: InitializerSpec, asked: Problem) -> Array:
    key = jax.random.key(asked.seed)
    return np.asarray(spec.build()(key, asked.shape, as_dtype(asked.dtype)))


@functools.cache
def observed_together(
    asked: tuple[Problem, ...], *, is_optimized: bool = False
) -> dict[Problem, Array]:
    """Return what JAX returns of each problem of a seed, all compiled as one program."""
    (seed,) = {each.seed for each in asked}

    def draw_of(each: Problem) -> Draw:
        initializer = CATALOGUE.lookup(each.initializer).build()
        return lambda key: initializer(key, each.shape, as_dtype(each.dtype))

    drawn = drawn_together(map(draw_of, asked), seed, is_optimized=is_optimized)
    return dict(zip(asked, drawn, strict=True))


def assert_followed(spec: InitializerSpec, asked: Problem, actual: Array) -> None:
    followed = solved(spec, asked).followed
    assert followed is not None
    assert (actual.dtype, actual.shape) == (followed.dtype, asked.shape)
    distance = ulp_distance(actual, followed if asked.dtype == "float16" else flushed(followed))

    assert distance.max(initial=0) <= (LOG1P_ULP if asked.dtype == "float32" else 0)


@pytest.mark.parametrize("spec", DRAWN, ids=lambda spec: spec.name)
def test_every_initializer_has_the_fans_and_the_scale_of_jax(spec: InitializerSpec) -> None:
    """Sizes 17 and 13, or 5, 4 and 8 for specs of three axes: no fan is mistaken for another."""
    shapes = ((17, 13), (5, 4, 8))
    shape = next(s for s in shapes if expected_error(spec.definition, s, "bfloat16") is None)

    asked = problem(spec.name, "bfloat16", shape, LARGEST_SEED)
    assert_followed(spec, asked, observed(spec, asked))


SHAPES = ((), (64,), (1, 16), (16, 1), (0, 8), (17, 13))


@pytest.mark.parametrize("shape", SHAPES, ids=format_shape)
@pytest.mark.parametrize("dtype", NARROW_DTYPES)
def test_every_shape_is_drawn_as_jax_draws_it(dtype: str, shape: tuple[int, ...]) -> None:
    """Compiled as a whole these two return what they return operation by operation."""
    names = ("normal", "uniform")
    together = tuple(problem(n, dtype, s) for n in names for s in SHAPES)
    drawn = observed_together(together, is_optimized=True)

    for name in names:
        asked = problem(name, dtype, shape)
        assert_followed(CATALOGUE.lookup(name), asked, drawn[asked])


@pytest.mark.parametrize("spec", CONSTANTS, ids=lambda spec: spec.name)
@pytest.mark.parametrize("dtype", [*NARROW_DTYPES, *WIDE_DTYPES])
def test_every_constant_is_exact_to_the_bit(dtype: str, spec: InitializerSpec) -> None:
    asked = problem(spec.name, dtype, (3, 8))
    with x64():
        actual = observed(spec, asked)

    expected = solved(spec, asked).expected
    assert (expected.dtype, expected.shape) == (actual.dtype, (3, 8))
    assert expected.tobytes() == actual.tobytes()


def test_an_array_constant_is_broadcast_along_its_last_axis() -> None:
    definition = Constant(value=((1.0, 2.0),))
    solution = solve(problem("rows", "bfloat16", (3, 2)), definition)

    assert solution.expected.tolist() == [[1, 2]] * 3
    assert solution.key is solution.bits is solution.uniform is solution.unit is None


FLOAT64_ULP = 20
"""Largest distance of JAX's float64 normals and truncated normals from the definition, in ULP at
the law's scale, over 2^20 even strata; XLA's float64 erf_inv is a polynomial of Giles as well."""


OF_FLOAT64 = ("normal_1", "lecun_normal", "he_uniform", "uniform_negative", "lecun_normal_heads")


@pytest.mark.parametrize("name", OF_FLOAT64)
def test_float64_values_are_near_the_definition(name: str) -> None:
    all_asked = [problem(each, "float64", (5, 4, 8), LARGEST_SEED) for each in OF_FLOAT64]
    spec, asked = CATALOGUE.lookup(name), all_asked[OF_FLOAT64.index(name)]
    assert spec.definition is not None
    law = law_of(spec.definition, asked.shape)
    with x64():
        actual = observed_together(tuple(all_asked))[asked]

    assert law is not None
    assert ulp_at(actual, solved(spec, asked).expected, law.factor).max() <= FLOAT64_ULP


COMPLEX_ULP = 24
"""The same for complex values, against the scale of the law. Radius and angle pass through some ten
roundings, and the angle 2 pi f, rounded by up to half an ULP of 4, turns the value by as much."""


RIGHT_COMPLEX = ("normal_1", "lecun_uniform", "scaling_fan_avg_normal")


@pytest.mark.parametrize("name", RIGHT_COMPLEX)
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_values_are_near_the_definition(dtype: str, name: str) -> None:
    actual, expected, scale = complex_pair(name, dtype)

    assert ulp_at(actual, expected, scale).max() <= COMPLEX_ULP


JAX_CONSTANT = 0.95311164380491208
"""What JAX 0.12 takes for the standard deviation of a complex normal of modulus below 2."""


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_truncated_normals_of_jax_are_wider_than_defined(dtype: str) -> None:
    actual, expected, scale = complex_pair("lecun_normal", dtype)
    wide = (widen(expected) * (COMPLEX_TRUNCATED_STDDEV / JAX_CONSTANT)).astype(dtype)

    assert ulp_at(actual, wide, scale).max() <= COMPLEX_ULP


def test_jax_forgot_the_mass_within_the_complex_bound() -> None:
    """Its constant is the root of 1 - 5 exp(-4): variance grows by 1 / (1 - exp(-4))."""
    assert pytest.approx(1 - 5 * math.exp(-4), rel=1e-12) == JAX_CONSTANT**2

    too_wide = (COMPLEX_TRUNCATED_STDDEV / JAX_CONSTANT) ** 2
    assert too_wide == pytest.approx(1 / (1 - math.exp(-4)), rel=1e-12)


def complex_pair(name: str, dtype: str) -> tuple[Array, Array, float]:
    """Return JAX's array, the defined one, and the scale of the law."""
    names = (*RIGHT_COMPLEX, "lecun_normal")
    all_asked = [problem(each, dtype, (17, 13), LARGEST_SEED) for each in names]
    spec, asked = CATALOGUE.lookup(name), all_asked[names.index(name)]
    assert spec.definition is not None
    law = law_of(spec.definition, asked.shape, asked.dtype)
    assert law is not None
    with x64():
        actual = observed_together(tuple(all_asked))[asked]
    expected = solved(spec, asked).expected
    assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
    return actual, expected, law.factor


def test_a_wide_dtype_keeps_the_high_word_of_its_seed() -> None:
    definition, seed = Normal(stddev=1.0), 2**63 - 1

    narrow = solve(problem("n", "float32", (2,), seed), definition).key
    wide = solve(problem("n", "float64", (2,), seed), definition).key

    np.testing.assert_array_equal(narrow, [0, 2**32 - 1])
    np.testing.assert_array_equal(wide, [2**31 - 1, 2**32 - 1])


@pytest.mark.parametrize("prng", ["threefry2x32_partitionable", "threefry2x32_nonpartitionable"])
def test_a_forced_layout_wins_over_the_ambient_one(prng: str) -> None:
    asked = problem("n", "float32", (6, 4), prng=prng)
    forced = prng == "threefry2x32_partitionable"
    key = seed_key(0)

    bits = solve(asked, Normal(stddev=1.0), partitionable=not forced).bits

    np.testing.assert_array_equal(bits, random_bits(key, 32, (6, 4), partitionable=forced))


def test_the_plain_name_takes_the_ambient_layout() -> None:
    bits = solve(problem("n", "float32", (6, 4)), Normal(stddev=1.0), partitionable=False).bits

    np.testing.assert_array_equal(bits, random_bits(seed_key(0), 32, (6, 4), partitionable=False))


def test_complex_words_come_from_the_two_halves_of_the_key() -> None:
    solution = solve(problem("n", "complex64", (3, 2)), Normal(stddev=1.0))
    halves = split(seed_key(0))

    assert solution.bits is not None
    for words, half in zip(solution.bits, halves, strict=True):
        np.testing.assert_array_equal(words, random_bits(half, 32, (3, 2)))


def test_the_stages_lead_from_the_words_to_the_value() -> None:
    definition = VarianceScaling(scale=2.0, mode="fan_in", distribution="uniform")
    solution = solve(problem("u", "float32", (3, 5)), definition)

    assert solution.bits is not None
    assert solution.unit is not None
    np.testing.assert_array_equal(solution.unit, (solution.bits >> 9) * 2.0**-22 - 1)
    bound = math.sqrt(3 * scaled_variance((3, 5), definition))
    np.testing.assert_allclose(solution.value, solution.unit * bound, rtol=2.0**-51)
    np.testing.assert_array_equal(solution.expected, solution.value.astype(np.float32))


def test_words_may_have_another_shape_than_the_fans() -> None:
    definition = VarianceScaling(scale=1.0, mode="fan_in", distribution="normal")
    words = random_bits(seed_key(0), 8, (12,))
    bfloat16 = np.dtype(ml_dtypes.bfloat16)

    small, large = (solve_words(words, definition, bfloat16, (n, 3)) for n in (4, 16))

    assert small.value.shape == (12,)
    np.testing.assert_array_equal(small.value, 2 * large.value)


MOMENTS = Declared(
    moments=lambda _: NominalMoments(mean=0, variance=1.0, lower=-math.inf, upper=math.inf)
)


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        (MOMENTS, "Declared is no function of single random words: it is stated by its moments"),
        (Constant(value=1.0), "Constant is no function of single random words$"),
        (Orthogonal(), "Orthogonal is no function of single random words$"),
    ],
    ids=["declared", "constant", "orthogonal"],
)
def test_words_alone_do_not_determine_such_values(definition: Definition, reason: str) -> None:
    words = np.zeros(4, np.uint32)

    with pytest.raises(OracleUnavailable, match=reason):
        solve_words(words, definition, np.dtype(np.float32), (2, 2))


def test_words_of_the_wrong_width_are_refused() -> None:
    words = np.zeros(4, np.uint16)

    with pytest.raises(ValueError, match="words of uint16 cannot become float32: draw 32 bits"):
        solve_words(words, Normal(stddev=1.0), np.dtype(np.float32), (4,))


@pytest.mark.parametrize("prng", ["rbg", "unsafe_rbg"])
def test_a_generator_that_is_left_to_the_backend_has_no_oracle(prng: str) -> None:
    asked = problem("n", "float32", (2,), prng=prng)

    with pytest.raises(OracleUnavailable, match=f"n-float32-2-s0-{prng} draws from {prng}, whose"):
        solve(asked, Normal(stddev=1.0))


@pytest.mark.parametrize(
    ("definition", "dtype", "shape", "error"),
    [
        (Orthogonal(), "float32", (3,), "ValueError"),
        (Uniform(scale=1.0), "complex64", (3,), "ValueError"),
        (TruncatedNormal(stddev=1.0), "complex64", (3,), "ValueError"),
    ],
    ids=["one axis", "complex uniform", "complex truncated"],
)
def test_a_call_that_must_raise_has_no_array(
    definition: Definition, dtype: str, shape: tuple[int, ...], error: str
) -> None:
    with pytest.raises(OracleUnavailable, match=f"has no {dtype} array of shape 3: .* {error}"):
        solve(problem("x", dtype, shape), definition)


def test_words_of_a_call_that_must_raise_have_no_values_either() -> None:
    words = np.zeros((2, 3), np.uint32)

    with pytest.raises(OracleUnavailable, match="must raise ValueError"):
        solve_words(words, Uniform(scale=1.0), np.dtype(np.complex64), (3,))


def test_a_negative_uniform_scale_reaches_down_from_zero() -> None:
    values = widen(solve(problem("u", "float32", (1000,)), Uniform(scale=-0.5)).expected)

    assert -0.5 < values.min() < -0.49
    assert -0.01 < values.max() <= 0


def test_initializers_that_draw_the_same_words_share_them_and_none_can_change_them() -> None:
    first, second = (
        solve(Problem(initializer=name, dtype="float32", shape=(5, 3), seed=7), law)
        for name, law in (("normal", Normal(stddev=1.0)), ("uniform", Uniform(scale=2.0)))
    )
    other = solve(
        Problem(initializer="normal", dtype="float32", shape=(5, 3), seed=8), Normal(stddev=1.0)
    )

    assert first.bits is second.bits
    assert first.bits is not None
    assert other.bits is not None
    assert not np.array_equal(first.bits, other.bits)
    with pytest.raises(ValueError, match="read-only"):
        first.bits[0] = 0


@pytest.mark.parametrize(("size", "is_kept"), [(1 << 20, True), ((1 << 20) + 1, False)])
def test_words_of_more_than_a_mebi_of_elements_are_not_kept(size: int, is_kept: bool) -> None:
    """A parameter may have gigabytes."""
    problem = Problem(initializer="normal", dtype="float8_e5m2", shape=(size,), seed=7)
    first, second = (solve(problem, Uniform(scale=1.0)) for _ in range(2))

    assert first.bits is not None
    assert second.bits is not None
    assert (first.bits is second.bits) == is_kept
    assert np.array_equal(first.bits, second.bits)
