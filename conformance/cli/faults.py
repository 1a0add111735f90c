"""`conformance faults`: plant every known fault, and show which check each of them dies of."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import json
import sys
from collections.abc import Generator

from conformance.cli.arguments.forms import STDOUT
from conformance.cli.output import tell, write_all, write_page
from conformance.cli.progress import Progress
from conformance.cli.terminal import width_of
from conformance.core.errors import ExitCode
from conformance.core.versions import FAULTS
from conformance.observe.environment import unstarted
from conformance.planted.apart import tried_apart, tried_here
from conformance.planted.fault import Planted
from conformance.planted.known import chosen, known_faults
from conformance.planted.matrix import Matrix, line_of, tables
from conformance.planted.page import page_of
from conformance.planted.record import Tried
from conformance.report.aligned import aligned, markdown_table, wrapped
from conformance.report.escape import markdown_cell
from conformance.run import options


def run(arguments: argparse.Namespace) -> int:
    """Print a line a fault, then each check with what it alone kills; see `Matrix.code`."""
    known = known_faults()
    faults = chosen(known, arguments.only)
    is_text = STDOUT not in (arguments.json, arguments.markdown)
    found = []
    trials = contextlib.closing(_trials(arguments, faults))
    with Progress("tried") as progress, trials as tried:
        for each in progress.over(tried, len(faults), name=_name):
            if is_text:
                progress.clear()
                _print(line_of(each))
            found.append(each)
    order = {fault.name: number for number, fault in enumerate(known)}
    found.sort(key=lambda each: order[each.name])
    matrix = Matrix(tried=tuple(found), is_whole=len(faults) == len(known))
    files = tell(
        arguments,
        functools.partial(as_text, matrix),
        json=lambda: as_json(matrix),
        markdown=lambda: as_markdown(matrix),
    )
    files.append(lambda: write_page(page_of(matrix, unstarted()), arguments.reports))
    return ExitCode.first(matrix.code, write_all(files))


ELSEWHERE = "--json FILE, the page or a pipe"


def _print(cells: tuple[str, ...]) -> None:
    """Print a fault as it comes: on a terminal its name, and what it died of under that."""
    kind, name, tier, said = cells
    line, width = f"{kind:11}{name:50}{tier:10}{said}", width_of(sys.stdout)
    if width is not None and len(line) > width:
        line = "\n".join([name, *wrapped(f"    {kind}, {tier}: {said}", width)])
    print(line, flush=True)


def _name(tried: Tried) -> str:
    return tried.name


def _trials(
    arguments: argparse.Namespace, faults: tuple[Planted, ...]
) -> Generator[Tried, None, None]:
    if options.runs_here(arguments):
        return tried_here(faults)
    return tried_apart(faults, n_workers=arguments.workers, timeout_s=arguments.case_timeout)


def as_text(matrix: Matrix, width: int | None = None) -> str:
    """Return what each check alone kills, what is wrong, and the verdict, for a terminal."""
    of_checks, of_tests, *_ = tables(matrix)
    lines = [""]
    for table in (of_checks, of_tests):
        if table.lines:
            rows = [table.head, *table.lines]
            lines += [*aligned(rows, width=width, elsewhere=ELSEWHERE), ""]
    lines += [f"{name} {text}" for name, text in matrix.faults.items()]
    lines += [f"{each.name} was lost: {each.lost}" for each in matrix.lost]
    return "\n".join([*lines, matrix.line, ""])


def as_markdown(matrix: Matrix) -> str:
    """Return all tables as Markdown, each under a heading."""
    lines = [f"{matrix.line}."]
    for table in tables(matrix):
        if table.lines:
            cells = (map(markdown_cell, line) for line in table.lines)
            lines += ["", f"## {table.title}", "", *markdown_table(table.head, cells)]
    return "\n".join([*lines, ""])


def as_json(matrix: Matrix) -> str:
    """Return all that was found as one JSON document."""
    content = {
        "is_whole": matrix.is_whole,
        "alone": matrix.alone,
        "wrong": matrix.faults,
        "faults": [dataclasses.asdict(each) for each in matrix.tried],
    }
    return json.dumps(FAULTS.stamped(content), indent=1) + "\n"
