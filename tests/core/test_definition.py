"""Definitions say the same as mathematics does: moments, fans, and which calls must fail."""

from __future__ import annotations

import math
import re

import mpmath
import pytest

from conformance.core.laws import (
    COMPLEX_TRUNCATED_STDDEV,
    TRUNCATED_STDDEV,
    Axes,
    Constant,
    Definition,
    DeltaOrthogonal,
    NominalMoments,
    Normal,
    Orthogonal,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
    expected_error,
    fans,
    has_bounds,
    nominal_moments,
    scaled_variance,
    tall_shape,
    truncated_normal_moments,
)
from conformance.core.laws.truncated_normal import _quadrature
from tests.evidence import declared

INF = math.inf
LAW = NominalMoments(mean=0.5, variance=2.0, lower=-3.0, upper=4.0)

TRUNCATION_ERROR = mpmath.mpf(10) ** -15
"""What `truncated_normal_moments` promises."""

INTERVALS = (
    (-2.0, 2.0),
    (-0.25, 0.25),
    (2.0, 4.0),
    (-1.0, 3.0),
    (-3.0, 1e-3),
    (-1e-5, 8.0),
    (-INF, INF),
    (0.0, INF),
    (-1.0, INF),
    (1e-3, INF),
    (-INF, 1e-7),
    # far tails
    (30.0, INF),
    (-INF, -38.0),
    (38.0, 40.0),
    (-40.0, -39.0),
    (300.0, 1e300),
    (1e4, INF),
    # narrow intervals
    (0.0, 1e-6),
    (-1e-8, 1e-8),
    (-1e-8, 3e-8),
    (1e-9, 1.0000001e-9),
    (1.0, math.nextafter(1.0, 2.0)),
    (5.0, 5.0 + 1e-9),
    (-50.0, -50.0 + 1e-12),
    (0.0, 1e-150),
    (-1e-150, 2e-150),
)


def exact_moments(lower: float, upper: float) -> tuple[mpmath.mpf, mpmath.mpf]:
    """Return mean and variance by the closed formula, with all the digits that it will lose.

    Width and square of the nearer bound are what cancels: the mass loses one width, the variance
    two more.
    """
    nearer = max(lower, -upper, 0.0)
    width = min(upper - lower, 1 / (1 + nearer))
    with mpmath.workdps(60 + 4 * math.ceil(math.log10((1 + nearer) / width))):
        # Of two bounds on one side the upper tails are taken: 1 - 1e-400 needs 400 digits.
        sign = -1 if upper < 0 else 1
        a, b = sorted((sign * mpmath.mpf(lower), sign * mpmath.mpf(upper)))
        if b > 1e100:  # no exponent of mpmath's holds the density there, which is 0
            b = mpmath.inf
        mass = (_twice_above(a) - _twice_above(b)) / 2
        mean = (_density(a) - _density(b)) / mass
        variance = 1 + (_edge(a) - _edge(b)) / mass - mean**2
        return sign * mean, variance


def _twice_above(x: mpmath.mpf) -> mpmath.mpf:
    return mpmath.erfc(x / mpmath.sqrt(2))


def _density(x: mpmath.mpf) -> mpmath.mpf:
    return mpmath.npdf(x) if mpmath.isfinite(x) else mpmath.mpf(0)


def _edge(x: mpmath.mpf) -> mpmath.mpf:
    return x * mpmath.npdf(x) if mpmath.isfinite(x) else mpmath.mpf(0)


# --- Truncated normals ---------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def computed_anew() -> None:
    """Let every test compute what it asks for, so that each judges a mutant of all of it."""
    truncated_normal_moments.cache_clear()
    _quadrature.cache_clear()


@pytest.mark.parametrize(("lower", "upper"), INTERVALS)
def test_the_variance_of_a_truncated_normal_is_exact_to_1e_15(lower: float, upper: float) -> None:
    _, variance = truncated_normal_moments(lower, upper)
    _, exact = exact_moments(lower, upper)

    with mpmath.workdps(40):
        assert abs(mpmath.mpf(variance) / exact - 1) < TRUNCATION_ERROR


@pytest.mark.parametrize(("lower", "upper"), INTERVALS)
def test_the_mean_of_a_truncated_normal_is_exact_to_1e_15(lower: float, upper: float) -> None:
    mean, _ = truncated_normal_moments(lower, upper)
    exact, variance = exact_moments(lower, upper)

    with mpmath.workdps(40):
        unit = max(abs(exact), mpmath.sqrt(variance))
        assert abs(mpmath.mpf(mean) - exact) < TRUNCATION_ERROR * unit


@pytest.mark.parametrize("bound", [1e-12, 0.25, 2.0, 30.0, INF])
def test_the_mean_of_a_symmetric_truncated_normal_is_zero(bound: float) -> None:
    mean, _ = truncated_normal_moments(-bound, bound)

    assert mean == 0


@pytest.mark.parametrize(("lower", "upper"), [(0.0, 1.0), (1.0, 2.0), (-1.0, 3.0), (38.0, INF)])
def test_the_mirrored_truncated_normal_has_the_mirrored_mean(lower: float, upper: float) -> None:
    mean, variance = truncated_normal_moments(lower, upper)

    assert truncated_normal_moments(-upper, -lower) == (-mean, variance)


@pytest.mark.parametrize(("lower", "upper"), [(0.0, 5e-324), (1e308, INF), (1.7e308, 1.79e308)])
def test_a_variance_below_all_doubles_is_zero(lower: float, upper: float) -> None:
    mean, variance = truncated_normal_moments(lower, upper)

    assert lower <= mean <= upper
    assert variance == 0


def test_an_interval_that_every_draw_lies_in_does_not_truncate() -> None:
    assert truncated_normal_moments(-1.7e308, 1.7e308) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("lower", "upper"),
    [
        (2.0, 2.0),
        (2.0, -2.0),
        (math.nan, 1.0),
        (0.0, math.nan),
        (INF, INF),
        (-INF, -INF),
        (0, -0.0),
    ],
)
def test_bounds_that_enclose_nothing_have_no_moments(lower: float, upper: float) -> None:
    message = re.escape(
        f"no normal can be truncated to ({lower!r}, {upper!r}): lower must be less than upper"
    )

    with pytest.raises(ValueError, match=message):
        truncated_normal_moments(lower, upper)


def test_the_truncated_stddev_is_the_root_of_the_variance_within_two() -> None:
    _, variance = truncated_normal_moments(-2.0, 2.0)

    assert math.sqrt(variance) == pytest.approx(TRUNCATED_STDDEV, rel=2.0**-52, abs=0)


def test_the_complex_truncated_stddev_is_that_of_a_disk() -> None:
    """|z|^2 of a circular normal is exponential: of its density the part below 4 remains."""
    with mpmath.workdps(40):
        mass = mpmath.quad(lambda s: mpmath.exp(-s), [0, 4])
        second = mpmath.quad(lambda s: s * mpmath.exp(-s), [0, 4])
        exact = mpmath.sqrt(second / mass)

    assert pytest.approx(float(exact), rel=2.0**-52, abs=0) == COMPLEX_TRUNCATED_STDDEV


# --- Fans ----------------------------------------------------------------------------------------


def scaling(
    mode: str = "fan_in",
    distribution: str = "normal",
    *,
    scale: float = 1.0,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
) -> VarianceScaling:
    return VarianceScaling(
        scale=scale,
        mode=mode,
        distribution=distribution,
        in_axis=in_axis,
        out_axis=out_axis,
        batch_axis=batch_axis,
    )


@pytest.mark.parametrize(
    ("shape", "definition", "expected"),
    [
        ((3, 5), scaling(), (3.0, 5.0)),
        ((3, 5), scaling(in_axis=-1, out_axis=-2), (5.0, 3.0)),
        ((2, 7, 3, 5), scaling(), (42.0, 70.0)),
        ((2, 7, 3, 5), scaling(in_axis=(0, 2), out_axis=(1, 3)), (6.0, 35.0)),
        ((2, 7, 3, 5), scaling(batch_axis=0), (21.0, 35.0)),
        ((2, 7, 3, 5), scaling(batch_axis=(0, 1)), (3.0, 5.0)),
        ((0, 5), scaling(), (0.0, 0.0)),
        ((3, 0), scaling(), (0.0, 0.0)),
        ((0, 3, 5), scaling(), (0.0, 0.0)),
    ],
)
def test_fans_are_the_axes_sizes_times_the_receptive_field(
    shape: tuple[int, ...], definition: VarianceScaling, expected: tuple[float, float]
) -> None:
    assert fans(shape, definition) == expected


@pytest.mark.parametrize(
    ("mode", "variance"),
    [("fan_in", 2 / 4), ("fan_out", 2 / 16), ("fan_avg", 2 / 10), ("fan_geo_avg", 2 / 8)],
)
def test_the_variance_is_the_scale_over_the_fan_of_the_mode(mode: str, variance: float) -> None:
    assert scaled_variance((4, 16), scaling(mode, scale=2.0)) == variance


def test_a_fan_of_one_divides_by_one() -> None:
    assert scaled_variance((1, 16), scaling("fan_in", scale=2.0)) == 2.0


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg", "fan_geo_avg"])
def test_nothing_that_goes_in_has_no_variance(mode: str) -> None:
    assert scaled_variance((0, 16), scaling(mode)) == 0.0


# --- Moments -------------------------------------------------------------------------------------


def moments(
    mean: complex, variance: float, lower: float, upper: float, kurtosis: float = INF
) -> NominalMoments:
    return NominalMoments(mean=mean, variance=variance, lower=lower, upper=upper, kurtosis=kurtosis)


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        (Constant(value=-3.0), moments(-3.0, 0.0, 3.0, 3.0)),
        (Constant(value=2), moments(2, 0.0, 2.0, 2.0)),
        (Constant(value=3 - 4j), moments(3 - 4j, 0.0, 5.0, 5.0)),
        (Normal(stddev=0.5), moments(0, 0.25, -INF, INF, kurtosis=3.0)),
        (Uniform(scale=6.0), moments(3.0, 3.0, 0.0, 6.0)),
        (Uniform(scale=-6.0), moments(-3.0, 3.0, -6.0, 0.0)),
        (declared(LAW), LAW),
        (Orthogonal(scale=3.0), moments(0, 9 / 6, -3.0, 3.0)),
        (Orthogonal(scale=3.0, column_axis=0), moments(0, 9 / 6, -3.0, 3.0)),
    ],
    ids=str,
)
def test_a_law_has_its_nominal_moments(definition: Definition, expected: NominalMoments) -> None:
    assert nominal_moments(definition, (6, 4)) == expected


def test_a_truncated_normal_is_scaled_by_its_stddev_and_not_rescaled() -> None:
    mean, variance = truncated_normal_moments(-1.5, 3.0)

    found = nominal_moments(TruncatedNormal(stddev=0.5, lower=-1.5, upper=3.0), (6, 4))

    assert found == moments(0.5 * mean, 0.25 * variance, -0.75, 1.5)


@pytest.mark.parametrize("definition", [Constant(value=(1.0, 2.0)), DeltaOrthogonal()], ids=str)
def test_elements_without_a_common_law_have_no_moments(definition: Definition) -> None:
    assert nominal_moments(definition, (3, 3, 2, 2)) is None


@pytest.mark.parametrize(
    ("distribution", "bound"),
    [
        ("uniform", math.sqrt(3) / 2),
        ("truncated_normal", 1 / TRUNCATED_STDDEV),
    ],
)
def test_scaling_keeps_the_variance_and_bounds_of_real_laws(
    distribution: str, bound: float
) -> None:
    found = nominal_moments(scaling("fan_in", distribution), (4, 6))

    assert found == moments(0, 0.25, -bound, bound)


@pytest.mark.parametrize(
    ("distribution", "bound"),
    [
        ("uniform", math.sqrt(2) / 2),
        ("truncated_normal", 1 / COMPLEX_TRUNCATED_STDDEV),
    ],
)
def test_complex_laws_are_bounded_in_their_modulus(distribution: str, bound: float) -> None:
    found = nominal_moments(scaling("fan_in", distribution), (4, 6), "complex64")

    assert found == moments(0, 0.25, 0.0, bound)


@pytest.mark.parametrize(
    ("dtype", "lower", "kurtosis"), [("float32", -INF, 3.0), ("complex64", 0.0, 2.0)]
)
@pytest.mark.parametrize("definition", [Normal(stddev=0.5), scaling("fan_in", "normal")], ids=str)
def test_normals_have_no_bound_but_zero_of_a_modulus(
    definition: Definition, dtype: str, lower: float, kurtosis: float
) -> None:
    """The square of a circular modulus is exponential, so E|z|^4 is twice E|z|^2 squared."""
    found = nominal_moments(definition, (4, 6), dtype)

    assert found == moments(0, 0.25, lower, INF, kurtosis=kurtosis)


@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("distribution", ["uniform", "truncated_normal"])
def test_the_bounds_of_a_scaled_law_give_its_variance(distribution: str, is_complex: bool) -> None:
    """By integration over the interval, or the disk, that the bounds say."""
    found = nominal_moments(
        scaling("fan_avg", distribution), (4, 6), "complex64" if is_complex else "float32"
    )
    assert found is not None
    sigma = math.sqrt(found.variance)
    shrink = COMPLEX_TRUNCATED_STDDEV if is_complex else TRUNCATED_STDDEV
    rate = 1.0 if is_complex else 0.5  # exp(-|z|^2) and exp(-x^2 / 2)

    def density(radius: mpmath.mpf) -> mpmath.mpf:
        area = radius if is_complex else 1
        unit = radius * shrink / sigma
        return area * (mpmath.exp(-rate * unit**2) if distribution == "truncated_normal" else 1)

    mass = mpmath.quad(density, [0, found.upper])
    second = mpmath.quad(lambda radius: radius**2 * density(radius), [0, found.upper])

    assert float(second / mass) == pytest.approx(found.variance, rel=1e-14)


@pytest.mark.parametrize(
    ("shape", "column_axis", "variance"),
    [
        ((6, 4), -1, 1 / 6),
        ((4, 6), -1, 1 / 6),
        ((2, 3, 4), -1, 1 / 6),
        ((2, 3, 4), 0, 1 / 12),
        ((1, 1), -1, 1.0),
        ((0, 4), -1, 0.0),
        ((4, 0), -1, 0.0),
    ],
)
def test_an_entry_of_a_haar_matrix_varies_by_one_over_its_longer_side(
    shape: tuple[int, ...], column_axis: int, variance: float
) -> None:
    found = nominal_moments(Orthogonal(column_axis=column_axis), shape)

    assert found == moments(0, variance, -1.0, 1.0)


# --- Matrices and bounds -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("definition", "shape", "expected"),
    [
        (Orthogonal(), (6, 4), (6, 4)),
        (Orthogonal(), (4, 6), (6, 4)),
        (Orthogonal(), (2, 3, 4), (6, 4)),
        (Orthogonal(column_axis=0), (2, 3, 4), (12, 2)),
        (Orthogonal(), (1, 1), (1, 1)),
        (Orthogonal(), (0, 4), (0, 0)),
        (Orthogonal(), (4, 0), (0, 0)),
        (DeltaOrthogonal(), (3, 3, 2, 5), (5, 2)),
        (DeltaOrthogonal(column_axis=0), (3, 3, 2, 5), (5, 2)),
    ],
    ids=str,
)
def test_the_matrix_that_is_drawn_is_tall(
    definition: Orthogonal | DeltaOrthogonal, shape: tuple[int, ...], expected: tuple[int, int]
) -> None:
    found = tall_shape(shape, definition)

    assert found == expected
    assert [type(size) for size in found] == [int, int]


@pytest.mark.parametrize(
    "definition", [Orthogonal(), DeltaOrthogonal()], ids=["orthogonal", "delta_orthogonal"]
)
def test_the_columns_lie_on_the_last_axis_unless_told(
    definition: Orthogonal | DeltaOrthogonal,
) -> None:
    assert definition.column_axis == -1
    assert definition == type(definition)(scale=1.0, column_axis=-1)


@pytest.mark.parametrize(
    ("definition", "is_cut"),
    [
        (TruncatedNormal(stddev=1.0), True),
        (scaling(distribution="truncated_normal"), True),
        (scaling(distribution="normal"), False),
        (scaling(distribution="uniform"), False),
        (Normal(stddev=1.0), False),
        (Uniform(scale=1.0), False),
        (None, False),
    ],
    ids=str,
)
def test_only_truncated_normals_are_cut_at_bounds(
    definition: Definition | None, is_cut: bool
) -> None:
    assert has_bounds(definition) is is_cut


# --- Refusals ------------------------------------------------------------------------------------

VECTOR = Constant(value=(1.0, 2.0))
ROWS = Constant(value=((1.0,), (2.0,), (3.0,)))


@pytest.mark.parametrize(
    ("definition", "shape", "error"),
    [
        (None, (), None),
        (Normal(stddev=1.0), (), None),
        (Constant(value=1.0), (), None),
        # arrays that broadcast, or do not
        (VECTOR, (2,), None),
        (VECTOR, (5, 2), None),
        (VECTOR, (2, 5), "ValueError"),
        (VECTOR, (3,), "ValueError"),
        (VECTOR, (), "ValueError"),
        (ROWS, (3, 1), None),
        (ROWS, (3, 4), None),
        (ROWS, (4, 3), "ValueError"),
        (ROWS, (3,), "ValueError"),
        (Constant(value=()), (0,), None),
        (Constant(value=((1.0, 2.0, 3.0), (4.0,))), (2, 2), "ValueError"),
        (Constant(value=()), (2,), "ValueError"),
        # fans
        (scaling(), (4, 6), None),
        (scaling(), (3, 4, 6), None),
        (scaling(), (4,), "ValueError"),
        (scaling(), (), "ValueError"),
        (scaling(in_axis=0, out_axis=0), (4,), None),
        (scaling(in_axis=0, out_axis=1), (4,), "IndexError"),
        (scaling(in_axis=0, out_axis=2), (4, 6), "IndexError"),
        (scaling(batch_axis=2), (4, 6), "IndexError"),
        # matrices
        (Orthogonal(), (4, 6), None),
        (Orthogonal(), (4,), "ValueError"),
        (DeltaOrthogonal(), (2, 2), "ValueError"),
        (DeltaOrthogonal(), (3, 2, 2), None),
        (DeltaOrthogonal(), (3, 2, 3), None),
        (DeltaOrthogonal(), (3, 3, 2), "ValueError"),
        (DeltaOrthogonal(), (3, 3, 3, 2, 2), None),
        (DeltaOrthogonal(), (3, 3, 3, 3, 2, 2), "ValueError"),
    ],
    ids=str,
)
def test_a_call_is_refused_as_documented(
    definition: Definition | None, shape: tuple[int, ...], error: str | None
) -> None:
    assert expected_error(definition, shape, "float32") == error


@pytest.mark.parametrize(
    ("definition", "error"),
    [
        (TruncatedNormal(stddev=1.0), "ValueError"),
        (Uniform(scale=1.0), "ValueError"),
        (Normal(stddev=1.0), None),
        (scaling(distribution="truncated_normal"), None),
        (Orthogonal(), None),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_laws_of_reals_only_refuse_complex_dtypes(
    definition: Definition, error: str | None, dtype: str
) -> None:
    assert expected_error(definition, (4, 6), dtype) == error


@pytest.mark.parametrize("definition", [TruncatedNormal(stddev=1.0), Uniform(scale=1.0)], ids=str)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_laws_of_reals_take_real_dtypes(definition: Definition, dtype: str) -> None:
    assert expected_error(definition, (), dtype) is None
