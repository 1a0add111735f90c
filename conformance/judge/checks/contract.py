"""What every initializer owes its caller: the array asked for, or the documented refusal."""

from __future__ import annotations

from conformance.core.ids import Problem
from conformance.core.laws import expected_error
from conformance.core.records import CheckResult, Observation, Raised, Returned
from conformance.core.words import counted
from conformance.judge.checks.base import (
    NOTHING,
    Evidence,
    check,
    failed,
    not_applicable,
    passed,
)

CONTRACT, REPEATABLE = "contract", "repeatable"


@check(CONTRACT, needs=NOTHING)
def check_contract(evidence: Evidence) -> CheckResult:
    """Ensure that the call returned shape and dtype as asked, finite, strongly typed; or refused.

    And that it left its process as it was, since all calls after it depend on that. Which calls
    must be refused, and by which exception, follows from the definition.
    """
    problem = evidence.observation.case.problem
    outcome = evidence.observation.outcome
    error = expected_error(evidence.spec.definition, problem.shape, problem.dtype)
    if isinstance(outcome, Raised):
        fault = _fault_of_exception(outcome, error)
    elif error:
        fault = f"returned an array where {error} must be raised"
    else:
        fault = _fault_of_array(outcome, problem)
    faults = [each for each in (fault, _fault_of_changes(evidence.observation)) if each]
    if not faults:
        return passed(CONTRACT)
    return failed(CONTRACT, f"{evidence.observation.case.id} {'; and '.join(faults)}")


def faults_left(observation: Observation) -> tuple[CheckResult, ...]:
    """Return what a sweep, of which nothing else is a contract, left changed in its process."""
    fault = _fault_of_changes(observation)
    return (failed(CONTRACT, f"{observation.case.id} {fault}"),) if fault else ()


def _fault_of_changes(observation: Observation) -> str:
    if not observation.changed:
        return ""
    return (
        f"changed what all of its process depends on ({', '.join(observation.changed)}), which was "
        "put back for the next case: enter settings as context managers"
    )


def _fault_of_exception(outcome: Raised, error: str | None) -> str:
    if outcome.exception == "SpecError":
        return f"could not be built: the `build` of its spec raised {outcome.message}"
    if outcome.exception == error:
        return ""
    needed = f"{error} was needed" if error else "an array was needed"
    return f"raised {outcome.exception}: {_first_line(outcome.message)}; {needed}"


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def _fault_of_array(outcome: Returned, problem: Problem) -> str:
    if (outcome.dtype, outcome.shape) != (problem.dtype, problem.shape):
        return (
            f"returned {outcome.dtype}{list(outcome.shape)}, "
            f"asked for {problem.dtype}{list(problem.shape)}"
        )
    if outcome.moments.nonfinite:
        return f"returned {counted(outcome.moments.nonfinite, 'NaN or infinite element')}"
    if outcome.weak_type:
        return "returned a weakly typed array: its dtype would give way in the next operation"
    return ""


@check(REPEATABLE, needs="an array, and a second call")
def check_repeatable(evidence: Evidence) -> CheckResult:
    """Ensure that a second call with the same key returned the same bits."""
    observation = evidence.observation
    if isinstance(observation.outcome, Raised):
        return not_applicable(REPEATABLE)
    if observation.repeat_sha256 == observation.outcome.sha256:
        return passed(REPEATABLE)
    return failed(REPEATABLE, _not_repeated(observation))


def _not_repeated(observation: Observation) -> str:
    return (
        f"{observation.case.id} returned other bits when called again with the same key: "
        "it keeps state, or draws randomness that the key does not determine"
    )
