"""What must be set in a process before JAX starts: visible devices, memory, forced host devices."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from conformance.core.errors import SelectionError
from conformance.core.settings import FAST_LEVEL, OPTIMIZATION_FLAG
from conformance.observe.environment import CUDA_PLUGINS

HOST_DEVICES_FLAG = "--xla_force_host_platform_device_count"
SHARDS = 8
"""Devices that the `sharded` transform spreads an array over."""

DEVICES = Path("/dev")
GPU_FILES, TPU_FILES = r"nvidia\d+", r"accel\d+|vfio/\d+"
"""What the device files of one GPU and of one TPU chip are called."""

ONE_CHIP = {"TPU_CHIPS_PER_PROCESS_BOUNDS": "1,1,1", "TPU_PROCESS_BOUNDS": "1,1,1"}
"""Tells libtpu that the visible chip is a topology of its own, not a part of the host's."""

WORKERS_PER_GPU = 8
"""A context takes about half a gibibyte, and the largest sweep, of 2^23 float32 words, less than
another: eight leave half of the 16 GiB of the smallest GPU that CUDA 13 knows, a T4. Estimated, not
measured. No share of the memory is fixed by XLA_PYTHON_CLIENT_MEM_FRACTION: without preallocation
it would only cap the pool, and a peak of one worker would fail beside idle memory of the others."""


def force_host_devices(
    variables: MutableMapping[str, str] = os.environ, count: int = SHARDS
) -> None:
    """Ask XLA for so many CPU devices, unless a number was asked for already.

    Must come before JAX creates its CPU client. More devices do not change the bits of programs
    that run on one.
    """
    flags = variables.get("XLA_FLAGS", "")
    if HOST_DEVICES_FLAG not in flags:
        variables["XLA_FLAGS"] = f"{flags} {HOST_DEVICES_FLAG}={count}".strip()


def optimize_less(variables: MutableMapping[str, str] = os.environ) -> None:
    """Let XLA optimize at FAST_LEVEL, unless a level was asked for already.

    Raises:
        SelectionError: JAX has started in this process, and XLA has read its flags.
    """
    flags = variables.get("XLA_FLAGS", "")
    if OPTIMIZATION_FLAG in flags:
        return
    from conformance.observe import jax_compat  # an option of the command line asks this file too

    if jax_compat.has_started():
        raise SelectionError(
            "--fast must come before the first draw of a process, and this one has drawn: leave "
            f"out --fast, or start with XLA_FLAGS={OPTIMIZATION_FLAG}={FAST_LEVEL}"
        )
    variables["XLA_FLAGS"] = f"{flags} {OPTIMIZATION_FLAG}={FAST_LEVEL}".strip()


def assign_accelerator(
    worker: int,
    variables: MutableMapping[str, str] = os.environ,
    device_folder: Path = DEVICES,
) -> None:
    """Show worker number `worker` one GPU or TPU chip of those the process may use.

    Several workers may land on one GPU, so its memory is not claimed in advance. A chip takes one
    process only: see `most_workers`.
    """
    if gpus := _visible(variables.get("CUDA_VISIBLE_DEVICES"), GPU_FILES, device_folder):
        variables["CUDA_VISIBLE_DEVICES"] = gpus[worker % len(gpus)]
        variables.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if chips := _visible(variables.get("TPU_VISIBLE_CHIPS"), TPU_FILES, device_folder):
        variables["TPU_VISIBLE_CHIPS"] = chips[worker % len(chips)]
        variables.update(ONE_CHIP)


def most_workers(
    variables: Mapping[str, str] = os.environ, device_folder: Path = DEVICES
) -> int | None:
    """Return how many processes the accelerators can take; None: any number.

    A TPU chip takes one, a GPU WORKERS_PER_GPU: every process makes a context on it, whatever its
    cases ask for, unless JAX_PLATFORMS keeps it away.
    """
    limits = []
    chips = _visible(variables.get("TPU_VISIBLE_CHIPS"), TPU_FILES, device_folder)
    if chips and _is_installed("libtpu"):
        limits.append(len(chips))
    gpus = _visible(variables.get("CUDA_VISIBLE_DEVICES"), GPU_FILES, device_folder)
    if gpus and any(map(_is_installed, CUDA_PLUGINS)) and _may_use_cuda(variables):
        limits.append(min(WORKERS_PER_GPU * len(gpus), os.cpu_count() or 1))
    return min(limits, default=None)


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _may_use_cuda(variables: Mapping[str, str]) -> bool:
    platforms = variables.get("JAX_PLATFORMS", "")
    return not platforms or "cuda" in platforms or "gpu" in platforms


def _visible(allowed: str | None, pattern: str, device_folder: Path) -> list[str]:
    """Return the names of the devices that this process may use.

    Without a list they are numbers from 0. The numbers of the files are others in a container that
    was given only some devices, so the files are counted, not read.
    """
    if allowed is not None:
        return [device for device in allowed.split(",") if device]
    paths = (path.relative_to(device_folder).as_posix() for path in device_folder.glob("**/*"))
    return [str(number) for number, _ in enumerate(filter(re.compile(pattern).fullmatch, paths))]
