"""A run that was cut short goes on where it stopped, and comes to what it would have come to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from conformance.cli import main
from conformance.core.errors import ExitCode, ReportError
from conformance.core.files import locked
from conformance.core.lines import SEAL, sealed
from conformance.report.frames import read_run
from conformance.report.lots import DISTANCE, LOTS_FILE
from conformance.report.recorder import RunRecorder
from conformance.report.run import RECORDS, ROWS
from conformance.run import resuming
from tests import ROOT, small_golden

SELECTION = (
    *("--initializer", "uniform,zeros,orthogonal", "--shape", "8x4"),
    *("--backend", "cpu", "--dtype", "float32"),
)
SEEDS = ("--seed", "10:14,30:32")
N_CASES, N_BLOCKS = 18, 6
CASES = tuple(f"{name}-float32-64-s0-cpu-eager" for name in ("uniform", "zeros"))


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_golden.write(tmp_path_factory.mktemp("set") / "golden", *CASES)


def words(golden: Path, reports: Path, *asked: str) -> list[str]:
    return [
        *("run", "--in-process", "--golden", str(golden), "--reports", str(reports)),
        *asked,
    ]


def run(golden: Path, reports: Path, *asked: str) -> Path:
    """Run to the end, and return the folder."""
    assert main(words(golden, reports, *asked)) == 0
    [folder] = reports.iterdir()
    return folder


@pytest.fixture
def folder(golden: Path, tmp_path: Path) -> Path:
    """A finished run of blocks."""
    return run(golden, tmp_path / "reports", *SELECTION, *SEEDS)


def resume(folder: Path, *also: str) -> int:
    return main(["run", "--resume", str(folder), "--in-process", *also])


def rows(folder: Path) -> pd.DataFrame:
    """Return the rows of a run, but for times, in one order."""
    found = read_run(folder).drop(columns=["recorded_at", "elapsed_s"])
    return found.sort_values("case", ignore_index=True)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines(keepends=True)


def resealed(values: dict[str, Any]) -> str:
    """Return the line that a run would have written of the values."""
    values.pop(SEAL)
    return f"{sealed(json.dumps(values))}\n"


def comes_to_the_same(folder: Path, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(rows(folder), expected, check_categorical=False)


@pytest.mark.parametrize("n_kept", [0, 1, 4])
def test_blocks_that_are_not_done_are_done(
    folder: Path, n_kept: int, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = rows(folder)
    kept = lines(folder / LOTS_FILE)[:n_kept]
    (folder / LOTS_FILE).write_text("".join(kept) + '{"schema": 1, "blo')
    capsys.readouterr()

    assert resume(folder) == 0
    assert f"PASSED: {N_CASES} cases" in capsys.readouterr().out
    assert lines(folder / LOTS_FILE)[:n_kept] == kept
    assert len(lines(folder / LOTS_FILE)) == N_BLOCKS
    comes_to_the_same(folder, expected)


@pytest.mark.parametrize("name", [LOTS_FILE, ROWS])
@pytest.mark.parametrize("altered", ["digest", "status", "checksum"])
def test_what_was_altered_is_named_and_its_line_can_be_taken_away(
    folder: Path, name: str, altered: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A killed process cuts its last line short and alters none."""
    expected = rows(folder)
    [lot, *_] = json.loads(lines(folder / LOTS_FILE)[0])["lots"]
    if name == ROWS:
        (folder / LOTS_FILE).write_text("".join(lines(folder / LOTS_FILE)[1:]))
        (folder / ROWS).write_text(f"{sealed(json.dumps(lot['row']))}\n")
    first, *others = lines(folder / name)
    word = {"digest": lot["row"]["outcome"][-20:], "status": '"passed"', "checksum": first[-9:-3]}
    before, _, after = first.rpartition(word[altered])
    other = word[altered].translate(str.maketrans("0123456789abcdefps", "1032547698badcfesp"))
    (folder / name).write_text("".join([f"{before}{other}{after}", *others]))
    capsys.readouterr()

    assert resume(folder) == ExitCode.MISSING
    said = capsys.readouterr().err
    assert f"{folder / name}, line 1: " in said
    assert "checksum is" in said
    assert f"take the line away, and `conformance run --resume {folder}` runs its " in said

    (folder / name).write_text("".join(others))
    assert resume(folder) == 0
    comes_to_the_same(folder, expected)


def test_lines_of_an_earlier_version_have_no_checksum(folder: Path) -> None:
    expected = rows(folder)
    values = [json.loads(line) for line in lines(folder / LOTS_FILE)]
    older = [{**each, "schema": 1} for each in values if "orthogonal" not in each["block"]]
    for each in older:
        del each[SEAL]
        for lot in each["lots"]:
            lot["at_sigma"] = lot.pop("figures").get(DISTANCE, [])
    (folder / LOTS_FILE).write_text("".join(f"{json.dumps(each)}\n" for each in older))

    assert resume(folder) == 0
    comes_to_the_same(folder, expected)


def test_a_line_that_lost_its_checksum_is_refused(folder: Path) -> None:
    first, *others = lines(folder / LOTS_FILE)
    values = json.loads(first)
    del values[SEAL]
    (folder / LOTS_FILE).write_text("".join([f"{json.dumps(values)}\n", *others]))

    with pytest.raises(ReportError, match=r"lots\.jsonl, line 1: .*it has no checksum"):
        resuming.take_up(folder, in_blocks=True)


def test_a_run_that_is_done_is_reported_again(folder: Path) -> None:
    expected, before = rows(folder), (folder / LOTS_FILE).read_bytes()
    (folder / RECORDS).unlink()

    assert resume(folder) == 0
    assert (folder / LOTS_FILE).read_bytes() == before
    comes_to_the_same(folder, expected)


def test_cases_that_have_no_row_are_run(golden: Path, tmp_path: Path) -> None:
    folder = run(golden, tmp_path / "reports", *CASES)
    expected, kept = rows(folder), lines(folder / ROWS)[0]
    (folder / ROWS).write_text(f"{kept}{kept[:30]}")

    assert resume(folder) == 0
    assert lines(folder / ROWS)[0] == kept
    comes_to_the_same(folder, expected)


def test_a_block_without_all_its_verdicts_is_done_again(folder: Path) -> None:
    """What a kill left of it, and what the machine failed, would be there twice, or never."""
    expected = rows(folder)
    first, *others = lines(folder / LOTS_FILE)
    values = json.loads(first)
    [lot, *_] = values["lots"]
    for each in (lot["seeds"], lot["digests"], *lot["figures"].values()):
        each.pop()
    (folder / LOTS_FILE).write_text("".join([resealed(values), *others]))

    done = resuming.take_up(folder, in_blocks=True)

    assert len(done) == N_BLOCKS - 1
    assert lines(folder / LOTS_FILE) == others
    assert resume(folder) == 0
    comes_to_the_same(folder, expected)


def test_rows_of_their_own_count_with_their_block(folder: Path) -> None:
    """A row as of a failed case, beside a lot that lacks it."""
    first, *others = lines(folder / LOTS_FILE)
    values = json.loads(first)
    [lot] = [each for each in values["lots"] if each["seeds"] == [10]]
    values["lots"].remove(lot)
    (folder / LOTS_FILE).write_text("".join([resealed(values), *others]))
    failed = {**lot["row"], "status": "failed", "failed_checks": "golden"}
    (folder / ROWS).write_text(json.dumps(failed) + "\n")

    done = resuming.take_up(folder, in_blocks=True)
    assert len(done) == N_BLOCKS
    assert json.loads((folder / ROWS).read_text()) == failed
    recorder = RunRecorder(folder=folder.parent, command="", run_id=folder.name)
    recorder.take_up()
    assert recorder.n_rows == len(recorder.cases) == N_CASES
    assert [row.case for row in recorder.failed] == [failed["case"]]

    lost = {**failed, "failed_checks": "machine"}
    (folder / ROWS).write_text(json.dumps(lost) + "\n")
    done = resuming.take_up(folder, in_blocks=True)
    assert (len(done), (folder / ROWS).read_text()) == (N_BLOCKS - 1, "")


# --- What is refused -----------------------------------------------------------------------------
def test_a_run_of_another_place_is_not_gone_on_with(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = json.loads((folder / resuming.BEGUN).read_text())
    begun["environment"]["packages"]["jaxlib"] = "0.1"
    begun["judged_by"] = "somebody"
    (folder / resuming.BEGUN).write_text(json.dumps(begun))
    written = sorted(path.name for path in folder.iterdir())

    assert resume(folder) == 3
    assert sorted(path.name for path in folder.iterdir()) == written
    complaint = capsys.readouterr().err
    assert f"{folder} was begun otherwise (jaxlib: 0.1 -> " in complaint
    assert "judged by somebody -> " in complaint


def test_a_folder_without_a_run_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert resume(tmp_path) == 3
    assert f"{tmp_path} holds no run to go on with, as it has no begun.json" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "text", ["{}", "[]", '{"schema": 99}', '{"schema": 1, "given": 5}', '{"schema": 1, "giv']
)
def test_what_does_not_say_how_it_was_begun_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / resuming.BEGUN).write_text(text)

    with pytest.raises(ReportError, match=r"begun\.json"):
        resuming.read(tmp_path)


@pytest.mark.parametrize(
    ("also", "named"),
    [
        (("--seed", "0"), "--seed ['0']"),
        (("--tier", "quick"), "--tier quick"),
        (("--max-drift", "identical"), "--max-drift identical"),
        (("--recording", "there"), "--recording there"),
        (("zeros-float32-7-s0-cpu-eager",), "--cases"),
    ],
)
def test_what_asks_for_more_than_the_run_did_is_refused(
    tmp_path: Path, also: tuple[str, ...], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert resume(tmp_path, *also) == 4
    assert f"--resume goes on with what the run was asked, and {named}" in capsys.readouterr().err


def test_a_run_that_goes_on_is_not_gone_on_with(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with locked(folder):
        assert resume(folder) == 3
    assert f"{folder} is being changed by process {os.getpid()}" in capsys.readouterr().err


@pytest.mark.parametrize("elsewhere", [("--in-process",), ("--recording", "there")])
def test_workers_are_refused_where_none_can_be(
    elsewhere: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", CASES[0], "-n", "2", *elsewhere]) == 4
    assert "-n 2 starts workers on this machine" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["0", "-1", "two"])
def test_a_number_of_workers_is_one_or_more(
    number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["run", f"--workers={number}"])

    assert raised.value.code == 4
    assert f"{number!r} is no number of processes: 1 to 1024, or auto" in capsys.readouterr().err


# --- As a user would -----------------------------------------------------------------------------
@pytest.mark.slow  # starts five processes
def test_two_workers_that_were_killed_go_on(golden: Path, tmp_path: Path) -> None:
    names = ("--initializer", "normal,uniform", "--shape", "8x4")
    asked = (*names, "--dtype", "float32", "--backend", "cpu", "--seed", "0:5000")
    program = [sys.executable, "-m", "conformance"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = words(golden, tmp_path / "reports", *asked, "-n", "2")
    command.remove("--in-process")
    first = subprocess.Popen([*program, *command], env=environment)  # noqa: S603  # ours
    while not (found := list(tmp_path.glob(f"reports/*/{LOTS_FILE}"))):
        assert first.poll() is None
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    folder = found[0].parent
    n_done = len(lines(folder / LOTS_FILE))

    again = [*program, "run", "--resume", str(folder), "-n", "2"]
    done = subprocess.run(  # noqa: S603  # ours
        again, env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert 0 < n_done < len(lines(folder / LOTS_FILE))
    records = read_run(folder)
    assert len(records) == records["case"].nunique() == 2 * 5000
