"""Matrices that are not orthogonal, not Haar, or not the Q of the normals drawn."""

from __future__ import annotations

from typing import Any

from conformance.cases.catalogue import Initializer
from conformance.core.records import DriftClass
from conformance.suite.faults.fault import Fault, Shape, in_float64, of_array


def _not_orthogonal(_: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    import jax

    return jax.random.normal(key, shape, dtype) / max(shape) ** 0.5


def _without_sign_fix(_: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    """Orthogonal, but not Haar: the signs are those that LAPACK's QR happens to give."""
    import jax

    return jax.numpy.linalg.qr(jax.random.normal(key, shape, dtype))[0]


def _columns_swapped(array: Any) -> Any:
    return array.at[:, [3, 4]].set(array[:, [4, 3]])


def _turned_in_their_plane(array: Any) -> Any:
    """Two columns turned by 1e-4 in the plane that they span: as orthonormal as before."""
    import numpy as np

    def change(wide: Any) -> Any:
        cosine, sine = np.cos(1e-4), np.sin(1e-4)
        wide[:, :2] = wide[:, :2] @ np.array([[cosine, sine], [-sine, cosine]])
        return wide

    return in_float64(array, change)


def _last_column_out_of_span(array: Any) -> Any:
    """Return a tall matrix with another last column: orthonormal, and no combination of A's."""
    import numpy as np

    def change(wide: Any) -> Any:
        wide[:, -1] = np.linalg.qr(wide, mode="complete").Q[:, -1]
        return wide

    return in_float64(array, change)


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


FAULTS = (
    Fault(
        name="orthogonal_scale_ignored",
        base="orthogonal_scaled",
        wrong=of_array(lambda a: a / 1.5),
        caught_by="structure",
        drift=DriftClass.LAW,
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
        wrong=of_array(_off_centre),
        shape=(5, 4, 8),
        caught_by="structure",
        drift=DriftClass.STRUCTURAL,
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
        wrong=of_array(_columns_swapped),
        shape=(256, 256),
        caught_by="oracle",
        drift=DriftClass.STRUCTURAL,
    ),
    Fault(
        name="tall_orthogonal_with_its_last_column_out_of_span",
        base="orthogonal",
        wrong=of_array(_last_column_out_of_span),
        caught_by="oracle",
        drift=DriftClass.STREAM,
    ),
    Fault(
        name="orthogonal_with_two_columns_turned",
        base="orthogonal",
        wrong=of_array(_turned_in_their_plane),
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
        wrong=of_array(lambda a: a.conj()),
        dtype="complex64",
        caught_by="oracle",
        drift=DriftClass.STREAM,
    ),
    Fault(
        name="delta_orthogonal_with_columns_swapped",
        base="delta_orthogonal",
        wrong=of_array(lambda a: a.at[..., [0, 1]].set(a[..., [1, 0]])),
        shape=(3, 4, 8),
        caught_by="oracle",
        drift=DriftClass.STRUCTURAL,
    ),
    Fault(
        name="tall_orthogonal_rounded_to_bfloat16",
        base="orthogonal",
        wrong=of_array(lambda a: a.astype("bfloat16").astype(a.dtype)),
        shape=(256, 4),
        caught_by="structure",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="complex_orthogonal_with_a_phase",
        base="orthogonal",
        wrong=of_array(_one_column_turned),
        dtype="complex64",
        caught_by="oracle",
        drift=DriftClass.TRANSFORM,
    ),
    Fault(
        name="complex_orthogonal_with_columns_swapped",
        base="orthogonal",
        wrong=of_array(_columns_swapped),
        dtype="complex128",
        caught_by="oracle",
        drift=DriftClass.STRUCTURAL,
    ),
    Fault(
        name="complex_orthogonal_without_conjugate",
        base="orthogonal",
        wrong=_orthogonal_without_conjugate,
        dtype="complex64",
        caught_by="structure",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="float64_orthogonal_rounded_to_float32",
        base="orthogonal",
        wrong=of_array(lambda a: a.astype("float32").astype(a.dtype)),
        dtype="float64",
        caught_by="structure",
        drift=DriftClass.LAW,
    ),
)
