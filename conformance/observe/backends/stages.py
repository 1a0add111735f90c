"""The stages between a seed and an array, as a backend itself computes them.

The samplers of `jax.random` are called one by one with the problem's key: what the initializers do
in one go. A digest of each stage is enough to name the first that differs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from conformance.core.arrays import Array, as_dtype, digest
from conformance.core.ids import Problem
from conformance.core.laws import Sampler


def stage_digests(key: Any, problem: Problem, sampler: Sampler) -> dict[str, str]:
    """Return a digest of each stage before the result, in order; real dtypes only."""
    arrays = stage_arrays(key, problem, sampler)
    return {name: digest(array) for name, array in arrays.items()}


def stage_arrays(key: Any, problem: Problem, sampler: Sampler) -> dict[str, Array]:
    """Return each stage before the result, in order; real dtypes only."""
    return {name: np.asarray(array) for name, array in staged(key, problem, sampler).items()}


def staged(key: Any, problem: Problem, sampler: Sampler) -> dict[str, Any]:
    """Return each stage before the result as JAX's arrays, traced ones too."""
    import jax

    dtype = as_dtype(problem.dtype)
    bits = jax.random.bits(key, sampler.shape, _word(dtype))
    uniform = jax.random.uniform(key, sampler.shape, dtype, *_uniform_range(sampler, dtype))
    return {
        "key": jax.random.key_data(key),
        "bits": bits,
        "uniform": uniform,
        "unit": _unit(key, sampler, dtype),
    }


def _word(dtype: np.dtype[Any]) -> Any:
    """Return the word that JAX draws for one element: 8 bits hold a bfloat16's 7."""
    return np.dtype("u1" if dtype.name == "bfloat16" else f"u{dtype.itemsize}")


def _uniform_range(sampler: Sampler, dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """Return the bounds between which the sampler draws its uniforms, rounded as it rounds them."""
    import jax

    if sampler.kind == "uniform":
        return sampler.lower, sampler.upper
    if sampler.kind == "normal":
        return np.nextafter(np.array(-1, dtype), np.array(0, dtype), dtype=dtype), 1.0
    root = np.array(np.sqrt(2), dtype)
    lower, upper = (
        jax.lax.erf(np.array(bound, dtype) / root) for bound in (sampler.lower, sampler.upper)
    )
    return lower, upper


def _unit(key: Any, sampler: Sampler, dtype: np.dtype[Any]) -> Any:
    import jax

    match sampler.kind:
        case "uniform":
            return jax.random.uniform(key, sampler.shape, dtype, sampler.lower, sampler.upper)
        case "normal":
            return jax.random.normal(key, sampler.shape, dtype)
        case _:
            return jax.random.truncated_normal(
                key, sampler.lower, sampler.upper, sampler.shape, dtype
            )
