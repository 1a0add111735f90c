"""The sentence that says what happened, and what may explain it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from conformance.core.records import Drift, DriftClass, Environment
from conformance.report.escape import markdown_cell
from conformance.report.explained import notes_on, written_notes
from conformance.report.headline import headline, sides
from conformance.report.markdown import markdown
from conformance.report.page.of_run import page_of_run
from conformance.report.run import Run

from .test_report import ENVIRONMENT, failure, result, run_of


def judged_elsewhere(run: Run, **changes: Any) -> Run:
    """Return the run with goldens from an environment that differs so."""
    there = dataclasses.replace(ENVIRONMENT, **changes)
    return dataclasses.replace(run, golden_environment=there)


def of_class(drift_class: DriftClass) -> Run:
    drift = Drift(drift_class=drift_class, max_ulp=1, max_ulp_at_sigma=1.0)
    return run_of(result(), failure(seed=1, drift=drift))


def test_nothing_is_said_where_nothing_failed() -> None:
    assert headline(run_of(result())) == ""


def test_a_setting_is_named_before_a_version() -> None:
    run = judged_elsewhere(
        of_class(DriftClass.STREAM),
        packages={**ENVIRONMENT.packages, "jax": "0.4.20"},
        config={**ENVIRONMENT.config, "jax_threefry_partitionable": "elsewhere"},
    )
    here = ENVIRONMENT.config.get("jax_threefry_partitionable", "absent")

    assert headline(run) == (
        f"1 of 2 cases returned another stream: jax_threefry_partitionable is {here} here, "
        f"elsewhere and jax is {ENVIRONMENT.packages['jax']} here, "
        "0.4.20 where the goldens were made"
    )


def test_the_hardware_explains_roundings_and_no_streams() -> None:
    changes = {"host": {**ENVIRONMENT.host, "lapack_kernel": "Zen"}}

    rounded = headline(judged_elsewhere(of_class(DriftClass.ROUNDING), **changes))
    another = headline(judged_elsewhere(of_class(DriftClass.STREAM), **changes))

    assert "lapack_kernel is " in rounded
    assert another.endswith(
        "nothing that is known to matter differs from where the goldens were made"
    )


def test_what_most_failed_cases_did_is_said() -> None:
    law = Drift(drift_class=DriftClass.LAW, max_ulp=1, max_ulp_at_sigma=1.0)
    run = run_of(failure(), *(failure(seed=seed, drift=law) for seed in (1, 2)))

    assert headline(run) == "2 of 3 cases drew from another law"


@pytest.mark.parametrize("drift_class", list(DriftClass))
def test_every_class_has_words(drift_class: DriftClass) -> None:
    assert headline(of_class(drift_class)).startswith("1 of 2 cases ")


def test_facts_that_are_left_out_are_counted() -> None:
    run = judged_elsewhere(
        of_class(DriftClass.STREAM), packages=dict.fromkeys(("jax", "jaxlib", "flax", "numpy"), "0")
    )

    assert headline(run).endswith("where the goldens were made, and 2 other facts differ")


def test_both_sides_are_named() -> None:
    there = Environment(packages={"jax": "0.4.20"}, config={}, host={}, devices={"tpu.kind": "v4"})
    run = dataclasses.replace(run_of(failure()), golden_environment=there)

    here, goldens = sides(run)

    assert here.startswith(f"here: jax {ENVIRONMENT.packages['jax']}, ")
    assert goldens == "goldens: jax 0.4.20, LAPACK unknown, v4"
    assert sides(run_of(failure())) == [here]


def test_what_is_written_begins_with_what_is_unusual() -> None:
    flags = {**ENVIRONMENT.config, "jax_threefry_partitionable": "False"}
    run = dataclasses.replace(
        run_of(failure()), environment=dataclasses.replace(ENVIRONMENT, config=flags)
    )
    note = "note: jax_threefry_partitionable=False: every draw of threefry2x32 is another stream"

    assert note in written_notes(run)[: -len(notes_on(run))]
    assert note in page_of_run(run).notes
    assert f"\n{markdown_cell(note)}\n" in markdown(run)


def test_drift_that_passed_under_other_versions_names_both_sides() -> None:
    drift = Drift(drift_class=DriftClass.ROUNDING, max_ulp=1, max_ulp_at_sigma=1.0)
    old = {"packages": {**ENVIRONMENT.packages, "jax": "0.10.2"}}

    drifted, clean = run_of(result(drift=drift)), run_of(result())

    assert any("jax 0.10.2" in line for line in notes_on(judged_elsewhere(drifted, **old)))
    assert notes_on(judged_elsewhere(drifted)) == []
    assert notes_on(judged_elsewhere(clean, **old)) == []
