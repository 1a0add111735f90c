"""Compile groups go whole to one worker, the dearest first, and survive the worker."""

from __future__ import annotations

import types

import pytest

from conformance.core.errors import WorkerGone
from conformance.core.ids import parse_case, parse_unit
from conformance.run.scheduling import GroupScheduling, case_of, cost, cost_of, parts

TESTS = ["a1", "b1", "b2", "b3", "c1", "c2"]
"""Three groups, by their first letter."""


class Worker:
    """Notes what xdist's controller would send."""

    def __init__(self, name: str = "gw0") -> None:
        self.gateway = types.SimpleNamespace(id=name)
        self.sent: list[str] = []
        self.shutting_down = False
        self.n_shutdowns = 0

    def send_runtest_some(self, indices: list[int]) -> None:
        """Note the tests."""
        self.sent += [TESTS[index] for index in indices]

    def shutdown(self) -> None:
        """Note the end."""
        self.shutting_down = True
        self.n_shutdowns += 1


def started(n_workers: int) -> tuple[GroupScheduling, list[Worker]]:
    scheduling = GroupScheduling(n_workers, lambda test: test[0], len)
    workers = [Worker() for _ in range(n_workers)]
    for worker in workers:
        scheduling.add_node(worker)
    for worker in workers:
        scheduling.add_node_collection(worker, TESTS)
    scheduling.schedule()
    return scheduling, workers


def finish(scheduling: GroupScheduling, worker: Worker, *tests: str) -> None:
    for test in tests:
        scheduling.mark_test_complete(worker, TESTS.index(test))


def test_each_worker_begins_with_a_whole_group_the_dearest_first() -> None:
    _, (one, two) = started(2)

    assert one.sent == ["b1", "b2", "b3"]
    assert two.sent[:2] == ["c1", "c2"]


def test_a_worker_gets_more_before_it_runs_dry() -> None:
    """A worker begins a test only when it knows the next."""
    scheduling, (worker,) = started(1)
    assert worker.sent == ["b1", "b2", "b3"]

    finish(scheduling, worker, "b1")

    assert worker.sent == ["b1", "b2", "b3", "c1", "c2"]


def test_a_worker_is_told_when_nothing_more_will_come() -> None:
    scheduling, (worker,) = started(1)

    finish(scheduling, worker, "b1", "b2", "b3")

    assert worker.sent == ["b1", "b2", "b3", "c1", "c2", "a1"]
    assert worker.shutting_down
    assert not scheduling.tests_finished
    finish(scheduling, worker, "c1", "c2", "a1")
    assert scheduling.tests_finished
    assert not scheduling.has_pending


def test_a_worker_that_is_shutting_down_is_given_nothing_and_told_no_more() -> None:
    """Xdist fails the whole run over tests that are sent to a worker behind its end."""
    scheduling, (one, two) = started(2)
    assert one.sent == ["b1", "b2", "b3"]
    assert two.sent == ["c1", "c2", "a1"]
    assert (one.n_shutdowns, two.n_shutdowns) == (0, 1)

    crashed = scheduling.remove_node(one)
    finish(scheduling, two, "c1", "c2", "a1")

    assert crashed == "b1"
    assert two.sent == ["c1", "c2", "a1"]
    assert two.n_shutdowns == 1
    assert scheduling.has_pending
    assert not scheduling.tests_finished


def test_nothing_is_finished_before_every_worker_has_collected() -> None:
    scheduling = GroupScheduling(2, lambda test: test[0], len)
    one, two = Worker(), Worker()
    scheduling.add_node(one)
    scheduling.add_node(two)

    scheduling.add_node_collection(one, TESTS)
    assert not scheduling.collection_is_completed
    assert not scheduling.tests_finished
    scheduling.add_node_collection(two, TESTS)
    assert scheduling.collection_is_completed
    assert not scheduling.has_pending
    scheduling.add_node_collection(Worker(), TESTS)  # in the place of one that crashed
    assert scheduling.collection_is_completed


@pytest.mark.parametrize(("n_held", "is_finished"), [(2, False), (1, True), (0, True)])
def test_a_worker_at_its_last_test_is_all_that_may_be_left(n_held: int, is_finished: bool) -> None:
    scheduling, (worker,) = started(1)
    finish(scheduling, worker, "b1", "b2", "b3", "c1")

    finish(scheduling, worker, *["c2", "a1"][: 2 - n_held])

    assert scheduling.tests_finished == is_finished
    assert scheduling.has_pending == (n_held > 0)


def test_no_test_is_taken_from_a_worker() -> None:
    scheduling, (worker,) = started(1)

    with pytest.raises(NotImplementedError, match="2 tests cannot be taken from"):
        scheduling.remove_pending_tests_from_node(worker, [1, 2])


def test_the_rest_of_a_crashed_workers_group_goes_to_another() -> None:
    scheduling, (worker,) = started(1)
    finish(scheduling, worker, "b1")

    crashed = scheduling.remove_node(worker)
    heir = Worker()
    scheduling.add_node(heir)
    scheduling.add_node_collection(heir, TESTS)
    scheduling.schedule()

    assert crashed == "b2"
    assert heir.sent == ["b3", "c1", "c2"]


def test_a_worker_that_is_done_has_not_crashed() -> None:
    scheduling, (worker,) = started(1)
    finish(scheduling, worker, "b1", "b2", "b3", "c1", "c2", "a1")

    assert scheduling.remove_node(worker) is None


def test_a_crashed_test_is_not_run_again() -> None:
    scheduling, _ = started(1)

    with pytest.raises(NotImplementedError, match="b1 cannot run again"):
        scheduling.mark_test_pending("b1")


def test_a_worker_that_has_yet_to_collect_is_given_nothing() -> None:
    """What another one left is sent as numbers, which may mean other tests there."""
    scheduling, (one, two) = started(2)
    scheduling.remove_node(two)
    heir = Worker()
    scheduling.add_node(heir)

    scheduling.remove_node(one)

    assert heir.sent == []
    scheduling.add_node_collection(heir, TESTS)
    scheduling.schedule()
    assert heir.sent[:2] == ["b2", "b3"]


@pytest.mark.parametrize("is_late", [False, True])
def test_a_worker_that_collected_other_tests_is_refused_by_name(is_late: bool) -> None:
    scheduling = GroupScheduling(2 - is_late, lambda test: test[0], len)
    first = Worker()
    scheduling.add_node(first)
    scheduling.add_node_collection(first, TESTS)
    if is_late:
        scheduling.schedule()
        scheduling.remove_node(first)

    with pytest.raises(
        WorkerGone,
        match=r"worker gw7 collected other tests: it found 5 where another found 6; the first that "
        r"it lacks: a1\. Is a device gone\? Restore it, and run again with the same options",
    ):
        scheduling.add_node_collection(Worker("gw7"), TESTS[1:])


def test_a_program_costs_the_square_of_its_rank() -> None:
    one, two, four = (
        cost(["test"], {"test": parse_case(f"ones-float32-{shape}-s0-cpu-jit")})
        for shape in ("16", "4x4", "2x2x2x2")
    )

    assert (two - one, four - one) == pytest.approx((3, 15))


CASE = "uniform-float32-64-s0-rbg-cuda-emulated-legacy_key"


@pytest.mark.parametrize(
    "nodeid",
    [
        f"suite/test_initializers.py::test_case[{CASE}]",
        f"suite/test_initializers.py::test_case[{CASE}-1-2]",
        f"suite/test_initializers.py::test_case[1-2-{CASE}]",
        f"suite/test_initializers.py::test_case[{CASE}]@group",
    ],
    ids=["alone", "pytest-repeat", "a parameter before", "loadgroup"],
)
def test_a_case_is_known_by_its_test_whatever_a_plug_in_adds_to_the_name(nodeid: str) -> None:
    assert case_of(nodeid) == parse_case(CASE)


@pytest.mark.parametrize("nodeid", ["a.py::test_case[1-2]", "a.py::test_case", "a.py::test_other"])
def test_another_test_runs_no_case(nodeid: str) -> None:
    assert case_of(nodeid) is None


# --- Parts of a run ------------------------------------------------------------------------------
UNITS = [
    parse_unit(f"{name}-{dtype}-{shape}-s{start}:{start + 200}-cpu-eager")
    for name in ("normal", "uniform", "zeros")
    for dtype in ("float32", "bfloat16")
    for shape in ("64", "3x3x4x4")
    for start in range(0, 12_000, 200)
]


def test_parts_hold_each_case_once_and_divide_no_compile_group() -> None:
    found = parts(UNITS, 3)

    assert sorted(unit.id for part in found for unit in part) == sorted(each.id for each in UNITS)
    groups = [{unit.group for unit in part} for part in found]
    assert sum(map(len, groups)) == len(set().union(*groups))


def test_parts_cost_about_the_same() -> None:
    costs = [sum(map(cost_of, ([unit] for unit in part))) for part in parts(UNITS, 2)]

    assert max(costs) <= 1.1 * min(costs)


def test_one_part_is_all_in_its_order() -> None:
    assert parts(UNITS, 1) == [UNITS]


def test_more_parts_than_groups_leave_some_empty() -> None:
    assert sorted(map(len, parts(UNITS[:1], 3))) == [0, 0, 1]
