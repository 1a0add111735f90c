"""Ids name problems and cases, and lead back to them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.core.formats import DTYPES
from conformance.core.ids import (
    PRNGS,
    TRANSFORMS,
    Case,
    Problem,
    Tier,
    format_shape,
    is_backend,
    parse_case,
    parse_problem,
    parse_shape,
)
from conformance.core.records import DriftClass

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
        ("normal-float32-64-0-cpu-eager", "key '0'"),
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


@pytest.mark.parametrize(
    ("shape", "text"), [((), "scalar"), ((0,), "0"), ((64, 32), "64x32"), ((1, 2, 3, 4), "1x2x3x4")]
)
def test_a_shape_reads_as_its_sizes(shape: tuple[int, ...], text: str) -> None:
    assert format_shape(shape) == text
    assert parse_shape(text) == shape


@pytest.mark.parametrize(
    "text", ["", "x", "64x", "x32", "64X32", "-1", "64 x 32", "scalar2", "6\n"]
)
def test_what_is_no_shape_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not understood: write sizes joined by 'x'"):
        parse_shape(text)


@pytest.mark.parametrize(
    ("prng", "text"),
    [
        ("threefry2x32", "he_normal-float32-3x4-s7"),
        ("rbg", "he_normal-float32-3x4-s7-rbg"),
        ("threefry2x32_partitionable", "he_normal-float32-3x4-s7-threefry2x32_partitionable"),
    ],
)
def test_an_id_names_the_prng_where_it_is_not_the_usual(prng: str, text: str) -> None:
    problem = Problem(initializer="he_normal", dtype="float32", shape=(3, 4), seed=7, prng=prng)

    assert problem.id == text
    assert parse_problem(text) == problem


@pytest.mark.parametrize("backend", ["cuda-emulated", "iree-vulkan", "iree-cuda"])
@pytest.mark.parametrize("problem", ["zeros-float32-4-s0", "zeros-float32-4-s0-rbg"])
def test_some_backends_have_two_words(backend: str, problem: str) -> None:
    case = parse_case(f"{problem}-{backend}-jit")

    assert case == Case(problem=parse_problem(problem), backend=backend, transform="jit")
    assert case.id == f"{problem}-{backend}-jit"
    assert is_backend(backend)


@pytest.mark.parametrize("text", ["zeros-float32-4-s0-cuda-jit", "iree-float32-4-s0-iree-jit"])
def test_others_have_one(text: str) -> None:
    case = parse_case(text)

    assert case.backend in ("cuda", "iree")
    assert case.id == text


@pytest.mark.parametrize(
    "name", ["my-chip", "iree-", "iree-vulkan-2", "-emulated", "cuda-emulated\n"]
)
def test_an_id_cannot_hold_any_other_backend(name: str) -> None:
    assert not is_backend(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("zeros-float32-4", "has 3 fields: expected"),
        ("zeros-float32-4-s0-rbg-x", "has 6 fields: expected"),
        ("zeros-float32-4-s", "key 's'"),
        ("zeros-float32-4-s1x", "key 's1x'"),
    ],
)
def test_an_id_with_a_field_too_few_or_too_many_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_problem(text)


def test_a_group_is_of_backend_transform_dtype_prng_and_shape() -> None:
    case = parse_case("zeros-float32-4x5-s0-rbg-tpu-jit")

    assert case.group == "tpu-jit-float32-rbg-4x5"


def test_tiers_and_classes_rank_from_small_to_large() -> None:
    assert [tier.rank for tier in Tier] == [0, 1, 2]
    assert [each.rank for each in DriftClass] == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert Tier.QUICK.rank < Tier.STANDARD.rank < Tier.FULL.rank
    assert DriftClass.ROUNDING.rank == 1
    assert DriftClass.ROUNDING.rank < DriftClass.BIASED.rank < DriftClass.TRANSFORM.rank
