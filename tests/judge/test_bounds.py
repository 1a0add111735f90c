"""Each bound is no less than the probability itself, and its inverse is where it says."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from scipy import special

from conformance.judge.bounds import (
    at_least,
    bernstein,
    bernstein_bound,
    kolmogorov,
    kolmogorov_bound,
)

EVIDENCE = math.log(4e11)


@pytest.mark.parametrize("size", [1, 2, 100, 10**7])
@pytest.mark.parametrize(("variance", "reach"), [(1.0, 5.0), (1e-6, 1.0), (0.0, 2.0), (3.0, 0.1)])
def test_bernsteins_bound_is_where_his_probability_is_alpha(
    size: int, variance: float, reach: float
) -> None:
    """P(|mean| >= t) <= 2 exp(-n t^2 / (2 variance + 2 reach t / 3)); Boucheron et al., 2.8."""
    t = mpmath.mpf(bernstein_bound(size, variance, reach, EVIDENCE))

    exponent = size * t**2 / (2 * variance + 2 * reach * t / 3)

    assert float(exponent) == pytest.approx(EVIDENCE, rel=1e-12)
    assert float(bernstein(size, float(t), variance, reach)) == pytest.approx(
        5e-12, rel=1e-9, abs=0
    )


@pytest.mark.parametrize("p", [0.5, 0.1, 0.001])
@pytest.mark.parametrize("size", [10, 200, 5000])
def test_bernsteins_inequality_holds_of_the_binomial_law(size: int, p: float) -> None:
    counts = np.arange(size + 1)
    moved = counts / size - p

    bound = bernstein(size, moved, p * (1 - p), max(p, 1 - p))

    upper = special.bdtrc(np.maximum(counts - 1, 0), size, p)
    assert (bound[moved > 0] >= upper[moved > 0]).all()


def test_where_nothing_varies_and_nothing_moved_all_is_well() -> None:
    assert float(bernstein(10, 0.0, 0.0, 1.0)) == 1.0


@pytest.mark.parametrize("mean", [0.01, 1.0, 30.0])
def test_a_number_of_events_is_no_likelier_than_its_bound(mean: float) -> None:
    """The Poisson law is the limit of all sums of independent events of that mean."""
    for count in range(1, 200):
        assert at_least(count, mean) >= special.gammainc(count, mean)


@pytest.mark.parametrize(("count", "mean"), [(1, 0.5), (2, 1.0), (40, 3.25), (31, 30.0)])
def test_the_bound_of_a_number_of_events_is_chernoffs(count: int, mean: float) -> None:
    """exp(-mean) (e mean / count)^count; Mitzenmacher & Upfal, theorem 4.4."""
    expected = mpmath.exp(-mean) * (mpmath.e * mean / count) ** count

    assert at_least(count, mean) == pytest.approx(float(expected), rel=1e-12, abs=0)


@pytest.mark.parametrize("mean", [0.0, 1e-9, math.nan])
def test_no_bound_is_above_one_and_what_is_no_number_is_no_evidence(mean: float) -> None:
    """Elements that are no numbers are those of another check."""
    assert float(bernstein(10, mean, 1.0, 1.0)) == 1.0


def test_no_event_is_expected_and_one_came() -> None:
    assert at_least(1, 0.0) == 0.0
    assert at_least(0, 0.0) == 1.0


def test_a_distance_of_distribution_functions_is_where_its_probability_is_alpha() -> None:
    assert kolmogorov(1000, kolmogorov_bound(1000, 1e-9)) == pytest.approx(1e-9, rel=1e-12, abs=0)
    assert kolmogorov(1000, -0.1) == 1.0
