"""The script that visits a device: what it says, and how it ends."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import iree_for_a_gpu
import numpy as np
import on_a_gpu
import pytest

from conformance.core.ids import parse_case
from conformance.observe import environment
from conformance.observe.backends import iree
from conformance.observe.journal import read_journal
from conformance.predict.visit import MARGIN_S, Tally, Visit
from tests.predict.test_visit import few


def visited(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["on_a_gpu.py", *words])
    return on_a_gpu.main()


def test_a_machine_without_the_device_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert visited(monkeypatch, str(tmp_path), "--backend", "rocm") == 3
    assert capsys.readouterr().err.startswith("on_a_gpu: backend 'rocm' was asked for and has no")


def test_a_visit_without_time_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--backend", "cpu", "--topic", "quick", "--budget", str(MARGIN_S))

    assert visited(monkeypatch, str(tmp_path), *words) == 3
    said = capsys.readouterr().out
    assert "quick: 0 of 171" in said
    assert "time is over: run it again with the same OUT" in said


@pytest.mark.parametrize("budget", ["-3", "0", "19", "nan", "inf"])
def test_a_time_in_which_nothing_can_be_asked_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    budget: str,
) -> None:
    """The system's alarm would end the visit, without a word."""
    monkeypatch.setattr(on_a_gpu, "Visit", None)

    assert visited(monkeypatch, str(tmp_path), "--backend", "cpu", "--budget", budget) == 4
    assert f"on_a_gpu: --budget {budget}: name seconds, 20 at" in capsys.readouterr().err


def test_a_file_in_the_place_of_the_folder_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").touch()

    assert visited(monkeypatch, str(tmp_path / "out"), "--backend", "cpu") == 3
    said = capsys.readouterr().err
    assert said.startswith(f"on_a_gpu: {tmp_path / 'out'} cannot be written: File exists")


def test_a_visit_that_is_whole_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("conformance.predict.visit.load_catalogue", few)

    assert visited(monkeypatch, str(tmp_path), "--backend", "cpu", "--topic", "quick") == 0
    head, *_, last = capsys.readouterr().out.splitlines()
    assert head.startswith("cpu, jax ")
    assert last == "all is answered"
    assert len(read_journal(tmp_path / "quick.journal")[1]) == 9


def test_what_cannot_be_asked_without_flax_is_named_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def nothing(self: Visit, *_: object) -> Iterator[Tally]:
        self.left_out |= {"zeros_init_nnx": "flax is not installed", "a": "flax is not installed"}
        yield from ()

    monkeypatch.setattr(Visit, "run", nothing)

    assert visited(monkeypatch, str(tmp_path), "--backend", "cpu") == 0
    assert "left out: a, zeros_init_nnx: flax is not installed" in capsys.readouterr().out


def test_a_setting_that_makes_other_programs_is_named_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is recorded under it neither confirms nor refutes, and the loan would be spent."""
    flags = {"XLA_FLAGS": "--xla_gpu_ftz=true"}
    monkeypatch.setattr(environment, "environment_variables", lambda: flags)
    words = ("--backend", "cpu", "--topic", "quick", "--budget", str(MARGIN_S))

    visited(monkeypatch, str(tmp_path), *words)

    note = "note: XLA_FLAGS=--xla_gpu_ftz=true: compiler flags may change rounding"
    assert capsys.readouterr().out.splitlines()[1] == note


# --- What IREE compiled beforehand ---------------------------------------------------------------


def test_a_folder_without_programs_is_no_folder_of_programs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])

    assert visited(monkeypatch, str(tmp_path), "--backend", "cpu", "--iree", str(tmp_path)) == 4
    assert "holds no iree-*.zip: see scripts/iree_for_a_gpu.py" in capsys.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec("iree") is None, reason="needs the extra [iree]")
def test_the_runtime_that_comes_along_is_whole_and_the_compiler_is_not_there(
    tmp_path: Path,
) -> None:
    iree_for_a_gpu.copy_runtime(tmp_path / on_a_gpu.RUNTIME)
    code = (
        "import importlib.metadata as m, iree.runtime as r\n"
        "print(r.__file__, m.version('iree-base-runtime'), r.get_driver('local-sync'))\n"
        "import iree.compiler"
    )
    needed = tmp_path / "needed"
    needed.mkdir()
    for folder in Path(np.__file__).parents[1].iterdir():
        if folder.name.startswith(("numpy", "ml_dtypes")):
            (needed / folder.name).symlink_to(folder)
    found = [str(tmp_path / "runtime"), str(needed)]

    ended = subprocess.run(  # noqa: S603  # our own words
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": os.pathsep.join(found)},
        check=False,
        capture_output=True,
        text=True,
    )

    assert ended.stdout.startswith(str(tmp_path / "runtime")), ended.stderr
    assert "No module named 'iree.compiler'" in ended.stderr


@pytest.mark.skipif(importlib.util.find_spec("iree") is None, reason="needs the extra [iree]")
def test_what_is_made_for_a_gpu_is_told_with_what_is_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = parse_case("uniform-float16-64x32-s0-iree-vulkan-eager")
    adreno = dataclasses.replace(iree.GPUS["iree-vulkan"], chip="adreno")
    monkeypatch.setitem(iree.GPUS, "iree-vulkan", adreno)
    monkeypatch.setattr(iree_for_a_gpu, "BACKENDS", ("iree-vulkan",))
    monkeypatch.setattr(iree_for_a_gpu, "select", lambda *_: [case])
    monkeypatch.setattr(sys, "argv", ["iree_for_a_gpu.py", str(tmp_path / "made")])

    assert iree_for_a_gpu.main() == 0
    said = capsys.readouterr().out
    assert f"{case.id} is left out, for IREE does not compile it: failed to legalize" in said
    assert f"{tmp_path / 'made' / 'iree-vulkan.zip'}: 0 cases, 0.0 MiB" in said
    assert iree_for_a_gpu.main() == 3
    assert "made is not empty: name a new folder" in capsys.readouterr().err
