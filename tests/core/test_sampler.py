"""Which sampler a definition calls for: its kind, its shape and its bounds."""

from __future__ import annotations

import math

import pytest

from conformance.core.laws import (
    Constant,
    Definition,
    DeltaOrthogonal,
    NominalMoments,
    Normal,
    Orthogonal,
    Sampler,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
    sampler_of,
)
from tests.evidence import declared

SHAPE = (3, 3, 4, 8)
LAW = NominalMoments(mean=0, variance=1, lower=-1, upper=1)


def scaling(distribution: str) -> VarianceScaling:
    return VarianceScaling(scale=2.0, mode="fan_in", distribution=distribution)


@pytest.mark.parametrize(
    ("definition", "sampler"),
    [
        (Normal(stddev=3.0), Sampler(kind="normal", shape=SHAPE)),
        (scaling("normal"), Sampler(kind="normal", shape=SHAPE)),
        (
            TruncatedNormal(stddev=3.0),
            Sampler(kind="truncated_normal", shape=SHAPE, lower=-2.0, upper=2.0),
        ),
        (
            TruncatedNormal(stddev=3.0, lower=-1.0, upper=math.inf),
            Sampler(kind="truncated_normal", shape=SHAPE, lower=-1.0, upper=math.inf),
        ),
        (
            scaling("truncated_normal"),
            Sampler(kind="truncated_normal", shape=SHAPE, lower=-2.0, upper=2.0),
        ),
        (Uniform(scale=3.0), Sampler(kind="uniform", shape=SHAPE, lower=0.0, upper=1.0)),
        (scaling("uniform"), Sampler(kind="uniform", shape=SHAPE, lower=-1.0, upper=1.0)),
        (Orthogonal(), Sampler(kind="normal", shape=(36, 8))),
        (Orthogonal(column_axis=0), Sampler(kind="normal", shape=(96, 3))),
        (Orthogonal(column_axis=-2), Sampler(kind="normal", shape=(72, 4))),
        (DeltaOrthogonal(), Sampler(kind="normal", shape=(8, 4))),
        (Constant(value=1.0), None),
        (declared(LAW), None),
        (None, None),
    ],
)
def test_a_definition_calls_for_its_sampler(
    definition: Definition | None, sampler: Sampler | None
) -> None:
    assert sampler_of(definition, SHAPE) == sampler


def test_a_sampler_without_bounds_draws_from_all_numbers() -> None:
    sampler = Sampler(kind="normal", shape=())

    assert (sampler.lower, sampler.upper) == (-math.inf, math.inf)
