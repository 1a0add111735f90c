"""Budgets tighten by themselves, loosen for a reason only, and answer for nothing unmeasured."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from conformance import options
from conformance.arrays import returned, whole
from conformance.budgets import (
    FILE_NAME,
    MATRICES,
    BudgetTable,
    LooserBudget,
    Measurement,
    MissingBudget,
    load,
    merged,
    save,
)
from conformance.builtin import load_catalogue
from conformance.engine import Engine
from conformance.golden import GoldenError
from conformance.law import Point
from conformance.ledger import Ledger
from conformance.matrix import Selection
from conformance.model import Budget, DriftClass, Returned, Status, Tier, parse_case
from conformance.sweeps import (
    LawResult,
    UnfitForBudget,
    evaluate,
    is_swept,
    law_cases,
    measurements,
)
from tests.test_faults import OneGolden, right


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
    save(tmp_path / "golden" / FILE_NAME, held)

    assert load(tmp_path / "golden" / FILE_NAME).measurements == held.measurements


def test_a_table_that_does_not_exist_yet_is_empty(tmp_path: Path) -> None:
    assert load(tmp_path / FILE_NAME).measurements == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read .*: restore it from version control"),
        ('{"schema": 1}', "cannot be read .KeyError: 'budgets'"),
        ('{"schema": 99, "budgets": {}}', "has schema 99, and this version reads up to"),
        ('{"schema": 1, "budgets": {"cpu normal": {}}}', "cannot be read .ValueError"),
    ],
)
def test_a_broken_table_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / FILE_NAME
    path.write_text(text)

    with pytest.raises(GoldenError, match=message) as caught:
        load(path)

    assert str(path) in str(caught.value)


def test_the_shipped_table_covers_every_sweep() -> None:
    shipped = load(options.golden_folder(None) / FILE_NAME)
    catalogue = load_catalogue()

    missing = [
        case.id
        for case in law_cases(catalogue, Selection(tier=Tier.FULL))
        if shipped.of("cpu", case.problem.initializer, case.problem.dtype) is None
    ]

    assert missing == []


def test_the_shipped_table_holds_no_initializer_that_is_gone() -> None:
    shipped = load(options.golden_folder(None) / FILE_NAME)
    swept = {spec.name for spec in load_catalogue() if is_swept(spec)} | {MATRICES}

    assert {line.initializer for line in shipped.measurements.values()} <= swept


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
    engine = Engine(
        catalogue=load_catalogue(),
        goldens=OneGolden(accepted),
        ledger=Ledger(limitations=()),
        budgets=table(*lines),
    )
    drift = engine.judge(observed).drift
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
