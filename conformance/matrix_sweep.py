"""Sweep orthogonal matrices over sizes and seeds: the worst backward errors of right ones.

LAPACK chooses a kernel by the CPU, and some split their sums by the number of threads, once for a
process. So one process measures under what it finds, and `merged` joins what several found:

    python -m conformance.matrix_sweep float32 4x4:1000 256x256:100      one JSON line a shape

`scripts/measure_matrices.py` runs it under every kernel and writes the budgets.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from conformance.arrays import Array, as_dtype
from conformance.backends.pjrt import typed_key, x64
from conformance.budgets import MATRICES, MatrixMeasurement, MatrixPoint, ShapeErrors
from conformance.checks.backward_error import column_errors, gram_error
from conformance.environment import host_facts
from conformance.model import WIDE_DTYPES, Problem, format_shape, parse_shape

BATCH_BYTES = 1 << 25
"""Of one vmapped call."""


def measure(dtype: str, shape: tuple[int, int], n_seeds: int) -> ShapeErrors:
    """Return the worst errors over the seeds 0 to n_seeds - 1 of `jax.nn.initializers.orthogonal`.

    shape: of a tall or square matrix.
    """
    host = host_facts()
    places = {
        name: host.get(name, "unknown") for name in ("lapack", "lapack_kernel", "lapack_threads")
    }
    worst: dict[str, MatrixPoint] = {}
    for seed, orthonormal, drawn in _pairs(dtype, shape, n_seeds):
        found = {
            "column": column_errors(orthonormal, drawn, sign_bound=0.0).largest,
            "gram": gram_error(orthonormal, drawn.dtype).largest,
        }
        for name, error in found.items():
            if name not in worst or error > worst[name].error:
                worst[name] = MatrixPoint(
                    error=error, shape=format_shape(shape), seed=seed, **places
                )
    return ShapeErrors(n_seeds=n_seeds, **worst)


def _pairs(dtype: str, shape: tuple[int, int], n_seeds: int) -> Iterator[tuple[int, Array, Array]]:
    """Yield each seed with the matrix that is returned and the one that was drawn."""
    import jax

    batch = max(1, BATCH_BYTES // (shape[0] * shape[1] * as_dtype(dtype).itemsize))
    initializer = jax.nn.initializers.orthogonal()
    with x64() if dtype in WIDE_DTYPES else contextlib.nullcontext():
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


def joined(found: Iterable[Mapping[str, ShapeErrors]]) -> MatrixMeasurement:
    """Return the worst of what several processes measured, by shape and of all."""
    by_shape: dict[str, ShapeErrors] = {}
    kernels: set[str] = set()
    for shapes in found:
        for name, errors in shapes.items():
            kernels.add(f"{errors.column.lapack_kernel} x {errors.column.lapack_threads}")
            by_shape[name] = errors.joined(by_shape[name]) if name in by_shape else errors
    return MatrixMeasurement(
        column=max((each.column for each in by_shape.values()), key=lambda point: point.error),
        gram=max((each.gram for each in by_shape.values()), key=lambda point: point.error),
        kernels=tuple(sorted(kernels)),
        by_shape=by_shape,
    )


def main(words: Sequence[str]) -> int:
    """Print what this process measures; see the module."""
    dtype, *plan = words
    for item in plan:
        shape, n_seeds = item.split(":")
        rows, columns = parse_shape(shape)
        errors = measure(dtype, (rows, columns), int(n_seeds))
        line: dict[str, Any] = {"shape": shape, **dataclasses.asdict(errors)}
        print(json.dumps(line), flush=True)  # noqa: T201  # the parent reads it
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
