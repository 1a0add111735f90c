"""Of many rows the worst of each kind are held, the others counted, and all are in the files."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import json
import random
from pathlib import Path
from xml.etree import ElementTree

import pytest

from conformance.core.records import Status
from conformance.report.frames import missing_lines, read_drift, read_run
from conformance.report.held import Held
from conformance.report.lots import Lot
from conformance.report.markdown import markdown
from conformance.report.page.of_run import page_of_run
from conformance.report.page.pairs import HEAD, table_of
from conformance.report.page.render import html
from conformance.report.recorder import RunRecorder
from conformance.report.rows import Row
from conformance.report.run import RECORDS, Run, key_of
from tests.report.test_report import ENVIRONMENT, STREAM, as_row, failure, lost, result

N_FAILED, N_LIMITED, N_HELD = 30, 20, 5


def failed(seed: int, initializer: str = "normal") -> Row:
    drift = dataclasses.replace(STREAM, max_ulp_at_sigma=float(seed))
    return as_row(failure(seed=seed, initializer=initializer, drift=drift))


def limited(seed: int) -> Row:
    return as_row(result("zeros", seed=seed, status=Status.LIMITED, limitation="known-1"))


def seeds(found: Held, initializer: str = "normal") -> list[int]:
    return sorted(row.seed for row in found.rows if row.initializer == initializer)


def test_the_worst_of_a_kind_are_held_whatever_the_order() -> None:
    rows = [failed(seed) for seed in range(12)]

    for order in ([*rows], rows[::-1], random.Random(3).sample(rows, 12)):
        found = Held(most_alike=3)
        for row in order:
            found.add(row)
        assert seeds(found) == [9, 10, 11]
        assert found.unheld == {key_of(rows[0]): 9}


@pytest.mark.parametrize("number", range(6))
def test_kinds_share_the_places_alike_whatever_the_order(number: int) -> None:
    sizes = {"normal": 9, "zeros": 2, "ones": 7}
    rows = [failed(seed, name) for name, n in sizes.items() for seed in range(n)]
    random.Random(number).shuffle(rows)
    found = Held(most=10)
    for row in rows:
        found.add(row)

    assert {name: seeds(found, name) for name in sizes} == {
        "zeros": [0, 1],
        "normal": [5, 6, 7, 8],
        "ones": [3, 4, 5, 6],
    }
    assert sum(found.unheld.values()) == len(rows) - 10


def test_all_rows_of_a_small_run_are_held_by_their_ids() -> None:
    found = Held()
    for row in (failed(2), limited(1), failed(0)):
        found.add(row)

    assert [row.case for row in found.rows] == sorted(row.case for row in found.rows)
    assert (len(found.rows), found.unheld) == (3, {})


def lot_of(stop: int, first: int = 0) -> Lot:
    seeds = tuple(range(first, stop))
    row = limited(first)
    return Lot(row=row, seeds=seeds, digests=(row.outcome.rpartition(" ")[2],) * len(seeds))


@pytest.mark.parametrize("number", range(6))
def test_the_rows_of_lots_are_held_as_rows_of_their_own_are(number: int) -> None:
    lots = [lot_of(stop, stop - 7) for stop in range(7, 120, 7)]
    others = [failed(seed) for seed in range(9)]
    ours: list[Lot | Row] = [*lots, *others]
    random.Random(number).shuffle(ours)
    found, expected = Held(most=12, most_alike=10), Held(most=12, most_alike=10)
    for each in ours:
        found.add_lot(each) if isinstance(each, Lot) else found.add(each)
    for row in (*others, *(row for lot in lots for row in lot.rows())):
        expected.add(row)

    assert [row.case for row in found.rows] == [row.case for row in expected.rows]
    assert found.unheld == expected.unheld


def test_of_a_lot_that_would_not_be_held_no_row_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Held(most_alike=3)
    found.add_lot(lot_of(3))
    monkeypatch.setattr(Lot, "rows", lambda _: pytest.fail("a row was made"))
    found.add_lot(lot_of(9, 4))

    assert seeds(found, "zeros") == [0, 1, 2]
    assert sum(found.unheld.values()) == 5


# --- A run of more rows than are held ------------------------------------------------------------
@pytest.fixture
def recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunRecorder:
    monkeypatch.setattr("conformance.report.recorder.Held", lambda: Held(most_alike=N_HELD))
    found = RunRecorder(folder=tmp_path, command="conformance run")
    both = ([failed(seed) for seed in range(N_FAILED)], [limited(n) for n in range(N_LIMITED)])
    rows = [row for pair in itertools.zip_longest(*both) for row in pair if row is not None]
    for row in rows:
        found.add(row)
    found.add(as_row(lost(seed=99)))
    expected = [*(row.case for row in rows), as_row(lost(seed=99)).case]
    found.finish(expected=expected, environment=ENVIRONMENT, junit=True)
    return found


def run_of(recorder: RunRecorder) -> Run:
    assert recorder._run is not None
    return recorder._run


def test_a_run_counts_what_is_not_held(recorder: RunRecorder) -> None:
    run = run_of(recorder)

    assert len(run.rows) == 2 * N_HELD + 1
    assert run.n_judged == N_FAILED + N_LIMITED
    assert (recorder.n_failed, len(recorder.failed)) == (N_FAILED, N_HELD)
    assert run.limitations == {"known-1": N_LIMITED}
    assert run.verdict == ("FAILED: 30 of 50 cases; INCOMPLETE: 1 of 51 cases left no result")
    lines = recorder.summary_lines()
    assert f"limited by the ledger: {N_LIMITED} x known-1" in lines
    assert f"  and {N_FAILED - 5} more; {RECORDS} holds all" in lines
    assert any(line.split() == ["normal", "30/30", "-", "30"] for line in lines)


def test_the_files_have_every_row(recorder: RunRecorder) -> None:
    with pytest.warns(match="no result from normal-float32-64x32-s99-cpu-eager"):
        found = read_run(recorder.folder)

    assert collections.Counter(found["status"]) == {"failed": N_FAILED + 1, "limited": N_LIMITED}
    assert found["case"].is_unique
    (suite,) = ElementTree.parse(recorder.folder / "junit.xml").getroot()  # noqa: S314  # ours
    told = {name: suite.get(name) for name in ("tests", "failures", "skipped", "errors")}
    assert told == {"tests": "51", "failures": "30", "skipped": "20", "errors": "1"}
    kinds = collections.Counter(each.tag for case in suite.iter("testcase") for each in case)
    assert kinds == {"failure": 30, "skipped": 20, "error": 1}


def test_the_page_counts_by_initializer_and_dtype_what_is_not_held(recorder: RunRecorder) -> None:
    lines = (dict(zip(HEAD, line, strict=True)) for line in table_of(run_of(recorder)).lines)

    found = {
        line["initializer"]: (line["drifted"], line["failed"], line["class"]) for line in lines
    }
    assert found == {
        "normal": (str(N_FAILED), str(N_FAILED), f"stream {N_FAILED}"),
        "zeros": (str(N_LIMITED), "0", f"identical {N_LIMITED}"),
    }


def test_drift_csv_and_the_summary_have_the_worst_and_say_where_the_rest_is(
    recorder: RunRecorder,
) -> None:
    run = run_of(recorder)

    drift = read_drift(recorder.folder)
    assert drift[drift["status"] == "failed"]["seed"].tolist() == [29, 28, 27, 26, 25]
    text = markdown(run)
    assert f"\n40 of 50 left out here; {RECORDS} has all.\n" in text
    assert f"\n25 of 30 left out here; {RECORDS} has all.\n" in text
    assert "| bits | 30 |" in text


def test_the_page_counts_all(recorder: RunRecorder) -> None:
    page = page_of_run(run_of(recorder))

    cell = page.heatmaps[0].cells["normal", "float32"]
    assert (cell.n_cases, cell.n_bad) == (N_FAILED, N_FAILED)
    assert page.n_failures == N_FAILED
    assert page.rows is not None
    assert page.rows.n_left_out == N_FAILED + N_LIMITED - 2 * N_HELD
    assert f"The first {N_HELD} of {N_FAILED}; {RECORDS} has all." in html(page)


def test_missing_seeds_of_a_block_are_written_as_ranges(tmp_path: Path) -> None:
    recorder = RunRecorder(folder=tmp_path, command="conformance run")
    head, tail = "normal-float32-64x32-s", "-cpu-eager"
    for seed in (3, 7, 8):
        recorder.add(failed(seed))
    recorder.miss(f"{head}4{tail}", "its process ended")
    blocks = [f"{head}{first}:{first + 5}{tail}" for first in range(0, 20, 5)]
    recorder.finish(expected=blocks, environment=ENVIRONMENT, ending="interrupted", junit=True)

    missing = json.loads((recorder.folder / "missing.json").read_text())["missing"]
    assert missing == {
        "interrupted": [f"{head}{each}{tail}" for each in ("0:3", "5:7", "9:20")],
        "its process ended": [f"{head}4{tail}"],
    }
    assert recorder.summary_lines()[0].startswith(
        "FAILED: 3 of 3 cases; INCOMPLETE: 17 of 20 cases left no result"
    )
    (suite,) = ElementTree.parse(recorder.folder / "junit.xml").getroot()  # noqa: S314  # ours
    assert (suite.get("errors"), len(suite.findall("testcase/error"))) == ("17", 17)
    said = missing_lines(recorder.folder)
    assert [line.partition(": ")[2] for line in said] == [
        f"no result from {', '.join(missing['interrupted'])}: interrupted",
        f"no result from {head}4{tail}: its process ended",
    ]


def test_reasons_beyond_those_that_are_kept_are_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conformance.report.recorder.MOST_REASONS", 2)
    recorder = RunRecorder(folder=tmp_path, command="conformance run")
    for case in "abcd":
        recorder.miss(case, f"reason {case}")
    recorder.miss("e", "reason a")
    recorder.finish(expected=list("abcde"), environment=ENVIRONMENT)

    missing = json.loads((recorder.folder / "missing.json").read_text())["missing"]
    assert list(missing.values()) == [["a", "e"], ["b"], ["c", "d"]]
    assert "reasons, of which this is none that is kept" in list(missing)[2]
