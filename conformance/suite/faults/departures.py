"""What departs from JAX otherwise than its definition says: key, refusals, fans, order, values.

The right initializer departs as it says: a departure is no fault, and hides none.
"""

from __future__ import annotations

import math
from typing import Any

from conformance.cases.catalogue import Initializer
from conformance.core.laws import (
    SCALE_ONCE,
    Identity,
    Normal,
    Refusal,
    ScaledBounds,
    VarianceScaling,
    keras_fans,
)
from conformance.core.records import DriftClass
from conformance.suite.faults.fault import Fault, Shape, Wrong, of_array
from conformance.suite.faults.swept import toward_zero_of


def _by_child(number: int) -> Wrong:
    """Return what JAX's `normal` draws with a child of the key."""

    def draw(_: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
        import jax

        return jax.nn.initializers.normal(0.01)(jax.random.split(key)[number], shape, dtype)

    return draw


def _refusing_16_bits(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    if dtype == "bfloat16":
        raise TypeError("no 16 bits")
    return right(key, shape, dtype)


def _in_16_bits(_: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    import jax

    return jax.nn.initializers.normal(0.01)(key, shape, dtype)


def _of_a_column(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    """Return a vector whose fan_in is its size, as Keras and Haiku have it."""
    full = (*shape, 1) if len(shape) == 1 else shape
    return right(key, full, dtype).reshape(shape)


def _of_a_row(_: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    """Return a vector whose fan_in is 1."""
    import jax

    return jax.nn.initializers.lecun_normal()(key, (1, *shape), dtype).reshape(shape)


def _scaled_once(_: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    import jax

    return jax.random.normal(key, shape, dtype) * 0.01


def _scaled_toward_zero(_: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    import jax

    return toward_zero_of(jax.random.normal(key, shape, dtype), 0.01)


def _between(variance: float) -> Wrong:
    """Return draws between bounds that have so many times the variance of 1 / fan_in."""

    def draw(_: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
        import jax

        bound = math.sqrt(3 * variance / shape[-2])
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return draw


def _identity(_: Initializer, __: Any, shape: Shape, dtype: Any) -> Any:
    import jax.numpy as jnp

    rows, columns = shape
    return jnp.eye(rows, columns, dtype=dtype)


FAULTS = (
    Fault(
        name="drawn_with_the_sibling",
        base="normal",
        departs=_by_child(1),
        wrong=_by_child(0),
        definition=Normal(stddev=0.01, drawn_with="split2at1"),
        caught_by="oracle",
        drift=DriftClass.STREAM,
    ),
    Fault(
        name="returns_what_it_says_it_refuses",
        base="normal",
        departs=_refusing_16_bits,
        wrong=_in_16_bits,
        dtype="bfloat16",
        definition=Normal(
            stddev=0.01, refusals=(Refusal(exception="TypeError", dtypes=("bfloat16",)),)
        ),
        caught_by="contract",
        drift=DriftClass.CONTRACT,
    ),
    Fault(
        name="fan_of_a_vector_is_1",
        base="lecun_normal",
        departs=_of_a_column,
        wrong=_of_a_row,
        shape=(64,),
        definition=VarianceScaling(
            scale=1.0,
            mode="fan_in",
            distribution="truncated_normal",
            fans_by=keras_fans,
            refusals=(),
        ),
        caught_by="oracle",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="swept_bfloat16_scaled_once_toward_zero",
        base="normal",
        departs=_scaled_once,
        wrong=_scaled_toward_zero,
        dtype="bfloat16",
        definition=Normal(stddev=0.01, rounds=SCALE_ONCE),
        caught_by="law_sequence",
        is_swept=True,
    ),
    Fault(
        name="bounds_without_the_root_of_3",
        base="lecun_uniform",
        departs=_between(1.0),
        wrong=_between(1 / 3),
        definition=ScaledBounds(scale=1.0, mode="fan_in"),
        caught_by="oracle",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="identity_from_below",
        base="ones",
        departs=_identity,
        wrong=of_array(lambda a: a[::-1]),
        definition=Identity(),
        caught_by="structure",
        drift=DriftClass.STRUCTURAL,
    ),
)
