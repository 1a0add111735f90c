"""The way of a case to its row: how often it is judged, and how often it changes folder."""

from __future__ import annotations

import dataclasses
import itertools
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import pytest

import conformance
from conformance.cases import builtin, catalogue
from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import Catalogue, InitializerSpec
from conformance.cases.selection import Selection
from conformance.cli import main
from conformance.core.deadline import CASE_TIMEOUT_S
from conformance.core.errors import InitializerUnavailable
from conformance.core.ids import parse_case
from conformance.core.records import CaseResult, CheckResult, Observation, Status
from conformance.judge import bench, verdict
from conformance.observe.observer import Observer
from conformance.run.evaluate import evaluate
from conformance.run.options import Options, nothing_given, read_given
from conformance.run.session import Session
from conformance.suite.faults import FAULTS
from conformance.suite.faults.fault import Wrong, scaled
from tests import benches, small_golden

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


def test_a_case_that_did_not_drift_changes_folder_twenty_times_on_its_way_to_the_row(
    golden: Path,
) -> None:
    """Four of them go to the initializer's builder; `core` is everywhere.

    Four go to the oracle: for its answer, and for the array, which is made when it is asked for.
    Six are for the draw of another key: which, and what it is.
    """
    asked = Selection(backends=(), cases=(NORMAL,))
    session = Session(Options(asked=asked, golden=golden), "a-run").prepared()
    (case,) = session.cases
    session.evaluate(case)  # what is opened once has been

    way = folders(lambda: session.evaluate(case))

    assert len(way) - 1 <= 20, way


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


# --- Stages --------------------------------------------------------------------------------------
WITHOUT_GOLDEN = "normal-float32-65x3-s12345-cpu-eager"
"""No tier asks for it: the definition judges it alone."""


@pytest.fixture
def staged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the cases whose stages are computed from now on."""
    cases: list[str] = []
    original = Observer.with_stages

    def noting(self: Observer, observation: Observation, spec: InitializerSpec) -> Observation:
        cases.append(observation.case.id)
        return original(self, observation, spec)

    monkeypatch.setattr(Observer, "with_stages", noting)
    return cases


def test_nobody_looks_into_the_stages_of_what_is_as_defined(staged: list[str]) -> None:
    """They are programs of their own, and most cases by design have no golden."""
    result = evaluated(WITHOUT_GOLDEN)

    assert result.status is Status.PASSED
    assert result.drift is None
    assert staged == []


def test_the_first_cause_is_told_of_what_is_not_as_defined(staged: list[str]) -> None:
    with jax.threefry_partitionable(False):
        result = evaluated(WITHOUT_GOLDEN)

    (refused,) = (check for check in result.checks if check.status is Status.FAILED)
    assert "differ from the definition" in refused.message
    assert "first differing stage: bits; class: stream" in refused.message
    assert staged == [WITHOUT_GOLDEN]


def test_stages_that_cannot_be_computed_cost_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> Observation:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Observer, "with_stages", failing)
    with jax.threefry_partitionable(False):
        result = evaluated(WITHOUT_GOLDEN)

    (refused,) = (check for check in result.checks if check.status is Status.FAILED)
    assert "differ from the definition" in refused.message


# --- Other keys ----------------------------------------------------------------------------------


def evaluated(case_id: str, wrong: Wrong | None = None) -> CaseResult:
    """Return the verdict on a case, or on what a wrong initializer of the same name does."""
    case, builtin = parse_case(case_id), load_catalogue()
    spec, catalogue = builtin.lookup(case.problem.initializer), Catalogue()
    if wrong is None:
        catalogue.add(spec)
    else:
        right = spec.build()
        catalogue.add(dataclasses.replace(spec, build=lambda: lambda *asked: wrong(right, *asked)))
    return evaluate(case, benches.bench(catalogue), Observer())


def statistics_of(result: CaseResult) -> CheckResult:
    return next(check for check in result.checks if check.check == "statistics")


def test_a_key_that_is_ignored_shows_in_one_case_of_the_quick_tier() -> None:
    """Its array is right for the one seed that the tier has."""
    ignored = next(fault.wrong for fault in FAULTS if fault.name == "key_ignored")

    found = statistics_of(evaluated("he_uniform-float32-64x32-s0-cpu-eager", ignored))

    assert found.status is Status.FAILED
    assert found.message.endswith("seeds 0 and 1 return the same array: the key is ignored")


def test_rbg_is_asked_for_enough_keys_to_see_a_small_fault() -> None:
    case_id = "normal_1-float32-64x32-s1-rbg-cpu-eager"

    wrong = statistics_of(evaluated(case_id, scaled(1.05**0.5)))
    right = statistics_of(evaluated(case_id))

    assert "variance: the variance, of itself, is off by +0.0" in wrong.message
    assert right.status is Status.PASSED
    assert right.statistic
    assert right.statistic.sample_size == 128 * 64 * 32


def test_fresh_seeds_are_in_the_command_that_repeats_the_verdict() -> None:
    options = Options(fresh_seeds=20261129, asked=Selection(cases=(NORMAL,)))

    assert Session(options, "run").rerun(parse_case(NORMAL)).endswith("--fresh-seeds 20261129")


def test_fresh_seeds_that_are_no_number_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["run", NORMAL, "--fresh-seeds", "today", "--reports", str(tmp_path)])

    assert code == 4
    assert "--fresh-seeds 'today' is not a whole number of 0 or more" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("timeout_s", "expected"), [(CASE_TIMEOUT_S, NORMAL), (20.0, "--case-timeout 20")]
)
def test_a_deadline_that_was_given_is_in_the_command_that_repeats_the_verdict(
    timeout_s: float, expected: str
) -> None:
    options = Options(timeout_s=timeout_s, asked=Selection(cases=(NORMAL,)))

    assert Session(options, "run").rerun(parse_case(NORMAL)).endswith(expected)


def test_what_was_given_before_there_was_a_deadline_is_read() -> None:
    given = nothing_given()
    del given["case-timeout"]

    assert read_given(given).timeout_s == CASE_TIMEOUT_S


# --- Before the first case -----------------------------------------------------------------------


def prepared(*cases: str) -> None:
    Session(Options(asked=Selection(cases=cases)), "run").prepared()


def test_what_the_cases_are_called_from_is_imported_before_the_first_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Flax has JAX make every program anew; a run that asks nothing of it does without."""
    asked: list[str] = []
    monkeypatch.setattr(builtin, "namespace_module", asked.append)

    prepared("normal-float32-7-s0-cpu-eager", "zeros-float32-7-s0-cpu-eager")
    assert asked == [builtin.JAX]

    asked.clear()
    prepared("normal-float32-7-s0-cpu-eager", "ones_init_nnx-float32-7-s0-cpu-eager")
    assert sorted(asked) == [builtin.NNX, builtin.JAX]


def test_a_package_that_is_absent_is_for_its_cases_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(namespace: str) -> None:
        raise InitializerUnavailable(f"{namespace} is not here")

    monkeypatch.setattr(builtin, "namespace_module", absent)

    prepared("ones_init_nnx-float32-7-s0-cpu-eager")


def test_a_users_own_initializer_is_not_built_before_its_case(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catalogue, "_REGISTERED", [])

    def build() -> Any:
        raise AssertionError("built")

    conformance.register("own", build, definition=conformance.Constant(value=1.0))

    prepared("own-float32-7-s0-cpu-eager")
