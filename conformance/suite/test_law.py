"""One test a sweep: the exact law of each elementwise initializer, eager and jitted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from conformance.cases.sweeps import law_cases
from conformance.core.budgets import BudgetTable
from conformance.core.ids import Case
from conformance.pytest_plugin import FAULT, SESSION
from conformance.run.matrix_sweep import MatrixSweep, matrix_sweeps
from conformance.run.matrix_sweep import evaluate as evaluate_matrices
from conformance.run.options import selection_here
from conformance.run.session import Session
from conformance.run.sweeps import evaluate
from conformance.store.budgets import stacked

NOTHING = pytest.param(
    None, id="none", marks=pytest.mark.skip(reason="nothing with an elementwise law is selected")
)
NO_MATRIX = pytest.param(
    None, id="none", marks=pytest.mark.skip(reason="no backend that factors matrices is selected")
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one item of every selected sweep."""
    if not {"law_case", "matrix_sweep"} & set(metafunc.fixturenames):
        return
    session = metafunc.config.stash[SESSION]
    selection = selection_here(session.options)
    if "matrix_sweep" in metafunc.fixturenames:
        sweeps = [pytest.param(sweep, id=sweep.id) for sweep in matrix_sweeps(selection)]
        metafunc.parametrize("matrix_sweep", sweeps or [NO_MATRIX])
        return
    cases = law_cases(session.catalogue, selection)
    items = [pytest.param(case, id=case.id) for case in cases]
    metafunc.parametrize("law_case", items or [NOTHING])


@pytest.fixture(scope="session")
def budgets(conformance_session: Session) -> BudgetTable:
    """The errors that the sweeps may show."""
    asked = conformance_session.options
    return stacked(asked.golden_folder, asked.overlays)


def test_law(
    law_case: Case,
    conformance_session: Session,
    budgets: BudgetTable,
    record_property: Callable[[str, object], None],
    request: pytest.FixtureRequest,
) -> None:
    """Every point of the lattice is where the definition has it, and so are mean and variance."""
    result = evaluate(
        law_case,
        catalogue=conformance_session.catalogue,
        budgets=budgets,
        ledger=conformance_session.ledger,
    )
    record_property("law", result.line)
    text = conformance_session.failure_text(
        result.result, conformance_session.rerun_sweep(law_case)
    )
    if not result.is_judged:
        request.node.user_properties.append((FAULT, text))
    if text:
        pytest.fail(text, pytrace=False)


def test_matrices(
    matrix_sweep: MatrixSweep,
    conformance_session: Session,
    budgets: BudgetTable,
    record_property: Callable[[str, object], None],
) -> None:
    """Over seeds and sizes, every column is that of the Q of what was drawn."""
    result = evaluate_matrices(matrix_sweep, budgets)

    column, gram = result.found.column.error, result.found.gram.error
    record_property("law", f"column error {column:.3g} u, gram error {gram:.3g} u")
    if result.fault:
        rerun = conformance_session.rerun_matrices(matrix_sweep)
        pytest.fail(f"{result.fault}\n  rerun: {rerun}", pytrace=False)
