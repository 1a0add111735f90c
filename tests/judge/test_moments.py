"""Mean and variance of a sample, on both sides of their bounds, for every kind of law."""

from __future__ import annotations

import dataclasses
import math
import re

import mpmath
import numpy as np
import pytest

from conformance.core.arrays import as_dtype, returned, widen
from conformance.core.laws import (
    Constant,
    Declared,
    Definition,
    DeltaOrthogonal,
    NominalMoments,
    Normal,
    Orthogonal,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
    nominal_moments,
)
from conformance.core.records import CheckResult, Raised, Returned, Status
from conformance.core.ulp import unit_roundoff
from conformance.judge.alpha import MOMENTS as SHARE
from conformance.judge.bounds import bernstein_bound
from conformance.judge.checks.moments import (
    MOMENTS,
    Bounds,
    ElementMoments,
    bounds_of,
    check_moments,
    moments_of_element,
)
from conformance.oracle import solve_words, unit_variate
from tests import evidence as made
from tests.evidence import evidence, last, with_moments

SHAPE = (64, 32)
SIZE = 2048
"""A false alarm in 1e6 runs of 200,000 checks, each with two sides."""


def declared(lower: float = -3.0, upper: float = 5.0, variance: float = 2.0) -> Declared:
    moments = NominalMoments(mean=1.0, variance=variance, lower=lower, upper=upper)
    return made.declared(moments)


def scaling(distribution: str) -> VarianceScaling:
    return VarianceScaling(scale=1.0, mode="fan_in", distribution=distribution)


DECLARED = declared()
NORMAL = Normal(stddev=0.5)
LAWS: tuple[tuple[Definition, str], ...] = (
    (NORMAL, "float32"),
    (NORMAL, "float64"),
    (NORMAL, "float16"),
    (NORMAL, "bfloat16"),
    (NORMAL, "complex64"),
    (TruncatedNormal(stddev=0.5, lower=-1.0, upper=3.0), "float32"),
    (Uniform(scale=2.0), "float32"),
    (Uniform(scale=-2.0), "float64"),
    (scaling("normal"), "float32"),
    (scaling("uniform"), "float16"),
    (scaling("truncated_normal"), "complex128"),
    (DECLARED, "float32"),
    (DECLARED, "bfloat16"),
)
of_laws = pytest.mark.parametrize(("definition", "dtype"), LAWS, ids=str)


def law_in(definition: Definition, dtype: str, shape: tuple[int, ...] = SHAPE) -> ElementMoments:
    law = moments_of_element(definition, shape, dtype)
    assert law is not None
    return law


def judged(
    definition: Definition,
    dtype: str,
    mean: complex,
    variance: float,
    shape: tuple[int, ...] = SHAPE,
) -> CheckResult:
    """Return what the check says of an array that has these moments, whatever is in it."""
    moments = {"mean": mean.real, "mean_imag": mean.imag, "variance": variance}
    outcome = with_moments(np.zeros(shape, as_dtype(dtype)), moments)
    return check_moments(evidence(definition, outcome))


# --- Both sides of the bound ---------------------------------------------------------------------


@of_laws
@pytest.mark.parametrize("direction", [1, -1])
def test_a_mean_may_lie_at_its_bound_and_no_further(
    definition: Definition, dtype: str, direction: int
) -> None:
    law = law_in(definition, dtype)
    bound = bounds_of(definition, law, SHAPE).mean
    centre = law.mean.real
    furthest = last(
        centre + direction * bound, direction * math.inf, lambda mean: abs(mean - centre) <= bound
    )

    at, beyond = (
        judged(definition, dtype, complex(mean, law.mean.imag), law.variance)
        for mean in (furthest, math.nextafter(furthest, direction * math.inf))
    )

    assert at.status is Status.PASSED
    assert beyond.status is Status.FAILED
    assert beyond.message.startswith("mine-")
    assert ": the mean is " in beyond.message


@of_laws
@pytest.mark.parametrize("direction", [1, -1])
def test_a_variance_may_lie_at_its_bound_and_no_further(
    definition: Definition, dtype: str, direction: int
) -> None:
    law = law_in(definition, dtype)
    bound = bounds_of(definition, law, SHAPE).variance
    furthest = last(
        law.variance + direction * bound,
        direction * math.inf,
        lambda variance: abs(variance - law.variance) <= bound,
    )

    at, beyond = (
        judged(definition, dtype, law.mean, variance)
        for variance in (furthest, math.nextafter(furthest, direction * math.inf))
    )

    assert at.status is Status.PASSED
    assert beyond.status is Status.FAILED
    assert ": the variance is " in beyond.message


def test_the_mean_of_a_complex_law_is_held_in_both_parts() -> None:
    bound = bounds_of(NORMAL, law_in(NORMAL, "complex64"), SHAPE).mean

    assert judged(NORMAL, "complex64", 1j * bound, 0.25).status is Status.PASSED
    assert judged(NORMAL, "complex64", 1j * bound * 1.0001, 0.25).status is Status.FAILED
    assert judged(NORMAL, "complex64", (1 + 1j) * bound, 0.25).status is Status.FAILED


def test_a_variance_is_taken_around_the_mean_of_the_law() -> None:
    """Half a bound of shift in the mean leaves that much less for the variance."""
    law = law_in(DECLARED, "float32")
    bounds = bounds_of(DECLARED, law, SHAPE)
    shift = bounds.mean / 2
    most = law.variance + bounds.variance

    assert judged(DECLARED, "float32", 1 + shift, most - shift**2 * 1.001).status is Status.PASSED
    assert judged(DECLARED, "float32", 1 + shift, most - shift**2 * 0.999).status is Status.FAILED


@pytest.mark.parametrize("shape", [(64, 32), (32, 64)])
def test_the_mean_of_a_haar_matrix_may_lie_at_its_bound_and_no_further(
    shape: tuple[int, ...],
) -> None:
    definition = Orthogonal(scale=-2.0)
    bound = bounds_of(definition, law_in(definition, "float32", shape), shape).mean

    at, beyond = (
        judged(definition, "float32", mean, 4 / 64, shape)
        for mean in (bound, math.nextafter(bound, math.inf))
    )

    assert at.status is Status.PASSED
    assert beyond.status is Status.FAILED


def test_the_variance_of_a_haar_matrix_is_no_matter_of_chance() -> None:
    assert judged(Orthogonal(), "float32", 0.0, 1e6).status is Status.PASSED


def test_a_verdict_says_what_it_held_the_sample_to() -> None:
    law = law_in(NORMAL, "float32")
    bounds = bounds_of(NORMAL, law, SHAPE)

    for variance in (0.25, 1.0):
        result = judged(NORMAL, "float32", 0.0, variance)

        assert result.check == MOMENTS
        assert result.metrics == {"mean_bound": bounds.mean, "variance_bound": bounds.variance}


def test_a_wrong_mean_is_told_in_units_of_sigma() -> None:
    bound = bounds_of(NORMAL, law_in(NORMAL, "float32"), SHAPE).mean

    result = judged(NORMAL, "float32", 0.25, 0.25)

    assert result.message == (
        "mine-float32-64x32-s0-cpu-eager: the mean is 0.25, 0.5 sigma from the law's 0; "
        f"a sample of this size is within {bound / 0.5:.3g} sigma"
    )


def test_a_wrong_mean_is_told_from_the_laws() -> None:
    result = judged(DECLARED, "float32", 4.0, 2.0)

    assert "the mean is 4, 2.12 sigma from the law's 1; " in result.message


def test_a_wrong_complex_mean_is_told_with_both_parts() -> None:
    result = judged(NORMAL, "complex64", 0.25 - 0.5j, 0.25)

    assert "the mean is 0.25-0.5j, 1.12 sigma from the law's 0; " in result.message


def test_a_wrong_variance_is_told_relative_to_the_laws() -> None:
    bound = bounds_of(NORMAL, law_in(NORMAL, "float32"), SHAPE).variance

    result = judged(NORMAL, "float32", 0.0, 0.75)

    assert result.message == (
        "mine-float32-64x32-s0-cpu-eager: the variance is 3 of the law's 0.25; "
        f"a sample of this size is within {bound / 0.25:.3g} of 1"
    )


# --- Where it does not apply ---------------------------------------------------------------------

FAR_OFF = np.full(SHAPE, 3.0, np.float32)
"""Of mean 3 and no variance: no law here has such a sample."""


def test_a_sample_that_no_law_here_has_fails() -> None:
    assert check_moments(evidence(NORMAL, FAR_OFF)).status is Status.FAILED


@pytest.mark.parametrize(
    "definition",
    [
        pytest.param(None, id="undefined"),
        pytest.param(Constant(value=1.0), id="constant"),
        pytest.param(Constant(value=((1.0,),)), id="array"),
        pytest.param(declared(variance=0.0), id="no variance"),
        pytest.param(declared(variance=-1.0), id="negative variance"),
        pytest.param(declared(variance=math.nan), id="NaN variance"),
        pytest.param(VarianceScaling(scale=0.0, mode="fan_in", distribution="normal"), id="zeros"),
    ],
)
def test_what_has_no_law_has_no_moments(definition: Definition | None) -> None:
    result = check_moments(evidence(definition, FAR_OFF))

    assert result.status is Status.NOT_APPLICABLE


@pytest.mark.parametrize(
    "outcome",
    [
        pytest.param(Raised(exception="ValueError", message=""), id="raised"),
        pytest.param(with_moments(FAR_OFF, {"nonfinite": 1}), id="not finite"),
        pytest.param(returned(FAR_OFF.astype(np.float64)), id="other dtype"),
        pytest.param(returned(FAR_OFF.T), id="other shape"),
    ],
)
def test_what_the_contract_check_speaks_of_has_no_moments(outcome: Returned | Raised) -> None:
    result = check_moments(evidence(NORMAL, outcome, dtype="float32", shape=SHAPE))

    assert result.status is Status.NOT_APPLICABLE


def test_an_array_without_elements_has_no_moments() -> None:
    result = check_moments(evidence(NORMAL, np.zeros((0, 3), np.float32)))

    assert result.status is Status.NOT_APPLICABLE


def test_a_delta_orthogonal_kernel_has_no_moments() -> None:
    result = check_moments(evidence(DeltaOrthogonal(), np.ones((3, 2, 2), np.float32)))

    assert result.status is Status.NOT_APPLICABLE


def test_what_must_be_refused_has_no_moments() -> None:
    result = check_moments(evidence(scaling("normal"), np.full(64, 3.0, np.float32)))

    assert result.status is Status.NOT_APPLICABLE


def test_a_declared_law_without_bounds_is_refused() -> None:
    result = check_moments(evidence(declared(upper=math.inf), FAR_OFF))

    assert result.status is Status.FAILED
    assert result.message == (
        "mine-float32-64x32-s0-cpu-eager: the declared law has no finite bounds, without which no "
        "sample can contradict it: state `lower` and `upper`, for a normal at 6 standard deviations"
    )


# --- The bounds ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "longer"), [((64, 32), 64), ((32, 64), 64), ((4, 5, 6), 20)])
def test_the_mean_of_a_haar_matrix_is_bounded_by_the_cap_of_a_sphere(
    shape: tuple[int, ...], longer: int
) -> None:
    """P(|u^T Q v| > t) <= 2 exp(-n t^2 / 2), and the mean is u^T Q v scale / sqrt(size)."""
    definition = Orthogonal(scale=-2.0)

    found = bounds_of(definition, law_in(definition, "float32", shape), shape)

    t = found.mean * math.sqrt(math.prod(shape)) / 2
    assert longer * t**2 / 2 == pytest.approx(SHARE.evidence, rel=1e-12)
    assert found.variance == math.inf


def test_the_columns_of_a_haar_matrix_may_lie_on_another_axis() -> None:
    definition = Orthogonal(column_axis=0)

    found = bounds_of(definition, law_in(definition, "float32", (4, 5, 6)), (4, 5, 6))

    assert 30 * found.mean**2 * 120 / 2 == pytest.approx(SHARE.evidence, rel=1e-12)


def test_the_bounds_of_a_sample_are_bernsteins_and_the_lean_of_the_lattice() -> None:
    law = ElementMoments(
        mean=1.0, variance=2.0, fourth=7.0, reach=4.0, mean_lean=0.125, variance_lean=0.25
    )

    found = bounds_of(NORMAL, law, SHAPE)

    assert found == Bounds(
        mean=bernstein_bound(SIZE, 2.0, 4.0, SHARE.evidence) + 0.125,
        variance=bernstein_bound(SIZE, 7.0 - 2.0**2, 16.0, SHARE.evidence) + 0.25,
    )


def test_squares_that_do_not_vary_but_for_rounding_have_no_variance() -> None:
    law = ElementMoments(mean=0.0, variance=1.0, fourth=1.0 - 2**-52, reach=1.0)

    assert bounds_of(NORMAL, law, SHAPE).variance == bernstein_bound(SIZE, 0.0, 1.0, SHARE.evidence)


# --- The law of one element ----------------------------------------------------------------------


REACH = {"float32": 5.42, "float64": 8.3, "complex64": 5.42, "complex128": 8.3}


@pytest.mark.parametrize("dtype", REACH)
@pytest.mark.parametrize("definition", [NORMAL, scaling("normal")], ids=str)
def test_a_normal_has_its_kurtosis_and_reach(definition: Definition, dtype: str) -> None:
    nominal = nominal_moments(definition, SHAPE, dtype)
    assert nominal is not None

    found = law_in(definition, dtype)

    assert (found.mean, found.variance) == (0, nominal.variance)
    assert found.fourth == pytest.approx(nominal.kurtosis * nominal.variance**2, rel=1e-14)
    sigmas = found.reach / math.sqrt(nominal.variance)
    assert REACH[dtype] - 0.1 < sigmas <= REACH[dtype]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_normal_reaches_six_roundings_beyond_its_outermost_draw(dtype: str) -> None:
    number = as_dtype(dtype)
    words = np.array([0], f"u{number.itemsize}")
    definition = Normal(stddev=1.0)
    outermost = abs(float(unit_variate(words, definition, number)[0]))

    roundings = (law_in(definition, dtype).reach / outermost - 1) / unit_roundoff(number)

    assert roundings == pytest.approx(6, abs=2)  # the quotient of two float64 has some of its own


@pytest.mark.parametrize(("dtype", "bits"), [("float32", 25), ("float64", 54)])
def test_no_normal_lies_beyond_its_reach(dtype: str, bits: int) -> None:
    """The outermost is the quantile of a quarter of a step."""
    with mpmath.workdps(40):
        beyond = mpmath.ncdf(-mpmath.mpf(REACH[dtype]))
        a_little_less = mpmath.ncdf(-mpmath.mpf(REACH[dtype]) + mpmath.mpf("0.1"))

        assert beyond < mpmath.mpf(2) ** -bits < a_little_less


@pytest.mark.parametrize(
    ("definition", "reach", "variance"),
    [
        (Uniform(scale=2.0), 1.0, 1 / 3),
        (Uniform(scale=-2.0), 1.0, 1 / 3),
        (DECLARED, 4.0, 2.0),
        (declared(lower=-5.0, upper=3.0), 6.0, 2.0),
    ],
    ids=str,
)
def test_a_bounded_law_reaches_to_its_further_bound(
    definition: Definition, reach: float, variance: float
) -> None:
    """And its fourth moment is at most reach^2 times its variance."""
    found = law_in(definition, "float32")

    assert (found.reach, found.variance) == (reach, variance)
    assert found.fourth == pytest.approx(reach**2 * variance, rel=1e-14)


@pytest.mark.parametrize(
    ("dtype", "cell"), [("float32", 2.0**-23), ("float64", 2.0**-52), ("complex64", 2.0**-23)]
)
def test_a_lattice_leans_by_its_total_variation_over_its_points(dtype: str, cell: float) -> None:
    """Koksma: the variation of the value is 2 reach, that of its square twice reach^2."""
    found = law_in(DECLARED, dtype)

    assert (found.mean_lean, found.variance_lean) == (2 * 4.0 * cell, 2 * 16.0 * cell)


@pytest.mark.parametrize(("dtype", "n"), [("bfloat16", 128), ("float16", 1024)])
def test_a_small_lattice_is_enumerated(dtype: str, n: int) -> None:
    """The uniform of n points k / n: its central moments are those of the discrete law."""
    found = law_in(Uniform(scale=1.0), dtype)

    assert found.mean == (n - 1) / (2 * n)
    assert found.reach == (n - 1) / (2 * n)
    assert found.variance == pytest.approx((1 - n**-2) / 12, rel=1e-14)
    assert found.fourth == pytest.approx((3 - 10 * n**-2 + 7 * n**-4) / 240, rel=1e-14)
    assert (found.mean_lean, found.variance_lean) == (0.0, 0.0)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_small_lattice_is_that_of_jaxs_own_roundings(dtype: str) -> None:
    definition, width = scaling("truncated_normal"), 8 if dtype == "bfloat16" else 16
    words = np.arange(2**width, dtype=f"u{width // 8}")
    solution = solve_words(words, definition, as_dtype(dtype), SHAPE)
    assert solution.followed is not None

    found = law_in(definition, dtype)

    assert found.mean == widen(solution.followed).mean()
    assert found.mean != widen(solution.expected).mean()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_what_is_no_function_of_single_words_has_its_nominal_moments(dtype: str) -> None:
    found = law_in(Orthogonal(), dtype)

    assert (found.mean, found.variance, found.reach) == (0, 1 / 64, 1.0)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize(
    "definition",
    [Constant(value=1.0), Normal(stddev=0.0), declared(variance=0.0), DeltaOrthogonal()],
    ids=str,
)
def test_elements_that_do_not_vary_have_no_law(definition: Definition, dtype: str) -> None:
    assert moments_of_element(definition, (3, 3, 2, 2), dtype) is None


def test_the_bounds_hold_the_sample_of_a_right_initializer() -> None:
    """And would not hold one whose variance is 1.5 times the law's."""
    sample = np.random.default_rng(0).normal(size=(128, 128)).astype(np.float32)

    right, wrong = (
        check_moments(evidence(Normal(stddev=1.0), (sample * factor).astype(np.float32)))
        for factor in (1.0, math.sqrt(1.5))
    )

    assert right.status is Status.PASSED
    assert wrong.status is Status.FAILED
    assert re.search(r"the variance is 1\.[45]\d+ of the law's 1;", wrong.message)


def test_the_moments_are_those_of_the_whole_array_where_a_sample_is_stored() -> None:
    outcome = dataclasses.replace(
        with_moments(FAR_OFF, {"mean": 0.0, "variance": 0.25}), stride=7, bits=b""
    )

    assert check_moments(evidence(NORMAL, outcome)).status is Status.PASSED


@pytest.mark.parametrize(("exponent", "has_moments"), [(244, True), (245, False), (246, False)])
def test_moments_whose_squares_overflow_are_not_known(exponent: int, has_moments: bool) -> None:
    """Of a variance of 2^490 and more, for a float64 ends at 2^1024."""
    found = moments_of_element(Normal(stddev=2.0**exponent), (64,), "float64")

    assert (found is not None) == has_moments
