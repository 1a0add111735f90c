"""Initializers that are wrong on purpose, one file a kind, and the check that must catch each.

A fault claims to be one of the builtin initializers and is judged as that one. Only tests of the
harness and `conformance faults` load this: no run pays for it.
"""

import dataclasses
from types import ModuleType

from conformance.suite.faults import (
    calls,
    constants,
    contract,
    declared,
    departures,
    draws,
    keys,
    law,
    matrices,
    order,
    places,
    rbg,
    rounding,
    settings,
    sizes,
    stream,
    swept,
    transforms,
    unsampled,
)
from conformance.suite.faults.fault import Fault

__all__ = ["BY_DESIGN", "EVERY", "FAULTS", "Fault"]


def _of(*kinds: ModuleType) -> tuple[Fault, ...]:
    """Return the faults of some files, of which each is a kind."""
    return tuple(
        dataclasses.replace(fault, kind=kind.__name__.rpartition(".")[2])
        for kind in kinds
        for fault in kind.FAULTS
    )


FAULTS = _of(contract, constants, law, stream, order, matrices, declared, rbg, unsampled)

BY_DESIGN = _of(sizes, keys, transforms, calls)
"""Right wherever the planes look: only a case by design meets them, see `cases.coverage`."""

SWEPT = _of(swept)
"""Faults that the sweeps of laws show."""

EVERY = (*FAULTS, *_of(departures, draws, places, rounding, settings), *BY_DESIGN, *SWEPT)
"""What `conformance faults` plants."""
