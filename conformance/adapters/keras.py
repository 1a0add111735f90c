"""Keras's initializers on JAX, each given the key in the place of its seed.

`keras.random` takes a key of JAX's where it takes a seed, so one program draws for all keys. What
an integer seed draws with is held too: the key of the two words (seed, 0).
"""

from __future__ import annotations

import functools
import os
from typing import Any

import numpy as np

from conformance.adapters import MATRIX_REFUSALS
from conformance.cases.catalogue import Initializer, register
from conformance.core.errors import InitializerUnavailable
from conformance.core.laws import (
    SCALE_ONCE,
    Constant,
    Definition,
    Identity,
    Normal,
    Orthogonal,
    Refusal,
    ScaledBounds,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
    keras_fans,
)

# Keras chooses its backend, and sets variables of its own, when it is first imported.
os.environ.setdefault("KERAS_BACKEND", "jax")
import keras

if keras.backend.backend() != "jax":
    raise InitializerUnavailable(
        f"Keras runs on {keras.backend.backend()} in this process: set KERAS_BACKEND=jax"
    )


def build(name: str, arguments: dict[str, Any]) -> Initializer:
    """Return the initializer of `keras.initializers` as a function of (key, shape, dtype)."""
    initializer = getattr(keras.initializers, name)

    def init(key: Any, shape: tuple[int, ...], dtype: Any = "float32") -> Any:
        made = initializer(**arguments)
        if "seed" not in arguments:
            made.seed = key
        return made(shape, np.dtype(dtype).name)

    return init


def _is_no_plain_matrix(shape: tuple[int, ...]) -> bool:
    return len(shape) != 2


def _scaling(scale: float, mode: str, distribution: str) -> VarianceScaling:
    fields: dict[str, Any] = {"scale": scale, "mode": mode, "fans_by": keras_fans}
    if distribution == "uniform":
        return ScaledBounds(**fields)
    return VarianceScaling(distribution=distribution, rounds=SCALE_ONCE, **fields)


DEFINITIONS: dict[str, tuple[str, dict[str, Any], Definition]] = {
    "zeros": ("Zeros", {}, Constant(value=0.0)),
    "ones": ("Ones", {}, Constant(value=1.0)),
    "constant": ("Constant", {"value": 0.5}, Constant(value=0.5)),
    "identity": (
        "Identity",
        {},
        Identity(refusals=(Refusal(exception="ValueError", shapes=_is_no_plain_matrix),)),
    ),
    "random_normal": ("RandomNormal", {}, Normal(stddev=0.05, rounds=SCALE_ONCE)),
    "random_normal_seed7": (
        "RandomNormal",
        {"seed": 7},
        Normal(stddev=0.05, rounds=SCALE_ONCE, drawn_with="k0000000700000000"),
    ),
    "truncated_normal": ("TruncatedNormal", {}, TruncatedNormal(stddev=0.05, rounds=SCALE_ONCE)),
    "random_uniform": ("RandomUniform", {}, Uniform(scale=1.0, lower=-0.05, upper=0.05)),
    "orthogonal": ("Orthogonal", {}, Orthogonal(refusals=MATRIX_REFUSALS)),
    "glorot_normal": ("GlorotNormal", {}, _scaling(1.0, "fan_avg", "truncated_normal")),
    "glorot_uniform": ("GlorotUniform", {}, _scaling(1.0, "fan_avg", "uniform")),
    "he_normal": ("HeNormal", {}, _scaling(2.0, "fan_in", "truncated_normal")),
    "he_uniform": ("HeUniform", {}, _scaling(2.0, "fan_in", "uniform")),
    "lecun_normal": ("LecunNormal", {}, _scaling(1.0, "fan_in", "truncated_normal")),
    "lecun_uniform": ("LecunUniform", {}, _scaling(1.0, "fan_in", "uniform")),
    "fan_out_normal": (
        "VarianceScaling",
        {"mode": "fan_out", "distribution": "untruncated_normal"},
        _scaling(1.0, "fan_out", "normal"),
    ),
}
"""By name: the class of `keras.initializers`, its arguments, and what it promises."""

for _name, (_class, _arguments, _definition) in DEFINITIONS.items():
    register(f"keras_{_name}", functools.partial(build, _class, _arguments), definition=_definition)
