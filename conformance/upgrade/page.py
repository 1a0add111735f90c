"""The page of a comparison: what `compare` and `gate` found between two sides."""

from __future__ import annotations

import collections
from collections.abc import Collection, Iterable, Sequence

from conformance.core.errors import ExitCode
from conformance.core.ids import format_shape
from conformance.core.records import DriftClass
from conformance.report.headline import happened
from conformance.report.page.model import (
    Cell,
    Failure,
    Heatmap,
    Page,
    Rows,
    Tone,
    distances,
    facts_of,
)
from conformance.report.tables import filled
from conformance.store.entries import TREE
from conformance.upgrade.compare import Comparison, Pair
from conformance.upgrade.defaults import NOT_THE_REASON
from conformance.upgrade.policy import Verdict, worst_first
from conformance.upgrade.tables import distance_text, summaries

COLUMNS = (
    *("case", "class", "allowed", "ULP", "ULP of sigma", "stage", "cause"),
    *("initializer", "dtype", "shape", "key", "prng", "transform"),
)
FILTERS = ("class", "allowed", "cause", "initializer", "dtype", "transform")


def page_of(verdict: Verdict, code: ExitCode, notes: Sequence[str] = ()) -> Page:
    """Return the page of a verdict. code: what it comes to."""
    comparison, sentence = verdict.comparison, _sentence(verdict)
    return Page(
        title=verdict.line.partition(":")[0] + f" - {comparison.before} -> {comparison.after}",
        tone=Tone.of(code),
        verdict=verdict.line,
        sentence=sentence,
        notes=(*(each for each in comparison.remarks if each != sentence), *notes),
        sides=(comparison.before, comparison.after),
        facts=tuple(facts_of(*comparison.environments)),
        counts={name.value: n for name, n in reversed(comparison.counts().items()) if n},
        failures=tuple(_failure(verdict, pair) for pair in verdict.beyond),
        elsewhere="what --csv writes",
        heatmaps=tuple(_heatmaps(comparison.pairs)),
        tables=tuple(filled(summaries(verdict))),
        rows=_rows(verdict),
    )


def _sentence(verdict: Verdict) -> str:
    """Return which default brings old bits back; else who made most drift; else what it did.

    A program that is another one is what a changed default comes to, and names no setting.
    """
    comparison = verdict.comparison
    reasons = [each for each in comparison.defaults if not each.endswith(NOT_THE_REASON)]
    if verdict.beyond and reasons:
        return reasons[0]
    causes = [comparison.causes.get(pair.name) for pair in verdict.beyond]
    known = [each for each in causes if each is not None]
    if not known:
        return did(verdict.beyond, comparison)
    most = max(known, key=known.count)
    return f"{known.count(most)} of {len(causes)} drifted by {most.cause}: {most.cause.meaning}"


def did(drifted: Iterable[Pair], comparison: Comparison) -> str:
    """Return what most of what drifted did, and what differs between the sides that matters."""
    before, after = comparison.environments
    return happened(
        collections.Counter(pair.drift.drift_class for pair in drifted),
        len(comparison.pairs),
        after,
        before,
        (f"in {comparison.after}", f"in {comparison.before}"),
    )


def _failure(verdict: Verdict, pair: Pair) -> Failure:
    cause = verdict.comparison.causes.get(pair.name)
    stage = f"first differing stage {pair.drift.stage}" if pair.drift.stage else ""
    message = [pair.drift.detail, f"{cause.cause}: {cause.proof}" if cause else ""]
    return Failure(
        name=pair.name,
        drift_class=pair.drift.drift_class.value,
        facts="; ".join(filter(None, (distance_text(pair.drift), stage))),
        message="\n".join(filter(None, message)),
        rerun=f"conformance explain {pair.name}" if pair.is_case else "",
    )


def _heatmaps(pairs: Sequence[Pair]) -> Iterable[Heatmap]:
    """Yield initializer by dtype; parameters of a model have no initializer that is known."""
    groups: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs:
        if pair.case.backend != TREE:
            problem = pair.case.problem
            groups.setdefault((problem.initializer, problem.dtype), []).append(pair)
    if groups:
        cells = {key: _cell(mine) for key, mine in groups.items()}
        yield Heatmap.of("initializer", "dtype", cells, bad="drifted")


def _cell(pairs: list[Pair]) -> Cell:
    worst = worst_first(pairs)[0]
    drifted = sum(pair.drift.drift_class is not DriftClass.IDENTICAL for pair in pairs)
    return Cell(
        drift_class=worst.drift.drift_class.value,
        n_cases=len(pairs),
        n_bad=drifted,
        worst=distance_text(worst.drift),
    )


def _rows(verdict: Verdict) -> Rows:
    """Return the pairs as rows, worst first."""
    beyond = {pair.name for pair in verdict.beyond}
    return Rows.of(
        worst_first(list(verdict.comparison.pairs)),
        lambda pair: _values(verdict, pair, beyond),
        columns=COLUMNS,
        filters=FILTERS,
        elsewhere="what --parquet writes",
    )


def _values(verdict: Verdict, pair: Pair, beyond: Collection[str]) -> list[object]:
    drift, problem = pair.drift, pair.case.problem
    cause = verdict.comparison.causes.get(pair.name)
    return [
        *(pair.name, drift.drift_class.value, "no" if pair.name in beyond else "yes"),
        *distances(drift),
        *(drift.stage or "", cause.cause.value if cause else ""),
        *(problem.initializer, problem.dtype, format_shape(problem.shape)),
        problem.key.text,
        *(problem.prng, pair.case.transform),
    ]
