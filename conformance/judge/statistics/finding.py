"""What a statistical test is, and what it finds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a test found.

    statistic: how far from what the law expects, as the test says it. p_value: the probability that
        a right initializer goes so far, or a bound on it.
    beyond: the probability that it goes further, where p_value is exact; NaN where it is a bound.
    certain: the smallest fault, in units of the statistic, that is seen with probability
        1 - CERTAIN; NaN where no formula tells. where: the place that the statistic is of.
    """

    statistic: float
    p_value: float
    beyond: float = math.nan
    certain: float = math.nan
    where: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """One test of a sample.

    says: its statistic, in words. measure: returns None where it does not apply.
    """

    name: str
    says: str
    measure: Callable[[Any], Finding | None]
