"""How far swept values lie from the oracle's, in ULP of the value and of sigma."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from conformance.cases.sweeps import log2_points
from conformance.core.arrays import Array, as_dtype
from conformance.core.formats import FORMATS
from conformance.core.lattice import Point, Sweep, lattice_words
from conformance.core.laws import Definition, NominalMoments, nominal_moments
from conformance.core.records import Budget
from conformance.core.ulp import ulp_at, ulp_distance, unit_roundoff
from conformance.judge.law.exact import CHUNK, ExactLaw, exact_law
from conformance.oracle import Law, law_of, unit_variate
from conformance.oracle.rounding import round_once


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """How far a sweep lies from the correctly rounded values.

    at_value: the worst point at or beyond one sigma from 0, in ULP at the value.
    at_sigma: the worst point nearer to 0, in ULP at sigma. None where there is no such point.
    mean_error, bias: mean of |error| and of the error away from zero, against the unrounded value,
        in ULP at the larger of value and sigma. Rounding to nearest has 0.25 and 0; rounding
        towards zero 0.5 and -0.5.
    """

    at_value: Point | None
    at_sigma: Point | None
    mean_error: float
    bias: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """What the definition makes of the same words: unit variates, unrounded, and their law."""

    law: Law
    unit: npt.NDArray[np.float64] = dataclasses.field(repr=False)
    unit_law: ExactLaw
    nominal: NominalMoments

    @property
    def mean(self) -> float:
        """Return the mean over the lattice."""
        return self.law.factor * self.unit_law.mean

    @property
    def variance(self) -> float:
        """Return the variance over the lattice."""
        return self.law.factor**2 * self.unit_law.variance

    @property
    def root_mean_square(self) -> float:
        """Return the distance from zero that relative errors are multiplied by."""
        return math.hypot(self.mean, math.sqrt(self.variance))

    @property
    def sigma(self) -> float:
        """Return the continuous law's standard deviation: what ULP at sigma refers to."""
        return math.sqrt(self.nominal.variance)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LawEvidence:
    """All that a check of the law may look at. `budget` is None when none is stored."""

    definition: Definition
    sweep: Sweep
    law: ExactLaw
    reference: Reference
    accuracy: Accuracy
    budget: Budget | None


def gather(definition: Definition, sweep: Sweep, budget: Budget | None) -> LawEvidence:
    """Return the sweep with all that it must be compared with."""
    problem = sweep.case.problem
    log2_count = log2_points(sweep.case)
    reference = reference_for(definition, problem.shape, problem.dtype, log2_count)
    return LawEvidence(
        definition=definition,
        sweep=sweep,
        law=exact_law(sweep.values),
        reference=reference,
        accuracy=measure_accuracy(sweep, reference),
        budget=budget,
    )


# --- The yardstick -------------------------------------------------------------------------------
def reference_for(
    definition: Definition, shape: tuple[int, ...], dtype: str, log2_count: int | None = None
) -> Reference:
    """Return the definition's law over the words of a sweep; see `lattice_words`."""
    law = law_of(definition, shape)
    nominal = nominal_moments(definition, shape)
    assert law is not None
    assert nominal is not None
    unit, unit_law = _UNITS(law.unit, dtype, log2_count)
    return Reference(law=law, unit=unit, unit_law=unit_law, nominal=nominal)


Unit = tuple[npt.NDArray[np.float64], ExactLaw]


class _TwoKept:
    """The last two results of a function; it lets go of one before it makes another.

    `functools.lru_cache` does so after, and has one more at a time.
    """

    def __init__(self, make: Callable[..., Unit]) -> None:
        self._make = make
        self._found: dict[tuple[object, ...], Unit] = {}

    def __call__(self, *arguments: object) -> Unit:
        """Return what the function does of these arguments."""
        if (found := self._found.pop(arguments, None)) is None:
            self._found = dict(list(self._found.items())[-1:])
            found = self._make(*arguments)
        self._found[arguments] = found
        return found


def _unit(law: Law, dtype: str, log2_count: int | None) -> Unit:
    words = lattice_words(FORMATS[dtype].word_bits, log2_count)
    unit = np.empty(words.size)
    for start in range(0, words.size, CHUNK):
        part = slice(start, start + CHUNK)
        unit[part] = unit_variate(words[part], law, as_dtype(dtype))
    del words  # 32 MiB, beside 64 of the variates
    unit.flags.writeable = False
    return unit, exact_law(unit)


_UNITS = _TwoKept(_unit)
"""64 MiB each; all variance scalings of one distribution share one."""


def measure_accuracy(sweep: Sweep, reference: Reference) -> Accuracy:
    """Return the distance of every value from the definition's, correctly rounded."""
    worst: dict[str, Point] = {}
    errors: list[float] = []
    biases: list[float] = []
    for start in range(0, sweep.values.size, CHUNK):
        part = slice(start, start + CHUNK)
        actual, exact = sweep.values[part], reference.unit[part] * reference.law.factor
        expected = round_once(exact, actual.dtype)
        beyond = np.abs(exact) >= reference.sigma
        for name, mask, distance in (
            ("at_value", beyond, ulp_distance),
            ("at_sigma", ~beyond, functools.partial(ulp_at, scale=reference.sigma)),
        ):
            found = _worst(sweep.words[part], actual, expected, mask, distance)
            if found and (name not in worst or found.ulp > worst[name].ulp):
                worst[name] = found
        error = signed_error(actual, exact, reference.sigma)
        errors.append(float(np.abs(error).sum()))
        biases.append(float(error.sum()))
    return Accuracy(
        at_value=worst.get("at_value"),
        at_sigma=worst.get("at_sigma"),
        mean_error=math.fsum(errors) / sweep.values.size,
        bias=math.fsum(biases) / sweep.values.size,
    )


def _worst(
    words: Array,
    actual: Array,
    expected: Array,
    mask: npt.NDArray[np.bool_],
    distance: Callable[[Array, Array], npt.NDArray[Any]],
) -> Point | None:
    if not mask.any():
        return None
    places = np.flatnonzero(mask)
    distances = distance(actual[places], expected[places])
    index = int(distances.argmax())
    return point_at(words, actual, expected, int(places[index]), float(distances[index]))


def point_at(words: Array, actual: Array, expected: Array, index: int, ulp: float) -> Point:
    """Return one point of a sweep: the word, and what initializer and oracle make of it."""
    word = int(words[index])
    return Point(
        ulp=ulp,
        word=word,
        fraction=word / 2 ** (8 * words.dtype.itemsize),
        actual=float(actual[index]),
        expected=float(expected[index]),
    )


def signed_error(
    actual: Array, exact: npt.NDArray[np.float64], sigma: float
) -> npt.NDArray[np.float64]:
    """Return the error away from zero, in ULP at the larger of value and sigma; 0 if not finite."""
    exponent = np.frexp(np.maximum(np.abs(exact), sigma))[1] - 1
    # Of the binade that begins at 2^exponent: the spacing at 1 is twice the unit roundoff.
    spacing = np.ldexp(2 * unit_roundoff(actual.dtype), exponent)
    with np.errstate(invalid="ignore"):
        error = np.copysign(1.0, exact) * (actual.astype(np.float64) - exact) / spacing
    return np.where(np.isfinite(error), error, 0.0)
