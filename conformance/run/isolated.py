"""A session whose cases run in supervised workers: one that crashes costs its own verdict only."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from conformance.core.ids import Block, Case, parse_case, parse_unit
from conformance.core.records import Environment
from conformance.observe import programs
from conformance.observe.lapack import multiply_in_one_thread
from conformance.observe.process import assign_accelerator
from conformance.observe.worker import (
    Answered,
    Began,
    Event,
    Lost,
    Voice,
    left_after,
    together,
)
from conformance.report import lots
from conformance.report.lots import Lots
from conformance.report.rows import from_json, to_json
from conformance.run.declared import LIST_OPTIONS
from conformance.run.options import read_given
from conformance.run.scheduling import parts
from conformance.run.session import Session, Verdict


class Isolated(Session):
    """A session whose cases are observed and judged by workers, each its part in its order.

    given: what `options.given` told. timeout_s: for a case. done: see `Session`.
    """

    def __init__(
        self,
        given: Mapping[str, Any],
        timeout_s: float,
        run_id: str,
        *,
        n_workers: int = 1,
        done: Collection[str] = (),
    ) -> None:
        super().__init__(read_given(given), run_id, done=done)
        self._given, self._timeout_s, self._n_workers = given, timeout_s, n_workers
        asked = {"options": given, "run_id": run_id, "done": sorted(done), "n_parts": n_workers}
        asked_of_each = [{**asked, "part": part} for part in range(n_workers)]
        self._events = together(TASK, asked_of_each, timeout_s)
        self._early: list[Event] = []

    @functools.cached_property
    def _began(self) -> list[Began]:
        """What each worker said when it was ready; others may be at work by then."""
        began: list[Began] = []
        while len(began) < self._n_workers:
            event = next(self._events)
            if isinstance(event, Began):
                began.append(event)
            else:
                self._early.append(event)
        return began

    @functools.cached_property
    def units(self) -> list[Case | Block]:
        """The cases or blocks to be done; where no backend was named, on those that were found."""
        return [parse_unit(name) for began in self._began for name in began.cases]

    @functools.cached_property
    def environment(self) -> Environment:
        """The environment of a worker.

        Raises:
            ConformanceError: the worker cannot begin.
        """
        return Environment(**self._began[0].facts["environment"])

    @property
    def judged_by(self) -> str:
        """By what the workers judge; see `Bench`."""
        return str(self._began[0].facts["judged_by"])

    def validate_files(self) -> None:
        """Ensure that the golden set can be read, and a ledger that was named.

        The shipped one is read by workers alone: whoever reads a ledger imports all checks, since
        it announces what they find.

        Raises:
            GoldenError, LedgerError, SelectionError: see `Session.validate_files`.
        """
        if self.options.ledger is not None:
            super().validate_files()
        _ = self.goldens

    def prepared(self) -> Session:
        """Return this session: what its cases share is the worker's."""
        return self

    def verdicts(self) -> Iterator[Verdict | Lots]:
        """Yield what comes of each case; of one that ended its process, how.

        Raises:
            WorkerGone: a worker ended outside of a case; no verdicts follow.
        """
        events = itertools.chain(self._early, self._events)
        # And no longer: nothing is left for a worker in place of a lost one.
        answers = itertools.islice(events, len(self.units))
        if self.blocks:
            return itertools.chain.from_iterable(map(self._of_block, answers))
        return map(_verdict, answers)

    def _of_block(self, event: Event) -> Iterator[Verdict | Lots]:
        """Yield what comes of a block; of one that ended its process, case by case."""
        if isinstance(event, Lost):
            block = parse_unit(event.case)
            assert isinstance(block, Block)
            return seed_by_seed(block, self._given, self._timeout_s, self.run_id)
        assert isinstance(event, Answered)
        return told(event.answer)

    def close(self) -> None:
        """End the workers."""
        self._events.close()


def seed_by_seed(
    block: Block, given: Mapping[str, Any], timeout_s: float, run_id: str
) -> Iterator[Verdict | Lots]:
    """Yield what comes of a block that ended its process; it costs the verdict of that seed alone.

    given: what `options.given` told of the selection that the block is of.

    Raises:
        WorkerGone: a worker ended outside of a case; no verdicts follow.
    """
    from conformance.run.blocks import as_lots

    unnamed = dict.fromkeys((*LIST_OPTIONS, "tier", "shard"))
    by_name = {**given, **unnamed, "cases": [case.id for case in block.cases()]}
    asked = read_given(given).asked.text
    with contextlib.closing(Isolated(by_name, timeout_s, run_id)) as each:
        found = (one for one in each.verdicts() if isinstance(one, Verdict))
        yield from as_lots(block, (_as_asked(one, asked) for one in found))


def _as_asked(verdict: Verdict, asked: str) -> Verdict:
    """Return the verdict on a case that was run by name, as one of the selection that was asked."""
    if verdict.row is None:
        return verdict
    return dataclasses.replace(verdict, row=dataclasses.replace(verdict.row, asked=asked))


def told(answer: Mapping[str, Any]) -> Iterator[Verdict | Lots]:
    """Yield what `answer_of` told of a block."""
    yield from map(verdict_told, answer["verdicts"])
    yield lots.read(answer["lots"])


def _verdict(event: Event) -> Verdict:
    if isinstance(event, Lost):
        return Verdict(case=parse_case(event.case), reason=event.reason)
    assert isinstance(event, Answered)
    return verdict_told(event.answer)


def verdict_told(answer: Mapping[str, Any]) -> Verdict:
    """Return what another process told of a case."""
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
    """Evaluate the cases of a part that come after the lost ones."""
    if asked["n_parts"] > 1:
        assign_accelerator(asked["part"])
    session = Session(read_given(asked["options"]), asked["run_id"], done=asked["done"]).prepared()
    mine = parts(session.units, asked["n_parts"])[asked["part"]]
    units = {unit.id: unit for unit in mine}
    left = left_after(lost, list(units))
    environment = dataclasses.asdict(session.environment)
    with programs.kept(session.environment), contextlib.ExitStack() as held:
        if asked["n_parts"] > 1:
            held.callback(multiply_in_one_thread())
        voice.begin(left, environment=environment, judged_by=session.judged_by)
        for key in left:
            voice.answer(key, **answer_of(units[key], session))


def answer_of(unit: Case | Block, session: Session) -> dict[str, Any]:
    """Return what comes of a case or a block, as another process can be told it: see `told`."""
    if isinstance(unit, Case):
        return _answer(session.verdict(unit))
    own, last = answers_of(unit, session)
    return {"verdicts": own, "lots": lots.told(last)}


def answers_of(block: Block, session: Session) -> tuple[list[dict[str, Any]], Lots]:
    """Return what comes of the cases of a block that have their own rows, and of the others."""
    from conformance.run.blocks import block_verdicts

    *verdicts, last = block_verdicts(session, block)
    assert isinstance(last, Lots)
    return [_answer(each) for each in verdicts if isinstance(each, Verdict)], last


def _answer(found: Verdict) -> dict[str, Any]:
    row = None if found.row is None else to_json(found.row)
    return {"id": found.case.id, "row": row, "text": found.text, "reason": found.reason}
