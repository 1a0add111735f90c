"""What settings of JAX, XLA and the host mean for numbers, told in sentences."""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import re
import shlex
from collections.abc import Mapping

from conformance.core.causes import LAPACK_FACTS, LIBC_FACT, UNKNOWN
from conformance.core.errors import SelectionError
from conformance.core.records import Environment


@functools.cache
def installed_jax() -> str:
    """Return the version of the installed JAX."""
    return importlib.metadata.version("jax")


ISA_FLAGS = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_bf16", "avx512_fp16", "amx_tile")
"""The instruction sets that decide what XLA's CPU compiler may use, smallest first."""

LATE_FACTS = (*LAPACK_FACTS, LIBC_FACT, "xla_isa")
"""Facts of a host that recordings, rows and goldens made before these were known do not hold. One
that is not there is UNKNOWN, which equals no value."""

NOTE = "_note"
"""Ends the name of a host fact that only says how others are known."""


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

LAPACK_KERNELS = (
    *("openblas_coretype", "mkl_cbwr", "mkl_enable_instructions", "blis_arch_type", "flexiblas"),
)
LAPACK_THREADS = (
    *("openblas_num_threads", "openblas_default_num_threads", "goto_num_threads"),
    *("omp_num_threads", "mkl_num_threads", "blis_num_threads", "veclib_maximum_threads"),
)
"""Variables that LAPACK reads, and nothing else of what makes numbers here, by lower-case name."""

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
        ("iree_vulkan_target", "iree_cuda_target", "iree_hip_target"),
        "IREE compiles for this chip instead of the usual one",
    ),
    **dict.fromkeys(
        LAPACK_KERNELS, "it chooses LAPACK's kernel, and so the last digits of orthogonal matrices"
    ),
    **dict.fromkeys(
        LAPACK_THREADS,
        "LAPACK may run on another number of threads, which rounds large orthogonal matrices "
        "otherwise under some kernels",
    ),
}
"""What a setting or variable does to initializers when it is not as usual, by lower-case name."""

HARMLESS_FLAGS = re.compile(r"--xla_force_host_platform_device_count=\d+|--xla_dump_\S+")
"""XLA flags that change no bit of a program on one device."""

OPTIMIZATION_FLAG = "--xla_backend_optimization_level"

FAST_LEVEL = "1"
"""Of XLA's optimization: it unrolls and inlines less, which takes a quarter of the time. The bits
were equal in all programs that were tried but draws of four columns under AVX-512, which it rounds
as AVX2 does (section 18 of the findings); at level 0 those of 16 of 52 were others."""


def optimization_level(environment: Environment) -> str:
    """Return the level that XLA was told to optimize at; "" if it was not, as usual."""
    flags = environment.config.get("XLA_FLAGS", "")
    said = re.findall(rf"(?<!\S){OPTIMIZATION_FLAG}=(\S*)", flags)
    return said[-1] if said else ""


def require_usual_compiler(environment: Environment, what: str) -> None:
    """Ensure that XLA optimizes as everybody's does.

    Raises:
        SelectionError: it was told otherwise. what: is not to be made so, as in `goldens`.
    """
    if level := optimization_level(environment):
        raise SelectionError(
            f"XLA_FLAGS has {OPTIMIZATION_FLAG}={level}, and {what} must rest on programs as users "
            "compile them: leave it out"
        )


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
        f"{name}={_one_line(value)}: {CONSEQUENCES.get(name.lower(), 'JAX reads it')}"
        for name, value in sorted(environment.config.items())
        if _is_unusual(name, value, environment.config)
    ]
    return [*lines, *_unfused(environment.host)]


def _one_line(value: str) -> str:
    """Return a value that came from elsewhere so that it forges no line of its own."""
    return value.replace("\n", "\\n")


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


def repeats_setting(name: str, config: Mapping[str, str]) -> bool:
    """Return whether it is the variable of a setting that is there under its own name."""
    return name != name.lower() and name.lower() in config


def _is_unusual(name: str, value: str, config: Mapping[str, str]) -> bool:
    if name in DEFAULT_CONFIG:
        return value != DEFAULT_CONFIG[name]
    if name == "XLA_FLAGS":
        return bool(_telling(name, value))
    if repeats_setting(name, config):
        return False
    setting = name.lower()
    if DEFAULT_CONFIG.get(setting) in ("True", "False"):
        is_on = value.lower() in ("1", "true", "yes", "y", "on", "t")
        return str(is_on) != DEFAULT_CONFIG[setting]
    return value != DEFAULT_CONFIG.get(setting)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A fact that two environments do not share: its name, and what it is on either side."""

    name: str
    left: str
    right: str

    def __str__(self) -> str:
        return f"{self.name}: {self.left} -> {self.right}"


def differing(left: Environment, right: Environment) -> list[Difference]:
    """Return each fact that differs, by section and name.

    Of LATE_FACTS one that a side does not hold is `unknown` there, and differs from any value.
    """
    found = []
    for section in ("packages", "config", "host", "devices"):
        one, two = getattr(left, section), getattr(right, section)
        found += [
            Difference(name=name, left=_told(one, name), right=_told(two, name))
            for name in sorted({*one, *two})
            if one.get(name) != two.get(name) and not name.endswith(NOTE)
        ]
    return found


def differences(left: Environment, right: Environment) -> list[str]:
    """Return one line `name: left -> right` for each fact that differs: see `differing`."""
    return list(map(str, differing(left, right)))


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
