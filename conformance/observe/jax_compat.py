"""What of JAX is not public, or has another name in another release: all of it is asked here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


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
