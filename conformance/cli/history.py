"""`conformance history DIR`: when each case last changed class, on which backend."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import pandas as pd

from conformance.core.errors import ExitCode, UnfinishedRunWarning
from conformance.core.records import MACHINE
from conformance.core.words import counted
from conformance.report.frames import read_runs
from conformance.report.run import NO_GOLDEN

CASE = ["backend", "case"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the folder of runs and the output."""
    parser.add_argument("reports", type=Path, help="the folder that `--reports` named")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the last change of every case that ever changed; runs that lack results are named."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UnfinishedRunWarning)
        rows = read_runs(arguments.reports)
    unfinished = [str(warning.message) for warning in caught]
    for line in unfinished:
        print(f"unfinished: {line}", file=sys.stderr)
    rows = rows[rows["failed_checks"] != MACHINE]
    changes = last_changes(rows)
    n_runs = rows["run_id"].nunique()
    n_steady = len(rows[CASE].drop_duplicates()) - len(changes)
    if arguments.json:
        counts = {"n_runs": n_runs, "n_steady": n_steady}
        told = {**counts, "changes": changes.to_dict("records"), "unfinished": unfinished}
        print(json.dumps(told, indent=1))
        return ExitCode.OK
    steady = counted(n_steady, "case")
    print(f"{counted(n_runs, 'run')}; of the same class in all of them: {steady}")
    for run_id, changed in changes.groupby("run_id", sort=False):
        print(f"{run_id}:")
        for change in changed.itertuples():
            print(f"  {_text(change)}")
    return ExitCode.OK


def last_changes(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the last time that each case had another class than in the run before, newest first.

    Each backend has a history of its own.
    """
    rows = rows.sort_values("run_id", kind="stable")
    rows = rows.assign(
        class_after=rows["drift_class"].astype("string").fillna(NO_GOLDEN),
        jax_after=rows["jax"].astype("string").fillna("absent"),
    )
    afterwards, before = ["class_after", "jax_after"], ["class_before", "jax_before"]
    rows[before] = rows.groupby(CASE, observed=True)[afterwards].shift()
    has_changed = rows["class_before"].notna() & (rows["class_before"] != rows["class_after"])
    last = rows[has_changed].groupby(CASE, observed=True).tail(1)
    newest_first = last.sort_values(["run_id", *CASE], ascending=[False, True, True])
    return newest_first[[*CASE, "run_id", *before, *afterwards]].astype(str)


def _text(change: Any) -> str:
    versions = {change.jax_before: None, change.jax_after: None}
    return (
        f"{change.case} on {change.backend}: {change.class_before} -> {change.class_after} "
        f"(jax {' -> '.join(versions)})"
    )
