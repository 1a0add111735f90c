"""A run that was cut short goes on where it stopped: what it was asked, and what it has done."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from conformance.core.case_set import CaseSet
from conformance.core.errors import Malformed, ReportError, cannot_write
from conformance.core.files import atomic_file, replace_file
from conformance.core.reading import naming, record
from conformance.core.records import MACHINE, Environment
from conformance.core.settings import differences
from conformance.core.versions import BEGUN_RUN
from conformance.report.lots import (
    LOTS_FILE,
    lines_of_lots,
    lines_of_rows,
    read_lots,
    read_rows,
)
from conformance.report.rows import Row
from conformance.report.run import MISSING, RECORDS, RECORDS_AS_TEXT, ROWS

BEGUN = "begun.json"
"""File of a run: what it was asked, where it began, and by what it judges."""

STALE = (RECORDS, RECORDS_AS_TEXT, MISSING)
"""What the run wrote of itself when it was interrupted."""


# --- What was begun ------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """How a run was begun. given: what `options.given` told. judged_by: see `Bench`.

    fleet: the address of the Ray cluster that it was begun on; "" for this machine.
    """

    given: Mapping[str, Any]
    environment: Environment
    judged_by: str
    fleet: str = ""

    @property
    def decisive(self) -> Environment:
        """What of the environment the rest must have in common with what there is.

        Nodes of a cluster may be unlike each other: a row tells its own node's host and devices.
        """
        if not self.fleet:
            return self.environment
        return dataclasses.replace(self.environment, host={}, devices={})


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
        by, fleet = str(values.get("judged_by")), str(values.get("fleet", ""))
        return Begun(given=given, environment=where, judged_by=by, fleet=fleet)


def require_same(folder: Path, was: Begun, now: Begun) -> None:
    """Ensure that what follows has all that decides a verdict in common with what there is.

    Raises:
        ReportError: it was begun elsewhere, or judged by something else.
    """
    faults = differences(was.decisive, now.decisive)
    if was.judged_by != now.judged_by:
        faults.append(f"judged by {was.judged_by} -> {now.judged_by}")
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
def take_up(folder: Path, *, in_blocks: bool) -> frozenset[str]:
    """Return the ids of the cases, or blocks, that are done; what else is there is taken away.

    A case is done that has a verdict, a block of which all cases do: what a kill left of others is
    dropped, and so is a last line that was cut short.

    Raises:
        ReportError: a line is not what was written there, or the folder cannot be written.
    """
    try:
        if not in_blocks:
            done = frozenset(row.case for row in _judged(folder))
            _keep_rows(folder, CaseSet(done))
            return done
        whole = _whole_blocks(folder)
        _keep_rows(folder, CaseSet(whole))
        _keep(
            folder / LOTS_FILE,
            (line for line, each in lines_of_lots(folder) if each.block.id in whole),
        )
        return whole
    except OSError as error:
        raise cannot_write(folder, error, "--resume DIR") from error


def _whole_blocks(folder: Path) -> frozenset[str]:
    """Return the ids of the blocks of which all cases have a verdict."""
    told = CaseSet(row.case for row in _judged(folder))
    for each in read_lots(folder):
        for lot in each.lots:
            told.add_seeds(lot.row.case, lot.seeds)
    blocks = (each.block.id for each in read_lots(folder))
    return frozenset(each for each in blocks if not any(told.left_of(each)))


def _judged(folder: Path) -> Iterator[Row]:
    """Yield the rows that hold a verdict."""
    return (row for row in read_rows(folder / ROWS) if row.failed_checks != MACHINE)


def _keep_rows(folder: Path, cases: CaseSet) -> None:
    """Keep the verdicts on the cases."""
    found = lines_of_rows(folder / ROWS)
    judged = ((line, row) for line, row in found if row.failed_checks != MACHINE)
    _keep(folder / ROWS, (line for line, row in judged if not any(cases.left_of(row.case))))


def _keep(path: Path, lines: Iterable[bytes]) -> None:
    """Keep these lines of the file, if there is one."""
    if path.exists():
        with atomic_file(path) as draft, draft.open("wb") as out:
            out.writelines(line + b"\n" for line in lines)
