"""From an array back to its initializer: which key, which law, which fan.

A key is recognised without knowing the law. Every elementwise initializer is monotone in the random
word, so under the right key the values rise when they are sorted by their words. Under a wrong key
n values do so with probability 1 / n!: below 1e-9 for 13 of them. With the key known, the unit
variates are known, and the law is the one of which the values are a multiple.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import special

from conformance.core.arrays import Array, as_tall, widen
from conformance.core.formats import FORMATS
from conformance.core.lattice import mantissa_bits
from conformance.core.laws import (
    TRUNCATED_STDDEV,
    UNITS,
    Definition,
    Law,
    Normal,
    Uniform,
    VarianceScaling,
    fans,
    law_of,
    nominal_moments,
)
from conformance.core.ulp import unit_roundoff
from conformance.flax.layers import EMBEDDING
from conformance.judge.alpha import RECOGNITION
from conformance.judge.checks.backward_error import column_errors
from conformance.judge.drift.classify import ROUNDINGS
from conformance.oracle import random_bits, solve_words, unit_variate, word_bits
from conformance.oracle.distributions import lattice
from conformance.oracle.threefry import Key

Values = npt.NDArray[np.float64]

Source = TypeVar("Source")
"""Whatever names a candidate key."""

PREFIX = 64
"""Elements that are looked at: of the flattened array the first ones, whose words are the first."""

FEWEST_FOR_A_KEY = 13
"""13! > 6e9: so many values rise with the wrong words less than once in 6e9 tries."""

MOST_FACTORED = 1 << 14
"""Elements of the largest matrix whose key is sought by factoring the normals of each candidate."""

MOST_MULTIPLIED = 1 << 22
"""Elements of the largest matrix that is multiplied with itself to see if it is orthogonal: of 2048
x 2048 that is 2 * 2048**3 = 1.7e10 operations, a second of one core."""

MOST_COMPARED = 1 << 14
"""Elements of a sample that is compared with laws, within milliseconds. A normal and a truncated
one of the same variance, 0.017 apart at most, are told by their likelihoods long before."""

KOLMOGOROV = math.sqrt(RECOGNITION.evidence / 2)
"""sqrt(n) times the distance of a sample's distribution function from its law's that a right law
exceeds less often than the error budget allows: 2 exp(-2 * KOLMOGOROV**2); see `kolmogorov`."""

LIKELIHOOD = -math.log(RECOGNITION.alpha)
"""Logarithm of the likelihoods' ratio of two laws, above which the lesser is out: in favour of the
wrong one it is so large with probability exp(-LIKELIHOOD) at most (Markov)."""

FACTOR_ACCURACY = 1e-4
"""Of a factor, or of a value in sigma, that matches key and law one by one: JAX's erf_inv errs by
91 ULP at worst in float32, 1e-5 sigma, and another law or fan by more than 1e-2."""

STANDARD_ERRORS = -float(special.ndtri(RECOGNITION.alpha / 2))
"""Of an estimate, beyond which a value is no accident within the error budget: 7.0."""

FACTOR_TOLERANCE = 0.01
"""Of what is left of a drawn column, relative to its length, where the factor is not quite its own:
an array in bfloat16 is rounded by 2**-9. Four orthogonal columns leave six free angles, which agree
so closely by chance less than once in 1e11."""

LENGTH_TOLERANCE = 1e-2
"""Columns rounded to bfloat16 may be longer than 1 by one of its epsilons, 2**-7."""

CANDIDATES = (*UNITS.values(), Uniform(scale=1.0))
"""What an array may be a multiple of: what fans scale, and the uniform of `jax.nn.initializers`."""

SCALINGS = {
    "lecun": (1.0, "fan_in"),
    "he": (2.0, "fan_in"),
    "glorot": (1.0, "fan_avg"),
    "lecun of fan_out": (1.0, "fan_out"),
    "he of fan_out": (2.0, "fan_out"),
}

OF_OTHERS = {
    "truncated_normal": {"lecun_normal without its correction (Haiku)": TRUNCATED_STDDEV**2},
    "uniform": {"uniform of +-fan_in**-0.5 (PyTorch)": 1 / 3},
}
"""By distribution, the scales of fan_in that other libraries draw by default."""

FAN_OUT_IS_A_FAULT = ("lecun of fan_out", "he of fan_out")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """What an array was found to be.

    initializer: e.g. `lecun_normal`, `normal(stddev=0.02)`, `constant(0)`; joined by `or` where
        several are as likely.
    definition: which law that is; None for constants and where nothing was recognised.
    drawn_dtype: in which it was drawn: float32 where the values were cast afterwards.
    fan: the fan that scales the variance; None where none does.
    is_exact: the values match key and law one by one; otherwise the law is a statistical guess.
    fault: why a fan is not the one of the shape; "" if it is.
    """

    initializer: str
    definition: Definition | None = None
    drawn_dtype: str = ""
    fan: float | None = None
    is_exact: bool = False
    fault: str = ""


UNKNOWN = Recognised(initializer="not recognised")


def matching_key(
    array: Array, candidates: Sequence[tuple[Source, Key]], *, partitionable: bool = True
) -> tuple[Source, Key] | None:
    """Return the first candidate under whose words the array is monotone, or None.

    Arrays of fewer than FEWEST_FOR_A_KEY distinct elements match no key with certainty.
    """
    values = _prefix(array)
    if not candidates or len(np.unique(values)) < FEWEST_FOR_A_KEY:
        return None
    keys = np.stack([key for _, key in candidates]).tobytes()
    size = len(values) if partitionable else array.size
    for dtype in _drawn_dtypes(array.dtype):
        order, is_same_point = _ranks(keys, dtype, size, partitionable)
        steps = np.diff(values[order])
        # Larger lattice points never have smaller values, and equal ones equal.
        rising = np.where(is_same_point, steps == 0, steps >= 0).all(axis=1)
        if rising.any():
            return candidates[int(np.argmax(rising))]
    return None


def _is_drawable(array: Array) -> bool:
    """Return whether a real law could have drawn the array: it has elements, real and finite."""
    return bool(array.size) and array.dtype.kind != "c" and bool(np.isfinite(widen(array)).all())


def _prefix(array: Array) -> Values:
    return widen(array.ravel()[:PREFIX])


def _drawn_dtypes(dtype: np.dtype[Any]) -> tuple[np.dtype[Any], ...]:
    """Return the dtypes in which the draw may have been: its own, or float32 and then cast.

    None of integers, or of anything else in which no initializer draws.
    """
    float32 = np.dtype(np.float32)
    if dtype.name not in FORMATS:
        return ()
    return (dtype,) if dtype == float32 else (dtype, float32)


@functools.lru_cache(maxsize=8)
def _ranks(
    keys: bytes, dtype: np.dtype[Any], size: int, partitionable: bool
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """Return the prefix in the order of its lattice points, and where the next is the same point.

    One row a key. The words of a prefix are the first words, if the layout is partitionable.
    """
    rows = np.frombuffer(keys, np.uint32).reshape(-1, 2)
    points = np.stack([lattice(_words(key, dtype, size, partitionable), dtype) for key in rows])
    order = np.argsort(points, kind="stable")
    return order, np.diff(np.take_along_axis(points, order, axis=1)) == 0


def _words(key: Key, dtype: np.dtype[Any], size: int, partitionable: bool) -> Any:
    return random_bits(key, word_bits(dtype), (size,), partitionable=partitionable)[:PREFIX]


def recognise(array: Array, key: Key | None, *, partitionable: bool = True) -> Recognised:
    """Return the initializer of the array: by its key if that is known, else by its statistics.

    Complex, empty and non-finite arrays are UNKNOWN: no law here has them, and comparisons with
    their statistics, NaN among them, would not refuse any. So are integers that are not all one.
    """
    if not _is_drawable(array):
        return UNKNOWN
    values = widen(array.ravel())
    if values.min() == values.max():
        return Recognised(initializer=f"constant({values.min():g})", is_exact=True)
    if array.dtype.name not in FORMATS:
        return UNKNOWN
    fit = None if key is None else _by_key(array, key, partitionable)
    if fit is None and (length := _orthogonal_length(array)):
        is_unit = math.isclose(length, 1, rel_tol=0, abs_tol=LENGTH_TOLERANCE)
        suffix = "" if is_unit else f"(scale={length:.4g})"
        return Recognised(initializer=f"orthogonal{suffix}", is_exact=key is not None)
    fits = _by_statistics(array) if key is None else [fit] if fit else []
    if not fits:
        return UNKNOWN
    found = [each for fit in fits for each in _named(fit, array, is_exact=key is not None)]
    names = dict.fromkeys(each.initializer for each in found)
    return dataclasses.replace(
        found[0],
        initializer=" or ".join(names),
        drawn_dtype=fits[0].dtype,
        fault=found[0].fault if all(each.fault for each in found) else "",
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, order=True)
class _Fit:
    """One of CANDIDATES and its factor; `residual` in units of the factor orders the fits."""

    residual: float
    unit: Law = dataclasses.field(compare=False)
    scale: float
    dtype: str


def _by_key(array: Array, key: Key, partitionable: bool) -> _Fit | None:
    """Return the law of whose unit variates the prefix is a multiple, and the factor."""
    values = _prefix(array)
    fits = []
    for dtype in _drawn_dtypes(array.dtype):
        size = len(values) if partitionable else array.size
        words = _words(key, dtype, size, partitionable)
        for law in CANDIDATES:
            unit = unit_variate(words, law, dtype)
            scale = float(values @ unit / (unit @ unit))  # least squares, through the origin
            residual = float(np.abs(values - scale * unit).max() / abs(scale))
            fits.append(_Fit(residual=residual, unit=law, scale=scale, dtype=str(dtype)))
    best = min(fits)
    return best if best.residual <= _residual_bound(array.dtype) else None


def _residual_bound(dtype: np.dtype[Any]) -> float:
    """Return how far, in sigma, a correct value may lie from its multiple of the unit variate.

    float32: JAX's erf_inv errs by 91 ULP at worst, 1e-5 sigma. 16 bits: all roundings of a value of
    4 sigma at most. The wrong one of two laws misses by more than 0.1 sigma.
    """
    return max(FACTOR_ACCURACY, ROUNDINGS * unit_roundoff(dtype) * 4)


def _by_statistics(array: Array) -> list[_Fit]:
    """Return the laws that may have drawn the values, the likeliest first.

    A correct law is refused less often than the error budget allows by each of two tests: of the
    distribution (KOLMOGOROV), and against the likeliest law (LIKELIHOOD). Small arrays leave
    several: 64 values do not tell a truncated normal from a whole one.
    """
    from scipy import stats  # half a second: only where there are but values

    values = widen(array.ravel())
    if len(values) < PREFIX:
        return []
    sample = _sample(values)
    sigma = float(values.std())
    slack = STANDARD_ERRORS * _relative_error(values)
    fits = []
    for law in CANDIDATES:
        stddev = _stddev(law)
        unit = sample / (sigma / stddev)
        distance = float(stats.kstest(unit, law.cdf).statistic)
        if distance * math.sqrt(len(sample)) <= KOLMOGOROV:
            residual = _negative_log_likelihood(sample, law.times(sigma / stddev), slack)
            dtype = str(array.dtype)
            fits.append(_Fit(residual=residual, unit=law, scale=sigma / stddev, dtype=dtype))
    fits.sort()
    return [fit for fit in fits if fit.residual - fits[0].residual < LIKELIHOOD]


def _sample(values: Values) -> Values:
    """Return the values that are compared with laws: evenly spaced, or all of few."""
    return values[:: max(1, len(values) // MOST_COMPARED)]


def _relative_error(values: Values) -> float:
    """Return the standard error of a sample stddev, as a part of it; see `audit.Audited`."""
    centred = values - values.mean()
    kurtosis = max(float((centred**4).mean() / (centred**2).mean() ** 2), 1.0)
    return math.sqrt((kurtosis - 1) / (4 * len(values)))


def _log_likelihood(unit: Values, law: Law, slack: float) -> float:
    """Return that of standardised values: where some lie beyond a bound, at the least larger scale.

    There they have a density that integrates to 1, as the ratio of two likelihoods needs. Clipped
    to the bound they would have none: a uniform law was likelier of truncated normals than theirs.

    slack: how much larger, as a part, the scale may be: it is an estimate.
    """
    lower, upper = law.support
    nearer = unit / (1 + slack)
    if ((nearer < lower) | (nearer > upper)).any():
        return -math.inf
    larger = max(1.0, float((unit / np.where(unit < 0, lower, upper)).max()))
    within = np.clip(unit / larger, lower, upper)  # the quotient is rounded
    return float(law.log_density(within).sum()) - len(unit) * math.log(larger)


def _is_likely(definition: Definition, array: Array, residual: float) -> bool:
    """Return whether the values may be of a law of which nothing was fitted to them.

    Of a uniform the bounds say more than the stddev: none of many values lies near one that is a
    fifth too large.

    residual: of the law that was fitted.
    """
    law = law_of(definition, array.shape)
    assert law is not None
    sample = _sample(widen(array.ravel()))
    slack = ROUNDINGS * unit_roundoff(array.dtype)
    return _negative_log_likelihood(sample, law, slack) - residual < LIKELIHOOD


def _negative_log_likelihood(sample: Values, law: Law, slack: float) -> float:
    # The density of factor * unit is that of the unit, over the factor.
    likelihood = _log_likelihood(sample / law.factor, law.unit, slack)
    return -likelihood + len(sample) * math.log(law.factor)


def _stddev(definition: Definition, shape: tuple[int, ...] = ()) -> float:
    moments = nominal_moments(definition, shape)
    assert moments is not None
    return math.sqrt(moments.variance)


def _named(fit: _Fit, array: Array, *, is_exact: bool) -> list[Recognised]:
    """Return the initializers that have this law: scalings of the shape's fans, or a plain one.

    All are named whose stddev is that of the values, to their error, and of which the values may
    be; fans of the wrong side only if no other fits.
    """
    unit, scale = fit.unit, fit.scale
    stddev = abs(scale) * _stddev(unit)
    tolerance = _stddev_tolerance(unit, array, is_exact)
    found: dict[str, Recognised] = {}
    for name, definition, fan, is_natural in _scalings(unit, array.shape):
        is_near = abs(stddev / _stddev(definition, array.shape) - 1) <= tolerance
        if not is_near or name in found:
            continue
        if not (is_exact or _is_likely(definition, array, fit.residual)):
            continue
        fault = "" if is_natural else f"its variance is that of {name}, fan {fan:g}"
        found[name] = Recognised(
            initializer=name, definition=definition, fan=fan, is_exact=is_exact, fault=fault
        )
    natural = [each for each in found.values() if not each.fault]
    if not is_exact:
        natural.sort(key=lambda each: _distance(each, array.shape, stddev))
    if found:
        return natural or list(found.values())
    # Both signs of a symmetric law are one law, of which initializers name the positive factor.
    law = unit.times(abs(scale) if unit.is_symmetric else scale)
    return [Recognised(initializer=law.call, definition=law, is_exact=is_exact)]


def _distance(recognised: Recognised, shape: tuple[int, ...], stddev: float) -> float:
    """Return how far the stddev by the definition is from another, as logarithms."""
    assert recognised.definition is not None
    return abs(math.log(_stddev(recognised.definition, shape) / stddev))


@functools.cache
def _kurtosis(unit: Law) -> float:
    return exact_moments(unit, (), np.dtype(np.float32)).kurtosis


def _stddev_tolerance(unit: Law, array: Array, is_exact: bool) -> float:
    """Return by what part the fitted stddev may be off: all roundings, or an estimate's error.

    The standard error of a sample stddev is sigma * sqrt((kurtosis - 1) / (4 n)), by the kurtosis
    of the law: 0.71 sigma / sqrt(n) of a normal, 0.58 of one cut at 2 sigma, 0.45 of a uniform.
    """
    if is_exact:
        return max(FACTOR_ACCURACY, ROUNDINGS * unit_roundoff(array.dtype))
    return STANDARD_ERRORS * math.sqrt((_kurtosis(unit) - 1) / (4 * array.size))


def _scalings(
    unit: Law, shape: tuple[int, ...]
) -> Iterator[tuple[str, VarianceScaling, float, bool]]:
    """Yield name, definition, fan, and whether the fan is what the shape calls for.

    Fans of convolutions and matrices come first; then those of kernels with several axes in or out,
    as attention has; last the fans of the wrong side.
    """
    kind = next((name for name, each in UNITS.items() if each == unit), "")
    if not kind or len(shape) < 2:
        return
    if unit == EMBEDDING.unit and len(shape) == 2:
        yield "embedding", EMBEDDING, float(shape[1]), True
    # JAX calls by `normal` what it cuts at 2 sigma: lecun_normal, he_normal.
    suffix = {"truncated_normal": "normal", "normal": "normal (not truncated)"}.get(kind, kind)
    for name, (scale, mode) in SCALINGS.items():
        for in_axis, out_axis in _axes(shape):
            definition = VarianceScaling(
                scale=scale, mode=mode, distribution=kind, in_axis=in_axis, out_axis=out_axis
            )
            fan_in, fan_out = fans(shape, definition)
            fan = {"fan_in": fan_in, "fan_out": fan_out}.get(mode, (fan_in + fan_out) / 2)
            base, _, side = name.partition(" ")
            full_name = f"{base}_{suffix}" + (f" {side}" if side else "")
            yield full_name, definition, fan, name not in FAN_OUT_IS_A_FAULT
    for name, scale in OF_OTHERS.get(kind, {}).items():
        for in_axis, out_axis in ((-2, -1), (-1, -2)):  # PyTorch and Equinox store (out, in)
            definition = VarianceScaling(
                scale=scale, mode="fan_in", distribution=kind, in_axis=in_axis, out_axis=out_axis
            )
            yield name, definition, fans(shape, definition)[0], True


def _axes(shape: tuple[int, ...]) -> list[tuple[Any, Any]]:
    """Return the ways to split the axes into those that go in and those that come out."""
    axes = tuple(range(len(shape)))
    return [(-2, -1), *((axes[:k], axes[k:]) for k in range(1, len(shape)))]


def matching_orthogonal_key(
    array: Array, candidates: Sequence[tuple[Source, Key]], *, partitionable: bool = True
) -> tuple[Source, Key] | None:
    """Return the first candidate whose normals have this orthogonal factor, or None.

    Held to the backward errors of its columns: what an unrelated matrix leaves of a drawn column is
    as long as the column.
    """
    length = _orthogonal_length(array)
    if not length or array.size not in range(FEWEST_FOR_A_KEY, MOST_FACTORED + 1):
        return None
    tall = _tall(array) / length
    for label, key in candidates:
        normals = _normals(key, tall.shape, partitionable)
        bound = FACTOR_TOLERANCE / unit_roundoff(normals.dtype)
        if not column_errors(tall, normals, bound=bound).n_beyond:
            return label, key
    return None


def _tall(array: Array) -> Values:
    """Return the matrix of the last axis and all others, its longer side upright."""
    return as_tall(widen(array))


def _normals(key: Key, tall: tuple[int, ...], partitionable: bool) -> Array:
    """Return the tall matrix of float32 normals that the key draws."""
    words = random_bits(key, 32, tall, partitionable=partitionable)
    return solve_words(words, Normal(stddev=1.0), np.dtype(np.float32), tall).expected


def _orthogonal_length(array: Array) -> float:
    """Return the length of the rows or columns, the smaller side, if they are orthogonal; or 0."""
    if array.ndim < 2 or min(array.shape) < 2 or array.size > MOST_MULTIPLIED:
        return 0.0
    if not _is_drawable(array) or array.dtype.name not in FORMATS:
        return 0.0
    tall = _tall(array)
    gram = tall.T @ tall
    square = float(np.trace(gram)) / len(gram)  # the mean square of the columns' lengths
    # Rounding the elements moves a product of unit columns by one epsilon at most (Cauchy-Schwarz),
    # and their lengths as much; the float32 factorization adds n of its epsilons.
    bound = 4 * 2.0 ** -mantissa_bits(array.dtype) + len(tall) * 2.0**-23
    if square and np.abs(gram / square - np.eye(len(gram))).max() < bound:
        return math.sqrt(square)
    return 0.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ExactMoments:
    """Mean, stddev and kurtosis of the law over all lattice points of the dtype."""

    mean: float
    stddev: float
    kurtosis: float


def exact_moments(
    definition: Definition, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> ExactMoments:
    """Return the moments of what JAX draws in the dtype.

    16-bit dtypes have so few lattice points that all are enumerated; for float32 2**16 evenly
    spaced ones stand for the 2**23, at the middle of their strata, which leaves 1e-5 of sigma.
    """
    kept = min(mantissa_bits(dtype), 16)
    width = word_bits(dtype)
    centre = (1 << (width - kept)) >> 1  # of 16 bits, one that does not count
    words = (np.arange(1 << kept, dtype=np.uint64) << np.uint64(width - kept)) + np.uint64(centre)
    solution = solve_words(words.astype(f"u{width // 8}"), definition, dtype, shape)
    values = widen(solution.expected if solution.followed is None else solution.followed)
    # Of points that are equally likely: no estimates from a sample, so nothing less one.
    deviation = values - values.mean()
    variance = float((deviation**2).mean())
    return ExactMoments(
        mean=float(values.mean()),
        stddev=math.sqrt(variance),
        kurtosis=float((deviation**4).mean()) / variance**2,
    )
