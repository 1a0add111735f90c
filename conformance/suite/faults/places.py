"""The right draws in other places, or others of the right law: what the words of a key decide."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from conformance.cases.catalogue import Initializer
from conformance.core.records import DriftClass
from conformance.planted.fault import Fault, Graded, Shape, Wrong
from conformance.suite.faults.fault import in_float64, of_array


def _rekeyed(change: Callable[[Any], Any]) -> Wrong:
    """Return what the right initializer returns for another key."""
    return lambda right, key, shape, dtype: right(change(key), shape, dtype)


def _first_child(key: Any) -> Any:
    import jax

    return jax.random.split(key)[0]


def _seed_0(_: Any) -> Any:
    import jax

    return jax.random.key(0)


def _next_seed(key: Any) -> Any:
    import jax

    return jax.random.wrap_key_data(jax.random.key_data(key).at[..., -1].add(1))


def _words_swapped(key: Any) -> Any:
    import jax

    return jax.random.wrap_key_data(jax.random.key_data(key)[..., ::-1])


def _in_the_other_layout(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    import jax

    with jax.threefry_partitionable(not jax.config.jax_threefry_partitionable):
        return right(key, shape, dtype)


def _filled_by_columns(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    return right(key, shape, dtype).reshape(shape[::-1]).T


def _transposed_shape(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    """Return what is drawn for the shape backwards, turned: the fans are swapped as well."""
    return right(key, shape[::-1], dtype).T


def _rolled(array: Any) -> Any:
    import jax.numpy as jnp

    return jnp.roll(array, 1)


def _tiles_swapped(array: Any) -> Any:
    import jax.numpy as jnp

    return jnp.concatenate([array[8:16], array[:8], array[16:]])


def _last_element_moved(sigmas: float) -> Wrong:
    def change(wide: Any) -> Any:
        wide.reshape(-1)[-1] += sigmas * wide.std()
        return wide

    return of_array(lambda array: in_float64(array, change))


def _all_moved_at_random(sigmas: float) -> Wrong:
    def change(wide: Any) -> Any:
        import numpy as np

        return wide + sigmas * wide.std() * np.random.default_rng(0).choice((-1, 1), wide.shape)

    return of_array(lambda array: in_float64(array, change))


def _fault(
    name: str,
    wrong: Wrong,
    drift: DriftClass,
    base: str = "normal",
    dtype: str = "float32",
    shape: Shape = (64, 32),
    *,
    seed: int = 1,
    caught_by: str = "oracle",
) -> Fault:
    return Fault(
        name=name,
        base=base,
        wrong=wrong,
        drift=drift,
        dtype=dtype,
        shape=shape,
        seed=seed,
        caught_by=caught_by,
    )


FAULTS = (
    _fault("seed_is_the_next", _rekeyed(_next_seed), DriftClass.STREAM),
    _fault("key_is_split_first", _rekeyed(_first_child), DriftClass.STREAM, "uniform"),
    _fault("words_of_the_key_swapped", _rekeyed(_words_swapped), DriftClass.STREAM, "he_normal"),
    _fault("other_layout_of_counters", _in_the_other_layout, DriftClass.STREAM),
    _fault("filled_by_columns", _filled_by_columns, DriftClass.STRUCTURAL, "glorot_uniform"),
    _fault("drawn_for_the_shape_backwards", _transposed_shape, DriftClass.LAW, "lecun_normal"),
    _fault("rolled_by_one", of_array(_rolled), DriftClass.STRUCTURAL, "truncated_normal"),
    _fault("reversed", of_array(lambda a: a[::-1, ::-1]), DriftClass.STRUCTURAL, "uniform"),
    _fault("two_tiles_swapped", of_array(_tiles_swapped), DriftClass.STRUCTURAL),
    _fault("sign_lost", of_array(abs), DriftClass.LAW),
    _fault("sign_of_a_row_flipped", of_array(lambda a: a.at[3].multiply(-1)), DriftClass.TRANSFORM),
    _fault(
        "key_is_that_of_seed_0",
        _rekeyed(_seed_0),
        DriftClass.IDENTICAL,
        seed=0,
        caught_by="statistics",
    ),
    _fault(
        "last_element_moved",
        Graded(at=_last_element_moved, planted=0.5, unit="sigma"),
        DriftClass.TRANSFORM,
    ),
    _fault(
        "last_element_moved_in_bfloat16",
        Graded(at=_last_element_moved, planted=0.5, unit="sigma"),
        DriftClass.TRANSFORM,
        dtype="bfloat16",
    ),
    _fault(
        "last_element_moved_in_float64",
        Graded(at=_last_element_moved, planted=1e-6, unit="sigma"),
        DriftClass.TRANSFORM,
        "truncated_normal",
        "float64",
    ),
    _fault(
        "last_element_of_a_matrix_moved",
        Graded(at=_last_element_moved, planted=0.5, unit="sigma"),
        DriftClass.TRANSFORM,
        "orthogonal",
    ),
    _fault(
        "all_moved_at_random",
        Graded(at=_all_moved_at_random, planted=0.01, unit="sigma"),
        DriftClass.TRANSFORM,
        "he_uniform",
    ),
)
