"""Many seeds of one program at once: observed, judged and reported as a block.

The first and the last case of a block go the way of any case. Where the block drew the very bits
that their own calls did, a case of which the checks make what they made of one of these has the row
of that one, but for what the seed decides. All else goes the way of any case, one by one: same
verdicts, same messages.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from conformance.cases.planes import tier_of
from conformance.core.arrays import returned
from conformance.core.ids import Block, Case
from conformance.core.records import IN_BLOCK, DriftClass, Outcome, Raised, Returned, Status
from conformance.core.settings import installed_jax
from conformance.judge.block import Judged, Kind, is_judged_at_once, judge_block
from conformance.judge.budgets import budget_for
from conformance.judge.ledger import is_as_stated
from conformance.report.lots import Lot, Lots
from conformance.report.rows import RAISES, Row, outcome_text
from conformance.run.session import Verdict

if TYPE_CHECKING:
    from conformance.cases.catalogue import InitializerSpec
    from conformance.core.records import Entry
    from conformance.judge.bench import Goldens
    from conformance.judge.ledger import Limitation
    from conformance.observe.observer import Draws
    from conformance.run.session import Session


def block_verdicts(session: Session, block: Block) -> Iterator[Verdict | Lots]:
    """Yield what comes of each case of a block that needs a word of its own, then of the rest.

    Raises:
        StoreError: a golden cannot be read.
    """
    return as_lots(block, _found(session, block))


def as_lots(block: Block, verdicts: Iterable[Verdict | Lot]) -> Iterator[Verdict | Lots]:
    """Yield the verdicts of a block but for those of which others have the like; lots come last."""
    lots: list[Lot] = []
    for found in verdicts:
        if isinstance(found, Lot):
            lots.append(found)
        elif found.row is not None and _is_template(found):
            lots.append(Lot.of(found.row))
        else:
            yield found
    yield Lots(block=block, lots=tuple(lots))


def _found(session: Session, block: Block) -> Iterator[Verdict | Lot]:
    """Yield what comes of the cases of a block, of many that passed alike together."""
    cases = list(block.cases())
    with session.observer.one_program():
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
            drawn.learn(number, verdict)
    yield from drawn.lots


def first_of(texts: Sequence[str]) -> str:
    """Return the first of what is wrong with seeds of a block, and how many others are; or ""."""
    more = f"\nand {len(texts) - 1} more seeds of the block" if texts[1:] else ""
    return f"{texts[0]}{more}" if texts else ""


def _is_template(verdict: Verdict) -> bool:
    """Return whether what is judged alike has such a row: nothing of it is said of one case."""
    row = verdict.row
    if row is None or row.status == Status.FAILED:
        return False
    return row.drift_class in (None, DriftClass.IDENTICAL)


def _is_refused(verdict: Verdict) -> bool:
    return verdict.row is not None and verdict.row.outcome.startswith(RAISES)


def _drawn(session: Session, block: Block, ends: list[Verdict]) -> _Drawn | None:
    """Draw and judge all at once, where that draws what the calls of both ends did; else None."""
    bench, case = session.bench, block.case
    spec = bench.specs[case.problem.initializer]
    if not (is_judged_at_once(spec.definition, case.problem) or all(map(_is_refused, ends))):
        return None
    draws = session.observer.observe_many(block, spec)
    if draws is None:
        return None
    outcomes = _Outcomes(draws)
    for number, end in zip((0, -1), ends, strict=False):
        if end.row is None or end.row.outcome != outcomes.text(number):
            return None
    if isinstance(draws, Raised):
        judged = Judged(kinds=(Kind(),) * len(block.seeds))
    else:
        assert spec.definition is not None
        budget = budget_for(spec, case, bench.budgets)
        judged = judge_block(
            draws.arrays, spec.definition, case, block.seeds, budget, draws.normals
        )
    entries = bench.ledger.matching(case, installed_jax())
    drawn = _Drawn(spec, bench.goldens, outcomes, judged, entries)
    for number, end in zip((0, -1), ends, strict=False):
        drawn.learn(number, end)
    return drawn


class _Outcomes:
    """What came of each seed of a block in the calls for all."""

    def __init__(self, draws: Draws | Raised) -> None:
        self._draws = draws

    @property
    def elapsed_s(self) -> float:
        """Seconds of a call, a seed's share."""
        return 0.0 if isinstance(self._draws, Raised) else self._draws.elapsed_s

    def is_repeated(self, number: int) -> bool:
        """Return whether a second call came to the same."""
        return isinstance(self._draws, Raised) or bool(self._draws.is_repeated[number])

    def digest(self, number: int) -> str:
        """Return the digest of the array, or the name of the exception."""
        if isinstance(self._draws, Raised):
            return self._draws.exception
        return hashlib.sha256(self._draws.arrays[number].tobytes()).hexdigest()

    def text(self, number: int) -> str:
        """Return it as rows do."""
        if isinstance(self._draws, Raised):
            return outcome_text(self._draws)
        return outcome_text(returned(self._draws.arrays[number]))


class _Drawn:
    """The cases of a block that were drawn at once, and those that are judged alike."""

    def __init__(
        self,
        spec: InitializerSpec,
        goldens: Goldens,
        outcomes: _Outcomes,
        judged: Judged,
        entries: tuple[Limitation, ...],
    ) -> None:
        self._spec, self._goldens = spec, goldens
        self._outcomes, self._judged = outcomes, judged
        self._stated = [figure for entry in entries for figure in entry.figures.items()]
        self._alike: dict[tuple[str | None, Kind], _Alike] = {}

    @property
    def lots(self) -> list[Lot]:
        """The rows of those that were taken."""
        return [alike.lot() for alike in self._alike.values() if alike.digests]

    def learn(self, number: int, verdict: Verdict) -> None:
        """Take the row as that of the cases that are judged alike, if all here was judged so."""
        kind, row = self._judged.kinds[number], verdict.row
        if kind is None or row is None or not _is_template(verdict):
            return
        figures = json.loads(row.metrics)
        is_alike = row.departs_by == kind.departs_by and all(
            float(figures[name]) == self._judged.figures[name][number] for name in kind.figures
        )
        if is_alike:
            mode, elapsed_s = IN_BLOCK, self._outcomes.elapsed_s
            row = dataclasses.replace(row, mode=mode, elapsed_s=elapsed_s)
            overlay = None if row.drift_class is None else row.golden_from or ""
            self._alike.setdefault((overlay, kind), _Alike(row, kind))

    def take(self, number: int, case: Case) -> bool:
        """Add the row of the case, if one that is judged alike is known."""
        kind = self._judged.kinds[number]
        if kind is None or not self._outcomes.is_repeated(number):
            return False
        digest = self._outcomes.digest(number)
        golden = self._goldens.golden(case.problem.id, case.backend, installed_jax())
        if not self._is_as_before(digest, golden, case):
            return False
        alike = self._alike.get((None if golden is None else golden.overlay, kind))
        if alike is None:
            return False
        figures = {name: float(self._judged.figures[name][number]) for name in kind.figures}
        if kind.failed and not self._are_as_stated(figures):
            return False
        alike.add(case.problem.seed, digest, figures)
        return True

    def _is_as_before(self, digest: str, golden: Entry | None, case: Case) -> bool:
        """Return whether it is the golden; without one, whether no tier asks for any."""
        if golden is None:
            return tier_of(case.problem, self._spec) is None
        return _digest(golden.outcome) == digest

    def _are_as_stated(self, figures: Mapping[str, float]) -> bool:
        found = {name.partition(".")[2]: value for name, value in figures.items()}
        return all(is_as_stated(found.get(name, math.nan), value) for name, value in self._stated)


def _digest(outcome: Outcome) -> str:
    return outcome.sha256 if isinstance(outcome, Returned) else outcome.exception


class _Alike:
    """Cases that have the row but for what their seeds decide."""

    def __init__(self, row: Row, kind: Kind) -> None:
        self.digests: list[str] = []
        self._row, self._seeds = row, list[int]()
        self._figures: dict[str, list[float]] = {name: [] for name in kind.figures}

    def add(self, seed: int, digest: str, figures: Mapping[str, float]) -> None:
        """Add a case."""
        self._seeds.append(seed)
        self.digests.append(digest)
        for name, value in figures.items():
            self._figures[name].append(value)

    def lot(self) -> Lot:
        """Return their rows."""
        return Lot(
            row=self._row,
            seeds=tuple(self._seeds),
            digests=tuple(self.digests),
            figures={name: tuple(values) for name, values in self._figures.items()},
        )
