"""The right values in the wrong places."""

from __future__ import annotations

from typing import Any

from conformance.core.records import DriftClass
from conformance.suite.faults.fault import Fault, of_array, second_half_copied


def _rows_swapped(array: Any) -> Any:
    import numpy as np

    return array.at[np.array([0, 1])].set(array[np.array([1, 0])])


FAULTS = (
    Fault(
        name="transposed",
        base="glorot_normal",
        wrong=of_array(lambda a: a.T),
        shape=(32, 32),
        caught_by="oracle",
        drift=DriftClass.STRUCTURAL,
    ),
    Fault(
        name="second_half_copied",
        base="normal",
        wrong=of_array(second_half_copied),
        caught_by="oracle",
        drift=DriftClass.STRUCTURAL,
    ),
    Fault(
        name="float64_neighbour_rows_swapped",
        base="uniform",
        wrong=of_array(_rows_swapped),
        dtype="float64",
        caught_by="oracle",
        drift=DriftClass.STRUCTURAL,
    ),
)
