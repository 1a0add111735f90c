"""`conformance law`: sweep initializers over every word and show their exact laws."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import sys
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path

from conformance.cli.arguments.forms import STDOUT
from conformance.cli.main import say_waiting
from conformance.cli.output import tell, write_all, write_page
from conformance.core.budgets import BudgetTable
from conformance.core.errors import ExitCode, GoldenError
from conformance.core.paths import BUDGETS
from conformance.core.versions import LAWS
from conformance.report.aligned import markdown_line
from conformance.run import options
from conformance.run.page import page_of
from conformance.run.sweeping import SweepVerdict, joined, verdicts_apart, verdicts_here
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
    table = Table(is_markdown=arguments.markdown)
    is_text = arguments.json != STDOUT
    found = []
    with contextlib.closing(_verdicts(arguments)) as verdicts:
        for each in verdicts:
            if is_text:
                table.add(each.head, each.rows)
            found.append(each)
    code = ExitCode.first(*(each.code for each in found), ExitCode.OK)
    if arguments.write_budgets and all(each.measured for each in found):
        below = stacked(asked.golden_folder, asked.overlays)
        return write_budgets(sets[-1] / BUDGETS, found, arguments.reason, below)
    files = tell(arguments, lambda: _messages(found), json=lambda: to_json(found))
    files.append(lambda: write_page(page_of(found, code), arguments.reports))
    code = ExitCode.first(code, write_all(files))
    if arguments.write_budgets:
        print("\nno budgets were written: what is missing could be the worst", file=sys.stderr)
    return code


def _verdicts(arguments: argparse.Namespace) -> Generator[SweepVerdict, None, None]:
    given, is_measuring = options.given(arguments), arguments.write_budgets
    if options.runs_here(arguments):
        return verdicts_here(given, is_measuring=is_measuring)
    return verdicts_apart(given, is_measuring=is_measuring, timeout_s=arguments.case_timeout)


@dataclasses.dataclass(slots=True, kw_only=True)
class Table:
    """Prints rows as they come, and their head wherever it changes."""

    is_markdown: bool
    head: tuple[str, ...] = ()

    def add(self, head: tuple[str, ...], rows: Sequence[Iterable[str]]) -> None:
        """Print the rows, if there are any, after their head if it is not the last one printed."""
        if not rows:
            return
        print_row = print_markdown if self.is_markdown else print_plain
        if head != self.head:
            print("\n" if self.head else "", end="")
            print_row(head)
            if self.is_markdown:
                print_row(["---"] * len(head))
            self.head = head
        for row in rows:
            print_row(row)


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


def print_plain(row: Iterable[str]) -> None:
    """Print the row in columns of fixed width."""
    first, *others = row
    print(f"{first:38}" + "".join(f"{text:13}" for text in others).rstrip(), flush=True)


def print_markdown(row: Iterable[str]) -> None:
    """Print the row as one of a Markdown table."""
    print(markdown_line(row), flush=True)
