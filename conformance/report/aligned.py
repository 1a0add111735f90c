"""Tables of text whose columns line up in a terminal."""

from __future__ import annotations

from collections.abc import Sequence


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
