"""What explains the roundings of a run, where something outside of JAX does."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping

from conformance.causes import LAPACK_FACTS, known_isa_difference, known_lapack_difference
from conformance.model import DriftClass, Environment
from conformance.report.rows import Row
from conformance.report.run import Run

COMPUTED_HERE = "cpu"
"""The backend whose programs run on the host's own instructions, and whose QR is LAPACK's."""

ISA_FACTS = ("isa", "xla_isa")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why arrays were rounded: which, and what is other than where the goldens were made."""

    arrays: str
    cause: str


def roundings_explained(run: Run) -> list[str]:
    """Return one line for each reason why arrays were rounded otherwise than the goldens.

        74 rounding: orthogonal; another LAPACK than the goldens' (OpenBLAS kernel: Haswell ->
        SkylakeX)
        34 rounding: other instruction sets than the goldens' (avx512f there, not here)

    LAPACK explains matrices on the CPU; the instruction sets that XLA may use explain the rest
    there, under the JAX of the goldens. Each must be known to differ: what is not known explains
    nothing.
    """
    there = run.golden_environment
    if there is None:
        return []
    rounded = [row for row in run.judged if row.drift_class == DriftClass.ROUNDING]
    reasons = (_reason(row, row.initializer in run.matrices, there) for row in rounded)
    found = collections.Counter(reason for reason in reasons if reason is not None)
    return [
        f"{count} rounding: {reason.arrays}{reason.cause}"
        for reason, count in sorted(found.items(), key=lambda pair: (-pair[1], pair[0].cause))
    ]


def _reason(row: Row, is_matrix: bool, there: Environment) -> Reason | None:
    if row.backend != COMPUTED_HERE:
        return None
    if is_matrix and (lapack := known_lapack_difference(there.host, _host(row, LAPACK_FACTS))):
        cause = f"another LAPACK than the goldens' ({lapack})"
        return Reason(arrays="orthogonal matrices; ", cause=cause)
    isa = known_isa_difference(there.host, _host(row, ISA_FACTS))
    if isa and there.packages.get("jaxlib") == row.jaxlib:
        return Reason(arrays="", cause=f"other instruction sets than the goldens' ({isa})")
    return None


def _host(row: Row, facts: tuple[str, ...]) -> Mapping[str, str]:
    return {name: getattr(row, name) or "" for name in facts}
