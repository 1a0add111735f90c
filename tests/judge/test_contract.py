"""The array asked for, or the documented refusal; and the same again."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from conformance.core.arrays import as_dtype, returned
from conformance.core.formats import DTYPES
from conformance.core.ids import TRANSFORMS
from conformance.core.laws import Constant, Definition, Normal, Orthogonal, VarianceScaling
from conformance.core.records import CheckResult, Raised, Returned, Status
from conformance.judge.checks.base import failed, not_applicable, passed
from conformance.judge.checks.contract import (
    CONTRACT,
    REPEATABLE,
    check_contract,
    check_repeatable,
    faults_left,
)
from tests.evidence import evidence, with_moments

ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)
NORMAL = Normal(stddev=1.0)
ID = "mine-float32-2x3-s0-cpu-eager"


def scaling(out_axis: int) -> VarianceScaling:
    return VarianceScaling(scale=1.0, mode="fan_in", distribution="normal", out_axis=out_axis)


def judged(
    outcome: Returned | Raised, definition: Definition | None = NORMAL, **asked: Any
) -> CheckResult:
    asked = {"dtype": "float32", "shape": (2, 3)} | asked
    return check_contract(evidence(definition, outcome, **asked))


def raised(exception: str, message: str = "no") -> Raised:
    return Raised(exception=exception, message=message)


# --- Arrays --------------------------------------------------------------------------------------


@pytest.mark.parametrize("definition", [None, Normal(stddev=1.0), Constant(value=2.0)], ids=str)
def test_the_array_asked_for_passes(definition: Definition | None) -> None:
    assert judged(returned(ARRAY), definition) == passed(CONTRACT)


@pytest.mark.parametrize(
    ("outcome", "fault"),
    [
        (returned(ARRAY.astype(np.float64)), "returned float64[2, 3], asked for float32[2, 3]"),
        (returned(ARRAY.T), "returned float32[3, 2], asked for float32[2, 3]"),
        (returned(ARRAY.reshape(-1)), "returned float32[6], asked for float32[2, 3]"),
        (
            with_moments(ARRAY, {"nonfinite": 1}),
            "returned 1 NaN or infinite element",
        ),
        (
            returned(ARRAY, weak_type=True),
            "returned a weakly typed array: its dtype would give way in the next operation",
        ),
    ],
    ids=["dtype", "shape", "ndim", "NaN", "weak"],
)
def test_another_array_is_named(outcome: Returned, fault: str) -> None:
    assert judged(outcome) == failed(CONTRACT, f"{ID} {fault}")


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_weakly_typed_array_fails_in_every_dtype(dtype: str) -> None:
    array = ARRAY.astype(as_dtype(dtype))
    array[0, 0] = array[0, 1]  # not every format has a 0

    result = judged(returned(array, weak_type=True), dtype=dtype)

    assert "weakly typed" in result.message


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_element_that_is_not_finite_fails(value: float, dtype: str) -> None:
    array = np.ones_like(ARRAY).astype(as_dtype(dtype))  # every format has a 1
    array[1, 2] = value

    assert judged(returned(array), dtype=dtype).message == (
        f"mine-{dtype}-2x3-s0-cpu-eager returned 1 NaN or infinite element"
    )


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_an_imaginary_part_that_is_not_finite_fails(dtype: str) -> None:
    array = ARRAY.astype(dtype)
    array.imag[1, 2] = np.nan

    assert judged(returned(array), dtype=dtype).status is Status.FAILED


# --- Refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("definition", "shape", "error"),
    [
        (Orthogonal(), (3,), "ValueError"),
        (scaling(out_axis=2), (2, 3), "IndexError"),
    ],
    ids=str,
)
def test_a_documented_refusal_passes_and_no_other(
    definition: Definition, shape: tuple[int, ...], error: str
) -> None:
    right, wrong, none = (
        judged(outcome, definition, shape=shape)
        for outcome in (
            raised(error),
            raised("TypeError", "\n  what it said\nand more"),
            returned(np.zeros(shape, np.float32)),
        )
    )

    assert right == passed(CONTRACT)
    assert wrong.message.endswith(f" raised TypeError: what it said; {error} was needed")
    assert none.message.endswith(f" returned an array where {error} must be raised")
    assert {wrong.status, none.status} == {Status.FAILED}


def test_an_exception_where_an_array_is_due_fails() -> None:
    result = judged(raised("ValueError", "first line\nsecond line"))

    assert result == failed(CONTRACT, f"{ID} raised ValueError: first line; an array was needed")


def test_a_spec_that_cannot_be_built_is_told_apart() -> None:
    result = judged(raised("SpecError", "ImportError: no such module"))

    assert result == failed(
        CONTRACT,
        f"{ID} could not be built: the `build` of its spec raised ImportError: no such module",
    )


# --- Repeating -----------------------------------------------------------------------------------


def repeated(sha256: str | None, outcome: Returned | Raised, **asked: Any) -> CheckResult:
    return check_repeatable(
        evidence(Normal(stddev=1.0), outcome, shape=(2, 3), repeat_sha256=sha256, **asked)
    )


def test_the_same_bits_again_pass() -> None:
    outcome = returned(ARRAY)

    assert repeated(outcome.sha256, outcome) == passed(REPEATABLE)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sha256", ["0" * 64, None, ""])
def test_other_bits_from_the_same_key_fail(sha256: str | None, dtype: str) -> None:
    assert repeated(sha256, returned(ARRAY.astype(as_dtype(dtype)))) == failed(
        REPEATABLE,
        f"{ID} returned other bits when called again with the same key: it keeps state, or draws "
        "randomness that the key does not determine",
    )


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_other_bits_fail_under_every_transform(transform: str) -> None:
    assert repeated("0" * 64, returned(ARRAY), transform=transform).status is Status.FAILED


def test_an_exception_is_not_repeated() -> None:
    assert repeated(None, raised("ValueError")) == not_applicable(REPEATABLE)


# --- What is left behind -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "fault"),
    [
        (returned(ARRAY), ""),
        (returned(ARRAY.T), "returned float32[3, 2], asked for float32[2, 3]; and "),
    ],
)
def test_settings_that_were_changed_break_the_contract(outcome: Returned, fault: str) -> None:
    seen = evidence(NORMAL, outcome, dtype="float32", shape=(2, 3))
    observation = dataclasses.replace(seen.observation, changed=("x: True -> False", "Y: 1 -> 2"))

    result = check_contract(dataclasses.replace(seen, observation=observation))

    left = faults_left(observation)
    assert faults_left(seen.observation) == ()
    assert [each.message for each in left] == [result.message.replace(fault, "")]
    assert result == failed(
        CONTRACT,
        f"{ID} {fault}changed what all of its process depends on (x: True -> False, Y: 1 -> 2), "
        "which was put back for the next case: enter settings as context managers",
    )
