"""Rows of many seeds that came to the same, held as one of them and what its seed decides.

Nothing is said of one of them alone: it passed, or failed just what the ledger says. A million of
them is a file of 100 MB; written out they are 2 GB, and in memory more.
"""

from __future__ import annotations

import array
import collections
import contextlib
import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from conformance.core.errors import Malformed, ReportError
from conformance.core.ids import Block, parse_unit
from conformance.core.lines import is_sealed, opened, sealed, whole_lines
from conformance.core.reading import Figure, record
from conformance.core.versions import KEY, LOTS
from conformance.report.rows import Row, from_json, from_values, json_scalar, to_values
from conformance.report.run import Key, is_plain, key_of

LOTS_FILE = "lots.jsonl"
"""File of a run of blocks: a line for each block that is done, whatever came of it."""

DISTANCE = "oracle.oracle_ulp_at_sigma"
"""The one metric that the seed decides in version 1 of the format."""

SEALED_SINCE = 2
"""Version of the format from which on each line has a checksum."""

OWN = ("case", "seed", "outcome", "metrics", "rerun")
"""The columns in which the rows of a lot may differ."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """The rows of cases of one program that came to the same.

    row: of any of them. seeds, digests: of each, and of what it returned. figures: of each, by
        metric, those that its seed decides; the others are as the row has them.
    """

    row: Row
    seeds: tuple[int, ...]
    digests: tuple[str, ...]
    figures: Mapping[str, tuple[float, ...]] = dataclasses.field(default_factory=dict)

    @staticmethod
    def of(row: Row) -> Lot:
        """Return the lot of one row."""
        return Lot(row=row, seeds=(row.seed,), digests=(_digest(row),))

    def cases(self) -> list[str]:
        """Return the ids of the cases."""
        seed = f"-s{self.row.seed}-"
        return [self.row.case.replace(seed, f"-s{each}-", 1) for each in self.seeds]

    def own(self) -> dict[str, list[Any]]:
        """Return the columns OWN, a value for each row."""
        row, cases = self.row, self.cases()
        head = row.outcome.removesuffix(_digest(row))
        return {
            "case": cases,
            "seed": list(self.seeds),
            "outcome": [f"{head}{digest}" for digest in self.digests],
            "metrics": self._metrics(),
            "rerun": [row.rerun.replace(row.case, case) for case in cases],
        }

    def _metrics(self) -> list[str]:
        if not self.figures:
            return [self.row.metrics] * len(self.seeds)
        form = ", ".join(
            f"{_literal(name)}: {'%s' if name in self.figures else _literal(value)}"
            for name, value in json.loads(self.row.metrics).items()
        )
        own = (
            map(_number, self.figures[name])
            for name in json.loads(self.row.metrics)
            if name in self.figures
        )
        return [f"{{{form}}}" % each for each in zip(*own, strict=True)]

    def rows(self) -> Iterator[Row]:
        """Yield the rows, one by one."""
        own = self.own()
        for values in zip(*own.values(), strict=True):
            yield dataclasses.replace(self.row, **dict(zip(own, values, strict=True)))


def _literal(value: Any) -> str:
    return json.dumps(value).replace("%", "%%")


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else f'"{value}"'


def _digest(row: Row) -> str:
    return row.outcome.rpartition(" ")[2]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lots:
    """The rows of a block that have their like; its other cases have rows of their own.

    line: as which another process told them, in today's format; "" where none did.
    """

    block: Block
    lots: tuple[Lot, ...]
    line: str = dataclasses.field(default="", compare=False, repr=False)

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return sum(len(lot.seeds) for lot in self.lots)

    @property
    def counts(self) -> Mapping[Key, int]:
        """How many there are by `key_of`."""
        counts: collections.Counter[Key] = collections.Counter()
        for lot in self.lots:
            counts[key_of(lot.row)] += len(lot.seeds)
        return counts

    @property
    def n_noteworthy(self) -> int:
        """How many of them did not plainly pass."""
        return sum(n for key, n in self.counts.items() if not is_plain(key))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a run needs to know at once of lots that all plainly passed elsewhere.

    line: what `told` made of them. seeds: of all their rows. counts: see `Lots`.
    """

    block: Block
    line: str
    seeds: tuple[int, ...]
    counts: Mapping[Key, int]
    n_noteworthy: ClassVar[int] = 0

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return len(self.seeds)


def summed_up(lots: Lots) -> Lots | Told:
    """Return lots with their line, and without their rows if they all plainly passed."""
    lots = dataclasses.replace(lots, line=told(lots))
    if lots.n_noteworthy:
        return lots
    seeds = tuple(sorted(seed for lot in lots.lots for seed in lot.seeds))
    return Told(block=lots.block, line=lots.line, seeds=seeds, counts=dict(lots.counts))


# --- As text -------------------------------------------------------------------------------------
def told(lots: Lots | Told) -> str:
    """Return the lots of a block as one line of JSON."""
    if isinstance(lots, Told) or lots.line:
        return lots.line
    fields = [
        {
            "row": to_values(lot.row),
            "seeds": lot.seeds,
            "digests": lot.digests,
            "figures": {name: _scalars(each) for name, each in lot.figures.items()},
        }
        for lot in lots.lots
    ]
    values = LOTS.stamped({"block": lots.block.id, "lots": fields})
    return sealed(json.dumps(values, allow_nan=False))


def _scalars(values: tuple[float, ...]) -> Sequence[Any]:
    return values if all(map(math.isfinite, values)) else [*map(json_scalar, values)]


def read(text: str) -> Lots:
    """Return the lots that `told` told.

    Raises:
        ReportError: it is not the line that was told, or of a version that this release cannot
            read.
    """
    try:
        document = json.loads(opened(text))
        values = LOTS.content(document, "a line of lots", ReportError)
        if document[KEY] >= SEALED_SINCE and not is_sealed(text):
            raise Malformed("it has no checksum")
        block = parse_unit(values["block"])
        if not isinstance(block, Block):
            raise Malformed.value(values["block"], "a block of seeds")
        line = text if document[KEY] == LOTS.newest else ""
        return Lots(block=block, lots=tuple(map(_lot, values["lots"])), line=line)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ReportError(f"not the rows of a block: {error!r}: {text[:80]!r}") from error


def _lot(values: Mapping[str, Any]) -> Lot:
    lot = Lot(
        row=from_values(values["row"]),
        seeds=record(tuple[int, ...], values["seeds"]),
        digests=record(tuple[str, ...], values["digests"]),
        figures={
            name: record(tuple[Figure, ...], each) for name, each in _figures_of(values).items()
        },
    )
    lengths = (len(lot.seeds), len(lot.digests), *map(len, lot.figures.values()))
    if len(set(lengths)) > 1:
        raise Malformed(f"of one lot {lengths} seeds, digests and figures")
    if strange := lot.figures.keys() - json.loads(lot.row.metrics):
        raise Malformed(f"the row has no figure {min(strange)!r}, of which each seed has its own")
    return lot


def _figures_of(values: Mapping[str, Any]) -> Mapping[str, Any]:
    if "figures" in values:
        return dict(values["figures"])
    return {DISTANCE: values["at_sigma"]} if values["at_sigma"] else {}


def read_lots(folder: Path) -> Iterator[Lots]:
    """Yield the lots of a run, block by block; a last line that was cut short is left out.

    Raises:
        ReportError: a line is not what was written there.
    """
    return (lots for _, lots in lines_of_lots(folder))


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file of them; a last line that was cut short is left out.

    Raises:
        ReportError: a line is not what was written there.
    """
    return (row for _, row in lines_of_rows(path))


def lines_of_lots(folder: Path) -> Iterator[tuple[bytes, Lots]]:
    """Yield what `read_lots` does, each after its line."""
    path = folder / LOTS_FILE
    number_of: dict[bytes, int] = {}
    for number, line in whole_lines(path) if path.exists() else ():
        with naming_line(path, number, "its block"):
            lots = read(line.decode())
        # A block that was run again is another line: the time is in it.
        first = number_of.setdefault(_short_digest(line), number)
        if lots.lots and first != number:
            raise _twice(path, first, number)
        yield line, lots


def lines_of_rows(path: Path) -> Iterator[tuple[bytes, Row]]:
    """Yield what `read_rows` does, each after its line.

    A file without any checksum is of the days before there were such. A copy of a line is told
    after the last: of a million rows there is one number each in memory meanwhile.
    """
    bare = with_one = 0
    digests = array.array("Q")
    for number, line in whole_lines(path) if path.exists() else ():
        digests.frombytes(_short_digest(line))
        with naming_line(path, number, "its case"):
            text = line.decode()
            row = from_json(text)
        if is_sealed(text):
            with_one = with_one or number
        else:
            bare = bare or number
        if bare and with_one:
            with naming_line(path, bare, "its case"):
                raise ReportError(f"it has no checksum, and line {with_one} has one")
        yield line, row
    for first, again in _first_copy(digests):
        raise _twice(path, first, again)


def _short_digest(line: bytes) -> bytes:
    """Return eight bytes: of a million lines two are alike by chance once in 4e7 files."""
    return hashlib.blake2b(line, digest_size=8).digest()


def _first_copy(digests: array.array[int]) -> Iterator[tuple[int, int]]:
    """Yield the numbers, from 1 on, of a line and of its copy, if there is any."""
    numbers = np.asarray(digests, np.uint64)
    order = numbers.argsort(kind="stable")
    for place in np.flatnonzero(np.diff(numbers[order]) == 0)[:1].tolist():
        first, again = (order[place : place + 2] + 1).tolist()
        yield first, again


def _twice(path: Path, first: int, again: int) -> ReportError:
    return ReportError(
        f"{path}, line {again}: it is line {first} again, a copy that would count twice: take one "
        "of the two away"
    )


@contextlib.contextmanager
def naming_line(path: Path, number: int, what: str) -> Iterator[None]:
    """Name the line of a file of a run that is not what was written there, and the way out."""
    try:
        yield
    except (ReportError, UnicodeDecodeError) as error:
        raise ReportError(
            f"{path}, line {number}: {error}: take the line away, and `conformance run --resume "
            f"{path.parent}` runs {what} again"
        ) from error


def rows_of(blocks: Iterable[Lots]) -> Iterator[Row]:
    """Yield the rows of all lots, one by one."""
    return (row for each in blocks for lot in each.lots for row in lot.rows())
