"""How wide the terminal is that a stream goes to, and tables that fit it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TextIO

SOME_WIDTH = 80
"""Of a terminal that does not tell its own."""


def width_of(stream: TextIO) -> int | None:
    """Return the columns of the terminal, now, as it may be resized; None: it is none."""
    if not stream.isatty():
        return None
    try:
        return os.get_terminal_size(stream.fileno()).columns or SOME_WIDTH
    except (OSError, ValueError):
        return SOME_WIDTH


def fitting(widths: Sequence[int], width: int | None, *, gap: int = 2) -> list[int]:
    """Return which columns of a table fit: the first and the last, then others from the left.

    width: of the terminal; None: all fit.
    """
    shown = list(range(len(widths)))
    if width is None:
        return shown
    while len(shown) > 2 and sum(widths[i] + gap for i in shown) - gap > width:
        del shown[-2]
    return shown


def hidden_note(n_shown: int, n_columns: int, elsewhere: str) -> str:
    """Return the line that says how to see the columns that did not fit; "" where all did."""
    if n_shown == n_columns:
        return ""
    return f"{n_shown} of {n_columns} columns fit this terminal; {elsewhere} has all"
