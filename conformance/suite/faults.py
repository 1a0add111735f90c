"""Initializers that are wrong on purpose, and the check that must catch each.

A fault claims to be one of the builtin initializers and is judged as that one. Nothing here imports
JAX before a fault is built.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import Any

from conformance.cases.catalogue import Initializer
from conformance.core.laws import Declared, Definition, NominalMoments
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
    definition: Definition | None = None
    is_undefined: bool = False

    def build(self, right: Initializer) -> Initializer:
        """Return the wrong initializer, made from the right one."""
        return lambda key, shape, dtype: self.wrong(right, key, shape, dtype)


def _wide(array: Any, change: Callable[[Any], Any]) -> Any:
    """Return the array changed in float64 on the host and rounded back once."""
    import jax.numpy as jnp
    import numpy as np

    return jnp.asarray(change(np.asarray(array).astype(np.float64)).astype(array.dtype))


def _scaled(factor: float) -> Wrong:
    return lambda right, key, shape, dtype: _wide(right(key, shape, dtype), lambda x: x * factor)


def _shifted(sigmas: float) -> Wrong:
    def wrong(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
        return _wide(right(key, shape, dtype), lambda x: x + sigmas * x.std())

    return wrong


def _of_array(change: Callable[[Any], Any]) -> Wrong:
    return lambda right, key, shape, dtype: change(right(key, shape, dtype))


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


def _key_ignored(right: Initializer, _: Any, shape: Shape, dtype: Any) -> Any:
    import jax

    return right(jax.random.key(0), shape, dtype)


def _other_key(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    import jax

    return right(jax.random.fold_in(key, 1), shape, dtype)


def _second_half_copied(array: Any) -> Any:
    import jax.numpy as jnp

    half = len(array) // 2
    return jnp.concatenate([array[:half], array[:half]])


def _stateful() -> Wrong:
    """Return the right array at every other call only; a case makes two."""
    calls = itertools.count()

    def wrong(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
        is_second = next(calls) % 2
        return _other_key(right, key, shape, dtype) if is_second else right(key, shape, dtype)

    return wrong


def _one_nan(array: Any) -> Any:
    return array.at[3, 5].set(float("nan"))


def _untruncated(_: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    import jax

    return jax.nn.initializers.normal(1.0)(key, shape, dtype)


def _fans_swapped(_: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    import jax

    return jax.nn.initializers.lecun_normal(in_axis=-1, out_axis=-2)(key, shape, dtype)


def _not_orthogonal(_: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    import jax

    return jax.random.normal(key, shape, dtype) / max(shape) ** 0.5


def _without_sign_fix(_: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    """Orthogonal, but not Haar: the signs are those that LAPACK's QR happens to give."""
    import jax

    return jax.numpy.linalg.qr(jax.random.normal(key, shape, dtype))[0]


def _rows_swapped(array: Any) -> Any:
    import numpy as np

    return array.at[np.array([0, 1])].set(array[np.array([1, 0])])


def _columns_swapped(array: Any) -> Any:
    return array.at[:, [3, 4]].set(array[:, [4, 3]])


def _turned_in_their_plane(array: Any) -> Any:
    """Two columns turned by 1e-4 in the plane that they span: as orthonormal as before."""
    import numpy as np

    def change(wide: Any) -> Any:
        cosine, sine = np.cos(1e-4), np.sin(1e-4)
        wide[:, :2] = wide[:, :2] @ np.array([[cosine, sine], [-sine, cosine]])
        return wide

    return _wide(array, change)


def _last_column_out_of_span(array: Any) -> Any:
    """Return a tall matrix with another last column: orthonormal, and no combination of A's."""
    import numpy as np

    def change(wide: Any) -> Any:
        wide[:, -1] = np.linalg.qr(wide, mode="complete").Q[:, -1]
        return wide

    return _wide(array, change)


def _nearest_orthogonal(_: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    """Haar as well, but the U V^H of the normals' singular values, not their Q."""
    import jax

    left, _values, right = jax.numpy.linalg.svd(
        jax.random.normal(key, shape, dtype), full_matrices=False
    )
    return left @ right


def _off_centre(array: Any) -> Any:
    import jax.numpy as jnp

    return jnp.roll(array, 1, axis=0)


def _computed_in_bfloat16(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    return right(key, shape, "bfloat16").astype(dtype)


def _few_bits(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    """Every 16 neighbours share one draw: the law of an element is intact, independence is not."""
    import jax.numpy as jnp

    few = right(key, (shape[0] // 16, *shape[1:]), dtype)
    return jnp.repeat(few, 16, axis=0)


def _unit_normal(_: Shape) -> NominalMoments:
    return NominalMoments(mean=0.0, variance=1.0, lower=-6.0, upper=6.0)


def _without_bounds(_: Shape) -> NominalMoments:
    return NominalMoments(mean=0.0, variance=1.0, lower=-math.inf, upper=math.inf)


def _one_block_of_another_key(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    array = right(key, shape, dtype)
    return array.at[:10].set(_other_key(right, key, shape, dtype)[:10])


def _unseen_by_a_sample(change: Callable[[Any], Any]) -> Wrong:
    """Return a large array changed only where the sample that goldens keep of it does not look."""
    import numpy as np

    from conformance.core.arrays import returned, sampled

    def wrong(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
        array = right(key, shape, dtype)
        stride = sampled(returned(np.asarray(array))).stride

        def changed(wide: Any) -> Any:
            elements = wide.reshape(-1)
            unseen = np.arange(elements.size) % stride != 0
            elements[unseen] = change(elements[unseen])
            return wide

        return _wide(array, changed)

    return wrong


def _first(value: Callable[[float], float]) -> Callable[[Any], Any]:
    """Return a change of the first element only."""

    def change(elements: Any) -> Any:
        elements[0] = value(elements[0])
        return elements

    return change


def _computed_in_float32(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    return right(key, shape, "float32").astype(dtype)


def _one_column_turned(array: Any) -> Any:
    """One column of a complex matrix times a phase: as unitary as before."""
    import numpy as np

    return array.at[:, 2].multiply(np.exp(1e-3j).astype(array.dtype))


def _orthogonal_without_conjugate(_: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    """Columns c with c^T c = 1, and not c^H c: the square root of (A^T A)^-1, not (A^H A)^-1."""
    import jax
    import numpy as np

    normals = np.asarray(jax.random.normal(key, shape, dtype))
    values, vectors = np.linalg.eig(normals.T @ normals)
    root = vectors @ np.diag(1 / np.sqrt(values)) @ np.linalg.inv(vectors)
    return jax.numpy.asarray((normals @ root).astype(dtype))


CONTRACT, LAW, STRUCTURAL = DriftClass.CONTRACT, DriftClass.LAW, DriftClass.STRUCTURAL

FAULTS = (
    Fault(
        name="wrong_dtype",
        base="lecun_normal",
        wrong=_of_array(lambda a: a.astype("float32")),
        dtype="bfloat16",
        caught_by="contract",
        drift=STRUCTURAL,
    ),
    Fault(
        name="wrong_shape",
        base="lecun_normal",
        wrong=_of_array(lambda a: a.T),
        caught_by="contract",
        drift=STRUCTURAL,
    ),
    Fault(
        name="all_nan",
        base="normal",
        wrong=_of_array(lambda a: a * float("nan")),
        caught_by="contract",
        drift=LAW,
    ),
    Fault(
        name="one_nan", base="normal", wrong=_of_array(_one_nan), caught_by="contract", drift=LAW
    ),
    Fault(
        name="overflow",
        base="normal",
        wrong=_of_array(lambda a: a.at[0, 0].set(float("inf"))),
        caught_by="contract",
        drift=LAW,
    ),
    Fault(
        name="weak_type",
        base="constant",
        wrong=_weak,
        shape=(),
        caught_by="contract",
        drift=STRUCTURAL,
    ),
    Fault(
        name="returns_where_it_must_raise",
        base="lecun_normal",
        wrong=_zeros,
        shape=(64,),
        caught_by="contract",
        drift=CONTRACT,
    ),
    Fault(
        name="raises_where_it_must_return",
        base="zeros",
        wrong=_raises(ValueError("no")),
        caught_by="contract",
        drift=CONTRACT,
    ),
    Fault(
        name="another_exception",
        base="he_uniform",
        wrong=_raises(RuntimeError("no")),
        shape=(64,),
        caught_by="contract",
        drift=CONTRACT,
    ),
    Fault(
        name="stateful",
        base="glorot_normal",
        wrong=_stateful(),
        caught_by="repeatable",
        drift=DriftClass.IDENTICAL,
    ),
    Fault(
        name="unseen_before",
        base="normal",
        wrong=_other_key,
        is_undefined=True,
        caught_by="values",
        drift=DriftClass.STREAM,
    ),
    Fault(
        name="constant_one_ulp_off",
        base="constant_third",
        wrong=_of_array(lambda a: a * (1 + 2**-23)),
        caught_by="structure",
        drift=LAW,
    ),
    Fault(
        name="ones_but_for_the_last",
        base="ones",
        wrong=_of_array(lambda a: a.at[-1, -1].set(0)),
        caught_by="structure",
        drift=LAW,
    ),
    Fault(
        name="not_truncated",
        base="truncated_normal_1",
        wrong=_untruncated,
        caught_by="structure",
        drift=LAW,
    ),
    Fault(
        name="orthogonal_scale_ignored",
        base="orthogonal_scaled",
        wrong=_of_array(lambda a: a / 1.5),
        caught_by="structure",
        drift=LAW,
    ),
    Fault(
        name="orthogonal_by_expectation_only",
        base="orthogonal",
        wrong=_not_orthogonal,
        caught_by="structure",
        drift=DriftClass.TRANSFORM,
    ),
    Fault(
        name="delta_off_centre",
        base="delta_orthogonal",
        wrong=_of_array(_off_centre),
        shape=(5, 4, 8),
        caught_by="structure",
        drift=STRUCTURAL,
    ),
    Fault(
        name="declared_variance_doubled",
        base="normal_1",
        wrong=_scaled(2**0.5),
        shape=(256, 64),
        definition=Declared(moments=_unit_normal),
        caught_by="moments",
        drift=LAW,
    ),
    Fault(
        name="declared_mean_shifted",
        base="normal_1",
        wrong=_shifted(0.5),
        shape=(256, 64),
        definition=Declared(moments=_unit_normal),
        caught_by="moments",
        drift=LAW,
    ),
    Fault(
        name="variance_doubled",
        base="he_normal",
        wrong=_scaled(2**0.5),
        caught_by="oracle",
        drift=LAW,
    ),
    Fault(
        name="fans_swapped",
        base="lecun_normal",
        wrong=_fans_swapped,
        caught_by="oracle",
        drift=LAW,
    ),
    Fault(
        name="truncation_correction_dropped",
        base="lecun_normal",
        wrong=_scaled(0.87962566103423978),
        caught_by="oracle",
        drift=LAW,
    ),
    Fault(
        name="gain_off_by_1e_4",
        base="glorot_uniform",
        wrong=_scaled(1.0001),
        caught_by="oracle",
        drift=LAW,
    ),
    Fault(
        name="variance_off_by_1e_5",
        base="lecun_normal",
        wrong=_scaled(1.00001**0.5),
        caught_by="oracle",
        drift=LAW,
    ),
    Fault(
        name="mean_off_by_1e_6_sigma",
        base="lecun_normal",
        wrong=_shifted(1e-6),
        caught_by="oracle",
        drift=LAW,
    ),
    Fault(
        name="sign_flipped",
        base="uniform",
        wrong=_of_array(lambda a: -a),
        caught_by="structure",
        drift=LAW,
    ),
    Fault(
        name="transposed",
        base="glorot_normal",
        wrong=_of_array(lambda a: a.T),
        shape=(32, 32),
        caught_by="oracle",
        drift=STRUCTURAL,
    ),
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
        wrong=_other_key,
        caught_by="oracle",
        drift=DriftClass.STREAM,
    ),
    Fault(
        name="second_half_copied",
        base="normal",
        wrong=_of_array(_second_half_copied),
        caught_by="oracle",
        drift=STRUCTURAL,
    ),
    Fault(
        name="neighbours_share_a_draw",
        base="normal",
        wrong=_few_bits,
        caught_by="oracle",
        drift=DriftClass.STREAM,
    ),
    Fault(
        name="computed_in_bfloat16",
        base="normal",
        wrong=_computed_in_bfloat16,
        caught_by="oracle",
        drift=DriftClass.STREAM,
    ),
    Fault(
        name="orthogonal_without_sign_fix",
        base="orthogonal",
        wrong=_without_sign_fix,
        shape=(32, 32),
        caught_by="oracle",
        drift=DriftClass.TRANSFORM,
    ),
    Fault(
        name="orthogonal_with_columns_swapped",
        base="orthogonal",
        wrong=_of_array(_columns_swapped),
        shape=(256, 256),
        caught_by="oracle",
        drift=STRUCTURAL,
    ),
    Fault(
        name="tall_orthogonal_with_its_last_column_out_of_span",
        base="orthogonal",
        wrong=_of_array(_last_column_out_of_span),
        caught_by="oracle",
        drift=DriftClass.STREAM,
    ),
    Fault(
        name="orthogonal_with_two_columns_turned",
        base="orthogonal",
        wrong=_of_array(_turned_in_their_plane),
        caught_by="oracle",
        drift=DriftClass.TRANSFORM,
    ),
    Fault(
        name="orthogonal_by_singular_values",
        base="orthogonal",
        wrong=_nearest_orthogonal,
        shape=(32, 32),
        caught_by="oracle",
        drift=DriftClass.TRANSFORM,
    ),
    Fault(
        name="complex_orthogonal_conjugated",
        base="orthogonal",
        wrong=_of_array(lambda a: a.conj()),
        dtype="complex64",
        caught_by="oracle",
        drift=DriftClass.STREAM,
    ),
    Fault(
        name="delta_orthogonal_with_columns_swapped",
        base="delta_orthogonal",
        wrong=_of_array(lambda a: a.at[..., [0, 1]].set(a[..., [1, 0]])),
        shape=(3, 4, 8),
        caught_by="oracle",
        drift=STRUCTURAL,
    ),
    Fault(
        name="wrong_size",
        base="lecun_normal",
        wrong=_of_array(lambda a: a[:, :-1]),
        caught_by="contract",
        drift=STRUCTURAL,
    ),
    Fault(
        name="minus_zero",
        base="zeros",
        wrong=_of_array(lambda a: -a),
        caught_by="structure",
        drift=LAW,
    ),
    Fault(
        name="tall_orthogonal_rounded_to_bfloat16",
        base="orthogonal",
        wrong=_of_array(lambda a: a.astype("bfloat16").astype(a.dtype)),
        shape=(256, 4),
        caught_by="structure",
        drift=DriftClass.TRANSFORM,
    ),
    Fault(
        name="complex_variance_doubled",
        base="normal_1",
        wrong=_of_array(lambda a: a * 2**0.5),
        dtype="complex64",
        caught_by="oracle",
        drift=LAW,
    ),
    Fault(
        name="a_tenth_of_a_large_array_from_another_key",
        base="normal",
        wrong=_one_block_of_another_key,
        shape=(100, 100),
        caught_by="oracle",
        drift=DriftClass.STREAM,
    ),
    Fault(
        name="declared_without_bounds",
        base="normal_1",
        wrong=_scaled(10.0),
        definition=Declared(moments=_without_bounds),
        caught_by="moments",
        drift=LAW,
    ),
    Fault(
        name="declared_second_half_copied",
        base="normal_1",
        wrong=_of_array(_second_half_copied),
        definition=Declared(moments=_unit_normal),
        caught_by="independence",
        drift=STRUCTURAL,
    ),
    Fault(
        name="declared_neighbours_share_a_draw",
        base="normal_1",
        wrong=_few_bits,
        dtype="bfloat16",
        definition=Declared(moments=_unit_normal),
        caught_by="independence",
        drift=DriftClass.STREAM,
    ),
    Fault(
        name="float64_gain_off_by_1e_13",
        base="glorot_uniform",
        wrong=_scaled(1 + 1e-13),
        dtype="float64",
        caught_by="oracle",
        drift=LAW,
    ),
    Fault(
        name="float64_computed_in_float32",
        base="normal",
        wrong=_computed_in_float32,
        dtype="float64",
        caught_by="oracle",
        drift=DriftClass.STREAM,
    ),
    Fault(
        name="float64_neighbour_rows_swapped",
        base="uniform",
        wrong=_of_array(_rows_swapped),
        dtype="float64",
        caught_by="oracle",
        drift=STRUCTURAL,
    ),
    Fault(
        name="float16_gain_off_by_1_percent",
        base="he_uniform",
        wrong=_scaled(0.99),
        dtype="float16",
        caught_by="oracle",
        drift=LAW,
    ),
    Fault(
        name="float16_fans_swapped",
        base="lecun_normal",
        wrong=_fans_swapped,
        dtype="float16",
        caught_by="oracle",
        drift=LAW,
    ),
    Fault(
        name="uniform_off_by_1e_4_within_its_bounds",
        base="uniform",
        wrong=_scaled(0.9999),
        caught_by="oracle",
        drift=LAW,
    ),
    Fault(
        name="uniform_mirrored_within_its_bounds",
        base="uniform_1",
        wrong=_of_array(lambda a: 1 - a),
        caught_by="oracle",
        drift=LAW,
    ),
    Fault(
        name="complex_orthogonal_with_a_phase",
        base="orthogonal",
        wrong=_of_array(_one_column_turned),
        dtype="complex64",
        caught_by="oracle",
        drift=DriftClass.TRANSFORM,
    ),
    Fault(
        name="complex_orthogonal_with_columns_swapped",
        base="orthogonal",
        wrong=_of_array(_columns_swapped),
        dtype="complex128",
        caught_by="oracle",
        drift=STRUCTURAL,
    ),
    Fault(
        name="complex_orthogonal_without_conjugate",
        base="orthogonal",
        wrong=_orthogonal_without_conjugate,
        dtype="complex64",
        caught_by="structure",
        drift=LAW,
    ),
    Fault(
        name="float64_orthogonal_rounded_to_float32",
        base="orthogonal",
        wrong=_of_array(lambda a: a.astype("float32").astype(a.dtype)),
        dtype="float64",
        caught_by="structure",
        drift=DriftClass.TRANSFORM,
    ),
    Fault(
        name="rbg_variance_doubled",
        base="normal_1",
        wrong=_scaled(2**0.5),
        shape=(256, 64),
        prng="rbg",
        caught_by="moments",
        drift=LAW,
    ),
    Fault(
        name="rbg_mean_shifted",
        base="normal_1",
        wrong=_shifted(0.1),
        shape=(256, 64),
        dtype="bfloat16",
        prng="unsafe_rbg",
        caught_by="moments",
        drift=LAW,
    ),
    Fault(
        name="rbg_uniform_drawn_from_its_middle",
        base="uniform_1",
        wrong=_of_array(lambda a: a / 2 + 0.25),
        shape=(256, 64),
        dtype="float16",
        prng="rbg",
        caught_by="moments",
        drift=LAW,
    ),
    Fault(
        name="rbg_second_half_copied",
        base="he_uniform",
        wrong=_of_array(_second_half_copied),
        prng="rbg",
        caught_by="independence",
        drift=STRUCTURAL,
    ),
    Fault(
        name="rbg_neighbours_share_a_draw",
        base="uniform",
        wrong=_few_bits,
        dtype="float16",
        prng="unsafe_rbg",
        caught_by="independence",
        drift=DriftClass.STREAM,
    ),
    Fault(
        name="rbg_orthogonal_with_columns_swapped",
        base="orthogonal",
        wrong=_of_array(_columns_swapped),
        prng="rbg",
        caught_by="oracle",
        drift=STRUCTURAL,
    ),
    Fault(
        name="one_unsampled_element_shifted",
        base="normal",
        wrong=_unseen_by_a_sample(_first(lambda x: x + 0.001)),
        shape=(100, 100),
        caught_by="oracle",
        drift=DriftClass.TRANSFORM,
    ),
    Fault(
        name="one_unsampled_element_huge",
        base="glorot_normal",
        wrong=_unseen_by_a_sample(_first(lambda _: 1e4)),
        shape=(100, 100),
        dtype="float16",
        caught_by="structure",
        drift=DriftClass.TRANSFORM,
    ),
    Fault(
        name="one_unsampled_element_not_a_number",
        base="uniform",
        wrong=_unseen_by_a_sample(_first(lambda _: math.nan)),
        shape=(128, 64),
        dtype="bfloat16",
        caught_by="contract",
        drift=LAW,
    ),
    Fault(
        name="unsampled_elements_reversed",
        base="uniform",
        wrong=_unseen_by_a_sample(lambda x: x[::-1].copy()),
        shape=(128, 64),
        dtype="float16",
        caught_by="oracle",
        drift=STRUCTURAL,
    ),
    Fault(
        name="unsampled_elements_scaled",
        base="he_normal",
        wrong=_unseen_by_a_sample(lambda x: x * (1 + 1e-12)),
        shape=(241, 17),
        dtype="float64",
        caught_by="oracle",
        drift=LAW,
    ),
)
