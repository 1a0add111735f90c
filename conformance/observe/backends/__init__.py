"""Backends by name, opened: see `cases.backends` for which there are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from conformance.cases.backends import HERE, installed, lookup
from conformance.core.errors import BackendUnavailable as BackendUnavailable
from conformance.core.errors import ConformanceError
from conformance.core.named import function
from conformance.observe.backends.base import Backend as Backend


def open_backend(name: str) -> Backend:
    """Return the backend called `name`.

    Raises:
        BackendUnavailable: it has no device in this process, is not installed, or the distribution
            that brings it is broken; the message says what is there, or what installs it.
    """
    spec = lookup(name)
    try:
        backend: Backend = function(spec.open)(name)
    except ConformanceError:
        raise
    except Exception as error:
        if spec.origin in (HERE, ""):
            raise
        raise BackendUnavailable(
            f"backend {name!r} of {spec.origin} cannot be opened ({type(error).__name__}: {error}):"
            " update that distribution, or leave the backend out of --backend"
        ) from error
    return backend


def present_backends() -> tuple[str, ...]:
    """Return the backends that answer in this process and are no executors: what `auto` stands for.

    Those are the platforms of JAX, cpu first and the default one last, and before the last one what
    entry points bring and opens here.

    Raises:
        BackendUnavailable: JAX finds no platform at all.
        CatalogueError: two distributions bring a backend of one name.
    """
    from conformance.observe.backends.pjrt import present_platforms

    first, *others = present_platforms()
    return (first, *(name for name in _brought() if name != first and name not in others), *others)


def _brought() -> Iterator[str]:
    """Yield the backends of other distributions that open here; `faults` tells of the broken."""
    for name in installed().brought():
        with contextlib.suppress(BackendUnavailable):
            if not lookup(name).is_executor:
                open_backend(name)
                yield name
