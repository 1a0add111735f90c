"""Records that pass between the stages: what they add up to, show, and hold where nobody said."""

from __future__ import annotations

import pytest

from conformance.core.records import (
    Budget,
    CheckResult,
    Drift,
    DriftClass,
    Entry,
    MatrixBudget,
    Moments,
    Raised,
    Returned,
    Status,
)


def matrix(column: float, gram: float) -> MatrixBudget:
    return MatrixBudget(column=column, gram=gram)


@pytest.mark.parametrize(
    ("one", "two", "together"),
    [
        (None, None, None),
        (matrix(3.0, 8.0), None, matrix(3.0, 8.0)),
        (None, matrix(3.0, 8.0), matrix(3.0, 8.0)),
        (matrix(3.0, 8.0), matrix(5.0, 7.0), matrix(5.0, 8.0)),
    ],
)
def test_budgets_of_elements_add_up_and_of_matrices_the_wider_counts(
    one: MatrixBudget | None, two: MatrixBudget | None, together: MatrixBudget | None
) -> None:
    left = Budget(max_ulp=5, max_ulp_at_sigma=1.5, matrix=one)
    right = Budget(max_ulp=2, max_ulp_at_sigma=0.25, matrix=two)

    assert left.plus(right) == Budget(max_ulp=7, max_ulp_at_sigma=1.75, matrix=together)
    assert left.doubled() == Budget(max_ulp=10, max_ulp_at_sigma=3.0, matrix=one)


def test_a_record_is_shown_without_its_bits() -> None:
    """A failing assertion would print megabytes."""
    moments = Moments(mean=0.0, variance=1.0, minimum=-1.0, maximum=1.0)
    outcome = Returned(
        dtype="float32", shape=(), sha256="", bits=b"bits", moments=moments, drawn=b"drawn"
    )

    assert "b'" not in repr(outcome)


def test_what_nobody_said_of_a_record_is_its_default() -> None:
    moments = Moments(mean=0.0, variance=1.0, minimum=-1.0, maximum=1.0)
    outcome = Returned(dtype="float32", shape=(), sha256="", bits=b"", moments=moments)
    drift = Drift(drift_class=DriftClass.IDENTICAL)

    assert (moments.mean_imag, moments.nonfinite) == (0.0, 0)
    assert (outcome.stride, outcome.weak_type, outcome.drawn) == (1, False, None)
    assert (drift.n_elements, drift.n_different, drift.max_ulp) == (0, 0, None)


@pytest.mark.parametrize(
    ("n_compared", "extent"),
    [(None, "2 of 2048"), (0, "2 of 0 compared of 2048"), (99, "2 of 99 compared of 2048")],
)
def test_a_drift_says_how_many_elements_differ_of_how_many(
    n_compared: int | None, extent: str
) -> None:
    drift = Drift(drift_class=DriftClass.LAW, n_elements=2048, n_compared=n_compared, n_different=2)

    assert drift.extent == extent


def test_a_check_without_a_word_has_none() -> None:
    result = CheckResult(check="values", status=Status.PASSED)

    assert (result.message, dict(result.metrics)) == ("", {})
    assert (result.remedy, result.statistic, result.departs_by) == (None, None, None)


def test_an_entry_has_the_stages_that_somebody_saw() -> None:
    raised = Raised(exception="ValueError", message="")
    plain = Entry(id="a", shard="b", outcome=raised)

    assert (plain.maker, plain.overlay, plain.stages) == ("cpu", "", {})
    seen = Entry(id="a", shard="b", outcome=raised, extra={"stages": {"bits": "c"}})
    assert seen.stages == {"bits": "c"}
