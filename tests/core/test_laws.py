"""What a law says of its moments, its cdf and its density are three tellings of one thing."""

from __future__ import annotations

import inspect
import math
from typing import Any

import jax
import mpmath
import numpy as np
import pytest
import scipy.integrate

from conformance.core.formats import FORMATS
from conformance.core.laws import (
    Constant,
    Declared,
    Definition,
    DeltaOrthogonal,
    Law,
    Logistic,
    NominalMoments,
    Normal,
    Orthogonal,
    Rounds,
    ScaledBounds,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
    tall_shape,
)
from conformance.core.laws.variance_scaling import keras_fans

LAWS = (
    Normal(stddev=0.5),
    Uniform(scale=3.0),
    Uniform(scale=2.0, lower=-1.0, upper=3.0),
    Uniform(scale=-2.0, lower=1.0, upper=3.0),
    TruncatedNormal(stddev=0.5, lower=-1.0, upper=3.0),
    Logistic(scale=0.25),
)


def kind(law: Law) -> str:
    """Return a name that no change of a default can change, and with it the name of a test."""
    return type(law).__name__


of_laws = pytest.mark.parametrize("law", LAWS, ids=kind)

FAR = 60.0
"""No unit variate of these laws lies beyond it with a probability above 1e-25."""


def ends(law: Law) -> tuple[float, float]:
    lower, upper = law.support
    return max(lower, -FAR), min(upper, FAR)


def density(law: Law, unit: float) -> float:
    return math.exp(float(law.log_density(np.array(unit))))


def integral(law: Law, power: int, upper: float = math.inf) -> float:
    """Return the moment about the nominal mean of the elements whose unit variate is below."""
    mean = law.nominal((), is_complex=False).mean.real
    start, stop = ends(law)
    found = scipy.integrate.quad(
        lambda unit: (law.factor * unit - mean) ** power * density(law, unit),
        start,
        min(stop, upper),
        epsabs=1e-12,
        epsrel=1e-10,
        limit=500,
        points=[point for point in (-4.0, 0.0, 4.0) if start < point < min(stop, upper)],
    )
    return float(found[0])


@of_laws
def test_the_density_has_the_nominal_moments(law: Law) -> None:
    nominal = law.nominal((), is_complex=False)

    assert integral(law, 0) == pytest.approx(1, rel=1e-9)
    assert integral(law, 1) == pytest.approx(0, abs=1e-9)
    assert integral(law, 2) == pytest.approx(nominal.variance, rel=1e-8)
    if math.isfinite(nominal.kurtosis):
        fourth = nominal.kurtosis * nominal.variance**2
        assert integral(law, 4) == pytest.approx(fourth, rel=1e-7)


@of_laws
def test_the_bounds_are_those_of_the_support_times_the_factor(law: Law) -> None:
    nominal = law.nominal((), is_complex=False)

    assert [nominal.lower, nominal.upper] == sorted(law.factor * end for end in law.support)


@pytest.mark.parametrize("scale", [2.0, -2.0])
def test_no_bound_is_minus_zero(scale: float) -> None:
    """A bound of 0 reads alike in every message, whatever it was multiplied by."""
    nominal = Uniform(scale=scale).nominal((), is_complex=False)

    (zero,) = (bound for bound in (nominal.lower, nominal.upper) if not bound)
    assert math.copysign(1.0, zero) == 1.0


@of_laws
@pytest.mark.parametrize("place", [0.1, 0.5, 0.8])
def test_the_cdf_is_the_integral_of_the_density(law: Law, place: float) -> None:
    start, stop = (max(end, -3.0) if end < 0 else min(end, 3.0) for end in ends(law))
    unit = start + place * (stop - start)

    assert float(law.cdf(np.array(unit))) == pytest.approx(integral(law, 0, unit), abs=1e-9)


@pytest.mark.parametrize("law", [law for law in LAWS if math.isfinite(law.support[0])], ids=kind)
def test_nothing_lies_below_the_support_and_all_below_its_end(law: Law) -> None:
    lower, upper = law.support
    found = law.cdf(np.array([lower - 1, lower, upper, upper + 1]))

    assert found.tolist() == [0.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize("law", [law for law in LAWS if isinstance(law, Uniform)], ids=kind)
def test_the_quantile_is_the_inverse_of_the_cdf(law: Law) -> None:
    fraction = np.array([0.0, 0.25, 0.5, 0.875])
    unit = law.quantile(fraction, FORMATS["float64"])

    assert law.cdf(unit).tolist() == fraction.tolist()


@of_laws
def test_the_unit_variate_is_that_of_the_factor_one(law: Law) -> None:
    unit = law.unit

    assert (unit.factor, unit.support, type(unit)) == (1.0, law.support, type(law))
    assert unit.times(law.factor) == law


def test_what_leaves_out_a_part_of_a_law_is_none() -> None:
    """So that no law is judged by half of itself."""
    needed = {"factor", "times", "cdf", "log_density", "nominal"}

    assert needed == Law.__abstractmethods__
    assert {name for name in needed if isinstance(vars(Law)[name], property)} == {"factor"}
    for name in needed:
        partial = type("Partial", (Normal,), {name: getattr(Law, name)})
        with pytest.raises(TypeError, match=f"abstract .*{name}"):
            partial(stddev=1.0)
    assert Definition.__abstractmethods__ == {"nominal"}


class Bare(Definition):
    """What a definition is that says nothing of itself."""

    __slots__ = ()

    def nominal(self, shape: tuple[int, ...], *, is_complex: bool) -> None:
        """Return None."""
        del shape, is_complex


def test_a_definition_that_says_nothing_is_of_no_law_and_has_no_fault() -> None:
    bare = Bare()

    assert (bare.fault, bare.fault_of_ways, bare.family) == ("", "", "custom")
    assert (bare.unit, bare.scale_roundings, bare.draws_as_given) == (None, 1, True)
    assert bare.law((3, 4), is_complex=False) is None
    assert bare.sampler((3, 4)) is None
    assert bare.refused((), "float32", is_complex=False) is None


@pytest.mark.parametrize(
    ("definition", "build"),
    [
        (Orthogonal(), jax.nn.initializers.orthogonal),
        (DeltaOrthogonal(), jax.nn.initializers.delta_orthogonal),
        (TruncatedNormal(stddev=1.0), jax.nn.initializers.truncated_normal),
        (
            VarianceScaling(scale=1.0, mode="fan_in", distribution="normal"),
            jax.nn.initializers.variance_scaling,
        ),
    ],
    ids=["orthogonal", "delta_orthogonal", "truncated_normal", "variance_scaling"],
)
def test_what_is_not_said_is_as_jax_has_it(definition: Definition, build: Any) -> None:
    theirs = {
        name: parameter.default
        for name, parameter in inspect.signature(build).parameters.items()
        if name not in ("dtype", "stddev") and parameter.default is not inspect.Parameter.empty
    }

    assert {name: getattr(definition, name) for name in theirs} == theirs


@pytest.mark.parametrize(
    ("law", "n"),
    [
        (Uniform(scale=1.0), 1),
        (Normal(stddev=1.0), 3),
        (TruncatedNormal(stddev=1.0), 3),
        (Logistic(scale=1.0), 4),
    ],
    ids=kind,
)
def test_each_step_up_to_the_unit_variate_is_rounded_once(law: Law, n: int) -> None:
    """The uniform; erf_inv and the product with sqrt(2); two logarithms and their difference."""
    assert (law.roundings, law.scale_roundings) == (n, 1)


def test_the_steps_of_a_logistic_come_to_its_quantile() -> None:
    law = Logistic(scale=0.5)
    fraction = np.array([2.0**-20, 0.125, 0.25, 0.4, 0.5, 0.75, 1 - 2.0**-20])
    exact = law.followed(fraction, lambda values: values)

    np.testing.assert_allclose(exact, np.log(fraction / (1 - fraction)), rtol=1e-12, atol=1e-12)
    quantile = law.quantile(fraction, FORMATS["float64"])
    np.testing.assert_allclose(quantile, exact, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(
        law.followed(fraction, np.rint), np.rint([-14, -2, -1, 0, 0, 1, 14])
    )


@pytest.mark.parametrize(
    "place", [2.0**-60, 0.2, 0.26, 0.5 - 2.0**-40, 0.5001, 0.50003, 0.4997, 0.74, 0.8]
)
def test_the_quantile_of_a_logistic_has_all_its_digits(place: float) -> None:
    """Also around the median, where the logarithms cancel, and where 2 p - 1 has none of p's."""
    found = float(Logistic(scale=1.0).quantile(np.array(place), FORMATS["float64"]))
    with mpmath.workprec(200):
        exact = float(mpmath.log(mpmath.mpf(place) / (1 - mpmath.mpf(place))))

    assert abs(found - exact) <= 5 * math.ulp(exact)


def test_only_truncated_normals_keep_off_their_bounds() -> None:
    assert [law for law in LAWS if law.is_open] == [
        law for law in LAWS if isinstance(law, TruncatedNormal)
    ]


def test_a_matrix_has_two_axes_at_least() -> None:
    refusals = [Orthogonal().refusal((4,) * ndim, is_complex=False) for ndim in range(5)]

    assert refusals == ["ValueError", "ValueError", None, None, None]


@pytest.mark.parametrize("space", [(3,), (3, 2), (3, 2, 5)])
def test_the_matrix_of_a_kernel_lies_on_its_last_two_axes(space: tuple[int, ...]) -> None:
    assert tall_shape((*space, 4, 6), DeltaOrthogonal()) == (6, 4)


@pytest.mark.parametrize(
    ("law", "is_at_fault"),
    [
        (Normal(stddev=-0.5), True),
        (TruncatedNormal(stddev=-0.5), True),
        (Normal(stddev=0.0), False),
        (Uniform(scale=-0.5), False),
        (Uniform(scale=0.5), False),
    ],
    ids=str,
)
def test_a_standard_deviation_is_not_negative_and_any_other_factor_may_be(
    law: Law, is_at_fault: bool
) -> None:
    assert ("is no standard deviation: write 0 or more" in law.fault) == is_at_fault
    assert bool(law.fault) == is_at_fault


@pytest.mark.parametrize(
    ("shape", "fans"),
    [
        ((), (1, 1)),
        ((5,), (5, 5)),
        ((2, 3), (2, 3)),
        ((4, 2, 3), (8, 12)),
        ((0, 3), (1, 3)),
        ((3, 0), (3, 1)),
    ],
)
def test_fans_of_keras_are_of_any_shape_and_one_at_least(
    shape: tuple[int, ...], fans: tuple[int, int]
) -> None:
    assert keras_fans(shape) == fans


# --- What nothing can be -------------------------------------------------------------------------


def scaling(**changes: Any) -> VarianceScaling:
    fields: dict[str, Any] = {"scale": 1.0, "mode": "fan_in", "distribution": "normal", **changes}
    return VarianceScaling(**fields)


MEANT: tuple[Definition, ...] = (
    Normal(stddev=0.0),
    Normal(stddev=2),
    Uniform(scale=1.0, lower=0.0, upper=5e-324),
    TruncatedNormal(stddev=1.0, lower=-math.inf, upper=math.inf),
    Logistic(scale=-1.0),
    scaling(scale=0.0),
    scaling(distribution="uniform"),
    scaling(distribution="truncated_normal", mode="fan_geo_avg"),
    scaling(fans_by=keras_fans),
    Constant(value=1 - 2j),
    Constant(value=((1.0,), (2.0,))),
    Orthogonal(scale=-1.0),
    DeltaOrthogonal(),
    Declared(moments=lambda _: NominalMoments(mean=0, variance=1.0, lower=-1.0, upper=1.0)),
)

NOT_MEANT: dict[str, tuple[Definition, str]] = {
    "factor nan": (Normal(stddev=math.nan), "stddev=nan is no finite number"),
    "factor inf": (Uniform(scale=-math.inf), "scale=-inf is no finite number"),
    "factor text": (Logistic(scale="1"), "scale='1' is no finite number"),  # type: ignore[arg-type]  # the fault
    "factor complex": (Logistic(scale=1j), "scale=1j is no finite number"),  # type: ignore[arg-type]  # the fault
    "negative": (Normal(stddev=-5e-324), "stddev=-5e-324 is no standard deviation"),
    "no width": (Uniform(scale=1.0, lower=1.0), "nothing lies in (1.0, 1.0): lower must be less"),
    "turned": (TruncatedNormal(stddev=1.0, lower=3.0), "nothing lies in (3.0, 2.0)"),
    "nan bound": (Uniform(scale=1.0, lower=math.nan), "nothing lies in (nan, 1.0)"),
    "scale nan": (scaling(scale=math.nan), "scale=nan is no finite number"),
    "scale negative": (scaling(scale=-5e-324), "scale=-5e-324 makes a negative variance"),
    "mode": (scaling(mode="fan_im"), "mode 'fan_im' is unknown: did you mean fan_in"),
    "distribution": (
        scaling(distribution="normla"),
        "distribution 'normla' is unknown: did you mean normal",
    ),
    "fans": (scaling(fans_by=3), "fans_by=3 is no function: write one from a shape to two fans"),
    "value": (Constant(value="1"), "value='1' is no number: write one, or a (nested) tuple"),  # type: ignore[arg-type]  # the fault
    "list": (Constant(value=[1]), "value=[1] is no number"),  # type: ignore[arg-type]  # the fault
    "matrix": (Orthogonal(scale=math.inf), "scale=inf is no finite number"),
    "moments": (Declared(moments=3), "moments=3 is no function: write one from a shape"),  # type: ignore[arg-type]  # the fault
}


@pytest.mark.parametrize("number", range(len(MEANT)))
def test_what_can_be_meant_has_no_fault(number: int) -> None:
    assert MEANT[number].fault == ""


@pytest.mark.parametrize("name", NOT_MEANT)
def test_what_cannot_be_meant_is_told_with_its_value(name: str) -> None:
    definition, fault = NOT_MEANT[name]

    assert definition.fault.startswith(fault)


# --- What else laws are asked --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("law", "is_symmetric", "call"),
    [
        (Normal(stddev=0.25), True, "normal(stddev=0.25)"),
        (Logistic(scale=1 / 3), True, "logistic(scale=0.3333)"),
        (TruncatedNormal(stddev=2.0), True, "truncated_normal(stddev=2)"),
        (TruncatedNormal(stddev=2.0, lower=-1.0), False, "truncated_normal(stddev=2)"),
        (Uniform(scale=0.5), False, "uniform(scale=0.5)"),
        (Uniform(scale=0.5, lower=-1.0), True, "uniform(-0.5, 0.5)"),
        (Uniform(scale=2.0, lower=0.5, upper=3.0), False, "uniform(1, 6)"),
    ],
    ids=kind,
)
def test_a_law_knows_how_it_is_called_and_whether_it_is_its_mirror_image(
    law: Law, is_symmetric: bool, call: str
) -> None:
    assert (law.is_symmetric, law.call) == (is_symmetric, call)


@pytest.mark.parametrize("scale", [1e160, -1e160])
@pytest.mark.parametrize("kind_of", [Uniform, Logistic])
def test_a_variance_beyond_all_doubles_is_infinite_and_no_error(kind_of: Any, scale: float) -> None:
    assert kind_of(scale=scale).nominal((), is_complex=False).variance == math.inf


@pytest.mark.parametrize(
    ("law", "ends"),
    [
        (Normal(stddev=3.0), (-1 + 2.0**-24, 1.0)),
        (Logistic(scale=3.0), (2.0**-126, 1.0)),
        (Uniform(scale=3.0, lower=-1.0, upper=2.0), (-1.0, 2.0)),
    ],
    ids=kind,
)
def test_uniforms_keep_off_what_the_law_cannot_take(law: Law, ends: tuple[float, float]) -> None:
    """-1 of erf_inv and 0 of a logarithm; the next number of float32 is as near as can be."""
    assert law.uniform_range(FORMATS["float32"]) == ends


def test_a_law_without_a_quantile_or_steps_says_what_it_lacks() -> None:
    law, zero = Normal(stddev=1.0), np.zeros(1)

    with pytest.raises(NotImplementedError, match="Normal has no quantile: give it one, or a hook"):
        law.quantile(zero, FORMATS["float32"])
    with pytest.raises(NotImplementedError, match="Normal has no steps: state them, or a hook"):
        law.followed(zero, np.rint)


@pytest.mark.parametrize(
    ("drawn_with", "is_given"), [("", True), ("fold5", True), ("s7", False), ("s7.fold5", False)]
)
def test_a_key_of_its_own_is_not_the_one_that_is_given(drawn_with: str, is_given: bool) -> None:
    assert Normal(stddev=1.0, drawn_with=drawn_with).draws_as_given is is_given


@pytest.mark.parametrize(
    ("distribution", "unit"),
    [
        ("uniform", Uniform(scale=1.0, lower=-1.0, upper=1.0)),
        ("normal", Normal(stddev=1.0)),
        ("truncated_normal", TruncatedNormal(stddev=1.0, lower=-2.0, upper=2.0)),
    ],
)
def test_what_a_distribution_scales_is_a_unit_variate(distribution: str, unit: Law) -> None:
    definition = scaling(distribution=distribution)

    assert definition.unit == unit
    for is_complex in (False, True):
        law = definition.law((4, 6), is_complex=is_complex)
        assert law == unit.times(law.factor)


@pytest.mark.parametrize(
    ("distribution", "n"), [("uniform", 3), ("normal", 2), ("truncated_normal", 4)]
)
def test_each_step_of_a_factor_is_rounded_once(distribution: str, n: int) -> None:
    """The variance, three times it, its root; the truncation constant and the quotient by it."""
    assert scaling(distribution=distribution).scale_roundings == n


def test_ways_tell_definitions_apart_but_not_in_their_text() -> None:
    """Tables of what the oracle computed are kept by definition."""
    plain = Normal(stddev=1.0)
    others = [
        Normal(stddev=1.0, rounds=Rounds(of_unit=True)),
        Normal(stddev=1.0, drawn_with="fold5"),
        Normal(stddev=1.0, refusals=()),
    ]

    assert plain not in others
    assert {str(each) for each in (plain, *others)} == {"Normal(stddev=1.0)"}


def test_text_names_what_a_law_is_and_no_function() -> None:
    scaled = VarianceScaling(scale=2.0, mode="fan_in", distribution="normal", fans_by=keras_fans)
    bounds = ScaledBounds(scale=2.0, mode="fan_in")

    axes = "in_axis=-2, out_axis=-1, batch_axis=()"
    text = f"(scale=2.0, mode='fan_in', distribution='{{}}', {axes})"
    assert str(scaled) == f"VarianceScaling{text.format('normal')}"
    assert str(bounds) == f"ScaledBounds{text.format('uniform')}"
