"""Facts that only a seed and a digest tell apart, held as one of them and those two columns.

A million of them take 40 MB, where as many `Fact` take two thousand. What all sources agree on, and
nobody has anything to tell of, never becomes more than that. Pure.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from conformance.core.ids import Problem
from conformance.core.records import Status
from conformance.merge.facts import Agreed, Fact, Place

Seeds = npt.NDArray[np.uint64]
Digests = npt.NDArray[np.uint8]

DIGEST_BYTES = 32
"""Of SHA-256. What raised has none: zeros stand for it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lot:
    """Facts of one program, place, judgement and source, of one seed each.

    fact: of any of them. head: their outcome, without the digest if it has one. seeds: uint64 (n,).
    digests: uint8 (n, DIGEST_BYTES).
    """

    fact: Fact
    head: str
    seeds: Seeds
    digests: Digests

    @property
    def program(self) -> Problem:
        """The problem that all of them ask, but for its seed."""
        return of_seed(self.fact.problem, 0)

    def facts(self, where: npt.NDArray[np.bool_] | None = None) -> Iterator[Fact]:
        """Yield the facts, all or those that are asked for."""
        places = range(len(self.seeds)) if where is None else np.flatnonzero(where).tolist()
        for place in places:
            problem = of_seed(self.fact.problem, int(self.seeds[place]))
            yield dataclasses.replace(self.fact, problem=problem, outcome=self.outcome(place))

    def outcome(self, place: int) -> str:
        """Return the outcome of one of them."""
        has_digest = self.head != self.fact.outcome
        return f"{self.head}{self.digests[place].tobytes().hex() if has_digest else ''}"


def of_seed(problem: Problem, seed: int) -> Problem:
    """Return the problem with another seed."""
    return dataclasses.replace(problem, seed=seed)


def settled(
    lots: Iterable[Lot], busy: Collection[Problem], golden: Callable[[Problem], str | None]
) -> tuple[list[Agreed], list[Fact]]:
    """Return what all lots agree on, and the facts of all other problems.

    All agree on a problem where each fact has one outcome, which is the golden's if there is one,
    none failed, and those of one place were judged alike.

    busy: problems of which there are other facts, which must meet those of the lots. golden: the
        outcome of a problem's golden, as text; None where it has none.
    """
    of_program: dict[Problem, list[Lot]] = {}
    for lot in lots:
        of_program.setdefault(lot.program, []).append(lot)
    occupied: dict[Problem, list[int]] = {}
    for problem in busy:
        occupied.setdefault(of_seed(problem, 0), []).append(problem.seed)
    agreed: list[Agreed] = []
    told: list[Fact] = []
    for program in sorted(of_program):
        asked = _Program(of_program[program])
        asked.tell(np.isin(asked.seeds, np.array(occupied.get(program, []), np.uint64)))
        asked.tell(_unlike_golden(asked, golden))
        agreed += asked.agreed()
        told += asked.facts()
    return agreed, told


def _unlike_golden(
    asked: _Program, golden: Callable[[Problem], str | None]
) -> npt.NDArray[np.bool_]:
    """Return of which seeds there is a golden, and it is another outcome."""
    program = asked.program
    texts = (golden(of_seed(program, seed)) for seed in asked.seeds.tolist())
    return np.array(
        [text is not None and text != asked.outcome(n) for n, text in enumerate(texts)], np.bool_
    )


class _Program:
    """The lots of one program, side by side: by seed, whether there is anything to tell."""

    def __init__(self, lots: Sequence[Lot]) -> None:
        self._lots = lots
        self.program = lots[0].program
        # Asked for counts, NumPy sorts; else it hashes integers, which takes ten times as long.
        self.seeds: Seeds
        self.seeds, _ = np.unique(np.concatenate([lot.seeds for lot in lots]), return_counts=True)
        self._places = [np.searchsorted(self.seeds, lot.seeds) for lot in lots]
        self._is_told = np.zeros(len(self.seeds), np.bool_)
        self._compare_outcomes()
        self._compare_judgements()

    def tell(self, where: npt.NDArray[np.bool_]) -> None:
        """Note that there is something to tell of these seeds."""
        self._is_told |= where

    def outcome(self, n: int) -> str:
        """Return the first outcome of a seed, as text."""
        lot: Lot = self._lots[self._first[n]]
        return lot.outcome(int(self._row[n]))

    def _compare_outcomes(self) -> None:
        """Note each seed of which two facts have other outcomes."""
        heads = {head: n for n, head in enumerate(dict.fromkeys(lot.head for lot in self._lots))}
        n_seeds = len(self.seeds)
        self._first, self._row = np.full(n_seeds, -1), np.zeros(n_seeds, np.int64)
        head = np.zeros(n_seeds, np.int64)
        digests = np.zeros((n_seeds, DIGEST_BYTES), np.uint8)
        for n, (lot, places) in enumerate(zip(self._lots, self._places, strict=True)):
            # Of a seed that a lot has twice, the last row is the first outcome, and both meet it.
            new = self._first[places] < 0
            head[places[new]], digests[places[new]] = heads[lot.head], lot.digests[new]
            self._first[places[new]], self._row[places[new]] = n, np.flatnonzero(new)
            unlike = (head[places] != heads[lot.head]) | (digests[places] != lot.digests).any(1)
            self._is_told[places[unlike]] = True
            if lot.fact.judgement is not None and lot.fact.judgement.status == Status.FAILED:
                self._is_told[places] = True

    def _compare_judgements(self) -> None:
        """Note each seed that two sources judged otherwise at one place."""
        said = {text: n for n, text in enumerate(dict.fromkeys(map(_said, self._lots)))}
        known: dict[tuple[Place, str], npt.NDArray[np.int64]] = {}
        for lot, places in zip(self._lots, self._places, strict=True):
            if lot.fact.judgement is None:
                continue
            where = lot.fact.place, lot.fact.transform
            code, before = said[_said(lot)], known.setdefault(where, np.full(len(self.seeds), -1))
            self._is_told[places[(before[places] >= 0) & (before[places] != code)]] = True
            before[places] = code

    def agreed(self) -> Iterator[Agreed]:
        """Yield the seeds of which nothing is told, by who answered."""
        answered: dict[tuple[str, Place, str], npt.NDArray[np.bool_]] = {}
        for lot, places in zip(self._lots, self._places, strict=True):
            by = lot.fact.root, lot.fact.place, lot.fact.transform
            answered.setdefault(by, np.zeros(len(self.seeds), np.bool_))[places] = True
        by_whom = sorted(answered)
        plain = np.flatnonzero(~self._is_told)
        if not len(plain):
            return
        table = np.stack([answered[by][plain] for by in by_whom], axis=1)
        kinds, kind = np.unique(table, axis=0, return_inverse=True)
        for n, is_there in enumerate(kinds):
            yield Agreed(
                program=self.program,
                seeds=tuple(_ranges(self.seeds[plain[kind.ravel() == n]])),
                by=tuple(itertools.compress(by_whom, is_there)),
            )

    def facts(self) -> Iterator[Fact]:
        """Yield the facts of the seeds of which something is told."""
        for lot, places in zip(self._lots, self._places, strict=True):
            yield from lot.facts(self._is_told[places])


def _said(lot: Lot) -> str:
    return str(lot.fact.judgement)


def _ranges(seeds: Seeds) -> Iterator[range]:
    """Yield sorted seeds as the ranges that they fill."""
    ends = np.flatnonzero(np.diff(seeds) != 1) + 1
    for part in np.split(seeds, ends):
        yield range(int(part[0]), int(part[-1]) + 1)
