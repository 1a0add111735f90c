"""What a definition of moments alone can know: laws that a user declares."""

from __future__ import annotations

import math

from conformance.core.laws import Declared, NominalMoments
from conformance.core.records import DriftClass
from conformance.suite.faults.fault import (
    Fault,
    Shape,
    few_bits,
    mean_off,
    of_array,
    scaled,
    second_half_copied,
    variance_off,
)


def unit_normal(_: Shape) -> NominalMoments:
    """Return the moments of a normal of 1, and bounds where it hardly ever draws."""
    return NominalMoments(mean=0.0, variance=1.0, lower=-6.0, upper=6.0)


def _without_bounds(_: Shape) -> NominalMoments:
    return NominalMoments(mean=0.0, variance=1.0, lower=-math.inf, upper=math.inf)


FAULTS = (
    Fault(
        name="declared_variance_doubled",
        base="normal_1",
        wrong=variance_off(1.0),
        shape=(256, 64),
        definition=Declared(moments=unit_normal),
        caught_by="moments",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="declared_mean_shifted",
        base="normal_1",
        wrong=mean_off(0.5),
        shape=(256, 64),
        definition=Declared(moments=unit_normal),
        caught_by="moments",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="declared_without_bounds",
        base="normal_1",
        wrong=scaled(10.0),
        definition=Declared(moments=_without_bounds),
        is_definition=True,
        caught_by="moments",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="declared_second_half_copied",
        base="normal_1",
        wrong=of_array(second_half_copied),
        definition=Declared(moments=unit_normal),
        caught_by="statistics",
        drift=DriftClass.STRUCTURAL,
    ),
    Fault(
        name="declared_neighbours_share_a_draw",
        base="normal_1",
        wrong=few_bits,
        dtype="bfloat16",
        definition=Declared(moments=unit_normal),
        caught_by="statistics",
        drift=DriftClass.STREAM,
    ),
)
