"""The smallest magnitude at which a check still kills a fault."""

from __future__ import annotations

from collections.abc import Callable, Iterable

Kills = Callable[[str, float], bool]
"""(check, magnitude) -> whether it kills the fault of it."""

STEP, DECADES = 10.0, 14
"""Down from the planted magnitude by this factor, and so many times at most: to below float64."""

BISECTIONS = 2

PRECISION = STEP ** (1 / 2**BISECTIONS)
"""The factor within which what is found is the smallest: 1.8."""


def smallest_killed(kills: Kills, checks: Iterable[str], planted: float) -> dict[str, float]:
    """Return the smallest magnitude that each of the checks kills, all of which kill `planted`.

    It takes each to kill every larger fault up to the planted one: of a fault that rounding
    swallows, that holds down to the rounding. All draws being given, none of it is by chance.
    """
    found = {}
    for check in checks:
        least = planted
        for decade in range(1, DECADES + 1):
            if not kills(check, planted / STEP**decade):
                break
            least = planted / STEP**decade
        factor = STEP
        for _ in range(BISECTIONS):
            factor **= 0.5
            if kills(check, least / factor):
                least /= factor
        found[check] = least
    return found
