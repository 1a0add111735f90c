"""The ways of being wrong that several kinds of fault share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from conformance.cases.catalogue import Initializer
from conformance.planted.fault import Fault as Fault
from conformance.planted.fault import Graded as Graded
from conformance.planted.fault import Shape as Shape
from conformance.planted.fault import Wrong as Wrong


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


def variance_off(planted: float) -> Graded:
    """Return the right array, its variance larger by such a part."""
    return Graded(
        at=lambda part: scaled((1 + part) ** 0.5), planted=planted, unit="of the variance"
    )


def mean_off(planted: float) -> Graded:
    """Return `shifted`."""
    return Graded(at=shifted, planted=planted, unit="sigma")


def gain_off(planted: float) -> Graded:
    """Return the right array, every element larger by such a part."""
    return Graded(at=lambda part: scaled(1 + part), planted=planted, unit="of each element")


def on_host(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a change of a NumPy array as one that a sweep and a compiled program can make.

    What is called back runs in a thread of its own, where x64 need not be on: only where it must.
    """

    def changed(array: Any) -> Any:
        import jax
        import numpy as np

        if isinstance(array, jax.core.Tracer):
            return jax.pure_callback(lambda values: change(np.asarray(values)), array, array)
        return jax.numpy.asarray(change(np.asarray(array)))

    return changed


def in_float64_on_host(change: Callable[[Any], Any]) -> Wrong:
    """Return the right array changed in float64, and rounded back once; see `on_host`."""

    def changed(array: Any) -> Any:
        import numpy as np

        return np.asarray(change(array.astype(np.float64))).astype(array.dtype)

    return of_array(on_host(changed))


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
