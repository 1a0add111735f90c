"""The sample's mean and variance against the law, within bounds that hold with certainty.

The exact law (`checks/law.py`) leaves nothing to chance for a single word. What only a sample sees
is the stream: words that repeat, correlate or lean. So the null hypothesis is the exact law of the
dtype's lattice, and the bounds hold for every sample size, not only asymptotically.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import numpy as np

from conformance.core.arrays import as_dtype
from conformance.core.formats import FORMATS
from conformance.core.laws import (
    Constant,
    Definition,
    Orthogonal,
    Reals,
    nominal_moments,
)
from conformance.core.records import CheckResult, Moments, Returned
from conformance.judge.alpha import MOMENTS as SHARE
from conformance.judge.bounds import bernstein_bound
from conformance.judge.checks.base import (
    Evidence,
    check_of_defined,
    failed,
    not_applicable,
    passed,
)
from conformance.judge.statistics.reach import (
    ENUMERATED_WORDS,
    LARGEST_VARIANCE,
    reach_of,
    values_of_points,
)
from conformance.oracle import OracleUnavailable, word_bits

MOMENTS = "moments"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ElementMoments:
    """Central moments of one element, and its largest distance from the mean.

    mean_lean, variance_lean: how far those of the dtype's lattice may lie from these, where the
    law is known as a continuous one only.
    """

    mean: complex
    variance: float
    fourth: float
    reach: float
    mean_lean: float = 0.0
    variance_lean: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How far the mean and the variance of a sample may lie from the law's."""

    mean: float
    variance: float


@check_of_defined(MOMENTS)
def check_moments(evidence: Evidence, definition: Definition, outcome: Returned) -> CheckResult:
    """Ensure that mean and variance are those of the law, as nearly as the sample can tell."""
    if outcome.moments.nonfinite or not math.prod(outcome.shape):
        return not_applicable(MOMENTS)
    law = moments_of_element(definition, outcome.shape, outcome.dtype)
    if law is None:
        return not_applicable(MOMENTS)
    if math.isinf(law.reach):
        return failed(MOMENTS, f"{evidence.observation.case.id}: {_UNBOUNDED}")
    bounds = bounds_of(definition, law, outcome.shape)
    metrics = {"mean_bound": bounds.mean, "variance_bound": bounds.variance}
    if fault := _fault(outcome.moments, law, bounds):
        return failed(MOMENTS, f"{evidence.observation.case.id}: {fault}", metrics)
    return passed(MOMENTS, metrics)


_UNBOUNDED = (
    "the declared law has no finite bounds, without which no sample can contradict it: state "
    "`lower` and `upper`, for a normal at 6 standard deviations"
)


def _fault(actual: Moments, law: ElementMoments, bounds: Bounds) -> str:
    mean = complex(actual.mean, actual.mean_imag)
    variance, sigma = variance_around(law, mean, actual.variance), math.sqrt(law.variance)
    if abs(mean - law.mean) > bounds.mean:
        return (
            f"the mean is {_text(mean)}, {abs(mean - law.mean) / sigma:.3g} sigma from the law's "
            f"{_text(law.mean)}; a sample of this size is within {bounds.mean / sigma:.3g} sigma"
        )
    if abs(variance - law.variance) > bounds.variance:
        return (
            f"the variance is {variance / law.variance:.6g} of the law's {law.variance:.6g}; "
            f"a sample of this size is within {bounds.variance / law.variance:.3g} of 1"
        )
    return ""


def variance_around(law: ElementMoments, mean: Any, variance: Any) -> Any:
    """Return the variance around the law's mean, not the sample's; of one sample or of many.

    That is a mean of independent terms, as the bound wants them.
    """
    return variance + abs(mean - law.mean) ** 2


def _text(value: complex) -> str:
    return f"{value.real:.6g}" if not value.imag else f"{value:.6g}"


@functools.lru_cache(maxsize=4096)
def moments_of_element(
    definition: Definition, shape: tuple[int, ...], dtype: str
) -> ElementMoments | None:
    """Return the moments of one element in the dtype; None where elements have no variance.

    None, too, where sums of fourth powers are no float64: the definition still says each element.

    Of 8 and 16-bit words the law is enumerated, with JAX's own roundings: bfloat16's 128 values
    have other moments than the continuous law.
    """
    if isinstance(definition, Constant):
        return None
    if word_bits(as_dtype(dtype)) in ENUMERATED_WORDS:
        try:
            return _enumerated(definition, shape, dtype)
        except OracleUnavailable:
            pass  # no function of single words: only its nominal moments are known
    nominal = nominal_moments(definition, shape, dtype)
    if nominal is None or not 0 < nominal.variance < LARGEST_VARIANCE:
        return None
    sigma = math.sqrt(nominal.variance)
    reach = reach_of(definition, nominal, shape, dtype)
    kurtosis = min(nominal.kurtosis, (reach / sigma) ** 2)  # x^4 <= reach^2 x^2
    # N lattice points, each at a quantile of its cell: the mean of a function of total variation V
    # is off by V / N at most (Koksma). V is 2 reach for the value, 2 reach^2 for its square.
    cell = FORMATS[dtype].cell
    return ElementMoments(
        mean=nominal.mean,
        variance=nominal.variance,
        fourth=kurtosis * nominal.variance**2,
        reach=reach,
        mean_lean=2 * reach * cell,
        variance_lean=2 * reach**2 * cell,
    )


def _enumerated(
    definition: Definition, shape: tuple[int, ...], dtype: str
) -> ElementMoments | None:
    values, n_words = values_of_points(definition, shape, dtype)

    def mean(terms: Reals) -> float:
        return float(np.repeat(terms, n_words).mean())

    centre = mean(values)
    deviation = np.abs(values - centre)
    if not deviation.any():
        return None
    return ElementMoments(
        mean=complex(centre),
        variance=mean(deviation**2),
        fourth=mean(deviation**4),
        reach=float(deviation.max()),
    )


def bounds_of(definition: Definition, law: ElementMoments, shape: tuple[int, ...]) -> Bounds:
    """Return bounds that a correct sample exceeds with probability SHARE.alpha."""
    size = math.prod(shape)
    if isinstance(definition, Orthogonal):
        return Bounds(mean=_haar_mean_bound(definition, shape), variance=math.inf)
    squares = max(law.fourth - law.variance**2, 0.0)
    return Bounds(
        mean=_bound(size, law.variance, law.reach) + law.mean_lean,
        variance=_bound(size, squares, law.reach**2) + law.variance_lean,
    )


def _bound(size: int, variance: float, reach: float) -> float:
    return bernstein_bound(size, variance, reach, SHARE.evidence)


def _haar_mean_bound(definition: Orthogonal, shape: tuple[int, ...]) -> float:
    """Return the bound on the mean entry of a Haar matrix with orthonormal columns, n >= k.

    The mean is u^T Q v / sqrt(n k) for unit vectors u and v, and Q v is uniform on the sphere:
    |u^T Q v| > t has probability at most 2 exp(-n t^2 / 2). Source: Ball, An Elementary
    Introduction to Modern Convex Geometry (1997), lemma 2.2. The variance of the entries is no
    sampling matter: it follows from orthogonality, which the structure check measures.
    """
    columns = shape[definition.column_axis]
    longer = max(columns, math.prod(shape) // columns)
    return abs(definition.scale) * math.sqrt(2 * SHARE.evidence / longer / math.prod(shape))
