"""Each fault of a single parameter is planted once, and its right twin is none."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from conformance.core.laws import Constant, Normal, TruncatedNormal, Uniform
from conformance.models.confirm import Confirmed, confirmed
from conformance.models.faults import faults_of_law, faults_of_numbers, faults_of_values
from conformance.models.formula import Formula, read, root_keys
from conformance.models.law import LawRead, law_read
from conformance.models.model import Leaf
from conformance.models.notes import ADDED, CONTRACTION, Use
from conformance.observe.jax_compat import traced

KERNEL = Use(parameter="kernel", kind=CONTRACTION, fan_in=16.0, axes=(0,))
BIAS = Use(parameter="bias", kind=ADDED, fan_in=1.0)


def drawn(definition: Any, **facts: Any) -> LawRead:
    return LawRead(definition=definition, drawn_dtype="float32", drawn_shape=(16, 8), **facts)


LAWS: dict[str, tuple[Use, LawRead, str]] = {
    "multiplied by 0": (KERNEL, drawn(Normal(stddev=0.0)), "zeros where a law should draw"),
    "constant": (KERNEL, LawRead(definition=Constant(value=0.1)), "constant(0.1) where a law"),
    "all positive": (KERNEL, drawn(Uniform(scale=0.01)), "drawn about 0.005, not 0"),
    "a bias that draws": (BIAS, drawn(Normal(stddev=0.5)), "a bias that draws: normal(stddev=0.5)"),
}


@pytest.mark.parametrize("name", LAWS)
def test_a_planted_law_is_found(name: str) -> None:
    use, law, told = LAWS[name]
    leaf = Leaf(shape=(16, 8), dtype="float32")

    faults = list(faults_of_law(use.parameter, leaf, law, [use]))

    assert len(faults) == 1
    assert told in faults[0]


@pytest.mark.parametrize(
    ("use", "law"),
    [
        (KERNEL, LawRead(definition=Constant(value=0.0))),
        (KERNEL, drawn(Normal(stddev=0.25))),
        (BIAS, LawRead(definition=Constant(value=0.5))),
        (BIAS, drawn(Uniform(scale=0.25, lower=-1.0))),
    ],
)
def test_right_twins_are_no_faults(use: Use, law: LawRead) -> None:
    assert not list(faults_of_law(use.parameter, Leaf(shape=(16, 8), dtype="float32"), law, [use]))


def test_a_draw_in_less_than_the_parameter_holds_is_a_fault() -> None:
    law = LawRead(definition=Normal(stddev=0.25), drawn_dtype="bfloat16", drawn_shape=(16, 8))

    (fault,) = faults_of_law("kernel", Leaf(shape=(16, 8), dtype="float32"), law, [KERNEL])

    assert fault == "drawn in bfloat16, stored in float32: its last digits are zero"


LAYOUT = bool(jax.config.jax_threefry_partitionable)
RIGHT = Confirmed(n=1, n_exact=1, worst=0.0, is_right=True)


def test_values_on_the_bounds_of_a_law_are_right_and_beyond_are_not() -> None:
    law = drawn(TruncatedNormal(stddev=0.5))
    beyond_1 = np.nextafter(np.float32(1), np.float32(2))
    on, beyond = (np.array([-1, end], np.float32) for end in (1, beyond_1))

    assert not list(faults_of_values(on, law, RIGHT))
    assert list(faults_of_values(beyond, law, RIGHT)) == [
        "1 values beyond the bounds -1 and 1 of its law"
    ]


def formula_and_values(dtype: str) -> tuple[Formula, Any]:
    def draw(key: Any) -> Any:
        return jax.nn.initializers.lecun_normal()(key, (16, 8), jnp.dtype(dtype))

    key = jax.random.key(7)
    program = traced(draw, key)
    return read(program, [root_keys("key", "fry")])[0], np.asarray(draw(key))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_values_are_confirmed_by_the_oracle_and_one_that_is_other_is_not(dtype: str) -> None:
    formula, values = formula_and_values(dtype)
    judged = functools.partial(confirmed, formula=formula, root="key", partitionable=LAYOUT)

    right = judged(values, seed=7)
    values = values.copy()
    values[3, 5] += values.dtype.type(0.25)
    wrong = judged(values, seed=7)

    assert (right.n, right.is_right) == (128, True)
    assert right.n_exact >= 120
    assert not wrong.is_right
    assert next(faults_of_values(values, law_read(formula), wrong)).startswith(
        "not what its key and its law make"
    )


@pytest.mark.parametrize(
    "draw",
    [
        lambda key: -jax.nn.initializers.lecun_normal()(key, (16, 8)),
        lambda key: -0.5 * jax.random.normal(key, (16, 8)),
        lambda key: 1 - jax.random.uniform(key, (16, 8)),
        lambda key: -jax.random.uniform(key, (16, 8), minval=-1.0, maxval=3.0),
        lambda key: -jax.random.truncated_normal(key, -1.0, 3.0, (16, 8)),
        lambda key: -jax.nn.initializers.orthogonal()(key, (16, 8)),
        lambda key: jax.nn.initializers.delta_orthogonal()(key, (3, 3, 8, 16)),
    ],
)
def test_a_draw_that_is_changed_or_placed_is_confirmed(draw: Any) -> None:
    key = jax.random.key(7)
    formula = read(traced(draw, key), [root_keys("key", "fry")])[0]

    found = confirmed(np.asarray(draw(key)), formula, root="key", seed=7, partitionable=LAYOUT)

    assert (found.n, found.is_right) == (128, True)


def test_a_draw_beside_its_negative_has_one_law() -> None:
    def draw(key: Any) -> Any:
        half = jax.random.normal(key, (8, 8))
        return jnp.concatenate([half, -half])

    formula = read(traced(draw, jax.random.key(7)), [root_keys("key", "fry")])[0]

    assert law_read(formula).definition == Normal(stddev=1.0)


@pytest.mark.parametrize(
    ("values", "is_random", "told"),
    [
        ([0.5, np.nan], True, ["1 of 2 values are NaN or infinite"]),
        ([0.5, np.inf], True, ["1 of 2 values are NaN or infinite"]),
        ([np.nan, np.nan], False, ["2 of 2 values are NaN"]),
        ([-np.inf, 0.0], False, []),
        ([0.5, 1.5], True, []),
    ],
)
def test_values_that_are_no_numbers_are_a_fault(
    values: list[float], is_random: bool, told: list[str]
) -> None:
    array = np.array(values, np.float32)

    assert list(faults_of_numbers(array, is_random=is_random)) == told


def test_another_seed_confirms_nothing() -> None:
    formula, values = formula_and_values("float32")

    assert not confirmed(values, formula, root="key", seed=8, partitionable=LAYOUT).is_right
