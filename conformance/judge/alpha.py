"""The error rate of a whole run, shared out among all that it decides by chance.

Every statistical decision anywhere takes its false-alarm probability from ALLOCATION, by the union
bound: no decision need be independent of another. A share states how many decisions one run takes
at most; beyond that the rate grows in proportion, and the head of a run says so.
"""

from __future__ import annotations

import dataclasses
import math

RUN_ERROR_RATE = 1e-6
"""Probability that any statistical decision of a whole run raises a false alarm."""

CERTAIN = 1e-6
"""Probability with which a fault that a decision is `certain` to see escapes it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one kind of decision may spend of RUN_ERROR_RATE.

    part: of the rate. decisions: that one run takes at most. says: what they are.
    """

    name: str
    part: float
    decisions: int
    says: str

    def spent(self, decisions: int) -> float:
        """Return the probability of a false alarm that a run with so many of them has.

        As much as the part, if they are fewer: the head of a run says so before it knows them all.
        """
        return self.alpha * max(decisions, self.decisions)

    @property
    def alpha(self) -> float:
        """Return the probability of a false alarm that a single decision may have."""
        return RUN_ERROR_RATE * self.part / self.decisions

    @property
    def evidence(self) -> float:
        """Return log(2 / alpha): what a two-sided bound by an exponential inequality needs."""
        return math.log(2 / self.alpha)


MOMENTS = Share(
    name="moments",
    part=0.25,
    decisions=200_000,
    says="mean and variance of each case; the full tier has 35,000",
)
STATISTICS = Share(
    name="statistics",
    part=0.25,
    decisions=1_000_000,
    says="20,000 samples by 15 tests in 3 looks: of cases that no oracle answers, and of goldens",
)
DRIFT = Share(
    name="drift",
    part=0.25,
    decisions=500_000,
    says="10 questions about each of 50,000 arrays that differ from another",
)
RECOGNITION = Share(
    name="recognition",
    part=0.25,
    decisions=100_000,
    says="10 laws of each of 10,000 parameters of a model",
)

DECISIONS_OF_A_CASE = 2
"""On its mean and on its variance."""

DECISIONS_OF_A_SAMPLE = 15 * 3
"""Of each test in each look."""

ALLOCATION = (MOMENTS, STATISTICS, DRIFT, RECOGNITION)


def allocation_text(n_cases: int, n_samples: int) -> str:
    """Return the allocation in a line, for the head of a run.

    n_cases: whose mean and variance are decided on. n_samples: of them, those that the statistical
    tests decide on. More than the shares are for are told, with the rate that they come to.
    """
    taken = {MOMENTS: DECISIONS_OF_A_CASE * n_cases, STATISTICS: DECISIONS_OF_A_SAMPLE * n_samples}
    shares = ", ".join(f"{share.name} {share.alpha:.2g}" for share in ALLOCATION)
    text = f"a run; a decision has of it: {shares}"
    beyond = [share.name for share, decisions in taken.items() if decisions > share.decisions]
    if not beyond:
        return f"false alarms: less than {RUN_ERROR_RATE:g} {text}"
    rate = math.fsum(share.spent(taken.get(share, 0)) for share in ALLOCATION)
    return (
        f"false alarms: less than {rate:.2g} {text}; {n_cases:,} cases take more than the share of "
        f"{' and '.join(beyond)} in {RUN_ERROR_RATE:g}"
    )
