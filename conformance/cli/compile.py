"""`conformance compile`: compile for accelerators that are not here, and predict CUDA's bits."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import Catalogue
from conformance.cases.selection import select_for_goldens
from conformance.cli.arguments.compile import targets as targets_of
from conformance.cli.main import say_waiting
from conformance.cli.output import tell, write_all
from conformance.cli.progress import Progress
from conformance.cli.terminal import width_of
from conformance.core.errors import ExitCode
from conformance.core.ids import Case, Problem
from conformance.core.paths import BUDGETS, golden_folder, shipped
from conformance.core.versions import COMPILATION
from conformance.core.words import counted
from conformance.predict import aot, compiled
from conformance.predict.compiled import (
    COLUMNS,
    Row,
    cells,
    compiled_row,
    store_programs,
    summary,
    table,
)
from conformance.report.aligned import wrapped
from conformance.run import options
from conformance.store.budgets import load as load_budgets
from conformance.store.read import open_store

if TYPE_CHECKING:
    from conformance.predict.predictions import Judged


def run(arguments: argparse.Namespace) -> int:
    """Compile, report, compare with what is accepted, and predict if asked.

    FAILED when something failed that should not have, or is not what the same versions made before.

    Raises:
        SelectionError: what is to be accepted is wrong.
        CompilerAbsent: the platform's compiler is not installed.
        UnknownTarget: a target is unknown.
        GoldenError: what is accepted cannot be read.
    """
    names = targets_of(arguments)
    catalogue = load_catalogue()
    targets = [aot.open_target(arguments.platform, name) for name in names]
    if arguments.record:
        return _record(arguments, targets[0], catalogue)
    problems = _problems(arguments, catalogue)
    asked = itertools.product(targets, problems)
    compiling = (compiled_row(problem, target, catalogue) for target, problem in asked)
    rows = []
    with Progress("compiled") as progress:
        for row in progress.over(compiling, len(targets) * len(problems), name=_name):
            rows.append(row)
            if arguments.out:
                store_programs(row, arguments.out / compiled.folder_name(row.target))
    settled, is_other = _settle(rows, arguments)
    predicted = _predict(arguments, targets[0], catalogue) if arguments.predict else _nothing
    code = ExitCode.of(failed=is_other or any(row.is_wrong for row in rows))
    files = tell(
        arguments,
        lambda width: "\n".join(
            [
                table(COLUMNS, map(cells, rows), width),
                *(line for text in (*summary(rows), *settled) for line in wrapped(text, width)),
                predicted(width),
            ]
        ),
        json=lambda: to_json(rows, settled, predicted(None), code),
    )
    return ExitCode.first(code, write_all(files))


def to_json(rows: Sequence[Row], settled: Sequence[str], predicted: str, code: ExitCode) -> str:
    """Return the same as one JSON document; the cells of a row by the names of its columns."""
    document = {
        "code": code,
        "rows": [dict(zip(COLUMNS, cells(row), strict=True)) for row in rows],
        "summary": list(summary(rows)),
        "settled": settled,
        "predicted": predicted.splitlines(),
    }
    return json.dumps(COMPILATION.stamped(document), indent=1) + "\n"


def _name(row: Row) -> str:
    return f"{row.problem.id} for {row.target}"


def _case(judged: Judged) -> str:
    return judged.observation.case.id


def _settle(rows: Sequence[Row], arguments: argparse.Namespace) -> tuple[list[str], bool]:
    """Accept the rows of each target, or compare them; return how, and whether one is wrong."""
    golden = golden_folder(arguments.golden)
    here = aot.versions(arguments.platform)
    texts, is_wrong = [], False
    for name in dict.fromkeys(row.target for row in rows):
        mine = [row for row in rows if row.target == name]
        if arguments.accept:
            texts.append(compiled.accept(golden, name, mine, here, arguments.reason, say_waiting))
            continue
        found = compiled.compare(golden, name, mine, here)
        texts.append(found.text)
        is_wrong |= found.is_wrong
    return texts, is_wrong


def _problems(arguments: argparse.Namespace, catalogue: Catalogue) -> list[Problem]:
    selection = options.read_arguments(arguments).on("cpu")
    return sorted({case.problem for case in select_for_goldens(catalogue, selection)})


def _nothing(_: int | None) -> str:
    return ""


def _predict(
    arguments: argparse.Namespace, target: aot.Target, catalogue: Catalogue
) -> Callable[[int | None], str]:
    """Predict the cases; return what tells, for a width, how they lie to the CPU's bits."""
    from conformance.predict import predictions

    cases, measured = _cases(arguments, catalogue), load_budgets(shipped() / BUDGETS)
    judging = predictions.judge(cases, target, catalogue, measured)
    with Progress("predicted") as progress:
        judged = list(progress.over(judging, len(cases), name=_case))

    def told(width: int | None) -> str:
        shown = table(predictions.COLUMNS, map(predictions.cells, judged), width)
        return "\n".join(["", shown, *wrapped(predictions.summary(judged), width), ""])

    return told


def _record(arguments: argparse.Namespace, target: aot.Target, catalogue: Catalogue) -> int:
    """Predict and store; the table grows as it is made."""
    from conformance.predict import predictions

    golden = shipped()

    def told(judged: Sequence[predictions.Judged]) -> None:
        width = width_of(sys.stdout)
        print(table(predictions.COLUMNS, map(predictions.cells, judged), width))
        print(*wrapped(predictions.summary(judged), width), sep="\n", flush=True)

    count = predictions.store_by_parts(
        _cases(arguments, catalogue),
        target,
        catalogue,
        arguments.record,
        open_store(golden),
        load_budgets(golden / BUDGETS),
        resume=arguments.resume,
        told=told,
    )
    print(f"stored {counted(count, 'case')} in {arguments.record}")
    return ExitCode.OK


def _cases(arguments: argparse.Namespace, catalogue: Catalogue) -> list[Case]:
    selection = options.read_arguments(arguments).on("cuda-emulated")
    return select_for_goldens(catalogue, selection)
