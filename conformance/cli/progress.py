"""How far a command is: one line on stderr, in place on a terminal, and nowhere else."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TextIO, TypeVar

from conformance.cli.terminal import SOME_WIDTH, width_of
from conformance.core.watching import pace

T = TypeVar("T")

EVERY_S = 0.1
"""How often the line is drawn anew."""

CLEAR = "\r\x1b[2K"
"""To the start of the row, and all of it blank. No colour: there is none that NO_COLOR could turn
off."""


class Named(Protocol):
    """What has an id: a case, a block of them, a parameter."""

    @property
    def id(self) -> str:
        """Its name."""


class Progress:
    """Draws the line while the block that it opens runs, and leaves nothing of it behind.

    Where standard error is no terminal, or one that cannot go back, nothing is drawn. The line
    never takes a second row, of which a part would stay: what does not fit is left out.

    verb: what happens to each, as in `recorded`. n_before: how many were done before. bad: what is
        wrong with those that are counted apart. stream: standard error, unless it is another one.
    """

    def __init__(
        self,
        verb: str = "",
        n_before: int = 0,
        *,
        bad: str = "drifted",
        stream: TextIO | None = None,
    ) -> None:
        self._stream = stream or sys.stderr
        self._verb = verb
        self._bad = bad
        self._n_before = n_before
        self._start_s = time.monotonic()
        self._drawn_s = -EVERY_S
        self._is_drawn = False
        self._is_shown = self._stream.isatty() and os.environ.get("TERM") != "dumb"

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def __call__(self, number: int, total: int, what: Named, n_bad: int = 0) -> None:
        """Note that `number` of `total` are done, `what` last, and how many of them are bad."""
        if self._is_due:
            self._count(number, total, what.id, n_bad)

    def over(
        self,
        results: Iterable[T],
        total: int,
        *,
        name: Callable[[T], str] = str,
        is_bad: Callable[[T], bool] = lambda _: False,
    ) -> Iterator[T]:
        """Pass results on, and count each, and each that is bad, as it comes."""
        n_bad = 0
        for number, result in enumerate(results, start=1):
            n_bad += is_bad(result)
            if self._is_due:
                self._count(number, total, name(result), n_bad)
            yield result

    def say(self, text: str) -> None:
        """Show what the command does that cannot be counted."""
        self._draw(text)

    def tell(self, text: str) -> None:
        """Print on stderr what is to stay, on a terminal or elsewhere."""
        self.clear()
        print(text, file=self._stream, flush=True)

    def clear(self) -> None:
        """Make room for a line of output; the next call draws the line again."""
        if self._is_drawn:
            self._stream.write(CLEAR)
            self._stream.flush()
            self._is_drawn = False

    def _count(self, number: int, total: int, name: str, n_bad: int) -> None:
        elapsed_s = time.monotonic() - self._start_s
        parts = (
            f"{self._verb} {number} of {total}".strip(),
            f"{n_bad} {self._bad}" if n_bad else "",
            pace(number - self._n_before, total - number, elapsed_s),
            name,
        )
        self._draw(", ".join(filter(None, parts)))

    @property
    def _is_due(self) -> bool:
        """Whether the line is drawn if there is one: elsewhere nobody makes it."""
        return self._is_shown and time.monotonic() - self._drawn_s >= EVERY_S

    def _draw(self, text: str) -> None:
        if not self._is_due:
            return
        self._drawn_s, self._is_drawn = time.monotonic(), True
        # The last column stays free: a terminal may go to the next row once it is full.
        self._stream.write(f"{CLEAR}{text[: (width_of(self._stream) or SOME_WIDTH) - 1]}")
        self._stream.flush()
