"""How wide the terminal is that a stream goes to."""

from __future__ import annotations

import os
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
