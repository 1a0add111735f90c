"""The page of a merge: who agrees with whom, and what stands against the verdict."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from conformance.core.errors import ExitCode
from conformance.core.ids import Problem
from conformance.core.records import DriftClass
from conformance.merge.facts import Agreed, Class, Merged, Place
from conformance.merge.text import place_names, tables, verdict_line
from conformance.report.page.model import (
    MAX_ROWS,
    Cell,
    Failure,
    Heatmap,
    Page,
    Rows,
    Tone,
    distances,
)

COLUMNS = (
    *("case", "class", "ULP", "ULP of sigma", "cause", "excuse", "place"),
    *("initializer", "dtype", "transform"),
)
N_FAULTS = 10
"""Folders that are named at once where they could not be read; a table has all."""

FILTERS = ("class", "cause", "place", "initializer", "dtype", "transform")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """One result: of which problem, where, how, and the class of its bits."""

    problem: Problem
    place: str
    transform: str
    found: Class
    is_first: bool

    @property
    def drift_class(self) -> str:
        """Its drift from the first class of the problem, which the others are compared with."""
        return DriftClass.IDENTICAL.value if self.is_first else self.found.drift_name


def page_of(merged: Merged, code: ExitCode) -> Page:
    """Return the page of a merge. code: what it comes to."""
    names = place_names(merged.places)
    seen = sorted(_seen(merged, names), key=_severity)
    n_agreed = sum(each.n_problems * len(each.members) for each in merged.agreed)
    counts = collections.Counter(each.drift_class for each in seen)
    counts += collections.Counter({DriftClass.IDENTICAL.value: n_agreed})
    shown = [*itertools.islice(_alike(merged.agreed, names), MAX_ROWS)]
    return Page(
        title=f"{verdict_line(merged).partition(':')[0]} - merge",
        tone=Tone.of(code),
        verdict=verdict_line(merged),
        sentence=_sentence(merged, names),
        notes=merged.faults[:N_FAULTS],
        counts=counts,
        failures=tuple(_failures(merged, names)),
        elsewhere="what --json writes",
        heatmaps=tuple(_heatmaps(seen, merged.agreed, names)),
        tables=tuple(tables(merged, names)),
        rows=_rows(sorted([*seen, *shown], key=_severity), n_agreed - len(shown)),
    )


def _sentence(merged: Merged, names: Mapping[Place, str]) -> str:
    """Return where most of what failed did; else where most is missing, and such as what; or ""."""
    bad = [place for _, place in _wrong(merged)]
    if bad:
        place, n = collections.Counter(bad).most_common(1)[0]
        return f"{n} of {len(bad)} failed at {names[place]}"
    lost = {place: cases for place, cases in merged.missing.items() if cases}
    if not lost:
        return ""
    place = max(lost, key=lambda each: len(lost[each]))
    n, example = len(lost[place]), lost[place][0]
    return f"{n} of {merged.n_missing} missing are so at {names[place]}, such as {example}"


def _seen(merged: Merged, names: Mapping[Place, str]) -> Iterator[_Seen]:
    for each in merged.problems:
        for n, found in enumerate(each.classes):
            for place, transform in found.members:
                yield _Seen(
                    problem=each.problem,
                    place=names[place],
                    transform=transform,
                    found=found,
                    is_first=n == 0,
                )


def _alike(agreed: Iterable[Agreed], names: Mapping[Place, str]) -> Iterator[_Seen]:
    """Yield the results that all agree on."""
    for each in agreed:
        found = Class(outcome="", members=each.members)
        for problem, (place, transform) in itertools.product(each.problems, each.members):
            yield _Seen(
                problem=problem,
                place=names[place],
                transform=transform,
                found=found,
                is_first=True,
            )


def _severity(seen: _Seen) -> tuple[int, float, str, str]:
    """Return a key that sorts the worst first."""
    drift = seen.found.drift
    rank = 0 if seen.is_first or drift is None else drift.drift_class.rank
    at_sigma = 0.0 if drift is None else drift.max_ulp_at_sigma or 0.0
    return -rank, -math.inf if math.isnan(at_sigma) else -at_sigma, seen.problem.id, seen.place


def _failures(merged: Merged, names: Mapping[Place, str]) -> Iterator[Failure]:
    """Yield what failed, what is beyond the policy, and cases with several results."""
    for (case, place), said in _wrong(merged).items():
        yield Failure(name=f"{case} at {names[place]}", message="\n".join(said))
    for each in merged.conflicts:
        message = "\n".join(f"{text} says {', '.join(sources)}" for text, sources in each.claims)
        yield Failure(
            name=f"{each.case} at {names[each.place]}", facts="several results", message=message
        )


def _wrong(merged: Merged) -> dict[tuple[str, Place], list[str]]:
    """Return what is said of each case that failed or is beyond the policy, by case and place."""
    found: dict[tuple[str, Place], list[str]] = {}
    for case, place, text in merged.failed:
        found.setdefault((case, place), []).append(text)
    for case, place, text in merged.beyond:
        found.setdefault((case, place), []).append(f"beyond the policy: {text}")
    return found


def _heatmaps(
    seen: Sequence[_Seen], agreed: Sequence[Agreed], names: Mapping[Place, str]
) -> Iterator[Heatmap]:
    """Yield initializer by place and by dtype; `seen` has the worst first."""
    for across in ("place", "dtype"):
        groups: dict[tuple[str, str], list[_Seen]] = {}
        for each in seen:
            name = each.place if across == "place" else each.problem.dtype
            groups.setdefault((each.problem.initializer, name), []).append(each)
        n_agreed: collections.Counter[tuple[str, str]] = collections.Counter()
        for many in agreed:
            program = many.program
            for place, _ in many.members:
                name = names[place] if across == "place" else program.dtype
                n_agreed[program.initializer, name] += many.n_problems
        if keys := groups.keys() | n_agreed.keys():
            yield Heatmap.of(
                "initializer",
                across,
                {key: _cell(groups.get(key, []), n_agreed[key]) for key in keys},
                bad="differ",
            )


def _cell(seen: Sequence[_Seen], n_agreed: int) -> Cell:
    return Cell(
        drift_class=seen[0].drift_class if seen else DriftClass.IDENTICAL.value,
        n_cases=len(seen) + n_agreed,
        n_bad=sum(not each.is_first for each in seen),
    )


def _rows(seen: Sequence[_Seen], n_others: int) -> Rows:
    return Rows.of(
        seen,
        _values,
        n_others=n_others,
        columns=COLUMNS,
        filters=FILTERS,
        elsewhere="what --json writes",
    )


def _values(seen: _Seen) -> list[object]:
    drift = None if seen.is_first else seen.found.drift
    excuses = {transform: text for (_, transform), text in seen.found.excuses.items()}
    return [
        *(f"{seen.problem.id}-{seen.transform}", seen.drift_class),
        *distances(drift),
        *(seen.found.cause, excuses.get(seen.transform, ""), seen.place),
        *(seen.problem.initializer, seen.problem.dtype, seen.transform),
    ]
