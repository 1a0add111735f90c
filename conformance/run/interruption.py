"""An end from outside, which what was found by then survives."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

from conformance.core.errors import Terminated


@contextlib.contextmanager
def termination_as_interruption() -> Iterator[None]:
    """Let SIGTERM raise Terminated, so that what a command has found by then is reported."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
