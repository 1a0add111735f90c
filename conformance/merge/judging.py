"""What goldens, oracle and ledger say of what a recording holds, which judges nothing."""

from __future__ import annotations

from conformance.core.records import Observation, Status
from conformance.judge.bench import Bench
from conformance.merge.facts import Judgement


def judgement(observation: Observation, jax_version: str, bench: Bench) -> Judgement | None:
    """Return the verdict on one observation; None of an initializer that is not known here.

    Raises:
        StoreError: its golden or its budget cannot be read.
        ValueError: `jax_version` is none.
    """
    if observation.case.problem.initializer not in bench.specs:
        return None
    result = bench.judge(observation, jax_version)
    failed = [check.check for check in result.checks if check.status is Status.FAILED]
    drift = result.drift
    return Judgement(
        status=result.status,
        drift_class=drift.drift_class if drift else "",
        failed_checks=" ".join(failed),
        limitation=result.limitation or "",
        max_ulp=drift.max_ulp if drift else None,
        max_ulp_at_sigma=drift.max_ulp_at_sigma if drift else None,
        by=bench.by,
    )
