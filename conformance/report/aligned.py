"""Tables of text: their columns line up in a terminal, or they are Markdown.

What goes to a terminal fits it: this is the one place that makes it so. What goes elsewhere, into a
file or a pipe, is whole: no `grep` may miss what a terminal had no room for.
"""

from __future__ import annotations

import operator
import textwrap
from collections.abc import Iterable, Iterator, Sequence

GAP = 2
"""Blanks between columns."""

LEAST = 20
"""Characters of a long cell that are shown at least, before a column is left out for it."""


def padded(rows: Sequence[Sequence[str]], *, n_left: int | None = None) -> list[list[str]]:
    """Return the rows with all cells of a column equally wide.

    n_left: how many columns are filled up on the right, as text is; the others, as numbers are, on
    the left. None means all.

    Raises:
        ValueError: the rows are not equally long.
    """
    widths = _widths(rows)
    left = len(widths) if n_left is None else n_left
    return [
        [
            cell.ljust(width) if number < left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def aligned(
    rows: Sequence[Sequence[str]],
    *,
    n_left: int | None = None,
    width: int | None = None,
    elsewhere: str = "",
) -> list[str]:
    """Return a line for each row, two blanks between columns and none at the end; see `padded`.

    width: of the terminal; None: of none. Columns that do not fit are left out, see `fitting`; a
    long text in the last one takes several lines, and other long cells are cut. elsewhere: what
    shows all, of which a last line then speaks.
    """
    note = ""
    if width is not None:
        first, *others = _widths(rows)
        least = [min(first, width // 2), *(min(each, LEAST) for each in others)]
        shown = fitting(least, width)
        whole = [[row[number] for number in shown] for row in rows]
        widths = _widths(whole)
        caps = _caps(widths, width)
        is_text = n_left is None or shown[-1] < n_left
        n_left = None if n_left is None else sum(number < n_left for number in shown)
        rows = [line for row in whole for line in _fitted(row, caps, wraps=is_text)]
        is_cut = any(map(operator.gt, widths, caps[:-1] if is_text else caps))
        note = hidden_note(len(shown), 1 + len(others), elsewhere, is_cut=is_cut)
    lines = [(" " * GAP).join(row).rstrip() for row in padded(rows, n_left=n_left)]
    return [*lines, *(wrapped(note, width) if note else [])]


def fitting(widths: Sequence[int], width: int | None) -> list[int]:
    """Return which columns of a table fit: the first and the last, then others from the left.

    width: of the terminal; None: all fit.
    """
    shown = list(range(len(widths)))
    if width is None:
        return shown
    while len(shown) > 2 and sum(widths[i] + GAP for i in shown) - GAP > width:
        del shown[-2]
    return shown


def _caps(widths: Sequence[int], width: int) -> list[int]:
    """Return how wide each column may be; the first one, which names, is narrowed last."""
    first, *others = widths
    room = width - GAP * len(others)
    least = min(LEAST, room // 2)
    first = min(first, max(least, room - sum(min(each, least) for each in others)))
    most = max(others, default=0)
    while most > 1 and sum(min(each, most) for each in others) > room - first:
        most -= 1
    return [first, *(most for _ in others)]


def _fitted(row: Sequence[str], caps: Sequence[int], *, wraps: bool) -> Iterator[list[str]]:
    """Yield the row, and below it what is left of its last cell if that wraps."""
    *cells, last = row
    *most, room = caps
    parts = textwrap.wrap(last, room, break_on_hyphens=False) if wraps else [_cut(last, room)]
    yield [*map(_cut, cells, most), *(parts[:1] or [""])]
    for part in parts[1:]:
        yield [*("" for _ in cells), part]


def _cut(cell: str, most: int) -> str:
    """Return the cell without its middle: names begin alike, and numbers end in a unit."""
    if len(cell) <= most:
        return cell
    kept = max(0, most - 3)
    return f"{cell[: kept - kept // 2]}...{cell[len(cell) - kept // 2 :]}"[:most]


def hidden_note(n_shown: int, n_columns: int, elsewhere: str, *, is_cut: bool = False) -> str:
    """Return the line that says how to see what did not fit; "" where all did."""
    if n_shown < n_columns:
        return f"{n_shown} of {n_columns} columns fit this terminal; {elsewhere} has all"
    return f"some cells are cut to fit this terminal; {elsewhere} has all" if is_cut else ""


def described(facts: Iterable[tuple[str, str]], width: int | None = None) -> list[str]:
    """Return each name with its value beside it, which takes several lines where it must.

    width: of the terminal; None: of none.
    """
    rows = list(facts)
    if width is None or not rows:
        return aligned(rows)
    indent = max(len(name) for name, _ in rows) + GAP
    if width - indent < LEAST:
        return [line for row in rows for line in wrapped("  ".join(row), width)]
    return [
        line
        for name, value in rows
        for line in wrapped(f"{name.ljust(indent)}{value}", width, indent=indent)
    ]


def wrapped(text: str, width: int | None, *, indent: int = 4) -> list[str]:
    """Return the text as lines that fit, those after the first indented.

    width: of the terminal; None: of none, so that the text is one line.
    """
    if width is None or len(text) <= width:
        return [text.rstrip()]
    return textwrap.wrap(
        text, width, subsequent_indent=" " * indent, break_on_hyphens=False, drop_whitespace=True
    )


def markdown_line(cells: Iterable[str]) -> str:
    """Return a line of a Markdown table. Its cells are Markdown: see `escape.markdown_cell`."""
    return f"| {' | '.join(cells)} |"


def markdown_table(head: Sequence[str], lines: Iterable[Iterable[str]]) -> list[str]:
    """Return the lines of a Markdown table, those of its head first; see `markdown_line`."""
    return [markdown_line(cells) for cells in (head, ("---",) * len(head), *lines)]
