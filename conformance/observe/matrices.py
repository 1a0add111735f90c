"""Orthogonal matrices by the thousand, each with the normals of which it is the Q."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.core.arrays import Array, as_dtype
from conformance.core.budgets import MATRICES
from conformance.core.ids import Problem
from conformance.observe.backends.problem import typed_key
from conformance.observe.jax_compat import x64_for

BATCH_BYTES = 1 << 25
"""Of one vmapped call."""


def factored(
    dtype: str, shape: tuple[int, int], n_seeds: int, backend: str
) -> Iterator[tuple[int, Array, Array]]:
    """Yield each seed with the matrix that is returned and the one that was drawn.

    shape: of a tall or square matrix.
    """
    import jax

    batch = max(1, BATCH_BYTES // (shape[0] * shape[1] * as_dtype(dtype).itemsize))
    initializer = jax.nn.initializers.orthogonal()
    with x64_for(dtype), jax.default_device(jax.devices(backend)[0]):
        orthonormal: Any = jax.vmap(lambda key: initializer(key, shape, as_dtype(dtype)))
        drawn: Any = jax.vmap(lambda key: jax.random.normal(key, shape, as_dtype(dtype)))
        for start in range(0, n_seeds, batch):
            seeds = range(start, min(start + batch, n_seeds))
            keys: Any = jax.numpy.stack([typed_key(_problem(dtype, seed)) for seed in seeds])
            yield from zip(
                seeds, np.asarray(orthonormal(keys)), np.asarray(drawn(keys)), strict=True
            )


def _problem(dtype: str, seed: int) -> Problem:
    return Problem(initializer=MATRICES, dtype=dtype, shape=(), seed=seed)
