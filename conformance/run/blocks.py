"""Many seeds of one program at once: observed, judged and reported as a block.

The first and the last case of a block go the way of any case. Where the block drew the very bits
that their own calls did, and an array is plainly right, its row is that of the first but for what
the seed decides. All else goes the way of any case, one by one: same verdicts, same messages.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from conformance.core.arrays import returned
from conformance.core.ids import Block, Case
from conformance.core.records import COMPILED, DriftClass, Outcome, Returned, Status
from conformance.judge.block import Plain, is_judged_at_once, judge_block
from conformance.judge.budgets import budget_for
from conformance.report.rows import Row, outcome_text, to_json
from conformance.report.run import Key, key_of

if TYPE_CHECKING:
    from conformance.judge.bench import Goldens
    from conformance.observe.observer import Draws
    from conformance.run.session import Session, Verdict

IN_BLOCK = "executed in a block"
"""The mode of an array that was drawn with those of other seeds, and not by a call of its own."""

DISTANCE = "oracle.oracle_ulp_at_sigma"
"""The one metric that the seed decides."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """The rows of a block that plainly passed, as JSON, and how many there are by `key_of`."""

    block: Block
    lines: tuple[str, ...]
    counts: tuple[tuple[Key, int], ...]


def told_lot(lot: Lot) -> dict[str, Any]:
    """Return the rows of a lot, and their counts, as JSON can hold them."""
    return {"lines": lot.lines, "counts": lot.counts}


def read_lot(told: Mapping[str, Any]) -> tuple[list[str], list[tuple[Key, int]]]:
    """Return the rows that `told_lot` told, and their counts."""
    return told["lines"], [(Key(*key), n) for key, n in told["counts"]]


def block_verdicts(session: Session, block: Block) -> Iterator[Verdict | Lot]:
    """Yield what comes of each case of a block: those that need a word of their own, then the rest.

    Raises:
        StoreError: a golden cannot be read.
    """
    cases = list(block.cases())
    ends = [session.verdict(case) for case in dict.fromkeys((cases[0], cases[-1]))]
    yield from ends
    inner = cases[1:-1]
    lot = _lot(session, block, ends) if inner and all(map(_is_template, ends)) else None
    if lot is None:
        yield from map(session.verdict, inner)
        return
    for number, case in enumerate(inner, start=1):
        if not lot.take(number, case):
            yield (verdict := session.verdict(case))
            lot.learn(verdict)
    if lot.lines:
        counts = tuple(lot.counts.items())
        yield Lot(block=block, lines=tuple(lot.lines), counts=counts)


def _is_template(verdict: Verdict) -> bool:
    """Return whether the case plainly passed, so that what passes alike has such a row."""
    row = verdict.row
    if row is None or row.status != Status.PASSED:
        return False
    return row.drift_class in (None, DriftClass.IDENTICAL)


def _lot(session: Session, block: Block, ends: list[Verdict]) -> _Lot | None:
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
    lot = _Lot(bench.goldens, draws, plain)
    for end in ends:
        lot.learn(end)
    return lot


class _Lot:
    """The rows of the cases of a block that plainly pass."""

    def __init__(self, goldens: Goldens, draws: Draws, plain: Plain) -> None:
        self.lines: list[str] = []
        self.counts: collections.Counter[Key] = collections.Counter()
        self._goldens, self._draws, self._plain = goldens, draws, plain
        self._texts: dict[bool, _Text] = {}

    def learn(self, verdict: Verdict) -> None:
        """Take the row as that of the cases that pass alike."""
        if _is_template(verdict):
            assert verdict.row is not None
            self._texts.setdefault(
                verdict.row.drift_class is not None, _Text(verdict.row, self._draws.elapsed_s)
            )

    def take(self, number: int, case: Case) -> bool:
        """Write the row of the case, if it plainly passes."""
        if not (self._plain.is_right[number] and self._draws.is_repeated[number]):
            return False
        digest = hashlib.sha256(self._draws.arrays[number].tobytes()).hexdigest()
        golden = self._goldens.golden(case.problem.id, case.backend)
        text = self._texts.get(golden is not None)
        if text is None or (golden is not None and not _has_digest(golden.outcome, digest)):
            return False
        self.lines.append(text.of(case, digest, float(self._plain.at_sigma[number])))
        self.counts[text.key] += 1
        return True


def _has_digest(outcome: Outcome, digest: str) -> bool:
    return isinstance(outcome, Returned) and outcome.sha256 == digest


class _Text:
    """A row as JSON, to be filled in anew with what the seed decides."""

    def __init__(self, row: Row, elapsed_s: float) -> None:
        row = dataclasses.replace(row, mode=IN_BLOCK, elapsed_s=elapsed_s)
        self.key = key_of(row)
        self._row, self._text = row, to_json(row)
        self._digest = row.outcome.rpartition(" ")[2]
        metrics = json.loads(row.metrics)
        self._distance = metrics.get(DISTANCE)

    def of(self, case: Case, digest: str, at_sigma: float) -> str:
        """Return the row of another case of the block."""
        text = self._text.replace(self._row.case, case.id).replace(self._digest, digest)
        text = text.replace(f'"seed": {self._row.seed},', f'"seed": {case.problem.seed},')
        if self._distance is None:
            return text
        start = f'{DISTANCE}\\": '
        return text.replace(f"{start}{self._distance!r}", f"{start}{at_sigma!r}")
