"""The exact law of one element in its dtype: figures against other ways to them."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

from conformance.core.arrays import as_dtype, widen
from conformance.core.laws import (
    Constant,
    Definition,
    NominalMoments,
    Normal,
    Refusal,
    TruncatedNormal,
    Uniform,
)
from conformance.judge.statistics import ElementLaw, element_law
from conformance.judge.statistics.element import Term
from conformance.oracle import OracleUnavailable, solve_words
from tests.evidence import declared

SHAPE = (64, 32)
CELL = 2.0**-23
"""Of the uniforms that JAX draws in float32."""


def law_of(definition: Definition, dtype: str = "float32") -> ElementLaw:
    law = element_law(definition, SHAPE, dtype)
    assert law is not None
    return law


# --- Small lattices ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_small_lattice_is_counted_word_by_word(dtype: str) -> None:
    definition = Normal(stddev=0.5)
    width = {"bfloat16": 8, "float16": 16}[dtype]
    words = np.arange(2**width, dtype=f"u{width // 8}")
    followed = solve_words(words, definition, as_dtype(dtype), SHAPE).followed
    assert followed is not None
    points, counts = np.unique(widen(followed), return_counts=True)
    shares = [int(count) / 2**width for count in counts]
    with mpmath.workdps(40):
        mean = mpmath.fsum(p * float(x) for p, x in zip(shares, points, strict=True))
        moved = [mpmath.mpf(float(x)) - mean for x in points]
        variance = mpmath.fsum(p * d**2 for p, d in zip(shares, moved, strict=True))
        fourth = mpmath.fsum(p * d**4 for p, d in zip(shares, moved, strict=True)) / variance**2
        eighth = mpmath.fsum(p * d**8 for p, d in zip(shares, moved, strict=True)) / variance**4

    law = law_of(definition, dtype)

    assert law.points is not None
    assert law.upto is not None
    assert law.points.tolist() == points.tolist()
    assert law.upto.tolist() == (np.cumsum(counts) / 2**width).tolist()
    assert law.heaviest == max(shares)
    assert law.mean == pytest.approx(float(mean), rel=1e-9, abs=1e-15)
    assert law.sigma == pytest.approx(float(mpmath.sqrt(variance)), rel=1e-12)
    first, second, _, power = law.powers
    assert (first.mean, first.variance) == pytest.approx((0.0, 1.0), abs=1e-12)
    assert (second.mean, second.variance) == pytest.approx((1.0, float(fourth) - 1), rel=1e-12)
    assert power.mean == pytest.approx(float(fourth), rel=1e-12)
    assert power.variance == pytest.approx(float(eighth - fourth**2), rel=1e-11)
    furthest = max(abs(float(d)) for d in moved) / law.sigma
    assert first.reach == pytest.approx(furthest, rel=1e-12)
    assert power.reach == pytest.approx(furthest**4 - float(fourth), rel=1e-12)
    assert {term.lean for term in (*law.powers, law.score)} == {0.0}


def test_a_score_of_a_lattice_is_centred_and_bounded() -> None:
    """Mid-distributions have mean 1/2, and variance (1 - sum of cubed shares) / 12."""
    law = law_of(Uniform(scale=1.0), "bfloat16")
    assert law.upto is not None
    assert law.square is not None
    shares = np.diff(law.upto, prepend=0.0)
    middles = law.upto - shares / 2 - 0.5

    assert law.score.mean == pytest.approx(0.0, abs=1e-15)
    assert law.score.variance == pytest.approx((1 - math.fsum(shares**3)) / 12, rel=1e-12)
    assert law.score.reach == pytest.approx(np.abs(middles).max(), rel=1e-12)
    assert law.square.mean == pytest.approx(law.score.variance, rel=1e-12)
    variance = math.fsum(shares * middles**4) - law.square.mean**2
    assert law.square.variance == pytest.approx(variance, rel=1e-12)


def test_a_value_between_two_points_is_taken_for_the_nearer() -> None:
    law = ElementLaw(
        mean=0.0,
        sigma=1.0,
        powers=(),
        points=np.array([0.0, 1.0, 3.0]),
        upto=np.array([0.25, 0.5, 1.0]),
        score=Term(mean=0.0, variance=1.0, reach=1.0),
    )

    below, upto = law.distribution(np.array([-7.0, 0.49, 0.51, 1.9, 2.1, 9.0]))

    assert below.tolist() == [0.0, 0.0, 0.25, 0.25, 0.5, 0.5]
    assert upto.tolist() == [0.25, 0.25, 0.5, 0.5, 1.0, 1.0]


@pytest.mark.parametrize(
    ("definition", "n_points"),
    [
        (Uniform(scale=2.0**-24), 2),
        (Uniform(scale=2.0**-26), 0),
        (Normal(stddev=30000.0), 0),
    ],
    ids=["two values", "one value", "infinite"],
)
def test_a_small_lattice_has_two_finite_values_or_no_law(
    definition: Definition, n_points: int
) -> None:
    """Of float16: its smallest number is 2^-24, to which half of the uniforms round."""
    law = element_law(definition, SHAPE, "float16")

    if not n_points:
        assert law is None
        return
    assert law is not None
    assert law.points is not None
    assert law.points.tolist() == [0.0, 2.0**-24]
    assert law.heaviest == pytest.approx(0.5, abs=2.0**-9)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_call_that_must_raise_has_no_law_of_an_element(dtype: str) -> None:
    definition = Normal(stddev=1.0, refusals=(Refusal(exception="TypeError"),))

    with pytest.raises(OracleUnavailable, match="the call must raise TypeError"):
        element_law(definition, SHAPE, dtype)


# --- Fine lattices -------------------------------------------------------------------------------


def moments_of(definition: Definition) -> list[float]:
    """Return the moments of the standardised value, orders 1 to 8."""
    match definition:
        case Normal():
            return [0, 1, 0, 3, 0, 15, 0, 105]
        case Uniform():
            return [
                0.0 if order % 2 else math.sqrt(3) ** order / (order + 1) for order in range(1, 9)
            ]
    with mpmath.workdps(30):
        mass = mpmath.quad(mpmath.npdf, [-2, 0, 2])
        raw = [
            mpmath.quad(lambda x, n=n: x**n * mpmath.npdf(x), [-2, 0, 2]) / mass
            for n in range(1, 9)
        ]
        return [float(raw[n - 1] / raw[1] ** mpmath.mpf(n / 2)) for n in range(1, 9)]


@pytest.mark.parametrize(
    ("definition", "reach"),
    [
        (Normal(stddev=0.5), None),
        (Uniform(scale=2.0), math.sqrt(3)),
        (TruncatedNormal(stddev=0.1), 2 / math.sqrt(0.7737413035)),
    ],
    ids=["normal", "uniform", "truncated"],
)
def test_powers_of_a_fine_lattice_are_those_of_the_continuous_law(
    definition: Definition, reach: float | None
) -> None:
    """Off by twice the largest value and a cell: the variation of a power, over as many points."""
    moments = moments_of(definition)

    law = law_of(definition)

    furthest = law.powers[0].reach
    assert furthest == pytest.approx(reach or 5.42, rel=1e-6 if reach else 0.02)
    for order, term in enumerate(law.powers, start=1):
        mean = moments[order - 1]
        assert term.mean == pytest.approx(mean, rel=0, abs=term.lean)
        assert term.variance == pytest.approx(moments[2 * order - 1] - mean**2, rel=2e-3)
        assert term.reach == pytest.approx(furthest**order + abs(term.mean), rel=1e-12)
        assert term.lean == pytest.approx(2 * furthest**order * CELL, rel=1e-12)


def test_a_score_of_a_fine_lattice_is_uniform_to_a_cell() -> None:
    """Of U - 1/2: variance 1/12, the square's 1/80 - 1/144 = 1/180, furthest 1/6 from 1/12."""
    law = law_of(Normal(stddev=0.5))

    assert law.score == Term(mean=0.0, variance=1 / 12, reach=0.5, lean=CELL)
    assert law.square == Term(mean=1 / 12, variance=1 / 180, reach=1 / 6, lean=CELL)


def test_no_value_has_more_than_two_points_of_the_lattice() -> None:
    """What rounds to one number lies within a spacing: two points of a step of half as much."""
    assert law_of(Normal(stddev=0.5)).heaviest == 2 * CELL
    assert law_of(Uniform(scale=3.0)).heaviest == 2 * CELL


@pytest.mark.parametrize(("lower", "upper"), [(2.0, 2.5), (-3.0, -2.0), (-0.01, 0.02), (-2.0, 2.0)])
def test_a_narrow_range_of_uniforms_has_fewer_points(lower: float, upper: float) -> None:
    """Those of float32 near its larger end: erf(2 / sqrt 2) is 0.95, with 2^-24 between them."""
    ends = [math.erf(end / math.sqrt(2)) for end in (lower, upper)]
    spacing = float(np.spacing(np.float32(max(map(abs, ends)))))

    law = law_of(TruncatedNormal(stddev=1.0, lower=lower, upper=upper))

    assert law.heaviest is not None
    assert law.heaviest == pytest.approx(2 * max(CELL, spacing / (ends[1] - ends[0])), rel=1e-12)
    assert law.slack == pytest.approx(4 * law.heaviest, rel=1e-12)


def test_no_value_has_more_than_all_of_the_mass() -> None:
    """Between 5 and 5.01 all uniforms of float32 are one or two numbers."""
    assert law_of(TruncatedNormal(stddev=1.0, lower=5.0, upper=5.01)).heaviest == 1.0


def test_the_distribution_of_a_uniform_is_off_by_a_cell() -> None:
    assert law_of(Uniform(scale=2.0)).slack == CELL


@pytest.mark.parametrize("value", [-0.15, 0.0, 0.05])
def test_the_distribution_of_a_truncated_normal_is_that_of_its_density(value: float) -> None:
    law = law_of(TruncatedNormal(stddev=0.1))
    with mpmath.workdps(20):
        mass = mpmath.quad(mpmath.npdf, [-2, value / 0.1])
        share = float(mass / mpmath.quad(mpmath.npdf, [-2, 0, 2]))

    below, upto = law.distribution(np.array([value]))

    assert below.tolist() == upto.tolist()
    assert float(below[0]) == pytest.approx(share, rel=1e-8)


@pytest.mark.parametrize(
    "definition", [TruncatedNormal(stddev=0.1), TruncatedNormal(stddev=0.1, upper=1.0)], ids=repr
)
def test_all_of_a_truncated_normal_lies_between_its_bounds(definition: TruncatedNormal) -> None:
    ends = [0.1 * end for end in definition.support]

    below, upto = law_of(definition).distribution(np.array([-9.0, *ends, 9.0]))

    assert below.tolist() == upto.tolist()
    assert (upto[0], upto[3]) == (0.0, 1.0)
    assert upto[1:3] == pytest.approx([0.0, 1.0], abs=1e-15)
    assert ((upto >= 0) & (upto <= 1)).all()


def test_of_a_negative_factor_what_is_above_is_below() -> None:
    """Minus half of a uniform is at most -1/8 where the uniform is 1/4 or more."""
    below, upto = law_of(Uniform(scale=-0.5)).distribution(np.array([-0.5, -0.125, 0.0]))

    assert below.tolist() == upto.tolist() == [0.0, 0.75, 1.0]


def test_the_distribution_of_a_normal_is_that_of_its_density() -> None:
    below, _ = law_of(Normal(stddev=0.5)).distribution(np.array([-0.5, 0.0, 1.0]))

    assert below.tolist() == pytest.approx([float(mpmath.ncdf(x)) for x in (-1, 0, 2)], rel=1e-12)


# --- Moments alone -------------------------------------------------------------------------------


def test_of_moments_alone_two_powers_and_a_clipped_score_are_known() -> None:
    """A kurtosis of 5; elements lie up to 4 from the mean, in units of sigma."""
    moments = NominalMoments(mean=1.0, variance=0.25, lower=-1.0, upper=2.0, kurtosis=5.0)

    law = law_of(declared(moments))

    assert (law.mean, law.sigma, law.has_distribution) == (1.0, 0.5, False)
    assert law.powers == (
        Term(mean=0.0, variance=1.0, reach=4.0),
        Term(mean=1.0, variance=4.0, reach=15.0),
    )
    assert law.score == Term(mean=0.0, variance=0.25, reach=1.5, lean=0.5 / 12)
    assert (law.square, law.heaviest, law.slack) == (None, None, 0.0)


def test_an_unknown_kurtosis_is_bounded_by_the_reach() -> None:
    """x^4 <= r^2 x^2, so that it is r^2 at most: here 1.21, and a coin's where r is 1."""
    near = law_of(declared(NominalMoments(mean=0.0, variance=1.0, lower=-1.1, upper=1.0)))
    coin = law_of(declared(NominalMoments(mean=0.0, variance=1.0, lower=-1.0, upper=1.0)))

    assert near.powers[1].variance == pytest.approx(0.21)
    assert near.powers[1].reach == 1.0
    assert near.score.reach == 1.1
    assert coin.powers[1].variance == 0.0


def test_bounds_nearer_than_sigma_leave_no_negative_variance() -> None:
    """No law has such moments; whoever states them is told by the mean of squares."""
    law = law_of(declared(NominalMoments(mean=0.0, variance=4.0, lower=-1.0, upper=1.0)))

    assert law.powers[1] == Term(mean=1.0, variance=0.0, reach=1.0)


def test_a_variance_that_no_law_has_makes_no_law() -> None:
    moments = NominalMoments(mean=0.0, variance=-1.0, lower=-1.0, upper=1.0)

    assert element_law(declared(moments), SHAPE, "float32") is None


def test_nothing_contradicts_moments_without_bounds() -> None:
    moments = NominalMoments(mean=0.0, variance=1.0, lower=-math.inf, upper=1.0)

    assert element_law(declared(moments), SHAPE, "float32") is None


def test_what_does_not_vary_and_complex_numbers_have_no_law_of_an_element() -> None:
    assert element_law(Constant(value=3.0), SHAPE, "float32") is None
    assert element_law(Normal(stddev=1.0), SHAPE, "complex64") is None


@pytest.mark.parametrize(("exponent", "has_one"), [(244, True), (245, False), (246, False)])
def test_fourth_powers_of_draws_fit_a_float64(exponent: int, has_one: bool) -> None:
    """A variance of 2^490 and more is none whose moments can be taken."""
    law = element_law(Normal(stddev=2.0**exponent), SHAPE, "float64")

    assert (law is not None) == has_one
