"""Faults under generators whose bits no oracle follows: the moments are all that is known."""

from __future__ import annotations

from typing import Any

from conformance.core.records import DriftClass
from conformance.suite.faults.fault import (
    Fault,
    few_bits,
    of_array,
    scaled,
    second_half_copied,
    shifted,
)


def _columns_swapped(array: Any) -> Any:
    return array.at[:, [3, 4]].set(array[:, [4, 3]])


FAULTS = (
    Fault(
        name="rbg_variance_doubled",
        base="normal_1",
        wrong=scaled(2**0.5),
        shape=(256, 64),
        prng="rbg",
        caught_by="moments",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="rbg_mean_shifted",
        base="normal_1",
        wrong=shifted(0.1),
        shape=(256, 64),
        dtype="bfloat16",
        prng="unsafe_rbg",
        caught_by="moments",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="rbg_uniform_drawn_from_its_middle",
        base="uniform_1",
        wrong=of_array(lambda a: a / 2 + 0.25),
        shape=(256, 64),
        dtype="float16",
        prng="rbg",
        caught_by="moments",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="rbg_second_half_copied",
        base="he_uniform",
        wrong=of_array(second_half_copied),
        prng="rbg",
        caught_by="independence",
        drift=DriftClass.STRUCTURAL,
    ),
    Fault(
        name="rbg_neighbours_share_a_draw",
        base="uniform",
        wrong=few_bits,
        dtype="float16",
        prng="unsafe_rbg",
        caught_by="independence",
        drift=DriftClass.STREAM,
    ),
    Fault(
        name="rbg_orthogonal_with_columns_swapped",
        base="orthogonal",
        wrong=of_array(_columns_swapped),
        prng="rbg",
        caught_by="oracle",
        drift=DriftClass.STRUCTURAL,
    ),
)
