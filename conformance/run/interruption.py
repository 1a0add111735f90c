"""An end from outside, which what was found by then survives."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from conformance.core.errors import ExitCode, Terminated

AGAIN_S = 0.05
"""After so long an interruption that came during an import is tried again."""

IMPORTER = "<frozen importlib."
"""Where the files lie, as frames name them, that import modules."""


@contextlib.contextmanager
def orderly_interruption() -> Iterator[None]:
    """Let SIGINT raise KeyboardInterrupt, and SIGTERM Terminated, but within no import.

    What a command has found by then is reported. A module of C that is being imported, NumPy's say,
    makes an ImportError of either, and its tracebacks; so they wait until it is imported, and only
    the second one ends the process there and then.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with contextlib.ExitStack() as stack:
        for number, error in ((signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)):
            if signal.getsignal(number) != signal.SIG_IGN:  # as `nohup`, and a shell's `&`, ask
                stack.callback(signal.signal, number, signal.signal(number, _Ending(error)))
        yield


class _Ending:
    """The handler of a signal."""

    def __init__(self, error: type[KeyboardInterrupt]) -> None:
        self._error = error
        self._is_put_off = False
        # The command itself may run within an import: `python -c "import conformance.__main__"`.
        self._outer = frozenset(map(id, _stack(sys._getframe())))

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raise the error, now or after the import that is going on."""
        was_put_off, self._is_put_off = self._is_put_off, False
        inner = (each for each in _stack(frame) if id(each) not in self._outer)
        if not any(each.f_code.co_filename.startswith(IMPORTER) for each in inner):
            raise self._error
        if was_put_off:
            say_ended(self._error())
            os._exit(exit_code(self._error()))
        self._is_put_off = True
        timer = threading.Timer(AGAIN_S, self._try_again, [number])
        timer.daemon = True
        timer.start()

    def _try_again(self, number: int) -> None:
        if self._is_put_off:  # else another one was raised since
            self._is_put_off = False
            # To the thread that sleeps: a signal of this one would not wake it.
            signal.pthread_kill(threading.main_thread().ident or 0, number)


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


TOLD = "told"
"""Note on an interruption that has been told."""


@contextlib.contextmanager
def telling_what_is_kept(kept: Callable[[], str]) -> Iterator[None]:
    """Say of an interruption, before anything else is told, that it was one, and what is kept."""
    try:
        yield
    except KeyboardInterrupt as error:
        if TOLD not in getattr(error, "__notes__", ()):
            say_ended(error, kept())
            error.add_note(TOLD)
        raise


def say_ended(error: KeyboardInterrupt, kept: str = "") -> None:
    """Say that a command was ended from outside, unless that was said."""
    if TOLD in getattr(error, "__notes__", ()):
        return
    how = "terminated" if isinstance(error, Terminated) else "interrupted"
    text = f"conformance: {how}{kept and f': {kept}'}"
    print(text, file=sys.stderr, flush=True)  # noqa: T201  # nothing else will tell


def exit_code(error: KeyboardInterrupt) -> ExitCode:
    """Return the exit code of a command that was ended from outside."""
    return ExitCode.TERMINATED if isinstance(error, Terminated) else ExitCode.INTERRUPTED


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
