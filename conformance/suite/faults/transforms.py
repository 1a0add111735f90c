"""Right when they are called eagerly: wrong in a lane, over devices, compiled, or under x64."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from conformance.cases.catalogue import Initializer
from conformance.core.records import DriftClass
from conformance.suite.faults.fault import Fault, Shape, Wrong, other_key


def _in_lanes(change: Callable[[Any], Any]) -> Wrong:
    """Return the right array; where lanes are mapped, all of theirs changed."""

    def wrong(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
        import jax

        def draw(words: Any) -> Any:
            return right(jax.random.wrap_key_data(words), shape, dtype)

        def drawn_in_lanes(n_lanes: int, is_mapped: Any, words: Any) -> Any:
            del n_lanes, is_mapped
            return change(jax.vmap(draw)(words)), True

        mapped = jax.custom_batching.custom_vmap(draw)
        mapped.def_vmap(drawn_in_lanes)
        return mapped(jax.random.key_data(key))

    return wrong


def _over_devices(change: Callable[[Any], Any], *, is_whole: bool = False) -> Wrong:
    """Return the right array; where it lies on several devices, the part of each changed.

    is_whole: whether each device is given the whole array to take its part of.
    """

    def wrong(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
        from jax.experimental import custom_partitioning
        from jax.sharding import NamedSharding, PartitionSpec

        def partition(mesh: Any, arguments: Any, result: Any) -> Any:
            del arguments
            n_rows = result.sharding.shard_shape(tuple(result.shape))[0]
            whole = NamedSharding(mesh, PartitionSpec())  # type: ignore[no-untyped-call]  # JAX leaves it untyped
            given = whole if is_whole else result.sharding
            return mesh, lambda part: change(part)[:n_rows], result.sharding, (given,)

        untyped: Any = custom_partitioning.custom_partitioning
        spread = untyped(lambda array: array)
        axes = " ".join(f"axis{number}" for number in range(len(shape)))
        spread.def_partition(
            partition=partition,
            infer_sharding_from_operands=lambda _mesh, _arguments, result: result.sharding,
            sharding_rule=f"{axes} -> {axes}",
        )
        return spread(right(key, shape, dtype))

    return wrong


def _compiled(change: Callable[[Initializer, Any, Shape, Any], Any]) -> Wrong:
    """Return what is changed within a compiled program only."""

    def wrong(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
        import jax

        if isinstance(key, jax.core.Tracer):
            return change(right, key, shape, dtype)
        return right(key, shape, dtype)

    return wrong


def _ulps_off(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    """Return the array, one element moved by a few hundred ULP of sigma."""
    array = right(key, shape, dtype)
    return array.at[(0,) * array.ndim].add(array.std() * 2.0**-14)


def _last_row_repeated(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    """Return the array that was padded to the devices by what was drawn before."""
    array = right(key, shape, dtype)
    return array.at[-1].set(array[-2]) if shape[0] % 8 else array


def _wide_under_x64(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    import jax

    if not jax.config.jax_enable_x64:
        return right(key, shape, dtype)
    return right(key, shape, "float64").astype(dtype)


def _told_where(change: Callable[[Any], Wrong]) -> Wrong:
    """Return what is changed where `out_sharding` says where the array shall lie."""

    def wrong(right: Any, key: Any, shape: Shape, dtype: Any) -> Any:
        if isinstance(right, functools.partial):
            return change(right)(right, key, shape, dtype)
        return right(key, shape, dtype)

    return wrong


FAULTS = (
    Fault(
        name="first_lane_is_the_last",
        base="truncated_normal",
        wrong=_in_lanes(lambda lanes: lanes.at[0].set(lanes[-1])),
        transform="vmap_first",
        caught_by="oracle",
        drift=DriftClass.STREAM,
    ),
    Fault(
        name="last_lane_is_the_first",
        base="normal",
        wrong=_in_lanes(lambda lanes: lanes.at[-1].set(lanes[0])),
        transform="vmap_last",
        dtype="bfloat16",
        caught_by="oracle",
        drift=DriftClass.STREAM,
    ),
    Fault(
        name="shards_draw_the_same_block",
        base="normal",
        wrong=_over_devices(lambda whole: whole, is_whole=True),
        transform="sharded",
        caught_by="oracle",
        drift=DriftClass.STRUCTURAL,
    ),
    Fault(
        name="shards_reversed",
        base="normal",
        wrong=_over_devices(lambda part: part[::-1]),
        transform="sharded",
        caught_by="oracle",
        drift=DriftClass.STRUCTURAL,
    ),
    Fault(
        name="halo_drawn_twice",
        base="normal",
        wrong=_over_devices(lambda part: part.at[0].set(part[1])),
        transform="sharded",
        caught_by="oracle",
        drift=DriftClass.STRUCTURAL,
    ),
    Fault(
        name="compiled_on_another_key",
        base="normal",
        wrong=_compiled(other_key),
        transform="jit",
        caught_by="oracle",
        drift=DriftClass.STREAM,
    ),
    Fault(
        name="one_element_off_when_compiled",
        base="normal",
        wrong=_compiled(_ulps_off),
        transform="jit",
        caught_by="oracle",
        drift=DriftClass.TRANSFORM,
    ),
    Fault(
        name="padding_drawn_as_data",
        base="normal",
        wrong=_compiled(_last_row_repeated),
        transform="sharded_uneven",
        shape=(17, 13),
        caught_by="oracle",
        drift=DriftClass.TRANSFORM,
    ),
    Fault(
        name="float32_drawn_in_float64_under_x64",
        base="normal",
        wrong=_wide_under_x64,
        transform="x64",
        caught_by="oracle",
        drift=DriftClass.STREAM,
    ),
    Fault(
        name="out_sharding_takes_another_key",
        base="truncated_normal",
        wrong=_told_where(lambda _: other_key),
        transform="out_sharding",
        caught_by="oracle",
        drift=DriftClass.STREAM,
    ),
    Fault(
        name="out_sharding_ignored",
        base="truncated_normal",
        wrong=_told_where(lambda right: lambda _, *asked: right.func(*asked)),
        transform="out_sharding",
        caught_by="contract",
        drift=DriftClass.CONTRACT,
    ),
)
