"""Which program JAX lowers each initializer to, for platforms that need not be here.

A fingerprint is the digest of the StableHLO that a compiler gets, without source locations. The
same fingerprint and other bits mean that the compiler changed; another fingerprint, that JAX did.
`golden/lowering.json` holds one line for each initializer and dtype, as `conformance.accepted`
keeps them: from 0.11.2 to 0.12.0 the normals changed, all of them and nothing else.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from typing import Any

from conformance.arrays import as_dtype
from conformance.catalogue import InitializerSpec
from conformance.definition import expected_error

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

    shape = next((s for s in SHAPES if not expected_error(spec.definition, s, dtype)), SHAPES[0])

    def program(words: Any) -> Any:  # its name is part of the text
        key = jax.random.wrap_key_data(words, impl="threefry2x32")
        return initializer(key, shape, as_dtype(dtype))

    try:
        initializer = spec.build()
        traced = jax.jit(program, keep_unused=True).trace(jax.random.key_data(jax.random.key(0)))
    except Exception as error:
        return dict.fromkeys(PLATFORMS, f"raises {type(error).__name__}")
    return {platform: _fingerprint(traced, platform) for platform in PLATFORMS}


def _fingerprint(traced: Any, platform: str) -> str:
    try:
        text: str = traced.lower(lowering_platforms=(platform,)).as_text()
    except Exception as error:
        return f"raises {type(error).__name__}"
    return fingerprint(text)


def fingerprint(text: str) -> str:
    """Return what stands for a program's text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
