"""The reference interpreter of StableHLO: every operation by itself, rounded as specified.

It comes inside jaxlib, needs no device and compiles nothing: no operation is fused, reordered or
contracted. So it says what the program that JAX lowers means, and where it and a compiler differ,
the compiler's rounding is the reason. It takes about 1 us per element and operation.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from conformance.core.arrays import Array
from conformance.core.errors import BackendUnavailable
from conformance.observe.backends.exported import ExportedBackend, Program, UnsupportedOperation
from conformance.observe.jax_compat import mlir_modules, stablehlo_dialect

NAME = "stablehlo"

DIALECTS = ("builtin", "func", "stablehlo")
MISSING = frozenset(
    f"stablehlo.{name}"
    for name in (
        *("batch_norm_grad", "batch_norm_inference", "batch_norm_training", "broadcast"),
        *("cholesky", "create_token", "cross-replica-sum", "dot", "einsum"),
        *("rng", "rng_bit_generator", "torch_index_select", "triangular_solve", "unary_einsum"),
    )
)
"""Operations that the interpreter does not know. It ends the process when it meets one, so they are
looked for before. Source: openxla/stablehlo, stablehlo/reference/Ops.cpp, `eval`."""


def open_backend(name: str = NAME) -> ExportedBackend:
    """Return the interpreter as a backend.

    Raises:
        BackendUnavailable: this jaxlib does not hold it.
    """
    version = importlib.metadata.version("jaxlib")
    try:
        _interpreter()
    except (ImportError, AttributeError) as error:
        raise BackendUnavailable(
            f"backend {NAME!r} was asked for, and jaxlib {version} holds no StableHLO interpreter "
            f"({error}): install jax>=0.10, or leave it out of --backend"
        ) from error
    return ExportedBackend(
        name=name, device=f"stablehlo-interpreter (jaxlib {version})", runner=interpret
    )


def interpret(program: Program, words: Array) -> Sequence[Array]:
    """Return the words that the interpreter computes.

    Raises:
        UnsupportedOperation: the interpreter does not know an operation of the program.
        ValueError: the interpreter refused the program; the reason is on stderr.
    """
    mlir, ir, evaluate = _interpreter()
    with mlir.make_ir_context():
        module = ir.Module.parse(program.text)
        _require_known(module)
        unsigned = ir.IntegerType.get_unsigned(32)
        argument = ir.DenseElementsAttr.get(np.ascontiguousarray(words), type=unsigned)
        return [np.array(result) for result in evaluate(module, [argument])]


def _require_known(module: Any) -> None:
    if unknown := sorted(set(_unknown_operations(module.operation))):
        raise UnsupportedOperation(
            f"the StableHLO interpreter does not know {', '.join(unknown)}: only a compiler can "
            "run this program"
        )


def _unknown_operations(operation: Any) -> Iterator[str]:
    """Yield the operations that the interpreter would stop at."""
    if operation.name in MISSING or operation.name.partition(".")[0] not in DIALECTS:
        yield operation.name
    for region in operation.regions:
        for block in region:
            for inner in block:
                yield from _unknown_operations(inner.operation)


def _interpreter() -> tuple[Any, Any, Any]:
    return *mlir_modules(), stablehlo_dialect().eval_module
