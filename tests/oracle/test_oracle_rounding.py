"""One rounding, to nearest, ties to even; and pairs of float64 that hold what one cannot."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from conformance.core.arrays import as_dtype
from conformance.core.formats import DTYPES, FORMATS
from conformance.oracle.pairs import Pair, multiply_add, plus, times
from conformance.oracle.rounding import round_once, rounded

BFLOAT16 = as_dtype("bfloat16")

ABOVE_TIE = 1 + 2.0**-8 + 2.0**-30
"""Just above the middle of two bfloat16 numbers, and in float32 exactly the middle."""


def test_bfloat16_is_not_rounded_by_way_of_float32() -> None:
    twice = np.array(ABOVE_TIE).astype(BFLOAT16)

    assert float(twice) == 1.0, "the trap is gone: ml_dtypes rounds once now"
    assert float(round_once(np.array(ABOVE_TIE), BFLOAT16)) == 1 + 2.0**-7


def test_the_trap_is_avoided_below_zero_and_below_the_tie() -> None:
    traps = np.array([-ABOVE_TIE, 1 + 3 * 2.0**-8 - 2.0**-30, 1 + 2.0**-8])

    np.testing.assert_array_equal(rounded(traps, BFLOAT16), [-1 - 2.0**-7, 1 + 2.0**-7, 1.0])


@pytest.mark.parametrize("name", ["bfloat16", "float16", "float32"])
def test_no_neighbour_is_nearer(name: str) -> None:
    dtype = as_dtype(name)
    generator = np.random.default_rng(0)
    exact = generator.standard_normal(20_000) * 2.0 ** generator.integers(-30, 15, 20_000)
    nearest = round_once(exact, dtype)

    for direction in (-math.inf, math.inf):
        neighbour = np.nextafter(nearest, dtype.type(direction)).astype(np.float64)
        error = np.abs(nearest.astype(np.float64) - exact)
        assert (error <= np.abs(neighbour - exact)).all()


@pytest.mark.parametrize("name", ["bfloat16", "float16", "float32"])
def test_the_ends_of_the_range_and_what_is_no_number(name: str) -> None:
    dtype = as_dtype(name)
    zero, infinity = dtype.type(0), dtype.type(math.inf)
    largest, tiny = float(np.nextafter(infinity, zero)), float(np.nextafter(zero, infinity))
    ulp = largest - float(np.nextafter(dtype.type(largest), zero))
    exact = np.array([largest + 0.49 * ulp, largest + 0.5 * ulp, -0.0, 0.51 * tiny, -0.5 * tiny])
    expected = np.array([largest, math.inf, -0.0, tiny, -0.0])
    actual = rounded(exact, dtype)

    np.testing.assert_array_equal(actual, expected)
    np.testing.assert_array_equal(np.signbit(actual), np.signbit(expected))
    assert np.isnan(rounded(np.array([math.nan]), dtype)).all()


FLOAT8 = [name for name in DTYPES if FORMATS[name].bits == 8 and name != "float8_e8m0fnu"]
"""But the one without mantissa, zero and sign, in which nothing can be drawn."""


@pytest.mark.parametrize("name", FLOAT8)
def test_8_bits_are_rounded_to_the_nearest_of_all_their_values(name: str) -> None:
    """Next to every tie, closer than float32 can tell; of two nearest, the even pattern."""
    dtype = as_dtype(name)
    values = np.arange(256, dtype=np.uint8).view(dtype)
    finite = np.unique(values[np.isfinite(values)].astype(np.float64))
    lower, upper = finite[:-1], finite[1:]
    middle = (lower + upper) / 2

    for offset, nearest in ((-(2.0**-40), lower), (2.0**-40, upper)):
        np.testing.assert_array_equal(rounded(middle + offset * (upper - lower), dtype), nearest)
    ties = round_once(middle, dtype).view(np.uint8)
    assert (ties % 2 == 0).all()


def test_float8_is_not_rounded_by_way_of_float32() -> None:
    above_tie = np.array(1 + 2.0**-4 + 2.0**-30)
    dtype = as_dtype("float8_e4m3fn")

    assert float(above_tie.astype(dtype)) == 1.0, "the trap is gone: ml_dtypes rounds once now"
    assert float(round_once(above_tie, dtype)) == 1.125


def test_both_parts_of_a_complex_number_are_rounded() -> None:
    third = np.array([1 / 3 - 2j / 3])

    assert round_once(third, np.dtype(np.complex64)) == np.complex64(1 / 3 - 2j / 3)


def test_a_product_of_pairs_is_exact_to_104_bits() -> None:
    factor = np.random.default_rng(1).random(200)
    pair = Pair(high=math.pi, low=1.2246467991473532e-16)

    high, low = times(factor, pair)

    for f, h, low_part in zip(factor, high, low, strict=True):
        exact = Fraction(f) * (Fraction(pair.high) + Fraction(pair.low))
        assert abs(Fraction(h) + Fraction(low_part) - exact) <= exact / 2**104


@pytest.mark.parametrize(
    ("factor", "by"),
    [
        ("0x1.d0dbc74d47003p+0", "0x1.61328b7bf7565p+0"),
        ("0x1.6441248fc2ba9p+0", "0x1.a0cd027980795p+0"),
    ],
)
def test_halves_of_26_bits_lose_nothing_where_those_of_27_and_25_do(factor: str, by: str) -> None:
    one, other = float.fromhex(factor), float.fromhex(by)

    (high,), (low,) = times(np.array([one]), Pair(high=other, low=0.0))

    assert Fraction(high) + Fraction(low) == Fraction(one) * Fraction(other)


def test_the_first_of_a_summed_pair_is_its_nearest_float64() -> None:
    high, low = plus(np.array([1.0]), np.array([2.0**-53]), np.array([2.0**-80]))

    assert high[0] == 1 + 2.0**-52
    assert Fraction(high[0]) + Fraction(low[0]) == 1 + Fraction(1, 2**53) + Fraction(1, 2**80)


def test_a_fused_multiply_add_rounds_once() -> None:
    generator = np.random.default_rng(2)
    factor, by, addend = generator.random(2000), 1.9 / 3, -0.3
    fused = multiply_add(factor, by, addend)
    exact = [float(Fraction(f) * Fraction(by) + Fraction(addend)) for f in factor]

    np.testing.assert_array_equal(fused, exact)
    assert (fused != factor * by + addend).any(), "no element tells the two apart"
