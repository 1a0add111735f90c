"""What of JAX is not public, or differs between its releases."""

from __future__ import annotations

import contextlib
import functools
import importlib
import math
from collections.abc import Iterator, Mapping
from typing import Any

from conformance.core.formats import WIDE_DTYPES
from conformance.core.ids import LATTICE
from conformance.core.lattice import default_log2_points, spread


def mlir_modules() -> tuple[Any, Any]:
    """Return JAX's own `mlir`, which makes contexts that know its dialects, and MLIR's `ir`.

    Raises:
        ImportError: this JAX has them elsewhere.
    """
    from jax._src.interpreters import mlir
    from jaxlib.mlir import ir

    return mlir, ir


def stablehlo_dialect() -> Any:
    """Return the dialect StableHLO, whose `eval_module` interprets programs from JAX 0.10 on.

    Raises:
        ImportError: jaxlib holds none.
    """
    from jaxlib.mlir.dialects import stablehlo

    return stablehlo


def topology(platform: str, arguments: Mapping[str, str]) -> Any:
    """Return the description of devices that are not there, for which programs can be compiled."""
    from jax.experimental import topologies

    return topologies.get_topology_desc(platform=platform, **arguments)


def x64() -> contextlib.AbstractContextManager[Any]:
    """Return a context in which 64-bit dtypes exist, under old and new JAX alike."""
    import jax

    # `jax.experimental.enable_x64` is the only name before JAX 0.8.
    module = jax if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental")
    context: contextlib.AbstractContextManager[Any] = module.enable_x64(True)
    return context


def x64_for(dtype: str) -> contextlib.AbstractContextManager[Any]:
    """Return the context in which arrays of the dtype exist."""
    return x64() if dtype in WIDE_DTYPES else contextlib.nullcontext()


@functools.cache
def lattice_key(log2_count: int | None = None) -> Any:
    """Return a typed key whose random bits are `lattice_words`, over and over."""
    import jax
    from jax.extend.random import define_prng_impl

    implementation = define_prng_impl(
        key_shape=(1,),
        seed=lambda _: jax.numpy.zeros((1,), "uint32"),
        split=lambda key, shape: jax.numpy.broadcast_to(key, (*shape, 1)),
        random_bits=functools.partial(_counting_bits, log2_count),
        fold_in=lambda key, _: key,
        name=LATTICE,
    )
    return jax.random.key(0, impl=implementation)


def _counting_bits(log2_count: int | None, key: Any, bits: int, shape: tuple[int, ...]) -> Any:
    """Return `lattice_words(bits, log2_count)` in the shape, starting again at the end.

    They count on from the key's word, which is 0. If they did not depend on the key, a compiler
    could take a whole law for a constant, and compute it by other means than it computes draws.
    """
    import jax

    log2_count = log2_count or default_log2_points(bits)
    word = jax.numpy.dtype(f"u{bits // 8}")
    counter = (key[0] + jax.lax.iota(jax.numpy.uint32, math.prod(shape))) % (1 << log2_count)
    return spread(counter.astype(word), bits, log2_count).reshape(shape)


def equations(jaxpr: Any) -> Iterator[Any]:
    """Yield the equations of a traced program and of all programs inside it."""
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            for part in value if isinstance(value, tuple | list) else (value,):
                inner = getattr(part, "jaxpr", part)
                if hasattr(inner, "eqns"):
                    yield from equations(inner)
