"""Which assumption of a prediction an array refutes: each planted, and told from the others."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.core.arrays import Array, returned, thin
from conformance.core.ids import parse_problem
from conformance.core.records import DriftClass, Outcome, Raised
from conformance.judge.drift import DEFAULT_BUDGET
from conformance.judge.drift.permitted import Permitted
from conformance.judge.drift.refuted import Assumption, fallen
from conformance.judge.verdict import compare
from tests import ROOT

UNIT = np.random.default_rng(0).standard_normal((64, 32)).astype(np.float32)
SCALE = np.float32(0.07)
PREDICTED = UNIT * SCALE
DRAWN = parse_problem("lecun_normal-float32-64x32-s0")
BY_DIGEST = Permitted(digests=(returned(PREDICTED).sha256,))


def found(
    actual: Array | Outcome,
    predicted: Array = PREDICTED,
    permitted: Permitted = BY_DIGEST,
    drift_class: DriftClass = DriftClass.ROUNDING,
    on_cpu: Array | Outcome | None = None,
) -> Assumption:
    outcome = returned(actual) if isinstance(actual, np.ndarray) else actual
    cpu = returned(on_cpu) if isinstance(on_cpu, np.ndarray) else on_cpu
    return fallen(outcome, returned(predicted), permitted, drift_class, on_cpu=cpu)


def step(array: Array, places: slice | int) -> Array:
    moved = array.copy().reshape(-1)
    moved[places] = np.nextafter(moved[places], np.float32(np.inf))
    return moved.reshape(array.shape)


def test_an_exception_another_dtype_and_another_shape_are_another_program() -> None:
    assert found(Raised(exception="E", message="")) is Assumption.PROGRAM
    assert found(PREDICTED.astype(np.float16)) is Assumption.PROGRAM
    assert found(PREDICTED.T.copy()) is Assumption.PROGRAM
    assert found(dataclasses.replace(returned(PREDICTED), weak_type=True)) is Assumption.PROGRAM


def test_other_numbers_are_another_stream() -> None:
    other = found(PREDICTED[::-1].copy(), drift_class=DriftClass.STREAM)

    assert other is Assumption.STREAM


@pytest.mark.parametrize(
    ("n_other", "assumption"), [(4, Assumption.ROUNDING), (5, Assumption.STREAM)]
)
def test_more_than_half_of_the_numbers_must_be_others(n_other: int, assumption: Assumption) -> None:
    actual = UNIT[0, :8].copy()
    actual[:n_other] = UNIT[1, :n_other]

    assert found(actual, UNIT[0, :8], drift_class=DriftClass.STREAM) is assumption


def test_zeros_in_place_of_subnormals_are_flushed() -> None:
    tiny = np.float32(1e-40)
    predicted = PREDICTED.copy()
    predicted[0, :3] = tiny
    flushed = predicted.copy()
    flushed[0, :3] = 0

    assert found(flushed, predicted) is Assumption.SUBNORMALS
    flushed[1, 1] = 0  # that was no subnormal
    assert found(flushed, predicted) is not Assumption.SUBNORMALS


def test_the_smallest_normal_is_no_subnormal_that_was_flushed() -> None:
    predicted = PREDICTED.copy()
    predicted[0, 0] = np.float32(2.0**-126)
    flushed = predicted.copy()
    flushed[0, 0] = 0

    assert found(flushed, predicted) is Assumption.ROUNDING


def test_what_the_cpu_returns_is_contracted() -> None:
    on_cpu = step(PREDICTED, slice(0, 900))
    half = step(PREDICTED, slice(0, 400))

    assert found(on_cpu, on_cpu=on_cpu) is Assumption.CONTRACTION
    assert found(half, on_cpu=on_cpu) is Assumption.CONTRACTION
    assert found(step(PREDICTED, 2000), on_cpu=on_cpu) is Assumption.ROUNDING


@pytest.mark.parametrize(
    "on_cpu",
    [Raised(exception="E", message=""), PREDICTED.T.copy(), PREDICTED.astype(np.float64)],
    ids=["raised", "shape", "dtype"],
)
def test_of_what_the_cpu_does_not_return_nothing_is_said(on_cpu: Array | Outcome) -> None:
    assert found(step(PREDICTED, 7), on_cpu=on_cpu) is Assumption.ROUNDING


def test_an_open_element_beyond_its_interval_is_an_instruction_beyond_its_bound() -> None:
    bounds = Permitted(bounds=(returned(PREDICTED), returned(step(PREDICTED, 5))))

    assert found(step(step(PREDICTED, 5), 5), permitted=bounds) is Assumption.BOUND
    assert found(step(step(PREDICTED, 5), 6), permitted=bounds) is Assumption.ROUNDING


def class_of(actual: Array) -> DriftClass:
    """Return how a recording of these draws is classified against what is predicted."""
    spec = load_catalogue().lookup("lecun_normal")
    drift = compare(returned(actual), returned(PREDICTED), spec, DEFAULT_BUDGET, problem=DRAWN)
    return drift.drift_class


@pytest.mark.parametrize("n_ulp", [3, -3, 8, 1000])
def test_another_scale_is_one_factor(n_ulp: int) -> None:
    """Of 8 ULP and more it is another law, too, but the words are the same."""
    other = UNIT * (SCALE * np.float32(1 + n_ulp * 2.0**-23))

    assert found(other, drift_class=class_of(other)) is Assumption.SCALE


def test_one_element_beyond_all_bounds_is_no_other_stream() -> None:
    actual = PREDICTED.copy()
    actual[3, 3] = np.nan

    assert class_of(actual) is DriftClass.LAW
    assert found(actual, drift_class=DriftClass.LAW) is Assumption.ROUNDING


@pytest.mark.parametrize(("below", "assumption"), [(0, Assumption.SCALE), (1, Assumption.ROUNDING)])
def test_the_smallest_normal_has_all_its_digits_and_below_it_no_factor_shows(
    below: int, assumption: Assumption
) -> None:
    smallest = np.uint32(0x00800000 - below).view(np.float32)
    predicted = np.full(8, smallest, np.float32)

    assert found(predicted * np.float32(4), predicted) is assumption


@pytest.mark.parametrize(
    ("n_moved", "assumption"), [(4, Assumption.SCALE), (3, Assumption.ROUNDING)]
)
def test_half_of_the_elements_must_move_by_a_factor(n_moved: int, assumption: Assumption) -> None:
    """By a rounding here, which half of all products may not show."""
    predicted = np.full(8, 1.5, np.float32)
    moved = step(predicted, slice(0, n_moved))

    assert found(moved, predicted) is assumption


@pytest.mark.parametrize("factor", [8.0, 1.0, 0.125])
@pytest.mark.parametrize(
    ("spread", "assumption"), [(2.0, Assumption.SCALE), (2.5, Assumption.ROUNDING)]
)
def test_quotients_lie_two_epsilons_apart_whatever_the_factor(
    factor: float, spread: float, assumption: Assumption
) -> None:
    predicted = np.ones(8, np.float32)
    actual = predicted * np.float32(factor)
    actual[:5] *= np.float32(1 - spread * 2.0**-23)

    assert found(actual, predicted) is assumption


def test_a_scale_that_is_not_the_same_for_all_elements_is_no_factor() -> None:
    """A third of the elements saw another quotient: an instruction that depends on its thread."""
    mixed = PREDICTED.copy()
    mixed[:48] *= np.float32(1 + 2.0**-18)

    assert found(mixed) is Assumption.ROUNDING


def test_one_element_is_no_factor() -> None:
    assert found(step(PREDICTED, 7)) is Assumption.ROUNDING


def test_a_difference_that_no_sample_holds_is_what_is_left() -> None:
    predicted = dataclasses.replace(returned(PREDICTED), bits=PREDICTED.tobytes()[:4], stride=2048)

    outcome = fallen(
        returned(step(PREDICTED, 7)), predicted, Permitted(), DriftClass.ROUNDING, on_cpu=None
    )

    assert outcome is Assumption.ROUNDING


@pytest.mark.parametrize(
    ("kept", "assumption"),
    [(1, Assumption.CONTRACTION), (4, Assumption.CONTRACTION), (8, Assumption.ROUNDING)],
)
def test_a_sample_is_compared_with_what_the_cpu_has_of_it(
    kept: int, assumption: Assumption
) -> None:
    """Of every fourth element; of every eighth nothing can be said."""
    on_cpu = step(PREDICTED, slice(0, 900))
    actual, predicted = (thin(returned(side), 4) for side in (on_cpu, PREDICTED))

    outcome = fallen(
        actual, predicted, Permitted(), DriftClass.ROUNDING, thin(returned(on_cpu), kept)
    )

    assert outcome is assumption


def test_each_assumption_is_in_the_document() -> None:
    text = (ROOT / "docs" / "cuda-predicted.md").read_text(encoding="utf-8")

    assert [each.value for each in Assumption if f"| {each.value} |" not in text] == []
