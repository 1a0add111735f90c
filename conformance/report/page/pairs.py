"""What a page shows for each initializer and dtype: classes, first stage, errors, and where."""

from __future__ import annotations

import collections
import json
from collections.abc import Callable, Iterable, Iterator, Mapping

from conformance.core.records import Status
from conformance.core.words import counted
from conformance.report.page.model import Figure
from conformance.report.rows import Row
from conformance.report.run import Key, Run, Tally, is_plain, key_of, n_of, ulp_text
from conformance.report.tables import Table

N_MAPS = 12
"""Maps of one page, of the worst failures."""

NEARLY_ALL = 0.9

BACKWARD_ERRORS = {
    "column error, u": "oracle.column_error",
    "gram error, u": "structure.gram_error",
}
"""Of a matrix, in units of roundoff: what says whether it is right, which its elements do not."""

HEAD = (
    *("initializer", "dtype", "drifted", "failed", "class", "first differing stage"),
    *("worst element", *BACKWARD_ERRORS),
)

Pairs = Mapping[tuple[str, str], list[Row]]


def table_of(run: Run) -> Table:
    """Return a line for each initializer and dtype of which a case drifted or failed.

    All such cases are counted; errors are those of the rows that are held, the worst.
    """
    pairs, tallies = _pairs(run.noteworthy), _tallies(run)
    return Table(
        title="What drifted, by initializer and dtype",
        head=HEAD,
        lines=tuple(_line(*pair, rows, tallies[pair]) for pair, rows in pairs.items()),
        elsewhere=run.elsewhere,
    )


def _pairs(rows: Iterable[Row]) -> Pairs:
    """Return the rows by initializer and dtype, in the order in which each comes first."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.initializer, row.dtype), []).append(row)
    return found


def _tallies(run: Run) -> Mapping[tuple[str, str], Tally]:
    """Return how many cases drifted or failed, by initializer and dtype."""
    found: dict[tuple[str, str], dict[Key, int]] = {}
    for key, n in run.tally.items():
        if not is_plain(key):
            found.setdefault((key.initializer, key.dtype), {})[key] = n
    return found


def _line(initializer: str, dtype: str, rows: list[Row], tally: Tally) -> tuple[str, ...]:
    return (
        *(initializer, dtype, str(sum(tally.values())), str(n_of(tally, Status.FAILED))),
        _counts(rows, tally, lambda key: key.drift_class),
        _counts(rows, tally, lambda key: key.stage or ""),
        ulp_text(rows[0]),
        *(_worst(rows, metric) for metric in BACKWARD_ERRORS.values()),
    )


def _counts(rows: Iterable[Row], tally: Tally, named: Callable[[Key], str]) -> str:
    """Return how many cases have each name, as in `law 1, stream 4`, in the order of the rows."""
    counts: collections.Counter[str] = collections.Counter()
    for key in (*dict.fromkeys(map(key_of, rows)), *tally):
        counts[named(key)] += 0
    for key, n in tally.items():
        counts[named(key)] += n
    return ", ".join(f"{name} {n}" for name, n in counts.items() if name)


def _worst(rows: Iterable[Row], metric: str) -> str:
    """Return the largest value of a metric, or "" where none has it."""
    found = (json.loads(row.metrics).get(metric) for row in rows)
    numbers = [float(value) for value in found if value is not None]
    return f"{max(numbers):.3g}" if numbers else ""


# --- Where elements differ -----------------------------------------------------------------------
def maps_of(run: Run) -> Iterator[Figure]:
    """Yield, of the pairs that failed worst, a map of where the elements differ that do.

    None of a pair whose arrays could not be compared, or in whose cases nearly each element
    differs: there the few that are equal are so by chance.
    """
    partly = _pairs(row for row in run.failed if row.mismatch and _is_partial(row))
    if not partly:
        return
    from conformance.report.page import plots  # matplotlib takes longer to import than a case

    for (initializer, dtype), (worst, *_) in list(partly.items())[:N_MAPS]:
        assert worst.mismatch is not None
        size, fields = read_map(worst.mismatch)
        yield Figure(
            title=f"{initializer} {dtype}",
            svg=plots.mismatch(fields, size),
            says=(
                f"where {worst.case} differs from the golden: {worst.n_different} of "
                f"{counted(worst.n_elements or 0, 'element')}; {worst.drift_detail}"
            ),
        )


def _is_partial(row: Row) -> bool:
    return (row.n_different or 0) < NEARLY_ALL * (row.n_elements or 0)


def read_map(text: str) -> tuple[tuple[int, int], list[list[int]]]:
    """Return the size of the matrix, and the digit of each field; see `geometry.mismatch`."""
    size, _, lines = text.partition(" ")
    rows, _, columns = size.partition("x")
    fields = [[int(digit, 16) for digit in line] for line in lines.split("/")]
    return (int(rows), int(columns)), fields
