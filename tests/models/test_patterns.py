"""What is said of data along their axes holds for the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from conformance.models.notes import Notes
from conformance.models.patterns import Along, either, most_summed, of_array
from conformance.models.terms import DATA, Data, Known
from conformance.models.uses import Follower
from conformance.observe.jax_compat import traced

PLACES = np.array([[3, 0, 1], [1, 4, 4]], np.int32)


def hot(i: Any) -> Any:
    return jax.nn.one_hot(i, 5)


CASES: dict[str, Callable[[Any], Any]] = {
    "one-hot": hot,
    "of another axis": lambda i: jax.nn.one_hot(i, 5, axis=1),
    "of rows of an identity": lambda i: jnp.eye(5)[i],
    "of a constant that is held": lambda i: (i[..., None] == np.arange(5)) * 1.0,
    "transposed": lambda i: hot(i).transpose(2, 0, 1),
    "flat": lambda i: hot(i).reshape(2, 15),
    "split": lambda i: jax.nn.one_hot(i, 6).reshape(2, 3, 2, 3),
    "regrouped": lambda i: jax.nn.one_hot(i, 6).reshape(2, 9, 2),
    "a slice": lambda i: hot(i)[:, 1:, 1:4],
    "reversed": lambda i: hot(i)[..., ::-1],
    "summed": lambda i: hot(i).sum(1),
    "largest": lambda i: hot(i).max(0),
    "twice": lambda i: jnp.concatenate([hot(i), hot(i)], 2),
    "beside data": lambda i: jnp.concatenate([hot(i), hot(i) + 1.0], 2),
    "two of them": lambda i: hot(i) + hot(i + 1),
    "times data": lambda i: hot(i) * i[..., None],
    "over data": lambda i: hot(i) / (1.0 + i[..., None]),
    "where it is": lambda i: jnp.where(hot(i) > 0, 7.0, 0.0),
    "where it is not": lambda i: jnp.where(hot(i) > 0, 0.0, 7.0),
    "in the place of data": lambda i: jnp.where(i[..., None] > 1, hot(i), 0.0),
    "cumulated": lambda i: jnp.cumsum(hot(i), 1),
    "exponential": lambda i: jnp.exp(hot(i)),
    "hyperbolic": lambda i: jnp.tanh(hot(i)),
    "windows": lambda i: jax.vmap(lambda row, start: lax.dynamic_slice(row, (start,), (2,)))(
        hot(i)[0], i[0]
    ),
    "repeated": lambda i: jnp.broadcast_to(hot(i)[:, :, None], (2, 3, 4, 5)),
    "numbers of places": lambda i: jnp.arange(5) + 0 * i[..., None],
    "in a loop": lambda i: lax.map(hot, i),
    "smoothed": lambda i: 0.9 * hot(i) + 0.02,
    "no elements": lambda i: hot(i)[:0].reshape(0, 15),
    "of an integer that is cut": lambda i: i.reshape(6)[:, None] == jnp.arange(600).astype("uint8"),
}


def pattern(function: Callable[[Any], Any]) -> Any:
    (term,) = Follower(Notes({})).run(traced(function, PLACES), [DATA])
    assert isinstance(term, Data | Known)
    return term.pattern


@pytest.mark.parametrize("name", CASES)
def test_what_is_said_of_an_axis_holds_for_the_data(name: str) -> None:
    array = np.asarray(CASES[name](PLACES)).astype(float)

    for axis, along in enumerate(pattern(CASES[name])):
        ordered = np.diff(np.sort(array, axis), axis=axis)
        assert along.size == array.shape[axis]
        if along.most is not None and array.size:
            assert (array != 0).sum(axis).max() <= along.most
        assert not along.is_same or not ordered.any()
        assert not along.is_distinct or ordered.all()


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("one-hot", 1),
        ("of rows of an identity", 1),
        ("flat", 3),
        ("split", 1),
        ("summed", 3),
        ("twice", 2),
        ("where it is", 1),
        ("windows", 1),
        ("cumulated", None),
        ("smoothed", None),
        ("of an integer that is cut", None),
    ],
)
def test_as_much_is_said_as_is_known(name: str, most: int | None) -> None:
    assert pattern(CASES[name])[-1].most == most


def test_a_sum_over_two_axes_has_the_fewest_that_one_of_them_allows() -> None:
    both = (Along(4, 1), Along(6, 6))

    assert most_summed(both, (0, 1)) == 6
    assert most_summed(both, (1,)) == 6
    assert most_summed((Along(4, None), Along(6, 6)), (0, 1)) is None
    assert most_summed((Along(4, None), Along(6, 1)), (0, 1)) == 4


def test_of_two_patterns_only_what_both_say_is_left() -> None:
    one, other = (Along(4, 1),), (Along(4, 4, is_same=True),)

    assert either(one, one) == one
    assert either(one, other) == (Along(4, None),)
    assert either((), one) == (Along(4, None),)
    assert either((Along(4, 0),), one) == one


def test_a_constant_with_a_zero_here_and_there_is_not_few() -> None:
    assert {each.most for each in of_array(np.sin(np.arange(6.0)).reshape(2, 3))} == {2, 3}
    assert of_array(np.eye(3)) == (Along(3, 1), Along(3, 1))
