"""Which budget an element has: measured, derived from roundings, or the default."""

from __future__ import annotations

import dataclasses

import pytest

from conformance.cases.catalogue import InitializerSpec
from conformance.core.budgets import BudgetTable
from conformance.core.errors import MissingBudget
from conformance.core.ids import Case, Problem
from conformance.core.laws import (
    COMPLEX_TRUNCATED_STDDEV,
    Constant,
    Definition,
    DeltaOrthogonal,
    NominalMoments,
    Normal,
    Orthogonal,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
)
from conformance.core.records import Budget, MatrixBudget
from conformance.judge.budgets import POLAR_REACH, budget_for, release_budget
from conformance.judge.drift import DEFAULT_BUDGET
from tests.evidence import declared, spec_of

MEASURED = Budget(max_ulp=91, max_ulp_at_sigma=4.0)
RESCALED = Budget(max_ulp=94, max_ulp_at_sigma=7.0)
"""Of six roundings each moves a scale by half an ULP."""

POLAR_FIGURE = (4 * 3.141592653589793 + 2 + 4 + 3) * 2 / 0.95
"""Roundings, times the largest modulus in units of sigma."""

MATRICES = MatrixBudget(column=40.0, gram=50.0)
REALS = ("float32", "float64", "bfloat16", "float16")
DECLARED = declared(NominalMoments(mean=0, variance=1.0, lower=-9.0, upper=9.0))


class Measured:
    """A table with one figure for everything, or none, that notes what it was asked."""

    def __init__(self, matrices: MatrixBudget | None = MATRICES, *, is_swept: bool = True) -> None:
        self.asked: list[tuple[str, ...]] = []
        self._matrices = matrices
        self._is_swept = is_swept

    def budget(self, backend: str, initializer: str, family: str, dtype: str) -> Budget:
        """Return the figure."""
        self.asked.append((backend, initializer, family, dtype))
        if not self._is_swept:
            raise MissingBudget("nobody swept it")
        return MEASURED

    def matrix_budget(self, backend: str, dtype: str) -> MatrixBudget | None:
        """Return the figures of matrices."""
        self.asked.append((backend, dtype))
        return self._matrices


def scaling(distribution: str) -> VarianceScaling:
    return VarianceScaling(scale=1.0, mode="fan_in", distribution=distribution)


def drawn(definition: Definition | None) -> InitializerSpec:
    """Return an initializer of the builtin family of normals."""
    return spec_of(definition, "normal")


def case_in(dtype: str, shape: tuple[int, ...] = (64, 32)) -> Case:
    problem = Problem(initializer="mine", dtype=dtype, shape=shape, seed=0)
    return Case(problem=problem, backend="tpu", transform="jit")


# --- Laws of single words ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "definition",
    [Normal(stddev=0.5), TruncatedNormal(stddev=0.5), Uniform(scale=2.0)],
    ids=str,
)
@pytest.mark.parametrize("dtype", REALS)
def test_a_law_of_one_constant_factor_has_its_measured_budget(
    definition: Definition, dtype: str
) -> None:
    measured = Measured()

    found = budget_for(drawn(definition), case_in(dtype), measured)

    assert found == MEASURED
    assert measured.asked == [("tpu", "mine", "normal", dtype)]


@pytest.mark.parametrize("distribution", ["normal", "truncated_normal", "uniform"])
@pytest.mark.parametrize("dtype", REALS)
def test_a_factor_that_follows_from_the_fan_adds_its_roundings(
    distribution: str, dtype: str
) -> None:
    found = budget_for(drawn(scaling(distribution)), case_in(dtype), Measured())

    assert found == RESCALED
    assert isinstance(found.max_ulp, int)


@pytest.mark.parametrize(("dtype", "part"), [("complex64", "float32"), ("complex128", "float64")])
@pytest.mark.parametrize("definition", [Normal(stddev=0.5), scaling("normal")], ids=str)
def test_a_complex_normal_has_the_budget_of_its_parts(
    definition: Definition, dtype: str, part: str
) -> None:
    measured = Measured()

    found = budget_for(drawn(definition), case_in(dtype), measured)

    assert found == RESCALED
    assert measured.asked == [("tpu", "normal_1", "normal", part)]


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("distribution", ["truncated_normal", "uniform"])
def test_a_complex_variate_in_polar_form_has_its_roundings(distribution: str, dtype: str) -> None:
    measured = Measured()

    found = budget_for(drawn(scaling(distribution)), case_in(dtype), measured)

    assert (found.max_ulp, found.matrix) == (0, None)
    assert found.max_ulp_at_sigma == pytest.approx(POLAR_FIGURE, rel=1e-15)
    assert measured.asked == []


def test_no_complex_truncated_normal_reaches_further_than_is_counted() -> None:
    """JAX divides by 0.9531, the definition by 0.9620; a uniform disk reaches root 2."""
    assert 2 / COMPLEX_TRUNCATED_STDDEV < 2 / 0.95311164380491208 < POLAR_REACH


@pytest.mark.parametrize("definition", [None, Constant(value=1.0), DECLARED], ids=str)
def test_what_is_not_drawn_by_a_known_sampler_has_the_default(
    definition: Definition | None,
) -> None:
    assert budget_for(drawn(definition), case_in("float32"), Measured()) == DEFAULT_BUDGET


def test_a_users_law_has_the_default() -> None:
    spec = spec_of(Normal(stddev=1.0), family="mine")

    assert budget_for(spec, case_in("float32"), Measured()) == DEFAULT_BUDGET


@pytest.mark.parametrize("definition", [Normal(stddev=1.0), Orthogonal(), None], ids=str)
def test_where_nothing_is_measured_everything_has_the_default(
    definition: Definition | None,
) -> None:
    assert budget_for(drawn(definition), case_in("float32"), None) == DEFAULT_BUDGET


def test_a_backend_that_was_never_swept_has_no_budget() -> None:
    with pytest.raises(MissingBudget):
        budget_for(drawn(Normal(stddev=1.0)), case_in("float32"), Measured(is_swept=False))


# --- Matrices ------------------------------------------------------------------------------------

of_matrices = pytest.mark.parametrize(
    ("definition", "shape"), [(Orthogonal(), (64, 32)), (DeltaOrthogonal(), (3, 4, 8))], ids=str
)


@of_matrices
@pytest.mark.parametrize("matrices", [MATRICES, None])
def test_a_matrix_has_its_own_budget_and_that_of_its_normals(
    definition: Definition, shape: tuple[int, ...], matrices: MatrixBudget | None
) -> None:
    measured = Measured(matrices)

    found = budget_for(spec_of(definition, "orthogonal"), case_in("float32", shape), measured)

    assert found == dataclasses.replace(MEASURED, matrix=matrices)
    assert measured.asked == [("tpu", "float32"), ("tpu", "normal_1", "normal", "float32")]


@of_matrices
def test_a_complex_matrix_has_the_budget_of_complex_normals(
    definition: Definition, shape: tuple[int, ...]
) -> None:
    measured = Measured()

    found = budget_for(spec_of(definition, "orthogonal"), case_in("complex64", shape), measured)

    assert found == dataclasses.replace(RESCALED, matrix=MATRICES)
    assert measured.asked == [("tpu", "complex64"), ("tpu", "normal_1", "normal", "float32")]


def test_a_users_matrix_needs_no_sweep() -> None:
    spec, measured = spec_of(Orthogonal(), "mine"), Measured(is_swept=False)

    found = budget_for(spec, case_in("float32"), measured)

    assert found == dataclasses.replace(DEFAULT_BUDGET, matrix=MATRICES)


def test_a_builtin_matrix_on_a_backend_that_was_never_swept_has_no_budget() -> None:
    spec = spec_of(Orthogonal(), "orthogonal")

    with pytest.raises(MissingBudget):
        budget_for(spec, case_in("float32"), Measured(is_swept=False))


# --- Two releases --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [None, drawn(None), drawn(Normal(stddev=1.0)), drawn(scaling("normal"))],
    ids=["unknown", "undefined", "normal", "scaling"],
)
def test_two_releases_may_differ_by_the_default_and_no_more(spec: InitializerSpec | None) -> None:
    assert release_budget(spec, case_in("float32"), Measured()) == DEFAULT_BUDGET


@of_matrices
def test_a_matrix_is_held_to_what_each_release_drew_for_it(
    definition: Definition, shape: tuple[int, ...]
) -> None:
    found = release_budget(spec_of(definition, "orthogonal"), case_in("float32", shape), Measured())

    assert found == dataclasses.replace(MEASURED, matrix=MATRICES)


@of_matrices
def test_theory_bounds_a_matrix_of_a_backend_that_was_never_swept(
    definition: Definition, shape: tuple[int, ...]
) -> None:
    nothing = BudgetTable(measurements={})

    found = release_budget(spec_of(definition, "orthogonal"), case_in("float32", shape), nothing)

    assert found == DEFAULT_BUDGET
    assert found.matrix is None
