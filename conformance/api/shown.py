"""A table that a terminal shows as text and a notebook as HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence

from conformance.report.aligned import aligned
from conformance.report.escape import printable

Rows = Sequence[Sequence[str]]


class Shown:
    """What shows itself: a title, a table, and what remains to be said below it."""

    __slots__ = ()

    @property
    def title(self) -> str:
        """One line: what this is, and what came of it."""
        raise NotImplementedError

    @property
    def table(self) -> Rows:
        """Rows of equally many cells; the first cell of each says what the others are."""
        raise NotImplementedError

    @property
    def notes(self) -> str:
        """Return what stands below the table: whole lines, "" where there are none."""
        return ""

    @property
    def picture(self) -> bytes:
        """Return an SVG document that a notebook shows first; empty where there is none."""
        return b""

    def __repr__(self) -> str:
        lines = [self.title, *(f"  {line}" for line in aligned(self.table))]
        return printable("\n".join([*lines, *([self.notes] if self.notes else [])]))

    def _repr_html_(self) -> str:
        """Return the same for a notebook: whatever others wrote stays text."""
        rows = "".join(f"<tr>{_cells(row)}</tr>" for row in self.table)
        table = f"<table><caption>{_text(self.title)}</caption>{rows}</table>"
        notes = f"<pre>{_text(self.notes)}</pre>" if self.notes else ""
        return self.picture.decode().partition("?>")[2] + table + notes


def _cells(row: Sequence[str]) -> str:
    first, *others = (_text(cell) for cell in row)
    cells = "".join(f"<td>{cell}</td>" for cell in others)
    return f'<th style="text-align: left">{first}</th>{cells}'


def _text(text: str) -> str:
    return html.escape(printable(text))
