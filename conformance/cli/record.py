"""`conformance record`: run cases and store what they returned, without judging."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from conformance.cases.builtin import load_catalogue
from conformance.cases.selection import select
from conformance.cli.progress import Progress
from conformance.core.errors import (
    ExitCode,
    GoldenError,
    JournalError,
    WorkerGone,
)
from conformance.core.ids import Case, parse_case
from conformance.core.paths import PROVENANCE
from conformance.core.settings import unusual
from conformance.core.words import counted
from conformance.observe import environment
from conformance.observe.journal import journal_path
from conformance.observe.pod import joined, record_parts, seat_of, spread_cases
from conformance.observe.process import SHARDS, force_host_devices
from conformance.observe.record import failed_by_the_machine, finish, record, write_recording
from conformance.observe.worker import Answered, Voice, supervised
from conformance.run import options
from conformance.run.interruption import telling_what_is_kept
from conformance.store.read import Store, open_store

SHOWN = 20
"""Cases that the machine failed and that are printed."""


def run(arguments: argparse.Namespace) -> int:
    """Record the selected cases; MISSING when the machine failed one of them."""
    if arguments.finish:
        return _finish(arguments)
    if arguments.coordinator:
        return _record_parts(arguments)
    asked = {
        "options": options.given(arguments),
        "out": str(arguments.out),
        "resume": arguments.resume,
        "whole": arguments.whole,
    }
    try:
        with telling_what_is_kept(lambda: _kept(arguments.out)):
            if options.runs_here(arguments):
                with Progress("recorded") as progress:
                    _record(asked, progress=progress)
            else:
                record_supervised(asked, arguments.case_timeout)
    except (JournalError, WorkerGone):
        if kept := _kept(arguments.out):
            print(kept, file=sys.stderr)
        raise
    return report(open_store(arguments.out))


def _kept(out: Path) -> str:
    """Return how to go on with what was recorded so far, if anything was."""
    journal = journal_path(out)
    return f"{journal} keeps the rows so far: go on with --resume" if journal.exists() else ""


def _finish(arguments: argparse.Namespace) -> int:
    folders = [path for path in arguments.finish if path.is_dir()]
    if len(folders) == len(arguments.finish) == 1:
        return _finish_pod(folders[0], arguments.out)
    names = ", ".join(path.name for path in arguments.finish)
    return report(finish(arguments.finish, arguments.out, f"what {names} held"))


def _finish_pod(folder: Path, out: Path) -> int:
    """Put the parts of a pod together; MISSING where a process was lost."""
    found = joined(folder, load_catalogue())
    for line in found.lost:
        print(line, file=sys.stderr)
    if not found.entries:
        raise GoldenError(f"{folder}: no array is whole, so there is nothing to record")
    code = report(
        write_recording(out, list(found.entries.values()), found.environment, found.asked)
    )
    return ExitCode.first(code, ExitCode.of(missing=bool(found.lost)))


def _record_parts(arguments: argparse.Namespace) -> int:
    """Record what this process of a pod holds, here: JAX knows its devices from the start."""
    seat = seat_of(arguments.coordinator, arguments.process)
    force_host_devices(count=SHARDS // seat.count)
    given = options.read_arguments(arguments)
    catalogue = load_catalogue()
    cases = spread_cases(catalogue, given.on())
    with Progress("recorded") as progress:
        path = record_parts(
            cases, catalogue, arguments.out, seat, asked=given.asked.text, progress=progress
        )
    print(f"recorded parts of {counted(len(cases), 'case')} in {path}")
    return ExitCode.OK


def _record(asked: Mapping[str, Any], **how: Any) -> None:
    """Record what was asked for in this process. how: further arguments of `record`."""
    catalogue = load_catalogue()
    given = options.read_given(asked["options"])
    cases = select(catalogue, options.selection_here(given))
    lost = how.get("lost")
    if not lost:  # else it was said
        for line in unusual(environment.capture()):
            print(f"note: {line}", file=sys.stderr)
    record(
        cases,
        catalogue,
        Path(asked["out"]),
        resume=asked["resume"] or bool(lost),
        is_whole=asked["whole"],
        asked=given.asked.text,
        **how,
    )


# --- In a worker ---------------------------------------------------------------------------------
TASK = "conformance.cli.record:record_apart"


def record_apart(asked: Mapping[str, Any], lost: Mapping[str, str], voice: Voice) -> None:
    """Record, and tell the parent of each case."""

    def begun(cases: Sequence[Case]) -> None:
        voice.begin([case.id for case in cases])

    def progress(number: int, total: int, case: Case) -> None:
        voice.answer(case.id, number=number, total=total)

    _record(asked, lost=lost, begun=begun, progress=progress)


def record_supervised(asked: Mapping[str, Any], timeout_s: float) -> None:
    """Record in a worker; one that dies costs the case that it was in. asked: as `run` asks."""
    events = contextlib.closing(supervised(TASK, asked, timeout_s))
    with Progress("recorded") as progress, events as told:
        for event in told:
            if isinstance(event, Answered):
                progress(**event.answer, what=parse_case(event.case))


def report(store: Store) -> int:
    """Say what was recorded, and by name what was not; return the exit code."""
    provenance = store.latest
    print(f"recorded {counted(len(store), 'case')} in {store.folder}")
    if provenance["left_out"]:
        names = ", ".join(provenance["left_out"])
        print(f"left out, since Flax is absent or does not have them: {names}", file=sys.stderr)
    faults = failed_by_the_machine(store)
    say_failed(dict(itertools.islice(faults.items(), SHOWN)))
    if (rest := len(faults) - SHOWN) > 0:
        print(f"and {rest} more; {store.folder / PROVENANCE} names them", file=sys.stderr)
    return ExitCode.of(missing=bool(faults))


def say_failed(faults: Mapping[str, str]) -> None:
    """Say which cases the machine failed, and how."""
    for key, how in faults.items():
        print(f"the machine failed {key}: {how}", file=sys.stderr)
