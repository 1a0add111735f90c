"""How far from its mean an element may lie: to a bound, or to the outermost draw."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import numpy as np
import pytest

from conformance.core.arrays import as_dtype, widen
from conformance.core.formats import Format
from conformance.core.lattice import mantissa_bits
from conformance.core.laws import (
    Constant,
    Definition,
    Law,
    Logistic,
    NominalMoments,
    Normal,
    Reals,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
    nominal_moments,
)
from conformance.judge.checks.moments import moments_of_element
from conformance.judge.statistics import element_law
from conformance.judge.statistics.reach import reach_of, values_of_points, values_of_words
from conformance.oracle import OracleUnavailable, solve_words, word_bits
from tests.evidence import declared

SHAPE = (64, 32)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Exponential(Law):
    """scale times a standard exponential, elementwise: bounded on one side only."""

    scale: float

    drawn_by: ClassVar[str] = "exponential"
    roundings: ClassVar[int] = 1

    @property
    def factor(self) -> float:
        """Return the scale."""
        return self.scale

    def times(self, factor: float) -> Exponential:
        """Return the exponential of another scale."""
        return Exponential(scale=factor)

    def nominal(self, shape: tuple[int, ...], *, is_complex: bool) -> NominalMoments:
        """Return mean and standard deviation, which are the scale."""
        del shape, is_complex
        ends = sorted((0.0, math.copysign(math.inf, self.scale)))
        return NominalMoments(mean=self.scale, variance=self.scale**2, lower=ends[0], upper=ends[1])

    def cdf(self, unit: Reals) -> Reals:
        """Return 1 - exp(-x)."""
        return np.asarray(-np.expm1(-unit))

    def log_density(self, unit: Reals) -> Reals:
        """Return -x."""
        return -unit

    def quantile(self, fraction: Reals, number: Format) -> Reals:
        """Return -log(1 - u)."""
        del number
        return np.asarray(-np.log1p(-fraction))


def reach(definition: Definition, dtype: str = "float32") -> float:
    nominal = nominal_moments(definition, SHAPE, dtype)
    assert nominal is not None
    return reach_of(definition, nominal, SHAPE, dtype)


@pytest.mark.parametrize("scale", [2.0, -2.0])
@pytest.mark.parametrize(
    ("dtype", "cell"), [("float32", 2.0**-23), ("float64", 2.0**-52), ("bfloat16", 2.0**-7)]
)
def test_a_law_that_one_side_bounds_reaches_to_its_outermost_draw(
    dtype: str, cell: float, scale: float
) -> None:
    """That of the last word, at 1 - cell, and six roundings more; the first is at 0."""
    outermost = -math.log(cell)

    furthest = (1 + 6 * cell / 2) * outermost

    assert reach(Exponential(scale=scale), dtype) == pytest.approx(2 * (furthest - 1), rel=1e-14)


@pytest.mark.parametrize(
    ("lower", "upper", "expected"), [(-3.0, 5.0, 4.0), (-5.0, 3.0, 6.0), (0.5, 4.5, 3.5)]
)
def test_a_bounded_law_reaches_to_its_further_bound(
    lower: float, upper: float, expected: float
) -> None:
    moments = NominalMoments(mean=1.0, variance=2.0, lower=lower, upper=upper)

    assert reach(declared(moments)) == expected
    assert reach(Uniform(scale=1.0, lower=lower, upper=upper)) == (upper - lower) / 2


def test_what_nobody_can_draw_reaches_as_far_as_it_says() -> None:
    moments = NominalMoments(mean=0.0, variance=1.0, lower=-math.inf, upper=1.0)

    assert reach(declared(moments)) == math.inf


@pytest.mark.parametrize(
    "definition",
    [
        Normal(stddev=0.5),
        VarianceScaling(scale=1.0, mode="fan_in", distribution="normal"),
    ],
    ids=repr,
)
def test_a_modulus_reaches_as_far_as_a_real_draw(definition: Definition) -> None:
    assert reach(definition, "complex64") == reach(definition, "float32")
    assert reach(definition, "complex128") == reach(definition, "float64")


@pytest.mark.parametrize(("exponent", "has_moments"), [(244.99, True), (245.0, False)])
def test_a_variance_is_below_that_whose_square_times_a_draws_fits_a_float64(
    exponent: float, has_moments: bool
) -> None:
    """Of 2^490: a fourth power may be 2^12 squares of it, and 2^30 of those are added up."""
    definition = Normal(stddev=2.0**exponent)

    assert reach(definition, "float64") < 2.0 ** (exponent + 4)
    assert (element_law(definition, SHAPE, "float64") is not None) == has_moments
    assert (moments_of_element(definition, SHAPE, "float64") is not None) == has_moments


@pytest.mark.parametrize(("dtype", "n_words", "cell"), [("bfloat16", 2**8, 2**-7)])
def test_each_word_comes_to_the_draw_of_its_lattice_point(
    dtype: str, n_words: int, cell: float
) -> None:
    """The last bit of a bfloat16's word does not count."""
    found = values_of_words(Uniform(scale=1.0), SHAPE, dtype)

    assert found.tolist() == [word // 2 * cell for word in range(n_words)]


def test_each_point_stands_for_as_many_words() -> None:
    """A whole number, which NumPy would not ask for: it repeats things 2.0 times."""
    values, n_words = values_of_points(Uniform(scale=1.0), SHAPE, "float16")

    assert values.tolist() == [number / 2**10 for number in range(2**10)]
    assert list(range(n_words)) == list(range(2**6))


def test_each_word_comes_to_the_draw_with_the_roundings_of_jax() -> None:
    """A product with 3 that float16 rounds."""
    found = values_of_words(Uniform(scale=3.0), SHAPE, "float16")

    fractions = np.arange(2**16) // 2**6 / 2**10
    assert found.tolist() == (np.float16(3) * fractions.astype(np.float16)).tolist()


DRAWN = (
    Normal(stddev=0.3),
    TruncatedNormal(stddev=0.3, lower=-1.5, upper=2.5),
    Logistic(scale=0.3),
    VarianceScaling(scale=2.0, mode="fan_avg", distribution="uniform"),
)


@pytest.mark.parametrize("definition", DRAWN)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float8_e4m3", "float8_e5m2"])
def test_words_of_one_point_are_neighbours_and_come_to_one_draw(
    definition: Definition, dtype: str
) -> None:
    """Each word is asked for by itself here: fewer than there are points, so that no table is."""
    number = as_dtype(dtype)
    width = word_bits(number)
    words = np.arange(2**width, dtype=f"u{width // 8}").reshape(-1, 1 << mantissa_bits(number))
    answers = [solve_words(part, definition, number, SHAPE) for part in words]

    found = values_of_words(definition, SHAPE, dtype)

    singly = [each.expected if each.followed is None else each.followed for each in answers]
    assert found.tobytes() == widen(np.concatenate(singly)).tobytes()


def test_what_is_no_function_of_words_comes_to_nothing() -> None:
    with pytest.raises(OracleUnavailable, match="Constant is no function of single random words"):
        values_of_words(Constant(value=1.0), SHAPE, "bfloat16")
