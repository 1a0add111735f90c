"""What the user's cache holds, how large it is and when it was last of use; and how it is cleared.

All of it can be made again: environments of releases, what was recorded in them, and the rest.
"""

from __future__ import annotations

import dataclasses
import datetime
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from conformance.core.errors import StoreError
from conformance.core.files import locked, remove
from conformance.core.paths import CACHE_KINDS, cache_folder


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One entry of the cache."""

    kind: str
    path: Path
    size_bytes: int
    used: datetime.datetime


def kept(kinds: Iterable[str] = CACHE_KINDS) -> Iterator[Kept]:
    """Yield the entries of these kinds, those first that were of no use for longest."""
    for kind in kinds:
        folder = cache_folder(kind)
        paths = [path for path in folder.glob("*") if not path.name.startswith(".")]
        for path in sorted(paths, key=lambda each: each.stat().st_mtime):
            used = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC)
            yield Kept(kind=kind, path=path, size_bytes=_size(path), used=used)


def touch(path: Path) -> None:
    """Note that an entry is of use now."""
    os.utime(path)


def prune(entries: Sequence[Kept], before: datetime.datetime) -> tuple[list[Kept], list[str]]:
    """Remove the entries that were of no use since `before`; return them, and why others stay."""
    removed, refused = [], []
    for entry in entries:
        if entry.used >= before:
            continue
        try:
            with locked(entry.path):
                remove(entry.path)
        except StoreError as error:
            refused.append(str(error))
        except OSError as error:
            refused.append(f"{entry.path} cannot be removed: {error.strerror or error}")
        else:
            removed.append(entry)
    return removed, refused


def _size(path: Path) -> int:
    """Return what an entry takes on the disk; a file with several names counts once in it."""
    if not path.is_dir():
        return path.stat().st_size
    sizes = {}
    for folder, _, names in os.walk(path):
        for name in names:
            found = os.lstat(os.path.join(folder, name))
            sizes[found.st_ino] = found.st_size
    return sum(sizes.values())
