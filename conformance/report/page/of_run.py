"""The page of a run."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from conformance.core.errors import ExitCode
from conformance.core.records import DriftClass, Status
from conformance.report.explained import notes_on
from conformance.report.headline import headline
from conformance.report.page.model import (
    MAX_ROWS,
    N_FAILURES,
    Cell,
    Failure,
    Heatmap,
    Page,
    Rows,
    Tone,
    distances,
    facts_of,
)
from conformance.report.rows import Row
from conformance.report.run import NO_GOLDEN, Run, by_class, class_of, ulp_text, worst_first
from conformance.report.tables import filled, summaries

COLUMNS = (
    *("case", "status", "class", "ULP", "ULP of sigma", "stage", "failed checks"),
    *("initializer", "dtype", "shape", "seed", "backend", "transform", "rerun"),
)
SEVERITY = (NO_GOLDEN, *map(str, DriftClass))

FILTERS = ("initializer", "dtype", "backend", "transform", "status", "class")


def page_of_run(run: Run) -> Page:
    """Return the page of a run: failures first, then where they are, then all rows."""
    code = ExitCode.of(failed=bool(run.failed), missing=bool(run.missing), empty=not run.n_judged)
    return Page(
        tone=Tone.of(code),
        title=f"{run.verdict.partition(':')[0]} - {run.run_id}",
        verdict=run.verdict,
        sentence=headline(run),
        notes=tuple(notes_on(run)),
        facts=tuple(facts_of(run.environment, run.golden_environment)),
        counts={name: n for name, n in by_class(run.tally).items() if n},
        failures=tuple(map(_failure, run.failed[:N_FAILURES])),
        n_failures=len(run.failed),
        elsewhere="drift.csv",
        heatmaps=tuple(_heatmaps(run.judged)),
        tables=tuple(filled(summaries(run))),
        rows=_rows(run),
    )


def _failure(row: Row) -> Failure:
    stage = f"first differing stage {row.stage}" if row.stage else ""
    facts = (f"failed {row.failed_checks}", ulp_text(row), stage)
    return Failure(
        name=row.case,
        drift_class=class_of(row),
        facts="; ".join(filter(None, facts)),
        message=row.messages,
        rerun=row.rerun,
    )


# --- Heatmaps ------------------------------------------------------------------------------------
def _heatmaps(rows: tuple[Row, ...]) -> Iterable[Heatmap]:
    """Yield initializer by dtype, and by backend where there are several."""
    if rows:
        yield _heatmap(rows, "initializer", "dtype")
    if len({row.backend for row in rows}) > 1:
        yield _heatmap(rows, "initializer", "backend")


def _heatmap(rows: tuple[Row, ...], down: str, across: str) -> Heatmap:
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((getattr(row, down), getattr(row, across)), []).append(row)
    return Heatmap.of(
        down, across, {key: _cell(mine) for key, mine in groups.items()}, bad="failed"
    )


def _cell(rows: list[Row]) -> Cell:
    worst = max(rows, key=lambda row: (SEVERITY.index(class_of(row)), _ulp(row)))
    return Cell(
        drift_class=class_of(worst),
        n_cases=len(rows),
        n_bad=sum(row.status == Status.FAILED for row in rows),
        # Between two streams a distance says nothing.
        worst=ulp_text(worst)
        if worst.drift_class and DriftClass(worst.drift_class).keeps_stream
        else "",
    )


def _worst_text(row: Row) -> str:
    """Return the distance in words; "" between two streams, where it says nothing."""
    keeps_stream = row.drift_class is not None and DriftClass(row.drift_class).keeps_stream
    return ulp_text(row) if keeps_stream else ""


def _ulp(row: Row) -> float:
    at_sigma = row.max_ulp_at_sigma or 0.0
    return math.inf if math.isnan(at_sigma) else at_sigma


# --- Rows ----------------------------------------------------------------------------------------
def _rows(run: Run) -> Rows:
    """Return the rows, worst first, of a large run without those that plainly passed."""
    shown = worst_first(run.rows)[:MAX_ROWS]
    return Rows(
        columns=COLUMNS,
        values=[_values(row) for row in shown],
        filters=FILTERS,
        n_left_out=len(run.rows) - len(shown) + sum(run.plain.values()),
        elsewhere="records.parquet",
        command="rerun",
    )


def _values(row: Row) -> tuple[Any, ...]:
    return (
        *(row.case, row.status, class_of(row), *distances(row)),
        *(row.stage or "", row.failed_checks),
        *(row.initializer, row.dtype, row.shape, row.seed, row.backend, row.transform, row.rerun),
    )
