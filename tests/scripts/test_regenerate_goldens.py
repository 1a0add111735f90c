"""The script stages into the set of its own checkout, and says so."""

from __future__ import annotations

from pathlib import Path

import pytest
import regenerate_goldens

from conformance.core import paths
from tests import ROOT

UNKNOWN = ["--initializer", "no_such_one", "--reason", "none"]
"""Refused once the set is known, so that nothing is staged."""


@pytest.fixture(autouse=True)
def installed_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the shipped set be another one, as where the wheel is installed."""
    monkeypatch.setattr(paths, "PACKAGED", tmp_path)


def test_the_set_beside_the_script_is_the_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert regenerate_goldens.regenerate(UNKNOWN) == 4

    assert f"golden set: {ROOT / 'golden'}\n" in capsys.readouterr().err


def test_another_set_may_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert regenerate_goldens.regenerate([*UNKNOWN, "--golden", str(tmp_path / "mine")]) == 4

    assert f"golden set: {tmp_path / 'mine'}\n" in capsys.readouterr().err
