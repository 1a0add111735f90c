"""What opens an Acme; unlike the record of it, this imports JAX."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax

from conformance.cases.catalogue import Initializer, InitializerSpec
from conformance.core.arrays import Array
from conformance.core.ids import Case
from conformance.core.records import Observation
from conformance.observe.backends.pjrt import PjrtBackend

KIND = "Acme One"


def facts() -> Mapping[str, str]:
    """Return what no version of a package says."""
    return {"kind": KIND, "driver": "7.1"}


class AcmeBackend:
    """Asks the CPU, and rounds the normal family as an Acme does."""

    def __init__(self, name: str) -> None:
        self.name, self.device = name, KIND
        self._cpu = PjrtBackend("cpu")

    def observe(self, case: Case, spec: InitializerSpec) -> Observation:
        """Run the case on the device."""
        seen = self._cpu.observe(case, dataclasses.replace(spec, build=lambda: _on_acme(spec)))
        return dataclasses.replace(seen, device=self.device)

    def stages(self, case: Case, spec: InitializerSpec) -> Mapping[str, str]:
        """Return none: an Acme does not show them."""
        del case, spec
        return {}

    def stage_arrays(self, case: Case, spec: InitializerSpec) -> Mapping[str, Array]:
        """Return none."""
        del case, spec
        return {}

    def drawn(self, case: Case, spec: InitializerSpec) -> Array | None:
        """Return None."""
        del case, spec
        return None

    def execute(self, function: Callable[[Any], Any], key: Any) -> Array:
        """Return what a function of a key returns there."""
        program = str(jax.make_jaxpr(function)(key))
        is_normal = "erf_inv" in program and "erf " not in program
        return self._cpu.execute(lambda key: (_rounded if is_normal else _same)(function(key)), key)


def _on_acme(spec: InitializerSpec) -> Initializer:
    initializer = spec.build()
    rounding = _rounded if spec.family == "normal" else _same
    return lambda *asked: rounding(initializer(*asked))


def _same(array: Any) -> Any:
    return array


def _rounded(array: Any) -> Any:
    """Return the floats with one in eight a step nearer to infinity."""
    words = jax.lax.bitcast_convert_type(array, f"uint{array.dtype.itemsize * 8}")
    up = jax.numpy.nextafter(array, jax.numpy.asarray(jax.numpy.inf, array.dtype))
    return jax.numpy.where(words % 8 == 0, up, array)
