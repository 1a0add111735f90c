"""Faults on trial here, or in supervised workers: one that ends its process ends no other."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from conformance.cases.builtin import load_catalogue
from conformance.core.paths import shipped
from conformance.core.reading import record
from conformance.observe.process import force_host_devices
from conformance.observe.worker import Answered, Lost, Voice, left_after, together
from conformance.planted.fault import Fault
from conformance.planted.known import known_faults
from conformance.planted.record import Tried
from conformance.planted.trial import Trials
from conformance.store.budgets import stacked


def prepared() -> Trials:
    """Return what faults are tried by, in a process that has not started JAX.

    Raises:
        BudgetError: the shipped budgets cannot be read.
    """
    force_host_devices()
    return Trials(load_catalogue(), stacked(shipped()))


def tried_here(faults: Sequence[Fault]) -> Generator[Tried, None, None]:
    """Yield what comes of each fault, in this process."""
    yield from map(prepared().tried, faults)


def tried_apart(
    faults: Sequence[Fault], *, n_workers: int, timeout_s: float
) -> Generator[Tried, None, None]:
    """Yield the same, as it comes, from workers; of a fault that ended its process, how.

    timeout_s: for a fault.

    Raises:
        ConformanceError: whatever ended the task.
    """
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


def _lost(fault: Fault, reason: str) -> Tried:
    return Tried(
        name=fault.name,
        kind=fault.kind,
        question="",
        tier="",
        claim=fault.caught_by,
        killed_by=(),
        passed=(),
        lost=reason,
    )


TASK = "conformance.planted.apart:try_faults"


def try_faults(asked: Mapping[str, Any], lost: Mapping[str, str], voice: Voice) -> None:
    """Try, in a worker, the faults that come after the lost ones."""
    known = {fault.name: fault for fault in known_faults()}
    trials, left = prepared(), left_after(lost, asked["names"])
    voice.begin(left)
    for name in left:
        voice.answer(name, **dataclasses.asdict(trials.tried(known[name])))
