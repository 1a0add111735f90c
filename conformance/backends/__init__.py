"""Executors by name. Every name that is no executor of its own is a PJRT platform."""

from __future__ import annotations

from conformance.backends.base import Backend as Backend
from conformance.backends.base import BackendUnavailable as BackendUnavailable


def open_backend(name: str) -> Backend:
    """Return the backend called `name`.

    Raises:
        BackendUnavailable: it has no device in this process; the message names those that have.
    """
    from conformance.backends.pjrt import PjrtBackend

    return PjrtBackend(name)


def present_backends() -> tuple[str, ...]:
    """Return the names of the backends that this process can run, cpu first."""
    from conformance.backends.pjrt import present_platforms

    return present_platforms()
