"""An end from outside, which what was found by then survives."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator

from conformance.core.errors import ExitCode, Terminated


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


@contextlib.contextmanager
def no_early_success() -> Iterator[None]:
    """Let `os._exit(0)` in this process end it with MISSING: it skips all verdicts and reports.

    Processes that it forks may end as they like. Code that is not Python's is out of reach.
    """
    leave, here = os._exit, os.getpid()

    def end(status: int) -> None:
        if status == ExitCode.OK and os.getpid() == here:
            text = "conformance: a case called os._exit(0) in this process: there is no verdict"
            print(text, file=sys.stderr, flush=True)  # noqa: T201  # nothing else will tell
            status = ExitCode.MISSING
        leave(status)

    os._exit = end  # type: ignore[assignment]
    try:
        yield
    finally:
        os._exit = leave
