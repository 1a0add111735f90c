"""Each kind of question that the planes leave out, and the cases by design that ask it."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cases.coverage import KEYS, SIZES, coverage_cases
from conformance.cases.planes import problems, tier_of
from conformance.cases.selection import Selection, select, select_for_goldens
from conformance.core.arrays import FULL_SIZE_LIMIT
from conformance.core.formats import DTYPES, NARROW_DTYPES
from conformance.core.ids import TRANSFORMS, Case, Problem, Tier
from conformance.core.keys import parse_key
from conformance.core.laws import (
    Constant,
    Declared,
    DeltaOrthogonal,
    NominalMoments,
    Normal,
    Orthogonal,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
)

SAMPLED = (Normal, TruncatedNormal, Uniform, VarianceScaling)

LAWS = (*SAMPLED, Constant, Orthogonal, DeltaOrthogonal)


def size(problem: Problem) -> int:
    return math.prod(problem.shape)


SIZE_KINDS: dict[str, Callable[[Problem], bool]] = {
    "one under a multiple of 8": lambda problem: size(problem) % 8 == 7,
    "one over a multiple of 8": lambda problem: size(problem) % 8 == 1,
    "one under a multiple of 128": lambda problem: size(problem) % 128 == 127,
    "one over a multiple of 128": lambda problem: size(problem) % 128 == 1,
    "one under 2^16": lambda problem: size(problem) == 2**16 - 1,
    "one over 2^16": lambda problem: size(problem) == 2**16 + 1,
    "one under 2^20": lambda problem: size(problem) == 2**20 - 1,
    "beyond 2^20": lambda problem: size(problem) > 2**20,
    "an axis over 1024": lambda problem: max(problem.shape) > 1024,
    "six dimensions": lambda problem: len(problem.shape) == 6,
}

KEY_KINDS: dict[str, Callable[[Problem], bool]] = {
    "a small seed": lambda problem: problem.key == parse_key("s7"),
    "beyond 7 bits": lambda problem: _low(problem) % 2**8 >= 2**7,
    "beyond 15 bits": lambda problem: _low(problem) % 2**16 >= 2**15,
    "beyond 16 bits": lambda problem: 2**16 <= _low(problem) < 2**17,
    "beyond 24 bits, and odd": lambda problem: _low(problem) == 2**24 + 1,
    "beyond 31 bits": lambda problem: 2**31 <= _low(problem) < 2**32 - 1,
    "a seed beyond 32 bits": lambda problem: problem.seed >= 2**32,
    "a high word": lambda problem: any(problem.words[:1]) and not problem.steps,
    "a child of split": lambda problem: _is(problem, "split2at0"),
    "its sibling": lambda problem: _is(problem, "split2at1"),
    "a number folded in": lambda problem: _is(problem, "fold5"),
    "a grandchild": lambda problem: len(problem.steps) > 1,
}


def _low(problem: Problem) -> int:
    """Return the seed that makes the key and nothing else; else 0."""
    return problem.seed if problem.key.is_seed else 0


def _is(problem: Problem, step: str) -> bool:
    return [each.text for each in problem.steps] == [step] and not problem.words


@functools.cache
def asked() -> tuple[Case, ...]:
    return tuple(coverage_cases(load_catalogue(), Tier.STANDARD, ("cpu",)))


@functools.cache
def law_of(initializer: str) -> type:
    return type(load_catalogue().lookup(initializer).definition)


def laws(kind: Callable[[Case], bool]) -> set[type]:
    return {law_of(case.problem.initializer) for case in asked() if kind(case)}


def dtypes(kind: Callable[[Case], bool], *laws: type) -> set[str]:
    return {
        case.problem.dtype
        for case in asked()
        if kind(case) and law_of(case.problem.initializer) in laws
    }


@pytest.mark.parametrize("name", SIZE_KINDS)
def test_each_law_and_each_narrow_dtype_meets_each_size(name: str) -> None:
    def is_it(case: Case) -> bool:
        return SIZE_KINDS[name](case.problem)

    assert laws(is_it) >= {*SAMPLED, Constant}
    assert dtypes(is_it, *SAMPLED) >= set(NARROW_DTYPES)


@pytest.mark.parametrize("name", sorted(set(SIZE_KINDS) - {"one under 2^20"}))
def test_orthogonal_matrices_meet_each_size(name: str) -> None:
    """But a nearly square one of 2^20 elements, whose decomposition takes seconds."""
    assert Orthogonal in laws(lambda case: SIZE_KINDS[name](case.problem))


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", KEY_KINDS)
def test_each_law_meets_each_key_in_each_narrow_dtype(name: str, law: type) -> None:
    seen = dtypes(lambda case: KEY_KINDS[name](case.problem), law)

    is_matrix = law in (Orthogonal, DeltaOrthogonal)
    assert seen >= ({"float32"} if is_matrix else set(NARROW_DTYPES))


@pytest.mark.parametrize("transform", sorted(set(TRANSFORMS) - {"eager", "legacy_key", "vmap"}))
def test_each_law_is_asked_in_each_way(transform: str) -> None:
    """A lane before the last and a legacy key are asked by the planes."""
    found = laws(lambda case: case.transform == transform)
    assert found >= {Normal, TruncatedNormal, Uniform, Constant, Orthogonal}

    if transform != "thousand_calls":  # it is the host that counts them
        assert dtypes(lambda case: case.transform == transform, *SAMPLED) >= set(NARROW_DTYPES)


def test_each_dtype_is_asked() -> None:
    assert {case.problem.dtype for case in asked()} == set(DTYPES)


def test_each_key_is_met_by_each_layout() -> None:
    for prng in ("threefry2x32_partitionable", "threefry2x32_nonpartitionable"):
        seen = {case.problem.key.text for case in asked() if case.problem.prng == prng}

        assert seen == set(KEYS)


def test_sizes_meet_many_keys() -> None:
    """Nobody asks for all pairs; one key for all would hide what depends on both."""
    for shape in SIZES:
        assert len({case.problem.key for case in asked() if case.problem.shape == shape}) >= 8


def test_each_law_is_asked_where_no_oracle_follows() -> None:
    problems = {case.problem for case in asked() if case.problem.prng.endswith("rbg")}

    assert {(each.initializer, each.prng) for each in problems} == {
        (name, prng)
        for name in ("normal", "normal_1", "lecun_normal", "he_uniform", "orthogonal")
        for prng in ("rbg", "unsafe_rbg")
    }


def test_each_dtype_is_asked_where_no_oracle_follows() -> None:
    dtypes: dict[str, set[str]] = {}
    for case in asked():
        if case.problem.prng.endswith("rbg"):
            dtypes.setdefault(case.problem.initializer, set()).add(case.problem.dtype)

    assert dtypes["normal_1"] | dtypes["he_uniform"] >= {*NARROW_DTYPES}
    assert dtypes["normal"] == {"complex64", "complex128"}
    assert dtypes["orthogonal"] == {"float32", "complex64", "complex128"}


def test_each_law_is_asked_for_a_large_array_of_float64() -> None:
    large = {
        case.problem.initializer
        for case in asked()
        if case.problem.dtype == "float64" and size(case.problem) > FULL_SIZE_LIMIT
    }

    assert large == {"normal", "lecun_normal", "uniform"}


def test_no_case_by_design_waits_for_a_golden() -> None:
    catalogue = load_catalogue()
    for case in asked():
        assert tier_of(case.problem, catalogue.lookup(case.problem.initializer)) is None


def test_the_quick_tier_asks_none_and_the_full_one_asks_more() -> None:
    quick, standard, full = (set(coverage_cases(load_catalogue(), tier, ("cpu",))) for tier in Tier)

    assert not quick
    assert standard < full


def test_only_initializers_with_an_oracle_are_asked() -> None:
    """Of others a case without a golden would show nothing, or fail for want of one."""
    catalogue = load_catalogue()
    catalogue.register("normal_of_mine", lambda: None, family="normal")  # type: ignore[arg-type, return-value]  # never called
    declared = Declared(
        moments=lambda _: NominalMoments(mean=0.0, variance=1.0, lower=-5.0, upper=5.0)
    )
    catalogue.register("declared", lambda: None, definition=declared, family="normal")  # type: ignore[arg-type, return-value]  # never called

    names = {case.problem.initializer for case in coverage_cases(catalogue, Tier.FULL, ("cpu",))}

    assert names.isdisjoint({"normal_of_mine", "declared"})


def test_goldens_are_staged_of_none_but_of_what_is_named() -> None:
    catalogue = load_catalogue()
    whole = select_for_goldens(catalogue, Selection(tier=Tier.STANDARD))
    named = select_for_goldens(catalogue, Selection(initializers=("normal",), keys=("s7.fold5",)))

    assert set(whole) | set(asked()) == set(select(catalogue, Selection(tier=Tier.STANDARD)))
    assert set(whole).isdisjoint(asked())
    assert {case.problem for case in whole} == set(problems(catalogue, Tier.STANDARD))
    assert len(named) > len(NARROW_DTYPES)


def test_a_key_that_is_named_is_asked_in_the_shapes_of_the_tier_too() -> None:
    """The tier asks it by design in one shape; who names it wants it wherever seeds are asked."""
    cases = select(load_catalogue(), Selection(initializers=("normal",), keys=("s7.fold5",)))

    assert {(64,), (64, 32), (17, 13)} <= {case.problem.shape for case in cases}
