"""What came of a planted fault: which checks killed it, where, and down to which magnitude."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of one fault.

    question: the id of the case, or of the sweep, that was asked.
    tier: the smallest whose cases kill it; "" where none does, and only the question by name does.
    claim: the check that the fault says must kill it.
    killed_by: checks that failed. passed: that looked and saw nothing; the others did not apply.
    says: the first line of what each of the former said.
    tests: of the check `statistics`, the tests that refused.
    right_failed: checks that the right initializer failed there: then no death proves anything.
    magnitude, unit: as planted; 0 and "" of a fault that cannot be more or less so.
    smallest: the least magnitude that each check still killed, to a factor of `search.PRECISION`;
        none of faults without magnitude.
    drift: the class of the change from the right array, and drift_claimed the one that the fault
        says; "" of sweeps.
    lost: how it ended its process, or "".
    """

    name: str
    kind: str
    question: str
    tier: str
    claim: str
    killed_by: tuple[str, ...]
    passed: tuple[str, ...]
    says: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tests: tuple[str, ...] = ()
    right_failed: tuple[str, ...] = ()
    magnitude: float = 0.0
    unit: str = ""
    smallest: Mapping[str, float] = dataclasses.field(default_factory=dict)
    drift: str = ""
    drift_claimed: str = ""
    lost: str = ""
