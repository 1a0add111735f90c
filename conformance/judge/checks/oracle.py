"""The oracle's word: is it as defined? The second witness, which never saw JAX."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterable

from conformance.core.arrays import Array, as_dtype, digest, returned, thin
from conformance.core.definition import (
    Constant,
    Definition,
    DeltaOrthogonal,
    Orthogonal,
    expected_error,
    nominal_moments,
)
from conformance.core.ids import Problem
from conformance.core.records import COMPILED, CheckResult, Drift, DriftClass, Raised, Returned
from conformance.judge.checks.base import Evidence, failed, not_applicable, passed
from conformance.judge.checks.matrices import (
    RECORDED,
    Drawn,
    MatrixDefinition,
    column_fault,
    draw_drift,
    drawn_by,
    fault_of,
    matrix_errors,
)
from conformance.judge.drift import classify, explain, first_differing_stage
from conformance.oracle import (
    ErfErrors,
    OracleUnavailable,
    Solution,
    foldings,
    law_of,
    solve,
    solve_normals,
)

ORACLE = "oracle"


def check_oracle(evidence: Evidence) -> CheckResult:
    """Ensure that the array is the defined one, but for rounding within the budget.

    Not applicable where the spec has no definition or the oracle no answer: a PRNG that each
    backend implements as it likes, a law stated by its moments only.
    """
    case, outcome = evidence.observation.case, evidence.observation.outcome
    definition = evidence.spec.definition
    if definition is None or isinstance(outcome, Raised) or isinstance(definition, Constant):
        return not_applicable(ORACLE)  # the structure check compares constants with the definition
    if expected_error(definition, case.problem.shape, case.problem.dtype):
        return not_applicable(ORACLE)
    if (outcome.dtype, outcome.shape) != (case.problem.dtype, case.problem.shape):
        return not_applicable(ORACLE)  # the contract check speaks of this
    if isinstance(definition, Orthogonal | DeltaOrthogonal):
        return _check_matrix(evidence, outcome, definition)
    try:
        drift = _deviation(evidence, outcome, case.problem)
    except OracleUnavailable:
        return not_applicable(ORACLE)
    metrics = {"oracle_ulp_at_sigma": drift.max_ulp_at_sigma or 0.0}
    if drift.scale is not None:
        metrics["oracle_variance_error"] = drift.scale**2 - 1
    if _is_rounding(drift):
        return passed(ORACLE, metrics)
    text = explain(drift, case.id).replace("the golden", "the definition")
    return failed(ORACLE, text, metrics)


def _check_matrix(
    evidence: Evidence, outcome: Returned, definition: MatrixDefinition
) -> CheckResult:
    """Ensure that the array is the Q of what was drawn, and that the definition draws just that.

    Where the oracle has no answer (rbg), what the backend recorded as drawn stands alone.
    """
    case = evidence.observation.case
    drawn = drawn_by(outcome, definition, case.problem, evidence.budget, evidence.key)
    if drawn is None:
        return not_applicable(ORACLE)
    if fault := _fault_of_draw(evidence, drawn, definition):
        return failed(ORACLE, fault)
    metrics: dict[str, float] = {}
    if outcome.stride != 1 or not math.prod(outcome.shape) or not definition.scale:
        fault = fault_of(outcome, definition, drawn, evidence.budget)
    else:
        errors = matrix_errors(outcome, definition, drawn, evidence.budget)
        metrics = {
            "column_error": errors.columns.largest,
            "n_undetermined_signs": float(errors.columns.n_undetermined),
            "qr_ratio": errors.columns.ratio,
        }
        fault = column_fault(errors.columns, errors.bound, errors.source)
    return failed(ORACLE, f"{case.id}: {fault}", metrics) if fault else passed(ORACLE, metrics)


def _fault_of_draw(evidence: Evidence, drawn: Drawn, definition: MatrixDefinition) -> str:
    """Return how a recorded draw departs from the defined one beyond the budget of normals."""
    case = evidence.observation.case
    if drawn.source != RECORDED:
        return ""
    try:
        normals = solve_normals(case.problem, definition, key=evidence.key)
    except OracleUnavailable:
        return ""
    drifts = [
        draw_drift(drawn, dataclasses.replace(drawn, matrix=known), evidence.budget)
        for known in (normals.followed, normals.expected)
        if known is not None
    ]
    nearest = min(drifts, key=lambda drift: drift.drift_class.rank)
    if _is_rounding(nearest):
        return ""
    exact = exact_stages(normals, case.problem.dtype)
    stage = first_differing_stage(evidence.observation.stages, exact)
    nearest = dataclasses.replace(nearest, stage=stage)
    text = explain(nearest, f"what was drawn for {case.id}")
    return text.replace("the golden", "the definition")


def _deviation(evidence: Evidence, outcome: Returned, problem: Problem) -> Drift:
    """Return how the outcome lies to the defined array, or to JAX's own roundings of it if nearer.

    In 16 bits a chain of correct roundings strays further from the defined value than any budget
    for a kernel may allow; a deviation that the chain explains is no fault of the kernel. So does
    one that begins with erf of a bound as the C library of the machine has it.
    """
    definition = evidence.spec.definition
    assert definition is not None
    answer = functools.partial(solve, problem, definition, key=evidence.key)
    likeliest, *others = _foldings(evidence, definition)
    solution = answer(folded=likeliest)
    nearest = _drift(evidence, outcome, solution.expected)
    if _is_rounding(nearest):
        return nearest
    if solution.followed is not None:
        solutions = itertools.chain([solution], (answer(folded=folded) for folded in others))
        followed, solution = _nearest_followed(evidence, outcome, solutions)
        nearest = min(nearest, followed, key=lambda drift: drift.drift_class.rank)
    exact = exact_stages(solution, problem.dtype)
    stage = first_differing_stage(evidence.observation.stages, exact)
    return dataclasses.replace(nearest, stage=stage)


def _foldings(evidence: Evidence, definition: Definition) -> tuple[ErfErrors | None, ...]:
    """Return what erf of the bounds may be: the kernel's, or under `jit` a C library's."""
    case = evidence.observation.case
    law = law_of(definition, case.problem.shape)
    return foldings(law) if law and case.transform in COMPILED else (None,)


def _nearest_followed(
    evidence: Evidence, outcome: Returned, solutions: Iterable[Solution]
) -> tuple[Drift, Solution]:
    """Return the solution whose roundings lie nearest; one that explains all ends the search."""
    seen = []
    for solution in solutions:
        assert solution.followed is not None
        seen.append((_drift(evidence, outcome, solution.followed), solution))
        if _is_rounding(seen[-1][0]):
            break
    return min(seen, key=lambda pair: pair[0].drift_class.rank)


def _is_rounding(drift: Drift) -> bool:
    return drift.drift_class.rank <= DriftClass.ROUNDING.rank


def exact_stages(solution: Solution, dtype: str) -> dict[str, str]:
    """Return the digests of the stages that no rounding blurs: key, words, uniforms."""
    uniform = None if solution.uniform is None else solution.uniform.astype(as_dtype(dtype))
    stages = {"key": solution.key, "bits": solution.bits, "uniform": uniform}
    return {name: digest(array) for name, array in stages.items() if array is not None}


def _drift(evidence: Evidence, outcome: Returned, reference: Array) -> Drift:
    problem = evidence.observation.case.problem
    assert evidence.spec.definition is not None
    is_complex = problem.dtype.startswith("complex")
    moments = nominal_moments(evidence.spec.definition, problem.shape, is_complex=is_complex)
    expected = thin(returned(reference), outcome.stride)
    return classify(outcome, expected, moments=moments, budget=evidence.budget)
