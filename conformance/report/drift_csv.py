"""The cases that drifted, as CSV that anything can open and that reads back exactly.

An absent value is an empty cell. A text that is never absent may be empty as well, so nothing is
ambiguous; but a reader that guesses types turns an initializer called `NA` into a missing value:
read these files with `frames.read_drift`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from conformance.core.errors import ReportError
from conformance.report.escape import csv_text, from_csv_text
from conformance.report.rows import COLUMNS, Row, from_texts


def to_csv(rows: Iterable[Row]) -> str:
    """Return the rows as CSV with a header; floats as the shortest text that reads back equal."""
    text = io.StringIO()
    # Lines end as RFC 4180 says: under another ending csv leaves a carriage return unquoted.
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(column.name for column in COLUMNS)
    for row in rows:
        values = (getattr(row, column.name) for column in COLUMNS)
        writer.writerow(csv_text(one) if isinstance(one, str) else one for one in values)
    return text.getvalue()


def from_csv(text: str) -> list[Row]:
    """Return the rows that `to_csv` wrote.

    Raises:
        ReportError: not CSV, other columns, or a value that its column cannot hold.
    """
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        return [from_texts(_as_written(values)) for values in reader]
    except csv.Error as error:
        raise ReportError(f"not CSV: {error}") from error


def _as_written(values: dict[str, str]) -> dict[str, str]:
    return {name: from_csv_text(text or "") for name, text in values.items()}
