"""Initializers that go about a law otherwise than JAX's: right ones pass, wrong ones do not."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import conformance
from conformance.cases.catalogue import users_spec
from conformance.cases.sweeps import sweep_case
from conformance.core.arrays import as_dtype
from conformance.core.errors import NotElementwise, SelectionError
from conformance.core.ids import Problem
from conformance.core.laws import (
    AS_JAX,
    SCALE_ONCE,
    SCALE_STEPWISE,
    Declared,
    Definition,
    Identity,
    NominalMoments,
    Normal,
    Orthogonal,
    Refusal,
    Rounds,
    ScaledBounds,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
    keras_fans,
)
from conformance.core.records import Budget, Status
from conformance.judge.law.accuracy import gather
from conformance.judge.law.checks import judge_law
from conformance.observe.backends import open_backend
from conformance.observe.sweep import sweep
from conformance.oracle.blocks import Answers

SHAPE = (16, 8)
ANY = Budget(max_ulp=8, max_ulp_at_sigma=8.0)
"""What a user's budget may come to; law_sequence is what 16 bits are held by."""

Draw = Callable[..., Any]


def failed(draw: Draw, definition: Definition, **asked: Any) -> str:
    """Return the messages of what fails; "" where all passes."""
    judged = conformance.judge(
        conformance.observe(draw, definition=definition, shape=asked.pop("shape", SHAPE), **asked)
    )
    return "" if judged.has_passed else str(judged)


def law_failed(draw: Draw, definition: Definition, dtype: str = "bfloat16") -> dict[str, str]:
    """Return what fails of the law, by check."""
    spec = users_spec("mine", lambda: draw, definition=definition)
    swept = sweep(spec, sweep_case(spec, dtype, "cpu", "eager"), open_backend("cpu"))
    results = judge_law(gather(definition, swept, ANY))
    return {each.check: each.message for each in results if each.status is Status.FAILED}


def drawn(key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    return jax.random.normal(key, shape, dtype)


# --- Which key draws -----------------------------------------------------------------------------
def of_child(key: Any, shape: tuple[int, ...], dtype: Any = "float32") -> Any:
    return drawn(jax.random.split(key)[1], shape, dtype)


def of_chain(key: Any, shape: tuple[int, ...], dtype: Any = "float32") -> Any:
    """Return what the second call of Haiku's next_rng_key draws."""
    key, _ = jax.random.split(key)
    return drawn(jax.random.fold_in(jax.random.split(key)[1], 5), shape, dtype)


def of_seed_7(key: Any, shape: tuple[int, ...], dtype: Any = "float32") -> Any:
    del key
    return drawn(jax.random.key(7), shape, dtype)


def of_words(key: Any, shape: tuple[int, ...], dtype: Any = "float32") -> Any:
    """Return what a key draws that is made of an integer as Keras makes it."""
    del key
    return drawn(jnp.array([7, 0], jnp.uint32), shape, dtype)


KEYS: dict[str, Draw] = {
    "split2at1": of_child,
    "split2at0.split2at1.fold5": of_chain,
    "s7": of_seed_7,
    "k0000000700000000": of_words,
}


@pytest.mark.parametrize("name", KEYS)
def test_the_oracle_draws_with_the_key_that_draws(name: str) -> None:
    definition = Normal(stddev=1.0, drawn_with=name, rounds=SCALE_ONCE)

    assert failed(KEYS[name], definition) == ""
    assert "stream" in failed(KEYS[name], Normal(stddev=1.0, rounds=SCALE_ONCE))


def test_a_draw_with_the_key_itself_is_named_where_a_child_should_draw() -> None:
    said = failed(drawn, Normal(stddev=1.0, drawn_with="split2at1", rounds=SCALE_ONCE))

    assert "it is right to rounding, but drawn with the key that was given" in said


def test_the_stages_follow_the_key_that_draws() -> None:
    definition = Normal(stddev=1.0, drawn_with="split2at1", rounds=SCALE_ONCE)
    right = conformance.explain(conformance.observe(of_child, definition=definition, shape=SHAPE))

    assert "key" in str(right)
    assert "differs" not in str(right)


@pytest.mark.parametrize("is_right", [True, False])
def test_a_matrix_is_held_to_what_the_child_draws(is_right: bool) -> None:
    def matrix(key: Any, shape: tuple[int, ...], dtype: Any = "float32") -> Any:
        return jax.nn.initializers.orthogonal()(jax.random.split(key)[1], shape, dtype)

    said = failed(matrix, Orthogonal(drawn_with="split2at1" if is_right else "split2at0"))

    assert (said == "") == is_right


def test_ranges_of_seeds_are_answered_with_the_key_that_draws() -> None:
    problem = Problem(initializer="mine", dtype="float32", shape=SHAPE, seed=0)
    definition = Normal(stddev=1.0, drawn_with="split2at1", rounds=SCALE_ONCE)

    answers = Answers(definition, problem, [3, 4]).expected()

    actual = np.stack([of_child(jax.random.key(seed), SHAPE) for seed in (3, 4)])
    assert np.allclose(answers, actual, rtol=0, atol=1e-5)


def test_a_law_of_a_key_of_its_own_says_so() -> None:
    with pytest.raises(NotElementwise, match="draws nothing from the key that it is given"):
        law_failed(of_seed_7, Normal(stddev=1.0))
    with pytest.raises(SelectionError, match="draws with the key s7, whatever key it is given"):
        conformance.law(of_seed_7, definition=Normal(stddev=1.0, drawn_with="s7"))


def test_a_child_of_the_key_has_the_law_of_the_key() -> None:
    definition = Normal(stddev=1.0, drawn_with="split2at1", rounds=SCALE_ONCE)

    assert law_failed(of_child, definition) == {}


def test_a_draw_that_nothing_comes_of_is_no_part_of_the_law() -> None:
    def of_two(key: Any, shape: tuple[int, ...], dtype: Any = "float32") -> Any:
        drawn(key, (3,), dtype)
        return drawn(key, shape, dtype)

    assert law_failed(of_two, Normal(stddev=1.0, rounds=SCALE_ONCE)) == {}


# --- What is refused -----------------------------------------------------------------------------
def of_matrices(key: Any, shape: tuple[int, ...], dtype: Any = "float32") -> Any:
    if len(shape) != 2:
        raise ValueError(f"{shape} is no matrix")
    if dtype == jnp.float16:
        raise TypeError("not in float16")
    return drawn(key, shape, dtype)


REFUSALS = (
    Refusal(exception="ValueError", shapes=lambda shape: len(shape) != 2),
    Refusal(exception="TypeError", dtypes=("float16",)),
)
ASKED: tuple[dict[str, Any], ...] = ({"shape": (8,)}, {"dtype": "float16"})


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_a_refusal_is_part_of_the_definition(asked: dict[str, Any]) -> None:
    stated = Normal(stddev=1.0, refusals=REFUSALS, rounds=SCALE_ONCE)

    assert failed(of_matrices, stated, **asked) == ""
    assert "an array was needed" in failed(of_matrices, Normal(stddev=1.0), **asked)
    assert "must be raised" in failed(drawn, stated, **asked)


def test_a_vector_may_have_fans() -> None:
    def keras_normal(key: Any, shape: tuple[int, ...], dtype: Any = "float32") -> Any:
        return drawn(key, shape, dtype) * math.sqrt(1 / keras_fans(shape)[0])

    fields: dict[str, Any] = {"scale": 1.0, "mode": "fan_in", "distribution": "normal"}
    definition = VarianceScaling(fans_by=keras_fans, rounds=SCALE_ONCE, **fields)

    assert failed(keras_normal, definition, shape=(64,)) == ""
    assert "ValueError must be raised" in failed(
        keras_normal, VarianceScaling(**fields), shape=(64,)
    )
    assert failed(jax.nn.initializers.ones, definition, shape=(64,))


@pytest.mark.parametrize(("value", "is_right"), [(1.0, True), (2.0, False)])
def test_an_identity_is_held_to_every_element(value: float, is_right: bool) -> None:
    def identity(key: Any, shape: tuple[int, ...], dtype: Any = "float32") -> Any:
        del key
        return jnp.eye(shape[-2], shape[-1], dtype=dtype)

    assert (failed(identity, Identity(value=value)) == "") == is_right


# --- Which steps round ---------------------------------------------------------------------------
STDDEV = 0.02


def apart(key: Any, shape: tuple[int, ...], dtype: Any = "float32") -> Any:
    return drawn(key, shape, dtype) * STDDEV


def truncated(key: Any, shape: tuple[int, ...], dtype: Any = "float32") -> Any:
    return jax.random.truncated_normal(key, -2.0, 2.0, shape, dtype) * STDDEV


def between(key: Any, shape: tuple[int, ...], dtype: Any = "float32") -> Any:
    bound = math.sqrt(3 / shape[0])
    return jax.random.uniform(key, shape, dtype, -bound, bound)


def stepwise(key: Any, shape: tuple[int, ...], dtype: Any = "float32") -> Any:
    return drawn(key, shape, dtype) * jnp.sqrt(jnp.asarray(1 / shape[0], dtype))


SCALING = VarianceScaling(scale=1.0, mode="fan_in", distribution="normal", rounds=SCALE_STEPWISE)
ORDERS: dict[str, tuple[Draw, Definition]] = {
    "normal": (apart, Normal(stddev=STDDEV, rounds=SCALE_ONCE)),
    "truncated": (truncated, TruncatedNormal(stddev=STDDEV, rounds=SCALE_ONCE)),
    "stepwise": (stepwise, SCALING),
    "bounds": (between, ScaledBounds(scale=1.0, mode="fan_in")),
    "jax": (jax.nn.initializers.normal(STDDEV), Normal(stddev=STDDEV)),
}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ORDERS)
def test_a_legitimate_order_of_roundings_passes(name: str, dtype: str) -> None:
    draw, definition = ORDERS[name]

    assert law_failed(draw, definition, dtype) == {}
    assert failed(draw, definition, dtype=dtype) == ""


def towards_zero(draw: Draw) -> Draw:
    """Return the same draw in float32, cut off where the dtype ends."""

    def cut(key: Any, shape: tuple[int, ...], dtype: Any = "float32") -> Any:
        near = draw(key, shape, dtype)
        wide = near.astype(jnp.float32)
        nearer = jnp.nextafter(near, jnp.zeros_like(near))
        return jnp.where(jnp.abs(wide) > STDDEV, nearer, near)

    return cut


@pytest.mark.parametrize("name", ORDERS)
def test_a_wrong_mode_of_rounding_fails_in_every_order(name: str) -> None:
    draw, definition = ORDERS[name]

    assert "law_sequence" in law_failed(towards_zero(draw), definition)


def test_the_message_names_the_order_that_the_points_are_of() -> None:
    found = law_failed(apart, Normal(stddev=STDDEV))

    assert "they are what rounds=SCALE_ONCE gives" in found["law_sequence"]
    assert "rounds=" not in law_failed(towards_zero(apart), Normal(stddev=STDDEV))["law_sequence"]


def test_steps_of_ones_own_are_rounded_as_they_say() -> None:
    """As Haiku rounds the truncation constant, and nothing but that and the quotient."""

    def steps(definition: Definition, shape: tuple[int, ...], rounded: Any) -> Any:
        del definition, shape
        return rounded(1 / rounded(0.55))

    def draw(key: Any, shape: tuple[int, ...], dtype: Any = "float32") -> Any:
        factor = 1 / np.float64(as_dtype(np.dtype(dtype).name).type(0.55))
        return drawn(key, shape, dtype) * jnp.asarray(factor, dtype)

    own = Normal(stddev=1 / 0.55, rounds=Rounds(factor=steps, of_unit=True))

    assert law_failed(draw, own) == {}
    assert "law_sequence" in law_failed(draw, Normal(stddev=1 / 0.55, rounds=SCALE_ONCE))


def test_bounds_that_the_dtype_lacks_are_rounded_as_jax_does() -> None:
    def uniform(key: Any, shape: tuple[int, ...], dtype: Any = "float32") -> Any:
        return jax.random.uniform(key, shape, dtype, -0.05, 0.05)

    definition = Uniform(scale=1.0, lower=-0.05, upper=0.05)

    assert law_failed(uniform, definition) == {}
    assert "law_bounds" in law_failed(
        lambda *asked: uniform(*asked) - jnp.asarray(2.0**-9, asked[-1]), definition
    )


# --- What is known by its moments only -----------------------------------------------------------
def unit_normal(shape: tuple[int, ...]) -> NominalMoments:
    del shape
    return NominalMoments(mean=0, variance=1.0, lower=-6.7, upper=6.7, kurtosis=3.0)


@pytest.mark.parametrize(("sigma", "is_right"), [(1.0, True), (1.1, False), (0.9, False)])
def test_a_sigma_off_by_a_tenth_is_seen_by_samples_that_grow(sigma: float, is_right: bool) -> None:
    said = failed(
        lambda key, shape, dtype: drawn(key, shape, dtype) * jnp.asarray(sigma, dtype),
        Declared(moments=unit_normal),
        shape=(64, 32),
    )

    assert (said == "") == is_right
    assert is_right or "variance: the variance, of itself, is off by" in said


def test_a_law_declared_by_its_moments_says_that_it_has_no_sweep() -> None:
    with pytest.raises(SelectionError, match="cannot be swept: declared by its moments only"):
        conformance.law(drawn, definition=Declared(moments=unit_normal))


def test_the_order_of_jax_is_the_default() -> None:
    assert Normal(stddev=1.0).rounds is AS_JAX
