"""Read golden sets and recordings."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from conformance.core.errors import GoldenError
from conformance.core.files import is_changing
from conformance.core.ids import parse_case
from conformance.core.paths import MANIFEST, OVERLAYS, PREDICTIONS, PROVENANCE, golden_option
from conformance.core.records import SCHEMA, Entry, Environment, Observation, Outcome
from conformance.store.entries import (
    BY_CASE,
    DRAWN,
    HIGHEST,
    LOWEST,
    PREDICTED,
    RECORDING,
    entry_from,
)
from conformance.store.write import drawn_shard

_RESTORE = "restore it, or make another with `conformance goldens stage` or `conformance record`"
"""What to do about a store of which nobody can tell what it was."""

LARGEST_HELD = 64 << 20
"""Bytes of the largest shard that stays in memory once it was read."""


# --- Reading -------------------------------------------------------------------------------------
class Store:
    """A store opened for reading. Shards are read, and verified, when first asked for."""

    def __init__(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        self.folder = folder
        self.kind: str = manifest["kind"]
        self._manifest = manifest
        self._entries: Mapping[str, Mapping[str, Any]] = manifest["entries"]
        self._shards: Mapping[str, Mapping[str, Any]] = manifest["shards"]
        self._arrays: dict[str, Mapping[str, Any]] = {}
        self._overlays: dict[str, Store | None] = {}
        self._bounds: dict[str, Store] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def lists(self, key: str, shard: str) -> bool:
        """Return whether the manifest places an array of that id in the shard."""
        fields = self._entries.get(key, {})
        if fields.get("shard") == shard:
            return "raised" not in fields
        return DRAWN in fields and drawn_shard(fields["shard"]) == shard

    def ids(self) -> list[str]:
        """Return the ids of all entries, sorted."""
        return sorted(self._entries)

    @property
    def way_out(self) -> str:
        """What to do about damage."""
        if self.kind == PREDICTED:
            return (
                "restore it from version control, or predict anew with `conformance compile "
                "--platform cuda --record DIR`"
            )
        if self.kind == RECORDING:
            return "copy it again from where it was made, or record anew with `conformance record`"
        return (
            "restore it from version control, or stage new goldens with "
            f"`conformance goldens stage{golden_option(self.folder)}`"
        )

    @functools.cached_property
    def provenance(self) -> list[Mapping[str, Any]]:
        """Environment, date, scope and reason of every acceptance, oldest first.

        Raises:
            GoldenError: the file cannot be read as a list of these.
        """
        path = self.folder / PROVENANCE
        value = _read_json(path)
        if not (isinstance(value, list) and all(map(_is_record, value))):
            raise GoldenError(f"{path} is no list of records: {self.way_out}")
        return value

    @property
    def environment(self) -> Environment:
        """The environment of the recording, or of the golden set's last acceptance.

        Raises:
            GoldenError: the provenance names none, or what it names is none.
        """
        records = [record["environment"] for record in self.provenance if "environment" in record]
        if not records:
            raise GoldenError(f"{self.folder / PROVENANCE} names no environment: {self.way_out}")
        if not _is_environment(records[-1]):
            raise GoldenError(
                f"{self.folder / PROVENANCE}: the last environment is none: {self.way_out}"
            )
        return Environment(**records[-1])

    def golden(self, problem_id: str, backend: str) -> Entry | None:
        """Return what a backend must return for a problem: its overlay's entry, or the base set's.

        Raises:
            GoldenError: its shard is missing, damaged, or disagrees with the manifest.
        """
        overlay = self.overlay(backend)
        if overlay and (entry := overlay.entry(problem_id)):
            return dataclasses.replace(entry, maker=backend)
        return self.entry(problem_id)

    def overlay(self, backend: str) -> Store | None:
        """Return the store of what differs on a backend, or None if nothing does.

        Raises:
            GoldenError: its manifest cannot be read.
        """
        if backend not in self._overlays:
            folder = self.folder / OVERLAYS / backend
            self._overlays[backend] = open_store(folder) if folder.exists() else None
            self._require_unchanged()
        return self._overlays[backend]

    def overlay_names(self) -> list[str]:
        """Return the backends that have an overlay, sorted."""
        return sorted(path.name for path in (self.folder / OVERLAYS).glob("*/"))

    def prediction_names(self) -> list[str]:
        """Return the devices for which the set holds predictions, sorted."""
        return sorted(
            path.parent.name for path in (self.folder / PREDICTIONS).glob(f"*/{MANIFEST}")
        )

    def entry(self, key: str) -> Entry | None:
        """Return the stored entry of `key`, or None if there is none.

        Raises:
            GoldenError: its shard is missing, damaged, or disagrees with the manifest.
        """
        fields = self._entries.get(key)
        if fields is None:
            return None
        try:
            bits = b"" if "raised" in fields else self._bits(key, fields["shard"])
            drawn = self._bits(key, drawn_shard(fields["shard"])) if DRAWN in fields else None
            return entry_from(key, fields, bits, drawn)
        except (KeyError, TypeError, ValueError) as error:
            raise GoldenError(
                f"{self.folder / MANIFEST}: the entry of {key} cannot be read "
                f"({type(error).__name__}: {error}): {self.way_out}"
            ) from error

    def entries(self) -> Iterator[Entry]:
        """Yield every entry, in the order of ids.

        Raises:
            GoldenError: a shard is missing, damaged, or disagrees with the manifest.
        """
        for key in self.ids():
            entry = self.entry(key)
            assert entry is not None
            yield entry

    def observation(self, key: str) -> Observation:
        """Return the recorded observation of a case.

        Raises:
            GoldenError: there is none, or it cannot be read.
        """
        entry = self.entry(key)
        if entry is None or self.kind not in BY_CASE:
            raise GoldenError(
                f"{self.folder} is a {self.kind} that holds no observation of {key}: "
                "record the case with `conformance record`"
            )
        return Observation(
            case=parse_case(key),
            outcome=entry.outcome,
            repeat_sha256=entry.extra.get("repeat_sha256"),
            device=entry.extra.get("device", ""),
            elapsed_s=entry.extra.get("elapsed_s", math.nan),
            mode=entry.extra.get("mode", "executed"),
            stages=entry.stages,
        )

    def bounds(self, key: str) -> tuple[Outcome, Outcome] | None:
        """Return the lowest and the highest array that a prediction permits, if there are any.

        Raises:
            GoldenError: one is missing or damaged.
        """
        if not self._bounds:
            self._bounds = {name: open_store(self.folder / name) for name in self.bound_names()}
        found = [store.entry(key) for store in self._bounds.values()]
        outcomes = [entry.outcome for entry in found if entry]
        if not outcomes:
            return None
        if len(outcomes) == 1:
            raise GoldenError(f"{self.folder}: {key} has one bound of two: {self.way_out}")
        return outcomes[0], outcomes[1]

    def bound_names(self) -> list[str]:
        """Return the names of the stores of bounds, if there are any."""
        return [name for name in (LOWEST, HIGHEST) if (self.folder / name / MANIFEST).exists()]

    def shards(self) -> list[str]:
        """Return the names of the shards that the manifest lists."""
        return sorted(self._shards)

    def shard(self, name: str) -> Mapping[str, Any]:
        """Return the arrays of one shard by id, once its digest has been verified.

        Raises:
            GoldenError: the shard is missing or is not the file that the manifest describes.
        """
        if name in self._arrays:
            return self._arrays[name]
        arrays = self._load(name)
        if self._shards[name]["size_bytes"] <= LARGEST_HELD:
            self._arrays[name] = arrays
        return arrays

    def _bits(self, key: str, shard: str) -> bytes:
        arrays = self.shard(shard)
        if key not in arrays:
            raise GoldenError(
                f"{self.folder / shard} holds no array for {key}, "
                f"which the manifest places there: {self.way_out}"
            )
        bits: bytes = arrays[key].tobytes()
        return bits

    def _load(self, name: str) -> Mapping[str, Any]:
        from safetensors import SafetensorError
        from safetensors.numpy import load

        path = self.folder / name
        try:
            arrays: Mapping[str, Any] = load(self._verified(name))
        except SafetensorError as error:
            raise GoldenError(f"{path} is no safetensors file ({error}): {self.way_out}") from error
        return arrays

    def _verified(self, name: str) -> bytes:
        try:
            return self._read(name)
        except GoldenError as error:
            self._require_unchanged(error)
            raise

    def _require_unchanged(self, error: GoldenError | None = None) -> None:
        """Refuse a store whose manifest is no longer the one that was opened.

        error: what does not fit together, for which that is the reason then.
        """
        try:
            # As text, in which a time that is not a number equals itself.
            found = json.dumps(_read_json(self.folder / MANIFEST))
            unchanged = found == json.dumps(self._manifest)
        except GoldenError:
            unchanged = False
        if not unchanged:
            raise GoldenError(
                f"{self.folder} was changed since it was opened, by `conformance goldens accept` "
                "for one: what was read before is of the old set. Run the command again"
            ) from error

    def _read(self, name: str) -> bytes:
        path = self.folder / name
        if name not in self._shards:
            raise GoldenError(
                f"{self.folder / MANIFEST} names the unlisted shard {name}: {self.way_out}"
            )
        try:
            if not path.resolve().is_relative_to(self.folder.resolve()):
                raise GoldenError(
                    f"shard {name!r} lies outside {self.folder}: do not use this store"
                )
            data = _read_file(path, self._shards[name]["size_bytes"])
        except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: a link to itself
            reason = getattr(error, "strerror", None) or error
            raise GoldenError(f"{path} cannot be read ({reason}): {self.way_out}") from error
        if hashlib.sha256(data).hexdigest() != self._shards[name]["sha256"]:
            raise GoldenError(
                f"{path} is damaged, its sha256 is not the manifest's: {self.way_out}"
            )
        return data


def _read_file(path: Path, size_bytes: int) -> bytes:
    """Return what a plain file holds, once its size is known to be the one stated.

    Raises:
        OSError, ValueError: it is missing, is no plain file (reading a pipe would never end), or is
            larger or smaller.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is no plain file")
    if found.st_size != size_bytes:
        raise ValueError(f"it has {found.st_size} bytes, the manifest says {size_bytes}")
    return path.read_bytes()


def open_store(folder: Path) -> Store:
    """Return the store in `folder`; only its manifest is read.

    Raises:
        GoldenError: there is none, it is damaged, or another version of this package wrote it.
    """
    path = folder / MANIFEST
    if is_changing(folder):
        time.sleep(0.1)  # far longer than the two renames take
    if is_changing(folder):
        raise GoldenError(
            f"{folder} is being replaced, or its replacement was interrupted: finish that with "
            f"`conformance goldens pending{golden_option(folder)}`, and run the command again"
        )
    if not path.exists():
        raise GoldenError(
            f"{folder} holds no {MANIFEST}: name a golden set or a recording, or make one with "
            "`conformance goldens stage` or `conformance record`"
        )
    manifest = _read_json(path)
    if not isinstance(manifest, dict) or "schema" not in manifest:
        raise GoldenError(f"{path} is not a manifest: {_RESTORE}")
    if manifest["schema"] != SCHEMA:
        raise GoldenError(
            f"{path} has schema {manifest['schema']}, this version reads {SCHEMA}: "
            "install the version of initializer-conformance that wrote it"
        )
    if missing := {"kind", "shards", "entries"} - set(manifest):
        raise GoldenError(f"{path} lacks {', '.join(sorted(missing))}: {_RESTORE}")
    if fault := _manifest_fault(manifest):
        raise GoldenError(f"{path} is not a manifest ({fault}): {_RESTORE}")
    return Store(folder, manifest)


def _manifest_fault(manifest: Mapping[str, Any]) -> str:
    """Return what no manifest says; "" if all is in order."""
    kind, shards, entries = (manifest[name] for name in ("kind", "shards", "entries"))
    if not isinstance(kind, str):
        return f"kind {kind!r} is no text"
    if not (isinstance(shards, dict) and isinstance(entries, dict)):
        return "shards or entries are no objects"
    if not all(isinstance(fields, dict) for fields in (*shards.values(), *entries.values())):
        return "a shard or an entry is no object"
    for fields in shards.values():
        if not (type(fields.get("size_bytes")) is int and isinstance(fields.get("sha256"), str)):
            return "a shard lacks its size or its digest"
    return _id_fault(entries) if kind in BY_CASE else ""


def _id_fault(ids: Iterable[str]) -> str:
    """Return what is wrong with the first id that names no case, or ""."""
    for key in ids:
        try:
            parse_case(key)
        except ValueError as error:
            return str(error)
    return ""


def _read_json(path: Path) -> Any:
    if path.exists() and not path.is_file():
        raise GoldenError(f"{path} cannot be read (it is no plain file): {_RESTORE}")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, RecursionError, ValueError) as error:
        raise GoldenError(f"{path} cannot be read ({error}): {_RESTORE}") from error


def _is_record(value: Any) -> bool:
    """Return whether the value may stand in a provenance: its lists name cases or initializers."""
    if not isinstance(value, dict):
        return False
    lists = [value.get(name, []) for name in ("left_out", "machine_faults")]
    return all(
        isinstance(names, list) and all(isinstance(name, str) for name in names) for names in lists
    )


def _is_environment(value: Any) -> bool:
    """Return whether the value is what `Environment` is made of: texts by name, in each section."""
    sections = {field.name for field in dataclasses.fields(Environment)}
    if not (isinstance(value, dict) and set(value) == sections):
        return False
    return all(
        isinstance(section, dict) and all(isinstance(text, str) for text in section.values())
        for section in value.values()
    )
