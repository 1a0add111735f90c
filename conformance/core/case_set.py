"""Sets of cases, by their ids: as many bytes for a million seeds of one program as for two."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Iterator

Program = tuple[str, str]
"""What ids of cases that only the seed tells apart have before it, and after it."""

OF_SEEDS = re.compile(r"(.+?-s)(0|[1-9]\d*)(?::(\d+))?(-.+)")
"""The id of a case whose key is a seed, or of a block of such."""


class CaseSet:
    """Cases, those of one program as ranges of seeds.

    Ids are of cases or of blocks; a text that is neither, or a key that is no seed, stands for
    itself.
    """

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self._ends: dict[Program, list[int]] = {}
        self._others: dict[str, None] = {}
        for each in ids:
            self.add(each)

    def add(self, id_: str) -> None:
        """Take in a case, or all of a block."""
        if (found := _of_seeds(id_)) is None:
            self._others[id_] = None
        else:
            self._take(*found)

    def add_seeds(self, case_id: str, seeds: Iterable[int]) -> None:
        """Take in the cases that are like one of them but for their seeds."""
        found = _of_seeds(case_id)
        assert found is not None
        for each in _ranges(seeds):
            self._take(found[0], each)

    def __len__(self) -> int:
        """How many cases there are."""
        ends = self._ends.values()
        return len(self._others) + sum(sum(each[1::2]) - sum(each[::2]) for each in ends)

    def __or__(self, other: CaseSet) -> CaseSet:
        """Return the cases of both."""
        found = CaseSet([*self._others, *other._others])
        for mine in (self, other):
            for program, ends in mine._ends.items():
                for first, stop in zip(ends[::2], ends[1::2], strict=True):
                    found._take(program, range(first, stop))
        return found

    def left_of(self, id_: str) -> Iterator[str]:
        """Yield ids of what this set lacks: of the case, or of ranges of the block's seeds."""
        if (found := _of_seeds(id_)) is None:
            if id_ not in self._others:
                yield id_
            return
        program, seeds = found
        ends = self._ends.get(program, [])
        at, first = bisect.bisect_right(ends, seeds.start), seeds.start
        if at % 2:
            first, at = ends[at], at + 1
        while first < seeds.stop:
            stop = min(seeds.stop, ends[at] if at < len(ends) else seeds.stop)
            yield name_of(program, range(first, stop))
            if at + 1 >= len(ends):
                return
            first, at = ends[at + 1], at + 2

    def _take(self, program: Program, seeds: range) -> None:
        """Take in seeds. The ends of the ranges are in one list: from the first to before the next.

        An even number of them lies before each range, and touching ranges are one.
        """
        ends = self._ends.setdefault(program, [])
        if ends and ends[-1] == seeds.start:  # as they mostly come
            ends[-1] = seeds.stop
            return
        low, high = bisect.bisect_left(ends, seeds.start), bisect.bisect_right(ends, seeds.stop)
        first, last = ([] if low % 2 else [seeds.start]), ([] if high % 2 else [seeds.stop])
        ends[low:high] = [*first, *last]


def joined(ids: Iterable[str]) -> list[str]:
    """Return ids, a block and what follows it, or comes before it, as one; cases stay apart."""
    found: list[str] = []
    last: tuple[Program, range] | None = None
    for each in ids:
        this = _of_seeds(each)
        if last is not None and this is not None and _follows(this, last):
            last = last[0], range(last[1].start, this[1].stop)
            found[-1] = name_of(*last)
            continue
        last = this
        found.append(each)
    return found


def _follows(this: tuple[Program, range], last: tuple[Program, range]) -> bool:
    is_next = this[0] == last[0] and this[1].start == last[1].stop
    return is_next and len(this[1]) + len(last[1]) > 2


def n_cases(id_: str) -> int:
    """Return of how many cases it is the id."""
    found = _of_seeds(id_)
    return 1 if found is None else len(found[1])


def cases_of(id_: str) -> Iterator[str]:
    """Yield the ids of the cases that it is the id of."""
    if (found := _of_seeds(id_)) is None:
        yield id_
        return
    program, seeds = found
    yield from (name_of(program, range(seed, seed + 1)) for seed in seeds)


def name_of(program: Program, seeds: range) -> str:
    """Return the id of the case of one seed, or of the block of several."""
    which = f"{seeds.start}:{seeds.stop}" if len(seeds) > 1 else f"{seeds.start}"
    return f"{program[0]}{which}{program[1]}"


def _of_seeds(id_: str) -> tuple[Program, range] | None:
    found = OF_SEEDS.fullmatch(id_)
    if found is None:
        return None
    before, first, stop, after = found.groups()
    seeds = range(int(first), int(stop) if stop else int(first) + 1)
    return ((before, after), seeds) if seeds else None


def _ranges(seeds: Iterable[int]) -> Iterator[range]:
    """Yield seeds as the ranges in which they follow one another."""
    first = stop = -1
    for seed in seeds:
        if seed != stop:
            if stop >= 0:
                yield range(first, stop)
            first = seed
        stop = seed + 1
    if stop >= 0:
        yield range(first, stop)
