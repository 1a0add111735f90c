"""The right law drawn from other bits, or from too few of them."""

from __future__ import annotations

import itertools
from typing import Any

from conformance.cases.catalogue import Initializer
from conformance.core.records import DriftClass
from conformance.suite.faults.fault import Fault, Shape, Wrong, few_bits, other_key


def _key_ignored(right: Initializer, _: Any, shape: Shape, dtype: Any) -> Any:
    import jax

    return right(jax.random.key(0), shape, dtype)


def _stateful() -> Wrong:
    """Return the right array at every other call only; a case makes two."""
    calls = itertools.count()

    def wrong(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
        is_second = next(calls) % 2
        return other_key(right, key, shape, dtype) if is_second else right(key, shape, dtype)

    return wrong


def _computed_in_bfloat16(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    return right(key, shape, "bfloat16").astype(dtype)


def _one_block_of_another_key(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    array = right(key, shape, dtype)
    return array.at[:10].set(other_key(right, key, shape, dtype)[:10])


def _computed_in_float32(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    return right(key, shape, "float32").astype(dtype)


FAULTS = (
    Fault(
        name="key_ignored",
        base="he_uniform",
        wrong=_key_ignored,
        caught_by="oracle",
        drift=DriftClass.STREAM,
    ),
    Fault(
        name="another_key",
        base="lecun_uniform",
        wrong=other_key,
        caught_by="oracle",
        drift=DriftClass.STREAM,
    ),
    Fault(
        name="unseen_before",
        base="normal",
        wrong=other_key,
        is_undefined=True,
        caught_by="values",
        drift=DriftClass.STREAM,
    ),
    Fault(
        name="stateful",
        base="glorot_normal",
        wrong=_stateful(),
        caught_by="repeatable",
        drift=DriftClass.IDENTICAL,
    ),
    Fault(
        name="neighbours_share_a_draw",
        base="normal",
        wrong=few_bits,
        caught_by="oracle",
        drift=DriftClass.STREAM,
    ),
    Fault(
        name="computed_in_bfloat16",
        base="normal",
        wrong=_computed_in_bfloat16,
        caught_by="oracle",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="float64_computed_in_float32",
        base="normal",
        wrong=_computed_in_float32,
        dtype="float64",
        caught_by="oracle",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="a_tenth_of_a_large_array_from_another_key",
        base="normal",
        wrong=_one_block_of_another_key,
        shape=(100, 100),
        caught_by="oracle",
        drift=DriftClass.STREAM,
    ),
)
