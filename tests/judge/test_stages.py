"""The first differing stage is named, by what the backend itself computes."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import Catalogue
from conformance.core.ids import Case, parse_case
from conformance.core.records import DriftClass, Status
from conformance.judge.checks.oracle import exact_stages
from conformance.judge.drift import first_differing_stage
from conformance.observe.backends import open_backend
from conformance.observe.observer import Observer
from conformance.oracle import solve
from conformance.run.evaluate import evaluate
from tests import small_golden
from tests.benches import bench

CASE = parse_case("lecun_normal-float32-64x32-s0-cpu-eager")


def stages(case: Case) -> dict[str, str]:
    spec = load_catalogue().lookup(case.problem.initializer)
    return dict(open_backend("cpu").stages(case, spec))


def changed(case: Case, **fields: Any) -> Case:
    return dataclasses.replace(case, problem=dataclasses.replace(case.problem, **fields))


@pytest.mark.parametrize(
    ("other", "stage"),
    [
        (changed(CASE, seed=1), "key"),
        (changed(CASE, prng="threefry2x32_nonpartitionable"), "bits"),
        (changed(CASE, initializer="truncated_normal_3sigma"), "uniform"),
        (changed(CASE, initializer="he_normal"), "scaled"),
    ],
)
def test_the_first_stage_that_differs_is_named(other: Case, stage: str) -> None:
    assert first_differing_stage(stages(other), stages(CASE)) == stage


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize(
    "name", ["normal", "truncated_normal", "uniform", "glorot_uniform", "he_normal", "orthogonal"]
)
def test_key_bits_and_uniforms_are_the_oracles(name: str, dtype: str) -> None:
    case = changed(CASE, initializer=name, dtype=dtype, shape=(64, 32))
    definition = load_catalogue().lookup(name).definition
    assert definition is not None
    exact = exact_stages(solve(case.problem, definition), dtype)

    found = stages(case)

    assert list(exact) == ["key", "bits", "uniform"]
    assert {stage: found[stage] for stage in exact} == exact


def test_a_constant_has_no_stages() -> None:
    assert stages(changed(CASE, initializer="zeros")) == {}


def test_the_stream_break_of_jax_0_5_is_found_in_the_bits() -> None:
    """`jax_threefry_partitionable` became True in 0.5.0; turned off, today's JAX drifts back."""
    catalogue = load_catalogue()
    golden = small_golden.observed(CASE, catalogue)

    with jax.threefry_partitionable(False):
        result = evaluate(CASE, bench(catalogue, golden), Observer())

    assert result.drift is not None
    assert result.drift.drift_class is DriftClass.STREAM
    assert result.drift.stage == "bits"
    messages = [check.message for check in result.checks if check.status is Status.FAILED]
    assert all("first differing stage: bits; class: stream" in message for message in messages)


def test_what_is_as_wrong_as_the_golden_is_told_by_the_stages_of_the_golden() -> None:
    """They were recorded of the same bits, so nobody looks into them again."""
    catalogue = load_catalogue()
    with jax.threefry_partitionable(False):
        golden = small_golden.observed(CASE, catalogue)
        result = evaluate(CASE, bench(catalogue, golden), Observer())

    assert result.drift is not None
    assert result.drift.drift_class is DriftClass.IDENTICAL
    (failed,) = [check for check in result.checks if check.status is Status.FAILED]
    assert failed.check == "oracle"
    assert "first differing stage: bits" in failed.message


def standard(key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Return what `truncated_normal_1` does, by the sampler that is public."""
    return jax.random.truncated_normal(key, -2.0, 2.0, shape, dtype)


def test_one_ulp_in_the_unit_variate_is_rounding_of_that_stage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A kernel that errs by one ULP: harmless by default, and named under the strict policy."""
    case = changed(CASE, initializer="truncated_normal_1")
    catalogue = Catalogue()
    spec = load_catalogue().lookup("truncated_normal_1")
    catalogue.add(dataclasses.replace(spec, build=lambda: standard))
    golden = small_golden.observed(case, catalogue)
    strict = bench(catalogue, golden, max_drift=DriftClass.IDENTICAL)
    right = jax.random.truncated_normal

    def either_way(*arguments: Any, **options: Any) -> Any:
        unit = right(*arguments, **options)
        return jnp.nextafter(unit, jnp.resize(jnp.array([9.0, -9.0]), unit.shape))

    monkeypatch.setattr(jax.random, "truncated_normal", either_way)

    result = evaluate(case, strict, Observer())

    assert result.drift is not None
    assert result.drift.drift_class is DriftClass.ROUNDING
    assert result.drift.max_ulp == 1
    assert result.drift.stage == "unit"
    assert [c.check for c in result.checks if c.status is Status.FAILED] == ["values"]
