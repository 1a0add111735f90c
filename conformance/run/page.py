"""The page of sweeps: exact laws beside their ideals, and where their errors lie."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from conformance.core.errors import ExitCode
from conformance.core.records import Environment
from conformance.core.words import counted
from conformance.report.page.model import ONE_SIDE, Failure, Figure, Page, Tone, facts_of
from conformance.report.tables import Table, filled
from conformance.run.sweeping import SweepVerdict

N_FIGURES = 30
"""Plots of one page, of some 30 KB each: those of sweeps that failed come first."""

ELSEWHERE = "what the command prints"


def page_of(found: Sequence[SweepVerdict], code: ExitCode, environment: Environment) -> Page:
    """Return the page of sweeps that were judged, here. code: what they come to."""
    bad = [each for each in found if each.code]
    verdict = f"{counted(len(bad), 'sweep')} of {len(found)}"
    tone = Tone.of(code)
    return Page(
        title=f"{tone.upper()} - laws",
        tone=tone,
        verdict=f"{tone.upper()}: {verdict if bad else counted(len(found), 'sweep')}",
        sides=ONE_SIDE,
        facts=tuple(facts_of(environment, None)),
        failures=tuple(failure for each in bad for failure in _failures(each)),
        elsewhere=ELSEWHERE,
        tables=tuple(filled(_tables(found))),
        figures=tuple(figures_of(found)),
    )


def _failures(found: SweepVerdict) -> Iterator[Failure]:
    for message in found.messages:
        sources = "\n".join(found.sources)
        yield Failure(
            name=" ".join(found.rows[0][:3]) if found.rows else "no verdict",
            message=f"{message}\n{sources}".strip(),
            rerun=found.rerun,
        )


def _tables(found: Iterable[SweepVerdict]) -> Iterator[Table]:
    """Yield one table for each head: laws, and matrices."""
    lines: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for each in found:
        lines.setdefault(each.head, []).extend(each.rows)
    for head, rows in lines.items():
        title = "Laws" if "distinct" in head else "Matrices"
        yield Table(title=title, head=head, lines=tuple(rows), elsewhere=ELSEWHERE)


def figures_of(found: Iterable[SweepVerdict]) -> Iterator[Figure]:
    """Yield plots of the laws, one for transforms that agree; those that failed come first."""
    groups: dict[tuple[object, ...], list[SweepVerdict]] = {}
    for each in sorted(found, key=lambda each: not each.code):
        if each.curve is not None and each.rows:
            initializer, dtype, _, *figures = each.rows[0]
            groups.setdefault((initializer, dtype, *figures, each.curve), []).append(each)
    if not groups:
        return
    from conformance.report.page import plots  # matplotlib takes longer to import than a sweep

    for group in list(groups.values())[:N_FIGURES]:
        first, curve = group[0], group[0].curve
        assert curve is not None
        facts = dict(zip(first.head, first.rows[0], strict=True))
        transforms = ", ".join(each.rows[0][2] for each in group)
        yield Figure(
            title=f"{facts['initializer']} {facts['dtype']} {transforms}",
            svg=plots.law(**dataclasses.asdict(curve)),
            says=(
                f"{facts['verdict']}; {facts['distinct']} distinct values from {facts['minimum']} "
                f"to {facts['maximum']}; largest error drawn {max(curve.worst):.3g} ULP"
            ),
        )
