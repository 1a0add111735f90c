"""Every record of a format says what ml_dtypes says, and JAX draws as it says."""

from __future__ import annotations

import dataclasses
import inspect
import math
from typing import Any

import jax
import ml_dtypes
import numpy as np
import pytest

from conformance.core.arrays import as_dtype
from conformance.core.formats import (
    DTYPES,
    FORMATS,
    FUSED_DTYPES,
    LOG2_LATTICE,
    NARROW_DTYPES,
    RARE_DTYPES,
    SWEPT_DTYPES,
    WIDE_DTYPES,
    default_log2_points,
    fusings,
    is_complex,
)
from conformance.core.laws import TruncatedNormal
from conformance.oracle.distributions import open_bounds

REAL = [name for name in DTYPES if not is_complex(name)]
FLOAT8 = [name for name in DTYPES if FORMATS[name].bits == 8]


@pytest.mark.parametrize("name", DTYPES)
def test_a_format_is_what_ml_dtypes_says(name: str) -> None:
    number = FORMATS[name]
    part = as_dtype(number.real or name)
    info: Any = ml_dtypes.finfo(part)  # type: ignore[no-untyped-call]  # ml_dtypes has no types

    assert (number.bits, number.mantissa_bits, number.min_exponent) == (
        info.bits,
        info.nmant,
        info.minexp,
    )
    assert number.is_native is not hasattr(ml_dtypes, name)
    assert number.cell == float(info.eps)
    assert number.smallest_normal == float(info.smallest_normal)


@pytest.mark.parametrize(
    ("mantissa_bits", "word_bits"), [(0, 8), (7, 8), (8, 16), (9, 16), (10, 16)]
)
def test_a_word_has_8_bits_or_those_of_the_number(mantissa_bits: int, word_bits: int) -> None:
    """Up to 7 random bits are drawn of 8, as JAX has it for bfloat16; no format of ours has 8."""
    number = dataclasses.replace(FORMATS["float16"], mantissa_bits=mantissa_bits)

    assert number.word_bits == word_bits


def test_every_float8_of_ml_dtypes_that_jax_takes_has_a_format() -> None:
    """The lattice of JAX is made by numbers of whole bytes."""
    names = {name for name, _ in inspect.getmembers(ml_dtypes) if name.startswith("float8_")}

    assert set(FLOAT8) == {name for name in names if hasattr(jax.numpy, name)}


@pytest.mark.parametrize("name", [name for name in REAL if name != "float8_e8m0fnu"])
def test_the_neighbours_of_a_bound_lie_inside(name: str) -> None:
    lower, upper = open_bounds(TruncatedNormal(stddev=1.0), FORMATS[name])

    assert -2 < lower < -1.5
    assert upper == -lower


@pytest.mark.parametrize("name", FLOAT8)
def test_the_chain_foretells_every_bit_of_8(name: str) -> None:
    assert FORMATS[name].is_foretold


def test_no_format_that_is_swept_is_foretold() -> None:
    assert not any(FORMATS[name].is_foretold for name in set(DTYPES) - set(FLOAT8))


def test_another_dtype_than_ours_is_not_complex() -> None:
    assert not is_complex(np.dtype("int32").name)


def test_each_group_of_formats_is_what_it_says() -> None:
    assert NARROW_DTYPES == ("float32", "bfloat16", "float16")
    assert {*RARE_DTYPES} == {*DTYPES} - {*NARROW_DTYPES}
    assert WIDE_DTYPES == ("float64", "complex64", "complex128")
    assert FUSED_DTYPES == ("float32", "float64", "complex64", "complex128")
    assert SWEPT_DTYPES == ("bfloat16", "float16", "float32", "float64")


@pytest.mark.parametrize(("name", "part"), [("complex64", "float32"), ("complex128", "float64")])
def test_a_complex_format_has_the_words_of_its_parts_and_no_chain(name: str, part: str) -> None:
    number = FORMATS[name]

    assert (number.real, number.word_bits) == (part, FORMATS[part].bits)
    assert (number.is_complex, number.is_followed, number.sweep_shapes) == (True, False, ())


@pytest.mark.parametrize("name", DTYPES)
def test_roundings_are_modelled_of_reals_up_to_32_bits(name: str) -> None:
    number = FORMATS[name]

    assert number.is_followed is (number.bits <= 32 and not number.is_complex)


GOOD_FOR_FANS = {(29, 37)}
"""Two primes, of 5 % more elements than points."""


@pytest.mark.parametrize(
    ("name", "shape"),
    [(name, shape) for name in SWEPT_DTYPES for shape in FORMATS[name].sweep_shapes],
)
def test_a_sweep_has_no_more_elements_than_it_must(name: str, shape: tuple[int, ...]) -> None:
    """And no axis that is a power of two, of which no fan would be rounded."""
    n_points = 2 ** default_log2_points(FORMATS[name].word_bits)
    n_fewer = [math.prod(shape) // size * (size - 1) for size in shape]

    assert math.prod(shape) >= n_points
    assert not any(size & (size - 1) == 0 for size in shape)
    if shape not in GOOD_FOR_FANS:
        assert max(n_fewer) < n_points


@pytest.mark.parametrize(
    ("dtype", "others"),
    [
        ("float32", ("float64", "complex64", "complex128")),
        ("float16", ("float32", "float16", "float64", "complex64", "complex128")),
        ("bfloat16", ("float32", "bfloat16", "float64", "complex64", "complex128")),
    ],
)
def test_a_device_fuses_the_usual_formats_or_this_one_otherwise(
    dtype: str, others: tuple[str, ...]
) -> None:
    assert fusings(dtype) == (FUSED_DTYPES, others)


@pytest.mark.parametrize("bits", [8, 16, 32, 64])
def test_the_lattice_of_a_width_has_the_bits_of_its_widest_mantissa(bits: int) -> None:
    widest = max(each.mantissa_bits for each in FORMATS.values() if each.word_bits == bits)

    assert LOG2_LATTICE[bits] == widest
    assert default_log2_points(bits) == (20 if bits == 64 else widest)
