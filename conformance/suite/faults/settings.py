"""What a call leaves behind in its process, and what all calls after it would run under."""

from __future__ import annotations

import os
from typing import Any

from conformance.cases.catalogue import Initializer
from conformance.core.records import DriftClass
from conformance.planted.fault import Fault, Shape, Wrong


def _leaving(name: str, value: object) -> Wrong:
    """Return the right array, and a setting of JAX changed."""

    def wrong(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
        import jax

        array = right(key, shape, dtype)
        jax.config.update(name, value)  # type: ignore[no-untyped-call]  # JAX leaves it untyped
        return array

    return wrong


def _leaving_a_variable(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    os.environ["XLA_FLAGS_OF_A_FAULT"] = "1"
    return right(key, shape, dtype)


def _fault(name: str, wrong: Wrong) -> Fault:
    return Fault(
        name=f"leaves_{name}",
        base="normal",
        wrong=wrong,
        caught_by="contract",
        drift=DriftClass.IDENTICAL,
    )


FAULTS = (
    _fault("x64_on", _leaving("jax_enable_x64", True)),
    _fault("another_layout_of_keys", _leaving("jax_threefry_partitionable", False)),
    _fault("another_default_generator", _leaving("jax_default_prng_impl", "rbg")),
    _fault("an_environment_variable", _leaving_a_variable),
)
