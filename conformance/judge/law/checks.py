"""The exact law's word: mean, variance, bounds, order and accuracy at every point of the lattice.

The yardstick is the definition at the same words, from the oracle, unrounded. A lattice has a law
of its own: 128 equally likely quantiles of a normal have mean -0.012 sigma, whoever computes them.
That distance from the continuous law is a figure, reported beside the nominal one; what fails is an
initializer that departs from its lattice by more than its roundings can explain.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from conformance.arrays import Array, as_dtype
from conformance.checks.base import failed, passed
from conformance.definition import (
    Definition,
    NominalMoments,
    Normal,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
    nominal_moments,
)
from conformance.drift.text import number
from conformance.law import (
    CHUNK,
    SUMMATION_ERROR,
    WORD_BITS,
    ExactLaw,
    Point,
    Sweep,
    exact_law,
    lattice_words,
    log2_points,
)
from conformance.model import Budget, CheckResult
from conformance.oracle import Kind, Law, law_of, solve_words, unit_variate
from conformance.oracle.rounding import round_once
from conformance.ulp import ulp_at, ulp_distance, unit_roundoff

FINITE, BOUNDS, ORDER = "law_finite", "law_bounds", "law_order"
MEAN, VARIANCE, ACCURACY, SEQUENCE = "law_mean", "law_variance", "law_accuracy", "law_sequence"
SWEEP = "law_sweep"
NAMES = (FINITE, BOUNDS, ORDER, MEAN, VARIANCE, ACCURACY, SEQUENCE, SWEEP)

ELEMENTWISE = (Normal, TruncatedNormal, Uniform, VarianceScaling)
"""Definitions whose every element is a function of one random word."""

UNIT_ROUNDINGS = {Kind.UNIFORM: 1, Kind.NORMAL: 3, Kind.TRUNCATED_NORMAL: 3}
"""Roundings up to the unit variate: of the uniform, erf_inv, and the product with sqrt(2)."""

SCALING_ROUNDINGS = {"uniform": 3, "normal": 2, "truncated_normal": 4}
"""Roundings of variance scaling's factor: of the variance; three times it; its root; the truncation
constant; the quotient. Any other factor is a constant, rounded once."""

ORACLE_ERROR = 5 * 2.0**-52
"""Relative error of the oracle's unrounded values; see `oracle.unit_variate`."""

FLIPS_PER_POINT = 1 / 128
"""Share of 16-bit results that an intact kernel may round to the other neighbour. erf_inv and log1p
are computed in float32, within 16 of its ULP by every vendor; 16 * 2**-24 against half a spacing
of 2**-11 (float16) is one result in 256 for each of the two functions."""


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
        return self.law.scale * self.unit_law.mean

    @property
    def variance(self) -> float:
        """Return the variance over the lattice."""
        return self.law.scale**2 * self.unit_law.variance

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
    """All that a check of the law may look at. `budget` is None when none is stored.

    golden_option: how commands name the set that the budgets belong to; see `golden_option`.
    """

    definition: Definition
    sweep: Sweep
    law: ExactLaw
    reference: Reference
    accuracy: Accuracy
    budget: Budget | None
    golden_option: str = ""


LawCheck = Callable[[LawEvidence], CheckResult]


def gather(
    definition: Definition, sweep: Sweep, budget: Budget | None, golden_option: str = ""
) -> LawEvidence:
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
        golden_option=golden_option,
    )


def judge_law(evidence: LawEvidence) -> tuple[CheckResult, ...]:
    """Return the result of every check of the law."""
    return tuple(check(evidence) for check in LAW_CHECKS)


# --- The yardstick -------------------------------------------------------------------------------


def reference_for(
    definition: Definition, shape: tuple[int, ...], dtype: str, log2_count: int | None = None
) -> Reference:
    """Return the definition's law over the words of a sweep; see `lattice_words`."""
    law = law_of(definition, shape)
    nominal = nominal_moments(definition, shape)
    assert law is not None
    assert nominal is not None
    unit, unit_law = _unit(dataclasses.replace(law, scale=1.0), dtype, log2_count)
    return Reference(law=law, unit=unit, unit_law=unit_law, nominal=nominal)


@functools.lru_cache(maxsize=2)  # 64 MiB each; all variance scalings of one distribution share one
def _unit(law: Law, dtype: str, log2_count: int | None) -> tuple[npt.NDArray[np.float64], ExactLaw]:
    words = lattice_words(WORD_BITS[dtype], log2_count)
    parts = [
        unit_variate(words[start : start + CHUNK], law, as_dtype(dtype))
        for start in range(0, words.size, CHUNK)
    ]
    unit = np.concatenate(parts)
    unit.flags.writeable = False
    return unit, exact_law(unit)


def measure_accuracy(sweep: Sweep, reference: Reference) -> Accuracy:
    """Return the distance of every value from the definition's, correctly rounded."""
    worst: dict[str, Point] = {}
    errors: list[float] = []
    biases: list[float] = []
    for start in range(0, sweep.values.size, CHUNK):
        part = slice(start, start + CHUNK)
        actual, exact = sweep.values[part], reference.unit[part] * reference.law.scale
        expected = round_once(exact, actual.dtype)
        beyond = np.abs(exact) >= reference.sigma
        for name, mask, distance in (
            ("at_value", beyond, ulp_distance),
            ("at_sigma", ~beyond, functools.partial(ulp_at, scale=reference.sigma)),
        ):
            found = _worst(sweep.words[part], actual, expected, mask, distance)
            if found and (name not in worst or found.ulp > worst[name].ulp):
                worst[name] = found
        error = _signed_error(actual, exact, reference.sigma)
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


def _signed_error(
    actual: Array, exact: npt.NDArray[np.float64], sigma: float
) -> npt.NDArray[np.float64]:
    """Return the error away from zero, in ULP at the larger of value and sigma; 0 if not finite."""
    exponent = np.frexp(np.maximum(np.abs(exact), sigma))[1] - 1
    spacing = np.ldexp(2 * unit_roundoff(actual.dtype), exponent)
    with np.errstate(invalid="ignore"):
        error = np.copysign(1.0, exact) * (actual.astype(np.float64) - exact) / spacing
    return np.where(np.isfinite(error), error, 0.0)


def roundings_of_scale(definition: Definition) -> int:
    """Return how many roundings the last factor goes through."""
    if isinstance(definition, VarianceScaling):
        return SCALING_ROUNDINGS[definition.distribution]
    return 1


def error_bound(evidence: LawEvidence) -> float:
    """Return the largest relative error of a value in which every step is rounded to nearest.

    First order: the error is the number of roundings times the unit roundoff. It takes each step to
    be well conditioned, which an initializer must be. The oracle's own error and that of the sums
    come on top; they matter in float64 only.
    """
    roundings = UNIT_ROUNDINGS[evidence.reference.law.kind] + 1
    roundings += roundings_of_scale(evidence.definition)
    return roundings * unit_roundoff(evidence.sweep.values.dtype) + ORACLE_ERROR + SUMMATION_ERROR


# --- The checks ----------------------------------------------------------------------------------


def check_finite(evidence: LawEvidence) -> CheckResult:
    """Ensure that no point of the lattice is NaN or infinite."""
    return _every_point(evidence, FINITE, ~np.isfinite(evidence.sweep.values), "is not finite")


def check_bounds(evidence: LawEvidence) -> CheckResult:
    """Ensure that no point of the lattice lies outside the law's bounds.

    Under a factor of 1 no rounding can cross a bound, so the interval is the documented one: open
    for truncated normals, without its upper end for uniforms. Else a bound gives way by the
    roundings of the factor and of the product.
    """
    values = evidence.sweep.values.astype(np.float64)
    nominal, law = evidence.reference.nominal, evidence.reference.law
    if law.scale == 1:
        is_open = law.kind is Kind.TRUNCATED_NORMAL
        too_low = values <= nominal.lower if is_open else values < nominal.lower
        outside = too_low | (values >= nominal.upper)
        interval = f"{'(' if is_open else '['}{nominal.lower:g}, {nominal.upper:g})"
    else:
        roundings = roundings_of_scale(evidence.definition) + 1
        slack = roundings * unit_roundoff(evidence.sweep.values.dtype)
        lower = nominal.lower - slack * abs(nominal.lower)
        upper = nominal.upper + slack * abs(nominal.upper)
        outside = (values < lower) | (values > upper)
        interval = f"[{nominal.lower:.9g}, {nominal.upper:.9g}], widened by {roundings} roundings"
    return _every_point(evidence, BOUNDS, outside, f"lies outside {interval}")


def check_order(evidence: LawEvidence) -> CheckResult:
    """Ensure that the value never falls as the word grows (never rises, for a negative factor).

    A quantile function is monotone. Where a kernel is not, two draws trade places.
    """
    sign = math.copysign(1.0, evidence.reference.law.scale)
    steps = np.diff(evidence.sweep.values.astype(np.float64) * sign)
    wrong = np.concatenate([[False], steps < 0])
    return _every_point(evidence, ORDER, wrong, "lies on the wrong side of the point before it")


def _every_point(
    evidence: LawEvidence, check: str, wrong: npt.NDArray[np.bool_], what: str
) -> CheckResult:
    count = int(wrong.sum())
    metrics = {"n_wrong": float(count)}
    if not count:
        return passed(check, metrics)
    sweep, index = evidence.sweep, int(wrong.argmax())
    expected = round_once(
        evidence.reference.unit[index] * evidence.reference.law.scale, sweep.values.dtype
    )
    point = point_at(
        sweep.words, sweep.values, np.broadcast_to(expected, sweep.values.shape), index, 0.0
    )
    lines = [
        f"{count} of {sweep.values.size} points of the law of {sweep.case.id}: the value {what}.",
        f"  first: {_place(point)}",
        *_values(point),
    ]
    return failed(check, "\n".join(lines), metrics)


def check_mean(evidence: LawEvidence) -> CheckResult:
    """Ensure that the mean is the lattice's, within `error_bound` of the root mean square."""
    reference, law = evidence.reference, evidence.law
    sigma = math.sqrt(reference.variance)
    error = (law.mean - reference.mean) / sigma
    bound = error_bound(evidence) * reference.root_mean_square / sigma
    metrics = {
        "mean_error_sigma": error,
        "mean_bound_sigma": bound,
        "mean_from_nominal_sigma": (law.mean - reference.nominal.mean.real) / reference.sigma,
    }
    if abs(error) <= bound:
        return passed(MEAN, metrics)
    return failed(MEAN, _moment_message(evidence, "mean", "sigma", error, bound), metrics)


def check_variance(evidence: LawEvidence) -> CheckResult:
    """Ensure that the variance is the lattice's, within twice `error_bound`, relatively.

    Errors e(x) with |e| <= r |x| change the standard deviation by at most that of e, hence by
    r times the root mean square: the triangle inequality. For a law of mean 0 that is r sigma.
    """
    reference, law = evidence.reference, evidence.law
    error = law.variance / reference.variance - 1
    bound = 2 * error_bound(evidence) * reference.root_mean_square / math.sqrt(reference.variance)
    metrics = {
        "variance_error": error,
        "variance_bound": bound,
        "variance_from_nominal": law.variance / reference.nominal.variance - 1,
    }
    if abs(error) <= bound:
        return passed(VARIANCE, metrics)
    return failed(
        VARIANCE, _moment_message(evidence, "variance", "of itself", error, bound), metrics
    )


def _moment_message(
    evidence: LawEvidence, moment: str, unit: str, error: float, bound: float
) -> str:
    actual = getattr(evidence.law, moment)
    lattice = getattr(evidence.reference, moment)
    nominal = getattr(evidence.reference.nominal, moment)
    return "\n".join(
        [
            f"the {moment} of the law of {evidence.sweep.case.id} is wrong by {error:+.3g} {unit}; "
            f"roundings explain at most {bound:.3g}.",
            f"    actual   {actual!r} over all {evidence.law.n_points} points",
            f"    expected {lattice!r} by the definition at the same points",
            f"    nominal  {nominal!r} by the continuous law",
        ]
    )


def check_accuracy(evidence: LawEvidence) -> CheckResult:
    """Ensure that no point is further from the correctly rounded value than the budget allows."""
    accuracy, budget = evidence.accuracy, evidence.budget
    metrics = {
        "max_ulp": accuracy.at_value.ulp if accuracy.at_value else 0.0,
        "max_ulp_at_sigma": accuracy.at_sigma.ulp if accuracy.at_sigma else 0.0,
        "mean_ulp": accuracy.mean_error,
        "bias_ulp": accuracy.bias,
    }
    if budget is None:
        return failed(ACCURACY, _no_budget(evidence), metrics)
    over = [
        (point, unit, limit)
        for point, unit, limit in (
            (accuracy.at_value, "ULP", budget.max_ulp),
            (accuracy.at_sigma, "ULP of sigma", budget.max_ulp_at_sigma),
        )
        if point and point.ulp > limit
    ]
    if not over:
        return passed(ACCURACY, metrics)
    lines = [f"the law of {evidence.sweep.case.id} is further from the definition than its budget."]
    for point, unit, limit in over:
        lines.append(f"  worst: {point.ulp:.6g} {unit}, budget {limit:.6g}, at {_place(point)}")
        lines += _values(point)
    return failed(ACCURACY, "\n".join(lines), metrics)


def _no_budget(evidence: LawEvidence) -> str:
    problem, backend = evidence.sweep.case.problem, evidence.sweep.case.backend
    return (
        f"no budget is stored for {problem.initializer} in {problem.dtype} on {backend}: measure "
        f"it with `conformance law --initializer {problem.initializer} --dtype {problem.dtype} "
        f"--backend {backend}{evidence.golden_option} --write-budgets`"
    )


def check_sequence(evidence: LawEvidence) -> CheckResult:
    """Ensure that 16-bit values are those of JAX's documented sequence of roundings.

    In 16 bits a rounding is so coarse that `error_bound` hides faults. But the lattice is small and
    the sequence known, so its values can be foretold; up to `FLIPS_PER_POINT` of them may differ.
    """
    sweep = evidence.sweep
    if sweep.values.dtype.itemsize != 2:
        return passed(SEQUENCE)
    problem = sweep.case.problem
    followed = solve_words(
        sweep.words, evidence.definition, sweep.values.dtype, problem.shape
    ).followed
    assert followed is not None
    distance = ulp_distance(sweep.values, followed)
    n_off = int(np.count_nonzero(distance))
    allowed = math.ceil(FLIPS_PER_POINT * followed.size)
    metrics = {"n_off_sequence": float(n_off)}
    if n_off <= allowed:
        return passed(SEQUENCE, metrics)
    index = int(distance.argmax())
    point = point_at(sweep.words, sweep.values, followed, index, float(distance[index]))
    lines = [
        f"{n_off} of {followed.size} points of the law of {sweep.case.id} are not what rounding to "
        f"nearest at every step gives; kernels of float32 accuracy explain {allowed}.",
        f"  worst: {point.ulp:.6g} ULP at {_place(point)}",
        *_values(point),
    ]
    return failed(SEQUENCE, "\n".join(lines), metrics)


def _place(point: Point) -> str:
    return f"word {point.word:#x} (u = {point.fraction:.9g})"


def _values(point: Point) -> Iterator[str]:
    for name, value in (("actual", point.actual), ("expected", point.expected)):
        yield f"    {name:8} {number(value)}"


LAW_CHECKS: tuple[LawCheck, ...] = (
    check_finite,
    check_bounds,
    check_order,
    check_mean,
    check_variance,
    check_accuracy,
    check_sequence,
)
