"""SciPy's QR under the LAPACK that a side recorded: which digests it returns, if it runs here."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from conformance.core.causes import UNKNOWN, is_lapack_known, lapack_difference
from conformance.upgrade.qr import Factored

TIME_LIMIT_S = 60.0
"""For all matrices of one side; a million elements take a second."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A Python that has SciPy and can import this package, and the variables that it runs with."""

    python: str = sys.executable
    variables: Mapping[str, str] = dataclasses.field(default_factory=lambda: dict(os.environ))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """What SciPy's QR returned: digests by name, and why it is not, or may not be, what was asked.

    obstacle: "" where it ran under the very LAPACK that was asked for.
    """

    digests: Mapping[str, str]
    obstacle: str


def rerun(
    matrices: Mapping[str, Factored], host: Mapping[str, str], interpreter: Interpreter
) -> Rerun:
    """Return what QR makes of the matrices under the kernel and threads of a host.

    OpenBLAS takes the names that it tells: the kernel that it calls Katmai answers to that. A name
    that it does not know it passes over, and one whose instructions the CPU lacks kills it.
    """
    request = json.dumps({name: matrix.as_json() for name, matrix in matrices.items()})
    command = [interpreter.python, "-m", "conformance.upgrade.qr"]
    try:
        done = subprocess.run(  # noqa: S603  # the command is this package's own
            command,
            input=request,
            env={**interpreter.variables, **_variables(host)},
            capture_output=True,
            text=True,
            check=False,
            timeout=TIME_LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        return Rerun(digests={}, obstacle=f"SciPy's QR took more than {TIME_LIMIT_S:.0f} s")
    except OSError as error:
        return Rerun(digests={}, obstacle=f"{interpreter.python} does not run: {error.strerror}")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    digests = {answer["name"]: answer["sha256"] for answer in answers if "name" in answer}
    return Rerun(digests=digests, obstacle=_obstacle(done, answers, host))


def _variables(host: Mapping[str, str]) -> dict[str, str]:
    """Return what makes OpenBLAS run as on the host, as far as that is known."""
    kernel, threads = (host.get(fact, UNKNOWN) for fact in ("lapack_kernel", "lapack_threads"))
    chosen = {"OPENBLAS_CORETYPE": kernel.partition(";")[0], "OPENBLAS_NUM_THREADS": threads}
    return {name: value for name, value in chosen.items() if value != UNKNOWN}


def _obstacle(
    done: subprocess.CompletedProcess[str], answers: list[dict[str, Any]], host: Mapping[str, str]
) -> str:
    if done.returncode < 0:
        kernel = host.get("lapack_kernel", "of its own choice")
        killed = signal.Signals(-done.returncode).name
        return f"kernel {kernel} cannot run on this CPU (killed by {killed})"
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        return f"SciPy's QR exited with {done.returncode}: {last}"
    here = answers[0]["host"]
    if not is_lapack_known(host, here):
        return "the LAPACK is not known"
    difference = lapack_difference(host, here)
    return f"what is installed here is another ({difference})" if difference else ""
