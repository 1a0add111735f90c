"""Ctrl-C at any time: an import is finished first, and what is kept is said before all else."""

from __future__ import annotations

import contextlib
import importlib
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.cli.progress import CLEAR
from conformance.core.errors import Terminated
from conformance.run.interruption import (
    AGAIN_S,
    exit_code,
    orderly_interruption,
    say_ended,
    telling_what_is_kept,
)

LOADED = "interrupted_while_it_is_loaded"
ENDS_ITSELF = """
import os, signal, time
for _ in range({times}):
    os.kill(os.getpid(), signal.{name})
    time.sleep(0)
LOADED = True
"""


@pytest.fixture(autouse=True)
def ctrl_c_is_heard() -> Iterator[None]:
    """As on a terminal, though these tests may run in the background of a script."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def wait() -> None:
    """Give the interruption that was put off its time."""
    time.sleep(100 * AGAIN_S)


@pytest.mark.parametrize(
    ("name", "error"), [("SIGINT", KeyboardInterrupt), ("SIGTERM", Terminated)]
)
def test_an_end_during_an_import_comes_after_it(
    name: str, error: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NumPy makes an ImportError of it, and broken modules stay behind."""
    (tmp_path / f"{LOADED}.py").write_text(ENDS_ITSELF.format(times=1, name=name))
    monkeypatch.syspath_prepend(tmp_path)

    def load() -> None:
        with orderly_interruption():
            importlib.import_module(LOADED)
            wait()

    with pytest.raises(error):
        load()

    assert sys.modules.pop(LOADED).LOADED


def test_the_second_one_during_an_import_ends_the_process(tmp_path: Path) -> None:
    (tmp_path / f"{LOADED}.py").write_text(ENDS_ITSELF.format(times=2, name="SIGINT"))
    program = (
        "from conformance.run.interruption import orderly_interruption\n"
        f"with orderly_interruption(): import {LOADED}"
    )
    done = subprocess.run(  # noqa: S603  # this interpreter
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (130, "conformance: interrupted\n")


def test_elsewhere_an_end_comes_at_once_and_once() -> None:
    with orderly_interruption():
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(2 * AGAIN_S)


def test_who_asked_to_be_left_alone_is() -> None:
    """`nohup`, and `&` in a script, have a process ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with orderly_interruption():
            os.kill(os.getpid(), signal.SIGINT)

        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("error", "expected"),
    [(KeyboardInterrupt, (130, "interrupted")), (Terminated, (143, "terminated"))],
)
def test_what_is_kept_is_told_once(
    error: type[KeyboardInterrupt],
    expected: tuple[int, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with (
        pytest.raises(error) as raised,
        telling_what_is_kept(lambda: "outer"),
        telling_what_is_kept(lambda: "3 verdicts"),
    ):
        raise error
    say_ended(raised.value)

    code, how = expected
    assert exit_code(raised.value) == code
    assert capsys.readouterr().err == f"conformance: {how}: 3 verdicts\n"


def test_an_interrupted_run_clears_its_line_and_says_first_what_is_kept(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    words = ["run", "--tier", "quick", "--dtype", "float32", "--reports", str(tmp_path)]
    with subprocess.Popen(  # noqa: S603  # this interpreter
        [sys.executable, "-m", "conformance", *words],
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm"},
        start_new_session=True,
    ) as process:
        os.close(slave)
        told = ""
        while "judged 1 of" not in told:
            told += os.read(master, 10_000).decode()
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        with contextlib.suppress(OSError):  # the other end is closed
            while True:
                told += os.read(master, 10_000).decode()
    os.close(master)

    assert process.returncode == 130
    first, *others = told.rpartition(CLEAR)[2].splitlines()
    (folder,) = tmp_path.iterdir()
    assert first.startswith("conformance: interrupted: ")
    assert first.endswith(f"kept in {folder}: `conformance run --resume {folder}` goes on")
    assert others[0].startswith("INCOMPLETE: ")
    assert "Traceback" not in told
    assert "conformance: interrupted" not in "\n".join(others)
