"""How much CPU a run of the tests takes, and which tests take most: `pytest tests --cpu`.

Wall time says little on a machine that others use. What counts is the user and system time of the
processes that run tests, of those that they started and waited for, and of what was forked for them
(see warm/), by the test that asked for it.
"""

from __future__ import annotations

import collections
import heapq
import resource
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.warm.server import USED

N_SHOWN = 25


def used_s(*whose: int) -> float:
    """Return the CPU that this process took, and those it waited for; or of which of them."""
    found = map(resource.getrusage, whose or (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in found)


class Meter:
    """Counts as tests run, here or in workers, and shows it at the end.

    servers: the folder of those that fork for tests; None where each process starts by itself.
    """

    def __init__(self, servers: Path | None, *, is_controller: bool) -> None:
        self._servers, self._is_controller = servers, is_controller
        self._workers_s = 0.0
        self._until_now_s = 0.0
        self._tests: dict[str, float] = collections.defaultdict(float)

    def pytest_runtest_logstart(self) -> None:
        """Leave out what was used between two tests, as by their collection."""
        self._until_now_s = used_s()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, Any, Any]:
        """Write into each report of a test what was used since the one before."""
        report = yield
        now_s = used_s()
        report.cpu_s, self._until_now_s = now_s - self._until_now_s, now_s
        return report

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Add up the phases of a test; of one whose worker is lost, nothing is known."""
        self._tests[report.nodeid] += getattr(report, "cpu_s", 0.0)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Tell the controller, in a worker, what all of this process used."""
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["cpu_s"] = used_s()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Hear it."""
        self._workers_s += getattr(node, "workeroutput", {}).get("cpu_s", 0.0)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show the whole, and the tests that took most of it."""
        own_s = used_s(resource.RUSAGE_SELF) if self._is_controller else used_s()
        forked = list(self._forked())
        for test, cpu_s in forked:
            self._tests[test] += cpu_s
        self._tests.pop("", None)
        forked_s = sum(cpu_s for _, cpu_s in forked)
        whole_s = own_s + self._workers_s + forked_s
        terminalreporter.section("CPU")
        terminalreporter.line(f"{whole_s:.1f} s in all, {forked_s:.1f} of what was forked")
        for test in heapq.nlargest(N_SHOWN, self._tests, key=self._tests.__getitem__):
            terminalreporter.line(f"{self._tests[test]:6.2f} s {test}")

    def _forked(self) -> Iterator[tuple[str, float]]:
        """Yield what each fork took, and by which test; "" of the servers themselves."""
        for path in self._servers.glob(f"*{USED}") if self._servers else ():
            for line in path.read_text(encoding="utf-8").splitlines():
                cpu_s, _, test = line.partition(" ")
                yield test, float(cpu_s)
