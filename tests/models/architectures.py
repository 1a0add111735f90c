"""Five architectures in small, from their descriptions; and layers whose default is a fault."""

from __future__ import annotations

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx

HE_FAN_OUT = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


def _shape(*sizes: int, dtype: Any = jnp.float32) -> Any:
    return jax.ShapeDtypeStruct(sizes, dtype)  # type: ignore[no-untyped-call]  # JAX


class _Encoder(nn.Module):
    @nn.compact
    def __call__(self, x: Any, *, deterministic: bool) -> Any:
        y = nn.LayerNorm()(x)
        attention = nn.MultiHeadDotProductAttention(num_heads=2, dropout_rate=0.1)
        x = x + attention(y, y, deterministic=deterministic)
        y = nn.gelu(nn.Dense(64)(nn.LayerNorm()(x)))
        return x + nn.Dropout(0.1, deterministic=deterministic)(nn.Dense(16)(y))


class _Vit(nn.Module):
    @nn.compact
    def __call__(self, images: Any, *, deterministic: bool) -> Any:
        x = nn.Conv(16, (4, 4), strides=(4, 4))(images).reshape(images.shape[0], -1, 16)
        token = self.param("cls", nn.initializers.zeros, (1, 1, 16))
        x = jnp.concatenate([jnp.broadcast_to(token, (images.shape[0], 1, 16)), x], axis=1)
        x = x + self.param("positions", nn.initializers.normal(0.02), (1, x.shape[1], 16))
        x = _Encoder()(x, deterministic=deterministic)
        return nn.Dense(10, kernel_init=nn.initializers.zeros)(nn.LayerNorm()(x)[:, 0])


def vit() -> tuple[Any, ...]:
    """Return a vision transformer; its flag is one that calls without training set."""
    return _Vit(), _shape(2, 16, 16, 3)


class _Mixer(nn.Module):
    @nn.compact
    def __call__(self, x: Any) -> Any:
        x = nn.Conv(16, (4, 4), strides=(4, 4))(x).reshape(x.shape[0], -1, 16)
        y = nn.LayerNorm()(x).swapaxes(1, 2)
        x = x + nn.Dense(x.shape[1])(nn.gelu(nn.Dense(8)(y))).swapaxes(1, 2)
        x = x + nn.Dense(16)(nn.gelu(nn.Dense(64)(nn.LayerNorm()(x))))
        return nn.Dense(10)(nn.LayerNorm()(x).mean(axis=1))


def mixer() -> tuple[Any, ...]:
    return _Mixer(), _shape(2, 16, 16, 3)


class _Resnet(nn.Module):
    @nn.compact
    def __call__(self, x: Any, train: bool) -> Any:
        conv = functools.partial(nn.Conv, use_bias=False, kernel_init=HE_FAN_OUT)
        norm = functools.partial(nn.BatchNorm, use_running_average=not train)
        x = nn.relu(norm()(conv(8, (3, 3))(x)))
        y = nn.relu(norm()(conv(16, (3, 3), strides=(2, 2))(x)))
        y = norm(scale_init=nn.initializers.zeros)(conv(16, (3, 3))(y))
        x = nn.relu(y + norm()(conv(16, (1, 1), strides=(2, 2))(x)))
        return nn.Dense(10)(x.mean(axis=(1, 2)))


def resnet() -> tuple[Any, ...]:
    """Return a residual network of one block, with its flag bound."""
    return functools.partial(_Resnet(), train=True), _shape(2, 8, 8, 3)


class _Block(nn.Module):
    @nn.compact
    def __call__(self, x: Any, _: None) -> Any:
        y = nn.RMSNorm()(x)
        mask = nn.make_causal_mask(x[..., 0])
        x = x + nn.MultiHeadDotProductAttention(num_heads=2, use_bias=False)(y, y, mask=mask)
        y = nn.RMSNorm()(x)
        gate = nn.silu(nn.Dense(48, use_bias=False)(y)) * nn.Dense(48, use_bias=False)(y)
        return x + nn.Dense(16, use_bias=False)(gate), None


class _Decoder(nn.Module):
    @nn.compact
    def __call__(self, tokens: Any) -> Any:
        table = nn.Embed(64, 16)
        stack = nn.scan(
            nn.remat(_Block), variable_axes={"params": 0}, split_rngs={"params": True}, length=3
        )
        x, _ = stack()(table(tokens) * 4.0, None)
        return table.attend(nn.RMSNorm()(x))


def decoder() -> tuple[Any, ...]:
    """Return a language model of scanned blocks whose table of embeddings is used twice."""
    return _Decoder(), _shape(2, 8, dtype=jnp.int32)


class _Gemma(nnx.Module):
    def __init__(self, rngs: Any, **axes: Any) -> None:
        draw = nnx.initializers.lecun_normal(**axes)
        self.query = nnx.Einsum("BTD,NDH->BTNH", (4, 32, 8), kernel_init=draw, rngs=rngs)
        self.out = nnx.LinearGeneral((4, 8), 32, axis=(-2, -1), use_bias=False, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return x + self.out(self.query(x))


def gemma(rngs: Any) -> tuple[Any, ...]:
    """Return an attention whose heads an initializer takes for a receptive field."""
    return _Gemma(rngs), _shape(2, 8, 32)


def gemma_put_right(rngs: Any) -> tuple[Any, ...]:
    return _Gemma(rngs, batch_axis=0), _shape(2, 8, 32)


class _Wide(nn.Module):
    @nn.compact
    def __call__(self, x: Any) -> Any:
        y = nn.RMSNorm()(x)
        x = x + nn.MultiHeadDotProductAttention(num_heads=32, use_bias=False)(y, y)
        y = nn.RMSNorm()(x)
        gate = nn.silu(nn.Dense(14336, use_bias=False)(y)) * nn.Dense(14336, use_bias=False)(y)
        return x + nn.Dense(4096, use_bias=False)(gate)


class _Billions(nn.Module):
    @nn.compact
    def __call__(self, tokens: Any) -> Any:
        x = nn.Embed(128256, 4096)(tokens)
        for _ in range(32):
            x = _Wide()(x)
        return nn.Dense(128256, use_bias=False)(nn.RMSNorm()(x))


def billions() -> tuple[Any, ...]:
    """Return a decoder of 8.7 billion parameters, its blocks written out."""
    return _Billions(), _shape(1, 128, dtype=jnp.int32)


class _Upsampler(nn.Module):
    @nn.compact
    def __call__(self, x: Any) -> Any:
        return nn.ConvTranspose(16, (4, 4), strides=(2, 2))(x)


class _Local(nn.Module):
    def setup(self) -> None:
        self.local = nn.ConvLocal(16, (3, 3))

    def locally(self, x: Any) -> Any:
        return self.local(x)


def upsampler() -> tuple[Any, ...]:
    return _Upsampler(), _shape(1, 4, 4, 4)


def local() -> tuple[Any, ...]:
    """Return a module by a method that is not its call."""
    return _Local().locally, _shape(1, 8, 8, 4)


def haiku_mlp() -> tuple[Any, ...]:
    import haiku

    return haiku.transform(lambda x: haiku.nets.MLP([8, 4])(x)), _shape(2, 16)


def equinox_cell(key: Any) -> tuple[Any, ...]:
    import equinox

    return equinox.nn.GRUCell(8, 16, key=key), _shape(8), _shape(16)


def equinox_cell_of_another_law(key: Any) -> tuple[Any, ...]:
    """The same, but for the kernel of its inputs: of the outputs, as if axes were swapped."""
    import equinox
    import jax

    cell, *inputs = equinox_cell(key)
    swapped = jax.nn.initializers.lecun_uniform(in_axis=0, out_axis=1)(key, (48, 8))
    hidden = jax.nn.initializers.lecun_normal(in_axis=1, out_axis=0)(key, (48, 16))
    where = lambda each: (each.weight_ih, each.weight_hh)  # noqa: E731
    return equinox.tree_at(where, cell, (swapped, hidden)), *inputs


def equinox_mlp(key: Any) -> tuple[Any, ...]:
    import equinox

    return equinox.nn.MLP(8, 4, 16, 1, key=key), _shape(8)
