"""A pytest plugin that measures compilation: how much of a run is XLA, and what each test costs.

    pytest conformance -n 0 -p compile_meter --meter FILE      (with this folder on PYTHONPATH)

With the persistent compilation cache on, a program that was compiled before is a retrieval and not
counted again: what is left are the distinct programs.
"""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import pytest

COMPILE = "/jax/core/compile/backend_compile_duration"
HIT = "/jax/compilation_cache/cache_hits"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """What was measured, by node id of the test.

    item_s: seconds since the test before it ended. compile_s: how long each of its compilations
    took that was no retrieval.
    """

    item_s: dict[str, float]
    compile_s: dict[str, list[float]]


class Meter:
    """Listens to JAX and to pytest, and writes `Measures` at the end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_retrieval = False
        self._pending: list[float] = []
        self._measures = Measures(item_s={}, compile_s={})
        self._last = time.perf_counter()

    def on_event(self, event: str, **_: Any) -> None:
        """Note that what JAX is about to report as compiled came from the cache."""
        self._is_retrieval |= event == HIT

    def on_duration(self, event: str, duration_secs: float, **_: Any) -> None:
        """Count a compilation."""
        if event != COMPILE:
            return
        if not self._is_retrieval:
            self._pending.append(duration_secs)
        self._is_retrieval = False

    def pytest_runtest_logstart(self) -> None:
        """Leave what came before the first test out of its time."""
        if not self._measures.item_s:
            self._last, self._pending = time.perf_counter(), []

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Charge the test with all that happened since the one before it ended."""
        now = time.perf_counter()
        self._measures.item_s[nodeid], self._last = now - self._last, now
        self._measures.compile_s[nodeid], self._pending = self._pending, []

    def pytest_sessionfinish(self) -> None:
        """Write the measures."""
        self._path.write_text(json.dumps(dataclasses.asdict(self._measures)))


def read(path: Path) -> Measures:
    """Return what a run wrote."""
    return Measures(**json.loads(path.read_text()))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare where the measures go."""
    parser.addoption("--meter", type=Path, metavar="FILE", help="write compile and test times")


def pytest_configure(config: pytest.Config) -> None:
    """Start listening."""
    import jax.monitoring

    meter = Meter(config.getoption("--meter"))
    jax.monitoring.register_event_listener(meter.on_event)
    jax.monitoring.register_event_duration_secs_listener(meter.on_duration)
    config.pluginmanager.register(meter, "compile-meter-listener")
