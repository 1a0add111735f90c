"""The record of a planted fault, and the ways of being wrong that several kinds share.

Nothing here imports JAX before a fault is built.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from conformance.cases.catalogue import Initializer
from conformance.core.laws import Definition
from conformance.core.records import DriftClass

Shape = tuple[int, ...]
Wrong = Callable[[Initializer, Any, Shape, Any], Any]
"""(right initializer, key, shape, dtype) -> what the wrong one returns."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One wrong initializer.

    base: the builtin spec that it claims to be.
    caught_by: the check that must fail, whatever the goldens say.
    drift: class of the change from the right initializer's array.
    key, transform: those that show a fault of BY_DESIGN; "" for whichever key the tier asks there.
    definition: replaces the base's, for faults in initializers that state less; see `is_undefined`.
    """

    name: str
    base: str
    wrong: Wrong
    caught_by: str
    drift: DriftClass
    dtype: str = "float32"
    shape: Shape = (64, 32)
    seed: int = 1
    prng: str = "threefry2x32"
    key: str = ""
    transform: str = "eager"
    definition: Definition | None = None
    is_undefined: bool = False

    def build(self, right: Initializer) -> Initializer:
        """Return the wrong initializer, made from the right one."""

        def wrong(key: Any, shape: Shape, dtype: Any, **where: Any) -> Any:
            told = functools.partial(right, **where) if where else right
            return self.wrong(told, key, shape, dtype)

        return wrong


def in_float64(array: Any, change: Callable[[Any], Any]) -> Any:
    """Return the array changed in float64 on the host and rounded back once."""
    import jax.numpy as jnp
    import numpy as np

    return jnp.asarray(change(np.asarray(array).astype(np.float64)).astype(array.dtype))


def scaled(factor: float) -> Wrong:
    """Return the right array times a factor."""
    return lambda right, key, shape, dtype: in_float64(
        right(key, shape, dtype), lambda x: x * factor
    )


def shifted(sigmas: float) -> Wrong:
    """Return the right array, its mean moved by so many of its standard deviations."""

    def wrong(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
        return in_float64(right(key, shape, dtype), lambda x: x + sigmas * x.std())

    return wrong


def of_array(change: Callable[[Any], Any]) -> Wrong:
    """Return the right array changed."""
    return lambda right, key, shape, dtype: change(right(key, shape, dtype))


def other_key(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    """Return what the right initializer returns for another key."""
    import jax

    return right(jax.random.fold_in(key, 1), shape, dtype)


def second_half_copied(array: Any) -> Any:
    """Return the array with its first half twice."""
    import jax.numpy as jnp

    half = len(array) // 2
    return jnp.concatenate([array[:half], array[:half]])


def few_bits(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    """Every 16 neighbours share one draw: the law of an element is intact, independence is not."""
    import jax.numpy as jnp

    few = right(key, (shape[0] // 16, *shape[1:]), dtype)
    return jnp.repeat(few, 16, axis=0)
