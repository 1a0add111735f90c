"""What a worker sets before JAX starts, by folders and variables that stand for real ones."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from conformance.observe.process import assign_accelerator, force_host_devices, most_workers


@pytest.fixture
def devices(tmp_path: Path) -> Path:
    """Return an empty folder of devices."""
    return tmp_path


def with_files(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    return folder


def installed(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    """Let just these modules be found."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name in modules or None)


@pytest.mark.parametrize(("worker", "gpu"), [(0, "0"), (1, "1"), (2, "0")])
def test_workers_take_gpus_in_turn(devices: Path, worker: int, gpu: str) -> None:
    variables: dict[str, str] = {}

    assign_accelerator(worker, variables, with_files(devices, "nvidia0", "nvidia1", "nvidiactl"))

    assert variables["CUDA_VISIBLE_DEVICES"] == gpu


def test_gpus_are_counted_from_0_whatever_their_files_are_called(devices: Path) -> None:
    """A container that was given the host's fourth GPU sees /dev/nvidia3, and CUDA calls it 0."""
    variables: dict[str, str] = {}

    assign_accelerator(0, variables, with_files(devices, "nvidia3"))

    assert variables["CUDA_VISIBLE_DEVICES"] == "0"


def test_only_the_gpus_that_the_process_may_use_are_given_out(devices: Path) -> None:
    variables = {"CUDA_VISIBLE_DEVICES": "2,GPU-5e1f"}

    assign_accelerator(1, variables, with_files(devices, "nvidia0", "nvidia1"))

    assert variables["CUDA_VISIBLE_DEVICES"] == "GPU-5e1f"


def test_gpus_that_are_hidden_stay_hidden(devices: Path) -> None:
    variables = {"CUDA_VISIBLE_DEVICES": ""}

    assign_accelerator(0, variables, with_files(devices, "nvidia0"))

    assert variables == {"CUDA_VISIBLE_DEVICES": ""}


def test_memory_of_a_shared_gpu_is_not_claimed_in_advance(devices: Path) -> None:
    variables: dict[str, str] = {}

    assign_accelerator(0, variables, with_files(devices, "nvidia0"))

    assert variables["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"


def test_a_choice_of_memory_is_respected(devices: Path) -> None:
    variables = {"XLA_PYTHON_CLIENT_PREALLOCATE": "true"}

    assign_accelerator(0, variables, with_files(devices, "nvidia0"))

    assert variables["XLA_PYTHON_CLIENT_PREALLOCATE"] == "true"


@pytest.mark.parametrize("files", [("accel0", "accel1"), ("vfio/0", "vfio/1", "vfio/vfio")])
def test_a_worker_sees_one_tpu_chip_as_a_topology_of_its_own(
    devices: Path, files: tuple[str, ...]
) -> None:
    variables: dict[str, str] = {}

    assign_accelerator(1, variables, with_files(devices, *files))

    assert variables == {
        "TPU_VISIBLE_CHIPS": "1",
        "TPU_CHIPS_PER_PROCESS_BOUNDS": "1,1,1",
        "TPU_PROCESS_BOUNDS": "1,1,1",
    }


def test_without_accelerators_nothing_is_set(devices: Path) -> None:
    variables: dict[str, str] = {}

    assign_accelerator(0, variables, devices)

    assert variables == {}


def test_a_tpu_chip_takes_one_process(devices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "libtpu")

    assert most_workers({}, with_files(devices, "accel0", "accel1")) == 2


@pytest.mark.parametrize(("names", "n_cpus", "n_workers"), [(1, 16, 8), (2, 64, 16), (1, 4, 4)])
def test_a_gpu_takes_eight_processes_if_there_are_cpus_for_them(
    names: int, n_cpus: int, n_workers: int, devices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, "jax_cuda13_plugin")
    monkeypatch.setattr(os, "cpu_count", lambda: n_cpus)
    gpus = with_files(devices, *(f"nvidia{number}" for number in range(names)))

    assert most_workers({}, gpus) == n_workers


@pytest.mark.parametrize(
    ("variables", "module"),
    [
        ({}, "jax"),
        ({"JAX_PLATFORMS": "cpu"}, "jax_cuda13_plugin"),
        ({"CUDA_VISIBLE_DEVICES": ""}, "jax_cuda13_plugin"),
    ],
)
def test_a_gpu_that_jax_does_not_touch_limits_nothing(
    variables: dict[str, str], module: str, devices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, module)

    assert most_workers(variables, with_files(devices, "nvidia0")) is None


def test_of_several_accelerators_the_scarcest_counts(
    devices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, "libtpu", "jax_cuda12_plugin")

    assert most_workers({}, with_files(devices, "accel0", "nvidia0")) == 1


def test_without_libtpu_any_number_of_workers_goes(
    devices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch)

    assert most_workers({}, with_files(devices, "vfio/0")) is None


def test_host_devices_are_asked_for_beside_other_flags() -> None:
    variables = {"XLA_FLAGS": "--xla_cpu_max_isa=AVX2"}

    force_host_devices(variables)

    assert variables["XLA_FLAGS"] == (
        "--xla_cpu_max_isa=AVX2 --xla_force_host_platform_device_count=8"
    )


def test_a_number_of_host_devices_that_was_asked_for_stays() -> None:
    variables = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}

    force_host_devices(variables)

    assert variables["XLA_FLAGS"] == "--xla_force_host_platform_device_count=4"
