"""A verdict as text, Markdown, JSON, CSV and Parquet.

ULP figures of a group are of the cases that kept their stream, which are those of class rounding or
transform: between two streams, or two laws, a distance says nothing.
"""

from __future__ import annotations

import collections
import csv
import dataclasses
import io
import json
import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from conformance.core.errors import cannot_write
from conformance.core.files import atomic_file
from conformance.core.ids import Problem, format_shape, parse_case
from conformance.core.records import STAGES, Drift, DriftClass
from conformance.core.settings import differing
from conformance.core.ulp import INCOMPARABLE
from conformance.core.versions import COMPARISON
from conformance.report.aligned import aligned
from conformance.report.escape import csv_text, markdown_cell
from conformance.report.markdown import ISSUE_BYTES, fitted, table_section
from conformance.report.tables import Table, filled
from conformance.store.entries import TREE
from conformance.upgrade.cause import Finding
from conformance.upgrade.compare import Comparison, Pair
from conformance.upgrade.policy import Verdict, worst_first

PROOF_LENGTH = 180
"""Characters of a proof; the files hold all."""

INDENT = "  "
"""Before the lines of a table."""

N_LINES = 20
"""Lines of one table; the files hold the rest."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PairRow:
    """One pair as flat scalars that stand alone: what CSV, JSON and Parquet hold."""

    before: str
    after: str
    name: str
    initializer: str
    dtype: str
    shape: str
    seed: int
    prng: str
    backend: str
    transform: str
    drift_class: str
    is_allowed: bool
    stage: str | None
    n_elements: int
    n_compared: int | None
    n_different: int
    max_ulp: int | None
    max_ulp_at_sigma: float | None
    worst_index: str | None
    worst_before: str | None
    worst_after: str | None
    n_open: int | None
    n_decided: int | None
    fallen: str | None
    cause: str | None
    proof: str | None
    detail: str


def pair_rows(verdict: Verdict) -> list[PairRow]:
    """Return every pair of the comparison as a row, in the order of names."""
    beyond = {pair.name for pair in verdict.beyond}
    return [
        _pair_row(verdict, pair, is_allowed=pair.name not in beyond) for pair in _pairs(verdict)
    ]


def _pairs(verdict: Verdict) -> tuple[Pair, ...]:
    return verdict.comparison.pairs


def _pair_row(verdict: Verdict, pair: Pair, *, is_allowed: bool) -> PairRow:
    problem, drift = pair.case.problem, pair.drift
    cause = verdict.comparison.causes.get(pair.name)
    return PairRow(
        before=verdict.comparison.before,
        after=verdict.comparison.after,
        name=pair.name,
        initializer=problem.initializer,
        dtype=problem.dtype,
        shape=format_shape(problem.shape),
        seed=problem.seed,
        prng=problem.prng,
        backend=pair.case.backend,
        transform=pair.case.transform,
        drift_class=drift.drift_class.value,
        is_allowed=is_allowed,
        stage=drift.stage,
        n_elements=drift.n_elements,
        n_compared=drift.n_compared,
        n_different=drift.n_different,
        max_ulp=drift.max_ulp,
        max_ulp_at_sigma=drift.max_ulp_at_sigma,
        worst_index=None if drift.worst_index is None else str(drift.worst_index),
        worst_before=_value(drift.worst_expected),
        worst_after=_value(drift.worst_actual),
        n_open=None if pair.deviation is None else pair.deviation.n_open,
        n_decided=None if pair.deviation is None else pair.deviation.n_decided,
        fallen=None if pair.fallen is None else pair.fallen.value,
        cause=cause.cause.value if cause else None,
        proof=cause.proof if cause else None,
        detail=drift.detail,
    )


def _value(value: complex | None) -> str | None:
    return None if value is None else repr(value)


# --- Tables --------------------------------------------------------------------------------------


def tables(verdict: Verdict) -> list[Table]:
    """Return the tables that have a line, the differing environment on top."""
    return filled([_environment(verdict), *summaries(verdict)])


def summaries(verdict: Verdict) -> list[Table]:
    """Return the tables that count pairs and name them, some of them empty."""
    comparison = verdict.comparison
    drifted = [pair for pair in comparison.pairs if _has_drifted(pair)]
    axes: list[tuple[str, Callable[[Pair], str]]] = [
        ("initializer", lambda pair: pair.case.problem.initializer),
        ("dtype", lambda pair: pair.case.problem.dtype),
        ("transform", lambda pair: pair.case.transform),
    ]
    if any(pair.case.backend == TREE for pair in comparison.pairs):
        axes = [("dtype", lambda pair: pair.case.problem.dtype)]
    return [
        _tested(comparison),
        _deviations(comparison.pairs),
        _by_class(comparison.pairs),
        *(_by(axis, key, comparison.pairs) for axis, key in axes if drifted),
        _by_stage(drifted),
        _by_cause(comparison.causes),
        _worst(drifted),
        _acknowledged(verdict),
        _expired(verdict),
        _unseen(comparison.unseen),
        _names("Lost: only the first side has them", comparison.lost),
        _names("New: only the second side has them", comparison.new),
    ]


def _unseen(unseen: Mapping[str, str]) -> Table:
    title = "Not seen: the machine failed them, so nothing is known of them"
    return _table(title, ("case", "how"), unseen.items())


def _table(title: str, head: Sequence[str], lines: Iterable[Sequence[str]]) -> Table:
    return Table(
        title=title,
        head=tuple(head),
        lines=tuple(map(tuple, lines)),
        elsewhere="the CSV file",
    )


def _environment(verdict: Verdict) -> Table:
    found = differing(*verdict.comparison.environments)
    lines = [(each.name, each.left, each.right) for each in found]
    return _table("What differs between the sides", ("fact", "before", "after"), lines)


def _tested(comparison: Comparison) -> Table:
    """Return how many predictions of each family and dtype are confirmed and refuted.

    The last column names the first assumption that fell, of the case with most decided elements.
    """
    head = ("family", "dtype", "predicted", "confirmed", "permitted", "refuted")
    title = "Predictions by family and dtype"
    found: dict[tuple[str, str], _Tested] = {}
    if comparison.test is None:
        return _table(title, head, [])
    families = comparison.test.families

    def of(problem: Problem) -> _Tested:
        family = families.get(problem.initializer, problem.initializer)
        return found.setdefault((family, problem.dtype), _Tested())

    for pair in comparison.pairs:
        of(pair.case.problem).add(pair)
    for key in (*comparison.lost, *comparison.unseen):
        of(parse_case(key).problem).n_absent += 1
    for key in comparison.new:
        of(parse_case(key).problem).n_new += 1
    lines = [(*key, *one.cells) for key, one in sorted(found.items())]
    return _table(title, (*head, "not recorded", "not predicted", "first that fell"), lines)


@dataclasses.dataclass(slots=True, kw_only=True)
class _Tested:
    """What became of the predictions of one family and dtype. worst: the most refuted pair."""

    n_exact: int = 0
    n_open: int = 0
    n_refuted: int = 0
    n_absent: int = 0
    n_new: int = 0
    worst: Pair | None = None

    def add(self, pair: Pair) -> None:
        """Count a pair."""
        assert pair.deviation is not None
        self.n_refuted += bool(pair.deviation.n_decided)
        self.n_open += bool(pair.deviation.n_open and not pair.deviation.n_decided)
        self.n_exact += not (pair.deviation.n_open or pair.deviation.n_decided)
        if pair.fallen and (self.worst is None or _n_decided(pair) > _n_decided(self.worst)):
            self.worst = pair

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells of a row, behind family and dtype."""
        tested = (self.n_exact, self.n_open, self.n_refuted)
        counts = (sum(tested) + self.n_absent, *tested, self.n_absent, self.n_new)
        first = str(self.worst.fallen) if self.worst else "-"
        return (*(str(count or "-") for count in counts), first)


def _n_decided(pair: Pair) -> int:
    return pair.deviation.n_decided if pair.deviation else 0


def _deviations(pairs: Sequence[Pair]) -> Table:
    """Return how cases lie to their predictions, refuted ones first; not those as predicted."""
    found = [(pair, pair.deviation) for pair in pairs if pair.deviation]
    found = [(pair, one) for pair, one in found if one.n_open or one.n_decided]
    found.sort(key=lambda each: (-each[1].n_decided, -each[1].n_open, each[0].name))
    lines = [
        (
            pair.name,
            "REFUTED" if one.n_decided else "permitted",
            str(one),
            str(pair.fallen or "-"),
        )
        for pair, one in found
    ]
    head = ("case", "verdict", "elements", "what fell")
    return _table("Beside the predictions", head, lines)


def _by_class(pairs: Sequence[Pair]) -> Table:
    lines = []
    for drift_class in DriftClass:
        mine = [pair for pair in pairs if pair.drift.drift_class is drift_class]
        near = mine if drift_class.keeps_stream else []
        if mine:
            lines.append((drift_class.value, str(len(mine)), *_figures(mine, near)))
    return _table("By class", ("class", "cases", *FIGURES), lines)


FIGURES = ("elements changed", "worst ULP", "worst ULP of sigma")


def _by(axis: str, key: Callable[[Pair], str], pairs: Sequence[Pair]) -> Table:
    """Return the counts of each value of an axis; those without drift share one line."""
    used = [name for name in DriftClass if any(pair.drift.drift_class is name for pair in pairs)]
    groups: dict[str, list[Pair]] = {}
    for pair in sorted(pairs, key=key):
        groups.setdefault(key(pair), []).append(pair)
    quiet = [
        name for name, mine in groups.items() if not any(p.drift.drift_class.rank for p in mine)
    ]
    if len(quiet) > 1:
        groups[f"{len(quiet)} others"] = [pair for name in quiet for pair in groups.pop(name)]
    lines = []
    for name, mine in groups.items():
        counts = (sum(pair.drift.drift_class is each for pair in mine) for each in used)
        near = [pair for pair in mine if pair.drift.drift_class.keeps_stream]
        lines.append(
            (name, str(len(mine)), *(str(n or "-") for n in counts), *_figures(mine, near))
        )
    return _table(f"By {axis}", (axis, "cases", *map(str, used), *FIGURES), lines)


def _has_drifted(pair: Pair) -> bool:
    return pair.drift.drift_class is not DriftClass.IDENTICAL


def _figures(pairs: Sequence[Pair], near: Sequence[Pair]) -> tuple[str, str, str]:
    elements = sum(pair.drift.n_elements for pair in pairs)
    different = sum(pair.drift.n_different for pair in pairs)
    ulp = max((pair.drift.max_ulp for pair in near if pair.drift.max_ulp is not None), default=None)
    at_sigma = [pair.drift.max_ulp_at_sigma for pair in near]
    worst = max((value for value in at_sigma if value is not None), default=None)
    return f"{different} of {elements}", ulp_text(ulp), "-" if worst is None else f"{worst:.3g}"


def distance_text(drift: Drift) -> str:
    """Return the worst distance in ULP, where the stream was kept, and "" elsewhere."""
    return f"{ulp_text(drift.max_ulp)} ULP" if drift.drift_class.keeps_stream else ""


def ulp_text(ulp: int | None) -> str:
    """Return the distance as text; "-" for none, and words where no number of steps connects."""
    if ulp is None:
        return "-"
    return "no number" if ulp == INCOMPARABLE else str(ulp)


def _by_stage(drifted: Sequence[Pair]) -> Table:
    stages = [pair.drift.stage for pair in drifted]
    lines = [(stage, str(stages.count(stage))) for stage in STAGES if stage in stages]
    return _table("First differing stage", ("stage", "cases"), lines)


def _by_cause(causes: Mapping[str, Finding]) -> Table:
    """Return by whose doing cases drifted, each speaking for its initializer, dtype, transform."""
    counts = collections.Counter(causes.values())
    lines = []
    for finding, count in counts.most_common():
        example = next(name for name, found in causes.items() if found == finding)
        proof = textwrap.shorten(finding.proof, PROOF_LENGTH, placeholder=" ...")
        lines.append((finding.cause.value, finding.cause.meaning, proof, str(count), example))
    return _table("Cause", ("cause", "meaning", "proof", "of", "such as"), lines)


def _worst(drifted: Sequence[Pair]) -> Table:
    head = ("case", "class", "ULP", "ULP of sigma", "first differing stage", "detail")
    return _table("Worst cases", head, map(_worst_line, worst_first(list(drifted))))


def _worst_line(pair: Pair) -> tuple[str, ...]:
    drift = pair.drift
    _, ulp, at_sigma = _figures([pair], [pair] if drift.drift_class.keeps_stream else [])
    # The rest of the detail is in the files.
    detail = drift.detail.partition(";")[0]
    return (pair.name, drift.drift_class.value, ulp, at_sigma, drift.stage or "-", detail)


def _acknowledged(verdict: Verdict) -> Table:
    counts: dict[tuple[str, ...], int] = {}
    for _, allowance in verdict.acknowledged:
        until = str(allowance.expires or "for good")
        key = (allowance.initializer, allowance.dtype, allowance.max_drift, allowance.reason, until)
        counts[key] = counts.get(key, 0) + 1
    lines = [(*key, str(count)) for key, count in counts.items()]
    head = ("initializer", "dtype", "allowed", "reason", "until", "cases")
    return _table("Acknowledged", head, lines)


def _expired(verdict: Verdict) -> Table:
    lines = [(one.initializer, one.dtype, one.reason, str(one.expires)) for one in verdict.expired]
    return _table("Expired acknowledgements", ("initializer", "dtype", "reason", "expired"), lines)


def _names(title: str, names: Sequence[str]) -> Table:
    return _table(title, ("case",), [(name,) for name in names])


# --- Text and Markdown ---------------------------------------------------------------------------


def to_text(verdict: Verdict, notes: Sequence[str] = (), width: int | None = None) -> str:
    """Return the verdict, the notes and the tables, which fit a terminal of that width."""
    parts = ["\n".join([verdict.line, *verdict.comparison.remarks, *notes])]
    parts += [_aligned(table, width) for table in tables(verdict)]
    return "\n\n".join(parts) + "\n"


def _aligned(table: Table, width: int | None) -> str:
    rows = aligned(
        [table.head, *table.lines[:N_LINES]],
        width=None if width is None else width - len(INDENT),
        elsewhere="--csv FILE",
    )
    return "\n".join([table.title, *(f"{INDENT}{row}" for row in rows), *_rest(table)])


def _rest(table: Table) -> list[str]:
    rest = len(table.lines) - N_LINES
    return [f"  and {rest} more: write them by --csv FILE"] if rest > 0 else []


def to_markdown(verdict: Verdict, notes: Sequence[str] = (), max_bytes: int = ISSUE_BYTES) -> str:
    """Return the same as Markdown, short enough for an issue; it says what was cut."""
    remarks = [*verdict.comparison.remarks, *notes]
    text = "\n\n".join([f"# {markdown_cell(verdict.line)}", *map(markdown_cell, remarks), ""])
    sections = [table_section(table, N_LINES) for table in tables(verdict)]
    return fitted(text, sections, max_bytes, elsewhere="What --csv FILE writes has")


# --- Files ---------------------------------------------------------------------------------------


def to_json(verdict: Verdict, notes: Sequence[str] = ()) -> str:
    """Return everything as one JSON document; distances that are no number are text."""
    comparison = verdict.comparison
    document = {
        "before": comparison.before,
        "after": comparison.after,
        "is_clean": verdict.is_clean,
        "verdict": verdict.line,
        "notes": [*comparison.remarks, *notes],
        "differences": comparison.differences,
        "counts": {name.value: count for name, count in comparison.counts().items()},
        "lost": comparison.lost,
        "unseen": comparison.unseen,
        "new": comparison.new,
        "pairs": [_scalars(row) for row in pair_rows(verdict)],
    }
    return json.dumps(COMPARISON.stamped(document), indent=1, allow_nan=False) + "\n"


def _scalars(row: PairRow) -> dict[str, Any]:
    values = dataclasses.asdict(row)
    at_sigma = values["max_ulp_at_sigma"]
    if at_sigma is not None and not math.isfinite(at_sigma):
        values["max_ulp_at_sigma"] = str(at_sigma)
    return values


def to_csv(verdict: Verdict) -> str:
    """Return every pair as a line of CSV; what is absent is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in dataclasses.fields(PairRow))
    for row in pair_rows(verdict):
        values = dataclasses.astuple(row)
        writer.writerow(csv_text(one) if isinstance(one, str) else one for one in values)
    return text.getvalue()


def write_parquet(verdict: Verdict, path: Path) -> None:
    """Write every pair as a row of Parquet.

    Raises:
        ReportError: the file cannot be written.
    """
    import pandas as pd

    rows = [dataclasses.asdict(row) for row in pair_rows(verdict)]
    counts = dict.fromkeys(("seed", "max_ulp", "n_open", "n_decided"), "UInt64")
    types: dict[str, Any] = {**counts, "max_ulp_at_sigma": "Float64"}
    # Column by column: a frame of rows would read 2^64 - 1 beside a missing value as a float.
    columns = {
        field.name: pd.array([row[field.name] for row in rows], dtype=types.get(field.name))
        for field in dataclasses.fields(PairRow)
    }
    try:
        with atomic_file(path) as draft:
            pd.DataFrame(columns).to_parquet(draft, index=False)
    except OSError as error:
        raise cannot_write(path, error) from error
