"""Write golden sets and recordings: a safetensors file an initializer, and a manifest."""

from __future__ import annotations

import datetime
import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from conformance.core.arrays import as_dtype
from conformance.core.errors import GoldenError
from conformance.core.files import require_new, write_file, writing
from conformance.core.paths import MANIFEST, PROVENANCE
from conformance.core.records import Entry, Raised
from conformance.store.entries import DRAWN, STORES, entry_fields, one_line, reduced


def write_store(
    folder: Path,
    entries: list[Entry],
    *,
    kind: str,
    provenance: Sequence[Mapping[str, Any]],
    is_whole: bool = False,
) -> None:
    """Write a new store into `folder`, which must be absent or empty; see `files.atomic_folder`.

    What is kept of arrays is what `reduced` says. The bytes depend on the entries alone.

    Raises:
        GoldenError: the folder holds something, an id occurs twice, or the disk refuses. What was
            written by then is left for the caller to remove.
    """
    every = (reduced(entry, kind, is_whole=is_whole) for entry in entries)
    kept = sorted(every, key=lambda entry: (entry.shard, entry.id))
    for one, two in itertools.pairwise(sorted(entry.id for entry in kept)):
        if one == two:
            raise GoldenError(f"{folder}: {one} would be stored twice")
    write_one_by_one(folder, kept, kind=kind, provenance=provenance)


def write_one_by_one(
    folder: Path, entries: Iterable[Entry], *, kind: str, provenance: Sequence[Mapping[str, Any]]
) -> None:
    """Write a new store of entries that come shard by shard; only those of one are in memory.

    Raises:
        GoldenError: see `write_store`.
    """
    require_new(folder)
    shards: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    with writing(folder):
        for _, group in itertools.groupby(entries, key=lambda entry: entry.shard):
            part = list(group)
            fields |= {entry.id: entry_fields(entry) for entry in part}
            shards |= {name: _write_shard(folder / name, held) for name, held in _shards(part)}
        text = json.dumps(provenance, indent=1, sort_keys=True) + "\n"
        write_file(folder / PROVENANCE, text.encode())
        write_file(folder / MANIFEST, _manifest_text(kind, fields, shards).encode())


def _shards(entries: list[Entry]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name of each shard and its arrays by id; what was drawn has shards of its own."""
    parts: dict[str, dict[str, Any]] = {}
    for entry in entries:
        outcome = entry.outcome
        if isinstance(outcome, Raised):
            continue
        parts.setdefault(entry.shard, {})[entry.id] = _words(outcome.bits, outcome.dtype)
        if outcome.drawn is not None:
            drawn = _words(outcome.drawn, outcome.dtype)
            parts.setdefault(drawn_shard(entry.shard), {})[entry.id] = drawn
    yield from sorted(parts.items())


def drawn_shard(shard: str) -> str:
    """Return the shard of what was drawn for the matrices of a shard."""
    return f"{DRAWN}/{shard}"


def _write_shard(path: Path, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Write 1-D unsigned integers by id; return size and sha256.

    Integers, not floats: every tool reads them, complex128 included, and no reader can round them.
    """
    from safetensors.numpy import save

    data = save(dict(arrays))
    write_file(path, data)
    return {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}


def _words(bits: bytes, dtype: str) -> Any:
    """Return the bits as unsigned integers of the dtype's width, or of 64 bits if it is wider."""
    return np.frombuffer(bits, dtype=f"<u{min(as_dtype(dtype).itemsize, 8)}")


def _manifest_text(kind: str, fields: Mapping[str, Any], shards: Mapping[str, Any]) -> str:
    """Return the manifest, one line an entry, so that `git diff` shows one line a change."""
    head = json.dumps(STORES[kind].stamped({"kind": kind}))[:-1]
    shard_lines, entry_lines = (_lines(dict(sorted(each.items()))) for each in (shards, fields))
    return f'{head}, "shards": {{\n{shard_lines}\n}}, "entries": {{\n{entry_lines}\n}}}}\n'


def _lines(values: Mapping[str, Any]) -> str:
    return ",\n".join(f"{json.dumps(key)}: {one_line(value)}" for key, value in values.items())


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
