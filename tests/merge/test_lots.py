"""A merge of rows that are held as lots is the merge of those rows."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.core.errors import ExitCode
from conformance.core.ids import Block, Problem, parse_unit
from conformance.core.keys import LARGEST
from conformance.core.records import EXECUTED, IN_BLOCK, Outcome, Raised, Status
from conformance.merge import Fact, Judgement, Merged, mixed, read_sources
from conformance.merge.lots import DIGEST_BYTES, Lot, of_seed
from conformance.merge.page import page_of
from conformance.merge.text import to_json, to_markdown, to_text
from conformance.report import lots as report_lots
from conformance.report.lots import LOTS_FILE, Lots
from conformance.report.recorder import RunRecorder
from conformance.report.rows import Row
from conformance.report.run import RECORDS
from tests.merge.test_merge import (
    AS_ALWAYS,
    AVX2,
    CPU,
    CUDA,
    NORMAL,
    ROUNDED,
    UNIFORM,
    fact,
    merged,
    referee,
)
from tests.report.test_report import ENVIRONMENT, as_row, result

EVERY_ROW, NO_ROW = 1, 10**9
"""Sizes from which facts are held as lots."""


def packed(facts: Iterable[Fact]) -> list[Lot]:
    """Return the facts as lots, as they are read off a file."""
    groups: dict[tuple[Any, ...], list[Fact]] = {}
    for each in facts:
        head = re.sub("[0-9a-f]{64}$", "", each.outcome)
        same = of_seed(each.problem, 0), each.transform, each.place, each.source, each.root
        groups.setdefault((*same, str(each.judgement), head), []).append(each)
    return [
        Lot(
            fact=group[0],
            head=str(key[-1]),
            seeds=np.array([each.problem.seed for each in group], np.uint64),
            digests=np.array(
                [
                    list(bytes.fromhex(each.outcome.removeprefix(str(key[-1]))))
                    or [0] * DIGEST_BYTES
                    for each in group
                ],
                np.uint8,
            ),
        )
        for key, group in groups.items()
    ]


def told(found: Merged) -> tuple[object, ...]:
    """Return all that is told of a merge, in every form."""
    code = ExitCode.of(failed=found.has_failed, missing=not found.is_whole)
    return to_json(found), to_text(found), to_markdown(found), page_of(found, code)


SEEDED = [of_seed(problem, seed) for problem in (NORMAL, UNIFORM) for seed in (0, 1, 2, 7)]
FACTS = st.builds(
    fact,
    place=st.sampled_from([CPU, AVX2, CUDA]),
    outcome=st.sampled_from([AS_ALWAYS, AS_ALWAYS, ROUNDED, Raised(exception="E", message="")]),
    problem=st.sampled_from(SEEDED),
    transform=st.sampled_from(["eager", "jit"]),
    source=st.sampled_from(["a", "b"]),
    root=st.sampled_from(["a", "b"]),
    judgement=st.sampled_from(
        [
            *[Judgement(status="passed")] * 3,
            *(None, Judgement(status="passed", drift_class="rounding")),
            Judgement(status="failed"),
        ]
    ),
)
ALIKE = st.builds(
    fact,
    place=st.sampled_from([CPU, AVX2]),
    problem=st.sampled_from(SEEDED),
    judgement=st.just(Judgement(status="passed")),
)
"""Of which many agree."""


@given(
    facts=st.lists(st.one_of(FACTS, ALIKE), min_size=1, max_size=16),
    loose=st.lists(FACTS, max_size=3),
    golden=st.sampled_from([None, AS_ALWAYS, ROUNDED]),
    expected=st.lists(st.tuples(st.sampled_from(SEEDED), st.just("eager")), max_size=2),
)
def test_facts_merge_alike_one_by_one_and_as_lots(
    facts: list[Fact],
    loose: list[Fact],
    golden: Outcome | None,
    expected: list[tuple[Problem, str]],
) -> None:
    judge = referee(golden=golden)

    one_by_one = merged(*facts, *loose, referee=judge, expected=expected)
    as_lots = merged(*loose, lots=packed(facts), referee=judge, expected=expected)

    assert told(as_lots) == told(one_by_one)


def lot_of(n_seeds: int, **values: Any) -> Lot:
    digests = np.arange(n_seeds * DIGEST_BYTES, dtype=np.uint32).reshape(n_seeds, DIGEST_BYTES)
    passed = fact(CPU, judgement=Judgement(status="passed"))
    head = passed.outcome.rpartition(" ")[0] + " "
    return Lot(
        fact=dataclasses.replace(passed, **values),
        head=head,
        seeds=np.arange(n_seeds, dtype=np.uint64),
        digests=(digests % 251).astype(np.uint8),
    )


def test_what_all_agree_on_is_counted_and_not_held() -> None:
    found = merged(lots=[lot_of(100_000), lot_of(100_000, place=AVX2)])

    assert (found.problems, len(found.agreed)) == ((), 1)
    assert (found.n_problems, found.n_results) == (100_000, 200_000)
    assert "100000 x cpu avx512f = cpu fma" in to_text(found)


def test_what_one_of_many_returned_otherwise_is_held_alone() -> None:
    other = lot_of(100_000, place=AVX2)
    other.digests[4321] = 7

    found = merged(lots=[lot_of(100_000), other])

    assert [each.problem.seed for each in found.problems] == [4321]
    assert [case for case, _, _ in found.beyond] == ["normal-float32-64-s4321-cpu-eager"]
    assert found.agreed[0].seeds == (range(4321), range(4322, 100_000))


def test_verdicts_on_many_that_contradict_each_other_are_all_told() -> None:
    """One of two nights judged by other goldens: neither failed, and the bits are the same."""
    one = lot_of(300)
    other = lot_of(300, source="b", root="b", judgement=Judgement(status="limited"))

    found = merged(lots=[one, other])

    assert len(found.conflicts) == 300
    assert told(found) == told(merged(*one.facts(), *other.facts()))


def test_what_one_place_lacks_of_many_is_missing_by_name() -> None:
    found = merged(lots=[lot_of(300), lot_of(200, place=CUDA, root="b", source="b")])

    assert found.missing == {
        CUDA: tuple(sorted(f"normal-float32-64-s{seed}-cuda-eager" for seed in range(200, 300)))
    }


# --- Files ---------------------------------------------------------------------------------------
FIRST, SECOND = range(200), range(200, 400)


def run_of(
    folder: Path, seeds: range, *, shard: str = "", n_failed: int = 0, finish: bool = True
) -> Path:
    """Write a run of two blocks, of each of which the last cases failed."""
    recorder = RunRecorder(folder=folder, command="conformance run")
    for dtype in ("float32", "bfloat16"):
        own = as_row(result(seed=seeds[0], dtype=dtype, drift=None), recorder.run_id)
        row = dataclasses.replace(own, asked=f"--seed 0:400{shard}")
        passed, failed = seeds[: len(seeds) - n_failed], seeds[len(seeds) - n_failed :]
        for each in failed:
            recorder.add(of_failed(row, each))
        lots = [lot(row, passed[:1], EXECUTED), lot(row, passed[1:], IN_BLOCK)]
        block = parse_unit(row.case.replace(f"-s{row.seed}-", f"-s{seeds.start}:{seeds.stop}-"))
        assert isinstance(block, Block)
        recorder.add_lots(Lots(block=block, lots=tuple(lots)))
    if finish:
        recorder.finish(expected=[], environment=ENVIRONMENT)
    return recorder.folder


def lot(row: Row, seeds: range, mode: str) -> report_lots.Lot:
    digests = tuple(hashlib.sha256(str(seed).encode()).hexdigest() for seed in seeds)
    case = row.case.replace(f"-s{row.seed}-", f"-s{seeds[0]}-")
    first = dataclasses.replace(row, mode=mode, seed=seeds[0], case=case)
    return report_lots.Lot(row=first, seeds=tuple(seeds), digests=digests)


def of_failed(row: Row, seed: int) -> Row:
    case = row.case.replace(f"-s{row.seed}-", f"-s{seed}-")
    return dataclasses.replace(
        row, seed=seed, case=case, status=Status.FAILED, failed_checks="values"
    )


def merge_of(folder: Path, few: int) -> Merged:
    sources = read_sources([folder], few=few)
    assert mixed(sources.examples) == ""
    return merged(*sources.facts, lots=sources.lots, faults=sources.faults)


def two_shards(folder: Path) -> None:
    run_of(folder / "one", FIRST, shard=" --shard 1/2")
    run_of(folder / "two", SECOND, shard=" --shard 2/2")


def one_of_two_shards(folder: Path) -> None:
    run_of(folder / "one", FIRST, shard=" --shard 1/2")


def two_runs_of_which_one_failed(folder: Path) -> None:
    run_of(folder / "one", FIRST)
    run_of(folder / "two", FIRST, n_failed=40)


def one_run_cut_short(folder: Path) -> None:
    lots = run_of(folder / "one", FIRST, finish=False, n_failed=3) / LOTS_FILE
    lots.write_text(lots.read_text()[:-100])


def one_run_damaged(folder: Path) -> None:
    two_shards(folder)
    records = next((folder / "one").glob(f"*/{RECORDS}"))
    records.write_bytes(records.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("write", "verdict"),
    [
        (two_shards, "PASSED: 800 results of 800 problems at 1 place"),
        (one_of_two_shards, "INCOMPLETE: 1 not readable or unfinished; 400 results of 400"),
        (two_runs_of_which_one_failed, "FAILED: 80 failed, 80 contradictory; 400 results of 320"),
        (one_run_cut_short, "FAILED: 6 failed, 1 not readable or unfinished; 203 results of 203"),
        (one_run_damaged, "INCOMPLETE: 2 not readable or unfinished; 400 results of 400 problems"),
    ],
)
def test_files_merge_alike_row_by_row_and_as_lots(
    write: Callable[[Path], None], verdict: str, tmp_path: Path
) -> None:
    """The first seed of a block has calls of its own, as its `mode` says, at the same place."""
    write(tmp_path)

    row_by_row, as_lots = merge_of(tmp_path, NO_ROW), merge_of(tmp_path, EVERY_ROW)

    assert told(as_lots) == told(row_by_row)
    assert to_text(as_lots).splitlines()[-1].startswith(verdict)


def test_rows_that_are_many_are_read_as_lots(tmp_path: Path) -> None:
    run_of(tmp_path, FIRST, n_failed=3)

    sources = read_sources([tmp_path])

    assert len(sources.facts) == 8  # the first seed of a block has calls of its own
    assert [len(each.seeds) for each in sources.lots] == [196, 196]


def test_keys_that_are_no_seeds_and_seeds_of_19_digits_are_facts(tmp_path: Path) -> None:
    ids = [
        "normal-float32-64x32-s7.fold5-cpu-eager",
        f"normal-float32-64x32-s{LARGEST}-cpu-eager",
    ]
    recorder = RunRecorder(folder=tmp_path, command="conformance run")
    for key in ids:
        own = dataclasses.replace(as_row(result(drift=None)), case=key)
        recorder.add(own)
    recorder.finish(expected=ids, environment=ENVIRONMENT)

    sources = read_sources([tmp_path], few=EVERY_ROW)

    assert sorted(each.case for each in sources.facts) == ids
    assert sources.lots == ()


def test_what_raised_is_a_lot_too(tmp_path: Path) -> None:
    recorder = RunRecorder(folder=tmp_path, command="conformance run")
    refused = Raised(exception="TypeError", message="")
    for seed in range(3):
        recorder.add(as_row(result(seed=seed, drift=None, outcome=refused)))
    recorder.finish(expected=[], environment=ENVIRONMENT)

    sources = read_sources([tmp_path], few=EVERY_ROW)

    assert [each.outcome for each in sources.lots[0].facts()] == ["raises TypeError"] * 3


def rewritten(folder: Path, **columns: Any) -> None:
    """Write the records of a run again, with other columns; None leaves one out."""
    table = pq.read_table(path := run_of(folder, FIRST) / RECORDS)
    for name, values in columns.items():
        place = table.schema.get_field_index(name)
        table = table.remove_column(place)
        if values is not None:
            table = table.add_column(place, name, pa.array([values] * len(table)))
    pq.write_table(table, path)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"schema": 99}, "a row has version 99 of the format `rows`"),
        ({"asked": None}, "missing ['asked'], unknown []"),
        ({"status": "splendid"}, "cannot be read (status 'splendid' in 'normal-"),
        ({"max_ulp": "many"}, "cannot be read (ArrowInvalid: Failed to parse string"),
    ],
)
def test_records_that_are_not_as_they_must_be_are_named(
    columns: dict[str, Any], message: str, tmp_path: Path
) -> None:
    rewritten(tmp_path, **columns)

    sources = read_sources([tmp_path])

    assert (sources.facts, sources.lots) == (frozenset(), ())
    assert message in sources.faults[0]
    assert str(tmp_path) in sources.faults[0]


def test_records_of_which_a_bit_flipped_are_named(tmp_path: Path) -> None:
    """It would be another digest of some seed, which one place alone cannot tell."""
    path = run_of(tmp_path, FIRST) / RECORDS
    data = path.read_bytes()
    groups = pq.ParquetFile(path).metadata
    columns = map(groups.row_group(groups.num_row_groups - 1).column, range(groups.num_columns))
    (outcome,) = (column for column in columns if column.path_in_schema == "outcome")
    start = outcome.data_page_offset

    for place in range(start + 1000, start + outcome.total_compressed_size, 500):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        sources = read_sources([tmp_path])

        assert (sources.facts, sources.lots) == (frozenset(), ())
        assert f"{path} cannot be read" in sources.faults[0]


def test_records_of_an_earlier_version_lack_what_came_later(tmp_path: Path) -> None:
    rewritten(tmp_path, schema=5, share=None)
    rewritten(tmp_path / "b", share=None)

    sources = read_sources([tmp_path])

    assert sum(len(each.seeds) for each in sources.lots) + len(sources.facts) == 400
    assert "missing ['share'], unknown []" in sources.faults[0]
