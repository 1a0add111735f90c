"""The script that visits a device: what it says, and how it ends."""

from __future__ import annotations

import sys
from pathlib import Path

import on_a_gpu
import pytest

from conformance.observe.journal import read_journal
from conformance.predict.visit import MARGIN_S
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


def test_a_visit_that_is_whole_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("conformance.predict.visit.load_catalogue", few)

    assert visited(monkeypatch, str(tmp_path), "--backend", "cpu", "--topic", "quick") == 0
    head, *_, last = capsys.readouterr().out.splitlines()
    assert head.startswith("cpu, jax ")
    assert last == "all is answered"
    assert len(read_journal(tmp_path / "quick.journal")[1]) == 9
