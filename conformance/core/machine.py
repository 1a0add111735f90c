"""Faults of the machine, which say nothing about an initializer: memory, devices, processes."""

from __future__ import annotations

import re

from conformance.core.records import Outcome, Raised

MACHINE_FAULTS = (
    "RESOURCE_EXHAUSTED",
    "UNAVAILABLE",
    "ABORTED",
    "CANCELLED",
    "DATA_LOSS",
    "DEADLINE_EXCEEDED",
)
"""XLA status codes that speak of the machine, not of the program that ran on it."""

SIGNS_OF_THE_MACHINE = re.compile(
    r"CUDA_ERROR|CUDA Runtime error|Create\(&handle\) failed|halted unexpectedly|device.lost",
    re.IGNORECASE,
)
"""What messages of any status code hold where the machine is at fault. The first two are XLA's
words for whatever a CUDA driver or runtime returns. cuSOLVER and cuBLAS cannot make their handles
where memory is short or the driver is another (jax issue 23616); a TPU's core halts unexpectedly
(jax issue 9642); Vulkan loses devices."""


PROCESS_LOST = "ProcessLost"
"""Stands for the exception where a case ended its process, and the message says how."""


def machine_fault(outcome: Outcome) -> bool:
    """Return whether the call failed for want of memory, of a device or of its process."""
    if not isinstance(outcome, Raised):
        return False
    return (
        outcome.exception in ("MemoryError", PROCESS_LOST)
        or outcome.message.startswith(MACHINE_FAULTS)
        or SIGNS_OF_THE_MACHINE.search(outcome.message) is not None
    )
