"""Instructions whose last bits the manual leaves open: a set of permitted results, not one.

The manual bounds the error, so each result is one of a few neighbours of the exact one. A run takes
one of them, told by the `Choice`; running over all choices gives all that the device may return.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Site = tuple[str, int]
"""An approximate instruction: its kernel and its index there."""

Singles = npt.NDArray[np.float32]
Wide = npt.NDArray[np.float64]

REACH = 2
"""Most steps between the correctly rounded result and a permitted one.

2 ULP is what the manual says of `div.full` and `ex2.approx`; the 2^-23 that it says of
`sqrt.approx` is less than 2 ULP, 1 ULP being at least 2^-24 of the value.
"""


@dataclasses.dataclass(kw_only=True)
class Choice:
    """Which permitted result the instruction at `site` returns; all others return the nearest.

    offset: steps from the correctly rounded result. sites: those that were run, noted on the way.
    """

    site: Site | None = None
    offset: int = 0
    sites: set[Site] = dataclasses.field(default_factory=set)

    def take(self, site: Site, results: Singles, lowest: Singles, highest: Singles) -> Singles:
        """Return the chosen results, none beyond what is permitted."""
        self.sites.add(site)
        if site != self.site or not self.offset:
            return results
        towards = np.float32(np.inf if self.offset > 0 else -np.inf)
        moved = results
        with np.errstate(all="ignore"):
            for _ in range(abs(self.offset)):
                moved = np.nextafter(moved, towards)
            chosen = np.clip(moved, lowest, highest)
        return np.where(np.isfinite(results) & (results != 0), chosen, results)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a program returns on a device.

    values: with every approximate instruction rounded correctly. lowest, highest: the extremes over
    all permitted results of each approximate instruction in turn. `n_sites`: how many there are;
    with one at most, the interval is complete, else it is that of one deviating at a time.
    """

    values: npt.NDArray[Any]
    lowest: npt.NDArray[Any]
    highest: npt.NDArray[Any]
    n_sites: int

    @property
    def is_open(self) -> npt.NDArray[np.bool_]:
        """Where more than one result is permitted."""
        return np.asarray(self.lowest != self.highest) & ~np.isnan(self.values)


def predict(run: Callable[[Choice], npt.NDArray[Any]]) -> Prediction:
    """Return what a run may return, over the choices of each approximate instruction."""
    first = Choice()
    values = run(first)
    lowest = highest = values
    for choice in _deviations(first.sites):
        other = run(choice)
        # Comparisons, not minimum: ml_dtypes has none that keeps bfloat16.
        lowest = np.where(other < lowest, other, lowest)
        highest = np.where(other > highest, other, highest)
    return Prediction(values=values, lowest=lowest, highest=highest, n_sites=len(first.sites))


def _deviations(sites: set[Site]) -> Iterator[Choice]:
    for site in sorted(sites):
        for offset in (*range(-REACH, 0), *range(1, REACH + 1)):
            yield Choice(site=site, offset=offset)


def square_root(values: Singles) -> tuple[Singles, Singles, Singles]:
    """Return sqrt(a), and the least and the greatest permitted: `sqrt.approx.f32`.

    PTX ISA 9.0, 9.7.3.15: "the maximum relative error over the entire positive finite
    floating-point range is 2^-23"; subnormal numbers are supported.
    """
    with np.errstate(all="ignore"):
        exact = np.sqrt(values.astype(np.float64))
        error = exact * 2.0**-23
        return exact.astype(np.float32), _up(exact - error), _down(exact + error)


def divide(left: Singles, right: Singles) -> tuple[Singles, Singles, Singles]:
    """Return a / b, and the least and the greatest permitted: `div.full.f32`.

    PTX ISA 9.0, 9.7.3.8: "the maximum ulp error is 2 across the full range of inputs".
    """
    with np.errstate(all="ignore"):
        return _within_ulps((left.astype(np.float64) / right).astype(np.float32))


def exponential(values: Singles) -> tuple[Singles, Singles, Singles]:
    """Return 2^a, and the least and the greatest permitted: `ex2.approx.ftz.f32`.

    PTX ISA 9.0, 9.7.3.21: "the maximum ulp error is 2 ulp from correctly rounded result across the
    full range of inputs"; `.ftz` flushes subnormal inputs and results to zero of the same sign.
    """
    with np.errstate(all="ignore"):
        results = np.exp2(_flushed(values).astype(np.float64)).astype(np.float32)
    nearest, lowest, highest = _within_ulps(results)
    return _flushed(nearest), _flushed(lowest), _flushed(highest)


def _within_ulps(results: Singles) -> tuple[Singles, Singles, Singles]:
    low = high = results
    for _ in range(REACH):
        low = np.nextafter(low, np.float32(-np.inf))
        high = np.nextafter(high, np.float32(np.inf))
    return results, low, high


def _flushed(values: Singles) -> Singles:
    is_subnormal = np.abs(values) < np.finfo(np.float32).tiny
    return np.where(is_subnormal, np.copysign(np.float32(0), values), values)


def _up(values: Wide) -> Singles:
    """Return the least float32 that is not below."""
    single = values.astype(np.float32)
    return np.where(single < values, np.nextafter(single, np.float32(np.inf)), single)


def _down(values: Wide) -> Singles:
    """Return the greatest float32 that is not above."""
    single = values.astype(np.float32)
    return np.where(single > values, np.nextafter(single, np.float32(-np.inf)), single)
