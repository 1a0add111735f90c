"""The error rate of a whole run, shared out among its checks."""

from __future__ import annotations

import math

RUN_ERROR_RATE = 1e-6
"""Probability that any moments check of a whole run raises a false alarm."""

MOST_CHECKS = 200_000
"""Mean and variance of the cases of one run, at most: the full tier has 35,000."""

EVIDENCE = math.log(2 * MOST_CHECKS / RUN_ERROR_RATE)
"""log(2 / alpha) of a single two-sided check, by Bonferroni."""
