"""A worker that ends, in whatever way, costs the case that it was in, and nothing else."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from conformance.core.errors import GoldenError, WorkerGone
from conformance.observe import worker
from conformance.observe.worker import (
    Answered,
    Began,
    Event,
    Lost,
    deadline,
    ending,
    supervised,
    together,
)
from tests.deadly import ENDINGS, STOPPED, told

pytestmark = pytest.mark.usefixtures("cold_python")  # how a process ends is what this is about

TIMEOUT_S = 2.0


def events(task: str, **asked: Any) -> list[Event]:
    return list(supervised(f"tests.deadly:{task}", asked, TIMEOUT_S))


def reasons(*cases: str) -> Mapping[str, str]:
    """Return how the lost ones of the cases were lost."""
    found = events("do", cases=cases)
    return {event.case: event.reason for event in found if isinstance(event, Lost)}


def test_every_way_to_end_is_named_and_the_others_are_answered() -> None:
    cases = ["first", *ENDINGS, "last"]

    began, first, *lost, last = events("do", cases=cases)

    assert isinstance(began, Began)
    assert began.cases == tuple(cases)
    assert first == Answered(case="first", answer={})
    assert last == Answered(case="last", answer={})
    assert lost == [Lost(case=case, reason=reason) for case, reason in told(TIMEOUT_S).items()]


@pytest.mark.parametrize("case", STOPPED)
def test_a_worker_that_cannot_end_itself_is_ended(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "GRACE_S", 1.0)

    *_, lost, last = events("do", cases=["first", case, "last"])

    assert lost == Lost(case=case, reason="it was not done within 2 s (--case-timeout)")
    assert last == Answered(case="last", answer={})


def test_each_step_of_a_case_has_a_deadline_of_its_own() -> None:
    assert events("step")[1:] == [Answered(case="stepping", answer={})]


def test_garbage_is_collected_once_all_is_prepared() -> None:
    """And not before: the imports of JAX make a hundred thousand objects, all of which stay."""
    began, answered = events("collect")

    assert isinstance(began, Began)
    assert isinstance(answered, Answered)
    assert began.facts == {"before": False}
    assert answered.answer["during"]
    assert answered.answer["n_left_alone"] > 1000


def test_a_case_that_is_lost_last_is_told() -> None:
    assert list(reasons("healthy", "exiting")) == ["exiting"]


def test_the_parts_of_a_task_are_done_beside_each_other() -> None:
    """The second part ends while the first one hangs, and loses no more than its own."""
    parts = [{"cases": ["hanging", "a"]}, {"cases": ["b", "exiting", "c"]}]

    found = list(together("tests.deadly:do", parts, TIMEOUT_S))

    told_last = [event.case for event in found if not isinstance(event, Began)]
    assert sorted(told_last[:3]) == ["b", "c", "exiting"]
    assert told_last[3:] == ["hanging", "a"]
    assert sum(isinstance(event, Began) for event in found) == 2


def test_what_a_case_left_running_does_not_hold_the_run_up(tmp_path: Path) -> None:
    """It holds the worker's end of the pipe open; nobody waits for it, and it is ended."""
    waited = tmp_path / "waited"

    _, lost, last = events("do", cases=["forking", "healthy"], waited=str(waited))

    assert lost == Lost(case="forking", reason="its process ended with exit status 0")
    assert last == Answered(case="healthy", answer={})
    assert not waited.exists()


def test_a_worker_that_ends_before_its_first_case_blames_none() -> None:
    with pytest.raises(WorkerGone, match="before its first case the worker is gone: its process e"):
        events("end_early")


def test_a_worker_that_ends_after_its_last_case_has_not_done_its_task() -> None:
    with pytest.raises(WorkerGone, match=r"after its last case the worker is gone: .* status 0"):
        events("do", cases=["healthy"], ends="late")


def test_a_worker_that_would_do_other_cases_than_the_lost_one_is_refused() -> None:
    with pytest.raises(
        WorkerGone,
        match=r"in place of one that was lost found 1 where another found 2; the first that it "
        r"lacks: forgotten\. Is a device gone\?",
    ):
        events("shrink")


def test_an_expected_error_of_the_task_is_the_parents() -> None:
    with pytest.raises(GoldenError, match=r"^no golden set: make one$"):
        events("refuse")


def test_who_listens_no_more_ends_the_worker() -> None:
    events_of_it = supervised("tests.deadly:do", {"cases": ["hanging"]}, 600)
    with contextlib.closing(events_of_it):
        began = next(events_of_it)
        assert isinstance(began, Began)

    with pytest.raises(ProcessLookupError):
        os.kill(began.facts["pid"], 0)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (3, "its process ended with exit status 3"),
        (-signal.SIGALRM, "it was not done within 5 s (--case-timeout)"),
        (-signal.SIGBUS, "its process was ended by SIGBUS (Bus error)"),
        (-(signal.SIGRTMIN + 1), "its process was ended by signal 35 (Real-time signal 1)"),
    ],
)
def test_how_a_process_ended_is_told_by_name(status: int, text: str) -> None:
    assert ending(status, 5.0) == text


def test_a_deadline_of_somebody_else_holds() -> None:
    signal.setitimer(signal.ITIMER_REAL, 1000)
    try:
        with deadline(5):
            assert signal.getitimer(signal.ITIMER_REAL)[0] > 900
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 900
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def test_a_deadline_ends_with_its_block() -> None:
    with deadline(1000):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 900

    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
