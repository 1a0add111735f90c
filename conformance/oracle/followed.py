"""JAX's own sequence of operations, each rounded to the dtype: what intact kernels return.

Where this differs from the defined value, the sequence is imprecise; where JAX differs from this,
a kernel is. The sequence is that of `jax._src.random.core` and `jax._src.nn.initializers` in JAX
0.12, called eagerly, with what XLA does below them: erf_inv and erf of 16-bit types are computed in
float32, erf_inv as the polynomial of Giles and erf as the rational function of Eigen; and a
division by a constant is a multiplication by its rounded reciprocal. What a compiler folds is told
by `ErfErrors`. The functions log1p and, in float64, erf round correctly here, and subnormals live:
`tests/oracle/test_oracle_followed.py` counts what XLA's approximations, and its flushing to zero,
change.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Collection
from typing import Any

import numpy as np

from conformance.core.arrays import Array
from conformance.core.formats import FORMATS, FUSED_DTYPES
from conformance.core.laws import (
    TRUNCATED_STDDEV,
    Definition,
    Law,
    Normal,
    TruncatedNormal,
    VarianceScaling,
    scaled_variance,
)
from conformance.oracle.distributions import lattice, open_bounds
from conformance.oracle.pairs import multiply_add
from conformance.oracle.rounding import Reals, round_once, rounded
from conformance.oracle.threefry import Words

FLOAT32 = np.dtype(np.float32)

ErfErrors = tuple[int, int]
"""ULP by which a C library has erf of the lower and of the upper bound too far from zero.

A compiler that sees constant bounds folds erf of them by the C library of its machine."""

FOLDED_CORRECTLY: ErfErrors = (0, 0)

C_LIBRARY_ERF_ULP = (0, 1, -1)
"""Errors of erf that a sound C library may make, in float32 and in float64, likeliest first.

glibc documents at most 1 ULP (manual, Errors in Math Functions). Met in float32 at bounds of k/8
up to 6: by glibc 2.36 an ULP at 0.25 and at 2.375, by 2.43 none."""

CENTRAL = (
    2.81022636e-08,
    3.43273939e-07,
    -3.5233877e-06,
    -4.39150654e-06,
    0.00021858087,
    -0.00125372503,
    -0.00417768164,
    0.246640727,
    1.50140941,
)
TAIL = (
    -0.000200214257,
    0.000100950558,
    0.00134934322,
    -0.00367342844,
    0.00573950773,
    -0.0076224613,
    0.00943887047,
    1.00167406,
    2.83297682,
)
"""Coefficients of erf_inv, highest power first. Source: Giles, Approximating the erfinv function
(GPU Computing Gems 2, 2011), single precision; XLA's expansion of erf_inv has the same."""

ERF_NUMERATOR = (
    0.00022905065861350646,
    0.0034082910107109506,
    0.050955695062380861,
    0.18520832239976145,
    1.128379143519084,
)
ERF_DENOMINATOR = (
    -1.1791602954361697e-7,
    0.000023547966471313185,
    0.0010179625278914885,
    0.014070470171167667,
    0.11098505178285362,
    0.49746925110067538,
    1.0,
)
ERF_SATURATION = 3.832506856900711
"""Coefficients of erf(x) / x in powers of x^2, highest first; from the saturation on erf is 1.
Source: the rational interpolant of Eigen in `xla/codegen/intrinsic/erf.cc`, always fused."""


def followed_uniform(
    words: Words,
    law: Law,
    dtype: np.dtype[Any],
    fused: Collection[str] = FUSED_DTYPES,
    *,
    folded: ErfErrors | None = None,
) -> Reals:
    """Return what `jax.random.uniform` draws for the law, bit for bit, as float64.

    folded: where a compiler saw constant bounds, as under `jit`: how far its erf of them is off.

    The range is (lower, upper) for uniforms, (nextafter(-1, 0), 1) for normals, and between the
    rounded erf of the bounds for truncated normals: only there can a product or a sum be inexact.
    """
    lower, upper = _uniform_range(law, dtype, folded=folded)
    width = float(rounded(np.asarray(upper - lower), dtype))
    drawn = _multiply_add(lattice(words, dtype), width, lower, dtype, fused)
    return np.maximum(lower, drawn)


def _multiply_add(
    factor: Reals, by: float, addend: float, dtype: np.dtype[Any], fused: Collection[str]
) -> Reals:
    """Return factor * by + addend, rounded after the sum, and after the product if not fused."""
    if dtype.name not in fused:
        return rounded(rounded(factor * by, dtype) + addend, dtype)
    if dtype == np.float64:
        return multiply_add(factor, by, addend)
    return rounded(factor * by + addend, dtype)


def foldings(law: Law) -> tuple[ErfErrors, ...]:
    """Return what the C libraries of sound machines may fold erf of the law's bounds to.

    That erf is odd, every library knows: bounds of one size are off together. And erf of 0 is 0.
    """
    if not isinstance(law, TruncatedNormal):
        return (FOLDED_CORRECTLY,)
    sizes = sorted({abs(law.lower), abs(law.upper)} - {0.0})
    errors = itertools.product(C_LIBRARY_ERF_ULP, repeat=len(sizes))
    by_size = [{0.0: 0} | dict(zip(sizes, chosen, strict=True)) for chosen in errors]
    return tuple((error[abs(law.lower)], error[abs(law.upper)]) for error in by_size)


@functools.lru_cache(maxsize=256)
def _uniform_range(
    law: Law, dtype: np.dtype[Any], *, folded: ErfErrors | None
) -> tuple[float, float]:
    if not isinstance(law, TruncatedNormal):
        lower, upper = law.uniform_range(FORMATS[dtype.name])
        return float(_cast(lower, dtype)), float(_cast(upper, dtype))
    if folded is None:
        return _erf_of(law.lower, dtype), _erf_of(law.upper, dtype)
    return _folded_erf_of(law.lower, dtype, folded[0]), _folded_erf_of(law.upper, dtype, folded[1])


@functools.lru_cache(maxsize=256)
def _erf_of(bound: float, dtype: np.dtype[Any]) -> float:
    """Return erf(bound / sqrt(2)); bound, 1 / sqrt(2), quotient and erf rounded to the dtype."""
    quotient = _times_reciprocal(bound, dtype)
    if dtype == np.float64:
        return math.erf(quotient)
    return float(rounded(np.asarray(erf_float32(quotient)), dtype))


def _folded_erf_of(bound: float, dtype: np.dtype[Any], error_ulp: int) -> float:
    """Return the constant for erf(bound / sqrt(2)) of a C library that errs so.

    Folding comes before the division is made a product, but in 16 bits.
    """
    if dtype.itemsize < FLOAT32.itemsize:
        erf = _off_by(math.erf(_times_reciprocal(bound, dtype)), error_ulp, FLOAT32)
        return float(rounded(np.asarray(erf), dtype))
    quotient = float(rounded(_cast(bound, dtype) / _cast(math.sqrt(2), dtype), dtype))
    return _off_by(math.erf(quotient), error_ulp, dtype)


def _times_reciprocal(bound: float, dtype: np.dtype[Any]) -> float:
    reciprocal = rounded(1 / _cast(math.sqrt(2), dtype), dtype)
    return float(rounded(_cast(bound, dtype) * reciprocal, dtype))


def _off_by(erf: float, error_ulp: int, dtype: np.dtype[Any]) -> float:
    """Return erf, rounded to the dtype, and then off by so many ULP away from zero; at most 1."""
    value = np.asarray(erf).astype(dtype)
    moved = abs(value) + dtype.type(error_ulp) * np.spacing(abs(value))
    return math.copysign(min(float(moved), 1.0), erf)


def erf_float32(x: float) -> float:
    """Return XLA's float32 erf of a float32 number: up to 2 ULP from the true one.

    XLA computes so at run time. Bounds that are constants under `jit` it folds with the C library
    instead: an eager and a jitted draw can differ, and the jitted draws of two machines.
    """
    largest = float(np.float32(ERF_SATURATION))
    x = max(-largest, min(x, largest))
    # erf is odd: x times a ratio of polynomials in x^2.
    square = rounded(np.asarray(x * x), FLOAT32)
    numerator = rounded(x * _horner(ERF_NUMERATOR, square, is_fused=True), FLOAT32)
    return float(rounded(numerator / _horner(ERF_DENOMINATOR, square, is_fused=True), FLOAT32))


def _cast(value: float, dtype: np.dtype[Any]) -> Reals:
    """Return a Python number as JAX makes it an array, as float64 again."""
    with np.errstate(over="ignore"):
        return np.asarray(value).astype(dtype).astype(np.float64)


def followed_value(
    uniform: Reals,
    law: Law,
    definition: Definition,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    fused: Collection[str] = FUSED_DTYPES,
) -> Array:
    """Return the array that the sequence makes of the uniforms, in the dtype.

    dtype: bfloat16, float16 or float32. XLA's float64 functions are not modelled.
    """
    variate = followed_variate(uniform, law, dtype, fused)
    return followed_product(variate, law, definition, shape, dtype)


def followed_variate(
    uniform: Reals, law: Law, dtype: np.dtype[Any], fused: Collection[str] = FUSED_DTYPES
) -> Reals:
    """Return what the last factor multiplies: whatever draws from one range of uniforms shares it.

    That is the unit variate, but of a normal erf_inv: the factor has the sqrt 2.
    """
    if not isinstance(law, Normal | TruncatedNormal):
        return law.followed(uniform, functools.partial(rounded, dtype=dtype))
    quantile = rounded(erf_inv_float32(uniform, is_fused="float32" in fused), dtype)
    if isinstance(law, Normal):
        return quantile
    unit = rounded(_cast(math.sqrt(2), dtype) * quantile, dtype)
    return np.clip(unit, *open_bounds(law, FORMATS[dtype.name]))


# In a format of small range a factor may be infinite, and the product with a zero no number.
@np.errstate(invalid="ignore")
def followed_product(
    variate: Reals,
    law: Law,
    definition: Definition,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
) -> Array:
    """Return the array that the sequence makes of the variates, in the dtype.

    Whether the factor of a normal takes the sqrt(2), or the variate, the definition says.
    """
    scale = _scale(definition, shape, dtype)
    if isinstance(law, Normal):
        root = _cast(math.sqrt(2), dtype)
        if definition.rounds.of_unit:
            variate = rounded(root * variate, dtype)
        else:
            scale = rounded(root * scale, dtype)
    return round_once(scale * variate, dtype)


@functools.lru_cache(maxsize=256)
def _scale(definition: Definition, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Reals:
    """Return the last factor, by the dtype's roundings: those of the definition, or JAX's."""
    if definition.rounds.factor is not None:
        steps = definition.rounds.factor(
            definition, shape, lambda step: rounded(np.asarray(step, np.float64), dtype)
        )
        return np.asarray(steps, np.float64)
    match definition:
        case Law():
            return _cast(definition.factor, dtype)
        case VarianceScaling(distribution="uniform"):
            variance = _cast(scaled_variance(shape, definition), dtype)
            return rounded(np.sqrt(rounded(3 * variance, dtype)), dtype)
        case VarianceScaling(distribution=distribution):
            stddev = rounded(np.sqrt(_cast(scaled_variance(shape, definition), dtype)), dtype)
            if distribution == "normal":
                return stddev
            return rounded(stddev / _cast(TRUNCATED_STDDEV, dtype), dtype)
        case _:
            raise ValueError(f"{type(definition).__name__} has no elementwise sequence to follow")


def erf_inv_float32(u: Reals, *, is_fused: bool) -> Reals:
    """Return XLA's float32 erf_inv of float32 numbers, all held in float64."""
    with np.errstate(divide="ignore", invalid="ignore"):
        # Giles's variable: erf_inv(u) / u is smooth in it, and grows as its root in the tail.
        w = -rounded(np.log1p(-rounded(u * u, FLOAT32)), FLOAT32)
        quotient = erf_inv_quotient(w, is_fused=is_fused)
        return np.where(np.abs(u) == 1, u * np.inf, rounded(quotient * u, FLOAT32))


def erf_inv_quotient(w: Reals, *, is_fused: bool) -> Reals:
    """Return erf_inv(u) / u by w = -log(1 - u^2), in float32, held in float64.

    w >= 5 is the tail, |u| > sqrt(1 - exp(-5)): 0.34 % of the arguments of a normal.
    """
    # Each polynomial is about the middle of what it serves: w up to 5, and sqrt(w) from 2.2 to 4.
    quotient = _horner(CENTRAL, rounded(w - 2.5, FLOAT32), is_fused=is_fused)
    in_tail = w >= 5
    root = rounded(np.sqrt(w[in_tail]), FLOAT32)
    quotient[in_tail] = _horner(TAIL, rounded(root - 3.0, FLOAT32), is_fused=is_fused)
    return quotient


def _horner(coefficients: tuple[float, ...], x: Reals, *, is_fused: bool) -> Reals:
    """Evaluate with one rounding to float32 per step, or two where products round by themselves.

    The product of two float32 numbers is exact in float64; the sum is rounded there before it is
    rounded to float32, which changes one result in about 2**29.
    """
    first, *steps = _in_float32(coefficients)
    value, narrow = np.full_like(x, first), np.empty_like(x, FLOAT32)

    def round_here() -> None:
        narrow[...] = value
        value[...] = narrow

    with np.errstate(over="ignore", under="ignore", invalid="ignore"):  # as `round_once`
        for step in steps:
            np.multiply(value, x, out=value)
            if not is_fused:
                round_here()
            np.add(value, step, out=value)
            round_here()
    return value


@functools.cache
def _in_float32(numbers: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(float(np.float32(number)) for number in numbers)
