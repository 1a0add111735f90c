"""A recording holds what was observed, survives a kill, and needs next to nothing installed."""

from __future__ import annotations

import dataclasses
import errno
import importlib
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import pytest

from conformance.cases.builtin import builtin_specs
from conformance.cases.catalogue import Catalogue
from conformance.cli import main
from conformance.core.errors import (
    EmptySelection,
    GoldenError,
    InitializerUnavailable,
    JournalError,
    PackageBroken,
)
from conformance.core.ids import Case, parse_case
from conformance.core.installation import extra_command
from conformance.core.laws import Normal
from conformance.core.machine import machine_fault
from conformance.core.records import Raised
from conformance.observe import journal, lapack, lowering
from conformance.observe.backends import BackendUnavailable
from conformance.observe.journal import journal_path
from conformance.observe.observer import Observer
from conformance.observe.record import record
from conformance.store.read import open_store
from tests import small_golden

CASES = [parse_case(f"mine-float32-{size}-s0-cpu-eager") for size in (2, 3, 4)]


class Calls:
    """An initializer that counts its calls, and may do something else at one of them.

    It is traced too, for the fingerprint of its program; that is no call.
    """

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self.instead: dict[tuple[int, ...], Callable[[], Any]] = {}

    def __call__(self, key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return standard normal draws, unless something else is to happen."""
        import jax

        if isinstance(key, jax.core.Tracer):
            return jax.random.normal(key, shape, dtype)
        self.shapes.append(shape)
        if shape in self.instead:
            return self.instead[shape]()
        return jax.random.normal(key, shape, dtype)


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def catalogue(calls: Calls) -> Catalogue:
    """One initializer, `mine`, that counts its calls."""
    catalogue = Catalogue()
    catalogue.register("mine", lambda: calls, definition=Normal(stddev=1.0))
    return catalogue


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where to record."""
    return tmp_path / "recording"


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.fixture
def interrupted(calls: Calls, catalogue: Catalogue, folder: Path) -> Path:
    """A recording that stopped in its last case."""
    calls.instead = {(4,): interrupt}
    with pytest.raises(KeyboardInterrupt):
        record(CASES, catalogue, folder)
    calls.shapes.clear()
    calls.instead.clear()
    return folder


# --- What is recorded ----------------------------------------------------------------------------


def test_a_recording_holds_what_was_observed(catalogue: Catalogue, folder: Path) -> None:

    store = record(CASES, catalogue, folder)

    for case in CASES:
        expected = small_golden.observed(case, catalogue)
        found = store.observation(case.id)
        assert found == dataclasses.replace(expected, elapsed_s=found.elapsed_s)
        assert found.elapsed_s > 0
        assert list(found.stages) == ["key", "bits", "uniform", "unit"]


def test_a_recording_knows_its_environment(catalogue: Catalogue, folder: Path) -> None:
    import jax

    store = record(CASES, catalogue, folder)

    assert store.environment.packages["jax"] == jax.__version__
    assert store.environment.devices["cpu.kind"] == "cpu"


def test_an_exception_is_recorded_like_an_array(
    calls: Calls, catalogue: Catalogue, folder: Path
) -> None:
    def refuse() -> None:
        raise ValueError("not three")

    calls.instead = {(3,): refuse}

    store = record(CASES, catalogue, folder)

    outcome = store.observation(CASES[1].id).outcome
    assert outcome == Raised(exception="ValueError", message="not three")


def test_a_failure_among_the_stages_does_not_cost_the_observation(
    catalogue: Catalogue, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("RESOURCE_EXHAUSTED: no room for a second array")

    monkeypatch.setattr(Observer, "with_stages", fail)

    store = record(CASES, catalogue, folder)

    assert len(store) == 3
    assert store.observation(CASES[0].id).stages == {}


def test_what_a_case_changed_in_its_process_is_on_record_and_undone(
    calls: Calls, catalogue: Catalogue, folder: Path
) -> None:
    calls.instead = {(3,): lambda: os.environ.update(MEDDLED="yes")}

    store = record(CASES, catalogue, folder)

    changed = [store.observation(case.id).changed for case in CASES]
    assert changed == [(), ("MEDDLED: was set",), ()]
    assert "MEDDLED" not in os.environ


def test_progress_is_told_after_every_case(catalogue: Catalogue, folder: Path) -> None:
    told: list[tuple[int, int, str]] = []

    record(
        CASES,
        catalogue,
        folder,
        progress=lambda number, total, case: told.append((number, total, case.id)),
    )

    assert told == [(i + 1, 3, case.id) for i, case in enumerate(CASES)]


def test_a_recording_holds_the_fingerprints_of_what_was_lowered(
    catalogue: Catalogue, folder: Path
) -> None:
    store = record(CASES, catalogue, folder)

    assert store.provenance[0].items() >= lowering.recorded(CASES, catalogue).items()
    assert store.provenance[0]["programs"].keys() == {"cpu mine float32"}


def test_what_cannot_be_lowered_has_no_fingerprint(catalogue: Catalogue, folder: Path) -> None:
    def refuse() -> Any:
        raise ValueError("no such initializer")

    catalogue.register("refused", refuse, definition=None)

    store = record([parse_case("refused-float32-2-s0-cpu-eager")], catalogue, folder)

    assert store.provenance[0]["programs"] == {}


# --- What is not there ---------------------------------------------------------------------------


def flax_case(catalogue: Catalogue) -> Case:
    """Return the case of an initializer that only flax.nnx has."""
    catalogue.add(next(spec for spec in builtin_specs() if spec.name == "zeros_init_nnx"))
    return parse_case("zeros_init_nnx-float32-2-s0-cpu-eager")


@pytest.fixture(params=["flax", "flax.nnx"])
def absent(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what of Flax cannot be imported: none is installed, or one that has no nnx yet."""
    for name in {request.param, "flax.nnx"}:
        monkeypatch.setitem(sys.modules, name, None)
    return str(request.param)


@pytest.mark.usefixtures("absent")
def test_initializers_of_an_absent_flax_are_left_out_by_name(
    catalogue: Catalogue, folder: Path
) -> None:
    theirs = flax_case(catalogue)

    store = record([*CASES, theirs], catalogue, folder)

    assert store.ids() == [case.id for case in CASES]
    assert store.provenance[0]["left_out"] == ["zeros_init_nnx"]


def test_a_flax_that_is_broken_is_told_before_anything_is_recorded(
    catalogue: Catalogue, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Flax 0.12.0 beside JAX 0.10: its cases would fail as if initializers had changed."""
    real = importlib.import_module
    module = compile("from jax import nothing_of_the_kind", "flax/nnx/__init__.py", "exec")

    def broken(name: str) -> Any:
        if name == "flax.nnx":
            exec(module, {"__name__": name})  # noqa: S102  # it is ours
        return real(name)

    theirs = flax_case(catalogue)
    monkeypatch.setattr(importlib, "import_module", broken)

    with pytest.raises(PackageBroken, match=r"flax is installed and cannot be imported \(ImportE"):
        record([*CASES, theirs], catalogue, folder)

    assert not folder.exists()


@pytest.mark.usefixtures("absent")
def test_nothing_but_an_absent_flax_is_an_empty_selection(
    catalogue: Catalogue, folder: Path
) -> None:
    told = r"asked here: flax\.nnx\.initializers is not here: flax \S+ is .* Install flax>=0\.9"
    with pytest.raises(EmptySelection, match=told):
        record([flax_case(catalogue)], catalogue, folder)


@pytest.mark.usefixtures("absent")
def test_a_case_of_an_absent_flax_has_no_verdict(catalogue: Catalogue) -> None:
    case = flax_case(catalogue)

    with pytest.raises(InitializerUnavailable, match="flax\\.nnx\\.initializers is not here"):
        Observer().observe(case, catalogue.lookup(case.problem.initializer))


def test_an_absent_backend_fails_before_anything_is_written(
    catalogue: Catalogue, folder: Path
) -> None:
    absent = [parse_case(f"mine-float32-{size}-s0-abacus-eager") for size in (2, 3)]

    with pytest.raises(BackendUnavailable, match="'abacus' was asked for and has no device here"):
        record([*CASES, *absent], catalogue, folder)

    assert list(folder.parent.iterdir()) == []


# --- The machine's faults ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exception", "message", "is_fault"),
    [
        ("MemoryError", "", True),
        ("XlaRuntimeError", "RESOURCE_EXHAUSTED: Out of memory allocating 4 bytes.", True),
        ("JaxRuntimeError", "UNAVAILABLE: TPU worker is gone", True),
        ("JaxRuntimeError", "INTERNAL: CUDA_ERROR_ILLEGAL_ADDRESS", True),
        ("JaxRuntimeError", "INTERNAL: CUDA Runtime error: Failed call to cudaGetDevice", True),
        ("JaxRuntimeError", "INTERNAL: operation gpusolverDnCreate(&handle) failed", True),
        ("JaxRuntimeError", "INTERNAL: Core halted unexpectedly", True),
        ("XlaRuntimeError", "INTERNAL: device lost", True),
        ("JaxRuntimeError", "INTERNAL: fusion root has wrong shape", False),
        ("JaxRuntimeError", "INVALID_ARGUMENT: Binary op compare with different types", False),
        ("ValueError", "no fans of a scalar", False),
    ],
)
def test_a_fault_of_the_machine_is_told_from_one_of_the_initializer(
    exception: str, message: str, is_fault: bool
) -> None:
    assert machine_fault(Raised(exception=exception, message=message)) is is_fault


def exhaust() -> None:
    raise MemoryError("no room for 4 elements")


def test_a_machine_fault_is_recorded_and_the_rest_goes_on(
    calls: Calls, catalogue: Catalogue, folder: Path
) -> None:
    calls.instead = {(3,): exhaust}

    store = record(CASES, catalogue, folder)

    assert len(store) == 3
    assert store.provenance[0]["machine_faults"] == [CASES[1].id]


def test_the_command_fails_when_the_machine_did(
    calls: Calls, catalogue: Catalogue, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from conformance.cli.record import report

    calls.instead = {(3,): exhaust}
    store = record(CASES, catalogue, folder)

    assert report(store) == 3
    said = capsys.readouterr()
    assert f"recorded 3 cases in {folder}" in said.out
    assert f"the machine failed {CASES[1].id}: no room for 4 elements" in said.err


def test_a_case_that_the_machine_failed_is_run_again_on_resuming(
    calls: Calls, catalogue: Catalogue, folder: Path
) -> None:
    calls.instead = {(3,): exhaust, (4,): interrupt}
    with pytest.raises(KeyboardInterrupt):
        record(CASES, catalogue, folder)
    calls.instead = {}

    store = record(CASES, catalogue, folder, resume=True)

    assert store.provenance[0]["machine_faults"] == []


# --- Surviving -----------------------------------------------------------------------------------


def test_the_folder_appears_only_when_the_recording_is_whole(interrupted: Path) -> None:
    assert not interrupted.exists()
    assert journal_path(interrupted).exists()


def test_resuming_runs_only_what_is_missing(
    interrupted: Path, calls: Calls, catalogue: Catalogue
) -> None:
    store = record(CASES, catalogue, interrupted, resume=True)

    assert set(calls.shapes) == {(4,)}
    assert store.ids() == [case.id for case in CASES]
    assert list(interrupted.parent.iterdir()) == [interrupted]


def test_a_resumed_recording_equals_one_that_was_never_stopped(
    interrupted: Path, catalogue: Catalogue, tmp_path: Path
) -> None:
    resumed = record(CASES, catalogue, interrupted, resume=True)

    straight = record(CASES, catalogue, tmp_path / "straight")

    for one, two in zip(resumed.entries(), straight.entries(), strict=True):
        assert (one.id, one.shard, one.outcome) == (two.id, two.shard, two.outcome)
        assert one.stages == two.stages


def test_resuming_where_nothing_was_begun_begins(catalogue: Catalogue, folder: Path) -> None:
    assert len(record(CASES, catalogue, folder, resume=True)) == 3


def test_a_line_that_a_kill_tore_is_recorded_again_and_spoils_no_later_one(
    interrupted: Path, calls: Calls, catalogue: Catalogue
) -> None:
    path = journal_path(interrupted)
    os.truncate(path, path.stat().st_size - 9)
    calls.instead = {(4,): interrupt}
    with pytest.raises(KeyboardInterrupt):
        record(CASES, catalogue, interrupted, resume=True)
    again, calls.shapes, calls.instead = set(calls.shapes), [], {}

    store = record(CASES, catalogue, interrupted, resume=True)

    assert again == {(3,), (4,)}
    assert set(calls.shapes) == {(4,)}
    assert len(store) == 3


def test_an_unfinished_recording_is_not_begun_anew_unasked(
    interrupted: Path, catalogue: Catalogue
) -> None:
    with pytest.raises(
        GoldenError, match=r"\.journal holds an unfinished recording: go on .*--res"
    ):
        record(CASES, catalogue, interrupted)


def test_another_selection_is_not_mixed_into_a_journal(
    interrupted: Path, catalogue: Catalogue
) -> None:
    with pytest.raises(GoldenError, match=r"was begun otherwise \(another selection of cases\)"):
        record(CASES[:2], catalogue, interrupted, resume=True)


def test_another_environment_is_not_mixed_into_a_journal(
    interrupted: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=")

    with pytest.raises(GoldenError, match=r"begun otherwise \(XLA_FLAGS: .* -> --xla_dump_to=\)"):
        record(CASES, catalogue, interrupted, resume=True)


def test_another_kernel_of_lapack_is_not_mixed_into_a_journal(
    interrupted: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lapack, "facts", lambda: {"lapack_kernel": "OfNoCPU"})

    with pytest.raises(GoldenError, match=r"begun otherwise \(.*lapack_kernel: \w+ -> OfNoCPU"):
        record(CASES, catalogue, interrupted, resume=True)


@pytest.mark.parametrize(
    "line", ["{}", "[]", '{"id": 7, "bits": ""}', '{"id": "a", "bits": 7}', "[" * 100_000]
)
def test_a_damaged_journal_is_refused(interrupted: Path, catalogue: Catalogue, line: str) -> None:
    with journal_path(interrupted).open("a") as stream:
        stream.write(f"{line}\n")

    with pytest.raises(GoldenError, match=r"\.journal is damaged .*: delete it and record anew"):
        record(CASES, catalogue, interrupted, resume=True)


def test_a_recording_is_never_written_over(catalogue: Catalogue, folder: Path) -> None:
    record(CASES, catalogue, folder)

    with pytest.raises(GoldenError, match="recording is not empty: name a new folder"):
        record(CASES, catalogue, folder)


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_keeps_what_was_recorded(
    calls: Calls, catalogue: Catalogue, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = journal._append

    def until_full(stream: Any, row: Any) -> None:
        append(stream, row) if row.get("id") != CASES[2].id else full()

    with monkeypatch.context() as patch:
        patch.setattr(journal, "_append", until_full)
        with pytest.raises(JournalError, match=r"\.journal cannot be written: No space .*Free the"):
            record(CASES, catalogue, folder)
    calls.shapes.clear()

    record(CASES, catalogue, folder, resume=True)

    assert set(calls.shapes) == {(4,)}


def test_a_disk_that_is_full_at_the_end_keeps_all(
    calls: Calls, catalogue: Catalogue, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(GoldenError, match=r"cannot be written: No space left"):
            record(CASES, catalogue, folder)
    calls.shapes.clear()

    store = record(CASES, catalogue, folder, resume=True)

    assert calls.shapes == []
    assert len(store) == 3


ZEROS, ONES = "zeros-float32-64-s0-cpu-eager", "ones-float32-3-s0-cpu-eager"

KILLED = """
import os, signal, sys
from pathlib import Path
from conformance.cli import main
from conformance.cases.catalogue import register

def mine(key, shape, dtype):
    import jax
    print("asked for", shape, file=sys.stderr)
    if shape == (3,) and sys.argv[2] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    return jax.numpy.ones(shape, dtype)

register("mine", lambda: mine)
ids = [f"mine-float32-{size}-s0-cpu-eager" for size in (2, 3)]
sys.exit(main(["record", *ids, "--out", sys.argv[1], "--resume"]))
"""


def run(script: str, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603


def test_a_killed_recording_goes_on_where_it_was(folder: Path) -> None:
    killed = run(KILLED, folder, "kill")
    resumed = run(KILLED, folder, "live")

    assert killed.returncode == -signal.SIGKILL
    assert resumed.returncode == 0, resumed.stderr
    assert "asked for (3,)" in resumed.stderr
    assert "asked for (2,)" not in resumed.stderr
    assert len(open_store(folder)) == 2


RECORDER = """
import os, sys
from conformance.cli import main
from conformance.cases.catalogue import register

def mine(key, shape, dtype):
    import jax
    if shape == (3,) and len(sys.argv) > 2:
        print("in the middle of", os.getpid(), flush=True)
        sys.stdin.readline()
    return jax.numpy.ones(shape, dtype)

register("mine", lambda: mine)
ids = [f"mine-float32-{size}-s0-cpu-eager" for size in (2, 3)]
sys.exit(main(["record", *ids, "--out", sys.argv[1], "--resume"]))
"""


def test_a_second_recorder_on_a_folder_is_told_who_records_and_nothing_is_lost(
    folder: Path,
) -> None:
    command = [sys.executable, "-c", RECORDER, str(folder), "wait"]
    with subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        middle, _, number = first.stdout.readline().rpartition(" ")
        assert middle == "in the middle of"
        before = journal_path(folder).read_bytes()

        second = run(RECORDER, folder)

        assert second.returncode == 3
        assert f"recording is being changed by process {int(number)} on " in second.stderr
        assert "wait until that is done, or name another folder" in second.stderr
        assert journal_path(folder).read_bytes() == before
        first.communicate("\n" * 20)
    assert first.returncode == 0
    assert len(open_store(folder)) == 2
    assert os.listdir(folder.parent) == ["recording"]


def test_what_watches_a_recording_and_fails_is_no_fault_of_the_journal(
    catalogue: Catalogue, folder: Path
) -> None:
    def closed(*_: object) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        record(CASES, catalogue, folder, progress=closed)


# --- Where little is installed -------------------------------------------------------------------

BARE = """
import sys

class Absent:
    names = {"pandas", "pyarrow", "pytest", "xdist", "packaging", "flax", "hypothesis"}
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from conformance.cli import main
code = main(sys.argv[1:])
print("judging is loaded:", "conformance.judge.verdict" in sys.modules)
sys.exit(code)
"""


@pytest.mark.usefixtures("cold_python")
def test_recording_needs_jax_numpy_ml_dtypes_and_safetensors_alone(folder: Path) -> None:
    selection = ("--initializer", "ones*", "--dtype", "float32", "--shape", "64", "--seed", "0")

    done = run(BARE, "record", "--in-process", "--out", folder, "--tier", "quick", *selection)

    assert done.returncode == 0, done.stderr
    assert "judging is loaded: False" in done.stdout
    assert "Flax is absent or does not have them: ones_init_linen, ones_init_nnx" in done.stderr
    assert open_store(folder).ids() == ["ones-float32-64-s0-cpu-eager"]


def test_a_place_that_cannot_be_written_keeps_no_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()

    out = str(tmp_path / "file" / "x")
    code = main(["record", "--in-process", ZEROS, "--out", out])

    said = capsys.readouterr().err
    assert code == 3
    assert f"cannot be written to {tmp_path}/file/x: " in said
    assert "keeps the rows" not in said


def test_a_device_that_is_lost_early_does_not_flood_the_terminal(
    calls: Calls, catalogue: Catalogue, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from conformance.cli.record import report

    cases = [parse_case(f"mine-float32-{size}-s0-cpu-eager") for size in range(1, 31)]
    calls.instead = {(size,): exhaust for size in range(1, 31)}

    assert report(record(cases, catalogue, folder)) == 3

    said = capsys.readouterr().err.splitlines()
    assert len(said) == 21
    assert said[-1] == f"and 10 more; {folder}/provenance.json names them"


def test_the_command_tells_what_is_unusual_before_it_records(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with jax.threefry_partitionable(False):
        main(["record", "--in-process", ZEROS, "--out", str(folder)])

    lines = capsys.readouterr().err.splitlines()
    notes = list(itertools.takewhile(lambda line: line.startswith("note: "), lines))
    told = "note: jax_threefry_partitionable=False: every draw of threefry2x32"
    assert any(note.startswith(told) for note in notes)


@pytest.mark.usefixtures("cold_python")
@pytest.mark.parametrize(
    ("words", "package"),
    [
        (("run", "zeros-float32-64-s0-cpu-eager"), "packaging"),
        (("history", "."), "pandas"),
        (("audit", "conformance.nothing:make"), "flax"),
    ],
)
def test_what_judging_needs_is_told_with_what_installs_it(
    words: tuple[str, ...], package: str
) -> None:
    done = run(BARE, *words)

    assert done.returncode == 3
    assert done.stderr == (
        f"conformance: this needs {package}, which is not installed: {extra_command('judge')}\n"
    )


@pytest.mark.usefixtures("cold_python")
def test_a_wrong_call_is_one_line_where_little_is_installed(folder: Path) -> None:
    done = run(BARE, "record", "--out", folder, "--tier", "qick")

    assert done.returncode == 4, done.stderr
    assert "tier 'qick' is unknown" in done.stderr


def test_the_cases_of_a_recording_may_be_named(folder: Path) -> None:
    from conformance.cli import main

    assert main(["record", "--in-process", ONES, "--out", str(folder)]) == 0
    assert open_store(folder).ids() == ["ones-float32-3-s0-cpu-eager"]


def test_an_interrupted_command_says_how_to_go_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from conformance.cli import main

    monkeypatch.setattr(Observer, "observe", lambda *_: interrupt())

    assert main(["record", "--in-process", ONES, "--out", str(folder)]) == 130
    said = capsys.readouterr().err
    assert f"{journal_path(folder)} keeps the rows so far: go on with --resume" in said


def test_cases_of_one_recording_lie_in_one_shard_an_initializer(
    catalogue: Catalogue, folder: Path
) -> None:
    jitted: list[Case] = [dataclasses.replace(case, transform="jit") for case in CASES]

    store = record([*CASES, *jitted], catalogue, folder)

    assert store.shards() == ["custom/mine.safetensors"]
    assert len(store) == 6
