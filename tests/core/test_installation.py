"""What a hint tells people to type works for how this was installed."""

from __future__ import annotations

import importlib.metadata
import json
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
