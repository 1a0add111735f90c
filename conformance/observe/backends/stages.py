"""The stages between a seed and an array, as a backend itself computes them.

The samplers of `jax.random` are called one by one with the key that draws: what the initializers do
in one go. A digest of each stage is enough to name the first that differs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from conformance.core.arrays import Array, as_dtype, digest
from conformance.core.formats import FORMATS
from conformance.core.ids import Problem
from conformance.core.lattice import word_bits
from conformance.core.laws import Sampler
from conformance.observe.backends.problem import drawing_key


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
    key = drawing_key(problem, key, sampler.drawn_with)
    draw = DRAWS[sampler.kind]
    bits = jax.random.bits(key, sampler.shape, f"u{word_bits(dtype) // 8}")
    uniform = jax.random.uniform(key, sampler.shape, dtype, *draw.between(sampler, dtype))
    return {
        "key": jax.random.key_data(key),
        "bits": bits,
        "uniform": uniform,
        "unit": draw.unit(key, sampler, dtype),
    }


def normals(problem: Problem, drawn_with: str) -> Callable[..., Any]:
    """Return `jax.random.normal`, drawing with what an initializer makes of the key it is given."""
    import jax

    def normal(key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
        return jax.random.normal(drawing_key(problem, key, drawn_with), shape, dtype)

    return normal if drawn_with else jax.random.normal


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """A function of `jax.random`.

    between: the bounds of the uniforms that it makes its variates of, rounded as it rounds them.
    unit: what it returns.
    """

    between: Callable[[Sampler, np.dtype[Any]], tuple[Any, Any]]
    unit: Callable[[Any, Sampler, np.dtype[Any]], Any]


def _bounds(sampler: Sampler, dtype: np.dtype[Any]) -> tuple[float, float]:
    del dtype
    return sampler.lower, sampler.upper


def _uniform(key: Any, sampler: Sampler, dtype: np.dtype[Any]) -> Any:
    import jax

    return jax.random.uniform(key, sampler.shape, dtype, sampler.lower, sampler.upper)


def _inside_one(sampler: Sampler, dtype: np.dtype[Any]) -> tuple[Any, Any]:
    del sampler
    return np.nextafter(np.array(-1, dtype), np.array(0, dtype), dtype=dtype), 1.0


def _normal(key: Any, sampler: Sampler, dtype: np.dtype[Any]) -> Any:
    import jax

    return jax.random.normal(key, sampler.shape, dtype)


def _erf_of_bounds(sampler: Sampler, dtype: np.dtype[Any]) -> tuple[Any, Any]:
    import jax

    root = np.array(np.sqrt(2), dtype)
    lower, upper = (
        jax.lax.erf(np.array(bound, dtype) / root) for bound in (sampler.lower, sampler.upper)
    )
    return lower, upper


def _truncated_normal(key: Any, sampler: Sampler, dtype: np.dtype[Any]) -> Any:
    import jax

    return jax.random.truncated_normal(key, sampler.lower, sampler.upper, sampler.shape, dtype)


def _from_smallest(sampler: Sampler, dtype: np.dtype[Any]) -> tuple[float, float]:
    del sampler
    return FORMATS[dtype.name].smallest_normal, 1.0


def _logistic(key: Any, sampler: Sampler, dtype: np.dtype[Any]) -> Any:
    import jax

    return jax.random.logistic(key, sampler.shape, dtype)


DRAWS = {
    "uniform": Draw(between=_bounds, unit=_uniform),
    "normal": Draw(between=_inside_one, unit=_normal),
    "logistic": Draw(between=_from_smallest, unit=_logistic),
    "truncated_normal": Draw(between=_erf_of_bounds, unit=_truncated_normal),
}
"""By the names that laws give for what draws them."""
