"""Right initializers at the ends of their formats pass every check, without a warning."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from jax.nn import initializers

from conformance.cases.catalogue import Catalogue
from conformance.core.arrays import returned, sampled
from conformance.core.ids import Case, Problem
from conformance.core.laws import (
    Constant,
    Definition,
    Normal,
    Orthogonal,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
)
from conformance.core.paths import BUDGETS, shipped
from conformance.core.records import DriftClass, Returned, Status
from conformance.core.settings import installed_jax
from conformance.judge.drift import classify
from conformance.observe.observer import Observer
from conformance.store import budgets
from tests.benches import bench

Build = Callable[[], Any]

LAWS: dict[str, tuple[Definition, Build]] = {
    "uniform-1e-7": (Uniform(scale=1e-7), lambda: initializers.uniform(1e-7)),
    "truncated-1e-7": (
        TruncatedNormal(stddev=1e-7),
        lambda: initializers.truncated_normal(1e-7),
    ),
    "normal-0": (Normal(stddev=0.0), lambda: initializers.normal(0.0)),
    "uniform-0": (Uniform(scale=0.0), lambda: initializers.uniform(0.0)),
    "scaling-0": (
        VarianceScaling(scale=0.0, mode="fan_in", distribution="normal"),
        lambda: initializers.variance_scaling(0.0, "fan_in", "normal"),
    ),
    "orthogonal-0": (Orthogonal(scale=0.0), lambda: initializers.orthogonal(0.0)),
    "normal-1e200": (Normal(stddev=1e200), lambda: initializers.normal(1e200)),
    "normal-1e100": (Normal(stddev=1e100), lambda: initializers.normal(1e100)),
    "constant-1e300": (Constant(value=1e300), lambda: initializers.constant(1e300)),
}


LARGE = ("normal-0", "normal-1e100", "normal-1e200", "constant-1e300")
"""Laws whose fourth moments, or variances, are beyond a float64, and one of no variance."""


@pytest.mark.parametrize("shape", [(64, 32), (128, 64)], ids=str)
@pytest.mark.parametrize(
    ("law", "dtype"),
    [
        *[(law, "float16") for law in ("uniform-1e-7", "truncated-1e-7", "normal-0")],
        *[(law, "float32") for law in ("normal-0", "uniform-0", "scaling-0", "orthogonal-0")],
        *[(law, "float64") for law in LARGE],
    ],
)
def test_a_right_initializer_passes_every_check(
    law: str, dtype: str, shape: tuple[int, ...]
) -> None:
    """Beside its own outcome as golden: of 8,192 elements a sample."""
    definition, build = LAWS[law]
    catalogue = Catalogue()
    catalogue.register("mine", build, definition=definition, family=law.partition("-")[0])
    problem = Problem(initializer="mine", dtype=dtype, shape=shape, seed=0)
    case = Case(problem=problem, backend="cpu", transform="eager")
    observation = Observer().observe(case, catalogue.lookup("mine"))
    assert isinstance(observation.outcome, Returned)

    golden = dataclasses.replace(observation, outcome=sampled(observation.outcome))

    table = budgets.load(shipped() / BUDGETS)
    result = bench(catalogue, golden, budgets=table).judge(observation, installed_jax())

    assert [check.message for check in result.checks if check.status is Status.FAILED] == []
    assert result.drift is not None
    assert result.drift.drift_class is DriftClass.IDENTICAL


@pytest.mark.parametrize("size", [2048, 8192])
def test_zeros_and_ones_of_float64_are_compared_without_a_warning(size: int) -> None:
    zeros, ones = np.zeros(size), np.ones(size)

    assert classify(returned(zeros), returned(ones)).drift_class is DriftClass.LAW
    assert classify(returned(ones), returned(zeros)).drift_class is DriftClass.LAW
