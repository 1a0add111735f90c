"""What a run came to, counted from its rows."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from conformance.core.records import MACHINE, DriftClass, Environment, Status
from conformance.core.ulp import INCOMPARABLE
from conformance.core.words import counted
from conformance.report.rows import Row

MISSING = "missing.json"
"""File of a finished run: reason -> the cases that have no result for it."""

UNKNOWN_REASON = "the run ended without a result"
"""Said of a missing case when nobody knows more."""

NO_GOLDEN = "no golden"
"""Stands in for the class of a case that had nothing to be compared with."""

CLASSES = (*map(str, DriftClass), NO_GOLDEN)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The rows of one run and what was asked of it.

    expected: ids of all cases that were to run; those without a verdict are missing.
    reasons: why a case has none, by its id, where somebody knows. ending: why the run ended before
        it was whole, which explains the others; "" where nobody knows, or it did not.
    golden_environment: where the goldens were made that judged it, if they say. matrices: names of
        the initializers that factor a matrix.
    """

    run_id: str
    command: str
    folder: Path
    rows: tuple[Row, ...]
    expected: tuple[str, ...]
    environment: Environment
    elapsed_s: float
    reasons: Mapping[str, str] = dataclasses.field(default_factory=dict)
    ending: str = ""
    golden_environment: Environment | None = None
    matrices: frozenset[str] = frozenset()

    @property
    def judged(self) -> tuple[Row, ...]:
        """The rows that hold a verdict: all but those of cases that the machine failed."""
        return tuple(row for row in self.rows if row.failed_checks != MACHINE)

    @property
    def missing(self) -> tuple[str, ...]:
        """The expected cases that left no verdict."""
        present = {row.case for row in self.judged}
        return tuple(case for case in self.expected if case not in present)

    @property
    def missing_by_reason(self) -> dict[str, list[str]]:
        """The missing cases by why they have no verdict: a case's own reason, or the run's."""
        known = {row.case: row.messages for row in self.rows} | dict(self.reasons)
        groups: dict[str, list[str]] = {}
        for case in self.missing:
            reason = known.get(case) or self.ending or UNKNOWN_REASON
            groups.setdefault(reason, []).append(case)
        return groups

    @property
    def failed(self) -> tuple[Row, ...]:
        """The rows of failed cases, worst first."""
        return worst_first(row for row in self.judged if row.status == Status.FAILED)

    @property
    def noteworthy(self) -> tuple[Row, ...]:
        """The rows that are not identical and passed, worst first: what drift.csv holds."""
        return worst_first(row for row in self.judged if is_noteworthy(row))

    @property
    def limitations(self) -> dict[str, int]:
        """How many cases each ledger entry excused, by the entry's id."""
        limited = (row for row in self.rows if row.status == Status.LIMITED)
        return dict(sorted(collections.Counter(row.limitation or "?" for row in limited).items()))

    @property
    def verdict(self) -> str:
        """One line: FAILED before all else, then INCOMPLETE or PASSED, with the counts."""
        expected = counted(len(self.expected), "case")
        lost = f"{len(self.missing)} of {expected} left no result"
        if self.failed:
            failed = f"FAILED: {len({row.case for row in self.failed})} of {_cases(self.judged)}"
            return f"{failed}; INCOMPLETE: {lost}" if self.missing else failed
        if self.missing:
            return f"INCOMPLETE: {lost}; none of the other {len(self.judged)} failed"
        if not self.judged:
            return "INCOMPLETE: no case was compared"
        return f"PASSED: {_cases(self.judged)}, {self.classes_in_words}"

    @property
    def classes_in_words(self) -> str:
        """The counts by class, as in `4001 identical, 22 rounding`."""
        counts = count(self.judged)
        return ", ".join(f"{counts[name]} {name}" for name in CLASSES if counts[name])


def _cases(rows: Collection[Row]) -> str:
    """Return how many cases the rows are of, and in how many runs if some ran again."""
    n_cases = len({row.case for row in rows})
    again = "" if n_cases == len(rows) else f" in {len(rows)} runs"
    return f"{counted(n_cases, 'case')}{again}"


def is_noteworthy(row: Row) -> bool:
    """Return whether the case drifted at all, or did not plainly pass."""
    return row.drift_class != DriftClass.IDENTICAL or row.status != Status.PASSED


def class_of(row: Row) -> str:
    """Return the drift class, or `no golden`."""
    return row.drift_class or NO_GOLDEN


def count(rows: Iterable[Row]) -> collections.Counter[str]:
    """Return how many rows there are of each class."""
    return collections.Counter(map(class_of, rows))


def group(rows: Iterable[Row], key: Callable[[Row], str]) -> dict[str, list[Row]]:
    """Return the rows by key, keys sorted."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return dict(sorted(groups.items()))


def worst_first(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Return the rows sorted: failures first, then by class, ULP at sigma and ULP at the value."""
    return tuple(sorted(rows, key=_severity))


def _severity(row: Row) -> tuple[bool, int, float, int, str]:
    at_sigma = row.max_ulp_at_sigma or 0.0
    return (
        row.status != Status.FAILED,
        -CLASSES.index(class_of(row)),
        -math.inf if math.isnan(at_sigma) else -at_sigma,
        -(row.max_ulp or 0),
        row.case,
    )


def ulp_text(row: Row) -> str:
    """Return both ULP figures, or "" where elements were not compared."""
    if row.max_ulp is None:
        return ""
    steps = "no number of" if row.max_ulp == INCOMPARABLE else str(row.max_ulp)
    if row.max_ulp_at_sigma is None:
        return f"{steps} ULP"
    return f"{steps} ULP ({row.max_ulp_at_sigma:.3g} of sigma)"
