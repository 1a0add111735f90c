"""What a run came to, counted from its rows."""

from __future__ import annotations

import collections
import dataclasses
import functools
import math
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from conformance.core.case_set import CaseSet, joined, n_cases
from conformance.core.errors import ExitCode
from conformance.core.records import MACHINE, DriftClass, Environment, Status
from conformance.core.settings import optimization_level
from conformance.core.ulp import INCOMPARABLE
from conformance.core.words import counted
from conformance.report.rows import Row

ROWS, RECORDS, DRIFT = "rows.jsonl", "records.parquet", "drift.csv"
"""Files of a run: rows as they come, then all of them, and those that drifted."""

RECORDS_AS_TEXT = "records.jsonl"
"""The records where pyarrow is not installed: the same rows, without the dtypes."""

MISSING = "missing.json"
"""File of a finished run: under `missing`, reason -> ids of the cases, or of ranges of seeds, that
have no result for it."""

UNKNOWN_REASON = "the run ended without a result"
"""Said of a missing case when nobody knows more."""

NO_GOLDEN = "no golden"
"""Stands in for the class of a case that had nothing to be compared with."""

CLASSES = (*map(str, DriftClass), NO_GOLDEN)


class Key(NamedTuple):
    """By what the cases of a run are counted: all that is told of those whose rows are not held.

    drift_class: see `class_of`. Others are columns of a row, but for is_judged: whether it holds a
    verdict; the machine failed the case else.
    """

    initializer: str
    dtype: str
    shape: str
    backend: str
    status: str
    is_judged: bool
    limitation: str | None
    drift_class: str
    from_golden: str | None
    stage: str | None
    golden_from: str | None
    budget_from: str | None
    jaxlib: str | None
    lapack: str | None
    lapack_kernel: str | None
    lapack_threads: str | None
    isa: str | None
    xla_isa: str | None


Tally = Mapping[Key, int]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """What a case came to in one run, and what it ran in, by column; None where nobody knows."""

    run_id: str
    drift_class: str
    facts: Mapping[str, str | None]


Nights = Mapping[str, Sequence[Night]]
"""By case, oldest first."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """The rows of one run and what was asked of it. What takes long to count is counted once.

    rows: those that are held here, the worst of each kind. unheld: how many others there are.
    told: the cases that have a verdict, besides those of `rows`. expected: ids of the cases, and of
        blocks of them, that were to run; those without a verdict are missing.
    reasons: why cases have none, where somebody knows. ending: why the run ended before it was
        whole, which explains the others; "" where nobody knows, or it did not.
    golden_environment: where the goldens were made that judged it, if they say. matrices: names of
        the initializers that factor a matrix.
    nights: what the failed cases were in the runs before; see `nights_before`.
    others: what tests of no case that failed said, as those of laws, by their names. unjudged: why
        such tests, or processes between tests, came to no verdict.
    """

    run_id: str
    command: str
    folder: Path
    rows: tuple[Row, ...]
    unheld: Tally = dataclasses.field(default_factory=dict)
    told: CaseSet = dataclasses.field(default_factory=CaseSet)
    expected: tuple[str, ...]
    environment: Environment
    elapsed_s: float
    reasons: Mapping[str, CaseSet] = dataclasses.field(default_factory=dict)
    ending: str = ""
    golden_environment: Environment | None = None
    matrices: frozenset[str] = frozenset()
    nights: Nights = dataclasses.field(default_factory=dict)
    others: Mapping[str, str] = dataclasses.field(default_factory=dict)
    unjudged: tuple[str, ...] = ()

    @property
    def code(self) -> ExitCode:
        """What the run comes to."""
        return ExitCode.of(
            failed=bool(self.n_failed or self.others),
            missing=bool(self.missing or self.unjudged),
            empty=not self.n_judged,
        )

    @property
    def judged(self) -> tuple[Row, ...]:
        """The held rows with a verdict: all but those of cases that the machine failed."""
        return tuple(row for row in self.rows if row.failed_checks != MACHINE)

    @property
    def n_judged(self) -> int:
        """How many cases have a verdict."""
        return sum(self.tally.values())

    @property
    def n_failed(self) -> int:
        """How many cases failed."""
        return n_of(self.tally, Status.FAILED)

    @property
    def n_noteworthy(self) -> int:
        """How many cases are not identical and passed."""
        return sum(n for key, n in self.tally.items() if not is_plain(key))

    @property
    def elsewhere(self) -> str:
        """The file that has all that drifted."""
        return DRIFT if len(self.noteworthy) == self.n_noteworthy else RECORDS

    @functools.cached_property
    def tally(self) -> Tally:
        """How many cases have a verdict, by `key_of`."""
        held = collections.Counter(map(key_of, self.judged))
        return held + collections.Counter({k: n for k, n in self.unheld.items() if k.is_judged})

    @functools.cached_property
    def judged_cases(self) -> CaseSet:
        """The cases that have a verdict."""
        return self.told | CaseSet(row.case for row in self.judged)

    @functools.cached_property
    def missing(self) -> tuple[str, ...]:
        """Ids of the expected cases that left no verdict, ranges of seeds in one."""
        present = self.judged_cases
        return tuple(joined(left for each in self.expected for left in present.left_of(each)))

    @property
    def n_missing(self) -> int:
        """How many cases left no verdict."""
        return sum(map(n_cases, self.missing))

    @property
    def missing_by_reason(self) -> dict[str, list[str]]:
        """The missing cases by why they have no verdict: a case's own reason, or the run's."""
        known = dict(self.reasons)
        for row in self.rows:
            if row.failed_checks == MACHINE:
                known.setdefault(row.messages, CaseSet([row.case]))
        groups: dict[str, list[str]] = {}
        for case in self.missing:
            for reason, part in _by_reason(case, known):
                groups.setdefault(reason or self.ending or UNKNOWN_REASON, []).append(part)
        return {reason: joined(cases) for reason, cases in groups.items()}

    @property
    def failed(self) -> tuple[Row, ...]:
        """The held rows of failed cases, worst first."""
        return worst_first(filter(is_failed, self.rows))

    @property
    def noteworthy(self) -> tuple[Row, ...]:
        """The held rows that are not identical and passed, worst first: what drift.csv holds."""
        return worst_first(row for row in self.judged if is_noteworthy(row))

    @property
    def limitations(self) -> dict[str, int]:
        """How many cases each ledger entry excused, by the entry's id."""
        found: collections.Counter[str] = collections.Counter()
        for key, n in self.tally.items():
            if key.status == Status.LIMITED:
                found[key.limitation or "?"] += n
        return dict(sorted(found.items()))

    @property
    def verdict(self) -> str:
        """One line: FAILED before all else, then INCOMPLETE or PASSED, with the counts.

        Where XLA optimized less than everybody's does, it says that this is none.
        """
        word, colon, rest = self._verdict.partition(":")
        level = optimization_level(self.environment)
        caveat = f" (fast, XLA at level {level}, not a verdict)" if level else ""
        return f"{word}{caveat}{colon}{rest}"

    @property
    def _verdict(self) -> str:
        lost = "; ".join(self._lost_in_words)
        if self.n_failed or self.others:
            failed = f"FAILED: {self._failed_in_words}"
            return f"{failed}; INCOMPLETE: {lost}" if lost else failed
        if lost:
            rest = f"none of the other {self.n_judged} failed"
            all_judged = f"{self._judged_in_words}, {self.classes_in_words}"
            return f"INCOMPLETE: {lost}; {rest if self.missing else all_judged}"
        if not self.n_judged:
            return "INCOMPLETE: no case was compared"
        return f"PASSED: {self._judged_in_words}, {self.classes_in_words}"

    @property
    def _failed_in_words(self) -> str:
        """How many cases failed of how many, and how many tests besides."""
        n_again = len(self.failed) - len({row.case for row in self.failed})
        cases = f"{self.n_failed - n_again} of {self._judged_in_words}"
        others = counted(len(self.others), "test")
        return f"{cases}, and {others} besides" if self.others else cases

    @property
    def _lost_in_words(self) -> list[str]:
        """How many cases, and what else, came to no verdict."""
        expected = counted(len(self.judged_cases | CaseSet(self.expected)), "case")
        cases = f"{self.n_missing} of {expected} left no result"
        others = f"{counted(len(self.unjudged), 'other')} came to no verdict"
        return [*([cases] if self.missing else []), *([others] if self.unjudged else [])]

    @property
    def _judged_in_words(self) -> str:
        """How many cases were judged, and in how many runs if some ran again."""
        n_different = len(self.judged_cases)
        again = "" if n_different == self.n_judged else f" in {self.n_judged} runs"
        return f"{counted(n_different, 'case')}{again}"

    @property
    def classes_in_words(self) -> str:
        """The counts by class, as in `4001 identical, 22 rounding`."""
        counts = by_class(self.tally)
        return ", ".join(f"{counts[name]} {name}" for name in CLASSES if counts[name])


def _by_reason(id_: str, known: Mapping[str, CaseSet]) -> Iterator[tuple[str, str]]:
    """Yield the parts of a case, or of a range of seeds, each with its reason, "" where none is."""
    left = [id_]
    for reason, cases in known.items():
        still = [part for each in left for part in cases.left_of(each)]
        of_reason = CaseSet(still)
        for each in left:
            yield from ((reason, part) for part in of_reason.left_of(each))
        left = still
    yield from (("", each) for each in left)


def is_failed(row: Row) -> bool:
    """Return whether the case has a verdict, and failed."""
    return row.status == Status.FAILED and row.failed_checks != MACHINE


def is_noteworthy(row: Row) -> bool:
    """Return whether the case drifted at all, or did not plainly pass."""
    return not _is_plain(row.status, class_of(row))


def is_plain(key: Key) -> bool:
    """Return whether such cases passed and did not drift from a golden, if there is one."""
    return _is_plain(key.status, key.drift_class)


def _is_plain(status: str, drift_class: str) -> bool:
    return status == Status.PASSED and drift_class in (DriftClass.IDENTICAL, NO_GOLDEN)


def class_of(row: Row) -> str:
    """Return the worse of the drift from the golden and from the definition, or `no golden`.

    An array that is as its golden may be wrong; one that has none need not be nameless.
    """
    return worst_class(row.drift_class, row.departs_by)


def worst_class(*classes: str | None) -> str:
    """Return the worst of the classes that are there, or `no golden`."""
    found = [each for each in classes if each is not None]
    return max(found, key=CLASSES.index, default=NO_GOLDEN)


def key_of(row: Row) -> Key:
    """Return where a row counts."""
    return Key(
        **_columns_of(row),
        is_judged=row.failed_checks != MACHINE,
        drift_class=class_of(row),
        from_golden=row.drift_class,
    )


_MADE = ("is_judged", "drift_class", "from_golden")
_columns_of_key = tuple(name for name in Key._fields if name not in _MADE)
_values_of_key = operator.attrgetter(*_columns_of_key)


def _columns_of(row: Row) -> dict[str, Any]:
    return dict(zip(_columns_of_key, _values_of_key(row), strict=True))


def by_class(tally: Tally) -> collections.Counter[str]:
    """Return how many cases there are of each class."""
    counts: collections.Counter[str] = collections.Counter()
    for key, n in tally.items():
        counts[key.drift_class] += n
    return counts


def group(tally: Tally, axis: str) -> dict[str, Tally]:
    """Return the counts by the field `axis` of their keys, sorted, but for those without it."""
    groups: dict[str, dict[Key, int]] = {}
    for key, n in tally.items():
        if (value := getattr(key, axis)) is not None:
            groups.setdefault(value, {})[key] = n
    return dict(sorted(groups.items()))


def n_of(tally: Tally, status: Status) -> int:
    """Return how many cases came to that."""
    return sum(n for key, n in tally.items() if key.status == status)


def worst_first(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Return the rows sorted: failures first, then by class, ULP at sigma and ULP at the value."""
    return tuple(sorted(rows, key=severity))


def severity(row: Row) -> tuple[bool, int, float, int, str]:
    """Return by what rows are sorted, the worst first."""
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
