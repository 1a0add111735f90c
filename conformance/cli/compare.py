"""`conformance compare A B`: how every case of B differs from the same case of A."""

from __future__ import annotations

import argparse
import datetime
import functools
from collections.abc import Sequence

from conformance.cases.builtin import load_catalogue
from conformance.cli.output import tell, write_all, write_page, write_text
from conformance.cli.progress import Progress
from conformance.core.errors import ExitCode
from conformance.upgrade import policy, tables
from conformance.upgrade.compare import Pair, compare_stores, open_sides
from conformance.upgrade.outside import explained
from conformance.upgrade.page import page_of


def run(arguments: argparse.Namespace) -> int:
    """Compare and report; FAILED when something drifted beyond the policy."""
    rules = policy.load_policy(arguments.policy, arguments.max_drift)
    catalogue = load_catalogue()
    stores = open_sides(arguments.before, arguments.after)
    names = (str(arguments.before), str(arguments.after))
    with Progress("compared") as progress:
        watch = functools.partial(progress.over, name=_name, is_bad=_is_drift)
        comparison = compare_stores(*stores, catalogue, names=names, watch=watch)
        progress.say("looking for the causes")
        comparison = explained(comparison, stores, catalogue)
    return report(policy.judge(comparison, rules, datetime.date.today()), arguments)


def _name(pair: Pair) -> str:
    return pair.name


def _is_drift(pair: Pair) -> bool:
    return bool(pair.drift.drift_class.rank)


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
