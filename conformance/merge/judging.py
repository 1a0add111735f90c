"""What goldens, oracle and ledger say of what a recording holds, which judges nothing."""

from __future__ import annotations

import dataclasses

from conformance.cases.catalogue import Catalogue
from conformance.core.records import CaseResult, DriftClass, Observation, Status
from conformance.judge.budgets import Budgets
from conformance.judge.ledger import Ledger
from conformance.judge.rules import default_checks
from conformance.judge.verdict import Golden, Goldens, judge
from conformance.merge.facts import Judgement


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """By what recordings are judged: the same as a run of `conformance run --recording`.

    by: all that in one line; see `yardstick.judged_by`.
    """

    catalogue: Catalogue
    goldens: Goldens
    budgets: Budgets
    ledger: Ledger
    max_drift: DriftClass = DriftClass.ROUNDING
    by: str = ""

    def judgement(self, observation: Observation, jax_version: str) -> Judgement | None:
        """Return the verdict on one observation; None of an initializer that is not known here.

        Raises:
            StoreError: its golden or its budget cannot be read.
            ValueError: `jax_version` is none.
        """
        problem = observation.case.problem
        if problem.initializer not in self.catalogue:
            return None
        entry = self.goldens.golden(problem.id, observation.case.backend)
        golden = None if entry is None else Golden.of(entry)
        result = judge(
            observation,
            spec=self.catalogue.lookup(problem.initializer),
            golden=golden,
            budgets=self.budgets,
            ledger=self.ledger,
            checks=default_checks(self.max_drift),
            jax_version=jax_version,
        )
        return dataclasses.replace(_judgement(result), by=self.by)


def _judgement(result: CaseResult) -> Judgement:
    failed = [check.check for check in result.checks if check.status is Status.FAILED]
    drift = result.drift
    return Judgement(
        status=result.status,
        drift_class=drift.drift_class if drift else "",
        failed_checks=" ".join(failed),
        limitation=result.limitation or "",
        max_ulp=drift.max_ulp if drift else None,
        max_ulp_at_sigma=drift.max_ulp_at_sigma if drift else None,
    )
