"""Every case has a budget: measured where a sweep is possible, derived where it is not."""

from __future__ import annotations

import pytest

from conformance.builtin import load_catalogue
from conformance.catalogue import Catalogue
from conformance.checks.budget import POLAR_REACH, POLAR_ROUNDINGS, budget_for
from conformance.drift import DEFAULT_BUDGET
from conformance.model import Budget, parse_case

CATALOGUE = load_catalogue()
MEASURED = Budget(max_ulp=91, max_ulp_at_sigma=4.0)


class Measured:
    """A table that holds one figure for everything, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def budget(self, *asked: str) -> Budget:
        """Return the figure."""
        self.asked.append(asked)
        return MEASURED


def budget(case_id: str, measured: Measured | None = None) -> Budget:
    case = parse_case(case_id)
    return budget_for(CATALOGUE.lookup(case.problem.initializer), case, measured or Measured())


def test_a_law_of_single_words_has_its_measured_budget() -> None:
    measured = Measured()

    found = budget("normal-float32-64x32-s0-cuda-jit", measured)

    assert found == MEASURED
    assert measured.asked == [("cuda", "normal", "normal", "float32")]


def test_a_scale_that_follows_from_the_fan_adds_its_roundings() -> None:
    """The sweep has one shape; float64 uniforms err by 0 ULP there and by 1 at other fans."""
    found = budget("he_normal-float32-64x32-s0-cpu-eager")

    assert (found.max_ulp, found.max_ulp_at_sigma) == (94, 7.0)


def test_a_complex_normal_is_made_of_measured_parts() -> None:
    measured = Measured()

    found = budget("normal_0.02-complex64-64-s0-cpu-eager", measured)

    assert measured.asked == [("cpu", "normal_1", "normal", "float32")]
    assert (found.max_ulp, found.max_ulp_at_sigma) == (94, 7.0)


@pytest.mark.parametrize("name", ["lecun_uniform", "he_normal"])
def test_a_complex_variate_in_polar_form_has_the_roundings_of_its_angle(name: str) -> None:
    found = budget(f"{name}-complex128-64x32-s0-cpu-eager")

    assert found == Budget(max_ulp=0, max_ulp_at_sigma=POLAR_ROUNDINGS * POLAR_REACH)


def test_the_budget_of_a_matrix_grows_with_its_condition() -> None:
    """A square Gaussian matrix is far worse conditioned than a tall one of as many elements."""
    square, tall = (budget(f"orthogonal-float32-{s}-s0-cpu-eager") for s in ("32x32", "256x4"))

    assert square.max_ulp == tall.max_ulp == 0
    assert square.max_ulp_at_sigma > tall.max_ulp_at_sigma


def test_a_matrix_without_an_oracle_has_the_condition_of_the_bulk() -> None:
    with_oracle = budget("orthogonal-float32-256x4-s0-cpu-eager")
    without = budget("orthogonal-float32-256x4-s0-rbg-cpu-eager")

    assert without.max_ulp_at_sigma > with_oracle.max_ulp_at_sigma


def test_constants_and_users_laws_have_the_default() -> None:
    catalogue = Catalogue()
    catalogue.register("mine", lambda: None, definition=CATALOGUE.lookup("normal").definition)  # type: ignore[arg-type, return-value]  # never called
    case = parse_case("mine-float32-64x32-s0-cpu-eager")

    assert budget("ones-float32-64x32-s0-cpu-eager") == DEFAULT_BUDGET
    assert budget_for(catalogue.lookup("mine"), case, Measured()) == DEFAULT_BUDGET
