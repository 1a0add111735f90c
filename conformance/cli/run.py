"""`conformance run`: run cases, or read a recording of them, and report the verdict."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import sys
from pathlib import Path

from conformance.cases.backends import installed
from conformance.cli.record import ProgressLine
from conformance.core.errors import ExitCode, SelectionError, WorkerGone
from conformance.core.settings import unusual
from conformance.report.recorder import RunRecorder
from conformance.run import options
from conformance.run.blocks import Lot
from conformance.run.isolated import Isolated
from conformance.run.session import Fleet, Recorded, Session, Verdict

SHOWN = 20
"""Failures that are printed in full while the run goes on; the reports hold all."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the cases, the selection, what judges them and what is written."""
    parser.add_argument("cases", nargs="*", metavar="CASE", help="case ids, instead of a selection")
    parser.add_argument(
        "--recording",
        type=Path,
        metavar="DIR",
        help="judge this recording, made anywhere, instead of running here",
    )
    parser.add_argument(
        "--fleet",
        metavar="ADDRESS",
        help="run on this Ray cluster (`auto`: the one that this node belongs to)",
    )
    parser.add_argument(
        "--fleet-timeout",
        type=float,
        default=600.0,
        metavar="S",
        help="seconds for one attempt at one compile group (default: 600)",
    )
    options.add_selection_options(parser.add_argument)
    options.add_judging_options(parser.add_argument)
    options.add_report_options(parser.add_argument)
    options.add_worker_options(parser.add_argument)


def run(arguments: argparse.Namespace) -> int:
    """Run and judge the cases, write the reports, and return the exit code of the verdict."""
    command = shlex.join(["conformance", *sys.argv[1:]])
    recorder = RunRecorder(folder=Path(arguments.reports), command=command)
    session = _session(arguments, recorder.run_id)
    with contextlib.closing(session):
        return _report(arguments, session, recorder)


def _report(arguments: argparse.Namespace, session: Session, recorder: RunRecorder) -> int:
    session.validate_selection()
    session.validate_files()
    for line in (*unusual(session.environment), *installed().faults()):
        print(f"note: {line}")
    ending = "the run was interrupted"
    try:
        judge(session.prepared(), recorder)
        ending = ""
    except WorkerGone as error:  # the cases that it leaves are missing, for that reason
        ending = str(error)
    finally:  # an interrupted run is reported too, as incomplete
        finished = recorder.finish(
            expected=session.expected,
            environment=session.environment,
            ending=ending,
            golden_environment=session.golden_environment,
            matrices=session.matrices,
            junit=arguments.junit_report,
        )
        print("\n".join(recorder.summary_lines()))
    return ExitCode.of(failed=bool(finished.failed), missing=bool(finished.missing))


def judge(session: Session, recorder: RunRecorder) -> None:
    """Take the verdict on every case, and print what is wrong as it comes."""
    progress, n_shown, n_judged = ProgressLine("judged"), 0, 0
    for verdict in session.verdicts():
        if isinstance(verdict, Lot):
            recorder.add_plain(verdict.lines, verdict.counts)
            n_judged += len(verdict.lines)
            progress(n_judged, session.n_cases, verdict.block.case)
            continue
        text = _taken(verdict, session, recorder)
        n_judged += 1
        progress(n_judged, session.n_cases, verdict.case)
        if text:
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


def _session(arguments: argparse.Namespace, run_id: str) -> Session:
    asked = options.read_arguments(arguments)
    if arguments.fleet and arguments.recording:
        raise SelectionError("--fleet and --recording contradict each other: give one")
    if arguments.fleet:
        return Fleet(arguments.fleet, arguments.fleet_timeout, asked, run_id)
    if arguments.recording is not None:
        return Recorded(arguments.recording, asked, run_id)
    if options.runs_here(arguments):
        return Session(asked, run_id)
    return Isolated(options.given(arguments), arguments.case_timeout, run_id)
