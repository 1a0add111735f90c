"""The first release that differs, or every release that does, over the real list of releases."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from conformance.core.errors import SideError
from conformance.core.records import DriftClass
from conformance.core.words import counted
from conformance.upgrade.compare import Comparison, Pair
from conformance.upgrade.policy import worst_first

Compare = Callable[[str, str], Comparison]
"""(older release, newer release) -> comparison of what both returned."""

Probe = Callable[[str], None]
"""Records one release; raises SideError if it cannot be had."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChangePoint:
    """Two releases between which something changed.

    skipped: releases between them that could not be had; the change may be in one of those.
    """

    before: str
    after: str
    skipped: tuple[str, ...]
    comparison: Comparison

    @property
    def changed(self) -> tuple[Pair, ...]:
        """The cases that changed, the worst first."""
        pairs = self.comparison.pairs
        return worst_first(
            [pair for pair in pairs if pair.drift.drift_class is not DriftClass.IDENTICAL]
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search came to. failures: the releases that could not be had, and why."""

    points: tuple[ChangePoint, ...]
    failures: dict[str, str]


class Search:
    """A search over releases, oldest first, that asks for as few of them as it can.

    at_least: the smallest class that counts as a change.
    """

    def __init__(
        self,
        releases: Sequence[str],
        probe: Probe,
        compare: Compare,
        *,
        at_least: DriftClass = DriftClass.ROUNDING,
        say: Callable[[str], None],
    ) -> None:
        self._releases = list(releases)
        self._probe = probe
        self._compare = compare
        self._at_least = at_least
        self._say = say
        self._failures: dict[str, str] = {}

    def first(self) -> Found:
        """Return the first release that differs from the oldest.

        Taken for granted is that a later release never returns to what the oldest did.

        Raises:
            SideError: the oldest or the newest release cannot be had.
        """
        low, high = self._ends()
        if not self._has_changed(low, high):
            return Found(points=(), failures=self._failures)
        oldest = low
        while (middle := self._middle(low, high)) is not None:
            if self._has_changed(oldest, middle):
                high = middle
            else:
                low = middle
        return Found(points=(self._point(low, high),), failures=self._failures)

    def all(self) -> Found:
        """Return every change point.

        Releases between two that are alike are taken to be like them: a change that was taken back
        before the next release asked for is not seen.

        Raises:
            SideError: the oldest or the newest release cannot be had.
        """
        points = self._points(*self._ends())
        return Found(points=tuple(points), failures=self._failures)

    def _points(self, low: str, high: str) -> list[ChangePoint]:
        if not self._has_changed(low, high):
            return []
        middle = self._middle(low, high)
        if middle is None:
            return [self._point(low, high)]
        return [*self._points(low, middle), *self._points(middle, high)]

    def _ends(self) -> tuple[str, str]:
        first, last = self._releases[0], self._releases[-1]
        for release in (first, last):
            self._probe(release)
        return first, last

    def _middle(self, low: str, high: str) -> str | None:
        """Return a release halfway between that can be had, or None if there is none."""
        while between := [name for name in self._between(low, high) if name not in self._failures]:
            middle = between[len(between) // 2]
            steps = len(between).bit_length()
            self._say(
                f"{low} .. {high}: {counted(len(between), 'release')} left, about "
                f"{counted(steps, 'step')}"
            )
            try:
                self._probe(middle)
            except SideError as error:
                self._failures[middle] = str(error)
                self._say(f"{middle} is skipped: {error}")
                continue
            return middle
        return None

    def _between(self, low: str, high: str) -> list[str]:
        return self._releases[self._releases.index(low) + 1 : self._releases.index(high)]

    def _has_changed(self, older: str, newer: str) -> bool:
        comparison = self._compare(older, newer)
        worst = max(
            (pair.drift.drift_class for pair in comparison.pairs), key=lambda each: each.rank
        )
        self._say(f"{older} -> {newer}: {worst}")
        return worst.rank >= self._at_least.rank

    def _point(self, low: str, high: str) -> ChangePoint:
        return ChangePoint(
            before=low,
            after=high,
            skipped=tuple(self._between(low, high)),
            comparison=self._compare(low, high),
        )


# --- The changelog -------------------------------------------------------------------------------

TELLING = re.compile(
    r"random|prng|threefry|initializer|truncated_normal|erf|orthogonal|\bqr\b", re.IGNORECASE
)
"""Words of a changelog entry that may explain a change of an initializer."""

HEADING = re.compile(r"^#+\s+jax(?:lib)?\s+v?(\d[\w.]*)")


def changelog_entries(path: Path, release: str) -> list[str]:
    """Return the entries of JAX's CHANGELOG.md under a release that may explain a change."""
    entries: list[str] = []
    is_inside = False
    for line in path.read_text(encoding="utf-8").splitlines():
        if heading := HEADING.match(line):
            is_inside = heading[1] == release
        elif is_inside and re.match(r"\s*[*-] ", line):
            entries.append(line.strip().lstrip("*- "))
        elif is_inside and entries and line.startswith(" "):
            entries[-1] += f" {line.strip()}"
    return [entry for entry in entries if TELLING.search(entry)]
