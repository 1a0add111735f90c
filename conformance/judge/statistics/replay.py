"""Are the p-values of right initializers what they claim to be? Asked of many replications.

That all decisions of a run together raise a false alarm once in 1e6 runs rests on the theorem of
each test and on the sum of the shares. No simulation reaches shares of 1e-13; a replay refutes what
is grossly wrong: a deviation taken for a variance, a term without its bound, a union forgotten.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from conformance.judge.statistics.finding import Finding

Reals = npt.NDArray[np.float64]

REFUTED = 1e-6
"""Probability with which a replay refutes p-values that are right."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What the p-values of one test come to over independent replications.

    is_exact: whether they are uniform once randomised, and not only bounds. n: of replications.
    excess: how much more often p <= t than with probability t, the largest over all t; of exact
        ones how far the distribution function is from t on either side. band: what chance allows.
    least: the smallest p-value.
    """

    is_exact: bool
    n: int
    excess: float
    band: float
    least: float

    @property
    def is_refuted(self) -> bool:
        """Whether the p-values are not what they claim to be."""
        return self.excess > self.band


def replay(findings: Sequence[Finding], uniforms: Reals) -> Replay:
    """Return what one test's findings of independent replications come to.

    uniforms: one a finding; they randomise the exact p-values of discrete laws. Source: Lehmann &
    Romano, Testing Statistical Hypotheses (2005), section 3.3 and problem 3.2.

    The band is that of Dvoretzky, Kiefer and Wolfowitz with Massart's constant (1990): a side is
    exceeded with probability exp(-2 n d^2) at most.
    """
    p = np.array([finding.p_value for finding in findings])
    beyond = np.array([finding.beyond for finding in findings])
    n, is_exact = len(p), not np.isnan(beyond).any()
    ordered = np.sort(beyond + uniforms * (p - beyond) if is_exact else p)
    above = float((np.arange(1, n + 1) / n - ordered).max())
    below = float((ordered - np.arange(n) / n).max())
    sides = 2 if is_exact else 1
    return Replay(
        is_exact=is_exact,
        n=n,
        excess=max(above, below) if is_exact else above,
        band=math.sqrt(math.log(sides / REFUTED) / (2 * n)),
        least=float(p.min()),
    )
