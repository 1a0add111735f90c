"""JAX's own sequence of operations, each rounded to the dtype: what intact kernels return.

Where this differs from the defined value, the sequence is imprecise; where JAX differs from this,
a kernel is. The sequence is that of `jax._src.random.core` and `jax._src.nn.initializers` in JAX
0.12, with what XLA does below them: erf_inv and erf of 16-bit types are computed in float32;
erf_inv is the polynomial of Giles with fused multiply-adds; in float16 and float32
f * (b - a) + a is fused too; and a division by a constant is a multiplication by its rounded
reciprocal. The functions log1p and erf round correctly here, and subnormals live:
`tests/test_oracle_followed.py` counts what XLA's approximations and its flushing to zero change.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import special

from conformance.arrays import Array
from conformance.definition import (
    TRUNCATED_STDDEV,
    Definition,
    Normal,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
    scaled_variance,
)
from conformance.oracle.distributions import Kind, Law, lattice, mantissa_bits, open_bounds
from conformance.oracle.rounding import BFLOAT16, Reals, round_once, rounded
from conformance.oracle.threefry import Words

FLOAT32 = np.dtype(np.float32)

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
"""Coefficients, highest power first. Source: Giles, Approximating the erfinv function (GPU
Computing Gems 2, 2011), single precision; XLA's expansion of erf_inv has the same."""


def followed_uniform(words: Words, law: Law, dtype: np.dtype[Any]) -> Reals:
    """Return what `jax.random.uniform` draws for the law, bit for bit, as float64.

    The range is (lower, upper) for uniforms, (nextafter(-1, 0), 1) for normals, and between the
    rounded erf of the bounds for truncated normals. Only there can a sum be inexact, and then
    float64 may be an ULP off, for it is not fused here.
    """
    lower, upper = _uniform_range(law, dtype)
    width = float(rounded(np.asarray(upper - lower), dtype))
    product = lattice(words, dtype) * width
    if dtype == BFLOAT16:
        product = rounded(product, dtype)
    return np.maximum(lower, rounded(product + lower, dtype))


def _uniform_range(law: Law, dtype: np.dtype[Any]) -> tuple[float, float]:
    if law.kind is Kind.UNIFORM:
        return law.lower, law.upper
    if law.kind is Kind.NORMAL:
        return -1.0 + 0.5 * 2.0 ** -mantissa_bits(dtype), 1.0
    return _erf_of(law.lower, dtype), _erf_of(law.upper, dtype)


def _erf_of(bound: float, dtype: np.dtype[Any]) -> float:
    """Return erf(bound / sqrt(2)); bound, 1 / sqrt(2), quotient and erf rounded to the dtype."""
    reciprocal = rounded(1 / _cast(math.sqrt(2), dtype), dtype)
    quotient = rounded(_cast(bound, dtype) * reciprocal, dtype)
    erf = special.erf(quotient)
    return float(rounded(erf if dtype == np.float64 else rounded(erf, FLOAT32), dtype))


def _cast(value: float, dtype: np.dtype[Any]) -> Reals:
    """Return a Python number as JAX makes it an array, as float64 again."""
    with np.errstate(over="ignore"):
        return np.asarray(value).astype(dtype).astype(np.float64)


def followed_value(
    uniform: Reals, law: Law, definition: Definition, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Array:
    """Return the array that the sequence makes of the uniforms, in the dtype.

    dtype: bfloat16, float16 or float32. XLA's float64 functions are not modelled.
    """
    scale = _scale(definition, shape, dtype)
    if law.kind is Kind.UNIFORM:
        return round_once(uniform * scale, dtype)
    quantile = rounded(erf_inv_float32(uniform), dtype)
    sqrt2 = _cast(math.sqrt(2), dtype)
    if law.kind is Kind.NORMAL:
        return round_once(rounded(sqrt2 * scale, dtype) * quantile, dtype)
    unit = np.clip(rounded(sqrt2 * quantile, dtype), *open_bounds(law, dtype))
    return round_once(unit * scale, dtype)


def _scale(definition: Definition, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Reals:
    """Return the last factor, by the dtype's roundings."""
    match definition:
        case Normal(stddev=scale) | TruncatedNormal(stddev=scale) | Uniform(scale=scale):
            return _cast(scale, dtype)
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


def erf_inv_float32(u: Reals) -> Reals:
    """Return XLA's float32 erf_inv of float32 numbers, all held in float64.

    w >= 5 is the tail: 0.3 % of the arguments of a normal.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        w = -rounded(np.log1p(-rounded(u * u, FLOAT32)), FLOAT32)
        polynomial = _horner(CENTRAL, rounded(w - 2.5, FLOAT32))
        in_tail = w >= 5
        root = rounded(np.sqrt(w[in_tail]), FLOAT32)
        polynomial[in_tail] = _horner(TAIL, rounded(root - 3.0, FLOAT32))
        return np.where(np.abs(u) == 1, u * np.inf, rounded(polynomial * u, FLOAT32))


def _horner(coefficients: tuple[float, ...], x: Reals) -> Reals:
    """Evaluate with one rounding to float32 per step: a fused multiply-add, but for the 53rd bit.

    The product of two float32 numbers is exact in float64; the sum is rounded there before it is
    rounded to float32, which changes one result in about 2**29.
    """
    steps = [float(np.float32(coefficient)) for coefficient in coefficients]
    value = np.full_like(x, steps[0])
    for step in steps[1:]:
        value *= x
        value += step
        value = rounded(value, FLOAT32)
    return value
