"""How small a fault the statistics see, by dtype and sample size; and whether they do.

`judge.statistics` states with each finding the smallest fault that is refused with probability
1 - CERTAIN. Here such faults are planted in what the oracle draws, at just that size, and counted:
of a few hundred samples every one must be refused, for else a statement is wrong. At a fraction of
it the rate falls, and shows how much the inequalities give away.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from conformance.core.arrays import Array, as_dtype, widen
from conformance.core.laws import Normal
from conformance.judge.alpha import STATISTICS
from conformance.judge.statistics import TESTS, ElementLaw, element_law, sample_of
from conformance.judge.statistics.finding import Test
from conformance.oracle import solve_words, word_bits

DTYPES = ("float32", "float16", "bfloat16")

SIZES = (2**11, 2**14, 2**16)
"""Elements: one array of 64 x 32, and the first two looks at such arrays: 8 and 32 of them."""

PARTS = (1.0, 0.75, 0.5, 0.25)
"""Of the smallest fault that is stated to be certain."""

LAW = Normal(stddev=1.0)

Plant = Callable[[Array, float, ElementLaw], Array]
"""(right draws in float64, size, law) -> draws that are wrong by it, in the unit of the test."""


def _moved(draws: Array, size: float, law: ElementLaw) -> Array:
    return np.asarray(draws + size * law.sigma)


def _wider(draws: Array, size: float, law: ElementLaw) -> Array:
    return np.asarray(law.mean + (draws - law.mean) * math.sqrt(1 + size))


def _mixed(draws: Array, size: float, law: ElementLaw) -> Array:
    """Return draws of which such a share, by every place alike, is the largest value."""
    del law
    return np.where(_places(draws) < size, draws.max(), draws)


def _correlated(draws: Array, size: float, law: ElementLaw) -> Array:
    """Return draws in which the product with the next one's score has such a mean.

    Such a share of elements are copies of the one before, itself a copy perhaps: of a copy the
    product of scores has mean 1, of all others 0.
    """
    del law
    is_copy, places = _places(draws) < size, np.arange(draws.size)
    is_copy[0] = False
    return np.asarray(draws[np.maximum.accumulate(np.where(is_copy, 0, places))])


OUTLYING = 3.0
"""Standard deviations at which powers are planted: within the reach of every dtype's normal."""


def _outlying(order: int) -> Plant:
    """Return a plant that moves the mean of a power: a share of draws lies OUTLYING sigmas out."""

    def plant(draws: Array, size: float, law: ElementLaw) -> Array:
        share = size / (OUTLYING**order - law.powers[order - 1].mean)
        return np.where(_places(draws) < share, law.mean + OUTLYING * law.sigma, draws)

    return plant


def _without_a_tail(draws: Array, size: float, law: ElementLaw) -> Array:
    """Return draws none of which lies in the upper tail of such a mass."""
    _, upto = law.distribution(draws)
    return np.where(upto > 1 - size, law.mean, draws)


def _at_one_value(draws: Array, size: float, law: ElementLaw) -> Array:
    """Return draws of which such a share more have one value, of the fewest words."""
    assert law.points is not None
    assert law.upto is not None
    rarest = law.points[int(np.diff(law.upto, prepend=0.0).argmin())]
    return np.where(_places(draws) < size, rarest, draws)


def _repeated(draws: Array, size: float, law: ElementLaw) -> Array:
    """Return draws of which such a share are copies, each of another of the first half."""
    del law
    n, count = draws.size, math.ceil(size * draws.size)
    assert count <= n // 2
    return np.concatenate([draws[: n - count], draws[:count]])


def _mirrored(draws: Array, size: float, law: ElementLaw) -> Array:
    """Return draws of which such a share of the second half are those of the first, mirrored."""
    del law
    is_copy = (_places(draws) < size) & (np.arange(draws.size) >= draws.size // 2)
    return np.where(is_copy, draws[::-1], draws)


def _places(draws: Array) -> Array:
    """Return a number for each place, evenly spread over [0, 1) however few there are."""
    return np.asarray(np.arange(draws.size) * 0.6180339887498949 % 1)


PLANTS: dict[str, Plant] = {
    "mean": _moved,
    "variance": _wider,
    "skewness": _outlying(3),
    "kurtosis": _outlying(4),
    "goodness_of_fit": _mixed,
    "extremes": _without_a_tail,
    "atoms": _at_one_value,
    "collisions": _repeated,
    "lags": _correlated,
    "reflections": _mirrored,
}
"""The tests whose statistic a fault can be given exactly, with the way to. `atoms` states what it
sees of small lattices only, and `collisions` of fine ones."""

OF_FINE_LATTICES = frozenset({"extremes"})
"""Tests that see less than the mass of one value of a small lattice, so that none can lack it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """What a test sees of a number of elements in a dtype.

    certain: the smallest fault that it states to refuse for certain, in its unit.
    refused: of N samples with each of PARTS of that fault, how many it refused.
    """

    test: str
    dtype: str
    size: int
    certain: float
    n_samples: int
    refused: tuple[int, ...]

    @property
    def holds(self) -> bool:
        """Whether every sample of the stated fault was refused.

        One that is not refutes the statement, since a few hundred times CERTAIN is small. That all
        are shows little more than 99 %: 300 samples all would be at that rate 1 time in 20.
        """
        return self.refused[0] == self.n_samples


def powers(
    *, n_samples: int, dtypes: Sequence[str] = DTYPES, sizes: Sequence[int] = SIZES, seed: int = 0
) -> Iterator[Power]:
    """Yield the power of each test that a fault can be planted for, by simulation.

    Nothing where a test does not apply, or states for no size that it sees it for certain.
    """
    tests = [test for test in TESTS if test.name in PLANTS]
    for dtype in dtypes:
        for size in sizes:
            law = element_law(LAW, (size,), dtype)
            assert law is not None
            rng = np.random.default_rng([seed, size, as_dtype(dtype).itemsize])
            samples = [_drawn(rng, size, dtype) for _ in range(n_samples)]
            for test in tests:
                if (power := _power(test, law, samples, dtype)) is not None:
                    yield power


def _power(test: Test, law: ElementLaw, samples: Sequence[Array], dtype: str) -> Power | None:
    size = samples[0].size
    right = test.measure(sample_of(samples[0][None], law))
    if right is None or math.isnan(right.certain):
        return None
    if test.name in OF_FINE_LATTICES and law.points is not None:
        return None
    plant = PLANTS[test.name]

    def is_refused(draws: Array, part: float) -> bool:
        wrong = plant(widen(draws), part * right.certain, law)
        finding = test.measure(sample_of(wrong[None], law))
        assert finding is not None
        return finding.p_value < STATISTICS.alpha

    return Power(
        test=test.name,
        dtype=dtype,
        size=size,
        certain=right.certain,
        n_samples=len(samples),
        refused=tuple(sum(is_refused(each, part) for each in samples) for part in PARTS),
    )


def _drawn(rng: np.random.Generator, size: int, dtype: str) -> Array:
    """Return what the definition makes of fair words, with JAX's roundings."""
    width = word_bits(as_dtype(dtype))
    words = rng.integers(2**width, size=size, dtype=f"u{width // 8}")
    followed = solve_words(words, LAW, as_dtype(dtype), (size,)).followed
    assert followed is not None
    return followed


HEAD = ("dtype", "elements", *PLANTS)


def lines(found: Sequence[Power]) -> Iterator[tuple[str, ...]]:
    """Yield a line a dtype and size: what is certain, and the shares refused at PARTS of it."""
    by_row: dict[tuple[str, int], dict[str, Power]] = {}
    for each in found:
        by_row.setdefault((each.dtype, each.size), {})[each.test] = each
    for (dtype, size), tests in by_row.items():
        yield (dtype, f"{size:,}", *(_told(tests.get(name)) for name in PLANTS))


def _told(power: Power | None) -> str:
    if power is None:
        return ""
    shares = " ".join(f"{100 * n / power.n_samples:.3g}" for n in power.refused)
    return f"{power.certain:.2g}: {shares}"
