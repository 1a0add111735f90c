"""Compile for an accelerator that is not here: JAX's ahead-of-time path and a device description.

A topology describes devices without opening one. What comes back is text and sizes: the optimized
HLO, for CUDA the PTX of every kernel and how it is launched, for a TPU the size of the code. Rows
made of it say "compiled for", never "executed on".
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import importlib.util
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from conformance.core.errors import CompilerAbsent, UnknownTarget
from conformance.core.installation import extra_command
from conformance.observe import lowering
from conformance.observe.jax_compat import topology
from conformance.predict.targets import description, require_known, target_names

INSTANCES = ("1x1x1", "1x1", "1")
"""What one chip is called in a TPU topology of three, two or one dimensions."""


# --- Compilers -----------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Compiler:
    """What compiles for a platform whose devices are not here.

    extra: of this package, which installs it. modules: of which one must be there. distributions:
    of which one holds it. arguments: what JAX's topology is asked with, for the name of a target.
    dumps: whether programs are written where its options say so.
    """

    extra: str
    modules: tuple[str, ...]
    distributions: tuple[str, ...]
    arguments: Callable[[str], dict[str, str]]
    dumps: bool = False


def _cuda_arguments(name: str) -> dict[str, str]:
    return {"target_config": description(name), "topology": INSTANCES[0]}


def _tpu_arguments(name: str) -> dict[str, str]:
    return {"topology_name": name}


COMPILERS = {
    "cuda": Compiler(
        extra="cuda-aot",
        modules=("jax_cuda13_plugin", "jax_cuda12_plugin"),
        distributions=("jax-cuda13-pjrt", "jax-cuda12-pjrt"),
        arguments=_cuda_arguments,
        dumps=True,
    ),
    "tpu": Compiler(
        extra="tpu", modules=("libtpu",), distributions=("libtpu",), arguments=_tpu_arguments
    ),
}
"""By platform: all of those whose plug-ins describe devices that are not there."""


# --- Compiling -----------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A device that is compiled for.

    name: `h100`, or a TPU topology such as `v5e:1x1`. kind: what JAX calls the device.
    compute_capability: of a CUDA device, as in `9.0`. handle: the described device, for JAX.
    """

    platform: str
    name: str
    kind: str
    compute_capability: str = ""
    handle: Any = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What the compiler made of one function.

    hlo: the optimized module. ptx: the modules of its kernels. thunks: what the runtime does, one
    line a step: kernels with their grids, copies, calls of libraries. Both are of CUDA only.
    code_bytes: of the machine code; 0 where the compiler does not say. temp_bytes: of scratch.
    """

    hlo: str = dataclasses.field(repr=False)
    ptx: tuple[str, ...] = dataclasses.field(default=(), repr=False)
    thunks: str = dataclasses.field(default="", repr=False)
    code_bytes: int
    temp_bytes: int
    elapsed_s: float

    @property
    def fingerprint(self) -> str:
        """Return a digest of the optimized program, free of names of files, lines and scopes."""
        return hashlib.sha256(stripped(self.hlo).encode()).hexdigest()[:16]

    def fields(self, lowered: str) -> dict[str, str]:
        """Return what of it is accepted, and compared. lowered: of what JAX lowered."""
        code = {"code_bytes": str(self.code_bytes)}
        if self.ptx:
            # Kernels are compiled side by side, and come in the order in which they are done.
            code = {"ptx": lowering.fingerprint("\n".join(sorted(self.ptx)))}
        return {
            "lowered": lowered,
            "hlo": self.fingerprint,
            **code,
            "temp_bytes": str(self.temp_bytes),
        }


def stripped(hlo: str) -> str:
    """Return HLO text without what moves when nothing that computes has changed.

    That is the name of the module, the metadata of instructions and the tables of source locations
    that follow the header.
    """
    text = re.sub(r", metadata=\{[^}]*\}", "", hlo)
    text = re.sub(r"^HloModule [^,\n]*", "HloModule", text)
    tables = r"^(FileNames|FunctionNames|FileLocations|StackFrames)\n(.+\n)*"
    return re.sub(tables, "", text, flags=re.MULTILINE)


TPU_KINDS = {
    "TPU v4": "v4-1x1x1",
    "TPU v5 lite": "v5e-1x1",
    "TPU v5e": "v5e-1x1",
    "TPU v5": "v5p-1x1x1",
    "TPU v5p": "v5p-1x1x1",
    "TPU v6 lite": "v6e-1x1",
    "TPU v6e": "v6e-1x1",
    "TPU7": "tpu7x-1x1x1",
    "TPU7x": "tpu7x-1x1x1",
}
"""How JAX calls the devices of topologies that are compiled for; jax-ml/jax, jax/_src/tpu_info."""


def described(platform: str, device: Any) -> str:
    """Return the file name of the target that is described like a device; "" for none.

    XLA compiles for a compute capability, so an H200 is described as the H100 is.
    """
    if platform == "tpu":
        return TPU_KINDS.get(device.device_kind, "")
    capability = getattr(device, "compute_capability", None)
    names = (name for name in target_names() if capability == _capability(description(name)))
    return next(names, "")


def _capability(text: str) -> str:
    """Return the compute capability in the description of a CUDA device, as in `9.0`."""
    found = re.search(r"cuda_compute_capability \{ major: (\d+)(?: minor: (\d+))?", text)
    return f"{found[1]}.{found[2] or 0}" if found else ""


def versions(platform: str) -> str:
    """Return the versions that decide about the programs of a platform."""
    names = ("jax", "jaxlib", *COMPILERS[platform].distributions)
    found = {name: _version(name) for name in names}
    return ", ".join(f"{name} {version}" for name, version in found.items() if version)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def open_target(platform: str, name: str) -> Target:
    """Return a target to compile for.

    name: of a CUDA device, or a TPU topology, as in `v5e:1x1`.

    Raises:
        CompilerAbsent: the platform's compiler is not installed, or does not start.
        UnknownTarget: the target is unknown.
    """
    compiler = COMPILERS[platform]
    if not any(importlib.util.find_spec(module) for module in compiler.modules):
        raise CompilerAbsent(
            f"compiling for {platform} needs {' or '.join(compiler.modules)}, which is not "
            f"installed: {extra_command(compiler.extra)}"
        )
    require_known(platform, name)
    arguments = compiler.arguments(name)
    try:
        described = topology(platform, arguments)
    except NotImplementedError as error:
        raise CompilerAbsent(
            f"the plugin of {platform} does not start without a device: set JAX_PLATFORMS=cpu, "
            "which leaves it the compiler"
        ) from error
    except Exception as error:  # whatever the plugin makes of a name it does not know
        text = str(error).partition("\n")[0]
        if "lockfile" in text:
            raise CompilerAbsent(
                "another process holds libtpu, which serves one at a time: wait for it, or set "
                "ALLOW_MULTIPLE_LIBTPU_LOAD=1 where no TPU is attached"
            ) from error
        raise UnknownTarget(
            f"{platform} target {name!r} is refused by its compiler: {text}"
        ) from error
    device: Any = described.devices[0]
    return Target(
        platform=platform,
        name=name,
        kind=device.device_kind,
        compute_capability=getattr(device, "compute_capability", ""),
        handle=device,
    )


def lower(target: Target, function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    """Return what JAX lowers for the target; its `as_text()` tells equal programs.

    arguments: arrays or keys, of which only shape and dtype count; all are kept, in order. Whatever
    tracing or lowering raises passes through: it is a result of the caller's.
    """
    import jax
    from jax.sharding import SingleDeviceSharding

    placed = SingleDeviceSharding(target.handle)
    jitted = jax.jit(function, in_shardings=placed, out_shardings=placed, keep_unused=True)
    shapes = [jax.ShapeDtypeStruct(array.shape, array.dtype) for array in arguments]  # type: ignore[no-untyped-call]  # JAX leaves it untyped
    return jitted.trace(*shapes).lower(lowering_platforms=(target.platform,))


def compile_lowered(target: Target, lowered: Any) -> Compiled:
    """Return what the target's compiler makes of a lowered function; it raises what that raises.

    Raises:
        CompilerAbsent: the compiler did not run, because a compilation cache answered.
    """
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        options = _dump_options(folder) if COMPILERS[target.platform].dumps else {}
        compiled = lowered.compile(compiler_options=options)
        elapsed_s = time.perf_counter() - start
        ptx = _texts(folder, "*.ptx")
        thunks = "".join(_texts(folder, "*.thunk_sequence.txt"))
    if options and not thunks:
        raise CompilerAbsent(
            f"compiling for {target.name} wrote no dump: a compilation cache answered. "
            "Unset JAX_COMPILATION_CACHE_DIR"
        )
    memory = compiled.memory_analysis()
    return Compiled(
        hlo=compiled.as_text(),
        ptx=ptx,
        thunks=thunks,
        code_bytes=memory.generated_code_size_in_bytes,
        temp_bytes=memory.temp_size_in_bytes,
        elapsed_s=elapsed_s,
    )


def _dump_options(folder: str) -> dict[str, str]:
    return {"xla_dump_to": folder, "xla_dump_emitter_re": ".*"}


def _texts(folder: str, pattern: str) -> tuple[str, ...]:
    return tuple(path.read_text() for path in sorted(Path(folder).glob(pattern)))
