"""What takes the place of a Python process: it asks a server for a fork, and ends as that does.

Usage: client.pyc PYTHON FOLDER OWNER ARGUMENT...: as `PYTHON ARGUMENT...`. It imports next to
nothing, as it runs for each process: `json`, `signal` and `socket` took two thirds of its CPU, with
the regular expressions and enumerations that they need and this does not; and `array` a quarter.
"""

import _signal as signal  # type: ignore[import-not-found]  # typeshed lacks it
import _socket as socket
import marshal
import os
import sys
import time
import zlib

READ_AT_START = ("PYTHON", "LC_", "LANG", "TZ", "LD_", "MALLOC_", "GLIBC_", "ARROW_", "NPY_")
READ_ON_IMPORT = ("JAX_", "TF_", "TPU_", "LIBTPU_", "CUDA_", "IREE_", "FLAX_")
READ_BY_BLAS = ("OPENBLAS_", "GOTO_", "OMP_", "MKL_", "BLIS_", "NVPL_")
DECISIVE = READ_AT_START + READ_ON_IMPORT + READ_BY_BLAS

OF_THE_FORK = (
    "PYTHONPATH",
    "PYTHONUNBUFFERED",
    "JAX_PLATFORMS",
    "JAX_THREEFRY_PARTITIONABLE",
)
"""What has another value in each test: the fork does with it what Python and JAX do, as they start.
XLA reads its flags where a backend is initialised, which is after the fork."""

SET_BY_JAX = {"TF_CPP_MIN_LOG_LEVEL": "1", "TPU_SKIP_MDS_QUERY": "1"}
"""What JAX sets as it is imported, where nobody has: it is the same before that and after."""

OF_A_FILE = 4
"""Bytes: of the number of an open file, a C int."""

LOOK_S = 0.005
LOOKS = 12_000
"""A server listens before it imports anything."""

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1)


def main(python: str, folder: str, owner: str, *words: str) -> None:
    files = _open_files()
    is_unbuffered, program = _read(words)
    is_forkable = program and os.getsid(0) == os.getsid(int(owner))
    path = server_for(folder) if is_forkable else None
    connection = _connected(path, [python, owner]) if path else None
    if connection is None:
        os.execv(python, [python, *words])  # noqa: S606  # ours
    ignored = [number for number in FORWARDED if signal.getsignal(number) == signal.SIG_IGN]
    request = {
        "words": program,
        "is_unbuffered": is_unbuffered or bool(os.environ.get("PYTHONUNBUFFERED")),
        "environ": dict(os.environ),
        "cwd": os.getcwd(),
        "umask": _umask(),
        "group": os.getpgrp(),
        "files": files,
        "ignored": ignored,
        "executable": os.path.join(folder, "python"),
    }
    data = marshal.dumps(request)
    numbers = b"".join(file.to_bytes(OF_A_FILE, sys.byteorder) for file in files)
    sent = (socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)
    connection.sendmsg([len(data).to_bytes(8, "big")], [sent])
    connection.sendall(data)
    for file in files:
        os.close(file)
    pid = int.from_bytes(connection.recv(8), "big")
    for number in FORWARDED:
        if pid and number not in ignored:
            signal.signal(number, lambda number, _: os.kill(pid, number))
    status = connection.recv(8)
    _end(int.from_bytes(status, "big", signed=True) if status else 1)


def _open_files() -> list[int]:
    """Return what this process inherited, before it opens anything itself."""
    return [number for number in map(int, os.listdir("/proc/self/fd")) if _is_open(number)]


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:  # that of the listing
        return False
    return True


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _read(words: tuple[str, ...]) -> tuple[bool, list[str]]:
    """Return whether streams are unbuffered, and -c, -m or a script with its words.

    No words: there are none, or options that a fork cannot have.
    """
    is_unbuffered = words[:1] == ("-u",)
    program = list(words[is_unbuffered:])
    if program and program[0].startswith("-m"):
        program[:1] = filter(None, ("-m", program[0][2:]))
    is_known = program and (program[0] in ("-c", "-m") or not program[0].startswith("-"))
    return is_unbuffered, program if is_known else []


def server_for(folder: str) -> str | None:
    """Return the socket of the server for these variables; None where they are asked for first."""
    decisive = sorted(
        (name, value)
        for name, value in os.environ.items()
        if name.startswith(DECISIVE) and name not in OF_THE_FORK and SET_BY_JAX.get(name) != value
    )
    path = os.path.join(folder, f"{zlib.crc32(repr(decisive).encode()):08x}")
    try:
        os.close(os.open(path + ".asked", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return path
    return None


def _connected(path: str, words: list[str]) -> socket.socket | None:
    """Return a connection to the server, which is started where there is none; None if it died."""
    try:
        os.close(os.open(path + ".started", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        pass
    else:
        _start(path, *words)
    connection = socket.socket(socket.AF_UNIX)
    for _ in range(LOOKS):
        try:
            connection.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):  # it is about to listen
            time.sleep(LOOK_S)
        else:
            return connection
    return None


def _start(path: str, python: str, owner: str) -> None:
    if os.fork() == 0:
        os.setpgid(0, 0)  # Ctrl-C is not for it
        null = os.open(os.devnull, os.O_RDWR)
        for file in range(3):
            os.dup2(null, file)
        os.closerange(3, 1024)
        server = os.path.join(os.path.dirname(path), "server.pyc")
        for name in OF_THE_FORK:
            os.environ.pop(name, None)
        os.execv(python, [python, server, path, owner])  # noqa: S606  # ours


def _end(status: int) -> None:
    """End as the fork did. status: negative for a signal."""
    if status < 0:
        if -status not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


if __name__ == "__main__":
    main(*sys.argv[1:])
