"""One error budget for all that a run decides by chance."""

from __future__ import annotations

import math

import pytest

from conformance.judge import alpha
from conformance.judge.alpha import ALLOCATION, RUN_ERROR_RATE, STATISTICS, Share
from conformance.judge.statistics import MATRIX_TESTS, TESTS
from conformance.judge.statistics.looks import LOOKS

SAMPLES = 20_000


def test_all_decisions_of_a_run_raise_a_false_alarm_once_in_a_million_runs() -> None:
    spent = math.fsum(share.alpha * share.decisions for share in ALLOCATION)

    assert RUN_ERROR_RATE == alpha.CERTAIN == 1e-6
    assert spent <= RUN_ERROR_RATE * (1 + 1e-12)


def test_every_share_is_in_the_allocation_once() -> None:
    shares = [value for value in vars(alpha).values() if isinstance(value, Share)]

    assert len(ALLOCATION) == len({share.name for share in ALLOCATION}) == len(shares)
    assert set(shares) == set(ALLOCATION)


def test_as_many_tests_are_asked_in_as_many_looks_as_the_budget_counts() -> None:
    assert len(MATRIX_TESTS) < len(TESTS)
    assert SAMPLES * len(TESTS) * LOOKS <= STATISTICS.decisions
    assert f"{SAMPLES:,} samples by {len(TESTS)} tests in {LOOKS} looks" in STATISTICS.says


@pytest.mark.parametrize(
    ("share", "decisions"),
    [
        (alpha.MOMENTS, 2 * 100_000),
        (alpha.STATISTICS, 1_000_000),
        (alpha.DRIFT, 10 * 50_000),
        (alpha.RECOGNITION, 10 * 10_000),
    ],
)
def test_a_share_is_a_quarter_of_the_rate_for_as_many_decisions_as_it_says(
    share: Share, decisions: int
) -> None:
    assert (share.part, share.decisions) == (0.25, decisions)


def test_the_evidence_is_that_of_the_shares_two_sided_decision() -> None:
    for share in ALLOCATION:
        assert 2 * math.exp(-share.evidence) == pytest.approx(share.alpha, rel=1e-12, abs=0)


def test_the_head_of_a_run_names_every_share() -> None:
    assert alpha.allocation_text(0, 0) == (
        "false alarms: less than 1e-06 a run; a decision has of it: moments 1.2e-12, "
        "statistics 2.5e-13, drift 5e-13, recognition 2.5e-12"
    )


def test_a_case_and_a_sample_take_as_many_decisions_as_the_head_counts() -> None:
    assert len(TESTS) * LOOKS == alpha.DECISIONS_OF_A_SAMPLE
    assert alpha.MOMENTS.decisions == alpha.DECISIONS_OF_A_CASE * 100_000


def test_as_many_cases_as_the_shares_are_for_keep_the_rate() -> None:
    assert alpha.allocation_text(100_000, SAMPLES) == alpha.allocation_text(0, 0)


@pytest.mark.parametrize(
    ("n_cases", "n_samples", "rate", "shares"),
    [
        (1_000_000, 0, "3.2e-06", "moments"),
        (50_000, 50_000, "1.3e-06", "statistics"),
        (1_000_000, 1_000_000, "1.4e-05", "moments and statistics"),
    ],
)
def test_the_head_of_a_run_of_more_cases_says_what_rate_they_come_to(
    n_cases: int, n_samples: int, rate: str, shares: str
) -> None:
    text = alpha.allocation_text(n_cases, n_samples)

    assert text.startswith(f"false alarms: less than {rate} a run; a decision has of it: moments ")
    assert text.endswith(f"; {n_cases:,} cases take more than the share of {shares} in 1e-06")
