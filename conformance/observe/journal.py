"""The journal of a recording: each observation is on the disk before the next one begins."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from conformance.core.errors import GoldenError, JournalError, Malformed
from conformance.core.files import require_new
from conformance.core.machine import machine_fault
from conformance.core.reading import parse_json, record
from conformance.core.records import Entry, Environment, Returned
from conformance.core.settings import differences
from conformance.core.versions import JOURNAL
from conformance.store.entries import entry_fields, entry_from, one_line


def journal_path(folder: Path) -> Path:
    """Return where an unfinished recording of `folder` keeps its rows."""
    return folder.with_name(f"{folder.name}.journal")


# --- The journal ---------------------------------------------------------------------------------
def header_line(ids: Iterable[str], captured: Environment) -> dict[str, Any]:
    """Return the first row of a journal: what is recorded, by the ids of it all, and where."""
    return JOURNAL.stamped(
        {
            "cases": hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest(),
            "environment": dataclasses.asdict(captured),
        }
    )


def resumable(folder: Path, journal: Journal, resume: bool) -> dict[str, Entry]:
    """Return what the journal holds already, or refuse to touch what is there."""
    require_new(folder)
    if not journal.path.exists():
        return {}
    if not resume:
        raise GoldenError(
            f"{journal.path} holds an unfinished recording: "
            "go on with it by --resume, or delete it to begin anew"
        )
    return journal.read()


class Journal:
    """Entries as JSON lines after a header that says which recording they belong to."""

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self.path = path
        self._header = header

    def read(self) -> dict[str, Entry]:
        """Return the entries, but for those that the machine failed, and drop a torn last line.

        Raises:
            GoldenError: it is the journal of other cases or of another environment, or is damaged.
        """
        os.truncate(self.path, len(_whole_lines(self.path)))
        header, entries = _contents(self.path)
        if header is not None:
            self._require_same(header)
        return entries

    def _require_same(self, was: Header) -> None:
        here = _header(self._header, self.path)
        faults = differences(was.environment, here.environment)
        if was.cases != here.cases:
            faults.append("another selection of cases")
        if faults:
            raise GoldenError(
                f"{self.path} was begun otherwise ({'; '.join(faults)}): "
                "restore that, or delete the journal to begin anew"
            )

    @contextlib.contextmanager
    def appending(self) -> Iterator[Callable[[Entry], None]]:
        """Return a function that appends an entry and hands it to the system at once.

        Raises:
            JournalError: the disk refuses.
        """
        with contextlib.ExitStack() as stack:
            with self._writing():
                self.path.parent.mkdir(parents=True, exist_ok=True)
                stream = stack.enter_context(self.path.open("a", encoding="utf-8"))
                if not stream.tell():
                    _append(stream, self._header)

            def append(entry: Entry) -> None:
                with self._writing():
                    _append(stream, _journal_row(entry))

            yield append

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise JournalError(
                f"{self.path} cannot be written: {error.strerror or error}. "
                "Free the disk or fix the permissions"
            ) from error


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Which recording a journal belongs to. cases: the digest of their ids."""

    cases: str
    environment: Environment


def read_journal(path: Path) -> tuple[Header, dict[str, Entry]]:
    """Return what a journal holds, and leave it as it is.

    Raises:
        GoldenError: there is none, nothing of it was written, or it is damaged.
    """
    try:
        header, entries = _contents(path)
    except OSError as error:
        raise GoldenError(
            f"{path} cannot be read ({error.strerror or error}): name a journal that "
            "`conformance record` left"
        ) from error
    if header is None:
        raise GoldenError(f"{path} holds nothing yet: record anew")
    return header, entries


def _contents(path: Path) -> tuple[Header | None, dict[str, Entry]]:
    """Return header and entries, but for those that the machine failed, and for a torn last line.

    Of a journal that was killed before its header was written, the header is None.
    """
    try:
        lines = [parse_json(line.decode()) for line in _whole_lines(path).splitlines()]
        header = _header(lines[0], path) if lines else None
        entries = [_journal_entry(row) for row in lines[1:]]
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        raise GoldenError(f"{path} is damaged ({error}): delete it and record anew") from error
    sound = (entry for entry in entries if not machine_fault(entry.outcome))
    return header, {entry.id: entry for entry in sound}


def _header(row: Any, path: Path) -> Header:
    return record(Header, JOURNAL.content(row, path, GoldenError))


def _whole_lines(path: Path) -> bytes:
    data = path.read_bytes()
    return data[: data.rfind(b"\n") + 1]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What a row holds besides the fields of its entry. Bits are base64."""

    id: str
    bits: str
    drawn_bits: str | None = None


def _append(stream: TextIO, row: Mapping[str, Any]) -> None:
    stream.write(one_line(row) + "\n")
    stream.flush()


def _journal_row(entry: Entry) -> dict[str, Any]:
    row = {"id": entry.id, **entry_fields(entry), "bits": ""}
    if isinstance(entry.outcome, Returned):
        row["bits"] = base64.b64encode(entry.outcome.bits).decode()
        if entry.outcome.drawn is not None:
            row["drawn_bits"] = base64.b64encode(entry.outcome.drawn).decode()
    return row


def _journal_entry(row: object) -> Entry:
    if not isinstance(row, dict):
        raise Malformed.value(row, "an object")
    ours = {field.name for field in dataclasses.fields(_Kept)}
    kept = record(_Kept, {name: value for name, value in row.items() if name in ours})
    fields = {name: value for name, value in row.items() if name not in ours}
    drawn = None if kept.drawn_bits is None else base64.b64decode(kept.drawn_bits)
    return entry_from(kept.id, fields, base64.b64decode(kept.bits), drawn)
