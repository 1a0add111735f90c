"""Tables of text: their columns line up in a terminal, or they are Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def padded(rows: Sequence[Sequence[str]], *, n_left: int | None = None) -> list[list[str]]:
    """Return the rows with all cells of a column equally wide.

    n_left: how many columns are filled up on the right, as text is; the others, as numbers are, on
    the left. None means all.

    Raises:
        ValueError: the rows are not equally long.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = len(widths) if n_left is None else n_left
    return [
        [
            cell.ljust(width) if number < left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]


def aligned(rows: Sequence[Sequence[str]], *, n_left: int | None = None) -> list[str]:
    """Return a line for each row, two blanks between columns and none at the end; see `padded`."""
    return ["  ".join(row).rstrip() for row in padded(rows, n_left=n_left)]


def markdown_line(cells: Iterable[str]) -> str:
    """Return a line of a Markdown table. Its cells are Markdown: see `escape.markdown_cell`."""
    return f"| {' | '.join(cells)} |"


def markdown_table(head: Sequence[str], lines: Iterable[Iterable[str]]) -> list[str]:
    """Return the lines of a Markdown table, those of its head first; see `markdown_line`."""
    return [markdown_line(cells) for cells in (head, ("---",) * len(head), *lines)]
