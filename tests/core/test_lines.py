"""Lines with a checksum each: what was altered is seen, wherever it was."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from conformance.core.errors import Malformed
from conformance.core.lines import SEAL, append, is_sealed, opened, sealed, whole_lines

TEXT = json.dumps({"schema": 2, "digest": "abc", "at": [1.5, 2]})


def test_a_sealed_line_is_json_and_opens_as_it_was() -> None:
    line = sealed(TEXT)

    assert opened(line) == TEXT
    assert json.loads(line) == {**json.loads(TEXT), SEAL: json.loads(line)[SEAL]}
    assert (is_sealed(line), is_sealed(TEXT)) == (True, False)


def test_a_line_without_a_checksum_is_as_it_is() -> None:
    assert opened(TEXT) == TEXT


@pytest.mark.parametrize("place", range(len(TEXT) - 1))
def test_each_character_counts(place: int) -> None:
    line = sealed(TEXT)
    altered = f"{line[:place]}{chr(ord(line[place]) ^ 1)}{line[place + 1 :]}"

    with pytest.raises(Malformed, match=r"its checksum is [0-9a-f]{8}, and was [0-9a-f]{8} when"):
        opened(altered)


def test_lines_are_numbered_and_one_that_was_cut_short_is_none(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes("a\u2028b\n\nc".encode())

    assert list(whole_lines(path)) == [(1, "a\u2028b".encode()), (2, b"")]


def test_a_line_is_added_whole_where_the_system_takes_parts_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, write = tmp_path / "lines", os.write
    path.write_bytes(b"before\n")
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:2]))

    append(path, "after \u00e9")

    assert path.read_text(encoding="utf-8") == "before\nafter \u00e9\n"


def test_a_line_that_a_disk_does_not_take_is_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[int] = []
    close = os.close

    def refuse(descriptor: int, data: bytes) -> int:
        del descriptor, data
        raise OSError(errno.ENOSPC, "full")

    def noted(descriptor: int) -> None:
        closed.append(descriptor)
        close(descriptor)

    monkeypatch.setattr(os, "write", refuse)
    monkeypatch.setattr(os, "close", noted)

    with pytest.raises(OSError, match="full"):
        append(tmp_path / "lines", "text")

    assert len(closed) == 1
    assert [*whole_lines(tmp_path / "lines")] == []
