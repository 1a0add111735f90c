"""Eight devices in one process or in two draw the bits of one device, as JAX promises."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cli.main import main
from conformance.core.errors import GoldenError
from conformance.core.ids import Case, parse_problem
from conformance.core.prng import Promise, is_promised
from conformance.core.records import DriftClass, Entry, Returned
from conformance.judge.drift import classify
from conformance.observe.observer import Observer
from conformance.observe.pod import joined
from conformance.observe.process import HOST_DEVICES_FLAG
from conformance.store.read import open_store
from tests import ROOT

PRNGS = ("threefry2x32", "threefry2x32_nonpartitionable", "rbg", "unsafe_rbg")
BY_ROWS = tuple(
    Case(problem=parse_problem(text), backend="cpu", transform="sharded")
    for text in (
        "uniform-float32-64x32-s0",
        *(f"uniform-float32-64x32-s0-{prng}" for prng in PRNGS[1:]),
        "lecun_normal-float32-64x32-s0",
        "orthogonal-float32-64x32-s0",
        "normal-bfloat16-64x32-s0",
    )
)
BY_COLUMNS = Case(
    problem=parse_problem("normal-float32-63x32-s0"), backend="cpu", transform="sharded"
)
"""63 rows are not shared by 8 devices: each has 4 of the columns."""

RAISING = Case(
    problem=parse_problem("lecun_normal-float32-64-s0"), backend="cpu", transform="sharded"
)
"""A vector has no fans."""

CASES = (*BY_ROWS, BY_COLUMNS, RAISING)


def observed(case: Case, transform: str = "sharded") -> Returned:
    """Return what one process draws, which sees eight devices."""
    asked = Case(problem=case.problem, backend="cpu", transform=transform)
    spec = load_catalogue().lookup(case.problem.initializer)
    outcome = Observer().observe(asked, spec).outcome
    assert isinstance(outcome, Returned)
    return outcome


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes of four devices recorded, each its part."""
    folder, address = tmp_path_factory.mktemp("pod") / "parts", f"127.0.0.1:{free_port()}"
    flags = re.sub(rf"{HOST_DEVICES_FLAG}=\d+", "", os.environ.get("XLA_FLAGS", ""))
    variables = {**os.environ, "XLA_FLAGS": flags.strip(), "JAX_PLATFORMS": "cpu"}
    ids = [case.id for case in CASES]
    started = [
        subprocess.Popen(  # noqa: S603  # our own words
            [
                *(sys.executable, "-m", "conformance", "record", *ids, "--out", str(folder)),
                *("--coordinator", address, "--process", f"{index}/2"),
            ],
            env=variables,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        for index in range(2)
    ]
    try:
        assert [process.wait() for process in started] == [0, 0]
    finally:
        for process in started:
            process.kill()
            process.wait()
    return folder


@pytest.fixture
def parts(pod: Path, tmp_path: Path) -> Path:
    """A copy of that, to be damaged."""
    return Path(shutil.copytree(pod, tmp_path / "parts"))


@pytest.fixture(scope="module")
def together(pod: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The outcomes of the recording that is made of both processes' parts."""
    out = tmp_path_factory.mktemp("together") / "out"
    assert main(["record", "--finish", str(pod), "--out", str(out)]) == 0
    return {entry.id: entry.outcome for entry in open_store(out).entries()}


# --- Equal bits ----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", BY_ROWS, ids=lambda case: case.id)
def test_two_processes_draw_the_bits_of_one_and_of_one_device(
    case: Case, together: dict[str, Any]
) -> None:
    assert is_promised(Promise.SHARDINGS, case.problem.prng)
    assert together[case.id].sha256 == observed(case).sha256
    assert together[case.id].sha256 == observed(case, "eager").sha256


def test_another_shape_on_each_device_may_round_otherwise_and_no_more(
    together: dict[str, Any], tmp_path: Path
) -> None:
    """The draws are those of one device; XLA's CPU compiler vectorizes erf_inv by local shape.

    It does so otherwise where it optimizes less, as in the process of the tests: so the one process
    is a child, as the two are.
    """
    alone = [*(sys.executable, "-m", "conformance", "record"), BY_COLUMNS.id]
    subprocess.run([*alone, "--out", str(tmp_path / "alone")], cwd=ROOT, check=True)  # noqa: S603  # our own words

    entry = open_store(tmp_path / "alone").entry(BY_COLUMNS.id)
    assert entry is not None
    assert together[BY_COLUMNS.id] == entry.outcome
    drift = classify(together[BY_COLUMNS.id], observed(BY_COLUMNS, "eager"))
    assert drift.drift_class in (DriftClass.IDENTICAL, DriftClass.ROUNDING)


def test_what_all_processes_raise_is_an_outcome(together: dict[str, Any]) -> None:
    assert together[RAISING.id].exception == "ValueError"


def test_each_process_holds_a_part(pod: Path) -> None:
    rows = [path.read_text().splitlines()[1:] for path in sorted(pod.iterdir())]

    held = [len(json.loads(lines[0])["parts"]) for lines in rows]
    assert held == [4, 4]


def test_a_merge_puts_a_pod_together(
    pod: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "merge.json"

    code = main(["merge", str(pod), "--json", str(out), "--reports", str(tmp_path / "reports")])

    assert code == 0, capsys.readouterr()
    assert json.loads(out.read_text())["faults"] == []
    assert f"{len(CASES)} results" in json.loads(out.read_text())["verdict"]


def test_a_second_call_that_has_other_bits_in_one_process_is_no_repetition(parts: Path) -> None:
    repeated = joined(parts, load_catalogue()).entries
    path = parts / "process-1-of-2.parts"
    path.write_text(path.read_text().replace('"is_repeated":true', '"is_repeated":false'))

    found = joined(parts, load_catalogue()).entries

    assert repeated[SHARDED].extra["repeat_sha256"] == together_sha256(repeated)
    assert found[SHARDED].extra["repeat_sha256"] not in (None, together_sha256(found))


def together_sha256(entries: Mapping[str, Entry]) -> str:
    outcome = entries[SHARDED].outcome
    assert isinstance(outcome, Returned)
    return outcome.sha256


def test_a_pod_is_asked_of_any_backend_what_one_process_is_asked_of_the_cpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Case] = []

    def note(cases: list[Case], *_: object, **__: object) -> Path:
        asked.extend(cases)
        return tmp_path

    monkeypatch.setattr("conformance.cli.record.record_parts", note)
    words = ["--coordinator", "x:1", "--process", "1/2", "--out", str(tmp_path)]

    chosen = ["--backend", "tpu", "--transform", "sharded", "--tier", "full"]
    assert main(["record", *chosen, *words]) == 0
    assert {case.backend for case in asked} == {"tpu"}
    assert BY_ROWS[4].problem in {case.problem for case in asked}


# --- A lost process ------------------------------------------------------------------------------


def test_a_process_that_is_not_there_is_named_by_a_merge(
    parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (parts / "process-1-of-2.parts").unlink()

    assert main(["merge", str(parts), "--reports", str(tmp_path / "reports")]) == 3
    said = capsys.readouterr()
    assert f"{parts}: process 1 of 2, counted from 0, is not there" in said.out + said.err


@pytest.mark.parametrize("torn", ["", '{"id": "uni'])
def test_a_process_that_was_lost_costs_what_it_had_not_done(
    parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], torn: str
) -> None:
    path = parts / "process-1-of-2.parts"
    head, *rows = path.read_text().splitlines()
    path.write_text("\n".join([head, *rows[:2]]) + "\n" + torn)

    assert main(["record", "--finish", str(parts), "--out", str(tmp_path / "out")]) == 3
    third = json.loads(rows[2])["id"]
    said = (
        f"process 1 of 2, counted from 0, was lost before {third}: nothing is known of 7 of 9 cases"
    )
    assert said in capsys.readouterr().err
    done = {json.loads(row)["id"] for row in rows[:2]}
    assert set(open_store(tmp_path / "out").ids()) == done


def test_a_pod_of_which_nothing_is_whole_is_no_recording(
    parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (parts / "process-0-of-2.parts").unlink()

    assert main(["record", "--finish", str(parts), "--out", str(tmp_path / "out")]) == 3
    assert "no array is whole, so there is nothing to record" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# --- Parts that do not fit -----------------------------------------------------------------------


def changed(folder: Path, name: str, old: str, new: str) -> Path:
    """Change the text of one process's file."""
    path = folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return folder


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[32,40]", "[0,8]", r"256 are held by no process and 256 by several"),
        ('"dtype":"float32"', '"dtype":"int32"', r"the processes do not agree on uniform-float32"),
        ('"jaxlib":"', '"jaxlib":"9', r"are not of one pod \(jaxlib: "),
        ('"processes":2', '"processes":4', r"another selection, or another number of processes"),
        ('"process":1', '"process":"one"', r"process-1-of-2\.parts cannot be read"),
    ],
)
def test_parts_that_do_not_fit_are_refused(parts: Path, old: str, new: str, message: str) -> None:
    changed(parts, "process-1-of-2.parts", old, new)

    with pytest.raises(GoldenError, match=message):
        joined(parts, load_catalogue())


@pytest.mark.parametrize("change", [lambda bits: "AAAA" + bits[4:], lambda bits: "!" + bits[4:]])
def test_bits_that_are_not_those_that_a_process_held_are_refused(
    parts: Path, change: Callable[[str], str]
) -> None:
    """Else a file that was damaged on its way would be told as what the device returns."""
    changed_part(parts, change)

    with pytest.raises(GoldenError, match=r"a part of .*-cpu-sharded is damaged: record it"):
        joined(parts, load_catalogue())


def test_parts_of_a_file_without_digests_are_read(parts: Path) -> None:
    expected = joined(parts, load_catalogue()).entries

    for path in parts.iterdir():
        text = re.sub(r',"sha256":"[0-9a-f]{64}"', "", path.read_text())
        path.write_text(text.replace('"schema":2', '"schema":1', 1))

    assert joined(parts, load_catalogue()).entries == expected


def test_bits_of_another_length_are_refused_without_a_digest_too(parts: Path) -> None:
    changed_part(parts, lambda bits: bits[4:], sha256=None)

    with pytest.raises(GoldenError, match="is damaged"):
        joined(parts, load_catalogue())


def changed_part(folder: Path, change: Callable[[str], str], **fields: None) -> None:
    """Change the bits of the first part that the second process holds."""
    path = folder / "process-1-of-2.parts"
    head, first, *rest = path.read_text().splitlines()
    row = json.loads(first)
    row["parts"][0] |= {"bits": change(row["parts"][0]["bits"]), **fields}
    path.write_text("\n".join([head, json.dumps(row), *rest]) + "\n")


# --- Wrong calls ---------------------------------------------------------------------------------

SHARDED = BY_ROWS[0].id


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([SHARDED, "--process", "0/2"], "are named together"),
        (
            [SHARDED, "--coordinator", "x:1", "--process", "2/2"],
            "write --process 0/2 for the first",
        ),
        ([SHARDED, "--coordinator", "x:1", "--process", "first"], "--process 'first' is not"),
        ([SHARDED, "--coordinator", "x:1", "--process", "0/3"], "3 processes do not divide 8"),
        (
            [SHARDED.replace("sharded", "eager"), "--coordinator", "x:1", "--process", "0/2"],
            "and uniform-float32-64x32-s0-cpu-eager is asked for: name --transform sharded",
        ),
        (
            ["--tier", "full", "--coordinator", "x:1", "--process", "0/2"],
            "a pod is of one backend: name it by --backend",
        ),
    ],
)
def test_what_no_pod_can_record_is_refused_before_any_process_is_met(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["record", *words, "--out", str(tmp_path / "out")]) == 4
    assert message in capsys.readouterr().err


def test_a_file_of_an_earlier_pod_is_not_written_over(
    parts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["record", SHARDED, "--coordinator", "x:1", "--process", "1/2", "--out", str(parts)]

    assert main(words) == 3
    assert "process-1-of-2.parts is there already: name another" in capsys.readouterr().err


# --- What JAX promises ---------------------------------------------------------------------------

COLUMNS = {"threefry2x32_nonpartitionable": "Threefry", "threefry2x32": "Threefry*"}


def promised_by_docstring(promise: Promise) -> set[str]:
    """Return the columns of the property table of `jax.random` that have a tick in a row."""
    lines = str(jax.random.__doc__).splitlines()
    (head,) = (line for line in lines if line.lstrip().startswith("Property "))
    (row,) = (line for line in lines if line.lstrip().startswith(promise))
    starts = [match.start() for match in re.finditer(r"\S+", head)]
    # A tick is two characters wide, and was aligned so.
    ticks = [match.start() + n for n, match in enumerate(re.finditer("\u2705", row))]
    columns = (max(start for start in starts if start <= tick) for tick in ticks)
    return {head[start:].split()[0] for start in columns}


@pytest.mark.parametrize("promise", Promise)
@pytest.mark.parametrize("prng", PRNGS)
def test_what_is_taken_for_promised_is_what_the_table_of_jax_says(
    promise: Promise, prng: str
) -> None:
    assert is_promised(promise, prng) == (COLUMNS.get(prng, prng) in promised_by_docstring(promise))
