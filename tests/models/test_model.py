"""A model is found in what a target returns: flags, methods, other generators, foreign draws."""

from __future__ import annotations

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from conformance.models.audit import Audit, audit
from conformance.models.model import load

HERE = "tests.models.test_model"
X = np.ones((1, 16), np.float32)


@functools.cache
def audited(name: str) -> Audit:
    return audit(load(f"{HERE}:{name}", abstract=True))


class _Flagged(nn.Module):
    @nn.compact
    def __call__(self, x: Any, *, train: bool) -> Any:
        x = nn.BatchNorm(use_running_average=not train)(nn.Dense(8)(x))
        noise = nn.Dense(8, name="noise")(x)
        return x + noise if train else x


def required_flag() -> Any:
    return _Flagged(), X


def bound_flag() -> Any:
    return functools.partial(_Flagged(), train=False), X


def method_by_name() -> Any:
    return functools.partial(_Methods().init, method="encode", scale=2.0), X


class _Methods(nn.Module):
    def setup(self) -> None:
        self.encoder = nn.Dense(4)

    def encode(self, x: Any, scale: float = 1.0) -> Any:
        return self.encoder(x * scale)


def bound_method() -> Any:
    return _Methods().encode, X


class _Noisy(nn.Module):
    @nn.compact
    def __call__(self, x: Any) -> Any:
        self.sow("intermediates", "input", x)
        return nn.Dropout(0.5, deterministic=False, rng_collection="noise")(nn.Dense(4)(x))


def other_generator() -> Any:
    keys = {name: jax.random.key(0) for name in ("params", "noise")}
    return functools.partial(_Noisy().init, rngs=keys), X


partial = functools.partial(lambda size: (nn.Dense(size), X), 4)


class _Foreign(nnx.Module):
    def __init__(self, rngs: Any) -> None:
        self.table = nnx.Param(jnp.asarray(np.random.normal(size=(16, 4))))  # noqa: NPY002
        self.layer = nnx.Linear(4, 4, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.layer(x @ self.table[...])


def foreign(rngs: Any) -> Any:
    return _Foreign(rngs), X


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("required_flag", "Dense_0.kernel"),
        ("bound_flag", "Dense_0.kernel"),
        ("method_by_name", "encoder.kernel"),
        ("bound_method", "encoder.kernel"),
        ("other_generator", "Dense_0.kernel"),
        ("partial", "kernel"),
    ],
)
def test_flags_methods_and_generators_are_taken_as_they_are_bound(name: str, path: str) -> None:
    kernel = next(one for one in audited(name).parameters if one.path == path)

    assert kernel.fan_in == 16
    assert kernel.gain == pytest.approx(1)


def test_a_parameter_that_only_training_uses_is_used() -> None:
    notes = {one.path: one.notes for one in audited("required_flag").parameters}

    assert notes["noise.kernel"] == ()


def test_a_bound_flag_stays_as_it_is() -> None:
    notes = {one.path: one.notes for one in audited("bound_flag").parameters}

    assert notes["noise.kernel"] == ("not used",)


def test_what_is_drawn_outside_of_the_model_is_told() -> None:
    notes = {one.path: one.notes for one in audited("foreign").parameters}

    assert notes["table"][0] == "made outside the model: another construction gives other values"
    assert notes["layer.kernel"] == ()
