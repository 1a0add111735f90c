"""Quantiles and laws against 60-digit arithmetic: in the centre, in the tails, at every bound."""

from __future__ import annotations

import itertools
import math
import re
from decimal import Decimal, localcontext
from typing import Any

import mpmath
import numpy as np
import pytest

from conformance.core.arrays import Array, as_dtype
from conformance.core.laws import (
    TRUNCATED_STDDEV,
    Definition,
    Normal,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
    law_of,
    nominal_moments,
)
from conformance.oracle import solve_words, unit_variate
from conformance.oracle.distributions import complex_unit_variate, lattice, unit_circle
from conformance.oracle.normal import (
    DIGITS,
    _lower_quantile,
    _tail_fraction,
    mass_above,
    masses,
    truncated_quantile,
)
from conformance.oracle.pairs import plus, times

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
MAX_ULP = 5
"""What `unit_variate` promises of a quantile, in float64 ULP."""

DTYPES = {
    name: (as_dtype(name), bits)
    for name, bits in (("bfloat16", 8), ("float16", 16), ("float32", 32), ("float64", 64))
}
"""Each format, and the bits of the word that becomes one uniform."""

INFINITY = math.inf
BOUNDS = (
    (-2.0, 2.0),
    (-3.0, 3.0),
    (-1.0, 3.0),
    (0.0, 2.0),
    (2.0, 4.0),
    (-4.0, -2.0),
    (-0.25, 0.25),
    (6.0, 7.5),
    (-9.0, 1e-3),
    (-INFINITY, 0.5),
    (1.0, INFINITY),
)


def edge_words(bits: int, kept: int) -> Array:
    """Return the words of both ends and of the middle of the lattice, and 60 random ones."""
    near = [*range(4), *(2 ** (kept - 1) + step for step in (-2, -1, 0, 1, 2))]
    ends = [*near, *(2**kept - 1 - step for step in range(4))]
    words = [index << (bits - kept) for index in ends]
    randoms = np.random.default_rng(0).integers(0, 2**bits, 61, dtype=np.uint64)
    return np.concatenate([np.array(words, np.uint64), randoms]).astype(f"u{bits // 8}")


def below(x: float) -> mpmath.mpf:
    return mpmath.erfc(-mpmath.mpf(x) / mpmath.sqrt(2)) / 2


def quantile_error_ulp(x: float, mass_below: mpmath.mpf, mass_over: mpmath.mpf) -> float:
    """Return how far x is from the quantile, by a Newton step from the nearer tail, in its ULP."""
    nearer = below(x) - mass_below if mass_below < mass_over else mass_over - below(-x)
    density = mpmath.exp(-(mpmath.mpf(x) ** 2) / 2) / mpmath.sqrt(2 * mpmath.pi)
    # An x of exactly 0 has no ULP of use: 60-digit masses agree to 1e-59 there.
    return float(abs(nearer / density) / np.spacing(max(abs(x), 1e-40)))


@pytest.mark.parametrize(("dtype", "kept"), [(FLOAT32, 23), (FLOAT64, 52)], ids=str)
def test_normals_are_the_quantiles_a_quarter_step_into_the_lattice(
    dtype: np.dtype[Any], kept: int
) -> None:
    words = edge_words(8 * dtype.itemsize, kept)
    variates = unit_variate(words, Normal(stddev=1.0), dtype)

    with mpmath.workdps(60):
        for fraction, variate in zip(lattice(words, dtype), variates, strict=True):
            mass = mpmath.mpf(float(fraction)) + mpmath.mpf(2) ** -(kept + 2)
            assert quantile_error_ulp(float(variate), mass, 1 - mass) <= MAX_ULP


@pytest.mark.parametrize(("lower", "upper"), BOUNDS)
@pytest.mark.parametrize(("dtype", "kept"), [(FLOAT32, 23), (FLOAT64, 52)], ids=str)
def test_truncated_normals_are_the_quantiles_of_the_mass_between_the_bounds(
    dtype: np.dtype[Any], kept: int, lower: float, upper: float
) -> None:
    law = TruncatedNormal(stddev=1.0, lower=lower, upper=upper)
    words = edge_words(8 * dtype.itemsize, kept)
    inside = [
        (fraction, variate)
        for fraction, variate in zip(
            lattice(words, dtype).tolist(), unit_variate(words, law, dtype).tolist(), strict=True
        )
        if np.nextafter(dtype.type(lower), dtype.type(upper)) < variate
        and variate < np.nextafter(dtype.type(upper), dtype.type(lower))
    ]

    assert len(inside) >= 65
    with mpmath.workdps(60):
        held, under = below(upper) - below(lower), below(lower)
        for fraction, variate in inside:
            mass = under + held * mpmath.mpf(fraction)
            over = below(-upper) + held * (1 - mpmath.mpf(fraction))
            assert quantile_error_ulp(variate, mass, over) <= MAX_ULP


@pytest.mark.parametrize(("lower", "upper"), BOUNDS)
@pytest.mark.parametrize("name", ["bfloat16", "float16", "float32", "float64"])
def test_truncated_normals_keep_to_the_open_interval(name: str, lower: float, upper: float) -> None:
    definition = TruncatedNormal(stddev=1.0, lower=lower, upper=upper)
    dtype, bits = DTYPES[name]
    words = np.array([0, 2**bits - 1], f"u{bits // 8}")
    first, last = solve_words(words, definition, dtype, (2,)).expected.astype(np.float64)

    assert lower < first < last < upper


@pytest.mark.parametrize("bound", [0.0, 0.25, 1.0, 2.999, 3.0, 3.001, 6.0, 12.0, 37.0, -2.0])
def test_tail_masses_have_fifty_digits(bound: float) -> None:
    with mpmath.workdps(80):
        exact = mpmath.erfc(mpmath.mpf(bound) / mpmath.sqrt(2)) / 2

        assert abs(mpmath.mpf(str(mass_above(bound))) / exact - 1) < mpmath.mpf(10) ** -50


@pytest.mark.parametrize(
    ("bound", "is_fraction"), [(2.5, False), (2.999, False), (3.0, True), (3.5, True)]
)
def test_the_continued_fraction_has_the_tail_from_3_on(bound: float, is_fraction: bool) -> None:
    """Where it begins, both ways have 50 digits right, and differ in the last."""
    with localcontext(prec=DIGITS):
        assert (mass_above(bound) == _tail_fraction(Decimal(bound))) is is_fraction


@pytest.mark.parametrize("bound", [2.0, INFINITY])
def test_a_median_of_0_is_no_negative_zero(bound: float) -> None:
    (median,) = truncated_quantile(np.array([0.5]), masses(-bound, bound))

    assert (median, np.signbit(median)) == (0, False)


@pytest.mark.parametrize("bounds", [(-2.0, 2.0), (-1.0, 3.0)])
def test_the_low_part_of_a_tail_moves_its_quantile_by_that_over_the_density(
    bounds: tuple[float, float],
) -> None:
    """Near half a sigma by an ULP or two, which SciPy's own error would hide from the exact one."""
    held = masses(*bounds)
    fractions = np.random.default_rng(0).uniform(0, held.median, 2000)
    product = times(fractions, held.between)
    tails, low = plus(np.array(held.below.high), product[0], product[1] + held.below.low)
    starts = _lower_quantile(tails)

    found = truncated_quantile(fractions, held)

    pairs = zip(starts, low, strict=True)
    moved = [float(mpmath.mpf(x) + mpmath.mpf(rest) / mpmath.npdf(x)) for x, rest in pairs]
    assert found.tolist() == moved


def test_no_mass_lies_beyond_infinity() -> None:
    assert mass_above(INFINITY) == 0
    assert mass_above(-INFINITY) == 1


@pytest.mark.parametrize(
    "bounds", [(-1.0, 3.0), (30.0, 31.0), (-31.0, -30.0), (-9.0, 1e-3)], ids=str
)
def test_the_mass_between_bounds_and_its_median_have_32_digits_wherever_they_lie(
    bounds: tuple[float, float],
) -> None:
    """Tails are subtracted on one side of 0, where they are small; 1 - (1 - tail) has no digits."""
    with mpmath.workdps(60):
        beyond = [mpmath.erfc(x / mpmath.sqrt(2)) / 2 for x in (*bounds, -bounds[0], -bounds[1])]
        above_lower, above_upper, below_lower, below_upper = beyond
        between = above_lower - above_upper if bounds[0] > 0 else below_upper - below_lower

        held = masses(*bounds)

        found = mpmath.mpf(held.between.high) + mpmath.mpf(held.between.low)
        assert abs(found / between - 1) < 1e-31
        assert held.median == float((mpmath.mpf("0.5") - below_lower) / between)


@pytest.mark.parametrize("lower", [-3.0, 0.0])
def test_the_modulus_of_a_truncated_complex_normal_ends_at_its_bound(lower: float) -> None:
    """P(|z| <= r) = (1 - exp(-r^2)) / (1 - exp(-b^2)): at the quantile 1 - 2^-23, nearly b."""
    law = TruncatedNormal(stddev=1.0, lower=lower, upper=3.0)
    words = np.array([[0, 2**31, 2**32 - 1], [0, 0, 0]], np.uint32)

    found = np.abs(complex_unit_variate(words, law, np.dtype(np.complex64)))

    fractions = (0, mpmath.mpf("0.5"), 1 - mpmath.mpf(2) ** -23)
    with mpmath.workdps(40):
        wanted = [mpmath.sqrt(-mpmath.log(1 - f * (1 - mpmath.exp(-9)))) for f in fractions]
        np.testing.assert_allclose(found, [float(value) for value in wanted], rtol=1e-15)


def test_a_scale_of_nothing_has_a_law_of_no_width_and_a_negative_one_none() -> None:
    nothing, negative = (
        law_of(VarianceScaling(scale=scale, mode="fan_in", distribution="normal"), (4, 8))
        for scale in (0.0, -1.0)
    )

    assert nothing is not None
    assert negative is not None
    assert nothing.factor == 0.0
    assert math.isnan(negative.factor)


@pytest.mark.parametrize(("lower", "upper"), [(2.0, 2.0), (2.0, -2.0), (math.nan, 1.0)])
def test_bounds_that_enclose_nothing_are_refused(lower: float, upper: float) -> None:
    message = re.escape(f"lower {lower!r} and upper {upper!r} enclose nothing: need lower < upper")

    with pytest.raises(ValueError, match=message):
        masses(lower, upper)


SCALINGS = tuple(
    VarianceScaling(scale=2.0, mode="fan_avg", distribution=distribution)
    for distribution in ("normal", "truncated_normal", "uniform")
)
ELEMENTWISE: tuple[Definition, ...] = (
    Normal(stddev=0.5),
    TruncatedNormal(stddev=0.5),
    TruncatedNormal(stddev=1.0, lower=-1.0, upper=3.0),
    TruncatedNormal(stddev=1.0, lower=2.0, upper=4.0),
    Uniform(scale=-0.25),
    *SCALINGS,
)


@pytest.mark.parametrize("definition", ELEMENTWISE, ids=str)
def test_the_values_have_the_nominal_moments_but_for_the_lattice(definition: Definition) -> None:
    """Over 2^18 even strata the mean and the variance are the law's, up to what a stratum spans.

    Where the density ends at a bound that is half a step of the mean, h = 2^-18 of its range; a
    normal loses what its outermost two strata spread, h * (2 ln(1 / h)) of the variance at most.
    """
    shape, step = (96, 32), 2.0**-18
    words = np.arange(2**18, dtype=np.uint32) << np.uint32(14)
    value = solve_words(words, definition, FLOAT32, shape).value
    nominal = nominal_moments(definition, shape)
    assert nominal is not None
    sigma = math.sqrt(nominal.variance)

    assert abs(value.mean() - nominal.mean) < 6 * step * sigma
    assert abs(value.var() / nominal.variance - 1) < 2 * math.log(1 / step) * step


def test_the_truncated_stddev_is_that_of_the_definition() -> None:
    with mpmath.workdps(30):
        density = mpmath.exp(-2) / mpmath.sqrt(2 * mpmath.pi)
        exact = mpmath.sqrt(1 - 4 * density / (1 - 2 * below(-2)))

    assert float(exact) == TRUNCATED_STDDEV


def disk_words(per_axis: int) -> Array:
    """Return every pair of two even grids of 32-bit words, each point in its stratum's middle."""
    axis = (np.arange(per_axis, dtype=np.uint64) * 2 + 1) * (2**31 // per_axis)
    pairs = itertools.product(axis.tolist(), axis.tolist())
    return np.array(list(pairs), np.uint32).T


@pytest.mark.parametrize("distribution", ["truncated_normal", "uniform"])
def test_complex_disks_are_circular_with_the_nominal_variance(distribution: str) -> None:
    """The midpoint rule errs by h^2 / 24 times the rise in slope of the squared radius.

    For the truncated normal that slope rises by e^4, which makes 2.4 h^2 of the variance.
    """
    tolerance = 3 * 512**-2
    definition = VarianceScaling(scale=2.0, mode="fan_avg", distribution=distribution)
    value = solve_words(disk_words(512), definition, np.dtype(np.complex64), (96, 32)).value
    nominal = nominal_moments(definition, (96, 32), "complex64")
    assert nominal is not None

    assert abs(np.mean(np.abs(value) ** 2) / nominal.variance - 1) < tolerance
    assert abs(np.mean(value)) < tolerance * math.sqrt(nominal.variance)
    assert abs(np.mean(value**2)) < tolerance * nominal.variance
    assert np.abs(value).max() < nominal.upper


def test_a_complex_normal_is_two_real_ones_of_half_the_variance() -> None:
    words = edge_words(32, 23).reshape(2, -1)
    definition = Normal(stddev=1.0)
    value = solve_words(words, definition, np.dtype(np.complex64), (4,)).value
    real, imag = (solve_words(part, definition, FLOAT32, (4,)).value for part in words)

    np.testing.assert_array_equal(value, (real + 1j * imag) / math.sqrt(2))


def test_the_angle_of_half_a_turn_keeps_its_digits() -> None:
    """sin(2 pi f) just beyond f = 1/2, where a rounded 2 pi f would leave it none."""
    words = np.array([[2**31], [2**31 + 2**9]], np.uint32)
    definition = VarianceScaling(scale=1.0, mode="fan_in", distribution="uniform")
    unit = solve_words(words, definition, np.dtype(np.complex64), (4, 4)).unit
    assert unit is not None

    with mpmath.workdps(40):
        exact = mpmath.sin(2 * mpmath.pi * (mpmath.mpf(1) / 2 + mpmath.mpf(2) ** -23))
        assert abs(unit.imag[0] / exact - 1) < 4 * 2.0**-53


def test_a_negative_scale_has_no_law() -> None:
    law = law_of(VarianceScaling(scale=-1.0, mode="fan_in", distribution="normal"), (4, 4))

    assert law is not None
    assert math.isnan(law.factor)


def test_quarter_turns_lie_on_the_axes_without_error() -> None:
    quarters = np.array([0.0, 0.25, 0.5, 0.75, 1.0])

    assert unit_circle(quarters).tolist() == [1, 1j, -1, -1j, 1]


@pytest.mark.parametrize("turns", [0.5 - 2.0**-40, 0.75 + 2.0**-40, 0.25 - 2.0**-40])
def test_the_small_part_near_an_axis_has_all_its_digits(turns: float) -> None:
    found = unit_circle(np.array([turns]))[0]

    assert min(abs(found.real), abs(found.imag)) == pytest.approx(2 * math.pi * 2.0**-40, rel=1e-15)
