"""Executors by name. Every name that is no executor of its own is a PJRT platform."""

from __future__ import annotations

import importlib

from conformance.core.errors import BackendUnavailable as BackendUnavailable
from conformance.observe.backends.base import Backend as Backend

EXECUTORS = {
    "stablehlo": "conformance.observe.backends.stablehlo",
    "iree": "conformance.observe.backends.iree",
    "cuda-emulated": "conformance.predict.cuda_emulated",
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
    from conformance.observe.backends.pjrt import PjrtBackend

    return PjrtBackend(name)


def present_backends() -> tuple[str, ...]:
    """Return the names of the backends that this process can run, cpu first."""
    from conformance.observe.backends.pjrt import present_platforms

    return present_platforms()
