"""Since when a failed case is of its class, from the runs that lie beside its own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from conformance.core.records import CaseResult, DriftClass, Status
from conformance.report import nights
from conformance.report.explained import notes_on
from conformance.report.nights import N_NIGHTS, nights_before, since_when
from conformance.report.page.of_run import page_of_run
from conformance.report.page.render import html
from conformance.report.recorder import RunRecorder
from conformance.report.rows import Row

from .test_report import ENVIRONMENT, STREAM, as_row, failure, result, run_of

OLD = dataclasses.replace(ENVIRONMENT, packages={**ENVIRONMENT.packages, "jax": "0.11.2"})


def night(folder: Path, number: int, *verdicts: CaseResult, jax: str = "0.12.0.1") -> Path:
    """Write a finished run of that night, and return its folder."""
    recorder = RunRecorder(folder=folder, command="pytest", run_id=f"night-{number:02}")
    for verdict in verdicts:
        recorder.add(dataclasses.replace(as_row(verdict, recorder.run_id), jax=jax))
    cases = [verdict.observation.case.id for verdict in verdicts]
    recorder.finish(expected=cases, environment=ENVIRONMENT)
    return recorder.folder


def law(seed: int = 0) -> CaseResult:
    return failure(seed, drift=dataclasses.replace(STREAM, drift_class=DriftClass.LAW))


NEW = as_row(failure())


def since(folder: Path, row: Row = NEW) -> str:
    return since_when(row, nights_before(folder / "night-99", [row]).get(row.case, ()))


def test_what_is_new_names_the_run_before_and_what_changed(tmp_path: Path) -> None:
    night(tmp_path, 1, result(), jax="0.11.2")

    assert since(tmp_path) == (
        "stream since this run, identical in the run before, night-01 (jax 0.11.2 -> 0.12.0.1)"
    )


def test_what_began_earlier_names_the_first_run_of_its_class(tmp_path: Path) -> None:
    night(tmp_path, 1, law())
    night(tmp_path, 2, result())
    night(tmp_path, 3, failure())
    night(tmp_path, 4, failure())

    assert since(tmp_path) == (
        "stream since night-03, identical in the run before, night-02 (same environment, jax "
        "0.12.0.1)"
    )


def test_what_was_always_so_says_since_when(tmp_path: Path) -> None:
    night(tmp_path, 1, failure())
    night(tmp_path, 2, failure())

    assert since(tmp_path) == "stream in all 2 runs since night-01"


def test_only_runs_that_have_the_case_and_came_before_count(tmp_path: Path) -> None:
    night(tmp_path, 1, result(seed=7))
    folder = night(tmp_path, 2, failure())
    night(tmp_path, 3, result())

    assert nights_before(folder, [NEW]) == {}


def test_a_case_that_the_machine_failed_has_no_class(tmp_path: Path) -> None:
    folder = night(tmp_path, 1, result())
    path = folder / "records.parquet"
    table = pq.read_table(path)
    place = table.schema.get_field_index("failed_checks")
    pq.write_table(table.set_column(place, table.schema.field(place), [["machine"]]), path)

    assert since(tmp_path) == ""


def test_files_of_older_versions_are_read_and_damaged_ones_are_no_runs(tmp_path: Path) -> None:
    path = night(tmp_path, 1, law()) / "records.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["departs_by", "xla_isa"]), path)
    (night(tmp_path, 2, failure()) / "records.parquet").write_bytes(b"PAR1")

    assert since(tmp_path).startswith("stream since this run, law in the run before, night-01")


def test_the_newest_runs_are_looked_into(tmp_path: Path) -> None:
    path = night(tmp_path, 0, result()) / "records.parquet"
    for number in range(1, N_NIGHTS + 1):
        (tmp_path / f"night-{number:02}").mkdir()
        (tmp_path / f"night-{number:02}" / path.name).write_bytes(path.read_bytes())

    assert len(nights_before(tmp_path / "night-99", [NEW])[NEW.case]) == N_NIGHTS


def test_of_very_many_failures_the_worst_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nights, "N_CASES", 2)
    night(tmp_path, 1, *(result(seed=seed) for seed in range(5)))
    folder = night(tmp_path, 2, *(failure(seed) for seed in range(5)))

    assert "2 of the worst 2 failed cases: stream since" in (folder / "summary.md").read_text()


def test_a_run_of_which_nothing_failed_reads_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    night(tmp_path, 1, result())
    monkeypatch.setattr(pq, "read_table", pytest.fail)

    night(tmp_path, 2, result())


def test_a_finished_run_tells_it_in_its_notes_and_its_page_draws_it(tmp_path: Path) -> None:
    night(tmp_path, 1, result(), result(seed=1))
    folder = night(tmp_path, 2, failure(), law(seed=1), failure(seed=2))

    text = (folder / "summary.md").read_text()
    shown = (folder / "index.html").read_text()
    assert "1 of 3 failed cases: stream since this run, identical in the run before" in text
    assert "1 of 3 failed cases: law since this run" in text
    assert shown.count('class="nights"') == 2
    assert "the last 2 runs, oldest first: identical, law" in shown
    assert 'title="night-01: identical"' in shown


def test_without_earlier_runs_there_is_no_word_of_them() -> None:
    run = run_of(failure())

    assert not [line for line in notes_on(run) if "run before" in line]
    assert 'class="nights"' not in html(page_of_run(run))
    assert run.failed[0].status == Status.FAILED
