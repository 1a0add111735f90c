"""Faults on trial here, or in supervised workers: one that ends its process ends no other."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from conformance.cases.builtin import load_catalogue
from conformance.cases.planes import tier_of
from conformance.core.paths import shipped
from conformance.core.reading import record
from conformance.observe.process import force_host_devices
from conformance.observe.worker import Answered, Lost, Voice, left_after, together
from conformance.planted.fault import PROCESS, Fault, LayerFault, Planted
from conformance.planted.known import known_faults
from conformance.planted.record import Tried
from conformance.planted.trial import BACKEND, Trials
from conformance.store.budgets import stacked


def prepared() -> Trials:
    """Return what faults are tried by, in a process that has not started JAX.

    Raises:
        BudgetError: the shipped budgets cannot be read.
    """
    force_host_devices()
    return Trials(load_catalogue(), stacked(shipped()))


HANG_S = 30.0
"""After which a fault that is to end its process is taken to hang: any other is done in seconds."""


def tried_here(faults: Sequence[Planted]) -> Generator[Tried, None, None]:
    """Yield what comes of each fault, in this process; those that would end it are not tried."""
    trials = prepared()
    for fault in faults:
        if isinstance(fault, Fault) and fault.ends:
            yield _lost(fault, "it ends its process, which is this one: leave out --in-process")
        else:
            yield trials.tried(fault)


def tried_apart(
    faults: Sequence[Planted], *, n_workers: int, timeout_s: float
) -> Generator[Tried, None, None]:
    """Yield the same, as it comes, from workers; of a fault that ended its process, how.

    timeout_s: for a fault.

    Raises:
        ConformanceError: whatever ended the task.
    """
    ending = [fault for fault in faults if isinstance(fault, Fault) and fault.ends]
    yield from _tried_by(ending, 1, min(timeout_s, HANG_S))
    yield from _tried_by([each for each in faults if each not in ending], n_workers, timeout_s)


def _tried_by(
    faults: Sequence[Planted], n_workers: int, timeout_s: float
) -> Generator[Tried, None, None]:
    if not faults:
        return
    known = {fault.name: fault for fault in faults}
    names = list(known)
    asked = [{"names": part} for number in range(n_workers) if (part := names[number::n_workers])]
    with contextlib.closing(together(TASK, asked, timeout_s)) as events:
        for event in events:
            match event:
                case Answered():
                    yield record(Tried, event.answer)
                case Lost():
                    yield _lost(known[event.case], event.reason)


def _lost(fault: Planted, reason: str) -> Tried:
    """Return that a fault ended its process: as it was to, or so that nothing is known of it."""
    lost = Tried(
        name=fault.name,
        kind=fault.kind,
        question="",
        tier="",
        claim=fault.caught_by,
        killed_by=(),
        passed=(),
        lost=reason,
    )
    if isinstance(fault, LayerFault) or not fault.ends or fault.ends not in reason:
        return lost
    case, spec = fault.case(BACKEND), load_catalogue().lookup(fault.base)
    return dataclasses.replace(
        lost,
        question=case.id,
        tier=str(tier_of(case.problem, spec) or ""),
        killed_by=(PROCESS,),
        says={PROCESS: reason},
        lost="",
    )


TASK = "conformance.planted.apart:try_faults"


def try_faults(asked: Mapping[str, Any], lost: Mapping[str, str], voice: Voice) -> None:
    """Try, in a worker, the faults that come after the lost ones."""
    known = {fault.name: fault for fault in known_faults()}
    trials, left = prepared(), left_after(lost, asked["names"])
    voice.begin(left)
    for name in left:
        voice.answer(name, **dataclasses.asdict(trials.tried(known[name])))
