"""A session whose cases run in a supervised worker: one that crashes costs its own verdict only."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

from conformance.core.ids import Case, parse_case
from conformance.core.records import Environment
from conformance.observe import programs
from conformance.observe.worker import Answered, Began, Event, Lost, Voice, supervised
from conformance.report.rows import from_json, to_json
from conformance.run.options import read_given
from conformance.run.session import Session, Verdict


class Isolated(Session):
    """A session whose cases are observed and judged by a worker, in their order.

    given: what `options.given` told. timeout_s: for a case.
    """

    def __init__(self, given: Mapping[str, Any], timeout_s: float, run_id: str) -> None:
        super().__init__(read_given(given), run_id)
        asked = {"options": given, "run_id": run_id}
        self._events = supervised(TASK, asked, timeout_s)

    @functools.cached_property
    def _began(self) -> Began:
        event = next(self._events)
        assert isinstance(event, Began)
        return event

    @functools.cached_property
    def cases(self) -> list[Case]:
        """The selected cases; where no backend was named, on those that the worker found."""
        return [parse_case(key) for key in self._began.cases]

    @functools.cached_property
    def environment(self) -> Environment:
        """The environment of the worker.

        Raises:
            ConformanceError: the worker cannot begin.
        """
        return Environment(**self._began.facts["environment"])

    def prepared(self) -> Session:
        """Return this session: what its cases share is the worker's."""
        return self

    def verdicts(self) -> Iterator[Verdict]:
        """Yield what comes of each case; of one that ended its process, how.

        Raises:
            WorkerGone: a worker ended outside of a case; no verdicts follow.
        """
        for _ in self.cases:  # and no longer: nothing is left for a worker in place of a lost one
            yield _verdict(next(self._events))

    def close(self) -> None:
        """End the worker."""
        self._events.close()


def _verdict(event: Event) -> Verdict:
    if isinstance(event, Lost):
        return Verdict(case=parse_case(event.case), reason=event.reason)
    assert isinstance(event, Answered)
    row = event.answer["row"]
    return Verdict(
        case=parse_case(event.case),
        row=None if row is None else from_json(row),
        text=event.answer["text"],
        reason=event.answer["reason"],
    )


# --- In the worker -------------------------------------------------------------------------------
TASK = "conformance.run.isolated:judge"


def judge(asked: Mapping[str, Any], lost: Mapping[str, str], voice: Voice) -> None:
    """Evaluate the cases that come after the lost ones."""
    session = Session(read_given(asked["options"]), asked["run_id"]).prepared()
    ids = [case.id for case in session.cases]
    n_before = max((ids.index(key) + 1 for key in lost if key in ids), default=0)
    environment = dataclasses.asdict(session.environment)
    with programs.kept(session.environment):
        voice.begin(ids[n_before:], environment=environment)
        for case in session.cases[n_before:]:
            found = session.verdict(case)
            row = None if found.row is None else to_json(found.row)
            voice.answer(case.id, row=row, text=found.text, reason=found.reason)
