"""`conformance bisect --from X --to Y`: since which release does it differ?"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import functools
import json
import shlex
import sys
from pathlib import Path
from typing import Any

from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import Catalogue
from conformance.cases.selection import Selection, select
from conformance.cli.gate import (
    KEPT,
    asked_from,
    extra_from,
    registry_from,
)
from conformance.cli.output import tell, write_all, write_page
from conformance.cli.progress import Progress
from conformance.core.errors import ExitCode
from conformance.core.records import Drift, DriftClass
from conformance.core.versions import BISECTION
from conformance.core.words import counted
from conformance.report.page.model import Failure, Page, Tone, facts_of
from conformance.report.tables import Table, filled
from conformance.run.interruption import telling_what_is_kept
from conformance.upgrade.bisect import ChangePoint, Found, Search, changelog_entries
from conformance.upgrade.cause import Finding
from conformance.upgrade.compare import Comparison
from conformance.upgrade.page import did
from conformance.upgrade.recordings import Asked, passing_folder
from conformance.upgrade.releases import LATEST, list_releases
from conformance.upgrade.series import Releases
from conformance.upgrade.tables import distance_text

N_SHOWN = 5
CHANGELOG = "https://docs.jax.dev/en/latest/changelog.html"


def run(arguments: argparse.Namespace) -> int:
    """Search and report; FAILED when a change was found, OK when there is none."""
    catalogue = load_catalogue()
    asked = _asked(arguments, catalogue)
    registry = registry_from(arguments)
    listed = list_releases(arguments.package, registry)
    if listed.note:
        print(listed.note, file=sys.stderr)
    last = listed.latest if arguments.after == LATEST else arguments.after
    names = listed.between(arguments.before, last)
    kept = telling_what_is_kept(lambda: KEPT)
    with kept, passing_folder() as passing, Progress() as progress:
        releases = Releases(
            arguments.package,
            registry,
            asked,
            catalogue,
            progress.say,
            passing,
            extra=extra_from(arguments),
        )
        search = Search(
            names,
            releases.probe,
            releases.compare,
            at_least=DriftClass(arguments.at_least),
            say=progress.tell,
        )
        found = _explained(search.all() if arguments.all else search.first(), releases)
    files = tell(
        arguments,
        lambda _: _text(found, arguments),
        json=functools.partial(to_json, found, arguments),
    )
    code = ExitCode.of(failed=bool(found.points))
    files.append(lambda: write_page(page_of(found, arguments, code), arguments.reports))
    return ExitCode.first(code, write_all(files))


def page_of(found: Found, arguments: argparse.Namespace, code: ExitCode) -> Page:
    """Return the page of a search: each change with its worst class, and the cases that changed.

    The sentence is of the first change. The sides are those of all of them: the release before the
    first, and the one of the last.
    """
    package = arguments.package
    searched = f"{package} {arguments.before} .. {arguments.after}"
    first = [f"{package} {point.before} -> {point.after}" for point in found.points]
    changed = tuple(
        (f"{point.before} -> {point.after}", pair.name, _change_text(pair.drift))
        for point in found.points
        for pair in point.changed
    )
    elsewhere = "what --json prints"
    tables = [
        Table(
            title="Changes", head=("releases", "case", "change"), lines=changed, elsewhere=elsewhere
        ),
        Table(
            title="Releases that could not be had",
            head=("release", "why"),
            lines=tuple(found.failures.items()),
            elsewhere=elsewhere,
        ),
    ]
    sides: dict[str, Any] = {}
    if found.points:
        start, end = found.points[0], found.points[-1]
        before, after = start.comparison.environments[0], end.comparison.environments[1]
        sides = {
            "sentence": did(start.changed, start.comparison),
            "sides": (f"{package} {start.before}", f"{package} {end.after}"),
            "facts": tuple(facts_of(before, after)),
        }
    return Page(
        **sides,
        title=f"bisect {searched}",
        tone=Tone.of(code),
        verdict=f"CHANGED: {', '.join(first)}" if first else _no_change(arguments),
        notes=(f"searched: {searched}",),
        failures=tuple(_failure(point, package, arguments.changelog) for point in found.points),
        failed="What changed",
        elsewhere=elsewhere,
        tables=tuple(filled(tables)),
    )


def _failure(point: ChangePoint, package: str, changelog: Path | None) -> Failure:
    first, *others = _point_lines(point, package, changelog)
    worst = point.changed[0].drift.drift_class.value if point.changed else ""
    words = ["conformance", "gate", "--from", point.before, "--to", point.after]
    words += ["--package", package] if package != "jax" else []
    return Failure(
        name=first,
        drift_class=worst,
        message="\n".join(map(str.strip, others)),
        rerun=shlex.join(words),
    )


def _explained(found: Found, releases: Releases) -> Found:
    points = (
        dataclasses.replace(point, comparison=releases.explained(point.before, point.after))
        for point in found.points
    )
    return dataclasses.replace(found, points=tuple(points))


def _asked(arguments: argparse.Namespace, catalogue: Catalogue) -> Asked:
    if not arguments.case:
        return asked_from(arguments, catalogue)
    cases = select(catalogue, Selection(cases=tuple(arguments.case)))
    return Asked(cases=tuple(cases), timeout_s=arguments.case_timeout)


def _no_change(arguments: argparse.Namespace) -> str:
    return (
        f"no change of class {arguments.at_least} or worse between "
        f"{arguments.package} {arguments.before} and {arguments.after}"
    )


def _text(found: Found, arguments: argparse.Namespace) -> str:
    lines = []
    if not found.points:
        lines.append(_no_change(arguments))
    for point in found.points:
        lines += _point_lines(point, arguments.package, arguments.changelog)
    lines += [f"skipped {name}: {reason}" for name, reason in found.failures.items()]
    return "\n".join(lines) + "\n"


def _point_lines(point: ChangePoint, package: str, changelog: Path | None) -> list[str]:
    counts = point.comparison.counts()
    classes = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    lines = [f"{package} {point.before} -> {point.after}: {classes}"]
    if point.skipped:
        lines.append(f"  or in one of these, which could not be had: {', '.join(point.skipped)}")
    lines += [f"  {pair.name}: {_change_text(pair.drift)}" for pair in point.changed[:N_SHOWN]]
    if (rest := len(point.changed) - N_SHOWN) > 0:
        lines.append(f"  and {counted(rest, 'more case')}")
    lines.append(f"  {did(point.changed, point.comparison)}")
    lines += _cause_lines(point.comparison)
    lines += _changelog_lines(point, package, changelog)
    return lines


def _cause_lines(comparison: Comparison) -> list[str]:
    counts = collections.Counter(comparison.causes.values())
    return [
        f"  cause of {count}: {finding.cause}: {finding.cause.meaning} ({finding.proof})"
        for finding, count in counts.most_common()
    ]


def _change_text(drift: Drift) -> str:
    stage = f"first differing stage {drift.stage}" if drift.stage else ""
    facts = (drift.drift_class.value, stage, distance_text(drift), drift.detail)
    return ", ".join(filter(None, facts))


def _changelog_lines(point: ChangePoint, package: str, changelog: Path | None) -> list[str]:
    if package != "jax":
        return []
    if changelog is None:
        return [f"  changelog: {CHANGELOG}#jax-{point.after.replace('.', '-')}"]
    entries = changelog_entries(changelog, point.after)
    return [f"  changelog: {entry}" for entry in entries] or ["  changelog: says nothing of it"]


def to_json(found: Found, arguments: argparse.Namespace) -> str:
    """Return the changes, and what could not be had, as one JSON document."""
    points = [
        {
            "before": point.before,
            "after": point.after,
            "skipped": point.skipped,
            "counts": {name.value: n for name, n in point.comparison.counts().items()},
            "changed": [
                {
                    "name": pair.name,
                    "class": pair.drift.drift_class.value,
                    "stage": pair.drift.stage,
                    "max_ulp": pair.drift.max_ulp,
                    "detail": pair.drift.detail,
                    **_cause_fields(point.comparison.causes.get(pair.name)),
                }
                for pair in point.changed
            ],
        }
        for point in found.points
    ]
    document = {
        "package": arguments.package,
        "before": arguments.before,
        "after": arguments.after,
        "at_least": arguments.at_least,
        "changes": points,
        "skipped": found.failures,
    }
    return json.dumps(BISECTION.stamped(document), indent=1) + "\n"


def _cause_fields(finding: Finding | None) -> dict[str, str | None]:
    return {
        "cause": finding.cause.value if finding else None,
        "proof": finding.proof if finding else None,
    }
