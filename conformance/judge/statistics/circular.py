"""Draws of complex numbers, turned into uniforms: all tests of real draws then hold for them too.

Every complex law is circular: modulus and angle are independent, and any angle is as likely. So the
modulus, through its distribution function, and the angle in turns are two independent uniforms, the
polar form of Rosenblatt's transformation (Remarks on a multivariate transformation, 1952). A test
is asked of the moduli, of the angles, and of both side by side, since what one correlation adds,
another may take away: of conjugate pairs moduli are alike and angles opposite.

The real and imaginary parts of a normal are independent normals, so those are asked as well, with
their own lattice.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping

import numpy as np

from conformance.core.arrays import Array, as_dtype, widen
from conformance.core.formats import FORMATS
from conformance.core.laws import Definition, Law, Normal, TruncatedNormal, Uniform
from conformance.core.ulp import unit_roundoff
from conformance.judge.drift.classify import ROUNDINGS
from conformance.judge.statistics.battery import TESTS, worst
from conformance.judge.statistics.element import MERGED, ElementLaw, Reals, Term, element_law
from conformance.judge.statistics.finding import Finding
from conformance.judge.statistics.sample import Sample, sample_of

STEEPEST = 2
"""Most that the distribution function of a modulus changes by, over the modulus's relative change:
2 r^2 on the unit disk; 2 x exp(-x), x = r^2, of a normal; that over its mass of one cut off."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Circular:
    """Complex arrays of several keys, as samples of real numbers, by what these are."""

    samples: Mapping[str, Sample]
    n_draws: int
    size: int


def circular_law(definition: Definition, shape: tuple[int, ...]) -> Law | None:
    """Return the law of complex elements, where that of their moduli is known; else None."""
    law = definition.law(shape, is_complex=True)
    return law if isinstance(law, Normal | Uniform | TruncatedNormal) and law.factor else None


def circular_of(arrays: Array, law: Law) -> Circular:
    """Return the samples of complex arrays along a new first axis, of such a law."""
    values, dtype = np.asarray(widen(arrays)), arrays.dtype.name
    moduli = np.minimum(_mass_within(np.abs(values) / abs(law.factor), law), 1.0)
    turns = np.angle(values) / (2 * np.pi) + 0.5
    uniform = _uniform(dtype)
    samples = {
        "moduli": sample_of(moduli, uniform),
        "angles": sample_of(turns, uniform),
        "moduli and angles": sample_of(np.stack([moduli, turns], axis=-1), uniform),
    }
    if isinstance(law, Normal):
        part = FORMATS[dtype].real
        parts = np.stack([arrays.real, arrays.imag], axis=-1)
        of_part = element_law(law.times(law.factor / math.sqrt(2)), (), part)
        if of_part is not None:
            samples["parts"] = sample_of(parts, of_part)
    return Circular(samples=samples, n_draws=len(arrays), size=arrays.size)


def _mass_within(radius: Reals, law: Law) -> Reals:
    """Return the share of unit variates within a radius: `oracle.complex_unit_variate` inverted."""
    if isinstance(law, Uniform):
        return np.asarray(radius**2 / 2)
    whole = -math.expm1(-(law.support[1] ** 2))
    return np.asarray(-np.expm1(-(radius**2)) / whole)


def _uniform(dtype: str) -> ElementLaw:
    """Return the law of a modulus or an angle in a complex dtype, once it is mapped.

    slack: how far the roundings of the sampler and of both parts move it, and a cell of its words.
    heaviest: a modulus may be of two values of a part, and of each MERGED words.
    """
    part = FORMATS[dtype].real
    law = element_law(Uniform(scale=1.0), (), part)
    assert law is not None
    slack = STEEPEST * ROUNDINGS * unit_roundoff(as_dtype(part)) + FORMATS[part].cell
    reach = 0.5 / law.sigma

    def leaning(term: Term, slope: float) -> Term:
        return dataclasses.replace(term, lean=term.lean + slope * slack)

    return dataclasses.replace(
        law,
        powers=tuple(
            leaning(term, order * reach ** (order - 1) / law.sigma)
            for order, term in enumerate(law.powers, 1)
        ),
        slack=slack,
        heaviest=2 * MERGED * FORMATS[part].cell,
        score=leaning(law.score, 1.0),
        square=None if law.square is None else leaning(law.square, 1.0),
    )


def _of_each(measure: Callable[[Sample], Finding | None], sample: Circular) -> Finding | None:
    """Return the finding of the smallest p-value over the samples, times how many there are."""
    found = []
    for name, each in sample.samples.items():
        finding = measure(each)
        if finding is not None:
            where = f"of {name}{', ' if finding.where else ''}{finding.where}"
            finding = dataclasses.replace(finding, where=where)
        found.append(finding)
    return worst(found)


CIRCULAR_TESTS = tuple(
    dataclasses.replace(test, measure=functools.partial(_of_each, test.measure)) for test in TESTS
)
"""The tests of real draws, each asked of all samples."""
