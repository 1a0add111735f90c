"""Executors by name. Every name that is no executor of its own is a PJRT platform."""

from __future__ import annotations

import importlib

from conformance.backends.base import Backend as Backend
from conformance.backends.base import BackendUnavailable as BackendUnavailable

EXECUTORS = {
    "stablehlo": "conformance.backends.stablehlo",
    "iree": "conformance.backends.iree",
    "cuda-emulated": "conformance.backends.cuda_emulated",
}
"""Backends that need no device, and the modules whose `open_backend` opens each."""


def open_backend(name: str) -> Backend:
    """Return the backend called `name`.

    Raises:
        BackendUnavailable: it has no device in this process, or is not installed; the message says
            what is there, or what installs it.
    """
    if name in EXECUTORS:
        executor: Backend = importlib.import_module(EXECUTORS[name]).open_backend()
        return executor
    from conformance.backends.pjrt import PjrtBackend

    return PjrtBackend(name)


def present_backends() -> tuple[str, ...]:
    """Return the names of the backends that this process can run, cpu first."""
    from conformance.backends.pjrt import present_platforms

    return present_platforms()
