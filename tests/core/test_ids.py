"""Blocks of seeds, parameters of layers and keys have ids too, which lead back to them."""

from __future__ import annotations

import pytest

from conformance.core.formats import DTYPES
from conformance.core.ids import (
    Block,
    Case,
    Parameter,
    parse_case,
    parse_parameter,
    parse_problem,
    parse_unit,
    unfit,
)
from conformance.core.keys import KeySpec, parse_key


def test_cases_of_one_program_share_all_but_their_keys() -> None:
    """Of a million seeds as many ids are parsed as there are blocks."""
    one, other = (parse_case(f"normal-float32-64x32-s{seed}-cpu-eager") for seed in (0, 200))

    def parts(case: Case) -> list[object]:
        problem = case.problem
        axes = (problem.initializer, problem.dtype, problem.shape, problem.prng)
        return [*axes, case.backend, case.transform]

    assert all(a is b for a, b in zip(parts(one), parts(other), strict=True))


@pytest.mark.parametrize(
    "text",
    [
        "normal-float32-64x32-s0:200-cpu-eager",
        "normal-float32-7-s5:8-rbg-cpu-jit",
        "normal-float32-7-s5:8-s5-emulated-eager",  # a backend that reads like a seed
    ],
)
def test_a_block_is_read_back_from_its_id(text: str) -> None:
    block = parse_unit(text)

    assert isinstance(block, Block)
    assert block.id == text


def test_a_block_has_the_case_of_each_seed() -> None:
    block = parse_unit("zeros-float32-7-s5:8-cpu-eager")

    assert isinstance(block, Block)
    assert block.seeds == range(5, 8)
    assert [case.id for case in block.cases()] == [
        f"zeros-float32-7-s{seed}-cpu-eager" for seed in (5, 6, 7)
    ]


def test_what_names_one_seed_is_a_case() -> None:
    text = "zeros-float32-7-s5-cpu-eager"
    case = parse_unit(text)

    assert case == parse_case(text)
    assert list(case.cases()) == [case]


def test_a_case_of_another_seed_or_key_is_else_the_same() -> None:
    case = parse_case("zeros-float32-7-s5-rbg-tpu-jit")

    assert case.of_seed(6).id == "zeros-float32-7-s6-rbg-tpu-jit"
    key = parse_key("k00000007000000000000000000000001.fold3")
    assert case.of_key(key).id == f"zeros-float32-7-{key.text}-rbg-tpu-jit"
    assert case.of_key(key).of_key(case.problem.key) == case


@pytest.mark.parametrize(
    ("text", "parameter"),
    [
        (
            "flax.linen.Dense/float32/params.kernel",
            Parameter(layer="flax.linen.Dense", dtype="float32", path="params.kernel"),
        ),
        ("flax.linen.Dense/bfloat16", Parameter(layer="flax.linen.Dense", dtype="bfloat16")),
    ],
)
def test_a_parameter_is_read_back_from_its_id(text: str, parameter: Parameter) -> None:
    assert parse_parameter(text) == parameter
    assert parameter.id == text


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_parameter_has_any_of_our_dtypes(dtype: str) -> None:
    assert parse_parameter(f"nnx.Linear/{dtype}/bias").dtype == dtype


@pytest.mark.parametrize("text", ["nnx.Linear/float31/bias", "nnx.Linear", "nnx.Linear//bias"])
def test_a_parameter_of_an_unknown_dtype_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=rf"in '{text}' is unknown: a parameter's id reads flax"):
        parse_parameter(text)


@pytest.mark.parametrize(
    ("key", "prng", "fault"),
    [
        ("s7", "rbg", ""),
        ("k0000000700000000", "threefry2x32", ""),
        ("k00000007000000000000000000000001", "unsafe_rbg", ""),
        ("k0000000700000000", "rbg", "key k0000000700000000 has 2 words, and one of rbg has 4"),
        (
            "k00000007000000000000000000000001",
            "threefry2x32",
            "key k00000007000000000000000000000001 has 4 words, and one of threefry2x32 has 2",
        ),
    ],
)
def test_a_generator_takes_keys_of_so_many_words_as_it_has(key: str, prng: str, fault: str) -> None:
    assert unfit(parse_key(key), prng) == fault


def test_a_problem_whose_generator_takes_no_such_key_is_refused() -> None:
    text = "normal-float32-7-k0000000700000000-rbg"

    with pytest.raises(ValueError, match="has 2 words, and one of rbg has 4, in 'normal-float32"):
        parse_problem(text)


def test_a_problem_has_the_key_that_its_id_names() -> None:
    problem = parse_problem("normal-float32-7-k0000000700000001.split3at1.fold5")

    assert problem.key == parse_key("k0000000700000001.split3at1.fold5")
    assert problem.key != KeySpec(seed=0)
    assert problem.id == "normal-float32-7-k0000000700000001.split3at1.fold5"


@pytest.mark.parametrize(
    ("seeds", "number"),
    [("0:200", 0), ("4800:5000", 0), ("5000:5200", 1), ("9800:10000", 1), ("10000:10200", 2)],
)
def test_twenty_five_blocks_of_a_range_are_a_group(seeds: str, number: int) -> None:
    block = parse_unit(f"zeros-float32-7-s{seeds}-cpu-eager")

    assert isinstance(block, Block)
    assert block.group == f"{parse_case('zeros-float32-7-s0-cpu-eager').group}-{number}"
