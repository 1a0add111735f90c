"""Many seeds of one program at once: observed, judged and reported as a block.

The first and the last case of a block go the way of any case. Where the block drew the very bits
that their own calls did, and an array is plainly right, its row is that of the first but for what
the seed decides. All else goes the way of any case, one by one: same verdicts, same messages.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from conformance.core.arrays import returned
from conformance.core.ids import Block, Case
from conformance.core.records import COMPILED, IN_BLOCK, DriftClass, Outcome, Returned, Status
from conformance.judge.block import Plain, is_judged_at_once, judge_block
from conformance.judge.budgets import budget_for
from conformance.report.lots import DISTANCE, Lot, Lots
from conformance.report.rows import Row, outcome_text

if TYPE_CHECKING:
    from conformance.judge.bench import Goldens
    from conformance.observe.observer import Draws
    from conformance.run.session import Session, Verdict


def block_verdicts(session: Session, block: Block) -> Iterator[Verdict | Lots]:
    """Yield what comes of each case of a block that needs a word of its own, then of the rest.

    Raises:
        StoreError: a golden cannot be read.
    """
    return as_lots(block, _found(session, block))


def as_lots(block: Block, verdicts: Iterable[Verdict | Lot]) -> Iterator[Verdict | Lots]:
    """Yield the verdicts of a block but for those that plainly passed, which come last, as lots."""
    lots: list[Lot] = []
    for found in verdicts:
        if isinstance(found, Lot):
            lots.append(found)
        elif _is_template(found):
            assert found.row is not None
            lots.append(Lot.of(found.row))
        else:
            yield found
    yield Lots(block=block, lots=tuple(lots))


def _found(session: Session, block: Block) -> Iterator[Verdict | Lot]:
    """Yield what comes of the cases of a block, of many that passed alike together."""
    cases = list(block.cases())
    ends = [session.verdict(case) for case in dict.fromkeys((cases[0], cases[-1]))]
    yield from ends
    inner = cases[1:-1]
    drawn = _drawn(session, block, ends) if inner and all(map(_is_template, ends)) else None
    if drawn is None:
        yield from map(session.verdict, inner)
        return
    for number, case in enumerate(inner, start=1):
        if not drawn.take(number, case):
            yield (verdict := session.verdict(case))
            drawn.learn(verdict)
    yield from drawn.lots


def _is_template(verdict: Verdict) -> bool:
    """Return whether the case plainly passed, so that what passes alike has such a row."""
    row = verdict.row
    if row is None or row.status != Status.PASSED:
        return False
    return row.drift_class in (None, DriftClass.IDENTICAL)


def _drawn(session: Session, block: Block, ends: list[Verdict]) -> _Drawn | None:
    """Draw and judge all at once, where that draws what the calls of both ends did; else None."""
    bench, problem = session.bench, block.case.problem
    spec = bench.specs[problem.initializer]
    if not is_judged_at_once(spec.definition, problem):
        return None
    draws = session.observer.observe_many(block, spec)
    if draws is None:
        return None
    for end, array in zip(ends, (draws.arrays[0], draws.arrays[-1]), strict=True):
        if end.row is None or end.row.outcome != outcome_text(returned(array)):
            return None
    assert spec.definition is not None
    plain = judge_block(
        draws.arrays,
        spec.definition,
        problem,
        block.seeds,
        budget_for(spec, block.case, bench.budgets),
        is_compiled=block.case.transform in COMPILED,
    )
    drawn = _Drawn(bench.goldens, draws, plain)
    for end in ends:
        drawn.learn(end)
    return drawn


class _Drawn:
    """The cases of a block that were drawn at once, and those that plainly pass."""

    def __init__(self, goldens: Goldens, draws: Draws, plain: Plain) -> None:
        self._goldens, self._draws, self._plain = goldens, draws, plain
        self._alike: dict[bool, _Alike] = {}

    @property
    def lots(self) -> list[Lot]:
        """The rows of those that were taken."""
        return [alike.lot() for alike in self._alike.values() if alike.digests]

    def learn(self, verdict: Verdict) -> None:
        """Take the row as that of the cases that pass alike."""
        if _is_template(verdict):
            assert verdict.row is not None
            has_golden = verdict.row.drift_class is not None
            row = dataclasses.replace(verdict.row, mode=IN_BLOCK, elapsed_s=self._draws.elapsed_s)
            self._alike.setdefault(has_golden, _Alike(row))

    def take(self, number: int, case: Case) -> bool:
        """Add the row of the case, if it plainly passes."""
        if not (self._plain.is_right[number] and self._draws.is_repeated[number]):
            return False
        digest = hashlib.sha256(self._draws.arrays[number].tobytes()).hexdigest()
        golden = self._goldens.golden(case.problem.id, case.backend)
        alike = self._alike.get(golden is not None)
        if alike is None or (golden is not None and not _has_digest(golden.outcome, digest)):
            return False
        alike.add(case.problem.seed, digest, float(self._plain.at_sigma[number]))
        return True


def _has_digest(outcome: Outcome, digest: str) -> bool:
    return isinstance(outcome, Returned) and outcome.sha256 == digest


class _Alike:
    """Cases that have the row but for what their seeds decide."""

    def __init__(self, row: Row) -> None:
        self.digests: list[str] = []
        self._row, self._seeds = row, list[int]()
        self._at_sigma: list[float] = []

    def add(self, seed: int, digest: str, at_sigma: float) -> None:
        """Add a case."""
        self._seeds.append(seed)
        self.digests.append(digest)
        self._at_sigma.append(at_sigma)

    def lot(self) -> Lot:
        """Return their rows."""
        has_distance = DISTANCE in json.loads(self._row.metrics)
        return Lot(
            row=self._row,
            seeds=tuple(self._seeds),
            digests=tuple(self.digests),
            at_sigma=tuple(self._at_sigma) if has_distance else (),
        )
