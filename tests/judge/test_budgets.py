"""Budgets tighten by themselves, loosen for a reason only, and answer for nothing unmeasured."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cases.selection import Selection
from conformance.cases.sweeps import is_swept, law_cases
from conformance.core import inventory
from conformance.core.arrays import returned, whole
from conformance.core.budgets import (
    MATRICES,
    MATRIX_MARGIN,
    BudgetTable,
    MatrixMeasurement,
    MatrixPoint,
    Measurement,
    ShapeErrors,
)
from conformance.core.errors import BudgetError, LooserBudget, MissingBudget, UnfitForBudget
from conformance.core.ids import Tier, parse_case
from conformance.core.lattice import Point
from conformance.core.paths import BUDGETS, shipped
from conformance.core.records import Budget, DriftClass, MatrixBudget, Returned, Status
from conformance.core.settings import installed_jax
from conformance.judge.law.verdict import LawResult
from conformance.judge.ledger import Ledger
from conformance.run.sweeps import evaluate, measurements
from conformance.store.budgets import is_looser, load, merged, save, stacked, update
from tests.benches import bench
from tests.judge.test_faults import right


def measurement(
    initializer: str = "normal", ulp: float = 3.0, limitation: str = "", backend: str = "cpu"
) -> Measurement:
    point = Point(ulp=ulp, word=2, fraction=0.0078125, actual=1.5, expected=1.0)
    return Measurement(
        backend=backend,
        initializer=initializer,
        dtype="bfloat16",
        family="normal",
        at_value=point,
        at_sigma=None,
        limitation=limitation,
        device="cpu (avx2)",
        jax="0.12.0.1",
        date="2026-01-02",
    )


def table(*measured: Measurement) -> BudgetTable:
    return BudgetTable(measurements={line.key: line for line in measured})


def test_a_smaller_error_replaces_the_line() -> None:
    after = merged(table(measurement(ulp=3.0)), [measurement(ulp=2.0)])

    assert after.of("cpu", "normal", "bfloat16") == Budget(max_ulp=2, max_ulp_at_sigma=0.0)


def test_a_larger_error_is_refused_without_a_reason() -> None:
    with pytest.raises(LooserBudget) as caught:
        merged(table(measurement(ulp=3.0)), [measurement(ulp=4.0)])

    assert "cpu normal bfloat16: 3 ULP, 0 ULP of sigma -> 4 ULP, 0 ULP of sigma" in str(
        caught.value
    )
    assert "--reason" in str(caught.value)


def test_a_reason_stays_with_the_line_that_it_loosened() -> None:
    old, other = measurement(ulp=3.0), measurement("normal_1", ulp=1.0)

    after = merged(table(old, other), [measurement(ulp=4.0), other], "a new kernel")

    assert after.measurements[old.key].reason == "a new kernel"
    assert after.measurements[other.key].reason == ""


def test_a_family_takes_the_worst_of_its_members() -> None:
    held = table(measurement("normal", 3.0), measurement("normal_1", 5.0))

    assert held.budget("cpu", "normal_new", "normal", "bfloat16").max_ulp == 5


def test_an_initializer_has_its_own_budget_before_its_familys() -> None:
    held = table(measurement("normal", 3.0), measurement("normal_1", 5.0))

    assert held.budget("cpu", "normal", "normal", "bfloat16").max_ulp == 3


def test_a_known_defect_sets_no_budget_for_its_family() -> None:
    held = table(measurement("normal", 3.0), measurement("normal_1", 99.0, limitation="defect"))

    assert held.budget("cpu", "normal_1", "normal", "bfloat16").max_ulp == 3
    assert held.of("cpu", "normal_1", "bfloat16") == Budget(max_ulp=99, max_ulp_at_sigma=0.0)


def test_a_backend_that_was_never_measured_has_no_budget_and_says_how_to_get_one() -> None:
    with pytest.raises(MissingBudget) as caught:
        table(measurement()).budget("tpu", "normal", "normal", "bfloat16")

    assert "the family 'normal' in bfloat16 on tpu" in str(caught.value)
    assert "`conformance law --backend tpu --dtype bfloat16 --write-budgets`" in str(caught.value)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    held = table(measurement(), measurement("normal_1"))
    save(tmp_path / "golden" / BUDGETS, held)

    assert load(tmp_path / "golden" / BUDGETS).measurements == held.measurements


def test_a_table_that_does_not_exist_yet_is_empty(tmp_path: Path) -> None:
    assert load(tmp_path / BUDGETS).measurements == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read .*: restore it from version control"),
        ('{"schema": 1}', "cannot be read .the field 'budgets' is missing"),
        (
            '{"schema": 99, "budgets": {}}',
            "has version 99 of the format `budgets`, this",
        ),
        (
            '{"schema": 1, "budgets": {"cpu normal": {}}}',
            "budgets, cpu normal: the line names no",
        ),
    ],
)
def test_a_broken_table_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / BUDGETS
    path.write_text(text)

    with pytest.raises(BudgetError, match=message) as caught:
        load(path)

    assert str(path) in str(caught.value)


def test_a_table_that_its_set_does_not_list_so_is_refused(tmp_path: Path) -> None:
    path = tmp_path / BUDGETS
    save(path, table(measurement(ulp=3.0)))
    inventory.write(tmp_path)
    listed = load(path)
    path.write_text(path.read_text().replace('"ulp": 3.0', '"ulp": 9.0'))

    assert listed.of("cpu", "normal", "bfloat16") == measurement(ulp=3.0).budget
    with pytest.raises(BudgetError, match=re.escape(str(path))):
        load(path)


def test_the_last_overlay_that_holds_a_line_counts_and_is_named(tmp_path: Path) -> None:
    lines = {
        "golden": [measurement("normal", 1.0), measurement("normal_1", 1.0), measurement("n", 1.0)],
        "cpu": [measurement("normal", 2.0), measurement("normal_1", 2.0)],
        "cpu@0.10": [measurement("normal", 3.0)],
    }
    for name, measured in lines.items():
        save(tmp_path / name / BUDGETS, table(*measured))
    overlays = [tmp_path / "cpu", tmp_path / "cpu@0.10"]

    held = stacked(tmp_path / "golden", overlays)

    found = {name: held.of("cpu", name, "bfloat16") for name in ("normal", "normal_1", "n")}
    assert found == {
        "normal": Budget(max_ulp=3, max_ulp_at_sigma=0.0, overlay="cpu@0.10"),
        "normal_1": Budget(max_ulp=2, max_ulp_at_sigma=0.0, overlay="cpu"),
        "n": Budget(max_ulp=1, max_ulp_at_sigma=0.0),
    }
    assert held.golden_option == (
        f" --golden {tmp_path / 'golden'} --overlay {overlays[0]} --overlay {overlays[1]}"
    )
    family = held.budget("cpu", "normal_new", "normal", "bfloat16")
    assert family == Budget(max_ulp=3, max_ulp_at_sigma=0.0, overlay="cpu, cpu@0.10")


def test_what_is_measured_is_merged_into_the_file_of_the_set(tmp_path: Path) -> None:
    path, said = tmp_path / BUDGETS, list[str]()
    save(path, table(measurement("normal", 3.0), measurement("n", 3.0)))

    held = update(path, [measurement("normal", 2.0)], "", said.append)

    assert load(path).measurements == held.measurements
    assert held.of("cpu", "normal", "bfloat16") == measurement("normal", 2.0).budget
    assert held.of("cpu", "n", "bfloat16") == measurement("n", 3.0).budget
    with pytest.raises(LooserBudget):
        update(path, [measurement("normal", 4.0)], "", said.append)
    assert load(path).measurements == held.measurements
    assert said == []


def test_an_overlay_may_not_err_more_than_what_it_lies_on_without_a_reason() -> None:
    below = table(measurement("normal", 3.0))

    with pytest.raises(LooserBudget, match=r"normal bfloat16: 3 ULP, .* -> 4 ULP"):
        merged(table(), [measurement("normal", 4.0)], below=below)
    (line,) = merged(table(), [measurement("normal", 4.0)], "why", below).measurements.values()
    assert line.reason == "why"
    (line,) = merged(table(), [measurement("normal", 3.0)], "why", below).measurements.values()
    assert line.reason == ""


# --- Figures, one at its bound and one beside ----------------------------------------------------


def budget(
    max_ulp: int = 3, max_ulp_at_sigma: float = 2.0, column: float = 9.0, gram: float = 12.0
) -> Budget:
    matrix = MatrixBudget(column=column, gram=gram)
    return Budget(max_ulp=max_ulp, max_ulp_at_sigma=max_ulp_at_sigma, matrix=matrix)


@pytest.mark.parametrize(
    ("figure", "more"),
    [
        ("max_ulp", 4),
        ("max_ulp_at_sigma", math.nextafter(2.0, 3)),
        ("column", math.nextafter(9.0, 10)),
        ("gram", math.nextafter(12.0, 13)),
    ],
)
def test_a_budget_is_looser_if_any_figure_is(figure: str, more: float) -> None:
    changes: dict[str, Any] = {figure: more}
    looser = budget(**changes)

    assert is_looser(looser, budget())
    assert not is_looser(budget(), looser)
    assert is_looser(dataclasses.replace(looser, max_ulp=looser.max_ulp - 1), budget()) == (
        figure != "max_ulp"
    )


def test_an_equal_budget_is_not_looser() -> None:
    assert not is_looser(budget(), budget())


def test_a_budget_for_matrices_is_looser_than_none() -> None:
    assert is_looser(budget(), dataclasses.replace(budget(), matrix=None))
    assert not is_looser(dataclasses.replace(budget(), matrix=None), budget())


@pytest.mark.parametrize(
    ("column", "gram", "is_so"), [(0.0, 0.0, False), (0.5, 0.0, True), (0.0, 0.5, True)]
)
def test_no_budget_for_matrices_allows_no_error(column: float, gram: float, is_so: bool) -> None:
    none = dataclasses.replace(budget(), matrix=None)

    assert is_looser(budget(column=column, gram=gram), none) == is_so
    assert not is_looser(none, budget(column=column, gram=gram))


def point(ulp: float) -> Point:
    return Point(ulp=ulp, word=2, fraction=0.0078125, actual=1.5, expected=1.0)


def test_a_budget_is_the_error_at_the_worst_points() -> None:
    measured = dataclasses.replace(measurement(), at_value=point(3.75), at_sigma=point(1.25))

    assert measured.budget == Budget(max_ulp=3, max_ulp_at_sigma=1.25)
    without = dataclasses.replace(measured, at_value=None, at_sigma=None)
    assert without.budget == Budget(max_ulp=0, max_ulp_at_sigma=0.0)


def test_a_family_takes_the_worst_of_each_figure() -> None:
    one = dataclasses.replace(measurement("normal_1", 3.0), at_sigma=point(0.5))
    two = dataclasses.replace(measurement("normal_2", 2.0), at_sigma=point(1.5))

    found = table(one, two).budget("cpu", "normal_new", "normal", "bfloat16")

    assert found == Budget(max_ulp=3, max_ulp_at_sigma=1.5)


@pytest.mark.parametrize("other", [{"backend": "tpu"}, {"dtype": "float16"}, {"family": "uniform"}])
def test_a_family_is_of_one_backend_and_dtype(other: dict[str, str]) -> None:
    changes: dict[str, Any] = other
    stranger = dataclasses.replace(measurement("normal_2", 99.0), **changes)

    found = table(measurement(), stranger).budget("cpu", "normal_new", "normal", "bfloat16")

    assert found.max_ulp == 3


def test_a_table_answers_for_what_it_holds_only() -> None:
    held = table(measurement())

    assert held.of("cpu", "normal", "bfloat16") == measurement().budget
    assert held.of("tpu", "normal", "bfloat16") is None
    assert held.of("cpu", "normal", "float16") is None
    assert held.matrix_budget("cpu", "bfloat16") is None


# --- Matrices ------------------------------------------------------------------------------------


def worst(error: float, shape: str = "4x4") -> MatrixPoint:
    return MatrixPoint(
        error=error, shape=shape, seed=7, lapack="a", lapack_kernel="b", lapack_threads="2"
    )


def errors(column: float, gram: float, n_seeds: int = 10) -> ShapeErrors:
    return ShapeErrors(n_seeds=n_seeds, column=worst(column), gram=worst(gram))


def matrices(by_shape: dict[str, ShapeErrors], *kernels: str) -> Measurement:
    return dataclasses.replace(
        measurement(MATRICES),
        at_value=None,
        family="orthogonal",
        matrix=MatrixMeasurement.of(by_shape, kernels),
    )


def test_the_worse_of_two_sweeps_of_a_shape_counts_for_each_figure() -> None:
    one, two = errors(3.0, 8.0, n_seeds=20), errors(5.0, 7.0)

    joined = ShapeErrors(n_seeds=10, column=worst(5.0), gram=worst(8.0))
    assert one.joined(two) == joined
    assert two.joined(one) == joined


def test_a_measurement_of_matrices_is_the_worst_of_its_shapes() -> None:
    found = MatrixMeasurement.of({"a": errors(3.0, 8.0), "b": errors(5.0, 7.0)}, ["y", "x", "y"])

    assert (found.column, found.gram) == (worst(5.0), worst(8.0))
    assert found.kernels == ("x", "y")
    assert found.by_shape == {"a": errors(3.0, 8.0), "b": errors(5.0, 7.0)}


def test_measurements_of_matrices_are_joined_shape_by_shape() -> None:
    one = MatrixMeasurement.of({"a": errors(3.0, 8.0), "b": errors(1.0, 1.0)}, ["x"])
    two = MatrixMeasurement.of({"a": errors(2.0, 9.0), "c": errors(4.0, 4.0)}, ["y", "x"])

    found = one.joined(two)

    assert found.by_shape == {"a": errors(3.0, 9.0), "b": errors(1.0, 1.0), "c": errors(4.0, 4.0)}
    assert (found.column, found.gram) == (worst(4.0), worst(9.0))
    assert found.kernels == ("x", "y")


def test_a_matrix_may_err_by_four_times_the_largest_error_seen() -> None:
    found = matrices({"a": errors(3.0, 8.5)}, "x")

    assert MATRIX_MARGIN == 4
    assert found.budget == budget(0, 0.0, 12.0, 34.0)
    assert table(found).matrix_budget("cpu", "bfloat16") == MatrixBudget(column=12.0, gram=34.0)


def test_of_matrices_both_figures_are_shown_when_they_grow() -> None:
    before = table(matrices({"a": errors(3.0, 8.0)}, "x"))

    with pytest.raises(LooserBudget) as caught:
        merged(before, [matrices({"a": errors(2.0, 9.0)}, "y")])

    assert "cpu orthogonal bfloat16: column 12 u, gram 32 u -> column 12 u, gram 36 u" in str(
        caught.value
    )


def test_matrices_that_err_less_only_add_their_kernel() -> None:
    before = table(matrices({"a": errors(3.0, 8.0)}, "x"))

    (after,) = merged(before, [matrices({"a": errors(2.0, 7.0)}, "y")]).measurements.values()

    assert after == matrices({"a": errors(3.0, 8.0)}, "x", "y")


def test_matrices_are_loaded_as_they_were_saved(tmp_path: Path) -> None:
    held = table(matrices({"a": errors(3.0, 8.0), "b": errors(5.0, 7.0)}, "x", "y"), measurement())
    save(tmp_path / BUDGETS, held)

    assert load(tmp_path / BUDGETS).measurements == held.measurements
    lines = (tmp_path / BUDGETS).read_text().splitlines()
    assert '"matrix"' not in lines[1]
    assert '"matrix"' in lines[2]


def test_every_budget_that_would_grow_is_named_and_none_is_replaced() -> None:
    before = table(measurement("normal", 3.0), measurement("normal_1", 3.0), measurement("n", 3.0))
    measured = [measurement("normal", 4.0), measurement("n", 2.0), measurement("normal_1", 5.0)]

    with pytest.raises(LooserBudget) as caught:
        merged(before, measured)

    assert str(caught.value).splitlines()[1:3] == [
        "  cpu normal bfloat16: 3 ULP, 0 ULP of sigma -> 4 ULP, 0 ULP of sigma",
        "  cpu normal_1 bfloat16: 3 ULP, 0 ULP of sigma -> 5 ULP, 0 ULP of sigma",
    ]
    assert before.of("cpu", "n", "bfloat16") == measurement("n", 3.0).budget


def test_what_was_never_measured_needs_no_reason() -> None:
    after = merged(table(), [measurement(ulp=99.0)])

    assert after.measurements == {measurement().key: measurement(ulp=99.0)}


def test_matrices_that_were_never_measured_are_taken_as_they_are() -> None:
    new = matrices({"a": errors(3.0, 8.0)}, "x")
    older = dataclasses.replace(new, matrix=None)

    assert merged(table(), [new]).measurements == {new.key: new}
    after = merged(table(older), [new], "measured at last").measurements
    assert after == {new.key: dataclasses.replace(new, reason="measured at last")}


def test_the_shipped_table_covers_every_sweep() -> None:
    stored = load(shipped() / BUDGETS)
    catalogue = load_catalogue()

    missing = [
        case.id
        for case in law_cases(catalogue, Selection(tier=Tier.FULL))
        if stored.of("cpu", case.problem.initializer, case.problem.dtype) is None
    ]

    assert missing == []


def test_the_shipped_table_holds_no_initializer_that_is_gone() -> None:
    stored = load(shipped() / BUDGETS)
    swept = {spec.name for spec in load_catalogue() if is_swept(spec)} | {MATRICES}

    assert {line.initializer for line in stored.measurements.values()} <= swept


def drift_of(n_ulp: int, golden_of: str) -> DriftClass:
    """Return the drift of an element `n_ulp` from a golden that IREE is judged by."""
    case = parse_case("normal_1-bfloat16-64-s0-iree-eager")
    accepted = right(dataclasses.replace(case, backend="cpu"))
    accepted = dataclasses.replace(
        accepted, case=dataclasses.replace(accepted.case, backend=golden_of)
    )
    assert isinstance(accepted.outcome, Returned)
    moved = whole(accepted.outcome).copy()
    moved.view("u2")[np.abs(moved).argmax()] += n_ulp
    observed = dataclasses.replace(accepted, case=case, outcome=returned(moved))
    lines = [measurement("normal_1", ulp=5.0), measurement("normal_1", ulp=1.0, backend="iree")]
    judging = bench(load_catalogue(), accepted, budgets=table(*lines))
    drift = judging.judge(observed, installed_jax()).drift
    assert drift
    return drift.drift_class


def test_results_of_two_backends_may_lie_apart_by_the_sum_of_their_errors() -> None:
    assert drift_of(6, "cpu") is DriftClass.ROUNDING
    assert drift_of(7, "cpu") is DriftClass.TRANSFORM


def test_a_golden_of_its_own_is_as_exact_as_the_backend() -> None:
    assert drift_of(2, "iree") is DriftClass.ROUNDING
    assert drift_of(3, "iree") is DriftClass.TRANSFORM


def swept(initializer: str) -> list[LawResult]:
    catalogue = load_catalogue()
    selection = Selection(initializers=(initializer,), dtypes=("bfloat16",))
    return [
        evaluate(case, catalogue=catalogue, budgets=table(), ledger=Ledger(limitations=()))
        for case in law_cases(catalogue, selection)
    ]


def test_a_measurement_is_the_worst_of_both_transforms() -> None:
    results = swept("he_normal")

    (measured,) = measurements(results, load_catalogue(), date="2026-01-02")

    assert len(results) == 2
    assert measured.key == "cpu he_normal bfloat16"
    assert measured.family == "variance_scaling"
    assert measured.budget == Budget(max_ulp=3, max_ulp_at_sigma=2.0)
    assert measured.device.startswith("cpu (")


def test_a_wrong_law_sets_no_budget() -> None:
    with pytest.raises(UnfitForBudget, match="the variance of the law of truncated_normal_tail"):
        measurements(swept("truncated_normal_tail"), load_catalogue(), date="2026-01-02")


def test_a_limitation_is_noted_in_the_measurement() -> None:
    first, second = swept("he_normal")
    limited = [
        dataclasses.replace(check, status=Status.LIMITED)
        if check.check == "law_variance"
        else check
        for check in first.result.checks
    ]
    verdict = dataclasses.replace(first.result, checks=tuple(limited), limitation="defect")

    (measured,) = measurements(
        [dataclasses.replace(first, result=verdict), second], load_catalogue(), date="2026-01-02"
    )

    assert measured.limitation == "defect"
