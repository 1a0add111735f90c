"""The normal quantile on an even grid of probabilities, to a few float64 ULP everywhere.

Inversion loses digits in three places: near 0, where a + (b - a) f cancels; in the upper tail,
where 1 - u has none left; and at a truncation point, whose tail mass is no float64 number. So
masses come from decimal arithmetic, probabilities are sums of two float64 numbers, and each is
counted from the nearer tail.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from decimal import Decimal, localcontext

import numpy as np

from conformance.oracle.pairs import Pair, plus, times
from conformance.oracle.rounding import Reals

SQRT_2PI = Decimal("2.50662827463100050241576528481104525300698674060993831662992357")

SERIES_LIMIT = 3.0
"""Below it the Taylor series loses 4 digits at most; above it 500 terms of the fraction give 55."""

DIGITS = 70
"""Of which 50 are right everywhere; float64 pairs hold 32."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Masses:
    """What a standard normal holds below, between and above two bounds.

    The median lies the fraction `median` of the way through the mass between them.
    """

    below: Pair
    between: Pair
    above: Pair
    median: float


@functools.lru_cache(maxsize=64)
def masses(lower: float, upper: float) -> Masses:
    """Return the three masses for the bounds, each to 32 digits of its own; bounds may be infinite.

    Raises:
        ValueError: the bounds are not in order.
    """
    if not lower < upper:
        raise ValueError(f"lower {lower!r} and upper {upper!r} enclose nothing: need lower < upper")
    with localcontext(prec=DIGITS):
        below, above = mass_above(-lower), mass_above(upper)
        between = _mass_between(lower, upper)
        return Masses(
            below=_pair(below),
            between=_pair(between),
            above=_pair(above),
            median=float((Decimal("0.5") - below) / between),
        )


def _mass_between(lower: float, upper: float) -> Decimal:
    """Subtract the tails above two bounds, never two numbers near 1: mirror those that lie left."""
    nearer, farther = sorted((lower, upper), key=abs)
    side = math.copysign(1.0, farther)
    return mass_above(side * nearer) - mass_above(side * farther)


def mass_above(bound: float) -> Decimal:
    """Return the upper tail of the standard normal, to 50 digits.

    Taylor series of the integral near 0, Laplace's continued fraction in the tail (Abramowitz &
    Stegun 26.2.10 and 26.2.14).
    """
    with localcontext(prec=DIGITS):
        x = Decimal(bound)
        if abs(bound) < SERIES_LIMIT:
            return Decimal("0.5") - _central_series(x) / SQRT_2PI
        tail = Decimal(0) if math.isinf(bound) else _tail_fraction(abs(x))
        return 1 - tail if x.is_signed() else tail


def _tail_fraction(x: Decimal) -> Decimal:
    # density(x) / (x + 1 / (x + 2 / (x + 3 / ...))), from its far end.
    fraction = x
    for n in range(500, 0, -1):
        fraction = x + n / fraction
    return (-x * x / 2).exp() / SQRT_2PI / fraction


def _central_series(x: Decimal) -> Decimal:
    """Return the integral of exp(-t^2 / 2) from 0 to x."""
    power = total = x
    before = Decimal("NaN")
    n = 0
    while total != before:
        n += 1
        # exp(-t^2 / 2) is the sum of (-t^2 / 2)^n / n!; each term is integrated by itself.
        power *= -x * x / (2 * n)
        before, total = total, total + power / (2 * n + 1)
    return total


def _pair(exact: Decimal) -> Pair:
    high = float(exact)
    return Pair(high=high, low=float(exact - Decimal(high)))


def _lower_quantile(probability: Reals) -> Reals:
    """Return the normal quantile of probabilities up to one half."""
    # Here, not above: the process that starts the workers imports this module and draws nothing,
    # and SciPy takes as long to import as NumPy, argparse and all of this package together.
    from scipy.special import ndtri

    found: Reals = ndtri(probability)
    return found


def normal_quantile(fraction: Reals, offset: float) -> Reals:
    """Return the quantile at the probability `fraction + offset`.

    Exact but for `ndtri`: the offset is a quarter of the grid step, so that the smaller of the
    probability and its complement is a float64 number, even where the other one is not.
    """
    probability = fraction + offset
    tail = np.minimum(probability, (1.0 - fraction) - offset)
    # By symmetry: a probability near 1 has no digits left that tell how near.
    return np.copysign(_lower_quantile(tail), probability - 0.5)


def truncated_quantile(fraction: Reals, held: Masses) -> Reals:
    """Return the quantile at the given fraction of the mass between two bounds."""
    is_left = fraction <= held.median
    share = np.where(is_left, fraction, 1.0 - fraction)
    # The tail beyond the nearer bound, and the share of what lies between: the tail to invert.
    high, low = times(share, held.between)
    high, low = plus(
        np.where(is_left, held.below.high, held.above.high),
        high,
        low + np.where(is_left, held.below.low, held.above.low),
    )
    quantile = _lower_quantile(high)
    with np.errstate(invalid="ignore", over="ignore"):
        # First-order Taylor step for the low part: dx / dp = 1 / density(x). The next term is
        # smaller than 1e-24, because low / high < 2**-53.
        step = low * np.exp(quantile**2 / 2) * float(SQRT_2PI)
    np.add(quantile, step, out=quantile, where=np.isfinite(step))  # a tail of mass 0 stays at -inf
    return np.where(is_left, quantile, -quantile)
