"""What is returned is of another kind: dtype, shape, no number, an exception or none."""

from __future__ import annotations

from typing import Any

from conformance.cases.catalogue import Initializer
from conformance.core.records import DriftClass
from conformance.suite.faults.fault import Fault, Shape, Wrong, of_array


def _raises(error: Exception) -> Wrong:
    def wrong(*_: Any) -> Any:
        raise error

    return wrong


def _zeros(_: Initializer, __: Any, shape: Shape, dtype: Any) -> Any:
    import jax.numpy as jnp

    return jnp.zeros(shape, dtype)


def _weak(_: Initializer, __: Any, ___: Shape, ____: Any) -> Any:
    import jax.numpy as jnp

    return jnp.asarray(0.5)


def _one_nan(array: Any) -> Any:
    return array.at[3, 5].set(float("nan"))


FAULTS = (
    Fault(
        name="wrong_dtype",
        base="lecun_normal",
        wrong=of_array(lambda a: a.astype("float32")),
        dtype="bfloat16",
        caught_by="contract",
        drift=DriftClass.STRUCTURAL,
    ),
    Fault(
        name="wrong_shape",
        base="lecun_normal",
        wrong=of_array(lambda a: a.T),
        caught_by="contract",
        drift=DriftClass.STRUCTURAL,
    ),
    Fault(
        name="wrong_size",
        base="lecun_normal",
        wrong=of_array(lambda a: a[:, :-1]),
        caught_by="contract",
        drift=DriftClass.STRUCTURAL,
    ),
    Fault(
        name="all_nan",
        base="normal",
        wrong=of_array(lambda a: a * float("nan")),
        caught_by="contract",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="one_nan",
        base="normal",
        wrong=of_array(_one_nan),
        caught_by="contract",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="overflow",
        base="normal",
        wrong=of_array(lambda a: a.at[0, 0].set(float("inf"))),
        caught_by="contract",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="weak_type",
        base="constant",
        wrong=_weak,
        shape=(),
        caught_by="contract",
        drift=DriftClass.STRUCTURAL,
    ),
    Fault(
        name="returns_where_it_must_raise",
        base="lecun_normal",
        wrong=_zeros,
        shape=(64,),
        caught_by="contract",
        drift=DriftClass.CONTRACT,
    ),
    Fault(
        name="raises_where_it_must_return",
        base="zeros",
        wrong=_raises(ValueError("no")),
        caught_by="contract",
        drift=DriftClass.CONTRACT,
    ),
    Fault(
        name="another_exception",
        base="he_uniform",
        wrong=_raises(RuntimeError("no")),
        shape=(64,),
        caught_by="contract",
        drift=DriftClass.CONTRACT,
    ),
)
