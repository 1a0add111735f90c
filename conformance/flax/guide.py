"""The layer and the calls that the Flax guide "Initializers" speaks of, with their outcomes.

Source of the claims: docs/guides/flax_fundamentals/initializers_guide of google/flax.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from conformance.cases.builtin import DIRECT, LINEN, build, namespace_module, public_initializers
from conformance.core.arrays import Array

SEED = 0
IN_FEATURES, FEATURES = 4, 5

FOR_VECTORS = ("constant", "normal", "uniform", "zeros_init", "ones_init", "zeros", "ones")
"""What the guide allows as `bias_init`."""

NOT_FOR_VECTORS = (
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_uniform",
    "variance_scaling",
    "xavier_normal",
    "xavier_uniform",
)
"""What the guide says fails for 1-D arrays."""

ARGUMENTS: Mapping[str, dict[str, Any]] = {
    "constant": {"value": 0.5},
    "variance_scaling": {"scale": 1.0, "mode": "fan_in", "distribution": "truncated_normal"},
}
"""The arguments that a builder cannot be called without."""


def initializer(name: str, **arguments: Any) -> Any:
    """Return the initializer that `flax.linen.initializers.<name>` is or builds."""
    return build(LINEN, name, {**ARGUMENTS.get(name, {}), **arguments})


def builders() -> list[str]:
    """Return the public names of `flax.linen.initializers` that are not direct initializers."""
    names = (name.rpartition(".") for name in public_initializers())
    return sorted(name for namespace, _, name in names if namespace == LINEN and name not in DIRECT)


def legacy_key() -> Any:
    """Return the guide's `jax.random.PRNGKey(0)`."""
    import jax

    return jax.random.PRNGKey(SEED)


def dense(**arguments: Any) -> dict[str, Array]:
    """Return the parameters of the guide's `nn.Dense(5).init(PRNGKey(0), (1, 4) array)`."""
    import flax.linen as nn

    module = nn.Dense(FEATURES, **arguments)
    inputs = np.ones((1, IN_FEATURES), np.float32)
    parameters = module.init(legacy_key(), inputs)["params"]
    return {name: np.asarray(value) for name, value in parameters.items()}


def linear(**arguments: Any) -> dict[str, Array]:
    """Return the parameters of `nnx.Linear(4, 5, rngs=nnx.Rngs(0))`."""
    from flax import nnx

    module = nnx.Linear(IN_FEATURES, FEATURES, rngs=nnx.Rngs(SEED), **arguments)
    return {name: np.asarray(getattr(module, name)[...]) for name in ("kernel", "bias")}


def lazy_key(count: int) -> Any:
    """Return the key of draw `count` as the guide writes it: `LazyRng.create(rng, count)`."""
    from flax.core.scope import LazyRng

    return LazyRng.create(legacy_key(), count).as_jax_rng()


def numpy_like(name: str) -> Any:
    """Return `jax.numpy.<name>`, which has no key among its arguments."""
    return getattr(namespace_module("jax.numpy"), name)


def positional_arguments(initializer: Any) -> list[str]:
    """Return the names of the arguments that may be passed by position."""
    return [
        name
        for name, parameter in inspect.signature(initializer).parameters.items()
        if parameter.kind is not parameter.KEYWORD_ONLY
    ]


def outcome(call: Callable[[], Any]) -> str:
    """Return `returns float32[4,5]` or `raises ValueError`."""
    return raised(call).partition(":")[0]


def raised(call: Callable[[], Any]) -> str:
    """Return the outcome of the call; an exception with its message."""
    try:
        value = call()
    except Exception as error:
        return f"raises {type(error).__name__}: {error}"
    if isinstance(value, dict):
        return f"returns {', '.join(sorted(value))}"
    return f"returns {value.dtype}[{','.join(map(str, value.shape))}]"


def abstract_outcome(initializer: Any, shape: tuple[int, ...], dtype: str) -> str:
    """Return the outcome of initializer(key, shape, dtype), traced and not run."""
    import jax

    call = functools.partial(initializer, shape=shape, dtype=np.dtype(dtype))
    return outcome(lambda: jax.eval_shape(call, legacy_key()))
