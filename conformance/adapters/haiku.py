"""Haiku's initializers, each called in a transformed function of its own."""

from __future__ import annotations

import functools
import math
from typing import Any

import haiku as hk
import numpy as np

from conformance.adapters import MATRIX_REFUSALS
from conformance.cases.catalogue import Initializer, register
from conformance.core.laws import (
    SCALE_ONCE,
    TRUNCATED_STDDEV,
    Constant,
    Definition,
    Identity,
    Normal,
    Orthogonal,
    Rounds,
    ScaledBounds,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
    keras_fans,
    scaled_variance,
)

KEY = "split2at1"
"""`hk.next_rng_key` splits the key of the transformed function, and keeps the first child."""


def build(name: str, arguments: dict[str, Any]) -> Initializer:
    """Return the initializer of `hk.initializers` as a function of (key, shape, dtype)."""
    initializer = getattr(hk.initializers, name)(**arguments)
    drawn = hk.transform(lambda shape, dtype: initializer(shape, np.dtype(dtype)))
    return lambda key, shape, dtype="float32": drawn.apply({}, key, shape, dtype)


def _factor(definition: Definition, shape: tuple[int, ...], rounded: Any) -> Any:
    """Return the stddev over the truncation constant, which alone is rounded before the quotient.

    Source: `VarianceScaling.__call__` and `TruncatedNormal.__call__` of haiku._src.initializers.
    """
    assert isinstance(definition, VarianceScaling)
    return rounded(math.sqrt(scaled_variance(shape, definition)) / rounded(TRUNCATED_STDDEV))


TRUNCATED = Rounds(factor=_factor, of_unit=True)


def _row_fans(shape: tuple[int, ...]) -> tuple[float, float]:
    """Return the fans of UniformScaling: all axes but the last are inputs."""
    size = math.prod(shape[:-1])
    return size, size


def _scaling(mode: str, distribution: str) -> VarianceScaling:
    fields: dict[str, Any] = {"mode": mode, "fans_by": keras_fans, "drawn_with": KEY}
    if distribution == "uniform":
        return ScaledBounds(scale=1.0, **fields)
    rounds = TRUNCATED if distribution == "truncated_normal" else SCALE_ONCE
    return VarianceScaling(scale=1.0, distribution=distribution, rounds=rounds, **fields)


DEFINITIONS: dict[str, tuple[str, dict[str, Any], Definition]] = {
    "constant": ("Constant", {"constant": 0.5}, Constant(value=0.5)),
    "identity": ("Identity", {}, Identity()),
    "random_normal": (
        "RandomNormal",
        {"stddev": 0.02},
        Normal(stddev=0.02, drawn_with=KEY, rounds=SCALE_ONCE),
    ),
    "truncated_normal": (
        "TruncatedNormal",
        {"stddev": 0.02},
        TruncatedNormal(stddev=0.02, drawn_with=KEY, rounds=SCALE_ONCE),
    ),
    "random_uniform": (
        "RandomUniform",
        {"minval": -0.05, "maxval": 0.05},
        Uniform(scale=1.0, lower=-0.05, upper=0.05, drawn_with=KEY),
    ),
    "uniform_scaling": (
        "UniformScaling",
        {},
        ScaledBounds(scale=1.0, mode="fan_in", fans_by=_row_fans, drawn_with=KEY),
    ),
    "orthogonal": ("Orthogonal", {}, Orthogonal(drawn_with=KEY, refusals=MATRIX_REFUSALS)),
    **{
        f"{mode}_{distribution}": (
            "VarianceScaling",
            {"mode": mode, "distribution": distribution},
            _scaling(mode, distribution),
        )
        for mode in ("fan_in", "fan_out", "fan_avg")
        for distribution in ("truncated_normal", "normal", "uniform")
    },
}
"""By name: the class of `hk.initializers`, its arguments, and what it promises."""

for _name, (_class, _arguments, _definition) in DEFINITIONS.items():
    register(f"haiku_{_name}", functools.partial(build, _class, _arguments), definition=_definition)
