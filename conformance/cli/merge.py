"""`conformance merge DIR...`: one verdict on the results of several machines, nights and shards."""

from __future__ import annotations

import argparse
import functools

from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import Catalogue
from conformance.cases.selection import Selection, select
from conformance.cli.output import tell, write_all, write_page
from conformance.cli.progress import Progress
from conformance.core.errors import ExitCode
from conformance.core.ids import Tier
from conformance.judge.rules import load_ledger
from conformance.merge import (
    Merged,
    ProblemClasses,
    Question,
    Referee,
    golden_place,
    hurried,
    merge,
    mixed,
    read_sources,
)
from conformance.merge.page import page_of
from conformance.merge.text import to_json, to_markdown, to_text
from conformance.run import options
from conformance.run.evaluate import bench_of
from conformance.store.stack import open_stack


def run(arguments: argparse.Namespace) -> int:
    """Merge and report; MISSING where something could not be read."""
    catalogue = load_catalogue()
    asked = options.read_arguments(arguments)
    expected = _questions(asked.tier, catalogue)
    goldens = open_stack(asked.golden_folder, asked.overlays)
    bench = bench_of(asked, catalogue, goldens, load_ledger(asked.ledger_file))
    with Progress("reading") as progress:
        sources = read_sources(arguments.folders, bench, progress.over)
    place = golden_place(goldens.base)
    referee = Referee(bench=bench, outcomes=sources.outcomes, golden_place=place)
    rules = "" if arguments.mixed else mixed(sources.examples)
    faults = [*sources.faults, *filter(None, (rules, hurried(sources.examples)))]
    with Progress("merged", bad="not the same everywhere") as progress:
        watch = functools.partial(progress.over, name=_name, is_bad=_differs)
        merged = merge(
            sources.facts,
            referee,
            lots=sources.lots,
            expected=expected,
            faults=faults,
            watch=watch,
        )
    files = tell(
        arguments,
        functools.partial(to_text, merged),
        json=functools.partial(to_json, merged),
        markdown=functools.partial(to_markdown, merged),
    )
    code = _exit_code(merged)
    files.append(functools.partial(write_page, page_of(merged, code), arguments.reports))
    return ExitCode.first(code, write_all(files))


def _name(found: ProblemClasses) -> str:
    return found.problem.id


def _differs(found: ProblemClasses) -> bool:
    """Return whether not all places have the same bits."""
    return len(found.classes) > 1


def _exit_code(merged: Merged) -> ExitCode:
    return ExitCode.of(
        failed=merged.has_failed, missing=not merged.is_whole, empty=not merged.n_results
    )


def _questions(tier: Tier | None, catalogue: Catalogue) -> list[Question]:
    if tier is None:
        return []
    return [(case.problem, case.transform) for case in select(catalogue, Selection(tier=tier))]
