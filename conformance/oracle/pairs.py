"""Sums of two float64 numbers, which together hold 106 bits: enough to round once afterwards.

Sources: Dekker, A Floating-Point Technique for Extending the Available Precision (1971) for the
product, Knuth, The Art of Computer Programming 2, section 4.2.2, for the sum.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from conformance.oracle.rounding import Reals

SPLITTER = 2.0**27 + 1
"""Veltkamp's constant: cuts 53 bits into two parts of at most 26, whose products are exact."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The unevaluated sum of two float64 numbers, `high` being the one nearest to it."""

    high: float
    low: float


def times(factor: Reals, pair: Pair) -> tuple[Reals, Reals]:
    """Return the product as a sum of two."""
    product = factor * pair.high
    upper, lower = _halves(factor)
    pair_upper, pair_lower = _halves(np.float64(pair.high))
    # Each partial product is exact, and taken away from the largest down so is each difference.
    error = upper * pair_upper - product
    error += upper * pair_lower
    error += lower * pair_upper
    error += lower * pair_lower
    return product, error + factor * pair.low


def _halves(number: Reals | np.float64) -> tuple[Reals, Reals]:
    big = np.asarray(SPLITTER * number)
    upper = big - (big - number)  # rounded to 53 - 27 bits: the sum had no room for more
    return upper, np.asarray(number - upper)


def plus(base: Reals, term: Reals, rest: Reals) -> tuple[Reals, Reals]:
    """Return base + term + rest as a sum of two, the first being its nearest float64."""
    total = base + term
    # Knuth's sum: what rounding lost of either, exactly, whichever is larger.
    virtual = total - base
    rest = rest + ((base - (total - virtual)) + (term - virtual))
    # Dekker's shorter one: `rest` is by far the smaller.
    nearest = total + rest
    return nearest, rest - (nearest - total)


def multiply_add(factor: Reals, by: float, addend: float) -> Reals:
    """Return factor * by + addend with a single rounding to float64: a fused multiply-add.

    The tail of the sum is rounded before it is added, which can matter only within 2**-53 ULP of
    the midpoint between two float64 numbers.
    """
    product, error = times(factor, Pair(high=by, low=0.0))
    return plus(np.full_like(product, addend), product, error)[0]
