"""Bounds on p-values that theorems give for every sample size."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def bernstein(size: Any, mean: Any, variance: float, reach: float) -> Any:
    """Return a bound on P(|mean of `size` independent centred terms| >= mean).

    variance: of a term. reach: its largest size. Any of the first two may be an array.

    P <= 2 exp(-n t^2 / (2 variance + 2 reach t / 3)). Source: Boucheron, Lugosi & Massart,
    Concentration Inequalities (2013), section 2.8. So it is for complex terms, the variance being
    the mean of |term|^2, as in any Hilbert space: Pinelis, Optimum bounds for the distributions of
    martingales in Banach spaces, Annals of Probability 22 (1994), section 3.
    """
    deviation = np.abs(mean)
    with np.errstate(invalid="ignore", divide="ignore"):
        exponent = size * deviation**2 / (2 * variance + 2 * reach * deviation / 3)
    return np.where(deviation > 0, np.minimum(1.0, 2 * np.exp(-exponent)), 1.0)


def bernstein_bound(size: float, variance: float, reach: float, evidence: float) -> float:
    """Return how far the mean of `size` independent terms strays with probability alpha at most.

    evidence: log(2 / alpha). It is the inequality of `bernstein`, solved for t.
    """
    linear = reach * evidence / 3
    return (linear + math.sqrt(linear**2 + 2 * size * variance * evidence)) / size


def kolmogorov(size: int, distance: float) -> float:
    """Return a bound on the probability that F_n and F lie so far apart, for every law F.

    P <= 2 exp(-2 n d^2). Source: Massart, The tight constant in the Dvoretzky-Kiefer-Wolfowitz
    inequality, Annals of Probability 18 (1990).
    """
    return min(1.0, 2 * math.exp(-2 * size * max(distance, 0.0) ** 2))


def kolmogorov_bound(size: int, alpha: float) -> float:
    """Return the distance of F_n from F that is exceeded with probability alpha at most."""
    return math.sqrt(math.log(2 / alpha) / (2 * size))


def at_least(count: int, mean: float) -> float:
    """Return a bound on the probability that a sum of independent events reaches `count`.

    mean: of the sum, or more. P <= exp(-mean) (e mean / count)^count for count > mean. Source:
    Chernoff (1952); Mitzenmacher & Upfal, Probability and Computing (2005), theorem 4.4.
    """
    if count <= mean:
        return 1.0
    if not mean:
        return 0.0
    return math.exp(count - mean - count * math.log(count / mean))
