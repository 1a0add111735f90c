"""What is unusual about an environment, and what follows from it."""

from __future__ import annotations

import jax
import pytest

from conformance.environment import CONFIG, CONSEQUENCES, DEFAULT_CONFIG, jax_config, unusual
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


def test_a_cpu_that_cannot_fuse_is_told() -> None:
    assert unusual(environment(isa="sse4_2 avx")) == [
        "isa=sse4_2 avx: this CPU has no fused multiply-add, so it rounds otherwise"
    ]
