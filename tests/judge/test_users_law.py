"""A law in a module of a user's, whose sampler falls as its uniform rises: docs/adding-a-law.md."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from conformance.cases.catalogue import Catalogue
from conformance.cases.sweeps import sweep_case
from conformance.core.formats import Format
from conformance.core.ids import Case, Problem
from conformance.core.laws import Law, NominalMoments, Reals
from conformance.core.laws.base import squared
from conformance.core.records import Budget, DriftClass, Status
from conformance.judge.checks.base import Evidence
from conformance.judge.checks.structure import check_structure
from conformance.judge.drift import DEFAULT_BUDGET
from conformance.judge.law.accuracy import gather
from conformance.judge.law.checks import judge_law
from conformance.judge.rules import default_checks
from conformance.observe.backends import open_backend
from conformance.observe.sweep import sweep
from tests import small_golden
from tests.evidence import evidence

SCALE = 0.125


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Laplace(Law):
    """scale times a standard Laplace, elementwise: density exp(-|x|) / 2."""

    scale: float

    drawn_by: ClassVar[str] = "laplace"
    roundings: ClassVar[int] = 2  # of the uniform and the logarithm

    @property
    def factor(self) -> float:
        """Return the scale."""
        return self.scale

    def times(self, factor: float) -> Laplace:
        """Return the Laplace of another scale."""
        return Laplace(scale=factor)

    def nominal(self, shape: tuple[int, ...], *, is_complex: bool) -> NominalMoments:
        """Return mean 0 and variance 2; the kurtosis is 6."""
        del shape, is_complex
        variance = 2 * squared(self.scale)
        return NominalMoments(
            mean=0, variance=variance, lower=-math.inf, upper=math.inf, kurtosis=6.0
        )

    def cdf(self, unit: Reals) -> Reals:
        """Return exp(x) / 2 below 0, and 1 - exp(-x) / 2 above."""
        tail = np.exp(-np.abs(unit)) / 2
        return np.where(unit < 0, tail, 1 - tail)

    def log_density(self, unit: Reals) -> Reals:
        """Return -|x| - log 2."""
        return np.asarray(-np.abs(unit) - math.log(2))

    def uniform_range(self, number: Format) -> tuple[float, float]:
        """Return (-1 + cell / 2, 1): off -1, where the logarithm is infinite."""
        return -1 + number.cell / 2, 1.0

    def quantile(self, fraction: Reals, number: Format) -> Reals:
        """Return sign(u) log(1 - |u|), `fraction` of the way through the range of the draws."""
        u = self.uniform_range(number)[0] + 2 * fraction  # upper - lower rounds to 2
        return np.asarray(np.sign(u) * np.log1p(-np.abs(u)))

    def followed(self, uniform: Reals, rounded: Any) -> Reals:
        """Return the rounded logarithm under the sign."""
        return np.asarray(np.sign(uniform) * rounded(np.log1p(-np.abs(uniform))))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Exponential(Law):
    """scale times a standard exponential, elementwise: its mean is not 0, and it has no end."""

    scale: float

    drawn_by: ClassVar[str] = "exponential"
    roundings: ClassVar[int] = 2  # of the uniform and the logarithm

    @property
    def factor(self) -> float:
        """Return the scale."""
        return self.scale

    @property
    def support(self) -> tuple[float, float]:
        """Return that it begins at 0."""
        return 0.0, math.inf

    def times(self, factor: float) -> Exponential:
        """Return the exponential of another scale."""
        return Exponential(scale=factor)

    def nominal(self, shape: tuple[int, ...], *, is_complex: bool) -> NominalMoments:
        """Return mean 1 and variance 1; the kurtosis is 9."""
        del shape, is_complex
        variance = squared(self.scale)
        return NominalMoments(
            mean=self.scale, variance=variance, lower=0.0, upper=math.inf, kurtosis=9.0
        )

    def cdf(self, unit: Reals) -> Reals:
        """Return 1 - exp(-x)."""
        return np.asarray(-np.expm1(-unit))

    def log_density(self, unit: Reals) -> Reals:
        """Return -x."""
        return np.asarray(-unit)

    def uniform_range(self, number: Format) -> tuple[float, float]:
        """Return [0, 1): the logarithm is of 1 - u, which is never 0."""
        del number
        return 0.0, 1.0

    def quantile(self, fraction: Reals, number: Format) -> Reals:
        """Return -log(1 - p)."""
        del number
        return np.asarray(-np.log1p(-fraction))

    def followed(self, uniform: Reals, rounded: Any) -> Reals:
        """Return the rounded logarithm."""
        return np.asarray(-rounded(np.log1p(-uniform)))


def right(key: Any, shape: tuple[int, ...], dtype: Any = "float32") -> Any:
    return jax.random.laplace(key, shape, dtype) * jnp.asarray(SCALE, dtype)


def rising(key: Any, shape: tuple[int, ...], dtype: Any = "float32") -> Any:
    """The distribution is right, and every element is another than that of `jax.random`."""
    return -right(key, shape, dtype)


def trading(key: Any, shape: tuple[int, ...], dtype: Any = "float32") -> Any:
    """Two neighbours of the lattice trade places."""
    drawn = right(key, shape, dtype).ravel()
    return drawn.at[jnp.array([40, 41])].set(drawn[jnp.array([41, 40])]).reshape(shape)


def catalogue_of(draw: Any) -> Catalogue:
    catalogue = Catalogue()
    catalogue.register("mine", lambda: draw, definition=Laplace(scale=SCALE))
    return catalogue


def failed_laws(draw: Any, dtype: str) -> set[str]:
    spec = catalogue_of(draw).lookup("mine")
    swept = sweep(spec, sweep_case(spec, dtype, "cpu", "eager"), open_backend("cpu"))
    evidence = gather(Laplace(scale=SCALE), swept, Budget(max_ulp=4, max_ulp_at_sigma=4.0))
    return {each.check for each in judge_law(evidence) if each.status is not Status.PASSED}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_law_that_falls_has_its_exact_law(dtype: str) -> None:
    assert failed_laws(right, dtype) == set()


def test_a_law_that_rises_instead_is_out_of_order() -> None:
    assert failed_laws(rising, "float16") >= {"law_order", "law_accuracy", "law_sequence"}


def test_two_draws_that_trade_places_are_out_of_order() -> None:
    assert "law_order" in failed_laws(trading, "float16")


def test_a_case_of_it_passes_every_check_but_that_of_the_golden_that_it_lacks() -> None:
    problem = Problem(initializer="mine", dtype="float32", shape=(64, 32), seed=0)
    catalogue = catalogue_of(right)
    evidence = Evidence(
        spec=catalogue.lookup("mine"),
        observation=small_golden.observed(
            Case(problem=problem, backend="cpu", transform="eager"), catalogue
        ),
        drift=None,
        budget=DEFAULT_BUDGET,
    )

    results = [check(evidence) for check in default_checks(DriftClass.ROUNDING)]

    assert {each.check for each in results if each.status is Status.FAILED} == {"values"}
    assert {each.check for each in results if each.status is Status.PASSED} >= {"oracle", "moments"}


def test_how_far_out_an_element_lies_is_counted_from_the_mean_of_the_law() -> None:
    array = np.full((4, 8), SCALE, np.float32)
    array[1, 2] = 101 * SCALE

    result = check_structure(evidence(Exponential(scale=SCALE), array))

    assert result.status is Status.FAILED
    assert "the maximum 12.625 lies 100 sigma from the mean, and no word draws" in result.message
