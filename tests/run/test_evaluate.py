"""The way of a case to its row: how often it is judged, and how often it changes folder."""

from __future__ import annotations

import itertools
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import pytest

import conformance
from conformance.cases.selection import Selection
from conformance.cli import main
from conformance.core.records import CaseResult, Observation
from conformance.judge import bench, verdict
from conformance.run.options import Options
from conformance.run.session import Session
from tests import small_golden

pytest_plugins = ["pytester"]

DRIFTED = "uniform-float32-64-s0-cpu-eager"
CLEAN = "zeros-float32-64-s0-cpu-eager"
REFUSED = "lecun_normal-float32-64-s0-cpu-eager"
EXCUSED = "orthogonal-bfloat16-64x32-s0-cpu-eager"
CASES = (DRIFTED, CLEAN, REFUSED, EXCUSED)

ONE_VERDICT_EACH = {
    DRIFTED: ["failed stream"],
    CLEAN: ["passed identical"],
    REFUSED: ["passed identical"],
    EXCUSED: ["limited identical"],
}

NORMAL = "lecun_normal-float32-64x32-s0-cpu-eager"


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return goldens of the stream that JAX has by default; the cases draw from another."""
    folder = tmp_path_factory.mktemp("set") / "golden"
    return small_golden.write(folder, *CASES, NORMAL)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elsewhere") / "recording"
    with jax.threefry_partitionable(False):
        return small_golden.write(folder, *CASES, is_recording=True)


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Return what judging comes to from now on, by case."""
    verdicts: dict[str, list[str]] = {}

    def counting(observation: Observation, **rules: Any) -> CaseResult:
        result = verdict.judge(observation, **rules)
        assert result.drift
        told = f"{result.status} {result.drift.drift_class}"
        verdicts.setdefault(observation.case.id, []).append(told)
        return result

    monkeypatch.setattr(bench, "judge", counting)
    return verdicts


def words(golden: Path, tmp_path: Path) -> list[str]:
    return ["--golden", str(golden), "--reports", str(tmp_path / "reports")]


def test_a_run_judges_a_case_once(
    golden: Path, tmp_path: Path, judged: dict[str, list[str]]
) -> None:
    with jax.threefry_partitionable(False):
        code = main(["run", *CASES, "--in-process", *words(golden, tmp_path)])

    assert code == 1
    assert judged == ONE_VERDICT_EACH


def test_a_recorded_case_is_judged_once(
    golden: Path, recording: Path, tmp_path: Path, judged: dict[str, list[str]]
) -> None:
    code = main(["run", "--recording", str(recording), *words(golden, tmp_path)])

    assert code == 1
    assert judged == ONE_VERDICT_EACH


def test_a_merge_judges_a_recorded_case_once(
    golden: Path, recording: Path, judged: dict[str, list[str]]
) -> None:
    code = main(["merge", str(recording), "--golden", str(golden)])

    assert code == 1
    assert judged == ONE_VERDICT_EACH


def test_pytest_judges_a_case_once(
    golden: Path,
    tmp_path: Path,
    pytester: pytest.Pytester,
    judged: dict[str, list[str]],
) -> None:
    names = "uniform,zeros,lecun_normal,orthogonal"
    selection = ("--initializer", names, "--tier", "full", "--shape", "64,64x32", "--seed", "0")
    only = ("-k", " or ".join(CASES), "--dtype", "float32,bfloat16", "--transform", "eager")
    with jax.threefry_partitionable(False):
        pytester.runpytest_inprocess(
            *("--pyargs", "conformance.suite.test_initializers", "-n0"),
            *(*selection, *only, *words(golden, tmp_path)),
        )

    assert judged == ONE_VERDICT_EACH


def test_a_case_that_did_not_drift_changes_folder_twelve_times_on_its_way_to_the_row(
    golden: Path,
) -> None:
    """Two of them go to the initializer's builder, two to the oracle; `core` is everywhere."""
    asked = Selection(backends=(), cases=(NORMAL,))
    session = Session(Options(asked=asked, golden=golden), "a-run").prepared()
    (case,) = session.cases
    session.evaluate(case)  # what is opened once has been

    way = folders(lambda: session.evaluate(case))

    assert len(way) - 1 <= 12, way


def folders(work: Callable[[], object]) -> list[str]:
    """Return the folders of the package that the work passes in turn, returns counted."""
    root = Path(conformance.__path__[0])
    calls: list[str] = []
    passed: list[str] = []

    def note(frame: types.FrameType, event: str, _: object) -> None:
        file = Path(frame.f_code.co_filename)
        if event not in {"call", "return"} or not file.is_relative_to(root):
            return
        if event == "call":
            calls.append(file.relative_to(root).parts[0])
        elif calls:
            calls.pop()
        passed.extend(calls[-1:])

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return [folder for folder, _ in itertools.groupby(f for f in passed if f != "core")]
