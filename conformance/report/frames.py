"""Runs read back into pandas, with the dtypes that the columns declare.

Which initializers drifted on bfloat16 since the last run? Those of which some case returned
something else than it did in the run before:

    >>> runs = read_runs(Path("reports"))
    >>> last_two = sorted(runs["run_id"].unique())[-2:]
    >>> bf16 = runs[(runs["dtype"] == "bfloat16") & runs["run_id"].isin(last_two)]
    >>> outcomes = bf16.groupby(["initializer", "case"], observed=True)["outcome"].nunique()
    >>> sorted(outcomes[outcomes > 1].index.unique("initializer"))
    ['he_normal']

Text columns are pandas strings, axes and versions are categories, `drift_class`, `stage` and
`status` are ordered categories, counts are nullable integers (`max_ulp` unsigned: it reaches
2^64 - 1), and what is absent is missing, never zero. `metrics` is a JSON object:
`frame["metrics"].map(json.loads).apply(pandas.Series)` makes columns of it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from conformance.core import versions
from conformance.core.case_set import n_cases
from conformance.core.errors import ReportError, UnfinishedRunWarning, unknown
from conformance.core.reading import document, naming, record
from conformance.core.versions import KEY
from conformance.core.words import counted
from conformance.report.drift_csv import from_csv
from conformance.report.lots import LOTS_FILE, read_lots, read_rows
from conformance.report.rows import COLUMNS, Column, Row, defaults
from conformance.report.run import DRIFT, MISSING, RECORDS, RECORDS_AS_TEXT, ROWS

N_NAMED = 3
"""Cases that a line about missing ones names."""

NEWLINE = "\n"
"""What ends a row; `splitlines` would also split at characters that JSON leaves as they are."""


def read_run(folder: Path, *, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return one row a case of the run in `folder`, of all columns or of some.

    A run that was killed has only the rows it got to; they are returned with an
    UnfinishedRunWarning, which also says when the last line was cut short and dropped. So are those
    of a run that came to its end without a result of every case.

    Raises:
        ReportError: the folder holds no run, or one that this version cannot read.
        ValueError: there is no such column.
    """
    asked = _known(columns)
    for line in missing_lines(folder):
        warnings.warn(line, UnfinishedRunWarning, stacklevel=2)
    if (folder / RECORDS).exists():
        return _read_records(folder / RECORDS, asked)
    if (folder / RECORDS_AS_TEXT).exists():
        return frame([*read_rows(folder / RECORDS_AS_TEXT)])[asked]
    if (folder / ROWS).exists():
        return _read_unfinished(folder)[asked]
    raise ReportError(f"{folder} holds no run: it has neither {RECORDS} nor {ROWS}")


def _known(columns: Sequence[str] | None) -> list[str]:
    known = [column.name for column in COLUMNS]
    for name in columns or ():
        if name not in known:
            raise ValueError(unknown("column", name, known))
    return known if columns is None else list(columns)


def missing_lines(folder: Path) -> list[str]:
    """Return which cases of a run in `folder` have no result, one line for each reason.

    Raises:
        ReportError: the file that says so cannot be read.
    """
    path = folder / MISSING
    if not path.exists():  # the run was killed, or an earlier version wrote it
        return []
    try:
        groups = _missing_by_reason(path)
    except ValueError as error:
        raise ReportError(f"{path} is not what was written there: {error}") from error
    return [
        f"{folder}: no result from {_names(cases)}: {reason.partition(NEWLINE)[0]}"
        for reason, cases in groups.items()
    ]


def _missing_by_reason(path: Path) -> dict[str, tuple[str, ...]]:
    """Return reason -> cases. The first version is that alone; later ones state theirs beside."""
    found: object = document(path)
    if isinstance(found, dict) and KEY in found:
        found = versions.MISSING.content(found, path, ReportError).get("missing")
    return record(dict[str, tuple[str, ...]], found)


def _names(cases: Sequence[str]) -> str:
    more = sum(map(n_cases, cases[N_NAMED:]))
    return ", ".join(cases[:N_NAMED]) + (f" and {more} more" if more else "")


def read_runs(reports: Path, *, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the rows of all runs in a folder of reports, by `run_id`, oldest first.

    columns: those that are read; None for all.

    Raises:
        ReportError: there is no run, or one that this version cannot read.
        ValueError: there is no such column.
    """
    folders = sorted(
        {path.parent for name in (RECORDS, ROWS) for path in reports.glob(f"*/{name}")}
    )
    if not folders:
        raise ReportError(
            f"{reports} holds no run: expected {reports}/<run>/{RECORDS}. "
            "Give the folder that `--reports` named"
        )
    runs = [read_run(folder, columns=columns) for folder in folders]
    # pandas 2 and 3 disagree on what an empty frame does to the dtypes of the others.
    filled = [run for run in runs if len(run)] or runs[:1]
    return _conform(pd.concat(filled, ignore_index=True))


def read_drift(folder: Path) -> pd.DataFrame:
    """Return what drift.csv of a run says, as `read_run` would; `pandas.read_csv` would not.

    Raises:
        ReportError: there is no drift.csv, or its columns are others.
    """
    path = folder / DRIFT
    if not path.exists():
        raise ReportError(f"{path} does not exist: the run did not finish; see {ROWS}")
    # newline="": a carriage return inside a message is part of it.
    with path.open(encoding="utf-8", newline="") as file:
        text = file.read()
    try:
        return frame(from_csv(text))
    except ReportError as error:
        raise ReportError(f"{path}: {error}") from error


def frame(rows: Sequence[Row]) -> pd.DataFrame:
    """Return the rows as a frame, dtypes as the columns declare."""
    return _conform(
        pd.DataFrame(
            {
                column.name: _series([getattr(row, column.name) for row in rows], column)
                for column in COLUMNS
            }
        )
    )


def _series(values: list[Any], column: Column) -> pd.Series[Any]:
    # Through pandas' own arrays: NumPy would take 2^64 - 1 and None together for floats.
    return pd.Series(pd.array(values, dtype=_dtype(column)))


def _dtype(column: Column) -> Any:
    if column.dtype != "category":
        return column.dtype
    if not column.categories:
        return pd.CategoricalDtype()
    return pd.CategoricalDtype(list(column.categories), ordered=True)


def _read_records(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    import pyarrow.parquet as pq

    with naming(path, ReportError, "run it again"):
        names = pq.read_schema(path).names
        wanted = [name for name in dict.fromkeys((*columns, KEY)) if name in names]
        records = pd.read_parquet(path, columns=wanted, page_checksum_verification=True)
    versions = records[KEY].unique().tolist() if KEY in records else [None]
    try:
        filled = {
            name: value
            for version in versions
            for name, value in defaults(names, version).items()
            if name in columns
        }
    except ReportError as error:
        raise ReportError(f"{path}: {error}") from error
    return _conform(records.assign(**filled)[[*columns]])


def _conform(records: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with declared dtypes, which concatenating lost.

    Categories are text, also where there is none: pandas and Arrow make different things of those.
    """
    present = [column for column in COLUMNS if column.name in records]
    conformed = records.astype({column.name: _dtype(column) for column in present})
    for column in present:
        if column.dtype == "category":
            categories = conformed[column.name].cat
            conformed[column.name] = categories.rename_categories(
                list(map(str, categories.categories))
            )
    return conformed


def _read_unfinished(folder: Path) -> pd.DataFrame:
    """Return the rows that a run has got to."""
    rows = read_rows(folder / ROWS)
    if (folder / LOTS_FILE).exists():
        from conformance.report.parquet import table_of

        records = _conform(table_of(rows, read_lots(folder)).to_pandas())
    else:
        records = frame([*rows])
    warnings.warn(unfinished_line(folder, len(records)), UnfinishedRunWarning, stacklevel=3)
    return records


def unfinished_line(folder: Path, n_rows: int) -> str:
    """Return that a run in `folder` was cut short, and that so many rows of it were read."""
    is_cut_short = any(map(_is_cut_short, (folder / ROWS, folder / LOTS_FILE)))
    dropped = "; its last line is cut short and was dropped" if is_cut_short else ""
    return f"{folder}: the run did not finish; read: {counted(n_rows, 'row')}{dropped}"


def _is_cut_short(path: Path) -> bool:
    """Return whether a line was being written, whose end never came."""
    if not path.exists() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() != NEWLINE.encode()
