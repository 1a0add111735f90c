"""Initializers that are wrong on purpose, one file a kind, and the check that must catch each.

A fault claims to be one of the builtin initializers and is judged as that one. Only tests of the
harness and `conformance faults` load this: no run pays for it.
"""

import dataclasses
from types import ModuleType
from typing import TypeVar

from conformance.planted.fault import LayerFault, Planted
from conformance.suite.faults import (
    calls,
    circles,
    constants,
    contract,
    declared,
    departures,
    draws,
    endings,
    keys,
    law,
    layers,
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

AnyFault = TypeVar("AnyFault", Fault, LayerFault)

__all__ = ["BY_DESIGN", "EVERY", "FAULTS", "Fault"]


def _of(*kinds: ModuleType) -> tuple[Fault, ...]:
    """Return the faults of some files, of which each is a kind."""
    return tuple(_named(fault, kind) for kind in kinds for fault in kind.FAULTS)


def _named(fault: AnyFault, kind: ModuleType) -> AnyFault:
    return dataclasses.replace(fault, kind=kind.__name__.rpartition(".")[2])


FAULTS = _of(contract, constants, law, stream, order, matrices, declared, rbg, unsampled)

BY_DESIGN = _of(sizes, keys, transforms, calls)
"""Right wherever the planes look: only a case by design meets them, see `cases.coverage`."""

SWEPT = _of(swept)
"""Faults that the sweeps of laws show."""

LAYERS = tuple(_named(fault, layers) for fault in layers.FAULTS)

ENDINGS = _of(endings)
"""Of those the process ends: only workers try them."""

EVERY: tuple[Planted, ...] = (
    *FAULTS,
    *_of(departures, draws, circles, places, rounding, settings),
    *BY_DESIGN,
    *SWEPT,
    *LAYERS,
    *ENDINGS,
)
"""What `conformance faults` plants."""
