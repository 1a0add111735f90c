"""Ranges of seeds on a Ray cluster: blocks are judged where they are drawn.

What comes home of a block is what a worker of this machine tells of it, so the rows are the same;
of one that plainly passed, the line to be written and what a run counts of it, no more. Were the
arrays sent home instead, whoever judges them would be the limit: judging takes as long as drawing.
A node must judge by the very goldens, ledger and policy of the command, or it is refused.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from conformance.core.errors import FleetUnavailable
from conformance.core.ids import Block, Case, parse_unit
from conformance.observe import fleet, programs
from conformance.report.lots import Lots, Told, summed_up
from conformance.run.isolated import answers_of
from conformance.run.options import read_given, rerun
from conformance.run.session import Session

Answer = tuple[list[dict[str, Any]], Lots | Told]
"""What comes of a block: of cases with rows of their own, see `verdict_told`, and of all others."""

MOST_CASES = 25_000
"""Of one parcel: about a second of work, beside which what Ray does for a task is nothing."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """Blocks of one program: what one worker does in one go. asked: as `judge_parcel` takes it."""

    blocks: tuple[Block, ...]
    asked: str

    @property
    def name(self) -> str:
        """The ids of its first and last block."""
        return " to ".join(dict.fromkeys((self.blocks[0].id, self.blocks[-1].id)))

    @property
    def backend(self) -> str:
        """The backend of its cases."""
        return self.blocks[0].case.backend

    @property
    def call(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """What a worker does: see `judge_parcel`."""
        return judge_parcel, (self.asked, tuple(block.id for block in self.blocks))

    @property
    def n_ahead(self) -> int:
        """One: it is a second of work, and a worker that waits for its next one is lost."""
        return 1

    @property
    def parts(self) -> Sequence[fleet.Work]:
        """The blocks one by one: of many only one may be what ends a worker."""
        if len(self.blocks) == 1:
            return ()
        return [Parcel(blocks=(block,), asked=self.asked) for block in self.blocks]


def parcels_of(blocks: Iterable[Block], asked: str) -> list[Parcel]:
    """Return the blocks, in their order, in parcels of one program."""
    parcels: list[list[Block]] = []
    for block in blocks:
        last = parcels[-1] if parcels else []
        is_of_last = last and last[0].case.of_seed(0) == block.case.of_seed(0)
        n_cases = sum(len(each.seeds) for each in (*last, block))
        if is_of_last and n_cases <= MOST_CASES:
            last.append(block)
        else:
            parcels.append([block])
    return [Parcel(blocks=tuple(parcel), asked=asked) for parcel in parcels]


def asked_of_nodes(given: Mapping[str, Any], run_id: str, address: str, judged_by: str) -> str:
    """Return what every node is told. given: what `options.given` told. judged_by: see `Bench`."""
    told = {"given": given, "run_id": run_id, "address": address, "judged_by": judged_by}
    return json.dumps(told)


# --- On a worker ---------------------------------------------------------------------------------
def judge_parcel(asked: str, ids: Sequence[str]) -> list[Answer]:
    """Return what comes of each block here.

    Raises:
        FleetUnavailable: this node judges by something else than the command does.
        BackendUnavailable: it has no device of the backend.
        StoreError, LedgerError: it cannot read the goldens or the ledger.
    """
    session = _session(asked)
    blocks = (unit for unit in map(parse_unit, ids) if isinstance(unit, Block))
    answers = (answers_of(block, session) for block in blocks)
    return [(own, summed_up(lots)) for own, lots in answers]


@functools.lru_cache(maxsize=1)
def _session(asked: str) -> Session:
    """Return what the parcels of a run share in this process."""
    told = json.loads(asked)
    session = _OnNode(told["given"], told["run_id"], told["address"])
    if session.judged_by != told["judged_by"]:
        raise FleetUnavailable(
            f"it judges by {session.judged_by}, and the command by {told['judged_by']}: give both "
            "the same version of this package, goldens and ledger"
        )
    _KEPT.enter_context(programs.kept(session.prepared().environment))
    return session


_KEPT = contextlib.ExitStack()
"""Compiled programs, until this process ends."""


class _OnNode(Session):
    """A session of a node of the cluster at an address."""

    def __init__(self, given: Mapping[str, Any], run_id: str, address: str) -> None:
        super().__init__(read_given(given), run_id)
        self._address = address

    def rerun(self, case: Case) -> str:
        """Return the command that runs the case again on the cluster."""
        words = ["conformance", "run", case.id, "--fleet", self._address]
        return rerun(words, self.options, self.environment)
