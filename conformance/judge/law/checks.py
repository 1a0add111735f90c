"""The exact law's word: mean, variance, bounds, order and accuracy at every point of the lattice.

The yardstick is the definition at the same words, from the oracle, unrounded. A lattice has a law
of its own: 128 equally likely quantiles of a normal have mean -0.012 sigma, whoever computes them.
An initializer fails that departs from its lattice by more than its roundings can explain, or from
what was asked for by more than the lattice can: where a lattice is too coarse the ledger says so.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from conformance.core.arrays import Array
from conformance.core.formats import fusings
from conformance.core.ids import STRATA, Case
from conformance.core.lattice import Point
from conformance.core.laws import KNOWN_ROUNDS
from conformance.core.records import Budget, CheckResult, Remedy, Yardstick
from conformance.core.ulp import ulp_at, ulp_distance, unit_roundoff
from conformance.judge.checks.base import Check, check, failed, passed
from conformance.judge.checks.oracle import FLIPS_PER_POINT
from conformance.judge.drift.text import number
from conformance.judge.law.accuracy import LawEvidence, Reference, point_at
from conformance.judge.law.exact import SUMMATION_ERROR, chunks
from conformance.judge.statistics.reach import ENUMERATED_WORDS
from conformance.oracle import solve_words, word_bits
from conformance.oracle.rounding import round_once

FINITE, BOUNDS, ORDER = "law_finite", "law_bounds", "law_order"

MEAN, VARIANCE, NOMINAL = "law_mean", "law_variance", "law_nominal"

ACCURACY, SEQUENCE = "law_accuracy", "law_sequence"

SWEEP = "law_sweep"

SWEPT = "a sweep, and a definition with a law"

ORACLE_ERROR = 5 * 2.0**-52
"""Relative error of the oracle's unrounded values; see `oracle.unit_variate`."""


Places = slice | npt.NDArray[np.intp]
"""Of points in a sweep."""

EVERYWHERE = slice(None)


def judge_law(evidence: LawEvidence) -> tuple[CheckResult, ...]:
    """Return the result of every check of the law."""
    return tuple(each(evidence) for each in LAW_CHECKS)


def error_bound(evidence: LawEvidence) -> float:
    """Return the largest relative error of a value in which every step is rounded to nearest.

    First order: the error is the number of roundings times the unit roundoff. It takes each step to
    be well conditioned, which an initializer must be. The oracle's own error and that of the sums
    come on top; they matter in float64 only.
    """
    roundings = evidence.reference.law.roundings + 1 + evidence.definition.scale_roundings
    return roundings * unit_roundoff(evidence.sweep.values.dtype) + ORACLE_ERROR + SUMMATION_ERROR


# --- The checks ----------------------------------------------------------------------------------
@check(FINITE, needs=SWEPT)
def check_finite(evidence: LawEvidence) -> CheckResult:
    """Ensure that no point of the lattice is NaN or infinite."""
    return _every_point(evidence, FINITE, ~np.isfinite(evidence.sweep.values), "is not finite")


@check(BOUNDS, needs=SWEPT)
def check_bounds(evidence: LawEvidence) -> CheckResult:
    """Ensure that no point of the lattice lies outside the law's bounds.

    Under a factor of 1 no rounding can cross a bound of the dtype, so the interval is the
    documented one: open for truncated normals, without its upper end for uniforms. Else a bound
    gives way by the roundings of the factor and of the product. -0.0 lies below the bound 0, as it
    does in the total order of IEEE 754 (2019, section 5.10).
    """
    values = evidence.sweep.values
    nominal, law = evidence.reference.nominal, evidence.reference.law
    if law.factor == 1:
        dtype = values.dtype
        lower, upper = round_once(np.array([nominal.lower, nominal.upper]), dtype).astype(float)
        interval = f"{'(' if law.is_open else '['}{lower:g}, {upper:g})"
    else:
        roundings = evidence.definition.scale_roundings + 1
        slack = roundings * unit_roundoff(values.dtype)
        lower = nominal.lower - slack * abs(nominal.lower)
        upper = nominal.upper + slack * abs(nominal.upper)
        interval = f"[{nominal.lower:.9g}, {nominal.upper:.9g}], widened by {roundings} roundings"
    outside = [_is_outside(part, lower, upper, evidence.reference) for part in chunks(values)]
    return _every_point(evidence, BOUNDS, np.concatenate(outside), f"lies outside {interval}")


def _is_outside(
    values: Array, lower: float, upper: float, reference: Reference
) -> npt.NDArray[np.bool_]:
    """Return which values lie outside the bounds, of which a law without a factor has its own."""
    exact, law = values.astype(np.float64), reference.law
    if law.factor == 1:
        outside = (exact <= lower if law.is_open else exact < lower) | (exact >= upper)
    else:
        outside = (exact < lower) | (exact > upper)
    if reference.nominal.lower == 0:
        outside |= (exact == 0) & np.signbit(exact)
    return outside


@check(ORDER, needs=SWEPT)
def check_order(evidence: LawEvidence) -> CheckResult:
    """Ensure that the value only rises as the word grows, or only falls where the definition does.

    A quantile function is monotone. Where a kernel is not, two draws trade places.
    """
    first, last = evidence.reference.unit[[0, -1]]
    values = evidence.sweep.values
    lower, upper = values[:-1], values[1:]
    if np.signbit((last - first) * evidence.reference.law.factor):
        lower, upper = upper, lower
    with np.errstate(invalid="ignore"):  # NumPy 2.0 warns of NaN in 16 bits
        wrong = np.concatenate([[False], upper < lower])
    return _every_point(evidence, ORDER, wrong, "lies on the wrong side of the point before it")


def _every_point(
    evidence: LawEvidence, name: str, wrong: npt.NDArray[np.bool_], what: str
) -> CheckResult:
    count = int(wrong.sum())
    metrics = {"n_wrong": float(count)}
    if not count:
        return passed(name, metrics)
    sweep, index = evidence.sweep, int(wrong.argmax())
    expected = round_once(
        evidence.reference.unit[index] * evidence.reference.law.factor, sweep.values.dtype
    )
    point = point_at(
        sweep.words, sweep.values, np.broadcast_to(expected, sweep.values.shape), index, 0.0
    )
    lines = [
        f"{count} of {sweep.values.size} points of the law of {sweep.case.id}: the value {what}.",
        f"  first: {_place(point)}",
        *_values(point),
    ]
    return failed(name, "\n".join(lines), metrics)


@check(MEAN, needs=SWEPT)
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


@check(VARIANCE, needs=SWEPT)
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


@check(NOMINAL, needs=SWEPT)
def check_nominal(evidence: LawEvidence) -> CheckResult:
    """Ensure that the lattice has the mean and variance that were asked for, as it can.

    What departs from the lattice fails the checks above; but the lattice is no excuse of itself.
    With bounds at 100 sigma one of 128 points lies on a bound, and makes the variance 77 times as
    large. Points at one place of their cells are off in the mean of a monotone function by its
    variation over n at most (Koksma). So they are in the mean by the width of the law over n, and
    in the variance by the square of its reach over n, since the two sides of the mean are off in
    opposite directions. Of a law with no such atom the points but the outermost show that.
    """
    if evidence.sweep.case.problem.prng == STRATA:
        return passed(NOMINAL)  # one point of each stratum is no law
    reference, n = evidence.reference, evidence.law.n_points
    nominal, sigma = reference.nominal, reference.sigma
    # Nearly every law comes in order: to sort it takes another 64 MiB of float32's.
    ordered = reference.unit if reference.unit_law.direction else np.sort(reference.unit)
    inner = ordered[[1, -2]] * reference.law.factor - nominal.mean.real
    mean_error = (reference.mean - nominal.mean.real) / sigma
    mean_bound = float(np.ptp(inner)) / sigma / n
    variance_error = reference.variance / nominal.variance - 1
    variance_bound = (float(np.abs(inner).max()) / sigma) ** 2 / n
    metrics = {
        "nominal_mean_error_sigma": mean_error,
        "nominal_mean_bound_sigma": mean_bound,
        "nominal_variance_error": variance_error,
        "nominal_variance_bound": variance_bound,
    }
    if abs(mean_error) <= mean_bound and abs(variance_error) <= variance_bound:
        return passed(NOMINAL, metrics)
    law = evidence.law
    lines = [
        f"the law of {evidence.sweep.case.id} is not the one that was asked for: {n} points are "
        "too few for such bounds.",
        f"    mean      {mean_error:+.3g} sigma off; so many points explain {mean_bound:.3g}",
        f"    variance  {1 + variance_error:.6g} of what was asked; they explain 1 +- "
        f"{variance_bound:.3g}",
        f"    extremes  {law.minimum:.6g} and {law.maximum:.6g}, one draw in {n} each, or more",
    ]
    return failed(NOMINAL, "\n".join(lines), metrics)


@check(ACCURACY, needs=SWEPT)
def check_accuracy(evidence: LawEvidence) -> CheckResult:
    """Ensure that no point is further from the correctly rounded value than the budget allows.

    Or from what JAX's sequence gives where multiply-adds are fused otherwise than on the machines
    that were measured: the kernel is no worse for it.
    """
    accuracy, budget = evidence.accuracy, evidence.budget
    metrics = {
        "max_ulp": accuracy.at_value.ulp if accuracy.at_value else 0.0,
        "max_ulp_at_sigma": accuracy.at_sigma.ulp if accuracy.at_sigma else 0.0,
        "mean_ulp": accuracy.mean_error,
        "bias_ulp": accuracy.bias,
    }
    if budget is None:
        return _without_budget(evidence.sweep.case, metrics)
    over = [
        (point, unit, limit)
        for point, unit, limit in (
            (accuracy.at_value, "ULP", budget.max_ulp),
            (accuracy.at_sigma, "ULP of sigma", budget.max_ulp_at_sigma),
        )
        if point and point.ulp > limit
    ]
    if not over or _is_fused_otherwise(evidence, budget, [point for point, _, _ in over]):
        return passed(ACCURACY, metrics)
    lines = [f"the law of {evidence.sweep.case.id} is further from the definition than its budget."]
    for point, unit, limit in over:
        lines.append(f"  worst: {point.ulp:.6g} {unit}, budget {limit:.6g}, at {_place(point)}")
        lines += _values(point)
    return failed(ACCURACY, "\n".join(lines), metrics)


def _is_fused_otherwise(evidence: LawEvidence, budget: Budget, worst: Collection[Point]) -> bool:
    """Return whether all points are within the budget of the sequence, fused the other way.

    And more of them are just what that gives than what the usual one does: else a fault on a
    machine that fuses would have the room between both. The worst points come first, where a fault
    shows: to follow a whole law takes longer than all else that judges it.
    """
    words, values = evidence.sweep.words, evidence.sweep.values
    usual, other = fusings(values.dtype.name)
    places = np.flatnonzero(np.isin(words, np.array([it.word for it in worst], words.dtype)))
    if not _is_within(evidence, budget, _followed(evidence, other, places), places):
        return False
    followed = _followed(evidence, other)
    if followed is None or not _is_within(evidence, budget, followed):
        return False
    n_off, n_off_usual = (
        np.count_nonzero(ulp_distance(values, each))
        for each in (followed, _followed(evidence, usual))
        if each is not None
    )
    return bool(n_off < n_off_usual)


def _is_within(
    evidence: LawEvidence, budget: Budget, followed: Array | None, places: Places = EVERYWHERE
) -> bool:
    """Return whether the values there are within the budget of the followed ones."""
    if followed is None:
        return False
    values, reference = evidence.sweep.values[places], evidence.reference
    at_value = ulp_distance(values, followed) <= np.uint64(budget.max_ulp)
    at_sigma = ulp_at(values, followed, scale=reference.sigma) <= budget.max_ulp_at_sigma
    is_beyond = np.abs(reference.unit[places] * reference.law.factor) >= reference.sigma
    return bool(np.where(is_beyond, at_value, at_sigma).all())


def _without_budget(case: Case, metrics: Mapping[str, float]) -> CheckResult:
    problem = case.problem
    remedy = Remedy(
        yardstick=Yardstick.BUDGET,
        initializer=problem.initializer,
        dtype=problem.dtype,
        backend=case.backend,
    )
    text = f"no budget is stored for {problem.initializer} in {problem.dtype} on {case.backend}"
    return failed(ACCURACY, text, metrics, remedy)


@check(SEQUENCE, needs=SWEPT)
def check_sequence(evidence: LawEvidence) -> CheckResult:
    """Ensure that 16-bit values are those of JAX's documented sequence of roundings.

    In 16 bits a rounding is so coarse that `error_bound` hides faults. But the lattice is small and
    the sequence known, so its values can be foretold; up to `FLIPS_PER_POINT` of them may differ.
    A device with arithmetic in the format, as Arm has in float16, may fuse its multiply-adds.
    """
    sweep = evidence.sweep
    dtype = sweep.values.dtype
    if word_bits(dtype) not in ENUMERATED_WORDS:
        return passed(SEQUENCE)
    usual, other = fusings(dtype.name)
    followed, distance, n_off = _off_sequence(evidence, usual)
    allowed = math.ceil(FLIPS_PER_POINT * followed.size)
    if n_off > allowed:
        fused = _off_sequence(evidence, other)
        followed, distance, n_off = min((followed, distance, n_off), fused, key=lambda it: it[2])
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
        *_other_rounds(evidence, allowed),
    ]
    return failed(SEQUENCE, "\n".join(lines), metrics)


def _other_rounds(evidence: LawEvidence, allowed: int) -> Iterator[str]:
    """Yield which other order of roundings the points are of, where they are of one."""
    fused = fusings(evidence.sweep.values.dtype.name)
    for name, rounds in KNOWN_ROUNDS.items():
        definition = dataclasses.replace(evidence.definition, rounds=rounds)
        other = dataclasses.replace(evidence, definition=definition)
        if min(_off_sequence(other, each)[2] for each in fused) <= allowed:
            yield f"  they are what rounds={name} gives: the definition may say so, if it is meant"


def _off_sequence(
    evidence: LawEvidence, fused: Collection[str]
) -> tuple[Array, npt.NDArray[np.uint64], int]:
    """Return what the sequence gives, how far each point is from it, and how many are off it.

    fused: the formats whose multiply-adds round once.
    """
    followed = _followed(evidence, fused)
    assert followed is not None
    distance = ulp_distance(evidence.sweep.values, followed)
    return followed, distance, int(np.count_nonzero(distance))


def _followed(
    evidence: LawEvidence, fused: Collection[str], places: Places = EVERYWHERE
) -> Array | None:
    """Return what JAX's sequence gives at the points; None of a format that nobody followed."""
    words, dtype = evidence.sweep.words[places], evidence.sweep.values.dtype
    shape = evidence.sweep.case.problem.shape
    found: list[Array] = []
    for part in (*chunks(words),) or (words,):  # of a whole law a GiB else
        solution = solve_words(part, evidence.definition, dtype, shape, fused=fused)
        if solution.followed is None:
            return None
        found.append(solution.followed)
    return np.concatenate(found)


def _place(point: Point) -> str:
    return f"word {point.word:#x} (u = {point.fraction:.9g})"


def _values(point: Point) -> Iterator[str]:
    for name, value in (("actual", point.actual), ("expected", point.expected)):
        yield f"    {name:8} {number(value)}"


LAW_CHECKS: tuple[Check[LawEvidence], ...] = (
    check_finite,
    check_bounds,
    check_order,
    check_mean,
    check_variance,
    check_nominal,
    check_accuracy,
    check_sequence,
)

NAMES = (*(each.name for each in LAW_CHECKS), SWEEP)
