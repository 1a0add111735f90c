"""Two matrices are compared by what was drawn for each: that must be the same, but for rounding."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.core.arrays import Array, returned
from conformance.core.ids import Case, Problem
from conformance.core.laws import Orthogonal
from conformance.core.paths import BUDGETS, shipped
from conformance.core.records import Budget, DriftClass, Entry, MatrixBudget, Observation, Returned
from conformance.judge.bench import Bench
from conformance.judge.checks.base import Evidence
from conformance.judge.checks.values import values_check
from conformance.judge.ledger import Ledger
from conformance.judge.verdict import compare
from conformance.merge import Fact, Place, Referee, merge
from conformance.oracle import haar, solve_normals
from conformance.report.rows import outcome_text
from conformance.store.budgets import load

BUDGET = Budget(
    max_ulp=91, max_ulp_at_sigma=4.0, matrix=MatrixBudget(column=50.0, gram=55.0)
).doubled()
SPEC = load_catalogue().lookup("orthogonal")


def problem(seed: int = 0, side: int = 16, prng: str = "threefry2x32") -> Problem:
    return Problem(
        initializer="orthogonal", dtype="float32", shape=(side, side), seed=seed, prng=prng
    )


def normals(asked: Problem) -> Array:
    found = solve_normals(asked, Orthogonal())
    assert found.followed is not None
    return found.followed


def result(drawn: Array, *, recorded: bool = True) -> Returned:
    """Return a right Q of what was drawn."""
    array = haar(drawn.astype(np.float64)).astype(np.float32)
    return dataclasses.replace(returned(array), drawn=drawn.tobytes() if recorded else None)


@pytest.mark.parametrize("side", [3, 16])
@pytest.mark.parametrize("recorded", [True, False])
def test_right_matrices_of_other_draws_are_no_rounding_of_each_other(
    side: int, recorded: bool
) -> None:
    asked = problem(side=side)
    actual = result(normals(dataclasses.replace(asked, seed=1)))
    expected = result(normals(asked), recorded=recorded)

    found = compare(actual, expected, SPEC, BUDGET, problem=asked)

    assert found.drift_class.rank > DriftClass.ROUNDING.rank
    assert found.detail.startswith(
        "each is a right Q, of another matrix: what was drawn has changed"
    )


def test_draws_that_differ_by_rounding_leave_rounding() -> None:
    drawn = normals(problem())
    ends = np.where(np.arange(drawn.shape[-1]) % 2, 9, -9).astype(np.float32)
    other = np.nextafter(drawn, ends)

    found = compare(result(other), result(drawn), SPEC, BUDGET, problem=problem())

    assert found.drift_class is DriftClass.ROUNDING
    assert found.n_different


def test_a_golden_without_an_oracle_is_held_to_the_draw_of_the_other_side() -> None:
    asked = problem(prng="rbg")
    drawn = normals(problem())
    golden = result(np.nextafter(drawn, np.float32(0)), recorded=False)
    wrong = returned(np.ascontiguousarray(haar(drawn.astype(np.float64))[:, ::-1], np.float32))

    right = compare(result(drawn), golden, SPEC, BUDGET, problem=asked)
    found = compare(result(drawn), wrong, SPEC, BUDGET, problem=asked)

    assert right.drift_class is DriftClass.ROUNDING
    assert found.drift_class.rank > DriftClass.ROUNDING.rank
    assert "the expected matrix: column " in found.detail


def test_columns_in_another_order_are_structural_under_any_lapack_kernel() -> None:
    """No element is equal: another kernel rounds all of them otherwise."""
    drawn = normals(problem())
    golden = result(drawn, recorded=False)
    moved = haar(drawn.astype(np.float64))[:, [1, 0, *range(2, 16)]] * (1 + 1e-6)
    swapped = dataclasses.replace(returned(moved.astype(np.float32)), drawn=drawn.tobytes())

    found = compare(swapped, golden, SPEC, BUDGET, problem=problem())

    assert found.drift_class is DriftClass.STRUCTURAL
    assert found.detail.startswith("the actual matrix: column 0 is not that of the Q of the matrix")
    assert "; 2 columns stand in other places: column 0 was column 1; " in found.detail


def swapped(drawn: Array) -> Returned:
    """Return a right Q but for its first columns, which have changed places."""
    array = haar(drawn.astype(np.float64)).astype(np.float32)[:, [1, 0, *range(2, 16)]]
    return dataclasses.replace(returned(np.ascontiguousarray(array)), drawn=drawn.tobytes())


def test_a_wrong_golden_is_named_before_all_else() -> None:
    asked = problem()
    drawn = normals(asked)
    case = Case(problem=asked, backend="cpu", transform="eager")
    drift = compare(
        result(drawn),
        dataclasses.replace(swapped(drawn), drawn=None),
        SPEC,
        BUDGET,
        problem=asked,
    )
    observation = Observation(
        case=case, outcome=result(drawn), repeat_sha256=None, device="cpu", elapsed_s=0.0
    )
    evidence = Evidence(spec=SPEC, observation=observation, drift=drift, budget=BUDGET)

    found = values_check(DriftClass.ROUNDING)(evidence)

    first, *_ = found.message.splitlines()
    assert first.startswith(
        "the golden of orthogonal-float32-16x16-s0 is wrong, and "
        "orthogonal-float32-16x16-s0-cpu-eager is right: column 0 is not that of the Q of "
    )
    assert found.remedy is not None
    assert (found.remedy.yardstick, found.remedy.initializer) == ("golden", "orthogonal")


@pytest.mark.parametrize(("is_right", "n_beyond"), [(True, 0), (False, 1)])
def test_a_matrix_that_is_merged_alone_is_held_to_what_was_drawn_for_it(
    is_right: bool, n_beyond: int
) -> None:
    """No other place is there to disagree with it."""
    asked = problem()
    outcome = (result if is_right else swapped)(normals(asked))
    golden = dataclasses.replace(result(normals(asked)), drawn=None)

    class Goldens:
        def golden(self, problem_id: str, backend: str, release: str = "") -> Entry | None:
            del backend, release
            return Entry(id=problem_id, shard="x", outcome=golden)

    judge = Referee(
        bench=Bench(
            specs=load_catalogue().by_name(),
            goldens=Goldens(),
            budgets=load(shipped() / BUDGETS),
            ledger=Ledger(limitations=()),
        ),
        outcomes={outcome_text(outcome): outcome},
    )
    place = Place(**dict.fromkeys((field.name for field in dataclasses.fields(Place)), ""))
    fact = Fact(
        problem=asked,
        transform="eager",
        place=dataclasses.replace(place, backend="cpu", jax="0.12.0.1"),
        outcome=outcome_text(outcome),
        source="one",
        root="one",
    )

    assert len(merge([fact], judge).beyond) == n_beyond
