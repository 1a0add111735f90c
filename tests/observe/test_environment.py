"""What is unusual about an environment, and what follows from it."""

from __future__ import annotations

import ctypes
import itertools
import os
import sys
import types
from pathlib import Path

import jax
import pytest

from conformance.core.records import Environment
from conformance.core.settings import (
    CONSEQUENCES,
    DEFAULT_CONFIG,
    ISA_FLAGS,
    LATE_FACTS,
    assignments,
    comparable,
    differences,
    runtime_of,
    told,
    unusual,
)
from conformance.observe import environment as observed_environment
from conformance.observe.backends.iree import GPUS
from conformance.observe.environment import (
    CONFIG,
    FORBIDDEN_BY,
    allowed_isa,
    cuda_facts,
    device_facts,
    environment_variables,
    host_facts,
    jax_config,
    libc_fact,
)


def environment(isa: str = "avx2 fma", **config: str) -> Environment:
    return Environment(packages={}, config=config, host={"isa": isa}, devices={})


def test_every_setting_that_is_read_has_a_default_and_a_consequence() -> None:
    assert set(CONFIG) == set(DEFAULT_CONFIG)
    assert set(CONFIG) <= set(CONSEQUENCES)


def test_an_ordinary_environment_has_nothing_to_say() -> None:
    assert unusual(environment(**DEFAULT_CONFIG)) == []


def test_a_setting_is_told_with_its_consequence() -> None:
    with jax.threefry_partitionable(False):
        found = unusual(environment(**jax_config()))

    assert found == [
        "jax_threefry_partitionable=False: every draw of threefry2x32 is another stream"
    ]


def test_a_seed_offset_is_told() -> None:
    assert unusual(environment(jax_random_seed_offset="7")) == [
        "jax_random_seed_offset=7: it is added to every seed, so every draw is that of another seed"
    ]


@pytest.mark.parametrize(
    ("name", "value", "is_told"),
    [
        ("XLA_FLAGS", "--xla_cpu_max_isa=AVX", True),
        ("XLA_FLAGS", "--xla_force_host_platform_device_count=8", False),
        ("XLA_FLAGS", "--xla_dump_to=/tmp/x --xla_cpu_enable_fast_math=true", True),
        ("NVIDIA_TF32_OVERRIDE", "0", True),
        ("JAX_PLATFORMS", "cpu", True),
        ("JAX_SOMETHING_NEW", "1", True),
        ("JAX_ENABLE_X64", "1", True),
        ("JAX_ENABLE_X64", "true", True),
        ("JAX_ENABLE_X64", "0", False),
        ("JAX_RANDOM_SEED_OFFSET", "0", False),
        ("OPENBLAS_CORETYPE", "Prescott", True),
        ("OPENBLAS_NUM_THREADS", "1", True),
        ("OMP_NUM_THREADS", "1", True),
        ("IREE_VULKAN_TARGET", "rdna3", True),
    ],
)
def test_a_variable_is_told_if_it_can_matter(name: str, value: str, is_told: bool) -> None:
    found = unusual(environment(**{name: value}))

    assert [line.partition(":")[0] for line in found] == ([f"{name}={value}"] if is_told else [])


def test_a_variable_that_repeats_a_setting_is_told_once() -> None:
    found = unusual(environment(jax_enable_x64="True", JAX_ENABLE_X64="1"))

    assert [line.partition(":")[0] for line in found] == ["jax_enable_x64=True"]


@pytest.mark.parametrize(
    ("line", "version"),
    [
        (
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.82.07  Release Build",
            "580.82.07",
        ),
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  390.157  Wed Oct 12 2022", "390.157"),
    ],
)
def test_the_driver_is_known_by_what_its_module_says(
    line: str, version: str, tmp_path: Path
) -> None:
    (tmp_path / "version").write_text(f"{line}\nGCC version:  gcc version 14.2.0 (Debian)\n")

    assert cuda_facts(tmp_path / "version")["driver"] == version


def test_libraries_are_known_by_what_the_plugin_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that cannot tell is left out: cuSOLVER raises where its stub is of another version."""

    def fail() -> int:
        raise RuntimeError("cuSolver internal error")

    versions = types.ModuleType("jax_cuda12_plugin._versions")
    versions.__dict__.update(
        cuda_runtime_get_version=lambda: 12090,
        cudnn_get_version=lambda: 91200,
        cusolver_get_version=fail,
    )
    monkeypatch.setitem(sys.modules, "jax_cuda13_plugin._versions", None)
    monkeypatch.setitem(sys.modules, "jax_cuda12_plugin", types.ModuleType("jax_cuda12_plugin"))
    monkeypatch.setitem(sys.modules, "jax_cuda12_plugin._versions", versions)

    assert cuda_facts(tmp_path / "none") == {"cuda_runtime": "12090", "cudnn": "91200"}


def test_a_recording_on_cuda_knows_driver_and_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    client = types.SimpleNamespace(platform_version="PJRT C API\ncuda 13000")
    device = types.SimpleNamespace(device_kind="NVIDIA H100", client=client)
    monkeypatch.setattr(jax, "devices", lambda _: [device])
    facts = {"driver": "580.82.07", "cudnn": "91200"}
    monkeypatch.setattr(observed_environment, "cuda_facts", lambda: facts)

    devices = device_facts(("cuda",))

    here = Environment(packages={}, config={}, host={}, devices=devices)
    assert devices["cuda.kind"] == "NVIDIA H100"
    assert runtime_of(here, "cuda") == "PJRT C API cuda 13000, driver 580.82.07, cudnn 91200"
    assert runtime_of(here, "cpu") == ""


def test_a_cpu_that_cannot_fuse_is_told() -> None:
    assert unusual(environment(isa="sse4_2 avx")) == [
        "isa=sse4_2 avx: this CPU has no fused multiply-add, so it rounds otherwise"
    ]


def test_a_multiply_add_that_xla_must_not_fuse_is_told() -> None:
    host = {"isa": "sse4_2 avx avx2 fma", "xla_isa": "sse4_2 avx"}

    assert unusual(Environment(packages={}, config={}, host=host, devices={})) == [
        "xla_isa=sse4_2 avx: XLA must not use this CPU's fused multiply-add, so it rounds otherwise"
    ]


# --- What LAPACK reads ---------------------------------------------------------------------------

LAPACK_VARIABLES = ("OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_CBWR")


@pytest.mark.parametrize("name", [*LAPACK_VARIABLES, *(gpu.variable for gpu in GPUS.values())])
def test_what_chooses_kernel_or_threads_or_chip_is_on_record(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")

    assert environment_variables()[name] == "1"


@pytest.mark.parametrize("name", [*LAPACK_VARIABLES, "OPENBLAS_VERBOSE"])
def test_a_variable_that_is_not_set_or_changes_nothing_is_not(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENBLAS_VERBOSE", "2")

    assert name not in environment_variables()


@pytest.mark.parametrize("name", [name.lower() for name in LAPACK_VARIABLES])
def test_a_variable_of_lapack_has_a_consequence_for_matrices(name: str) -> None:
    assert "orthogonal matrices" in CONSEQUENCES[name]


def test_a_variable_of_lapack_is_repeated_before_a_command() -> None:
    assert assignments(environment(OPENBLAS_CORETYPE="Prescott")) == ["OPENBLAS_CORETYPE=Prescott"]


# --- What XLA may use ----------------------------------------------------------------------------

ISA = "sse4_2 avx avx2 fma avx512f avx512_bf16"


@pytest.mark.parametrize(
    ("flags", "isa"),
    [
        ("", ISA),
        ("--xla_dump_to=/tmp/x", ISA),
        ("--xla_cpu_max_isa=", ISA),
        ("--xla_cpu_max_isa=SSE4_2", "sse4_2"),
        ("--xla_cpu_max_isa=avx", "sse4_2 avx"),
        ("--xla_cpu_max_isa='AVX2'", "sse4_2 avx avx2 fma"),
        ("--xla_cpu_max_isa=AVX --a=b --xla_cpu_max_isa=AVX512", "sse4_2 avx avx2 fma avx512f"),
        ("--xla_cpu_max_isa=AMX", ISA),
        ("--xla_cpu_max_isa=AVX10", "AVX10"),
    ],
)
def test_xla_may_use_what_the_cpu_has_and_the_flag_leaves(flags: str, isa: str) -> None:
    assert allowed_isa(ISA, flags) == {"xla_isa": isa}


def test_a_file_of_flags_is_not_read_so_nothing_is_known() -> None:
    assert allowed_isa(ISA, "/etc/xla.flags") == {}


def test_a_smaller_limit_never_leaves_more() -> None:
    """The table's order is XLA's own, smallest first."""
    left = [set(ISA_FLAGS) - set(forbidden) for forbidden in FORBIDDEN_BY.values()]

    assert all(small <= large for small, large in itertools.pairwise(left))


# --- The C library -------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="not glibc")
def test_the_c_library_is_the_one_that_is_loaded() -> None:
    version = ctypes.CDLL(None).gnu_get_libc_version
    version.restype = ctypes.c_char_p

    assert libc_fact() == {"libc": f"glibc {version().decode()}"}


def no_confstr(name: str) -> str:
    raise ValueError(f"unrecognized configuration name {name}")


@pytest.mark.parametrize(
    ("macos", "interpreter", "facts"),
    [
        ("", ("musl", "1.2.5"), {"libc": "musl 1.2.5"}),
        ("14.5", ("", ""), {"libc": "libSystem of macOS 14.5"}),
        ("", ("", ""), {}),
    ],
)
def test_of_another_c_library_what_is_known_is_told(
    macos: str,
    interpreter: tuple[str, str],
    facts: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "confstr", no_confstr)
    monkeypatch.setattr("platform.mac_ver", lambda: (macos, ("", "", ""), ""))
    monkeypatch.setattr("platform.libc_ver", lambda: interpreter)

    assert libc_fact() == facts


# --- What was not on record before ---------------------------------------------------------------


def on(**host: str) -> Environment:
    return Environment(packages={}, config={"x": "y"}, host=host, devices={})


def test_all_late_facts_are_known_here() -> None:
    known = host_facts()

    # Where the CPU does not tell its instruction sets, as on Arm, none are known to be left.
    assert {*LATE_FACTS} - {*known} <= ({"xla_isa"} if "isa" not in known else set())


def test_a_late_fact_that_is_missing_is_unknown_and_no_value_equals_it() -> None:
    old, new = on(cpu="x"), on(cpu="x", lapack_kernel="Haswell", libc="glibc 2.36")

    assert differences(old, new) == [
        "lapack_kernel: unknown -> Haswell",
        "libc: unknown -> glibc 2.36",
    ]
    assert differences(new, old)[0] == "lapack_kernel: Haswell -> unknown"


def test_what_both_do_not_know_is_no_difference() -> None:
    assert differences(on(cpu="x"), on(cpu="x")) == []


def test_any_other_fact_that_is_missing_is_absent() -> None:
    assert differences(on(), on(cpu="x")) == ["cpu: absent -> x"]


def test_how_a_fact_is_known_is_no_difference() -> None:
    assert differences(on(lapack="a", lapack_note="inferred"), on(lapack="a")) == []


def test_people_are_shown_what_is_unknown() -> None:
    assert told({"cpu": "x", "libc": "y"}) == {
        "cpu": "x",
        "libc": "y",
        **dict.fromkeys(("lapack", "lapack_kernel", "lapack_threads", "xla_isa"), "unknown"),
    }


def test_versions_alone_are_compared_by_what_they_say_and_by_late_facts() -> None:
    there = Environment(packages={"jax": "1"}, config={}, host={}, devices={})
    here = Environment(
        packages={"jax": "2", "numpy": "3"},
        config={"x": "y"},
        host={"cpu": "z", "libc": "musl 1.2.5"},
        devices={"cpu.kind": "cpu"},
    )

    assert differences(there, comparable(here, there)) == [
        "jax: 1 -> 2",
        "libc: unknown -> musl 1.2.5",
    ]


def test_a_whole_environment_is_compared_with_all_of_another() -> None:
    assert comparable(on(cpu="x"), on()) == on(cpu="x")
