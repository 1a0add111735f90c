"""The gate, end to end, between the made-up releases of fake_uv.py."""

from __future__ import annotations

import contextlib
import io
import json
import os
import platform
import re
import shlex
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance.cli import main
from conformance.core import files
from conformance.core.errors import SideError, TargetError
from conformance.core.paths import cache_folder
from conformance.observe import lapack
from conformance.observe.child.parameters import record_target
from conformance.store.entries import parameter_id
from conformance.store.read import open_store
from conformance.upgrade import environments, recordings
from conformance.upgrade.releases import Registry, parse_side, release_side
from tests import ROOT

FAKE_UV = ROOT / "tests" / "fake_uv.py"
CASES = ["--initializer", "uniform,ones", "--dtype", "float32", "--shape", "64x32"]
"""One that drifts between releases 1.0 and 2.0, and one that never does."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder with a uv of its own and an empty cache, shared by the tests of this file."""
    folder = tmp_path_factory.mktemp("world")
    program = folder / "bin" / "uv"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {FAKE_UV} "$@"\n')
    program.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setenv("FAKE_UV_LOG", str(folder / "calls.log"))
        patch.setenv("FAKE_UV_PYTHON", sys.executable)
        patch.setenv("FAKE_UV_FATAL", str(folder / "fatal"))
        recordings.sources.cache_clear()
        patch.chdir(folder)
        yield folder
    recordings.sources.cache_clear()


Gate = Callable[..., tuple[int, str, str]]
Captured = pytest.CaptureFixture[str]

UNIFORM = "uniform-float32-64x32-s0-cpu-eager"


@pytest.fixture
def gate(world: Path, capfd: pytest.CaptureFixture[str]) -> Gate:
    """Return a function that runs the command and returns its exit code and what it printed."""
    assert world.is_dir()

    def run(before: str, after: str, *options: str, command: str = "gate") -> tuple[int, str, str]:
        is_own = "--target" in options or "--case" in options
        what = list(options) if is_own else [*CASES, *options]
        code = main([command, "--from", before, "--to", after, *what])
        printed = capfd.readouterr()
        return code, printed.out, printed.err

    return run


def calls(world: Path) -> list[str]:
    path = world / "calls.log"
    return path.read_text().splitlines() if path.exists() else []


def drifted(printed: str) -> list[dict[str, str]]:
    """Return the pairs of a JSON report that are not identical."""
    pairs: list[dict[str, str]] = json.loads(printed)["pairs"]
    return [pair for pair in pairs if pair["drift_class"] != "identical"]


# --- The whole way -------------------------------------------------------------------------------


def test_a_new_stream_is_found_with_its_first_cause(gate: Gate) -> None:
    code, out, _ = gate("1.0", "2.0", "--json", "-")

    (pair,) = drifted(out)
    assert code == 1
    assert (pair["drift_class"], pair["stage"]) == ("stream", "bits")


def test_a_changed_default_is_tried_and_told_with_the_setting_that_undoes_it(gate: Gate) -> None:
    _, out, _ = gate("1.0", "2.0")

    assert (
        "the default of jax_threefry_partitionable changed from False to True: "
        "JAX_THREEFRY_PARTITIONABLE=False brings the old bits back in 1 of 1 case that drifted "
        "(tried)"
    ) in out.splitlines()


def test_what_was_tried_with_a_setting_is_no_recording_of_the_release(gate: Gate) -> None:
    gate("1.0", "2.0")

    code, _, _ = gate("2.0", "3.0", "--case", UNIFORM, command="bisect")

    assert code == 0


def test_drift_comes_with_the_command_that_finds_its_release(gate: Gate) -> None:
    _, out, _ = gate("1.0", "3.0")

    (told,) = [line for line in out.splitlines() if line.startswith("since which release: ")]
    words = shlex.split(told.partition(": ")[2])
    assert words == [
        *("conformance", "bisect", "--from", "1.0", "--to", "3.0"),
        *("--case", UNIFORM, "--class", "stream"),
    ]


def test_the_command_that_finds_the_release_runs(gate: Gate, capfd: Captured) -> None:
    _, out, _ = gate("1.0", "3.0")

    code = main(shlex.split(out.partition("since which release: conformance ")[2].splitlines()[0]))

    assert code == 1
    assert capfd.readouterr().out.startswith("jax 1.0 -> 2.0: 1 stream")


def test_another_program_is_the_doing_of_jax(gate: Gate) -> None:
    _, out, _ = gate("1.0", "2.0", "--json", "-")

    (pair,) = drifted(out)
    assert pair["cause"] == "lowering"
    assert pair["proof"] == "under jax 2.0, what jax 1.0 exported returns the old bits"


FOLDED = ["--initializer", "truncated_normal", "--max-drift", "transform"]
"""A case whose bits depend on the processor that XLA compiles for."""

on_x86 = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="compiles for another processor of this family"
)


@on_x86
def test_the_same_program_compiled_otherwise_is_the_doing_of_xla(gate: Gate) -> None:
    _, out, _ = gate("2.0", "2.1", *FOLDED)

    (line,) = [line for line in out.split("\nCause\n")[1].splitlines() if "compiler" in line]
    assert "XLA compiles the same program otherwise" in line
    assert "under jax 2.1, what jax 2.0 exported returns the new bits" in line
    assert "truncated_normal-float32-64x32-s0-cpu-eager" in line


@on_x86
def test_a_release_that_crashes_on_old_programs_leaves_what_their_text_tells(gate: Gate) -> None:
    code, out, _ = gate("2.0", "2.2", *FOLDED)

    (line,) = [line for line in out.split("\nCause\n")[1].splitlines() if "compiler" in line]
    assert code == 0
    assert "both sides lower the same program" in line


@on_x86
def test_another_lapack_in_an_environment_is_proven_by_its_own_scipy(gate: Gate) -> None:
    case = ["--initializer", "orthogonal", "--max-drift", "transform"]

    _, out, _ = gate("2.0", "2.3", *case)

    (line,) = [line for line in out.split("\nCause\n")[1].splitlines() if "lapack" in line]
    assert "the same program calls another LAPACK" in line
    assert "SciPy's own QR of the same matrix returns both sides' bits" in line


def test_releases_that_agree_are_clean(gate: Gate) -> None:
    code, out, _ = gate("2.0", "3.0")

    assert code == 0
    assert out.startswith("CLEAN: jax 2.0 -> jax 3.0: 2 cases: 2 identical")


def test_the_same_pair_is_recorded_once(gate: Gate, world: Path) -> None:
    gate("2.0", "3.0")
    before = calls(world)

    code, _, _ = gate("2.0", "3.0")

    assert code == 0
    assert calls(world) == before


def test_the_policy_decides(gate: Gate) -> None:
    code, _, _ = gate("1.0", "2.0", "--max-drift", "stream")

    assert code == 0


def test_the_second_side_takes_over_what_it_can(gate: Gate, world: Path) -> None:
    gate("1.0", "2.0")

    plans = [json.loads(path.read_text()) for path in (world / "cache").rglob("plans/*.json")]

    assert ["jax==2.0", "numpy==1.0"] in [plan["pins"] for plan in plans]


def test_what_a_release_needs_is_said_with_the_reason(gate: Gate) -> None:
    _, out, _ = gate("1.0", "2.0", "--max-drift", "stream")

    assert "needs" not in out  # 1.0 is newer than every cap
    assert "it calls np.trapz" in str(release_side("0.4.20", "jax").notes)


def test_latest_is_the_newest_release(world: Path) -> None:
    assert world.is_dir()

    assert parse_side("latest", "jax", Registry()).version == "4.0"


def test_the_running_environment_is_a_side(gate: Gate) -> None:
    code, out, _ = gate("2.0", "current")

    assert code == 0
    assert "jax 2.0 -> current (jax " in out


def test_a_file_of_constraints_is_a_side(gate: Gate, world: Path) -> None:
    (world / "constraints.txt").write_text("# what we have\njax==1.0\n")

    code, out, _ = gate("constraints.txt", "2.0")

    assert code == 1
    assert "DRIFT: jax 1.0 (constraints.txt) -> jax 2.0" in out
    assert "since which release: conformance bisect --from 1.0 --to 2.0" in out


def test_a_file_that_pins_no_release_is_named_as_a_file(world: Path) -> None:
    (world / "loose.txt").write_text("jax>=1.0\n")

    side = parse_side("loose.txt", "jax", Registry())

    assert (side.name, side.version) == ("loose.txt", None)


def test_bisect_names_the_release_and_the_stage(gate: Gate) -> None:
    code, out, err = gate("1.0", "3.0", command="bisect")

    assert code == 1
    assert out.startswith("jax 1.0 -> 2.0: 1 identical, 1 stream")
    assert "first differing stage bits" in out
    assert "1 release left, about 1 step" in err


def test_bisect_names_the_cause_of_a_change(gate: Gate) -> None:
    _, text, _ = gate("1.0", "3.0", command="bisect")
    _, document, _ = gate("1.0", "3.0", "--json", "-", command="bisect")

    ((pair,),) = (change["changed"] for change in json.loads(document)["changes"])
    assert pair["cause"] == "lowering"
    assert "1 of 2 are the same" in pair["proof"]
    assert f"  cause of 1: lowering: JAX lowers another program ({pair['proof']})" in text


def test_bisect_says_when_nothing_changed(gate: Gate) -> None:
    code, out, _ = gate("2.0", "3.0", command="bisect")

    assert code == 0
    assert out == "no change of class rounding or worse between jax 2.0 and 3.0\n"


def test_between_a_release_and_itself_there_is_nothing_to_bisect(gate: Gate) -> None:
    code, _, err = gate("2.0", "2.0", command="bisect")

    assert code == 4
    assert "--from and --to are both 2.0: no release lies between, so none can be found" in err


def test_bisect_backwards_says_to_swap(gate: Gate) -> None:
    code, _, err = gate("3.0", "2.0", command="bisect")

    assert code == 4
    assert "--from 3.0 is not older than --to 2.0: swap them" in err


def test_bisect_over_an_unknown_release_is_a_wrong_call(gate: Gate) -> None:
    code, _, err = gate("2.0", "3.1", command="bisect")

    assert code == 4
    assert "jax release '3.1' is unknown: did you mean" in err


def test_a_nightly_is_looked_for_in_its_index(world: Path) -> None:
    registry = Registry(index="https://nightly.example/simple", pre=True)
    side = parse_side("latest", "jax", registry)

    environments.solve(side, registry, fresh=True)

    listing, solving = calls(world)[-2:]
    assert listing.endswith("--pre --extra-index-url https://nightly.example/simple")
    assert "--index https://nightly.example/simple" in solving


# --- What goes wrong -----------------------------------------------------------------------------


def test_a_crash_is_told_and_the_other_side_is_kept(gate: Gate, world: Path) -> None:
    kept = set((world / "cache").rglob("recordings/*/*/manifest.json"))

    code, _, err = gate("2.0", "4.0", "--initializer", "zeros")

    assert code == 3
    assert "jax 4.0 was killed by SIGSEGV while recording" in err
    assert "about to crash" in err
    assert len(set((world / "cache").rglob("recordings/*/*/manifest.json")) - kept) == 1


FATAL = """
import sys

if "-c" in sys.orig_argv:  # what records cases
    import os
    import jax
    jax.nn.initializers.ones = lambda *_: os._exit(0)
"""


@pytest.fixture(scope="module")
def fatal(world: Path) -> None:
    """Let `ones` end its process under release 2.4."""
    (world / "fatal").mkdir()
    (world / "fatal" / "sitecustomize.py").write_text(FATAL)


@pytest.mark.usefixtures("fatal")
def test_a_case_that_ends_its_process_is_named_and_the_others_are_compared(gate: Gate) -> None:
    lost = "ones-float32-64x32-s0-cpu-eager"

    code, out, _ = gate("2.0", "2.4", "--json", "-")
    drifted, text, _ = gate("2.4", "1.0")

    told = json.loads(out)
    how = "jax 2.4: its process ended with exit status 0"
    assert (code, drifted) == (3, 1)
    assert told["unseen"] == {lost: how}
    assert [(pair["name"], pair["drift_class"]) for pair in told["pairs"]] == [
        (UNIFORM, "identical")
    ]
    assert told["verdict"].startswith(
        "INCOMPLETE: jax 2.0 -> jax 2.4: none of 1 case beyond the policy, 1 case not seen"
    )
    assert (
        "DRIFT: jax 2.4 -> jax 1.0: 1 of 1 case beyond rounding, 1 case not seen: 1 stream" in text
    )
    assert re.search(rf"{lost} +{how}", text)


@pytest.mark.slow
@pytest.mark.usefixtures("fatal")
@pytest.mark.parametrize(
    ("end", "how"),
    [
        ("os.kill(os.getpid(), 9)", "ended by SIGKILL (Killed; out of memory, perhaps)"),
        ("os.system('sleep 1000')", "it was not done within 9 s (--case-timeout)"),
    ],
    ids=["killed", "hanging"],
)
def test_a_case_that_is_killed_or_hangs_is_named(
    gate: Gate, world: Path, end: str, how: str
) -> None:
    path = world / "fatal" / "sitecustomize.py"
    text = FATAL.replace("os._exit(0)", end)
    path.write_text(f"{text}# {how}\n")  # of another size: byte code of this second is kept by it
    try:
        code, out, _ = gate(
            "2.0", "2.4", "--initializer", "ones", "--case-timeout", "9", "--json", "-"
        )
    finally:
        path.write_text(FATAL)

    assert code == 3
    (reason,) = json.loads(out)["unseen"].values()
    assert reason.startswith("jax 2.4: ")
    assert how in reason


@pytest.mark.usefixtures("fatal")
def test_where_all_cases_were_lost_the_gate_is_incomplete(gate: Gate) -> None:
    code, out, _ = gate("2.0", "2.4", "--initializer", "ones")

    assert code == 3
    assert "INCOMPLETE" in out


def test_an_interrupted_recording_goes_on_where_it_was(
    gate: Gate, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = ("--initializer", "constant", "--dtype", "bfloat16", "--dtype", "float16")
    with monkeypatch.context() as patch:
        patch.setattr("conformance.upgrade.recordings.time.sleep", lambda _: interrupt_begun(world))
        interrupted, _, _ = gate("2.0", "3.0", *what)
    journal = next(filter(has_begun, (world / "cache").rglob("recordings/*/*.journal")))
    (first, *_) = journal.read_text().splitlines()[1:]

    code, _, _ = gate("2.0", "3.0", *what)

    assert (interrupted, code) == (130, 0)
    assert not journal.exists()
    manifest = journal.with_suffix("") / "manifest.json"
    elapsed_s = json.loads(first)["elapsed_s"]
    assert f'"elapsed_s":{elapsed_s}' in manifest.read_text()


def interrupt_begun(world: Path) -> None:
    """Be the user who presses Ctrl-C when the first side has recorded something."""
    if any(map(has_begun, (world / "cache").rglob("recordings/*/*.journal"))):
        raise KeyboardInterrupt


def has_begun(journal: Path) -> bool:
    """Return whether a case stands below the head."""
    return journal.read_bytes().count(b"\n") > 1


def test_two_gates_do_not_record_the_same_at_once(gate: Gate, world: Path) -> None:
    gate("2.0", "3.0")
    manifest = next((world / "cache").rglob("recordings/*/*/manifest.json"))
    folder = manifest.parent
    folder.rename(folder.with_name("aside"))
    said: list[str] = []
    with files.locked(folder.with_name(f"{folder.name}.request.json")):
        job = recordings._Job(
            plan=environments.Plan(name="jax 2.0", python="python", pins=()),
            asked=recordings.Asked(),
            apart=world / "apart",
            log=world / "log",
            folder=folder,
        )
        thread = threading.Thread(target=recordings._record, args=([job], said.append))
        thread.start()
        while not said:
            time.sleep(0.01)
        # The other process is done: its recording is there, and nothing is left to do.
        folder.with_name("aside").rename(folder)
    thread.join(timeout=600)

    assert not thread.is_alive()
    holder = f"process {os.getpid()} on {socket.gethostname()}"
    assert said == [f"jax 2.0: {holder} records it; waiting"]


def test_a_python_that_suits_a_side_is_looked_for(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert world.is_dir()
    monkeypatch.setattr(environments, "pythons", lambda: (sys.executable, "/another/python"))

    plan = environments.solve(release_side("9.9", "jax"), Registry())

    assert plan.python == "/another/python"


def test_no_wheel_for_any_python_is_told(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "pythons", lambda: (sys.executable,))

    code, _, err = gate("2.0", "9.9", "--seed", "0")

    assert code == 3
    assert "no installed Python suits it: install the one that its wheels are for" in err


def test_a_conflict_is_told_with_the_resolvers_reason(gate: Gate) -> None:
    code, _, err = gate("2.0", "8.8")

    assert code == 3
    assert "jax 8.8 cannot be installed: what it needs contradicts itself in the registry" in err
    assert "choose another release" in err
    assert "needs numpy<2" in err


def test_a_conflict_with_what_the_caller_asks_for_is_told_as_such(gate: Gate) -> None:
    code, _, err = gate("2.0", "8.8", "--with", "numpy>=2")

    assert code == 3
    assert "the requirements contradict each other: loosen --with or the constraints" in err


@pytest.mark.parametrize(
    ("requirement", "way_out"),
    [
        ("nosuch", "the registry has no package of that name: spell it as it is published"),
        ("./noproject", "that folder is no project: give --with one that has a pyproject.toml"),
    ],
)
def test_what_cannot_be_installed_beside_a_release_is_no_contradiction(
    gate: Gate, requirement: str, way_out: str
) -> None:
    code, _, err = gate("2.0", "3.0", "--with", requirement, "--seed", "0")

    assert code == 3
    assert way_out in err


@pytest.mark.parametrize(
    ("release", "way_out"),
    [
        ("7.7", "that release was withdrawn (yanked): choose one before or after it"),
        ("0.4.1", "the registry no longer has its jaxlib, for any Python: choose a newer release"),
        ("5.6rc1", "development releases and candidates need --pre, nightly ones --index URL too"),
    ],
)
def test_a_release_that_nobody_can_install_is_told_with_the_way_out(
    gate: Gate, release: str, way_out: str
) -> None:
    code, _, err = gate("2.0", release)

    assert code == 4
    assert way_out in err
    assert "--with" not in err


def test_a_release_that_never_was_is_told(gate: Gate) -> None:
    code, _, err = gate("2.0", "5.5")

    assert code == 4
    assert "there is no such release: `pip index versions jax` (or flax) lists them" in err


def test_something_that_is_no_side_is_a_wrong_call(gate: Gate) -> None:
    code, _, err = gate("2.0", "newest")

    assert code == 4
    assert "'newest' is no release of jax: give a version, `current`, `latest`" in err


def test_a_wheel_that_does_not_exist_is_a_wrong_call(gate: Gate) -> None:
    code, _, err = gate("2.0", "jax-3.0-py3-none-any.whl")

    assert code == 4
    assert "jax-3.0-py3-none-any.whl does not exist" in err


def test_without_network_what_was_recorded_is_compared(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate("1.0", "2.0")
    monkeypatch.setenv("FAKE_UV_OFFLINE", "1")

    code, out, _ = gate("1.0", "2.0")

    assert code == 1
    assert out.startswith("DRIFT: ")


def test_without_network_a_new_side_is_told(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_UV_OFFLINE", "1")

    code, _, err = gate("2.0", "7.7")

    assert code == 3
    assert "the registry does not answer: restore the network, or give a side solved before" in err


def test_without_network_latest_is_that_of_last_time(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert world.is_dir()
    parse_side("latest", "jax", Registry())
    monkeypatch.setenv("FAKE_UV_OFFLINE", "1")

    side = parse_side("latest", "jax", Registry())

    assert side.version == "4.0"
    assert "the registry does not answer" in side.notes[0]


def test_without_network_and_list_latest_is_unknown(
    tmp_path: Path, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert world.is_dir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("FAKE_UV_OFFLINE", "1")

    with pytest.raises(SideError, match="no earlier one is at hand: restore the network"):
        parse_side("latest", "jax", Registry())


def test_without_uv_the_way_out_is_told(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(environments, "pythons", lambda: (sys.executable,))

    code, _, err = gate("2.0", "7.7")

    assert code == 3
    assert "uv is not installed, and builds the environments: `pip install uv`" in err


def test_a_half_built_environment_is_never_used(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert world.is_dir()
    plan = environments.Plan(name="jax 2.0", python=sys.executable, pins=("jax==2.0", "a==1"))
    monkeypatch.setattr(os, "sync", interrupt)

    with pytest.raises(KeyboardInterrupt):
        environments.build(plan)

    assert not (cache_folder("environments") / plan.key).exists()


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("release", ["0.4.20", "0.12.0.1"])
@pytest.mark.parametrize("package", ["jax", "flax"])
def test_every_release_can_name_its_lapack(release: str, package: str) -> None:
    assert "threadpoolctl>=3.1" in release_side(release, package).requirements


@pytest.mark.parametrize("fact", ["lapack_kernel", "lapack_threads"])
def test_recordings_of_two_kernels_or_numbers_of_threads_are_kept_apart(
    fact: str, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = environments.Plan(name="jax 2.0", python="python", pins=())
    here, known = recordings.folder_of(plan), lapack.facts()
    monkeypatch.setattr(lapack, "facts", lambda: {**known, fact: "another"})

    there = recordings.folder_of(plan)

    assert world in here.parents
    assert there != here


@pytest.mark.parametrize("variable", ["OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS"])
def test_recordings_under_variables_of_lapack_are_kept_apart(
    variable: str, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The release may bring another OpenBLAS, which heeds what this process's was told too."""
    plan = environments.Plan(name="jax 2.0", python="python", pins=())
    here = recordings.folder_of(plan)
    monkeypatch.setenv(variable, "another")

    there = recordings.folder_of(plan)

    assert world in here.parents
    assert there != here


def test_the_plan_of_a_local_wheel_changes_with_its_bytes(tmp_path: Path) -> None:
    wheel = tmp_path / "jax-1.0-py3-none-any.whl"
    keys = set()
    for content in (b"one", b"two"):
        wheel.write_bytes(content)
        keys.add(plan_of(f"jax @ {wheel.as_uri()}").key)

    assert len(keys) == 2


@pytest.mark.parametrize("name", ["model.py", "package/scales.json", "package/.weights"])
def test_the_plan_of_a_local_folder_changes_with_each_of_its_files(
    tmp_path: Path, name: str
) -> None:
    keys = [key_with(tmp_path, name, text) for text in ("one", "two")]

    assert keys[0] != keys[1]


def test_the_plan_of_a_local_folder_changes_with_what_a_link_in_it_leads_to(
    tmp_path: Path,
) -> None:
    package, data = tmp_path / "package", tmp_path / "data"
    package.mkdir()
    data.mkdir()
    (package / "data").symlink_to(data)
    (data / "back").symlink_to(package)
    keys = set()
    for content in ("one", "two"):
        (data / "scales.json").write_text(content)
        keys.add(plan_of(str(package)).key)

    assert len(keys) == 2


@pytest.mark.parametrize("mark", environments.MARKS)
def test_an_environment_within_a_local_folder_is_no_part_of_it(tmp_path: Path, mark: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / mark).touch()
    keys = [key_with(tmp_path, "mine/a.py", text) for text in ("one", "two")]

    assert keys[0] == keys[1]


@pytest.mark.parametrize(
    "name", [".venv/a.py", ".git/index", "__pycache__/a.pyc", "a.egg-info/PKG-INFO", "build/a.py"]
)
def test_the_plan_of_a_local_folder_does_not_change_with_what_is_made_of_it(
    tmp_path: Path, name: str
) -> None:
    keys = [key_with(tmp_path, name, text) for text in ("one", "two")]

    assert keys[0] == keys[1]


def key_with(folder: Path, name: str, text: str) -> str:
    """Return the key of a plan that installs the folder, with this text in one of its files."""
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return plan_of(str(folder)).key


def test_a_local_folder_is_solved_again_when_it_changes(world: Path, tmp_path: Path) -> None:
    requirements = tmp_path / "pyproject.toml"
    before = calls(world)
    for text in ("one", "two", "two"):
        requirements.write_text(text)
        environments.solve(release_side("2.0", "jax"), Registry(), extra=(str(tmp_path),))

    assert len(calls(world)) == len(before) + 2


def test_a_local_folder_is_built_by_its_path(world: Path, tmp_path: Path) -> None:
    """Else uv takes an earlier build of the same folder, though its files have changed."""
    (tmp_path / "data.json").write_text("1")
    plan = environments.Plan(
        name="", python="python", pins=("jax==2.0", f"mine @ {tmp_path.as_uri()}")
    )

    environments.build(plan)

    assert calls(world)[-1].endswith(f"pins.txt {tmp_path}")


def plan_of(pin: str) -> environments.Plan:
    return environments.Plan(name="", python="python", pins=(pin,))


@pytest.mark.parametrize(
    ("python", "pin", "is_lasting"),
    [
        ("", "jax==0.12.0.1", True),
        ("", "jaxlib==0.12.1.dev20260101", False),
        ("", "jaxlib==0.12.1+selfbuilt", False),
        ("", "numpy==2.5.0.dev0", True),
        ("python", "jax==0.12.1.dev20260101", True),
    ],
)
def test_a_build_of_ones_own_is_recorded_every_time(
    python: str, pin: str, is_lasting: bool
) -> None:
    plan = environments.Plan(name="", python=python, pins=(pin,))

    assert plan.is_lasting is is_lasting


def test_a_side_of_flax_pins_flax() -> None:
    side = release_side("0.10.4", "flax")

    assert "flax==0.10.4" in side.requirements
    assert "jax[cpu]" in side.requirements


def test_of_several_bounds_the_tightest_is_asked_for() -> None:
    side = release_side("0.8.4", "flax")

    assert [need for need in side.requirements if need.startswith("jax<")] == ["jax<0.4.27"]


# --- A user's own parameters ---------------------------------------------------------------------

MODELS = """
import jax, itertools, numpy
counter = itertools.count()
def init(): return {"dense": {"kernel": jax.random.normal(jax.random.key(0), (64, 32))}, "n": 3}
def raises(): raise ValueError("no data here")
def restless(): return {"bias": jax.numpy.zeros(3) + next(counter)}
def with_arguments(key, shape=(3,)): return key
def nothing(): return {}
def text(): return {"name": "dense"}
number = 3
def yields(): yield "dense/kernel", init()["dense"]["kernel"]; yield "n", 3
def numbers(): yield 3
def yields_nothing(): yield from ()
def hangs():
    yield from yields()
    import time; time.sleep(1000)

def changed(change):
    # Under one release, a change that a sample of the 8192 elements does not see.
    array = numpy.random.default_rng(0).standard_normal(8192).astype("float32")
    if jax.config.jax_threefry_partitionable:
        rest = numpy.flatnonzero(numpy.arange(8192) % 7)
        array[7] = numpy.nextafter(array[7], numpy.float32(9))
        change(array, rest)
    return array
def changes():
    return {
        "nan": changed(lambda array, rest: array.__setitem__(rest[:6], numpy.nan)),
        "huge": changed(lambda array, rest: array.__setitem__(rest[:6], 1e6)),
        "one": changed(lambda array, rest: array.__setitem__(rest[0], array[rest[0]] + 0.5)),
        "order": changed(lambda array, rest: array.__setitem__(rest, array[rest[::-1]])),
        "seen": changed(lambda array, rest: None),
    }
"""


@pytest.fixture(scope="module")
def models(world: Path) -> None:
    """Write a module of targets into the working folder."""
    (world / "mymodels.py").write_text(MODELS)


@pytest.mark.usefixtures("models")
def test_the_parameters_of_a_model_are_compared_by_path(gate: Gate) -> None:
    code, out, _ = gate("1.0", "2.0", "--target", "mymodels:init", "--json", "-")

    assert code == 1
    assert {pair["name"]: pair["drift_class"] for pair in json.loads(out)["pairs"]} == {
        "dense/kernel": "stream",
        "n": "identical",
    }


@pytest.fixture(scope="module")
def changes(world: Path, models: None) -> dict[str, dict[str, Any]]:
    """Return the pair of each parameter that a change befell, from one gate."""
    assert models is None
    words = ["gate", "--from", "1.0", "--to", "2.0", "--target", "mymodels:changes", "--json", "-"]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main(words) == 1
    assert list((world / "cache" / "initializer-conformance" / "passing").glob("*")) == []
    return {pair["name"]: pair for pair in json.loads(printed.getvalue())["pairs"]}


@pytest.mark.parametrize(
    ("name", "expected", "n_different"),
    [
        ("nan", "law", 7),
        ("huge", "transform", 7),
        ("one", "transform", 2),
        ("order", "structural", 7021),
        ("seen", "rounding", 1),
    ],
)
def test_of_a_parameter_that_changed_every_element_is_compared(
    changes: dict[str, dict[str, Any]], name: str, expected: str, n_different: int
) -> None:
    pair = changes[name]

    assert pair["drift_class"] == expected
    assert (pair["n_elements"], pair["n_different"]) == (8192, n_different)
    assert pair["is_allowed"] is (name == "seen")


@pytest.mark.usefixtures("models")
def test_a_selection_beside_a_target_is_a_wrong_call(gate: Gate) -> None:
    code, _, err = gate("1.0", "2.0", "--target", "mymodels:init", "--dtype", "float32")

    assert code == 4
    assert "--target and --dtype contradict each other" in err


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("mymodels", "is not understood: write package.module:function"),
        ("mymodels:raises", "raises ValueError at "),
        ("mymodels:with_arguments", "needs the arguments key: name a function without arguments"),
        ("mymodels:restless", "is not deterministic, a second call differs at bias"),
        ("mymodels:nothing", "returns no parameters"),
        ("mymodels:text", "returns a str at name, not an array"),
        ("mymodels:numbers", "yields a int: yield pairs of a path and an array, or return a tree"),
        ("mymodels:yields_nothing", "returns no parameters"),
    ],
)
def test_a_target_that_cannot_be_recorded_is_told(
    world: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    target: str,
    message: str,
) -> None:
    monkeypatch.syspath_prepend(str(world))

    with pytest.raises(TargetError, match=re.escape(message)):
        record_target(target, tmp_path / "out")


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("whole", [(), (parameter_id("dense/kernel"),)], ids=["all", "one"])
def test_parameters_that_are_yielded_are_those_of_a_tree(
    whole: tuple[str, ...], world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(world))
    for name in ("init", "yields"):
        record_target(f"mymodels:{name}", tmp_path / name, whole)

    tree, yielded = (
        [(entry.id, entry.outcome) for entry in open_store(tmp_path / name).entries()]
        for name in ("init", "yields")
    )

    assert yielded == tree
    assert [key for key, _ in tree] == sorted(whole or map(parameter_id, ("dense/kernel", "n")))


@pytest.mark.slow
@pytest.mark.usefixtures("models")
def test_a_target_that_hangs_is_told_with_the_place(gate: Gate) -> None:
    words = ("--target", "mymodels:hangs", "--case-timeout", "20")

    code, _, err = gate("2.0", "3.0", *words)

    assert code == 3
    for side in ("jax 2.0", "jax 3.0"):
        told = rf"{side}: target 'mymodels:hangs': it was not done within 20 s \(--case-timeout\)"
        assert re.search(rf'{told} .*Before that: File ".*mymodels.py", line \d+ in hangs', err)


@pytest.mark.usefixtures("models")
def test_a_fault_of_the_target_is_one_line_of_the_gate(gate: Gate) -> None:
    code, _, err = gate("2.0", "3.0", "--target", "mymodels:raises")

    assert code == 3
    for side in ("jax 2.0", "jax 3.0"):
        told = rf"{side}: target 'mymodels:raises' raises ValueError at \S+:\d+: no data here"
        assert re.search(told, err)
