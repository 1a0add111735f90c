"""Accepted fingerprints: what changed is named, by whose doing, and broken files are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.core import versions
from conformance.core.errors import ProgramError
from conformance.store import documents
from conformance.store.accepted import Accepted, changes, explain, load, save

PROGRAMS = {"cpu": "aa", "cuda": "bb"}
ACCEPTED = Accepted(versions="jax 9", reason="because", lines={"normal float32": PROGRAMS})
COMMAND = "`conformance lowering --accept`"


def test_fields_that_changed_alike_are_named_together() -> None:
    found = {"normal float32": {"cpu": "raises X", "cuda": "raises X", "tpu": "raises X"}}
    accepted = {"normal float32": {"cpu": "aa", "cuda": "aa", "tpu": "bb"}}

    one, two = changes(accepted, found)

    assert str(one) == "normal float32 (cpu, cuda): aa -> raises X"
    assert str(two) == "normal float32 (tpu): bb -> raises X"


def test_a_field_that_comes_or_goes_is_a_change() -> None:
    found = changes(ACCEPTED.lines, {"normal float32": {"cpu": "aa", "tpu": "cc"}})

    assert list(map(str, found)) == [
        "normal float32 (cuda): bb -> none",
        "normal float32 (tpu): none -> cc",
    ]


def test_what_was_never_accepted_is_a_change() -> None:
    (change,) = changes(ACCEPTED.lines, {"uniform float32": PROGRAMS})

    assert str(change) == "uniform float32 (cpu, cuda): none is accepted"


def test_what_was_not_asked_for_is_no_change() -> None:
    assert changes(ACCEPTED.lines, {}) == []


CHANGED = changes(ACCEPTED.lines, {"normal float32": {"cpu": "ff", "cuda": "bb"}})


def test_a_change_under_the_same_version_says_how_to_accept_it() -> None:
    text = explain(ACCEPTED, CHANGED, "jax 9", COMMAND)

    assert "under jax 9, these programs are other ones than were accepted" in text
    assert "normal float32 (cpu): aa -> ff" in text
    assert f"right: {COMMAND}" in text


def test_a_change_under_another_version_is_that_versions() -> None:
    text = explain(ACCEPTED, CHANGED, "jax 10", COMMAND)

    assert text.startswith("jax 10 makes other programs than jax 9, whose are accepted:")
    assert COMMAND not in text


def test_no_change_needs_no_words() -> None:
    assert explain(ACCEPTED, [], "jax 9", COMMAND) == ""


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    save(tmp_path / "golden" / "lowering.json", ACCEPTED)

    assert load(tmp_path / "golden" / "lowering.json", COMMAND) == ACCEPTED


def test_one_change_is_one_line_of_a_diff(tmp_path: Path) -> None:
    files = []
    for value in ("aa", "bb"):
        lines = {"z": {"cpu": value}, "a": {"cpu": "cc"}}
        save(tmp_path / value, Accepted(versions="jax 9", reason="because", lines=lines))
        files.append((tmp_path / value).read_text().splitlines())

    differing = [one for one, two in zip(*files, strict=True) if one != two]
    assert differing == ['"z": {"cpu": "aa"}']


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "does not exist: accept programs with `conformance lowering --accept`"),
        ("{", "cannot be read .JSONDecodeError.*: restore it from version control"),
        ("[]", r"cannot be read \(\[\] is not an object of the format `accepted programs`"),
        ('{"schema": 1}', "the field 'versions' is missing.*, or write it anew with `conf"),
        (
            '{"schema": 1, "versions": "", "reason": "", "fingerprints": 3}',
            "fingerprints: 3 is not",
        ),
        ('{"schema": 99}', "has version 99 of the format `accepted programs`, .*: update this"),
    ],
)
def test_broken_fingerprints_are_refused_by_name(
    tmp_path: Path, text: str | None, message: str
) -> None:
    path = tmp_path / "lowering.json"
    if text is not None:
        path.write_text(text)

    with pytest.raises(ProgramError, match=message) as caught:
        load(path, COMMAND)

    assert str(path) in str(caught.value)


def test_a_file_that_cannot_be_written_whole_keeps_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "lowering.json"
    save(path, ACCEPTED)

    with pytest.raises(ValueError, match="not JSON compliant"):
        documents.write(path, versions.PROGRAMS, {}, "lines", {"a": {"x": float("nan")}})

    assert load(path, COMMAND) == ACCEPTED
