"""How far a long piece of work is, for whoever watches it: by default nobody does."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")

Watch = Callable[[Iterable[T], int], Iterable[T]]
"""Passes results on as they come, of which so many are to come, and may tell somebody of each."""


def unwatched(results: Iterable[T], n_results: int) -> Iterable[T]:
    """Pass results on and tell nobody."""
    del n_results
    return results


def pace(n_done: int, n_left: int, elapsed_s: float) -> str:
    """Return how many are done in a second, and how long the others take at that pace.

    "" where nothing is done yet, or nothing is left.
    """
    if not (n_done and n_left and elapsed_s):
        return ""
    rate = n_done / elapsed_s
    left = dt.timedelta(seconds=round(n_left / rate))
    return f"{left} left, {rate:,.{0 if rate >= 10 else 1}f} a second"
