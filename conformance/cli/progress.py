"""How far a command is, on stderr."""

from __future__ import annotations

import datetime as dt
import sys
import time

from conformance.core.ids import Case, Parameter


class ProgressLine:
    """Says on stderr how far a run is: in place on a terminal, else every ten seconds.

    verb: what happens to each case, as in `recorded`. n_before: cases that were done before.
    """

    def __init__(self, verb: str = "recorded", n_before: int = 0) -> None:
        self._verb = verb
        self._n_before = n_before
        self._start = self._said = time.monotonic()
        self._in_place = sys.stderr.isatty()

    def __call__(self, number: int, total: int, case: Case | Parameter, n_drifted: int = 0) -> None:
        """Note that case `number` of `total` is done, and how many of them drifted."""
        time_s = time.monotonic()
        if time_s - self._said < (0.2 if self._in_place else 10.0) and number < total:
            return
        self._said = time_s
        text = f"{self._verb} {number} of {total} in {time_s - self._start:.0f} s"
        text += self._pace(number, total, time_s - self._start)
        text += f", {n_drifted} drifted" if n_drifted else ""
        text += f": {case.id}"
        sys.stderr.write(f"\r\x1b[2K{text[:100]}" if self._in_place else f"{text}\n")
        if self._in_place and number == total:
            sys.stderr.write("\n")
        sys.stderr.flush()

    def _pace(self, number: int, total: int, elapsed_s: float) -> str:
        """Return how many cases are done in a second, and how long the others take at that pace."""
        n_done = number - self._n_before
        if number == total or not elapsed_s or not n_done:
            return ""
        pace = n_done / elapsed_s
        left = dt.timedelta(seconds=round((total - number) / pace))
        return f" ({pace:,.{0 if pace >= 10 else 1}f} a second, {left} left)"

    def clear(self) -> None:
        """Make room for a line of output; the next call draws the progress again."""
        if self._in_place:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
