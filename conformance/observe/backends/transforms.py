"""The ways of asking an initializer, one function each: none may change what it returns."""

from __future__ import annotations

import concurrent.futures
import functools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from conformance.cases.catalogue import Initializer
from conformance.core.arrays import as_dtype
from conformance.core.ids import CALLS, Problem
from conformance.observe.backends.problem import implementation, seed_key, settings
from conformance.observe.jax_compat import x64
from conformance.observe.process import SHARDS

Call = Callable[[Any], Any]
"""Key -> array: an initializer under one transform."""

VMAP_LANES = 4
"""Keys in one vmapped call."""

OTHER_SEED = 1000
"""The first of those that stand beside or before the case's own key."""

MANY_CALLS = 500
"""Half a thousand, since each case is observed twice."""


def eager(initializer: Initializer, problem: Problem, _: list[Any]) -> Call:
    """Return the plain call."""
    return lambda key: initializer(key, problem.shape, as_dtype(problem.dtype))


def legacy_key(initializer: Initializer, problem: Problem, devices: list[Any]) -> Call:
    """Return the call with a raw uint32 key, as before typed keys.

    Its words do not say of which generator they are: JAX takes them for those of its default.
    """
    import jax

    call = eager(initializer, problem, devices)

    def raw(key: Any) -> Any:
        with jax.default_prng_impl(implementation(problem)):
            return call(jax.random.key_data(key))

    return raw


def _jit(initializer: Initializer, problem: Problem, devices: list[Any]) -> Call:
    import jax

    call: Call = jax.jit(eager(initializer, problem, devices))
    return call


def _under_x64(initializer: Initializer, problem: Problem, devices: list[Any]) -> Call:
    """Return the call with 64 bits enabled around it; the key is made before."""
    call = eager(initializer, problem, devices)

    def wide(key: Any) -> Any:
        with x64():
            return call(key)

    return wide


# --- Lanes of vmap -------------------------------------------------------------------------------


def vmap(initializer: Initializer, problem: Problem, devices: list[Any]) -> Call:
    """Return the call mapped over VMAP_LANES keys, of which the one before last is the case's."""
    return _in_lane(VMAP_LANES - 2, initializer, problem, devices)


def _vmap_first(initializer: Initializer, problem: Problem, devices: list[Any]) -> Call:
    return _in_lane(0, initializer, problem, devices)


def _vmap_last(initializer: Initializer, problem: Problem, devices: list[Any]) -> Call:
    return _in_lane(VMAP_LANES - 1, initializer, problem, devices)


def _in_lane(lane: int, initializer: Initializer, problem: Problem, devices: list[Any]) -> Call:
    """Return the mapped call, with the case's own key in one lane and other keys in all others."""
    import jax

    call = jax.vmap(eager(initializer, problem, devices))
    others = [seed_key(problem, OTHER_SEED + i) for i in range(VMAP_LANES - 1)]
    return lambda key: call(jax.numpy.stack([*others[:lane], key, *others[lane:]]))[lane]


# --- Several devices -----------------------------------------------------------------------------


def _sharded(initializer: Initializer, problem: Problem, devices: list[Any]) -> Call:
    return _over_devices(eager(initializer, problem, devices), problem, devices)


def _over_devices(call: Call, problem: Problem, devices: list[Any], *mapped: None) -> Call:
    """Return the call compiled for several devices. mapped: None for each new first axis."""
    import jax

    over = _sharding(devices, *mapped, *_axes(problem, _divisible_axis(problem.shape)))
    compiled: Call = jax.jit(call, out_shardings=over)
    return compiled


def _sharded_uneven(initializer: Initializer, problem: Problem, devices: list[Any]) -> Call:
    """Return the compiled call that spreads the array along an axis that SHARDS does not divide.

    Only within a program may the parts be of different sizes; it returns the whole everywhere.
    """
    return _whole_everywhere(_constrained(initializer, problem, devices), devices)


def _constrained(initializer: Initializer, problem: Problem, devices: list[Any]) -> Call:
    import jax

    call = eager(initializer, problem, devices)
    over = _sharding(devices, *_axes(problem, _indivisible_axis(problem.shape)))
    constrained: Callable[..., Any] = jax.lax.with_sharding_constraint
    return lambda key: constrained(call(key), over)


def _whole_everywhere(call: Call, devices: list[Any]) -> Call:
    import jax

    compiled: Call = jax.jit(call, out_shardings=_sharding(devices))
    return compiled


def _out_sharding(
    initializer: Initializer, problem: Problem, devices: list[Any], *mapped: None
) -> Call:
    """Return the eager call that is told by `out_sharding` where the array shall lie.

    It raises ValueError where the array lies elsewhere. mapped: None for each new first axis.
    """
    import jax

    axes = _axes(problem, _divisible_axis(problem.shape))

    def spread(key: Any) -> Any:
        over = _explicit(_sharding(devices, *axes))
        needed = _explicit(_sharding(devices, *mapped, *axes))

        def told(key: Any) -> Any:
            return initializer(key, problem.shape, as_dtype(problem.dtype), out_sharding=over)

        call: Call = jax.vmap(told) if mapped else told
        with jax.set_mesh(over.mesh):
            array = call(key)
        if not array.sharding.is_equivalent_to(needed, array.ndim):
            raise ValueError(f"out_sharding={over} was asked for, and the array has another one")
        return array

    return spread


def _sharding(devices: list[Any], *axes: str | None) -> Any:
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    mesh = Mesh(np.array(devices[:SHARDS]), (DEVICES,))
    return NamedSharding(mesh, PartitionSpec(*axes))  # type: ignore[no-untyped-call]  # JAX leaves it untyped


def _explicit(sharding: Any) -> Any:
    """Return the sharding over a mesh whose axes are part of the types of arrays."""
    from jax.sharding import AxisType, Mesh, NamedSharding

    mesh = Mesh(sharding.mesh.devices, (DEVICES,), axis_types=(AxisType.Explicit,))
    return NamedSharding(mesh, sharding.spec)


DEVICES = "devices"
"""The one axis of every mesh."""


def _axes(problem: Problem, split: int | None) -> list[str | None]:
    return [DEVICES if axis == split else None for axis in range(len(problem.shape))]


def _divisible_axis(shape: tuple[int, ...]) -> int | None:
    """Return the first axis that the devices divide, or None: then every device holds a replica."""
    divisible = (axis for axis, size in enumerate(shape) if size and size % SHARDS == 0)
    return next(divisible, None)


def _indivisible_axis(shape: tuple[int, ...]) -> int | None:
    """Return the longest axis that the devices do not divide, or None."""
    sizes = {axis: size for axis, size in enumerate(shape) if size % SHARDS}
    return max(sizes, key=lambda axis: sizes[axis], default=None)


# --- What came before the call -------------------------------------------------------------------


def _third_call(initializer: Initializer, problem: Problem, devices: list[Any]) -> Call:
    call = eager(initializer, problem, devices)
    return lambda key: [call(key) for _ in range(3)][-1]


def _many_calls(initializer: Initializer, problem: Problem, devices: list[Any]) -> Call:
    """Return MANY_CALLS calls, and of their arrays the first that is not as the one before."""
    call = eager(initializer, problem, devices)
    return lambda key: _first_other(call(key) for _ in range(MANY_CALLS))


def _first_other(arrays: Iterable[Any]) -> Any:
    first = None
    for array in arrays:
        bits = np.asarray(array).tobytes()
        if first is not None and bits != first:
            break
        first = bits
    return array


def _after_another_key(initializer: Initializer, problem: Problem, devices: list[Any]) -> Call:
    call, other = eager(initializer, problem, devices), seed_key(problem, OTHER_SEED)

    def second(key: Any) -> Any:
        call(other)
        return call(key)

    return second


def _in_second_thread(initializer: Initializer, problem: Problem, devices: list[Any]) -> Call:
    """Return the call in a thread of its own; JAX's settings are those of a thread."""
    import jax

    call = eager(initializer, problem, devices)

    def there(key: Any) -> Any:
        with jax.default_device(devices[0]), settings(problem):
            return call(key)

    def second(key: Any) -> Any:
        with concurrent.futures.ThreadPoolExecutor(max_workers=1) as threads:
            return threads.submit(there, key).result()

    return second


def _after_donation(initializer: Initializer, problem: Problem, devices: list[Any]) -> Call:
    """Return the call after one whose array was donated, and overwritten in place."""
    call, overwrite = eager(initializer, problem, devices), _overwriting()

    def second(key: Any) -> Any:
        overwrite(call(key)).block_until_ready()
        return call(key)

    return second


@functools.cache
def _overwriting() -> Call:
    """Return what doubles an array in place; JAX keeps what it compiled with the function."""
    import jax

    call: Call = jax.jit(lambda array: array + array, donate_argnums=0)
    return call


TRANSFORMS: dict[str, Callable[[Initializer, Problem, list[Any]], Call]] = {
    "eager": eager,
    "legacy_key": legacy_key,
    "jit": _jit,
    "vmap": vmap,
    "vmap_first": _vmap_first,
    "vmap_last": _vmap_last,
    "sharded": _sharded,
    "sharded_uneven": _sharded_uneven,
    "out_sharding": _out_sharding,
    "x64": _under_x64,
    "third_call": _third_call,
    "thousand_calls": _many_calls,
    "after_another_key": _after_another_key,
    "second_thread": _in_second_thread,
    "after_donation": _after_donation,
}


def one_call(
    transform: str, initializer: Initializer, problem: Problem, devices: list[Any]
) -> Call:
    """Return the call of a transform without those that come before it."""
    return TRANSFORMS["eager" if transform in CALLS else transform](initializer, problem, devices)


def mapped(transform: str, initializer: Initializer, problem: Problem, devices: list[Any]) -> Call:
    """Return the call of a transform over many keys at once, along a new first axis.

    All that the transform is about is done: what stands beside a key in its call, or comes before
    it, does so for each of them.
    """
    import jax

    call: Call
    match transform:
        case "vmap":  # itself one of many keys
            call = jax.vmap(eager(initializer, problem, devices))
        case "jit":
            call = jax.jit(jax.vmap(eager(initializer, problem, devices)))
        case "sharded":
            each = jax.vmap(eager(initializer, problem, devices))
            call = _over_devices(each, problem, devices, None)
        case "sharded_uneven":
            each = jax.vmap(_constrained(initializer, problem, devices))
            call = _whole_everywhere(each, devices)
        case "out_sharding":
            call = _out_sharding(initializer, problem, devices, None)
        case _ if transform in CALLS:
            call = TRANSFORMS[transform](_of_many(initializer), problem, devices)
        case _:
            call = jax.vmap(TRANSFORMS[transform](initializer, problem, devices))
    return call


def _of_many(initializer: Initializer) -> Initializer:
    """Return the initializer of one key, or of many along a new first axis."""
    import jax

    def each(key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
        if not key.ndim:
            return initializer(key, shape, dtype)
        return jax.vmap(lambda one: initializer(one, shape, dtype))(key)

    return each
