"""How far a run is: how fast, how long to go, and what drifted."""

from __future__ import annotations

import re
import time

import pytest

from conformance.cli.progress import ProgressLine
from conformance.core.ids import parse_case

CASE = parse_case("zeros-float32-7-s0-cpu-eager")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Hold the time: the last entry."""
    times = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: times[-1])
    return times


def test_a_run_says_its_pace_and_how_long_it_takes_yet(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    line = ProgressLine("judged", n_before=1_000)
    clock.append(110.0)
    line(2_000, 10_000, CASE, n_drifted=3)

    assert capsys.readouterr().err == (
        f"judged 2000 of 10000 in 10 s (100 a second, 0:01:20 left), 3 drifted: {CASE.id}\n"
    )


@pytest.mark.parametrize(
    ("number", "pace"), [(30, "3.0 a second"), (20_000, "2,000 a second")], ids=["slow", "fast"]
)
def test_a_pace_is_no_more_exact_than_it_is_of_use(
    number: int, pace: str, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    line = ProgressLine()
    clock.append(110.0)
    line(number, 10**6, CASE)

    assert f"({pace}, " in capsys.readouterr().err


def test_a_run_that_is_done_has_nothing_left(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    line = ProgressLine()
    clock.append(100.5)
    line(1, 2, CASE)  # too soon to be told
    line(2, 2, CASE)

    assert capsys.readouterr().err == f"recorded 2 of 2 in 0 s: {CASE.id}\n"


def test_nothing_done_yet_has_no_pace(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    line = ProgressLine("judged", n_before=5)
    clock.append(200.0)
    line(5, 10, CASE)

    assert re.fullmatch(r"judged 5 of 10 in 100 s: .*\n", capsys.readouterr().err)
