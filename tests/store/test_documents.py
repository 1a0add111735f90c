"""A document is written whole or not at all, with its version."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from conformance.core.versions import Format
from conformance.store import documents

LINES = {"b": {"y": 2, "x": 1.5}, "a": {"x": None}, "a b": {"z": [1, "ä"]}}


FORM = Format(name="lines", newest=7)


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


# --- Writing --------------------------------------------------------------------------------------


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "lines.json"

    documents.write(path, FORM, {"why": "test"}, "lines", LINES)

    assert read(path) == {"schema": 7, "why": "test", "lines": LINES}


def test_each_line_of_the_file_is_one_line_of_the_document_in_order(tmp_path: Path) -> None:
    path = tmp_path / "lines.json"

    documents.write(path, FORM, {"why": "test"}, "lines", LINES)

    assert path.read_bytes().decode("ascii").split("\n") == [
        '{"schema": 7, "why": "test", "lines": {',
        '"a": {"x": null},',
        '"a b": {"z": [1, "\\u00e4"]},',
        '"b": {"x": 1.5, "y": 2}',
        "}}",
        "",
    ]


def test_a_document_without_lines_is_one(tmp_path: Path) -> None:
    documents.write(tmp_path / "lines.json", FORM, {}, "lines", {})

    assert read(tmp_path / "lines.json") == {"schema": 7, "lines": {}}


def test_folders_are_made_on_the_way(tmp_path: Path) -> None:
    path = tmp_path / "one" / "two" / "lines.json"

    documents.write(path, FORM, {}, "lines", LINES)
    documents.write(path, FORM, {}, "lines", {})

    assert read(path)["lines"] == {}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["head", "lines"])
def test_what_is_no_number_is_refused_and_the_old_file_stays(
    where: str, value: float, tmp_path: Path
) -> None:
    path = tmp_path / "lines.json"
    documents.write(path, FORM, {}, "lines", LINES)
    before = path.read_bytes()
    head, lines = ({"x": value}, {}) if where == "head" else ({}, {"a": {"x": value}})

    with pytest.raises(ValueError, match="not JSON compliant"):
        documents.write(path, FORM, head, "lines", lines)

    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["lines.json"]


def test_only_a_whole_file_takes_the_place_of_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between writing and renaming: the old document is there, and all of it."""
    path = tmp_path / "lines.json"
    documents.write(path, FORM, {}, "lines", LINES)
    before = path.read_bytes()
    seen: dict[str, bytes] = {}

    def killed(self: Path, target: Path) -> None:
        seen["new"], seen["old"] = self.read_bytes(), Path(target).read_bytes()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            documents.write(path, FORM, {}, "lines", {"c": {}})

    assert path.read_bytes() == seen["old"] == before
    assert json.loads(seen["new"]) == {"schema": 7, "lines": {"c": {}}}


def test_a_disk_that_is_full_leaves_the_old_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lines.json"
    documents.write(path, FORM, {}, "lines", LINES)
    before = path.read_bytes()
    write_bytes = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        write_bytes(self, data[:10])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space left"):
            documents.write(path, FORM, {}, "lines", {"c": {}})

    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["lines.json"]
