"""Eight devices in one process or in two draw the bits of one device, as JAX promises."""

from __future__ import annotations

import re

import jax
import pytest

from conformance.core.ids import Problem, parse_problem
from conformance.core.prng import Promise, is_promised
from conformance.core.records import DriftClass, Returned
from conformance.judge.drift import classify
from tests import multihost
from tests.multihost import MultiHostError, Sharding, draw

PRNGS = ("threefry2x32", "threefry2x32_nonpartitionable", "rbg", "unsafe_rbg")
BY_ROWS = (
    *(
        Problem(initializer="uniform", dtype="float32", shape=(64, 32), seed=0, prng=prng)
        for prng in PRNGS
    ),
    parse_problem("lecun_normal-float32-64x32-s0"),
    parse_problem("orthogonal-float32-64x32-s0"),
    parse_problem("normal-bfloat16-64x32-s0"),
)
BY_COLUMNS = parse_problem("normal-float32-64x32-s0")
"""Shared by columns, it leaves 64 x 4 elements to each device."""

ALONE = [Sharding(problem=each, axis=None) for each in (*BY_ROWS, BY_COLUMNS)]
SHARED = [
    *(Sharding(problem=each, axis=0) for each in BY_ROWS),
    Sharding(problem=BY_COLUMNS, axis=1),
]

PATIENCE_S = 600.0
"""On a machine that others use."""

Drawn = dict[str, Returned]


def by_id(shardings: list[Sharding], arrays: list[Returned]) -> Drawn:
    return {each.problem.id: array for each, array in zip(shardings, arrays, strict=True)}


@pytest.fixture(scope="module")
def one_process() -> tuple[Drawn, Drawn]:
    """What one device draws, and what eight devices of one process do."""
    arrays = draw([*ALONE, *SHARED], n_processes=1, timeout_s=PATIENCE_S)
    return by_id(ALONE, arrays[: len(ALONE)]), by_id(SHARED, arrays[len(ALONE) :])


@pytest.fixture(scope="module")
def two_processes() -> Drawn:
    """What eight devices of two processes draw."""
    return by_id(SHARED, draw(SHARED, n_processes=2, timeout_s=PATIENCE_S))


@pytest.mark.parametrize("problem", BY_ROWS, ids=lambda problem: problem.id)
def test_eight_devices_draw_the_bits_of_one(
    problem: Problem, one_process: tuple[Drawn, Drawn]
) -> None:
    alone, shared = one_process

    assert is_promised(Promise.SHARDINGS, problem.prng)
    assert shared[problem.id].sha256 == alone[problem.id].sha256


@pytest.mark.parametrize("sharding", SHARED, ids=lambda sharding: sharding.problem.id)
def test_two_processes_draw_the_bits_of_one(
    sharding: Sharding, one_process: tuple[Drawn, Drawn], two_processes: Drawn
) -> None:
    _, shared = one_process

    key = sharding.problem.id
    assert two_processes[key].sha256 == shared[key].sha256


def test_another_shape_on_each_device_may_round_otherwise_and_no_more(
    one_process: tuple[Drawn, Drawn],
) -> None:
    """The draws are those of one device; XLA's CPU compiler vectorizes erf_inv by local shape."""
    alone, shared = one_process

    drift = classify(shared[BY_COLUMNS.id], alone[BY_COLUMNS.id])

    assert drift.drift_class in (DriftClass.IDENTICAL, DriftClass.ROUNDING)


# --- What JAX promises ---------------------------------------------------------------------------

COLUMNS = {"threefry2x32_nonpartitionable": "Threefry", "threefry2x32": "Threefry*"}


def promised_by_docstring(promise: Promise) -> set[str]:
    """Return the columns of the property table of `jax.random` that have a tick in a row."""
    lines = str(jax.random.__doc__).splitlines()
    (head,) = (line for line in lines if line.lstrip().startswith("Property "))
    (row,) = (line for line in lines if line.lstrip().startswith(promise))
    starts = [match.start() for match in re.finditer(r"\S+", head)]
    # A tick is two characters wide, and was aligned so.
    ticks = [match.start() + n for n, match in enumerate(re.finditer("\u2705", row))]
    columns = (max(start for start in starts if start <= tick) for tick in ticks)
    return {head[start:].split()[0] for start in columns}


@pytest.mark.parametrize("promise", Promise)
@pytest.mark.parametrize("prng", PRNGS)
def test_what_is_taken_for_promised_is_what_the_table_of_jax_says(
    promise: Promise, prng: str
) -> None:
    assert is_promised(promise, prng) == (COLUMNS.get(prng, prng) in promised_by_docstring(promise))


# --- What can go wrong ---------------------------------------------------------------------------


def test_an_axis_that_the_devices_do_not_divide_is_refused() -> None:
    with pytest.raises(
        ValueError, match="axis 0 of zeros-float32-17x13-s0 has 17 elements, which 8"
    ):
        Sharding(problem=parse_problem("zeros-float32-17x13-s0"), axis=0)


def test_processes_that_do_not_divide_the_devices_are_refused() -> None:
    with pytest.raises(ValueError, match="3 processes do not divide 8 devices"):
        draw([], n_processes=3)


def test_a_process_that_crashes_ends_the_others_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = "import sys, time; sys.exit('lost it') if sys.argv[-1] == '1' else time.sleep(60)"
    monkeypatch.setattr(multihost, "PROGRAM", ["-c", body])

    with pytest.raises(MultiHostError, match="process 1 ended with code 1:\nlost it"):
        draw(ALONE, n_processes=2)


def test_processes_that_never_meet_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multihost, "PROGRAM", ["-c", "import time; time.sleep(60)"])

    with pytest.raises(MultiHostError, match=r"2 processes were not done within 0\.2 s"):
        draw(ALONE, n_processes=2, timeout_s=0.2)


def test_elements_that_no_process_holds_are_not_taken_for_zeros(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(multihost, "PROGRAM", ["-c", "print([[]])"])

    with pytest.raises(
        MultiHostError, match="hold 0 elements of uniform-float32-64x32-s0, not 2048"
    ):
        draw(ALONE[:1], n_processes=2)
