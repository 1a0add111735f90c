"""The page of a run."""

from __future__ import annotations

import collections
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from conformance.core.records import DriftClass, Status
from conformance.report.explained import written_notes
from conformance.report.headline import headline
from conformance.report.nights import since_when
from conformance.report.page.model import (
    Cell,
    Failure,
    Figure,
    Heatmap,
    Night,
    Page,
    Rows,
    Tone,
    distances,
    facts_of,
)
from conformance.report.page.pairs import maps_of, table_of
from conformance.report.rows import Row
from conformance.report.run import (
    NO_GOLDEN,
    Run,
    Tally,
    by_class,
    class_of,
    ulp_text,
    worst_first,
)
from conformance.report.tables import filled, summaries

COLUMNS = (
    *("case", "status", "class", "ULP", "ULP of sigma", "stage", "failed checks"),
    *("initializer", "dtype", "shape", "key", "backend", "transform", "rerun"),
)
SEVERITY = (NO_GOLDEN, *map(str, DriftClass))

FILTERS = ("initializer", "dtype", "backend", "transform", "status", "class")


def page_of_run(run: Run, laws: Sequence[Figure] = ()) -> Page:
    """Return the page of a run: failures first, then where they are, then all rows.

    laws: plots of what failed, where somebody swept it.
    """
    return Page(
        tone=Tone.of(run.code),
        title=f"{run.verdict.partition(':')[0]} - {run.run_id}",
        verdict=run.verdict,
        sentence=headline(run),
        notes=tuple(written_notes(run)),
        facts=tuple(facts_of(run.environment, run.golden_environment)),
        counts=_counts(run),
        failures=(*(_failure(row, run) for row in run.failed), *_others(run)),
        n_unheld=run.n_failed - len(run.failed),
        elsewhere=run.elsewhere,
        heatmaps=tuple(_heatmaps(run)),
        figures=tuple(sorted((*laws, *maps_of(run)), key=lambda figure: figure.title)),
        tables=tuple(filled([table_of(run), *summaries(run)])),
        rows=_rows(run),
    )


def _counts(run: Run) -> dict[str, int]:
    """Return the cases by class, the worst first."""
    found = by_class(run.tally)
    return {name: found[name] for name in reversed(SEVERITY) if found[name]}


def _failure(row: Row, run: Run) -> Failure:
    before = run.nights.get(row.case, ())
    nights = [Night(run_id=each.run_id, drift_class=each.drift_class) for each in before]
    now = Night(run_id=run.run_id, drift_class=class_of(row))
    stage = f"first differing stage {row.stage}" if row.stage else ""
    facts = (f"failed {row.failed_checks}", ulp_text(row), stage)
    return Failure(
        name=row.case,
        drift_class=class_of(row),
        facts="; ".join(filter(None, facts)),
        message=row.messages,
        rerun=row.rerun,
        nights=(*nights, now) if nights else (),
        since=since_when(row, before),
    )


def _others(run: Run) -> Iterable[Failure]:
    """Yield the tests of no case that failed or came to no verdict."""
    for test, said in run.others.items():
        yield Failure(name=test, message=said)
    for said in run.unjudged:
        yield Failure(name="no verdict", message=said)


# --- Heatmaps ------------------------------------------------------------------------------------
def _heatmaps(run: Run) -> Iterable[Heatmap]:
    """Yield initializer by dtype, and by backend where there are several.

    Rows that are not held here count too; the worst of each kind is held.
    """
    tally = run.tally
    if tally:
        yield _heatmap("dtype", _cells(tally, "dtype"), _worst(run.judged, "dtype"))
    if len({key.backend for key in tally}) > 1:
        yield _heatmap("backend", _cells(tally, "backend"), _worst(run.judged, "backend"))


def _cells(tally: Tally, across: str) -> Mapping[tuple[str, str], Mapping[tuple[str, str], int]]:
    """Return the counts by status and class, of each initializer and value of `across`."""
    cells: dict[tuple[str, str], collections.Counter[tuple[str, str]]] = {}
    for key, n in tally.items():
        counts = cells.setdefault((key.initializer, getattr(key, across)), collections.Counter())
        counts[key.status, key.drift_class] += n
    return cells


def _worst(rows: Iterable[Row], across: str) -> dict[tuple[str, str], Row]:
    """Return the worst row of each initializer and value of `across`."""
    found: dict[tuple[str, str], Row] = {}
    for row in sorted(rows, key=lambda row: (SEVERITY.index(class_of(row)), _ulp(row))):
        found[row.initializer, getattr(row, across)] = row
    return found


def _heatmap(
    across: str,
    cells: Mapping[tuple[str, str], Mapping[tuple[str, str], int]],
    worst: Mapping[tuple[str, str], Row],
) -> Heatmap:
    """Return the heatmap of counts by status and class."""
    shown = {
        key: Cell(
            drift_class=max((name for _, name in counts), key=SEVERITY.index),
            n_cases=sum(counts.values()),
            n_bad=sum(n for (status, _), n in counts.items() if status == Status.FAILED),
            worst=_distance_text(worst[key]) if key in worst else "",
        )
        for key, counts in cells.items()
    }
    return Heatmap.of("initializer", across, shown, bad="failed")


def _distance_text(row: Row) -> str:
    """Return the distance in words; "" between two streams, where it says nothing."""
    keeps_stream = row.drift_class is not None and DriftClass(row.drift_class).keeps_stream
    return ulp_text(row) if keeps_stream else ""


def _ulp(row: Row) -> float:
    at_sigma = row.max_ulp_at_sigma or 0.0
    return math.inf if math.isnan(at_sigma) else at_sigma


# --- Rows ----------------------------------------------------------------------------------------
def _rows(run: Run) -> Rows:
    """Return the rows, worst first, of a large run those that are held."""
    return Rows.of(
        worst_first(run.rows),
        _values,
        n_others=sum(run.unheld.values()),
        columns=COLUMNS,
        filters=FILTERS,
        elsewhere="records.parquet beside this page",
        command="rerun",
    )


def _values(row: Row) -> tuple[Any, ...]:
    return (
        *(row.case, row.status, class_of(row), *distances(row)),
        *(row.stage or "", row.failed_checks),
        *(
            row.initializer,
            row.dtype,
            row.shape,
            row.key or f"s{row.seed}",
            row.backend,
            row.transform,
            row.rerun,
        ),
    )
