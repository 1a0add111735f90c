"""A change, said to somebody who has to act on it."""

from __future__ import annotations

import re

from conformance.core.records import Drift, DriftClass
from conformance.core.ulp import INCOMPARABLE

EXPLAINED = {
    "key": "the key itself is another",
    "bits": "the key is the same, and gives other random bits",
    "uniform": "the key still gives the same bits: others were drawn, or others made of them",
    "unit": "the key still gives the same uniforms: others were drawn, or others made of them",
    "scaled": "the samplers of jax.random draw as before: the initializer draws otherwise",
}
"""What is known of another stream by the first stage that differs.

The backend computes the stages from the key that was given. The initializer may have drawn with
another: of bits and uniforms that are the same only their making is known to be right.
"""


def explain(drift: Drift, case_id: str) -> str:
    """Return what changed, the worst element, class and stage."""
    lines = [_headline(drift, case_id)]
    if drift.worst_actual is not None and drift.worst_expected is not None:
        lines += _worst(drift)
    stage = f"first differing stage: {drift.stage}; " if drift.stage else ""
    lines.append(f"  {stage}class: {drift.drift_class.value}")
    if drift.detail and (drift.n_different or drift.n_compared):
        lines.append(f"  {drift.detail}")
    if drift.drift_class is DriftClass.STREAM and drift.stage in EXPLAINED:
        lines.append(f"  {EXPLAINED[drift.stage]}")
    return "\n".join(lines)


def _headline(drift: Drift, case_id: str) -> str:
    if drift.n_compared:
        return (
            f"{case_id} differs from the golden; {drift.n_compared} of its {drift.n_elements} "
            f"elements could be compared, and {drift.n_different} of these differ."
        )
    if not drift.n_different:
        return f"{case_id} differs from the golden: {drift.detail}"
    return (
        f"{drift.n_different} of {drift.n_elements} elements of {case_id} differ from the golden."
    )


def _worst(drift: Drift) -> list[str]:
    assert drift.worst_index is not None
    distance = "no number of" if drift.max_ulp == INCOMPARABLE else str(drift.max_ulp)
    return [
        f"  worst: {distance} ULP ({drift.max_ulp_at_sigma:.3g} ULP of sigma) "
        f"at index {drift.worst_index}",
        f"    actual   {number(drift.worst_actual)}",
        f"    expected {number(drift.worst_expected)}",
    ]


def number(value: float | complex | None) -> str:
    """Return a number to nine digits, which tell float32 numbers apart, and in hexadecimal."""
    if not isinstance(value, float):
        return str(value)
    hexadecimal = re.sub(r"\.?0+p", "p", value.hex())
    return f"{value:.9g} ({hexadecimal})"
