"""What can change numbers: versions, configuration, host, devices. Captured as text."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import importlib.metadata
import os
import platform
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from conformance import lapack
from conformance.causes import LAPACK_FACTS, LIBC_FACT, UNKNOWN
from conformance.model import Environment

PACKAGES = (
    "jax",
    "jaxlib",
    "flax",
    "numpy",
    "ml_dtypes",
    "scipy",
    "safetensors",
    "jax-cuda12-plugin",
    "jax-cuda13-plugin",
    "nvidia-cublas",
    "nvidia-cublas-cu12",
    "nvidia-cuda-nvcc",
    "nvidia-cuda-nvcc-cu12",
    "nvidia-cuda-runtime",
    "nvidia-cuda-runtime-cu12",
    "nvidia-cudnn-cu12",
    "nvidia-cudnn-cu13",
    "nvidia-cusolver",
    "nvidia-cusolver-cu12",
    "nvidia-nvjitlink",
    "nvidia-nvjitlink-cu12",
    "libtpu",
    "iree-base-compiler",
    "iree-base-runtime",
)
"""Of NVIDIA's, what compiles kernels and what is called: QR is cuSOLVER's and cuBLAS's. CUDA 13 has
no suffix but for cuDNN."""

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
    r"XLA_FLAGS|LIBTPU_INIT_ARGS|NVIDIA_TF32_OVERRIDE|JAX_(?!COMPILATION_CACHE|PERSISTENT|LOG)\w+"
    r"|OPENBLAS_(?:CORETYPE|NUM_THREADS|DEFAULT_NUM_THREADS)|(?:GOTO|OMP)_NUM_THREADS"
    r"|MKL_(?:NUM_THREADS|CBWR|ENABLE_INSTRUCTIONS)|BLIS_(?:NUM_THREADS|ARCH_TYPE)"
    r"|VECLIB_MAXIMUM_THREADS|FLEXIBLAS"
)

ISA_FLAGS = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_bf16", "avx512_fp16", "amx_tile")
"""The instruction sets that decide what XLA's CPU compiler may use, smallest first."""

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

LATE_FACTS = (*LAPACK_FACTS, LIBC_FACT, "xla_isa")
"""Facts of a host that recordings, rows and goldens made before these were known do not hold. One
that is not there is UNKNOWN, which equals no value."""

NOTE = "_note"
"""Ends the name of a host fact that only says how others are known."""


def capture(platforms: tuple[str, ...] = ()) -> Environment:
    """Return the environment of this process; asks JAX for the devices of `platforms` only."""
    return Environment(
        packages=package_versions(),
        config={**jax_config(), **environment_variables()},
        host=host_facts(),
        devices=device_facts(platforms),
    )


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that matter and are installed, read without importing."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def jax_config() -> dict[str, str]:
    """Return the JAX settings that can change numbers, but for those this JAX does not know."""
    import jax

    return {name: str(getattr(jax.config, name)) for name in CONFIG if hasattr(jax.config, name)}


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
    """Return kind, count and runtime version of the devices of each platform.

    Of CUDA the runtime says only for which version the plugin was compiled, as in `PJRT C API cuda
    13000`: driver and libraries are facts of their own.
    """
    import jax

    facts = {}
    for name in platforms:
        try:
            devices: list[Any] = jax.devices(name)
        except RuntimeError:
            continue
        facts[f"{name}.kind"] = devices[0].device_kind
        facts[f"{name}.count"] = str(len(devices))
        facts[f"{name}.runtime"] = " ".join(devices[0].client.platform_version.split())
        if name == "cuda":
            facts |= {f"cuda.{fact}": value for fact, value in cuda_facts().items()}
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


def runtime_of(environment: Environment, backend: str) -> str:
    """Return what the backend's devices run on, as one text; "" if nothing is known."""
    facts = {
        name.removeprefix(f"{backend}."): value
        for name, value in environment.devices.items()
        if name.startswith(f"{backend}.")
    }
    others = [f"{name} {facts[name]}" for name in facts if name not in ("kind", "count", "runtime")]
    return ", ".join(filter(None, [facts.get("runtime", ""), *others]))


DEFAULT_CONFIG: Mapping[str, str] = {
    "jax_default_prng_impl": "threefry2x32",
    "jax_threefry_partitionable": "True",
    "jax_threefry_gpu_kernel_lowering": "False",
    "jax_enable_x64": "False",
    "jax_random_seed_offset": "0",
    "jax_default_matmul_precision": "None",
    "jax_numpy_rank_promotion": "allow",
    "jax_numpy_dtype_promotion": "standard",
    "jax_default_dtype_bits": "64",
    "jax_disable_jit": "False",
    "jax_debug_nans": "False",
    "jax_cpu_enable_fast_math": "False",
}
"""The settings of JAX 0.12. What an older release had by default counts as unusual where it
differs, as it should: `jax_threefry_partitionable=False` before 0.5.0 is another stream."""

CONSEQUENCES: Mapping[str, str] = {
    "jax_default_prng_impl": "keys of jax.random.key(seed) draw other bits; cases name their PRNG",
    "jax_threefry_partitionable": "every draw of threefry2x32 is another stream",
    "jax_threefry_gpu_kernel_lowering": "GPUs compute threefry2x32 in another kernel",
    "jax_enable_x64": "seeds keep their high word; arrays made without a dtype are 64 bits wide",
    "jax_random_seed_offset": "it is added to every seed, so every draw is that of another seed",
    "jax_default_matmul_precision": "orthogonal matrices may be rounded otherwise on GPU and TPU",
    "jax_numpy_rank_promotion": "a constant array that is broadcast may warn or raise",
    "jax_numpy_dtype_promotion": "an initializer that mixes dtypes raises",
    "jax_default_dtype_bits": "arrays made without a dtype have another width",
    "jax_disable_jit": "operations are compiled one by one and not fused, so rounded otherwise",
    "jax_debug_nans": "a NaN raises FloatingPointError instead of being returned",
    "jax_cpu_enable_fast_math": "the CPU compiler may reassociate and drop checks for NaN",
    "jax_platforms": "JAX sees only these platforms",
    "xla_flags": "compiler flags may change rounding",
    "libtpu_init_args": "TPU compiler flags may change rounding",
    "nvidia_tf32_override": "GPU matrix products may be cut to 10 bits of mantissa",
    **dict.fromkeys(
        ("openblas_coretype", "mkl_cbwr", "mkl_enable_instructions", "blis_arch_type", "flexiblas"),
        "it chooses LAPACK's kernel, and so the last digits of orthogonal matrices",
    ),
    **dict.fromkeys(
        (
            *("openblas_num_threads", "openblas_default_num_threads", "goto_num_threads"),
            *("omp_num_threads", "mkl_num_threads", "blis_num_threads", "veclib_maximum_threads"),
        ),
        "LAPACK may run on another number of threads, which rounds large orthogonal matrices "
        "otherwise under some kernels",
    ),
}
"""What a setting or variable does to initializers when it is not as usual, by lower-case name."""

HARMLESS_FLAGS = re.compile(r"--xla_force_host_platform_device_count=\d+|--xla_dump_\S+")
"""XLA flags that change no bit of a program on one device."""

FUSING_ISA = "fma"
"""Without it a CPU rounds twice where others round once: half of all float32 truncated normals
move, by up to 4,680 ULP at the value and 7e-7 absolute."""


def unusual(environment: Environment) -> list[str]:
    """Return one line, `name=value: consequence`, for whatever explains a difference by itself.

    Read these first: settings unlike DEFAULT_CONFIG, variables that JAX, XLA, the drivers and
    LAPACK read, a multiply-add that the CPU cannot fuse or XLA must not. A variable that only
    repeats a setting is left out.
    """
    lines = [
        f"{name}={value}: {CONSEQUENCES.get(name.lower(), 'JAX reads it')}"
        for name, value in sorted(environment.config.items())
        if _is_unusual(name, value, environment.config)
    ]
    return [*lines, *_unfused(environment.host)]


def _unfused(host: Mapping[str, str]) -> list[str]:
    isa, allowed = host.get("isa", FUSING_ISA), host.get("xla_isa", "")
    if FUSING_ISA not in isa.split():
        return [f"isa={isa}: this CPU has no fused multiply-add, so it rounds otherwise"]
    if allowed and set(allowed.split()) <= set(ISA_FLAGS) - {FUSING_ISA}:
        return [
            f"xla_isa={allowed}: XLA must not use this CPU's fused multiply-add, "
            "so it rounds otherwise"
        ]
    return []


def assignments(environment: Environment) -> list[str]:
    """Return `NAME=value`, as a shell takes it before a command, for each unusual setting."""
    return [
        f"{name.upper()}={shlex.quote(_telling(name, value))}"
        for name, value in sorted(environment.config.items())
        if _is_unusual(name, value, environment.config)
    ]


def _telling(name: str, value: str) -> str:
    """Return the value, of compiler flags without those that change no bit."""
    return " ".join(HARMLESS_FLAGS.sub("", value).split()) if name == "XLA_FLAGS" else value


def _is_unusual(name: str, value: str, config: Mapping[str, str]) -> bool:
    if name in DEFAULT_CONFIG:
        return value != DEFAULT_CONFIG[name]
    if name == "XLA_FLAGS":
        return bool(_telling(name, value))
    setting = name.lower()
    if setting in config:
        return False
    if DEFAULT_CONFIG.get(setting) in ("True", "False"):
        is_on = value.lower() in ("1", "true", "yes", "y", "on", "t")
        return str(is_on) != DEFAULT_CONFIG[setting]
    return value != DEFAULT_CONFIG.get(setting)


def differences(left: Environment, right: Environment) -> list[str]:
    """Return one line `name: left -> right` for each fact that differs, sorted by section.

    Of LATE_FACTS one that a side does not hold is `unknown` there, and differs from any value.
    """
    lines = []
    for section in ("packages", "config", "host", "devices"):
        one, two = getattr(left, section), getattr(right, section)
        lines += [
            f"{name}: {_told(one, name)} -> {_told(two, name)}"
            for name in sorted({*one, *two})
            if one.get(name) != two.get(name) and not name.endswith(NOTE)
        ]
    return lines


def _told(facts: Mapping[str, str], name: str) -> str:
    return facts.get(name, UNKNOWN if name in LATE_FACTS else "absent")


def comparable(here: Environment, there: Environment) -> Environment:
    """Return of `here` what can be compared with `there`: all of it, or the facts that are there.

    What was accepted before environments were on record says some versions, perhaps a fact or two;
    a whole one always holds settings of JAX. LATE_FACTS are compared, for one may be unknown.
    """
    if there.config:
        return here
    facts = dataclasses.asdict(there)
    return Environment(
        **{
            section: {
                name: value
                for name, value in getattr(here, section).items()
                if name in known or (section == "host" and name in LATE_FACTS)
            }
            for section, known in facts.items()
        }
    )


def told(host: Mapping[str, str]) -> dict[str, str]:
    """Return the facts of a host as people are shown them: what is not known is `unknown`."""
    return {**host, **{name: UNKNOWN for name in LATE_FACTS if name not in host}}
