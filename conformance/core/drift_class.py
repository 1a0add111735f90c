"""What kinds of change there are."""

from __future__ import annotations

import enum


class DriftClass(enum.StrEnum):
    """What kind of change lies between two outcomes, from harmless to serious."""

    IDENTICAL = "identical"
    ROUNDING = "rounding"
    BIASED = "biased"
    """No more than rounding may move an element, but all went one way, or by another mode."""

    TRANSFORM = "transform"
    STREAM = "stream"
    LAW = "law"
    STRUCTURAL = "structural"
    CONTRACT = "contract"
    UNKNOWN = "unknown"
    """Not all elements were seen, and those that were do not settle it."""

    @property
    def rank(self) -> int:
        """Severity: 0 for identical, growing."""
        return _RANKS[self]

    @property
    def keeps_stream(self) -> bool:
        """Whether the same elements were drawn, so that a distance between two says something."""
        return self in (DriftClass.ROUNDING, DriftClass.BIASED, DriftClass.TRANSFORM)


_RANKS = {each: rank for rank, each in enumerate(DriftClass)}
