"""The laws of what failed in a run, swept when it has ended, for its page to show.

They tell a reader whether a wrong array is of a wrong law, and where on the lattice its errors lie.
The verdict does not hang on them.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Generator, Iterable, Iterator, Sequence

from conformance.cases.catalogue import Catalogue
from conformance.cases.sweeps import is_swept, sweep_case
from conformance.core.errors import ConformanceError
from conformance.core.formats import SWEPT_DTYPES
from conformance.core.ids import Case, Problem, Tier
from conformance.core.records import DriftClass
from conformance.report.page.model import Figure
from conformance.report.rows import Row
from conformance.report.run import NO_GOLDEN, class_of
from conformance.run.options import Options, nothing_given
from conformance.run.page import figures_of
from conformance.run.sweeping import Step, SweepVerdict, verdicts_apart, verdicts_here

MOST_LAWS = 6
"""Sweeps after a run, the worst failures first: a second each."""

TOLD_BY_LAW = (
    *(DriftClass.ROUNDING, DriftClass.BIASED, DriftClass.TRANSFORM),
    *(DriftClass.LAW, DriftClass.UNKNOWN, NO_GOLDEN),
)
"""Classes of which a law shows something. A stream has the same one, an order too, and what raises
has none."""


def laws_of(
    failed: Iterable[Row], options: Options, catalogue: Catalogue, *, here: bool
) -> tuple[Figure, ...]:
    """Return plots of the laws of the initializers, dtypes and backends that failed worst.

    None of those that draw more than a word for an element, or that no definition is known of, and
    none without matplotlib. here: sweep in this process, and not in a worker of its own. Why one
    could not be swept is told in place of its plot.
    """
    cases = _cases(failed, catalogue)
    if not cases or importlib.util.find_spec("matplotlib") is None:
        return ()
    problems = {case.id: case.problem for case in cases}
    found: list[SweepVerdict] = []
    why: list[Figure] = []
    try:
        with contextlib.closing(_steps(cases, options, here=here)) as steps:
            for step in steps:
                found.append(step.verdict)
                why += _unseen(problems[step.id], step.verdict)
    except ConformanceError as error:
        why.append(Figure(title="Laws", svg=b"", says=f"not swept: {error}"))
    return (*figures_of(found), *why)


def _unseen(problem: Problem, verdict: SweepVerdict) -> Iterator[Figure]:
    """Yield why a sweep has no plot, if it has none."""
    if verdict.curve is None:
        said = " ".join(verdict.messages).partition("\n")[0]
        title = f"{problem.initializer} {problem.dtype}"
        yield Figure(title=title, svg=b"", says=f"its law could not be swept: {said}")


def _cases(failed: Iterable[Row], catalogue: Catalogue) -> Sequence[Case]:
    """Return the sweeps that show what failed."""
    found = [
        sweep_case(catalogue.lookup(row.initializer), row.dtype, row.backend, "eager")
        for row in failed
        if class_of(row) in TOLD_BY_LAW
        if row.initializer in catalogue and row.dtype in SWEPT_DTYPES
        if is_swept(catalogue.lookup(row.initializer))
    ]
    return list(dict.fromkeys(found))[:MOST_LAWS]


def _steps(cases: Sequence[Case], options: Options, *, here: bool) -> Generator[Step, None, None]:
    given = nothing_given() | {
        "initializer": [case.problem.initializer for case in cases],
        "dtype": [case.problem.dtype for case in cases],
        "backend": [case.backend for case in cases],
        "transform": ["eager"],
        "tier": Tier.FULL,
        "golden": None if options.golden is None else str(options.golden),
        "overlay": [str(folder) for folder in options.overlays],
        "ledger": None if options.ledger is None else str(options.ledger),
    }
    only = [case.id for case in cases]
    if here:
        return verdicts_here(given, is_measuring=False, only=only)
    return verdicts_apart(given, is_measuring=False, only=only, timeout_s=options.timeout_s)
