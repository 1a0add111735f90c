"""Arrays keep their bits, their layout and their moments on the way into a record and back."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import math
import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from conformance.core import arrays
from conformance.core.arrays import (
    FULL_SIZE_LIMIT,
    SAMPLE_SIZE,
    Array,
    Content,
    as_dtype,
    as_tall,
    block_digests,
    centre_of,
    centred,
    completed,
    differing,
    digest,
    flat,
    in_shape,
    moments_of,
    n_blocks,
    returned,
    sampled,
    thin,
    whole,
    widen,
)
from conformance.core.formats import DTYPES
from conformance.core.records import Moments, Returned


def numbered(*shape: int) -> Array:
    return np.arange(math.prod(shape), dtype=np.float32).reshape(shape)


# --- Dtypes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DTYPES)
def test_a_dtype_is_found_by_the_name_that_it_has(name: str) -> None:
    assert str(as_dtype(name)) == name


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_every_value_is_widened_exactly(name: str) -> None:
    every = np.arange(2**16, dtype=np.uint16).view(as_dtype(name))
    numbers = every[~np.isnan(every)]

    wide = widen(numbers)

    assert wide.dtype == np.float64
    assert wide.astype(every.dtype).tobytes() == numbers.tobytes()


@pytest.mark.parametrize(
    "dtype", ["bool", "float8_e5m2", "bfloat16", "float32", "float64", "complex64", "complex128"]
)
def test_elements_differ_by_their_bits(dtype: str) -> None:
    """Of the widest the first half alone, and the second alone, tell them apart."""
    one = np.zeros((3, 5), as_dtype(dtype))
    two = one.copy()
    raw = two.view(np.uint8).reshape(3, 5, -1)
    raw[0, 1, 0] = raw[2, 4, -1] = 1

    found = differing(one, two)

    assert np.argwhere(found).tolist() == [[0, 1], [2, 4]]


def test_a_negative_zero_differs_from_zero_and_a_nan_not_from_itself() -> None:
    """They are compared by bits, in the order of indices and not of memory."""
    one = np.array([[0.0, np.nan], [1.0, 2.0]], np.float32)
    two = np.asfortranarray([[-0.0, np.nan], [1.0, 2.0]]).astype(np.float32)

    assert differing(one, two).tolist() == [[True, False], [False, False]]


def test_complex_numbers_are_widened_to_complex128() -> None:
    wide = widen(np.array([1 + 2j], np.complex64))

    assert wide.dtype == np.complex128
    assert wide.tolist() == [1 + 2j]


# --- Layouts --------------------------------------------------------------------------------------


MATRICES = [
    ((6, 4), -1),
    ((4, 6), -1),
    ((4, 6), 0),
    ((6, 4), 0),
    ((2, 3, 4), -1),
    ((2, 3, 4), 1),
    ((4, 4), 0),
]
"""Shapes of matrices, and the axis of their columns."""


@pytest.mark.parametrize(("shape", "axis"), MATRICES)
def test_the_tall_matrix_of_an_array_is_what_was_laid_out_in_its_shape(
    shape: tuple[int, ...], axis: int
) -> None:
    array = numbered(*shape)

    tall = as_tall(array, axis)

    assert tall.shape[0] >= tall.shape[1]
    np.testing.assert_array_equal(in_shape(tall, shape, axis), array)


def test_the_columns_of_a_tall_matrix_lie_on_the_last_axis_unless_told() -> None:
    array = numbered(2, 3, 4)

    assert as_tall(array).tolist() == array.reshape(6, 4).tolist()


@pytest.mark.parametrize(("shape", "axis"), MATRICES)
def test_the_columns_of_a_matrix_lie_on_the_axis(shape: tuple[int, ...], axis: int) -> None:
    """Element by element, by the definition: the other axes, in their order, are the rows."""
    columns = shape[axis]
    rows = math.prod(shape) // columns
    tall = numbered(max(rows, columns), min(rows, columns))
    matrix = tall if tall.shape == (rows, columns) else tall.T

    found = in_shape(tall, shape, axis)

    assert found.shape == shape
    for index in itertools.product(*map(range, shape)):
        others = list(index)
        column = others.pop(axis)
        rest = list(shape)
        rest.pop(axis)
        row = int(np.ravel_multi_index(others, rest))
        assert found[index] == matrix[row, column]


@pytest.mark.parametrize(
    ("shape", "centre"),
    [
        ((3, 2), ()),
        ((1, 3, 2), (0,)),
        ((2, 3, 2), (0,)),
        ((3, 3, 2), (1,)),
        ((4, 5, 3, 2), (1, 2)),
        ((5, 6, 7, 3, 2), (2, 2, 3)),
    ],
)
def test_a_kernel_is_zero_but_at_its_centre(
    shape: tuple[int, ...], centre: tuple[int, ...]
) -> None:
    inner = numbered(*shape[-2:]) + 1

    kernel = centred(inner, shape)

    assert centre_of(shape) == centre
    assert (kernel.shape, kernel.dtype) == (shape, inner.dtype)
    assert np.array_equal(kernel[centre], inner)
    assert np.count_nonzero(kernel) == inner.size


def test_an_empty_kernel_has_no_centre_to_fill() -> None:
    assert centred(numbered(3, 2), (0, 3, 2)).shape == (0, 3, 2)


# --- Moments --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bfloat16", "float16", "float32", "float64"])
def test_the_moments_are_those_of_exact_fractions(name: str) -> None:
    values = np.random.default_rng(1).standard_normal((7, 5)).astype(as_dtype(name))
    exact = [Fraction(float(value)) for value in values.reshape(-1)]
    mean = sum(exact, Fraction(0)) / len(exact)
    variance = sum(((value - mean) ** 2 for value in exact), Fraction(0)) / len(exact)

    found = moments_of(values)

    assert found.mean == pytest.approx(float(mean), rel=1e-14)
    assert found.variance == pytest.approx(float(variance), rel=1e-14)
    assert (found.minimum, found.maximum) == (float(min(exact)), float(max(exact)))
    assert (found.mean_imag, found.nonfinite) == (0, 0)


def test_complex_moments_are_of_the_plane_and_bounds_of_the_modulus() -> None:
    found = moments_of(np.array([3 + 4j, -3 + 4j, 1j, -1 - 1j], np.complex64))

    assert (found.mean, found.mean_imag) == (-0.25, 2.0)
    exact = (3.25**2 + 4 + 2.75**2 + 4 + 0.25**2 + 1 + 0.75**2 + 9) / 4
    assert found.variance == pytest.approx(exact, rel=1e-15)
    assert (found.minimum, found.maximum) == (1.0, 5.0)


def test_a_single_element_varies_by_nothing() -> None:
    found = moments_of(np.array(-2.5))

    assert found == Moments(mean=-2.5, variance=0.0, minimum=-2.5, maximum=-2.5)


def test_what_is_not_finite_is_counted_and_left_out() -> None:
    found = moments_of(np.array([np.nan, 1.0, np.inf, 3.0, -np.inf], np.float32))

    assert found == Moments(mean=2.0, variance=1.0, minimum=1.0, maximum=3.0, nonfinite=3)


@pytest.mark.parametrize(("values", "n_nonfinite"), [([], 0), ([np.nan, np.inf], 2)])
def test_moments_of_nothing_are_nan(values: list[float], n_nonfinite: int) -> None:
    """And no warning: the suite makes errors of them."""
    found = moments_of(np.array(values))

    figures = (found.mean, found.variance, found.minimum, found.maximum)
    assert all(map(math.isnan, figures))
    assert found.nonfinite == n_nonfinite


# --- Records --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DTYPES)
def test_a_record_holds_every_bit_of_the_array(name: str) -> None:
    array = np.array([[1.5, -2.0], [-0.0, np.nan]]).astype(as_dtype(name))

    record = returned(array)

    assert record.bits == array.tobytes()
    assert record.sha256 == hashlib.sha256(array.tobytes()).hexdigest()
    assert (record.dtype, record.shape, record.stride) == (name, (2, 2), 1)
    assert not record.weak_type
    assert record.drawn is None
    assert whole(record).dtype == array.dtype
    assert whole(record).tobytes() == array.tobytes()


def test_a_record_is_in_the_order_of_the_indices_and_not_of_memory() -> None:
    array = numbered(3, 4)

    assert returned(np.asfortranarray(array)) == returned(array)
    assert returned(array[:, ::2]).bits == struct.pack("<6f", 0, 2, 4, 6, 8, 10)
    assert returned(np.array(7.0)).shape == ()


def test_a_weak_type_is_recorded() -> None:
    assert returned(numbered(2), weak_type=True).weak_type


def test_the_moments_of_a_record_are_those_of_the_array() -> None:
    array = numbered(3, 4)

    assert returned(array).moments == moments_of(array)


def test_a_short_digest_is_of_the_bits_in_the_order_of_the_indices() -> None:
    array = numbered(3, 4)

    assert digest(array) == hashlib.sha256(array.tobytes()).hexdigest()[:8]
    assert digest(np.asfortranarray(array)) == digest(array)
    assert digest(-array) != digest(array)


# --- Samples --------------------------------------------------------------------------------------


def stride_of(*shape: int) -> int:
    return sampled(returned(np.zeros(shape, np.float32))).stride


def test_arrays_up_to_the_limit_are_kept_whole() -> None:
    assert FULL_SIZE_LIMIT == 4096
    assert stride_of(FULL_SIZE_LIMIT) == 1
    assert stride_of(64, 64) == 1
    assert stride_of(FULL_SIZE_LIMIT + 1) == 3


def test_what_is_kept_whole_is_the_record_itself() -> None:
    for record in (returned(numbered(64, 64)), returned(numbered(3, 4)), returned(numbered(0))):
        assert sampled(record) is record


@pytest.mark.parametrize(
    ("shape", "stride"),
    [
        ((128, 64), 7),  # 8192 / 1024 - 1
        ((9217,), 9),  # 9 - 1 is even
        ((63, 1041), 61),  # 63 has factors in common
        ((7, 3, 5, 64), 1),  # 5 and 3 too
        ((1024, 1024), 1023),
        ((1023, 1025), 1021),
        ((105, 1024), 103),
        ((3 * 5 * 7 * 11 * 13, 8), 113),  # 117 = 9 x 13 and 115 = 5 x 23 are not
    ],
)
def test_the_stride_is_the_largest_without_a_factor_of_the_shape(
    shape: tuple[int, ...], stride: int
) -> None:
    assert stride_of(*shape) == stride


@pytest.mark.parametrize(
    "shape", [(63, 1041), (128, 64), (256, 96), (3, 3, 45, 77), (165, 112), (5, 7, 9, 11, 13)]
)
def test_a_sample_sees_every_index_of_every_axis(shape: tuple[int, ...]) -> None:
    size = math.prod(shape)
    record = sampled(returned(np.arange(size, dtype=np.int32).reshape(shape)))

    seen = np.unravel_index(flat(record), shape)

    assert [len(set(axis.tolist())) for axis in seen] == list(shape)
    assert len(seen[0]) >= SAMPLE_SIZE


def test_a_sample_sees_every_shard() -> None:
    """Shards are powers of two in number, so an even stride would see some of them only."""
    for shape in ((128, 64), (255, 257), (96, 128), (3, 3, 64, 32)):
        assert stride_of(*shape) % 2 == 1


def test_a_sample_holds_every_so_manyth_element_and_proves_the_whole() -> None:
    array = numbered(128, 64)
    record = returned(array)

    sample = sampled(record)

    assert np.array_equal(flat(sample), array.reshape(-1)[::7])
    assert dataclasses.replace(sample, bits=record.bits, stride=1, blocks=()) == record


@pytest.mark.parametrize("held", [arrays.HELD, 999], ids=["held", "widened twice"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "complex64"])
def test_moments_that_are_taken_part_by_part_are_those_of_the_whole(
    dtype: str, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(0).standard_normal((40, 25)).astype(as_dtype(dtype))
    values[3] = np.nan
    whole = moments_of(values)
    monkeypatch.setattr(arrays, "WIDENED", 25)  # one part has no finite element
    monkeypatch.setattr(arrays, "HELD", held)

    found = moments_of(values)

    assert (found.minimum, found.maximum) == (whole.minimum, whole.maximum)
    assert found.nonfinite == whole.nonfinite == 25
    assert math.isclose(found.variance, whole.variance, rel_tol=1e-14)
    for one, two in ((found.mean, whole.mean), (found.mean_imag, whole.mean_imag)):
        assert math.isclose(one, two, abs_tol=1e-15)


def test_two_parts_count_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "WIDENED", 2)

    found = moments_of(np.array([1.0, 2.0, 6.0]))

    assert (found.mean, found.variance) == (3.0, 14 / 3)


LARGEST_HELD = (16 << 20) // 8
"""float64 in 16 MiB."""


@pytest.mark.parametrize(("size", "n_made"), [(1, 1), (LARGEST_HELD, 1), (LARGEST_HELD + 1, 2)])
def test_parts_that_are_wanted_again_are_made_once_where_16_mebibytes_hold_them(
    size: int, n_made: int
) -> None:
    made = []

    def parts() -> Iterator[int]:
        made.append(1)
        yield from (4, 7)

    again = arrays.repeated(parts, size)

    assert [list(again()) for _ in range(2)] == [[4, 7], [4, 7]]
    assert len(made) == n_made


@pytest.mark.parametrize(("size", "n", "last"), [(4097, 16, 242), (1 << 20, 16, 65536), (7, 7, 1)])
def test_each_block_has_a_digest_of_its_own(size: int, n: int, last: int) -> None:
    array = np.arange(size, dtype=np.int32)
    whole = block_digests(returned(array))
    array[-last] += 1

    moved = block_digests(returned(array))

    assert len(whole) == n_blocks(size) == n
    assert [one == two for one, two in zip(whole, moved, strict=True)] == [True] * (n - 1) + [False]


def test_a_sample_keeps_the_digests_of_the_blocks() -> None:
    record = returned(numbered(128, 64))

    assert sampled(record).blocks == block_digests(sampled(record)) == block_digests(record)
    assert block_digests(thin(record, 7)) == ()
    assert block_digests(returned(np.zeros((0, 8)))) == ()
    assert {len(digest) for digest in block_digests(record)} == {64 // 4}


def sample_of(array: Array) -> Returned:
    """Return a sample of it that knows its blocks."""
    return dataclasses.replace(thin(returned(array), 5), blocks=("a", "b"))


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "complex128"])
@pytest.mark.parametrize("shape", [(12,), (3, 4), (64, 128)])
def test_a_sample_of_one_value_is_all_that_there_is(dtype: str, shape: tuple[int, ...]) -> None:
    """The digest, which is of the whole, proves it."""
    array = np.full(shape, 1.5).astype(as_dtype(dtype))

    assert completed(sample_of(array)) == returned(array)


def test_a_sample_of_several_values_stays_one() -> None:
    sample = sample_of(numbered(12))

    assert completed(sample) is sample


@pytest.mark.parametrize("place", [1, -1])
def test_a_sample_of_one_value_stays_one_where_others_lie_between(place: int) -> None:
    array = np.ones(12, np.float32)
    array[place] = 2
    sample = sample_of(array)

    assert set(flat(sample).tolist()) == {1.0}
    assert completed(sample) is sample


@pytest.mark.parametrize("shape", [(3, 4), (0, 4)])
def test_what_is_whole_has_nothing_to_be_completed(shape: tuple[int, ...]) -> None:
    record = returned(np.ones(shape, np.float32))

    assert completed(record) is record
    empty = dataclasses.replace(record, bits=b"", stride=5)
    assert completed(empty) is empty


def test_a_sample_is_not_sampled_again() -> None:
    sample = thin(returned(numbered(128, 64)), 5)

    assert sampled(sample) is sample


def test_a_sample_is_thinned_to_its_own_stride_only() -> None:
    sample = thin(returned(numbered(12)), 5)

    assert flat(sample).tolist() == [0, 5, 10]
    assert thin(sample, 5) is sample
    with pytest.raises(ValueError, match="cannot take stride 10 of a sample of stride 5"):
        thin(sample, 10)


def test_a_sample_has_no_shape_to_be_read_in() -> None:
    with pytest.raises(ValueError, match="only every 5th element of the array is stored"):
        whole(thin(returned(numbered(12)), 5))


def test_a_sample_of_16_bits_is_read_in_its_dtype() -> None:
    values = np.arange(12).astype(ml_dtypes.bfloat16)

    found: Any = flat(thin(returned(values), 5))

    assert found.dtype == values.dtype
    assert found.tolist() == [0, 5, 10]


def test_the_stored_elements_of_a_whole_record_are_all() -> None:
    record: Returned = returned(numbered(2, 3))

    assert flat(record).tolist() == [0, 1, 2, 3, 4, 5]
    assert whole(record).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_moments_of_what_was_just_met_are_not_taken_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A golden mostly has the bits of the array before it; a large one is not kept for that."""
    asked: list[int] = []

    def noted(array: Array) -> Moments:
        asked.append(array.size)
        return moments_of(array)

    monkeypatch.setattr(arrays, "moments_of", noted)
    arrays._kept_moments.cache_clear()
    small, large = np.arange(8.0), np.arange(FULL_SIZE_LIMIT + 1.0)
    most = large[1:]

    for array in (small, small.reshape(2, 4), -small, small.view(np.int64), most, most):
        assert returned(array).moments == moments_of(array)
    for _ in range(2):
        assert returned(large).moments == moments_of(large)

    assert asked == [8, 8, 8, FULL_SIZE_LIMIT, large.size, large.size]


def test_content_is_known_by_its_digest_and_shows_no_bits() -> None:
    """Else each look-up would go through all of them, and a message hold them."""
    one, two = (Content(dtype="int8", sha256="ab12", bits=bits) for bits in (b"one", b"two"))

    assert (one, hash(one)) == (two, hash(two))
    assert repr(one) == repr(two) == "Content(dtype='int8', sha256='ab12')"
    assert one != dataclasses.replace(one, sha256="ab13")
    assert one != dataclasses.replace(one, dtype="uint8")
