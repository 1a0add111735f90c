"""The numbers that a plot of a law shows: bins, densities and errors."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import mpmath
import numpy as np
import pytest

from conformance.core.arrays import Array
from conformance.core.laws import Definition, Law, Normal, TruncatedNormal, Uniform
from conformance.judge.law import curve
from conformance.judge.law.accuracy import signed_error
from conformance.judge.law.curve import curve_of


def law_of(definition: Definition) -> Law:
    law = definition.law((8,), is_complex=False)
    assert law is not None
    return law


def evidence(values: Array, unit: Array, factor: float = 1.0, sigma: float = 0.5) -> Any:
    """Return what the curve is taken of: a sweep, and the exact values of its words."""
    law = law_of(Uniform(scale=factor))
    return SimpleNamespace(
        sweep=SimpleNamespace(values=values),
        reference=SimpleNamespace(law=law, unit=unit, sigma=sigma),
    )


@pytest.mark.parametrize("scale", [2.0, -2.0])
def test_the_density_of_a_uniform_is_level_up_to_its_very_ends(scale: float) -> None:
    """Of one over [0, 2), in halves: 1/4 between 0 and 4."""
    middles = np.array([0.0, 1.0, 4.0, math.nextafter(4, 5), -1e-300, -1.0]) * np.sign(scale)

    found = curve._ideal(law_of(Uniform(scale=scale)), middles, 0.5)

    assert found.tolist() == [0.25, 0.25, 0.25, 0.0, 0.0, 0.0]


def test_the_density_of_a_normal_is_per_sigma() -> None:
    found = curve._ideal(law_of(Normal(stddev=0.5)), np.array([-1.0, 0.0, 2.5]), 0.25)

    expected = [float(mpmath.npdf(middle / 2)) / 2 for middle in (-1.0, 0.0, 2.5)]
    assert found.tolist() == pytest.approx(expected, rel=1e-12)


def test_a_law_that_does_not_reach_zero_has_no_density_there() -> None:
    law = law_of(TruncatedNormal(stddev=1.0, lower=2.0, upper=3.0))
    mass = float(mpmath.ncdf(3) - mpmath.ncdf(2))

    found = curve._ideal(law, np.array([0.0, 1.9, 2.5, 3.1]), 1.0)

    assert found.tolist() == pytest.approx([0, 0, float(mpmath.npdf(2.5)) / mass, 0], rel=1e-9)


@pytest.mark.parametrize(
    ("shown", "bounds"), [([], (-1.0, 1.0)), ([3.0, 3.0], (2.0, 4.0)), ([1.0, 3.0], (1.0, 3.0))]
)
def test_bounds_hold_all_values_with_some_room_where_they_are_one(
    shown: list[float], bounds: tuple[float, float]
) -> None:
    assert curve._range(np.array(shown)) == bounds


def test_bins_share_the_values_and_hold_eight_on_average() -> None:
    """Of 33 values, in halves, four bins from 0 to 2 x 32 / 33, and what is no number in none."""
    unit = np.arange(33.0) / 33
    values = np.append(unit, [np.inf, np.nan]).astype(np.float32)
    found = curve_of(evidence(values, np.append(unit, [0.5, 0.5])))

    shown = values[:33].astype(np.float64) / 0.5
    width = shown.max() / 4
    assert found.edges == pytest.approx([0, width, 2 * width, 3 * width, 4 * width], rel=1e-12)
    counts = [sum(bool(min(int(x / width), 3) == n) for x in shown) for n in range(4)]
    assert found.density == pytest.approx([n / 33 / width for n in counts], rel=1e-12)
    assert found.ideal == (0.5, 0.5, 0.5, 0.5)


def test_the_ideal_density_is_that_in_the_middle_of_each_bin() -> None:
    values = np.linspace(-1, 1, 33)
    law = law_of(Normal(stddev=0.5))
    held: Any = SimpleNamespace(
        sweep=SimpleNamespace(values=values),
        reference=SimpleNamespace(law=law, unit=values, sigma=0.5),
    )

    found = curve_of(held)

    assert found.edges == (-2.0, -1.0, 0.0, 1.0, 2.0)
    density = [float(mpmath.npdf(middle)) for middle in (-1.5, -0.5, 0.5, 1.5)]
    assert found.ideal == pytest.approx(density, rel=1e-12)


def test_there_is_a_bin_where_there_is_a_value() -> None:
    found = curve_of(evidence(np.zeros(1, np.float32), np.zeros(1)))

    assert found.edges == (-1.0, 1.0)
    assert found.density == (0.5,)
    assert (found.worst, found.mean) == ((0.0,), (0.0,))


def test_of_no_number_there_is_no_density() -> None:
    found = curve_of(evidence(np.full(2, np.nan, np.float32), np.zeros(2)))

    assert (found.edges, found.density) == ((-1.0, 1.0), (0.0,))


def test_there_are_no_more_bins_and_steps_than_a_plot_shows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert (curve.MAX_BINS, curve.PER_BIN, curve.N_STEPS) == (48, 8, 128)
    monkeypatch.setattr(curve, "MAX_BINS", 3)
    monkeypatch.setattr(curve, "N_STEPS", 5)
    unit = np.arange(800.0) / 800

    found = curve_of(evidence(unit.astype(np.float32), unit))

    assert (len(found.edges), len(found.density), len(found.ideal)) == (4, 3, 3)
    assert (len(found.worst), len(found.mean)) == (5, 5)


def test_errors_are_told_of_equal_shares_of_the_words_in_their_order() -> None:
    """Of every second word where there are twice as many as are looked at."""
    unit = np.arange(256.0) / 256
    values = unit.astype(np.float32)
    values[40:44] = np.nextafter(values[40:44], np.float32(np.inf))
    values[201] = np.nextafter(values[201], np.float32(-1))

    found = curve_of(evidence(values, unit, sigma=0.25))

    errors = signed_error(values, unit, 0.25)
    shares = [errors[start : start + 2] for start in range(0, 256, 2)]
    assert found.worst == tuple(float(max(abs(e) for e in share)) for share in shares)
    assert found.mean == tuple(float(sum(share) / 2) for share in shares)
    assert sum(worst > 0 for worst in found.worst) == 3


@pytest.mark.parametrize("factor", [4.0, -0.25])
def test_errors_are_those_of_what_the_factor_makes_of_the_words(factor: float) -> None:
    unit = np.arange(64.0) / 64
    values = (unit * factor).astype(np.float32)
    values[40] = np.nextafter(values[40], np.float32(np.inf))

    found = curve_of(evidence(values, unit, factor=factor))

    assert found.mean == tuple(signed_error(values, unit * factor, 0.5).tolist())
    assert np.flatnonzero(found.worst).tolist() == [40]


def test_words_are_taken_at_even_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    assert curve.N_POINTS == 2**16
    unit = np.arange(256.0) / 256
    monkeypatch.setattr(curve, "N_POINTS", 64)

    thinned = curve_of(evidence(unit.astype(np.float32), unit, factor=2.0))
    monkeypatch.setattr(curve, "N_POINTS", 2**16)
    taken = curve_of(evidence(unit[::4].astype(np.float32), unit[::4], factor=2.0))

    assert thinned == taken
    assert any(thinned.mean)
