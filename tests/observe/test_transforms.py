"""Ways of asking: what they do besides the call, since none may change what it returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from conformance.core.ids import CALLS, TRANSFORMS, parse_problem
from conformance.observe.backends import transforms
from conformance.observe.backends.transforms import MANY_CALLS, MAPPED, mapped, one_call

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


@pytest.mark.parametrize("transform", sorted(set(TRANSFORMS) - set(MAPPED)))
def test_what_is_about_one_key_is_not_mapped_over_many(transform: str) -> None:
    """A block of seeds would else report a transform that nobody applied."""
    with pytest.raises(ValueError, match=f"'{transform}' takes one key: many go by eager"):
        mapped(transform, words_of_keys([]), PROBLEM, jax.devices())
