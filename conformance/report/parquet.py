"""Rows as Arrow tables and Parquet files, made without pandas, which takes longer to import.

The file tells pandas what the columns are, as pandas itself would: without that it makes floats of
whole numbers that may be missing, and 2^64 - 1 is none.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from conformance.core.errors import ReportError
from conformance.core.versions import KEY
from conformance.report.lots import OWN, Lot, Lots
from conformance.report.rows import COLUMNS, Column, Row, defaults

CHUNK = 2_500
"""Rows that are made at a time."""

ROW_GROUP = 15_000
"""Rows of one part of a file that is written part by part: some 35 MB of memory. What the footer
says of a part is in memory to the end of the file, 60 KB of each."""

BATCH = 10_000
"""Rows that are read at a time."""

CATEGORY, TIME = "category", "datetime64[us, UTC]"

TYPES: Mapping[str, tuple[pa.DataType, str]] = {
    "string": (pa.string(), "unicode"),
    "Int64": (pa.int64(), "int64"),
    "UInt64": (pa.uint64(), "uint64"),
    "float64": (pa.float64(), "float64"),
    "boolean": (pa.bool_(), "bool"),
    TIME: (pa.timestamp("us", tz="UTC"), "datetimetz"),
}
"""By the pandas dtype of a column: what it is in Arrow, and in pandas' words for that."""


def write_records(rows: Iterable[Row], blocks: Iterable[Lots], path: Path) -> None:
    """Write rows, and those of lots after them, to a Parquet file, ROW_GROUP in memory at a time.

    Columns in which the rows of a lot differ get no dictionary: it would hold each row. Each page
    has a checksum: a bit that flips in a digest would else be another outcome.
    """
    repeated = [column.name for column in COLUMNS if column.name not in OWN]
    with pq.ParquetWriter(
        path, SCHEMA, use_dictionary=repeated, compression="zstd", write_page_checksum=True
    ) as writer:
        for table in _row_groups(tables(rows, blocks)):
            writer.write_table(table)
            del table
            pa.default_memory_pool().release_unused()  # else it grows with the number of parts


def _row_groups(parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield tables joined to such of ROW_GROUP rows or a few more; none is held meanwhile."""
    left = iter(parts)
    while some := [*_enough(left)]:
        group = pa.concat_tables(some).unify_dictionaries()
        del some
        yield group
        del group


def _enough(parts: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yield tables until they have ROW_GROUP rows together."""
    n_rows = 0
    while n_rows < ROW_GROUP and (part := next(parts, None)) is not None:
        n_rows += len(part)
        yield part


def table_of(rows: Iterable[Row], blocks: Iterable[Lots]) -> pa.Table:
    """Return rows, and those of lots after them, as one table."""
    return pa.concat_tables(tables(rows, blocks))


def read_columns(path: Path, names: Collection[str]) -> Iterator[pa.RecordBatch]:
    """Yield some columns of records part by part, each of the type that SCHEMA says.

    A column that came later than the file is null.

    Raises:
        ReportError: the file is of a version that this release cannot read, or has other columns.
        pyarrow.ArrowInvalid: it is no such file, or a column holds something else.
    """
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        known = file.schema_arrow.names
        wanted = [name for name in dict.fromkeys((*names, KEY)) if name in known]
        for batch in file.iter_batches(BATCH, columns=wanted):
            try:
                for version in batch[KEY].unique().to_pylist() if KEY in known else [None]:
                    defaults(known, version)
            except ReportError as error:
                raise ReportError(f"{path}: {error}") from error
            found = [_column(batch, name) for name in names]
            yield pa.RecordBatch.from_arrays(found, names=list(names))


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    kind = SCHEMA.field(name).type
    if name not in batch.schema.names:
        return pa.nulls(batch.num_rows, kind)
    found = batch[name]
    if not pa.types.is_dictionary(kind):
        return found.cast(kind)
    is_encoded = pa.types.is_dictionary(found.type) and found.type.value_type == kind.value_type
    return found if is_encoded else found.cast(kind.value_type).dictionary_encode()


# --- The columns ---------------------------------------------------------------------------------
def _type(column: Column) -> pa.DataType:
    if column.dtype == CATEGORY:
        return pa.dictionary(pa.int32(), pa.string(), ordered=bool(column.categories))
    return TYPES[column.dtype][0]


def _as_pandas_has_it(column: Column) -> dict[str, Any]:
    """Return what pandas keeps of a column: its "developer guide", under `pandas` metadata."""
    as_told = {"name": column.name, "field_name": column.name}
    if column.dtype == CATEGORY:
        ordered = bool(column.categories)
        kept = {"num_categories": len(column.categories), "ordered": ordered}
        return {**as_told, "pandas_type": "categorical", "numpy_type": "int32", "metadata": kept}
    if column.dtype == TIME:
        zone = {"timezone": "UTC"}
        return {**as_told, "pandas_type": TYPES[TIME][1], "numpy_type": TIME, "metadata": zone}
    kind = TYPES[column.dtype][1]
    return {**as_told, "pandas_type": kind, "numpy_type": column.dtype, "metadata": None}


def _schema() -> pa.Schema:
    told = {
        "index_columns": [],
        "column_indexes": [],
        "columns": [_as_pandas_has_it(column) for column in COLUMNS],
        "creator": {"library": "initializer-conformance", "version": "1"},
        "pandas_version": "2.0.0",  # whose form this is
    }
    fields = [pa.field(column.name, _type(column)) for column in COLUMNS]
    return pa.schema(fields, metadata={"pandas": json.dumps(told)})


SCHEMA = _schema()


# --- The rows ------------------------------------------------------------------------------------
def tables(rows: Iterable[Row], blocks: Iterable[Lots]) -> Iterator[pa.Table]:
    """Yield the rows, and then those of lots, as tables; one at least."""
    left = iter(rows)
    yield _table([*itertools.islice(left, CHUNK)])
    while some := [*itertools.islice(left, CHUNK)]:
        yield _table(some)
    chunk: list[Lot] = []
    n_rows = 0
    for lot in (lot for each in blocks for lot in each.lots):
        chunk.append(lot)
        n_rows += len(lot.seeds)
        if n_rows >= CHUNK:
            yield _table_of_lots(chunk)
            chunk, n_rows = [], 0
    if chunk:
        yield _table_of_lots(chunk)


def _table(rows: Sequence[Row]) -> pa.Table:
    columns = [_array([getattr(row, column.name) for row in rows], column) for column in COLUMNS]
    return pa.table(columns, schema=SCHEMA)


def _table_of_lots(lots: Sequence[Lot]) -> pa.Table:
    """Return the rows of lots: the row of each, repeated, and the columns in which they differ."""
    number_of_lot = [number for number, lot in enumerate(lots) for _ in lot.seeds]
    found = _table([lot.row for lot in lots]).take(_of_type(number_of_lot, pa.int64()))
    own = [lot.own() for lot in lots]
    for name in OWN:
        values = [value for each in own for value in each[name]]
        place = SCHEMA.get_field_index(name)
        array = _of_type(values, SCHEMA.types[place])
        found = found.set_column(place, SCHEMA.field(place), array)
    return found


def _array(values: list[Any], column: Column) -> pa.Array:
    if column.dtype == TIME:
        values = [dt.datetime.fromisoformat(value) for value in values]
    if column.dtype != CATEGORY:
        return _of_type(values, _type(column))
    known = list(column.categories) or list(dict.fromkeys(filter(None, values)))
    number = {value: place for place, value in enumerate(known)}
    return pa.DictionaryArray.from_arrays(
        _of_type([number.get(value) for value in values], pa.int32()),
        _of_type(known, pa.string()),
        ordered=bool(column.categories),
    )


EPOCH, MICROSECOND = dt.datetime(1970, 1, 1, tzinfo=dt.UTC), dt.timedelta(microseconds=1)


def _of_type(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Return `pa.array(values, kind)`, for which PyArrow asks pandas whether the list is a Series.

    Importing pandas takes longer than all else that a run of one case does after JAX. Layout: Arrow
    Columnar Format, "Physical Memory Layout".
    """
    present = np.array([value is not None for value in values], np.bool_)
    if pa.types.is_string(kind):
        encoded = [b"" if value is None else value.encode() for value in values]
        ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
        content = [pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    elif pa.types.is_boolean(kind):
        content = [_bits(np.array([bool(value) for value in values], np.bool_))]
    elif pa.types.is_timestamp(kind):
        since = [0 if value is None else (value - EPOCH) // MICROSECOND for value in values]
        content = [pa.py_buffer(np.array(since, np.int64))]
    else:
        filled = [0 if value is None else value for value in values]
        content = [pa.py_buffer(np.array(filled, kind.to_pandas_dtype()))]
    return pa.Array.from_buffers(kind, len(values), [_bits(present), *content])


def _bits(truths: npt.NDArray[np.bool_]) -> pa.Buffer:
    """Return one bit a value, the first in the lowest of a byte."""
    return pa.py_buffer(np.packbits(truths, bitorder="little"))
