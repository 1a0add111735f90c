"""The exact law of an initializer over all words: mean, variance, extremes, non-finite values."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from conformance.core.arrays import Array

SUMMATION_ERROR = 2.0**-48
"""Relative error of the moments: E|x - mean|^p times this. NumPy's pairwise sum of CHUNK terms is
27 roundings of 2^-53 deep, the powers take 5, and `math.fsum` of the chunks none."""

CHUNK = 1 << 16
"""Elements per pass: a handful of float64 temporaries fit in a cache of 2 MiB."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ExactLaw:
    """The law of values that are equally likely. Moments are of the finite ones, in float64.

    mean, variance, skewness, kurtosis: within SUMMATION_ERROR; kurtosis is 3 for a normal law.
    direction: 1 where the values never fall as the word grows, -1 where they never rise, else 0.
    is_symmetric: whether -x is as likely as x, for each value x.
    """

    n_points: int
    n_distinct: int
    n_nonfinite: int
    mean: float
    variance: float
    skewness: float
    kurtosis: float
    minimum: float
    maximum: float
    direction: int
    is_symmetric: bool


# --- Summarising ---------------------------------------------------------------------------------
def exact_law(values: Array) -> ExactLaw:
    """Return the law of equally likely values, in the order of their words."""
    finite = np.isfinite(values)
    kept = values if finite.all() else values[finite]
    direction = _direction(kept)
    ordered = kept[::-1] if direction < 0 else kept if direction else np.sort(kept)
    mean, central = _moments(kept)
    variance = central[0]
    nan = math.nan
    return ExactLaw(
        n_points=values.size,
        n_distinct=int(np.count_nonzero(ordered[1:] != ordered[:-1])) + bool(kept.size),
        n_nonfinite=values.size - kept.size,
        mean=mean,
        variance=variance,
        skewness=central[1] / variance**1.5 if variance else nan,
        kurtosis=central[2] / variance**2 if variance else nan,
        minimum=float(ordered[0]) if kept.size else nan,
        maximum=float(ordered[-1]) if kept.size else nan,
        direction=direction,
        is_symmetric=_is_symmetric(ordered),
    )


def _is_symmetric(ordered: Array) -> bool:
    """Return whether the values are those of the same law upside down."""
    parts = (slice(start, start + CHUNK) for start in range(0, ordered.size, CHUNK))
    return all(bool((ordered[part] == -ordered[::-1][part]).all()) for part in parts)


def _direction(values: Array) -> int:
    if (values[1:] >= values[:-1]).all():
        return 1
    return -1 if (values[1:] <= values[:-1]).all() else 0


def _moments(values: Array) -> tuple[float, tuple[float, float, float]]:
    """Return the mean, and the central moments of order 2, 3 and 4."""
    n = values.size or math.nan
    mean = math.fsum(float(part.sum()) for part in _chunks(values)) / n
    second, third, fourth = [], [], []
    for part in _chunks(values):
        deviation = part - mean
        square = deviation * deviation
        second.append(float(square.sum()))
        third.append(float((square * deviation).sum()))
        fourth.append(float((square * square).sum()))
    return mean, (math.fsum(second) / n, math.fsum(third) / n, math.fsum(fourth) / n)


def _chunks(values: Array) -> Iterator[npt.NDArray[np.float64]]:
    return (part.astype(np.float64) for part in chunks(values))


def chunks(values: Array) -> Iterator[Array]:
    """Yield the values of one axis, CHUNK at a time; nothing where there is none."""
    for start in range(0, values.size, CHUNK):
        yield values[start : start + CHUNK]
