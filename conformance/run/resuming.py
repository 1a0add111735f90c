"""A run that was cut short goes on where it stopped: what it was asked, and what it has done."""

from __future__ import annotations

import collections
import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from conformance.core.errors import Malformed, ReportError, cannot_write
from conformance.core.files import atomic_file, replace_file
from conformance.core.ids import Block, Case, parse_case
from conformance.core.reading import naming, record
from conformance.core.records import MACHINE, Environment
from conformance.core.settings import differences
from conformance.core.versions import BEGUN_RUN
from conformance.report.lots import LOTS_FILE, read_lots
from conformance.report.rows import Row, from_json
from conformance.report.run import MISSING, RECORDS, RECORDS_AS_TEXT, ROWS, Key

BEGUN = "begun.json"
"""File of a run: what it was asked, where it began, and by what it judges."""

STALE = (RECORDS, RECORDS_AS_TEXT, MISSING)
"""What the run wrote of itself when it was interrupted."""


# --- What was begun ------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """How a run was begun. given: what `options.given` told. judged_by: see `Bench`."""

    given: Mapping[str, Any]
    environment: Environment
    judged_by: str


def is_noted(folder: Path) -> bool:
    """Return whether the run in the folder can be gone on with."""
    return (folder / BEGUN).exists()


def note(folder: Path, begun: Begun) -> None:
    """Write down how a run was begun.

    Raises:
        ReportError: the folder cannot be written.
    """
    text = json.dumps(BEGUN_RUN.stamped(dataclasses.asdict(begun)), indent=1)
    try:
        replace_file(folder / BEGUN, text)
    except OSError as error:
        raise cannot_write(folder, error, "--reports DIR") from error


def read(folder: Path) -> Begun:
    """Return how the run in the folder was begun.

    Raises:
        ReportError: it does not say so.
    """
    path = folder / BEGUN
    if not path.exists():
        raise ReportError(
            f"{folder} holds no run to go on with, as it has no {BEGUN}: name the folder of one, "
            "reports/<run>"
        )
    with naming(path, ReportError, "begin the run anew, without --resume"):
        values = BEGUN_RUN.content(json.loads(path.read_text("utf-8")), path, ReportError)
        if not isinstance(given := values.get("given"), dict):
            raise Malformed.value(given, "an object").within("given")
        where = record(Environment, values.get("environment"))
        return Begun(given=given, environment=where, judged_by=str(values.get("judged_by")))


def require_same(folder: Path, was: Begun, environment: Environment, judged_by: str) -> None:
    """Ensure that what follows has all that decides a verdict in common with what there is.

    Raises:
        ReportError: it was begun elsewhere, or judged by something else.
    """
    faults = differences(was.environment, environment)
    if was.judged_by != judged_by:
        faults.append(f"judged by {was.judged_by} -> {judged_by}")
    if faults:
        raise ReportError(
            f"{folder} was begun otherwise ({'; '.join(faults)}): restore that, or begin the run "
            "anew, without --resume"
        )


def outdate(folder: Path) -> None:
    """Take away what the run wrote of itself when it was interrupted, now that it goes on.

    Raises:
        ReportError: the folder cannot be written.
    """
    try:
        for name in STALE:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(folder, error, "--resume DIR") from error


# --- What is done --------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a run has done. units: ids of cases and blocks. rows, plain: see `Run`."""

    units: frozenset[str]
    rows: tuple[Row, ...]
    plain: Mapping[Key, int]


def take_up(folder: Path, *, in_blocks: bool) -> Done:
    """Return what the run in the folder has done; what else is there of it is taken away.

    A case is done that has a verdict, a block of which all cases do: what a kill left of others is
    dropped, and so is a last line that was cut short.

    Raises:
        ReportError: a line is not what was written there, or the folder cannot be written.
    """
    try:
        lines = _judged(folder / ROWS)
        if not in_blocks:
            _rewrite(folder / ROWS, lines)
            rows = tuple(row for _, row in lines)
            return Done(units=frozenset(row.case for row in rows), rows=rows, plain={})
        whole, plain = _whole_blocks(folder, [row for _, row in lines])
        kept = [(line, row) for line, row in lines if whole.of(parse_case(row.case)) is not None]
        _rewrite(folder / ROWS, kept)
        _keep(folder / LOTS_FILE, whole.ids)
        return Done(units=whole.ids, rows=tuple(row for _, row in kept), plain=plain)
    except OSError as error:
        raise cannot_write(folder, error, "--resume DIR") from error


class _Blocks:
    """Blocks, found by their cases."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        self._of_program: dict[Case, list[Block]] = {}
        for block in blocks:
            self._of_program.setdefault(block.case.of_seed(0), []).append(block)

    @property
    def ids(self) -> frozenset[str]:
        """Their ids."""
        return frozenset(each.id for blocks in self._of_program.values() for each in blocks)

    def of(self, case: Case) -> Block | None:
        """Return the block of the case, if it is one of these."""
        blocks = self._of_program.get(case.of_seed(0), ())
        return next((each for each in blocks if case.problem.seed in each.seeds), None)


def _whole_blocks(folder: Path, rows: Sequence[Row]) -> tuple[_Blocks, Mapping[Key, int]]:
    """Return the blocks of which all cases have a verdict, and what their plain rows count."""
    n_plain = {each.block.id: each.n_rows for each in read_lots(folder)}
    begun = _Blocks(each.block for each in read_lots(folder))
    found = (begun.of(parse_case(row.case)) for row in rows)
    n_own = collections.Counter(block.id for block in found if block is not None)
    whole: list[Block] = []
    plain: collections.Counter[Key] = collections.Counter()
    for each in read_lots(folder):
        if n_plain[each.block.id] + n_own[each.block.id] == len(each.block.seeds):
            whole.append(each.block)
            plain.update(each.counts)
    return _Blocks(whole), plain


def _judged(path: Path) -> list[tuple[str, Row]]:
    """Return the lines of rows that hold a verdict, and the rows."""
    whole = path.read_text("utf-8").split("\n")[:-1] if path.exists() else []
    read = [(line, from_json(line)) for line in whole]
    return [(line, row) for line, row in read if row.failed_checks != MACHINE]


def _rewrite(path: Path, lines: Sequence[tuple[str, Row]]) -> None:
    replace_file(path, "".join(f"{line}\n" for line, _ in lines))


def _keep(path: Path, ids: frozenset[str]) -> None:
    """Keep the lines of the blocks."""
    if not path.exists():
        return
    with atomic_file(path) as draft, path.open("rb") as file, draft.open("wb") as out:
        whole = (line for line in file if line.endswith(b"\n"))
        out.writelines(line for line in whole if json.loads(line)["block"] in ids)
