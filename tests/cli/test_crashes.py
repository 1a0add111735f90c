"""An initializer that ends its process costs its own verdict and no other, in every command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.core.errors import UnfinishedRunWarning
from conformance.core.paths import PENDING
from conformance.core.records import Raised
from conformance.core.words import counted
from conformance.curate.stage import STAGE
from conformance.report.frames import read_run
from conformance.report.run import MISSING
from conformance.store.read import open_store
from tests import ROOT, deadly, small_golden
from tests.conftest import without_ambient

pytestmark = pytest.mark.slow  # each crash costs the start of another worker

HEALTHY = ("uniform", "zeros")
FEW = ("hanging", "killed")
"""Each costs another start: how else a process may end, is looked at in a run and in pytest."""
NAMES = sorted([*deadly.ENDINGS, *HEALTHY])
TIMEOUT_S = 8


def case_of(name: str) -> str:
    return f"{name}-float32-64-s0-cpu-eager"


LOST = {case_of(name): reason for name, reason in deadly.told(TIMEOUT_S).items()}


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set") / "golden"
    return small_golden.write(folder, *map(case_of, [*HEALTHY, "normal"]))


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    folder = tmp_path / "installed"
    folder.mkdir()
    return deadly.installed(folder)


def call(
    module: str, installed: Path, *words: object, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program that knows the deadly initializers, and give each case its deadline.

    folder: in which it runs.
    """
    path = os.pathsep.join([str(installed), str(ROOT)])
    return subprocess.run(  # noqa: S603  # ours
        [sys.executable, "-m", module, *map(str, words), "--case-timeout", str(TIMEOUT_S)],
        env={**os.environ, "PYTHONPATH": path},
        cwd=folder or installed,
        capture_output=True,
        text=True,
        check=False,
    )


def lost_in(reports: Path) -> dict[str, str]:
    """Return why each missing case of the only run has no verdict."""
    (folder,) = reports.iterdir()
    by_reason: dict[str, list[str]] = json.loads((folder / MISSING).read_text())["missing"]
    return {case: reason for reason, cases in by_reason.items() for case in cases}


def test_a_run_names_each_lost_case_and_judges_the_others(
    installed: Path, golden: Path, tmp_path: Path
) -> None:
    reports = tmp_path / "reports"

    done = call(
        "conformance",
        installed,
        *("run", *map(case_of, NAMES)),
        *("--golden", golden, "--reports", reports),
    )

    assert done.returncode == 3, done.stderr
    assert "INCOMPLETE: 5 of 7 cases left no result; none of the other 2 failed" in done.stdout
    assert lost_in(reports) == LOST
    case, reason = next(iter(LOST.items()))
    told = f"no verdict on {case}: {reason}\n  rerun: conformance run {case} --gol"
    assert told in without_ambient(done.stdout)


def test_of_two_workers_one_that_ends_costs_its_seed_alone(
    installed: Path, golden: Path, tmp_path: Path
) -> None:
    """The block that ends a worker is run again case by case; the other one goes on."""
    reports = tmp_path / "reports"

    done = call(
        "conformance",
        installed,
        *("run", "-n", 2, "--initializer", "exiting,uniform", "--dtype", "float32"),
        *("--shape", "64", "--seed", "7:8,9:12", "--backend", "cpu"),
        *("--golden", golden, "--reports", reports),
    )

    assert done.returncode == 3, done.stderr
    assert "INCOMPLETE: 4 of 8 cases left no result; none of the other 4 failed" in done.stdout
    cases = [case_of("exiting").replace("-s0-", f"-s{seeds}-") for seeds in ("7", "9:12")]
    assert lost_in(reports) == dict.fromkeys(cases, LOST[case_of("exiting")])


def test_a_recording_keeps_each_lost_case_as_a_fault_of_the_machine(
    installed: Path, tmp_path: Path
) -> None:
    folder, cases = tmp_path / "recording", [case_of(name) for name in (*FEW, "uniform")]

    done = call("conformance", installed, "record", *cases, "--out", folder)

    assert done.returncode == 3, done.stderr
    store = open_store(folder)
    lost = {case: LOST[case] for case in map(case_of, FEW)}
    assert store.ids() == cases
    assert store.provenance[0]["machine_faults"] == sorted(lost)
    for case, reason in lost.items():
        outcome = store.observation(case).outcome
        assert outcome == Raised(exception="ProcessLost", message=reason)
        assert f"the machine failed {case}: {reason}" in done.stderr


def test_pytest_names_each_lost_case_and_judges_the_others_without_being_asked_for_workers(
    installed: Path, golden: Path, tmp_path: Path
) -> None:
    reports = tmp_path / "reports"

    done = call(
        "pytest",
        installed,
        *("--pyargs", "conformance.suite.test_initializers"),
        *("--initializer", ",".join(NAMES), "--dtype", "float32", "--shape", "64", "--seed", 0),
        *("--tier", "quick", "--golden", golden, "--reports", reports),
    )

    assert done.returncode == 3, done.stdout
    assert "5 failed, 2 passed" in done.stdout
    assert lost_in(reports) == LOST
    case, reason = next(iter(LOST.items()))
    assert f"test_case[{case}]: {reason}" in done.stdout


@pytest.mark.parametrize(
    ("seeds", "n_cases", "ending"), [("7:12", 5, "1 failed"), ("9:10", 1, "1 failed")]
)
def test_pytest_loses_of_a_block_the_seed_alone_that_ends_its_process(
    installed: Path, golden: Path, tmp_path: Path, seeds: str, n_cases: int, ending: str
) -> None:
    reports = tmp_path / "reports"

    done = call(
        "pytest",
        installed,
        *("--pyargs", "conformance.suite.test_initializers", "--initializer", "unlucky"),
        *("--dtype", "float32", "--shape", "7", "--seed", seeds, "--backend", "cpu"),
        *("--golden", golden, "--reports", reports),
    )

    assert done.returncode == 3, done.stdout
    case, reason = "unlucky-float32-7-s9-cpu-eager", LOST[case_of("exiting")]
    assert lost_in(reports) == {case: reason}
    (folder,) = reports.iterdir()
    with pytest.warns(UnfinishedRunWarning, match=f"no result from {case}: {reason}"):
        rows = read_run(folder)
    assert (len(rows), {*rows["status"]}) == (n_cases - 1, {"passed"} if n_cases > 1 else set())
    assert ending in done.stdout
    assert f"no verdict on {case}: {reason}" in done.stdout
    others = f"; none of the other {n_cases - 1} failed"
    assert f"INCOMPLETE: 1 of {counted(n_cases, 'case')} left no result{others}" in done.stdout


def test_a_worker_in_place_of_a_lost_one_does_the_other_blocks(
    installed: Path, tmp_path: Path
) -> None:
    """The folder of the reports is new, so it is there when the second worker starts alone."""
    done = call(
        "pytest",
        installed,
        *("--pyargs", "conformance.suite.test_initializers", "--initializer", "unlucky"),
        *("--dtype", "float32,float16", "--shape", "7", "--seed", "7:12", "--backend", "cpu"),
        *("--reports", tmp_path / "reports"),
        folder=ROOT,
    )

    assert "INCOMPLETE: 2 of 10 cases left no result; none of the other 8 failed" in done.stdout
    assert {*lost_in(tmp_path / "reports").values()} == {LOST[case_of("exiting")]}


def test_pytest_passes_a_block_whose_worker_was_lost_to_something_else(
    installed: Path, golden: Path, tmp_path: Path
) -> None:
    """As where a machine ran short of memory: each seed has its verdict after all."""
    killing = f"""
import os
from pathlib import Path

def pytest_runtest_call(item):
    mark = Path({str(tmp_path / "killed")!r})
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), 9)
"""
    (installed / "killing.py").write_text(killing)

    done = call(
        "pytest",
        installed,
        *("-p", "killing", "--pyargs", "conformance.suite.test_initializers"),
        *("--initializer", "uniform", "--dtype", "float32", "--shape", "7", "--seed", "7:12"),
        *("--backend", "cpu", "--golden", golden, "--reports", tmp_path / "reports"),
    )

    assert (tmp_path / "killed").exists()
    assert done.returncode == 0, done.stdout
    assert "PASSED: 5 cases" in done.stdout


def test_a_law_names_each_lost_sweep_and_judges_the_others(installed: Path) -> None:
    names = ",".join([*FEW, "normal"])

    done = call(
        "conformance",
        installed,
        *("law", "--initializer", names, "--dtype", "bfloat16"),
        *("--transform", "eager", "--backend", "cpu"),
    )

    assert done.returncode == 3, done.stderr
    (row,) = done.stdout.splitlines()[1:2]
    assert (row.split()[0], row.split()[-1]) == ("normal", "passed")
    for name, case in zip(FEW, map(case_of, FEW), strict=True):
        sweep = f"{name}-bfloat16-11x12-s0-lattice-cpu-eager"
        words = f"--initializer {name} --dtype bfloat16 --backend cpu --transform eager"
        words += f" --case-timeout {TIMEOUT_S:g}"
        assert (
            f"no verdict on {sweep}: {LOST[case]}\n  rerun: conformance law {words}\n"
        ) in without_ambient(done.stdout)


def test_staging_names_each_lost_case_and_stages_the_others(
    installed: Path, tmp_path: Path
) -> None:
    folder, names = tmp_path / "golden", ",".join([*FEW, "uniform"])

    done = call(
        "conformance",
        installed,
        *("goldens", "stage", "--golden", folder, "--initializer", names, "--dtype", "float32"),
        *("--shape", "64", "--seed", "0", "--tier", "quick", "--reason", "first"),
    )

    assert done.returncode == 3, done.stderr
    assert open_store(folder / PENDING).ids() == ["uniform-float32-64-s0"]
    lost = {case: LOST[case] for case in map(case_of, FEW)}
    for case, reason in lost.items():
        assert f"the machine failed {case}: {reason}" in done.stderr
    staged = json.loads((folder / PENDING / STAGE).read_text())
    assert staged["scope"].endswith(f" but for {', '.join(lost)}")


LAYERS = """
import sys

if "-c" in sys.orig_argv:  # the worker
    import flax.linen, flax.nnx
    from tests.deadly import ENDINGS

    flax.linen.LayerNorm.__call__ = lambda *_: ENDINGS["hanging"][0]()
    flax.nnx.Linear.__init__ = lambda *_, **__: ENDINGS["segfaulting"][0]()
"""


def test_staging_names_each_lost_layer_and_stages_the_others(
    installed: Path, tmp_path: Path
) -> None:
    (installed / "sitecustomize.py").write_text(LAYERS)
    folder, reasons = tmp_path / "golden", deadly.told(TIMEOUT_S)
    names = ("flax.linen.LayerNorm", "flax.nnx.Linear", "flax.linen.Dense")

    done = call(
        "conformance",
        installed,
        *("goldens", "stage", "--golden", folder, "--layer", ",".join(names)),
        *("--dtype", "float32", "--reason", "first"),
    )

    assert done.returncode == 3, done.stderr
    lost = {
        "flax.linen.LayerNorm/float32": reasons["hanging"],
        "flax.nnx.Linear/float32": reasons["segfaulting"],
    }
    for tree, reason in lost.items():
        assert f"the machine failed {tree}: {reason}" in done.stderr
    assert open_store(folder / PENDING).ids() == [
        f"flax.linen.Dense/float32/params.{name}" for name in ("bias", "kernel")
    ]
    staged = json.loads((folder / PENDING / STAGE).read_text())
    assert staged["scope"].endswith(f" but for {', '.join(lost)}")


@pytest.mark.parametrize(
    "words",
    [
        ("conformance", "run", case_of("exiting"), "--in-process"),
        (
            *("pytest", "--pyargs", "conformance.suite.test_initializers", "-n0"),
            *("--initializer", "exiting", "--dtype", "float32", "--shape", "64", "--seed", "0"),
        ),
    ],
    ids=["run", "pytest"],  # what pytest captures of its own process, it keeps to itself
)
def test_a_case_that_exits_with_0_in_the_process_of_a_run_does_not_pass_it(
    installed: Path, golden: Path, words: tuple[str, ...]
) -> None:
    done = call(words[0], installed, *words[1:], "--golden", golden)

    assert done.returncode == 3, done.stdout
    assert words[0] == "pytest" or "a case called os._exit(0) in this process" in done.stderr


def test_a_case_that_changes_settings_fails_by_name_and_the_next_one_does_not(
    installed: Path, golden: Path, tmp_path: Path
) -> None:
    meddling = case_of("meddling")

    done = call(
        "conformance",
        installed,
        *("run", meddling, case_of("normal"), case_of("uniform")),
        *("--golden", golden, "--reports", tmp_path / "reports", "--in-process"),
    )

    assert done.returncode == 1, done.stderr
    assert "FAILED: 1 of 3 cases" in done.stdout
    assert (
        f"{meddling} changed what all of its process depends on "
        "(jax_threefry_partitionable: True -> False, MEDDLED: was set), which was put back "
    ) in done.stdout
