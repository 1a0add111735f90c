"""A pod: several processes share the devices over which one array is spread.

JAX runs one program in all of them, and each sees what its own devices hold. So each process writes
its parts to a file of its own, row by row, and whoever has all files puts the arrays together. A
process that is lost costs the cases that were not done, and is named.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from conformance.cases.catalogue import Catalogue, InitializerSpec
from conformance.cases.selection import Selection, select
from conformance.core.arrays import as_dtype, returned
from conformance.core.errors import BackendUnavailable, GoldenError, SelectionError
from conformance.core.files import writing
from conformance.core.ids import Case, parse_case
from conformance.core.reading import naming, parse_json
from conformance.core.reading import record as read_record
from conformance.core.records import (
    BASE,
    Entry,
    Environment,
    Observation,
    Outcome,
    Raised,
    Returned,
)
from conformance.core.settings import differences
from conformance.core.versions import PARTS
from conformance.core.words import counted
from conformance.observe import environment
from conformance.observe.backends.problem import settings, typed_key
from conformance.observe.backends.transforms import TRANSFORMS
from conformance.observe.process import SHARDS
from conformance.observe.record import Progress
from conformance.store.entries import entry_of, one_line

SPREAD = "sharded"
"""The transform whose arrays all devices share."""

OTHER_BITS = "0" * 64
"""Stands for the digest of a second call of which some process holds other bits."""

WAY_OUT = "record it anew with `conformance record --coordinator ...`"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """The place of a process in a pod: number `index` of `count`, from 0, as JAX numbers them.

    coordinator: host and port at which process 0 is met.
    """

    coordinator: str
    index: int
    count: int

    @property
    def file_name(self) -> str:
        """What its file is called."""
        return f"process-{self.index}-of-{self.count}.parts"


FILE_NAME = re.compile(r"process-(\d+)-of-(\d+)\.parts")


def seat_of(coordinator: str, process: str) -> Seat:
    """Return the seat that a command names. process: as in `0/2`.

    Raises:
        SelectionError: it is none.
    """
    index, slash, count = process.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise SelectionError(
            f"--process {process!r} is not understood: write --process 0/2 for the first of two"
        )
    if SHARDS % int(count):
        raise SelectionError(
            f"--process {process}: {count} processes do not divide {SHARDS} devices"
        )
    return Seat(coordinator=coordinator, index=int(index), count=int(count))


def spread_cases(catalogue: Catalogue, selection: Selection) -> list[Case]:
    """Return the selected cases; a pod has the devices that of one process only the CPU has.

    Raises:
        SelectionError: see `select`.
    """
    if selection.cases:
        return select(catalogue, selection)
    like = select(catalogue, dataclasses.replace(selection, backends=(BASE,)))
    return [dataclasses.replace(case, backend=each) for each in selection.backends for case in like]


# --- In each process -----------------------------------------------------------------------------
def record_parts(
    cases: Sequence[Case],
    catalogue: Catalogue,
    folder: Path,
    seat: Seat,
    *,
    asked: str,
    progress: Progress,
) -> Path:
    """Join the pod, and write what this process holds of each case to its file in the folder.

    To be called before JAX has opened a device.

    Raises:
        BackendUnavailable: the pod has another number of devices than arrays are spread over.
        SelectionError: a case is not spread over devices, or they are of several backends.
        GoldenError: the file exists, or cannot be written.
    """
    import jax

    platform = _one_platform(cases)
    path = folder / seat.file_name
    if path.exists():
        raise GoldenError(f"{path} is there already: name another folder by --out")
    jax.distributed.initialize(seat.coordinator, seat.count, seat.index)
    devices = jax.devices(platform)
    if len(devices) != SHARDS:
        raise BackendUnavailable(
            f"the pod has {len(devices)} devices of {platform}, and arrays are spread over "
            f"{SHARDS}: change the number of its processes"
        )
    head = {
        "process": seat.index,
        "processes": seat.count,
        "cases": [case.id for case in cases],
        "asked": asked,
        "environment": dataclasses.asdict(environment.capture((platform,))),
    }
    with writing(path):
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as stream:
            stream.write(one_line(PARTS.stamped(head)) + "\n")
            for number, case in enumerate(cases, start=1):
                held = _held(case, catalogue.lookup(case.problem.initializer), devices)
                stream.write(one_line({"id": case.id, "device": devices[0].device_kind, **held}))
                stream.write("\n")
                stream.flush()
                progress(number, len(cases), case)
    jax.distributed.shutdown()  # type: ignore[no-untyped-call]  # JAX leaves it untyped
    return path


def _one_platform(cases: Sequence[Case]) -> str:
    """Return the backend of the cases; the arrays of all must be spread over its devices."""
    platforms = sorted({case.backend for case in cases})
    wrong = [case.id for case in cases if case.transform != SPREAD]
    if wrong or len(platforms) > 1:
        raise SelectionError(
            "a pod records arrays that the devices of one backend share, and "
            f"{wrong[0] if wrong else ' and '.join(platforms)} is asked for: name --transform "
            f"{SPREAD} and one --backend"
        )
    return platforms[0]


def _held(case: Case, spec: InitializerSpec, devices: Sequence[Any]) -> dict[str, Any]:
    """Return the parts of the array that this process holds, replicas left out."""
    problem = case.problem
    try:
        with settings(problem):
            call = TRANSFORMS[SPREAD](spec.build(), problem, list(devices))
            key = typed_key(problem)
            array, again = call(key), call(key)
            parts, repeated = _parts(array), _parts(again)
    except Exception as error:
        return {"raised": type(error).__name__, "message": str(error)}
    return {
        "dtype": str(array.dtype),
        "shape": list(array.shape),
        "weak_type": bool(getattr(array.aval, "weak_type", False)),
        "parts": parts,
        "is_repeated": parts == repeated,
    }


def _parts(array: Any) -> list[dict[str, Any]]:
    shards = (each for each in array.addressable_shards if each.replica_id == 0)
    return [_part(each, array.shape) for each in shards]


def _part(shard: Any, shape: tuple[int, ...]) -> dict[str, Any]:
    where = [part.indices(size)[:2] for part, size in zip(shard.index, shape, strict=True)]
    bits = np.ascontiguousarray(shard.data).tobytes()
    return {
        "where": where,
        "bits": base64.b64encode(bits).decode(),
        "sha256": hashlib.sha256(bits).hexdigest(),
    }


# --- Where all files are -------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What all processes of a pod recorded. lost: what is not there, and of whom, a line each."""

    environment: Environment
    asked: str
    entries: Mapping[str, Entry]
    lost: tuple[str, ...]


def parts_in(folder: Path) -> list[Path]:
    """Return the files of a pod's processes that lie in the folder."""
    return sorted(path for path in folder.glob("*.parts") if FILE_NAME.fullmatch(path.name))


def joined(folder: Path, catalogue: Catalogue) -> Joined:
    """Put together the arrays of which the processes of a pod hold parts.

    Raises:
        GoldenError: no process wrote anything, a file is damaged, or the processes were asked for
            other cases, or ran under other versions or settings.
    """
    files = [found for path in parts_in(folder) if (found := _File.read(path))]
    if not files:
        raise GoldenError(f"{folder} holds no parts of arrays: {WAY_OUT}")
    first = files[0]
    for each in files[1:]:
        _require_one_pod(first, each)
    present = {each.head.process: each for each in files}
    numbers = range(first.head.processes)
    cases = first.head.cases
    whole = [
        key
        for key in cases
        if all(index in present and key in present[index].rows for index in numbers)
    ]
    return Joined(
        environment=first.head.environment,
        asked=first.head.asked,
        entries={
            key: _joined(key, [each.rows[key] for each in files], catalogue, folder)
            for key in whole
        },
        lost=tuple(
            f"{folder}: process {index} of {len(numbers)}, counted from 0, {how}"
            for index in numbers
            if (how := _lost(present.get(index), cases))
        ),
    )


def _require_one_pod(one: _File, other: _File) -> None:
    faults = differences(one.head.environment, other.head.environment)
    if (one.head.cases, one.head.processes) != (other.head.cases, other.head.processes):
        faults.append("another selection, or another number of processes")
    if faults:
        raise GoldenError(
            f"{one.path} and {other.path} are not of one pod ({'; '.join(faults)}): {WAY_OUT}"
        )


def _lost(found: _File | None, cases: Sequence[str]) -> str:
    """Return what is not there of a process; "" if all is."""
    if found is None:
        return "is not there: copy its file, or record anew"
    absent = [key for key in cases if key not in found.rows]
    if not absent:
        return ""
    total = counted(len(cases), "case")
    return f"was lost before {absent[0]}: nothing is known of {len(absent)} of {total}"


def _joined(key: str, rows: Sequence[_Row], catalogue: Catalogue, folder: Path) -> Entry:
    case, outcome = parse_case(key), _outcome(key, rows, folder)
    repeat = None
    if isinstance(outcome, Returned):
        repeat = outcome.sha256 if all(row.is_repeated for row in rows) else OTHER_BITS
    observation = Observation(
        case=case,
        outcome=outcome,
        repeat_sha256=repeat,
        device=rows[0].device,
        elapsed_s=0.0,
    )
    return entry_of(observation, catalogue.lookup(case.problem.initializer).family)


def _outcome(key: str, rows: Sequence[_Row], folder: Path) -> Outcome:
    if len({(each.raised, each.dtype, each.shape, each.weak_type) for each in rows}) > 1:
        raise GoldenError(
            f"{folder}: the processes do not agree on {key} (dtype, shape or exception): {WAY_OUT}"
        )
    first = rows[0]
    if first.raised is not None:
        return Raised(exception=first.raised, message=first.message)
    array = np.zeros(first.shape, as_dtype(first.dtype))
    seen = np.zeros(first.shape, np.uint8)
    for part in (part for row in rows for part in row.parts):
        where = tuple(slice(*each) for each in part.where)
        bits = _bits(part)
        if bits is None or len(bits) != array[where].nbytes:
            raise GoldenError(f"{folder}: a part of {key} is damaged: {WAY_OUT}")
        array[where] = np.frombuffer(bits, array.dtype).reshape(array[where].shape)
        seen[where] += 1
    if not (seen == 1).all():
        raise GoldenError(
            f"{folder}: of {array.size} elements of {key} {int((seen == 0).sum())} are held by no "
            f"process and {int((seen > 1).sum())} by several: {WAY_OUT}"
        )
    return returned(array, weak_type=first.weak_type)


def _bits(part: _Part) -> bytes | None:
    """Return the bits of a part; None where they are not those that its process held."""
    try:
        bits = base64.b64decode(part.bits, validate=True)
    except ValueError:
        return None
    is_held = part.sha256 in (None, hashlib.sha256(bits).hexdigest())
    return bits if is_held else None


# --- Files ---------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    process: int
    processes: int
    cases: tuple[str, ...]
    asked: str
    environment: Environment


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A part of an array. sha256: of its bits; None in a file that states none."""

    where: tuple[tuple[int, ...], ...]
    bits: str
    sha256: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    id: str
    device: str
    raised: str | None = None
    message: str = ""
    dtype: str = ""
    shape: tuple[int, ...] = ()
    weak_type: bool = False
    parts: tuple[_Part, ...] = ()
    is_repeated: bool = True


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """What one process wrote; a torn last line is left out."""

    path: Path
    head: _Head
    rows: Mapping[str, _Row]

    @classmethod
    def read(cls, path: Path) -> _File | None:
        """Return what a file holds; None if the process was lost before its first line."""
        data = path.read_bytes()
        lines = data[: data.rfind(b"\n") + 1].splitlines()
        if not lines:
            return None
        with naming(path, GoldenError, WAY_OUT):
            head = read_record(
                _Head, PARTS.content(parse_json(lines[0].decode()), path, GoldenError)
            )
            rows = [read_record(_Row, parse_json(line.decode())) for line in lines[1:]]
        return cls(path=path, head=head, rows={row.id: row for row in rows})
