"""The kill matrix, and what it comes to. Pure: what was tried goes in, tables come out.

A check earns its place by a fault that it alone kills. Two of them compare with what was accepted
before: `values` with a golden, `law_accuracy` with a budget. Had the fault been there when that was
accepted, they would be silent, so beside them a check still stands alone; and they do where nothing
else kills.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence

from conformance.core.errors import ExitCode
from conformance.core.records import VALUES
from conformance.core.words import counted
from conformance.judge.law.checks import ACCURACY
from conformance.judge.rules import NAMES
from conformance.judge.statistics import MATRIX_TESTS, TESTS
from conformance.planted.fault import BEYOND
from conformance.planted.record import Tried
from conformance.report.tables import Table

MEMORY = frozenset({VALUES, ACCURACY})

KILLERS = (*NAMES, *BEYOND)
"""Whatever a fault may die of."""

STATISTICAL = tuple(test.name for test in (*TESTS, *MATRIX_TESTS))
"""The tests of which the check `statistics` is made."""

ELSEWHERE = "what --json writes"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """What came of the faults. is_whole: whether all that are known were tried."""

    tried: tuple[Tried, ...]
    is_whole: bool

    @property
    def survivors(self) -> tuple[Tried, ...]:
        """Faults that no check killed."""
        return tuple(each for each in self.tried if not each.killed_by and not each.lost)

    @property
    def lost(self) -> tuple[Tried, ...]:
        """Faults of which nothing is known, since they ended their process."""
        return tuple(each for each in self.tried if each.lost)

    @property
    def faults(self) -> dict[str, str]:
        """What is wrong with the checks or with the faults, by the name of either."""
        found: dict[str, str] = {}
        for each in self.tried:
            if each.lost:
                continue
            if not each.killed_by:
                found[each.name] = f"survived {each.question}: no check failed"
            elif each.claim not in each.killed_by:
                killers = ", ".join(each.killed_by)
                found[each.name] = f"was to die of {each.claim}, and died of {killers} instead"
            elif each.drift != each.drift_claimed:
                found[each.name] = f"was to be {each.drift_claimed}, and is {each.drift}"
            elif each.right_failed:
                found[each.name] = (
                    f"proves nothing: the right initializer fails {', '.join(each.right_failed)} "
                    f"in {each.question} too"
                )
        if self.is_whole:
            for check, names in (*self.alone.items(), *self.alone_of_tests.items()):
                if not names:
                    found[check] = "kills no fault alone: plant one that it does, or drop it"
        return found

    @property
    def alone(self) -> Mapping[str, tuple[str, ...]]:
        """The faults that a check alone kills, by check; see above."""
        found: dict[str, list[str]] = {check: [] for check in KILLERS}
        for each in self.tried:
            killers = set(each.killed_by)
            sole = killers if killers <= MEMORY else killers - MEMORY
            if len(sole) == 1:
                found[sole.pop()].append(each.name)
        return {check: tuple(names) for check, names in found.items()}

    @property
    def alone_of_tests(self) -> Mapping[str, tuple[str, ...]]:
        """The faults that a test of the check `statistics` alone refuses, by test."""
        return {
            test: tuple(each.name for each in self.tried if each.tests == (test,))
            for test in STATISTICAL
        }

    @property
    def code(self) -> ExitCode:
        """FAILED where something is wrong, see `faults`; else MISSING where a fault was lost."""
        return ExitCode.of(failed=bool(self.faults), missing=bool(self.lost))

    @property
    def line(self) -> str:
        """The verdict in a line."""
        died = len(self.tried) - len(self.survivors) - len(self.lost)
        parts = [f"{died} of {counted(len(self.tried), 'planted fault')} died"]
        if self.lost:
            parts.append(f"{len(self.lost)} ended their process")
        if self.is_whole:
            sole = sum(map(bool, self.alone.values()))
            parts.append(f"{sole} of {len(KILLERS)} checks kill one that no other does")
            sole = sum(map(bool, self.alone_of_tests.values()))
            parts.append(f"{sole} of {len(STATISTICAL)} statistical tests refuse one alone")
        return "; ".join(parts)


# --- Tables --------------------------------------------------------------------------------------
def tables(matrix: Matrix) -> list[Table]:
    """Return the tables: of checks, of statistical tests, and of faults by check."""
    swept = [each for each in matrix.tried if _is_swept(each)]
    beyond = [each for each in matrix.tried if each.claim in BEYOND]
    asked = [each for each in matrix.tried if not _is_swept(each) and each not in beyond]
    of_cases = [check for check in NAMES if not _is_of_laws(check)]
    of_laws = [check for check in NAMES if _is_of_laws(check)]
    return [
        _of_checks(matrix),
        _of_tests(matrix),
        _of_faults("Faults in cases", asked, of_cases),
        _of_faults("Faults in sweeps", swept, of_laws),
        _of_faults("Faults in layers, and of processes", beyond, BEYOND),
    ]


def _is_of_laws(check: str) -> bool:
    return check.startswith("law_")


def _is_swept(tried: Tried) -> bool:
    return any(map(_is_of_laws, (*tried.killed_by, *tried.passed, tried.claim)))


def _of_checks(matrix: Matrix) -> Table:
    kills = collections.Counter(check for each in matrix.tried for check in each.killed_by)
    return _of_killers("Checks", ("check", "kills"), kills, matrix.alone)


def _of_tests(matrix: Matrix) -> Table:
    """Return what each test of the check `statistics` refuses, and what it alone does."""
    refused = collections.Counter(test for each in matrix.tried for test in each.tests)
    head = ("test of `statistics`", "refuses")
    return _of_killers("Statistical tests", head, refused, matrix.alone_of_tests)


def _of_killers(
    title: str,
    head: tuple[str, str],
    kills: Mapping[str, int],
    alone: Mapping[str, Sequence[str]],
) -> Table:
    """kills: by name. alone: the faults that nothing else kills, by name."""
    lines = tuple(
        (name, str(kills[name]), str(len(faults)), ", ".join(faults[:2]))
        for name, faults in alone.items()
    )
    return Table(
        title=title, head=(*head, "alone", "for instance"), lines=lines, elsewhere=ELSEWHERE
    )


def _of_faults(title: str, tried: Sequence[Tried], checks: Sequence[str]) -> Table:
    lines = tuple(
        (each.name, each.kind, each.tier, *(cell(each, check) for check in checks), each.unit)
        for each in tried
    )
    head = ("fault", "kind", "tier", *checks, "unit")
    return Table(title=title, head=head, lines=lines, elsewhere=ELSEWHERE)


def cell(tried: Tried, check: str) -> str:
    """Return what a check made of a fault: the least magnitude killed, or `killed`; `-` of none."""
    if check in tried.smallest:
        return f"{tried.smallest[check]:.2g}"
    if check in tried.killed_by:
        return "killed"
    return "-" if check in tried.passed else ""


def line_of(tried: Tried) -> tuple[str, ...]:
    """Return what came of a fault, as the terminal shows it."""
    if tried.lost:
        return tried.kind, tried.name, "lost", tried.lost
    killers = (
        f"{check} {tried.smallest[check]:.2g}" if check in tried.smallest else check
        for check in tried.killed_by
    )
    said = ", ".join(killers) + (f" ({tried.unit})" if tried.unit else "")
    return tried.kind, tried.name, tried.tier or "by name", said or "SURVIVED"
