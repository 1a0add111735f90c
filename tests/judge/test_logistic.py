"""A law that no initializer of JAX has, as a user's draws it: docs/adding-a-law.md."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from conformance.cases.catalogue import Catalogue
from conformance.cases.sweeps import is_swept, sweep_case
from conformance.core.formats import FORMATS
from conformance.core.ids import Case, Problem
from conformance.core.laws import Logistic
from conformance.core.records import Budget, DriftClass, Status
from conformance.judge.checks.base import Evidence
from conformance.judge.drift import DEFAULT_BUDGET
from conformance.judge.law.accuracy import gather
from conformance.judge.law.checks import NOMINAL, judge_law
from conformance.judge.rules import default_checks
from conformance.observe.backends import open_backend
from conformance.observe.sweep import sweep
from tests import small_golden

SCALE = 0.125

Draw = Callable[[Any, tuple[int, ...], Any], Any]


def right(key: Any, shape: tuple[int, ...], dtype: Any = "float32") -> Any:
    return jax.random.logistic(key, shape, dtype) * jnp.asarray(SCALE, dtype)


def wrong_scale(key: Any, shape: tuple[int, ...], dtype: Any = "float32") -> Any:
    return right(key, shape, dtype) * jnp.asarray(1.25, dtype)


def wrong_support(key: Any, shape: tuple[int, ...], dtype: Any = "float32") -> Any:
    return abs(right(key, shape, dtype))


def wrong_sampler(key: Any, shape: tuple[int, ...], dtype: Any = "float32") -> Any:
    """Mean and variance are right."""
    return jax.random.normal(key, shape, dtype) * jnp.asarray(SCALE * math.pi / 3**0.5, dtype)


def catalogue_of(draw: Draw) -> Catalogue:
    catalogue = Catalogue()
    catalogue.register("mine", lambda: draw, definition=Logistic(scale=SCALE))
    return catalogue


def verdicts(draw: Draw, dtype: str) -> dict[str, Status]:
    """Return what every check but that of the golden says of one case."""
    problem = Problem(initializer="mine", dtype=dtype, shape=(64, 32), seed=0)
    catalogue = catalogue_of(draw)
    evidence = Evidence(
        spec=catalogue.lookup("mine"),
        observation=small_golden.observed(
            Case(problem=problem, backend="cpu", transform="eager"), catalogue
        ),
        drift=None,
        budget=DEFAULT_BUDGET,
    )
    results = [check(evidence) for check in default_checks(DriftClass.ROUNDING)]
    return {each.check: each.status for each in results if each.check != "values"}


@functools.cache
def law_verdicts(draw: Draw, dtype: str) -> dict[str, Status]:
    spec = catalogue_of(draw).lookup("mine")
    swept = sweep(spec, sweep_case(spec, dtype, "cpu", "eager"), open_backend("cpu"))
    budget = Budget(max_ulp=4, max_ulp_at_sigma=4.0)
    results = judge_law(gather(Logistic(scale=SCALE), swept, budget))
    return {each.check: each.status for each in results}


def failed(found: dict[str, Status]) -> set[str]:
    return {check for check, status in found.items() if status is Status.FAILED}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_right_logistic_passes_every_check(dtype: str) -> None:
    found = verdicts(right, dtype)

    assert not failed(found)
    passed = {check for check, status in found.items() if status is Status.PASSED}
    assert passed >= {"contract", "repeatable", "oracle", "structure", "moments"}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_right_logistic_has_its_exact_law(dtype: str) -> None:
    verdicts = dict(law_verdicts(right, dtype))

    # One draw in 128, or in 2^23, lies where the smallest normal number is: 87 sigma out, which
    # makes the variance 18.9 times what was asked in bfloat16, and 1.00026 times in float32.
    has_atom = dtype != "float16"
    assert verdicts.pop(NOMINAL) is (Status.FAILED if has_atom else Status.PASSED)
    assert set(verdicts.values()) == {Status.PASSED}


@pytest.mark.parametrize(
    ("draw", "checks"),
    [
        (wrong_scale, {"oracle"}),
        (wrong_support, {"oracle", "moments"}),
        (wrong_sampler, {"oracle"}),
    ],
)
def test_a_wrong_logistic_fails(draw: Draw, checks: set[str]) -> None:
    """The moments cannot tell a scale: one element of 2048 may be the -87 of word 0."""
    assert failed(verdicts(draw, "float32")) == checks


@pytest.mark.parametrize(
    ("draw", "checks"),
    [
        (wrong_scale, {"law_variance", "law_accuracy", "law_sequence"}),
        (wrong_support, {"law_order", "law_mean", "law_accuracy", "law_sequence"}),
        (wrong_sampler, {"law_accuracy", "law_sequence"}),
    ],
)
def test_a_wrong_logistic_has_another_exact_law(draw: Draw, checks: set[str]) -> None:
    assert failed(law_verdicts(draw, "float16")) >= checks


def test_a_logistic_is_swept() -> None:
    assert is_swept(catalogue_of(right).lookup("mine"))


def test_the_quantile_is_exact_at_both_ends_and_around_the_median() -> None:
    number = FORMATS["float32"]
    fractions = np.array([0.0, 2.0**-23, 0.25, 0.5, 0.5 + 2.0**-23, 0.75, 1 - 2.0**-23])

    found = Logistic(scale=1.0).quantile(fractions, number)

    with mpmath.workdps(40):
        points = [mpmath.mpf(max(each, number.smallest_normal)) for each in fractions]
        wanted = [float(mpmath.log(p / (1 - p))) for p in points]
    np.testing.assert_allclose(found, wanted, rtol=5 * 2.0**-52, atol=0)


def test_the_distribution_function_is_the_inverse_of_the_quantile() -> None:
    law, points = Logistic(scale=1.0), np.linspace(0.001, 0.999, 999)

    np.testing.assert_allclose(
        law.cdf(law.quantile(points, FORMATS["float64"])), points, rtol=1e-13
    )


def test_the_density_is_the_slope_of_the_distribution_function() -> None:
    law, step = Logistic(scale=1.0), 1e-4
    points = np.linspace(-8, 8, 33)

    slope = (law.cdf(points + step) - law.cdf(points - step)) / (2 * step)

    np.testing.assert_allclose(np.exp(law.log_density(points)), slope, rtol=1e-6)
