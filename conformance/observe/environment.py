"""What can change numbers: versions, configuration, host, devices. Captured as text."""

from __future__ import annotations

import contextlib
import importlib
import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from conformance.cases.backends import installed, lookup
from conformance.core.causes import LIBC_FACT
from conformance.core.named import function
from conformance.core.records import COMPUTE_CAPABILITY, Environment
from conformance.core.settings import ISA_FLAGS
from conformance.observe import lapack

PACKAGES = (
    "jax",
    "jaxlib",
    "flax",
    "numpy",
    "ml_dtypes",
    "scipy",
    "safetensors",
)
"""What decides about numbers wherever they come from; backends add theirs."""

CUDA_PLUGINS = ("jax_cuda13_plugin", "jax_cuda12_plugin")

CUDA_LIBRARIES = ("cuda_runtime", "cudnn", "cublas", "cusolver")
"""Whose versions JAX's plugin can tell, of the libraries that it loaded."""

NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
"""What the NVIDIA kernel module says of itself, in the line that begins with NVRM."""

CONFIG = (
    "jax_default_prng_impl",
    "jax_threefry_partitionable",
    "jax_threefry_gpu_kernel_lowering",
    "jax_enable_x64",
    "jax_random_seed_offset",
    "jax_default_matmul_precision",
    "jax_numpy_rank_promotion",
    "jax_numpy_dtype_promotion",
    "jax_default_dtype_bits",
    "jax_disable_jit",
    "jax_debug_nans",
    "jax_cpu_enable_fast_math",
)
"""JAX settings that can change an initializer's bits, or make it raise."""

# Cache and log settings cannot change a bit, and their values are paths of one machine.
VARIABLES = re.compile(
    r"XLA_FLAGS|LIBTPU_INIT_ARGS|NVIDIA_TF32_OVERRIDE"
    r"|JAX_(?!(?:ENABLE_)?COMPILATION_CACHE|PERSISTENT|LOG)\w+"
    r"|OPENBLAS_(?:CORETYPE|NUM_THREADS|DEFAULT_NUM_THREADS)|(?:GOTO|OMP)_NUM_THREADS"
    r"|MKL_(?:NUM_THREADS|CBWR|ENABLE_INSTRUCTIONS)|BLIS_(?:NUM_THREADS|ARCH_TYPE)"
    r"|VECLIB_MAXIMUM_THREADS|FLEXIBLAS|IREE_(?:VULKAN|CUDA|HIP)_TARGET"
)

FORBIDDEN_BY: Mapping[str, tuple[str, ...]] = {
    "SSE4_2": ISA_FLAGS[1:],
    "AVX": ISA_FLAGS[2:],
    "AVX2": ISA_FLAGS[4:],
    "AVX512": ("avx512_bf16", "amx_tile"),
    "AVX512_VNNI": ("avx512_bf16", "amx_tile"),
    "AVX512_BF16": ("amx_tile",),
    "AMX": (),
    "AMX_FP16": (),
    "AMX_FP8": (),
}
"""What each value of `--xla_cpu_max_isa` takes away, in the words of `isa`.

The table of openxla/xla, xla/backends/cpu/codegen/cpu_features.cc."""


def capture(platforms: tuple[str, ...] = ()) -> Environment:
    """Return the environment of this process; asks JAX for the devices of `platforms` only."""
    return Environment(
        packages=package_versions(),
        config={**jax_config(), **environment_variables()},
        host=host_facts(),
        devices=device_facts(platforms),
    )


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that matter and are installed, read without importing.

    So is the version of every distribution that brings a backend.
    """
    versions = {"python": platform.python_version()}
    brought = (package for spec in installed().specs() for package in spec.packages)
    for package in (*PACKAGES, *brought):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def jax_config() -> dict[str, str]:
    """Return the JAX settings that can change numbers, but for those this JAX does not know."""
    import jax

    return {name: str(getattr(jax.config, name)) for name in CONFIG if hasattr(jax.config, name)}


def ambient() -> Environment:
    """Return what can be told of this process without starting JAX: its variables and processor."""
    return Environment(
        packages={}, config=environment_variables(), host=processor_facts(), devices={}
    )


def unstarted() -> Environment:
    """Return the same with the versions of packages and with what is known of LAPACK."""
    return Environment(
        packages=package_versions(),
        config=environment_variables(),
        host=host_facts(),
        devices={},
    )


def environment_variables() -> dict[str, str]:
    """Return the variables that XLA, JAX and the drivers read."""
    return {name: value for name, value in sorted(os.environ.items()) if VARIABLES.fullmatch(name)}


def host_facts() -> dict[str, str]:
    """Return all that can change numbers on this host; of LATE_FACTS those that can be known.

    Loads the LAPACK of SciPy, which takes half a second: see `processor_facts`.
    """
    return {**processor_facts(), **lapack.facts(), **libc_fact()}


def device_text(kind: str) -> str:
    """Return the device, with the instruction sets that decide about a CPU's roundings."""
    return f"{kind} ({host_facts().get('isa', 'unknown ISA')})" if kind == "cpu" else kind


def processor_facts() -> dict[str, str]:
    """Return operating system, architecture, CPU model and the instruction sets that matter.

    isa: those that the CPU has. xla_isa: those of them that XLA's CPU compiler may use.
    """
    facts = {"os": platform.system(), "machine": platform.machine()}
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(errors="replace") if cpuinfo.exists() else ""
    if model := re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE):
        facts["cpu"] = model[1]
    if flags := re.search(r"^flags\s*:\s*(.*)$", text, re.MULTILINE):
        present = set(flags[1].split())
        facts["isa"] = " ".join(flag for flag in ISA_FLAGS if flag in present)
        facts |= allowed_isa(facts["isa"], os.environ.get("XLA_FLAGS", ""))
    return facts


def allowed_isa(isa: str, xla_flags: str) -> dict[str, str]:
    """Return `xla_isa`: what `--xla_cpu_max_isa` leaves of the instruction sets of the CPU.

    A value that is in no table is returned as it stands. XLA_FLAGS may name a file of flags, which
    is not read: nothing is known then.
    """
    if xla_flags.strip() and not xla_flags.strip().startswith("--"):
        return {}
    said = re.findall(r"(?<!\S)--xla_cpu_max_isa=[\"']?([^\s\"']*)", xla_flags)
    most = said[-1] if said else ""
    if not most:
        return {"xla_isa": isa}
    if most.upper() not in FORBIDDEN_BY:
        return {"xla_isa": most}
    forbidden = FORBIDDEN_BY[most.upper()]
    return {"xla_isa": " ".join(flag for flag in isa.split() if flag not in forbidden)}


def libc_fact() -> dict[str, str]:
    """Return `libc`: the C library of this process, whose erf and log1p XLA folds constants with.

    glibc is asked itself, for an interpreter may run beside another than the one it was built for.
    Of musl is known what the interpreter's file says of it; Apple's comes with macOS.
    """
    with contextlib.suppress(AttributeError, OSError, ValueError):
        if said := os.confstr("CS_GNU_LIBC_VERSION"):
            return {LIBC_FACT: said}
    if version := platform.mac_ver()[0]:
        return {LIBC_FACT: f"libSystem of macOS {version}"}
    known = " ".join(filter(None, platform.libc_ver()))
    return {LIBC_FACT: known} if known else {}


def device_facts(platforms: tuple[str, ...]) -> dict[str, str]:
    """Return kind, count and runtime version of the devices of each, and what backends add.

    Of CUDA the runtime says only for which version the plugin was compiled, as in `PJRT C API cuda
    13000`: driver and libraries are facts of their own.
    """
    import jax

    facts = {}
    for name in platforms:
        with contextlib.suppress(RuntimeError):
            devices: list[Any] = jax.devices(name)
            facts[f"{name}.kind"] = devices[0].device_kind
            facts[f"{name}.count"] = str(len(devices))
            facts[f"{name}.runtime"] = " ".join(devices[0].client.platform_version.split())
            if capability := getattr(devices[0], COMPUTE_CAPABILITY, None):
                facts[f"{name}.{COMPUTE_CAPABILITY}"] = str(capability)
        if text := lookup(name).facts:
            facts |= {f"{name}.{fact}": value for fact, value in function(text)().items()}
    return facts


def cuda_facts(driver_file: Path = NVIDIA_DRIVER) -> dict[str, str]:
    """Return the version of the driver, and of each loaded library that the plugin can tell."""
    facts = {}
    if driver := _driver_version(driver_file):
        facts["driver"] = driver
    versions = _cuda_versions()
    for name in CUDA_LIBRARIES:
        # A library that is not found, or is another than its stub expects, raises.
        with contextlib.suppress(AttributeError, RuntimeError):
            facts[name] = str(getattr(versions, f"{name}_get_version")())
    return facts


def _driver_version(path: Path) -> str:
    text = path.read_text(errors="replace") if path.exists() else ""
    found = re.search(r"^NVRM version:.*?\s(\d+(?:\.\d+)+)\s", text, re.MULTILINE)
    return found[1] if found else ""


def _cuda_versions() -> Any:
    for plugin in CUDA_PLUGINS:
        with contextlib.suppress(ImportError):
            return importlib.import_module(f"{plugin}._versions")
    return None
