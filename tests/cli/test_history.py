"""When each case last changed class, over runs written as the harness writes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conformance.cli import main
from conformance.core.arrays import returned
from conformance.core.ids import parse_case
from conformance.core.records import (
    CaseResult,
    Drift,
    DriftClass,
    Environment,
    Observation,
    Outcome,
    Raised,
    Status,
)
from conformance.judge.verdict import unjudged
from conformance.report.rows import Place, row, to_json
from conformance.report.run import ROWS

History = Callable[[Path], dict[str, Any]]

NORMAL, ZEROS = "normal-float32-64-s0-cpu-eager", "zeros-float32-64-s0-cpu-eager"


def write_run(
    reports: Path,
    run_id: str,
    jax: str,
    classes: dict[str, DriftClass | None],
    outcome: Outcome | None = None,
    config: dict[str, str] | None = None,
    host: dict[str, str] | None = None,
    device: str = "cpu",
) -> None:
    """Write the rows of a run, as one that was killed leaves them."""
    environment = Environment(
        packages={"jax": jax}, config=config or {}, host=host or {}, devices={}
    )
    lines = []
    for case, drift_class in classes.items():
        observation = Observation(
            case=parse_case(case),
            outcome=outcome or returned(np.zeros(64, np.float32)),
            repeat_sha256=None,
            device=device,
            elapsed_s=0.0,
        )
        result = CaseResult(
            observation=observation,
            status=Status.PASSED,
            checks=(),
            drift=Drift(drift_class=drift_class) if drift_class else None,
        )
        if outcome is not None:
            result = unjudged(observation)
        place = Place(environment=environment, backend=observation.case.backend)
        lines.append(to_json(row(result, place, run_id=run_id, rerun="")))
    (reports / run_id).mkdir(parents=True)
    (reports / run_id / ROWS).write_text("".join(f"{line}\n" for line in lines))


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """Return a folder of four runs in which one case changed twice, and another never."""
    folder = tmp_path / "reports"
    same, near, other = DriftClass.IDENTICAL, DriftClass.ROUNDING, DriftClass.STREAM
    for run_id, jax, drift_class in (
        ("r1", "1.0", same),
        ("r2", "2.0", near),
        ("r3", "3.0", other),
        ("r4", "3.0", other),
    ):
        write_run(folder, run_id, jax, {NORMAL: drift_class, ZEROS: same})
    return folder


@pytest.fixture
def history(capsys: pytest.CaptureFixture[str]) -> History:
    """Return what reads the history of a folder, as `conformance history --json` tells it."""

    def told(folder: Path) -> dict[str, Any]:
        assert main(["history", str(folder), "--json", "-"]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return told


def test_only_the_last_change_of_a_case_is_told(reports: Path, history: History) -> None:
    found = history(reports)

    (change,) = found["changes"]
    told = {
        "backend": "cpu",
        "case": NORMAL,
        "run_id": "r3",
        "class_before": "rounding",
        "class_after": "stream",
        "jax_before": "2.0",
        "jax_after": "3.0",
    }
    assert told.items() <= change.items()
    assert (found["n_runs"], found["n_steady"]) == (4, 1)


def test_each_backend_has_a_history_of_its_own(reports: Path, history: History) -> None:
    on_tpu = NORMAL.replace("-cpu-", "-tpu-")
    for run_id, drift_class in (("r5", DriftClass.LAW), ("r6", DriftClass.IDENTICAL)):
        write_run(reports, run_id, "3.0", {on_tpu: drift_class})

    changes = history(reports)["changes"]

    assert [(change["backend"], change["run_id"]) for change in changes] == [
        ("tpu", "r6"),
        ("cpu", "r3"),
    ]


def test_a_first_golden_is_a_change(tmp_path: Path, history: History) -> None:
    write_run(tmp_path, "r1", "1.0", {NORMAL: None})
    write_run(tmp_path, "r2", "1.0", {NORMAL: DriftClass.IDENTICAL})

    (change,) = history(tmp_path)["changes"]

    assert (change["class_before"], change["class_after"]) == ("no golden", "identical")


def test_the_command_prints_the_changes(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["history", str(reports)])

    out = capsys.readouterr().out
    assert code == 0
    assert "4 runs; of the same class in all of them: 1 case" in out
    assert f"r3:\n  jax 2.0 -> 3.0\n    {NORMAL} on cpu: rounding -> stream\n" in out


def test_runs_that_lack_results_are_named(
    reports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of these tests were all killed; one more came to its end, and lacks a case."""
    write_run(reports, "r5", "3.0", {ZEROS: DriftClass.IDENTICAL})
    (reports / "r5" / "missing.json").write_text(json.dumps({"its worker died": [NORMAL]}))

    main(["history", str(reports)])

    told = capsys.readouterr().err.splitlines()
    assert f"unfinished: {reports}/r1: the run did not finish; read: 2 rows" in told
    assert f"unfinished: {reports}/r5: no result from {NORMAL}: its worker died" in told


def test_a_case_that_the_machine_failed_is_no_change(reports: Path, history: History) -> None:
    lost = Raised(exception="JaxRuntimeError", message="RESOURCE_EXHAUSTED: no memory")
    write_run(reports, "r5", "3.0", {NORMAL: None}, outcome=lost)

    assert [change["run_id"] for change in history(reports)["changes"]] == ["r3"]


def test_a_folder_without_runs_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["history", str(tmp_path)])

    assert code == 3
    assert "holds no run" in capsys.readouterr().err


def test_the_fact_that_changed_is_told_and_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path, "r1", "1.0", {NORMAL: DriftClass.IDENTICAL})
    flags = {"jax_threefry_partitionable": "False"}
    write_run(tmp_path, "r2", "1.0", {NORMAL: DriftClass.STREAM}, config=flags)

    assert main(["history", str(tmp_path)]) == 0

    told = capsys.readouterr().out
    change = f"    {NORMAL} on cpu: identical -> stream\n"
    assert f"  flags none -> jax_threefry_partitionable=False\n{change}" in told


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"host": {"lapack_kernel": "Katmai"}}, "lapack_kernel Haswell -> Katmai"),
        ({"device": "TPU v5e"}, "device cpu -> TPU v5e"),
    ],
)
def test_another_lapack_or_device_is_told(
    changed: dict[str, Any], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before: dict[str, Any] = {"host": {"lapack_kernel": "Haswell"}}
    write_run(tmp_path, "r1", "1.0", {NORMAL: DriftClass.IDENTICAL}, **before)
    write_run(tmp_path, "r2", "1.0", {NORMAL: DriftClass.ROUNDING}, **{**before, **changed})

    assert main(["history", str(tmp_path)]) == 0

    change = f"    {NORMAL} on cpu: identical -> rounding\n"
    assert f"r2:\n  {told}\n{change}" in capsys.readouterr().out


def test_cases_that_share_what_changed_stand_under_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = [NORMAL, ZEROS]
    write_run(tmp_path, "r1", "1.0", dict.fromkeys(both, DriftClass.IDENTICAL))
    write_run(tmp_path, "r2", "2.0", dict.fromkeys(both, DriftClass.STREAM))

    assert main(["history", str(tmp_path)]) == 0

    _, run, facts, *cases = capsys.readouterr().out.splitlines()
    assert (run, facts) == ("r2:", "  jax 1.0 -> 2.0")
    assert cases == [f"    {case} on cpu: identical -> stream" for case in both]


def test_a_change_without_a_reason_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path, "r1", "1.0", {NORMAL: DriftClass.IDENTICAL})
    write_run(tmp_path, "r2", "1.0", {NORMAL: DriftClass.STREAM})

    assert main(["history", str(tmp_path)]) == 0

    told = capsys.readouterr().out
    assert f"  same environment, jax 1.0\n    {NORMAL} on cpu: identical -> stream\n" in told


def test_a_page_shows_each_run_of_what_changed(reports: Path, tmp_path: Path) -> None:
    page = tmp_path / "history.html"

    assert main(["history", str(reports), "--page", str(page)]) == 0

    text = page.read_text()
    assert "4 runs: 1 case changed class" in text
    assert text.count("stream; 0 of 1") == 2
    assert "rounding; 0 of 1" in text
    assert ZEROS not in text
