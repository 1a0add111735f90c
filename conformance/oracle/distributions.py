"""From random words to the unit variate that they stand for, exact or to a few float64 ULP.

The sampler is that of `jax.random`. The leading `mantissa_bits` bits of a word are k, and
f = k / 2**mantissa_bits is uniform on [0, 1). A normal is the quantile at f + a quarter step, which
keeps it finite; a truncated one is the quantile at f of the mass between its bounds. Here no stage
rounds to the dtype: that makes these values the definition, and not a copy of JAX.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from conformance.core.arrays import as_dtype
from conformance.core.formats import FORMATS, Format
from conformance.core.lattice import mantissa_bits
from conformance.core.laws import Law, Normal, TruncatedNormal, Uniform
from conformance.oracle.normal import masses, normal_quantile, truncated_quantile
from conformance.oracle.rounding import Complexes, Reals
from conformance.oracle.threefry import Words


def lattice(words: Words, dtype: np.dtype[Any]) -> Reals:
    """Return f in [0, 1): the leading bits of each word as a binary fraction, exactly."""
    kept = mantissa_bits(dtype)
    shift = words.dtype.type(8 * words.dtype.itemsize - kept)
    fraction: Reals = (words >> shift) * np.float64(2.0**-kept)
    return fraction


def unit_variate(words: Words, law: Law, dtype: np.dtype[Any]) -> Reals:
    """Return the real variate of `law` before scaling, at each word's lattice point.

    Uniforms are exact, quantiles within 5 float64 ULP (`ndtri` alone errs by 3). Truncated normals
    keep to the open interval, as `jax.random.truncated_normal` documents: a value nearer to a bound
    than the bound's neighbour in the dtype is that neighbour.
    """
    fraction, number = lattice(words, dtype), FORMATS[dtype.name]
    match law:
        case Normal():
            return normal_quantile(fraction, number.cell / 4)
        case TruncatedNormal():
            quantile = truncated_quantile(fraction, masses(*law.support))
            return np.clip(quantile, *open_bounds(law, number))
        case _:
            return law.quantile(fraction, number)


def open_bounds(law: TruncatedNormal, number: Format) -> tuple[float, float]:
    """Return the outermost values of the format inside (lower, upper).

    Each is the neighbour towards the other bound: not every format has an infinity to go towards.
    """
    lower, upper = np.array(law.support).astype(as_dtype(number.name))
    return float(np.nextafter(lower, upper)), float(np.nextafter(upper, lower))


def complex_unit_variate(words: Words, law: Law, dtype: np.dtype[Any]) -> Complexes:
    """Return the complex variate of `law` before scaling; `words` holds two words per element.

    Normal: two independent reals, each of variance 1/2. Uniform on a disk of radius sqrt(2), and a
    circular normal with its modulus truncated: radius by inversion, and an independent angle.
    """
    first, second = words
    if isinstance(law, Normal):
        real, imag = (unit_variate(part, law, dtype) for part in (first, second))
        return np.asarray((real + 1j * imag) / math.sqrt(2), np.complex128)
    fraction = lattice(first, dtype)
    # Inverses of P(|z| <= r): r^2 / 2 on the disk; (1 - exp(-r^2)) / (1 - exp(-bound^2)) for a
    # circular normal with E|z|^2 = 1, since |z|^2 is exponential.
    if isinstance(law, Uniform):
        radius = np.sqrt(2 * fraction)
    else:
        radius = np.sqrt(-np.log1p(np.expm1(-(law.support[1] ** 2)) * fraction))
    variate: Complexes = np.multiply(radius, unit_circle(lattice(second, dtype)))
    return variate


def unit_circle(turns: Reals) -> Complexes:
    """Return exp(2 pi i turns), accurate in each part.

    Sine and cosine see at most an eighth of a turn, reduced exactly before pi comes in: rounded
    2 pi f near half a turn would leave sin(2 pi f) no digits.
    """
    quadrant = np.round(4 * turns)
    angle = 2 * np.pi * (turns - quadrant / 4)
    rotation = np.array([1, 1j, -1, -1j])[quadrant.astype(np.int64) % 4]
    return np.asarray(rotation * (np.cos(angle) + 1j * np.sin(angle)), np.complex128)
