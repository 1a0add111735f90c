"""Fingerprints that somebody accepted, with a reason, and what has changed since.

A release of JAX or of a compiler may make another program of the same initializer. So fingerprints
are held to those of the same versions only; beside other versions a difference is information.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

from conformance.core.errors import ProgramError
from conformance.core.reading import NAMED, read_file
from conformance.core.versions import PROGRAMS
from conformance.store import documents

ABSENT = "none"

FINGERPRINTS = "fingerprints"

Lines = Mapping[str, Mapping[str, str]]
"""What the program is of -> what of it is compared -> its fingerprint, or what stands for it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """One accepted set. versions: of all that decides about programs. reason: why it is right."""

    versions: str
    reason: str
    lines: Lines = dataclasses.field(metadata={NAMED: FINGERPRINTS})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One key under which some fields are no longer what was accepted, all in the same way."""

    key: str
    fields: tuple[str, ...]
    detail: str

    def __str__(self) -> str:
        return f"{self.key} ({', '.join(self.fields)}): {self.detail}"


def changes(accepted: Lines, found: Lines) -> list[Change]:
    """Return what was found and is not accepted, in the order found."""
    return [
        change
        for key, fields in found.items()
        for change in _changes(key, accepted.get(key), fields)
    ]


def _changes(
    key: str, before: Mapping[str, str] | None, now: Mapping[str, str]
) -> Iterator[Change]:
    if before is None:
        yield Change(key=key, fields=tuple(now), detail="none is accepted")
        return
    alike: dict[str, list[str]] = {}
    for field in dict.fromkeys([*before, *now]):
        old, new = before.get(field, ABSENT), now.get(field, ABSENT)
        if old != new:
            alike.setdefault(f"{old} -> {new}", []).append(field)
    for detail, fields in alike.items():
        yield Change(key=key, fields=tuple(fields), detail=detail)


def explain(accepted: Accepted, found: list[Change], here: str, command: str) -> str:
    """Return what the changes mean under the versions `here`, and what to do; "" if there are none.

    Under the accepted versions they are a fault of this tree or of the environment, else they say
    that JAX or the compiler makes other programs now. command: the one that accepts them.
    """
    if not found:
        return ""
    lines = [f"  {change}" for change in found]
    if here != accepted.versions:
        head = f"{here} makes other programs than {accepted.versions}, whose are accepted:"
        return "\n".join([head, *lines])
    return "\n".join(
        [
            f"under {here}, these programs are other ones than were accepted:",
            *lines,
            "  The version is the same, so the initializer, a setting or a patch changed. If it is",
            f"  right: {command}",
        ]
    )


def load(path: Path, command: str) -> Accepted:
    """Return the accepted set in a file. command: the one that writes it.

    Raises:
        ProgramError: there is none, or it cannot be read.
    """
    if not path.exists():
        raise ProgramError(f"{path} does not exist: accept programs with {command}")
    way_out = f"restore it from version control, or write it anew with {command}"
    return read_file(Accepted, path, PROGRAMS, error=ProgramError, way_out=way_out)


def save(path: Path, accepted: Accepted) -> None:
    """Write the set, one sorted line a key."""
    head = {"versions": accepted.versions, "reason": accepted.reason}
    documents.write(path, PROGRAMS, head, FINGERPRINTS, accepted.lines)
