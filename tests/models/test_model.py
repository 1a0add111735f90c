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


class _Net(nnx.Module):
    def __init__(self, rngs: Any) -> None:
        self.first = nnx.Linear(16, 16, rngs=rngs)
        self.norm = nnx.BatchNorm(16, rngs=rngs)
        self.second = nnx.Linear(16, 8, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.second(self.norm(self.first(x)))


SHAPES = nnx.eval_shape(lambda: _Net(nnx.Rngs(0)))


def net(rngs: Any) -> Any:
    return _Net(rngs), X


def shapes_made_elsewhere() -> Any:
    return SHAPES, X


def shapes_made_here() -> Any:
    return nnx.eval_shape(lambda: _Net(nnx.Rngs(0))), X


def shapes_made_with_generators(rngs: Any) -> Any:
    return nnx.eval_shape(lambda: _Net(rngs)), X


def shapes_made_of_an_argument() -> Any:
    return nnx.eval_shape(_Net, nnx.Rngs(0)), X


def _narrow(key: Any, shape: Any, _: Any) -> Any:
    return jax.nn.initializers.lecun_normal()(key, shape, jnp.bfloat16)


class _Turn(nn.Module):
    @nn.compact
    def __call__(self, x: Any, _: None) -> Any:
        return nn.Dense(16, use_bias=False, kernel_init=_narrow)(x), None


class _Turns(nn.Module):
    @nn.compact
    def __call__(self, x: Any) -> Any:
        turns = nn.scan(_Turn, variable_axes={"params": 0}, split_rngs={"params": True}, length=3)
        return turns()(x, None)[0]


def narrow() -> Any:
    return nn.Dense(4, use_bias=False, kernel_init=_narrow), X


def narrow_scanned() -> Any:
    return _Turns(), X


def narrow_nnx(rngs: Any) -> Any:
    return nnx.Linear(16, 4, use_bias=False, kernel_init=_narrow, rngs=rngs), X


def declared_narrow() -> Any:
    return nn.Dense(4, use_bias=False, param_dtype=jnp.bfloat16), X


def _forward(x: Any, is_training: bool, scale: float = 1.0) -> Any:
    import haiku

    y = haiku.Linear(4, name="noise")(x * scale)
    return haiku.BatchNorm(True, True, 0.9)(x, is_training) @ jnp.ones((16, 4)) + (
        y if is_training else 0
    )


def haiku_flag() -> Any:
    import haiku

    return haiku.transform_with_state(_forward), X


def haiku_bound() -> Any:
    import haiku

    apply = haiku.transform_with_state(_forward).apply
    return functools.partial(apply, is_training=True, scale=2.0), X


def haiku_plain() -> Any:
    import haiku

    apply = haiku.transform(lambda x, scale: haiku.Linear(4)(scale * x)).apply
    return functools.partial(apply, scale=2.0), X


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


def kernels(name: str) -> list[tuple[str, Any, Any]]:
    return [
        (one.path, one.fan_in, one.initializer)
        for one in audited(name).parameters
        if one.path.endswith("kernel")
    ]


@pytest.mark.parametrize(
    "name", ["shapes_made_here", "shapes_made_with_generators", "shapes_made_of_an_argument"]
)
def test_what_is_made_under_eval_shape_is_traced_as_without(name: str) -> None:
    assert kernels(name) == kernels("net")
    assert jax.eval_shape.__module__.startswith("jax")


def test_of_shapes_that_nobody_asked_for_values_there_are_none() -> None:
    assert audit(load(f"{HERE}:shapes_made_here")).is_abstract
    assert not audit(load(f"{HERE}:net")).is_abstract


def test_of_a_module_of_shapes_made_elsewhere_all_is_told_but_the_law() -> None:
    parameters = {one.path: one for one in audited("shapes_made_elsewhere").parameters}
    kernel = parameters["second.kernel"]

    assert (kernel.shape, kernel.dtype, kernel.fan_in) == ((16, 8), "float32", 16)
    assert [use.stddev_for_1 for use in kernel.uses] == [0.25]
    assert kernel.notes == (
        "law unknown: made by eval_shape elsewhere: let `make` construct the module, "
        "and it is traced",
    )
    assert set(parameters) == {one.path for one in audited("net").parameters}
    assert audited("shapes_made_elsewhere").n_faults == 0


def test_a_variable_of_nnx_that_is_no_parameter_is_told_so() -> None:
    notes = {one.path: one.notes for one in audited("net").parameters if one.notes}

    told = ("no parameter (nnx.Param) but a BatchStat",)
    assert notes == {"norm.mean": told, "norm.var": told}


@pytest.mark.parametrize("name", ["narrow", "narrow_scanned", "narrow_nnx"])
def test_a_parameter_that_holds_less_than_its_module_declares_is_seen_alone(name: str) -> None:
    (kernel,) = audited(name).parameters

    assert kernel.faults == ("stored in bfloat16, where its module has a param_dtype of float32",)


def test_a_parameter_that_holds_what_its_module_declares_is_none() -> None:
    assert audited("declared_narrow").n_faults == 0


@pytest.mark.parametrize(
    ("name", "path"),
    [("haiku_flag", "noise.w"), ("haiku_bound", "noise.w"), ("haiku_plain", "linear.w")],
)
def test_a_transform_of_haiku_is_called_with_what_is_bound_to_it(name: str, path: str) -> None:
    pytest.importorskip("haiku")
    kernel = next(one for one in audited(name).parameters if one.path == path)

    assert [(use.kind, use.fan_in) for use in kernel.uses] == [("contraction", 16)]
