"""A process that has imported what takes long, and forks for each client.

Usage: server.pyc SOCKET OWNER. It ends when OWNER does, or its socket is removed.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib.machinery
import io
import marshal
import os
import runpy
import select
import signal
import socket
import sys
import threading
import time
import types
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

PRELOADED = (
    "jax",
    "jax.export",
    "jaxlib.mlir.dialects.mhlo",  # of whoever lowers a program
    "execnet",
    "flax.linen",
    "flax.nnx",
    "jinja2",
    "ml_dtypes",
    "numpy",
    "packaging.specifiers",
    "pandas",
    "pdb",
    "platformdirs",
    "pyarrow.parquet",
    "pytest",
    "safetensors.numpy",
    "scipy.linalg",
    "scipy.special",
    "threadpoolctl",
    "tomllib",
    "xml.etree.ElementTree",
)

N_NEW_OBJECTS = 50_000
"""After which a fork looks for garbage, of which a command makes little. As Python has it, each
2,000 ask for it, and JAX, which is asked each time, takes 4 % of the CPU of a command."""

TRUTH = dict.fromkeys(("y", "yes", "t", "true", "on", "1"), True) | dict.fromkeys(
    ("n", "no", "f", "false", "off", "0"), False
)
"""How JAX reads a variable."""

INHERITED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1)
"""Signals that a process ignores if who started it did, as in the background of a script."""

USED = ".cpu"
"""Of the file beside a socket that tells which CPU its server and each of its forks took; see
tests/cpu.py."""

LOOK_S = 1.0
"""How often the server looks whether its socket is still there."""


class Server:
    """Forks for clients, and tells each how its fork ended."""

    def __init__(self, path: str, owner: int) -> None:
        self._path = path
        self._owner = os.pidfd_open(owner)
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(path)
        self._listening.listen(64)
        self._waking, self._woken = socket.socketpair()
        for each in (self._waking, self._woken):
            each.setblocking(False)
        self._clients: dict[int, socket.socket] = {}
        self._tests: dict[int, str] = {}

    def serve(self) -> Mapping[str, Any] | None:
        """Return in each fork what its client asked; in the server, at the end, None."""
        signal.set_wakeup_fd(self._woken.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._note(time.process_time())
        while os.path.exists(self._path):
            watched: list[Any] = [self._listening, self._waking, self._owner]
            ready, _, _ = select.select([*watched, *self._clients.values()], [], [], LOOK_S)
            if self._owner in ready:
                break
            for pid, client in list(self._clients.items()):
                if client in ready:  # it was killed: it says nothing else
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            if self._waking in ready:
                self._waking.recv(4096)
            self._reap()
            if self._listening in ready:
                client, _ = self._listening.accept()
                request = self._fork(client)
                if request is not None:
                    return request
        for pid in self._clients:
            os.kill(pid, signal.SIGKILL)
        return None

    def _reap(self) -> None:
        for pid in list(self._clients):
            done, status, used = os.wait4(pid, os.WNOHANG)
            if done:
                self._note(used.ru_utime + used.ru_stime, self._tests.pop(pid))
                code = os.waitstatus_to_exitcode(status)
                with self._clients.pop(pid) as client, contextlib.suppress(OSError):
                    client.sendall(code.to_bytes(8, "big", signed=True))

    def _fork(self, client: socket.socket) -> Mapping[str, Any] | None:
        """Return in the fork what the client asks; in the server, and if it asks nothing, None."""
        files, data = _received(client)
        pid = None
        if data:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # JAX's, of threads that it has not yet
                pid = os.fork()
        if pid == 0:
            self._forget()
            client.close()
            request: dict[str, Any] = marshal.loads(data)  # noqa: S302  # our own client's
            _take(files, request["files"])
            return request
        for file in files:
            os.close(file)
        if pid is None:
            client.close()
            return None
        self._clients[pid] = client
        environ: Mapping[str, str] = marshal.loads(data)["environ"]  # noqa: S302  # as above
        self._tests[pid] = environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
        with contextlib.suppress(OSError):  # it was killed since
            client.sendall(pid.to_bytes(8, "big"))
        return None

    def _note(self, cpu_s: float, test: str = "") -> None:
        """Write down what a fork took, with the processes it waited for; or this process."""
        with open(self._path + USED, "a", encoding="utf-8") as file:
            file.write(f"{cpu_s:.6f} {test}\n")

    def _forget(self) -> None:
        """Undo in a fork what makes it a server."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(self._owner)
        for each in (self._listening, self._waking, self._woken, *self._clients.values()):
            each.close()


def _received(client: socket.socket) -> tuple[list[int], bytes]:
    """Return the client's open files and its request, which is empty if the client was killed."""
    size, files, _, _ = socket.recv_fds(client, 8, 253)
    data = b""
    while len(data) < int.from_bytes(size, "big"):
        more = client.recv(1 << 16)
        if not more:
            return list(files), b""
        data += more
    return list(files), data


def _take(files: list[int], numbers: list[int]) -> None:
    """Give the received files the numbers that they have in the client, and close all others."""
    high = 1 + max([*files, *numbers, 2])
    moved = [os.dup2(file, high + n, inheritable=False) for n, file in enumerate(files)]
    os.closerange(0, high)
    for file, number in zip(moved, numbers, strict=True):
        os.dup2(file, number, inheritable=True)
        os.close(file)


def become(request: Mapping[str, Any]) -> None:
    """Be the process that the client was to be, up to the program that it runs."""
    import jax

    os.setpgid(0, request["group"])
    os.chdir(request["cwd"])
    os.umask(request["umask"])
    for each in INHERITED:
        usual = signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL
        signal.signal(each, signal.SIG_IGN if each in request["ignored"] else usual)
    os.environ.clear()
    os.environ.update(request["environ"])
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if number not in request["files"]:
            setattr(sys, name, None)
            setattr(sys, f"__{name}__", None)
        elif number and request["is_unbuffered"]:
            setattr(sys, name, unbuffered(number, getattr(sys, name)))
            setattr(sys, f"__{name}__", getattr(sys, name))
    sys.orig_argv[:] = [request["executable"], *request["words"]]
    folders = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:1] = found = list(dict.fromkeys(map(os.path.abspath, folders)))
    if importlib.machinery.PathFinder.find_spec("sitecustomize", found):
        importlib.import_module("sitecustomize")
    if platforms := os.environ.get("JAX_PLATFORMS"):
        jax.config.update("jax_platforms", platforms)  # type: ignore[no-untyped-call]  # JAX leaves it untyped
    if is_partitionable := os.environ.get("JAX_THREEFRY_PARTITIONABLE"):
        is_on = TRUTH[is_partitionable.lower()]
        jax.config.update("jax_threefry_partitionable", is_on)  # type: ignore[no-untyped-call]  # as above
    sys.executable = request["executable"]


def unbuffered(number: int, buffered: TextIO) -> TextIO:
    """Return the stream as Python's option -u has it."""
    raw = io.FileIO(number, "wb", closefd=False)
    return io.TextIOWrapper(raw, buffered.encoding, buffered.errors, write_through=True)


def leave(code: object) -> None:
    """End as Python does, but for taking apart all modules, which takes as long as a command.

    code: that of SystemExit.
    """
    if code is not None and not isinstance(code, int):
        sys.stderr.write(f"{code}\n")
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # it waits for threads
    atexit._run_exitfuncs()
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
    except (OSError, ValueError):
        sys.exit(code)  # which says so
    os._exit((code or 0) & 0xFF)


def run(words: list[str]) -> None:
    """Run what `python WORDS` would."""
    option, *others = words
    sys.modules["__main__"] = main = types.ModuleType("__main__")
    if option == "-m":
        sys.argv = [option, *others[1:]]
        sys.path.insert(0, os.getcwd())
        runpy._run_module_as_main(others[0])  # type: ignore[attr-defined]  # what -m runs
        return
    if option == "-c":
        sys.argv, folder, name, source = [option, *others[1:]], "", "<string>", others[0].encode()
    else:
        sys.argv, folder, name = words, os.path.dirname(os.path.realpath(option)), option
        main.__file__ = option
        source = Path(option).read_bytes()
    sys.path.insert(0, folder)
    exec(compile(source, name, "exec"), main.__dict__)  # noqa: S102  # the caller's own program


def _serve() -> Mapping[str, Any] | None:
    path, owner = sys.argv[1:]
    server = Server(path, int(owner))
    for name in PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()
    gc.set_threshold(N_NEW_OBJECTS)
    return server.serve()


if __name__ == "__main__":
    asked = _serve()
    if asked is not None:
        become(asked)
        try:
            run(asked["words"])
        except SystemExit as end:
            leave(end.code)
        leave(None)
