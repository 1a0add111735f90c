"""Right but for sizes that are not usual: large ones, long axes, many dimensions."""

from __future__ import annotations

from typing import Any

from conformance.cases.catalogue import Initializer
from conformance.core.records import DriftClass
from conformance.suite.faults.fault import Fault, Shape, Wrong, of_array

COUNTERS, SEEN_AXIS = 2**20, 1024


def _counter_of_20_bits(array: Any) -> Any:
    """Return the array with its first elements again where the counter has run over."""
    elements = array.reshape(-1)
    beyond = elements[COUNTERS:]
    return elements.at[COUNTERS:].set(elements[: beyond.size]).reshape(array.shape)


def _other_scale_beyond(array: Any) -> Any:
    elements = array.reshape(-1)
    return elements.at[COUNTERS:].multiply(1.5).reshape(array.shape)


def _short_axis(array: Any) -> Any:
    """Return the array with each axis beginning anew after SEEN_AXIS."""
    import jax.numpy as jnp

    for axis, size in enumerate(array.shape):
        array = jnp.take(array, jnp.arange(size) % SEEN_AXIS, axis=axis)
    return array


def _many_dimensions_permuted(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    array = right(key, shape, dtype)
    return array[::-1] if array.ndim > 5 else array


def _one_left_over(period: int) -> Wrong:
    """Return the array whose last element is the first where it stands alone in its tile."""

    def changed(array: Any) -> Any:
        if array.size % period != 1:
            return array
        elements = array.reshape(-1)
        return elements.at[-1].set(elements[0]).reshape(array.shape)

    return of_array(changed)


FAULTS = (
    Fault(
        name="counter_of_20_bits",
        base="uniform",
        wrong=of_array(_counter_of_20_bits),
        shape=(1451, 1447),
        caught_by="oracle",
        drift=DriftClass.STRUCTURAL,
    ),
    Fault(
        name="another_scale_beyond_2_20",
        base="uniform",
        wrong=of_array(_other_scale_beyond),
        shape=(1451, 1447),
        caught_by="structure",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="axis_begins_anew_after_1024",
        base="normal",
        wrong=of_array(_short_axis),
        shape=(3, 1031),
        caught_by="oracle",
        drift=DriftClass.STRUCTURAL,
    ),
    Fault(
        name="six_dimensions_reversed",
        base="he_normal",
        wrong=_many_dimensions_permuted,
        shape=(2, 3, 1, 2, 3, 2),
        caught_by="oracle",
        drift=DriftClass.STRUCTURAL,
    ),
    Fault(
        name="one_left_over_by_a_tile_of_128",
        base="normal_1",
        wrong=_one_left_over(128),
        shape=(3, 43),
        caught_by="oracle",
        drift=DriftClass.TRANSFORM,
    ),
    Fault(
        name="one_left_over_by_2_16",
        base="uniform",
        wrong=_one_left_over(2**16),
        shape=(1, 65537),
        caught_by="oracle",
        drift=DriftClass.TRANSFORM,
    ),
)
