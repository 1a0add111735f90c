"""`conformance law`: sweep initializers over every word and show their exact laws."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from conformance.cases.builtin import load_catalogue
from conformance.cases.sweeps import unswept
from conformance.cli.arguments.forms import STDOUT
from conformance.cli.main import say_waiting
from conformance.cli.output import tell, write_all, write_page
from conformance.cli.progress import Progress
from conformance.cli.terminal import width_of
from conformance.core.budgets import BudgetTable
from conformance.core.errors import ExitCode, GoldenError
from conformance.core.paths import BUDGETS
from conformance.core.versions import LAWS
from conformance.observe.environment import unstarted
from conformance.report.aligned import fitting, hidden_note, markdown_line, wrapped
from conformance.run import options
from conformance.run.page import page_of
from conformance.run.sweeping import Step, SweepVerdict, joined, verdicts_apart, verdicts_here
from conformance.store.budgets import stacked, update


def run(arguments: argparse.Namespace) -> int:
    """Print one row a sweep, then what failed; FAILED if anything did, else MISSING if any is."""
    asked = options.read_arguments(arguments)
    sets = [asked.golden_folder, *asked.overlays]
    if not (arguments.write_budgets or any((folder / BUDGETS).exists() for folder in sets)):
        raise GoldenError(
            f"{sets[0]} holds no {BUDGETS} to judge by: name a golden set, or measure with "
            "--write-budgets"
        )
    table: Table = MarkdownTable() if arguments.markdown else PlainTable()
    is_text = arguments.json != STDOUT
    found, n_failed = [], 0
    with (
        Progress("swept", bad="failed") as progress,
        contextlib.closing(_verdicts(arguments)) as verdicts,
    ):
        for number, step in enumerate(verdicts, start=1):
            n_failed += step.verdict.code == ExitCode.FAILED
            if is_text:
                progress.clear()
                table.add(step.verdict.head, step.verdict.rows)
            progress(number, step.total, step, n_failed)
            found.append(step.verdict)
    if is_text:
        table.end()
    for line in unswept(load_catalogue(), asked.asked):
        print(line, file=sys.stderr)
    code = ExitCode.first(*(each.code for each in found), ExitCode.OK)
    if arguments.write_budgets and all(each.measured for each in found):
        below = stacked(asked.golden_folder, asked.overlays)
        return write_budgets(sets[-1] / BUDGETS, found, arguments.reason, below)
    files = tell(arguments, lambda _: _messages(found), json=lambda: to_json(found))
    files.append(lambda: write_page(page_of(found, code, unstarted()), arguments.reports))
    code = ExitCode.first(code, write_all(files))
    if arguments.write_budgets:
        print("\nno budgets were written: what is missing could be the worst", file=sys.stderr)
    return code


def _verdicts(arguments: argparse.Namespace) -> Generator[Step, None, None]:
    given, is_measuring = options.given(arguments), arguments.write_budgets
    if options.runs_here(arguments):
        return verdicts_here(given, is_measuring=is_measuring)
    return verdicts_apart(given, is_measuring=is_measuring, timeout_s=arguments.case_timeout)


class Table(Protocol):
    """Prints rows as they come, and their head wherever it changes."""

    def add(self, head: tuple[str, ...], rows: Sequence[Sequence[str]]) -> None:
        """Print the rows, if there are any, after their head if it is not the last one printed."""

    def end(self) -> None:
        """Say what was not shown."""


class MarkdownTable:
    """Of Markdown."""

    def __init__(self) -> None:
        self._head: tuple[str, ...] = ()

    def add(self, head: tuple[str, ...], rows: Sequence[Sequence[str]]) -> None:
        """Print the rows as lines of a Markdown table."""
        if not rows:
            return
        if head != self._head:
            print("\n" if self._head else "", end="")
            print(markdown_line(head))
            print(markdown_line(["---"] * len(head)))
            self._head = head
        for row in rows:
            print(markdown_line(row), flush=True)

    def end(self) -> None:
        """Say nothing: all was shown."""


class PlainTable:
    """Of columns of a fixed width: those that fit the terminal, and elsewhere all."""

    def __init__(self) -> None:
        self._head: tuple[str, ...] = ()
        self._note = ""
        self._shown: list[int] = []
        self._widths: list[int] = []

    def add(self, head: tuple[str, ...], rows: Sequence[Sequence[str]]) -> None:
        """Print the rows, two blanks at least between columns."""
        if not rows:
            return
        if head != self._head:
            print("\n" if self._head else "", end="")
            self._begin(head)
        for row in rows:
            self._print(row)

    def end(self) -> None:
        """Say how to see the columns that did not fit."""
        if self._note:
            print(*wrapped(self._note, width_of(sys.stdout)), sep="\n")

    def _begin(self, head: tuple[str, ...]) -> None:
        self._head = head
        self._widths = [WIDTHS.get(name, OF_A_FIGURE) for name in head]
        self._shown = fitting(self._widths, width_of(sys.stdout))
        elsewhere = "--markdown, --json FILE or the page"
        self._note = hidden_note(len(self._shown), len(head), elsewhere) or self._note
        self._print(head)

    def _print(self, row: Sequence[str]) -> None:
        cells = [row[number].ljust(self._widths[number]) for number in self._shown]
        print("  ".join(cells).rstrip(), flush=True)


WIDTHS = {"initializer": 24, "dtype": 9, "transform": 9, "verdict": 6}
OF_A_FIGURE = 12
"""Widths of columns; of figures the longest is `-0.003921568`, the longest name of one the same. A
cell that is longer moves the rest of its row."""


def to_json(found: Iterable[SweepVerdict]) -> str:
    """Return the sweeps as one JSON document; the cells of a row by the names of its columns."""
    sweeps = [
        {
            "rows": [dict(zip(each.head, row, strict=True)) for row in each.rows],
            "messages": each.messages,
            "sources": each.sources,
            "rerun": each.rerun,
            "code": each.code,
        }
        for each in found
    ]
    return json.dumps(LAWS.stamped({"sweeps": sweeps}), indent=1) + "\n"


def _messages(found: Iterable[SweepVerdict]) -> str:
    """Return each message once, with the first sweep that shows it."""
    first: dict[str, SweepVerdict] = {}
    for each in found:
        for message in each.messages:
            first.setdefault(message, each)
    return "".join(
        "\n".join(["", message, *each.sources, f"  rerun: {each.rerun}", ""])
        for message, each in first.items()
    )


def write_budgets(
    path: Path, found: Iterable[SweepVerdict], reason: str, below: BudgetTable
) -> int:
    """Store what was measured. below: what counted so far, where the file is an overlay's.

    Raises:
        LooserBudget: a budget would grow, and no reason says why it may.
    """
    measured = joined([each.measured for each in found if each.measured])
    table = update(path, measured, reason, say_waiting, below)
    print(f"{len(measured)} budgets measured, {len(table.measurements)} now in {path}")
    return ExitCode.OK
