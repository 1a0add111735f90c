"""`conformance list`: what there is to run, one a line, for eyes and for `xargs`."""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Callable, Sequence

from conformance.cases.backends import installed
from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import Catalogue
from conformance.cases.selection import select
from conformance.cli.output import tell, write_all
from conformance.core.errors import ExitCode
from conformance.core.ids import Case
from conformance.core.versions import LISTING
from conformance.report.aligned import aligned
from conformance.run import options

BACKENDS = "backends"


def run(arguments: argparse.Namespace) -> int:
    """Print one line for each initializer, problem or case of the selection, or each backend."""
    kind = arguments.kind or "cases"
    if kind == BACKENDS:
        entries, notes = _backends(), installed().faults()
    else:
        catalogue = load_catalogue()
        selection = options.read_arguments(arguments).on("cpu")
        entries, notes = OF_CASES[kind](catalogue, select(catalogue, selection)), []
    files = tell(
        arguments,
        lambda width: to_text(entries, notes, width),
        json=functools.partial(to_json, kind, entries, notes),
    )
    return ExitCode.first(ExitCode.OK, write_all(files))


Entries = list[dict[str, str]]
"""What is listed; the values of one stand between tabs in a line."""


def to_text(entries: Entries, notes: Sequence[str], width: int | None = None) -> str:
    """Return a line for each entry, then why others are not there.

    width: of the terminal, which is shown a table; without one, values stand between tabs.
    """
    rows = [list(entry.values()) for entry in entries]
    if width is None or not rows or len(rows[0]) == 1:
        lines = ["\t".join(row) for row in rows]
    else:
        lines = aligned(rows, width=width, elsewhere="--json - or a pipe")
    return "".join(f"{line}\n" for line in (*lines, *(f"note: {note}" for note in notes)))


def to_json(kind: str, entries: Entries, notes: Sequence[str]) -> str:
    """Return the same as one JSON document."""
    document = {"kind": kind, "entries": entries, "notes": notes}
    return json.dumps(LISTING.stamped(document), indent=1) + "\n"


def _backends() -> Entries:
    """Return the backends; none is opened."""
    return [
        {
            "name": spec.name,
            "is": "executor" if spec.is_executor else "device",
            "origin": spec.origin,
            "hint": spec.hint or "comes with JAX, or its plug-in",
        }
        for spec in installed().specs()
    ]


def _initializers(catalogue: Catalogue, cases: list[Case]) -> Entries:
    names = sorted({case.problem.initializer for case in cases})
    return [
        {
            "name": spec.name,
            "family": spec.family,
            "tier": spec.tier,
            "definition": str(spec.definition or "no definition"),
        }
        for spec in map(catalogue.lookup, names)
    ]


def _problems(_: Catalogue, cases: list[Case]) -> Entries:
    return [{"id": name} for name in sorted({case.problem.id for case in cases})]


def _cases(_: Catalogue, cases: list[Case]) -> Entries:
    return [{"id": case.id} for case in cases]


OF_CASES: dict[str, Callable[[Catalogue, list[Case]], Entries]] = {
    "cases": _cases,
    "problems": _problems,
    "initializers": _initializers,
}
