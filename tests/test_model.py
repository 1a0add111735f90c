"""Ids name problems and cases, and lead back to them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.model import (
    DTYPES,
    PRNGS,
    TRANSFORMS,
    Case,
    Problem,
    format_shape,
    parse_case,
    parse_problem,
    parse_shape,
)

shapes = st.lists(st.integers(0, 4096), max_size=5).map(tuple)
problems = st.builds(
    Problem,
    initializer=st.from_regex(r"[A-Za-z_][A-Za-z0-9_.]*", fullmatch=True),
    dtype=st.sampled_from(DTYPES),
    shape=shapes,
    seed=st.integers(0, 2**63 - 1),
    prng=st.sampled_from(PRNGS),
)


@given(shapes)
def test_a_shape_is_read_back_from_its_text(shape: tuple[int, ...]) -> None:
    assert parse_shape(format_shape(shape)) == shape


@given(problems)
def test_a_problem_is_read_back_from_its_id(problem: Problem) -> None:
    assert parse_problem(problem.id) == problem


@given(problems, st.sampled_from(("cpu", "cuda", "tpu")), st.sampled_from(TRANSFORMS))
def test_a_case_is_read_back_from_its_id(problem: Problem, backend: str, transform: str) -> None:
    case = Case(problem=problem, backend=backend, transform=transform)

    assert parse_case(case.id) == case


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("normal-float31-64-s0-cpu-eager", "dtype 'float31'"),
        ("normal-float32-64y2-s0-cpu-eager", "shape '64y2'"),
        ("normal-float32-64-0-cpu-eager", "seed '0'"),
        ("normal-float32-64-s0-mersenne-cpu-eager", "prng 'mersenne'"),
        ("normal-float32-64-s0-cpu-lazy", "transform 'lazy'"),
        ("normal-float32-64-s0-../x-eager", "backend '../x' in .* is no name"),
        ("normal-float32-cpu-eager", "has 2 fields"),
    ],
)
def test_a_wrong_id_is_refused_by_the_field_that_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_case(text)


def test_cases_that_share_compiled_programs_share_a_group() -> None:
    """Eager initializers of one dtype and shape run the same jitted samplers."""
    one = parse_case("he_normal-float32-64x32-s0-cpu-eager")
    two = parse_case("lecun_normal-float32-64x32-s7-cpu-eager")

    assert one.group == two.group
