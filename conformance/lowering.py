"""Which program JAX lowers each initializer to, for platforms that need not be here.

A fingerprint is the digest of the StableHLO that a compiler gets, without source locations. The
same fingerprint and other bits mean that the compiler changed; another fingerprint, that JAX did.
`golden/lowering.json` holds one line for each initializer and dtype, as `conformance.accepted`
keeps them: from 0.11.2 to 0.12.0 the normals changed, all of them and nothing else.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Callable, Iterable
from typing import Any

from conformance.arrays import as_dtype
from conformance.backends.pjrt import settings
from conformance.catalogue import Catalogue, InitializerSpec
from conformance.definition import expected_error
from conformance.model import Case, Problem

FILE_NAME = "lowering.json"
ACCEPT = "`conformance lowering --accept --reason '...'`"

PLATFORMS = ("cpu", "cuda", "tpu", "rocm")
DTYPES = ("float32", "bfloat16", "float16")
SHAPES = ((64, 32), (5, 4, 8))
"""The second is for axes and kernels that need a third dimension."""


def versions() -> str:
    """Return the versions that decide about the text of a program."""
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("jax", "jaxlib"))


def fingerprints(spec: InitializerSpec) -> dict[str, dict[str, str]]:
    """Return `initializer dtype` -> platform -> 16 hexadecimal digits, or `raises X`.

    Traced once a dtype.
    """
    return {f"{spec.name} {dtype}": _by_platform(spec, dtype) for dtype in DTYPES}


def _by_platform(spec: InitializerSpec, dtype: str) -> dict[str, str]:
    import jax

    try:
        traced = jax.jit(_program(spec, dtype), keep_unused=True).trace(_words())
    except Exception as error:
        return dict.fromkeys(PLATFORMS, f"raises {type(error).__name__}")
    return {platform: _fingerprint(traced, platform) for platform in PLATFORMS}


def _program(spec: InitializerSpec, dtype: str) -> Callable[[Any], Any]:
    """Return the initializer as a function of key data, in a shape that it accepts."""
    import jax

    shape = next((s for s in SHAPES if not expected_error(spec.definition, s, dtype)), SHAPES[0])
    initializer = spec.build()

    def program(words: Any) -> Any:  # its name is part of the text
        key = jax.random.wrap_key_data(words, impl="threefry2x32")
        return initializer(key, shape, as_dtype(dtype))

    return program


def _words() -> Any:
    import jax

    return jax.random.key_data(jax.random.key(0))


def _fingerprint(traced: Any, platform: str) -> str:
    try:
        text: str = traced.lower(lowering_platforms=(platform,)).as_text()
    except Exception as error:
        return f"raises {type(error).__name__}"
    return fingerprint(text)


def recorded(cases: Iterable[Case], catalogue: Catalogue) -> dict[str, str]:
    """Return `platform initializer dtype` -> the fingerprint of what is lowered for it here.

    Under any release of JAX, for the platforms that have a device. What cannot be lowered, or not
    under this release, is left out: nothing is known of it.
    """
    asked = sorted({(c.backend, c.problem.initializer, c.problem.dtype) for c in cases})
    found = {
        " ".join(axes): _lowered_here(axes[0], catalogue.lookup(axes[1]), axes[2]) for axes in asked
    }
    return {key: program for key, program in found.items() if program}


def _lowered_here(platform: str, spec: InitializerSpec, dtype: str) -> str | None:
    import jax

    problem = Problem(initializer=spec.name, dtype=dtype, shape=SHAPES[0], seed=0)
    try:
        with jax.default_device(jax.devices(platform)[0]), settings(problem):
            lowered = jax.jit(_program(spec, dtype), keep_unused=True).lower(_words())
        return fingerprint(lowered.as_text())
    except Exception:
        return None


def fingerprint(text: str) -> str:
    """Return what stands for a program's text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
