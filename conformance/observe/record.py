"""Record: observe cases and store what they returned, without judging.

Runs where only JAX, NumPy, ml_dtypes and safetensors are installed. Each observation is appended
to a journal beside the folder at once, so that a killed recording keeps all but the case it was in;
the folder itself appears only when the recording is whole.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from conformance.cases.catalogue import Catalogue, InitializerSpec
from conformance.core.errors import Absent, EmptySelection, GoldenError, InitializerUnavailable
from conformance.core.files import atomic_folder, locked, writing
from conformance.core.ids import Case
from conformance.core.machine import PROCESS_LOST, machine_fault
from conformance.core.records import Entry, Environment, Observation, Raised
from conformance.core.settings import differences
from conformance.observe import environment, lowering
from conformance.observe.backends import open_backend
from conformance.observe.journal import (
    Header,
    Journal,
    header_line,
    journal_path,
    read_journal,
    resumable,
)
from conformance.observe.observer import Observer
from conformance.store.entries import RECORDING, entry_of
from conformance.store.read import Store, open_store
from conformance.store.write import now, write_store

Progress = Callable[[int, int, Case], None]
"""Called after each case: the number of this one, the number of all, the case."""

NOTHING_LOST: Mapping[str, str] = {}

Begun = Callable[[Sequence[Case]], None]
"""Called once all is prepared: the cases that will be observed, in this order."""


def record(
    cases: list[Case],
    catalogue: Catalogue,
    folder: Path,
    *,
    resume: bool = False,
    is_whole: bool = False,
    asked: str = "",
    lost: Mapping[str, str] = NOTHING_LOST,
    begun: Begun | None = None,
    progress: Progress | None = None,
) -> Store:
    """Observe the cases, store the outcomes in the new `folder`, and return them as a store.

    The provenance holds the environment; `asked`, the selection that the cases are; `left_out`, the
    initializers that only Flax has where it is not installed; `machine_faults`, the cases that the
    machine failed (out of memory, device lost); and `programs`, `calls` and `folded`, what JAX
    lowers here, to tell it from how that is compiled and from the libraries that it meets.

    resume: go on with the journal that a killed recording left, if there is one. Cases that the
        machine failed are run again. is_whole: store all elements of every array; see `MOST_KEPT`.
    lost: cases that ended their process, and how: recorded unseen, as faults of the machine.

    Raises:
        BackendUnavailable: a backend has no device here; nothing has been written then.
        EmptySelection: no case is left.
        GoldenError: the folder is not empty, its journal belongs to another recording, or another
            process records into it.
        JournalError: the disk refuses; what was recorded by then is kept in the journal.
    """
    cases, left_out = without_absent(cases, catalogue)
    if not cases:
        reasons = "; ".join(sorted(set(left_out.values())))
        raise EmptySelection(f"no case can be asked here: {reasons}")
    platforms = tuple(sorted({case.backend for case in cases}))
    for name in platforms:
        open_backend(name)
    captured = environment.capture(platforms)
    with locked(folder):
        journal = Journal(journal_path(folder), header_line([case.id for case in cases], captured))
        entries = resumable(folder, journal, resume)
        entries |= _unseen([case for case in cases if case.id in lost], catalogue, lost)
        if begun is not None:
            begun([case for case in cases if case.id not in entries])
        with journal.appending() as append:
            for entry in _observed(cases, catalogue, entries, is_whole, progress):
                append(entry)
                entries[entry.id] = entry
        provenance = {
            "environment": dataclasses.asdict(captured),
            "date": now(),
            "asked": asked,
            "left_out": list(left_out),
            "machine_faults": [
                key for key in sorted(entries) if machine_fault(entries[key].outcome)
            ],
            **lowering.recorded(_traceable(cases, lost), catalogue),
        }
        with writing(folder), atomic_folder(folder) as draft:
            write_store(
                draft,
                list(entries.values()),
                kind=RECORDING,
                provenance=[provenance],
                is_whole=is_whole,
            )
        journal.path.unlink()  # the disk has the folder by now
    return open_store(folder)


def finish(journals: Sequence[Path], folder: Path, asked: str) -> Store:
    """Make a recording of what journals hold, in the new `folder`; they stay where they are.

    What was asked for and not recorded any more is not in it, as if it had not been asked for. Of
    the lowered programs it says nothing: they are of the environment, which may not be this one.

    asked: what the provenance says of the selection.

    Raises:
        GoldenError: a journal is missing or damaged, two are of different environments or have
            different outcomes of one case, or the folder is not empty.
        EmptySelection: they hold no case.
    """
    entries: dict[str, Entry] = {}
    first: Header | None = None
    for path in journals:
        header, found = read_journal(path)
        first = first or header
        if faults := differences(first.environment, header.environment):
            raise GoldenError(
                f"{path} was recorded elsewhere than {journals[0]} ({'; '.join(faults)}): make a "
                "recording of each"
            )
        for key, entry in found.items():
            if key in entries and entries[key].outcome != entry.outcome:
                raise GoldenError(
                    f"{path} has another outcome of {key} than an earlier journal: they are of two "
                    "recordings, so make a recording of each"
                )
        entries |= found
    if first is None or not entries:
        raise EmptySelection(f"{', '.join(map(str, journals))}: no case was recorded yet")
    return write_recording(folder, list(entries.values()), first.environment, asked)


def write_recording(folder: Path, entries: list[Entry], made_in: Environment, asked: str) -> Store:
    """Write what was observed elsewhere as a new recording, which does not say what is lowered.

    Raises:
        GoldenError: the folder is not empty, or the disk refuses.
    """
    provenance = {
        "environment": dataclasses.asdict(made_in),
        "date": now(),
        "asked": asked,
        "left_out": [],
        "machine_faults": [
            entry.id
            for entry in sorted(entries, key=lambda entry: entry.id)
            if machine_fault(entry.outcome)
        ],
    }
    with locked(folder), writing(folder), atomic_folder(folder) as draft:
        write_store(draft, entries, kind=RECORDING, provenance=[provenance])
    return open_store(folder)


def failed_by_the_machine(recording: Store) -> dict[str, str]:
    """Return the cases that the machine failed, each with the first line of how."""
    found = {}
    for key in recording.latest.get("machine_faults", ()):
        outcome = recording.observation(key).outcome
        assert isinstance(outcome, Raised)
        found[key] = outcome.message.partition("\n")[0]
    return found


def _observed(
    cases: list[Case],
    catalogue: Catalogue,
    known: Mapping[str, Entry],
    is_whole: bool,
    progress: Progress | None,
) -> Iterator[Entry]:
    observer = Observer()
    for number, case in enumerate(cases, start=1):
        if case.id in known:
            continue
        spec = catalogue.lookup(case.problem.initializer)
        observation = observer.observe_in_full(case, spec)
        yield entry_of(observation, spec.family, is_whole=is_whole)
        if progress is not None:
            progress(number, len(cases), case)


def _traceable(cases: list[Case], lost: Collection[str]) -> list[Case]:
    """Return the cases of initializers that ended no process: tracing calls them once more."""
    deadly = {case.problem.initializer for case in cases if case.id in lost}
    return [case for case in cases if case.problem.initializer not in deadly]


def _unseen(
    cases: Iterable[Case], catalogue: Catalogue, lost: Mapping[str, str]
) -> dict[str, Entry]:
    """Return the entries of cases that ended their process."""
    entries = {}
    for case in cases:
        outcome = Raised(exception=PROCESS_LOST, message=lost[case.id])
        seen = Observation(case=case, outcome=outcome, repeat_sha256=None, device="", elapsed_s=0)
        family = catalogue.lookup(case.problem.initializer).family
        entries[case.id] = entry_of(seen, family)
    return entries


def without_absent(cases: list[Case], catalogue: Catalogue) -> tuple[list[Case], dict[str, str]]:
    """Return the cases that can be asked here; and why not, by initializer, of those that cannot.

    Those are what only Flax has, where none is installed.
    """
    names = sorted({case.problem.initializer for case in cases})
    reasons = {name: _why_absent(catalogue.lookup(name)) for name in names}
    left_out = {name: reason for name, reason in reasons.items() if reason}
    return [case for case in cases if case.problem.initializer not in left_out], left_out


def _why_absent(spec: InitializerSpec) -> str:
    try:
        spec.build()
    except InitializerUnavailable as error:
        return str(error)
    except Absent:  # a package that is broken can be mended
        raise
    except Exception:  # an outcome of its cases, recorded as such
        return ""
    return ""
