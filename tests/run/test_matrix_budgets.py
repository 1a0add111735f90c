"""How far matrices may err: the worst that was ever seen, kept with where, and never forgotten."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from conformance.cases.selection import Selection
from conformance.cli import main
from conformance.core.budgets import (
    MATRICES,
    MATRIX_MARGIN,
    BudgetTable,
    MatrixMeasurement,
    MatrixPoint,
    Measurement,
    ShapeErrors,
)
from conformance.core.errors import LooserBudget, MissingBudget
from conformance.core.ids import Tier
from conformance.core.paths import BUDGETS, shipped
from conformance.judge.checks.matrices import derived_budget
from conformance.observe.matrices import factored
from conformance.run import matrix_sweep
from conformance.run.matrix_sweep import MatrixSweep, evaluate, matrix_sweeps, measure
from conformance.store.budgets import load, merged, save
from tests import ROOT

DTYPES = ("float32", "float64", "complex64", "complex128")
DOCUMENT = (ROOT / "docs" / "matrices.md").read_text()
SHIPPED = load(shipped() / BUDGETS)
SEEDS = 20
"""How many matrices of 4 x 4 are drawn in each test that draws any: one program draws them all."""


def shipped_matrices(dtype: str) -> MatrixMeasurement:
    found = SHIPPED.measurements[f"cpu {MATRICES} {dtype}"].matrix
    assert found is not None
    return found


def point(error: float, kernel: str = "Haswell") -> MatrixPoint:
    return MatrixPoint(
        error=error,
        shape="4x4",
        seed=7,
        lapack="OpenBLAS 0.3.31",
        lapack_kernel=kernel,
        lapack_threads="2",
    )


def measurement(column: float, gram: float, kernel: str = "Haswell") -> Measurement:
    errors = ShapeErrors(n_seeds=10, column=point(column, kernel), gram=point(gram, kernel))
    return Measurement(
        backend="cpu",
        initializer=MATRICES,
        dtype="float32",
        family="orthogonal",
        at_value=None,
        at_sigma=None,
        device="cpu",
        jax="0.12",
        date="2026-11-29",
        matrix=MatrixMeasurement.of({"4x4": errors}, [f"{kernel} x 2"]),
    )


def table(*lines: Measurement) -> BudgetTable:
    return BudgetTable(measurements={line.key: line for line in lines})


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_shipped_budgets_are_measured_under_several_kernels_and_threads(dtype: str) -> None:
    found = shipped_matrices(dtype)

    assert {name.partition(" x ")[0] for name in found.kernels} >= {"Haswell", "Katmai", "Nehalem"}
    assert {name.partition(" x ")[2] for name in found.kernels} == {"1", "2"}
    assert set(found.by_shape) >= {"2x2", "8x8", "64x32", "256x256"}
    for figure in ("column", "gram"):
        worst = max(getattr(each, figure).error for each in found.by_shape.values())
        assert getattr(found, figure).error == worst


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_document_states_the_shipped_budgets(dtype: str) -> None:
    found = shipped_matrices(dtype)
    figures = (
        f"{found.column.error:.1f} | {found.budget.column:.0f} | "
        f"{found.gram.error:.1f} | {found.budget.gram:.0f} |"
    )

    assert f"| {dtype} | {figures}" in DOCUMENT


@pytest.mark.parametrize("dtype", DTYPES)
def test_measured_budgets_are_tighter_than_theory_but_for_the_smallest_matrices(dtype: str) -> None:
    found = shipped_matrices(dtype).budget
    derived = derived_budget(16, 16, np.dtype(dtype))

    assert found.column < derived.column
    assert found.gram < derived.gram


def test_the_errors_of_a_shape_are_those_of_its_matrices() -> None:
    found = measure("float32", (4, 4), SEEDS)

    assert found.n_seeds == SEEDS
    assert 0 < found.column.error < shipped_matrices("float32").column.error * MATRIX_MARGIN
    assert 0 <= found.column.seed < SEEDS
    assert found.column.shape == "4x4"


def test_a_wrong_sign_is_an_error_of_the_whole_column(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = factored
    monkeypatch.setattr(
        matrix_sweep, "factored", lambda *asked: ((s, -q, a) for s, q, a in pairs(*asked))
    )

    assert measure("float32", (4, 4), SEEDS).column.error > 1e5


def test_a_matrix_that_is_not_finite_is_the_worst(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = factored

    def spoilt(*asked: object) -> object:
        for seed, q, a in pairs(*asked):  # type: ignore[arg-type]  # handed on
            yield seed, q * np.float32(np.nan if seed == 1 else 1), a

    monkeypatch.setattr(matrix_sweep, "factored", spoilt)

    found = measure("float32", (4, 4), SEEDS)

    assert np.isnan(found.column.error)
    assert found.column.seed == 1


def test_measuring_under_one_kernel_forgets_no_other() -> None:
    before = table(measurement(9.0, 12.0, "Katmai"))

    (after,) = merged(before, [measurement(8.0, 11.0)]).measurements.values()

    assert after.matrix is not None
    assert (after.matrix.column, after.matrix.gram) == (point(9.0, "Katmai"), point(12.0, "Katmai"))
    assert after.matrix.kernels == ("Haswell x 2", "Katmai x 2")


def test_a_larger_error_needs_a_reason() -> None:
    before = table(measurement(9.0, 12.0))

    with pytest.raises(LooserBudget, match=r"column 36 u, gram 48 u -> column 40 u, gram 48 u"):
        merged(before, [measurement(10.0, 11.0)])
    (after,) = merged(before, [measurement(10.0, 11.0)], "a new kernel").measurements.values()

    assert after.reason == "a new kernel"
    assert after.budget.matrix is not None
    assert after.budget.matrix.column == MATRIX_MARGIN * 10.0


def test_measured_matrices_come_back_as_they_were_saved(tmp_path: Path) -> None:
    held = table(measurement(9.0, 12.0))

    save(tmp_path / BUDGETS, held)

    assert load(tmp_path / BUDGETS).measurements == held.measurements


def test_a_backend_that_nobody_measured_fails_by_name() -> None:
    with pytest.raises(MissingBudget) as caught:
        evaluate(MatrixSweep(backend="cpu", dtype="float32"), table())

    assert str(caught.value) == (
        "no budget is stored for matrices in float32 on cpu: measure it there with "
        "`conformance law --initializer orthogonal --backend cpu --dtype float32 --write-budgets`"
    )


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        (Selection(), ["orthogonal-float32-cpu"]),
        (Selection(initializers=("orth*",)), ["orthogonal-float32-cpu"]),
        (Selection(initializers=("he_*",)), []),
        (Selection(dtypes=("bfloat16",)), []),
        (Selection(transforms=("jit",)), []),
        (Selection(backends=("stablehlo", "iree")), []),
        (Selection(tier=Tier.FULL, dtypes=("complex64",)), ["orthogonal-complex64-cpu"]),
    ],
)
def test_a_selection_sweeps_what_it_asks_for(selection: Selection, names: list[str]) -> None:
    backends = selection.backends or ("cpu",)

    found = matrix_sweeps(dataclasses.replace(selection, backends=backends))

    assert [sweep.id for sweep in found] == names


def test_the_law_of_orthogonal_shows_sizes_and_budgets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(matrix_sweep, "SEEDS", SEEDS)
    monkeypatch.setattr(matrix_sweep, "SHAPES", ((4, 4), (9, 6)))

    code = main(["law", "--in-process", "--initializer", "orthogonal", "--dtype", "float32"])

    head, *rows = capsys.readouterr().out.splitlines()
    assert code == 0
    assert re.split(r"  +", head)[:4] == ["initializer", "dtype", "shape", "seeds"]
    assert [row.split()[2:4] for row in rows] == [["4x4", f"{SEEDS}"], ["9x6", f"{SEEDS}"]]
    assert all(row.endswith("passed") for row in rows)


def test_the_law_of_a_wrong_matrix_fails_by_seed_and_shape(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = factored
    monkeypatch.setattr(
        matrix_sweep, "factored", lambda *asked: ((s, q[:, ::-1], a) for s, q, a in pairs(*asked))
    )
    monkeypatch.setattr(matrix_sweep, "SEEDS", SEEDS)
    monkeypatch.setattr(matrix_sweep, "SHAPES", ((4, 4),))

    code = main(["law", "--in-process", "--initializer", "orthogonal", "--dtype", "float32"])

    out = capsys.readouterr().out
    assert code == 1
    assert re.search(r"orthogonal-float32-cpu: seed \d+ of 4x4 has a column error of ", out)
