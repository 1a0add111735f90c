"""A verdict comes whether or not anybody reads it, and its exit code is that of what was found."""

from __future__ import annotations

import argparse
import functools
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conformance.cli.arguments.forms import add_form_options
from conformance.cli.output import (
    Output,
    standard_output,
    tell,
    write_all,
    write_text,
)
from conformance.core.errors import ExitCode, Terminated
from conformance.run.interruption import orderly_interruption

ALSO = [f"zeros-{dtype}-64-s0-cpu-eager" for dtype in ("float32", "float16", "bfloat16")]
DRIFTED = "uniform-float32-64-s0-cpu-eager"


class Refusing(io.StringIO):
    """A stream that takes nothing."""

    def __init__(self, error: OSError, descriptor: int) -> None:
        super().__init__()
        self._error = error
        self._descriptor = descriptor

    def write(self, _: str) -> int:
        """Refuse."""
        raise self._error

    def fileno(self) -> int:
        """Return the descriptor of the file that stands for the reader's."""
        return self._descriptor


def test_what_nobody_reads_any_more_goes_nowhere(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as stream:
        output = Output(Refusing(BrokenPipeError(), stream.fileno()))
        output.write("a verdict")
        stream.write("later")

    assert (tmp_path / "out").read_text() == ""


def test_a_disk_that_is_full_is_told(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as stream:
        output = Output(Refusing(OSError(28, "No space left on device"), stream.fileno()))
        output.write("a verdict")

    assert output.fault.startswith("standard output cannot be written: No space left on device.")
    assert output.fault.endswith("or send the output elsewhere")


def test_an_output_that_was_closed_is_one_that_nobody_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdout", None)

    with standard_output() as output:
        sys.stdout.write("a verdict")
        output.flush()


def test_a_closed_standard_error_takes_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)

    with standard_output():
        sys.stderr.write("progress")
        is_terminal = sys.stderr.isatty()

    assert not is_terminal


def test_every_file_is_tried_and_what_cannot_be_written_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [
        functools.partial(write_text, path, "a verdict")
        for path in (tmp_path / "none" / "one.json", tmp_path, tmp_path / "two.md")
    ]

    code = write_all(files)

    assert code is ExitCode.MISSING
    assert f"conformance: reports cannot be written to {tmp_path}:" in capsys.readouterr().err
    assert (tmp_path / "two.md").read_text() == "a verdict"


def test_a_termination_is_an_interruption_and_the_handler_is_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)

    def run() -> None:
        with orderly_interruption():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)

    with pytest.raises(Terminated):
        run()

    assert signal.getsignal(signal.SIGTERM) is before


def test_drift_is_told_to_the_shell_though_the_reader_has_left(tmp_path: Path) -> None:
    run = f"{sys.executable} -m conformance run {DRIFTED} {' '.join(ALSO)}"
    line = f"JAX_THREEFRY_PARTITIONABLE=False {run} | true; exit ${{PIPESTATUS[0]}}"

    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True)  # noqa: S603, S607  # ours

    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("words", ["list --tier quick", "--help", "law --help", "--version"])
def test_a_full_output_is_the_fault_of_the_machine(words: str) -> None:
    command = [sys.executable, "-m", "conformance", *words.split()]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)  # noqa: S603  # ours

    assert done.returncode == 3
    assert done.stderr.startswith("conformance: standard output cannot be written: No space left")
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_drift_is_told_to_the_shell_though_the_output_is_full(tmp_path: Path) -> None:
    """Drift comes before all that is missing besides, the verdict's own text too."""
    command = [sys.executable, "-m", "conformance", "run", DRIFTED]
    settings = {**os.environ, "JAX_THREEFRY_PARTITIONABLE": "False"}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(  # noqa: S603  # ours
            command, cwd=tmp_path, env=settings, stdout=full, stderr=subprocess.PIPE, text=True
        )

    assert done.returncode == 1
    assert "standard output cannot be written: No space left" in done.stderr


# --- Other forms than text -----------------------------------------------------------------------


def told(*words: str) -> None:
    """Tell a verdict as a command of these words does."""
    parser = argparse.ArgumentParser()
    add_form_options(parser, "json", "markdown")
    forms = {"json": lambda: "{}", "markdown": lambda: "| |"}
    write_all(tell(parser.parse_args(words), lambda _: "a verdict", **forms))


def test_a_form_is_written_beside_the_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told("--json", str(tmp_path / "json"), "--markdown", str(tmp_path / "markdown"))

    assert capsys.readouterr().out == "a verdict"
    assert (tmp_path / "json").read_text() == "{}"
    assert (tmp_path / "markdown").read_text() == "| |"


def test_a_form_is_printed_instead_of_the_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    told("--json", "-")

    assert capsys.readouterr().out == "{}"
    assert list(tmp_path.iterdir()) == []


def test_a_form_that_cannot_be_written_is_told_after_the_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "no folder"
    file.touch()

    told("--json", str(file / "json"))

    printed = capsys.readouterr()
    assert printed.out == "a verdict"
    assert str(file) in printed.err


def test_a_missing_package_costs_the_file_and_not_the_verdict(
    capsys: pytest.CaptureFixture[str],
) -> None:
    written: list[str] = []

    def page() -> None:
        raise ModuleNotFoundError("no", name="jinja2")

    code = write_all([page, lambda: written.append("csv")])

    assert (code, written) == (ExitCode.MISSING, ["csv"])
    assert ExitCode.first(ExitCode.FAILED, code) is ExitCode.FAILED
    assert "this needs jinja2, which is not installed: pip install" in capsys.readouterr().err


def test_a_defect_in_what_writes_is_no_missing_package() -> None:
    def page() -> None:
        raise RuntimeError("ours")

    with pytest.raises(RuntimeError, match="ours"):
        write_all([page])
