"""`conformance audit package.module:function`: the initial parameters of a model, one line each."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
from typing import TYPE_CHECKING, Any

from conformance.cli.output import tell, write_all, write_page
from conformance.cli.progress import Progress
from conformance.core.errors import ExitCode
from conformance.core.ids import format_shape
from conformance.core.versions import AUDIT
from conformance.core.words import counted
from conformance.report.aligned import aligned
from conformance.report.page.model import Failure, Page, Tone
from conformance.report.tables import Table, filled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from conformance.core.arrays import Array
    from conformance.core.records import Outcome
    from conformance.models.audit import Audit, Audited
    from conformance.models.changes import Change
    from conformance.models.kept import Kept

ELSEWHERE = "--json FILE, the page or a pipe"

COLUMNS = (
    *("parameter", "initializer", "shape", "dtype", "draw", "fan in", "gain", "moves"),
    *("std", "expected"),
)
"""In the order in which a narrow terminal shows them, but for the last, which it keeps."""


def run(arguments: argparse.Namespace) -> int:
    """Print the audit; return 1 if it found a fault, or a change beyond rounding."""
    from conformance.models.audit import audit
    from conformance.models.changes import changes
    from conformance.models.kept import keep, load_kept
    from conformance.models.known import excused, load_known
    from conformance.models.model import load

    entries = load_known(arguments.ledger) if arguments.ledger else ()
    before = load_kept(arguments.baseline) if arguments.baseline else None
    with Progress("audited") as progress:
        progress.say(f"tracing and initializing {arguments.target}")
        model = load(arguments.target, seed=arguments.seed, abstract=arguments.abstract)
        result = excused(audit(model, progress.over), entries)
    pairs = functools.partial(_pair, before, model.arrays)
    changed = changes(before.audit, result, pairs) if before else ()
    files = tell(
        arguments,
        lambda width: "\n".join([*as_text(result, changed, width), ""]),
        json=lambda: as_json(result),
    )
    failed = bool(result.n_faults) or not all(change.is_passing for change in changed)
    code = ExitCode.of(failed=failed)
    page = page_of(result, arguments.target, code, changed)
    files.append(lambda: write_page(page, arguments.reports))
    if arguments.keep:
        text = as_json(result)
        files.append(lambda: keep(arguments.keep, arguments.target, text, model.arrays))
    return ExitCode.first(code, write_all(files))


def _pair(
    before: Kept | None, arrays: Mapping[str, Array], path: str
) -> tuple[Outcome, Outcome] | None:
    """Return what a parameter was and what it is; None where not both are at hand."""
    from conformance.core.arrays import returned

    was = before.outcome(path) if before and path in arrays else None
    return None if was is None else (was, returned(arrays[path]))


def page_of(result: Audit, target: str, code: ExitCode, changed: Sequence[Change] = ()) -> Page:
    """Return the page of an audit. code: what it comes to. changed: since another audit."""
    tone = Tone.of(code)
    faults = tuple(
        Failure(name=parameter.path, message=text)
        for parameter in result.parameters
        for text in parameter.faults
    )
    faults += tuple(Failure(name="ledger", message=_outlived(text)) for text in result.outlived)
    faults += tuple(
        Failure(name=each.path, message=_told(each)) for each in changed if not each.is_passing
    )
    lines = tuple(map(_cells, result.parameters))
    noted = tuple((each.path, text) for each in result.parameters for text in each.notes)
    elsewhere = "what --json prints"
    tables = [
        Table(title="Parameters", head=COLUMNS, lines=lines, elsewhere=elsewhere),
        Table(title="Notes", head=("parameter", "note"), lines=noted, elsewhere=elsewhere),
        Table(
            title="Changes",
            head=("parameter", "class", "what"),
            lines=tuple((each.path, each.drift, each.told) for each in changed),
            elsewhere=elsewhere,
        ),
    ]
    return Page(
        title=f"{tone.upper()} - audit of {target}",
        tone=tone,
        verdict=f"{tone.upper()}: {target}: {as_text(result)[-1]}",
        notes=(result.versions,),
        failures=faults,
        elsewhere=elsewhere,
        tables=tuple(filled(tables)),
    )


def as_json(result: Audit) -> str:
    """Return the audit as one JSON document."""
    document = {"n_faults": result.n_faults, **dataclasses.asdict(result)}
    return json.dumps(AUDIT.stamped(document), indent=1) + "\n"


def as_text(result: Audit, changed: Sequence[Change] = (), width: int | None = None) -> list[str]:
    """Return the table, and under it every fault, known fault, note and change.

    width: of the terminal, which the table fits.
    """
    rows = [COLUMNS, *(_cells(parameter) for parameter in result.parameters)]
    lines = aligned(rows, width=width, elsewhere=ELSEWHERE)
    lines += _remarks(result, "faults") + [f"fault  {_outlived(each)}" for each in result.outlived]
    lines += _remarks(result, "known") + _remarks(result, "notes")
    lines += [f"change  {each.path}: {_told(each)}" for each in changed]
    what = "shapes only" if result.is_abstract else f"seed {result.seed}"
    count = f"{counted(len(result.parameters), 'parameter')}, {counted(result.n_faults, 'fault')}"
    return [*lines, f"{result.framework}, {what}: {count}"]


def _told(change: Change) -> str:
    return f"{change.drift}: {change.told}".removesuffix(": ")


def _outlived(entry: str) -> str:
    return f"ledger entry `{entry}` matches no fault: delete it, or name what is there"


def _remarks(result: Audit, kind: str) -> list[str]:
    return [
        f"{kind.removesuffix('s')}  {parameter.path}: {text}"
        for parameter in result.parameters
        for text in getattr(parameter, kind)
    ]


def _cells(parameter: Audited) -> tuple[str, ...]:
    return (
        parameter.path,
        parameter.initializer,
        format_shape(parameter.shape),
        parameter.dtype,
        parameter.draw,
        _number(parameter.fan_in),
        _number(parameter.gain),
        str(parameter.n_moved or ""),
        _number(parameter.actual_std),
        _expectation(parameter),
    )


def _expectation(parameter: Audited) -> str:
    """Return the expected stddev, with the distance of the actual one in standard errors."""
    if parameter.expected_std is None or parameter.actual_std is None or not parameter.std_error:
        return ""
    distance = (parameter.actual_std - parameter.expected_std) / parameter.std_error
    return f"{parameter.expected_std:.4g} ({distance:+.1f} se)"


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.4g}"
