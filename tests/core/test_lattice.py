"""Words over which an initializer is swept: each bit pattern that counts, or one a stratum."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from conformance.core.arrays import Array
from conformance.core.formats import LOG2_STRATA
from conformance.core.ids import parse_case
from conformance.core.lattice import FIBONACCI, Sweep, lattice_words

WIDTHS = (8, 16, 32, 64)


def by_definition(numbers: Array, bits: int, log2_count: int) -> list[int]:
    """Return the words of strata in Python's integers: the number on top, its hash below."""
    multiplier = FIBONACCI >> (64 - bits)
    return [
        number << (bits - log2_count) | number * multiplier % 2**bits >> log2_count
        for number in numbers.tolist()
    ]


def test_the_multiplier_is_the_odd_number_next_to_the_golden_section_of_2_to_the_64() -> None:
    with mpmath.workdps(40):
        exact = 2**64 / mpmath.phi

        assert FIBONACCI % 2 == 1
        assert abs(FIBONACCI - exact) < 1


@pytest.mark.parametrize(("bits", "log2_count"), [(8, 7), (16, 10)])
def test_the_whole_lattice_leaves_the_bits_zero_that_do_not_count(
    bits: int, log2_count: int
) -> None:
    words = lattice_words(bits)

    assert words.dtype == np.dtype(f"u{bits // 8}")
    assert words.tolist() == [number << (bits - log2_count) for number in range(2**log2_count)]
    assert np.array_equal(lattice_words(bits, log2_count), words)


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("log2_count", [1, 5])
def test_a_word_of_a_stratum_has_its_number_on_top_and_its_hash_below(
    bits: int, log2_count: int
) -> None:
    words = lattice_words(bits, log2_count)

    assert words.dtype == np.dtype(f"u{bits // 8}")
    assert words.tolist() == by_definition(np.arange(2**log2_count), bits, log2_count)
    assert (words >> (bits - log2_count)).tolist() == list(range(2**log2_count))


def test_of_64_bits_each_of_a_million_strata_has_one_word() -> None:
    words = lattice_words(64)
    some = np.array([0, 1, 2, 12_345, 2**LOG2_STRATA - 1])

    assert (words.size, LOG2_STRATA) == (2**20, 20)
    assert words[some].tolist() == by_definition(some, 64, LOG2_STRATA)


def test_a_sweep_is_shown_without_its_millions_of_values() -> None:
    words = lattice_words(8)
    case = parse_case("normal-bfloat16-11x12-s0-cpu-eager")

    swept = Sweep(case=case, device="cpu", words=words, values=words, elapsed_s=0.5)

    assert "array" not in repr(swept)
