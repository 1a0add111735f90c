"""A run that fails, crashes or is something else than it says is told apart from one not run."""

from __future__ import annotations

import collections
import json
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import cpus
import pytest
from cpus import OVERDUE, PLAN, Line, Machine, Run

from conformance.core.errors import ExitCode, SelectionError
from conformance.report.run import ROWS
from conformance.suite.faults import FAULTS

AVX2 = "sse4_2 avx avx2 fma"
SUITE = ("conformance/suite/test_initializers.py",)
LOST = "no verdict on test_case[zeros]: its process was ended by SIGSEGV"


def of_plan(name: str) -> Run:
    return next(run for run in PLAN if run.name == name)


def written(folder: Path, *messages: str, name: str = cpus.TESTS) -> None:
    """Write a report of tests, each with why it failed, "" where it passed."""
    tests = "".join(
        f"<testcase name='test_{number}'>"
        + (f"<error message='failed on setup with'>{message}</error>" if message else "")
        + "</testcase>"
        for number, message in enumerate(messages)
    )
    (folder / name).write_text(f"<testsuites><testsuite>{tests}</testsuite></testsuites>")


def reported(folder: Path, *classes: str, kernel: str = "") -> None:
    """Write the rows of a run of the suite, one a class, and what it ran in."""
    (folder / "run").mkdir()
    rows = "\n".join(json.dumps({"drift_class": name}) for name in classes)
    (folder / "run" / ROWS).write_text(rows)
    environment = {"host": {"lapack_kernel": kernel}}
    (folder / "run" / "environment.json").write_text(json.dumps(environment))


def machine(tmp_path: Path, pytest_in_child: str = "", minutes: float = 1.0) -> Machine:
    """Return a machine whose interpreter knows a fake pytest of this source."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f"#!{sys.executable}\nimport os, pathlib, signal, sys\n{pytest_in_child}\n")
    python.chmod(0o755)
    return Machine(
        python=str(python),
        libc="",
        words=(),
        programs=tmp_path / "programs",
        end_s=time.monotonic() + minutes * 60,
    )


# --- The plan ------------------------------------------------------------------------------------
def test_the_plan_has_thirteen_runs_of_this_c_library_and_two_of_another() -> None:
    assert len(PLAN) == len({run.name for run in PLAN}) == 15
    assert [run.name for run in PLAN if run.is_of_libc] == ["libc-jit", "libc-tests"]


def test_every_fault_of_the_plan_is_planted() -> None:
    assert {name for run in PLAN for name in run.faults} <= {fault.name for fault in FAULTS}


def test_runs_are_chosen_by_name_or_pattern_in_the_order_of_the_plan() -> None:
    runs = cpus.chosen(["zen-*", "isa-avx"])

    assert [run.name for run in runs] == ["isa-avx", "zen-1", "zen-2"]


def test_a_name_that_no_run_has_is_refused_with_the_nearest() -> None:
    with pytest.raises(SelectionError, match=r"run 'haswel-1' is unknown: .*haswell-1"):
        cpus.chosen(["haswel-1"])


def test_a_wrong_name_exits_with_4(capsys: pytest.CaptureFixture[str]) -> None:
    assert cpus.main(["--only", "haswel-1"]) == ExitCode.USAGE
    assert "haswell-1" in capsys.readouterr().err


# --- What cannot run here ------------------------------------------------------------------------
def test_a_run_whose_instructions_the_cpu_lacks_is_not_run() -> None:
    assert cpus.lack(of_plan("skylakex-1"), AVX2, "") == "this CPU lacks avx512f"
    assert cpus.lack(of_plan("haswell-1"), AVX2, "") == ""


def test_a_run_without_a_second_c_library_says_how_to_get_one() -> None:
    reason = cpus.lack(of_plan("libc-jit"), AVX2, "")

    assert "`python scripts/debian_python.py DIR` makes one for --libc" in reason
    assert cpus.lack(of_plan("libc-jit"), AVX2, "/other/bin/python") == ""


def test_what_cannot_run_is_listed_and_fails_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [of_plan("skylakex-2"), Run(name="plain", asked=("tests",))]

    lines = list(cpus.lines_of(runs, machine(tmp_path), AVX2))

    assert [line.code for line in lines] == [None, ExitCode.OK]
    assert "| skylakex-2 | not run: this CPU lacks avx512f |" in printed(lines, capsys)
    assert cpus.exit_code(lines) == ExitCode.OK


def test_a_plan_of_which_nothing_ran_is_incomplete() -> None:
    assert cpus.exit_code([Line(name="skylakex-1", code=None)]) == ExitCode.MISSING


# --- What a process did --------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("ending", "code", "note"),
    [
        ("sys.exit(0)", ExitCode.OK, ""),
        ("sys.exit(1)", ExitCode.FAILED, "its process exits with 1"),
        ("sys.exit(5)", ExitCode.MISSING, "its process exits with 5"),
        (
            "os.kill(os.getpid(), signal.SIGSEGV)",
            ExitCode.MISSING,
            "its process died of SIGSEGV",
        ),
    ],
)
def test_how_a_process_ends_is_told(tmp_path: Path, ending: str, code: ExitCode, note: str) -> None:
    line = machine(tmp_path, ending).carried_out(Run(name="plain", asked=("tests",)))

    assert (line.code, line.note) == (code, note)


def test_a_plan_whose_time_nobody_limits_is_carried_out(tmp_path: Path) -> None:
    child = machine(tmp_path, "sys.exit(0)", minutes=cpus.parsed([]).minutes)

    assert child.carried_out(Run(name="plain", asked=("tests",))).code == ExitCode.OK


def test_a_process_has_the_variables_of_its_run(tmp_path: Path) -> None:
    child = machine(tmp_path, "sys.exit(os.environ['OPENBLAS_CORETYPE'] != 'Zen')")

    line = child.carried_out(
        Run(name="plain", asked=("tests",), variables={"OPENBLAS_CORETYPE": "Zen"})
    )

    assert line.code == ExitCode.OK


def test_a_run_over_its_time_is_ended_and_the_next_one_not_begun(tmp_path: Path) -> None:
    child = machine(tmp_path, "import time; time.sleep(60)", minutes=0.005)
    plain = Run(name="plain", asked=("tests",))

    first, second = cpus.lines_of([plain, plain], child, AVX2)

    assert (first.code, first.note) == (ExitCode.MISSING, "cut short, its time was over")
    assert (second.code, second.note) == (ExitCode.MISSING, "not begun, no time was left")


# --- What its reports tell -----------------------------------------------------------------------
def test_a_run_that_passes_counts_its_cases_by_class(tmp_path: Path) -> None:
    written(tmp_path, "", "", "")
    reported(tmp_path, "identical", "identical", "rounding")

    line = cpus.told(Run(name="isa-avx", asked=SUITE), tmp_path, 0)

    assert line.cells() == ["isa-avx", "passed", *[""] * 4]
    assert line.classes == {"identical": 2, "rounding": 1}
    assert line.n_tests == 3


def test_a_run_that_drifts_fails_and_names_the_first_test(tmp_path: Path) -> None:
    written(tmp_path, "", "further from the golden than 0 ULP", "so is this")
    reported(tmp_path, "identical", "stream", "stream")

    line = cpus.told(Run(name="isa-avx", asked=SUITE), tmp_path, 1)

    assert (line.code, line.note) == (ExitCode.FAILED, "test_1 and 1 more")


def test_a_kernel_that_crashes_is_named_and_incomplete(tmp_path: Path) -> None:
    written(tmp_path, "", LOST)
    reported(tmp_path, "identical", kernel="Haswell")

    line = cpus.told(of_plan("haswell-1"), tmp_path, 3)

    assert (line.code, line.note) == (ExitCode.MISSING, LOST)


def test_a_run_under_another_kernel_than_it_says_is_incomplete(tmp_path: Path) -> None:
    written(tmp_path, "")
    reported(tmp_path, "identical", kernel="Haswell")

    line = cpus.told(of_plan("sandybridge-1"), tmp_path, 0)

    assert line.code == ExitCode.MISSING
    assert line.note == "LAPACK's kernel is Haswell, not Sandybridge"


def test_planted_faults_that_fail_are_counted(tmp_path: Path) -> None:
    run = Run(name="isa-avx", asked=SUITE, faults=("one", "two"))
    written(tmp_path, "", "", name=cpus.FAULTS)

    line = cpus.with_faults(Line(name=run.name, code=ExitCode.OK), run, 0, tmp_path)

    assert (line.code, line.n_died, line.n_planted) == (ExitCode.OK, 2, 2)


def test_a_planted_fault_that_passes_fails_the_run(tmp_path: Path) -> None:
    run = Run(name="isa-avx", asked=SUITE, faults=("one", "two"))
    written(tmp_path, "", "was not caught", name=cpus.FAULTS)

    line = cpus.with_faults(Line(name=run.name, code=ExitCode.OK), run, 1, tmp_path)

    assert (line.code, line.n_died) == (ExitCode.FAILED, 1)
    assert line.note == "planted faults: test_1"


def test_planted_faults_that_are_cut_short_leave_the_run_incomplete(tmp_path: Path) -> None:
    run = Run(name="isa-avx", asked=SUITE, faults=("one",))

    line = cpus.with_faults(Line(name=run.name, code=ExitCode.OK), run, OVERDUE, tmp_path)

    assert line.code == ExitCode.MISSING
    assert line.note == "planted faults: cut short, its time was over"


# --- The whole -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ((ExitCode.OK, None), ExitCode.OK),
        ((ExitCode.MISSING, ExitCode.OK), ExitCode.MISSING),
        ((ExitCode.MISSING, ExitCode.FAILED), ExitCode.FAILED),
    ],
)
def test_a_failure_is_told_before_what_is_missing(
    codes: tuple[ExitCode | None, ...], expected: ExitCode
) -> None:
    assert cpus.exit_code([Line(name="run", code=code) for code in codes]) == expected


def printed(lines: Iterable[Line], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the table of the lines."""
    list(cpus.said(lines))
    return capsys.readouterr().out


def test_each_line_is_printed_before_the_next_run_begins(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = cpus.said(Line(name=name, code=ExitCode.OK) for name in ("first", "second"))

    next(lines)

    assert capsys.readouterr().out.splitlines()[-1].startswith("| first | passed |")


def test_a_run_that_ran_has_all_its_figures_in_the_table(
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = Line(
        name="isa-avx",
        code=ExitCode.OK,
        classes=collections.Counter({"rounding": 13, "identical": 140}),
        n_tests=153,
        n_died=5,
        n_planted=5,
        elapsed_s=61.4,
    )

    row = "| isa-avx | passed | 140 identical, 13 rounding | 153 | 5 of 5 | 61 |"
    assert printed([line], capsys).splitlines()[-1] == row


def test_a_segfault_has_a_name() -> None:
    assert cpus.ending(-signal.SIGSEGV) == "died of SIGSEGV"
