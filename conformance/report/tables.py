"""The views of a run that its summary shows, as plain text cells."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable

from conformance.core.records import STAGES, Status
from conformance.core.settings import told
from conformance.report.rows import changed_flags
from conformance.report.run import (
    CLASSES,
    MISSING,
    Run,
    Tally,
    by_class,
    class_of,
    group,
    is_plain,
    n_of,
    ulp_text,
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A titled table. elsewhere: where all lines are to be found when some are left out.

    n_unheld: lines that are only there.
    """

    title: str
    head: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    elsewhere: str
    n_unheld: int = 0


def tables(run: Run) -> list[Table]:
    """Return the tables of a run that have anything in them, in order of importance."""
    missing, *others = summaries(run)
    return filled([missing, _worst(run), *others, _environment(run)])


def summaries(run: Run) -> list[Table]:
    """Return the tables that count cases; those without a result come first, perhaps empty."""
    counts = [_by_initializer(run), _by_dtype(run), _by_stage(run), _limitations(run)]
    return [_missing(run), *counts]


def filled(candidates: Iterable[Table]) -> list[Table]:
    """Return the tables that have a line."""
    return [table for table in candidates if table.lines]


def _missing(run: Run) -> Table:
    return Table(
        title="Cases without a result",
        head=("case", "why"),
        lines=tuple(
            (case, reason) for reason, cases in run.missing_by_reason.items() for case in cases
        ),
        elsewhere=MISSING,
    )


def _worst(run: Run) -> Table:
    lines = tuple(
        (row.case, row.status, class_of(row), ulp_text(row), row.stage or "", row.failed_checks)
        for row in run.noteworthy
    )
    head = ("case", "status", "class", "worst element", "first differing stage", "failed checks")
    return Table(
        title="Worst cases",
        head=head,
        lines=lines,
        elsewhere=run.elsewhere,
        n_unheld=run.n_noteworthy - len(lines),
    )


def _by_initializer(run: Run) -> Table:
    """Return the counts of each initializer; those with nothing to note share one line."""
    groups = group(run.tally, "initializer")
    quiet = {name: tally for name, tally in groups.items() if all(map(is_plain, tally))}
    shown = {name: tally for name, tally in groups.items() if name not in quiet}
    if quiet:
        shown[f"{len(quiet)} others"] = dict(itertools.chain(*(t.items() for t in quiet.values())))
    return _counts("initializer", shown, run.tally)


def _by_dtype(run: Run) -> Table:
    return _counts("dtype", group(run.tally, "dtype"), run.tally)


def _counts(axis: str, groups: dict[str, Tally], tally: Tally) -> Table:
    total = by_class(tally)
    used = [name for name in CLASSES if total[name]]
    return Table(
        title=f"By {axis}",
        head=(axis, "cases", "failed", "limited", *used),
        lines=tuple(_count_line(name, mine, used) for name, mine in groups.items()),
        elsewhere="records.parquet",
    )


def _count_line(name: str, tally: Tally, used: list[str]) -> tuple[str, ...]:
    counts = by_class(tally)
    statuses = [n_of(tally, status) for status in _BAD]
    return (name, *map(str, (counts.total(), *statuses, *(counts[each] for each in used))))


_BAD = (Status.FAILED, Status.LIMITED)


def _by_stage(run: Run) -> Table:
    """Return how many cases begin to differ at each stage, in the order of the stages."""
    found = group(run.tally, "stage")
    lines = tuple((name, str(sum(found[name].values()))) for name in STAGES if name in found)
    return Table(
        title="First differing stage", head=("stage", "cases"), lines=lines, elsewhere=run.elsewhere
    )


def _limitations(run: Run) -> Table:
    lines = tuple((name, str(number)) for name, number in run.limitations.items())
    return Table(
        title="Limited by the ledger",
        head=("limitation", "cases"),
        lines=lines,
        elsewhere=run.elsewhere,
    )


def _environment(run: Run) -> Table:
    environment = run.environment
    facts = {
        "command": run.command,
        **environment.packages,
        **told(environment.host),
        **environment.devices,
        "flags": changed_flags(environment) or "all default",
    }
    return Table(
        title="Environment",
        head=("fact", "value"),
        lines=tuple(facts.items()),
        elsewhere="environment.json",
    )
