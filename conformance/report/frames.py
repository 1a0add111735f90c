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

import contextlib
import dataclasses
import io
import itertools
import json
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from conformance.core.errors import ReportError, UnfinishedRunWarning
from conformance.core.reading import document, record
from conformance.core.versions import KEY
from conformance.core.words import counted
from conformance.report.drift_csv import from_csv
from conformance.report.rows import COLUMNS, Column, Row, defaults, from_json
from conformance.report.run import MISSING

if TYPE_CHECKING:
    import pyarrow as pa

ROWS, RECORDS, DRIFT = "rows.jsonl", "records.parquet", "drift.csv"
RECORDS_AS_TEXT = "records.jsonl"
N_NAMED = 3
"""Cases that a line about missing ones names."""

NEWLINE = "\n"
"""What ends a row; `splitlines` would also split at characters that JSON leaves as they are."""


def read_run(folder: Path) -> pd.DataFrame:
    """Return one row a case of the run in `folder`.

    A run that was killed has only the rows it got to; they are returned with an
    UnfinishedRunWarning, which also says when the last line was cut short and dropped. So are those
    of a run that came to its end without a result of every case.

    Raises:
        ReportError: the folder holds no run, or one that this version cannot read.
    """
    for line in missing_lines(folder):
        warnings.warn(line, UnfinishedRunWarning, stacklevel=2)
    if (folder / RECORDS).exists():
        return _read_records(folder / RECORDS)
    if (folder / RECORDS_AS_TEXT).exists():
        return frame(_read_lines(folder / RECORDS_AS_TEXT))
    if (folder / ROWS).exists():
        return frame(_read_rows(folder / ROWS))
    raise ReportError(f"{folder} holds no run: it has neither {RECORDS} nor {ROWS}")


def missing_lines(folder: Path) -> list[str]:
    """Return which cases of a run in `folder` have no result, one line for each reason.

    Raises:
        ReportError: the file that says so cannot be read.
    """
    path = folder / MISSING
    if not path.exists():  # the run was killed, or an earlier version wrote it
        return []
    try:
        groups = record(dict[str, tuple[str, ...]], document(path))
    except ValueError as error:
        raise ReportError(f"{path} is not what was written there: {error}") from error
    return [
        f"{folder}: no result from {_names(cases)}: {reason.partition(NEWLINE)[0]}"
        for reason, cases in groups.items()
    ]


def _names(cases: Sequence[str]) -> str:
    more = f" and {len(cases) - N_NAMED} more" if len(cases) > N_NAMED else ""
    return ", ".join(cases[:N_NAMED]) + more


def read_runs(reports: Path) -> pd.DataFrame:
    """Return the rows of all runs in a folder of reports, by `run_id`, oldest first.

    Raises:
        ReportError: there is no run, or one that this version cannot read.
    """
    folders = sorted(
        {path.parent for name in (RECORDS, ROWS) for path in reports.glob(f"*/{name}")}
    )
    if not folders:
        raise ReportError(
            f"{reports} holds no run: expected {reports}/<run>/{RECORDS}. "
            "Give the folder that `--reports` named"
        )
    runs = [read_run(folder) for folder in folders]
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
    return pd.DataFrame(
        {
            column.name: _series([getattr(row, column.name) for row in rows], column)
            for column in COLUMNS
        }
    )


def write_records(lines: Iterable[str], path: Path) -> None:
    """Write rows, as JSON each, to a Parquet file, CHUNK of them in memory at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Text, where a frame has a category: its codes would differ from chunk to chunk.
    empty = pd.DataFrame({each.name: _series([], _as_text(each)) for each in COLUMNS})
    schema = pa.Schema.from_pandas(empty, preserve_index=False)
    with pq.ParquetWriter(path, schema) as writer:
        for chunk in batched(lines, CHUNK):
            writer.write_table(_table(chunk, schema))


def _table(lines: list[str], schema: pa.Schema) -> pa.Table:
    """Return rows as a table: read by Arrow, which takes a tenth of the time, where it can."""
    import pyarrow as pa
    import pyarrow.json

    is_time = [pa.types.is_timestamp(field.type) for field in schema]
    types = zip(schema, is_time, strict=True)
    as_told = pa.schema([each.with_type(pa.string()) if time else each for each, time in types])
    data = "".join(lines).encode()
    how = {
        "read_options": pyarrow.json.ReadOptions(block_size=len(data) + 1, use_threads=False),
        "parse_options": pyarrow.json.ParseOptions(explicit_schema=as_told),
    }
    with contextlib.suppress(pa.ArrowInvalid):  # NaN and infinity are text in JSON
        return pyarrow.json.read_json(io.BytesIO(data), **how).cast(schema)
    rows = [json.loads(line) for line in lines]
    columns = {
        each.name: _series([row[each.name] for row in rows], _as_text(each)) for each in COLUMNS
    }
    return pa.Table.from_pandas(pd.DataFrame(columns), preserve_index=False).cast(schema)


CHUNK = 5_000
"""Rows of one part of a file that is written part by part: some 50 MB of memory."""


def batched(lines: Iterable[str], n: int) -> Iterator[list[str]]:
    """Yield the lines by n; `itertools.batched` came with Python 3.12."""
    left = iter(lines)
    while chunk := list(itertools.islice(left, n)):
        yield chunk


def _as_text(column: Column) -> Column:
    return dataclasses.replace(column, dtype="string") if column.dtype == "category" else column


def _series(values: list[Any], column: Column) -> pd.Series[Any]:
    # Through pandas' own arrays: NumPy would take 2^64 - 1 and None together for floats.
    return pd.Series(pd.array(values, dtype=_dtype(column)))


def _dtype(column: Column) -> Any:
    if column.dtype != "category":
        return column.dtype
    if not column.categories:
        return pd.CategoricalDtype()
    return pd.CategoricalDtype(list(column.categories), ordered=True)


def _read_records(path: Path) -> pd.DataFrame:
    records = pd.read_parquet(path)
    versions = records[KEY].unique().tolist() if KEY in records else [None]
    try:
        filled = {
            name: value
            for version in versions
            for name, value in defaults(records.columns.tolist(), version).items()
        }
    except ReportError as error:
        raise ReportError(f"{path}: {error}") from error
    return _conform(records.assign(**filled))


def _conform(records: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with declared dtypes, which concatenating lost."""
    return records.astype({column.name: _dtype(column) for column in COLUMNS})


def _read_rows(path: Path) -> list[Row]:
    text = path.read_text(encoding="utf-8")
    cut_short = text.rpartition(NEWLINE)[2]
    dropped = "; its last line is cut short and was dropped" if cut_short else ""
    read = counted(text.count(NEWLINE), "row")
    warnings.warn(
        f"{path.parent}: the run did not finish; read: {read}{dropped}",
        UnfinishedRunWarning,
        stacklevel=3,
    )
    return _read_lines(path)


def _read_lines(path: Path) -> list[Row]:
    # Every whole row ends in a newline; what follows the last one was being written.
    whole = path.read_text(encoding="utf-8").split(NEWLINE)[:-1]
    return [_parse_line(path, number, line) for number, line in enumerate(whole, start=1)]


def _parse_line(path: Path, number: int, line: str) -> Row:
    try:
        return from_json(line)
    except ReportError as error:
        raise ReportError(f"{path}, line {number}: {error}") from error
