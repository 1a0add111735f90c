"""A merge as text, Markdown and JSON."""

from __future__ import annotations

import collections
import dataclasses
import heapq
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from conformance.core.ids import Problem
from conformance.core.records import Drift
from conformance.core.ulp import INCOMPARABLE
from conformance.core.versions import MERGE
from conformance.core.words import counted
from conformance.merge.facts import Agreed, Conflict, Members, Merged, Place, ProblemClasses
from conformance.report.aligned import wrapped
from conformance.report.escape import markdown_cell
from conformance.report.markdown import MAX_BYTES, fitted, table_section
from conformance.report.tables import Table

N_SHOWN = 20
"""Lines of one kind that a terminal shows; Markdown shows more, JSON all."""

TOLD_APART_BY = (
    *("jax", "flags", "lapack_kernel", "isa", "mode", "device", "cpu"),
    *("lapack", "lapack_threads", "libc", "xla_isa", "runtime", "packages"),
)
"""Facts of a place in the order in which its name takes them up, until all names differ."""

GOLDEN = "golden"
"""Name of what all places are compared with where none has the golden's bits."""


def place_names(places: Sequence[Place]) -> dict[Place, str]:
    """Return a name for each place: its backend, and of the facts only what tells it apart.

    Of a CPU's instruction sets the largest is named, and all where nothing else tells two apart.
    """
    names = {place: place.backend for place in places}
    for fact in TOLD_APART_BY:
        if len(set(names.values())) == len(places):
            break
        longer = {place: f"{name} {_short(place, fact)}".rstrip() for place, name in names.items()}
        if len(set(longer.values())) > len(set(names.values())):
            names = _where_it_helps(names, longer)
    return _where_it_helps(names, {place: f"{name} {place.isa}" for place, name in names.items()})


def _where_it_helps(names: Mapping[Place, str], longer: Mapping[Place, str]) -> dict[Place, str]:
    """Lengthen the names that several places share, and only those."""
    shared = collections.Counter(names.values())
    return {place: longer[place] if shared[name] > 1 else name for place, name in names.items()}


def _short(place: Place, fact: str) -> str:
    value: str = getattr(place, fact)
    if fact in ("isa", "xla_isa"):
        return value.rpartition(" ")[2]
    return _said(place, fact) if fact == "lapack_threads" else value


def _said(place: Place, fact: str) -> str:
    """Return the fact as words that say what it is; "" where it is unknown, or said already."""
    value: str = getattr(place, fact).replace("\n", "\\n")  # no line of its own
    if fact == "xla_isa" and value == place.isa:
        return ""
    return SAID_AS[fact].format(value) if value and fact in SAID_AS else value


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """Problems whose classes have the same members and drifts.

    text: e.g. `cpu = cuda; iree differs, rounding`. causes: of the differences, as far as known.
    problems: those that are held one by one; agreed: the others.
    worst: the worst drift, and its problem; what is excused counts only where nothing else differs.
    """

    text: str
    causes: tuple[str, ...]
    problems: tuple[Problem, ...]
    agreed: tuple[Agreed, ...]
    worst: Drift | None
    worst_problem: str

    @property
    def n_problems(self) -> int:
        """How many problems these are."""
        return len(self.problems) + sum(each.n_problems for each in self.agreed)

    @property
    def names(self) -> Iterator[str]:
        """The ids of all of them, sorted by problem."""
        return (each.id for each in heapq.merge(self.problems, *(a.problems for a in self.agreed)))


def patterns(merged: Merged, names: Mapping[Place, str]) -> list[Pattern]:
    """Return the patterns, the most frequent first."""
    groups: dict[str, list[ProblemClasses]] = {}
    for each in merged.problems:
        groups.setdefault(_pattern_text(each, names), []).append(each)
    agreed: dict[str, list[Agreed]] = {}
    for many in merged.agreed:
        agreed.setdefault(_members_text(many.members, names, set()), []).append(many)
    return sorted(
        (
            _pattern(text, groups.get(text, []), agreed.get(text, []))
            for text in groups.keys() | agreed.keys()
        ),
        key=lambda pattern: (-pattern.n_problems, pattern.text),
    )


def _pattern(text: str, group: list[ProblemClasses], agreed: list[Agreed]) -> Pattern:
    drifts = [
        (not each.excuses, each.drift, classes.problem.id)
        for classes in group
        for each in classes.classes
        if each.drift is not None
    ]
    _, worst, problem = max(drifts, key=_severity, default=(True, None, ""))
    causes = {each.cause for classes in group[:1] for each in classes.classes if each.cause}
    return Pattern(
        text=text,
        causes=tuple(sorted(causes)),
        problems=tuple(classes.problem for classes in group),
        agreed=tuple(agreed),
        worst=worst,
        worst_problem=problem,
    )


def _severity(found: tuple[bool, Drift, str]) -> tuple[bool, int, float, int, str]:
    """Return what is worse of two drifts; one that is excused counts for less."""
    counts, drift, problem = found
    ulp = drift.max_ulp_at_sigma or 0.0, drift.max_ulp or 0
    return counts, drift.drift_class.rank, *ulp, problem


def _pattern_text(classes: ProblemClasses, names: Mapping[Place, str]) -> str:
    """Return which places agree; a transform is named only where those of a place disagree."""
    transforms: dict[Place, set[str]] = {}
    classes_of: dict[Place, set[str]] = {}
    for each in classes.classes:
        for place, transform in each.members:
            transforms.setdefault(place, set()).add(transform)
            classes_of.setdefault(place, set()).add(each.outcome)
    divided = {place for place, found in classes_of.items() if len(found) > 1}
    first, *others = (_members_text(each.members, names, divided) for each in classes.classes)
    rest = [
        f"{text} differs, {each.difference}" + (f" ({each.excuse})" if each.excuse else "")
        for text, each in zip(others, classes.classes[1:], strict=True)
    ]
    return "; ".join([first, *sorted(rest)])


def _members_text(members: Members, names: Mapping[Place, str], divided: set[Place]) -> str:
    if not members:
        return GOLDEN
    texts = {
        f"{names[place]} ({transform})" if place in divided else names[place]
        for place, transform in members
    }
    return " = ".join(sorted(texts))


# --- Text ----------------------------------------------------------------------------------------


def verdict_line(merged: Merged) -> str:
    """Return one line: FAILED before all else, then INCOMPLETE or PASSED, with the counts."""
    parts = {
        "failed": len(merged.failed),
        "beyond the policy": len(merged.beyond),
        "contradictory": len(merged.conflicts),
        "not readable or unfinished": len(merged.faults),
        "missing": merged.n_missing,
    }
    counts = ", ".join(f"{count} {name}" for name, count in parts.items() if count)
    places = f"{counted(merged.n_problems, 'problem')} at {counted(len(merged.places), 'place')}"
    results = f"{counted(merged.n_results, 'result')} of {places}"
    if merged.has_failed:
        return f"FAILED: {counts}; {results}"
    if not (merged.is_whole and merged.n_results):
        return f"INCOMPLETE: {counts or 'nothing was merged'}; {results}"
    return f"PASSED: {results}"


def to_text(merged: Merged, width: int | None = None) -> str:
    """Return what a terminal shows: places, who agrees with whom, what is wrong, the verdict."""
    names = place_names(merged.places)
    rows = _place_rows(merged, names) if merged.places else []
    lines = ["places", *(f"  {name}: {facts}" for name, facts in rows)] if rows else []
    lines += ["classes"] if merged.n_problems else []
    for pattern in patterns(merged, names):
        lines.append(f"  {pattern.n_problems} x {pattern.text}")
        if worst := _worst_text(pattern):
            lines.append(f"    worst: {worst}")
    for title, blocks in _wrong(merged, names):
        lines += [title, *(f"  {block}" for block in blocks[:N_SHOWN])]
        if len(blocks) > N_SHOWN:
            lines.append(f"  and {len(blocks) - N_SHOWN} more: write them by --json FILE")
    lines.append(verdict_line(merged))
    return "".join(f"{row}\n" for line in lines for row in wrapped(line, width))


def to_markdown(merged: Merged, max_bytes: int = MAX_BYTES) -> str:
    """Return the verdict and its tables in at most `max_bytes`; what was cut is counted."""
    names = place_names(merged.places)
    text = f"# {markdown_cell(verdict_line(merged))}\n"
    sections = [table_section(table) for table in tables(merged, names)]
    return fitted(text, sections, max_bytes, elsewhere="The JSON beside it has")


def tables(merged: Merged, names: Mapping[Place, str]) -> list[Table]:
    """Return what is wrong, who agrees with whom, and the places."""
    agreeing = (
        (str(each.n_problems), each.text, _worst_text(each)) for each in patterns(merged, names)
    )
    wrong = _wrong(merged, names)
    return [
        *(_table(title, ("what",), ((line,) for line in lines)) for title, lines in wrong),
        _table("Who agrees with whom", ("problems", "classes", "worst"), agreeing),
        _table("Places", ("place", "facts"), _place_rows(merged, names)),
    ]


def _table(title: str, head: tuple[str, ...], lines: Iterable[tuple[str, ...]]) -> Table:
    return Table(title=title, head=head, lines=tuple(lines), elsewhere="the JSON beside it")


def to_json(merged: Merged) -> str:
    """Return everything as one JSON document; the same facts give the same bytes."""
    names = place_names(merged.places)
    document = {
        "verdict": verdict_line(merged),
        "is_clean": merged.is_clean,
        "places": {names[place]: dataclasses.asdict(place) for place in merged.places},
        "patterns": [
            {
                "classes": each.text,
                "worst": _worst_text(each),
                "causes": each.causes,
                "problems": list(each.names),
            }
            for each in patterns(merged, names)
        ],
        "faults": merged.faults,
        "conflicts": [
            {"case": each.case, "place": names[each.place], "claims": dict(each.claims)}
            for each in merged.conflicts
        ],
        "missing": {names[place]: cases for place, cases in merged.missing.items()},
        "failed": _records(merged.failed, names),
        "beyond": _records(merged.beyond, names),
    }
    return json.dumps(MERGE.stamped(document), indent=1) + "\n"


def _wrong(merged: Merged, names: Mapping[Place, str]) -> list[tuple[str, list[str]]]:
    """Return what stands against the verdict, by title, a line each; what drifted comes first."""
    kinds = {
        "failed": _rows(merged.failed, names),
        "beyond the policy": _rows(merged.beyond, names),
        "same case and place, other results": [
            f"{each.case} at {names[each.place]}: {_claims(each)}"
            for each in merged.conflicts
            if not each.is_of_verdicts
        ],
        "same bits, judged by other goldens, ledgers or policies": [
            f"{each.case} at {names[each.place]}: {_claims(each)}"
            for each in merged.conflicts
            if each.is_of_verdicts
        ],
        "cannot be read, or is unfinished": list(merged.faults),
        "missing": [
            f"{case} at {names[place]}" for place, cases in merged.missing.items() for case in cases
        ],
    }
    return [(title, lines) for title, lines in kinds.items() if lines]


def _rows(rows: Iterable[tuple[str, Place, str]], names: Mapping[Place, str]) -> list[str]:
    return [f"{case} at {names[place]}: {text}" for case, place, text in rows]


def _records(
    rows: Iterable[tuple[str, Place, str]], names: Mapping[Place, str]
) -> list[dict[str, str]]:
    return [
        {"case": case, "backend": place.backend, "place": names[place], "what": text}
        for case, place, text in rows
    ]


def _claims(conflict: Conflict) -> str:
    return "; ".join(f"{text} says {', '.join(sources)}" for text, sources in conflict.claims)


EVERYWHERE = "everywhere"
SHOWN_FACTS = (
    *("cpu", "isa", "xla_isa", "flags", "device", "runtime"),
    *("lapack", "lapack_kernel", "lapack_threads", "libc", "packages"),
)
SAID_AS = {
    "xla_isa": "XLA uses {}",
    "lapack_kernel": "{} kernel",
    "lapack_threads": "{} LAPACK threads",
}
"""Facts whose bare value does not say what it is of."""


def _place_rows(merged: Merged, names: Mapping[Place, str]) -> list[tuple[str, str]]:
    """Return what each place is, and first what all are."""
    shared = [fact for fact in SHOWN_FACTS if len({getattr(p, fact) for p in merged.places}) == 1]
    own = [fact for fact in SHOWN_FACTS if fact not in shared]
    rows = [(names[place], _facts(place, own) or "nothing else") for place in merged.places]
    return [(EVERYWHERE, _facts(merged.places[0], shared)), *rows] if shared else rows


def _facts(place: Place, facts: Iterable[str]) -> str:
    return "; ".join(filter(None, (_said(place, fact) for fact in facts)))


def _worst_text(pattern: Pattern) -> str:
    """Return the worst problem of a pattern, and how far it drifted; "" where all agree."""
    drift = pattern.worst
    if drift is None:
        return ""
    if drift.max_ulp is None or drift.max_ulp_at_sigma is None:
        return f"{pattern.worst_problem}: {drift.detail}"
    steps = "no number of" if drift.max_ulp == INCOMPARABLE else str(drift.max_ulp)
    distance = f"{steps} ULP ({drift.max_ulp_at_sigma:.3g} of sigma)"
    where = f" in {drift.extent}" if drift.n_elements else ""
    return f"{pattern.worst_problem}: {distance}{where}"
