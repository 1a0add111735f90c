"""`conformance compare A B`: how every case of B differs from the same case of A."""

from __future__ import annotations

import argparse
import datetime
import functools
from collections.abc import Sequence
from pathlib import Path

from conformance.cases.builtin import load_catalogue
from conformance.cli.output import add_form_options, tell, write_all, write_page, write_text
from conformance.core.errors import ExitCode
from conformance.core.records import DriftClass
from conformance.run import options
from conformance.upgrade import policy, tables
from conformance.upgrade.compare import compare_stores, open_sides
from conformance.upgrade.outside import explained
from conformance.upgrade.page import page_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the two sides, the policy and the outputs."""
    parser.add_argument("before", type=Path, help="recording or golden set to compare with")
    parser.add_argument("after", type=Path, help="recording or golden set that is compared")
    add_verdict_arguments(parser)


def add_verdict_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the policy and the outputs, which `gate` takes too."""
    parser.add_argument(
        "--max-drift",
        choices=[name.value for name in DriftClass],
        help="worst class that passes (default: the policy's, else rounding)",
    )
    parser.add_argument(
        "--policy",
        type=Path,
        metavar="FILE",
        help="TOML file with [tool.conformance] (default: ./pyproject.toml, if it has that)",
    )
    add_form_options(parser, "json", "markdown")
    for name in ("csv", "parquet"):
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help="write every case to FILE")
    options.add_folder_option(parser.add_argument)


def run(arguments: argparse.Namespace) -> int:
    """Compare and report; FAILED when something drifted beyond the policy."""
    rules = policy.load_policy(arguments.policy, arguments.max_drift)
    catalogue = load_catalogue()
    stores = open_sides(arguments.before, arguments.after)
    names = (str(arguments.before), str(arguments.after))
    comparison = explained(compare_stores(*stores, catalogue, names=names), stores, catalogue)
    return report(policy.judge(comparison, rules, datetime.date.today()), arguments)


def report(
    verdict: policy.Verdict, arguments: argparse.Namespace, notes: Sequence[str] = ()
) -> int:
    """Print and write the verdict as was asked; return the exit code.

    What cannot be written is said after the verdict: drift comes before it.
    """
    files = tell(
        arguments,
        functools.partial(tables.to_text, verdict, notes),
        json=functools.partial(tables.to_json, verdict, notes),
        markdown=functools.partial(tables.to_markdown, verdict, notes),
    )
    if arguments.csv:
        files.append(functools.partial(write_text, arguments.csv, tables.to_csv(verdict)))
    if arguments.parquet:
        files.append(functools.partial(tables.write_parquet, verdict, arguments.parquet))
    code = ExitCode.of(failed=bool(verdict.beyond), missing=verdict.is_incomplete)
    files.append(lambda: write_page(page_of(verdict, code, notes), arguments.reports))
    return ExitCode.first(code, write_all(files))
