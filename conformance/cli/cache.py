"""`conformance cache`: what earlier commands left in the user's cache, and clearing it away."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Iterable

from conformance.cli.output import tell, write_all
from conformance.core.errors import ExitCode, SelectionError, unknown
from conformance.core.paths import CACHE_KINDS, cache_folder
from conformance.core.versions import CACHE
from conformance.core.words import counted
from conformance.upgrade import cache


def run(arguments: argparse.Namespace) -> int:
    """List or prune; MISSING where something could not be removed."""
    for kind in arguments.kind:
        if kind not in CACHE_KINDS:
            raise SelectionError(unknown("kind", kind, CACHE_KINDS))
    kinds = arguments.kind or list(CACHE_KINDS)
    entries = list(cache.kept(kinds))
    if arguments.action == "list":
        files = tell(arguments, lambda _: to_text(entries, kinds), json=lambda: to_json(entries))
        return ExitCode.first(ExitCode.OK, write_all(files))
    if arguments.older_than < 0:
        raise SelectionError(f"--older-than {arguments.older_than} is no number of days")
    return _prune(entries, arguments.older_than)


def to_text(entries: Iterable[cache.Kept], kinds: Iterable[str]) -> str:
    """Return each entry, then each kind that was asked for, those that hold nothing too."""
    sizes, lines = dict.fromkeys(kinds, 0), []
    for entry in entries:
        sizes[entry.kind] += entry.size_bytes
        name = f"{entry.kind}/{entry.path.name}"
        lines.append(f"{_size(entry.size_bytes):>8}  {entry.used:%Y-%m-%d}  {name}")
    lines += [f"{_size(size):>8}  {kind}: {CACHE_KINDS[kind]}" for kind, size in sizes.items()]
    folder = cache_folder("").resolve()
    total = "in" if len(sizes) == len(CACHE_KINDS) else "of these kinds in"
    return "\n".join([*lines, f"{_size(sum(sizes.values())):>8}  {total} {folder}", ""])


def to_json(entries: Iterable[cache.Kept]) -> str:
    """Return the entries as one JSON document."""
    told = [
        {
            "kind": entry.kind,
            "name": entry.path.name,
            "size_bytes": entry.size_bytes,
            "used": entry.used.isoformat(),
        }
        for entry in entries
    ]
    document = {"folder": str(cache_folder("").resolve()), "entries": told}
    return json.dumps(CACHE.stamped(document), indent=1) + "\n"


def _prune(entries: list[cache.Kept], days: int) -> int:
    now = datetime.datetime.now(datetime.UTC)
    before = now + datetime.timedelta(days=1) if not days else now - datetime.timedelta(days=days)
    removed, refused = cache.prune(entries, before)
    for reason in refused:
        print(reason, file=sys.stderr)
    size = sum(entry.size_bytes for entry in removed)
    print(f"removed {len(removed)} of {counted(len(entries), 'entry', 'entries')}, {_size(size)}")
    return ExitCode.of(missing=bool(refused))


def _size(size_bytes: int) -> str:
    """Return a size as people read it, in powers of 1000."""
    value, units = float(size_bytes), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.3g} {units[0]}"
