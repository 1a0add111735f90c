"""The parameters of Equinox's layers, each as an initializer: it has none by name.

Kernels have the features that come out first, and are uniform between +-1 / sqrt(fan_in).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import equinox

from conformance.cases.catalogue import Initializer, register
from conformance.core.laws import Definition, Normal, Refusal, ScaledBounds, Uniform

WEIGHT, BIAS = "split2at0", "split2at1"
"""The children of the layer's key that its parameters are drawn with."""

INPUTS = 16
"""Features that come into the layer whose bias is drawn."""


def _of_rank(rank: int, call: Callable[..., Any]) -> Callable[[], Initializer]:
    """Return what builds an initializer of a layer whose parameter has so many axes."""

    def init(key: Any, shape: tuple[int, ...], dtype: Any = "float32") -> Any:
        if len(shape) != rank:
            raise ValueError(f"shape={shape}: this parameter has {rank} axes")
        return call(key, shape, dtype)

    return lambda: init


def _linear(key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    return equinox.nn.Linear(shape[1], shape[0], dtype=dtype, key=key).weight


def _linear_bias(key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    return equinox.nn.Linear(INPUTS, shape[0], dtype=dtype, key=key).bias


def _conv(key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    features_out, features_in, *kernel = shape
    layer = equinox.nn.Conv(len(kernel), features_in, features_out, kernel, dtype=dtype, key=key)
    return layer.weight


def _embedding(key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    return equinox.nn.Embedding(shape[0], shape[1], dtype=dtype, key=key).weight


def _fans(shape: tuple[int, ...]) -> tuple[float, float]:
    """Return (fan_in, fan_out) of a kernel whose first axis are the features that come out."""
    return math.prod(shape[1:]), shape[0] * math.prod(shape[2:])


def _but_rank(rank: int) -> tuple[Refusal, ...]:
    return (Refusal(exception="ValueError", shapes=lambda shape: len(shape) != rank),)


def _kernel(rank: int) -> Definition:
    """Return the law between +-1 / sqrt(fan_in): of a variance of a third of 1 / fan_in."""
    return ScaledBounds(
        scale=1 / 3, mode="fan_in", fans_by=_fans, drawn_with=WEIGHT, refusals=_but_rank(rank)
    )


_LIMIT = 1 / math.sqrt(INPUTS)

DEFINITIONS: dict[str, tuple[int, Callable[..., Any], Definition]] = {
    "linear_weight": (2, _linear, _kernel(2)),
    "linear_bias": (
        1,
        _linear_bias,
        Uniform(scale=1.0, lower=-_LIMIT, upper=_LIMIT, drawn_with=BIAS, refusals=_but_rank(1)),
    ),
    "conv1d_weight": (3, _conv, _kernel(3)),
    "conv2d_weight": (4, _conv, _kernel(4)),
    "embedding_weight": (2, _embedding, Normal(stddev=1.0, refusals=_but_rank(2))),
}
"""By name: the axes of the parameter, what makes it, and what it promises."""

for _name, (_rank, _call, _definition) in DEFINITIONS.items():
    register(f"equinox_{_name}", _of_rank(_rank, _call), definition=_definition)
