"""How `pytest -n` deals out cases: whole compile groups, the most expensive first.

`--dist loadgroup` would do it, but pytest 9.2 with xdist 3.8 ignores it (pytest-xdist issue 1386),
and `loadscope` runs a test that killed its worker again, and kills the next one with it.
"""

from __future__ import annotations

import collections
import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from conformance.core.errors import WorkerGone
from conformance.core.ids import CALLS, Block, Case, parse_unit
from conformance.observe.worker import different

KEPT_BUSY = 2
"""Tests that a worker must hold: it starts one only when it knows the next."""


class GroupScheduling:
    """An xdist scheduler. A group's tests run on one worker, in the order of collection.

    group: returns the group of a test by its node id. cost: returns what a group's tests cost.
    What a crashed worker had not begun goes to another one; the test that crashed it is lost.
    """

    def __init__(
        self,
        n_workers: int,
        group: Callable[[str], str],
        cost: Callable[[Sequence[str]], float],
    ) -> None:
        self.collection: list[str] | None = None
        self._n_workers = n_workers
        self._group = group
        self._cost = cost
        self._collected: dict[Any, list[str]] = {}
        self._held: dict[Any, dict[int, None]] = {}
        self._queue: collections.deque[list[int]] = collections.deque()

    @property
    def nodes(self) -> list[Any]:
        """The workers that are alive."""
        return list(self._held)

    @property
    def collection_is_completed(self) -> bool:
        """Whether every worker has said what it collected."""
        return len(self._collected) >= self._n_workers

    @property
    def tests_finished(self) -> bool:
        """Whether no test waits, and each worker is at its last."""
        held = self._held.values()
        return (
            self.collection_is_completed
            and not self._queue
            and all(len(tests) < KEPT_BUSY for tests in held)
        )

    @property
    def has_pending(self) -> bool:
        """Whether any test has still to finish."""
        return bool(self._queue) or any(self._held.values())

    def add_node(self, node: Any) -> None:
        """Take in a worker."""
        self._held[node] = {}

    def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
        """Note what a worker collected, which must be what the others did.

        Raises:
            WorkerGone: it is not: an index would name another test there.
        """
        expected = self.collection or next(iter(self._collected.values()), collection)
        if list(collection) != list(expected):
            fault = different(collection, expected)
            raise WorkerGone(f"worker {node.gateway.id} collected other tests: it {fault}")
        self._collected[node] = list(collection)

    def remove_node(self, node: Any) -> str | None:
        """Part with a worker; return the test that it crashed in, or None if it had finished."""
        held = list(self._held.pop(node))
        if not held:
            return None
        crashed, *rest = held
        if rest:
            self._queue.appendleft(rest)
        for other in self.nodes:
            self._refill(other)
        assert self.collection is not None
        return self.collection[crashed]

    def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:  # noqa: ARG002  # xdist passes it
        """Note that a worker finished a test, and give it more if it runs short."""
        del self._held[node][item_index]
        self._refill(node)

    def mark_test_pending(self, item: str) -> None:
        """Refuse: no plugin may ask for a test to run again."""
        raise NotImplementedError(f"{item} cannot run again: a crash is a result")

    def remove_pending_tests_from_node(self, node: Any, indices: Sequence[int]) -> None:
        """Refuse: nothing is ever stolen from a worker."""
        raise NotImplementedError(f"{len(indices)} tests cannot be taken from {node}")

    def schedule(self) -> None:
        """Deal out what is collected, or what is left when a worker has been replaced."""
        if self.collection is None:
            self.collection = next(iter(self._collected.values()))
            self._queue.extend(self._groups())
        for node in self.nodes:
            self._refill(node)

    def _groups(self) -> list[list[int]]:
        groups: dict[str, list[int]] = {}
        assert self.collection is not None
        for index, nodeid in enumerate(self.collection):
            groups.setdefault(self._group(nodeid), []).append(index)
        names = self.collection

        def descending(indices: list[int]) -> float:
            return -self._cost([names[index] for index in indices])

        return sorted(groups.values(), key=descending)

    def _refill(self, node: Any) -> None:
        if node.shutting_down or node not in self._collected:
            return
        while self._queue and len(self._held[node]) <= KEPT_BUSY:
            tests = self._queue.popleft()
            self._held[node].update(dict.fromkeys(tests))
            node.send_runtest_some(tests)
        if not self._queue:
            node.shutdown()


CASE_TEST = "::test_case["
"""What the node id of a case holds; its path is empty for a package outside of the root folder."""

ELEMENTS_PER_COMPILATION = 1e6
"""Elements that are drawn and judged in the time that a vector's program takes to compile."""


# --- Cases as tests ------------------------------------------------------------------------------
def case_of(nodeid: str) -> Case | Block | None:
    """Return the case, or the block, that a test runs; None for any other test.

    Other plug-ins add words to a test's name: pytest-repeat `-1-2` within the brackets, xdist
    `@group` after them.
    """
    _, _, name = nodeid.partition(CASE_TEST)
    words = name.partition("]")[0].split("-")
    for length in range(len(words), 0, -1):
        for start in range(len(words) - length + 1):
            with contextlib.suppress(ValueError):
                return parse_unit("-".join(words[start : start + length]))
    return None  # a test of somebody else's by the same name, perhaps


def compile_group(test: str, cases: Mapping[str, Case | Block]) -> str:
    """Return the compile group of a case's test; any other test is a group of its own."""
    unit = cases.get(test)
    return test if unit is None else unit.group


def cost(tests: Sequence[str], cases: Mapping[str, Case | Block]) -> float:
    """Return what the tests of one compile group cost, in compilations of a vector's program."""
    units = [cases[test] for test in tests if test in cases]
    return cost_of(units) if units else len(tests)


def cost_of(units: Sequence[Case | Block]) -> float:
    """Return what the cases and blocks of one compile group cost, as `cost` does.

    Compiling dominates. XLA's CPU compiler unrolls loop nests, so a program's time grows about as
    the square of the array's rank. Eager calls of a group share their programs, others share none.
    """
    first = next(units[0].cases())
    n_programs = 1 if first.transform in ("eager", "legacy_key", *CALLS) else len(units)
    rank, size = len(first.problem.shape), math.prod(first.problem.shape)
    n_cases = sum(1 if isinstance(unit, Case) else len(unit.seeds) for unit in units)
    return n_programs * rank**2 + n_cases * size / ELEMENTS_PER_COMPILATION


# --- Parts ---------------------------------------------------------------------------------------
def parts(units: Sequence[Case | Block], n: int) -> list[list[Case | Block]]:
    """Return the cases and blocks in n parts that cost about the same; no compile group is divided.

    The costliest go first, each to the part that costs least by then (Graham, Bounds on
    multiprocessing timing anomalies, 1969): at most a third worse than the best division.
    """
    if n == 1:
        return [list(units)]
    groups: dict[str, list[Case | Block]] = {}
    for unit in units:
        groups.setdefault(unit.group, []).append(unit)
    found: list[list[Case | Block]] = [[] for _ in range(n)]
    costs = [0.0] * n
    for group in sorted(groups.values(), key=lambda group: -cost_of(group)):
        least = costs.index(min(costs))
        found[least] += group
        costs[least] += cost_of(group)
    return found
