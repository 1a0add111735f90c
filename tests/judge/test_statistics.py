"""Decisions about two samples, at the bound and beside it, and figures against exact ones."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
import scipy.special
import scipy.stats

from conformance.judge.alpha import DRIFT
from conformance.judge.drift import statistics
from conformance.judge.drift.statistics import (
    FEWEST,
    FEWEST_FOR_LAWS,
    RANK_TAIL,
    SUMMATION,
    WAYS,
    Line,
    Values,
    certainty,
    compare_laws,
    fit,
    fit_parts,
    is_one_way,
    is_reordered,
    is_same_stream,
    kolmogorov_bound,
    kolmogorov_distance,
    n_in_rows,
    rank_certainty,
    sample_moments,
    ways,
)

DIGITS = 50

SIX = 6.0
"""Standard errors at which most of these tests decide: the figures are easily read."""


@pytest.fixture
def six(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decide at SIX standard errors, whatever the size."""
    monkeypatch.setattr(statistics, "certainty", lambda _: SIX)
    monkeypatch.setattr(statistics, "rank_certainty", lambda _: SIX)


def normals(size: int, seed: int = 0) -> Values:
    return np.random.default_rng(seed).standard_normal(size)


def swapped(size: int, *pairs: tuple[int, int]) -> Values:
    """Return 0, 1, 2 ... with some pairs swapped."""
    ranks = np.arange(size, dtype=np.float64)
    for one, two in pairs:
        ranks[[one, two]] = two, one
    return ranks


# --- One stream or two ----------------------------------------------------------------------------


def test_fewer_than_the_fewest_are_no_stream() -> None:
    assert FEWEST == 16
    assert not is_same_stream(normals(FEWEST - 1), normals(FEWEST - 1))
    assert is_same_stream(normals(FEWEST), normals(FEWEST))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_rank_correlation_of_one_half_is_no_stream(sign: int) -> None:
    """Rotated by s of n, ranks correlate by 1 - 6 s (n - s) / (n^2 - 1): for 99 of 1079 by 1/2.

    With so many elements even a fifth of it would be certain.
    """
    ranks = np.arange(1079, dtype=np.float64)

    assert Fraction(6 * 99 * (1079 - 99), 1079**2 - 1) == Fraction(1, 2)
    assert not is_same_stream(sign * np.roll(ranks, 99), ranks)
    assert not is_same_stream(sign * np.roll(ranks, 100), ranks)
    assert is_same_stream(sign * np.roll(ranks, 98), ranks)


@pytest.mark.usefixtures("six")
@pytest.mark.parametrize("sign", [1, -1])
def test_a_correlation_must_be_certain(sign: int) -> None:
    """Of 16 elements the squares of rank differences may add up to 102, and 104 are too many."""
    pairs = (0, 5), (1, 6), (2, 3)
    near, far = swapped(16, *pairs), swapped(16, *pairs, (7, 8), (9, 10))
    ranks = np.arange(16, dtype=np.float64)

    scores = []
    for moved in (near, far):
        squares = int(np.sum((moved - ranks) ** 2))
        correlation = 1 - Fraction(6 * squares, 16 * (16**2 - 1))
        scores.append(float(correlation) * math.sqrt(14 / (1 - correlation**2)))

    assert scores[1] < SIX < scores[0]
    assert is_same_stream(sign * near, ranks)
    assert not is_same_stream(sign * far, ranks)


def test_a_correlation_just_as_certain_as_is_asked_is_not_beyond_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 16 elements with squares of 42: by 1 - 6 x 42 / 4080, which is 319/340."""
    moved, ranks = swapped(16, (0, 4), (1, 3), (5, 6)), np.arange(16, dtype=np.float64)
    score = (319 / 340) * math.sqrt(14 / (1 - (319 / 340) ** 2))

    monkeypatch.setattr(statistics, "rank_certainty", lambda _: score * (1 + 1e-14))
    assert not is_same_stream(moved, ranks)
    monkeypatch.setattr(statistics, "rank_certainty", lambda _: score * (1 - 1e-14))
    assert is_same_stream(moved, ranks)


def test_a_score_that_is_what_is_asked_is_not_beyond_it(monkeypatch: pytest.MonkeyPatch) -> None:
    moved, ranks = swapped(16, (0, 4), (1, 3), (5, 6)), np.arange(16, dtype=np.float64)
    correlation = statistics.rank_correlation(moved, ranks)
    score = correlation * math.sqrt(14 / (1 - correlation**2))

    monkeypatch.setattr(statistics, "rank_certainty", lambda _: score)
    assert not is_same_stream(moved, ranks)
    monkeypatch.setattr(statistics, "rank_certainty", lambda _: math.nextafter(score, 0))
    assert is_same_stream(moved, ranks)


def test_certainty_is_students_t_at_the_share_of_the_budget() -> None:
    for n in (16, 100, 10**6):
        assert 2 * scipy.stats.t.sf(certainty(n), n - 2) == pytest.approx(
            DRIFT.alpha, rel=1e-6, abs=0
        )
    assert certainty(10**6) == pytest.approx(7.22, abs=0.01)
    assert certainty(16) > 20


def test_that_of_ranks_is_beyond_it_by_what_their_tails_are_heavier() -> None:
    for n in (16, 100, 10**6):
        chance = 2 * scipy.stats.t.sf(rank_certainty(n), n - 2) * RANK_TAIL
        assert chance == pytest.approx(DRIFT.alpha, rel=1e-6, abs=0)


@pytest.mark.parametrize("size", [16, 18])
def test_ranks_are_called_one_stream_within_the_budget(size: int) -> None:
    """Counted over all permutations: how many move their elements by so little."""
    most = 12
    counts = np.cumsum(permutations_by_squares(size, most)) / math.factorial(size)
    correlations = 1 - 6 * np.arange(most + 1) / (size**3 - size)
    with np.errstate(divide="ignore"):
        scores = correlations * np.sqrt((size - 2) / (1 - correlations**2))

    is_called = scores > rank_certainty(size)

    assert is_called[0]
    assert not is_called[-1]
    assert 2 * counts[is_called].max() <= DRIFT.alpha


def test_students_law_is_too_light_by_less_than_is_said() -> None:
    """One of 15 neighbours swapped: the next best order to the one in which all agree."""
    count = permutations_by_squares(16, 2)[2] / math.factorial(16)
    correlation = 1 - 12 / (16**3 - 16)

    students = scipy.stats.t.sf(correlation * math.sqrt(14 / (1 - correlation**2)), 14)

    assert 1e4 < count / students < RANK_TAIL == 1e5


def permutations_by_squares(size: int, most: int) -> Values:
    """Return how many permutations have each sum of squared displacements up to `most`."""
    states = {0: np.eye(1, most + 1)[0]}  # by which places are taken
    for element in range(size):
        following: dict[int, Values] = {}
        for taken, n_ways in states.items():
            for place in range(size):
                moved = (place - element) ** 2
                if taken >> place & 1 or moved > most:
                    continue
                count = following.setdefault(taken | 1 << place, np.zeros(most + 1))
                count[moved:] += n_ways[: most + 1 - moved]
        states = {taken: n_ways for taken, n_ways in following.items() if n_ways.any()}
    (n_ways,) = states.values()
    return np.asarray(n_ways)


def test_equal_values_share_their_mean_rank() -> None:
    """A small lattice repeats its values: they are ranked as SciPy ranks them."""
    values = np.array([3.0, 1.0, 3.0, -2.0, 3.0, 1.0, 7.0])

    ((places, found),) = statistics._ranked(values)
    ranks = (found / 2 + (len(values) + 1) / 2)[np.argsort(places)]

    assert ranks.tolist() == [5, 2.5, 5, 1, 5, 2.5, 7]
    assert ranks.tolist() == scipy.stats.rankdata(values).tolist()


@pytest.mark.usefixtures("six")
def test_on_a_lattice_of_five_values_streams_are_told_around_the_bound() -> None:
    verdicts = []
    for seed in range(60):
        generator = np.random.default_rng(seed)
        expected = generator.integers(0, 5, 140).astype(np.float64)
        keep = generator.uniform(size=140) < 0.52
        actual = np.where(keep, expected, generator.integers(0, 5, 140)).astype(np.float64)
        correlation = scipy.stats.spearmanr(actual, expected).statistic
        score = correlation * math.sqrt(138 / (1 - correlation**2))
        verdicts.append(correlation > 0.5 and score > SIX)

        assert is_same_stream(actual, expected) == verdicts[-1]
    assert 10 < sum(verdicts) < 50


def test_what_does_not_vary_is_no_stream_of_anything() -> None:
    assert not is_same_stream(np.ones(100), normals(100))
    assert not is_same_stream(normals(100), np.ones(100))


@pytest.mark.parametrize("size", [16, 1000])
def test_a_stream_is_its_own_whatever_a_monotone_function_makes_of_it(size: int) -> None:
    values = normals(size)

    for moved in (values, -values, np.exp(values), values**3 - 7):
        assert is_same_stream(moved, values)


# --- One way or both -----------------------------------------------------------------------------


def test_elements_are_counted_by_the_way_they_went() -> None:
    expected = np.array([1.0, 1, 1, -1, -1, -1, 0, 0, 2])
    actual = np.array([2.0, 0, 1, 0, -2, -1, 1, -1, 2])

    n_moved, went = ways(actual, expected)

    assert dict(zip(WAYS, went.tolist(), strict=True)) == {
        "up": 3,
        "down": 3,
        "away from zero": 2,  # what was zero went neither
        "towards zero": 2,
    }
    assert n_moved == 6


def test_the_ways_of_rows_are_those_of_each_row() -> None:
    expected, actual = normals(60).reshape(4, 15), normals(60, seed=1).reshape(4, 15)
    actual[:, ::2] = expected[:, ::2]

    n_moved, went = ways(actual, expected, n_in_rows)

    for row in range(4):
        n_here, here = ways(actual[row], expected[row])
        assert (n_moved[row], went[:, row].tolist()) == (n_here, here.tolist())
    assert n_moved.tolist() == [7] * 4


# --- The line -------------------------------------------------------------------------------------


def fit_in_parts(actual: Values, expected: Values) -> Line:
    """Return the line of pairs that are asked for some at a time, and once without any."""
    cuts = [0, 3, 3, 10, len(actual)]

    def parts() -> Iterator[tuple[Values, Values]]:
        for start, end in itertools.pairwise(cuts):
            yield actual[start:end], expected[start:end]

    line = fit_parts(parts)
    assert line is not None
    return line


def in_one_part(actual: Values, expected: Values) -> Iterator[tuple[Values, Values]]:
    yield actual, expected


@pytest.mark.parametrize("fitted", [fit, fit_in_parts])
def test_a_line_far_from_zero_is_as_sure_as_one_at_zero(
    fitted: Callable[[Values, Values], Line],
) -> None:
    """A mean of a million sigma is taken off both sides before they are multiplied, not after."""
    expected = 1e6 + normals(4096)
    actual = 1e6 + (expected - 1e6) * (1 + 1e-9)

    line = fitted(actual, expected)

    assert line.scale - 1 == pytest.approx(1e-9, rel=0.01)
    assert line.scale_error < 1e-11
    assert line.is_scaled(0)


def test_few_pairs_have_no_line_and_none_those_of_one_value() -> None:
    """Whatever the other side is."""
    for actual, expected, has_line in (
        (normals(FEWEST), normals(FEWEST), True),
        (np.ones(FEWEST), normals(FEWEST), True),
        (normals(FEWEST), np.ones(FEWEST), False),
        (normals(FEWEST - 1), normals(FEWEST - 1), False),
        (normals(0), normals(0), False),
    ):
        line = fit_parts(functools.partial(in_one_part, actual, expected))
        assert (line is not None) is has_line


@pytest.mark.parametrize("size", [16, 100])
@pytest.mark.parametrize("slope", [0.75, -1.25])
@pytest.mark.parametrize("scatter", [0.5, 1e-6])
@pytest.mark.parametrize("fitted", [fit, fit_in_parts])
def test_the_line_and_its_errors_are_those_of_the_definition(
    slope: float, scatter: float, size: int, fitted: Callable[[Values, Values], Line]
) -> None:
    expected = normals(size) - 0.3
    actual = slope * expected + 2 + scatter * normals(size, seed=1)
    with mpmath.workdps(DIGITS):
        x, y = ([mpmath.mpf(float(value)) for value in side] for side in (expected, actual))
        mean_x, mean_y = sum(x) / size, sum(y) / size
        xx = sum((value - mean_x) ** 2 for value in x)
        yy = sum((value - mean_y) ** 2 for value in y)
        xy = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
        unexplained = 1 - xy**2 / (xx * yy)
        scale = mpmath.sign(xy) * mpmath.sqrt(yy / xx)
        scale_error = abs(scale) * mpmath.sqrt(unexplained / size)
        noise = mpmath.sqrt(yy * unexplained) / size
        shift_error = mpmath.sqrt(noise**2 + (mean_x * scale_error) ** 2)

    line = fitted(actual, expected)

    assert line.n == size
    assert line.scale == pytest.approx(float(scale), rel=1e-12)
    assert line.shift == pytest.approx(float(mean_y - scale * mean_x), rel=1e-12)
    assert line.scale_error == pytest.approx(float(scale_error), rel=1e-8)
    assert line.shift_error == pytest.approx(float(shift_error), rel=1e-8)


def test_of_rows_of_pairs_each_has_the_line_that_it_has_alone() -> None:
    expected = np.stack([normals(20, seed) for seed in range(3)])
    actual = np.array([[2.0], [-0.5], [1.0]]) * expected + 0.1 * normals(20, 9)

    lines = fit(actual, expected)

    for row in range(3):
        line = fit(actual[row], expected[row])
        for name in ("shift", "scale", "shift_error", "scale_error"):
            assert getattr(lines, name)[row] == pytest.approx(getattr(line, name), rel=1e-12)
    assert lines.n == 20


def test_a_line_through_what_does_not_vary_any_more_is_level() -> None:
    line = fit(np.full(16, 3.0), normals(16))

    assert (line.scale, line.shift) == (0.0, 3.0)
    assert (line.scale_error, line.shift_error) == (0.0, 0.0)


# --- One law or two -------------------------------------------------------------------------------


def alternating(size: int, value: float = 1.0) -> Values:
    return np.tile([value, -value], size // 2)


@pytest.mark.parametrize(("n", "m"), [(31, 32), (32, 31), (31, 31), (1000, 31)])
def test_laws_of_few_are_not_told_apart(n: int, m: int) -> None:
    assert FEWEST_FOR_LAWS == 32

    found = compare_laws(100 + normals(n), normals(m))

    assert (found.fault, found.smallest_change) == ("", math.inf)


def test_laws_of_just_enough_are_told_apart() -> None:
    found = compare_laws(100 + normals(32), normals(32, seed=1))

    assert found.fault.startswith("the mean is ")
    assert 0 < found.smallest_change < math.inf


@pytest.mark.usefixtures("six")
@pytest.mark.parametrize("sign", [1, -1])
def test_means_may_lie_six_standard_errors_apart(sign: int) -> None:
    """Those of 32 values of either sign are 1/4 apart by chance."""
    expected = alternating(32)
    at, beyond = sign * 1.5, sign * math.nextafter(1.5, 2)

    assert compare_laws(expected + at, expected).fault == ""
    assert compare_laws(3 + expected + at, 3 + expected).fault == ""
    assert compare_laws(expected + beyond, expected).fault == (f"the mean is {sign * 1.5:g}, was 0")


@pytest.mark.usefixtures("six")
def test_the_error_of_a_mean_is_of_both_samples() -> None:
    """Of variances 9 and 1 in 64 and 16 x 4 it is sqrt(9/64 + 1/64)."""
    expected, actual = alternating(64), alternating(64, 3.0)
    at = 6 * math.sqrt(10 / 64)

    assert "mean" not in compare_laws(actual + at * (1 - 1e-12), expected).fault
    assert "mean" in compare_laws(actual + at * (1 + 1e-12), expected).fault
    assert "mean" not in compare_laws(expected + at * (1 - 1e-12), actual).fault
    assert "mean" in compare_laws(expected + at * (1 + 1e-12), actual).fault


@pytest.mark.usefixtures("six")
def test_the_error_of_a_mean_falls_with_each_size() -> None:
    small, large = alternating(32), alternating(128)
    at = 6 * math.sqrt(1 / 32 + 1 / 128)

    for actual, expected in ((small, large), (large, small)):
        assert "mean" not in compare_laws(actual + at * (1 - 1e-12), expected).fault
        assert "mean" in compare_laws(actual + at * (1 + 1e-12), expected).fault


SPREAD = np.concatenate([np.zeros(72), np.full(36, 12.0), np.full(36, -12.0)])
"""Variance 72, standard error sqrt((72 * 144 - 72^2) / 144) = 6: six from 36 and from 108."""


@pytest.mark.usefixtures("six")
@pytest.mark.parametrize(
    ("value", "words"),
    [
        (6.0, ""),
        (math.nextafter(6, 0), "the variance is 72, was 36"),
        (math.nextafter(6, 7), ""),
        (math.sqrt(108) * (1 - 1e-15), ""),
        (math.sqrt(108) * (1 + 1e-15), "the variance is 72, was 108"),
    ],
)
def test_variances_may_lie_six_standard_errors_apart(value: float, words: str) -> None:
    """That of the other sample, of one modulus only, has no error."""
    expected = alternating(144, value)

    assert compare_laws(SPREAD, expected).fault == words
    swapped_words = f"the variance is {value**2:.6g}, was 72" if words else ""
    assert compare_laws(expected, SPREAD).fault == swapped_words


@pytest.mark.usefixtures("six")
def test_the_error_of_a_variance_is_of_both_samples() -> None:
    """Of 6 and, in twice the scale, 24: sqrt(612) together."""
    wide = 2 * SPREAD
    apart = abs(wide.var() - SPREAD.var())

    found = compare_laws(SPREAD, wide)

    assert apart > SIX * math.hypot(6, 24)
    assert "variance" in found.fault
    assert found.smallest_change == pytest.approx(6 * math.hypot(6, 24) / 288, rel=1e-14)


@pytest.mark.usefixtures("six")
def test_what_is_certain_to_show_is_twice_what_counts() -> None:
    """Of sigma, whose relative change is half that of the variance."""
    found = compare_laws(alternating(144, 6.0), SPREAD)

    assert found.smallest_change == pytest.approx(2 * (6 * 6 / 72) / 2, rel=1e-15)


def test_a_law_without_spread_shows_no_change_of_sigma() -> None:
    found = compare_laws(SPREAD / 72, np.zeros(144))

    assert found.smallest_change == math.inf


@pytest.mark.parametrize(("n_moved", "is_found"), [(170, False), (171, True)])
def test_distribution_functions_may_lie_apart_by_the_bound(n_moved: int, is_found: bool) -> None:
    """That of two samples of 1000 is 0.1704."""
    expected = np.arange(1000.0)
    actual = np.roll(expected, n_moved)
    actual[:n_moved] = -1.0

    fault = compare_laws(actual, expected).fault

    assert ("the distribution functions lie" in fault) == is_found


def test_a_distance_at_the_bound_is_none_beyond_it(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = normals(100), normals(100, seed=1)
    bound = kolmogorov_bound(100, 100)

    monkeypatch.setattr(statistics, "kolmogorov_distance", lambda *_: bound)
    assert compare_laws(one, two).fault == ""
    monkeypatch.setattr(statistics, "kolmogorov_distance", lambda *_: math.nextafter(bound, 1))
    assert compare_laws(one, two).fault == f"the distribution functions lie {bound:.3g} apart"


def test_each_fault_of_a_law_is_named() -> None:
    expected = normals(1000)

    fault = compare_laws(5 + 9 * normals(1000, seed=1), expected).fault

    assert [part.partition(" is ")[0].partition(" lie ")[0] for part in fault.split("; ")] == [
        "the mean",
        "the variance",
        "the distribution functions",
    ]


# --- Figures --------------------------------------------------------------------------------------


def test_the_standard_error_of_a_variance_is_that_of_exact_fractions() -> None:
    values = normals(50)
    exact = [Fraction(float(value)) for value in values]
    mean = sum(exact, Fraction(0)) / 50
    second, fourth = (
        sum(((value - mean) ** power for value in exact), Fraction(0)) / 50 for power in (2, 4)
    )

    found = sample_moments(values).variance_error

    assert found == pytest.approx(math.sqrt((fourth - second**2) / 50), rel=1e-13)


@pytest.mark.parametrize("n_values", [3, 1000])
@pytest.mark.parametrize(("n", "m"), [(40, 40), (40, 70), (1, 5)])
def test_the_distance_of_distribution_functions_is_the_largest_gap(
    n: int, m: int, n_values: int
) -> None:
    """At every point, ties among them, by counting."""
    generator = np.random.default_rng(n + m + n_values)
    one, two = (generator.integers(0, n_values, size).astype(np.float64) for size in (n, m))
    gaps = [
        abs(Fraction(int((one <= point).sum()), n) - Fraction(int((two <= point).sum()), m))
        for point in {*one.tolist(), *two.tolist()}
    ]

    assert kolmogorov_distance(one, two) == pytest.approx(float(max(gaps)), rel=1e-15)
    assert kolmogorov_distance(two, one) == pytest.approx(float(max(gaps)), rel=1e-15)


@pytest.mark.parametrize(("n", "m"), [(32, 32), (458, 458), (100, 10_000), (10_000, 100)])
def test_the_bound_of_the_distance_is_where_the_budget_ends(n: int, m: int) -> None:
    bound = kolmogorov_bound(n, m)

    with mpmath.workdps(DIGITS):
        probability = 2 * mpmath.exp(-2 * mpmath.mpf(bound) ** 2 * n * m / (n + m))
    assert float(probability) == pytest.approx(DRIFT.alpha, rel=1e-12, abs=0)


# --- Order ---------------------------------------------------------------------------------------


def drawn(digits: int, seed: int) -> Values:
    """Return draws of few values, of many, or of so many that none occurs twice."""
    return normals(4000, seed).round(digits)


@pytest.mark.parametrize("digits", [2, 3, 12])
def test_values_in_other_places_are_known_though_some_are_new(digits: int) -> None:
    values = drawn(digits, 0)
    other = values[::-1].copy()
    other[:20] += 10

    assert is_reordered(other, values, 0.0)


@pytest.mark.parametrize("digits", [1, 3, 12])
def test_no_two_draws_are_one_in_another_order(digits: int) -> None:
    assert not any(
        is_reordered(drawn(digits, 2 * n), drawn(digits, 2 * n + 1), 0.0) for n in range(50)
    )


def test_values_that_rounding_moved_are_known_in_other_places() -> None:
    values = drawn(12, 0)
    other = values[::-1] + 1e-7 * drawn(12, 1)

    assert is_reordered(other, values, 2e-6)
    assert not is_reordered(other, values, 0.0)
    assert not is_reordered(drawn(12, 1), values, 2e-6)


def test_a_few_values_that_occur_in_both_are_no_order() -> None:
    values, other = drawn(12, 0), drawn(12, 1)
    other[:1000] = values[1000:2000]

    assert not is_reordered(other, values, 0.0)


@pytest.mark.parametrize("n_values", [5, 10_000], ids=["small-lattice", "wide-lattice"])
@pytest.mark.parametrize("size", [32, 1000])
def test_ranks_and_distances_are_those_of_scipy(size: int, n_values: int) -> None:
    draws = np.random.default_rng(size).integers(n_values, size=(2, size)).astype(np.float64)
    one, two = draws

    correlation = statistics.rank_correlation(one, two)
    distance = kolmogorov_distance(one, two)

    assert correlation == pytest.approx(scipy.stats.spearmanr(one, two).statistic, abs=1e-12)
    assert distance == scipy.stats.ks_2samp(one, two, method="asymp").statistic


@pytest.mark.parametrize("size", [32, 64, 128, 457, 458])
def test_the_bound_of_distances_holds_for_small_samples_exactly(size: int) -> None:
    """Of Massart's inequality that is proven from 458 on; below, SciPy counts the paths."""
    bound = kolmogorov_bound(size, size)
    beyond = math.floor(bound * size) + 1
    one = np.arange(size, dtype=np.float64)

    found = scipy.stats.ks_2samp(one, one + beyond - 0.5, method="exact")

    assert found.statistic == pytest.approx(beyond / size)
    assert found.statistic > bound
    assert 0 < found.pvalue < DRIFT.alpha


@pytest.mark.usefixtures("six")
@pytest.mark.parametrize("size", [16, 1024, 65536])
@pytest.mark.parametrize("unit", [2.0**-24, 2.0**-53])
@pytest.mark.parametrize("magnitude", [1.0, 1.2345])
def test_a_scale_without_scatter_is_exact_to_the_sums(
    size: int, unit: float, magnitude: float
) -> None:
    """Six roundings are six in every format, however many elements are added up."""
    expected: Values = np.full(size, magnitude, np.float64)
    expected[np.random.default_rng(size).random(size) < 0.5] *= -1

    moved = [fit(np.multiply(expected, 1 + sign * 6 * unit), expected) for sign in (1, -1)]

    assert not any(line.is_scaled(6 * unit) for line in moved)
    assert all(line.is_scaled(2 * unit - SUMMATION) for line in moved)


@pytest.mark.parametrize("size", [0, 1, 16, 58, 59, 2048])
def test_elements_go_one_way_where_chance_hardly_lets_them(size: int) -> None:
    """Of right results six in ten did at most: 0.6^59 is below a fourth of the share, 0.6^58 above.

    Four ways are looked at, and the outermost decides.
    """
    ways = np.array([size, 0, size // 2, size - size // 2])

    assert is_one_way(size, ways) == (size >= 59)
    assert (0.6**size < DRIFT.alpha / 4) == (size >= 59)


def test_as_many_as_right_results_send_one_way_are_no_way() -> None:
    moved = 1000
    exact = [float(scipy.stats.binom.sf(most - 1, moved, 0.6)) for most in range(moved + 1)]
    first = next(most for most, chance in enumerate(exact) if chance < DRIFT.alpha / 4)

    found = is_one_way(np.full(2, moved), np.array([[first - 1, first], [0, 0], [0, 0], [0, 0]]))

    assert found.tolist() == [False, True]


def test_elements_go_up_down_outwards_or_inwards_and_equal_ones_nowhere() -> None:
    """From zero there is no way outwards."""
    expected = np.array([1.0, 1.0, -1.0, -1.0, 0.0, 0.0, 2.0, -3.0])
    actual = np.array([2.0, 0.0, -2.0, -0.5, 5.0, 7.0, 2.0, -3.0])

    n_moved, went = statistics.ways(actual, expected)

    assert n_moved == 6
    assert went.tolist() == [4, 2, 2, 2]


def test_of_rows_each_has_its_ways() -> None:
    expected = np.ones((3, 5))
    actual = np.array([[2.0, 2, 2, 2, 2], [1.0, 1, 1, 1, 0], [1.0, 1, 1, 1, 1]])

    n_moved, went = statistics.ways(actual, expected, n_in_rows)

    assert n_moved.tolist() == [5, 1, 0]
    assert went.T.tolist() == [[5, 0, 5, 0], [0, 1, 0, 1], [0, 0, 0, 0]]


def test_what_is_as_likely_as_its_part_of_the_share_is_no_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of four ways: the chance that 59 of 59 go one is 0.6^59."""
    chance = float(scipy.special.bdtrc(58, 59, 0.6))
    counts = np.array([59, 0, 0, 0])

    monkeypatch.setattr(statistics, "DRIFT", SimpleNamespace(alpha=4 * chance))
    assert not is_one_way(59, counts)
    monkeypatch.setattr(statistics, "DRIFT", SimpleNamespace(alpha=4 * math.nextafter(chance, 1)))
    assert is_one_way(59, counts)


@pytest.mark.parametrize("slack_in_units", [0, 1])
def test_a_slope_may_be_off_by_its_slack_and_eight_units_of_summation(slack_in_units: int) -> None:
    """Numbers beyond 1 are two units apart, so that either slack sees one side of the bound."""
    unit, n = 2.0**-53, FEWEST

    def is_scaled(n_units: int) -> bool:
        line = Line(shift=0.0, scale=1 + n_units * unit, shift_error=0.0, scale_error=0.0, n=n)
        return bool(line.is_scaled(slack_in_units * unit))

    assert not is_scaled(8)
    assert is_scaled(10)


@pytest.mark.parametrize("shift", [0.25, -0.25])
def test_a_line_may_miss_zero_by_its_slack(shift: float) -> None:
    line = Line(shift=shift, scale=1.0, shift_error=0.0, scale_error=0.0, n=FEWEST)

    assert not line.is_shifted(0.25)
    assert line.is_shifted(math.nextafter(0.25, 0))


def test_values_are_those_of_the_other_sample_where_more_than_half_are() -> None:
    """1,000 in both, and 500 in either alone: half of all 2,000 that there are."""
    expected = np.arange(1500.0)
    half = np.concatenate([expected[:1000], np.arange(2000.0, 2500.0)])
    more = np.concatenate([expected[:1001], np.arange(2000.0, 2499.0)])

    assert not is_reordered(half, expected, 0.0)
    assert is_reordered(more, expected, 0.0)


@pytest.mark.parametrize(("alone", "shared_first"), [(499, True), (499, False), (500, True)])
def test_each_value_of_either_sample_counts(alone: int, shared_first: bool) -> None:
    """1,000 in both and 500 in one alone: with 499 in the other they are more than half by one."""
    shared = np.arange(1000.0) + (0 if shared_first else 5000)
    expected = np.concatenate([shared, np.arange(2000.0, 2500.0)])
    actual = np.concatenate([shared, np.arange(3000.0, 3000.0 + alone)])

    assert is_reordered(actual, expected, 0.0) is (alone == 499)
    assert is_reordered(expected, actual, 0.0) is (alone == 499)


@pytest.mark.parametrize(
    ("times", "n_values", "is_certain"),
    [(1, 36, False), (1, 37, True), (2, 54, False), (2, 55, True)],
)
def test_an_order_must_be_certain(
    monkeypatch: pytest.MonkeyPatch, times: int, n_values: int, is_certain: bool
) -> None:
    """Of n values that are t/2 times in either sample the likeness is n, by 6 sqrt(n (2 - 2/t))."""
    values = np.repeat(np.arange(float(n_values)), times)
    monkeypatch.setattr(statistics, "certainty", {2 * len(values): SIX}.__getitem__)

    assert is_reordered(values[::-1], values, 0.0) is is_certain


def test_laws_are_compared_by_what_are_numbers() -> None:
    """Infinities of both signs have no mean; how many there are, the distribution functions see."""
    one, two = normals(400), normals(400, seed=1)
    one[:2], two[:2] = (math.inf, -math.inf), (-math.inf, math.inf)

    found = compare_laws(one, two)

    assert found.fault == ""
    assert found.smallest_change == compare_laws(one[2:], two[2:]).smallest_change
    assert compare_laws(np.where(one > 0, math.inf, one), two).fault.endswith("apart")
    nothing = np.full(400, math.inf)
    assert compare_laws(nothing, -nothing).smallest_change == math.inf
