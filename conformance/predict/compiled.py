"""What became of a problem under one compiler, and the accepted programs: a file for each target.

A target is a device that nobody has here, so its programs are all that can be held to anything:
`golden/compiled/v5e-1x1.json` has one line a problem. The StableHLO is in it too, to tell whether
JAX or the compiler made another program.
"""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from conformance.cases.catalogue import Catalogue, InitializerSpec
from conformance.core.errors import SelectionError
from conformance.core.files import Waiting, writing
from conformance.core.ids import Case, Problem
from conformance.core.inventory import changing
from conformance.core.laws import expected_error
from conformance.core.paths import COMPILED
from conformance.core.settings import installed_jax
from conformance.core.words import counted
from conformance.judge.ledger import load as load_ledger
from conformance.observe import lowering
from conformance.predict import aot, ptx
from conformance.report.aligned import aligned, markdown_line, padded
from conformance.store import accepted
from conformance.store.accepted import Accepted, Change, Lines

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
        return self.compiled.fields(self.lowered)


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
        f"{target}: {_n_keys(changed)} of {counted(len(found), 'program')} other than the "
        f"accepted ones of {known.versions}; {len(rows) - len(found)} never accepted"
    )
    text = "\n".join(filter(None, [accepted.explain(known, changed, here, ACCEPT), told]))
    return Findings(text=text, is_wrong=bool(changed) and here == known.versions)


def _lines(rows: Sequence[Row]) -> Lines:
    return {row.problem.id: row.fields for row in rows}


def _n_keys(changed: Sequence[Change]) -> int:
    return len({change.key for change in changed})


def accept(
    golden: Path,
    target: str,
    rows: Sequence[Row],
    here: str,
    reason: str,
    waiting: Waiting | None = None,
) -> str:
    """Store the rows of a target beside those of other problems; return a line that says so.

    waiting: see `files.locked`, for the golden set.

    Raises:
        SelectionError: a row is wrong, or other problems were accepted under other versions.
        ProgramError: the file cannot be read.
        GoldenError: it cannot be written, or another command changes the set.
    """
    if wrong := [row.problem.id for row in rows if row.is_wrong]:
        raise SelectionError(
            f"{target}: {counted(len(wrong), 'wrong program')}, {wrong[0]} for one: nothing is "
            "accepted. Mend what is wrong, or leave it out of the selection"
        )
    path = path_of(golden, target)
    with changing(golden, waiting):
        lines = _joined(path, _lines(rows), here)
        with writing(path):
            accepted.save(path, Accepted(versions=here, reason=reason, lines=lines))
    return (
        f"{target}: {counted(len(rows), 'program')} of {here} accepted into {path}, which holds "
        f"{len(lines)}"
    )


def _joined(path: Path, new: Lines, here: str) -> Lines:
    """Return the new lines, and of those in the file the ones of other problems."""
    if not path.exists():
        return new
    known = accepted.load(path, ACCEPT)
    others = sorted(known.lines.keys() - new.keys())
    if others and known.versions != here:
        raise SelectionError(
            f"{path} holds programs of {known.versions}, here is {here}: not selected of its "
            f"problems: {len(others)}, {others[0]} for one. Select all of them, or delete "
            "the file to begin anew"
        )
    return {**known.lines, **new}


def compiled_row(problem: Problem, target: aot.Target, catalogue: Catalogue) -> Row:
    """Compile one problem as `jax.jit` would; whatever is raised on the way is its result."""
    from conformance.observe.backends.problem import settings, typed_key
    from conformance.observe.backends.transforms import eager

    spec = catalogue.lookup(problem.initializer)
    made, fingerprint, error = None, "", ""
    try:
        with settings(problem):
            function = eager(spec.build(), problem, [])
            lowered = aot.lower(target, function, [typed_key(problem)])
            fingerprint = lowering.fingerprint(lowered.as_text())
            made = aot.compile_lowered(target, lowered)
    except Exception as raised:
        error = f"{type(raised).__name__}: {str(raised).partition(chr(10))[0]}"
    expected, excuse = _expected(problem, target.platform, spec)
    return Row(
        problem=problem,
        target=target.name,
        lowered=fingerprint,
        compiled=made,
        error=error,
        expected=expected,
        excuse=excuse,
    )


def _expected(problem: Problem, platform: str, spec: InitializerSpec) -> tuple[str, str]:
    """Return the exception that must come, and who says so; twice "" where none must."""
    if refused := expected_error(spec.definition, problem.shape, problem.dtype):
        return refused, "as defined"
    case = Case(problem=problem, backend=platform, transform="jit")
    known = load_ledger().matching(case, installed_jax())
    entry = next((entry for entry in known if entry.outcome), None)
    return (entry.outcome.removeprefix("raises "), entry.id) if entry else ("", "")


# --- Text ----------------------------------------------------------------------------------------
COLUMNS = (
    "problem",
    "compiled for",
    "kernels",
    "instructions",
    "registers",
    "code bytes",
    "temp bytes",
    "fingerprint, or error",
)


def cells(row: Row) -> tuple[str, ...]:
    """Return the row of the table."""
    start = (row.problem.id, row.target)
    if row.compiled is None:
        return (*start, *[""] * 5, f"{'FAILED' if row.is_wrong else row.excuse}: {row.error}"[:120])
    made = row.compiled
    sizes = (str(made.temp_bytes), made.fingerprint)
    if not made.ptx:
        return (*start, "", "", "", str(made.code_bytes), *sizes)
    return (*start, *map(str, _counts(made.ptx)), "", *sizes)


def _counts(texts: Sequence[str]) -> tuple[int, int, int]:
    """Return how many kernels there are, their instructions, and the registers that they declare.

    Counted in the text, so that programs outside the emulated subset count too. Registers are
    PTX's virtual ones: what the device's own assembler makes of them is not known here.
    """
    text = "\n".join(texts)
    registers = re.findall(r"\.reg\s+\.\w+\s+%\w+<(\d+)>", text)
    return (
        len(re.findall(r"\.visible\s+\.entry", text)),
        len(re.findall(r"^\t+(?:@!?%p\d+ )?[a-z][\w.:]*[^\n]*;$", text, re.MULTILINE)),
        sum(int(count) - 1 for count in registers),
    )


def table(head: Sequence[str], lines: Iterable[Sequence[str]], width: int | None = None) -> str:
    """Return a table that fits a terminal of that width; without one, a Markdown table."""
    if width is not None:
        return "\n".join(aligned([head, *lines], width=width, elsewhere="--json FILE or a pipe"))
    first, *rest = padded([head, *lines])
    rule = ["-" * len(cell) for cell in first]
    return "\n".join(map(markdown_line, [first, rule, *rest]))


def summary(rows: Sequence[Row]) -> Iterator[str]:
    """Yield how many problems compiled for each target, and why the others did not."""
    for target in dict.fromkeys(row.target for row in rows):
        mine = [row for row in rows if row.target == target]
        done = sum(row.compiled is not None for row in mine)
        excused = sum(bool(row.error) and not row.is_wrong for row in mine)
        yield (
            f"compiled for {target}: {done} of {len(mine)}; {excused} refused as the definition "
            f"demands or the ledger knows; {sum(row.is_wrong for row in mine)} wrong"
        )
        excuses = collections.Counter(row.excuse for row in mine if row.error and not row.is_wrong)
        yield from (f"  {count} x {excuse}" for excuse, count in excuses.most_common())
        errors = collections.Counter(_fault(row) for row in mine if row.is_wrong)
        yield from (f"  {count} x WRONG: {fault}" for fault, count in errors.most_common())


def _fault(row: Row) -> str:
    if not row.expected:
        return row.error
    happened = row.error or "it compiled"
    return f"{row.excuse} expects {row.expected}, but {happened}"


# --- Files and predictions -----------------------------------------------------------------------
def store_programs(row: Row, folder: Path) -> None:
    """Write what the emulator reads: PTX, the entry computation and the thunks; or the HLO."""
    if row.compiled is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    made = row.compiled
    texts = {"hlo": aot.stripped(made.hlo)}
    if made.ptx:
        texts = {"ptx": "\n".join(made.ptx), "hlo": ptx.entry(made.hlo), "thunks": made.thunks}
    for suffix, text in texts.items():
        (folder / f"{row.problem.id}.{suffix}").write_text(text, encoding="utf-8", newline="\n")
