"""What stands against a night: one drift for each JAX and kind, and what is missing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from findings import EVERY_LANE, Drift, Findings
from packaging.version import InvalidVersion, Version

from conformance.core.ids import parse_case
from conformance.core.records import DriftClass
from conformance.core.words import counted
from conformance.report.escape import markdown_cell
from conformance.report.headline import DID

NEWEST, NIGHTLY = "newest", "nightly"
"""The two kinds of JAX of the file of machines: releases, and what is none yet."""

CHECK, CONFLICT = "check", "conflict"
BITS_NOT_KEPT = "bits not kept"
"""Of a class of results of which only digests are left: how far it drifted is unknown."""

DRIFTED = tuple(each for each in DriftClass if each.rank > DriftClass.ROUNDING.rank)
KINDS = {
    **{each.value: (f"{each} drift", DID[each]) for each in DRIFTED},
    CHECK: ("failed checks", "failed a check"),
    CONFLICT: ("contradictory results", "gave several results at one place"),
}
"""Kind -> what a title calls it, and what its cases did."""

MAX_PARTS = 100
"""Initializers that an issue lists; the artifacts have all."""

N_CASES = 20
"""Cases that it quotes."""

N_MISSING = 20
"""Lines on what is missing, of one kind."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One case at one place that stands against the verdict.

    where: the place by what is the same every night, backend and flags; the machines of a pool
    change. place: the merge's own name of it. what: what was said of the case.
    """

    case: str
    kind: str
    jax: str
    where: str
    place: str
    what: str

    @property
    def lane(self) -> str:
        """Which JAX it ran under, as the file of machines calls it."""
        return lane_of(self.jax)

    @property
    def is_on_cpu(self) -> bool:
        """Whether it ran where releases can be compared."""
        return self.where.partition(" ")[0] == "cpu"


def lane_of(jax: str) -> str:
    """Return NIGHTLY of a development version, NEWEST of a release, EVERY_LANE of neither."""
    try:
        return NIGHTLY if Version(jax).is_prerelease else NEWEST
    except InvalidVersion:
        return EVERY_LANE


def rows_of(merged: Mapping[str, Any]) -> list[Row]:
    """Return what drifted, failed or contradicts itself in what `merge --json` wrote, each once."""
    places = merged["places"]
    said = [(row["case"], row["place"], row["what"]) for row in merged["beyond"] + merged["failed"]]
    rows = {(case, place): (kind_of(what), what) for case, place, what in reversed(said)}
    for each in merged["conflicts"]:
        what = "; ".join(
            f"{text} says {', '.join(names)}" for text, names in each["claims"].items()
        )
        rows[each["case"], each["place"]] = CONFLICT, what
    return [
        Row(
            case=case,
            kind=kind,
            jax=places[place]["jax"],
            where=f"{places[place]['backend']} {places[place]['flags']}".strip(),
            place=place,
            what=what,
        )
        for (case, place), (kind, what) in sorted(rows.items())
    ]


def kind_of(what: str) -> str:
    """Return the kind of what a merge says of a case: the class comes last, then its cause."""
    word = what.partition(" (")[0].rpartition(", ")[2]
    if word == BITS_NOT_KEPT:
        return DriftClass.UNKNOWN.value
    return word if word in KINDS else CHECK


def findings_of(rows: Iterable[Row], missing: Mapping[str, tuple[str, ...]]) -> Findings:
    """Return the rows as drifts, one for each JAX and kind, beside what is missing."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.lane, row.kind), []).append(row)
    drifts = (_drift(lane, kind, group) for (lane, kind), group in sorted(groups.items()))
    return Findings(drifts=tuple(drifts), missing=missing)


def _drift(lane: str, kind: str, rows: Sequence[Row]) -> Drift:
    title, did = KINDS[kind]
    releases = sorted({row.jax for row in rows})
    others = f" and {len(releases) - 1} more" if releases[1:] else ""
    under = f"jax {releases[0]}{others}" if lane else "an unknown JAX"
    n_cases = len({row.case for row in rows})
    where = ", ".join(sorted({row.where for row in rows}))
    parts = dict(_parts(rows))
    return Drift(
        key=f"nightly/{lane}/{kind}",
        lane=lane,
        title=f"Nightly conformance: {title} under {under}",
        headline=markdown_cell(f"{counted(n_cases, 'case')} {did} under {under}, at {where}"),
        parts=parts,
        detail=_detail(rows, parts),
    )


def _parts(rows: Iterable[Row]) -> Iterator[tuple[str, str]]:
    """Yield each initializer with its dtypes and where they drifted."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(parse_case(row.case).problem.initializer, []).append(row)
    for name, mine in sorted(groups.items())[:MAX_PARTS]:
        dtypes = sorted({parse_case(row.case).problem.dtype for row in mine})
        where = sorted({row.where for row in mine})
        text = f"{', '.join(dtypes)} at {', '.join(where)}"
        yield markdown_cell(name), markdown_cell(text)
    if (rest := len(groups) - MAX_PARTS) > 0:
        yield "others", counted(rest, "more initializer")


def _detail(rows: Sequence[Row], parts: Mapping[str, str]) -> str:
    lines = [f"| {name} | {text} |" for name, text in parts.items()]
    said = [
        f"- {markdown_cell(row.case)} at {markdown_cell(row.place)}: {markdown_cell(row.what)}"
        for row in _spread(rows, N_CASES)
    ]
    rest = len(rows) - len(said)
    more = [f"\nThese are {len(said)} of {len(rows)}: `merge.json` has all."] if rest else []
    rerun = f"\nOne of them again: `conformance run {rows[0].case}`"
    table = ["| initializer | drifted |", "| --- | --- |", *lines, ""]
    return "\n".join([*table, *said, *more, rerun])


def _spread(rows: Sequence[Row], n: int) -> Sequence[Row]:
    """Return at most n rows that lie apart: neighbours tend to have one cause."""
    return rows[:: -(-len(rows) // n) or 1]


def cases_to_bisect(rows: Iterable[Row], n: int) -> list[str]:
    """Return at most n cases on a CPU, spread over all that there are."""
    found = sorted({row.case for row in rows if row.is_on_cpu})
    return found[:: -(-len(found) // n) or 1]


def least_class(rows: Iterable[Row]) -> DriftClass:
    """Return the smallest class that any of the rows drifted by, and no less than rounding."""
    named = [each for each in DRIFTED if any(row.kind == each for row in rows)]
    is_more = all(row.kind in DRIFTED for row in rows)
    return min(named, key=lambda each: each.rank) if named and is_more else DriftClass.ROUNDING


# --- What is missing -----------------------------------------------------------------------------


def missing_of(merged: Mapping[str, Any], lanes: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return what a merge lacks, by lane. lanes: machine of the night -> its lane."""
    found: dict[str, list[str]] = {}
    for place, cases in merged["missing"].items():
        text = f"{counted(len(cases), 'case')} missing at {place}, such as {cases[0]}"
        found.setdefault(lane_of(merged["places"][place]["jax"]), []).append(text)
    for fault in merged["faults"]:
        of = next((lane for machine, lane in lanes.items() if machine in fault), EVERY_LANE)
        found.setdefault(of, []).append(fault)
    return {lane: tuple(_shown(lines)) for lane, lines in found.items()}


def _shown(lines: Sequence[str]) -> Iterator[str]:
    yield from map(markdown_cell, lines[:N_MISSING])
    if (rest := len(lines) - N_MISSING) > 0:
        yield f"and {rest} more: `merge.json` has all"
