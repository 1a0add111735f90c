"""What only the words of a whole law show: roundings, single points, places, what is asked for."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from conformance.cases.catalogue import Initializer
from conformance.core.laws import TRUNCATED_STDDEV, TruncatedNormal
from conformance.planted.fault import Fault, Graded, Shape, Wrong
from conformance.suite.faults.fault import in_float64_on_host, of_array, on_host

Change = Callable[[Any], Any]


def _scaled(part: float) -> Wrong:
    return in_float64_on_host(lambda x: x * (1 + part) ** 0.5)


def _shifted(sigmas: float) -> Wrong:
    return in_float64_on_host(lambda x: x + sigmas * x.std())


def _at_points(change: Change) -> Wrong:
    """Return the right array, changed as a flat one on the host."""

    def changed(array: Any) -> Any:
        return change(array.reshape(-1).copy()).reshape(array.shape)

    return of_array(on_host(changed))


def _with(index: int, value: float) -> Wrong:
    def change(flat: Any) -> Any:
        flat[index] = value
        return flat

    return _at_points(change)


def _swapped(index: int) -> Wrong:
    """Return the array with two neighbours of the lattice in each other's place."""

    def change(flat: Any) -> Any:
        flat[[index, index + 1]] = flat[[index + 1, index]]
        return flat

    return _at_points(change)


def _every_other_off(ulps: float) -> Wrong:
    """Return neighbours up and down by as much: neither mean nor variance moves."""

    def change(flat: Any) -> Any:
        import numpy as np

        signs = np.where(np.arange(flat.size) % 2, 1.0, -1.0)
        moved = flat.astype(np.float64) + signs * ulps * np.spacing(np.abs(flat)).astype(np.float64)
        return moved.astype(flat.dtype)

    return _at_points(change)


def _steps_up(steps: int) -> Wrong:
    """Return every element so many representable values nearer to infinity."""

    def change(flat: Any) -> Any:
        import numpy as np

        for _ in range(steps):
            flat = np.nextafter(flat, np.full_like(flat, np.inf))
        return flat

    return _at_points(change)


def _from_unit(rounded: Callable[[Any, float], Any]) -> Wrong:
    """Return 0.01 times a truncated normal of 1, multiplied and rounded on the host."""

    def wrong(_: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
        import jax
        import numpy as np

        unit = jax.nn.initializers.truncated_normal(1.0)(key, shape, dtype)
        stddev = float(np.asarray(0.01, dtype))
        return on_host(lambda values: rounded(values, stddev))(unit)

    return wrong


def _toward_zero(values: Any, stddev: float) -> Any:
    import numpy as np

    exact = values.astype(np.float64) * stddev
    near = exact.astype(values.dtype)
    is_too_far = np.abs(near.astype(np.float64)) > np.abs(exact)
    return np.where(is_too_far, np.nextafter(near, np.zeros_like(near)), near)


def toward_zero_of(unit: Any, stddev: float) -> Any:
    """Return a unit variate times a stddev, rounded toward zero."""
    return on_host(lambda values: _toward_zero(values, stddev))(unit)


def _stochastic(values: Any, stddev: float) -> Any:
    """Round up or down by a hash of the exact value, with the chances that have no bias."""
    import numpy as np

    exact = values.astype(np.float64) * stddev
    near = exact.astype(values.dtype)
    ends = np.where(near.astype(np.float64) > exact, -np.inf, np.inf).astype(values.dtype)
    other = np.nextafter(near, ends)
    gap = other.astype(np.float64) - near.astype(np.float64)
    with np.errstate(invalid="ignore"):  # of what is exact and has no other
        share = (exact - near.astype(np.float64)) / gap
    word = exact.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return np.where((word >> np.uint64(11)) * 2.0**-53 < share, other, near)


SCALED_ON_HOST = {"toward_zero": _from_unit(_toward_zero), "stochastic": _from_unit(_stochastic)}
"""Two modes of rounding."""


def _in_float32(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    """Draw in the dtype, and compute what follows in float32: rounded once, not at each step."""
    import jax
    import jax.numpy as jnp

    del right
    low = jnp.nextafter(jnp.asarray(-1, dtype), jnp.asarray(0, dtype))
    uniform = jax.random.uniform(key, shape, dtype, low, 1).astype("float32")
    return (math.sqrt(2) * 0.01 * jax.lax.erf_inv(uniform)).astype(dtype)


def _without_zero(flat: Any) -> Any:
    import numpy as np

    least = np.abs(flat[flat != 0]).min()
    return np.where(flat == 0, least, flat)


def _minus_zero(flat: Any) -> Any:
    import numpy as np

    return np.where(flat == 0, -np.zeros_like(flat), flat)


def _flushed(flat: Any) -> Any:
    import numpy as np

    is_subnormal = np.abs(flat) < np.finfo(flat.dtype).smallest_normal
    return np.where(is_subnormal, np.zeros_like(flat), flat)


def _tails_flat(flat: Any) -> Any:
    """Return the law of which 1 point in 2^20 at each end is that of the last before it."""
    import numpy as np

    n = max(flat.size >> 20, 1)
    ordered = np.sort(flat)
    return np.clip(flat, ordered[n], ordered[-1 - n])


def _bounds(reach: float) -> Wrong:
    def wrong(_: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
        import jax

        ends = {"lower": -reach, "upper": reach}
        return jax.nn.initializers.truncated_normal(1.0, **ends)(key, shape, dtype)

    return wrong


def _drawn_twice(_: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    import jax

    one, two = jax.random.split(key)
    return jax.random.normal(one, shape, dtype) * jax.random.rademacher(two, shape, dtype)


def _drawn_in_bfloat16(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    return right(key, shape, "bfloat16").astype(dtype)


def _refusing(*_: Any) -> Any:
    raise RuntimeError("too large")


def _compiled(wrong: Wrong) -> Wrong:
    """Return what is wrong in a compiled program only."""

    def changed(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
        import jax

        is_traced = isinstance(jax.numpy.ravel(jax.random.key_data(key)), jax.core.Tracer)
        return (wrong if is_traced else _as_it_is)(right, key, shape, dtype)

    return changed


def _as_it_is(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    return right(key, shape, dtype)


def _fault(
    name: str,
    wrong: Wrong,
    caught_by: str,
    base: str = "normal_1",
    dtype: str = "float32",
    transform: str = "eager",
    reach: float = 0.0,
) -> Fault:
    """reach: of the bounds that are asked for instead of the base's, in standard deviations."""
    definition = TruncatedNormal(stddev=1.0, lower=-reach, upper=reach) if reach else None
    return Fault(
        name=f"swept_{dtype}_{name}",
        base=base,
        wrong=wrong,
        caught_by=caught_by,
        dtype=dtype,
        transform=transform,
        definition=definition,
        is_definition=definition is not None,
        is_swept=True,
    )


MIDDLE = 1 << 22
"""A point of float32's lattice far from both ends."""

FAULTS = (
    _fault(
        "variance_off",
        Graded(at=_scaled, planted=1e-5, unit="of the variance"),
        "law_variance",
    ),
    _fault(
        "variance_off",
        Graded(at=_scaled, planted=0.2, unit="of the variance"),
        "law_variance",
        dtype="bfloat16",
    ),
    _fault(
        "variance_off",
        Graded(at=_scaled, planted=0.1, unit="of the variance"),
        "law_variance",
        dtype="float16",
    ),
    _fault(
        "variance_off",
        Graded(at=_scaled, planted=1e-10, unit="of the variance"),
        "law_variance",
        dtype="float64",
    ),
    _fault("mean_off", Graded(at=_shifted, planted=1e-6, unit="sigma"), "law_mean"),
    _fault(
        "mean_off",
        Graded(at=_shifted, planted=0.2, unit="sigma"),
        "law_mean",
        dtype="bfloat16",
    ),
    _fault(
        "correction_dropped",
        in_float64_on_host(lambda x: x * TRUNCATED_STDDEV),
        "law_variance",
        "lecun_normal",
        "float16",
    ),
    _fault(
        "every_other_off",
        Graded(at=_every_other_off, planted=1000.0, unit="ULP"),
        "law_accuracy",
    ),
    _fault(
        "steps_up",
        Graded(at=lambda steps: _steps_up(round(steps)), planted=16.0, unit="ULP"),
        "law_accuracy",
    ),
    _fault("one_step_up", _steps_up(1), "law_sequence", dtype="bfloat16"),
    _fault("two_steps_up", _steps_up(2), "law_sequence", dtype="float16"),
    *(
        _fault(name, wrong, "law_sequence", "truncated_normal", dtype)
        for dtype in ("bfloat16", "float16")
        for name, wrong in SCALED_ON_HOST.items()
    ),
    *(
        _fault("computed_in_float32", _in_float32, "law_sequence", "normal", dtype)
        for dtype in ("bfloat16", "float16")
    ),
    _fault("zero_excluded", _at_points(_without_zero), "law_accuracy", "uniform_1", "float16"),
    _fault("minus_zero", _at_points(_minus_zero), "law_bounds", "uniform_1", "float16"),
    _fault("subnormals_flushed", _at_points(_flushed), "law_sequence", "normal_tiny", "float16"),
    _fault("one_point_not_a_number", _with(MIDDLE, math.nan), "law_finite"),
    _fault("one_point_not_a_number", _with(77, math.nan), "law_finite", dtype="bfloat16"),
    _fault("one_point_infinite", _with(1000, math.inf), "law_finite", dtype="float16"),
    _fault("one_point_beyond", _with(MIDDLE, 1.0), "law_bounds", "uniform_1"),
    _fault("one_point_beyond", _with(1023, 2.0), "law_bounds", "truncated_normal_1", "float16"),
    _fault("two_points_swapped", _swapped(MIDDLE), "law_order"),
    _fault("two_points_swapped", _swapped(100), "law_order", dtype="bfloat16"),
    _fault("falling", of_array(lambda a: -a), "law_order"),
    _fault("tails_flat", _at_points(_tails_flat), "law_accuracy"),
    *(
        _fault(
            f"bounds_of_{reach}",
            _bounds(reach),
            "law_nominal",
            "truncated_normal_1",
            "bfloat16",
            reach=reach,
        )
        for reach in (4, 6, 100)
    ),
    _fault("drawn_twice", _drawn_twice, "law_sweep"),
    _fault("drawn_in_bfloat16", _drawn_in_bfloat16, "law_sweep"),
    _fault(
        "of_another_dtype", of_array(lambda a: a.astype("float32")), "law_sweep", dtype="float16"
    ),
    _fault("refused", _refusing, "law_sweep", dtype="bfloat16"),
    _fault(
        "variance_off_when_compiled",
        _compiled(Graded(at=_scaled, planted=0.1, unit="of the variance")),
        "law_variance",
        dtype="float16",
        transform="jit",
    ),
)
