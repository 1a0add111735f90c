"""IREE: the exported program compiled by another compiler, and run on this CPU.

It is optional. The target is the generic CPU of the architecture, so that results depend on IREE's
version, not on the machine. On x86 it has one feature more: without F16C, IREE converts float16 by
integer operations that make some subnormals 0. Compiling takes a second or two, so programs are
kept.
"""

from __future__ import annotations

import functools
import importlib.metadata
import platform
from collections.abc import Sequence
from typing import Any

import numpy as np

from conformance.core.arrays import Array
from conformance.core.errors import BackendUnavailable
from conformance.observe.backends.exported import ExportedBackend, Program

NAME = "iree"
COMPILER, RUNTIME = "iree-base-compiler", "iree-base-runtime"

IS_X86 = platform.machine().lower() in ("x86_64", "amd64")
OPTIONS = (
    "--iree-llvmcpu-target-cpu=generic",
    *(("--iree-llvmcpu-target-cpu-features=+avx,+f16c",) if IS_X86 else ()),
    "--iree-input-demote-f64-to-f32=false",  # the default makes float64 a float32
    # By default constants are folded by a second compilation, for the CPU at hand: it takes longer
    # than all the rest, and where that CPU has FMA, erf of a bound gets other bits than here.
    "--iree-opt-const-eval=false",
)


def open_backend(name: str = NAME) -> ExportedBackend:
    """Return IREE as a backend.

    Raises:
        BackendUnavailable: its compiler or runtime is not installed; the message says what does it.
    """
    try:
        versions = {name: importlib.metadata.version(name) for name in (COMPILER, RUNTIME)}
    except importlib.metadata.PackageNotFoundError as error:
        raise BackendUnavailable(
            f"backend {NAME!r} was asked for, and {error.name} is not installed: "
            f"pip install {COMPILER} {RUNTIME} (the extra [iree] of this package), "
            "or leave it out of --backend"
        ) from error
    target = "generic+f16c" if IS_X86 else "generic"
    return ExportedBackend(
        name=name, device=f"iree llvm-cpu {target} ({versions[COMPILER]})", runner=run
    )


def run(program: Program, words: Array, options: tuple[str, ...] = OPTIONS) -> Sequence[Array]:
    """Return the words that the program computes when it is compiled with these options.

    Raises:
        CompilerToolError: IREE cannot compile the program; the message holds its reasons.
    """
    results = _compiled(program.text, options)(words)
    parts = results if isinstance(results, tuple | list) else [results]
    # A view would show what the runtime puts there next: it reuses the memory of dead results.
    return [np.array(part.to_host(), copy=True) for part in parts]


@functools.cache
def _compiled(text: str, options: tuple[str, ...]) -> Any:
    from iree import compiler, runtime

    binary = compiler.compile_str(
        text, input_type="stablehlo", target_backends=["llvm-cpu"], extra_args=list(options)
    )
    config = runtime.Config("local-sync")
    module = runtime.VmModule.copy_buffer(config.vm_instance, binary)
    return runtime.load_vm_module(module, config)["main"]
