"""Models to audit: healthy ones, and ones with one fault planted on purpose."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

Inputs = tuple[jax.ShapeDtypeStruct, ...]


def _inputs(*shape: int, dtype: Any = jnp.float32) -> Inputs:
    return (jax.ShapeDtypeStruct(shape, dtype),)  # type: ignore[no-untyped-call]  # JAX


class Block(nn.Module):
    """A pre-norm Transformer block."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Attend, then transform."""
        y = nn.LayerNorm()(x)
        x = x + nn.MultiHeadDotProductAttention(num_heads=2)(y, y)
        y = nn.Dense(64)(nn.LayerNorm()(x))
        return x + nn.Dense(16)(nn.gelu(y))


class Transformer(nn.Module):
    """Two blocks between an embedding and a head."""

    @nn.compact
    def __call__(self, tokens: Any) -> Any:
        """Return logits."""
        x = nn.Embed(64, 16)(tokens)
        for _ in range(2):
            x = Block()(x)
        return nn.Dense(64)(x)


def transformer() -> tuple[Any, Inputs]:
    return Transformer(), _inputs(1, 4, dtype=jnp.int32)


def dense_in_bfloat16() -> tuple[Any, Inputs]:
    return nn.Dense(32, param_dtype=jnp.bfloat16), _inputs(1, 64)


class Wrapper(nn.Module):
    """A module that holds one Dense of a given name."""

    inner: str

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Apply the Dense."""
        return nn.Dense(16, name=self.inner)(x)


class Colliding(nn.Module):
    """Two paths whose parts, joined, are one text."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Apply both."""
        return Wrapper("1x", name="block")(x) + Wrapper("x", name="block1")(x)


def colliding() -> tuple[Any, Inputs]:
    return Colliding(), _inputs(1, 16)


class Adding(nn.Module):
    """A module that takes two inputs."""

    @nn.compact
    def __call__(self, x: Any, y: Any) -> Any:
        """Transform the sum."""
        return nn.Dense(16)(x + y)


def two_inputs() -> tuple[Any, ...]:
    return Adding(), *_inputs(1, 16), *_inputs(1, 16)


def two_inputs_in_a_tuple() -> tuple[Any, Inputs]:
    return Adding(), (*_inputs(1, 16), *_inputs(1, 16))


def no_inputs() -> tuple[Any]:
    return (Adding(),)


def too_few_inputs() -> tuple[Any, Inputs]:
    return Adding(), _inputs(1, 16)


def wrong_fan() -> tuple[Any, Inputs]:
    swapped = nn.initializers.lecun_normal(in_axis=-1, out_axis=-2)
    return nn.Dense(64, kernel_init=swapped), _inputs(1, 16)


def recurrent() -> tuple[Any, Inputs]:
    return nn.RNN(nn.SimpleCell(16)), _inputs(1, 2, 16)


def cast_to_bfloat16() -> tuple[Any, Inputs]:
    draw = nn.initializers.lecun_normal()
    module = nn.Dense(16, kernel_init=lambda key, shape, _: draw(key, shape).astype(jnp.bfloat16))
    return module, _inputs(1, 16)


class Repeating(nnx.Module):
    """Two layers, of which the second starts the stream of keys again."""

    def __init__(self, rngs: Any) -> None:
        self.first = nnx.Linear(16, 16, rngs=rngs)
        self.second = nnx.Linear(16, 8, rngs=nnx.Rngs(0))


def duplicated_key(rngs: Any) -> Any:
    return Repeating(rngs)


class Stacked(nnx.Module):
    """Two layers whose keys follow each other."""

    def __init__(self, rngs: Any) -> None:
        self.first = nnx.Linear(16, 16, rngs=rngs)
        self.second = nnx.Linear(16, 16, rngs=rngs)
        self.dropout = nnx.Dropout(0.1, rngs=rngs)


def two_linear(rngs: Any) -> Any:
    return Stacked(rngs)


def _vmapped(*, split: bool) -> tuple[Any, Inputs]:
    layers = nn.vmap(
        nn.Dense,
        variable_axes={"params": 0},
        split_rngs={"params": split},
        in_axes=None,
        axis_size=3,
    )
    return layers(16), _inputs(1, 16)


def vmapped() -> tuple[Any, Inputs]:
    return _vmapped(split=True)


def vmapped_without_split() -> tuple[Any, Inputs]:
    return _vmapped(split=False)


def healthy_tree() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {name: rng.normal(0, 0.02, (32, 16)).astype(np.float32) for name in ("one", "two")}


def transposed_copy() -> dict[str, Any]:
    one = healthy_tree()["one"]
    return {"one": one, "two": np.ascontiguousarray(one.T)}


def correlated() -> dict[str, Any]:
    tree = healthy_tree()
    return {"one": tree["one"], "two": (0.8 * tree["one"] + 0.6 * tree["two"]).astype(np.float32)}


def unknown_law() -> dict[str, Any]:
    two_sided = np.random.default_rng(0).choice([-1.0, 1.0], (32, 16))
    return {"one": two_sided.astype(np.float32)}


def nothing() -> dict[str, Any]:
    return {}


def shapes_of_nnx() -> Any:
    return nnx.eval_shape(lambda: Stacked(nnx.Rngs(0)))


def shapes_of_a_tree() -> Any:
    return jax.eval_shape(lambda: {"kernel": jnp.ones((4, 5))})


def a_number() -> int:
    return 3


def raising() -> None:
    raise RuntimeError("no checkpoint")
