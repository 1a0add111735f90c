"""`conformance law`: sweep initializers over every word and show their exact laws."""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
from collections.abc import Iterable, Sequence
from pathlib import Path

from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import Catalogue
from conformance.cases.sweeps import select_sweeps
from conformance.cli.main import say_waiting
from conformance.core.budgets import BudgetTable, MatrixMeasurement
from conformance.core.errors import ExitCode, GoldenError
from conformance.core.paths import BUDGETS
from conformance.core.records import Status
from conformance.judge.law.verdict import LawResult
from conformance.judge.rules import load_ledger
from conformance.observe import environment
from conformance.report.messages import messages_of, sources_of
from conformance.run import options
from conformance.run.matrix_sweep import COLUMNS as MATRIX_COLUMNS
from conformance.run.matrix_sweep import MatrixSweep, matrix_sweeps, measurement, swept
from conformance.run.matrix_sweep import evaluate as evaluate_matrices
from conformance.run.options import Options
from conformance.run.sweeps import evaluate, measurements, rerun_words
from conformance.store.budgets import stacked, update

SCOPE = ("initializer", "dtype", "transform", "backend")

COLUMNS = (
    "initializer",
    "dtype",
    "transform",
    "distinct",
    "mean error",
    "var. error",
    "skewness",
    "kurtosis",
    "minimum",
    "maximum",
    "ULP",
    "ULP of sigma",
    "verdict",
)
"""Errors of mean and variance are against the continuous law: in sigma, and relative."""

NOISE = 1e-12
"""Figures of order 1 below this are rounding errors of the sums, and differ between machines."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the selection, the budgets and the form of the table."""
    for name in SCOPE:
        text = options.LIST_OPTIONS[name]
        parser.add_argument(
            f"--{name}", action="append", default=[], metavar=name.upper(), help=text
        )
    parser.add_argument("--tier", default=None, help="quick, standard (default) or full")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument(
        "--golden",
        default=None,
        metavar="DIR",
        help="golden set with the budgets (default: shipped)",
    )
    options.add_overlay_option(parser.add_argument)
    parser.add_argument("--ledger", default=None, metavar="FILE", help="known limitations")
    parser.add_argument(
        "--write-budgets",
        action="store_true",
        help=f"store the worst errors in {BUDGETS} of the last overlay, or of the golden set",
    )
    parser.add_argument("--reason", default="", help="why a budget may grow; kept with it")


def run(arguments: argparse.Namespace) -> int:
    """Print one row a sweep, then what failed; FAILED if anything did."""
    catalogue = load_catalogue()
    asked = options.read_arguments(arguments)
    sets = [asked.golden_folder, *asked.overlays]
    if not (arguments.write_budgets or any((folder / BUDGETS).exists() for folder in sets)):
        raise GoldenError(
            f"{sets[0]} holds no {BUDGETS} to judge by: name a golden set, or measure with "
            "--write-budgets"
        )
    budgets = stacked(asked.golden_folder, asked.overlays)
    ledger = load_ledger(asked.ledger_file)
    selection = options.selection_here(asked)
    matrices = matrix_sweeps(selection)
    cases = select_sweeps(catalogue, selection, also=bool(matrices))
    table = Table(is_markdown=arguments.markdown)
    results = []
    for case in cases:
        result = evaluate(case, catalogue=catalogue, budgets=budgets, ledger=ledger)
        table.add(COLUMNS, [cells(result)])
        results.append(result)
    if arguments.write_budgets:
        measured = [(sweep, swept(sweep)) for sweep in matrices]
        path = sets[-1] / BUDGETS
        return write_budgets(path, results, catalogue, arguments.reason, measured, budgets)
    faults = []
    for sweep in matrices:
        found = evaluate_matrices(sweep, budgets)
        table.add(MATRIX_COLUMNS, found.rows)
        if found.fault:
            again = options.rerun(sweep.rerun_words, asked, environment.capture())
            faults.append(f"{found.fault}\n  rerun: {again}")
    _print_messages(results, asked)
    print("".join(f"\n{fault}\n" for fault in faults), end="")
    return ExitCode.of(
        failed=bool(faults) or any(result.has_failed for result in results if result.is_judged),
        missing=not all(result.is_judged for result in results),
    )


@dataclasses.dataclass(slots=True, kw_only=True)
class Table:
    """Prints rows as they come, and their head wherever it changes."""

    is_markdown: bool
    head: tuple[str, ...] = ()

    def add(self, head: tuple[str, ...], rows: Iterable[Iterable[str]]) -> None:
        """Print the rows, after their head if it is not the last one printed."""
        print_row = print_markdown if self.is_markdown else print_plain
        if head != self.head:
            print("\n" if self.head else "", end="")
            print_row(head)
            if self.is_markdown:
                print_row(["---"] * len(head))
            self.head = head
        for row in rows:
            print_row(row)


def _print_messages(results: Sequence[LawResult], asked: Options) -> None:
    """Print each message once, with the first sweep that shows it."""
    first: dict[str, LawResult] = {}
    for result in results:
        for message in messages_of(result.result, [Status.FAILED], asked.golden_option):
            first.setdefault(message, result)
    here = environment.capture()
    for message, result in first.items():
        again = options.rerun(rerun_words(result.case), asked, here)
        print("\n".join(["", message, *sources_of(result.result), f"  rerun: {again}"]))


def write_budgets(
    path: Path,
    results: Sequence[LawResult],
    catalogue: Catalogue,
    reason: str,
    matrices: Iterable[tuple[MatrixSweep, MatrixMeasurement]] = (),
    below: BudgetTable | None = None,
) -> int:
    """Store what was measured. below: what counted so far, where the file is an overlay's.

    Raises:
        UnfitForBudget: a law is wrong.
        LooserBudget: a budget would grow, and no reason says why it may.
    """
    date = f"{dt.datetime.now(dt.UTC):%Y-%m-%d}"
    measured = measurements(results, catalogue, date=date)
    measured += [measurement(sweep, found, date=date) for sweep, found in matrices]
    table = update(path, measured, reason, say_waiting, below)
    print(f"{len(measured)} budgets measured, {len(table.measurements)} now in {path}")
    return ExitCode.OK


def cells(result: LawResult) -> list[str]:
    """Return one row of the table."""
    problem, verdict = result.case.problem, result.result.status.value
    if result.result.status is Status.LIMITED:
        verdict = f"limited: {result.result.limitation}"
    head = [problem.initializer, problem.dtype, result.case.transform]
    if result.evidence is None:
        return [*head, *[""] * (len(COLUMNS) - len(head) - 1), verdict]
    law, accuracy = result.evidence.law, result.evidence.accuracy
    metrics = {
        name: value for check in result.result.checks for name, value in check.metrics.items()
    }
    return [
        *head,
        str(law.n_distinct),
        signed(metrics["mean_from_nominal_sigma"]),
        signed(metrics["variance_from_nominal"]),
        signed(law.skewness),
        f"{law.kurtosis:.4g}",
        f"{law.minimum:.8g}",
        f"{law.maximum:.8g}",
        f"{accuracy.at_value.ulp:.0f}" if accuracy.at_value else "",
        f"{accuracy.at_sigma.ulp:.3g}" if accuracy.at_sigma else "",
        verdict,
    ]


def signed(value: float) -> str:
    """Return three digits and a sign; "0" for what may be the rounding of a sum."""
    return "0" if abs(value) < NOISE else f"{value:+.3g}"


def print_plain(row: Iterable[str]) -> None:
    """Print the row in columns of fixed width."""
    first, *others = row
    print(f"{first:38}" + "".join(f"{text:13}" for text in others).rstrip(), flush=True)


def print_markdown(row: Iterable[str]) -> None:
    """Print the row as one of a Markdown table."""
    print(f"| {' | '.join(row)} |", flush=True)
