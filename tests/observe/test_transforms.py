"""Ways of asking: what they do besides the call, since none may change what it returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from conformance.core.ids import CALLS, TRANSFORMS, parse_problem
from conformance.observe.backends import transforms
from conformance.observe.backends.transforms import MANY_CALLS, VMAP_LANES, mapped, one_call

PROBLEM = parse_problem("normal-float32-8x3-s7")


def words_of_keys(seen: list[int]) -> Callable[..., Any]:
    """Return an initializer that writes down the seed of each key, and returns the words."""

    def initializer(key: Any, shape: Any, dtype: Any) -> Any:
        del shape, dtype
        words = jax.random.key_data(key)
        seen.append(int(words[1]))
        return words + 0  # an array of its own: the other is the key's, which must not be donated

    return initializer


def test_all_names_have_a_function() -> None:
    assert set(transforms.TRANSFORMS) == set(TRANSFORMS)


@pytest.mark.parametrize(
    ("transform", "seeds"),
    [
        ("eager", [7]),
        ("third_call", [7, 7, 7]),
        ("after_another_key", [1000, 7]),
        ("second_thread", [7]),
        ("after_donation", [7, 7]),
        ("thousand_calls", [7] * MANY_CALLS),
    ],
)
def test_the_case_s_own_key_comes_last(transform: str, seeds: list[int]) -> None:
    seen: list[int] = []
    call = transforms.TRANSFORMS[transform](words_of_keys(seen), PROBLEM, jax.devices())

    array = call(jax.random.key(7))

    assert seen == seeds
    assert array.tolist() == [0, 7]


@pytest.mark.parametrize("prng", ["threefry2x32", "rbg", "unsafe_rbg"])
@pytest.mark.parametrize("default", ["threefry2x32", "rbg"])
def test_the_words_of_a_key_are_those_of_its_own_generator(prng: str, default: str) -> None:
    problem = dataclasses.replace(PROBLEM, prng=prng)
    key = jax.random.key(7, impl=prng)
    expected = jax.random.normal(key, (8, 3))

    with jax.default_prng_impl(default):
        array = one_call("legacy_key", jax.random.normal, problem, jax.devices())(key)

    assert array.tolist() == expected.tolist()


def test_what_overwrites_donated_arrays_of_one_form_is_one_program() -> None:
    """JAX keeps programs by their function: one for each case would be compiled for each."""
    overwrite = transforms._overwriting()
    before = overwrite._cache_size()  # type: ignore[attr-defined]  # of what `jax.jit` returns
    for _ in range(2):
        call = transforms.TRANSFORMS["after_donation"](words_of_keys([]), PROBLEM, jax.devices())
        call(jax.random.key(7))

    assert transforms._overwriting() is overwrite
    assert overwrite._cache_size() <= before + 1  # type: ignore[attr-defined]  # as above


@pytest.mark.parametrize("transform", CALLS)
def test_what_comes_before_a_call_is_left_out_on_demand(transform: str) -> None:
    seen: list[int] = []

    one_call(transform, words_of_keys(seen), PROBLEM, jax.devices())(jax.random.key(7))

    assert seen == [7]


@pytest.mark.parametrize(
    ("transform", "seeds"),
    [
        ("vmap_first", [7, 1000, 1001, 1002]),
        ("vmap", [1000, 1001, 7, 1002]),
        ("vmap_last", [1000, 1001, 1002, 7]),
    ],
)
def test_the_case_s_own_key_has_its_lane(
    transform: str, seeds: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes: list[Any] = []
    stack = jax.numpy.stack

    def stacked(keys: Any) -> Any:
        lanes[:] = keys
        return stack(keys)

    monkeypatch.setattr(jax.numpy, "stack", stacked)

    def initializer(key: Any, shape: Any, dtype: Any) -> Any:
        del shape, dtype
        return jax.random.key_data(key)

    array = transforms.TRANSFORMS[transform](initializer, PROBLEM, jax.devices())(jax.random.key(7))

    assert array.tolist() == [0, 7]
    assert [int(jax.random.key_data(key)[1]) for key in lanes] == seeds


def test_an_array_that_lies_elsewhere_than_it_was_told_is_refused() -> None:
    def initializer(key: Any, shape: Any, dtype: Any, out_sharding: Any = None) -> Any:
        del key, out_sharding
        return jax.numpy.zeros(shape, dtype)

    call = transforms.TRANSFORMS["out_sharding"](initializer, PROBLEM, jax.devices())

    with pytest.raises(ValueError, match="was asked for, and the array has another one"):
        call(jax.random.key(7))


def test_the_first_array_that_differs_from_the_one_before_is_returned() -> None:
    arrays = iter([np.zeros(2), np.zeros(2), np.ones(2), np.zeros(2)])
    call = transforms.TRANSFORMS["thousand_calls"](lambda *_: next(arrays), PROBLEM, [])

    assert call(None).tolist() == [1.0, 1.0]


# --- Many keys -----------------------------------------------------------------------------------
KEYS: Any = jax.vmap(jax.random.key)(np.arange(5, 10, dtype=np.uint32))


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_many_keys_draw_what_each_of_them_does(transform: str) -> None:
    initializer = words if transform in CALLS else jax.nn.initializers.uniform()
    one = transforms.TRANSFORMS[transform](initializer, PROBLEM, jax.devices())

    arrays = mapped(transform, initializer, PROBLEM, jax.devices())(KEYS)

    each = [np.asarray(one(key)) for key in KEYS]
    assert np.asarray(arrays).tobytes() == np.stack(each).tobytes()


def words(key: Any, shape: Any, dtype: Any) -> Any:
    del shape, dtype
    return jax.random.key_data(key) + 0


@pytest.mark.parametrize(
    ("transform", "n_calls"),
    [
        ("third_call", 3),
        ("after_another_key", 2),
        ("second_thread", 1),
        ("after_donation", 2),
        ("thousand_calls", MANY_CALLS),
    ],
)
def test_what_comes_before_a_call_comes_before_that_of_many_keys(
    transform: str, n_calls: int
) -> None:
    seen: list[Any] = []

    def initializer(key: Any, shape: Any, dtype: Any) -> Any:
        seen.append(key)
        return words(key, shape, dtype)

    mapped(transform, initializer, PROBLEM, jax.devices())(KEYS)

    assert len(seen) == n_calls


@pytest.mark.parametrize(
    ("transform", "is_wrong"), [("vmap_first", True), ("vmap_last", False), ("vmap", False)]
)
def test_each_of_many_keys_has_its_lane(transform: str, is_wrong: bool) -> None:
    """The first of the lanes of each is another, beside whatever stands in the others."""

    def first_is_another(key: Any, shape: Any, dtype: Any) -> Any:
        lanes = jax.custom_batching.custom_vmap(lambda data: data + 0)
        lanes.def_vmap(lambda n, _, data: (data.at[0].add(1 if n == VMAP_LANES else 0), True))
        del shape, dtype
        return lanes(jax.random.key_data(key))

    found = mapped(transform, first_is_another, PROBLEM, jax.devices())(KEYS)

    is_other = np.asarray(found) != np.asarray(jax.random.key_data(KEYS))
    assert is_other.any(axis=1).tolist() == [is_wrong] * len(KEYS)


def test_arrays_of_many_keys_that_lie_elsewhere_are_refused() -> None:
    def elsewhere(key: Any, shape: Any, dtype: Any, out_sharding: Any) -> Any:
        del out_sharding
        return jax.random.normal(key, shape, dtype)

    call = mapped("out_sharding", elsewhere, PROBLEM, jax.devices())

    with pytest.raises(ValueError, match="was asked for, and the array has another one"):
        call(KEYS)


def test_arrays_of_many_keys_are_spread_within_the_program() -> None:
    """Along the longest axis that the devices do not divide: the second of the keys' and 9 x 4."""
    problem = parse_problem("normal-float32-9x4-s7")
    call: Any = mapped("sharded_uneven", jax.nn.initializers.normal(), problem, jax.devices())

    text = call.lower(KEYS).as_text()

    assert '[{?}, {"devices"}, {}]> : tensor<5x9x4xf32>' in text
