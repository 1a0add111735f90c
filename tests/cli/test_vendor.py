"""A vendor's backend, goldens and budgets, none of them in this package: tests/data/acme."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.cases import backends
from conformance.cli import main
from conformance.report.frames import read_run
from tests import ROOT, small_golden

ACME = ROOT / "tests" / "data" / "acme"

NORMAL, ZEROS = (f"{name}-float32-64x32-s0-acme-eager" for name in ("normal", "zeros"))
SCOPE = ["--initializer", "normal,zeros", "--dtype", "float32", "--shape", "64x32", "--seed", "0"]
SWEEP = ["--backend", "acme", "--initializer", "normal", "--dtype", "float32"]


@pytest.fixture(scope="module", autouse=True)
def installed() -> Iterator[None]:
    """Install the vendor's distribution for this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ACME))
        backends.installed.cache_clear()
        yield
    backends.installed.cache_clear()


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory, installed: None) -> Path:
    """Return a golden set, made on the CPU."""
    del installed
    cases = (case.replace("acme", "cpu") for case in (NORMAL, ZEROS))
    return small_golden.write(tmp_path_factory.mktemp("sets") / "golden", *cases)


@pytest.fixture(scope="module")
def overlay(golden: Path) -> Path:
    """Return the vendor's overlay, made as docs/adding-a-backend.md says."""
    overlay = golden.with_name("acme")
    sets = ["--golden", str(golden), "--overlay", str(overlay)]
    assert main(["law", *SWEEP, "--transform", "eager", *sets, "--write-budgets"]) == 0
    stage = ["stage", *sets, "--backend", "acme", *SCOPE, "--reason", "an Acme rounds so"]
    assert main(["goldens", *stage]) == 0
    assert main(["goldens", "accept", *sets]) == 0
    return overlay


def run(tmp_path: Path, *words: str) -> int:
    """Return the exit code of a run of the two cases, with identical bits asked for."""
    strict = ["--max-drift", "identical", "--in-process", "--reports", str(tmp_path)]
    return main(["run", NORMAL, ZEROS, *strict, *words])


def test_list_and_doctor_see_the_backend(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--backends"]) == 0
    assert "acme\tdevice\tacme-conformance 1.0\tpip install acme" in capsys.readouterr().out

    assert main(["list", "--backend", "acme", *SCOPE, "--transform", "eager"]) == 0
    assert capsys.readouterr().out.splitlines() == [NORMAL, ZEROS]

    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "  acme: present, of acme-conformance 1.0" in out
    assert "acme.driver" in out
    assert "acme-conformance" in out


def test_a_run_without_the_overlay_has_no_budget_and_says_how_to_measure_it(
    golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "--golden", str(golden)) == 3

    out = capsys.readouterr().out
    assert "no budget is stored for the family 'normal' in float32 on acme" in out
    assert f"--backend acme --dtype float32 --golden {golden} --write-budgets`" in out


def test_a_run_with_the_overlay_is_judged_by_it(
    golden: Path, overlay: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "--golden", str(golden), "--overlay", str(overlay)) == 0

    lines = capsys.readouterr().out.splitlines()
    assert "1 judged by goldens of overlay acme/overlays/acme" in lines
    assert "1 judged by budgets of overlay acme" in lines
    (folder,) = tmp_path.iterdir()
    rows = read_run(folder).set_index("case")
    assert rows.loc[NORMAL, "golden_from"] == "acme/overlays/acme"
    assert rows.loc[NORMAL, "budget_from"] == "acme"
    assert rows["golden_from"].isna()[ZEROS]
    assert ", overlay acme " in str(rows.loc[NORMAL, "judged_by"])
    assert "driver 7.1" in str(rows.loc[NORMAL, "runtime"])


def test_a_failure_names_the_overlay_and_is_rerun_with_it(
    golden: Path, overlay: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    budgets = tmp_path / "budgets"
    budgets.mkdir()
    (budgets / "budgets.json").write_bytes((overlay / "budgets.json").read_bytes())

    assert run(tmp_path, "--golden", str(golden), "--overlay", str(budgets)) == 1

    out = capsys.readouterr().out
    assert "  judged by: budget of overlay budgets\n" in out
    assert f"rerun: conformance run {NORMAL} --golden {golden} --overlay {budgets} --max" in out


def test_a_sweep_is_judged_by_the_budgets_of_the_overlay(
    golden: Path, overlay: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = ["--golden", str(golden), "--overlay", str(overlay)]

    assert main(["law", *SWEEP, "--transform", "eager", *sets]) == 0

    assert capsys.readouterr().out.rstrip().endswith("passed")


def test_a_recording_is_merged_by_the_overlay(
    golden: Path, overlay: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "acme"
    assert main(["record", NORMAL, ZEROS, "--in-process", "--out", str(out)]) == 0
    sets = ["--golden", str(golden), "--max-drift", "identical"]
    assert main(["merge", str(out), *sets]) == 3  # without a budget there is no verdict
    capsys.readouterr()

    code = main(
        ["merge", str(out), *sets, "--overlay", str(overlay), "--json", str(tmp_path / "json")]
    )

    assert code == 0
    assert "accepted as golden of acme" in (tmp_path / "json").read_text()
    assert json.loads((tmp_path / "json").read_text())


def test_the_overlay_is_verified_beside_the_set(
    golden: Path, overlay: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["goldens", "verify", "--golden", str(golden), "--overlay", str(overlay)]) == 0

    assert f"{overlay}: all is as it was stored: 0 problems, 1 budget" in capsys.readouterr().out


def test_pytest_takes_the_overlay(golden: Path, overlay: Path, tmp_path: Path) -> None:
    words = ["--pyargs", "conformance.suite.test_initializers", "--backend", "acme", *SCOPE]
    sets = ["--golden", str(golden), "--overlay", str(overlay), "--max-drift", "identical"]
    command = [sys.executable, "-m", "pytest", "-n0", *words, *sets, "--transform", "eager"]
    paths = os.pathsep.join([str(ROOT), str(ACME)])

    done = subprocess.run(  # noqa: S603  # our own words
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "2 passed" in done.stdout, done.stdout
    assert f"conformance: overlay {overlay}" in done.stdout
