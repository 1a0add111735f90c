"""Where a definition departs from JAX's initializers: key, refusals, fans, roundings."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest

from conformance.core.keys import KeySpec, Step, parse_descent
from conformance.core.laws import (
    KNOWN_ROUNDS,
    SCALE_ONCE,
    Definition,
    Identity,
    Normal,
    Orthogonal,
    Refusal,
    ScaledBounds,
    Uniform,
    VarianceScaling,
    expected_error,
    keras_fans,
    law_of,
    nominal_moments,
    sampler_of,
    scaled_variance,
)


def test_a_descent_starts_from_the_key_that_is_given_or_from_one_of_its_own() -> None:
    second = Step(name="split", number=2, index=1)

    assert parse_descent("").steps == ()
    assert parse_descent("split2at1.fold5").steps == (second, Step(name="fold", number=5))
    assert parse_descent("s7.split2at1").root == KeySpec(seed=7)
    assert parse_descent("s7.split2at1").steps == (second,)
    assert parse_descent("k0000000700000000").root == KeySpec(words=(7, 0))


@pytest.mark.parametrize("shape", [(), (8,), (2, 3)])
def test_refusals_take_the_place_of_those_of_jax(shape: tuple[int, ...]) -> None:
    nowhere = Orthogonal(refusals=())
    in_16_bits = Orthogonal(refusals=(Refusal(exception="TypeError", dtypes=("bfloat16",)),))

    assert expected_error(nowhere, shape, "float32") is None
    assert expected_error(in_16_bits, shape, "bfloat16") == "TypeError"
    assert expected_error(in_16_bits, shape, "float32") is None


def test_the_first_refusal_that_holds_says_what_is_raised() -> None:
    refusals = (
        Refusal(exception="ValueError", shapes=lambda shape: len(shape) != 2),
        Refusal(exception="TypeError", dtypes=("float16",)),
    )
    definition = Normal(stddev=1.0, refusals=refusals)

    assert expected_error(definition, (3,), "float16") == "ValueError"
    assert expected_error(definition, (3, 2), "float16") == "TypeError"
    assert expected_error(definition, (3, 2), "float32") is None


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "step": ({"drawn_with": "spilt2"}, "'spilt2' in key 'spilt2' is not understood: write fold5"),
    "child": ({"drawn_with": "split2at2"}, "numbered from 0 to 1"),
    "key": ({"drawn_with": 7}, "drawn_with=7"),
    "refusals": ({"refusals": "ValueError"}, "'ValueError' is no tuple"),
    "refusal": ({"refusals": ("ValueError",)}, "'ValueError', which is no Refusal"),
    "exception": ({"refusals": (Refusal(exception="a b"),)}, "write 'ValueError'"),
    "dtype": (
        {"refusals": (Refusal(exception="TypeError", dtypes=("bfloat61",)),)},
        "dtype 'bfloat61' is unknown: did you mean bfloat16",
    ),
    "text": (
        {"refusals": (Refusal(exception="TypeError", dtypes="float16"),)},  # type: ignore[arg-type]  # the fault
        r"write \('float16',\)",
    ),
    "shapes": (
        {"refusals": (Refusal(exception="TypeError", shapes=(3,)),)},  # type: ignore[arg-type]  # the fault
        "write one from a shape to True or False",
    ),
    "rounds": ({"rounds": "once"}, "write SCALE_ONCE, or one of your own"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_cannot_be_meant_is_told_with_its_value(name: str) -> None:
    fields, said = FAULTS[name]

    assert re.search(said, Normal(stddev=1.0, **fields).fault_of_ways)


def test_the_ways_of_those_that_ship_have_no_fault() -> None:
    assert Normal(stddev=1.0).fault_of_ways == ""
    assert Normal(stddev=1.0, drawn_with="s7", refusals=(), rounds=SCALE_ONCE).fault_of_ways == ""


@pytest.mark.parametrize(
    "definition",
    [
        Normal(stddev=1.0, drawn_with="fold5"),
        Orthogonal(drawn_with="fold5"),
        ScaledBounds(scale=1.0, mode="fan_in", drawn_with="fold5"),
    ],
    ids=str,
)
def test_a_sampler_draws_with_the_key_of_its_definition(definition: Definition) -> None:
    sampler = sampler_of(definition, (4, 3))

    assert sampler is not None
    assert sampler.drawn_with == "fold5"


def test_keras_has_fans_for_every_shape() -> None:
    shapes = [(), (7,), (3, 5), (2, 2, 3, 5), (0, 8)]

    assert [keras_fans(shape) for shape in shapes] == [(1, 1), (7, 7), (3, 5), (12, 20), (1, 8)]


def test_another_rule_of_fans_is_the_variance_and_takes_every_shape() -> None:
    definition = VarianceScaling(
        scale=2.0, mode="fan_in", distribution="normal", fans_by=keras_fans
    )

    assert expected_error(definition, (8,), "float32") is None
    assert scaled_variance((8,), definition) == 2 / 8


def test_scaled_bounds_are_the_law_of_the_scaling_drawn_between_its_bounds() -> None:
    direct = ScaledBounds(scale=3.0, mode="fan_in")
    scaled = VarianceScaling(scale=3.0, mode="fan_in", distribution="uniform")
    bound = math.sqrt(3) * math.sqrt(3 / 4)

    law = law_of(direct, (4, 3))

    assert law == Uniform(scale=1.0, lower=-bound, upper=bound)
    assert nominal_moments(direct, (4, 3)) == nominal_moments(scaled, (4, 3))
    sampler = sampler_of(direct, (4, 3))
    assert sampler is not None
    assert (sampler.lower, sampler.upper) == (-bound, bound)
    normal = ScaledBounds(scale=1.0, mode="fan_in", distribution="normal")
    assert "drawn between bounds" in normal.fault


def test_the_identity_is_that_of_the_last_two_axes() -> None:
    values = Identity(value=2.0).values((5, 2, 3))

    assert np.array_equal(values, [[2, 0, 0], [0, 2, 0]])
    assert np.array_equal(Identity().values((2, 2)), [[1, 0], [0, 1]])
    refusals = [expected_error(Identity(), (3,) * ndim, "float32") for ndim in range(4)]
    assert refusals == ["ValueError", "ValueError", None, None]


def test_the_orders_of_rounding_that_are_offered_differ_in_factor_and_product() -> None:
    """JAX rounds each step, and multiplies erf_inv; the others multiply the unit variate."""
    found = {name: (each.factor is None, each.of_unit) for name, each in KNOWN_ROUNDS.items()}

    assert found == {
        "AS_JAX": (True, False),
        "SCALE_ONCE": (False, True),
        "SCALE_STEPWISE": (True, True),
    }


def test_a_refusal_holds_of_its_dtypes_and_shapes_alone() -> None:
    everything = Refusal(exception="ValueError")
    vectors = Refusal(
        exception="ValueError", dtypes=("float16",), shapes=lambda shape: len(shape) == 1
    )

    assert everything.holds((), "float32")
    assert everything.fault == vectors.fault == ""
    found = [vectors.holds(s, d) for s in ((3,), (3, 2)) for d in ("float16", "float32")]
    assert found == [True, False, False, False]


@pytest.mark.parametrize("distribution", ["uniform", "normal", "truncated_normal"])
def test_a_factor_of_pythons_numbers_is_rounded_once(distribution: str) -> None:
    definition = VarianceScaling(scale=2.0, mode="fan_in", distribution=distribution)
    law = law_of(definition, (3, 5))
    asked: list[float] = []

    def rounded(number: float) -> float:
        asked.append(number)
        return 0.25

    assert SCALE_ONCE.factor is not None
    assert law is not None
    assert SCALE_ONCE.factor(definition, (3, 5), rounded) == 0.25
    assert asked == [law.factor]


def test_what_is_drawn_between_its_bounds_is_multiplied_by_one() -> None:
    definition = ScaledBounds(scale=3.0, mode="fan_in")

    assert definition.rounds.factor is not None
    assert definition.rounds.factor(definition, (4, 3), np.rint) == 1.0
