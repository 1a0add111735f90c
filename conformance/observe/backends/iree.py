"""IREE: the exported program compiled by another compiler, and run on this CPU or on a GPU.

It is optional. Compiling takes a second or two, so programs are kept.

On the CPU the target is the generic one of the architecture, so that results depend on IREE's
version, not on the machine. On x86 it has one feature more: without F16C, IREE converts float16 by
integer operations that make some subnormals 0. Of GPUs the first is taken that IREE's driver finds;
the GPU's own variables, such as CUDA_VISIBLE_DEVICES, say which that is.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.metadata
import os
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from conformance.cases.backends import lookup
from conformance.core.arrays import Array
from conformance.core.errors import BackendUnavailable
from conformance.observe.backends.exported import ExportedBackend, Program

COMPILER, RUNTIME = "iree-base-compiler", "iree-base-runtime"

Call = Callable[[Array], Sequence[Array]]
"""Key data -> the words of each result."""

IS_X86 = platform.machine().lower() in ("x86_64", "amd64")

EVERYWHERE = (
    "--iree-input-demote-f64-to-f32=false",  # the default makes float64 a float32
    # By default constants are folded by a second compilation, for the CPU at hand: it takes longer
    # than all the rest, and where that CPU has FMA, erf of a bound gets other bits than here.
    "--iree-opt-const-eval=false",
)
OPTIONS = (
    "--iree-llvmcpu-target-cpu=generic",
    *(("--iree-llvmcpu-target-cpu-features=+avx,+f16c",) if IS_X86 else ()),
    *EVERYWHERE,
)
"""Of the compiler, for the CPU."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """What runs programs, and what they are compiled for.

    name: the runtime's word for it. code: the compiler's. chip: the processor among those that run
    such code; "" where the driver says it of its device. option: the compiler's, for the chip.
    """

    name: str
    code: str
    chip: str = ""
    option: str = ""

    @property
    def variable(self) -> str:
        """The variable that names another chip."""
        return f"IREE_{self.name.upper()}_TARGET"


CPU = Driver(name="local-sync", code="llvm-cpu", chip="generic+f16c" if IS_X86 else "generic")

GPUS = {
    # What the programs use of `turing` no GPU of today lacks: integers of 8 to 64 bits, float16,
    # and both in memory. The compiler's default has no 64-bit integers, with which threefry counts.
    "iree-vulkan": Driver(
        name="vulkan", code="vulkan-spirv", chip="turing", option="--iree-vulkan-target"
    ),
    # Every later GPU runs its PTX.
    "iree-cuda": Driver(name="cuda", code="cuda", chip="sm_75", option="--iree-cuda-target"),
    "iree-hip": Driver(name="hip", code="rocm", option="--iree-rocm-target"),
}
"""By the name of the backend."""

TOLD = re.compile(
    r"^(?:- )?(api|driver|driver_info|type|driver-max-cuda-version|gpu-compute-capability"
    r"|gpu-arch-name): (\S.*)$",
    re.MULTILINE,
)
"""What drivers say of a device that can change numbers, among much else."""


def open_backend(name: str = "iree") -> ExportedBackend:
    """Return IREE as a backend.

    Raises:
        BackendUnavailable: its compiler or runtime is not installed, or its driver finds no device;
            the message says what does it.
    """
    version = _installed(name)
    if name not in GPUS:
        device = f"iree {CPU.code} {CPU.chip} ({version})"
        return ExportedBackend(name=name, device=device, runner=run)
    driver, facts = GPUS[name], device_facts(name)
    return ExportedBackend(
        name=name,
        device=device_text(name, facts["target"], version, facts["kind"]),
        runner=functools.partial(run, options=options(name, facts["target"]), driver=driver),
    )


def options(name: str, chip: str) -> tuple[str, ...]:
    """Return the compiler's options for a chip of the GPUs of a backend."""
    return (f"{GPUS[name].option}={chip}", *EVERYWHERE)


def device_text(name: str, chip: str, version: str, kind: str) -> str:
    """Return what rows call a GPU for which this version of the compiler made programs."""
    return f"iree {GPUS[name].code} {chip} ({version}) on {kind}"


def device_facts(name: str) -> dict[str, str]:
    """Return the kind of the GPU, the chip that programs are compiled for, and what drivers tell.

    Raises:
        BackendUnavailable: there is no such GPU, or its chip is not known.
    """
    require(name, RUNTIME)
    driver, (hal, device) = GPUS[name], _first_device(name)
    told = dict(TOLD.findall(hal.dump_device_info(device["device_id"])))
    chip = os.environ.get(driver.variable) or driver.chip or told.get("gpu-arch-name", "")
    if not chip:
        raise BackendUnavailable(
            f"backend {name!r} was asked for, and its driver does not say which chip a "
            f"{device['name']} has: set {driver.variable}, as in {driver.variable}=gfx942"
        )
    return {"kind": device["name"], "target": chip.partition(":")[0], **told}


def _facts(name: str) -> dict[str, str]:
    """Return the same for a record; nothing where there is no such GPU."""
    with contextlib.suppress(BackendUnavailable):
        return device_facts(name)
    return {}


vulkan_facts, cuda_facts, hip_facts = (functools.partial(_facts, name) for name in GPUS)


def run(
    program: Program, words: Array, options: tuple[str, ...] = OPTIONS, driver: Driver = CPU
) -> Sequence[Array]:
    """Return the words that the program computes when it is compiled with these options.

    Raises:
        CompilerToolError: IREE cannot compile the program; the message holds its reasons.
    """
    return _compiled(program.text, options, driver)(words)


@functools.cache
def _compiled(text: str, options: tuple[str, ...], driver: Driver) -> Call:
    return loaded(compiled(text, options, driver), driver)


def compiled(text: str, options: tuple[str, ...], driver: Driver) -> bytes:
    """Return what the runtime loads: a program, compiled with these options.

    Raises:
        CompilerToolError: as `run`.
    """
    from iree import compiler

    binary: bytes = compiler.compile_str(
        text, input_type="stablehlo", target_backends=[driver.code], extra_args=list(options)
    )
    return binary


def loaded(binary: bytes, driver: Driver) -> Call:
    """Return what runs a compiled program on the first device of the driver."""
    from iree import runtime

    config = _config(driver.name)
    module = runtime.VmModule.copy_buffer(config.vm_instance, binary)
    # A `SystemContext` and its modules name each other: it would hold the device until garbage is
    # looked for, and two threads of Vulkan's are busy for as long.
    context = runtime.VmContext(config.vm_instance, [*config.default_vm_modules, module])
    return functools.partial(_call, context, module.lookup_function("main"), config.device)


def _call(context: Any, function: Any, device: Any, words: Array) -> list[Array]:
    from iree import runtime

    arguments, results = runtime.VmVariantList(1), runtime.VmVariantList(1)
    arguments.push_ref(
        device.allocator.allocate_buffer_copy(
            memory_type=runtime.MemoryType.DEVICE_LOCAL,
            allowed_usage=runtime.BufferUsage.DEFAULT,
            device=device,
            buffer=np.ascontiguousarray(words),
            element_type=runtime.HalElementType.UINT_32,
        )
    )
    context.invoke(function, arguments, results)
    return [
        _to_host(results.get_as_object(number, runtime.HalBufferView), device)
        for number in range(len(results))
    ]


def _to_host(view: Any, device: Any) -> Array:
    """Return a copy of a result, through memory that the device allocates.

    `DeviceArray.to_host` lets the device write to an array of NumPy's where the driver offers that.
    Vulkan's does, and then refuses the array unless it begins on a page: most calls raise.
    """
    from iree import runtime

    source = view.get_buffer()
    staging = device.allocator.allocate_buffer(
        memory_type=runtime.MemoryType.HOST_LOCAL | runtime.MemoryType.DEVICE_VISIBLE,
        allowed_usage=runtime.BufferUsage.TRANSFER_TARGET | runtime.BufferUsage.MAPPING_SCOPED,
        allocation_size=source.byte_length(),
    )
    semaphore = device.create_semaphore(0)
    copied = runtime.HalFence.create_at(semaphore, 1)
    device.queue_copy(
        source,
        staging,
        wait_semaphores=runtime.HalFence.create_at(semaphore, 0),
        signal_semaphores=copied,
    )
    copied.wait()
    dtype = runtime.HalElementType.map_to_dtype(view.element_type)
    return np.array(staging.map().asarray(view.shape, dtype), copy=True)


@functools.cache
def _config(driver: str) -> Any:
    """Return an instance of the virtual machine, with the first device of the driver."""
    from iree import runtime

    found = runtime.get_driver(driver)
    return runtime.Config(device=found.create_device(found.query_available_devices()[0]))


def _installed(name: str) -> str:
    """Return the version of the compiler, if it and the runtime are installed."""
    version, _ = require(name, COMPILER), require(name, RUNTIME)
    return version


def require(name: str, package: str) -> str:
    """Return the version of a package that the backend needs.

    Raises:
        BackendUnavailable: it is not installed.
    """
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError as error:
        raise _unavailable(name, f"{error.name} is not installed") from error


def _first_device(name: str) -> tuple[Any, Mapping[str, Any]]:
    """Return the driver, and its first device, which can be opened."""
    from iree import runtime

    try:
        driver = runtime.get_driver(GPUS[name].name)
        devices = driver.query_available_devices()
        if devices:
            _config(GPUS[name].name)
    except (RuntimeError, ValueError) as error:
        raise _unavailable(name, _reason(error)) from error
    if not devices:
        raise _unavailable(name, "IREE's driver finds no device")
    return driver, devices[0]


def _reason(error: Exception) -> str:
    """Return what failed, without the file and the line of IREE where it did."""
    found = re.search(r"[A-Z_]+; .*", str(error))
    return found[0] if found else str(error).partition("\n")[0]


def _unavailable(name: str, found: str) -> BackendUnavailable:
    return BackendUnavailable(
        f"backend {name!r} was asked for, and {found}: {lookup(name).hint}; "
        "or leave it out of --backend"
    )
