"""Initializers that are wrong on purpose, one file a kind, and the check that must catch each.

A fault claims to be one of the builtin initializers and is judged as that one. Only tests of the
harness import this: no run pays for it.
"""

from conformance.suite.faults import (
    calls,
    constants,
    contract,
    declared,
    keys,
    law,
    matrices,
    order,
    rbg,
    sizes,
    stream,
    transforms,
    unsampled,
)
from conformance.suite.faults.fault import Fault

__all__ = ["BY_DESIGN", "FAULTS", "Fault"]

FAULTS = (
    *contract.FAULTS,
    *constants.FAULTS,
    *law.FAULTS,
    *stream.FAULTS,
    *order.FAULTS,
    *matrices.FAULTS,
    *declared.FAULTS,
    *rbg.FAULTS,
    *unsampled.FAULTS,
)

BY_DESIGN = (*sizes.FAULTS, *keys.FAULTS, *transforms.FAULTS, *calls.FAULTS)
"""Right wherever the planes look: only a case by design meets them, see `cases.coverage`."""
