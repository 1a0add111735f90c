"""Sweeps: what one leaves behind, and what their measurements make together."""

from __future__ import annotations

import os

import jax

from conformance.cases.catalogue import Catalogue
from conformance.cases.sweeps import sweep_case
from conformance.core.budgets import BudgetTable, Measurement
from conformance.core.lattice import Point
from conformance.core.records import Status
from conformance.judge.ledger import Ledger
from conformance.report.messages import messages_of
from conformance.run.sweeping import joined
from conformance.run.sweeps import evaluate
from tests import deadly


def test_a_sweep_that_changes_settings_fails_by_name_and_they_are_put_back() -> None:
    catalogue = Catalogue()
    deadly.add(catalogue)
    case = sweep_case(catalogue.lookup("meddling"), "bfloat16", "cpu", "eager")
    before = jax.config.jax_threefry_partitionable

    result = evaluate(
        case,
        catalogue=catalogue,
        budgets=BudgetTable(measurements={}),
        ledger=Ledger(limitations=()),
    )

    assert (
        f"{case.id} changed what all of its process depends on "
        "(jax_threefry_partitionable: True -> False, MEDDLED: was set), which was put back"
    ) in "\n".join(messages_of(result.result, [Status.FAILED]))
    assert jax.config.jax_threefry_partitionable == before
    assert "MEDDLED" not in os.environ


def measured(ulp: float, limitation: str = "", initializer: str = "mine") -> Measurement:
    point = Point(ulp=ulp, word=0, fraction=0.0, actual=1.0, expected=1.0)
    return Measurement(
        backend="cpu",
        initializer=initializer,
        dtype="bfloat16",
        family="normal",
        at_value=point,
        at_sigma=None,
        limitation=limitation,
        device="cpu",
        jax="0.12.0.1",
        date="2026-11-29",
    )


def test_the_worst_transform_is_what_counts_with_any_limitation() -> None:
    found = joined([measured(1.0), measured(3.0, "known"), measured(7.0, initializer="other")])

    assert [(each.initializer, each.at_value, each.limitation) for each in found] == [
        ("mine", measured(3.0).at_value, "known"),
        ("other", measured(7.0).at_value, ""),
    ]
