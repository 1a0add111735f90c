"""What can change numbers: versions, configuration, host, devices. Captured as text."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from pathlib import Path
from typing import Any

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
    "libtpu",
)

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
)

# The sets that XLA's CPU compiler distinguishes in `--xla_cpu_max_isa`, smallest first.
ISA_FLAGS = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_bf16", "avx512_fp16", "amx_tile")


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
    """Return the JAX settings that can change numbers; those this JAX does not know are left out."""
    import jax

    return {name: str(getattr(jax.config, name)) for name in CONFIG if hasattr(jax.config, name)}


def environment_variables() -> dict[str, str]:
    """Return the variables that XLA, JAX and the drivers read."""
    return {name: value for name, value in sorted(os.environ.items()) if VARIABLES.fullmatch(name)}


def host_facts() -> dict[str, str]:
    """Return operating system, architecture, CPU model and the instruction sets that matter."""
    facts = {"os": platform.system(), "machine": platform.machine()}
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(errors="replace") if cpuinfo.exists() else ""
    if model := re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE):
        facts["cpu"] = model[1]
    if flags := re.search(r"^flags\s*:\s*(.*)$", text, re.MULTILINE):
        present = set(flags[1].split())
        facts["isa"] = " ".join(flag for flag in ISA_FLAGS if flag in present)
    return facts


def device_facts(platforms: tuple[str, ...]) -> dict[str, str]:
    """Return kind, count and runtime version of the devices of each platform."""
    import jax

    facts = {}
    for name in platforms:
        try:
            devices: list[Any] = jax.devices(name)
        except RuntimeError:
            continue
        facts[f"{name}.kind"] = devices[0].device_kind
        facts[f"{name}.count"] = str(len(devices))
        facts[f"{name}.runtime"] = devices[0].client.platform_version
    return facts


def differences(left: Environment, right: Environment) -> list[str]:
    """Return one line `name: left -> right` for every fact that differs, sorted within its section."""
    lines = []
    for section in ("packages", "config", "host", "devices"):
        one, two = getattr(left, section), getattr(right, section)
        lines += [
            f"{name}: {one.get(name, 'absent')} -> {two.get(name, 'absent')}"
            for name in sorted({*one, *two})
            if one.get(name) != two.get(name)
        ]
    return lines
