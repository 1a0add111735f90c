"""Read golden sets and recordings."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import math
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from conformance.core.errors import GoldenError, Malformed, unknown
from conformance.core.files import is_changing
from conformance.core.ids import parse_case
from conformance.core.paths import (
    LAYERS,
    MANIFEST,
    OVERLAYS,
    PENDING,
    PREDICTIONS,
    PROVENANCE,
    golden_option,
    overlay_names,
)
from conformance.core.reading import naming, parse_json, record
from conformance.core.records import BASE, Entry, Environment, Observation, Outcome
from conformance.core.versions import KEY
from conformance.store.entries import (
    BY_CASE,
    DRAWN,
    GOLDEN,
    HIGHEST,
    LOWEST,
    PREDICTED,
    RECORDING,
    STORES,
    entry_from,
)
from conformance.store.write import drawn_shard

_RESTORE = "restore it, or make another with `conformance goldens stage` or `conformance record`"
"""What to do about a store of which nobody can tell what it was."""

LARGEST_SHARD = 32 << 30
"""Bytes of the largest shard that is read: of two arrays of the most elements that an entry has."""

LARGEST_HELD = 64 << 20
"""Bytes of shards that stay in memory once they were read: those of every golden set."""

KEPT = range(1 << 20, 8 << 20)
"""Characters of a manifest whose value stays in memory, three times as much, for whoever opens the
set again, as the shipped one has. Parsing takes most of the time that opening takes."""


# --- Reading -------------------------------------------------------------------------------------
class Store:
    """A store opened for reading. Shards are read, and verified, when first asked for."""

    def __init__(self, folder: Path, manifest: _Manifest, raw: Any, digest: bytes) -> None:
        self.folder = folder
        self.kind = manifest.kind
        self._raw = raw
        self._digest = digest
        self._entries = manifest.entries
        self._shards = manifest.shards
        self._arrays: dict[str, Mapping[str, Any]] = {}
        self._overlays: dict[str, Store] = {}
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
        return DRAWN in fields and drawn_shard(fields.get("shard", "")) == shard

    def ids(self) -> list[str]:
        """Return the ids of all entries, sorted."""
        return sorted(self._entries)

    @property
    def way_out(self) -> str:
        """What to do about damage."""
        if self.folder.name == PENDING:
            return f"drop it with `conformance goldens reject{golden_option(self.folder.parent)}`"
        if self.kind == PREDICTED:
            return (
                "restore it from version control, or predict anew with `conformance compile "
                "--platform cuda --record DIR`"
            )
        if self.kind == RECORDING:
            return "copy it again from where it was made, or record anew with `conformance record`"
        command = f"conformance goldens stage{golden_option(self.folder)}"
        if self.kind == LAYERS:
            command = f"conformance goldens stage{golden_option(self.folder.parent)} --layer '*'"
        return f"restore it from version control, or stage new goldens with `{command}`"

    @functools.cached_property
    def provenance(self) -> list[Mapping[str, Any]]:
        """Environment, date, scope and reason of every acceptance, oldest first.

        Raises:
            GoldenError: the file cannot be read as a list of these.
        """
        path = self.folder / PROVENANCE
        value = _read_json(path)
        with naming(path, GoldenError, self.way_out):
            record(tuple[_Provenance, ...], value)
        records: list[Mapping[str, Any]] = value
        return records

    @property
    def latest(self) -> Mapping[str, Any]:
        """What the provenance says of the last acceptance, or of the recording.

        Raises:
            GoldenError: it says nothing, or cannot be read.
        """
        if not self.provenance:
            raise GoldenError(f"{self.folder / PROVENANCE} names no recording: {self.way_out}")
        return self.provenance[-1]

    @property
    def environment(self) -> Environment:
        """The environment of the recording, or of the golden set's last acceptance.

        Raises:
            GoldenError: the provenance names none, or cannot be read.
        """
        found = [each["environment"] for each in self.provenance if each.get("environment")]
        if not found:
            raise GoldenError(f"{self.folder / PROVENANCE} names no environment: {self.way_out}")
        return Environment(**found[-1])

    def golden(self, problem_id: str, backend: str, release: str = "") -> Entry | None:
        """Return what a backend must return for a problem: its overlay's entry, or the base set's.

        release: of JAX; overlays of another one do not count, nor does any of one without it.

        Raises:
            GoldenError: its shard is missing, damaged, or disagrees with the manifest.
        """
        found = (self.answers(problem_id, maker, release) for maker in makers(backend))
        return next(itertools.chain(*found), None)

    def answers(self, problem_id: str, maker: str, release: str) -> Iterator[Entry]:
        """Yield what the set holds of one backend's answers alone, the nearest release's first.

        Raises:
            GoldenError: see `golden`.
        """
        for name in overlay_names(maker, release):
            if (overlay := self.overlay(name)) and (entry := overlay.entry(problem_id)):
                yield dataclasses.replace(entry, maker=maker, overlay=f"{OVERLAYS}/{name}")
        if maker == BASE and (entry := self.entry(problem_id)):
            yield entry

    def overlay(self, name: str) -> Store | None:
        """Return the store of what differs on a backend, or under a release; None if nothing does.

        Raises:
            GoldenError: its manifest cannot be read.
        """
        if name not in self._present:
            return None
        if name not in self._overlays:
            self._overlays[name] = open_store(self.folder / OVERLAYS / name)
            self._require_unchanged()
        return self._overlays[name]

    @functools.cached_property
    def _present(self) -> frozenset[str]:
        found = frozenset(self.overlay_names())
        self._require_unchanged()
        return found

    def overlay_names(self) -> list[str]:
        """Return the names of the overlays, sorted: see `paths.OVERLAY_NAME`."""
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
            return entry_from(key, fields, *self._stored(key, fields))
        except ValueError as error:
            raise GoldenError(
                f"{self.folder / MANIFEST}: the entry of {key} cannot be read "
                f"({error}): {self.way_out}"
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
            changed=tuple(entry.extra.get("changed", ())),
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

    @property
    def version(self) -> int:
        """The version of the format that the manifest states."""
        return int(self._raw.get(KEY, 1))

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
        held = sum(self._shards[each].size_bytes for each in (*self._arrays, name))
        if held > LARGEST_HELD:
            self._arrays.clear()
        if self._shards[name].size_bytes <= LARGEST_HELD:
            self._arrays[name] = arrays
        return arrays

    def _stored(self, key: str, fields: Mapping[str, Any]) -> tuple[bytes, bytes | None]:
        """Return the bits of an entry, and of what was drawn for it."""
        shard = fields.get("shard")
        if not isinstance(shard, str):
            return b"", None  # `entry_from` says what is wrong with the entry
        bits = b"" if "raised" in fields else self._bits(key, shard)
        return bits, self._bits(key, drawn_shard(shard)) if DRAWN in fields else None

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
            unchanged = _digest(_read_text(self.folder / MANIFEST)) == self._digest
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
            data = _read_file(path, self._shards[name].size_bytes)
        # RuntimeError: a link to itself.
        except (MemoryError, OSError, RuntimeError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error) or "no memory"
            raise GoldenError(f"{path} cannot be read ({reason}): {self.way_out}") from error
        if hashlib.sha256(data).hexdigest() != self._shards[name].sha256:
            raise GoldenError(
                f"{path} is damaged, its sha256 is not the manifest's: {self.way_out}"
            )
        return data


def makers(backend: str) -> tuple[str, ...]:
    """Return whose answers a backend must give, in order: its own, then those of the CPU."""
    return tuple(dict.fromkeys((backend, BASE)))


def _read_file(path: Path, size_bytes: int) -> bytes:
    """Return what a plain file holds, once its size is known to be the one stated.

    Raises:
        OSError, ValueError: it is missing, is no plain file (reading a pipe would never end), or is
            larger or smaller.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is no plain file")
    if size_bytes > LARGEST_SHARD:
        raise ValueError(f"{size_bytes} bytes are more than any shard has: {LARGEST_SHARD}")
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
    text = _read_text(path)
    with naming(path, GoldenError, _RESTORE):
        raw = _value_of(text)
        return Store(folder, _manifest(raw, path), raw, _digest(text))


def _value_of(text: str) -> Any:
    """Return what a manifest holds, which nobody changes: all who open a set share it."""
    return _kept_value(text) if len(text) in KEPT else parse_json(text)


@functools.lru_cache(maxsize=2)
def _kept_value(text: str) -> Any:
    return parse_json(text)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Shard:
    sha256: str
    size_bytes: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Manifest:
    """A manifest; a line of its entries is read when it is first asked for."""

    kind: str
    shards: Mapping[str, _Shard]
    entries: Mapping[str, Mapping[str, Any]]


def _manifest(raw: Any, path: Path) -> _Manifest:
    kind = raw.get("kind", GOLDEN) if isinstance(raw, dict) else GOLDEN
    if not isinstance(kind, str):
        raise Malformed.value(kind, "a text").within("kind")
    if kind not in STORES:
        raise Malformed(unknown("value", kind, STORES), ("kind",))
    manifest = record(_Manifest, STORES[kind].content(raw, path, GoldenError))
    if kind in BY_CASE and (fault := _id_fault(manifest.entries)):
        raise Malformed(fault, ("entries",))
    return manifest


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Provenance:
    """What each record of a provenance may say: one of an acceptance, a recording, a prediction."""

    environment: Environment | None = None
    date: str = ""
    scope: str = ""
    reason: str = ""
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    machine_faults: tuple[str, ...] = ()
    programs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    calls: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    folded: Mapping[str, Mapping[str, tuple[str, ...]]] = dataclasses.field(default_factory=dict)
    predicted_for: str = ""
    open_elements: Mapping[str, int] = dataclasses.field(default_factory=dict)
    target: str = ""
    asked: str = ""


def _id_fault(ids: Iterable[str]) -> str:
    """Return what is wrong with the first id that names no case, or ""."""
    for key in ids:
        try:
            parse_case(key)
        except ValueError as error:
            return str(error)
    return ""


def _read_json(path: Path) -> Any:
    text = _read_text(path)
    with naming(path, GoldenError, _RESTORE):
        return parse_json(text)


def _read_text(path: Path) -> str:
    if path.exists() and not path.is_file():
        raise GoldenError(f"{path} cannot be read (it is no plain file): {_RESTORE}")
    with naming(path, GoldenError, _RESTORE):
        return path.read_text(encoding="utf-8")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
