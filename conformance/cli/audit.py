"""`conformance audit package.module:function`: the initial parameters of a model, one line each."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance.cli.output import tell, write_all, write_page
from conformance.core.errors import ExitCode
from conformance.core.ids import format_shape
from conformance.core.versions import AUDIT
from conformance.core.words import counted
from conformance.report.aligned import aligned
from conformance.report.page.model import Failure, Page, Tone
from conformance.report.tables import Table, filled

if TYPE_CHECKING:
    from conformance.flax.audit import Audit, Audited

COLUMNS = ("parameter", "shape", "dtype", "draw", "initializer", "fan", "std", "expected", "moves")


def run(arguments: argparse.Namespace) -> int:
    """Print the audit; return 1 if it found a fault."""
    from conformance.flax.audit import audit
    from conformance.flax.model import load

    sys.path.insert(0, str(Path.cwd()))  # as `python -m` does: targets are the user's own modules
    model = load(arguments.target, seed=arguments.seed, abstract=arguments.abstract)
    result = audit(model)
    files = tell(
        arguments,
        lambda: "\n".join([*as_text(result), ""]),
        json=lambda: as_json(result),
    )
    code = ExitCode.of(failed=bool(result.n_faults))
    files.append(lambda: write_page(page_of(result, arguments.target, code), arguments.reports))
    return ExitCode.first(code, write_all(files))


def page_of(result: Audit, target: str, code: ExitCode) -> Page:
    """Return the page of an audit. code: what it comes to."""
    tone = Tone.of(code)
    faults = tuple(
        Failure(name=parameter.path, message=text)
        for parameter in result.parameters
        for text in parameter.faults
    )
    lines = tuple(map(_cells, result.parameters))
    noted = tuple((each.path, text) for each in result.parameters for text in each.notes)
    elsewhere = "what --json prints"
    tables = [
        Table(title="Parameters", head=COLUMNS, lines=lines, elsewhere=elsewhere),
        Table(title="Notes", head=("parameter", "note"), lines=noted, elsewhere=elsewhere),
    ]
    return Page(
        title=f"{tone.upper()} - audit of {target}",
        tone=tone,
        verdict=f"{tone.upper()}: {target}: {as_text(result)[-1]}",
        failures=faults,
        elsewhere=elsewhere,
        tables=tuple(filled(tables)),
    )


def as_json(result: Audit) -> str:
    """Return the audit as one JSON document."""
    document = {"n_faults": result.n_faults, **dataclasses.asdict(result)}
    return json.dumps(AUDIT.stamped(document), indent=1) + "\n"


def as_text(result: Audit) -> list[str]:
    """Return the table, and under it every fault and note."""
    rows = [COLUMNS, *(_cells(parameter) for parameter in result.parameters)]
    lines = aligned(rows)
    lines += _remarks(result, "faults") + _remarks(result, "notes")
    what = "shapes only" if result.is_abstract else f"seed {result.seed}"
    count = f"{counted(len(result.parameters), 'parameter')}, {counted(result.n_faults, 'fault')}"
    return [*lines, f"{result.framework}, {what}: {count}"]


def _remarks(result: Audit, kind: str) -> list[str]:
    return [
        f"{kind[:-1]}  {parameter.path}: {text}"
        for parameter in result.parameters
        for text in getattr(parameter, kind)
    ]


def _cells(parameter: Audited) -> tuple[str, ...]:
    return (
        parameter.path,
        format_shape(parameter.shape),
        parameter.dtype,
        parameter.draw,
        ("" if parameter.is_exact or not parameter.fan else "~ ") + parameter.initializer,
        _number(parameter.fan),
        _number(parameter.actual_std),
        _expectation(parameter),
        str(parameter.n_moved or ""),
    )


def _expectation(parameter: Audited) -> str:
    """Return the expected stddev, with the distance of the actual one in standard errors."""
    if parameter.expected_std is None or parameter.actual_std is None or not parameter.std_error:
        return ""
    distance = (parameter.actual_std - parameter.expected_std) / parameter.std_error
    return f"{parameter.expected_std:.4g} ({distance:+.1f} se)"


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.4g}"
