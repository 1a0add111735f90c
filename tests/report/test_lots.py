"""Rows that are held as one of them: written, read back and counted as if each were there."""

from __future__ import annotations

import dataclasses
import json
import math
import pickle
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pyarrow.parquet as pq
import pytest

from conformance.core.errors import ReportError, UnfinishedRunWarning
from conformance.core.ids import Block, parse_unit
from conformance.core.lines import SEAL, opened, sealed
from conformance.core.records import DriftClass, Status
from conformance.report import parquet
from conformance.report.frames import read_run
from conformance.report.lots import (
    DISTANCE,
    LOTS_FILE,
    Lot,
    Lots,
    Told,
    read,
    read_lots,
    rows_of,
    summed_up,
    told,
)
from conformance.report.recorder import RunRecorder
from conformance.report.rows import Row
from tests.report.test_report import ENVIRONMENT, IDENTICAL, as_row, failure, result, returned

SEEDS = (10, 2, 11)
DIGESTS = tuple(name * 64 for name in "abc")


def row_of(seed: int, digest: str, at_sigma: float) -> Row:
    metrics = json.dumps({"values.first": 0.5, DISTANCE: at_sigma, "values.last": 0.5})
    return dataclasses.replace(
        as_row(result(seed=seed, outcome=returned(digest))), metrics=metrics, recorded_at=AT
    )


AT = "2026-11-29T12:00:00.000001+00:00"
ROWS = [row_of(*each) for each in zip(SEEDS, DIGESTS, (0.5, 0.25, 1e-9), strict=True)]
LOT = Lot(row=ROWS[0], seeds=SEEDS, digests=DIGESTS, figures={DISTANCE: (0.5, 0.25, 1e-9)})


def block_of(*lots: Lot) -> Lots:
    block = parse_unit("normal-float32-64x32-s0:20-cpu-eager")
    assert isinstance(block, Block)
    return Lots(block=block, lots=lots)


def recorder_of(folder: Path, *rows: Row, **finish: Any) -> RunRecorder:
    """Return the recorder of a run of one block, which holds LOT and these rows."""
    recorder = RunRecorder(folder=folder, command="conformance run")
    for row in rows:
        recorder.add(row)
    recorder.add_lots(block_of(LOT))
    if finish.pop("is_finished", True):
        expected = [row.case for row in rows]
        recorder.finish(expected=expected, environment=ENVIRONMENT, **finish)
    return recorder


def test_a_lot_has_the_rows_that_it_was_made_of() -> None:
    assert list(LOT.rows()) == ROWS
    assert [row.case for row in ROWS] == LOT.cases()


def test_a_lot_of_one_row_has_that_row() -> None:
    (row,) = rows_of([block_of(Lot.of(ROWS[1]))])

    assert row == ROWS[1]


def test_a_row_of_which_the_seed_decides_no_figure_keeps_its_metrics() -> None:
    row = dataclasses.replace(ROWS[0], metrics='{"values.first": 0.5}')
    lot = dataclasses.replace(LOT, row=row, figures={})

    assert {each.metrics for each in lot.rows()} == {row.metrics}


@pytest.mark.parametrize("value", [0.1, 1e-300, 5.0, float("inf"), float("nan")])
def test_figures_are_as_rows_have_them(value: float) -> None:
    """Whatever the metrics are called, and in the order that they have there."""
    known = {"100% first": 0.5, "a.second": 1.5, "b.third": "inf", "c.fourth": 2.5}
    row = dataclasses.replace(ROWS[0], metrics=json.dumps(known))
    figures = {"c.fourth": (3.5,), "a.second": (value,)}
    lot = dataclasses.replace(LOT, row=row, seeds=(10,), digests=DIGESTS[:1], figures=figures)

    (found,) = lot.rows()

    expected = value if math.isfinite(value) else str(value)
    assert found.metrics == json.dumps({**known, "a.second": expected, "c.fourth": 3.5})


@pytest.mark.parametrize("at_sigma", [(0.5, 0.25, 1e-9), ()])
def test_the_distances_of_the_first_version_are_figures(at_sigma: tuple[float, ...]) -> None:
    values = json.loads(told(block_of(LOT)))
    del values["lots"][0]["figures"], values[SEAL]
    values["lots"][0]["at_sigma"] = at_sigma

    (lot,) = read(json.dumps({**values, "schema": 1})).lots

    assert lot.figures == ({DISTANCE: at_sigma} if at_sigma else {})


def resealed(values: dict[str, Any]) -> str:
    """Return what `told` would have made of the values."""
    values.pop(SEAL)
    return sealed(json.dumps(values))


def test_lots_read_back_as_they_were_told() -> None:
    infinite = dataclasses.replace(LOT, figures={DISTANCE: (math.inf, -math.inf, 0.5)})
    lots = block_of(LOT, infinite, Lot.of(ROWS[1]))

    assert read(told(lots)) == lots


def test_lots_that_were_told_are_written_as_the_line_that_told_them() -> None:
    line = resealed({**json.loads(told(block_of(LOT))), "written": "elsewhere"})

    assert told(read(line)) == line


def test_lots_that_plainly_passed_elsewhere_count_without_their_rows(tmp_path: Path) -> None:
    with_rows, without = (RunRecorder(folder=tmp_path, command="x", run_id=name) for name in "ab")
    found = pickle.loads(pickle.dumps(summed_up(block_of(LOT))))  # noqa: S301  # as it comes home

    with_rows.add_lots(block_of(LOT))
    without.add_lots(found)

    assert isinstance(found, Told)
    assert (found.n_rows, found.n_noteworthy) == (3, 0)
    one, other = (
        each.finish(expected=[found.block.id], environment=ENVIRONMENT)
        for each in (with_rows, without)
    )
    assert one.unheld == other.unheld
    assert one.missing == other.missing != ()
    assert len({(tmp_path / name / LOTS_FILE).read_bytes() for name in "ab"}) == 1


def test_lots_that_drifted_elsewhere_come_with_their_rows() -> None:
    drifted = dataclasses.replace(ROWS[0], drift_class=DriftClass.ROUNDING)
    lots = block_of(dataclasses.replace(LOT, row=drifted))

    found = summed_up(lots)

    assert isinstance(found, Lots)
    assert found == lots
    assert found.line == told(lots)


def test_lots_of_an_earlier_version_are_written_in_that_of_today() -> None:
    earlier = json.loads(told(block_of(LOT))) | {"schema": 2}

    assert told(read(resealed(earlier))) == told(block_of(LOT))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"schema": 9}, "update this package"),
        ({"block": "normal-float32-64x32-s0-cpu-eager"}, "is not a block of seeds"),
        ({"lots": [{"row": {"schema": 1}}]}, "other columns"),
        ({"lots": 5}, "TypeError"),
    ],
)
def test_what_is_no_line_of_lots_is_refused(change: dict[str, Any], fault: str) -> None:
    values = {**json.loads(told(block_of(LOT))), **change}

    with pytest.raises(ReportError, match=fault):
        read(resealed(values))


def test_lots_of_unequal_lengths_are_refused() -> None:
    values = json.loads(told(block_of(LOT)))
    values["lots"][0]["digests"].pop()

    with pytest.raises(ReportError, match=r"\(3, 2, 3\) seeds, digests and figures"):
        read(resealed(values))


def test_figures_of_another_row_are_refused() -> None:
    values = json.loads(told(block_of(LOT)))
    values["lots"][0]["figures"]["moments.other"] = [0.5] * len(LOT.seeds)

    with pytest.raises(ReportError, match=r"the row has no figure 'moments\.other'"):
        read(resealed(values))


# --- In a run ------------------------------------------------------------------------------------
def test_rows_of_lots_are_read_as_those_of_their_own(tmp_path: Path) -> None:
    infinite = dataclasses.replace(
        IDENTICAL, drift_class=DriftClass.LAW, max_ulp=2**64 - 1, max_ulp_at_sigma=float("inf")
    )
    others = [
        dataclasses.replace(as_row(failure(seed=15, drift=infinite)), recorded_at=AT),
        dataclasses.replace(as_row(result(seed=16, drift=None)), recorded_at=AT),
    ]
    found = read_run(recorder_of(tmp_path / "lots", *others).folder)
    as_own = RunRecorder(folder=tmp_path / "own", command="conformance run")
    for row in (*others, *ROWS):
        as_own.add(row)
    as_own.finish(expected=(), environment=ENVIRONMENT)

    # Of a category that is always missing pandas knows no kind.
    found, expected = (
        each.sort_values("case", ignore_index=True).dropna(axis="columns", how="all")
        for each in (found, read_run(as_own.folder))
    )
    pd.testing.assert_frame_equal(found, expected, check_categorical=False, check_exact=True)
    assert found["max_ulp"].max() == 2**64 - 1


def test_records_are_written_in_parts_of_many_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the footer says of each part is in memory until the file is closed."""
    monkeypatch.setattr(parquet, "CHUNK", 2)
    monkeypatch.setattr(parquet, "ROW_GROUP", 5)
    others = [as_row(result(f"i{seed}", seed=seed)) for seed in range(30, 37)]
    recorder = recorder_of(tmp_path, *others)

    with pq.ParquetFile(recorder.folder / "records.parquet") as file:
        groups = range(file.num_row_groups)
        assert [file.metadata.row_group(each).num_rows for each in groups] == [6, 4]
    found = read_run(recorder.folder)
    assert found["case"].tolist() == [row.case for row in (*others, *ROWS)]
    assert found["initializer"].tolist() == [row.initializer for row in (*others, *ROWS)]


def test_a_run_counts_rows_of_lots(tmp_path: Path) -> None:
    recorder = recorder_of(tmp_path, as_row(failure(seed=15)))

    assert recorder.n_rows == 4
    assert recorder.summary_lines()[0].startswith("FAILED: 1 of 4 cases")


LIMITED = dataclasses.replace(
    LOT, row=dataclasses.replace(ROWS[0], status="limited", limitation="known-1", messages="known")
)


def test_rows_of_lots_that_are_limited_are_told_as_those_of_their_own(tmp_path: Path) -> None:
    """The worst are held and shown; in the files each is there once."""
    as_lot = RunRecorder(folder=tmp_path / "lot", command="conformance run")
    as_lot.add_lots(block_of(LIMITED))
    as_rows = RunRecorder(folder=tmp_path / "rows", command="conformance run")
    for row in LIMITED.rows():
        as_rows.add(row)
    one, other = (
        each.finish(expected=[*LOT.cases(), "lost"], environment=ENVIRONMENT, junit=True)
        for each in (as_lot, as_rows)
    )

    assert block_of(LIMITED, LOT).n_noteworthy == len(SEEDS)
    assert (one.rows, one.tally, one.verdict) == (other.rows, other.tally, other.verdict)
    assert one.limitations == {"known-1": len(SEEDS)}
    assert as_lot.n_rows == as_rows.n_rows == len(SEEDS)
    assert (as_lot.folder / "rows.jsonl").read_text() == ""
    for name in ("drift.csv", "missing.json"):
        assert (as_lot.folder / name).read_text() == (as_rows.folder / name).read_text()
    with pytest.warns(UnfinishedRunWarning):
        found, expected = (
            read_run(each.folder).sort_values("case", ignore_index=True)
            for each in (as_lot, as_rows)
        )
    pd.testing.assert_frame_equal(found, expected, check_categorical=False)
    suites = [
        ElementTree.parse(each.folder / "junit.xml").getroot()[0]  # noqa: S314  # ours
        for each in (as_lot, as_rows)
    ]
    assert [len(suite.findall("testcase/skipped")) for suite in suites] == [3, 3]


def test_rows_of_lots_count_with_the_overlay_that_judged_them(tmp_path: Path) -> None:
    of_overlay = dataclasses.replace(LOT.row, golden_from="acme", budget_from="acme")
    recorder = RunRecorder(folder=tmp_path, command="conformance run")
    recorder.add_lots(block_of(dataclasses.replace(LOT, row=of_overlay)))
    recorder.finish(expected=(), environment=ENVIRONMENT)

    lines = recorder.summary_lines()
    assert "3 judged by goldens of overlay acme" in lines
    assert "3 judged by budgets of overlay acme" in lines


def test_junit_has_a_test_for_each_row_of_a_lot(tmp_path: Path) -> None:
    recorder = recorder_of(tmp_path, as_row(failure(seed=15)), junit=True)
    root = ElementTree.parse(recorder.folder / "junit.xml").getroot()  # noqa: S314  # ours

    (suite,) = root
    cases = suite.findall("testcase")
    assert (suite.get("tests"), suite.get("failures")) == ("4", "1")
    assert [case.get("name") for case in cases[1:]] == [row.case for row in ROWS]
    assert [case.get("time") for case in cases] == ["0.062500"] * 4
    assert [len(case) for case in cases] == [1, 0, 0, 0]


def test_without_pyarrow_rows_of_lots_are_written_as_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("importlib.util.find_spec", lambda _: None)
        recorder = recorder_of(tmp_path)

    assert len((recorder.folder / "records.jsonl").read_text().splitlines()) == len(ROWS)
    assert read_run(recorder.folder)["case"].tolist() == [row.case for row in ROWS]


def test_of_a_killed_run_what_it_got_to_is_read(tmp_path: Path) -> None:
    folder = recorder_of(tmp_path, as_row(failure(seed=15)), is_finished=False).folder
    with (folder / LOTS_FILE).open("a") as file:
        file.write(told(block_of(LOT))[:100])

    with pytest.warns(UnfinishedRunWarning, match="read: 4 rows; its last line is cut short"):
        found = read_run(folder)

    assert found["seed"].tolist() == [15, *SEEDS]
    assert found["status"].tolist() == [Status.FAILED, *[Status.PASSED] * 3]


def test_records_that_are_damaged_are_named(tmp_path: Path) -> None:
    path = recorder_of(tmp_path).folder / "records.parquet"
    path.write_bytes(path.read_bytes()[:-50])

    with pytest.raises(ReportError, match=r"records\.parquet cannot be read .*: run it again"):
        read_run(path.parent)


def test_a_line_of_lots_that_is_there_twice_is_named(tmp_path: Path) -> None:
    folder = recorder_of(tmp_path, is_finished=False).folder
    path = folder / LOTS_FILE
    other = told(block_of(Lot.of(ROWS[1])))
    path.write_text(f"{path.read_text()}{other}\n{path.read_text()}")

    with pytest.raises(
        ReportError,
        match=r"lots\.jsonl, line 3: it is line 1 again, a copy .*: take one of the two away",
    ):
        read_run(folder)


def test_a_block_that_was_run_again_is_there_again(tmp_path: Path) -> None:
    """As pytest-repeat does; and a block of which nothing is alike has the same line each time."""
    recorder = recorder_of(tmp_path, is_finished=False)
    later = dataclasses.replace(LOT, row=dataclasses.replace(LOT.row, elapsed_s=0.5))
    for each in (later,), (), ():
        recorder.add_lots(block_of(*each))

    assert len([*read_lots(recorder.folder)]) == 4


@pytest.mark.parametrize("number", [1, 2])
def test_a_row_that_is_there_twice_is_named(tmp_path: Path, number: int) -> None:
    """Wherever the copy is."""
    folder = recorder_of(tmp_path, *ROWS[:2], is_finished=False).folder
    path = folder / "rows.jsonl"
    path.write_text(path.read_text() + path.read_text().splitlines(keepends=True)[number - 1])

    with pytest.raises(
        ReportError, match=rf"rows\.jsonl, line 3: it is line {number} again, a copy "
    ):
        read_run(folder)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_row_that_lost_its_checksum_is_named(tmp_path: Path, number: int) -> None:
    """Where no row has one, the file is of the days before there were such."""
    folder = recorder_of(tmp_path, *ROWS, is_finished=False).folder
    path = folder / "rows.jsonl"
    lines = path.read_text().splitlines()
    bare = [opened(line) for line in lines]
    other = 2 if number == 1 else 1
    path.write_text("\n".join([*lines[: number - 1], bare[number - 1], *lines[number:], ""]))

    with pytest.raises(
        ReportError, match=rf"rows\.jsonl, line {number}: it has no checksum, and line {other} has"
    ):
        read_run(folder)

    path.write_text("\n".join([*bare, ""]))
    with pytest.warns(UnfinishedRunWarning, match="read: 6 rows"):
        read_run(folder)


def test_a_line_of_lots_that_is_damaged_is_named(tmp_path: Path) -> None:
    folder = recorder_of(tmp_path, is_finished=False).folder
    with (folder / LOTS_FILE).open("a") as file:
        file.write("{broken\n")

    with pytest.raises(
        ReportError, match=r"lots\.jsonl, line 2: not the rows of a block"
    ) as raised:
        read_run(folder)
    assert f"take the line away, and `conformance run --resume {folder}`" in str(raised.value)
