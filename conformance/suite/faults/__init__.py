"""Initializers that are wrong on purpose, one file a kind, and the check that must catch each.

A fault claims to be one of the builtin initializers and is judged as that one. Only tests of the
harness import this: no run pays for it.
"""

from conformance.suite.faults import (
    constants,
    contract,
    declared,
    law,
    matrices,
    order,
    rbg,
    stream,
    unsampled,
)
from conformance.suite.faults.fault import Fault

__all__ = ["FAULTS", "Fault"]

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
