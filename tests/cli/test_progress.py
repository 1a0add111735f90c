"""How far a command is: how fast, how long to go, what drifted, and nothing left on the screen."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator

import pytest

from conformance.cli.progress import CLEAR, Progress
from conformance.cli.terminal import width_of
from conformance.core.ids import parse_case
from conformance.core.watching import pace

CASE = parse_case("zeros-float32-7-s0-cpu-eager")


class FakeTerminal(io.StringIO):
    """A terminal that does not tell its width."""

    def isatty(self) -> bool:
        """Claim to be one."""
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> FakeTerminal:
    monkeypatch.setenv("TERM", "xterm")
    return FakeTerminal()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Hold the time: the last entry."""
    times = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: times[-1])
    return times


def drawn(terminal: FakeTerminal) -> str:
    """Return what the row shows."""
    return terminal.getvalue().rpartition(CLEAR)[2]


def test_a_run_says_its_pace_how_long_it_takes_yet_and_what_drifted(
    clock: list[float], terminal: FakeTerminal
) -> None:
    progress = Progress("judged", 1_000, stream=terminal)
    clock.append(110.0)
    progress(2_000, 10_000, CASE, 3)

    text = "judged 2000 of 10000, 3 drifted, 0:01:20 left, 100 a second, zeros-float32-7-s0"
    assert drawn(terminal) == text
    assert len(text) == 79


def test_results_are_counted_as_they_pass(clock: list[float], terminal: FakeTerminal) -> None:
    passed = []
    with Progress("compared", stream=terminal) as progress:
        for result in progress.over("abc", 4, is_bad="b".__eq__):
            clock.append(clock[-1] + 1.0)
            passed.append((result, drawn(terminal)))

    assert passed == [
        ("a", "compared 1 of 4, a"),
        ("b", "compared 2 of 4, 1 drifted, 0:00:01 left, 2.0 a second, b"),
        ("c", "compared 3 of 4, 1 drifted, 0:00:01 left, 1.5 a second, c"),
    ]


def test_a_line_is_drawn_so_often_and_no_more(clock: list[float], terminal: FakeTerminal) -> None:
    progress = Progress("recorded", stream=terminal)
    progress(1, 3, CASE)
    clock.append(100.01)
    progress(2, 3, CASE)

    assert terminal.getvalue().count(CLEAR) == 1


@pytest.mark.parametrize("end", [None, KeyboardInterrupt, ValueError])
def test_the_line_is_gone_when_the_work_ends_however_it_ends(
    end: type[BaseException] | None, terminal: FakeTerminal
) -> None:
    def work() -> None:
        with Progress(stream=terminal) as progress:
            progress.say("at work")
            if end is not None:
                raise end

    with contextlib.suppress(end or SystemExit):
        work()

    assert terminal.getvalue() == f"{CLEAR}at work{CLEAR}"


def test_what_is_to_stay_is_told_in_place_of_the_line(terminal: FakeTerminal) -> None:
    progress = Progress(stream=terminal)
    progress.say("at work")
    progress.tell("0.5.0 -> 0.6.0: stream")

    assert terminal.getvalue() == f"{CLEAR}at work{CLEAR}0.5.0 -> 0.6.0: stream\n"


def test_nothing_is_drawn_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("recorded") as progress:
        progress(1, 2, CASE)
        progress.say("at work")

    assert capsys.readouterr().err == ""


def test_nothing_is_drawn_on_a_terminal_that_cannot_go_back(
    terminal: FakeTerminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")

    with Progress("recorded", stream=terminal) as progress:
        progress(1, 2, CASE)

    assert terminal.getvalue() == ""


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((30, 60, 10.0), "0:00:20 left, 3.0 a second"),
        ((20_000, 10_000, 10.0), "0:00:05 left, 2,000 a second"),
        ((0, 5, 100.0), ""),
        ((5, 0, 100.0), ""),
        ((5, 5, 0.0), ""),
    ],
    ids=["slow", "fast", "nothing done", "nothing left", "no time"],
)
def test_a_pace_is_no_more_exact_than_it_is_of_use(
    counts: tuple[int, int, float], expected: str
) -> None:
    assert pace(*counts) == expected


# --- A real terminal ------------------------------------------------------------------------------
DRAWS = """
import sys
from conformance.cli.progress import Progress
from conformance.core.ids import parse_case

case = parse_case("he_normal_batch0-bfloat16-3x3x8x16-s0-cpu-eager")
with Progress("judged") as progress:
    for number in range(1, 4):
        progress._drawn_s = 0.0
        progress(number, 30_000, case, number)
print("done", file=sys.stderr)
"""


@pytest.fixture(params=[80, 40, 0], ids=["80", "40", "unknown"])
def screen(request: pytest.FixtureRequest) -> Iterator[tuple[int, int, int]]:
    """Lend both ends of a terminal, and how wide it says it is."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, request.param, 0, 0))
    yield master, slave, request.param
    os.close(master)
    os.close(slave)


def test_a_terminal_keeps_no_stale_row_at_any_width(screen: tuple[int, int, int]) -> None:
    """A text as wide as the terminal, or wider, takes a second row, which no update clears."""
    master, slave, columns = screen
    subprocess.run(  # noqa: S603  # this interpreter
        [sys.executable, "-c", DRAWS],
        stderr=slave,
        check=True,
        env={**os.environ, "TERM": "xterm", "NO_COLOR": "1"},
    )
    told = os.read(master, 10_000).decode()

    *updates, last = told.split(CLEAR)[1:]
    assert len(updates) == 3
    assert all(len(update) == (columns or 80) - 1 and "\n" not in update for update in updates)
    assert updates[-1].startswith("judged 3 of 30000, 3 drifted, ")
    assert last.strip() == "done"
    assert not re.search(r"\x1b\[[\d;]*m", told)


def test_a_stream_that_is_no_terminal_has_no_width(screen: tuple[int, int, int]) -> None:
    _, slave, columns = screen
    with os.fdopen(os.dup(slave), "w") as stream:
        assert width_of(stream) == (columns or 80)

    assert width_of(io.StringIO()) is None


def test_where_no_line_is_drawn_none_is_made(clock: list[float], terminal: FakeTerminal) -> None:
    """Of a file, and between two lines of a terminal: a name costs more than the result says."""
    named: list[str] = []

    def name(result: str) -> str:
        named.append(result)
        return result

    for stream in (io.StringIO(), terminal):
        clock.append(clock[-1] + 10)
        [*Progress("judged", stream=stream).over(["one", "two"], 2, name=name)]

    assert named == ["one"]
    assert drawn(terminal) == "judged 1 of 2, one"
