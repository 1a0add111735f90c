"""What became of a problem under one compiler, and the accepted programs: a file for each target.

A target is a device that nobody has here, so its programs are all that can be held to anything:
`golden/compiled/v5e-1x1.json` has one line a problem. The StableHLO is in it too, to tell whether
JAX or the compiler made another program.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from conformance import accepted, aot, lowering
from conformance.accepted import Accepted, Change, Lines
from conformance.matrix import SelectionError
from conformance.model import Problem

COMPILED = "compiled"
ACCEPT = "`conformance compile ... --accept --reason '...'`"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One problem, compiled for one target.

    lowered: the fingerprint of what JAX handed to the compiler; "" if it came to nothing. error:
    what was raised, with the first line of its message; "" if it compiled. expected: the exception
    that must be raised, if any. excuse: who says so: the definition, or an entry of the ledger.
    """

    problem: Problem
    target: str
    lowered: str
    compiled: aot.Compiled | None
    error: str
    expected: str
    excuse: str

    @property
    def is_wrong(self) -> bool:
        """Whether it failed and should not have, or otherwise than it must, or not at all."""
        return self.error.partition(":")[0] != self.expected

    @property
    def fields(self) -> dict[str, str]:
        """What of it is accepted, and compared."""
        if self.compiled is None:
            return {"error": self.error}
        made = self.compiled
        code = {"code_bytes": str(made.code_bytes)}
        if made.ptx:
            # Kernels are compiled side by side, and come in the order in which they are done.
            code = {"ptx": lowering.fingerprint("\n".join(sorted(made.ptx)))}
        return {
            "lowered": self.lowered,
            "hlo": made.fingerprint,
            **code,
            "temp_bytes": str(made.temp_bytes),
        }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """How the programs of one target lie to the accepted ones.

    text: the same for a reader. is_wrong: whether they must be alike and are not.
    """

    text: str
    is_wrong: bool


def path_of(golden: Path, target: str) -> Path:
    """Return where the accepted programs of a target are kept."""
    return golden / COMPILED / f"{folder_name(target)}.json"


def folder_name(target: str) -> str:
    """Return the name of a target as a file may have it."""
    return target.replace(":", "-")


def compare(golden: Path, target: str, rows: Sequence[Row], here: str) -> Findings:
    """Return how the rows of a target lie to what is accepted. here: the versions that made them.

    A target or a problem that nobody accepted is told and is no fault: there are too many of both.

    Raises:
        GoldenError: the file cannot be read.
    """
    path = path_of(golden, target)
    if not path.exists():
        return Findings(text=f"{target}: no programs are accepted, see {ACCEPT}", is_wrong=False)
    known = accepted.load(path, ACCEPT)
    found = {key: fields for key, fields in _lines(rows).items() if key in known.lines}
    changed = accepted.changes(known.lines, found)
    told = (
        f"{target}: {_n_keys(changed)} of {len(found)} programs are not the accepted ones of "
        f"{known.versions}; {len(rows) - len(found)} were never accepted"
    )
    text = "\n".join(filter(None, [accepted.explain(known, changed, here, ACCEPT), told]))
    return Findings(text=text, is_wrong=bool(changed) and here == known.versions)


def _lines(rows: Sequence[Row]) -> Lines:
    return {row.problem.id: row.fields for row in rows}


def _n_keys(changed: Sequence[Change]) -> int:
    return len({change.key for change in changed})


def accept(golden: Path, target: str, rows: Sequence[Row], here: str, reason: str) -> str:
    """Store the rows of a target beside those of other problems; return a line that says so.

    Raises:
        SelectionError: a row is wrong, or other problems were accepted under other versions.
        GoldenError: the file cannot be read.
    """
    if wrong := [row.problem.id for row in rows if row.is_wrong]:
        raise SelectionError(
            f"{target}: {len(wrong)} programs are wrong, {wrong[0]} for one: nothing is accepted. "
            "Mend them, or leave them out of the selection"
        )
    path, lines = path_of(golden, target), dict(_lines(rows))
    if path.exists():
        known = accepted.load(path, ACCEPT)
        others = sorted(known.lines.keys() - lines.keys())
        if others and known.versions != here:
            raise SelectionError(
                f"{path} holds programs of {known.versions}, here is {here}: {len(others)} of its "
                f"problems are not selected, {others[0]} for one. Select all of them, or delete "
                "the file to begin anew"
            )
        lines = {**known.lines, **lines}
    accepted.save(path, Accepted(versions=here, reason=reason, lines=lines))
    return (
        f"{target}: {len(rows)} programs of {here} accepted into {path}, which holds {len(lines)}"
    )
