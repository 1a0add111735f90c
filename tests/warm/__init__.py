"""A Python for child processes that has imported JAX before: a process forked from a warm one.

A test of a command, a crash or a gate starts processes, and each start imports JAX, SciPy and
pandas: a second of CPU or two, before anything that the test is about. So while tests run
`sys.executable` is a small program (client.py) that sends its arguments, variables, working folder
and open files to a server, which forks. What is forked reads the same arguments and variables,
writes to the same files, is in the same process group and ends in the same way; the client ends as
it does, and is what the caller waits for and may kill.

A fork is made before any backend of JAX is initialised, and of a process without threads but those
of OpenBLAS and jemalloc, which know how to fork. The package under test is not imported before:
what it imports, and when, is its own. Variables that are read where a process starts or a library
is loaded decide by which server a process is forked: there is one for those of the tests, and one
for each others that are asked for twice. All else starts as ever: options of Python, a session of
its own, or a system without the calls that this needs; and so does all with `pytest --cold`.

`multiprocessing` has a fork server, but one whose processes nobody but its own parent can start:
here a command starts a worker, and a shell script a recorder.
"""

from __future__ import annotations

import contextlib
import os
import py_compile
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.warm import client

COLD = sys.executable
"""The Python that really starts."""

HERE = Path(__file__).parent
IS_POSSIBLE = sys.platform == "linux" and hasattr(os, "pidfd_open")


@contextlib.contextmanager
def python() -> Iterator[str]:
    """Yield the path of a warm Python; its servers end with the block, or with this process."""
    if not IS_POSSIBLE:
        yield COLD
        return
    folder = Path(tempfile.mkdtemp(prefix="warm-"))  # a socket's path is short
    program = folder / "python"
    for name in ("client", "server"):  # a script would be compiled anew for each process
        py_compile.compile(str(HERE / f"{name}.py"), str(folder / f"{name}.pyc"), doraise=True)
    words = f"{COLD} -IS {folder / 'client.pyc'} {COLD} {folder} {os.getpid()}"
    program.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    program.chmod(0o755)
    client.server_for(str(folder))
    try:
        yield str(program)
    finally:
        shutil.rmtree(folder)
