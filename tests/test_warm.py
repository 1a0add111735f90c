"""A process of the warm Python is like any other to who starts it, and to what it runs."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import warm

pytestmark = pytest.mark.skipif(not warm.IS_POSSIBLE, reason="it needs Linux")

IS_WARM = "import sys; print('jax' in sys.modules)"


@pytest.fixture(scope="module")
def python() -> Iterator[str]:
    with warm.python() as program:
        yield program


Done = subprocess.CompletedProcess[str]


def started(python: str, *words: str, **options: Any) -> Done:
    return subprocess.run([python, *words], text=True, capture_output=True, check=False, **options)  # noqa: S603  # ours


def test_a_process_has_imported_jax_until_the_servers_end() -> None:
    with warm.python() as python:
        done = started(python, "-c", f"{IS_WARM}; import os; print(os.getppid())")
        is_warm, pid = done.stdout.split()
        server = Path(f"/proc/{pid}/cmdline")
        assert is_warm == "True"
        assert b"server.py" in server.read_bytes()

    while server.exists() and b"server.py" in server.read_bytes():
        time.sleep(0.01)


def test_what_libraries_read_as_they_are_loaded_is_never_that_of_another(python: str) -> None:
    variables = {"JAX_ENABLE_X64": "1"}

    done = started(python, "-c", IS_WARM, env=os.environ | variables)

    assert done.stdout == "False\n"


DESCRIBED = """
import os, sys
print(sys.argv, "-c" in sys.orig_argv, os.getcwd(), os.environ.get("TOLD"), sys.path[:3], __name__)
print(sys.flags.isolated)
print(sys.stdin.read(), os.getpgrp() == os.getpid(), sys.stdout.write_through, os.umask(0))
print(sorted(name for name in sys.modules if name.split(".")[0] in ("conformance", "tests")))
"""


@pytest.mark.parametrize("kind", ["code", "module", "-mNAME", "script"])
def test_it_finds_what_a_cold_process_finds(python: str, tmp_path: Path, kind: str) -> None:
    script = tmp_path / "described.py"
    script.write_text(DESCRIBED)
    words = {
        "code": ["-c", DESCRIBED],
        "module": ["-m", "described"],
        "-mNAME": ["-u", "-mdescribed"],
        "script": [str(script)],
    }
    variables = {
        "TOLD": "yes",
        "PYTHONPATH": str(tmp_path / "one"),
        "PYTHONUNBUFFERED": "1" if kind == "script" else "",
    }
    how = {"env": os.environ | variables, "cwd": tmp_path, "input": "in", "umask": 0o27}

    warmed, cold = (started(each, *words[kind], "a", "b c", **how) for each in (python, warm.COLD))

    assert "yes" in cold.stdout
    assert (warmed.stdout, warmed.stderr, warmed.returncode) == (cold.stdout, cold.stderr, 0)


def test_jax_has_the_settings_of_the_variables(python: str) -> None:
    variables = {"JAX_THREEFRY_PARTITIONABLE": "off", "JAX_PLATFORMS": "cpu"}
    names = ("jax_threefry_partitionable", "jax_platforms")
    program = f"import jax; print(*[getattr(jax.config, name) for name in {names}])"

    told, untold = (
        started(python, "-c", program, env=environ).stdout.split()
        for environ in (os.environ | variables, without(os.environ, *variables))
    )

    assert told == ["False", "cpu"]
    assert untold == ["True", "None"]


def without(environ: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name not in names}


def test_it_imports_what_each_process_begins_with(python: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('began')")

    done = started(python, "-c", IS_WARM, env=os.environ | {"PYTHONPATH": str(tmp_path)})

    assert done.stdout == "began\nTrue\n"


@pytest.mark.parametrize(
    "program",
    [
        "pass",
        "import sys; sys.exit(3)",
        "import sys; sys.exit('told')",
        "import atexit; atexit.register(print, 'last'); print('first', end='; ')",
        "import threading, time; threading.Timer(0.1, print, ['later']).start()",
        "import os; os._exit(7)",
        "import os; os.abort()",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "import os, signal; os.kill(os.getpid(), signal.SIGALRM)",
        "import os; os.close(1); print('unread')",
    ],
)
def test_it_ends_as_a_cold_process_does(python: str, program: str) -> None:
    warmed, cold = (started(each, "-c", program) for each in (python, warm.COLD))

    assert (warmed.returncode, warmed.stdout) == (cold.returncode, cold.stdout)
    assert warmed.stderr.splitlines()[-1:] == cold.stderr.splitlines()[-1:]


def test_an_exception_is_told_with_exit_code_1(python: str) -> None:
    done = started(python, "-c", "1 / 0")

    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


SLEEPING = "import time; print('ready', flush=True); time.sleep(60)"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGKILL])
def test_what_ends_the_process_that_was_started_ends_the_fork(
    python: str, number: signal.Signals
) -> None:
    with subprocess.Popen([python, "-c", SLEEPING], stdout=subprocess.PIPE) as process:  # noqa: S603  # ours
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        rest = process.stdout.read()  # ends when the fork does

    assert (process.returncode, rest) == (-number, b"")


def test_what_is_killed_at_once_leaves_the_server_as_it_was(python: str) -> None:
    for after_s in (0, 0.005, 0.01, 0.02, 0.04):
        with subprocess.Popen([python, "-c", "pass"]) as process:  # noqa: S603  # ours
            time.sleep(after_s)
            process.kill()

    assert started(python, "-c", IS_WARM).stdout == "True\n"


def test_it_has_the_files_that_it_is_given_and_no_others(python: str) -> None:
    ours, theirs = os.pipe()
    listing = "os.listdir('/proc/self/fd')"
    program = f"import os, sys; os.write(int(sys.argv[1]), b'told'); print(len({listing}))"

    warmed, cold = (
        started(each, "-c", program, str(theirs), pass_fds=[theirs]) for each in (python, warm.COLD)
    )

    os.close(theirs)
    assert os.read(ours, 10) == b"toldtold"
    os.close(ours)
    assert warmed.stdout == cold.stdout


@pytest.mark.parametrize("is_ignored", [False, True])
def test_what_ignores_ctrl_c_is_who_its_starter_told_to(python: str, is_ignored: bool) -> None:
    """Whatever the server does, which a script may have started in its background."""
    program = "import signal; print(signal.getsignal(signal.SIGINT) == signal.SIG_IGN)"
    before = signal.signal(
        signal.SIGINT, signal.SIG_IGN if is_ignored else signal.default_int_handler
    )
    try:
        warmed, cold = (started(each, "-c", program) for each in (python, warm.COLD))
    finally:
        signal.signal(signal.SIGINT, before)

    assert warmed.stdout == cold.stdout == f"{is_ignored}\n"


def test_a_python_with_options_or_a_session_of_its_own_is_started_as_ever(python: str) -> None:
    optional = started(python, "-W", "ignore", "-c", IS_WARM)
    apart = started(python, "-c", IS_WARM, start_new_session=True)

    assert (optional.stdout, apart.stdout) == ("False\n", "False\n")
