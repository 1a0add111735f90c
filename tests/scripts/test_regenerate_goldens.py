"""The script stages into the set of its own checkout, and says so."""

from __future__ import annotations

from pathlib import Path

import pytest
import regenerate_goldens

from conformance.core import paths
from tests import ROOT


@pytest.fixture(autouse=True)
def installed_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the shipped set be another one, as where the wheel is installed."""
    monkeypatch.setattr(paths, "PACKAGED", tmp_path)


def asked(monkeypatch: pytest.MonkeyPatch, *words: str) -> list[str]:
    """Return what the command is asked."""
    told: list[str] = []

    def main(given: list[str]) -> int:
        told.extend(given)
        return 0

    monkeypatch.setattr(regenerate_goldens, "main", main)
    assert regenerate_goldens.regenerate(words) == 0
    return told


def test_the_set_beside_the_script_is_the_one(monkeypatch: pytest.MonkeyPatch) -> None:
    told = asked(monkeypatch, "--dtype", "float32")

    assert told == ["goldens", "stage", "--golden", str(ROOT / "golden"), "--dtype", "float32"]


@pytest.mark.parametrize("words", [("--golden", "mine"), ("--golden=mine",)], ids=str)
def test_another_set_may_be_named(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(monkeypatch, *words) == ["goldens", "stage", *words]


def test_a_call_that_is_wrong_is_refused() -> None:
    assert regenerate_goldens.regenerate(["--initializer", "no_such_one", "--reason", "none"]) == 4
