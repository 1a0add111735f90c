"""Every case has a budget: measured where a sweep is possible, derived where it is not."""

from __future__ import annotations

import dataclasses

import jax
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import Catalogue, InitializerSpec
from conformance.core.budgets import BudgetTable
from conformance.core.ids import parse_case
from conformance.core.laws import Definition, Orthogonal
from conformance.core.records import Budget, MatrixBudget
from conformance.judge.budgets import POLAR_REACH, POLAR_ROUNDINGS, budget_for, release_budget
from conformance.judge.drift import DEFAULT_BUDGET

CATALOGUE = load_catalogue()
MATRICES = MatrixBudget(column=40.0, gram=50.0)
MEASURED = Budget(max_ulp=91, max_ulp_at_sigma=4.0)


class Measured:
    """A table that holds one figure for everything, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def budget(self, *asked: str) -> Budget:
        """Return the figure."""
        self.asked.append(asked)
        return MEASURED

    def matrix_budget(self, backend: str, dtype: str) -> MatrixBudget | None:
        """Return the figures of matrices."""
        del backend, dtype
        return MATRICES


def budget(case_id: str, measured: Measured | None = None) -> Budget:
    case = parse_case(case_id)
    return budget_for(CATALOGUE.lookup(case.problem.initializer), case, measured or Measured())


def registered(definition: Definition | None) -> InitializerSpec:
    """Return the initializer that a user registers as `mine`; it is never called."""
    catalogue = Catalogue()
    catalogue.register("mine", jax.nn.initializers.orthogonal, definition=definition)
    return catalogue.lookup("mine")


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


def test_the_roundings_of_a_polar_form_are_counted_by_hand() -> None:
    """Of the angle's constant and product 2 pi each, of sine or cosine 2, of the radius 4 and 3."""
    assert pytest.approx(12.566370614 + 9, rel=1e-9) == POLAR_ROUNDINGS
    assert pytest.approx(2.105263158, rel=1e-9) == POLAR_REACH


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_a_matrix_has_its_own_budget_and_that_of_the_normals_drawn_for_it(dtype: str) -> None:
    matrix = budget(f"orthogonal-{dtype}-256x4-s0-cpu-eager")
    normals = budget(f"normal_1-{dtype}-256x4-s0-cpu-eager")

    assert matrix == dataclasses.replace(normals, matrix=MATRICES)


def test_constants_and_users_laws_have_the_default() -> None:
    mine = registered(CATALOGUE.lookup("normal").definition)
    case = parse_case("mine-float32-64x32-s0-cpu-eager")

    assert budget("ones-float32-64x32-s0-cpu-eager") == DEFAULT_BUDGET
    assert budget_for(mine, case, Measured()) == DEFAULT_BUDGET


def test_where_the_oracle_foretells_every_bit_nothing_is_allowed() -> None:
    case = parse_case("normal-float8_e4m3-64x32-s0-cpu-eager")
    measured = Measured()

    assert budget_for(CATALOGUE.lookup("normal"), case, measured) == Budget(
        max_ulp=0, max_ulp_at_sigma=0.0
    )
    assert measured.asked == []
    assert budget_for(CATALOGUE.lookup("normal"), case, None) == DEFAULT_BUDGET


def test_matrices_of_two_releases_need_no_sweep_of_their_backend() -> None:
    """What was drawn is on record for both, and theory bounds what QR makes of it."""
    case = parse_case("orthogonal-float32-64x32-s0-tpu-eager")
    nothing = BudgetTable(measurements={})

    found = release_budget(CATALOGUE.lookup("orthogonal"), case, nothing)

    assert found == DEFAULT_BUDGET
    assert found.matrix is None


def test_a_users_matrix_needs_no_budgets_in_the_users_set() -> None:
    mine = registered(Orthogonal(scale=1.0, column_axis=-1))
    case = parse_case("mine-float32-64x32-s0-cpu-eager")

    found = budget_for(mine, case, BudgetTable(measurements={}))

    assert found == DEFAULT_BUDGET
