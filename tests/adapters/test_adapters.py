"""Initializers of other libraries, as the adapters register them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

import conformance
from conformance.cases.catalogue import InitializerSpec
from conformance.cases.sweeps import is_swept, sweep_case
from conformance.core.laws import AS_JAX, SCALE_ONCE, ScaledBounds, expected_error
from conformance.core.records import Budget, Status
from conformance.judge.law.accuracy import gather
from conformance.judge.law.checks import judge_law
from conformance.observe.backends import open_backend
from conformance.observe.sweep import sweep
from tests.adapters import registered

LIBRARIES = ("haiku", "keras", "equinox")

ANY = Budget(max_ulp=8, max_ulp_at_sigma=8.0)


@pytest.fixture(scope="module", params=LIBRARIES)
def specs(request: pytest.FixtureRequest) -> Mapping[str, InitializerSpec]:
    """Return what an adapter registers."""
    return registered(request.param)


def shape_of(spec: InitializerSpec, dtype: str = "bfloat16") -> tuple[int, ...]:
    """Return a small shape that the initializer takes."""
    shapes = ((64, 32), (8,), (4, 3, 2), (4, 3, 2, 2))
    return next(shape for shape in shapes if not expected_error(spec.definition, shape, dtype))


def failed(spec: InitializerSpec, shape: tuple[int, ...], **changes: Any) -> str:
    """Return what fails in bfloat16, under the definition with the changes; "" if nothing."""
    assert spec.definition is not None
    observed = conformance.observe(
        spec.build(),
        definition=dataclasses.replace(spec.definition, **changes),
        shape=shape,
        dtype="bfloat16",
        key=3,
    )
    judged = conformance.judge(observed)
    return "" if judged.has_passed else str(judged)


def test_each_is_as_its_library_promises(specs: Mapping[str, InitializerSpec]) -> None:
    found = {
        name: failed(spec, (8, 4) if "orthogonal" in name else shape_of(spec))
        for name, spec in specs.items()
    }

    assert len(found) >= 5
    assert {name: said for name, said in found.items() if said} == {}


def test_each_draws_with_the_key_that_it_says(specs: Mapping[str, InitializerSpec]) -> None:
    drawing = {
        name: spec
        for name, spec in specs.items()
        if spec.definition and spec.definition.unit and spec.definition.draws_as_given
    }

    passed = [n for n, each in drawing.items() if not failed(each, shape_of(each), drawn_with="s9")]

    assert drawing
    assert passed == []


def test_laws_are_those_of_the_roundings_that_they_say(
    specs: Mapping[str, InitializerSpec],
) -> None:
    """And of no other: those that go about it as JAX does aside, each fails as such."""
    right, wrong = {}, []
    for name, spec in specs.items():
        if not is_swept(spec):
            continue
        assert spec.definition is not None
        case = sweep_case(spec, "bfloat16", "cpu", "eager")
        swept = sweep(spec, case, open_backend("cpu"))
        results = judge_law(gather(spec.definition, swept, ANY))
        right[name] = [each.message for each in results if each.status is Status.FAILED]
        if spec.definition.rounds not in (AS_JAX, SCALE_ONCE) and not isinstance(
            spec.definition, ScaledBounds
        ):
            definition = dataclasses.replace(spec.definition, rounds=SCALE_ONCE)
            results = judge_law(gather(definition, swept, ANY))
            wrong.append(any(each.status is Status.FAILED for each in results))

    assert right
    assert {name: said for name, said in right.items() if said} == {}
    assert "haiku_identity" not in specs or any(wrong)
