"""What ends its process, each in its way: tasks of a worker, and initializers."""

from __future__ import annotations

import ctypes
import functools
import gc
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from conformance.cases.catalogue import Catalogue
from conformance.core.errors import GoldenError
from conformance.core.laws import Normal, Uniform
from conformance.observe.worker import Voice


def fork_and_die(waited: str) -> None:
    """Leave a process behind that holds all files open, and writes this one if it is waited for."""
    if os.fork() == 0:
        time.sleep(600)
        Path(waited).touch()
    os._exit(0)


def hang_for_good() -> None:
    """Stop the timer of the deadline, and hang."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    time.sleep(1000)


STOPPED: Mapping[str, Callable[[], object]] = {
    "hanging for good": hang_for_good,
    "stopped": lambda: os.kill(os.getpid(), signal.SIGSTOP),
}
"""What no deadline within the process can end."""

ENDINGS: Mapping[str, tuple[Callable[[], object], str]] = {
    "aborting": (os.abort, "its process was ended by SIGABRT (Aborted)"),
    "exiting": (lambda: os._exit(0), "its process ended with exit status 0"),
    "hanging": (
        lambda: time.sleep(1000),
        "it was not done within {timeout_s:g} s (--case-timeout)",
    ),
    "killed": (
        lambda: os.kill(os.getpid(), signal.SIGKILL),
        "its process was ended by SIGKILL (Killed; out of memory, perhaps)",
    ),
    "segfaulting": (
        lambda: ctypes.string_at(0),
        "its process was ended by SIGSEGV (Segmentation fault)",
    ),
}
"""How a process ends, and what is told of it."""


def told(timeout_s: float) -> dict[str, str]:
    """Return what is told of each ending under a deadline."""
    return {name: text.format(timeout_s=timeout_s) for name, (_, text) in ENDINGS.items()}


# --- Tasks ---------------------------------------------------------------------------------------
def do(asked: Mapping[str, Any], lost: Mapping[str, str], voice: Voice) -> None:
    """Do the cases that are asked for, by name; where a way to end is of that name, end so."""
    cases = asked["cases"][max((asked["cases"].index(each) + 1 for each in lost), default=0) :]
    voice.begin(cases, pid=os.getpid())
    ways: dict[str, Callable[[], object]] = {name: end for name, (end, _) in ENDINGS.items()}
    ways |= {**STOPPED, "forking": lambda: fork_and_die(asked["waited"])}
    for case in cases:
        ways.get(case, int)()
        voice.answer(case)
    if asked.get("ends") == "late":
        os._exit(0)


def collect(asked: Mapping[str, Any], lost: Mapping[str, str], voice: Voice) -> None:
    """Answer whether garbage is collected, after telling whether it was before all was ready."""
    del asked, lost
    voice.begin(["collecting"], before=gc.isenabled())
    voice.answer("collecting", during=gc.isenabled(), n_left_alone=gc.get_freeze_count())


def step(_: Mapping[str, Any], __: Mapping[str, str], voice: Voice) -> None:
    """Do a case whose steps together take longer than the deadline of each."""
    voice.begin(["stepping"])
    for _step in range(4):
        time.sleep(0.6)
        voice.go_on()
    voice.answer("stepping")


def shrink(_: Mapping[str, Any], lost: Mapping[str, str], voice: Voice) -> None:
    """Forget a case when one was lost, as where its device is gone."""
    cases = ["healthy"] if lost else ["exiting", "healthy", "forgotten"]
    voice.begin(cases)
    os._exit(0)


def end_early(*_: object) -> None:
    """End before the first case."""
    os._exit(0)


def refuse(*_: object) -> None:
    """Raise what the parent expects."""
    raise GoldenError("no golden set: make one")


# --- Initializers --------------------------------------------------------------------------------
def add(catalogue: Catalogue) -> None:
    """Register an initializer for each ending, one that changes settings, and one of a bad seed.

    Each is said to have a law, so that it is swept; those that draw, the one that compiles fastest.
    """
    normal, uniform = Normal(stddev=1.0), Uniform(scale=1.0)
    for name, (end, _) in ENDINGS.items():
        catalogue.register(name, functools.partial(_initializer, end), definition=normal)
    catalogue.register("meddling", lambda: meddle, definition=uniform)
    catalogue.register("unlucky", lambda: end_at_a_seed, definition=uniform)


def _initializer(end: Callable[[], object]) -> Callable[..., object]:
    return lambda *_: end()


def meddle(key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Draw from another stream, and leave the settings so."""
    import jax

    jax.config.update("jax_threefry_partitionable", False)  # type: ignore[no-untyped-call]  # JAX leaves it untyped
    os.environ["MEDDLED"] = "yes"
    return jax.random.uniform(key, shape, dtype)


UNLUCKY = 9


def end_at_a_seed(key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Draw a uniform, but end the process where the seed is UNLUCKY."""
    import jax

    if int(jax.random.key_data(key)[-1]) == UNLUCKY:
        os._exit(0)
    return jax.random.uniform(key, shape, dtype)


def installed(folder: Path) -> Path:
    """Return the folder, in which a package that registers these initializers is installed."""
    metadata = folder / "deadly-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: deadly\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[conformance.initializers]\nx = tests.deadly:add\n")
    return folder
