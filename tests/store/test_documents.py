"""A document is written whole or not at all, and read only as what this version knows."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from conformance.core.errors import GoldenError
from conformance.core.records import SCHEMA
from conformance.store import documents

LINES = {"b": {"y": 2, "x": 1.5}, "a": {"x": None}, "a b": {"z": [1, "ä"]}}


def read(path: Path) -> dict[str, Any]:
    return documents.read(path, dict, "write it again", GoldenError)


def taken_amiss(error: Exception) -> Any:
    def parse(_: Mapping[str, Any]) -> None:
        raise error

    return parse


# --- Writing --------------------------------------------------------------------------------------


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "lines.json"

    documents.write(path, {"why": "test"}, "lines", LINES)

    assert read(path) == {"schema": SCHEMA, "why": "test", "lines": LINES}


def test_each_line_of_the_file_is_one_line_of_the_document_in_order(tmp_path: Path) -> None:
    path = tmp_path / "lines.json"

    documents.write(path, {"why": "test"}, "lines", LINES)

    assert path.read_bytes().decode("ascii").split("\n") == [
        '{"schema": 1, "why": "test", "lines": {',
        '"a": {"x": null},',
        '"a b": {"z": [1, "\\u00e4"]},',
        '"b": {"x": 1.5, "y": 2}',
        "}}",
        "",
    ]


def test_a_document_without_lines_is_one(tmp_path: Path) -> None:
    documents.write(tmp_path / "lines.json", {}, "lines", {})

    assert read(tmp_path / "lines.json") == {"schema": SCHEMA, "lines": {}}


def test_folders_are_made_on_the_way(tmp_path: Path) -> None:
    path = tmp_path / "one" / "two" / "lines.json"

    documents.write(path, {}, "lines", LINES)
    documents.write(path, {}, "lines", {})

    assert read(path)["lines"] == {}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["head", "lines"])
def test_what_is_no_number_is_refused_and_the_old_file_stays(
    where: str, value: float, tmp_path: Path
) -> None:
    path = tmp_path / "lines.json"
    documents.write(path, {}, "lines", LINES)
    before = path.read_bytes()
    head, lines = ({"x": value}, {}) if where == "head" else ({}, {"a": {"x": value}})

    with pytest.raises(ValueError, match="not JSON compliant"):
        documents.write(path, head, "lines", lines)

    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["lines.json"]


def test_only_a_whole_file_takes_the_place_of_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between writing and renaming: the old document is there, and all of it."""
    path = tmp_path / "lines.json"
    documents.write(path, {}, "lines", LINES)
    before = path.read_bytes()
    seen: dict[str, bytes] = {}

    def killed(self: Path, target: Path) -> None:
        seen["new"], seen["old"] = self.read_bytes(), Path(target).read_bytes()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            documents.write(path, {}, "lines", {"c": {}})

    assert path.read_bytes() == seen["old"] == before
    assert json.loads(seen["new"]) == {"schema": SCHEMA, "lines": {"c": {}}}


def test_a_disk_that_is_full_leaves_the_old_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lines.json"
    documents.write(path, {}, "lines", LINES)
    before = path.read_bytes()
    write_bytes = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        write_bytes(self, data[:10])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space left"):
            documents.write(path, {}, "lines", {"c": {}})

    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["lines.json"]


# --- Reading --------------------------------------------------------------------------------------


def written(folder: Path, schema: Any) -> Path:
    path = folder / "lines.json"
    path.write_text(json.dumps({"schema": schema}), encoding="utf-8")
    return path


def test_an_older_schema_and_this_one_are_read(tmp_path: Path) -> None:
    for schema in (SCHEMA - 1, SCHEMA):
        assert read(written(tmp_path, schema)) == {"schema": schema}


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, SCHEMA + 1)

    with pytest.raises(GoldenError) as caught:
        read(path)

    assert str(caught.value) == (
        f"{path} has schema {SCHEMA + 1}, and this version reads up to {SCHEMA}: "
        "update this package"
    )


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "JSONDecodeError: "),
        ("{}", "KeyError: 'schema'"),
        ("[]", "TypeError: "),
        ('{"schema": "1"}', "TypeError: "),
        ("\udcff", "UnicodeDecodeError: "),
    ],
)
def test_what_is_no_document_is_refused_with_the_way_out(
    text: str, named: str, tmp_path: Path
) -> None:
    path = tmp_path / "lines.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))

    with pytest.raises(GoldenError) as caught:
        read(path)

    assert str(caught.value).startswith(f"{path} cannot be read ({named}")
    assert str(caught.value).endswith("): restore it from version control, or write it again")
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    "error",
    [AttributeError("a"), KeyError("a"), TypeError("a"), ValueError("a"), OSError("a")],
    ids=lambda error: type(error).__name__,
)
def test_what_cannot_be_parsed_is_refused(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(GoldenError, match=f"cannot be read .{type(error).__name__}"):
        documents.read(written(tmp_path, SCHEMA), taken_amiss(error), "write it again", GoldenError)


def test_a_fault_of_the_program_is_no_fault_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        documents.read(written(tmp_path, SCHEMA), taken_amiss(ZeroDivisionError()), "", GoldenError)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GoldenError, match=r"cannot be read \(FileNotFoundError"):
        read(tmp_path / "lines.json")
