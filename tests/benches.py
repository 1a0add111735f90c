"""What tests judge by: a catalogue, one golden or none, and no known limitation."""

from __future__ import annotations

from typing import Any

from conformance.cases.catalogue import Catalogue
from conformance.core.records import Entry, Observation
from conformance.judge.bench import Bench
from conformance.judge.ledger import Ledger


class OneGolden:
    """A golden set that holds one observation, with its stages; or nothing."""

    def __init__(self, observation: Observation | None) -> None:
        self._observation = observation

    def golden(
        self,
        problem_id: str,
        backend: str,  # noqa: ARG002  # as Goldens has it
        release: str = "",  # noqa: ARG002
    ) -> Entry | None:
        """Return it."""
        if self._observation is None:
            return None
        stages = {"stages": dict(self._observation.stages)}
        return Entry(
            id=problem_id,
            shard="",
            outcome=self._observation.outcome,
            maker=self._observation.case.backend,
            extra=stages,
        )


def bench(catalogue: Catalogue, golden: Observation | None = None, **rules: Any) -> Bench:
    """Return what judges beside one golden. rules: budgets, a ledger, the policy."""
    given = {"ledger": Ledger(limitations=()), **rules}
    return Bench(specs=catalogue.by_name(), goldens=OneGolden(golden), **given)
