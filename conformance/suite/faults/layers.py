"""Layers of Flax that draw what they must not: another key, law, order, dtype or parameter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from conformance.planted.fault import LayerFault


def _dense(**wrong: Callable[[], Any]) -> Callable[..., Any]:
    """Return what builds a Dense of 4 features with these arguments, each made when it is built."""
    return lambda nn, **told: nn.Dense(4, **told, **{name: make() for name, make in wrong.items()})


def _linear(**wrong: Callable[[], Any]) -> Callable[..., Any]:
    return lambda nnx, rngs, **told: nnx.Linear(
        4, 4, rngs=rngs, **told, **{name: make() for name, make in wrong.items()}
    )


def _normal() -> Any:
    import jax

    return jax.nn.initializers.normal(0.01)


def _he_normal() -> Any:
    import jax

    return jax.nn.initializers.he_normal()


def _of_another_key() -> Any:
    """Return the right law, of a child of the key that the layer hands over."""
    import jax

    right = jax.nn.initializers.lecun_normal()
    return lambda key, shape, dtype: right(jax.random.fold_in(key, 1), shape, dtype)


def _bias_first(nn: Any, **told: Any) -> Any:
    """Return a Dense that asks for its bias before its kernel: each draws with the other's key."""

    class Dense(nn.Dense):  # type: ignore[misc]  # Flax is no typed base
        @nn.compact  # type: ignore[untyped-decorator]  # Flax leaves it untyped
        def __call__(self, inputs: Any) -> Any:
            bias = self.param("bias", self.bias_init, (self.features,), self.param_dtype)
            shape = (inputs.shape[-1], self.features)
            kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype)
            return inputs @ kernel + bias

    return Dense(4, **told)


def _after_another_draw(nnx: Any, rngs: Any, **told: Any) -> Any:
    """Return a Linear whose stream somebody has drawn from before."""
    rngs.params()
    return nnx.Linear(4, 4, rngs=rngs, **told)


def _of_the_default_stream(nnx: Any, rngs: Any, **told: Any) -> Any:
    """Return a Linear that draws with a seed of its own."""
    del rngs
    return nnx.Linear(4, 4, rngs=nnx.Rngs(1), **told)


def _without_dtype(nn: Any, **told: Any) -> Any:
    """Return a Dense of float32, whatever is asked for."""
    del told
    return nn.Dense(4)


def _refusing(nn: Any, **told: Any) -> Any:
    del nn, told
    raise TypeError("no such layer")


def _by_fan_out() -> Any:
    import jax

    return jax.nn.initializers.variance_scaling(1.0, "fan_out", "truncated_normal")


LINEN, NNX = "flax.linen.Dense", "flax.nnx.Linear"

FAULTS = (
    LayerFault(name="dense_bias_is_drawn", layer=LINEN, build=_dense(bias_init=_normal)),
    LayerFault(name="dense_of_another_default", layer=LINEN, build=_dense(kernel_init=_he_normal)),
    LayerFault(name="dense_of_another_key", layer=LINEN, build=_dense(kernel_init=_of_another_key)),
    LayerFault(name="dense_draws_its_bias_first", layer=LINEN, build=_bias_first),
    LayerFault(name="dense_lacks_its_bias", layer=LINEN, build=_dense(use_bias=lambda: False)),
    LayerFault(
        name="dense_ignores_param_dtype", layer=LINEN, build=_without_dtype, dtype="bfloat16"
    ),
    LayerFault(
        name="dense_of_other_features", layer=LINEN, build=lambda nn, **told: nn.Dense(5, **told)
    ),
    LayerFault(name="dense_refuses", layer=LINEN, build=_refusing),
    LayerFault(
        name="dense_swaps_its_fans",
        layer=f"{LINEN}:wide",
        build=lambda nn, **told: nn.Dense(6, kernel_init=_by_fan_out(), **told),
    ),
    LayerFault(
        name="linear_swaps_its_fans",
        layer=f"{NNX}:wide",
        build=lambda nnx, rngs, **told: nnx.Linear(
            4, 6, rngs=rngs, kernel_init=_by_fan_out(), **told
        ),
    ),
    LayerFault(name="linear_bias_is_drawn", layer=NNX, build=_linear(bias_init=_normal)),
    LayerFault(name="linear_of_another_default", layer=NNX, build=_linear(kernel_init=_he_normal)),
    LayerFault(name="linear_after_another_draw", layer=NNX, build=_after_another_draw),
    LayerFault(name="linear_of_another_seed", layer=NNX, build=_of_the_default_stream),
)
