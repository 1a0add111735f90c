"""A run in a hurry has the same bits, says so wherever it is told, and stands for no verdict."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.cli import main
from conformance.core.errors import SelectionError
from conformance.core.records import Environment
from conformance.core.settings import optimization_level
from conformance.curate.stage import stage
from conformance.merge import hurried
from conformance.observe import jax_compat
from conformance.observe.process import optimize_less
from conformance.observe.programs import folder_for
from conformance.report.frames import read_run
from conformance.store.read import open_store
from tests import ROOT, small_golden
from tests.merge.test_merge import CPU, fact

FLAG = "--xla_backend_optimization_level"
HOOKS = ROOT / ".pre-commit-hooks.yaml"
ZEROS = "zeros-float32-64-s0-cpu-eager"


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run in a process of its own: the flags of this one are read already."""
    command = [sys.executable, "-m", "conformance", "run", *words, "--reports", str(folder)]
    variables = {name: text for name, text in os.environ.items() if name != "XLA_FLAGS"}
    return subprocess.run(command, env=variables, check=False, capture_output=True, text=True)  # noqa: S603  # ours


def environment(flags: str) -> Environment:
    return Environment(packages={}, config={"XLA_FLAGS": flags}, host={}, devices={})


# --- The bits ------------------------------------------------------------------------------------
def test_the_quick_tier_has_the_same_bits_and_says_that_it_was_in_a_hurry(tmp_path: Path) -> None:
    """Those of the goldens, or on another CPU or LAPACK those that a usual run has here."""
    (entry,) = re.findall("^  entry: conformance run (.*)$", HOOKS.read_text(), re.MULTILINE)

    hurried = run(tmp_path / "fast", *entry.split())
    assert hurried.returncode == 0, hurried.stdout
    fast = read_run(*(tmp_path / "fast").iterdir()).set_index("case")
    others = [*fast.index[fast["drift_class"] != "identical"], ZEROS]
    usual = run(tmp_path / "usual", *others)
    assert usual.returncode == 0, usual.stdout
    slow = read_run(*(tmp_path / "usual").iterdir()).set_index("case")

    assert "\nPASSED (fast, XLA at level 1, not a verdict): 171 cases, " in hurried.stdout
    assert f"note: XLA_FLAGS={FLAG}=1: compiler flags may change rounding" in hurried.stdout
    assert f"\nPASSED: {len(slow)} case" in usual.stdout
    assert fast["outcome"][slow.index].equals(slow["outcome"])
    assert fast["flags"].str.contains(f"XLA_FLAGS={FLAG}=1", regex=False).all()
    assert fast["rerun"].str.contains(f"XLA_FLAGS={FLAG}=1 conformance run ", regex=False).all()
    assert not slow["flags"].str.contains(FLAG).any()


def test_programs_of_a_hurry_are_kept_apart() -> None:
    assert folder_for(environment(f"{FLAG}=1")) != folder_for(environment(""))


# --- The flag ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("", f"{FLAG}=1"),
        ("--xla_cpu_max_isa=AVX", f"--xla_cpu_max_isa=AVX {FLAG}=1"),
        (f"{FLAG}=2", f"{FLAG}=2"),
    ],
)
def test_a_level_that_was_asked_for_stays(
    flags: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jax_compat, "has_started", lambda: False)
    variables = {"XLA_FLAGS": flags} if flags else {}

    optimize_less(variables)

    assert variables["XLA_FLAGS"] == expected


def test_a_hurry_comes_before_the_first_draw_of_a_process() -> None:
    """Whoever runs these tests has started JAX."""
    variables: dict[str, str] = {}

    with pytest.raises(SelectionError, match="--fast must come before the first draw of a process"):
        optimize_less(variables)

    assert variables == {}


def test_the_last_level_counts() -> None:
    assert optimization_level(environment(f"{FLAG}=0 --xla_x=1 {FLAG}=1")) == "1"
    assert optimization_level(environment("--xla_cpu_max_isa=AVX")) == ""


# --- Where no hurry may come in ------------------------------------------------------------------
@pytest.mark.parametrize(
    "words",
    [
        ["record", ZEROS, "--out", "recordings"],
        ["gate", "--from", "0.11.2", "--to", "latest"],
        ["goldens", "stage", "--initializer", "zeros", "--reason", "new"],
    ],
)
def test_what_others_rest_on_takes_no_hurry(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main([*words, "--fast"])

    assert exit_info.value.code == 4
    assert "option '--fast' is unknown" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["gate", "--from", "0.11.2", "--to", "latest"], "a gate must rest on programs"),
        (["goldens", "stage", "--initializer", "z*", "--reason", "new"], "goldens must rest on"),
    ],
)
def test_what_others_rest_on_is_refused_under_such_a_flag(
    words: list[str],
    what: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XLA_FLAGS", f"{FLAG}=1")

    assert main(words) == 4
    assert f"XLA_FLAGS has {FLAG}=1, and {what}" in capsys.readouterr().err


def test_a_recording_of_a_hurry_becomes_no_golden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden = small_golden.write(tmp_path / "golden", ZEROS)
    monkeypatch.setenv("XLA_FLAGS", f"{os.environ['XLA_FLAGS']} {FLAG}=1")
    recording = open_store(small_golden.write(tmp_path / "recording", ZEROS, is_recording=True))

    with pytest.raises(SelectionError, match="goldens must rest on programs as users compile them"):
        stage(golden, recording, scope="all", reason="new", overlay="")


def test_no_merge_rests_on_a_hurry() -> None:
    hasty = dataclasses.replace(CPU, flags=f"XLA_FLAGS={FLAG}=1")

    assert hurried([fact(CPU), fact(hasty, root="b"), fact(hasty, root="a")]) == (
        f"a, b: compiled with {FLAG}, on which no verdict rests: run or record it again without, "
        "and without --fast"
    )
    assert hurried([fact(CPU)]) == ""


@pytest.mark.parametrize("words", [["--recording", "recordings"], ["--fleet", "auto"]])
def test_a_hurry_is_for_cases_that_are_run_here(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", ZEROS, "--fast", *words]) == 4
    assert "--fast is for cases that are run here" in capsys.readouterr().err


def test_pytest_takes_it_too(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "--pyargs", "conformance.suite.test_initializers"]
    command += ["--fast", "--initializer", "zeros", "--dtype", "float32", "--shape", "64"]
    command += ["--tier", "quick", "--backend", "cpu", "-p", "no:cacheprovider"]
    variables = {name: text for name, text in os.environ.items() if name != "XLA_FLAGS"}

    done = subprocess.run(  # noqa: S603  # ours
        command, cwd=tmp_path, env=variables, check=False, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout
    assert "PASSED (fast, XLA at level 1, not a verdict): 1 case, 1 identical" in done.stdout
    assert f"note: XLA_FLAGS={FLAG}=1" in done.stdout
