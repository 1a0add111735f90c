"""Another order of the same elements has its name, and so have the places of differences."""

from __future__ import annotations

import itertools
import math

import ml_dtypes
import numpy as np
import pytest

from conformance.core.arrays import Array, as_dtype
from conformance.judge.drift.geometry import (
    MOST_AXES,
    Mask,
    describe_blocks,
    describe_places,
    mismatch,
    reordering,
)

OTHERWISE = "the same elements in another order"


def numbered(*shape: int) -> Array:
    return np.arange(math.prod(shape), dtype=np.float32).reshape(shape)


def permuted(array: Array, axes: tuple[int, ...]) -> Array:
    """Return the elements in the order of other axes, in the shape that they had."""
    return np.ascontiguousarray(np.transpose(array, axes)).reshape(array.shape)


# --- Orders ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 4), (4, 4), (2, 3, 4)])
def test_every_order_of_the_axes_is_named(shape: tuple[int, ...]) -> None:
    expected = numbered(*shape)

    for axes in itertools.permutations(range(len(shape))):
        if axes != tuple(range(len(shape))):
            named = reordering(permuted(expected, axes), expected)
            assert named == f"transposed: the golden's axes in the order {axes}"


def test_of_many_axes_only_the_reversed_order_is_tried() -> None:
    """Each further axis multiplies the orders by its number."""
    assert MOST_AXES == 5
    five, six = numbered(2, 2, 3, 2, 2), numbered(2, 2, 3, 2, 2, 2)

    assert "(1, 2, 0, 3, 4)" in reordering(permuted(five, (1, 2, 0, 3, 4)), five)
    assert "(5, 4, 3, 2, 1, 0)" in reordering(permuted(six, (5, 4, 3, 2, 1, 0)), six)
    assert reordering(permuted(six, (1, 2, 0, 3, 4, 5)), six) == OTHERWISE


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_reversal_is_named_by_its_axis(axis: int) -> None:
    expected = numbered(3, 4, 5)

    assert reordering(np.flip(expected, axis), expected) == f"reversed along axis {axis}"


@pytest.mark.parametrize(("axis", "place"), [(0, 1), (0, 2), (1, 1), (1, 3), (2, 2), (2, 4)])
def test_a_rotation_is_named_by_its_axis_and_its_steps(axis: int, place: int) -> None:
    expected = numbered(3, 4, 5)
    size = expected.shape[axis]

    named = reordering(np.roll(expected, -place, axis), expected)

    assert named == f"rotated by {place} of {size} along axis {axis}"


def test_a_rotation_is_found_though_the_first_element_occurs_again() -> None:
    expected = np.array([7, 1, 7, 2, 7, 3, 4], np.float32)

    assert reordering(np.roll(expected, -4), expected) == "rotated by 4 of 7 along axis 0"


def test_two_elements_that_changed_places_are_reversed() -> None:
    assert reordering(np.array([2.0, 1.0]), np.array([1.0, 2.0])) == "reversed along axis 0"


def test_another_order_without_a_name_is_still_an_order() -> None:
    expected = numbered(3, 4)
    actual = expected.copy()
    actual[0, 0], actual[2, 1] = expected[2, 1], expected[0, 0]

    assert reordering(actual, expected) == OTHERWISE


@pytest.mark.parametrize(
    "expected",
    [
        np.array([[1 + 2j, 3 + 4j], [5 + 6j, 7 + 8j]]),
        np.array([[1, 2], [3, 4]]).astype(ml_dtypes.bfloat16),
    ],
    ids=["complex", "bfloat16"],
)
def test_orders_are_found_in_every_dtype(expected: Array) -> None:
    assert reordering(permuted(expected, (1, 0)), expected).startswith("transposed")


# --- Duplications ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("axis", "shape"), [(0, (4, 3)), (1, (3, 4)), (2, (3, 3, 6)), (0, (2, 3))])
def test_a_half_that_repeats_the_other_is_named_by_its_axis(
    axis: int, shape: tuple[int, ...]
) -> None:
    expected = numbered(*shape)
    first = np.split(expected, 2, axis)[0]

    named = reordering(np.concatenate([first, first], axis), expected)

    assert named == f"the second half of axis {axis} repeats the first"


@pytest.mark.parametrize("last", [0.0, 99.0])
def test_of_an_odd_size_the_last_belongs_to_neither_half(last: float) -> None:
    expected, actual = numbered(5), np.array([0, 1, 0, 1, last], np.float32)

    assert reordering(actual, expected) == "the second half of axis 0 repeats the first"


def test_halves_that_are_alike_in_the_golden_too_are_no_fault() -> None:
    """Only along axis 1 has something happened."""
    row = np.array([1, 2, 3, 4], np.float32)
    expected, actual = np.stack([row, row]), np.stack([row[[0, 1, 0, 1]]] * 2)

    assert reordering(actual, expected) == "the second half of axis 1 repeats the first"
    assert reordering(np.stack([row + 1] * 2), expected) == ""


def test_halves_that_differ_are_no_repetition() -> None:
    assert reordering(np.array([1, 2, 1, 3.0]), np.array([1, 2, 3, 4.0])) == ""


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        ([], []),
        ([1.0], [2.0]),
        ([1.0, 1.0], [2.0, 1.0]),
        ([2.0, 1.0], [1.0, 1.0]),
        ([2.0, 2.0, 2.0], [1.0, 1.0, 1.0]),
    ],
)
def test_what_is_all_alike_has_no_order(actual: list[float], expected: list[float]) -> None:
    assert reordering(np.array(actual), np.array(expected)) == ""


# --- Places ---------------------------------------------------------------------------------------

WIDE = np.full(100, 1.0)
"""Elements of which none is near zero or in the tails."""


def marked(size: int, *places: int) -> Mask:
    mask = np.zeros(size, np.bool_)
    mask[list(places)] = True
    return mask


def described(mask: Mask) -> str:
    return describe_places(mask, np.ones(mask.shape))


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (marked(3), ""),
        (marked(1, 0), ""),
        (marked(0), ""),
        (marked(2, 0, 1), "every element"),
        (marked(3, 0, 1, 2), "every element"),
        (marked(3, 0, 1), "scattered"),
    ],
)
def test_all_and_none_have_no_place(mask: Mask, words: str) -> None:
    assert described(mask) == words


def block(shape: tuple[int, int], rows: slice, columns: slice) -> Mask:
    mask = np.zeros(shape, np.bool_)
    mask[rows, columns] = True
    return mask


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (block((8, 8), slice(2, 4), slice(None)), "only [2:4] of axis 0"),
        (block((8, 8), slice(None), slice(3, 4)), "only [3:4] of axis 1"),
        (block((8, 8), slice(4, 8), slice(None)), "only [4:8] of axis 0"),
        (block((8, 8), slice(0, 5), slice(0, 7)), "scattered"),  # 5 of 8 are no part of the axis
        (block((8, 6), slice(2, 4), slice(0, 4)), "only [2:4] of axis 0"),
        (block((8, 6), slice(2, 4), slice(0, 3)), "scattered"),  # half of each row is not dense
        (block((8, 6), slice(1, 4, 2), slice(None)), "scattered"),  # rows 1 and 3
    ],
)
def test_a_run_of_one_axis_that_differs_is_named(mask: Mask, words: str) -> None:
    assert described(mask) == words


def test_of_a_run_not_every_element_must_differ() -> None:
    """More than half of them must: an element may be rounded to what it was."""
    mask = block((8, 7), slice(2, 4), slice(None))
    mask[2, 0:7:2] = False  # 4 of 14
    three_axes = np.zeros((4, 3, 4), np.bool_)
    three_axes[:, 1] = True

    assert described(mask) == "only [2:4] of axis 0"
    mask[3, 0:5:2] = False  # 7 of 14
    assert described(mask) == "scattered"
    assert described(three_axes) == "only [1:2] of axis 1"


@pytest.mark.parametrize(
    ("places", "words"),
    [
        ((4, 5, 6), "one run, flat indices 4 to 6"),
        ((3, 5, 7, 9), "one element in 2, flat indices 3 to 9"),
        ((0, 7, 14), "one element in 7, flat indices 0 to 14"),
        ((4, 5), "scattered"),
        ((4, 5, 7), "scattered"),
        ((4,), "scattered"),
    ],
)
def test_a_run_or_a_stride_of_a_row_is_named(places: tuple[int, ...], words: str) -> None:
    assert describe_places(marked(100, *places), WIDE) == words


SIGMA_10 = [1.0, 21.0, 7.0, 3.0, 0.0]
"""Mean square 100: 0.1 sigma is 1."""

TAIL_OF_SIGMA_10 = [20.0, 10.0, 0.0, 0.0, 0.0]
"""Mean square 100: 2 sigma is 20."""


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (math.nextafter(1, 0), "only near zero (below 0.1 sigma)"),
        (-math.nextafter(1, 0), "only near zero (below 0.1 sigma)"),
        (1.0, "scattered"),
        (math.nextafter(1, 2), "scattered"),
    ],
)
def test_near_zero_is_below_a_tenth_of_sigma(value: float, words: str) -> None:
    expected = np.array([value, *SIGMA_10[1:]])

    assert describe_places(marked(5, 0), expected) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (math.nextafter(20, 0), "scattered"),
        (20.0, "scattered"),
        (20 + 1e-13, "only in the tails (beyond 2 sigma)"),
        (-20 - 1e-13, "only in the tails (beyond 2 sigma)"),
    ],
)
def test_the_tails_are_beyond_two_sigma(value: float, words: str) -> None:
    expected = np.array([value, *TAIL_OF_SIGMA_10[1:]])

    assert describe_places(marked(5, 0), expected) == words


def test_all_that_differs_must_be_near_zero_or_in_the_tails() -> None:
    expected = np.array([0.5, 21.0, 7.0, 0.25, 3.0])

    assert describe_places(marked(5, 0, 3), expected) == "only near zero (below 0.1 sigma)"
    assert describe_places(marked(5, 0, 2), expected) == "scattered"
    assert describe_places(marked(5, 1, 2), expected) == "scattered"


def test_of_complex_elements_the_modulus_is_small_or_large() -> None:
    expected = np.array([0.1j, 3 + 4j, -5.0])

    assert describe_places(marked(3, 0), expected) == "only near zero (below 0.1 sigma)"


# --- Blocks ---------------------------------------------------------------------------------------


def blocks(*changed: int) -> list[str]:
    """Return digests of 16 blocks, of which some are others."""
    return ["new" if number in changed else "old" for number in range(16)]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ((), ""),
        ((0,), "1 of 16 blocks differ, elements 0 to 256; the other 3840 elements are the same"),
        (
            (3, 4, 15),
            "3 of 16 blocks differ, elements 771 to 1284, 3855 to 4096; the other 3341 elements "
            "are the same",
        ),
        (
            (0, 2, 4),
            "3 of 16 blocks differ, elements 0 to 256, 514 to 770, 1028 to 1284; the other 3326 "
            "elements are the same",
        ),
        (
            (0, 2, 4, 6),
            "4 of 16 blocks differ, elements 0 to 256, 514 to 770, 1028 to 1284, ...; the other "
            "3069 elements are the same",
        ),
        (tuple(range(16)), "16 of 16 blocks differ"),
    ],
)
def test_blocks_that_differ_are_told_with_what_is_the_same(
    changed: tuple[int, ...], told: str
) -> None:
    assert describe_blocks(blocks(*changed), blocks(), 4097) == told


def test_without_digests_on_both_sides_no_block_is_told() -> None:
    assert describe_blocks((), blocks(1), 4097) == describe_blocks((), (), 4097) == ""


# --- Copies --------------------------------------------------------------------------------------


def of_lattice(dtype: str, size: int) -> Array:
    random = np.random.default_rng(0)
    return random.normal(size=size).astype(np.float32).astype(as_dtype(dtype))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float8_e4m3fn"])
@pytest.mark.parametrize(("source", "place"), [(0, 600), (900, 16), (100, 140), (924, 0)])
def test_a_block_that_is_a_copy_of_another_is_named(dtype: str, source: int, place: int) -> None:
    expected = of_lattice(dtype, 1024)
    actual = expected.copy()
    actual[place : place + 100] = expected[source : source + 100]

    assert f"are copies of those {abs(source - place)} places off" in reordering(actual, expected)


def test_columns_that_are_copies_are_named() -> None:
    expected = of_lattice("float32", 1024).reshape(32, 32)
    actual = expected.copy()
    actual[:, 20:25] = expected[:, 3:8]

    assert reordering(actual, expected) == "160 elements are copies of those 17 places off"


@pytest.mark.parametrize(("count", "is_told"), [(15, False), (16, True)])
def test_few_copies_may_be_chance(count: int, is_told: bool) -> None:
    expected = np.arange(1024, dtype=np.float32)
    actual = expected.copy()
    actual[500 : 500 + count] = expected[:count]

    assert bool(reordering(actual, expected)) is is_told


def test_a_copy_of_what_lies_beyond_the_end_is_none() -> None:
    expected = np.arange(64, dtype=np.float32)
    actual = expected.copy()
    actual[:20] = np.r_[expected[50:64], np.arange(64, 70, dtype=np.float32)]

    assert reordering(actual, expected) == ""


def test_new_values_are_no_copies() -> None:
    expected, other = of_lattice("float32", 1024), of_lattice("float32", 2048)[1024:]
    actual = np.r_[expected[:500], other[:100], expected[600:]]

    assert reordering(actual, expected) == ""


# --- Maps -----------------------------------------------------------------------------------------


def masked(*shape: int, **places: tuple[slice | int, ...]) -> Mask:
    mask = np.zeros(shape, dtype=bool)
    for place in places.values():
        mask[place] = True
    return mask


def test_a_map_of_few_elements_has_a_digit_for_each() -> None:
    assert mismatch(masked(2, 3, one=(0, 1), row=(1,))) == "2x3 0f0/fff"


def test_a_map_of_many_elements_has_shares() -> None:
    """48 rows make 24 fields of 2, and of 2 x 2 elements one is a quarter, three are three."""
    digits = mismatch(masked(48, 4, one=(0, 0), three=(46, slice(None)), more=(47, 3)))

    size, lines = digits.split(" ")
    first, *between, last = lines.split("/")
    assert size == "48x4"
    assert first == "8000"
    assert set(between) == {"0000"}
    assert last == "888f"


def test_the_last_axis_is_across_and_a_vector_is_one_row() -> None:
    assert mismatch(masked(2, 2, 3, last=(1, 1, 2))).startswith("4x3 000/000/000/00f")
    assert mismatch(masked(3, first=(0,))) == "1x3 f00"


def test_fields_are_at_most_24_along_an_axis_and_hold_each_element() -> None:
    mask = masked(1000, 37, all_but_one=(slice(None),))
    mask[999, 36] = False

    lines = mismatch(mask).split(" ")[1].split("/")
    assert [len(line) for line in lines] == [24] * 24
    assert "".join(lines) == "f" * (24 * 24 - 1) + "e"


def test_there_is_no_map_where_nothing_or_everything_differs() -> None:
    assert mismatch(masked(4, 4)) == ""
    assert mismatch(masked(4, 4, all=(slice(None),))) == ""
    assert mismatch(np.ones((), dtype=bool)) == ""
    assert mismatch(np.zeros((0, 4), dtype=bool)) == ""


def test_no_element_is_a_copy_of_one_beyond_the_end() -> None:
    """All but the last of those that moved are those one place on."""
    expected = of_lattice("float32", 1024)
    actual = expected.copy()
    actual[500:1023] = expected[501:]
    actual[1023] = 77.0

    assert "copies" not in reordering(actual, expected)
