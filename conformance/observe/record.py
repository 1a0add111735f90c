"""Record: observe cases and store what they returned, without judging.

Runs where only JAX, NumPy, ml_dtypes and safetensors are installed. Each observation is appended
to a journal beside the folder at once, so that a killed recording keeps all but the case it was in;
the folder itself appears only when the recording is whole.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import datetime
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from conformance import environment, lowering
from conformance.backends import open_backend
from conformance.catalogue import Catalogue, InitializerSpec
from conformance.golden import (
    RECORDING,
    Entry,
    GoldenError,
    Store,
    entry_fields,
    entry_from,
    one_line,
    open_store,
    reduced,
    refused,
    shard_name,
    write_store,
)
from conformance.matrix import EmptySelection
from conformance.model import SCHEMA, Case, Environment, Observation, Outcome, Raised, Returned
from conformance.observer import Observer

Progress = Callable[[int, int, Observation], None]
"""Called after each case: the number of this one, the number of all, what came of it."""

MACHINE_FAULTS = (
    "RESOURCE_EXHAUSTED",
    "UNAVAILABLE",
    "ABORTED",
    "CANCELLED",
    "DATA_LOSS",
    "DEADLINE_EXCEEDED",
)
"""XLA status codes that speak of the machine, not of the program that ran on it."""

SIGNS_OF_THE_MACHINE = re.compile(
    r"CUDA_ERROR|CUDA Runtime error|Create\(&handle\) failed|halted unexpectedly|device.lost",
    re.IGNORECASE,
)
"""What messages of any status code hold where the machine is at fault. The first two are XLA's
words for whatever a CUDA driver or runtime returns. cuSOLVER and cuBLAS cannot make their handles
where memory is short or the driver is another (jax issue 23616); a TPU's core halts unexpectedly
(jax issue 9642); Vulkan loses devices."""


class JournalError(GoldenError):
    """The journal could not be written any further; `resume` goes on with it."""


def record(
    cases: list[Case],
    catalogue: Catalogue,
    folder: Path,
    *,
    resume: bool = False,
    progress: Progress | None = None,
) -> Store:
    """Observe the cases, store the outcomes in the new `folder`, and return them as a store.

    The provenance holds the environment; `left_out`, the initializers that need Flax where none is
    installed; `machine_faults`, the cases that the machine failed (out of memory, device lost); and
    `programs`, `calls` and `folded`, what JAX lowers here, to tell it from how that is compiled and
    from the libraries that it meets.

    resume: go on with the journal that a killed recording left, if there is one. Cases that the
        machine failed are run again.

    Raises:
        BackendUnavailable: a backend has no device here; nothing has been written then.
        EmptySelection: no case is left.
        GoldenError: the folder is not empty, or its journal belongs to another recording.
        JournalError: the disk refuses; what was recorded by then is kept in the journal.
    """
    cases, left_out = _without_absent_flax(cases, catalogue)
    if not cases:
        raise EmptySelection(f"Flax is not installed, and only it has {', '.join(left_out)}")
    platforms = tuple(sorted({case.backend for case in cases}))
    for name in platforms:
        open_backend(name)
    captured = environment.capture(platforms)
    journal = Journal(journal_path(folder), header_line(cases, captured))
    entries = resumable(folder, journal, resume)
    with journal.appending() as append:
        for entry in _observed(cases, catalogue, entries, progress):
            append(entry)
            entries[entry.id] = entry
    provenance = {
        "environment": dataclasses.asdict(captured),
        "date": now(),
        "left_out": left_out,
        "machine_faults": [key for key in sorted(entries) if machine_fault(entries[key].outcome)],
        **lowering.recorded(cases, catalogue),
    }
    _publish(folder, list(entries.values()), provenance)
    journal.path.unlink()
    return open_store(folder)


def journal_path(folder: Path) -> Path:
    """Return where an unfinished recording of `folder` keeps its rows."""
    return folder.with_name(f"{folder.name}.journal")


def machine_fault(outcome: Outcome) -> bool:
    """Return whether the call failed for want of memory or of a device, not by its own doing."""
    if not isinstance(outcome, Raised):
        return False
    return (
        outcome.exception == "MemoryError"
        or outcome.message.startswith(MACHINE_FAULTS)
        or SIGNS_OF_THE_MACHINE.search(outcome.message) is not None
    )


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def entry_of(observation: Observation, family: str) -> Entry:
    """Return the observation as it is stored."""
    return reduced(
        Entry(
            id=observation.case.id,
            shard=shard_name(family, observation.case.problem.initializer),
            outcome=observation.outcome,
            extra={
                "stages": dict(observation.stages),
                "device": observation.device,
                "elapsed_s": round(observation.elapsed_s, 6),
                "mode": observation.mode,
                "repeat_sha256": observation.repeat_sha256,
            },
        )
    )


def _observed(
    cases: list[Case],
    catalogue: Catalogue,
    known: Mapping[str, Entry],
    progress: Progress | None,
) -> Iterator[Entry]:
    observer = Observer(catalogue)
    for number, case in enumerate(cases, start=1):
        if case.id in known:
            continue
        observation = _with_stages(observer, observer.observe(case))
        yield entry_of(observation, catalogue.lookup(case.problem.initializer).family)
        if progress is not None:
            progress(number, len(cases), observation)


def _with_stages(observer: Observer, observation: Observation) -> Observation:
    """Return the observation with its stages, or as it is where they cannot be computed.

    Stages only explain a difference: a failure among them must not cost what was observed.
    """
    try:
        return observer.with_stages(observation)
    except Exception:
        return observation


def _without_absent_flax(cases: list[Case], catalogue: Catalogue) -> tuple[list[Case], list[str]]:
    names = sorted({case.problem.initializer for case in cases})
    left_out = [name for name in names if _needs_absent_flax(catalogue.lookup(name))]
    return [case for case in cases if case.problem.initializer not in left_out], left_out


def _needs_absent_flax(spec: InitializerSpec) -> bool:
    if not any(name.startswith("flax.") for name in spec.public_names):
        return False
    try:
        spec.build()
    except ModuleNotFoundError as error:
        return (error.name or "").partition(".")[0] == "flax"
    except Exception:  # an outcome of its cases, recorded as such
        return False
    return False


def _publish(folder: Path, entries: list[Entry], provenance: Mapping[str, Any]) -> None:
    """Write the store beside its place and rename it, so that no half of it is ever seen."""
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        write_store(draft, entries, kind=RECORDING, provenance=[provenance])
        draft.rename(folder)
    except OSError as error:
        raise refused(folder, error) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


# --- The journal ---------------------------------------------------------------------------------


def header_line(cases: list[Case], captured: Environment) -> dict[str, Any]:
    """Return the first row of a journal: what is recorded, and where."""
    ids = "\n".join(sorted(case.id for case in cases))
    return {
        "schema": SCHEMA,
        "cases": hashlib.sha256(ids.encode()).hexdigest(),
        "environment": dataclasses.asdict(captured),
    }


def resumable(folder: Path, journal: Journal, resume: bool) -> dict[str, Entry]:
    """Return what the journal holds already, or refuse to touch what is there."""
    if folder.exists() and any(folder.iterdir()):
        raise GoldenError(f"{folder} is not empty: name a new folder, or remove it first")
    if not journal.path.exists():
        return {}
    if not resume:
        raise GoldenError(
            f"{journal.path} holds an unfinished recording: "
            "go on with it by --resume, or delete it to begin anew"
        )
    return journal.read()


class Journal:
    """Entries as JSON lines after a header that says which recording they belong to."""

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self.path = path
        self._header = header

    def read(self) -> dict[str, Entry]:
        """Return the entries, but for those that the machine failed, and drop a torn last line.

        Raises:
            GoldenError: it is the journal of other cases or of another environment, or is damaged.
        """
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        os.truncate(self.path, len(whole))
        try:
            header, *rows = [json.loads(line) for line in whole.splitlines()] or [self._header]
            self._require_same(header)
            entries = [_journal_entry(row) for row in rows]
        except (KeyError, TypeError, ValueError) as error:
            raise GoldenError(
                f"{self.path} is damaged ({error}): delete it and record anew"
            ) from error
        return {entry.id: entry for entry in entries if not machine_fault(entry.outcome)}

    def _require_same(self, header: Mapping[str, Any]) -> None:
        was, here = (Environment(**part["environment"]) for part in (header, self._header))
        faults = environment.differences(was, here)
        if header["cases"] != self._header["cases"]:
            faults.append("another selection of cases")
        if faults:
            raise GoldenError(
                f"{self.path} was begun otherwise ({'; '.join(faults)}): "
                "restore that, or delete the journal to begin anew"
            )

    @contextlib.contextmanager
    def appending(self) -> Iterator[Callable[[Entry], None]]:
        """Return a function that appends an entry and hands it to the system at once.

        Raises:
            JournalError: the disk refuses.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as stream:
                if not stream.tell():
                    _append(stream, self._header)
                yield lambda entry: _append(stream, _journal_row(entry))
        except OSError as error:
            raise JournalError(
                f"{self.path} cannot be written: {error.strerror or error}. "
                "Free the disk or fix the permissions"
            ) from error


def _append(stream: TextIO, row: Mapping[str, Any]) -> None:
    stream.write(one_line(row) + "\n")
    stream.flush()


def _journal_row(entry: Entry) -> dict[str, Any]:
    row = {"id": entry.id, **entry_fields(entry), "bits": ""}
    if isinstance(entry.outcome, Returned):
        row["bits"] = base64.b64encode(entry.outcome.bits).decode()
        if entry.outcome.drawn is not None:
            row["drawn_bits"] = base64.b64encode(entry.outcome.drawn).decode()
    return row


def _journal_entry(row: Mapping[str, Any]) -> Entry:
    drawn = base64.b64decode(row["drawn_bits"]) if "drawn_bits" in row else None
    return entry_from(row["id"], row, base64.b64decode(row["bits"]), drawn)
