"""An outcome is as predicted, open where a prediction leaves it so, or refutes it."""

from __future__ import annotations

import dataclasses
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from conformance.core.arrays import Array, returned, thin
from conformance.core.records import Outcome, Raised, Returned
from conformance.judge.drift.permitted import Deviation, Permitted, deviation

NOTHING = Permitted()
PREDICTED = np.array([1.0, -2.0, 0.0, 4.0], np.float32)
REFUSED = Raised(exception="TypeError", message="no")


def stepped(array: Array, *steps: int) -> Array:
    """Return the array with each element moved by so many values away from zero."""
    bits = array.view(f"i{array.dtype.itemsize}")
    return np.asarray((bits + np.array(steps, bits.dtype)).view(array.dtype))


def deviates(actual: Array, permitted: Permitted = NOTHING, predicted: Array = PREDICTED) -> Any:
    found = deviation(returned(actual), returned(predicted), permitted)
    return found.n_open, found.n_decided


def between(lowest: Array, highest: Array) -> Permitted:
    return Permitted(bounds=(returned(lowest), returned(highest)))


AROUND = between(stepped(PREDICTED, -2, 2, 0, 0), stepped(PREDICTED, 2, -2, 0, 1))
"""Two values to either side of 1 and -2, none of 0, and one above 4."""


def test_equal_bits_are_as_predicted() -> None:
    assert deviates(PREDICTED) == (0, 0)


@pytest.mark.parametrize("n_different", [1, 2, 4])
def test_without_permission_every_difference_is_decided(n_different: int) -> None:
    actual = stepped(PREDICTED, *([1] * n_different + [0] * (4 - n_different)))

    assert deviates(actual) == (0, n_different)


@pytest.mark.parametrize(
    ("steps", "n_open", "n_decided"),
    [
        ((2, 0, 0, 0), 1, 0),
        ((3, 0, 0, 0), 0, 1),
        ((-2, 0, 0, 0), 1, 0),
        ((-3, 0, 0, 0), 0, 1),
        ((0, 2, 0, 0), 1, 0),
        ((0, 3, 0, 0), 0, 1),
        ((0, -2, 0, 0), 1, 0),
        ((0, -3, 0, 0), 0, 1),
        ((0, 0, 1, 0), 0, 1),
        ((0, 0, 0, 1), 1, 0),
        ((0, 0, 0, -1), 0, 1),
        ((1, 1, 1, 1), 3, 1),
        ((3, 3, 1, 2), 0, 4),
    ],
)
def test_an_element_is_open_up_to_its_bounds(
    steps: tuple[int, ...], n_open: int, n_decided: int
) -> None:
    assert deviates(stepped(PREDICTED, *steps), AROUND) == (n_open, n_decided)


def test_a_zero_of_the_other_sign_is_a_difference() -> None:
    assert deviates(np.array([1.0, -2.0, -0.0, 4.0], np.float32)) == (0, 1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_beyond_the_bounds(value: float) -> None:
    assert deviates(np.array([value, -2, 0, 4], np.float32), AROUND) == (0, 1)


@pytest.mark.parametrize("n_characters", [64, 12])
def test_a_whole_array_is_permitted_by_its_digest_or_the_beginning_of_it(n_characters: int) -> None:
    actual = stepped(PREDICTED, 99, 99, 0, 0)
    digest = returned(actual).sha256[:n_characters]
    another = returned(stepped(PREDICTED, 9, 9, 9, 9)).sha256[:n_characters]

    assert deviates(actual, Permitted(digests=(another, digest))) == (2, 0)
    assert deviates(actual, Permitted(digests=(another,))) == (0, 2)


def test_where_a_whole_array_is_not_permitted_bounds_decide() -> None:
    permitted = dataclasses.replace(AROUND, digests=("0" * 64,))

    assert deviates(stepped(PREDICTED, 1, 5, 0, 0), permitted) == (1, 1)


def test_a_difference_between_the_samples_counts_as_one() -> None:
    numbers = np.arange(10, dtype=np.float32)
    predicted = returned(numbers)
    actual = returned(np.where(numbers == 1, 7, numbers))

    found = deviation(actual, thin(predicted, 5), NOTHING)

    assert found == Deviation(n_decided=1)
    permitted = Permitted(digests=(actual.sha256,))
    assert deviation(actual, thin(predicted, 5), permitted) == Deviation(n_open=1)


@pytest.mark.parametrize("thinned", ["actual", "predicted", "both"])
def test_samples_and_whole_arrays_are_compared_where_both_have_elements(thinned: str) -> None:
    predicted = returned(np.arange(1, 11, dtype=np.float32))
    steps = [5, 9, 9, 0, 0, 3, 0, 0, 0, 0]
    actual = returned(stepped(np.arange(1, 11, dtype=np.float32), *steps))
    bounds = (
        thin(returned(np.full(10, 0.5, np.float32)), 5),
        returned(np.arange(1, 11, dtype=np.float32) + np.float32(1e-6)),
    )
    one = thin(actual, 5) if thinned in ("actual", "both") else actual
    two = thin(predicted, 5) if thinned in ("predicted", "both") else predicted

    found = deviation(one, two, Permitted(bounds=bounds))

    assert found == Deviation(n_open=1, n_decided=1)


def test_a_complex_element_counts_once_and_must_be_open_in_both_parts() -> None:
    predicted = np.array([1 + 1j, 1 + 1j, 1 + 1j, 1 + 1j], np.complex64)
    up = np.float32(1 + 2**-23)
    highest = np.array([complex(up, up), complex(up, 1), complex(1, up), 1 + 1j], np.complex64)
    actual = np.array([complex(up, up), complex(up, up), complex(1, up), 1 + 1j], np.complex64)

    assert deviates(actual, between(predicted, highest), predicted) == (2, 1)


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16, np.float64])
def test_elements_of_every_dtype_have_bounds(dtype: Any) -> None:
    predicted = np.array([-1.0, 3.0], dtype)
    bounds = between(stepped(predicted, 1, -1), stepped(predicted, -1, 1))

    assert deviates(stepped(predicted, 1, -1), bounds, predicted) == (2, 0)
    assert deviates(stepped(predicted, 2, -2), bounds, predicted) == (0, 2)


WEAK = returned(PREDICTED, weak_type=True)


@pytest.mark.parametrize(
    ("actual", "predicted", "n_decided"),
    [
        (REFUSED, REFUSED, 0),
        (REFUSED, Raised(exception="TypeError", message="reworded"), 0),
        (REFUSED, Raised(exception="ValueError", message="no"), 1),
        (REFUSED, returned(PREDICTED), 1),
        (returned(PREDICTED), REFUSED, 1),
        (returned(PREDICTED + 1), WEAK, 1),
        (WEAK, returned(PREDICTED + 1), 1),
        (returned(PREDICTED.reshape(2, 2) + 1), returned(PREDICTED), 1),
        (returned(PREDICTED.astype(np.float16)), returned(PREDICTED), 1),
    ],
)
def test_another_exception_dtype_or_shape_is_one_decided_element(
    actual: Outcome, predicted: Outcome, n_decided: int
) -> None:
    assert deviation(actual, predicted, NOTHING) == Deviation(n_decided=n_decided)


def test_another_type_is_decided_whatever_is_permitted() -> None:
    actual: Returned = returned(PREDICTED.astype(np.float16))
    permitted = Permitted(digests=(actual.sha256,), bounds=AROUND.bounds)

    assert deviation(actual, returned(PREDICTED), permitted) == Deviation(n_decided=1)


@pytest.mark.parametrize(
    ("n_open", "n_decided", "words"),
    [
        (0, 0, "as predicted"),
        (3, 0, "differs in 3 elements, all open"),
        (0, 2, "differs in 2 elements, 2 decided"),
        (3, 2, "differs in 5 elements, 2 decided"),
        (2, 2, "differs in 4 elements, 2 decided"),
    ],
)
def test_a_deviation_says_what_is_open_and_what_decided(
    n_open: int, n_decided: int, words: str
) -> None:
    assert str(Deviation(n_open=n_open, n_decided=n_decided)) == words
