"""What must be one constant is not, by a bit or in one element."""

from __future__ import annotations

from conformance.core.records import DriftClass
from conformance.suite.faults.fault import Fault, of_array

FAULTS = (
    Fault(
        name="constant_one_ulp_off",
        base="constant_third",
        wrong=of_array(lambda a: a * (1 + 2**-23)),
        caught_by="structure",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="ones_but_for_the_last",
        base="ones",
        wrong=of_array(lambda a: a.at[-1, -1].set(0)),
        caught_by="structure",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="minus_zero",
        base="zeros",
        wrong=of_array(lambda a: -a),
        caught_by="structure",
        drift=DriftClass.LAW,
    ),
)
