"""A session whose cases run in a supervised worker: one that crashes costs its own verdict only."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

from conformance.core.ids import Block, Case, parse_case, parse_unit
from conformance.core.records import Environment
from conformance.observe import programs
from conformance.observe.worker import (
    Answered,
    Began,
    Event,
    Lost,
    Voice,
    left_after,
    supervised,
)
from conformance.report.rows import from_json, to_json
from conformance.run.blocks import Lot, block_verdicts, read_lot, told_lot
from conformance.run.options import LIST_OPTIONS, read_given
from conformance.run.session import Session, Verdict


class Isolated(Session):
    """A session whose cases are observed and judged by a worker, in their order.

    given: what `options.given` told. timeout_s: for a case.
    """

    def __init__(self, given: Mapping[str, Any], timeout_s: float, run_id: str) -> None:
        super().__init__(read_given(given), run_id)
        self._given, self._timeout_s = given, timeout_s
        asked = {"options": given, "run_id": run_id}
        self._events = supervised(TASK, asked, timeout_s)

    @functools.cached_property
    def _began(self) -> Began:
        event = next(self._events)
        assert isinstance(event, Began)
        return event

    @functools.cached_property
    def blocks(self) -> list[Block]:
        """The selected ranges of seeds; where no backend was named, on those that it found."""
        units = map(parse_unit, self._began.cases)
        return [each for each in units if isinstance(each, Block)]

    @functools.cached_property
    def cases(self) -> list[Case]:
        """The selected cases; where no backend was named, on those that the worker found."""
        units = map(parse_unit, self._began.cases)
        return [each for each in units if isinstance(each, Case)]

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

    def verdicts(self) -> Iterator[Verdict | Lot]:
        """Yield what comes of each case; of one that ended its process, how.

        Raises:
            WorkerGone: a worker ended outside of a case; no verdicts follow.
        """
        if self.blocks:
            return self._noted(self._of_block(block) for block in self.blocks)
        # And no longer: nothing is left for a worker in place of a lost one.
        return (_verdict(next(self._events)) for _ in self.cases)

    def _of_block(self, block: Block) -> Iterator[Verdict | Lot]:
        """Yield what comes of a block; of one that ended its process, case by case."""
        event = next(self._events)
        if isinstance(event, Lost):
            ids = [case.id for case in block.cases()]
            unnamed = dict.fromkeys((*LIST_OPTIONS, "tier", "shard"))
            given = {**self._given, **unnamed, "cases": ids}
            with contextlib.closing(Isolated(given, self._timeout_s, self.run_id)) as each:
                yield from each.verdicts()
            return
        assert isinstance(event, Answered)
        yield from (_told(each) for each in event.answer["verdicts"])
        if lot := event.answer["lot"]:
            lines, counts = read_lot(lot)
            yield Lot(block=block, lines=tuple(lines), counts=tuple(counts))

    def close(self) -> None:
        """End the worker."""
        self._events.close()


def _verdict(event: Event) -> Verdict:
    if isinstance(event, Lost):
        return Verdict(case=parse_case(event.case), reason=event.reason)
    assert isinstance(event, Answered)
    return _told(event.answer)


def _told(answer: Mapping[str, Any]) -> Verdict:
    row = answer["row"]
    return Verdict(
        case=parse_case(answer["id"]),
        row=None if row is None else from_json(row),
        text=answer["text"],
        reason=answer["reason"],
    )


# --- In the worker -------------------------------------------------------------------------------
TASK = "conformance.run.isolated:judge"


def judge(asked: Mapping[str, Any], lost: Mapping[str, str], voice: Voice) -> None:
    """Evaluate the cases that come after the lost ones."""
    session = Session(read_given(asked["options"]), asked["run_id"]).prepared()
    units = {unit.id: unit for unit in session.blocks or session.cases}
    left = left_after(lost, list(units))
    environment = dataclasses.asdict(session.environment)
    with programs.kept(session.environment):
        voice.begin(left, environment=environment)
        for key in left:
            voice.answer(key, **_answer_of(units[key], session))


def _answer_of(unit: Case | Block, session: Session) -> dict[str, Any]:
    if isinstance(unit, Case):
        return _answer(session.verdict(unit))
    found = list(block_verdicts(session, unit))
    return {
        "verdicts": [_answer(each) for each in found if isinstance(each, Verdict)],
        "lot": next((told_lot(each) for each in found if isinstance(each, Lot)), None),
    }


def _answer(found: Verdict) -> dict[str, Any]:
    row = None if found.row is None else to_json(found.row)
    return {"id": found.case.id, "row": row, "text": found.text, "reason": found.reason}
