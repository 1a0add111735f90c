"""The rows of a run that are held in memory: all of a small one, the worst of each kind of a large.

A row takes some 2 KiB, so that a million of them would take all there is. Every row is in a file.
"""

from __future__ import annotations

import bisect
import collections
import dataclasses
from collections.abc import Mapping

from conformance.report.lots import Lot
from conformance.report.rows import Row
from conformance.report.run import Key, key_of, severity

MOST_HELD = 30_000
"""Rows, some 60 MiB. The full tier on one backend has 25,823."""

MOST_ALIKE = 200
"""Rows of one kind, of which the full tier has at most 50."""


class Held:
    """Takes rows in any order, and holds the same ones whatever that was.

    Kinds are what `key_of` tells apart. Where not all fit, each kind has the same number of places,
    but for what smaller ones leave to larger ones.
    """

    def __init__(self, most: int = MOST_HELD, most_alike: int = MOST_ALIKE) -> None:
        self._most, self._most_alike = most, most_alike
        self._n_held = self._largest = 0
        self._of_kind: dict[Key, list[Row]] = {}
        self._unheld: collections.Counter[Key] = collections.Counter()

    def add(self, row: Row) -> None:
        """Take a row, and let go of the least severe one of the largest kind if there are more."""
        kind = key_of(row)
        mine = self._of_kind.setdefault(kind, [])
        if len(mine) == self._n_places:
            if severity(row) < severity(mine[-1]):
                mine.pop()
                bisect.insort(mine, row, key=severity)
            self._unheld[kind] += 1
            return
        bisect.insort(mine, row, key=severity)
        self._n_held += 1
        self._largest = max(self._largest, len(mine))
        if self._n_held > self._most:
            self._let_go()

    def add_lot(self, lot: Lot) -> None:
        """Take the rows of a lot; where none of them would be held, none is made.

        They are of one kind, and the smallest id is the most severe.
        """
        kind = key_of(lot.row)
        mine = self._of_kind.get(kind, [])
        worst = dataclasses.replace(lot.row, case=min(lot.cases()))
        if len(mine) == self._n_places and severity(worst) >= severity(mine[-1]):
            self._unheld[kind] += len(lot.seeds)
            return
        for row in lot.rows():
            self.add(row)

    @property
    def _n_places(self) -> int:
        """How many rows of a kind there can be by now."""
        return self._largest if self._n_held >= self._most else self._most_alike

    def _let_go(self) -> None:
        kind, rows = max(self._of_kind.items(), key=lambda each: (len(each[1]), str(each[0])))
        rows.pop()
        self._n_held -= 1
        self._unheld[kind] += 1
        self._largest = max(map(len, self._of_kind.values()))

    @property
    def rows(self) -> tuple[Row, ...]:
        """Those that are held, by the ids of their cases: workers end in an order of their own."""
        rows = (row for mine in self._of_kind.values() for row in mine)
        return tuple(sorted(rows, key=lambda row: row.case))

    @property
    def unheld(self) -> Mapping[Key, int]:
        """How many others there are of each kind."""
        return self._unheld
