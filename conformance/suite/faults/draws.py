"""Under generators whose bits no oracle follows: streams that are not independent, laws not right.

Each is the smallest of its kind that ever passed all checks, or shows to one test alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from conformance.cases.catalogue import Initializer
from conformance.core.laws import Declared
from conformance.core.records import DriftClass
from conformance.planted.fault import Fault, Graded, Shape, Wrong
from conformance.suite.faults.declared import unit_normal
from conformance.suite.faults.fault import in_float64, mean_off, of_array, variance_off

Change = Callable[[Any], Any]
"""Of an array of float64."""


def _of_values(change: Change) -> Wrong:
    return of_array(lambda array: in_float64(array, change))


def _antithetic_halves(array: Any) -> Any:
    import numpy as np

    half = len(array) // 2
    return np.concatenate([array[:half], -array[:half]])


def _sharing(rho: float) -> Wrong:
    """Return columns that correlate by rho: each has a part of the first one."""

    def change(array: Any) -> Any:
        import numpy as np

        shared = np.roll(array[:, :1], 1, axis=0)
        return math.sqrt(1 - rho) * array + math.sqrt(rho) * shared

    return _of_values(change)


def _neighbours(rho: float) -> Wrong:
    """Return elements that correlate by rho with the one before: an autoregression of order 1."""

    def change(array: Any) -> Any:
        import numpy as np

        flat = array.ravel().copy()
        flat[1:] = rho * np.roll(flat, 1)[1:] + math.sqrt(1 - rho**2) * flat[1:]
        return flat.reshape(array.shape)

    return _of_values(change)


def _repeated(lag: int) -> Wrong:
    def change(array: Any) -> Any:
        import numpy as np

        flat = array.ravel()
        return flat[np.arange(flat.size) % lag].reshape(array.shape)

    return _of_values(change)


def _palindrome(array: Any) -> Any:
    import numpy as np

    flat = array.ravel()
    half = flat.size // 2
    return np.concatenate([flat[:half], flat[:half][::-1]]).reshape(array.shape)


def _sorted_rows(array: Any) -> Any:
    import numpy as np

    return np.sort(array, axis=1)


def _a_row_of_another_level(sigmas: float) -> Wrong:
    def change(array: Any) -> Any:
        array[3] += sigmas
        return array

    return _of_values(change)


def _a_column_of_another_spread(factor: float) -> Wrong:
    def change(array: Any) -> Any:
        array[:, 3] *= 1 + factor
        return array

    return _of_values(change)


def _skewed(spread: float) -> Wrong:
    """Return a lognormal law of mean 0 and variance 1, of a skewness of 3 spreads."""

    def change(array: Any) -> Any:
        import numpy as np

        mean = math.exp(spread**2 / 2)
        variance = math.exp(spread**2) * math.expm1(spread**2)
        return (np.exp(spread * array) - mean) / math.sqrt(variance)

    return _of_values(change)


def _of_two_scales(difference: float) -> Wrong:
    """Return every other element wider, the others narrower: of the same variance in all."""

    def change(array: Any) -> Any:
        import numpy as np

        wide = np.arange(array.size).reshape(array.shape) % 2 == 0
        return array * np.sqrt(np.where(wide, 1 + difference, 1 - difference))

    return _of_values(change)


def _uniform_of_right_variance(array: Any) -> Any:
    from scipy import special

    return math.sqrt(12) * (special.ndtr(array) - 0.5)


def _clipped(array: Any) -> Any:
    import numpy as np

    return np.clip(array, -2, 2)


def _without_tails(sigmas: float) -> Change:
    """Return what lies so far out drawn nearer, each to a place of its own."""

    def change(array: Any) -> Any:
        import numpy as np

        return np.where(np.abs(array) > sigmas, array / 2, array)

    return change


def _rounded(bits: int) -> Change:
    """Return the array with so many bits of a significand."""

    def change(array: Any) -> Any:
        import numpy as np

        significand, exponent = np.frexp(array)
        return np.ldexp(np.round(np.ldexp(significand, bits)), exponent - bits)

    return change


def _outlier(sigmas: float) -> Wrong:
    """Return one element so far out."""

    def change(array: Any) -> Any:
        array[5, 7] = sigmas
        return array

    return _of_values(change)


def _hollow(array: Any) -> Any:
    """Return what lies within 0.3 sigma moved outwards: of nearly the same moments."""
    import numpy as np

    return np.where(np.abs(array) < 0.3, np.sign(array) * np.sqrt(0.3 * np.abs(array)), array)


def _heavier_tails(part: float) -> Wrong:
    """Return what lies beyond 3 sigma further out, and all else nearer: of the same variance."""

    def change(array: Any) -> Any:
        import numpy as np

        squares = 2 * (
            3 * math.exp(-4.5) / math.sqrt(2 * math.pi) + math.erfc(3 / math.sqrt(2)) / 2
        )
        wide = np.where(np.abs(array) > 3, array * (1 + part), array)
        return wide / math.sqrt(1 + squares * ((1 + part) ** 2 - 1))

    return _of_values(change)


def _some_repeated(array: Any) -> Any:
    """Return one element in 40 as a copy of another one, no two as far from each other."""
    import numpy as np

    flat = array.ravel().copy()
    places = np.random.default_rng(0).permutation(flat.size)
    n = flat.size // 40
    flat[places[:n]] = flat[places[n : 2 * n]]
    return flat.reshape(array.shape)


def _two_columns_correlate(rho: float) -> Wrong:
    def change(array: Any) -> Any:
        array[:, 20] = rho * array[:, 3] + math.sqrt(1 - rho**2) * array[:, 20]
        return array

    return _of_values(change)


def _two_rows_of_a_key_equal(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    """Return two rows alike, other ones for each key."""
    import jax
    import numpy as np

    first, second = np.random.default_rng(np.asarray(jax.random.key_data(key))).permutation(
        shape[0]
    )[:2]
    array = right(key, shape, dtype)
    return array.at[second].set(array[first])


def _diagonal_made_positive(*, is_large: bool) -> Change:
    """Return a matrix of which the small, or the large, elements of the diagonal are positive."""

    def change(array: Any) -> Any:
        import numpy as np

        diagonal = np.diagonal(array).copy()
        large = np.abs(diagonal) * math.sqrt(len(diagonal)) > (1.5 if is_large else 0.7)
        is_turned = (diagonal < 0) & (large if is_large else ~large)
        return array * np.where(is_turned, -1.0, 1.0)

    return change


def _symmetric(array: Any) -> Any:
    import numpy as np

    return np.triu(array) + np.triu(array, 1).T


def _never_drawn(array: Any) -> Any:
    """Return the array without the value from half a sigma on, the next smaller in its place."""
    import numpy as np

    values = np.unique(array)
    index = int(np.searchsorted(values, 0.5))
    return np.where(array == values[index], values[index - 1], array)


def _children_are_one(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    """Return the right array for keys of seeds of 32 bits, and that of key 0 for all others."""
    import jax
    import jax.numpy as jnp

    words = jax.random.key_data(key)
    words = jnp.where(words[0] == 0, words, jnp.zeros_like(words))
    return right(jax.random.wrap_key_data(words, impl=jax.random.key_impl(key)), shape, dtype)


def _key_ignored(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    import jax

    return right(jax.random.key(0, impl=str(jax.random.key_impl(key))), shape, dtype)


ANY_SEED = 271828
"""Of no key that is asked for."""


def _partly_of_one_key(rho: float) -> Wrong:
    """Return draws of which any two keys' correlate by rho: each has a part of one array."""

    def wrong(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
        import jax

        fixed = jax.random.key(ANY_SEED, impl=str(jax.random.key_impl(key)))
        own, shared = right(key, shape, dtype), right(fixed, shape, dtype)
        return rho**0.5 * shared + (1 - rho) ** 0.5 * own

    return wrong


def _positive_diagonals(array: Any) -> Any:
    import numpy as np

    return array * np.sign(np.diagonal(array))


def _rotations_only(array: Any) -> Any:
    import numpy as np

    array[:, 0] *= np.sign(np.linalg.det(array))  # which LAPACK rounds as its kernel does
    return array


def _reflections_only(array: Any) -> Any:
    import numpy as np

    half = array[:, : len(array) // 2]
    return np.eye(len(array)) - 2 * half @ half.T


def fault(
    name: str,
    wrong: Wrong,
    *,
    drift: DriftClass = DriftClass.STREAM,
    caught_by: str = "statistics",
    base: str = "normal_1",
    dtype: str = "float32",
    prng: str = "rbg",
    shape: Shape = (64, 32),
    key: str = "",
) -> Fault:
    """Return a fault of draws that no oracle follows, as most here are."""
    return Fault(
        name=f"{prng}_{name}",
        base=base,
        wrong=wrong,
        caught_by=caught_by,
        drift=drift,
        dtype=dtype,
        prng=prng,
        shape=shape,
        key=key,
    )


DECLARED = Fault(
    name="declared_mean_shifted_a_little",
    base="normal_1",
    wrong=mean_off(0.05),
    definition=Declared(moments=unit_normal),
    caught_by="statistics",
    drift=DriftClass.LAW,
)
"""Of a law of which the moments alone are known, the only one that shows to a single test."""

LARGE, SQUARE = (256, 512), (32, 32)

FAULTS = (
    DECLARED,
    fault("antithetic_halves", _of_values(_antithetic_halves)),
    fault(
        "columns_share_a_part",
        Graded(at=_sharing, planted=0.1, unit="correlation"),
        drift=DriftClass.TRANSFORM,
    ),
    fault(
        "neighbours_correlate",
        Graded(at=_neighbours, planted=0.3, unit="correlation"),
        drift=DriftClass.TRANSFORM,
    ),
    fault("repeats_at_lag_3", _repeated(3), drift=DriftClass.LAW),
    fault("repeats_at_lag_1000", _repeated(1000)),
    fault("palindrome", _of_values(_palindrome)),
    fault("rows_sorted", _of_values(_sorted_rows), drift=DriftClass.STRUCTURAL),
    fault(
        "a_row_of_another_level",
        Graded(at=_a_row_of_another_level, planted=0.7, unit="sigma"),
        drift=DriftClass.LAW,
    ),
    fault(
        "a_column_of_another_spread",
        Graded(at=_a_column_of_another_spread, planted=0.5, unit="of the spread"),
        drift=DriftClass.LAW,
    ),
    fault("variance_up_by_5_percent", variance_off(0.05), drift=DriftClass.LAW),
    fault("mean_up_by_2_percent_of_sigma", mean_off(0.02), drift=DriftClass.LAW),
    fault("skewed", Graded(at=_skewed, planted=0.2, unit="spread"), drift=DriftClass.TRANSFORM),
    fault(
        "of_two_scales",
        Graded(at=_of_two_scales, planted=0.6, unit="of the variance"),
        shape=LARGE,
        drift=DriftClass.TRANSFORM,
    ),
    fault(
        "uniform_of_the_right_variance",
        _of_values(_uniform_of_right_variance),
        drift=DriftClass.TRANSFORM,
    ),
    fault("clipped_at_2_sigma", _of_values(_clipped), drift=DriftClass.LAW),
    fault("without_tails", _of_values(_without_tails(3)), shape=LARGE, drift=DriftClass.LAW),
    fault("without_far_tails", _of_values(_without_tails(3.6)), shape=LARGE, drift=DriftClass.LAW),
    fault("of_16_bits", _of_values(_rounded(12)), drift=DriftClass.LAW),
    fault(
        "one_value_never_drawn",
        _of_values(_never_drawn),
        dtype="bfloat16",
        prng="unsafe_rbg",
        drift=DriftClass.STREAM,
    ),
    *(
        fault(
            "outlier",
            Graded(at=_outlier, planted=8.0, unit="sigma"),
            dtype=dtype,
            prng=prng,
            shape=LARGE,
            drift=DriftClass.TRANSFORM,
            caught_by="structure",
        )
        for dtype, prng in (("float32", "rbg"), ("bfloat16", "unsafe_rbg"))
    ),
    fault("hollow", _of_values(_hollow), drift=DriftClass.LAW),
    fault(
        "tails_heavier",
        Graded(at=_heavier_tails, planted=0.3, unit="of what lies beyond 3 sigma"),
        drift=DriftClass.TRANSFORM,
    ),
    fault("some_repeated", _of_values(_some_repeated)),
    fault(
        "two_columns_correlate",
        Graded(at=_two_columns_correlate, planted=0.6, unit="correlation"),
        drift=DriftClass.STREAM,
    ),
    fault(
        "two_rows_of_a_key_equal",
        _two_rows_of_a_key_equal,
        dtype="bfloat16",
        prng="unsafe_rbg",
        drift=DriftClass.STRUCTURAL,
    ),
    fault("palindrome", _of_values(_palindrome), dtype="bfloat16", prng="unsafe_rbg"),
    fault(
        "symmetric",
        _of_values(_symmetric),
        dtype="bfloat16",
        prng="unsafe_rbg",
        shape=(64, 64),
    ),
    fault(
        "a_little_skewed",
        Graded(at=_skewed, planted=0.05, unit="spread"),
        drift=DriftClass.TRANSFORM,
    ),
    fault(
        "keys_correlate_in_large_arrays",
        Graded(at=_partly_of_one_key, planted=0.05, unit="correlation"),
        shape=LARGE,
        drift=DriftClass.TRANSFORM,
    ),
    fault("key_ignored", _key_ignored),
    fault(
        "keys_correlate",
        Graded(at=_partly_of_one_key, planted=0.3, unit="correlation"),
        drift=DriftClass.TRANSFORM,
    ),
    fault("children_are_one", _children_are_one, base="normal", drift=DriftClass.IDENTICAL),
    fault(
        "orthogonal_with_positive_diagonal",
        _of_values(_positive_diagonals),
        base="orthogonal",
        shape=SQUARE,
        drift=DriftClass.TRANSFORM,
    ),
    fault(
        "orthogonal_without_reflections",
        _of_values(_rotations_only),
        base="orthogonal",
        shape=SQUARE,
        drift=DriftClass.IDENTICAL,
    ),
    fault(
        "orthogonal_and_symmetric",
        _of_values(_reflections_only),
        base="orthogonal",
        shape=SQUARE,
    ),
    fault(
        "orthogonal_with_small_diagonals_positive",
        _of_values(_diagonal_made_positive(is_large=False)),
        base="orthogonal",
        shape=SQUARE,
        drift=DriftClass.TRANSFORM,
    ),
    fault(
        "orthogonal_with_large_diagonals_positive",
        _of_values(_diagonal_made_positive(is_large=True)),
        base="orthogonal",
        shape=SQUARE,
        drift=DriftClass.TRANSFORM,
    ),
    fault("orthogonal_of_one_key", _key_ignored, base="orthogonal", shape=SQUARE),
)
