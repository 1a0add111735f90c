"""The store of outcomes: goldens and recordings alike.

A golden set is a recording that somebody accepted, with a reason. A set of predictions is a
recording of a device that was not there. A store is a folder:

    manifest.json                        one sorted line an entry: shard, digest, stages
    provenance.json                      environment, date, scope and reason of what was accepted
    <family>/<initializer>.safetensors   the bits
    drawn/...                            the same of what was drawn for orthogonal matrices; a
                                         golden set has none: the oracle knows it, or the other side
    overlays/<backend>/                  a store of the problems whose bits differ on a backend
    lowest/, highest/                    stores of what predictions permit of cases left open

Goldens are keyed by problem, recordings and predictions by case. Reading verifies; nothing here
writes a golden set but `conformance.staging.accept` and `prune`.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import json
import math
import os
import shlex
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from conformance.arrays import as_dtype, moments_of, sampled
from conformance.model import (
    SCHEMA,
    STAGES,
    Environment,
    Moments,
    Observation,
    Outcome,
    Problem,
    Raised,
    Returned,
    parse_case,
    parse_problem,
)

MANIFEST, PROVENANCE, OVERLAYS = "manifest.json", "provenance.json", "overlays"
LOWEST, HIGHEST = "lowest", "highest"
DRAWN = "drawn"
BASE = "cpu"
"""What a golden set is made on; what another backend returns otherwise stands in its overlay."""

GOLDEN, RECORDING, PREDICTED = "golden", "recording", "predicted"
BY_CASE = (RECORDING, PREDICTED)
"""Kinds of store whose entries are of cases, not of problems."""

EXTRA = ("stages", "device", "elapsed_s", "mode", "repeat_sha256", "wholes")
"""What an entry may say beside its outcome; goldens keep the stages alone. `wholes` are the digests
of all whole arrays that a prediction permits."""

WHOLE_MATRIX = 1 << 22
"""Elements of the largest matrix that a recording keeps whole: 2048 x 2048."""

_RESTORE = "restore it, or make another with `conformance goldens stage` or `conformance record`"
"""What to do about a store of which nobody can tell what it was."""

SHIPPED = Path(__file__).parent.parent / "golden"
PACKAGED = Path(__file__).parent / "_golden"
"""Where the shipped set lies: beside the package in a checkout, within it once installed."""


class GoldenError(Exception):
    """A store is missing, damaged, contradictory or of another schema: file, problem, way out."""


def shipped() -> Path:
    """Return the golden set that comes with this installation."""
    return PACKAGED if PACKAGED.exists() else SHIPPED


def golden_option(folder: Path) -> str:
    """Return ` --golden DIR` for the commands that a message names; "" for the shipped set."""
    root = folder.parent.parent if folder.parent.name == OVERLAYS else folder
    return "" if root.resolve() == shipped().resolve() else f" --golden {shlex.quote(str(root))}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One outcome in a store, with the shard that holds its bits.

    `extra` holds what else was seen: see EXTRA.
    """

    id: str
    shard: str
    outcome: Outcome
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def stages(self) -> Mapping[str, str]:
        """Digests of the stages before the outcome; empty where none were recorded."""
        stages: Mapping[str, str] = self.extra.get("stages", {})
        return stages


def shard_name(family: str, initializer: str) -> str:
    """Return the path of a shard within its store."""
    return f"{family}/{initializer}.safetensors"


# --- Entries as JSON -----------------------------------------------------------------------------


def entry_fields(entry: Entry) -> dict[str, Any]:
    """Return all of an entry but its id and bits, as JSON holds it.

    What the id says already is left out: dtype and shape unless the outcome has others. So are the
    moments of an array that is stored whole.
    """
    outcome, asked = entry.outcome, problem_of(entry.id)
    extra = {name: entry.extra[name] for name in EXTRA if name in entry.extra}
    if stages := extra.pop("stages", {}):
        extra["stages"] = {name: stages[name] for name in STAGES if name in stages}
    fields: dict[str, Any] = {"shard": entry.shard}
    if isinstance(outcome, Raised):
        return {**fields, "raised": outcome.exception, "message": outcome.message, **extra}
    fields["sha256"] = outcome.sha256
    if outcome.dtype != asked.dtype:
        fields["dtype"] = outcome.dtype
    if outcome.shape != asked.shape:
        fields["shape"] = list(outcome.shape)
    if outcome.weak_type:
        fields["weak_type"] = True
    if outcome.drawn is not None:
        fields[DRAWN] = hashlib.sha256(outcome.drawn).hexdigest()
    if outcome.stride != 1:
        fields["stride"] = outcome.stride
        fields["moments"] = {
            name: value if math.isfinite(value) else str(value)
            for name, value in dataclasses.asdict(outcome.moments).items()
        }
    return {**fields, **extra}


def entry_from(
    key: str, fields: Mapping[str, Any], bits: bytes, drawn: bytes | None = None
) -> Entry:
    """Return the entry that `entry_fields` described; an array stored whole has its digest.

    drawn: what was drawn for an orthogonal matrix, where the fields name it.

    Raises:
        KeyError, TypeError, ValueError: a field is missing or makes no sense.
    """
    _require_kinds(fields)
    extra = {name: fields[name] for name in EXTRA if name in fields}
    if "raised" in fields:
        raised = Raised(exception=fields["raised"], message=fields["message"])
        return Entry(id=key, shard=fields["shard"], outcome=raised, extra=extra)
    asked = problem_of(key)
    dtype, shape = fields.get("dtype", asked.dtype), tuple(fields.get("shape", asked.shape))
    stride = fields.get("stride", 1)
    if stride < 1 or min(shape, default=0) < 0:
        raise ValueError(f"stride {stride} of shape {list(shape)} describes no array")
    needed = -(-math.prod(shape) // stride) * as_dtype(dtype).itemsize
    if len(bits) != needed:
        raise ValueError(f"{len(bits)} bytes are stored, {dtype}{list(shape)} needs {needed}")
    if stride == 1 and hashlib.sha256(bits).hexdigest() != fields["sha256"]:
        raise ValueError("its array is another one than the digest says")
    sizes = {math.prod(part) * as_dtype(dtype).itemsize for part in (shape, shape[-2:])}
    if drawn is not None and len(drawn) not in sizes:
        raise ValueError(f"{len(drawn)} bytes were drawn for it, {dtype}{list(shape)} needs others")
    if drawn is not None and hashlib.sha256(drawn).hexdigest() != fields[DRAWN]:
        raise ValueError("what was drawn for it is another matrix than the digest says")
    outcome = Returned(
        dtype=dtype,
        shape=shape,
        sha256=fields["sha256"],
        stride=stride,
        bits=bits,
        weak_type=fields.get("weak_type", False),
        moments=_moments(fields, dtype, bits),
        drawn=drawn,
    )
    return Entry(id=key, shard=fields["shard"], outcome=outcome, extra=extra)


_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "shape": list,
    "stride": int,
    "weak_type": bool,
    "moments": dict,
    "stages": dict,
    "elapsed_s": (int, float),
    "repeat_sha256": (str, type(None)),
    "wholes": list,
}
"""What JSON holds a field as; all others are text."""


def _require_kinds(fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        _require_kind(name, value, _KINDS.get(name, str))
    for digest in fields.get("stages", {}).values():
        _require_kind("a stage", digest, str)
    for digest in fields.get("wholes", []):
        _require_kind("a digest", digest, str)


def _require_kind(name: str, value: Any, kind: type | tuple[type, ...]) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{name} is a {type(value).__name__}")


def problem_of(key: str) -> Problem:
    """Return the problem that the id of a problem or of a case names.

    Raises:
        ValueError: the id is neither.
    """
    try:
        return parse_problem(key)
    except ValueError:
        return parse_case(key).problem


def _moments(fields: Mapping[str, Any], dtype: str, bits: bytes) -> Moments:
    if "moments" not in fields:
        return moments_of(np.frombuffer(bits, dtype=as_dtype(dtype)))
    moments = {name: float(value) for name, value in fields["moments"].items()}
    return Moments(nonfinite=int(moments.pop("nonfinite")), **moments)


# --- Writing -------------------------------------------------------------------------------------


def write_store(
    folder: Path, entries: list[Entry], *, kind: str, provenance: Sequence[Mapping[str, Any]]
) -> None:
    """Write a new store into `folder`, which must be absent or empty, and flush it to the disk.

    Arrays are reduced by `reduced`; a golden set keeps nothing of what was drawn for matrices. The
    bytes depend on the entries alone.

    Raises:
        GoldenError: the folder holds something, an id occurs twice, or the disk refuses. What was
            written by then is left for the caller to remove.
    """
    if folder.exists() and any(folder.iterdir()):
        raise GoldenError(f"{folder} is not empty: name a new folder, or remove it first")
    if kind == GOLDEN:
        entries = [_without_draw(entry) for entry in entries]
    kept = sorted((reduced(entry) for entry in entries), key=lambda entry: entry.id)
    for one, two in itertools.pairwise(kept):
        if one.id == two.id:
            raise GoldenError(f"{folder}: {one.id} would be stored twice")
    try:
        shards = {name: _write_shard(folder / name, part) for name, part in _shards(kept)}
        text = json.dumps(provenance, indent=1, sort_keys=True) + "\n"
        write_file(folder / PROVENANCE, text.encode())
        write_file(folder / MANIFEST, _manifest_text(kind, kept, shards).encode())
    except OSError as error:
        raise refused(folder, error) from error


def refused(path: Path, error: OSError) -> GoldenError:
    """Return the error to raise when the disk refuses a write."""
    return GoldenError(
        f"{path} cannot be written: {error.strerror or error}. Free the disk or fix the "
        "permissions and run the command again; what was there before is unchanged"
    )


def reduced(entry: Entry) -> Entry:
    """Return the entry as it is stored: large arrays as a sample.

    A matrix of which is known what was drawn for it is kept whole, up to WHOLE_MATRIX elements: a
    sample of it cannot be judged by its columns.
    """
    outcome = entry.outcome
    if isinstance(outcome, Raised):
        return entry
    if outcome.drawn is None:
        return dataclasses.replace(entry, outcome=sampled(outcome))
    if math.prod(outcome.shape) <= WHOLE_MATRIX:
        return entry
    return dataclasses.replace(entry, outcome=dataclasses.replace(sampled(outcome), drawn=None))


def _without_draw(entry: Entry) -> Entry:
    if isinstance(entry.outcome, Raised):
        return entry
    return dataclasses.replace(entry, outcome=dataclasses.replace(entry.outcome, drawn=None))


def write_file(path: Path, data: bytes) -> None:
    """Write a file and its folders, and wait until the disk has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


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


def _manifest_text(kind: str, entries: list[Entry], shards: Mapping[str, Any]) -> str:
    """Return the manifest, one line an entry, so that `git diff` shows one line a change."""
    head = json.dumps({"schema": SCHEMA, "kind": kind})[:-1]
    shard_lines = _lines(shards)
    entry_lines = _lines({entry.id: entry_fields(entry) for entry in entries})
    return f'{head}, "shards": {{\n{shard_lines}\n}}, "entries": {{\n{entry_lines}\n}}}}\n'


def _lines(values: Mapping[str, Any]) -> str:
    return ",\n".join(f"{json.dumps(key)}: {one_line(value)}" for key, value in values.items())


def one_line(value: Any) -> str:
    """Return JSON without spaces; NaN is refused, since JSON has none."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


# --- Reading -------------------------------------------------------------------------------------


class Store:
    """A store opened for reading. Shards are read, and verified, when first asked for."""

    def __init__(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        self.folder = folder
        self.kind: str = manifest["kind"]
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
        return (overlay and overlay.entry(problem_id)) or self.entry(problem_id)

    def made_on(self, problem_id: str, backend: str) -> str:
        """Return the backend that made what `golden` returns.

        Raises:
            GoldenError: the manifest of the overlay cannot be read.
        """
        overlay = self.overlay(backend)
        return backend if overlay and problem_id in overlay._entries else BASE

    def overlay(self, backend: str) -> Store | None:
        """Return the store of what differs on a backend, or None if nothing does.

        Raises:
            GoldenError: its manifest cannot be read.
        """
        if backend not in self._overlays:
            folder = self.folder / OVERLAYS / backend
            self._overlays[backend] = open_store(folder) if folder.exists() else None
        return self._overlays[backend]

    def overlay_names(self) -> list[str]:
        """Return the backends that have an overlay, sorted."""
        return sorted(path.name for path in (self.folder / OVERLAYS).glob("*/"))

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
        if name not in self._arrays:
            self._arrays[name] = self._load(name)
        return self._arrays[name]

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


# --- Verifying and showing -----------------------------------------------------------------------


def verify(folder: Path) -> list[str]:
    """Return every fault of the store, one line each: file, problem, what is wrong.

    Checks the digest of every shard and of every whole array, arrays without an entry, and files
    without either; overlays and bounds too.

    Raises:
        GoldenError: the manifest itself cannot be read.
    """
    store = open_store(folder)
    faults = [fault for key in store.ids() if (fault := _fault(store, key))]
    for name in store.shards():
        faults += _unlisted_arrays(store, name)
    faults += _unlisted_files(store)
    inner = [f"{OVERLAYS}/{backend}" for backend in store.overlay_names()]
    for name in (*inner, *store.bound_names()):
        faults += verify(folder / name)
    return list(dict.fromkeys(faults))


def _fault(store: Store, key: str) -> str:
    try:
        store.entry(key)
    except GoldenError as error:
        return str(error)
    return ""


def _unlisted_arrays(store: Store, name: str) -> list[str]:
    try:
        arrays = store.shard(name)
    except GoldenError as error:
        return [str(error)]
    return [
        f"{store.folder / name} holds an array {key} that the manifest does not list: "
        f"{store.way_out}"
        for key in sorted(arrays)
        if not store.lists(key, name)
    ]


def _unlisted_files(store: Store) -> list[str]:
    listed = set(store.shards())
    names = (path.relative_to(store.folder) for path in store.folder.rglob("*.safetensors"))
    return [
        f"{store.folder / name} is a shard that the manifest does not list: delete it"
        for name in sorted(names)
        if name.as_posix() not in listed
        and name.parts[0] not in (OVERLAYS, LOWEST, HIGHEST)
        and not name.parts[0].startswith(".")
    ]


def textconv(path: Path) -> str:
    """Return a shard as text for `git diff`: the id of each array, then its values, 8 to a line.

    As many digits as tell every two values of the dtype apart; not-a-numbers show their bits.

    Raises:
        GoldenError: the file cannot be read as a shard.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(path.read_bytes())
        parts = [_array_text(key, arrays[key]) for key in sorted(arrays)]
    except (OSError, SafetensorError, ValueError) as error:
        raise GoldenError(f"{path} cannot be shown: {error}") from error
    return "".join(parts)


def _array_text(key: str, words: Any) -> str:
    """Return the text of one array; complex numbers show as real part and imaginary part."""
    values = words.view(as_dtype(problem_of(key).dtype))
    values = values.view(values.real.dtype)
    bits = values.view(f"u{values.dtype.itemsize}")
    info = ml_dtypes.finfo(values.dtype)  # type: ignore[no-untyped-call]  # it has no types
    digits = math.ceil(1 + (info.nmant + 1) * math.log10(2))
    texts = [
        f"nan:{word:x}" if value != value else f"{value:.{digits}g}"
        for value, word in zip(values.astype(np.float64).tolist(), bits.tolist(), strict=True)
    ]
    rows = (f"  [{i}] {' '.join(texts[i : i + 8])}\n" for i in range(0, len(texts), 8))
    return f"{key}\n{''.join(rows)}"
