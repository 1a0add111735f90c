"""A fault on trial: the question that shows it, asked of the right and of the wrong initializer.

Every check is asked, whatever another one has said. Those that compare with what was accepted
before, `values` with a golden and `law_accuracy` with a budget, are given what the right
initializer returns and the shipped budgets. All others are asked as if the wrong array had been
accepted: what they see, they see without memory. No ledger excuses anything.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Collection, Iterator, Sequence

from conformance.cases.catalogue import Catalogue, InitializerSpec
from conformance.cases.selection import Selection, select
from conformance.cases.sweeps import law_cases, sweep_case
from conformance.core.arrays import Array, sampled
from conformance.core.budgets import BudgetTable
from conformance.core.ids import Case, Tier
from conformance.core.records import (
    VALUES,
    CaseResult,
    CheckResult,
    DriftClass,
    Entry,
    Observation,
    Raised,
    Status,
)
from conformance.core.settings import installed_jax
from conformance.judge.alpha import STATISTICS
from conformance.judge.bench import Bench
from conformance.judge.checks.base import Check, Evidence
from conformance.judge.checks.statistics import CHECK as OF_DRAWS
from conformance.judge.checks.values import values_check
from conformance.judge.ledger import Ledger
from conformance.judge.rules import default_checks
from conformance.judge.verdict import judge
from conformance.observe.observer import Observer
from conformance.planted.fault import Fault, Graded, LayerFault, Planted
from conformance.planted.layer import tried_layer
from conformance.planted.record import Tried
from conformance.planted.search import smallest_killed
from conformance.run import sweeps
from conformance.run.evaluate import further_draws

BACKEND = "cpu"

MOST_TRIED = 4
"""Cases of a tier that are tried, those most like the fault's own first."""

NO_LEDGER = Ledger(limitations=())

WITHOUT_MEMORY: tuple[Check[Evidence], ...] = tuple(
    each for each in default_checks(DriftClass.ROUNDING) if each.name != VALUES
)


_Asked = tuple[Case, object, object]
"""A case, and the definition and the function of the right initializer that was asked it."""


class _Nothing:
    """Goldens for a bench that is asked for draws only."""

    def golden(self, problem_id: str, backend: str, release: str = "") -> Entry | None:
        """Return none."""
        del problem_id, backend, release
        return None  # mypy wants it said


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What every check says, and the class of the change from the right array; "" of a sweep."""

    checks: tuple[CheckResult, ...]
    drift: str = ""


class Trials:
    """The trials of faults, which share what the right initializers returned.

    backend: the one that is asked.
    """

    def __init__(
        self, catalogue: Catalogue, budgets: BudgetTable, *, backend: str = BACKEND
    ) -> None:
        self._catalogue, self._budgets, self._backend = catalogue, budgets, backend
        self._observer = Observer()
        self._right: dict[_Asked, Observation] = {}
        self._failed: dict[tuple[*_Asked, bool], tuple[str, ...]] = {}
        self._tiers: dict[Tier, dict[str, list[Case]]] = {}

    def tried(self, fault: Planted) -> Tried:
        """Return what came of the fault; of one that ends its process, nothing ever comes.

        Raises:
            BackendUnavailable: the backend has no device in this process.
            ValueError: the fault claims to be an initializer or a layer that nobody knows.
        """
        if isinstance(fault, LayerFault):
            return tried_layer(fault)
        case = self.question(fault)
        found = self._found(fault, case)
        results, killers = found.checks, failed(found.checks)
        magnitude, unit, smallest = 0.0, "", {}
        if isinstance(fault.wrong, Graded):
            magnitude, unit = fault.wrong.planted, fault.wrong.unit
            smallest = smallest_killed(self._kills(fault, case), killers, magnitude)
        right, _ = fault.specs(self._catalogue)
        return Tried(
            name=fault.name,
            kind=fault.kind,
            question=case.id,
            tier=self._tier(fault, case) if killers else "",
            claim=fault.caught_by,
            killed_by=killers,
            passed=tuple(each.check for each in results if each.status is Status.PASSED),
            says={
                each.check: each.message.partition("\n")[0]
                for each in results
                if each.check in killers
            },
            tests=tuple(_refusing(results)),
            right_failed=self._right_failed(right, case, fault),
            magnitude=magnitude,
            unit=unit,
            smallest=smallest,
            drift=found.drift,
            drift_claimed=fault.drift.value if fault.drift else "",
        )

    def question(self, fault: Fault) -> Case:
        """Return the case or the sweep that shows the fault."""
        if not fault.is_swept:
            return fault.case(self._backend)
        right, _ = fault.specs(self._catalogue)
        return sweep_case(right, fault.dtype, self._backend, fault.transform)

    # --- Judging ---------------------------------------------------------------------------------
    def _kills(self, fault: Fault, case: Case) -> Callable[[str, float], bool]:
        """Return whether a check kills the fault of a magnitude, each trial being made once."""

        @functools.cache
        def killers(magnitude: float, *, by_golden: bool) -> tuple[str, ...]:
            right, wrong = fault.at(magnitude).specs(self._catalogue)
            if fault.is_swept:
                return failed(self._of_sweep(wrong, case))
            observation = seen(self._observer.observe(case, wrong), fault)
            if by_golden:
                golden = seen(self._observed(right, case), fault)
                return failed(self._of_golden(observation, wrong, golden).checks)
            return failed(self._of_itself(observation, wrong).checks)

        return lambda check, magnitude: (
            check in killers(magnitude, by_golden=check == VALUES and not fault.is_swept)
        )

    def _found(self, fault: Fault, case: Case) -> _Found:
        right, wrong = fault.specs(self._catalogue)
        return self._found_of(right, wrong, case, fault)

    def _found_of(
        self, right: InitializerSpec, wrong: InitializerSpec, case: Case, fault: Fault
    ) -> _Found:
        """Return what every check says of `wrong`, asked as the fault is."""
        if fault.is_swept:
            return _Found(checks=self._of_sweep(wrong, case))
        golden = seen(self._observed(right, case), fault)
        observation = golden
        if wrong is not right:
            observation = seen(self._observer.observe(case, wrong), fault)
        beside = self._of_golden(observation, wrong, golden)
        assert beside.drift is not None
        return _Found(
            checks=(*beside.checks, *self._of_itself(observation, wrong).checks),
            drift=beside.drift.drift_class.value,
        )

    def _of_sweep(self, wrong: InitializerSpec, case: Case) -> tuple[CheckResult, ...]:
        catalogue = Catalogue()
        catalogue.add(wrong)
        found = sweeps.evaluate(case, catalogue=catalogue, budgets=self._budgets, ledger=NO_LEDGER)
        return found.result.checks

    def _of_golden(
        self, observation: Observation, spec: InitializerSpec, golden: Observation
    ) -> CaseResult:
        """Return what `values` says beside what the right initializer returned."""
        return self._judged(observation, golden, spec, (values_check(DriftClass.ROUNDING),))

    def _of_itself(self, observation: Observation, spec: InitializerSpec) -> CaseResult:
        """Return what the other checks say, had the array been accepted as golden."""
        bench = Bench(specs={spec.name: spec}, goldens=_Nothing(), ledger=NO_LEDGER)
        looks = further_draws(observation, bench, self._observer)
        return self._judged(observation, observation, spec, WITHOUT_MEMORY, looks)

    def _judged(
        self,
        observation: Observation,
        golden: Observation,
        spec: InitializerSpec,
        checks: Sequence[Check[Evidence]],
        looks: tuple[Array, ...] = (),
    ) -> CaseResult:
        return judge(
            observation,
            spec=spec,
            golden=_entry(golden),
            budgets=self._budgets,
            ledger=NO_LEDGER,
            checks=checks,
            jax_version=installed_jax(),
            looks=looks,
        )

    def _right_failed(self, right: InitializerSpec, case: Case, fault: Fault) -> tuple[str, ...]:
        asked = (case, right.definition, right.build, fault.is_sampled)
        if asked not in self._failed:
            self._failed[asked] = failed(self._found_of(right, right, case, fault).checks)
        return self._failed[asked]

    def _observed(self, right: InitializerSpec, case: Case) -> Observation:
        asked = (case, right.definition, right.build)
        if asked not in self._right:
            self._right[asked] = self._observer.observe(case, right)
        return self._right[asked]

    # --- Tiers -----------------------------------------------------------------------------------
    def _tier(self, fault: Fault, case: Case) -> str:
        """Return the smallest tier of which a case, or the sweep, kills the fault; "" if none."""
        for tier in Tier:
            if fault.is_swept:
                if case in self._sweeps(tier):
                    return str(tier)
                continue
            alike = self._alike(tier, case)
            if case in alike or any(
                failed(self._found(fault, each).checks) for each in alike[:MOST_TRIED]
            ):
                return str(tier)
        return ""

    def _sweeps(self, tier: Tier) -> Collection[Case]:
        selection = Selection(tier=tier, backends=(self._backend,))
        return law_cases(self._catalogue, selection)

    def _alike(self, tier: Tier, case: Case) -> list[Case]:
        """Return the cases of a tier that ask as the case does, those most like it first."""
        mine = case.problem

        def distance(each: Case) -> tuple[bool, bool, int]:
            other = each.problem
            return other.shape != mine.shape, other.key != mine.key, math.prod(other.shape)

        asked = (mine.dtype, mine.prng, case.transform)
        alike = (
            each
            for each in self._cases(tier, mine.initializer)
            if (each.problem.dtype, each.problem.prng, each.transform) == asked
        )
        return sorted(alike, key=distance)

    def _cases(self, tier: Tier, initializer: str) -> Sequence[Case]:
        """Return the cases of a tier that ask one initializer."""
        if tier not in self._tiers:
            found: dict[str, list[Case]] = {}
            for case in select(self._catalogue, Selection(tier=tier, backends=(self._backend,))):
                found.setdefault(case.problem.initializer, []).append(case)
            self._tiers[tier] = found
        return self._tiers[tier].get(initializer, ())


def seen(observation: Observation, fault: Fault) -> Observation:
    """Return what checks are given of what was observed: all of it, or what a golden set keeps."""
    if not fault.is_sampled or isinstance(observation.outcome, Raised):
        return observation
    return dataclasses.replace(observation, outcome=sampled(observation.outcome))


def failed(results: Sequence[CheckResult]) -> tuple[str, ...]:
    """Return the checks that failed, in their order."""
    return tuple(each.check for each in results if each.status is Status.FAILED)


def _refusing(results: Sequence[CheckResult]) -> Iterator[str]:
    """Yield the statistical tests that refused what was drawn."""
    for each in results:
        if each.check == OF_DRAWS:
            for name, value in each.metrics.items():
                if value < STATISTICS.alpha:
                    yield name.removeprefix("p_")


def _entry(observation: Observation) -> Entry:
    """Return an observation as a golden that somebody accepted."""
    case = observation.case
    return Entry(id=case.problem.id, shard="", outcome=observation.outcome, maker=case.backend)
