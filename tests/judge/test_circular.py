"""What complex draws are turned into: figures against other ways to them."""

from __future__ import annotations

import math
from collections.abc import Callable

import mpmath
import numpy as np
import pytest

from conformance.core.laws import (
    Constant,
    Definition,
    Law,
    Logistic,
    Normal,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
)
from conformance.judge.statistics import circular, circular_law, circular_of
from conformance.judge.statistics.finding import Finding

ARRAYS = np.random.default_rng(11).standard_normal((2, 6, 2)).view(np.complex128)[..., 0] / 4

DISK, CIRCLE = Uniform(scale=-0.5), Normal(stddev=0.5)
CUT = TruncatedNormal(stddev=0.5, lower=-1.0, upper=1.5)
"""Its modulus is at most 1.5; a lower bound is none of a modulus."""


@pytest.mark.parametrize(
    ("law", "share"),
    [
        (DISK, lambda r: r**2 / 2),
        (CIRCLE, lambda r: 1 - mpmath.exp(-(r**2))),
        (CUT, lambda r: (1 - mpmath.exp(-(r**2))) / (1 - mpmath.exp(-2.25))),
    ],
    ids=["disk", "normal", "truncated"],
)
def test_a_modulus_becomes_the_mass_within_it_and_an_angle_its_part_of_a_turn(
    law: Law, share: Callable[[mpmath.mpf], mpmath.mpf]
) -> None:
    """The mass of the law of unit second moment, in units of the factor, and no more than all."""
    moduli = np.array([2.0**-20, 0.25, 1.0, 1.25, 9.0])
    turns = np.array([1 / 8, -1 / 4, 1 / 2, 0.0, 3 / 8])
    arrays = 0.5 * (moduli * np.exp(2j * np.pi * turns)).reshape(1, 5)

    found = circular_of(arrays, law).samples

    with mpmath.workdps(30):
        masses = [float(min(share(mpmath.mpf(r)), 1)) for r in moduli]
    assert found["moduli"].arrays[0] == pytest.approx(masses, rel=1e-12)
    assert found["angles"].arrays[0] == pytest.approx(turns + 0.5, rel=1e-12)
    both = [[found[name].arrays[0, i] for name in ("moduli", "angles")] for i in range(5)]
    assert found["moduli and angles"].arrays.tolist() == [both]


def test_the_parts_of_a_normal_are_normals_of_half_its_variance_side_by_side() -> None:
    arrays = np.array([[1 + 2j, 3 - 4j, -5 + 6j]], np.complex64)

    parts = circular_of(arrays, CIRCLE).samples["parts"]

    assert parts.arrays.tolist() == [[[1, 2], [3, -4], [-5, 6]]]
    assert parts.law.sigma == pytest.approx(0.5 / math.sqrt(2), rel=1e-12)
    assert parts.arrays.dtype == np.float32


@pytest.mark.parametrize("law", [DISK, CUT], ids=["disk", "truncated"])
def test_the_parts_of_another_law_are_not_independent(law: Law) -> None:
    assert set(circular_of(ARRAYS, law).samples) == {"moduli", "angles", "moduli and angles"}


@pytest.mark.parametrize(("dtype", "cell"), [("complex64", 2.0**-23), ("complex128", 2.0**-52)])
def test_a_mapped_uniform_leans_by_a_cell_and_six_roundings_of_the_modulus(
    dtype: str, cell: float
) -> None:
    """The mass within a modulus changes by at most twice what the modulus does, in parts of it.

    A uniform has sigma 1 / root 12, so that it reaches to root 3 of it, and x^n at r changes by
    n r^(n - 1) times what x does. Two values of a part have one modulus, and two points each.
    """
    slack = 2 * 6 * cell / 2 + cell
    furthest = math.sqrt(3)

    law = circular_of(ARRAYS.astype(dtype), DISK).samples["moduli"].law

    assert law.slack == slack
    assert law.heaviest == 2 * 2 * cell
    assert law.score.lean == cell + slack
    assert law.square is not None
    assert law.square.lean == cell + slack
    for order, term in enumerate(law.powers, start=1):
        of_modulus = order * furthest ** (order - 1) * math.sqrt(12) * slack
        assert term.lean == pytest.approx(2 * furthest**order * cell + of_modulus, rel=1e-12)


def test_of_several_samples_the_least_likely_finding_counts_as_often_as_there_are_some() -> None:
    samples = circular_of(ARRAYS, DISK).samples
    found = {
        id(samples["moduli"]): Finding(statistic=1.0, p_value=0.25),
        id(samples["angles"]): Finding(statistic=2.0, p_value=0.125, where="at 3"),
    }
    of_all = circular.Circular(samples=samples, n_draws=2, size=12)

    worst = circular._of_each(lambda sample: found.get(id(sample)), of_all)
    del found[id(samples["angles"])]
    alone = circular._of_each(lambda sample: found.get(id(sample)), of_all)

    assert worst is not None
    assert (worst.statistic, worst.p_value, worst.where) == (2.0, 0.25, "of angles, at 3")
    assert alone is not None
    assert (alone.statistic, alone.p_value, alone.where) == (1.0, 0.25, "of moduli")
    assert circular._of_each(lambda _: None, of_all) is None


@pytest.mark.parametrize(
    "definition",
    [Normal(stddev=0.0), Uniform(scale=0.0), Constant(value=1.0), Logistic(scale=1.0)],
    ids=repr,
)
def test_a_law_of_no_variance_or_of_unknown_moduli_is_not_mapped(definition: Definition) -> None:
    assert circular_law(definition, (4, 2)) is None


@pytest.mark.parametrize("law", [DISK, CIRCLE, CUT], ids=["disk", "normal", "truncated"])
def test_a_law_of_known_moduli_is_itself_that_of_the_elements(law: Law) -> None:
    assert circular_law(law, (4, 2)) == law


def test_the_law_of_a_complex_scaling_has_the_factor_of_complex_numbers() -> None:
    """A disk of radius root 2 has the second moment 1; a real uniform of root 3 to either side."""
    definition = VarianceScaling(scale=2.0, mode="fan_in", distribution="uniform")

    found = circular_law(definition, (8, 2))

    assert found is not None
    assert found.factor == pytest.approx(0.5, rel=1e-15)
