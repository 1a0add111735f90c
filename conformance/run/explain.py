"""`conformance explain`: each stage of one case, from seed to array, beside the oracle's."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from conformance.cases.catalogue import Catalogue, InitializerSpec
from conformance.core.arrays import Array, as_dtype, whole, widen
from conformance.core.ids import Case, Problem
from conformance.core.laws import DeltaOrthogonal, Orthogonal, expected_error, nominal_moments
from conformance.core.paths import BUDGETS, shipped
from conformance.core.records import STAGES, Outcome, Raised, Returned
from conformance.core.ulp import INCOMPARABLE, ulp_at, ulp_distance, unit_roundoff
from conformance.judge.budgets import release_budget
from conformance.judge.checks.matrices import drawn_by, fault_of, matrix_errors
from conformance.judge.checks.moments import moments_of_element
from conformance.observe.backends import open_backend
from conformance.observe.observer import Observer
from conformance.oracle import OracleUnavailable, Solution, solve
from conformance.oracle.rounding import round_once
from conformance.store import budgets

SHOWN = 4
"""Elements of each stage that are printed."""

RESULT = STAGES[-1]

FOLLOWED = "scaled, rounded at every step as JAX does"
"""The result beside the oracle's other answer: what JAX returns if it does what it says."""

Stages = Mapping[str, Array]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage: how far apart the two are, and the first elements of each; "" where one has none.

    name: of STAGES, or FOLLOWED.
    """

    name: str
    comparison: str
    observed: str
    oracle: str

    def lines(self) -> list[str]:
        """Return it as text."""
        sides = {"observed": self.observed, "oracle": self.oracle}
        shown = [f"  {side:8} {elements}" for side, elements in sides.items() if elements]
        return [f"{self.name}: {self.comparison}", *shown]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What was asked, what the law is, and what each stage gave here and by the oracle.

    facts: lines on the law, on what came back, and on why there is no oracle.
    """

    case: str
    device: str
    definition: str
    facts: tuple[str, ...]
    stages: tuple[Stage, ...] = ()

    def lines(self) -> list[str]:
        """Return it as text."""
        head = [f"{self.case} on {self.device}", f"definition: {self.definition}", *self.facts]
        return [*head, *(line for stage in self.stages for line in stage.lines())]


def explanation(case: Case, catalogue: Catalogue) -> Explanation:
    """Return what was asked, what the law is, and what each stage gave here and by the oracle."""
    backend, spec = open_backend(case.backend), catalogue.lookup(case.problem.initializer)
    observation = Observer().observe(case, spec)
    told = Explanation(
        case=case.id,
        device=observation.device,
        definition=str(spec.definition or "none; only contract and golden are checked"),
        facts=tuple(law_lines(spec, case.problem)),
    )
    outcome = observation.outcome
    if isinstance(outcome, Raised):
        facts = (*told.facts, *raised_lines(outcome, spec, case.problem))
        return dataclasses.replace(told, facts=facts)
    observed = {**backend.stage_arrays(case, spec), RESULT: whole(outcome)}
    expected, reason = oracle_stages(spec, case.problem)
    facts = (*told.facts, sample_line(outcome), *matrix_lines(case, spec, outcome))
    stages = []
    for name in (*STAGES, FOLLOWED):
        seen = observed.get(RESULT if name == FOLLOWED else name)
        if name in expected or (seen is not None and name != FOLLOWED):
            stages.append(stage(name, seen, expected.get(name), sigma_of(spec, outcome)))
    return dataclasses.replace(
        told,
        facts=(*facts, f"no oracle: {reason}") if reason else facts,
        stages=tuple(stages),
    )


def law_lines(spec: InitializerSpec, problem: Problem) -> list[str]:
    """Return the moments of one element: as defined, and exactly, on the lattice of the dtype."""
    definition = spec.definition
    if definition is None or expected_error(definition, problem.shape, problem.dtype):
        return []
    nominal = nominal_moments(definition, problem.shape, problem.dtype)
    if nominal is None:
        return ["law: elements follow none in common"]
    lines = [
        f"law: mean {nominal.mean:.9g}, variance {nominal.variance:.9g}, "
        f"within [{nominal.lower:.9g}, {nominal.upper:.9g}]"
    ]
    exact = moments_of_element(definition, problem.shape, problem.dtype)
    if exact is not None and (exact.mean, exact.variance) != (nominal.mean, nominal.variance):
        lines.append(
            f"law in {problem.dtype}: mean {exact.mean.real:.9g}, variance {exact.variance:.9g}"
        )
    return lines


def raised_lines(outcome: Raised, spec: InitializerSpec, problem: Problem) -> list[str]:
    """Return what was raised, and whether that is what the definition demands."""
    error = expected_error(spec.definition, problem.shape, problem.dtype)
    wanted = f"{error} must be raised" if error else "an array must be returned"
    return [f"raised: {outcome.exception}: {outcome.message}", f"by definition: {wanted}"]


def sample_line(outcome: Returned) -> str:
    """Return the moments of the array itself."""
    moments = outcome.moments
    if not math.prod(outcome.shape):
        return "sample: no elements"
    return (
        f"sample: mean {moments.mean:.9g}, variance {moments.variance:.9g}, "
        f"within [{moments.minimum:.9g}, {moments.maximum:.9g}], "
        f"{moments.nonfinite} of {math.prod(outcome.shape)} not finite"
    )


def matrix_lines(case: Case, spec: InitializerSpec, outcome: Returned) -> list[str]:
    """Return the backward errors of an orthogonal matrix: its elements say nothing of its errors.

    None of a matrix that is zero, or for which nobody knows what was drawn.
    """
    definition = spec.definition
    if not isinstance(definition, Orthogonal | DeltaOrthogonal):
        return []
    if not (definition.scale and math.prod(outcome.shape)):
        return []
    table = budgets.load(shipped() / BUDGETS)
    budget = release_budget(spec, case, table)
    drawn = drawn_by(outcome, definition, case.problem, budget)
    if drawn is None:
        return []
    errors = matrix_errors(outcome, definition, drawn, budget)
    columns, gram, bound = errors.columns, errors.gram, errors.bound
    fault = fault_of(outcome, definition, drawn, budget)
    verdict = f"wrong: {fault}" if fault else f"the Q of what was drawn ({errors.source})"
    return [
        f"matrix: {verdict}; u = {unit_roundoff(as_dtype(outcome.dtype)):.3g}",
        f"  column error {columns.largest:.3g} u (at most {bound.column:.3g}), column {columns.at}",
        f"  gram error {gram.largest:.3g} u (at most {bound.gram:.3g}), at {gram.at}",
        f"  lowest diagonal {columns.lowest_diagonal:.3g} u (at least {-bound.column:.3g}), "
        f"column {columns.lowest_at}; signs left to rounding: {columns.n_undetermined}",
        "  the ULP of its elements, below, are no measure: they grow with the condition of A",
    ]


def oracle_stages(spec: InitializerSpec, problem: Problem) -> tuple[Stages, str]:
    """Return the oracle's stages, rounded once to the dtype; or none, and why there are none."""
    if spec.definition is None or spec.no_oracle:
        return {}, spec.no_oracle or "registered without a definition"
    try:
        solution = solve(problem, spec.definition)
    except OracleUnavailable as error:
        return {}, str(error)
    return _stages(solution, as_dtype(problem.dtype)), ""


def _stages(solution: Solution, dtype: np.dtype[np.generic]) -> dict[str, Array]:
    found: dict[str, Array | None] = {
        "key": None if solution.key is None else np.asarray(solution.key, np.uint32),
        "bits": solution.bits,
        "uniform": None if solution.uniform is None else round_once(solution.uniform, dtype),
        "unit": None if solution.unit is None else round_once(solution.unit, dtype),
        RESULT: solution.expected,
        FOLLOWED: solution.followed,
    }
    return {name: array for name, array in found.items() if array is not None}


def sigma_of(spec: InitializerSpec, outcome: Outcome) -> float:
    """Return the standard deviation of the law, or else of the sample."""
    assert isinstance(outcome, Returned)
    nominal = None
    if spec.definition is not None:
        nominal = nominal_moments(spec.definition, outcome.shape, outcome.dtype)
    variance = nominal.variance if nominal else outcome.moments.variance
    return math.sqrt(variance) if variance > 0 else 0.0


def stage(name: str, observed: Array | None, expected: Array | None, sigma: float) -> Stage:
    """Return one stage: how far apart the two are, and the first elements of each."""
    return Stage(
        name=name,
        comparison=comparison(name, observed, expected, sigma),
        observed="" if observed is None else first_elements(observed),
        oracle="" if expected is None else first_elements(expected),
    )


def comparison(name: str, observed: Array | None, expected: Array | None, sigma: float) -> str:
    """Return `equal`, or how many elements differ and the worst of them."""
    if observed is None:
        return "not observed"
    if expected is None:
        return "nothing to compare with"
    if (observed.dtype, observed.shape) != (expected.dtype, expected.shape):
        return f"{observed.dtype}{list(observed.shape)}, not {expected.dtype}{list(expected.shape)}"
    if observed.dtype.kind == "u":
        wrong = np.argwhere(observed != expected)
        if not len(wrong):
            return "equal"
        return f"{len(wrong)} of {observed.size} words differ, first at {_index(wrong[0])}"
    distance = ulp_distance(observed, expected)
    if not distance.any():
        return "equal"
    # Stages before the scaling are standardised: their sigma is of order 1.
    is_scaled = name in (RESULT, FOLLOWED)
    scale = sigma if is_scaled else 1.0
    index = np.unravel_index(int(ulp_at(observed, expected, scale).argmax()), observed.shape)
    worst, at_sigma = int(distance[index]), float(ulp_at(observed, expected, scale)[index])
    return (
        f"{np.count_nonzero(distance)} of {observed.size} elements differ, "
        f"at most {'no number of' if worst == INCOMPARABLE else worst} ULP "
        f"({at_sigma:.3g} ULP {'of sigma' if is_scaled else 'at 1'}) at {_index(index)}: "
        f"{observed[index]} and {expected[index]}"
    )


def first_elements(array: Array) -> str:
    """Return the first elements of the array, words in hexadecimal."""
    flat = array.reshape(-1)[:SHOWN]
    if array.dtype.kind == "u":
        texts = [f"{int(word):0{2 * array.dtype.itemsize}x}" for word in flat]
    else:
        texts = [f"{value:.9g}" for value in widen(flat).tolist()]
    return " ".join(texts) + (" ..." if array.size > SHOWN else "") or "no elements"


def _index(index: object) -> str:
    return str(tuple(int(i) for i in np.asarray(index)))
