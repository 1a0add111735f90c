"""The first cause: which stage of the computation is the first to differ."""

from __future__ import annotations

from collections.abc import Mapping

from conformance.core.records import STAGES


def first_differing_stage(actual: Mapping[str, str], expected: Mapping[str, str]) -> str | None:
    """Return the first stage whose digests differ; the one after the last known if all agree.

    To be asked when the results differ: then the fault lies behind the stages that agree. Each
    stage is a function of the one before, so all later ones may differ by inheritance, and only
    the first names a cause. None when there is no stage that both sides know.
    """
    known = [stage for stage in STAGES if stage in actual and stage in expected]
    if not known:
        return None
    after = STAGES[min(STAGES.index(known[-1]) + 1, len(STAGES) - 1)]
    return next((stage for stage in known if actual[stage] != expected[stage]), after)
