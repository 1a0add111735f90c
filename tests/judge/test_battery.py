"""What each test of the battery measures, place by place, by the definition of its statistic."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable
from fractions import Fraction

import numpy as np
import pytest
import scipy

from conformance.core.arrays import Array
from conformance.core.laws import Uniform
from conformance.judge.alpha import CERTAIN, STATISTICS
from conformance.judge.bounds import at_least, bernstein
from conformance.judge.statistics import TESTS, ElementLaw, battery, sample_of
from conformance.judge.statistics.element import Term
from conformance.judge.statistics.finding import Finding

COINS = ElementLaw(
    mean=0.0,
    sigma=math.sqrt(0.5),
    powers=(
        Term(mean=0.0, variance=1.0, reach=math.sqrt(2)),
        Term(mean=1.0, variance=1.0, reach=1.0, lean=1 / 64),
    ),
    points=np.array([-1.0, 0.0, 1.0]),
    upto=np.array([0.25, 0.75, 1.0]),
    heaviest=0.5,
    score=Term(mean=0.0, variance=9 / 128, reach=3 / 8),
    square=Term(mean=9 / 128, variance=81 / 2**14, reach=9 / 128),
)
"""The sum of two coins, halved: -1, 0 and 1, with probabilities 1/4, 1/2 and 1/4."""

LEANING = dataclasses.replace(
    COINS,
    score=dataclasses.replace(COINS.score, lean=1 / 8),
    square=Term(mean=1 / 16, variance=1 / 256, reach=3 / 32, lean=1 / 128),
)
"""The same, were its means known to no better than that."""

FINE = dataclasses.replace(
    COINS,
    points=None,
    upto=None,
    law=Uniform(scale=1.0).law((8,), is_complex=False),
    slack=1 / 256,
    heaviest=1 / 64,
)
"""A uniform on [0, 1), whose values are no likelier than 1/64."""

UNKNOWN = dataclasses.replace(COINS, points=None, upto=None, heaviest=None)
"""Of which moments are known only."""


def measured(name: str, arrays: Array, law: ElementLaw = COINS) -> Finding:
    found = measured_or_not(name, arrays, law)
    assert found is not None
    return found


def measured_or_not(name: str, arrays: Array, law: ElementLaw = COINS) -> Finding | None:
    (test,) = (test for test in TESTS if test.name == name)
    return test.measure(sample_of(np.asarray(arrays), law))


def coins(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).choice([-1.0, 0.0, 0.0, 1.0], size=shape)


def scores(arrays: Array) -> Array:
    """Return the mid-distribution less a half: -3/8, 0 or 3/8."""
    return arrays * 3 / 8


def chance(size: float, moved: float, variance: float, reach: float) -> float:
    """Return Bernstein's bound on the probability."""
    return min(1.0, 2 * math.exp(-size * moved**2 / (2 * variance + 2 * reach * moved / 3)))


def seen_for_certain(size: float, term: Term, n_places: int = 1) -> float:
    """Return the distance at which the bound is the share, and that which chance takes back."""

    def where_it_is(probability: float) -> float:
        return float(
            scipy.optimize.brentq(
                lambda t: (
                    math.log(2 / probability)
                    - size * t**2 / (2 * term.variance + 2 * term.reach * t / 3)
                ),
                0.0,
                1e6,
                xtol=1e-14,
            )
        )

    return where_it_is(STATISTICS.alpha / n_places) + where_it_is(CERTAIN)


def agree(found: Finding, statistic: float, p_value: float, certain: float, where: str) -> None:
    assert found.statistic == pytest.approx(statistic, rel=1e-9, abs=1e-12)
    assert found.p_value == pytest.approx(p_value, rel=1e-6, abs=0)
    assert found.certain == pytest.approx(certain, rel=1e-9, nan_ok=True)
    assert found.where == where


# --- The law -------------------------------------------------------------------------------------


POWERS = dataclasses.replace(
    COINS,
    powers=(
        *COINS.powers,
        Term(mean=0.0, variance=4.0, reach=2 * math.sqrt(2), lean=1 / 32),
        Term(mean=2.0, variance=4.0, reach=2.0, lean=1 / 16),
    ),
)
"""Coins with all powers: over sigma they are 0 or the root of 2, to either side."""


@pytest.mark.parametrize(
    ("order", "name"), [(1, "mean"), (2, "variance"), (3, "skewness"), (4, "kurtosis")]
)
def test_the_mean_of_a_power_is_held_to_that_of_the_law(order: int, name: str) -> None:
    arrays = np.ones((2, 5, 3))
    term = POWERS.powers[order - 1]
    moved = math.sqrt(2) ** order - term.mean

    found = measured(name, arrays, POWERS)

    p_value = chance(30, moved - term.lean, term.variance, term.reach)
    assert 1e-20 < p_value < 0.01
    agree(found, moved, p_value, term.lean + seen_for_certain(30, term), "")


def test_a_power_within_its_lean_is_no_evidence() -> None:
    arrays = np.array([[1.0, 0, -1, 0] * 2**14])

    assert measured("variance", arrays).p_value == 1.0


@pytest.mark.parametrize("name", ["lags", "reflections", "keys", "lines", "transposed", "levels"])
def test_no_correlation_and_no_level_within_its_lean_is_evidence(name: str) -> None:
    square = Term(mean=0.0, variance=1 / 256, reach=3 / 32, lean=0.1)
    law = dataclasses.replace(LEANING, square=square)

    assert measured(name, np.zeros((64, 16, 16)), law).p_value == 1.0


@pytest.mark.parametrize("name", ["skewness", "kurtosis"])
def test_a_power_that_the_law_does_not_state_is_not_measured(name: str) -> None:
    assert measured_or_not(name, coins(2, 8)) is None


@pytest.mark.parametrize("shift", [0.3, -0.3])
def test_the_distribution_is_held_by_its_largest_distance(shift: float) -> None:
    """Of uniforms moved: counted at and just before each element."""
    values = np.clip((np.arange(200.0) + 0.5) / 200 + shift, 0.0, 1.0)
    steps = [(k / 200, (k + 1) / 200) for k in range(200)]
    distance = max(
        max(value - before, after - value)
        for value, (before, after) in zip(values, steps, strict=True)
    )

    found = measured("goodness_of_fit", np.random.default_rng(0).permutation(values)[None], FINE)

    p_value = 2 * math.exp(-2 * 200 * (distance - 1 / 256) ** 2)
    miss, share = (math.sqrt(math.log(2 / p) / 400) for p in (CERTAIN, STATISTICS.alpha))
    agree(found, distance, p_value, miss + share + 1 / 256, "")


@pytest.mark.parametrize(
    ("values", "distance"), [([-1.0] * 5 + [0.0] * 2 + [1.0], 5 / 8 - 1 / 4), ([1.0] * 8, 3 / 4)]
)
def test_the_distribution_of_a_lattice_jumps_at_its_points(
    values: list[float], distance: float
) -> None:
    """Of 8 elements 5 are -1: 5/8 up to it, where the law has 1/4. Below 1 it has 3/4."""
    assert measured("goodness_of_fit", np.array([values])).statistic == distance


@pytest.mark.parametrize("is_mirrored", [False, True])
@pytest.mark.parametrize(("nearest", "size"), [(0.25, 100), (1e-6, 100)])
def test_the_outermost_element_has_a_law_of_its_own(
    nearest: float, size: int, is_mirrored: bool
) -> None:
    """That all n lie further in has (1 - p)^n, that one lies as far out has n p at most."""
    values = np.linspace(nearest, 0.995, size)
    slack = FINE.slack
    too_near = [(1 - max(outside - slack, 0.0)) ** size for outside in (nearest, 1 - 0.995)]
    too_far = [size * (outside + slack) for outside in (nearest, 1 - 0.995)]

    found = measured("extremes", (1 - values if is_mirrored else values)[None], FINE)

    p_value = min(1.0, 4 * min(too_near + too_far))
    certain = math.log(4 / STATISTICS.alpha) / size + slack
    agree(found, max(nearest, 1 - 0.995), p_value, certain, "")


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_an_element_beyond_all_is_too_far_out(is_mirrored: bool) -> None:
    """Without slack, one at 2^-30 among eight: eight times as much on one side, of four chances."""
    law = dataclasses.replace(FINE, slack=0.0)
    values = np.array([[2.0**-30, *[0.5] * 6, 0.875]])

    found = measured("extremes", 1 - values if is_mirrored else values, law)

    assert found.p_value == 4 * 8 * 2.0**-30


def test_elements_at_the_very_end_have_no_chance() -> None:
    law = dataclasses.replace(FINE, slack=0.0)

    assert measured("extremes", np.ones((1, 3)), law).p_value == 0.0


@pytest.mark.parametrize("slack", [1 / 256, 4.0])
def test_a_law_that_is_known_badly_has_extremes_of_any_number_of_elements(slack: float) -> None:
    """As one cut far out: its few uniforms may lie anywhere, and 1 + slack has no such power."""
    law = dataclasses.replace(FINE, slack=slack)

    assert measured("extremes", np.linspace(0, 1, 1 << 18)[None], law).p_value == 1.0


@pytest.mark.parametrize("name", ["goodness_of_fit", "extremes", "atoms", "collisions"])
def test_of_moments_alone_no_distribution_is_measured(name: str) -> None:
    assert measured_or_not(name, coins(2, 8), UNKNOWN) is None


def binomial(counts: Iterable[int], size: int, share: Fraction) -> Fraction:
    ways = (math.comb(size, k) * share**k * (1 - share) ** (size - k) for k in counts)
    return sum(ways, Fraction(0))


@pytest.mark.parametrize(
    ("counts", "worst"),
    [((1, 4, 15), 2), ((12, 8, 0), 0), ((0, 20, 0), 1), ((10, 0, 10), 1), ((5, 10, 5), 1)],
)
def test_how_often_a_value_occurs_is_held_to_the_binomial_law(
    counts: tuple[int, int, int], worst: int
) -> None:
    shares = Fraction(1, 4), Fraction(1, 2), Fraction(1, 4)
    values = np.repeat([-1.0, 0.0, 1.0], counts)
    sides = [
        2 * min(binomial(range(n + 1), 20, p), binomial(range(n, 21), 20, p))
        for n, p in zip(counts, shares, strict=True)
    ]

    found = measured("atoms", values[None])

    p_value = min(1.0, 3 * float(min(sides)))
    if p_value < 1:
        share = float(shares[worst])
        certain = seen_for_certain(20, Term(mean=0.0, variance=share, reach=1.0), 3)
        where = f"at {(-1, 0, 1)[worst]}"
        agree(found, counts[worst] / 20 - share, p_value, certain, where)
    assert found.p_value == pytest.approx(p_value, rel=1e-9)


@pytest.mark.parametrize(("n_rare", "p_value"), [(0, 1.0), (1, 6 * (1 - (1 - 2.0**-20) ** 20))])
def test_a_rare_value_is_there_once_or_not_at_all(n_rare: int, p_value: float) -> None:
    """Of three values one has 2^-20: that it is not there is no evidence, that it is there is."""
    law = dataclasses.replace(COINS, upto=np.array([2.0**-20, 0.5, 1.0]))
    values = np.array([[1.0] * 10 + [0.0] * 10])
    values[0, :n_rare] = -1.0

    found = measured("atoms", values, law)

    assert found.p_value == pytest.approx(p_value, rel=1e-9, abs=0)


@pytest.mark.parametrize("heaviest", [1 / 1024, 1 / 2])
@pytest.mark.parametrize("most", [1, 2, 3, 5])
def test_of_a_fine_lattice_many_share_a_value_by_the_union_over_all_sets(
    most: int, heaviest: float
) -> None:
    """C(n, m) sets of m, each with probability h^(m - 1) at most."""
    values = np.array([0.5] * most + [0.1, 0.2, 0.3, 0.9])
    size = len(values)
    law = dataclasses.replace(FINE, heaviest=heaviest)

    found = measured("atoms", np.random.default_rng(1).permutation(values)[None], law)

    bound = math.comb(size, most) * heaviest ** (most - 1) if most > 1 else 1.0
    agree(found, most / size, min(1.0, bound), math.nan, f"at {0.1 if most == 1 else 0.5}")


def test_collisions_are_fewer_than_those_of_birthdays() -> None:
    """Two twins and a triplet among 12 are 4 repeats; the mean is h n (n - 1) / 2."""
    values = np.array([0.1, 0.2, 0.3, 0.3, 0.3, 0.4, 0.5, 0.5, 0.6, 0.7, 0.7, 0.8])
    law = dataclasses.replace(FINE, heaviest=2.0**-12)
    mean = 2.0**-12 * 66

    found = measured("collisions", values.reshape(2, 6), law)

    p_value = math.exp(-mean) * (math.e * mean / 4) ** 4
    fewest = next(
        k for k in range(1, 99) if math.exp(-mean) * (math.e * mean / k) ** k < STATISTICS.alpha
    )
    agree(found, 4 / 12, p_value, fewest / 12, "")


@pytest.mark.parametrize(("heaviest", "is_measured"), [(1 / 11, True), (1.001 / 11, False)])
def test_where_nearly_every_value_is_there_several_times_none_is_counted(
    heaviest: float, is_measured: bool
) -> None:
    """Twice the mean, h n (n - 1), is n = 12 at h = 1/11."""
    law = dataclasses.replace(FINE, heaviest=heaviest)

    found = measured_or_not("collisions", np.linspace(0.1, 0.9, 12)[None], law)

    assert (found is not None) == is_measured


def test_so_many_collisions_are_certain_to_show_that_fewer_are_as_likely_as_the_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bound at the share itself is not below it. Of twelve elements eleven repeat at most."""
    law = dataclasses.replace(FINE, heaviest=2.0**-12)
    mean = 2.0**-12 * 66

    def certain(alpha: float) -> float:
        share = dataclasses.replace(STATISTICS, part=alpha * 1e6 * STATISTICS.decisions)
        monkeypatch.setattr(battery, "STATISTICS", share)
        assert share.alpha == alpha
        return measured("collisions", np.linspace(0.1, 0.9, 12)[None], law).certain * 12

    assert certain(at_least(3, mean)) == 4
    assert certain(math.nextafter(at_least(3, mean), 1)) == 3
    assert certain(1e-300) == 12


def test_collisions_of_a_small_lattice_are_its_atoms() -> None:
    assert measured_or_not("collisions", coins(2, 8)) is None


# --- Independence --------------------------------------------------------------------------------

Place = tuple[str, list[float], float]
"""Its name, the products of two scores there, and how many of them are independent."""


def agree_with_places(found: Finding, law: ElementLaw, places: list[Place], n_groups: int) -> None:
    """Hold the finding to the place of the smallest p-value.

    n_groups: how many families of places there are, of which these hold the worst.
    """
    term, lean = law.score, law.score.lean**2
    product = Term(mean=0, variance=term.variance**2, reach=term.reach**2 + lean)
    means = [math.fsum(products) / len(products) for _, products, _ in places]
    chances = [
        chance(independent, max(abs(mean) - lean, 0.0), product.variance, product.reach)
        for mean, (_, _, independent) in zip(means, places, strict=True)
    ]
    index = int(np.argmin(chances))
    assert chances[index] < 0.5 / len(places) / n_groups
    most = max(independent for _, _, independent in places)
    agree(
        found,
        means[index] / term.variance,
        chances[index] * len(places) * n_groups,
        (lean + seen_for_certain(most, product, len(places))) / term.variance,
        places[index][0],
    )


BOTH = pytest.mark.parametrize("law", [COINS, LEANING], ids=["exact", "leaning"])


@BOTH
@pytest.mark.parametrize("distance", [1, 2, 5, 9])
def test_lags_are_all_products_of_two_elements_so_far_apart(law: ElementLaw, distance: int) -> None:
    """Of those of one distance half are independent, where elements are in more than one pair."""
    arrays = coins(40, 10, seed=1)
    if distance == 2:  # at no other distance are two alike
        arrays[:, [2, 3, 6, 7]] = arrays[:, [0, 1, 4, 5]]
    else:
        arrays[:, distance:] = -arrays[:, :-distance] if 2 * distance >= 10 else arrays[:, :1]
    s = scores(arrays)
    places: list[Place] = []
    for k in range(1, 10):
        products = [d[i] * d[i + k] for d in s for i in range(10 - k)]
        is_disjoint = k >= 10 - k
        places.append((f"{k} places on", products, len(products) / (1 if is_disjoint else 2)))

    agree_with_places(measured("lags", arrays, law), law, places, 1)


@BOTH
def test_reflections_are_all_products_of_an_element_and_its_mirror_image(law: ElementLaw) -> None:
    arrays = coins(16, 9, seed=2)
    arrays[:, 5:] = arrays[:, 3::-1]
    s = scores(arrays)
    places: list[Place] = []
    for twice in range(1, 16):
        pairs = [(i, twice - i) for i in range(9) if i < twice - i < 9]
        if pairs:
            products = [d[i] * d[j] for d in s for i, j in pairs]
            places.append((f"mirrored about place {twice / 2:g}", products, len(products)))
    assert len(places) == 15

    agree_with_places(measured("reflections", arrays, law), law, places, 1)


def test_what_is_mirrored_nowhere_is_correlated_with_nothing() -> None:
    """The first place has no pair, and where no pair shows anything it is told, with 0."""
    found = measured("reflections", np.array([[1.0, 0.0, 0.0]]))

    assert (found.statistic, found.p_value) == (0.0, 1.0)


def test_where_no_two_keys_show_anything_the_first_distance_is_told() -> None:
    found = measured("keys", np.zeros((2, 3)))

    assert (found.p_value, found.where) == (1.0, "-2 places on in the next draw")


@pytest.mark.parametrize("name", ["lags", "reflections"])
def test_one_element_is_correlated_with_nothing(name: str) -> None:
    assert measured_or_not(name, np.ones((8, 1))) is None


@BOTH
@pytest.mark.parametrize("distance", [-2, 0, 3])
def test_keys_are_all_products_of_an_element_and_one_of_the_next_draw(
    law: ElementLaw, distance: int
) -> None:
    """The draws are paired: the fifth pair of nine has no second, and is left out."""
    arrays = coins(25, 6, seed=3)
    for first, second in zip(arrays[::2], arrays[1::2], strict=False):
        second[:] = np.roll(first, distance)
    s = scores(arrays)
    places: list[Place] = []
    for k in range(-5, 6):
        products = [
            first[i] * second[i + k]
            for first, second in zip(s[::2], s[1::2], strict=False)
            for i in range(6)
            if 0 <= i + k < 6
        ]
        places.append((f"{k} places on in the next draw", products, len(products)))

    agree_with_places(measured("keys", arrays, law), law, places, 1)


def test_keys_of_two_elements_have_three_distances() -> None:
    arrays = np.repeat(coins(31, 2, seed=4), 2, axis=0)
    arrays[1::2, 1] = arrays[::2, 0]
    s = scores(arrays)
    places: list[Place] = [
        (f"{k} places on in the next draw", [a[i] * b[i + k] for a, b in pairs_of(s)], 31)
        for k, i in ((-1, 1), (1, 0))
    ]
    level = [a[i] * b[i] for a, b in pairs_of(s) for i in range(2)]
    places.insert(1, ("0 places on in the next draw", level, 62))

    agree_with_places(measured("keys", arrays), COINS, places, 1)


def pairs_of(arrays: Array) -> list[tuple[Array, Array]]:
    return list(zip(arrays[::2], arrays[1::2], strict=True))


@pytest.mark.parametrize("n_draws", [60, 61])
def test_keys_of_single_elements_are_paired_too(n_draws: int) -> None:
    arrays = np.repeat(coins(31, 1, seed=4), 2, axis=0)[:n_draws]
    products = [float(s * s) for s in scores(arrays[:60:2, 0])]

    found = measured("keys", arrays)

    agree_with_places(found, COINS, [("0 places on in the next draw", products, 30)], 1)


def test_a_draw_alone_has_no_other_key() -> None:
    assert measured_or_not("keys", coins(1, 8)) is None


def lines_of(arrays: Array, axis: int) -> list[list[float]]:
    """Return the elements of each line of an axis, of all draws, one by one."""
    shape = arrays.shape[1:]
    lines: list[list[float]] = [[] for _ in range(shape[axis])]
    for draw in arrays:
        for index in np.ndindex(shape):
            lines[index[axis]].append(float(draw[index]))
    return lines


@BOTH
@pytest.mark.parametrize("axis", [0, 2])
def test_lines_are_all_products_of_two_lines_of_an_axis(law: ElementLaw, axis: int) -> None:
    """An axis of one line has none."""
    arrays = coins(12, 3, 1, 4, seed=5)
    lines = np.moveaxis(arrays, axis + 1, 0)
    lines[2] = -lines[1]
    s = scores(arrays)
    places: list[Place] = []
    for one, two in itertools.combinations(range(s.shape[axis + 1]), 2):
        pairs = zip(lines_of(s, axis)[one], lines_of(s, axis)[two], strict=True)
        products = [a * b for a, b in pairs]
        places.append((f"lines {one} and {two} of axis {axis}", products, len(products)))

    agree_with_places(measured("lines", arrays, law), law, places, 2)


def test_two_lines_are_correlated_and_one_with_nothing() -> None:
    arrays = np.repeat(coins(64, 1, 1, seed=6), 2, axis=1)
    products = [float(s * s) for s in scores(arrays[:, 0, 0])]

    agree_with_places(
        measured("lines", arrays), COINS, [("lines 0 and 1 of axis 0", products, 64)], 1
    )
    assert measured_or_not("lines", arrays[:, :1]) is None


def test_no_more_lines_are_correlated_than_take_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = coins(64, 4, seed=6)
    arrays[:, 3] = arrays[:, 0]

    with_all = measured("lines", arrays)
    monkeypatch.setattr(battery, "MOST_LINES", 3)
    without = measured("lines", arrays)

    assert with_all.p_value < 0.01 < without.p_value


def test_a_thousand_lines_of_an_axis_are_correlated() -> None:
    """A million pairs of a thousand elements each take 50 ms."""
    assert battery.MOST_LINES == 2**10


@BOTH
@pytest.mark.parametrize("what", ["mean", "spread"])
@pytest.mark.parametrize("axis", [0, 1])
def test_levels_are_the_mean_and_the_spread_of_each_line(
    law: ElementLaw, what: str, axis: int
) -> None:
    arrays = coins(40, 2, 3, seed=7)
    line = np.moveaxis(arrays, axis + 1, 0)[1]
    line[...] = 1.0 if what == "mean" else np.sign(line + 0.5)
    if what == "mean":  # or the spread shows it even better
        law = dataclasses.replace(law, square=None)
    n_groups = 2 if law.square is None else 4
    term = law.square or law.score
    found_of: Callable[[float], float] = (lambda s: s) if what == "mean" else (lambda s: s * s)
    lines = [[found_of(s) for s in line] for line in lines_of(scores(arrays), axis)]
    moved = [math.fsum(line) / len(line) - term.mean for line in lines]
    chances = [
        chance(len(line), max(abs(m) - term.lean, 0.0), term.variance, term.reach)
        for m, line in zip(moved, lines, strict=True)
    ]
    index, sigma = int(np.argmin(chances)), math.sqrt(term.variance)

    found = measured("levels", arrays, law)

    certain = (term.lean + seen_for_certain(len(lines[0]), term, len(lines))) / sigma
    where = f"{what} of line {index} of axis {axis} of {len(lines)}"
    p_value = chances[index] * len(lines) * n_groups
    assert p_value < 0.1
    agree(found, moved[index] / sigma, p_value, certain, where)


def test_levels_of_a_law_whose_squares_are_unknown_are_means_only() -> None:
    law = dataclasses.replace(COINS, square=None)
    arrays = np.sign(coins(40, 2, 3, seed=7) + 0.5)

    assert measured("levels", arrays, law).where.startswith("mean")
    assert measured("levels", arrays, COINS).where.startswith("spread")


def test_levels_of_one_kind_are_no_likelier_than_certain() -> None:
    law = dataclasses.replace(COINS, square=None)

    assert measured("levels", np.zeros((4, 3)), law).p_value == 1.0


def test_a_level_that_never_varies_is_told_as_it_is() -> None:
    """In units of 1, for it has no standard deviation."""
    score = Term(mean=0.0, variance=0.0, reach=0.5, lean=1 / 64)
    law = dataclasses.replace(COINS, score=score, square=None)

    found = measured("levels", np.ones((4, 3)), law)

    assert found.statistic == 3 / 8
    evidence = math.log(2 * 3 / STATISTICS.alpha) + math.log(2 / CERTAIN)
    assert found.certain == pytest.approx(1 / 64 + 2 * 0.5 / 3 * evidence / 4, rel=1e-12)


@BOTH
def test_the_leading_squares_of_the_last_two_axes_are_compared_with_their_transpose(
    law: ElementLaw,
) -> None:
    arrays = coins(6, 2, 3, 4, seed=8)
    for i, j in itertools.combinations(range(3), 2):
        arrays[..., j, i] = arrays[..., i, j]
    s = scores(arrays)
    products = [
        s[draw, block, i, j] * s[draw, block, j, i]
        for draw in range(6)
        for block in range(2)
        for i, j in itertools.combinations(range(3), 2)
    ]

    agree_with_places(measured("transposed", arrays, law), law, [("", products, 36)], 1)


@pytest.mark.parametrize("shape", [(8,), (8, 1), (1, 8)])
def test_what_has_no_square_has_no_transpose(shape: tuple[int, ...]) -> None:
    assert measured_or_not("transposed", coins(4, *shape)) is None


def test_the_smallest_square_has_a_transpose() -> None:
    assert measured_or_not("transposed", coins(4, 2, 2)) is not None


# --- Copies --------------------------------------------------------------------------------------


def different(*shape: int) -> Array:
    return np.arange(float(math.prod(shape))).reshape(shape)


@pytest.mark.parametrize(
    ("place", "where", "n_lines", "length"),
    [
        (np.s_[3, :, :], "draws", 5, 42),
        (np.s_[:, 4, :], "lines of axis 0", 30, 7),
        (np.s_[:, :, 2], "lines of axis 1", 35, 6),
    ],
)
def test_copies_of_draws_and_lines_are_counted(
    place: tuple[int | slice, ...], where: str, n_lines: int, length: int
) -> None:
    """Lines of one axis are those of all draws: 5 of 6 rows and 7 columns."""
    arrays = different(5, 6, 7)
    first = tuple(0 if isinstance(index, int) else index for index in place)
    arrays[place] = arrays[first]

    found = measured("copies", arrays, dataclasses.replace(COINS, heaviest=2.0**-12))

    assert (found.where, found.statistic) == (where, (1 if where == "draws" else 5) / n_lines)
    p_value = 3 * math.comb(n_lines, 2) * 2.0 ** (-12 * length)
    assert found.p_value == pytest.approx(p_value, rel=1e-12, abs=0)


def test_copies_of_what_chance_makes_alike_are_no_evidence() -> None:
    """Of 10 pairs of single elements 5 are alike, where one value has half of the mass."""
    found = battery._copied_lines(sample_of(np.ones((5, 1)), COINS), -1)

    assert found is not None
    assert (found.statistic, found.p_value) == (4 / 5, 1.0)


def test_where_nothing_is_copied_it_is_no_evidence() -> None:
    found = measured("copies", different(5, 6, 7))
    alone = battery._copied_lines(sample_of(different(5, 6, 7), COINS), -1)

    assert (found.statistic, found.p_value) == (0.0, 1.0)
    assert alone is not None
    assert alone.p_value == 1.0


def test_two_lines_may_be_copies() -> None:
    law = dataclasses.replace(COINS, heaviest=2.0**-12)

    found = battery._copied_lines(sample_of(np.ones((2, 3)), law), -1)

    assert found is not None
    assert found.statistic == 1 / 2
    assert found.p_value == pytest.approx(2.0**-36, rel=1e-12)


def test_of_one_line_nothing_is_a_copy() -> None:
    assert measured_or_not("copies", np.ones((1, 1))) is None


def test_lines_that_equal_an_earlier_one_are_counted() -> None:
    lines = np.array([[3, 0], [0, 1], [3, 0], [7, 7], [3, 0]], np.uint64)

    assert battery._n_copies(lines) == 2
    assert battery._n_copies(lines[:2]) == 0


def test_lines_of_one_sum_are_no_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(battery, "FIBONACCI", 0)  # all weights are 1
    lines = np.array([[1, 2], [2, 1], [0, 3], [2, 1], [9, 9]], np.uint64)

    assert battery._n_copies(lines) == 1


def test_only_lines_of_equal_sums_are_compared_word_by_word() -> None:
    lines = np.array([[3, 0], [0, 1], [3, 0], [7, 7], [3, 0], [0, 1], [4, 4]], np.uint64)

    found = battery._of_equal_sums(lines)

    assert found.tolist() == [[3, 0], [0, 1], [3, 0], [3, 0], [0, 1]]


@pytest.mark.parametrize("column", [0, 1, 2])
def test_every_bit_of_a_line_changes_its_sum(column: int) -> None:
    line = np.random.default_rng(0).integers(2**64, size=3, dtype=np.uint64)
    for bit in range(64):
        other = line.copy()
        other[column] ^= np.uint64(1 << bit)
        assert not battery._of_equal_sums(np.stack([line, other])).size


@pytest.mark.parametrize("n_equal", [2, 600])
def test_an_atom_of_unknown_weight_is_bounded_by_the_sample(n_equal: int) -> None:
    """Its share, and twice Massart's distance: that above it, and that below."""
    values = different(1, 1000)
    values[0, :n_equal] = 0.25
    distance = math.sqrt(math.log(2 / STATISTICS.alpha) / 2000)

    found = battery._heaviest(sample_of(values, UNKNOWN))

    assert found == pytest.approx(min(1.0, n_equal / 1000 + 2 * distance), rel=1e-12)


def test_an_atom_has_no_more_than_all_of_the_mass() -> None:
    assert battery._heaviest(sample_of(np.ones((1, 10)), UNKNOWN)) == 1.0


def test_a_bound_on_many_tests_is_their_number_times_the_least() -> None:
    def worst(*p_values: float) -> tuple[float, float]:
        found = [Finding(statistic=p, p_value=p) for p in p_values]
        least = battery.worst([None, *found])
        assert least is not None
        return least.statistic, least.p_value

    assert worst(0.5, 0.01, 0.4) == (0.01, 0.03)
    assert worst(0.5, 0.4) == (0.4, 0.8)
    assert worst(0.7, 0.7) == (0.7, 1.0)
    assert battery.worst([None]) is None


def test_the_probability_beyond_is_known_of_one_test_alone() -> None:
    exact, bound = (Finding(statistic=1.0, p_value=0.5, beyond=b) for b in (0.25, math.nan))

    assert battery.worst([None, exact]) == exact
    of_two = battery.worst([exact, bound])
    assert of_two is not None
    assert math.isnan(of_two.beyond)


def test_what_is_certain_to_show_shows_but_for_a_chance_in_a_million() -> None:
    """A mean that lies as far beyond as chance takes back is refused, and just so."""
    term = COINS.powers[0]
    certain = measured("mean", np.zeros((4, 100))).certain
    taken_back = seen_for_certain(400, term) - certain

    assert taken_back == pytest.approx(0.0, abs=1e-9)
    assert float(bernstein(400, certain, term.variance, term.reach)) < STATISTICS.alpha
