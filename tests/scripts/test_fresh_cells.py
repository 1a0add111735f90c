"""Fresh cells can be drawn again, and every check but the one that wants a golden has a say."""

from __future__ import annotations

import fresh_cells
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.core.ids import parse_case
from conformance.core.machine import PROCESS_LOST
from conformance.core.records import CaseResult, CheckResult, Observation, Raised, Status

GROUP = ((64, 100), "bfloat16")


def test_a_seed_draws_the_same_cells_again() -> None:
    catalogue = load_catalogue()
    one, two, other = (list(fresh_cells.cells(catalogue, GROUP, seed, 4)) for seed in (1, 1, 2))

    assert one == two != other
    assert len(one) == 4 * len(catalogue)
    assert {(case.problem.shape, case.problem.dtype) for case in one} == {GROUP}


def test_a_failed_check_is_an_alarm_but_for_the_one_that_wants_a_golden() -> None:
    observation = Observation(
        case=parse_case("normal-float32-64-s5-cpu-eager"),
        outcome=Raised(exception=PROCESS_LOST, message=""),
        repeat_sha256=None,
        device="cpu",
        elapsed_s=0.0,
    )
    checks = tuple(
        CheckResult(check=name, status=status)
        for name, status in (
            ("values", Status.FAILED),
            ("oracle", Status.FAILED),
            ("moments", Status.PASSED),
        )
    )
    result = CaseResult(observation=observation, status=Status.FAILED, checks=checks)

    assert [check.check for check in fresh_cells.alarms(result)] == ["oracle"]


def test_what_no_time_was_left_for_can_be_judged_later(capsys: pytest.CaptureFixture[str]) -> None:
    assert fresh_cells.main(["--minutes", "0", "--seed", "7", "--skip", "3"]) == 0

    assert "go on with --seed 7 --skip 3" in capsys.readouterr().out
