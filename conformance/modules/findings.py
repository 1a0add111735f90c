"""Where today's JAX or Flax is not as its documentation says, or not as a user would expect.

A finding excuses nothing: it states the exact outcome that is seen today. The test that meets it
reports it as an expected failure, and fails as soon as the outcome is any other.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One deviation, in words that a test compares.

    promised: the outcome that the documentation, or symmetry, promises. observed: today's outcome.
    """

    id: str
    promised: str
    observed: str
    reason: str
    link: str


GUIDE = (
    "https://flax-linen.readthedocs.io/en/latest/guides/flax_fundamentals/initializers_guide.html"
)


def verdict(finding: Finding, outcome: str) -> str:
    """Return why the finding no longer describes the outcome; "" while it does."""
    if outcome == finding.observed:
        return ""
    if outcome == finding.promised:
        return (
            f"finding {finding.id} no longer happens: the outcome is {outcome!r}, as promised. "
            "Delete the finding and assert the promise"
        )
    return (
        f"finding {finding.id} has changed: the outcome is {outcome!r}, the finding says "
        f"{finding.observed!r}, the documentation {finding.promised!r}. Look at it again"
    )
