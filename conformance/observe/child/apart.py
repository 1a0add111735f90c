"""What records cases in the environment of a release, in a process that may crash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import Catalogue
from conformance.cases.selection import Selection, select
from conformance.core.ids import Case
from conformance.observe.record import record
from conformance.observe.worker import Voice


def asked_cases(ids: Sequence[str]) -> tuple[Catalogue, list[Case]]:
    """Return this release's catalogue, and the cases of it that the ids name."""
    catalogue = load_catalogue()
    return catalogue, select(catalogue, Selection(cases=tuple(ids)))


def record_cases(asked: Mapping[str, Any], lost: Mapping[str, str], voice: Voice) -> None:
    """Record, as a task of a worker.

    A journal is there only if an earlier attempt was interrupted: what it holds is kept.
    """
    catalogue, cases = asked_cases(asked["cases"])
    record(
        cases,
        catalogue,
        Path(asked["out"]),
        resume=True,
        is_whole=bool(asked.get("whole")),
        lost=lost,
        begun=lambda left: voice.begin([case.id for case in left]),
        progress=lambda _number, _total, case: voice.answer(case.id),
    )
