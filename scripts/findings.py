"""What a night found, as the jobs of a workflow hand it on: one record for each issue.

Standard library only: the job that may write issues installs nothing.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

FILE_NAME = "findings.json"

EVERY_LANE = ""
"""The lane of what is missing from all of them, or from nobody knows which."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One drift: what one issue is about.

    key: what makes it the same drift on another night. lane: which JAX it was found under, as
    machines.toml calls it. title: of its issue. headline: what happened, in a sentence. parts: what
    it consists of, initializer -> dtypes and places; a change of these is news. detail: Markdown.
    """

    key: str
    lane: str
    title: str
    headline: str
    parts: Mapping[str, str]
    detail: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All that one verdict says. missing: lane -> what was not judged there, a line each.

    Of a lane that misses something no drift can be said to be gone.
    """

    drifts: tuple[Drift, ...] = ()
    missing: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)


def write(folder: Path, findings: Findings) -> None:
    """Write the findings into a folder."""
    text = json.dumps(dataclasses.asdict(findings), indent=1)
    (folder / FILE_NAME).write_text(f"{text}\n")


def read(folder: Path) -> Findings | None:
    """Return the findings in a folder, or None if there are none."""
    path = folder / FILE_NAME
    if not path.exists():
        return None
    document = json.loads(path.read_text())
    return Findings(
        drifts=tuple(Drift(**drift) for drift in document["drifts"]),
        missing={lane: tuple(lines) for lane, lines in document["missing"].items()},
    )
