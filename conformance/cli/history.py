"""`conformance history DIR`: when each case last changed class, on which backend."""

from __future__ import annotations

import argparse
import functools
import json
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import pandas as pd

from conformance.cli.output import tell, write_all, write_text
from conformance.core.errors import ExitCode, UnfinishedRunWarning
from conformance.core.records import MACHINE, Status
from conformance.core.versions import HISTORY
from conformance.core.words import counted
from conformance.report.aligned import wrapped
from conformance.report.frames import read_runs
from conformance.report.nights import FACTS, what_changed
from conformance.report.page.model import Cell, Heatmap, Page, Tone
from conformance.report.page.render import html
from conformance.report.run import NO_GOLDEN
from conformance.report.tables import Table

CASE = ["backend", "case"]

READ = (*CASE, "run_id", "status", "failed_checks", "drift_class", *FACTS)
"""The columns that a history needs."""


def run(arguments: argparse.Namespace) -> int:
    """Print the last change of every case that ever changed; runs that lack results are named."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UnfinishedRunWarning)
        rows = read_runs(arguments.reports, columns=READ)
    unfinished = [str(warning.message) for warning in caught]
    for line in unfinished:
        print(f"unfinished: {line}", file=sys.stderr)
    rows = rows[rows["failed_checks"] != MACHINE]
    changes = last_changes(rows)
    files = tell(
        arguments,
        lambda width: to_text(rows, changes, width),
        json=functools.partial(to_json, rows, changes, unfinished),
    )
    if arguments.page is not None:
        page = page_of(rows, changes, unfinished)
        files.append(lambda: write_text(arguments.page, html(page)))
    return ExitCode.first(ExitCode.OK, write_all(files))


def to_text(rows: pd.DataFrame, changes: pd.DataFrame, width: int | None = None) -> str:
    """Return the last changes by run, newest first, after how many cases never changed.

    Cases that share the facts that changed with them stand under these. width: of the terminal.
    """
    steady = counted(_n_steady(rows, changes), "case")
    n_runs = counted(rows["run_id"].nunique(), "run")
    lines = [f"{n_runs}; of the same class in all of them: {steady}"]
    for run_id, changed in changes.groupby("run_id", sort=False):
        lines.append(f"{run_id}:")
        by_facts: dict[str, list[str]] = {}
        for change in changed.itertuples():
            by_facts.setdefault(_why(change), []).append(_change(change))
        for facts, cases in by_facts.items():
            lines += [f"  {facts}", *(f"    {case}" for case in cases)]
    return "".join(f"{row}\n" for line in lines for row in wrapped(line, width, indent=6))


def to_json(rows: pd.DataFrame, changes: pd.DataFrame, unfinished: Sequence[str]) -> str:
    """Return the same as one JSON document, with the runs that lack results."""
    document = {
        "n_runs": rows["run_id"].nunique(),
        "n_steady": _n_steady(rows, changes),
        "changes": changes.to_dict("records"),
        "unfinished": unfinished,
    }
    return json.dumps(HISTORY.stamped(document), indent=1) + "\n"


def _n_steady(rows: pd.DataFrame, changes: pd.DataFrame) -> int:
    return len(rows[CASE].drop_duplicates()) - len(changes)


def last_changes(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the last time that each case had another class than in the run before, newest first.

    Each backend has a history of its own. Beside the class stand the facts before and after.
    """
    rows = rows.assign(class_after=rows["drift_class"].astype("string").fillna(NO_GOLDEN))
    # Nearly all never change, and there may be millions: only the others are told what they ran in.
    rows = rows[rows.groupby(CASE, observed=True)["class_after"].transform("nunique") > 1]
    rows = rows.sort_values("run_id", kind="stable")
    told = {f"{name}_after": rows[name].astype("string").fillna("") for name in FACTS}
    rows = rows.assign(**told)
    afterwards = ["class_after", *told]
    before = [f"{name.removesuffix('_after')}_before" for name in afterwards]
    rows[before] = rows.groupby(CASE, observed=True)[afterwards].shift()
    has_changed = rows["class_before"].notna() & (rows["class_before"] != rows["class_after"])
    last = rows[has_changed].groupby(CASE, observed=True).tail(1)
    newest_first = last.sort_values(["run_id", *CASE], ascending=[False, True, True])
    return newest_first[[*CASE, "run_id", *before, *afterwards]].astype(str)


def _text(change: Any) -> str:
    return f"{_change(change)} ({_why(change)})"


def _change(change: Any) -> str:
    return f"{change.case} on {change.backend}: {change.class_before} -> {change.class_after}"


def _why(change: Any) -> str:
    """Return the facts that changed with the class."""
    before, after = (
        {name: getattr(change, f"{name}_{side}") for name in FACTS} for side in ("before", "after")
    )
    return what_changed(before, after)


N_CASES, N_RUNS = 200, 30
"""Of a page: the cases that changed last, over the newest runs."""


def page_of(rows: pd.DataFrame, changes: pd.DataFrame, unfinished: Sequence[str]) -> Page:
    """Return the page of a history: the class of each case that ever changed, in every run."""
    names = changes["case"].drop_duplicates().head(N_CASES)
    runs = sorted(rows["run_id"].astype(str).unique())[-N_RUNS:]
    shown = rows[rows["case"].isin(names) & rows["run_id"].isin(runs)]
    classes = shown["drift_class"].astype("string").fillna(NO_GOLDEN)
    columns = [shown["case"], shown["run_id"], classes, shown["status"]]
    cells = {
        (case, run_id): Cell(drift_class=name, n_cases=1, n_bad=int(status == Status.FAILED))
        for case, run_id, name, status in zip(
            *(column.astype(str) for column in columns), strict=True
        )
    }
    n_runs = counted(rows["run_id"].nunique(), "run")
    lines = tuple((str(change.run_id), _text(change)) for change in changes.itertuples())
    elsewhere = "what --json prints"
    return Page(
        title=f"history of {n_runs}",
        tone=Tone.of(ExitCode.OK),
        verdict=f"{n_runs}: {counted(len(changes), 'case')} changed class",
        notes=tuple(f"unfinished: {line}" for line in unfinished),
        heatmaps=(Heatmap.of("case", "run", cells, bad="failed"),) if cells else (),
        tables=(
            Table(title="Last changes", head=("run", "change"), lines=lines, elsewhere=elsewhere),
        ),
    )
