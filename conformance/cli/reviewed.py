"""What accepting would change, as text and as a page."""

from __future__ import annotations

import collections
import glob
import json
import math
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from conformance.core.arrays import whole
from conformance.core.errors import ExitCode
from conformance.core.ids import format_shape
from conformance.core.records import Drift, DriftClass, Outcome, Raised, Returned
from conformance.core.settings import unusual
from conformance.core.ulp import ulp_distance
from conformance.core.versions import REVIEW
from conformance.core.words import counted
from conformance.curate.review import Change, Review
from conformance.report.headline import side
from conformance.report.page.model import Failure, Page, Tone, facts_of

SHOWN = 10
"""Problems of one class that a review names."""

N_WORST = 5
"""Elements of one golden that a review shows."""


def review_text(reviewed: Review) -> str:
    """Return the drift table old -> new: counts by class, then each class by initializer.

    Before it stands what is unusual about where the new outcomes were recorded.
    """
    staged = reviewed.stage
    lines = [
        *(f"note: {line}" for line in unusual(reviewed.environment)),
        f"for {staged.target}: {staged.scope}; reason: {staged.reason}",
        *_sides(reviewed),
        "class      problems",
    ]
    lines += [f"{name:<10} {count:>8}" for name, count in reviewed.counts().items()]
    for drift_class in list(DriftClass)[1:]:
        lines += _class_lines(drift_class, reviewed.drifts)
    lines += _doubts(reviewed)
    lines += _parted(reviewed)
    lines += _named("new", reviewed.new)
    lines += _named("removed, equal to the set itself or no longer there", reviewed.removed)
    lines += _named("orphans, kept until `conformance goldens prune`", reviewed.orphans)
    if reviewed.n_waiting:
        lines.append(f"{counted(reviewed.n_waiting, 'other')} not shown; they stay pending")
    return "\n".join(lines)


def _sides(reviewed: Review) -> list[str]:
    """Return what made the set and what made what is staged, where there is a set."""
    there = reviewed.golden_environment
    if there is None:
        return []
    return [f"set: {side(there)}", f"staged: {side(reviewed.environment)}"]


def review_json(reviewed: Review) -> str:
    """Return the same as one JSON document; a distance that is no number is text."""
    staged = reviewed.stage
    document = {
        "target": staged.target,
        "scope": staged.scope,
        "reason": staged.reason,
        "date": staged.date,
        "counts": reviewed.counts(),
        "changes": [_change(key, drift) for key, drift in sorted(reviewed.drifts.items())],
        "new": reviewed.new,
        "removed": reviewed.removed,
        "orphans": reviewed.orphans,
        "doubts": dict(reviewed.doubts),
        "parted": reviewed.parted,
        "n_waiting": reviewed.n_waiting,
    }
    return json.dumps(REVIEW.stamped(document), indent=1, allow_nan=False) + "\n"


def _change(key: str, drift: Drift) -> dict[str, Any]:
    at_sigma = drift.max_ulp_at_sigma
    is_number = at_sigma is None or math.isfinite(at_sigma)
    return {
        "id": key,
        "class": drift.drift_class.value,
        "stage": drift.stage,
        "n_elements": drift.n_elements,
        "n_different": drift.n_different,
        "max_ulp": drift.max_ulp,
        "max_ulp_at_sigma": at_sigma if is_number else str(at_sigma),
        "detail": drift.detail,
    }


def _doubts(reviewed: Review) -> list[str]:
    """Return what may be no golden at all, the first of them in full."""
    found = reviewed.doubts
    if not found:
        return []
    lines = [f"DOUBTFUL, a golden must not be wrong: {_by_initializer(found)}"]
    for key in list(found)[:SHOWN]:
        lines += [f"  {key}: {fault}".replace("\n", "\n    ") for fault in found[key]]
    return [*lines, *_rest(len(found))]


def _parted(reviewed: Review) -> list[str]:
    """Return what the set would no longer agree in, and the way out."""
    found = reviewed.parted
    if not found:
        return []
    lines = [f"PARTED, stage what draws alike together: {counted(len(found), 'stage')}"]
    return [*lines, *(f"  {fault}" for fault in found[:SHOWN]), *_rest(len(found))]


def kinds_of(reviewed: Review) -> dict[str, list[str]]:
    """Return the ids by what happens to them, the worst class first; new ones come last."""
    kinds: dict[str, list[str]] = {}
    drifts = reviewed.drifts
    order = sorted(drifts, key=lambda key: (-drifts[key].drift_class.rank, key))
    for key in (*order, *reviewed.new):
        initializer, dtype = re.split("[-/]", key, maxsplit=2)[:2]
        drift = drifts.get(key)
        kind = "new" if drift is None else drift.drift_class.value
        kinds.setdefault(f"{kind}: {initializer} {dtype}", []).append(key)
    return kinds


def entry_lines(reviewed: Review, key: str) -> list[str]:
    """Return what accepting changes of one golden: both laws, the worst element, all doubts."""
    lines = [f"  {key}"]
    if change := reviewed.changes.get(key):
        drift = change.drift
        if text := _drift_text(drift):
            lines.append(f"    {text}")
        lines += [f"    was {_law_text(change.before)}", f"    is  {_law_text(change.after)}"]
        lines += [f"    {line}" for line in _worst_lines(change)]
    lines += [f"    DOUBTFUL: {fault}" for fault in reviewed.doubts.get(key, ())]
    return lines


def _worst_lines(change: Change) -> list[str]:
    """Return the elements that move farthest, in ULP of sigma the first, the others in ULP."""
    drift, before, after = change.drift, change.before, change.after
    if drift.worst_index is None:
        return []
    lines = [f"worst at {drift.worst_index}: {drift.worst_expected!r} -> {drift.worst_actual!r}"]
    sides = [side for side in (before, after) if isinstance(side, Returned) and side.is_whole]
    if len(sides) < 2:
        return lines
    old, new = map(whole, sides)
    if (old.dtype, old.shape) != (new.dtype, new.shape):
        return lines
    moved = ulp_distance(new, old).ravel()
    for place in np.argsort(moved, kind="stable")[::-1][:N_WORST]:
        index = tuple(map(int, np.unravel_index(place, old.shape)))
        if moved[place] and index != drift.worst_index:
            lines.append(f"then at {index}: {old[index].item()!r} -> {new[index].item()!r}")
    return lines[:N_WORST]


def _law_text(outcome: Outcome) -> str:
    """Return what an outcome is, and the moments of its elements."""
    if isinstance(outcome, Raised):
        return f"raises {outcome.exception}: {outcome.message.partition(chr(10))[0]}"
    moments = outcome.moments
    return (
        f"{outcome.dtype}[{format_shape(outcome.shape)}] mean {moments.mean:.4g}, variance "
        f"{moments.variance:.6g}, from {moments.minimum:.6g} to {moments.maximum:.6g}"
    )


def review_page(reviewed: Review, folder: Path, option: str) -> Page:
    """Return the page of a review: each change with both laws, and the command that accepts it.

    option: names the set in a command. What is doubtful comes first.
    """
    drifts = reviewed.drifts
    failures = [
        Failure(
            name=key,
            drift_class=drift.drift_class.value if drift else "",
            facts="; ".join(_facts(reviewed, key)),
            message="\n".join(line.strip() for line in entry_lines(reviewed, key)[1:]),
            rerun=f"conformance goldens accept{option} {shlex.quote(glob.escape(key))}",
        )
        for keys in kinds_of(reviewed).values()
        for key in keys
        if (drift := drifts.get(key)) is None
        or drift.drift_class is not DriftClass.IDENTICAL
        or key in reviewed.doubts
    ]
    failures.sort(key=lambda failure: failure.name not in reviewed.doubts)
    counts = ", ".join(f"{count} {name}" for name, count in reviewed.counts().items())
    return Page(
        title=f"review of {folder.name}",
        tone=Tone.of(ExitCode.of(failed=bool(reviewed.doubts))),
        verdict=f"PENDING for {reviewed.stage.target}: {counts}",
        sentence=f"reason: {reviewed.stage.reason}",
        notes=(reviewed.stage.scope, *unusual(reviewed.environment), *_parted(reviewed)),
        counts=reviewed.counts(),
        sides=("where it was staged", "where the set was made"),
        facts=tuple(facts_of(reviewed.environment, reviewed.golden_environment)),
        failures=tuple(failures),
        failed="What would change",
        elsewhere="`conformance goldens review PATTERN` in a terminal",
    )


def _facts(reviewed: Review, key: str) -> Iterator[str]:
    if key not in reviewed.changes:
        yield "new"
    if key in reviewed.doubts:
        yield "DOUBTFUL"


def _class_lines(drift_class: DriftClass, drifts: Mapping[str, Drift]) -> list[str]:
    found = {key: drift for key, drift in drifts.items() if drift.drift_class is drift_class}
    if not found:
        return []
    worst = sorted(found, key=lambda key: (-(found[key].max_ulp_at_sigma or 0.0), key))
    lines = [f"{drift_class.value}: {_by_initializer(found)}"]
    lines += [f"  {key}: {_drift_text(found[key])}" for key in worst[:SHOWN]]
    return [*lines, *_rest(len(worst))]


def _drift_text(drift: Drift) -> str:
    if not drift.n_different:
        return drift.detail
    text = f"{drift.extent} {'element' if drift.extent == '1 of 1' else 'elements'}"
    if drift.max_ulp_at_sigma is not None:
        text += f", at most {drift.max_ulp} ULP ({drift.max_ulp_at_sigma:.3g} ULP of sigma)"
    return f"{text}; {drift.detail}" if drift.detail else text


def _named(title: str, ids: tuple[str, ...]) -> list[str]:
    if not ids:
        return []
    lines = [f"{title}: {_by_initializer(ids)}", *(f"  {key}" for key in ids[:SHOWN])]
    return [*lines, *_rest(len(ids))]


def _rest(count: int) -> list[str]:
    return [f"  ... and {count - SHOWN} more"] if count > SHOWN else []


def _by_initializer(ids: Iterable[str]) -> str:
    counts = collections.Counter(re.split("[-/]", key, maxsplit=1)[0] for key in ids)
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
