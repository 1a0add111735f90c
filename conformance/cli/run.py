"""`conformance run`: run cases, or read a recording of them, and report the verdict."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import sys
from pathlib import Path

from conformance import options
from conformance.backends import BackendUnavailable
from conformance.cli.main import FAILED, INFRASTRUCTURE, OK
from conformance.cli.record import ProgressLine
from conformance.environment import unusual
from conformance.golden import GoldenError
from conformance.matrix import SelectionError
from conformance.report.recorder import RunRecorder
from conformance.session import Fleet, Recorded, Session, failure_text

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
    for line in unusual(session.environment):
        print(f"note: {line}")
    is_whole = False
    try:
        is_whole = judge(session, recorder)
    finally:  # an interrupted run is reported too, as incomplete
        finished = recorder.finish(
            expected=[case.id for case in session.cases],
            environment=session.environment,
            junit=arguments.junit_report,
            html=arguments.html_report,
        )
        print("\n".join(recorder.summary_lines()))
    if not is_whole:
        return INFRASTRUCTURE
    return OK if finished.is_green else FAILED


def judge(session: Session, recorder: RunRecorder) -> bool:
    """Judge every case, print failures as they come, and return whether each case has a verdict."""
    progress, n_failed, is_whole = ProgressLine("judged"), 0, True
    for number, case in enumerate(session.arriving(), start=1):
        try:
            result, values = session.evaluate(case)
        except (BackendUnavailable, GoldenError) as error:
            is_whole = False
            progress.clear()
            print(f"no verdict on {case.id}: {error}")
            continue
        recorder.add(values)
        progress(number, len(session.cases), result.observation)
        if text := failure_text(result):
            n_failed += 1
            progress.clear()
            _show(text, n_failed)
    return is_whole


def _show(text: str, n_failed: int) -> None:
    if n_failed <= SHOWN:
        print(f"{text}\n")
    elif n_failed == SHOWN + 1:
        print("more cases fail; the reports hold them all\n")


def _session(arguments: argparse.Namespace, run_id: str) -> Session:
    value, cases = options.values_of(arguments), tuple(arguments.cases)
    if arguments.fleet and arguments.recording:
        raise SelectionError("--fleet and --recording contradict each other: give one")
    if arguments.fleet:
        return Fleet(arguments.fleet, arguments.fleet_timeout, value, run_id, cases)
    if arguments.recording is not None:
        return Recorded(arguments.recording, value, run_id, cases)
    return Session(value, run_id, cases)
