"""A program as users write it: `tox run -e types` reads it as `mypy --strict` does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

import jax
import numpy as np
import numpy.typing as npt

import conformance
from conformance import Normal, register

if TYPE_CHECKING:
    import pandas as pd


def small_normal(key: jax.Array, shape: tuple[int, ...], dtype: Any = "float32") -> jax.Array:
    """Return normals of standard deviation 0.125."""
    return jax.random.normal(key, shape, dtype) * jax.numpy.asarray(0.125, dtype)


def registered() -> None:
    """Register it."""
    register("small_normal", lambda: small_normal, definition=Normal(stddev=0.125))


def asked() -> bool:
    """Ask all that there is, and return whether it has passed."""
    seen = conformance.observe(small_normal, definition=Normal(stddev=0.125), key=jax.random.key(7))
    verdict = conformance.judge(seen)
    answer = conformance.oracle(Normal(stddev=0.125), shape=(64, 32), key=7)
    drift = conformance.compare(seen, answer)
    swept = conformance.law(small_normal, definition=Normal(stddev=0.125), dtype="bfloat16")
    assert_type(seen.array, npt.NDArray[Any])
    assert_type(verdict.has_passed, bool)
    assert_type(conformance.__version__, str)
    is_close = np.allclose(seen.array, answer.array, rtol=0, atol=1e-5)
    return is_close and verdict.has_passed and drift.drift.n_elements == 2048 and not swept.message


def mean_of_failed(folder: str) -> float:
    """Return how many of the cases of a run have failed."""
    records: pd.DataFrame = conformance.load_records(folder)
    return float((records["status"] == "failed").mean())
