"""Which sweeps there are, and the verdict on each: the engine's part for exact laws."""

from __future__ import annotations

import dataclasses
import fnmatch
import hashlib
from collections.abc import Iterable

from conformance import law
from conformance.arrays import SAMPLE_SIZE
from conformance.backends import open_backend
from conformance.budgets import BudgetTable, Measurement
from conformance.catalogue import Catalogue, InitializerSpec
from conformance.checks.base import failed
from conformance.checks.law import (
    ACCURACY,
    ELEMENTWISE,
    MEAN,
    SWEEP,
    VARIANCE,
    LawEvidence,
    gather,
    judge_law,
)
from conformance.engine import installed_jax, unjudged, verdict
from conformance.environment import device_text
from conformance.law import Point
from conformance.ledger import Ledger, Limitation, apply
from conformance.matrix import (
    EmptySelection,
    Selection,
    refusal,
    require_known,
    require_offered,
)
from conformance.model import (
    MACHINE,
    Case,
    CaseResult,
    Moments,
    Observation,
    Raised,
    Returned,
    Status,
    Tier,
)
from conformance.recording import machine_fault

DTYPES = {
    Tier.QUICK: ("bfloat16", "float16", "float32"),
    Tier.STANDARD: ("bfloat16", "float16", "float32"),
    Tier.FULL: ("bfloat16", "float16", "float32", "float64"),
}
"""Dtypes of each tier."""

QUICK_FLOAT32 = ("lecun_normal", "normal")
"""What the quick tier sweeps in float32: a quarter of a second each, after one for the oracle."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LawResult:
    """The verdict on one sweep; `evidence` is None when there was nothing to look at."""

    case: Case
    result: CaseResult
    evidence: LawEvidence | None

    @property
    def messages(self) -> list[str]:
        """Return what the failed checks say."""
        return [check.message for check in self.result.checks if check.status is Status.FAILED]

    @property
    def is_judged(self) -> bool:
        """Return whether there is a verdict; not where the machine failed the sweep."""
        return all(check.check != MACHINE for check in self.result.checks)

    @property
    def line(self) -> str:
        """Return the verdict with its figures, as in `passed: variance_error -2.02e-07, ...`."""
        figures = [
            f"{name} {value:.3g}"
            for check in self.result.checks
            for name, value in check.metrics.items()
        ]
        return f"{self.result.status.value}: {', '.join(figures)}"


def is_swept(spec: InitializerSpec) -> bool:
    """Return whether the spec's law is enumerated: one word an element, and an oracle for it."""
    return isinstance(spec.definition, ELEMENTWISE) and not spec.no_oracle


def select_sweeps(catalogue: Catalogue, selection: Selection, *, also: bool = False) -> list[Case]:
    """Return `law_cases`, of which there must be some.

    also: whether something else is swept, so that there may be none.

    Raises:
        SelectionError: a name is unknown, or a backend cannot be asked the transform.
        EmptySelection: nothing that can be swept has all that was asked for.
    """
    require_known(catalogue, selection)
    require_offered(selection)
    cases = law_cases(catalogue, selection)
    if not cases and not also:
        names = ", ".join(spec.name for spec in catalogue if is_swept(spec))
        raise EmptySelection(
            f"the selection matches no sweep of tier {selection.tier}. Transforms: "
            f"{', '.join(law.TRANSFORMS)}; dtypes: {', '.join(DTYPES[selection.tier])} (quick: "
            f"float32 only for {' and '.join(QUICK_FLOAT32)}). Initializers that draw one word for "
            f"each element: {names}; and orthogonal, whose matrices are swept over seeds"
        )
    return cases


def law_cases(catalogue: Catalogue, selection: Selection) -> list[Case]:
    """Return the selected sweeps; those that share a unit variate stand together.

    Of the selection, the tier, backends, initializers, dtypes and transforms count.
    """
    return [
        law.sweep_case(spec, dtype, backend, transform)
        for backend in selection.backends
        for dtype in DTYPES[selection.tier]
        for spec in sorted(catalogue, key=_unit_variate)
        if is_swept(spec) and _runs(spec, dtype, selection)
        for transform in law.TRANSFORMS
        if not selection.transforms or transform in selection.transforms
        if not refusal(backend, transform, "threefry2x32", (), dtype)
    ]


def _runs(spec: InitializerSpec, dtype: str, selection: Selection) -> bool:
    patterns, tier = selection.initializers, selection.tier
    return (
        spec.tier.rank <= tier.rank
        and (tier is not Tier.QUICK or dtype != "float32" or spec.name in QUICK_FLOAT32)
        and (not selection.dtypes or dtype in selection.dtypes)
        and (not patterns or any(fnmatch.fnmatchcase(spec.name, name) for name in patterns))
    )


def _unit_variate(spec: InitializerSpec) -> tuple[str, str]:
    definition = spec.definition
    kind = getattr(definition, "distribution", type(definition).__name__)
    bounds = (getattr(definition, "lower", ""), getattr(definition, "upper", ""))
    return f"{kind} {bounds}", spec.name


def evaluate(
    case: Case, *, catalogue: Catalogue, budgets: BudgetTable, ledger: Ledger
) -> LawResult:
    """Run one sweep and judge it; an initializer that cannot be swept fails `law_sweep`.

    Raises:
        BackendUnavailable: the backend has no device in this process.
    """
    backend = open_backend(case.backend)
    spec = catalogue.lookup(case.problem.initializer)
    assert spec.definition is not None
    entries = tuple(
        entry
        for entry in ledger.matching(case, installed_jax())
        if case.problem.prng in entry.prng  # an entry about draws says nothing of sweeps
    )
    try:
        swept = law.sweep(spec, case, backend)
    except (law.NotElementwise, law.SweepError) as error:
        return LawResult(case=case, result=unswept(case, error, entries), evidence=None)
    budget = budgets.of(case.backend, spec.name, case.problem.dtype)
    evidence = gather(spec.definition, swept, budget, budgets.golden_option)
    observation = observation_of(case, outcome_of(evidence), swept.device, swept.elapsed_s)
    checks = apply(entries, observation, judge_law(evidence))
    result = verdict(observation, checks, None, entries)
    return LawResult(case=case, result=result, evidence=evidence)


def unswept(case: Case, error: Exception, entries: tuple[Limitation, ...]) -> CaseResult:
    """Return the result of an initializer that could not be swept."""
    cause = error.__cause__ or error
    raised = Raised(exception=type(cause).__name__, message=str(cause))
    if machine_fault(raised):
        return unjudged(observation_of(case, raised, "", 0.0))
    outcome = Raised(exception=type(error).__name__, message=str(error))
    observation = observation_of(case, outcome, "", 0.0)
    checks = apply(entries, observation, (failed(SWEEP, str(error)),))
    return verdict(observation, checks, None, entries)


def rerun_words(case: Case) -> list[str]:
    """Return the command that runs the sweep again."""
    problem = case.problem
    words = ["conformance", "law", "--initializer", problem.initializer, "--dtype", problem.dtype]
    return [*words, "--backend", case.backend, "--transform", case.transform]


def outcome_of(evidence: LawEvidence) -> Returned:
    """Return the record of the swept values: digest of all, a sample, and the exact moments."""
    values, exact = evidence.sweep.values, evidence.law
    stride = max(values.size // SAMPLE_SIZE - 1, 0) | 1
    return Returned(
        dtype=str(values.dtype),
        shape=values.shape,
        sha256=hashlib.sha256(values.tobytes()).hexdigest(),
        bits=values[::stride].tobytes(),
        stride=stride,
        moments=Moments(
            mean=exact.mean,
            variance=exact.variance,
            minimum=exact.minimum,
            maximum=exact.maximum,
            nonfinite=exact.n_nonfinite,
        ),
    )


def observation_of(
    case: Case, outcome: Returned | Raised, device: str, elapsed_s: float
) -> Observation:
    """Return a sweep as an observation."""
    return Observation(
        case=case, outcome=outcome, repeat_sha256=None, device=device, elapsed_s=elapsed_s
    )


# --- Budgets -------------------------------------------------------------------------------------


class UnfitForBudget(ValueError):  # noqa: N818 (says what was refused)
    """A sweep failed more than its budget, so its errors must not become one."""


def measurements(
    results: Iterable[LawResult], catalogue: Catalogue, *, date: str
) -> list[Measurement]:
    """Return the worst errors of each initializer and dtype over the transforms that were swept.

    Raises:
        UnfitForBudget: a check other than the accuracy failed; the message is that check's.
    """
    groups: dict[tuple[str, str, str], list[LawResult]] = {}
    for result in results:
        problem = result.case.problem
        key = (result.case.backend, problem.initializer, problem.dtype)
        groups.setdefault(key, []).append(require_fit(result))
    return [
        _measurement(group, catalogue.lookup(initializer).family, date)
        for (_, initializer, _), group in groups.items()
    ]


def require_fit(result: LawResult) -> LawResult:
    """Return the result, if its errors may become a budget."""
    for check in result.result.checks:
        if check.status is Status.FAILED and check.check != ACCURACY:
            raise UnfitForBudget(
                f"{result.case.id} sets no budget until this is explained:\n{check.message}"
            )
    return result


def _measurement(group: list[LawResult], family: str, date: str) -> Measurement:
    first = group[0]
    accuracies = [result.evidence.accuracy for result in group if result.evidence]
    return Measurement(
        backend=first.case.backend,
        initializer=first.case.problem.initializer,
        dtype=first.case.problem.dtype,
        family=family,
        at_value=worst_point(accuracy.at_value for accuracy in accuracies),
        at_sigma=worst_point(accuracy.at_sigma for accuracy in accuracies),
        limitation=limitation_of(group),
        device=device_text(first.result.observation.device),
        jax=installed_jax(),
        date=date,
    )


def worst_point(points: Iterable[Point | None]) -> Point | None:
    """Return the point of the largest error, or None where there is none."""
    return max((point for point in points if point), key=lambda point: point.ulp, default=None)


def limitation_of(group: list[LawResult]) -> str:
    """Return the ledger entry that excuses a wrong mean or variance, or ""."""
    for result in group:
        for check in result.result.checks:
            if check.check in (MEAN, VARIANCE) and check.status is Status.LIMITED:
                return result.result.limitation or ""
    return ""
