"""How far from its mean an element may lie, and of which laws moments can be taken."""

from __future__ import annotations

import math

import numpy as np

from conformance.core.arrays import as_dtype, widen
from conformance.core.formats import FORMATS
from conformance.core.laws import Definition, NominalMoments, Reals
from conformance.core.ulp import unit_roundoff
from conformance.judge.drift.classify import ROUNDINGS
from conformance.oracle import solve_points, unit_variate, word_bits

ENUMERATED_WORDS = (8, 16)
"""Bits of the words whose law is enumerated; that of wider ones is the continuous one to 1e-6."""

LARGEST_VARIANCE = 2.0**490
"""A float64 ends at 2^1024; fourth powers of draws are up to 2^12 squares of the variance."""


def reach_of(
    definition: Definition, nominal: NominalMoments, shape: tuple[int, ...], dtype: str
) -> float:
    """Return the largest distance from the mean: of the bounds, or else of the outermost draws.

    The quantile is monotone, so these are those of the first and of the last word. The parts of a
    circular variate have half of its variance each, so its modulus has the reach of a real one.
    """
    ends: tuple[float, ...] = (nominal.lower, nominal.upper)
    law = definition.law(shape, is_complex=False)
    if law is not None and not all(map(math.isfinite, ends)):
        part = as_dtype(FORMATS[dtype].real or dtype)
        every = np.iinfo(f"u{word_bits(part) // 8}")
        words = np.array([every.min, every.max], every.dtype)
        furthest = 1 + ROUNDINGS * unit_roundoff(part)
        ends = tuple(furthest * law.factor * unit_variate(words, law, part))
    return max(abs(end - nominal.mean) for end in ends)


def values_of_words(definition: Definition, shape: tuple[int, ...], dtype: str) -> Reals:
    """Return what each word of a dtype of ENUMERATED_WORDS comes to, with JAX's own roundings.

    Raises:
        OracleUnavailable: elements are no function of single words.
    """
    return np.repeat(*values_of_points(definition, shape, dtype))


def values_of_points(
    definition: Definition, shape: tuple[int, ...], dtype: str
) -> tuple[Reals, int]:
    """Return what each point of the lattice comes to, and how many words in a row have its place.

    Raises:
        OracleUnavailable: elements are no function of single words.
    """
    number = as_dtype(dtype)
    solution = solve_points(definition, shape, number)
    values = widen(solution.expected if solution.followed is None else solution.followed)
    return values, 2 ** word_bits(number) // len(values)
