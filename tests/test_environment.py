"""What is unusual about an environment, and what follows from it."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import jax
import pytest

from conformance.environment import (
    CONFIG,
    CONSEQUENCES,
    DEFAULT_CONFIG,
    cuda_facts,
    device_facts,
    jax_config,
    runtime_of,
    unusual,
)
from conformance.model import Environment


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
    monkeypatch.setattr("conformance.environment.cuda_facts", lambda: facts)

    devices = device_facts(("cuda",))

    here = Environment(packages={}, config={}, host={}, devices=devices)
    assert devices["cuda.kind"] == "NVIDIA H100"
    assert runtime_of(here, "cuda") == "PJRT C API cuda 13000, driver 580.82.07, cudnn 91200"
    assert runtime_of(here, "cpu") == ""


def test_a_cpu_that_cannot_fuse_is_told() -> None:
    assert unusual(environment(isa="sse4_2 avx")) == [
        "isa=sse4_2 avx: this CPU has no fused multiply-add, so it rounds otherwise"
    ]
