"""An array that a golden keeps a sample of is compared in full, by the oracle, or not at all."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.core.arrays import Array, returned, sampled
from conformance.core.formats import fusings
from conformance.core.ids import Problem, parse_problem
from conformance.core.laws import (
    Declared,
    NominalMoments,
    TruncatedNormal,
    nominal_moments,
)
from conformance.core.records import Budget, Drift, DriftClass
from conformance.judge.checks import oracle
from conformance.judge.checks.witness import is_fused_otherwise
from conformance.judge.verdict import compare
from conformance.oracle import Solution, solve
from conformance.oracle.blocks import Answers
from tests.evidence import spec_of

LARGE = parse_problem("normal_1-float32-128x96-s0")
BUDGET = Budget(max_ulp=6, max_ulp_at_sigma=6.0)
SPEC = load_catalogue().lookup("normal_1")


def defined(problem: Problem = LARGE) -> Array:
    definition = load_catalogue().lookup(problem.initializer).definition
    assert definition is not None
    return solve(problem, definition).expected.copy()


def compared(actual: Array, golden: Array, problem: Problem = LARGE) -> Drift:
    """Compare a whole array with what a golden set keeps of another."""
    kept = sampled(returned(golden))
    assert kept.stride > 1
    spec = load_catalogue().lookup(problem.initializer)
    return compare(returned(actual), kept, spec, BUDGET, problem=problem)


def one_ulp(array: Array, *places: int) -> Array:
    moved = array.copy()
    for place in places:
        moved.flat[place] = np.nextafter(moved.flat[place], np.float32(9))
    return moved


def test_a_golden_that_the_oracle_returns_bit_by_bit_is_compared_whole() -> None:
    found = compared(one_ulp(defined(), 1), defined())

    assert found.drift_class is DriftClass.ROUNDING
    assert (found.n_different, found.n_elements, found.n_compared) == (1, 128 * 96, None)


def test_an_array_that_the_oracle_returns_bit_by_bit_is_compared_whole_though_a_sample() -> None:
    """On the side that is judged too: none of what was kept of it is the element that moved."""
    golden, kept = one_ulp(defined(), 1), sampled(returned(defined()))

    found = compare(kept, returned(golden), SPEC, BUDGET, problem=LARGE)

    assert found.drift_class is DriftClass.ROUNDING
    assert (found.n_different, found.n_elements, found.n_compared) == (1, 128 * 96, None)
    assert (found.worst_actual, found.worst_expected) == (defined().flat[1], golden.flat[1])


def test_an_array_that_another_c_library_folds_is_known_whole() -> None:
    """Whether a compiler saw the call is not on record: its answers stand for a digest too."""
    law = TruncatedNormal(stddev=1.0, lower=-0.25, upper=0.25)
    problem = dataclasses.replace(LARGE, initializer="mine")
    seeds = (problem.seed,)
    eager = next(Answers(law, problem, seeds).followed())
    compiled = Answers(law, problem, seeds, is_compiled=True).followed()
    folded = next(each for each in compiled if (each != eager).any())[0]

    found = compare(
        returned(one_ulp(folded, 1)),
        sampled(returned(folded)),
        spec_of(law),
        BUDGET,
        problem=problem,
    )

    assert found.drift_class is DriftClass.ROUNDING
    assert (found.n_different, found.n_compared) == (1, None)


def test_rounding_on_both_sides_of_the_definition_is_rounding() -> None:
    """The golden is not the oracle's, which stands for none of its bits."""
    found = compared(one_ulp(defined(), 1, 2), one_ulp(defined(), 5))

    assert found.drift_class is DriftClass.ROUNDING
    assert found.detail == (
        "every element is as defined; so are those of the other side that are kept"
    )


CHANGES: dict[str, Callable[[Array], Array]] = {
    "NaN": lambda part: np.full_like(part, np.nan),
    "shift": lambda part: part + np.float32(0.5),
    "order": lambda part: part[::-1].copy(),
    "scale": lambda part: part * np.float32(1.1),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("is_exact", [True, False])
def test_a_change_that_the_sample_does_not_see_is_told(change: str, is_exact: bool) -> None:
    golden = defined() if is_exact else one_ulp(defined(), 5)
    actual = defined()
    rest = np.arange(actual.size) % sampled(returned(golden)).stride != 0
    actual.flat[rest] = CHANGES[change](actual.flat[rest])

    found = compared(actual, golden)

    assert DriftClass.ROUNDING.rank < found.drift_class.rank < DriftClass.UNKNOWN.rank


@pytest.mark.parametrize("spoil", ["kept", "moments", "order"])
def test_beside_a_golden_that_is_not_as_defined_nothing_is_known(spoil: str) -> None:
    golden = defined()
    stride = sampled(returned(golden)).stride
    if spoil == "kept":
        golden.flat[stride] += np.float32(1)
    elif spoil == "order":  # of two that are kept: the moments are as before
        golden.flat[[stride, 2 * stride]] = golden.flat[[2 * stride, stride]]
    else:
        golden.flat[stride + 1] += np.float32(1)

    found = compared(one_ulp(defined(), 1), golden)

    assert found.drift_class is DriftClass.UNKNOWN


def test_a_golden_that_holds_a_nan_unseen_is_no_witness() -> None:
    """Two NaNs a sigma from the mean, one on each side, leave mean and variance as they were."""
    golden = sampled(returned(one_ulp(defined(), 5)))
    moments = dataclasses.replace(golden.moments, nonfinite=1)
    actual = defined()
    actual.flat[golden.stride + 1] = np.nan

    found = compare(
        returned(actual),
        dataclasses.replace(golden, moments=moments),
        SPEC,
        BUDGET,
        problem=LARGE,
    )

    assert found.drift_class is DriftClass.UNKNOWN


def test_where_the_oracle_has_no_answer_nothing_is_known() -> None:
    problem = dataclasses.replace(LARGE, prng="rbg")

    found = compare(
        returned(one_ulp(defined(), 1)),
        sampled(returned(defined())),
        SPEC,
        BUDGET,
        problem=problem,
    )

    assert found.drift_class is DriftClass.UNKNOWN


def test_without_a_witness_the_blocks_that_differ_are_told() -> None:
    problem = dataclasses.replace(LARGE, prng="rbg")
    golden = sampled(returned(defined()))

    found = compare(returned(one_ulp(defined(), 1)), golden, SPEC, BUDGET, problem=problem)

    assert "1 of 16 blocks differ, elements 0 to 767; the other 11520 elements" in found.detail


def test_the_oracle_is_asked_once_a_way_of_fusing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Problem] = []

    def counted(problem: Problem, *arguments: Any, **options: Any) -> Solution:
        asked.append(problem)
        return solve(problem, *arguments, **options)

    monkeypatch.setattr(oracle, "solve", counted)
    found = compared(one_ulp(defined(), 1, 2), one_ulp(defined(), 5))

    assert found.drift_class is DriftClass.ROUNDING
    assert len(asked) == len(fusings("float32"))


def test_of_a_sample_on_the_side_that_is_judged_nothing_is_known() -> None:
    """As defined as what is kept of it may be, and its moments: it is not the oracle's."""
    kept = sampled(returned(one_ulp(defined(), 5)))

    found = compare(kept, returned(defined()), SPEC, BUDGET, problem=LARGE)

    assert found.drift_class is DriftClass.UNKNOWN


def test_of_a_law_stated_by_its_moments_nothing_is_known() -> None:
    law = NominalMoments(mean=0.0, variance=1.0, lower=-math.inf, upper=math.inf)
    spec = dataclasses.replace(SPEC, definition=Declared(moments=lambda _: law))

    found = compare(
        returned(one_ulp(defined(), 1)),
        sampled(returned(defined())),
        spec,
        BUDGET,
        problem=LARGE,
    )

    assert found.drift_class is DriftClass.UNKNOWN


def test_two_samples_are_no_witness() -> None:
    one, two = (sampled(returned(array)) for array in (one_ulp(defined(), 1), defined()))

    assert compare(one, two, SPEC, BUDGET, problem=LARGE).drift_class is DriftClass.UNKNOWN


def test_where_no_oracle_answers_nothing_is_known_to_be_fused_otherwise() -> None:
    problem = dataclasses.replace(LARGE, prng="rbg")
    array, definition = returned(defined()), SPEC.definition
    assert definition is not None
    moments = nominal_moments(definition, problem.shape, problem.dtype)
    assert moments is not None

    assert not is_fused_otherwise(
        array, array, definition, problem, moments, budgets=(BUDGET, BUDGET)
    )
