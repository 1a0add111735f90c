"""What changed from each release to the next: the table of docs/jax-releases.md.

The figures are kept as JSON beside the document, which is made of nothing else.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conformance.core.errors import ReportError, SideError
from conformance.core.files import replace_file
from conformance.core.reading import read_file
from conformance.core.records import STAGES, DriftClass, Raised
from conformance.core.versions import SURVEY
from conformance.report.aligned import markdown_table
from conformance.store.read import Store
from conformance.upgrade.compare import Comparison, Pair
from conformance.upgrade.known import KNOWN, NEEDS
from conformance.upgrade.series import Releases

SHOWN_PACKAGES = ("python", "jaxlib", "flax", "numpy", "scipy", "ml_dtypes")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseOutcome:
    """What recording one release came to. failure: "" or why it could not be recorded."""

    release: str
    packages: dict[str, str]
    n_cases: int
    n_raised: int
    n_keys: int
    failure: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What changed from one release to the next that could be recorded.

    max_ulp and max_ulp_at_sigma are of the cases that kept their stream, None where none of them
    changed. stages: cases by first differing stage. dtypes, initializers: those that changed.
    errors: each change of an exception, with its cases. n_keys: keys of Flax on both sides.
    """

    before: str
    after: str
    counts: dict[str, int]
    max_ulp: int | None
    max_ulp_at_sigma: float | None
    stages: dict[str, int]
    dtypes: tuple[str, ...]
    initializers: tuple[str, ...]
    errors: dict[str, int]
    n_keys: int
    n_keys_changed: int
    n_keys_new: int
    n_keys_lost: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """All releases that were asked for, and the steps between those that could be recorded."""

    cases: str
    host: dict[str, str]
    releases: tuple[ReleaseOutcome, ...]
    steps: tuple[Step, ...]


def survey(names: Sequence[str], cases: Releases, keys: Releases, *, described: str) -> Survey:
    """Record every release, and compare each with the one before it.

    cases, keys: recordings of the cases, and of the keys that Flax derives. described: the cases.
    """
    outcomes = [_outcome(name, cases, keys) for name in names]
    recorded = [outcome.release for outcome in outcomes if not outcome.failure]
    return Survey(
        cases=described,
        host=dict(cases.store(recorded[-1]).environment.host) if recorded else {},
        releases=tuple(outcomes),
        steps=tuple(
            step(before, after, cases.compare(before, after), keys.compare(before, after))
            for before, after in itertools.pairwise(recorded)
        ),
    )


def _outcome(name: str, cases: Releases, keys: Releases) -> ReleaseOutcome:
    try:
        store, key_store = cases.store(name), keys.store(name)
    except SideError as error:
        failure = str(error).partition("\n")[0]
        return ReleaseOutcome(
            release=name, packages={}, n_cases=0, n_raised=0, n_keys=0, failure=failure
        )
    packages = store.environment.packages
    return ReleaseOutcome(
        release=name,
        packages={package: packages[package] for package in SHOWN_PACKAGES if package in packages},
        n_cases=len(store),
        n_raised=_count_raised(store),
        n_keys=len(key_store),
        failure="",
    )


def _count_raised(store: Store) -> int:
    return sum(isinstance(entry.outcome, Raised) for entry in store.entries())


def step(before: str, after: str, cases: Comparison, keys: Comparison) -> Step:
    """Return the figures of one step. cases, keys: what changed from `before` to `after`."""
    changed = [pair for pair in cases.pairs if _class(pair) is not DriftClass.IDENTICAL]
    near = [pair.drift for pair in changed if _class(pair).keeps_stream]
    stages = collections.Counter(pair.drift.stage for pair in changed)
    errors = collections.Counter(
        pair.drift.detail for pair in changed if _class(pair) is DriftClass.CONTRACT
    )
    at_sigma = [drift.max_ulp_at_sigma for drift in near if drift.max_ulp_at_sigma is not None]
    return Step(
        before=before,
        after=after,
        counts={name.value: count for name, count in cases.counts().items() if count},
        max_ulp=max((drift.max_ulp for drift in near if drift.max_ulp is not None), default=None),
        max_ulp_at_sigma=max(at_sigma, default=None),
        stages={stage: stages[stage] for stage in STAGES if stages[stage]},
        dtypes=tuple(sorted({pair.case.problem.dtype for pair in changed})),
        initializers=tuple(sorted({pair.case.problem.initializer for pair in changed})),
        errors=dict(sorted(errors.items())),
        n_keys=len(keys.pairs),
        n_keys_changed=_count_changed(keys),
        n_keys_new=len(keys.new),
        n_keys_lost=len(keys.lost),
    )


def _class(pair: Pair) -> DriftClass:
    return pair.drift.drift_class


def _count_changed(comparison: Comparison) -> int:
    return sum(_class(pair) is not DriftClass.IDENTICAL for pair in comparison.pairs)


# --- Kept as JSON --------------------------------------------------------------------------------


def write(path: Path, found: Survey) -> None:
    """Write the figures, so that the document can be made again without recording anything."""
    document = SURVEY.stamped(dataclasses.asdict(found))
    replace_file(path, json.dumps(document, indent=1) + "\n")


def read(path: Path) -> Survey:
    """Return the figures that `write` kept.

    Raises:
        ReportError: they cannot be read.
    """
    way_out = "restore it from version control, or make the survey anew"
    return read_file(Survey, path, SURVEY, error=ReportError, way_out=way_out)


# --- The document --------------------------------------------------------------------------------

INTRODUCTION = """\
# What changed in each JAX release

Generated by `python scripts/survey_releases.py` from the figures in `{data}`. Do not edit.

Recorded: {cases}.
On one machine: {cpu}, with {isa}.

A case is one initializer in one dtype, shape and seed. Each release was recorded in an isolated
environment, and is compared with the one before it in the list; versions, not dates, give the
order.

- **identical**: the same bits.
- **rounding**: the same random bits, within a few roundings.
- **transform**: the same random bits, further apart, the law intact.
- **stream**: other random bits, the same law.
- **contract**: another exception, or none any more.

The worst distance is of the cases that kept their random bits: in ULP at the value, and in units of
the spacing at one standard deviation. Near zero the first can be large where the second is small.
The first differing stage is the first of key, bits, uniform, unit variate and scaled result that
differs: where the change was made.

*Flax keys* are the keys that Flax hands to the initializers of a fixed Linen model and of a fixed
NNX model, in the newest Flax that goes with each release. They are integers; a change of one is a
change of a whole weight matrix.

## Release by release
"""

HEAD = (
    *("release", "compared with", "identical", "rounding", "transform", "stream", "other"),
    *("worst ULP", "at sigma", "first differing stage", "where", "Flax keys changed"),
)

LISTED = ("identical", "rounding", "transform", "stream")


def document(found: Survey, data: str) -> str:
    """Return the document as Markdown. data: name of the file that holds the figures."""
    text = INTRODUCTION.format(
        data=data,
        cases=found.cases,
        cpu=found.host.get("cpu", "unknown CPU"),
        isa=found.host.get("isa", "unknown instruction sets"),
    )
    parts = [
        text,
        _rows(HEAD, map(_step_cells, found.steps)),
        "\n## Changes of exceptions\n",
        _rows(("release", "compared with", "change", "cases"), _error_cells(found)),
        "\n## What was run\n",
        _rows(
            ("release", *SHOWN_PACKAGES, "cases", "of which raise", "Flax keys", "outcome"),
            map(_release_cells, found.releases),
        ),
        "\n## What releases need beyond their metadata\n",
        _rows(
            ("before", "needs", "because it"),
            [
                (f"{need.package} {need.before}", f"`{need.requirement}`", need.fact)
                for need in NEEDS
            ],
        ),
        "\n## What else is known of releases\n",
        _rows(("before", "about", "it", "taken into account in"), _known_cells()),
    ]
    return "\n".join(parts)


def _rows(head: Sequence[str], lines: Any) -> str:
    return "".join(f"{line}\n" for line in markdown_table(head, lines))


def _step_cells(step: Step) -> tuple[str, ...]:
    others = {name: n for name, n in step.counts.items() if name not in LISTED}
    at_sigma = step.max_ulp_at_sigma
    return (
        f"**{step.after}**",
        step.before,
        *(str(step.counts.get(name, "-")) for name in LISTED),
        ", ".join(f"{count} {name}" for name, count in others.items()) or "-",
        "-" if step.max_ulp is None else str(step.max_ulp),
        "-" if at_sigma is None else f"{at_sigma:.2g}",
        ", ".join(f"{stage} ({count})" for stage, count in step.stages.items()) or "-",
        _where(step),
        _key_cell(step),
    )


def _where(step: Step) -> str:
    if not step.initializers:
        return "-"
    named = ", ".join(step.initializers)
    if len(step.initializers) > 6:
        named = f"{len(step.initializers)} initializers"
    return f"{', '.join(step.dtypes)}: {named}"


def _key_cell(step: Step) -> str:
    parts = [f"{step.n_keys_changed} of {step.n_keys}"]
    parts += [f"{step.n_keys_new} new"] if step.n_keys_new else []
    parts += [f"{step.n_keys_lost} gone"] if step.n_keys_lost else []
    return ", ".join(parts)


def _error_cells(found: Survey) -> list[tuple[str, ...]]:
    return [
        (f"**{step.after}**", step.before, change, str(count))
        for step in found.steps
        for change, count in step.errors.items()
    ]


def _known_cells() -> list[tuple[str, ...]]:
    return [
        (
            f"{each.package} {each.before}",
            each.kind.value,
            each.fact + (f" (`{'='.join(each.setting)}`)" if each.setting else ""),
            ", ".join(f"`{place}`" for place in each.handled),
        )
        for each in KNOWN
        if each not in NEEDS
    ]


def _release_cells(outcome: ReleaseOutcome) -> tuple[str, ...]:
    versions = (outcome.packages.get(package, "-") for package in SHOWN_PACKAGES)
    counts = (str(n) for n in (outcome.n_cases, outcome.n_raised, outcome.n_keys))
    failure = outcome.failure.replace("|", "\\|")
    return (outcome.release, *versions, *counts, failure or "recorded")
