"""The first cause: which stage of the computation is the first to differ."""

from __future__ import annotations

from collections.abc import Mapping

from conformance.model import STAGES

RESULT = STAGES[-1]


def first_differing_stage(actual: Mapping[str, str], expected: Mapping[str, str]) -> str | None:
    """Return the first stage whose digests differ, the result if none does; None if untold.

    Each stage is a function of the one before, so all later ones may differ by inheritance: only
    the first names a cause. Without a stage that both sides recorded nothing can be said.
    """
    known = [stage for stage in STAGES if stage in actual and stage in expected]
    if not known:
        return None
    return next((stage for stage in known if actual[stage] != expected[stage]), RESULT)
