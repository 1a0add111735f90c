"""The law of a sweep in few numbers, to be drawn: its density, and where its errors lie."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from conformance.core.laws import Law
from conformance.judge.law.accuracy import LawEvidence, signed_error

N_POINTS = 2**16
"""Words that the numbers are taken from, evenly spaced: all of a dtype of 16 bits."""

MAX_BINS = 48
PER_BIN = 8
"""Words of a bin on average at the least: fewer, and bins show where the lattice's points lie."""

N_STEPS = 128

Numbers = tuple[float, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """What a plot of a law shows.

    edges: of at most MAX_BINS bins, in sigma of the continuous law. density: share of the swept
    values in each, per sigma; ideal: the continuous law's density in the middle of each.
    worst, mean: of N_STEPS equal shares of the words, in the order of the words, the largest error
    without its sign, and the mean error away from zero, in ULP at the larger of value and sigma.
    """

    edges: Numbers
    density: Numbers
    ideal: Numbers
    worst: Numbers
    mean: Numbers


def curve_of(evidence: LawEvidence) -> Curve:
    """Return the curve of a sweep; values that are not finite are in no bin and have no error."""
    reference = evidence.reference
    stride = max(1, evidence.sweep.values.size // N_POINTS)
    actual = evidence.sweep.values[::stride]
    exact = reference.unit[::stride] * reference.law.factor
    shown = actual.astype(np.float64) / reference.sigma
    shown = shown[np.isfinite(shown)]
    n_bins = min(MAX_BINS, max(1, shown.size // PER_BIN))
    edges = np.linspace(*_range(shown), n_bins + 1)
    counts, _ = np.histogram(shown, bins=edges)
    errors = signed_error(actual, exact, reference.sigma)
    steps = np.array_split(errors, min(N_STEPS, errors.size))
    return Curve(
        edges=_numbers(edges),
        density=_numbers(counts / (shown.size or 1) / np.diff(edges)),
        ideal=_numbers(_ideal(reference.law, (edges[1:] + edges[:-1]) / 2, reference.sigma)),
        worst=_numbers([np.abs(step).max() for step in steps]),
        mean=_numbers([step.mean() for step in steps]),
    )


def _range(shown: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return bounds of all values, with some room where they are one."""
    if not shown.size:
        return -1.0, 1.0
    low, high = float(shown.min()), float(shown.max())
    return (low, high) if low != high else (low - 1.0, high + 1.0)


def _ideal(law: Law, middles: npt.NDArray[np.float64], sigma: float) -> npt.NDArray[np.float64]:
    """Return the density of value / sigma there: of the unit variate, times |d unit / d value|."""
    unit = middles * sigma / law.factor
    low, high = law.support
    inside = (unit >= low) & (unit <= high)
    density = np.exp(law.log_density(np.clip(unit, low, high)))
    return np.where(inside, density * sigma / abs(law.factor), 0.0)


def _numbers(values: npt.ArrayLike) -> Numbers:
    return tuple(np.asarray(values, np.float64).tolist())
