"""`conformance run`: run cases, or read a recording of them, and report the verdict."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from conformance.cases.backends import installed
from conformance.cli.arguments.forms import STDOUT
from conformance.cli.output import tell, write_all
from conformance.cli.progress import Progress
from conformance.core.errors import ExitCode, SelectionError, WorkerGone
from conformance.core.files import locked
from conformance.core.settings import unusual
from conformance.core.words import counted
from conformance.report.as_json import to_json
from conformance.report.lots import Lots, Told
from conformance.report.page.model import Figure
from conformance.report.recorder import RunRecorder
from conformance.report.run import is_noteworthy
from conformance.run import options, resuming
from conformance.run.interruption import telling_what_is_kept
from conformance.run.isolated import Isolated
from conformance.run.resuming import Begun
from conformance.run.session import Recorded, Session, Verdict

SHOWN = 20
"""Failures that are printed in full while the run goes on; the reports hold all."""


def run(arguments: argparse.Namespace) -> int:
    """Run and judge the cases, write the reports, and return the exit code of the verdict."""
    command = shlex.join(["conformance", *sys.argv[1:]])
    if arguments.resume is not None:
        return _resume(arguments, command)
    recorder = RunRecorder(folder=Path(arguments.reports), command=command)
    given = options.given(arguments)
    if arguments.fast and _is_elsewhere(arguments):
        raise SelectionError(
            "--fast is for cases that are run here: leave it out beside --fleet and --recording"
        )
    session = _session(arguments, given, recorder.run_id)
    with contextlib.closing(session), contextlib.ExitStack() as held:
        session.validate_files()
        recorder.prepare()
        if arguments.recording is None:
            resuming.note(recorder.folder, _begun(given, session, arguments.fleet))
            held.enter_context(locked(recorder.folder))
        return _report(arguments, session, recorder)


def _resume(arguments: argparse.Namespace, command: str) -> int:
    """Go on with a run, as it was begun; one of a fleet on the same one, or where it is now."""
    folder: Path = arguments.resume
    begun = resuming.read(folder)
    _refuse_another_place(arguments, begun)
    arguments.fleet = arguments.fleet or begun.fleet
    with locked(folder):
        in_blocks = bool(options.read_given(begun.given).asked.ranges)
        done = resuming.take_up(folder, in_blocks=in_blocks)
        recorder = RunRecorder(folder=folder.parent, command=command, run_id=folder.name)
        recorder.take_up()
        given = {**begun.given, "case-timeout": arguments.case_timeout}
        session = _session(arguments, given, recorder.run_id, done)
        with contextlib.closing(session):
            session.validate_files()
            resuming.require_same(folder, begun, _begun(given, session, arguments.fleet))
            resuming.outdate(folder)
            return _report(arguments, session, recorder)


def _begun(given: Mapping[str, Any], session: Session, fleet: str | None) -> Begun:
    return Begun(
        given=given,
        environment=session.environment,
        judged_by=session.judged_by,
        fleet=fleet or "",
    )


def _refuse_another_place(arguments: argparse.Namespace, begun: Begun) -> None:
    """Ensure that a run of a fleet goes on there, and one of this machine here.

    Raises:
        SelectionError: it was asked for elsewhere.
    """
    if arguments.fleet and not begun.fleet:
        raise SelectionError(
            f"{arguments.resume} was begun on this machine: leave out --fleet {arguments.fleet}"
        )
    if begun.fleet and (arguments.in_process or arguments.workers > 1):
        raise SelectionError(
            f"{arguments.resume} was begun on the Ray cluster {begun.fleet}: leave out "
            "--in-process and -n, which are of this machine"
        )


def _report(arguments: argparse.Namespace, session: Session, recorder: RunRecorder) -> int:
    is_text = arguments.json != STDOUT
    notes = [f"note: {line}" for line in (*unusual(session.environment), *installed().faults())]
    if is_text:
        print("\n".join(notes), end="\n" if notes else "")
    ending = "the run was interrupted"
    laws: tuple[Figure, ...] = ()
    try:
        with telling_what_is_kept(lambda: _kept(recorder)):
            session.prepared()
            if is_text:
                print(session.error_budget())
            judge(session, recorder, is_told=is_text)
        ending = ""
        laws = _laws(session, recorder)
    except WorkerGone as error:  # the cases that it leaves are missing, for that reason
        ending = str(error)
    finally:  # an interrupted run is reported too, as incomplete
        finished = recorder.finish(
            expected=session.expected,
            environment=session.environment,
            ending=ending,
            golden_environment=session.golden_environment,
            matrices=session.matrices,
            laws=laws,
            junit=arguments.junit_report,
        )
        files = tell(
            arguments,
            lambda width: "\n".join([*recorder.summary_lines(width), ""]),
            json=lambda: to_json(finished, finished.code),
        )
        code = ExitCode.first(finished.code, write_all(files))
    return code


def _laws(session: Session, recorder: RunRecorder) -> tuple[Figure, ...]:
    """Return plots of the laws of what failed, which takes some seconds where anything did."""
    with Progress("swept") as progress:
        if failed := recorder.failed:
            progress.say("sweeping the laws of what failed")
        return session.laws(failed)


def _kept(recorder: RunRecorder) -> str:
    """Return what an interruption leaves, and how to go on if there is a way."""
    kept = f"{counted(recorder.n_rows, 'verdict')} kept in {recorder.folder}"
    if not resuming.is_noted(recorder.folder):
        return kept
    words = shlex.join(["conformance", "run", "--resume", str(recorder.folder)])
    return f"{kept}: `{words}` goes on"


def judge(session: Session, recorder: RunRecorder, *, is_told: bool) -> None:
    """Take the verdict on every case; is_told: print what is wrong as it comes."""
    n_judged, n_shown, n_drifted = recorder.n_rows, 0, 0
    n_cases = n_judged + session.n_cases
    with Progress("judged", n_judged) as progress:
        for verdict in session.verdicts():
            if isinstance(verdict, Lots | Told):
                recorder.add_lots(verdict)
                n_judged += verdict.n_rows
                n_drifted += verdict.n_noteworthy
                progress(n_judged, n_cases, verdict.block.case, n_drifted)
                continue
            text = _taken(verdict, session, recorder)
            n_judged += 1
            n_drifted += verdict.row is not None and is_noteworthy(verdict.row)
            progress(n_judged, n_cases, verdict.case, n_drifted)
            if text and is_told:
                n_shown += 1
                progress.clear()
                _show(text, n_shown)


def _taken(verdict: Verdict, session: Session, recorder: RunRecorder) -> str:
    """Write the verdict down and return what is wrong, or ""."""
    if verdict.row is not None:
        recorder.add(verdict.row)
        return verdict.text
    recorder.miss(verdict.case.id, verdict.reason)
    again = session.rerun(verdict.case)
    return f"no verdict on {verdict.case.id}: {verdict.reason}\n  rerun: {again}"


def _show(text: str, n_shown: int) -> None:
    if n_shown <= SHOWN:
        print(f"{text}\n")
    elif n_shown == SHOWN + 1:
        print("more is wrong; the reports hold it all\n")


def _session(
    arguments: argparse.Namespace,
    given: Mapping[str, Any],
    run_id: str,
    done: Collection[str] = (),
) -> Session:
    asked = options.read_given(given)
    if arguments.fleet:
        from conformance.run.fleet import Fleet  # a run on this machine needs none of it

        return Fleet(arguments.fleet, arguments.fleet_timeout, given, run_id, done=done)
    if arguments.recording is not None:
        return Recorded(arguments.recording, asked, run_id)
    if options.runs_here(arguments):
        return Session(asked, run_id, done=done)
    n_workers = arguments.workers
    return Isolated(given, arguments.case_timeout, run_id, n_workers=n_workers, done=done)


def _is_elsewhere(arguments: argparse.Namespace) -> bool:
    """Return whether the cases are not run by this machine, now."""
    return bool(arguments.fleet) or arguments.recording is not None
