"""The store of outcomes: goldens and recordings alike.

A golden set is a recording that somebody accepted, with a reason. A store is a folder:

    manifest.json                        one sorted line an entry: digest, dtype, shape, moments
    provenance.json                      environment, date, scope and reason of what was accepted
    <family>/<initializer>.safetensors   the bits

Goldens are keyed by problem, recordings by case. Reading verifies; nothing here writes a golden set
but `conformance.staging.accept`.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from conformance.arrays import as_dtype, sampled
from conformance.model import (
    SCHEMA,
    Moments,
    Observation,
    Outcome,
    Raised,
    Returned,
    parse_case,
)

MANIFEST, PROVENANCE, OVERLAYS = "manifest.json", "provenance.json", "overlays"
GOLDEN, RECORDING = "golden", "recording"


class GoldenError(Exception):
    """A store is missing, damaged, contradictory or of another schema: file, problem, way out."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One outcome in a store, with the shard that holds its bits ("" when there are none).

    `extra` holds what a recording adds: device, elapsed_s, mode, repeat_sha256.
    """

    id: str
    shard: str
    outcome: Outcome
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def shard_name(family: str, initializer: str) -> str:
    """Return the path of a shard within its store."""
    return f"{family}/{initializer}.safetensors"


# --- Writing -------------------------------------------------------------------------------------


def write_store(
    folder: Path, entries: list[Entry], *, kind: str, provenance: list[Mapping[str, Any]]
) -> None:
    """Write a new store into `folder`, which must be absent or empty.

    Arrays are reduced by `arrays.sampled`. The bytes depend on the entries alone.

    Raises:
        GoldenError: the folder holds something, an id occurs twice, or the disk refuses.
    """
    if folder.exists() and any(folder.iterdir()):
        raise GoldenError(f"{folder} is not empty: name a new folder, or remove it first")
    kept = sorted((_reduced(entry) for entry in entries), key=lambda entry: entry.id)
    for one, two in zip(kept, kept[1:], strict=False):
        if one.id == two.id:
            raise GoldenError(f"{folder}: {one.id} would be stored twice")
    try:
        shards = {name: _write_shard(folder / name, part) for name, part in _by_shard(kept)}
        (folder / PROVENANCE).parent.mkdir(parents=True, exist_ok=True)
        (folder / PROVENANCE).write_text(json.dumps(provenance, indent=1, sort_keys=True) + "\n")
        (folder / MANIFEST).write_text(_manifest_text(kind, kept, shards))
    except OSError as error:
        raise GoldenError(
            f"{folder} cannot be written: {error.strerror or error}. Free the disk or fix the "
            "permissions and run the command again; what was there before is unchanged"
        ) from error


def _reduced(entry: Entry) -> Entry:
    if isinstance(entry.outcome, Raised):
        return dataclasses.replace(entry, shard="")
    return dataclasses.replace(entry, outcome=sampled(entry.outcome))


def _by_shard(entries: list[Entry]) -> Iterator[tuple[str, list[Entry]]]:
    parts: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.shard:
            parts.setdefault(entry.shard, []).append(entry)
    yield from sorted(parts.items())


def _write_shard(path: Path, entries: list[Entry]) -> dict[str, Any]:
    """Write the bits of the entries as 1-D unsigned integers or bytes; return size and sha256.

    Integers, not floats: every tool reads them, complex128 included, and no reader can round them.
    """
    from safetensors.numpy import save

    arrays = {entry.id: _bit_view(entry.outcome) for entry in entries}
    data = save(arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}


def _bit_view(outcome: Outcome) -> Any:
    assert isinstance(outcome, Returned)
    width = min(as_dtype(outcome.dtype).itemsize, 8)
    return np.frombuffer(outcome.bits, dtype=f"<u{width}")


def _manifest_text(kind: str, entries: list[Entry], shards: Mapping[str, Any]) -> str:
    """Return the manifest, one line an entry, so that `git diff` shows one line a change."""
    head = json.dumps({"schema": SCHEMA, "kind": kind})[:-1]
    shard_lines = ",\n".join(
        f"{json.dumps(name)}: {_line(value)}" for name, value in shards.items()
    )
    entry_lines = ",\n".join(
        f"{json.dumps(entry.id)}: {_line(_entry_fields(entry))}" for entry in entries
    )
    return f'{head}, "shards": {{\n{shard_lines}\n}}, "entries": {{\n{entry_lines}\n}}}}\n'


def _line(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _entry_fields(entry: Entry) -> dict[str, Any]:
    outcome, extra = entry.outcome, dict(entry.extra)
    if isinstance(outcome, Raised):
        return {"raised": outcome.exception, "message": outcome.message, **extra}
    moments = {
        key: value if math.isfinite(value) else str(value)
        for key, value in dataclasses.asdict(outcome.moments).items()
    }
    return {
        "dtype": outcome.dtype,
        "shape": list(outcome.shape),
        "sha256": outcome.sha256,
        "stride": outcome.stride,
        "moments": moments,
        "shard": entry.shard,
        **({"weak_type": True} if outcome.weak_type else {}),
        **extra,
    }


# --- Reading -------------------------------------------------------------------------------------


class Store:
    """A store opened for reading. Shards are read, and verified, when first asked for."""

    def __init__(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        self.folder = folder
        self.kind: str = manifest["kind"]
        self._entries: Mapping[str, Mapping[str, Any]] = manifest["entries"]
        self._shards: Mapping[str, Mapping[str, Any]] = manifest["shards"]
        self._arrays: dict[str, Mapping[str, Any]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def ids(self) -> list[str]:
        """Return the ids of all entries, sorted."""
        return sorted(self._entries)

    @functools.cached_property
    def provenance(self) -> list[Mapping[str, Any]]:
        """Environment, date, scope and reason of every acceptance, oldest first."""
        value: list[Mapping[str, Any]] = _read_json(self.folder / PROVENANCE)
        return value

    def outcome(self, key: str, backend: str = "cpu") -> Outcome | None:
        """Return the outcome stored for `key` on a backend, or None if there is none.

        An overlay of the backend, when the set has one, goes before the base set.

        Raises:
            GoldenError: its shard is missing, damaged, or disagrees with the manifest.
        """
        overlay = self._overlay(backend)
        if overlay is not None and key in overlay._entries:
            return overlay.outcome(key)
        entry = self.entry(key)
        return entry.outcome if entry else None

    def entry(self, key: str) -> Entry | None:
        """Return the stored entry of `key`, or None if there is none.

        Raises:
            GoldenError: its shard is missing, damaged, or disagrees with the manifest.
        """
        fields = self._entries.get(key)
        if fields is None:
            return None
        try:
            return self._parsed(key, fields)
        except (KeyError, TypeError, ValueError) as error:
            raise GoldenError(
                f"{self.folder / MANIFEST}: the entry of {key} cannot be read "
                f"({type(error).__name__}: {error}): restore the file from version control"
            ) from error

    def observation(self, key: str) -> Observation:
        """Return the recorded observation of a case.

        Raises:
            GoldenError: there is none, or it cannot be read.
        """
        entry = self.entry(key)
        if entry is None or self.kind != RECORDING:
            raise GoldenError(f"{self.folder} holds no recording of {key}")
        return Observation(
            case=parse_case(key),
            outcome=entry.outcome,
            repeat_sha256=entry.extra.get("repeat_sha256"),
            device=entry.extra.get("device", ""),
            elapsed_s=entry.extra.get("elapsed_s", math.nan),
            mode=entry.extra.get("mode", "executed"),
        )

    def shards(self) -> list[str]:
        """Return the names of the shards that the manifest lists."""
        return sorted(self._shards)

    def shard(self, name: str) -> Mapping[str, Any]:
        """Return the arrays of one shard by id, once its digest has been verified.

        Raises:
            GoldenError: the shard is missing or is not the file that the manifest describes.
        """
        if name not in self._arrays:
            self._arrays[name] = self._load(name)
        return self._arrays[name]

    @functools.lru_cache(maxsize=8)  # noqa: B019  # a handful of stores live as long as the process
    def _overlay(self, backend: str) -> Store | None:
        folder = self.folder / OVERLAYS / backend
        return open_store(folder) if (folder / MANIFEST).exists() else None

    def _parsed(self, key: str, fields: Mapping[str, Any]) -> Entry:
        extra = {
            name: fields[name]
            for name in ("device", "elapsed_s", "mode", "repeat_sha256")
            if name in fields
        }
        if "raised" in fields:
            raised = Raised(exception=fields["raised"], message=fields["message"])
            return Entry(id=key, shard="", outcome=raised, extra=extra)
        moments = {name: float(value) for name, value in fields["moments"].items()}
        nonfinite = int(moments.pop("nonfinite"))
        outcome = Returned(
            dtype=fields["dtype"],
            shape=tuple(fields["shape"]),
            sha256=fields["sha256"],
            stride=fields["stride"],
            bits=self._bits(key, fields),
            weak_type=fields.get("weak_type", False),
            moments=Moments(nonfinite=nonfinite, **moments),
        )
        return Entry(id=key, shard=fields["shard"], outcome=outcome, extra=extra)

    def _bits(self, key: str, fields: Mapping[str, Any]) -> bytes:
        arrays, path = self.shard(fields["shard"]), self.folder / fields["shard"]
        if key not in arrays:
            raise GoldenError(
                f"{path} holds no array for {key}, which the manifest places there: {_RESTORE}"
            )
        bits: bytes = arrays[key].tobytes()
        stride, size = fields["stride"], math.prod(fields["shape"])
        needed = -(-size // stride) * as_dtype(fields["dtype"]).itemsize
        if len(bits) != needed:
            raise GoldenError(
                f"{path} holds {len(bits)} bytes for {key}, the manifest says {needed}: {_RESTORE}"
            )
        if stride == 1 and hashlib.sha256(bits).hexdigest() != fields["sha256"]:
            raise GoldenError(
                f"{path} holds another array for {key} than the manifest's digest says: {_RESTORE}"
            )
        return bits

    def _load(self, name: str) -> Mapping[str, Any]:
        import safetensors
        from safetensors.numpy import load

        path = self.folder / name
        if name not in self._shards:
            raise GoldenError(
                f"{self.folder / MANIFEST} names the unlisted shard {name}: {_RESTORE}"
            )
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise GoldenError(f"shard {name!r} lies outside {self.folder}: do not use this store")
        try:
            data = path.read_bytes()
        except OSError as error:
            raise GoldenError(f"{path} cannot be read ({error.strerror}): {_RESTORE}") from error
        expected = self._shards[name]
        if len(data) != expected["size_bytes"]:
            raise GoldenError(
                f"{path} has {len(data)} bytes, the manifest says {expected['size_bytes']}: {_RESTORE}"
            )
        if hashlib.sha256(data).hexdigest() != expected["sha256"]:
            raise GoldenError(f"{path} is damaged, its sha256 is not the manifest's: {_RESTORE}")
        try:
            arrays: Mapping[str, Any] = load(data)
        except safetensors.SafetensorError as error:
            raise GoldenError(f"{path} is no safetensors file ({error}): {_RESTORE}") from error
        return arrays


_RESTORE = (
    "restore it from version control, or stage new goldens with scripts/regenerate_goldens.py"
)


def open_store(folder: Path) -> Store:
    """Return the store in `folder`; only its manifest is read.

    Raises:
        GoldenError: there is none, it is damaged, or a newer version of this package wrote it.
    """
    path = folder / MANIFEST
    if not path.exists():
        raise GoldenError(
            f"{folder} holds no {MANIFEST}: name a golden set or a recording, or make one with "
            "scripts/regenerate_goldens.py or `conformance record`"
        )
    manifest = _read_json(path)
    if not isinstance(manifest, dict) or not {"schema", "kind", "shards", "entries"} <= set(
        manifest
    ):
        raise GoldenError(f"{path} is not a manifest: {_RESTORE}")
    if manifest["schema"] != SCHEMA:
        raise GoldenError(
            f"{path} has schema {manifest['schema']}, this version reads {SCHEMA}: "
            "install the version of initializer-conformance that wrote it"
        )
    return Store(folder, manifest)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise GoldenError(f"{path} cannot be read ({error}): {_RESTORE}") from error


def verify(folder: Path) -> list[str]:
    """Return every fault of the store, one line each: file, problem, what is wrong.

    Checks the digest of every shard and of every whole array, arrays without an entry, and files
    without either.

    Raises:
        GoldenError: the manifest itself cannot be read.
    """
    store = open_store(folder)
    faults = []
    for key in store.ids():
        try:
            store.entry(key)
        except GoldenError as error:
            faults.append(str(error))
    for name in store.shards():
        faults += _strays(store, name)
    listed = {folder / name for name in store.shards()}
    overlays = folder / OVERLAYS
    for path in sorted(folder.rglob("*.safetensors")):
        if (
            path not in listed
            and not path.is_relative_to(overlays)
            and ".pending" not in path.parts
        ):
            faults.append(f"{path} is a shard that the manifest does not list: delete it")
    for overlay in sorted(overlays.glob("*/")) if overlays.exists() else []:
        faults += verify(overlay)
    return list(dict.fromkeys(faults))


def _strays(store: Store, name: str) -> list[str]:
    try:
        arrays = store.shard(name)
    except GoldenError as error:
        return [str(error)]
    ids = set(store.ids())
    return [
        f"{store.folder / name} holds an array {key} that the manifest does not list: {_RESTORE}"
        for key in sorted(set(arrays) - ids)
    ]


def textconv(path: Path) -> str:
    """Return a shard as text for `git diff`: one line an array, values as hexadecimal bits.

    Raises:
        GoldenError: the file cannot be read as a shard.
    """
    import safetensors
    from safetensors.numpy import load

    try:
        arrays = load(path.read_bytes())
    except (OSError, safetensors.SafetensorError) as error:
        raise GoldenError(f"{path} cannot be shown: {error}") from error
    lines = []
    for key in sorted(arrays):
        digits = 2 * arrays[key].dtype.itemsize
        values = " ".join(f"{int(word):0{digits}x}" for word in arrays[key])
        lines.append(f"{key}: {values}")
    return "\n".join(lines) + "\n"
