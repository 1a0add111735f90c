"""When each case last changed class, over many runs, and on which backend."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path

import pandas as pd

from conformance.core.errors import UnfinishedRunWarning
from conformance.core.records import MACHINE
from conformance.report.frames import read_runs
from conformance.report.run import NO_GOLDEN


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LastChange:
    """The last time a case had another class than in the run before it, on one backend."""

    backend: str
    case: str
    run_id: str
    class_before: str
    class_after: str
    jax_before: str
    jax_after: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What many runs came to.

    changes: newest first. n_steady: cases that kept their class. unfinished: the runs that lack
    results, and why, one line each; what they do have counts.
    """

    n_runs: int
    n_steady: int
    changes: tuple[LastChange, ...]
    unfinished: tuple[str, ...]


def read_history(reports: Path) -> History:
    """Return the history of the runs in a folder of reports.

    Raises:
        ReportError: there is no run, or one that this version cannot read.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UnfinishedRunWarning)
        rows = read_runs(reports).sort_values("run_id", kind="stable")
    rows = rows[rows["failed_checks"] != MACHINE].copy()
    rows["drift_class"] = rows["drift_class"].astype("string").fillna(NO_GOLDEN)
    rows["jax"] = rows["jax"].astype("string").fillna("absent")
    cases = rows.groupby(["backend", "case"], observed=True, sort=True)
    earlier = cases[["drift_class", "jax"]].shift()
    rows = rows.assign(class_before=earlier["drift_class"], jax_before=earlier["jax"])
    has_changed = rows["class_before"].notna() & (rows["class_before"] != rows["drift_class"])
    last = rows[has_changed].groupby(["backend", "case"], observed=True, sort=True).tail(1)
    return History(
        n_runs=int(rows["run_id"].nunique()),
        n_steady=cases.ngroups - len(last),
        changes=_changes(
            last.sort_values(["run_id", "backend", "case"], ascending=[False, True, True])
        ),
        unfinished=tuple(str(warning.message) for warning in caught),
    )


def _changes(rows: pd.DataFrame) -> tuple[LastChange, ...]:
    return tuple(
        LastChange(
            backend=str(row.backend),
            case=str(row.case),
            run_id=str(row.run_id),
            class_before=str(row.class_before),
            class_after=str(row.drift_class),
            jax_before=str(row.jax_before),
            jax_after=str(row.jax),
        )
        for row in rows.itertuples()
    )
