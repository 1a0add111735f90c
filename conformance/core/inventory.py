"""What a golden set is made of, file by file, so that nothing of it is lost or changed unseen.

`inventory.json` of a set lists the digest and the size of every other file of ours in it: overlays,
predictions, budgets and accepted programs as well as shards and manifests. Whoever changes a set
lists it anew in the end.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from conformance.core.errors import GoldenError, StoreError
from conformance.core.files import Waiting, at_work, replace_file, writing
from conformance.core.paths import MANIFEST, PACKAGED, PREDICTIONS, PROVENANCE
from conformance.core.reading import read_file
from conformance.core.versions import INVENTORY as FORMAT

INVENTORY = "inventory.json"

OURS = (".json", ".safetensors")
"""How the names of our files end. What else lies in the folder of a set is its owner's."""

WAY_OUT = "restore it from version control"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One file of a set."""

    sha256: str
    size_bytes: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """The files of a set by their paths within it."""

    files: Mapping[str, Listed]


def read(folder: Path) -> Inventory | None:
    """Return what the inventory of a set says; None where it has none.

    Raises:
        StoreError: it cannot be read.
    """
    path = folder / INVENTORY
    if not path.exists():
        return None
    return read_file(Inventory, path, FORMAT, error=StoreError, way_out=WAY_OUT)


def taken(folder: Path) -> Inventory:
    """Return what the inventory of a set should say."""
    names = (path.relative_to(folder).as_posix() for path in _files(folder))
    return Inventory(files={name: _listed(folder / name) for name in sorted(names)})


def write(folder: Path) -> None:
    """List what a set is made of now."""
    content = FORMAT.stamped(dataclasses.asdict(taken(folder)))
    replace_file(folder / INVENTORY, json.dumps(content, indent=1) + "\n")


@contextlib.contextmanager
def changing(folder: Path, waiting: Waiting | None = None) -> Iterator[None]:
    """Hold a set while files of it are written, and list it anew in the end; see `files.at_work`.

    Raises:
        GoldenError: another command is at work and nobody waits, the disk refuses, or the set is
            not what its inventory lists: what somebody edited is not listed as if it were ours.
    """
    with at_work(folder, waiting):
        require_as_listed(folder)
        yield
        if any(_files(folder)):
            with writing(folder):
                write(folder)


def faults(folder: Path) -> dict[str, str]:
    """Return what is wrong with the files of a set, by their paths; nothing without an inventory.

    Raises:
        StoreError: the inventory cannot be read.
    """
    stated = read(folder)
    if stated is None:
        return {}
    listed, found = stated.files, taken(folder).files
    gone = {name for name in listed.keys() - found.keys() if not _is_left_out(folder, name)}
    told = dict.fromkeys(gone, f"is gone: {WAY_OUT}")
    told |= dict.fromkeys(found.keys() - listed.keys(), f"is not in {INVENTORY}: delete it")
    differ = {name for name in found.keys() & listed.keys() if found[name] != listed[name]}
    told |= dict.fromkeys(differ, _OTHER)
    return dict(sorted(told.items()))


def _is_left_out(folder: Path, name: str) -> bool:
    """Return whether the file is none that an installation has: predictions."""
    is_installed = folder.resolve() == PACKAGED.resolve()
    return is_installed and name.startswith(f"{PREDICTIONS}/")


_OTHER = f"is another file than {INVENTORY} lists: {WAY_OUT}, or run again what was killed"


def require_as_listed(folder: Path) -> None:
    """Refuse a set in which a file beside the store is gone, or not the one that is listed.

    Of the store itself its manifest speaks, whenever it is read.

    Raises:
        StoreError: the inventory cannot be read.
        GoldenError: one is.
    """
    known = read(folder)
    of_the_store = (".safetensors", MANIFEST, PROVENANCE)
    found = {
        name: fault
        for name, fault in faults(folder).items()
        if known and name in known.files and not name.endswith(of_the_store)
    }
    if found:
        name, fault = next(iter(found.items()))
        others = f"; {len(found) - 1} more are wrong" if len(found) > 1 else ""
        raise GoldenError(f"{folder / name} {fault}{others}")


def require(path: Path, error: type[StoreError]) -> None:
    """Refuse a file of a set that is not the one in its inventory.

    Raises:
        StoreError, as `error`: it is not.
    """
    for folder in path.parents[:2]:
        stated = read(folder)
        if stated is not None:
            listed = stated.files.get(path.relative_to(folder).as_posix())
            if listed is not None and listed != _listed(path):
                raise error(f"{path} {_OTHER}")
            return
        if _needs_one(folder):
            raise error(f"{folder / INVENTORY} is gone: {WAY_OUT}")


def _needs_one(folder: Path) -> bool:
    """Return whether the set is of a version that has an inventory."""
    path = folder / MANIFEST
    if not path.exists():
        return False
    with path.open("rb") as stream:
        start = stream.read(100)
    stated = re.search(rb'"schema": *(\d+)', start)
    return b'"golden"' in start and stated is not None and int(stated[1]) > 1


def _files(folder: Path) -> Iterator[Path]:
    for inner, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(inner, name)
            if name.endswith(OURS) and not name.startswith(".") and path != folder / INVENTORY:
                yield path


def _listed(path: Path) -> Listed:
    data = path.read_bytes()
    return Listed(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))
