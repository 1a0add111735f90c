"""The rows of a run -> facts. Rows stay in their file but for what a merge must know of them."""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from conformance.core.causes import LAPACK_FACTS
from conformance.core.errors import Malformed, ReportError, UnfinishedRunWarning, unknown
from conformance.core.ids import parse_case
from conformance.core.reading import naming
from conformance.core.records import EXECUTED, IN_BLOCK, MACHINE, Outcome
from conformance.core.settings import HARMLESS_FLAGS
from conformance.merge.facts import Fact, Judgement, Place
from conformance.merge.lots import DIGEST_BYTES, Lot
from conformance.report.lots import LOTS_FILE, read_lots, read_rows
from conformance.report.rows import COLUMNS
from conformance.report.run import RECORDS, ROWS

if TYPE_CHECKING:
    import pyarrow as pa

FEW = 16
"""A lot of fewer facts is held as those: that is what the cases of a tier are."""

PLACE_COLUMNS = tuple(field.name for field in dataclasses.fields(Place))
JUDGEMENT_COLUMNS = tuple(
    field.name for field in dataclasses.fields(Judgement) if field.name != "by"
)

JUDGED_BY = "judged_by"

READ = ("case", "outcome", "asked", JUDGED_BY, *PLACE_COLUMNS, *JUDGEMENT_COLUMNS)
"""The columns that a merge reads."""

SHARED = READ[2:]
"""Those in which the facts of a lot are alike."""

# `XLA_FLAGS=` is left with nothing behind it when its harmless flags are gone.
_EMPTY_FLAGS = re.compile(r"XLA_FLAGS=\s*(?=\w+=|$)")

# Where LAPACK is known they change nothing that it does not say.
_LAPACK_VARIABLES = re.compile(
    r"(?<!\S)(?:OPENBLAS|GOTO|OMP|MKL|BLIS|VECLIB|FLEXIBLAS)(?:_\w+)?=\S*"
)

OF_A_SEED = r"^(?P<before>.*-s)(?P<seed>0|[1-9]\d{0,17})(?P<after>-.*)$"
"""The id of a case whose key is that of its seed. Of larger seeds not all are any."""

OF_AN_ARRAY = r"^(?P<head>.* )(?P<digest>[0-9a-f]{64})$"
"""The outcome of a case that returned."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What a source says. outcomes: the arrays that it holds, by their text. faults: see `Sources`.

    lots: the facts of ranges of seeds; facts: all others.
    """

    facts: tuple[Fact, ...] = ()
    lots: tuple[Lot, ...] = ()
    outcomes: Mapping[str, Outcome] = dataclasses.field(default_factory=dict)
    faults: tuple[str, ...] = ()


def read_run(folder: Path, root: str, few: int = FEW) -> Read:
    """Return what the rows of the run in `folder` say. root, few: see `Fact`, FEW.

    Raises:
        ReportError: the run cannot be read by this version.
        ArithmeticError, ..., ValueError: a file is not what its format says.
    """
    # Here, not above: a merge of recordings needs no pandas.
    from conformance.report.frames import missing_lines, unfinished_line

    if (folder / RECORDS).exists():
        from conformance.report.parquet import read_columns

        with naming(folder / RECORDS, ReportError, "run it again"):
            facts, lots = _gathered(read_columns(folder / RECORDS, READ), folder, root, few)
        return Read(facts=facts, lots=lots, faults=tuple(missing_lines(folder)))
    if not (folder / LOTS_FILE).exists():
        return _read_rows(folder, root)
    facts, lots = _gathered(_unfinished(folder), folder, root, few)
    n_rows = len(facts) + sum(len(lot.seeds) for lot in lots)
    line = unfinished_line(folder, n_rows)
    return Read(facts=facts, lots=lots, faults=(*missing_lines(folder), line))


def _read_rows(folder: Path, root: str) -> Read:
    """Read a run that left text alone, and no ranges of seeds."""
    from conformance.report.frames import read_run as read_frame

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UnfinishedRunWarning)
        records = read_frame(folder)
    values = records[list(READ)].astype(object)
    rows = values.where(values.notna(), None).to_dict("records")
    judged = (row for row in rows if row["failed_checks"] != MACHINE)
    facts = tuple(fact_of({str(key): row[key] for key in row}, folder, root) for row in judged)
    return Read(facts=facts, lots=(), faults=tuple(str(warning.message) for warning in caught))


def _unfinished(folder: Path) -> Iterator[pa.RecordBatch]:
    """Yield what a run of ranges of seeds got to."""
    from conformance.report.parquet import tables

    for table in tables(read_rows(folder / ROWS), read_lots(folder)):
        yield from table.select(READ).combine_chunks().to_batches()


# --- Rows as lots --------------------------------------------------------------------------------
def _gathered(
    batches: Iterable[pa.RecordBatch], folder: Path, root: str, few: int
) -> tuple[tuple[Fact, ...], tuple[Lot, ...]]:
    """Return the facts of all rows, those that lie together and are many as lots."""
    facts: list[Fact] = []
    lots: list[Lot] = []
    for batch in batches:
        for lot in _lots_of(batch, folder, root):
            if isinstance(lot, Fact):
                facts.append(lot)
            elif len(lot.seeds) < few:
                facts += lot.facts()
            else:
                lots.append(lot)
    return tuple(facts), tuple(lots)


def _lots_of(batch: pa.RecordBatch, folder: Path, root: str) -> Iterator[Lot | Fact]:
    """Yield the rows of a batch as lots; those whose key is no seed's as facts."""
    import pyarrow.compute as pc

    batch = batch.filter(pc.not_equal(pc.cast(batch["failed_checks"], "string"), MACHINE))
    case = pc.extract_regex(batch["case"], pattern=OF_A_SEED)
    others = batch.filter(pc.is_null(case))
    for n in range(others.num_rows):
        yield fact_of(_row(others, n), folder, root)
    batch, case = batch.filter(pc.is_valid(case)), case.filter(pc.is_valid(case))
    outcome = pc.extract_regex(batch["outcome"], pattern=OF_AN_ARRAY)
    head = pc.coalesce(pc.struct_field(outcome, "head"), batch["outcome"])
    seeds = pc.struct_field(case, "seed").cast("uint64").to_numpy(zero_copy_only=False)
    digests = _bytes(pc.struct_field(outcome, "digest"))
    columns = [pc.struct_field(case, name) for name in ("before", "after")]
    columns += [head, *(batch[name] for name in SHARED)]
    for rows in _alike(columns, batch.num_rows):
        first = int(rows[0])
        yield Lot(
            fact=fact_of(_row(batch, first), folder, root),
            head=head[first].as_py(),
            seeds=seeds[rows],
            digests=digests[rows],
        )


def _bytes(digests: pa.Array) -> npt.NDArray[np.uint8]:
    """Return digests in hexadecimal as bytes (n, DIGEST_BYTES); zeros where there is none."""
    found = np.zeros((len(digests), DIGEST_BYTES), np.uint8)
    known = digests.drop_null()
    text = bytes.fromhex("".join(known.to_pylist()))
    found[digests.is_valid().to_numpy(zero_copy_only=False)] = np.frombuffer(
        text, np.uint8
    ).reshape(-1, DIGEST_BYTES)
    return found


def _alike(columns: Iterable[pa.Array], n_rows: int) -> list[npt.NDArray[np.intp]]:
    """Return the numbers of the rows that are alike in all columns, group by group."""
    if not n_rows:
        return []
    group = np.zeros(n_rows, np.int64)
    for column in columns:
        encoded = column if hasattr(column, "dictionary") else column.dictionary_encode()
        numbers = encoded.indices.fill_null(len(encoded.dictionary))
        value = numbers.to_numpy(zero_copy_only=False).astype(np.int64)
        if (value != value[0]).any():
            pairs = group * (len(encoded.dictionary) + 1) + value
            group = np.unique(pairs, return_inverse=True)[1].astype(np.int64)
    order = np.argsort(group, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(group[order])) + 1)


# --- One row -------------------------------------------------------------------------------------
CATEGORIES = {column.name: column.categories for column in COLUMNS if column.categories}


def _row(batch: pa.RecordBatch, n: int) -> dict[str, Any]:
    values = {name: batch[name][n].as_py() for name in READ}
    for name, known in CATEGORIES.items():
        if values.get(name) is not None and values[name] not in known:
            raise Malformed(unknown(name, values[name], known, within=values["case"]))
    # In pandas, and so in all that reads a run, a NaN is missing.
    return {name: None if value != value else value for name, value in values.items()}


def fact_of(row: Mapping[str, Any], folder: Path, root: str) -> Fact:
    """Return what a row says, by its columns READ."""
    case = parse_case(row["case"])
    texts = {name: row[name] or "" for name in JUDGEMENT_COLUMNS if not name.startswith("max_")}
    return Fact(
        problem=case.problem,
        transform=case.transform,
        place=place_of(row),
        outcome=row["outcome"],
        source=str(folder),
        root=root,
        judgement=Judgement(
            **texts,
            max_ulp=row["max_ulp"],
            max_ulp_at_sigma=row["max_ulp_at_sigma"],
            by=row[JUDGED_BY] or "",
        ),
        asked=row["asked"] or "",
    )


def place_of(values: Mapping[str, Any]) -> Place:
    """Return where a row or a recording is from, by the columns of `Place`."""
    texts = {name: str(values[name] or "") for name in PLACE_COLUMNS}
    flags = _EMPTY_FLAGS.sub("", HARMLESS_FLAGS.sub("", texts["flags"]))
    if all(texts[name] for name in LAPACK_FACTS):
        flags = _LAPACK_VARIABLES.sub("", flags)
    # The bits of a block are those of calls of their own, or its rows would be no block's.
    mode = EXECUTED if texts["mode"] == IN_BLOCK else texts["mode"]
    return Place(**{**texts, "mode": mode, "flags": " ".join(flags.split())})
