"""What the functions of `conformance` return: records that show themselves as tables and plots."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from conformance.api.shown import Rows, Shown
from conformance.cases.catalogue import InitializerSpec
from conformance.core.arrays import Array, as_dtype, moments_of, whole
from conformance.core.errors import ConformanceError
from conformance.core.ids import Case, Problem, format_shape
from conformance.core.laws import Definition
from conformance.core.records import (
    CaseResult,
    CheckResult,
    Drift,
    DriftClass,
    Moments,
    Observation,
    Raised,
    Status,
)
from conformance.core.ulp import INCOMPARABLE
from conformance.judge.drift.text import number
from conformance.judge.law.accuracy import Accuracy
from conformance.judge.law.curve import curve_of
from conformance.judge.law.exact import ExactLaw
from conformance.judge.law.verdict import LawResult
from conformance.oracle import Solution
from conformance.report.messages import messages_of
from conformance.run.explain import first_elements


class NoArrayError(ConformanceError, ValueError):
    """The call raised, so that there is no array to look at."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Observed(Shown):
    """What one call of an initializer did, on one device.

    observation: the whole record; see `conformance.core.records`.
    is_known: whether the catalogue has the initializer, so that goldens and ledger speak of it.
    """

    observation: Observation
    spec: InitializerSpec
    is_known: bool

    @property
    def case(self) -> Case:
        """What was asked."""
        return self.observation.case

    @property
    def device(self) -> str:
        """Where."""
        return self.observation.device

    @property
    def raised(self) -> str:
        """What the call raised, as in `ValueError: ...`; "" where it returned an array."""
        outcome = self.observation.outcome
        return f"{outcome.exception}: {outcome.message}" if isinstance(outcome, Raised) else ""

    @property
    def array(self) -> Array:
        """The array that the call returned, as NumPy has it.

        Raises:
            NoArrayError: it raised instead.
        """
        outcome = self.observation.outcome
        if isinstance(outcome, Raised):
            raise NoArrayError(f"{self.case.id} returned no array: it raised {self.raised}")
        return whole(outcome)

    @property
    def title(self) -> str:
        """The case, and the device."""
        return f"{self.case.id} on {self.device}"

    @property
    def table(self) -> Rows:
        """What came back, and its moments."""
        outcome = self.observation.outcome
        if isinstance(outcome, Raised):
            return [("raised", self.raised)]
        return [*_rows_of(self.array, outcome.moments), ("sha256", outcome.sha256[:16])]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Judged(Shown):
    """The verdict on what was observed: every check, and the drift from a golden that there is."""

    result: CaseResult

    @property
    def status(self) -> Status:
        """Passed, failed, or limited: failed as the ledger of known limitations says."""
        return self.result.status

    @property
    def has_passed(self) -> bool:
        """Whether nothing failed beyond what the ledger knows."""
        return self.status is not Status.FAILED

    @property
    def checks(self) -> tuple[CheckResult, ...]:
        """What each check found."""
        return self.result.checks

    @property
    def drift(self) -> Drift | None:
        """How the array differs from its golden; None where there is no golden."""
        return self.result.drift

    @property
    def message(self) -> str:
        """What the failed checks say; "" where none failed."""
        return "\n".join(messages_of(self.result, [Status.FAILED]))

    @property
    def title(self) -> str:
        """The verdict, and the class of drift where there is a golden."""
        golden = f"{self.drift.drift_class.value} to the golden" if self.drift else "no golden"
        return f"{self.status.value.upper()}: {self.result.observation.case.id}, {golden}"

    @property
    def table(self) -> Rows:
        """Each check and its status."""
        return [(check.check, check.status.value.replace("_", " ")) for check in self.checks]

    @property
    def notes(self) -> str:
        """What the failed checks say."""
        return self.message


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Compared(Shown):
    """How one array differs from another."""

    drift: Drift

    @property
    def drift_class(self) -> DriftClass:
        """What kind of change it is, from identical to contract."""
        return self.drift.drift_class

    @property
    def title(self) -> str:
        """The class, and how many elements differ where some could be compared."""
        differ = f": {self.drift.extent} elements differ" if self.drift.n_elements else ""
        return f"{self.drift_class.value}{differ}"

    @property
    def table(self) -> Rows:
        """The worst element, where elements could be compared."""
        drift = self.drift
        if drift.worst_index is None or drift.max_ulp is None or drift.max_ulp_at_sigma is None:
            return []
        ulp = "incomparable" if drift.max_ulp == INCOMPARABLE else str(drift.max_ulp)
        return [
            ("largest distance", f"{ulp} ULP, {drift.max_ulp_at_sigma:.3g} ULP of sigma"),
            ("at", str(drift.worst_index)),
            ("actual", number(drift.worst_actual)),
            ("expected", number(drift.worst_expected)),
        ]

    @property
    def notes(self) -> str:
        """What changed, where, and with what certainty."""
        return self.drift.detail


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Answer(Shown):
    """What the oracle says a problem's answer is, stage by stage: NumPy alone, from the definition.

    solution: all of it, in float64 where nothing is rounded; see `conformance.oracle.solve`.
    """

    problem: Problem
    definition: Definition
    solution: Solution

    @property
    def array(self) -> Array:
        """The answer, rounded once to the dtype."""
        return self.solution.expected

    @property
    def followed(self) -> Array | None:
        """The same with the roundings of each step of JAX's sampler; None where there are none."""
        return self.solution.followed

    @property
    def title(self) -> str:
        """The definition, and what was asked."""
        problem = self.problem
        asked = f"{problem.dtype}, {format_shape(problem.shape)}, key {problem.key.text}"
        return f"{self.definition}: {asked}"

    @property
    def stages(self) -> Mapping[str, Array]:
        """The stages on the way from the key to the array, those that there are."""
        found = self.solution
        named = {
            "key": found.key,
            "bits": found.bits,
            "uniform": found.uniform,
            "unit": found.unit,
            "scaled": found.expected,
        }
        return {name: array for name, array in named.items() if array is not None}

    @property
    def table(self) -> Rows:
        """The first elements of each stage, and the moments of the array."""
        stages = [(name, first_elements(array)) for name, array in self.stages.items()]
        return [*stages, *_rows_of(self.array, moments_of(self.array))]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Swept(Shown):
    """The exact law of an initializer, over all words that its generator can draw.

    result: the whole record; see `conformance.judge.law`.
    """

    result: LawResult
    definition: Definition

    @property
    def status(self) -> Status:
        """Passed, failed, or limited: failed as the ledger of known limitations says."""
        return self.result.result.status

    @property
    def exact(self) -> ExactLaw | None:
        """Mean, variance and so on, without sampling noise; None where it could not be swept."""
        return self.result.evidence.law if self.result.evidence else None

    @property
    def accuracy(self) -> Accuracy | None:
        """How far the values lie from correctly rounded ones; None where it could not be swept."""
        return self.result.evidence.accuracy if self.result.evidence else None

    @property
    def message(self) -> str:
        """What the failed checks say; "" where none failed."""
        return "\n".join(messages_of(self.result.result, [Status.FAILED]))

    @property
    def title(self) -> str:
        """The verdict, and what was swept."""
        problem = self.result.case.problem
        return f"{self.status.value.upper()}: law of {problem.initializer} in {problem.dtype}"

    @property
    def table(self) -> Rows:
        """The law's figures beside those of the definition."""
        evidence = self.result.evidence
        if evidence is None:
            return []
        law, nominal, accuracy = evidence.law, evidence.reference.nominal, evidence.accuracy
        worst = [
            (f"worst {where} 1 sigma", f"{point.ulp:.6g} {unit}", "")
            for where, point, unit in (
                ("beyond", accuracy.at_value, "ULP"),
                ("within", accuracy.at_sigma, "ULP of sigma"),
            )
            if point
        ]
        return [
            ("", "swept", "continuous law"),
            ("words", str(law.n_points), ""),
            ("distinct values", str(law.n_distinct), ""),
            ("mean", f"{law.mean:.9g}", f"{nominal.mean:.9g}"),
            ("variance", f"{law.variance:.9g}", f"{nominal.variance:.9g}"),
            ("minimum", f"{law.minimum:.9g}", f"{nominal.lower:.9g}"),
            ("maximum", f"{law.maximum:.9g}", f"{nominal.upper:.9g}"),
            *worst,
        ]

    @property
    def notes(self) -> str:
        """What the failed checks say."""
        return self.message

    @property
    def picture(self) -> bytes:
        """The law beside the continuous one, and its errors over the words."""
        from conformance.report.page import plots  # matplotlib: a second

        if self.result.evidence is None:
            return b""
        curve = curve_of(self.result.evidence)
        return plots.law(curve.edges, curve.density, curve.ideal, curve.worst, curve.mean)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Explained(Shown):
    """Each stage of a case beside the oracle's, in numbers."""

    lines: tuple[str, ...]

    @property
    def title(self) -> str:
        """The case, and the device."""
        return self.lines[0]

    @property
    def table(self) -> Rows:
        """Return no table: these are lines."""
        return []

    @property
    def notes(self) -> str:
        """The lines after the first."""
        return "\n".join(self.lines[1:])


def _rows_of(array: Array, moments: Moments) -> Rows:
    """Return what an array is, and its moments."""
    kind = f"{as_dtype(str(array.dtype))}{list(array.shape)}"
    if not math.prod(array.shape):
        return [("array", kind)]
    return [
        ("array", kind),
        ("mean", f"{moments.mean:.9g}"),
        ("variance", f"{moments.variance:.9g}"),
        ("within", f"[{moments.minimum:.9g}, {moments.maximum:.9g}]"),
        ("not finite", str(moments.nonfinite)),
    ]
