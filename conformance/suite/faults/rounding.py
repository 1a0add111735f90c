"""Values a step or two from the right ones, as another mode of rounding or another unit has them.

What the sweep of a law sees at every word, a case sees of the words that it drew.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from conformance.cases.catalogue import Initializer
from conformance.core.records import DriftClass
from conformance.planted.fault import Fault, Shape, Wrong
from conformance.suite.faults import swept
from conformance.suite.faults.fault import of_array


def _steps_up(steps: int) -> Wrong:
    def change(array: Any) -> Any:
        import jax.numpy as jnp
        import numpy as np

        values = np.asarray(array)
        for _ in range(steps):
            values = np.nextafter(values, np.full_like(values, np.inf))
        return jnp.asarray(values)

    return of_array(change)


def _subnormals_flushed(array: Any) -> Any:
    import jax.numpy as jnp
    import numpy as np

    values = np.asarray(array)
    return jnp.where(abs(values) < np.finfo(values.dtype).smallest_normal, 0, array)


def _minus_zero(array: Any) -> Any:
    import jax.numpy as jnp

    return jnp.where(array == 0, -0.0, array).astype(array.dtype)


def _in_bfloat16(_: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    """Draw as asked, and scale in bfloat16."""
    import jax

    unit = jax.random.normal(key, shape, dtype).astype("bfloat16")
    return (unit * 0.01).astype(dtype)


def _one_element(ulps: int) -> Wrong:
    def change(array: Any) -> Any:
        import jax.numpy as jnp
        import numpy as np

        values = np.asarray(array).copy()
        words = values.reshape(-1).view(f"i{values.dtype.itemsize}")
        words[len(words) // 2] += ulps
        return jnp.asarray(values)

    return of_array(change)


def _fault(name: str, wrong: Wrong, base: str, dtype: str, drift: DriftClass) -> Fault:
    return Fault(
        name=f"{base}_{dtype}_{name}",
        base=base,
        wrong=wrong,
        dtype=dtype,
        drift=drift,
        caught_by="oracle",
    )


FAULTS = (
    *(
        _fault(name, swept.SCALED_ON_HOST[name], "truncated_normal", dtype, drift)
        for dtype in ("bfloat16", "float16")
        for name, drift in (
            ("toward_zero", DriftClass.BIASED),
            (
                "stochastic",
                DriftClass.ROUNDING,
            ),  # both ways: it is the oracle that sees another mode
        )
    ),
    _fault("one_step_up", _steps_up(1), "normal", "bfloat16", DriftClass.BIASED),
    _fault("one_step_up", _steps_up(1), "he_uniform", "float16", DriftClass.BIASED),
    _fault("two_steps_up", _steps_up(2), "lecun_normal", "float16", DriftClass.BIASED),
    _fault("one_step_up", _steps_up(1), "uniform_1", "float32", DriftClass.TRANSFORM),
    _fault("one_step_up", _steps_up(1), "normal", "float32", DriftClass.BIASED),
    _fault("one_element_off", _one_element(1 << 16), "normal", "float32", DriftClass.TRANSFORM),
    _fault(
        "subnormals_flushed",
        of_array(_subnormals_flushed),
        "normal_tiny",
        "float16",
        DriftClass.LAW,
    ),
    dataclasses.replace(
        _fault("minus_zero", of_array(_minus_zero), "uniform_1", "bfloat16", DriftClass.ROUNDING),
        caught_by="structure",
    ),
    _fault("scaled_in_bfloat16", _in_bfloat16, "normal", "float32", DriftClass.LAW),
)
