"""One supervised process that does the cases of a run: it may crash, and the run goes on.

The parent starts a worker on a task, reads what it answers to each case, and starts another one
where it ends too early. Only text crosses the pipe: rows and paths. The parent never starts JAX, so
a device is the worker's alone, and nothing that a case does to its process can reach the reports.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import faulthandler
import gc
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from typing import Any, cast

from conformance.core import errors
from conformance.core.deadline import CASE_TIMEOUT_S
from conformance.core.errors import ConformanceError, WorkerGone
from conformance.core.imports import told
from conformance.core.named import function

SILENT = "silent"

STEP = "step"

GRACE_S = 10.0
"""How much longer than a deadline the parent waits for a worker that should have ended itself."""

POLL_S = 1.0
"""How often is looked whether the worker lives, while it says nothing: what a case has forked may
hold its end of the pipe open."""

PROGRAM = (
    "import gc, json, sys; gc.disable(); asked = json.loads(sys.stdin.readline() or sys.exit()); "
    "sys.path[:] = asked.pop('path'); "
    "from conformance.observe.worker import serve; serve(**asked)"
)
"""What a worker runs: it finds modules where its parent does, and ends with one that ended before
it asked for anything. Until it is ready nothing becomes garbage: to look for some while JAX is
imported takes a sixth of its start."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Began:
    """A worker is ready. cases: ids of those to come, in order. facts: what else it says."""

    cases: tuple[str, ...]
    facts: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A case is done. answer: what the task says of it."""

    case: str
    answer: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A case ended its process. reason: how."""

    case: str
    reason: str


Event = Began | Answered | Lost


class Voice:
    """How a task in a worker speaks to the parent; each case has a deadline of its own.

    What comes before the first and after the last case may take CASE_TIMEOUT_S at least.
    """

    def __init__(self, pipe: int, timeout_s: float) -> None:
        self._pipe = pipe
        self._timeout_s = timeout_s
        self._n_left = 0
        self._set_deadline()

    def begin(self, cases: Sequence[str], **facts: Any) -> None:
        """Say, when all is prepared, which cases will be answered, in this order.

        From here on garbage is collected, and not sought among what was prepared, which stays.
        """
        gc.freeze()
        gc.enable()
        self._n_left = len(cases)
        self._say({"cases": list(cases), "facts": facts})

    def answer(self, case: str, **answer: Any) -> None:
        """Say what came of the next case."""
        self._n_left -= 1
        self._say({"case": case, "answer": answer})

    def go_on(self) -> None:
        """Say that a step of the case is done, each of which has a deadline of its own."""
        self._say({STEP: True})

    def end(self, error: ConformanceError | None = None) -> None:
        """Say that the task is done, or by which expected error it is not."""
        sys.stdout.flush()  # the parent waits for no more
        self._say({"error": None if error is None else [type(error).__name__, str(error)]})

    def _say(self, message: Mapping[str, Any]) -> None:
        set_deadline(0)  # a parent that listens slowly is not the case's fault
        data = memoryview(json.dumps(message, separators=(",", ":")).encode() + b"\n")
        while data:
            data = data[os.write(self._pipe, data) :]
        self._set_deadline()

    def _set_deadline(self) -> None:
        set_deadline(self._timeout_s if self._n_left else max(self._timeout_s, CASE_TIMEOUT_S))


Task = Callable[[Mapping[str, Any], Mapping[str, str], Voice], None]
"""What a worker does: (what was asked, how cases were lost, voice). Named `module:function`."""


# --- In the worker -------------------------------------------------------------------------------
def left_after(lost: Mapping[str, str], ids: Sequence[str]) -> Sequence[str]:
    """Return what comes after the lost cases, in their order: all before was answered."""
    return ids[max((ids.index(key) + 1 for key in lost if key in ids), default=0) :]


def set_deadline(seconds: float) -> None:
    """Let the system end this process by SIGALRM after so many seconds; 0: never.

    No thread and no lock of Python takes part, so it ends any code that hangs.
    """
    signal.setitimer(signal.ITIMER_REAL, seconds)


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Give the block a deadline, unless somebody else's holds already: there is one such timer."""
    if signal.getitimer(signal.ITIMER_REAL)[0]:
        yield
        return
    set_deadline(seconds)
    try:
        yield
    finally:
        set_deadline(0)


def serve(
    task: str, asked: Mapping[str, Any], lost: Mapping[str, str], pipe: int, timeout_s: float
) -> None:
    """Do the task, and tell the parent how it ended."""
    faulthandler.enable()
    faulthandler.register(signal.SIGALRM, chain=True)  # says where it hung, then ends the process
    os.set_inheritable(pipe, False)
    voice = Voice(pipe, timeout_s)
    try:
        function(task)(asked, lost, voice)
    except ConformanceError as error:
        voice.end(error)
    except Exception as error:
        if (known := told(error)) is None:
            raise
        voice.end(known)
    else:
        voice.end()


# --- In the parent -------------------------------------------------------------------------------
def supervised(
    task: str, asked: Mapping[str, Any], timeout_s: float
) -> Generator[Event, None, None]:
    """Yield what workers say, one after the other, until the task is done.

    `Began` comes once, first. Then each of its cases is answered or lost. Closing the generator
    ends the worker.

    timeout_s: for a case.

    Raises:
        ConformanceError: the one that ended the task.
        WorkerGone: a worker ended outside of a case, or would do other cases than the one before.
    """
    return together(task, [asked], timeout_s)


def together(
    task: str, asked: Sequence[Mapping[str, Any]], timeout_s: float
) -> Generator[Event, None, None]:
    """Return what is said, as it comes, by a worker for each part of the task; see `supervised`.

    The workers start at once, so that their parent can do something else meanwhile.
    """
    events = _merged([_said(task, each, timeout_s) for each in asked])
    next(events)
    return cast("Generator[Event, None, None]", events)


def _merged(parts: Sequence[Speech]) -> Speech:
    """Yield a pause when all have started, and then what they say."""
    with contextlib.ExitStack() as stack:
        heard: list[Speech] = []
        for each in parts:
            stack.enter_context(contextlib.closing(each))
            pause = next(each)
            heard.append(each)
        yield pause
        silent: dict[int, Speech] = {}
        last_look = time.monotonic()
        while heard:
            for each in heard:
                for event in each:
                    if isinstance(event, Pause):
                        silent[event.pipe] = each
                        break
                    yield event
            pipes = select.select(list(silent), [], [], POLL_S)[0] if silent else []
            if time.monotonic() - last_look > POLL_S:  # those that say nothing may have ended
                pipes, last_look = list(silent), time.monotonic()
            heard = [silent.pop(pipe) for pipe in pipes]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A worker may have nothing to say. pipe: what can be read when it has."""

    pipe: int


Speech = Generator[Event | Pause, None, None]


def _said(task: str, asked: Mapping[str, Any], timeout_s: float) -> Speech:
    """Yield what the workers of one part say, and where that may take its time."""
    pending: collections.deque[str] = collections.deque()
    lost: dict[str, str] = {}
    while True:
        with _started(task, asked, lost, timeout_s) as worker:
            has_begun = is_silent = False

            def patience_s() -> float:
                within = bool(pending) and has_begun  # noqa: B023  # asked in this turn alone
                return GRACE_S + (timeout_s if within else max(timeout_s, CASE_TIMEOUT_S))

            for message in worker.messages(patience_s):
                if message is None:
                    yield Pause(pipe=worker.pipe)
                    continue
                if SILENT in message:
                    is_silent = True
                    worker.process.kill()
                    break
                if STEP in message:
                    continue
                if "error" in message:
                    _raise(message["error"])
                    return
                if "cases" in message:
                    cases, has_begun = message["cases"], True
                    if lost:
                        _require_same(cases, pending)
                    else:
                        pending.extend(cases)
                        yield Began(cases=tuple(cases), facts=message["facts"])
                else:
                    pending.popleft()
                    yield Answered(case=message["case"], answer=message["answer"])
            reason = worker.ending(timeout_s, is_silent=is_silent)
        _require_within(has_begun, pending, reason)
        case = pending.popleft()
        lost[case] = reason
        yield Lost(case=case, reason=reason)


def ending(status: int, timeout_s: float) -> str:
    """Return how a process ended. status: negative for a signal, as `subprocess` has it."""
    if status == -signal.SIGALRM:
        return f"it was not done within {timeout_s:g} s (--case-timeout)"
    if status >= 0:
        return f"its process ended with exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:  # a real-time signal
        name = f"signal {-status}"
    cause = "; out of memory, perhaps" if status == -signal.SIGKILL else ""
    return f"its process was ended by {name} ({signal.strsignal(-status) or 'unknown'}{cause})"


def _raise(error: Sequence[str] | None) -> None:
    """Raise the expected error that ended the task, if one did."""
    if error is not None:
        name, text = error
        raise getattr(errors, name)(text)


def _require_within(has_begun: bool, pending: Collection[str], reason: str) -> None:
    """Ensure that a worker ended within a case, which is to blame then."""
    if not (has_begun and pending):
        where = "after its last case" if has_begun else "before its first case"
        raise WorkerGone(f"{where} the worker is gone: {reason}")


def _require_same(cases: Sequence[str], expected: Sequence[str]) -> None:
    if list(cases) != list(expected):
        raise WorkerGone(f"the worker in place of one that was lost {different(cases, expected)}")


def different(found: Sequence[str], expected: Sequence[str]) -> str:
    """Return how what a second worker found is not what the first one did, and the way out."""
    known = set(found)
    absent = next((each for each in expected if each not in known), "none, in another order")
    return (
        f"found {len(found)} where another found {len(expected)}; the first that it lacks: "
        f"{absent}. Is a device gone? Restore it, and run again with the same options"
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Worker:
    process: subprocess.Popen[bytes]
    pipe: int

    def ending(self, timeout_s: float, *, is_silent: bool) -> str:
        """Return how it ended; one that was ended as it said nothing any more was not done."""
        status = self.process.wait()
        return ending(-signal.SIGALRM if is_silent else status, timeout_s)

    def messages(self, patience_s: Callable[[], float]) -> Iterator[dict[str, Any] | None]:
        """Yield what it says until it ends, and None wherever it may say nothing for a while.

        A line that it did not finish is dropped. A worker ends itself at its deadline. One that
        cannot, since a case stopped it or its timer, is ended here, after it has said nothing for
        `patience_s`; the last message says so.
        """
        rest, heard = b"", time.monotonic()
        while True:
            yield None
            if select.select([self.pipe], [], [], 0)[0]:
                heard = time.monotonic()
                data = os.read(self.pipe, 1 << 16)
                if not data:
                    return
                *lines, rest = (rest + data).split(b"\n")
                yield from map(json.loads, lines)
            elif self.process.poll() is not None:
                return
            elif time.monotonic() - heard > patience_s():
                yield {SILENT: True}
                return


@contextlib.contextmanager
def _started(
    task: str, asked: Mapping[str, Any], lost: Mapping[str, str], timeout_s: float
) -> Iterator[_Worker]:
    """Run a worker, and end it and what it started when the block is left."""
    ours, theirs = os.pipe()
    called = {"task": task, "asked": asked, "lost": lost, "pipe": theirs, "timeout_s": timeout_s}
    request = {"path": sys.path, **called}
    process = subprocess.Popen(  # noqa: S603  # ours
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        pass_fds=[theirs],
        process_group=0,  # Ctrl-C is the parent's
    )
    os.close(theirs)
    try:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died; how, is told below
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.close()
        yield _Worker(process=process, pipe=ours)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(ours)
