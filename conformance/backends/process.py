"""What must be set in a process before JAX starts: visible devices, memory, forced host devices."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, MutableMapping
from pathlib import Path

from conformance.model import Case

HOST_DEVICES_FLAG = "--xla_force_host_platform_device_count"
SHARDS = 8
"""Devices that the `sharded` transform spreads an array over."""


def needs_host_devices(cases: Collection[Case]) -> bool:
    """Return whether a case shards over CPU devices."""
    return any(case.transform == "sharded" and case.backend == "cpu" for case in cases)


def force_host_devices(variables: MutableMapping[str, str] = os.environ) -> None:
    """Ask XLA for SHARDS CPU devices, unless a number was asked for already.

    Must come before JAX creates its CPU client. More devices do not change the bits of programs
    that run on one.
    """
    flags = variables.get("XLA_FLAGS", "")
    if HOST_DEVICES_FLAG not in flags:
        variables["XLA_FLAGS"] = f"{flags} {HOST_DEVICES_FLAG}={SHARDS}".strip()


def assign_accelerator(
    worker: int,
    variables: MutableMapping[str, str] = os.environ,
    device_folder: Path = Path("/dev"),
) -> None:
    """Show worker number `worker` one GPU or TPU chip of those the process may use.

    Several workers may land on one GPU, so its memory is not claimed in advance.
    """
    for variable, pattern in (
        ("CUDA_VISIBLE_DEVICES", r"nvidia(\d+)"),
        ("TPU_VISIBLE_CHIPS", r"accel(\d+)"),
    ):
        devices = _visible(variables.get(variable), pattern, device_folder)
        if devices:
            variables[variable] = devices[worker % len(devices)]
            variables.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


def _visible(allowed: str | None, pattern: str, device_folder: Path) -> list[str]:
    if allowed is not None:
        return [device for device in allowed.split(",") if device]
    names = (re.fullmatch(pattern, path.name) for path in device_folder.glob("*"))
    return sorted((match[1] for match in names if match), key=int)
