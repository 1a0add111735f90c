"""What is raised carries its exit code, and of several codes the gravest is told."""

from __future__ import annotations

import inspect

import pytest

from conformance.core import errors
from conformance.core.errors import ConformanceError, ExitCode

EXPECTED = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, ConformanceError) and kind is not ConformanceError
]


@pytest.mark.parametrize("kind", EXPECTED, ids=lambda kind: kind.__name__)
def test_an_expected_error_has_one_exit_code(kind: type[ConformanceError]) -> None:
    assert kind("why").exit_code in set(ExitCode) - {ExitCode.OK}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, 0),
        ({"empty": True}, 5),
        ({"empty": True, "missing": True}, 3),
        ({"missing": True, "failed": True}, 1),
        ({"missing": False, "failed": True}, 1),
        ({"failed": True, "missing": True, "interrupted": True}, 130),
        ({"failed": True, "interrupted": True, "terminated": True}, 143),
    ],
)
def test_the_gravest_of_what_is_true_is_told(facts: dict[str, bool], expected: int) -> None:
    assert ExitCode.of(**facts) == expected


def test_of_any_two_codes_the_graver_is_told_whichever_came_first() -> None:
    order = [143, 130, 4, 1, 3, 5, 0]

    for place, graver in enumerate(order):
        for other in order[place:]:
            assert ExitCode.first(graver, other) == ExitCode.first(other, graver) == graver


@pytest.mark.parametrize(
    "kind", [errors.StagingError, errors.PolicyError, errors.TargetError, errors.LedgerError]
)
def test_a_wrong_call_that_selects_nothing_is_no_selection_error(kind: type[Exception]) -> None:
    assert issubclass(kind, errors.WrongCall)
    assert not issubclass(kind, errors.SelectionError)


@pytest.mark.parametrize("kind", [errors.BudgetError, errors.JournalError, errors.ProgramError])
def test_a_golden_error_speaks_of_goldens_and_recordings_alone(kind: type[Exception]) -> None:
    assert issubclass(kind, errors.StoreError)
    assert not issubclass(kind, errors.GoldenError)
