"""`conformance merge DIR...`: one verdict on the results of several machines, nights and shards."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import Catalogue
from conformance.cases.selection import Selection, select
from conformance.core.errors import ExitCode, SelectionError, cannot_write
from conformance.core.ids import Tier
from conformance.core.paths import BUDGETS, LEDGER, golden_folder
from conformance.core.records import DriftClass
from conformance.judge.rules import load_ledger
from conformance.merge import (
    Bench,
    Merged,
    Question,
    Referee,
    golden_place,
    merge,
    mixed,
    read_sources,
)
from conformance.merge.text import to_json, to_markdown, to_text
from conformance.run import options
from conformance.store import budgets
from conformance.store.read import Store, open_store
from conformance.store.yardstick import judged_by


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is merged, what is expected, what judges it and what is written."""
    parser.add_argument(
        "folders",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="a recording, a run's reports, or a folder that holds the shards of one machine",
    )
    parser.add_argument(
        "--tier", help="every place must have all cases of this tier (default: what any place has)"
    )
    options.add_judging_options(parser.add_argument)
    parser.add_argument(
        "--mixed", action="store_true", help="take verdicts by different goldens, ledgers, policies"
    )
    for name in ("json", "markdown"):
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=f"also write {name}")


def run(arguments: argparse.Namespace) -> int:
    """Merge and report; MISSING where something could not be read."""
    catalogue = load_catalogue()
    expected = _questions(arguments.tier, catalogue)
    goldens = open_store(golden_folder(arguments.golden))
    bench = _bench(arguments, catalogue, goldens)
    sources = read_sources(arguments.folders, bench)
    referee = Referee(
        catalogue=catalogue,
        goldens=goldens,
        budgets=bench.budgets,
        ledger=bench.ledger,
        outcomes=sources.outcomes,
        max_drift=bench.max_drift,
        golden_place=golden_place(goldens),
    )
    rules = "" if arguments.mixed else mixed(sources.facts)
    faults = [*sources.faults, *([rules] if rules else [])]
    merged = merge(sources.facts, referee, expected=expected, faults=faults)
    for path, render in ((arguments.json, to_json), (arguments.markdown, to_markdown)):
        if path is not None:
            _write(path, render(merged))
    sys.stdout.write(to_text(merged))
    return _exit_code(merged)


def _exit_code(merged: Merged) -> int:
    return ExitCode.of(
        failed=merged.has_failed, missing=not merged.is_whole, empty=not merged.n_results
    )


def _questions(text: str | None, catalogue: Catalogue) -> list[Question]:
    if text is None:
        return []
    if text not in list(Tier):
        raise SelectionError(f"tier {text!r} is unknown: choose from {', '.join(Tier)}")
    return [
        (case.problem, case.transform) for case in select(catalogue, Selection(tier=Tier(text)))
    ]


def _bench(arguments: argparse.Namespace, catalogue: Catalogue, goldens: Store) -> Bench:
    ledger, max_drift = Path(arguments.ledger or LEDGER), DriftClass(arguments.max_drift)
    return Bench(
        catalogue=catalogue,
        goldens=goldens,
        budgets=budgets.load(goldens.folder / BUDGETS),
        ledger=load_ledger(ledger),
        max_drift=max_drift,
        by=judged_by(goldens.folder, ledger, max_drift),
    )


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise cannot_write(path, error) from error
