"""The oracle allows a jitted draw what C libraries make of constant bounds, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from conformance.arrays import returned
from conformance.builtin import load_catalogue
from conformance.checks.base import Evidence
from conformance.checks.oracle import check_oracle
from conformance.model import Budget, Case, Observation, Problem, Status
from conformance.oracle import ErfErrors, solve

TAIL = load_catalogue().lookup("truncated_normal_tail")
PROBLEM = Problem(initializer=TAIL.name, dtype="float32", shape=(64, 32), seed=0)
NOTHING = Budget(max_ulp=0, max_ulp_at_sigma=0.0)


def verdict(transform: str, folded: ErfErrors | None) -> Status:
    """Return what the check says of draws whose bounds, 2 and 4, were folded so."""
    assert TAIL.definition is not None
    followed = solve(PROBLEM, TAIL.definition, folded=folded).followed
    assert followed is not None
    case = Case(problem=PROBLEM, backend="cpu", transform=transform)
    observation = Observation(
        case=case, outcome=returned(followed), repeat_sha256=None, device="cpu", elapsed_s=0.0
    )
    evidence = Evidence(spec=TAIL, observation=observation, drift=None, budget=NOTHING)
    return check_oracle(evidence).status


@pytest.mark.parametrize("folded", [(0, 0), (0, 1), (0, -1), (1, 0), (-1, -1)])
def test_a_c_library_may_err_by_an_ulp_in_either_bound(folded: ErfErrors) -> None:
    assert verdict("jit", folded) is Status.PASSED


@pytest.mark.parametrize("folded", [(0, 2), (-2, 0)])
def test_a_c_library_may_not_err_by_two(folded: ErfErrors) -> None:
    assert verdict("jit", folded) is Status.FAILED


@pytest.mark.parametrize("transform", ["eager", "vmap"])
def test_no_c_library_has_a_part_in_a_call_that_is_not_compiled_whole(transform: str) -> None:
    assert verdict(transform, None) is Status.PASSED
    assert verdict(transform, (0, -1)) is Status.FAILED


def test_the_draws_of_two_c_libraries_differ_beyond_any_rounding() -> None:
    """Why each is a candidate of its own: an ULP of erf at 4 sigma is 1,000 ULP of a draw."""
    assert TAIL.definition is not None
    one, other = (
        solve(PROBLEM, TAIL.definition, folded=errors).followed for errors in ((0, 0), (0, 1))
    )
    assert one is not None
    assert other is not None

    assert np.abs(one.view(np.int32) - other.view(np.int32)).max() > 100
