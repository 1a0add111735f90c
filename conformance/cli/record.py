"""`conformance record`: run cases and store what they returned, without judging."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from conformance.cases.builtin import load_catalogue
from conformance.cases.selection import select
from conformance.core.errors import ExitCode, JournalError
from conformance.core.paths import PROVENANCE
from conformance.core.records import Observation, Raised
from conformance.core.settings import unusual
from conformance.observe import environment
from conformance.observe.journal import journal_path
from conformance.observe.record import record
from conformance.run import options
from conformance.store.read import Store

SHOWN = 20
"""Cases that the machine failed and that are printed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the selection and where the recording goes."""
    parser.add_argument("cases", nargs="*", metavar="CASE", help="case ids, instead of a selection")
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="new folder to record into", type=Path
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with the recording of DIR that was killed"
    )
    parser.add_argument(
        "--whole", action="store_true", help="store all elements, however large an array is"
    )
    options.add_selection_options(parser.add_argument)


def run(arguments: argparse.Namespace) -> int:
    """Record the selected cases; MISSING when the machine failed one of them."""
    catalogue = load_catalogue()
    selection = options.selection_here(options.read_arguments(arguments))
    cases = select(catalogue, selection)
    out: Path = arguments.out
    for line in unusual(environment.capture()):
        print(f"note: {line}", file=sys.stderr)
    try:
        store = record(
            cases,
            catalogue,
            out,
            resume=arguments.resume,
            is_whole=arguments.whole,
            progress=ProgressLine(),
        )
    except (KeyboardInterrupt, JournalError):
        if (journal := journal_path(out)).exists():
            print(f"{journal} keeps the rows so far: go on with --resume", file=sys.stderr)
        raise
    return report(store)


def report(store: Store) -> int:
    """Say what was recorded, and by name what was not; return the exit code."""
    provenance = store.provenance[-1]
    print(f"recorded {len(store)} cases in {store.folder}")
    if provenance["left_out"]:
        names = ", ".join(provenance["left_out"])
        print(f"left out, since Flax is absent or does not have them: {names}", file=sys.stderr)
    faults = provenance["machine_faults"]
    for key in faults[:SHOWN]:
        outcome = store.observation(key).outcome
        assert isinstance(outcome, Raised)
        print(f"the machine failed {key}: {first_line(outcome.message)}", file=sys.stderr)
    if (rest := len(faults) - SHOWN) > 0:
        print(f"and {rest} more; {store.folder / PROVENANCE} names them", file=sys.stderr)
    return ExitCode.of(missing=bool(faults))


def first_line(text: str) -> str:
    """Return the first line of a message."""
    return text.partition("\n")[0]


class ProgressLine:
    """Says on stderr how far a run is: in place on a terminal, else every ten seconds.

    verb: what happens to each case, as in `recorded`.
    """

    def __init__(self, verb: str = "recorded") -> None:
        self._verb = verb
        self._start = self._said = time.monotonic()
        self._in_place = sys.stderr.isatty()

    def __call__(self, number: int, total: int, observation: Observation) -> None:
        """Note that case `number` of `total` is done."""
        time_s = time.monotonic()
        if time_s - self._said < (0.2 if self._in_place else 10.0) and number < total:
            return
        self._said = time_s
        text = f"{self._verb} {number} of {total} in {time_s - self._start:.0f} s"
        text += f": {observation.case.id}"
        sys.stderr.write(f"\r\x1b[2K{text[:100]}" if self._in_place else f"{text}\n")
        if self._in_place and number == total:
            sys.stderr.write("\n")
        sys.stderr.flush()

    def clear(self) -> None:
        """Make room for a line of output; the next call draws the progress again."""
        if self._in_place:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
