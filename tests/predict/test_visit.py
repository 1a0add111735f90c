"""A visit to a machine that is lent for minutes: what it leaves, and what stops it."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import Catalogue, Initializer
from conformance.cli.main import main
from conformance.core.arrays import as_dtype, returned, whole
from conformance.core.errors import GoldenError
from conformance.core.ids import parse_case
from conformance.core.paths import COMPILED, shipped
from conformance.core.records import Entry, Environment, Returned
from conformance.observe.backends import iree
from conformance.observe.backends.kept import keep, read_index
from conformance.observe.journal import read_journal
from conformance.predict import aot, visit
from conformance.predict.visit import (
    Progress,
    Tally,
    Visit,
    alike,
    answers,
    open_predictions,
)
from conformance.store.accepted import load
from conformance.store.entries import PREDICTED
from conformance.store.read import Store, open_store
from conformance.store.write import write_store
from tests import ROOT
from tests.quickly import quick

PREDICTED_CASES = tuple(
    f"uniform-{dtype}-16x4-s{seed}-cuda-eager"
    for dtype in ("float32", "float16")
    for seed in (0, 1)
)


def few() -> Catalogue:
    """Return a catalogue of one initializer."""
    found = Catalogue()
    found.add(load_catalogue().lookup("uniform"))
    return found


def doubled() -> Catalogue:
    """Return the same catalogue, whose initializer returns twice what it should."""
    spec = few().lookup("uniform")

    def build() -> Initializer:
        initializer = spec.build()
        return lambda key, shape, dtype: 2 * initializer(key, shape, dtype)

    found = Catalogue()
    found.add(dataclasses.replace(spec, build=build))
    return found


def predictions(folder: Path, **devices: str) -> Store:
    """Write what is "predicted", zeros, for a device."""
    environment = {
        "packages": {"jaxlib": "1.2"},
        "config": {"jax_enable_x64": "False"},
        "host": {},
        "devices": {"cuda.compute_capability": "9.0", **devices},
    }
    entries = []
    for key in PREDICTED_CASES:
        problem = parse_case(key).problem
        array = np.zeros(problem.shape, problem.dtype)
        entries.append(
            Entry(id=key, shard="uniform/uniform.safetensors", outcome=returned(array), extra={})
        )
    provenance = {"environment": environment, "date": "2026-11-30", "predicted_for": "H (h100)"}
    write_store(folder, entries, kind=PREDICTED, provenance=[provenance])
    return open_store(folder)


@pytest.fixture(scope="module")
def predicted(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return predictions(tmp_path_factory.mktemp("predicted") / "h100")


CASES = ("quick", "predicted", "largest")

VISIT = """
import sys
from pathlib import Path
from conformance.predict.visit import Visit
from conformance.store.read import open_store
from tests.predict.test_visit import CASES, few
predictions = [open_store(Path(sys.argv[2]))]
visit = Visit(Path(sys.argv[1]), "cpu", predictions=predictions, catalogue=few())
for tally in visit.run(lambda progress: None, CASES):
    print(tally, flush=True)
"""


@pytest.fixture(autouse=True, scope="module")
def all_compile_quickly() -> Iterator[None]:
    """Let XLA optimize as little in the processes that are started as it does in this one.

    No visit here is held to anything but another of them. They share their programs with this
    process, whose flags were read before.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XLA_FLAGS", quick(os.environ.get("XLA_FLAGS", "")))
        yield


@pytest.fixture
def started(
    tmp_path: Path, predicted: Store, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Return what starts a visit that writes to `tmp_path / "out"`."""
    monkeypatch.chdir(ROOT)
    processes = []

    def start() -> subprocess.Popen[bytes]:
        words = [sys.executable, "-c", VISIT, str(tmp_path / "out"), str(predicted.folder)]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL)  # noqa: S603  # our own words
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()


def journals(folder: Path) -> list[Path]:
    return [path for name in CASES if (path := folder / f"{name}.journal").exists()]


def n_answered(folder: Path) -> int:
    lines = (path.read_bytes().count(b"\n") for path in journals(folder))
    return sum(count - 1 for count in lines if count)


def untold(_: Progress) -> None:
    """Take no note."""


def whole_visit(folder: Path, predicted: Store) -> list[Tally]:
    found = Visit(folder, "cpu", predictions=[predicted], catalogue=few())
    return list(found.run(untold, CASES))


def digests(folder: Path) -> dict[str, str]:
    return {
        entry.id: entry.outcome.sha256
        for entry in open_store(folder).entries()
        if isinstance(entry.outcome, Returned)
    }


def test_a_visit_that_is_killed_at_random_leaves_a_recording_and_goes_on(
    started: Callable[[], subprocess.Popen[bytes]], predicted: Store, tmp_path: Path
) -> None:
    out, draws = tmp_path / "out", random.Random(0)
    kept: set[str] = set()
    for number in range(3):
        process, wanted = started(), n_answered(out) + draws.randint(1, 5)
        while n_answered(out) < wanted and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()

        folder = tmp_path / f"after-{number}"
        held = [str(path) for path in journals(out) if read_journal_or_none(path)]
        assert main(["record", "--finish", *held, "--out", str(folder)]) == 0
        found = set(open_store(folder).ids())
        assert len(found) >= wanted or process.returncode == 0
        assert kept <= found
        kept = found

    assert started().wait() == 0
    main(["record", "--finish", *map(str, journals(out)), "--out", str(tmp_path / "all")])
    whole_visit(tmp_path / "once", predicted)
    main(
        ["record", "--finish", *map(str, journals(tmp_path / "once")), "--out", str(tmp_path / "1")]
    )
    assert digests(tmp_path / "all") == digests(tmp_path / "1")
    assert kept < digests(tmp_path / "1").keys()


def read_journal_or_none(path: Path) -> object:
    """Return what a journal holds; None of one that was killed before its first row."""
    return read_journal(path)[1] if path.read_bytes().count(b"\n") > 1 else None


@pytest.fixture(scope="module")
def visited(tmp_path_factory: pytest.TempPathFactory, predicted: Store) -> tuple[Path, list[Tally]]:
    folder = tmp_path_factory.mktemp("visited")
    return folder, whole_visit(folder, predicted)


def test_the_quick_tier_comes_first_then_exactly_what_is_predicted(
    visited: tuple[Path, list[Tally]],
) -> None:
    folder, tallies = visited

    assert [each.name for each in tallies] == list(CASES)
    assert all(each.is_whole for each in tallies)
    _, found = read_journal(folder / "predicted.journal")
    wanted = {key.replace("-cuda-", "-cpu-") for key in PREDICTED_CASES}
    assert set(found) == wanted


def test_the_largest_word_is_a_seed(visited: tuple[Path, list[Tally]]) -> None:
    _, found = read_journal(visited[0] / "largest.journal")

    assert {parse_case(key).problem.seed for key in found} == {2**32 - 1}


def test_whole_laws_are_asked_for_and_answered_by_their_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visit, "LAWS", ("uniform",))
    monkeypatch.setattr(visit, "NARROW_DTYPES", ("bfloat16",))
    found = Visit(tmp_path, "cpu", predictions=[], catalogue=few())

    (tally,) = found.run(untold, ["laws"])

    assert tally.is_whole
    _, laws = read_journal(tmp_path / "laws.journal")
    assert list(laws) == ["laws.uniform/bfloat16/jit", "laws.uniform/bfloat16/eager"]
    one, two = (each.outcome for each in laws.values())
    assert isinstance(one, Returned)
    assert one == two
    said = (tmp_path / "laws.txt").read_text().splitlines()
    assert [line.partition(":")[0] for line in said] == list(laws)
    assert all(": passes: " in line and "max_ulp_at_sigma 1" in line for line in said), said
    assert len(np.unique(whole(one))) == 128  # all that 7 random bits can say


def test_what_the_device_compiles_is_held_to_what_was_compiled_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if this CPU were a TPU of that generation: its programs are other ones."""
    monkeypatch.setitem(aot.COMPILERS, "cpu", aot.COMPILERS["tpu"])
    monkeypatch.setattr(aot, "described", lambda *_: "v5e-1x1")
    found = Visit(tmp_path, "cpu", predictions=[], catalogue=few())

    (tally,) = found.run(untold, ["programs"])

    kept = load(shipped() / COMPILED / "v5e-1x1.json", "").lines
    mine = load(tmp_path / "programs.json", "").lines
    assert set(mine) == {key for key in kept if key.startswith("uniform-")}
    assert all({"lowered", "hlo", "code_bytes"} <= fields.keys() for fields in mine.values())
    assert (tally.is_whole, tally.n_equal, tally.n_unequal) == (True, 0, len(mine))


def test_a_wrong_law_is_told_with_the_check_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visit, "LAWS", ("uniform",))
    monkeypatch.setattr(visit, "NARROW_DTYPES", ("float16",))

    list(Visit(tmp_path, "cpu", predictions=[], catalogue=doubled()).run(untold, ["laws"]))

    said = (tmp_path / "laws.txt").read_text()
    assert "laws.uniform/float16/jit: fails law_bounds, law_mean, law_variance" in said
    assert "  the mean of the law of uniform-float16" in said


BY_IREE = parse_case("uniform-float16-64-s0-iree-vulkan-eager")


CPU_AS_VULKAN = iree.Driver(
    name="local-sync", code="llvm-cpu", chip="generic", option="--iree-llvmcpu-target-cpu"
)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a program, as if IREE's CPU were a Vulkan device."""
    pytest.importorskip("iree.compiler", reason="the extra [iree] is not installed")
    path = tmp_path_factory.mktemp("kept") / "iree-vulkan.zip"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(iree.GPUS, "iree-vulkan", CPU_AS_VULKAN)
        keep(path, [BY_IREE], few())
    return path


@pytest.fixture
def beforehand(compiled: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return that file, where the CPU stands for the device once more."""
    monkeypatch.setitem(iree.GPUS, "iree-vulkan", CPU_AS_VULKAN)
    return compiled


def test_what_iree_compiled_beforehand_is_asked_of_the_device_and_told_apart(
    tmp_path: Path, beforehand: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = read_index(beforehand)
    monkeypatch.setattr(importlib.metadata, "version", uncompiled)
    files = [tmp_path / "lost.zip", beforehand]
    found = Visit(tmp_path, "cpu", predictions=[], kept=files, catalogue=few())

    lost, tally = found.run(untold, ["iree"])

    assert str(lost).startswith(f"iree: not asked: {files[0]} cannot be read")
    assert (tally.name, tally.n_asked, tally.n_answered) == ("iree", 1, 1)
    header, entries = read_journal(tmp_path / "iree.journal")
    assert isinstance(entries[BY_IREE.id].outcome, Returned)
    assert header.environment.packages[iree.COMPILER] == index.packages[iree.COMPILER]


def test_a_program_that_did_not_come_along_ends_what_is_asked_of_iree_in_a_line(
    tmp_path: Path, beforehand: Path
) -> None:
    found = Visit(tmp_path, "cpu", predictions=[], kept=[beforehand], catalogue=doubled())

    (tally,) = found.run(untold, ["iree"])

    assert str(tally).startswith("iree: given up: ")
    assert "does not hold the program that is lowered here" in str(tally)


def uncompiled(name: str) -> str:
    """Return the version of a package, as where IREE's compiler is not installed."""
    if name == iree.COMPILER:
        raise importlib.metadata.PackageNotFoundError(name)
    return importlib.metadata.distribution(name).version


def test_what_only_flax_has_is_left_out_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = few()
    catalogue.add(load_catalogue().lookup("zeros_init_linen"))
    for name in ("flax", "flax.linen"):
        monkeypatch.setitem(sys.modules, name, None)
    found = Visit(tmp_path, "cpu", predictions=[], catalogue=catalogue)

    tallies = list(found.run(untold, ["quick", "largest"]))

    assert [(each.n_asked, each.is_whole) for each in tallies] == [(9, True), (3, True)]
    assert list(found.left_out) == ["zeros_init_linen"]
    assert "flax.linen.initializers is not here: flax" in found.left_out["zeros_init_linen"]


def test_a_second_visit_asks_nothing_twice(
    visited: tuple[Path, list[Tally]], predicted: Store
) -> None:
    again = whole_visit(visited[0], predicted)

    assert [each.n_answered for each in again] == [0, 0, 0]
    assert all(each.is_whole for each in again)


def test_no_question_is_asked_when_time_is_over(
    tmp_path: Path, predicted: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Visit(tmp_path, "cpu", predictions=[predicted], budget_s=100, catalogue=few())
    monkeypatch.setattr(visit, "MARGIN_S", 100)

    tallies = list(found.run(untold, CASES))

    assert [each.n_answered for each in tallies] == [0, 0, 0]
    assert not any(each.is_whole for each in tallies)


HANGING = """
import sys, time
from pathlib import Path
from conformance.observe.worker import set_deadline
from conformance.predict.visit import Visit
from tests.predict.test_visit import few, untold
def build():
    def hang(key, shape, dtype):
        set_deadline(0.1)  # as if the time of the visit were over
        time.sleep(600)
    return hang
found = few()
found.register("zzz", build)
visit = Visit(Path(sys.argv[1]), "cpu", predictions=[], catalogue=found)
list(visit.run(untold, ["quick"]))
"""


def test_a_question_that_hangs_ends_with_the_visit_and_costs_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)

    words = [sys.executable, "-c", HANGING, str(tmp_path)]
    ended = subprocess.run(words, check=False, capture_output=True)  # noqa: S603  # our own words

    assert ended.returncode == -signal.SIGALRM, ended.stderr
    _, found = read_journal(tmp_path / "quick.journal")
    assert list(found) == ["uniform-bfloat16-5x4x8-s0-cpu-eager"]


def test_the_system_ends_a_visit_at_its_budget(tmp_path: Path, predicted: Store) -> None:
    left_s: list[float] = []
    found = Visit(tmp_path, "cpu", predictions=[predicted], budget_s=500, catalogue=few())

    for _ in found.run(
        lambda _: left_s.append(signal.getitimer(signal.ITIMER_REAL)[0]), CASES[1:2]
    ):
        pass

    assert 0 < min(left_s) <= max(left_s) <= 500
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_progress_says_pace_and_time() -> None:
    progress = Progress(topic="quick", number=3, total=9, pace=1.5, elapsed_s=2, budget_s=540)

    assert str(progress) == "quick: 3 of 9, 1.5 a second, 2 of 540 s"


def test_a_tally_says_how_many_are_as_expected() -> None:
    tally = Tally(name="quick", n_asked=9, n_answered=9, n_equal=7, n_unequal=2, elapsed_s=3)

    assert str(tally) == ("quick: 9 of 9 in 3 s, 3.0 a second; 7 as expected, 2 not by digest")


# --- Which predictions are for a device ----------------------------------------------------------


def here(capability: str, jaxlib: str) -> Environment:
    devices = {"cuda.compute_capability": capability}
    return Environment(packages={"jaxlib": jaxlib}, config={}, host={}, devices=devices)


def test_what_is_asked_is_what_is_predicted_for_the_capability(
    tmp_path: Path, predicted: Store
) -> None:
    """Of an H200, which is of 9.0, what an H100 is predicted to return."""
    other = predictions(tmp_path / "a100", **{"cuda.compute_capability": "8.0"})

    assert alike([other, predicted], here("9.0", "1.2")) == [predicted]
    assert alike([other, predicted], here("9.0", "1.3")) == [predicted]
    assert alike([other, predicted], here("12.0", "1.2")) == []


def test_only_predictions_of_this_release_are_expected(predicted: Store) -> None:
    assert answers(predicted, here("9.0", "1.2"))
    assert not answers(predicted, here("9.0", "1.3"))
    assert not answers(predicted, here("8.0", "1.2"))


def test_all_kept_predictions_are_put_to_the_test_where_nothing_is_named() -> None:
    names = [store.folder.name for store in open_predictions(shipped())]

    assert {"a100", "h100"} <= set(names)


def test_where_nothing_is_predicted_no_array_is_too_large_to_carry_away(tmp_path: Path) -> None:
    """Their words alone, in base 64, are held to the 16 MiB of a file; 57 arrays are left out."""
    asked = Visit(tmp_path, "cpu", predictions=[]).predicted().questions

    cases = [parse_case(each.id) for each in asked]
    n_bytes = sum(
        math.prod(case.problem.shape) * as_dtype(case.problem.dtype).itemsize for case in cases
    )
    assert len(cases) > 4000
    assert 4 / 3 * n_bytes < 12 * 2**20


# --- Finishing journals --------------------------------------------------------------------------


def test_journals_of_two_machines_are_not_one_recording(
    visited: tuple[Path, list[Tally]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, other = visited[0] / "quick.journal", tmp_path / "other.journal"
    other.write_bytes(mine.read_bytes().replace(b'"jaxlib":"', b'"jaxlib":"9'))

    code = main(["record", "--finish", str(mine), str(other), "--out", str(tmp_path / "out")])

    assert code == GoldenError.exit_code
    assert "was recorded elsewhere than" in capsys.readouterr().err


def test_journals_that_contradict_each_other_are_not_one_recording(
    visited: tuple[Path, list[Tally]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, other = visited[0] / "quick.journal", tmp_path / "other.journal"
    head, first, *_ = mine.read_text().splitlines()
    (_, found) = read_journal(mine)
    (key,) = [key for key in found if f'"{key}"' in first]
    raised = f'{{"id":"{key}","shard":"uniform/uniform.safetensors","raised":"E","bits":""}}'
    other.write_text(f"{head}\n{raised}\n")

    code = main(["record", "--finish", str(mine), str(other), "--out", str(tmp_path / "out")])

    assert code == GoldenError.exit_code
    assert f"has another outcome of {key} than an earlier journal" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_journal_that_holds_nothing_is_no_recording(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.journal").touch()

    code = main(
        ["record", "--finish", str(tmp_path / "empty.journal"), "--out", str(tmp_path / "out")]
    )

    assert code == GoldenError.exit_code
    assert "holds nothing yet: record anew" in capsys.readouterr().err


def test_finishing_takes_no_selection(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(
        ["record", "--finish", "x.journal", "--tier", "quick", "--out", str(tmp_path / "out")]
    )

    assert code == 4
    assert "--finish takes what journals hold: leave out the selection" in capsys.readouterr().err
