"""How exact each initializer is: the worst error over its whole lattice, measured and kept.

`golden/budgets.json` holds one line for each backend, initializer and dtype. Measuring again
replaces a line: a smaller figure at once, a larger one only with a reason, which the line then
carries. So budgets tighten by themselves, and loosening is a decision that somebody signed.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from conformance.core import inventory
from conformance.core.budgets import BudgetTable, Measurement
from conformance.core.errors import BudgetError, LooserBudget, Malformed
from conformance.core.files import Waiting, writing
from conformance.core.paths import BUDGETS as BUDGETS_FILE
from conformance.core.paths import golden_option
from conformance.core.reading import naming, parse_json, record
from conformance.core.records import Budget, MatrixBudget
from conformance.core.versions import BUDGETS
from conformance.store import documents
from conformance.store.stack import name_of


def merged(
    table: BudgetTable,
    measured: Iterable[Measurement],
    reason: str = "",
    below: BudgetTable | None = None,
) -> BudgetTable:
    """Return the table with the measured lines in place of those of the same key.

    below: what counted so far where the table, of an overlay, has no such line.

    Of matrices the worst that was ever seen counts: another machine has another LAPACK kernel, and
    a sweep under one says nothing of the others.

    Raises:
        LooserBudget: a line would allow more than before, and the reason is empty.
    """
    lines = dict(table.measurements)
    looser = []
    for new in measured:
        old = lines.get(new.key)
        if old and old.matrix and new.matrix:
            new = dataclasses.replace(new, matrix=old.matrix.joined(new.matrix))
        before = old or (below.measurements.get(new.key) if below else None)
        if before and is_looser(new.budget, before.budget):
            looser.append(f"{new.key}: {_figures(before.budget)} -> {_figures(new.budget)}")
            new = dataclasses.replace(new, reason=reason)
        lines[new.key] = new
    if looser and not reason:
        raise LooserBudget(
            "these budgets would grow:\n  "
            + "\n  ".join(looser)
            + "\nFind out why. If it is right, say so with --reason '...'"
        )
    return dataclasses.replace(table, measurements=lines)


def is_looser(new: Budget, old: Budget) -> bool:
    """Return whether the new budget allows an error that the old one does not."""
    return any(one > two for one, two in zip(_values(new), _values(old), strict=True))


def _values(budget: Budget) -> tuple[float, ...]:
    matrix = budget.matrix or MatrixBudget(column=0.0, gram=0.0)
    return budget.max_ulp, budget.max_ulp_at_sigma, matrix.column, matrix.gram


def _figures(budget: Budget) -> str:
    if budget.matrix:
        return f"column {budget.matrix.column:.3g} u, gram {budget.matrix.gram:.3g} u"
    return f"{budget.max_ulp} ULP, {budget.max_ulp_at_sigma:g} ULP of sigma"


def load(path: Path) -> BudgetTable:
    """Return the table in a file; an empty one if there is no file.

    Raises:
        BudgetError: the file cannot be read as a table, or is not the one that belongs to its set.
    """
    table = read(path)
    if path.exists():
        inventory.require(path, BudgetError)
    return table


def stacked(golden: Path, overlays: Sequence[Path] = ()) -> BudgetTable:
    """Return the table of a golden set and of the overlays on it, of which a later line counts.

    Raises:
        BudgetError: see `load`.
    """
    lines = dict(load(golden / BUDGETS_FILE).measurements)
    for folder in overlays:
        lines |= {
            key: dataclasses.replace(line, overlay=name_of(folder))
            for key, line in load(folder / BUDGETS_FILE).measurements.items()
        }
    return BudgetTable(measurements=lines, golden_option=golden_option(golden, overlays))


def read(path: Path) -> BudgetTable:
    """Return the table in a file, whether or not its set lists it as it is.

    Raises:
        BudgetError: the file cannot be read as a table.
    """
    option = golden_option(path.parent)
    if not path.exists():
        return BudgetTable(measurements={}, golden_option=option)
    way_out = (
        "restore it from version control, or delete it and measure again with "
        f"`conformance law{option} --write-budgets`"
    )
    with naming(path, BudgetError, way_out):
        measurements = _measurements(path.read_text(encoding="utf-8"), path)
    return BudgetTable(measurements=measurements, golden_option=option)


@functools.lru_cache(maxsize=2)  # 15 ms for the shipped table, which each session reads
def _measurements(text: str, path: Path) -> Mapping[str, Measurement]:
    """Return the lines of a file of this text, which nobody changes.

    Raises:
        BudgetError: its version is newer.
        ValueError: it is no table.
    """
    file = record(_File, BUDGETS.content(parse_json(text), path, BudgetError))
    return {key: _measurement(key, fields) for key, fields in file.budgets.items()}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    budgets: Mapping[str, Mapping[str, Any]]


IDENTITY = ("backend", "initializer", "dtype")
"""What the key of a line says, and the line does not."""


def _measurement(key: str, fields: Mapping[str, Any]) -> Measurement:
    said = key.split(" ")
    try:
        if len(said) != len(IDENTITY):
            raise Malformed(f"the line names no {', '.join(IDENTITY)}")
        return record(Measurement, {**fields, **dict(zip(IDENTITY, said, strict=True))})
    except Malformed as fault:
        raise fault.within("budgets", key) from None


def update(
    path: Path,
    measured: Iterable[Measurement],
    reason: str,
    waiting: Waiting,
    below: BudgetTable | None = None,
) -> BudgetTable:
    """Merge what was measured into the table in a golden set, and return what it holds now.

    The set is held meanwhile, so nothing is lost that another sweep, or `accept`, has written since
    this one began. waiting: told who holds the set. below: see `merged`.

    Raises:
        LooserBudget: see `merged`; nothing has changed then.
        BudgetError: the table cannot be read.
        GoldenError: the disk refuses.
    """
    with inventory.changing(path.parent, waiting):
        table = merged(read(path), measured, reason, below)
        with writing(path):
            save(path, table)
    return table


def save(path: Path, table: BudgetTable) -> None:
    """Write the table, one sorted line each, so that `git diff` shows one line a change."""
    lines = {key: _fields(measurement) for key, measurement in table.measurements.items()}
    documents.write(path, BUDGETS, {}, "budgets", lines)


def _fields(measurement: Measurement) -> dict[str, Any]:
    fields = dataclasses.asdict(measurement)
    left_out = (*IDENTITY, "overlay", *([] if measurement.matrix else ["matrix"]))
    return {name: value for name, value in fields.items() if name not in left_out}
