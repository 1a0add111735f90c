"""The claims of the Flax guide "Initializers", one test each.

Where JAX or Flax is not as the guide says, the test reports the finding as an expected failure and
fails as soon as the outcome is any other than the finding states.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from conformance.core.arrays import Array
from conformance.flax import guide
from conformance.judge.ledger import Ledger
from conformance.oracle import linen_key, seed_key
from conformance.suite.test_modules import hold
from conformance.suite.test_modules import ledger as ledger
from conformance.suite.test_modules import on_cpu as on_cpu

TOO_FEW_DIMENSIONS = "raises ValueError: Can't compute input and output sizes of a 1-dimensional"
"""How the error starts; which sentence follows depends on the release of JAX."""


def assert_same_bits(actual: Array, expected: Any, claim: str) -> None:
    """Fail with the claim unless dtype, shape and every bit agree."""
    wanted = np.asarray(expected)
    assert actual.dtype == wanted.dtype, f"{claim}: dtype {actual.dtype}, not {wanted.dtype}"
    assert actual.shape == wanted.shape, f"{claim}: shape {actual.shape}, not {wanted.shape}"
    assert actual.tobytes() == wanted.tobytes(), f"{claim}: it is\n{actual}\nand not\n{wanted}"


def test_the_default_kernel_is_lecun_normal_of_the_first_key() -> None:
    """The default kernel initializer is lecun_normal, and it gets the key of counter 1."""
    expected = guide.initializer("lecun_normal")(guide.lazy_key(1), (4, 5))

    assert_same_bits(guide.dense()["kernel"], expected, "Dense's kernel is lecun_normal of key 1")


def test_the_default_bias_is_zeros_of_the_second_key() -> None:
    """The default bias initializer is zeros_init."""
    expected = guide.initializer("zeros_init")(guide.lazy_key(2), (5,))

    assert_same_bits(guide.dense()["bias"], expected, "Dense's bias is zeros_init of key 2")


def test_a_uniform_bias_shows_the_second_key() -> None:
    """Zeros do not tell which key they got; uniform does."""
    uniform = guide.initializer("uniform")
    expected = uniform(guide.lazy_key(2), (5,))

    actual = guide.dense(bias_init=uniform)["bias"]

    assert_same_bits(actual, expected, "a uniform bias is drawn from key 2")


def test_another_bias_initializer_leaves_the_kernel_as_it_was() -> None:
    """Each parameter has its own key, so one initializer cannot move the draw of another."""
    actual = guide.dense(bias_init=guide.initializer("uniform"))["kernel"]

    assert_same_bits(actual, guide.dense()["kernel"], "bias_init does not touch the kernel")


@pytest.mark.parametrize("count", [1, 2])
def test_a_key_is_the_root_folded_with_the_hash_of_a_counter_from_1(count: int) -> None:
    """The guide's key derivation, done again without JAX: SHA-1 of the counter, Threefry."""
    expected = linen_key(seed_key(guide.SEED), (count,))

    actual = np.asarray(guide.lazy_key(count))

    assert_same_bits(actual, expected, f"key {count} is fold_in(rng, SHA-1 of {count})")


def test_every_public_function_but_zeros_and_ones_builds_an_initializer() -> None:
    """What a builder returns takes (key, shape, dtype) and returns an array of that shape."""
    built = {name: guide.initializer(name) for name in guide.builders()}

    found = {name: signature_fault(initializer) for name, initializer in built.items()}

    faults = [f"{name} {fault}" for name, fault in found.items() if fault]
    assert not faults, f"not [PRNGKey, Shape, Dtype] -> Array: {'; '.join(faults)}"


def signature_fault(initializer: Any) -> str:
    """Return how the initializer departs from (key, shape, dtype) -> array, or ""."""
    takes = guide.positional_arguments(initializer)[:3]
    if takes != ["key", "shape", "dtype"]:
        return f"takes {takes} by position"
    outcome = guide.abstract_outcome(initializer, (3, 4, 5), "float32")
    return "" if outcome == "returns float32[3,4,5]" else outcome


@pytest.mark.parametrize("name", ["zeros", "ones"])
def test_zeros_and_ones_are_initializers_themselves(name: str) -> None:
    """The two exceptions are called as they are."""
    initializer = guide.initializer(name)

    outcome = guide.outcome(lambda: initializer(guide.legacy_key(), (3, 4), np.float16))

    assert outcome == "returns float16[3,4]", f"{name}(key, shape, dtype) {outcome}"


@pytest.mark.parametrize("name", ["zeros", "ones"])
def test_the_thin_builders_return_the_direct_initializers(name: str) -> None:
    """`zeros_init()` is `zeros` and `ones_init()` is `ones`: the same object."""
    assert guide.initializer(f"{name}_init") is guide.initializer(name), (
        f"{name}_init() no longer returns {name} itself"
    )


@pytest.mark.parametrize("layer", [guide.dense, guide.linear], ids=["linen", "nnx"])
def test_a_layer_calls_an_initializer_with_key_shape_and_dtype(
    layer: Callable[..., dict[str, Array]],
) -> None:
    """A user's initializer of three arguments works: nothing else is passed, nothing by name."""
    seen = []

    def record(*arguments: Any) -> Any:
        seen.append(arguments)
        return guide.initializer("ones")(*arguments)

    layer(kernel_init=record)

    assert [arguments[1:] for arguments in seen] == [((4, 5), np.float32)], f"called with {seen}"


@pytest.mark.parametrize("name", ["zeros", "ones", "constant"])
def test_a_key_must_be_passed_even_where_it_is_ignored(name: str) -> None:
    """Without a key the call fails, since `key` has no default."""
    initializer = guide.initializer(name)

    assert guide.outcome(lambda: initializer(shape=(3,))) == "raises TypeError", (
        f"{name} no longer needs a key"
    )


def test_what_is_passed_as_key_must_be_a_key(ledger: Ledger) -> None:
    """A finding: deterministic initializers take anything."""
    built = [guide.initializer(name) for name in ("zeros", "ones", "constant")]

    outcomes = {guide.outcome(functools.partial(call, None, (3,))) for call in built}

    hold(ledger, "key-is-never-looked-at", " or ".join(sorted(outcomes)))


@pytest.mark.parametrize("layer", [guide.dense, guide.linear], ids=["linen", "nnx"])
@pytest.mark.parametrize("name", ["zeros", "ones"])
def test_the_functions_of_jax_numpy_are_no_initializers(
    layer: Callable[..., dict[str, Array]], name: str
) -> None:
    """`jnp.zeros` as kernel_init raises: it would take the key for a shape."""
    outcome = guide.raised(lambda: layer(kernel_init=guide.numpy_like(name)))

    assert outcome.startswith(f"raises TypeError: {name}() takes from 1 to 2 positional"), (
        f"jnp.{name} as kernel_init {outcome}"
    )


def test_zeros_init_works_where_jax_numpy_zeros_does_not() -> None:
    """The guide's way out."""
    kernel = guide.dense(kernel_init=guide.initializer("zeros_init"))["kernel"]

    assert_same_bits(kernel, np.zeros((4, 5), np.float32), "zeros_init() makes a kernel of zeros")


@pytest.mark.parametrize("name", [*guide.FOR_VECTORS, "truncated_normal"])
def test_an_initializer_that_needs_no_fan_makes_a_bias(name: str) -> None:
    """The guide's list, and truncated_normal, which is younger than the guide."""
    initializer = guide.initializer(name)
    expected = initializer(guide.lazy_key(2), (5,), np.float32)

    assert_same_bits(guide.dense(bias_init=initializer)["bias"], expected, f"{name} makes a bias")


@pytest.mark.parametrize("name", guide.NOT_FOR_VECTORS)
def test_variance_scaling_fails_for_a_bias(name: str) -> None:
    """A fan needs two dimensions."""
    outcome = guide.raised(lambda: guide.dense(bias_init=guide.initializer(name)))

    assert outcome.startswith(TOO_FEW_DIMENSIONS), f"{name} as bias_init {outcome}"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("orthogonal", "orthogonal initializer requires at least a 2D shape"),
        ("delta_orthogonal", "Delta orthogonal initializer requires a 3D, 4D or 5D shape."),
    ],
)
def test_orthogonal_initializers_fail_for_a_bias(name: str, message: str) -> None:
    """The guide does not list them: they fail like variance scaling, each with its own words."""
    outcome = guide.raised(lambda: guide.dense(bias_init=guide.initializer(name)))

    assert outcome == f"raises ValueError: {message}", f"{name} as bias_init {outcome}"


def test_variance_scaling_fails_for_a_bias_whatever_the_axes(ledger: Ledger) -> None:
    """A finding: with an explicit in_axis it returns, with fan 1 whatever the length."""
    outcomes = {vector_outcome(name) for name in guide.NOT_FOR_VECTORS}

    hold(ledger, "vector-with-explicit-in-axis", " or ".join(sorted(outcomes)))


def vector_outcome(name: str) -> str:
    """Return what a bias of this initializer comes to when its in_axis is explicit."""
    initializer = guide.initializer(name, in_axis=-1)
    outcome = guide.outcome(lambda: guide.dense(bias_init=initializer)["bias"])
    if not outcome.startswith("returns"):
        return outcome
    bias = guide.dense(bias_init=initializer)["bias"]
    row_of_fan_1 = guide.initializer(name, in_axis=0, out_axis=0, batch_axis=1)
    expected = np.asarray(row_of_fan_1(guide.lazy_key(2), (1, 5), np.float32))[0]
    same = bias.tobytes() == expected.tobytes()
    return f"{outcome} of variance {'scale / 1' if same else 'other than scale / 1'}"
