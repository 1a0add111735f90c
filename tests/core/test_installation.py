"""What a hint tells people to type works for how this was installed."""

from __future__ import annotations

import functools
import importlib.metadata
import json
from importlib.metadata import EntryPoints
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conformance.core import installation
from conformance.core.installation import extra_command
from tests import ROOT


def test_of_a_checkout_its_folder_is_told() -> None:
    assert extra_command("judge") == f"pip install -e '{ROOT}[judge]'"


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (None, "'initializer-conformance[judge]'"),
        ({"url": "file:///a%20b/src", "dir_info": {}}, "'/a b/src[judge]'"),
        (
            {"url": "file:///w/x.whl", "archive_info": {}},
            "'initializer-conformance[judge] @ file:///w/x.whl'",
        ),
        (
            {"url": "https://h/r", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "'initializer-conformance[judge] @ git+https://h/r@abc'",
        ),
    ],
    ids=["index", "folder", "wheel", "repository"],
)
def test_what_was_installed_is_installed_again_with_the_extra(
    origin: Any, expected: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = None if origin is None else json.dumps(origin)
    found = SimpleNamespace(read_text=lambda _: text)
    monkeypatch.setattr(installation, "PACKAGE", tmp_path / "conformance")
    monkeypatch.setattr(importlib.metadata, "distribution", lambda _: found)

    assert extra_command("judge") == f"pip install {expected}"


def test_of_files_that_nobody_installed_the_name_is_all_there_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def absent(name: str) -> Any:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(installation, "PACKAGE", tmp_path / "conformance")
    monkeypatch.setattr(importlib.metadata, "distribution", absent)

    assert extra_command("judge") == "pip install 'initializer-conformance[judge]'"


def test_what_a_longer_path_brings_is_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Entry points are looked up once for each sys.path, not once and for all."""
    before = installation.entry_points("acme")
    metadata = tmp_path / "acme-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[acme]\nx = json:loads\n[other]\ny = json:dumps\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    found = installation.entry_points("acme")

    assert not before
    assert [(each.name, each.load()) for each in found] == [("x", json.loads)]


def test_of_all_groups_files_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    known = importlib.metadata.entry_points

    def counting() -> EntryPoints:
        nonlocal calls
        calls += 1
        return known()

    anew = functools.cache(installation._entry_points.__wrapped__)
    monkeypatch.setattr(installation, "_entry_points", anew)
    monkeypatch.setattr(importlib.metadata, "entry_points", counting)

    for group in ("one", "two", "one"):
        installation.entry_points(group)

    assert calls == 1
