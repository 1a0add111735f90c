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

TRACE = "/jax/core/compile/jaxpr_trace_duration"
LOWER = "/jax/core/compile/jaxpr_to_mlir_module_duration"
COMPILE = "/jax/core/compile/backend_compile_duration"
HIT = "/jax/compilation_cache/cache_hits"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """What was measured, by node id of the test.

    item_s: seconds since the test before it ended. compile_s: how long each of its compilations
    took that was no retrieval. traced_s: what tracing and lowering took. loaded_s: retrievals.
    """

    item_s: dict[str, float]
    compile_s: dict[str, list[float]]
    traced_s: dict[str, float]
    loaded_s: dict[str, float]


class Programs:
    """Listens to what JAX says of making programs.

    compile_s: of each program that XLA compiled. traced_s: what tracing and lowering took in all.
    loaded_s: what programs took that came from the persistent cache.
    """

    def __init__(self) -> None:
        self._is_retrieval = False
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.compile_s: list[float] = []
        self.traced_s = self.loaded_s = 0.0

    def listen(self) -> None:
        """Start listening."""
        import jax.monitoring

        jax.monitoring.register_event_listener(self.on_event)
        jax.monitoring.register_event_duration_secs_listener(self.on_duration)

    def on_event(self, event: str, **_: Any) -> None:
        """Note that what JAX is about to report as compiled came from the cache."""
        self._is_retrieval |= event == HIT

    def on_duration(self, event: str, duration_secs: float, **_: Any) -> None:
        """Count a step on the way to a program; none of them is part of another."""
        if event in (TRACE, LOWER):
            self.traced_s += duration_secs
        elif event == COMPILE:
            if self._is_retrieval:
                self.loaded_s += duration_secs
            else:
                self.compile_s.append(duration_secs)
            self._is_retrieval = False


class Meter:
    """Listens to pytest, and writes `Measures` at the end."""

    def __init__(self, path: Path, programs: Programs) -> None:
        self._path = path
        self._programs = programs
        self._measures = Measures(item_s={}, compile_s={}, traced_s={}, loaded_s={})
        self._last = time.perf_counter()

    def pytest_runtest_logstart(self) -> None:
        """Leave what came before the first test out of its time."""
        if not self._measures.item_s:
            self._last = time.perf_counter()
            self._programs.forget()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Charge the test with all that happened since the one before it ended."""
        now, measures = time.perf_counter(), self._measures
        measures.item_s[nodeid], self._last = now - self._last, now
        measures.compile_s[nodeid] = self._programs.compile_s
        measures.traced_s[nodeid] = self._programs.traced_s
        measures.loaded_s[nodeid] = self._programs.loaded_s
        self._programs.forget()

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
    programs = Programs()
    programs.listen()
    meter = Meter(config.getoption("--meter"), programs)
    config.pluginmanager.register(meter, "compile-meter-listener")
