"""By what observations are judged, and where it is looked up: once, the same for every front end.

A run of cases, of a recording and of a fleet, and a merge, each hold one bench.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Protocol

from conformance.cases.catalogue import InitializerSpec
from conformance.core.arrays import Array
from conformance.core.records import CaseResult, DriftClass, Entry, Observation
from conformance.judge.budgets import Budgets
from conformance.judge.ledger import Ledger
from conformance.judge.rules import default_checks
from conformance.judge.verdict import judge


class Goldens(Protocol):
    """Where the accepted outcomes come from: a store."""

    def golden(self, problem_id: str, backend: str, release: str = "") -> Entry | None:
        """Return what a backend must return for a problem under a release of JAX, or None."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """By what observations are judged.

    specs: the initializers that are known, by name; see `Catalogue.by_name`.
    max_drift: the worst class of drift that passes.
    by: all that in one line; see `yardstick.judged_by`.
    fresh: what the keys of further draws are derived from, beside the problem; see `look_keys`.
    """

    specs: Mapping[str, InitializerSpec]
    goldens: Goldens
    ledger: Ledger
    budgets: Budgets | None = None
    max_drift: DriftClass = DriftClass.ROUNDING
    by: str = ""
    fresh: int = 0

    def judge(self, observation: Observation, jax_version: str) -> CaseResult:
        """Return the verdict on an observation, whoever made it, beside its golden.

        jax_version: of the JAX that made it.

        Raises:
            StoreError: its golden or its budget cannot be read.
            ValueError: `jax_version` is none.
        """
        case = observation.case
        golden = self.goldens.golden(case.problem.id, case.backend, jax_version)
        return self.judge_beside(golden, observation, jax_version)

    def judge_beside(
        self,
        golden: Entry | None,
        observation: Observation,
        jax_version: str,
        looks: tuple[Array, ...] = (),
    ) -> CaseResult:
        """Return the verdict on an observation whose golden has been looked up; see `judge`.

        looks: what other keys drew; see `Evidence`.
        """
        return judge(
            observation,
            spec=self.specs[observation.case.problem.initializer],
            golden=golden,
            budgets=self.budgets,
            ledger=self.ledger,
            checks=default_checks(self.max_drift),
            jax_version=jax_version,
            looks=looks,
            fresh=self.fresh,
        )
