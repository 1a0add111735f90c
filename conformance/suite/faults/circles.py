"""Complex draws and matrices under generators whose bits no oracle follows: what statistics see.

Of complex numbers the parts, the moduli or the angles are wrong while the rest is right; of
matrices, that are orthogonal each, the law is not Haar.
"""

from __future__ import annotations

import functools
import math
from typing import Any

from conformance.cases.catalogue import Initializer
from conformance.core.records import DriftClass
from conformance.planted.fault import Fault, Graded, Shape, Wrong
from conformance.suite.faults.draws import ANY_SEED, fault
from conformance.suite.faults.fault import of_array


def _changed(change: Any) -> Wrong:
    """Return the right array changed on the host, and rounded back to its dtype."""

    def changed(array: Any) -> Any:
        import jax.numpy as jnp
        import numpy as np

        return jnp.asarray(np.asarray(change(np.asarray(array))).astype(array.dtype))

    return of_array(changed)


# --- Complex numbers -----------------------------------------------------------------------------
def _imaginary_is_real(array: Any) -> Any:
    return array.real * (1 + 1j)


def _conjugate_pairs(array: Any) -> Any:
    flat = array.ravel().copy()
    flat[1::2] = flat[::2].conj()
    return flat.reshape(array.shape)


def _imaginary_of_the_next(array: Any) -> Any:
    """Each imaginary part is the real part of the next element."""
    import numpy as np

    flat = array.ravel()
    return (flat.real + 1j * np.roll(flat.real, -1)).reshape(array.shape)


def _imaginary_shuffled(array: Any) -> Any:
    """The imaginary parts are the real parts of other elements, no two as far off."""
    import numpy as np

    flat = array.ravel()
    other = np.random.default_rng(0).permutation(flat.size)
    return (flat.real + 1j * flat.real[other]).reshape(array.shape)


def _elliptical(part: float) -> Wrong:
    """Return numbers whose real parts are wider, the imaginary ones narrower: E|z|^2 is right."""
    return _changed(lambda a: a.real * math.sqrt(1 + part) + 1j * (a.imag * math.sqrt(1 - part)))


def _few_angles(array: Any) -> Any:
    """Return the moduli at the 64 nearest angles."""
    import numpy as np

    return np.abs(array) * np.exp(2j * np.pi * np.round(np.angle(array) / 2 / np.pi * 64) / 64)


def _moduli_of_a_disk(array: Any) -> Any:
    """Return the angles, with the moduli of a uniform on a disk: E|z|^2 is right."""
    import numpy as np

    modulus = np.abs(array)
    shares = (np.argsort(np.argsort(modulus, axis=None)) + 0.5) / modulus.size
    radius = math.sqrt(2 * np.mean(modulus**2))
    return radius * np.sqrt(shares).reshape(array.shape) * np.exp(1j * np.angle(array))


# --- Matrices ------------------------------------------------------------------------------------
def _random(key: Any) -> Any:
    """Return a generator of the key's own."""
    import jax
    import numpy as np

    return np.random.default_rng(np.asarray(jax.random.key_data(key)))


def _first_row_positive(array: Any) -> Any:
    import numpy as np

    return array * np.sign(array[:1])


def _reflected(array: Any) -> Any:
    """Return the matrix seen in a fixed mirror: as likely, and not that of the draws."""
    import numpy as np

    return array - 2 * np.ones_like(array) * array.mean(axis=0)


def _one_reflection(array: Any) -> Any:
    import numpy as np

    return np.eye(len(array)) - 2 * np.ones_like(array) / len(array)


def _few_reflections(_: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    """Two reflections in random mirrors; rows are shuffled, columns negated at random."""
    import jax.numpy as jnp
    import numpy as np

    random, size = _random(key), shape[0]
    matrix = np.diag(random.choice([-1.0, 1.0], size))
    for _number in range(2):
        normal = random.standard_normal(size)
        normal /= np.linalg.norm(normal)
        matrix -= 2 * np.outer(normal, normal @ matrix)
    return jnp.asarray(random.permutation(matrix).astype(dtype))


def _independent_angles(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    """Rotations by independent angles in random planes: no angle repels another one."""
    import jax.numpy as jnp
    import numpy as np

    planes = np.asarray(right(key, shape, dtype)).astype(np.float64)
    angles = _random(key).uniform(0, 2 * np.pi, shape[0] // 2)
    turned = np.exp(1j * angles) * (planes[:, ::2] - 1j * planes[:, 1::2])
    matrix = turned.real @ planes[:, ::2].T - turned.imag @ planes[:, 1::2].T
    return jnp.asarray(matrix.astype(dtype))


def _shared_by_kin(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    """Return matrices of which those of keys with about as many bits set share a part.

    Half of the pairs that differ in one bit do. No matrix comes often enough to show by itself.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    n_set = sum(int(word).bit_count() for word in np.asarray(jax.random.key_data(key)))
    root = jax.random.key(ANY_SEED, impl=str(jax.random.key_impl(key)))
    own, shared = (
        np.asarray(right(each, shape, dtype), np.float64)
        for each in (key, jax.random.fold_in(root, n_set // 4))
    )
    matrix, triangle = np.linalg.qr(math.sqrt(0.7) * own + math.sqrt(0.3) * shared)
    return jnp.asarray((matrix * np.sign(np.diagonal(triangle))).astype(dtype))


def _real_matrix(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    import jax.numpy as jnp

    return right(key, shape, jnp.float32).astype(dtype)


def _phases_fixed(array: Any) -> Any:
    """Return a unitary matrix of which no element of the first row has an imaginary part."""
    import numpy as np

    return array * (np.abs(array[:1]) / array[:1])


_fault = functools.partial(fault, base="normal", dtype="complex64", key="s7")


def _matrix(
    name: str,
    wrong: Wrong,
    *,
    drift: DriftClass = DriftClass.STREAM,
    caught_by: str = "statistics",
    dtype: str = "float32",
) -> Fault:
    return _fault(
        f"orthogonal_{name}",
        wrong,
        drift=drift,
        caught_by=caught_by,
        base="orthogonal",
        dtype=dtype,
        shape=(32, 32),
    )


FAULTS = (
    _fault("complex_imaginary_is_real", _changed(_imaginary_is_real), drift=DriftClass.TRANSFORM),
    _fault("complex_conjugate_pairs", _changed(_conjugate_pairs)),
    _fault("complex_imaginary_of_the_next", _changed(_imaginary_of_the_next)),
    _fault("complex_imaginary_shuffled", _changed(_imaginary_shuffled)),
    _fault(
        "complex_elliptical",
        Graded(at=_elliptical, planted=0.2, unit="of the variance"),
        dtype="complex128",
        prng="unsafe_rbg",
        drift=DriftClass.TRANSFORM,
    ),
    _fault(
        "complex_of_few_angles",
        _changed(_few_angles),
        base="he_uniform",
        prng="unsafe_rbg",
        drift=DriftClass.TRANSFORM,
    ),
    _fault("complex_moduli_of_a_disk", _changed(_moduli_of_a_disk), drift=DriftClass.TRANSFORM),
    _matrix("with_a_positive_row", _changed(_first_row_positive), drift=DriftClass.TRANSFORM),
    _matrix("in_a_mirror", _changed(_reflected), caught_by="oracle", drift=DriftClass.TRANSFORM),
    _matrix("always_one_reflection", _changed(_one_reflection), drift=DriftClass.LAW),
    _matrix("of_few_reflections", _few_reflections, drift=DriftClass.LAW),
    _matrix("of_independent_angles", _independent_angles),
    _matrix("shared_by_kin", _shared_by_kin, drift=DriftClass.TRANSFORM),
    _matrix("that_is_real", _real_matrix, dtype="complex64", drift=DriftClass.LAW),
    _matrix("with_a_real_row", _changed(_phases_fixed), dtype="complex64"),
)
