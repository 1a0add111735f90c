"""Words, keys and layouts: published vectors first, then JAX itself, always bit for bit."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import numpy as np
import pytest

from conformance.observe.jax_compat import x64
from conformance.oracle import fold_in, random_bits, seed_key, split, threefry2x32
from conformance.oracle.threefry import counters

SEEDS = (0, 1, 42, -1, 2**31, 2**32 - 1)
KEY = seed_key(2**31 + 7)
SHAPES = ((), (7,), (17, 13), (2, 4, 8), (0, 8))
"""Odd and even sizes, since the non-partitionable layout pads odd ones."""
DRAWS = tuple(itertools.product((8, 16, 32, 64), SHAPES))
LAYOUTS = pytest.mark.parametrize("partitionable", [True, False])


def typed(key: Any) -> Any:
    return jax.random.wrap_key_data(key, impl="threefry2x32")


@pytest.mark.parametrize(
    ("counter", "key", "hashed"),
    [
        ("00000000 00000000", "00000000 00000000", "6b200159 99ba4efe"),
        ("ffffffff ffffffff", "ffffffff ffffffff", "1cb996fc bb002be7"),
        ("243f6a88 85a308d3", "13198a2e 03707344", "c4923a9c 483df7a0"),
    ],
    ids=["zeros", "ones", "digits of pi"],
)
def test_the_published_random123_vectors_of_20_rounds(counter: str, key: str, hashed: str) -> None:
    words = [
        np.array([int(word, 16) for word in text.split()], np.uint32) for text in (counter, key)
    ]

    assert " ".join(f"{word:08x}" for word in threefry2x32(words[1], words[0])) == hashed


def test_hashing_leaves_its_counters_alone() -> None:
    counters = np.zeros((2, 3), np.uint32)

    threefry2x32(KEY, counters)

    assert not counters.any()


@pytest.mark.parametrize("seed", SEEDS)
def test_seed_keys_are_those_of_jax(seed: int) -> None:
    np.testing.assert_array_equal(seed_key(seed), jax.random.key_data(jax.random.key(seed)))


@pytest.mark.parametrize("seed", [*SEEDS, 2**32, -(2**63), 2**63 - 1])
def test_seed_keys_keep_64_bits_under_x64(seed: int) -> None:
    with x64():
        actual = np.asarray(jax.random.key_data(jax.random.key(seed)))

    np.testing.assert_array_equal(seed_key(seed, x64=True), actual)


def test_without_x64_the_high_word_of_a_seed_is_lost() -> None:
    actual = np.asarray(jax.random.key_data(jax.random.key(2**63 - 1)))

    np.testing.assert_array_equal(seed_key(2**63 - 1), actual)
    np.testing.assert_array_equal(seed_key(2**63 - 1), seed_key(2**32 - 1))


@pytest.mark.parametrize("seed", [2**63, 2**64, -(2**63) - 1])
def test_a_seed_beyond_64_bits_is_refused_as_jax_refuses_it(seed: int) -> None:
    with pytest.raises(OverflowError):
        jax.random.key(seed)

    with pytest.raises(ValueError, match=rf"seed {seed} is no signed 64-bit integer"):
        seed_key(seed)


@LAYOUTS
@pytest.mark.parametrize("num", [1, 2, 3, 8])
def test_split_keys_are_those_of_jax(num: int, partitionable: bool) -> None:
    with jax.threefry_partitionable(partitionable):
        actual = np.asarray(jax.random.key_data(jax.random.split(typed(KEY), num)))

    np.testing.assert_array_equal(split(KEY, num, partitionable=partitionable), actual)


@LAYOUTS
@pytest.mark.parametrize("num", [1, 2, 5])
def test_many_keys_are_split_as_each_of_them(num: int, partitionable: bool) -> None:
    keys = np.stack([seed_key(seed) for seed in (3, 0, 2**31)])

    found = split(keys, num, partitionable=partitionable)

    each = [split(key, num, partitionable=partitionable).tolist() for key in keys]
    assert found.tolist() == each


@LAYOUTS
@pytest.mark.parametrize("data", [0, 1, 2**32 - 1])
def test_folded_keys_are_those_of_jax_in_either_layout(data: int, partitionable: bool) -> None:
    with jax.threefry_partitionable(partitionable):
        actual = np.asarray(jax.random.key_data(jax.random.fold_in(typed(KEY), data)))

    np.testing.assert_array_equal(fold_in(KEY, data), actual)


@LAYOUTS
def test_words_of_every_width_are_those_of_jax(partitionable: bool) -> None:
    """All in one program, compiled without optimization: integers have one answer only."""

    @jax.jit(compiler_options={"xla_backend_optimization_level": 0})
    def program(key: Any) -> list[Any]:
        return [jax.random.bits(key, shape, f"uint{width}") for width, shape in DRAWS]

    with jax.threefry_partitionable(partitionable), x64():
        actual = [np.asarray(words) for words in program(typed(KEY))]

    for (width, shape), words in zip(DRAWS, actual, strict=True):
        expected = random_bits(KEY, width, shape, partitionable=partitionable)
        assert expected.dtype == words.dtype
        np.testing.assert_array_equal(expected, words)


@LAYOUTS
def test_words_are_the_same_on_both_sides_of_a_chunk(partitionable: bool) -> None:
    shape = (3 * 8192 + 5,)
    with jax.threefry_partitionable(partitionable):
        actual = np.asarray(jax.random.bits(typed(KEY), shape))

    np.testing.assert_array_equal(random_bits(KEY, 32, shape, partitionable=partitionable), actual)


def test_what_is_not_said_is_two_keys_and_the_layout_of_today() -> None:
    assert split(KEY).tolist() == split(KEY, 2, partitionable=True).tolist()
    assert split(KEY).tolist() != split(KEY, 2, partitionable=False).tolist()
    today, other = (random_bits(KEY, 32, (4,), partitionable=layout) for layout in (True, False))
    assert random_bits(KEY, 32, (4,)).tolist() == today.tolist() != other.tolist()


@LAYOUTS
@pytest.mark.parametrize("width", [8, 16, 32, 64])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (3, 4)])
def test_the_words_of_several_keys_are_those_of_each(
    shape: tuple[int, ...], width: int, partitionable: bool
) -> None:
    keys = np.array([[0, 7], [7, 0], [2**32 - 1, 5]], np.uint32)

    words = random_bits(keys, width, shape, partitionable=partitionable)

    alone = [random_bits(key, width, shape, partitionable=partitionable) for key in keys]
    assert words.dtype == np.dtype(f"u{width // 8}")
    assert words.shape == (3, *shape)
    np.testing.assert_array_equal(words, alone)


@LAYOUTS
def test_more_keys_than_are_hashed_at_a_time_have_their_own_words(partitionable: bool) -> None:
    keys = np.arange(2 * 3000, dtype=np.uint32).reshape(3000, 2)

    words = random_bits(keys, 32, (5,), partitionable=partitionable)

    for place in (0, 1637, 1638, 1639, 2999):
        alone = random_bits(keys[place], 32, (5,), partitionable=partitionable)
        np.testing.assert_array_equal(words[place], alone)
    assert len(np.unique(words, axis=0)) == len(keys)


def test_elements_are_numbered_in_64_bits() -> None:
    high, low = counters(2**33 - 1, 3)

    assert high.tolist() == [1, 2, 2]
    assert low.tolist() == [2**32 - 1, 0, 1]


def test_a_width_that_no_dtype_has_is_refused() -> None:
    with pytest.raises(ValueError, match="bit_width 24 is not offered: choose 8, 16, 32 or 64"):
        random_bits(KEY, 24, (3,))


@pytest.mark.parametrize("size", [2**32 - 1, 2**32])
def test_more_words_than_one_key_numbers_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"{size} words exceed the 4294967294"):
        random_bits(KEY, 32, (size,), partitionable=False)
