"""What explains the roundings of a run, where something outside of JAX does."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping

from conformance.core.causes import LAPACK_FACTS, known_isa_difference, known_lapack_difference
from conformance.core.records import DriftClass, Environment
from conformance.core.settings import FUSING_ISA, optimization_level, unusual
from conformance.report import nights
from conformance.report.headline import TOLD_CODE, sides
from conformance.report.run import Key, Run

COMPUTED_HERE = "cpu"
"""The backend whose programs run on the host's own instructions, and whose QR is LAPACK's."""

FEW_COLUMNS = 4
"""Columns of the arrays that AVX-512 rounds otherwise than AVX2: see docs/findings.md, 18."""

AVX512 = "avx512f"

ISA_FACTS = ("isa", "xla_isa")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why arrays were rounded: which, and what is other than where the goldens were made."""

    arrays: str
    cause: str


def notes_on(run: Run) -> list[str]:
    """Return what a reader must know before the tables: reasons of roundings, and overlays.

    Of a run that failed it is also since when, and what both sides were; of one that passed with
    drift both sides, where they are of other code.
    """
    since = nights.told(run.failed, run.n_failed, run.nights)
    lines = [*since, *roundings_explained(run), *overlays_told(run)]
    return [*lines, *sides(run)] if run.n_failed or _drifted_with_code(run) else lines


def _drifted_with_code(run: Run) -> bool:
    """Return whether a case drifted under other versions than those of the goldens."""
    there = run.golden_environment
    if there is None or not run.n_noteworthy:
        return False
    here = run.environment.packages
    return any(here.get(name) != there.packages.get(name) for name in TOLD_CODE)


def written_notes(run: Run) -> list[str]:
    """Return the same for who did not see the run begin: what is unusual there comes first."""
    return [*(f"note: {line}" for line in unusual(run.environment)), *notes_on(run)]


def overlays_told(run: Run) -> list[str]:
    """Return how many cases each overlay judged, as in `2 judged by goldens of overlay acme`."""
    lines = []
    for what, column in (("goldens", "golden_from"), ("budgets", "budget_from")):
        found: collections.Counter[str | None] = collections.Counter()
        for key, n in run.tally.items():
            found[getattr(key, column)] += n
        lines += [
            f"{count} judged by {what} of overlay {overlay}"
            for overlay, count in sorted(found.items(), key=str)
            if overlay
        ]
    return lines


def roundings_explained(run: Run) -> list[str]:
    """Return one line for each reason why arrays were rounded otherwise than the goldens.

        74 rounding: orthogonal; another LAPACK than the goldens' (OpenBLAS kernel: Haswell ->
        SkylakeX)
        34 rounding: other instruction sets than the goldens' (avx512f there, not here)
        34 rounding: XLA optimized at level 1, as --fast asks for

    LAPACK explains matrices on the CPU. The instruction sets that XLA may use explain other arrays
    there, under the JAX of the goldens, where they are known to round otherwise: all of them where
    one side cannot fuse a multiply-add, and without AVX-512 those of FEW_COLUMNS columns; these are
    rounded so with AVX-512 too where XLA optimizes less. What is not known to differ explains
    nothing.
    """
    there = run.golden_environment
    if there is None:
        return []
    found: collections.Counter[Reason] = collections.Counter()
    level = optimization_level(run.environment)
    for key, n in run.tally.items():
        reason = _reason(key, key.initializer in run.matrices, there, level)
        if reason is not None and key.from_golden == DriftClass.ROUNDING:
            found[reason] += n
    return [
        f"{count} rounding: {reason.arrays}{reason.cause}"
        for reason, count in sorted(found.items(), key=lambda pair: (-pair[1], pair[0].cause))
    ]


def _reason(key: Key, is_matrix: bool, there: Environment, level: str) -> Reason | None:
    if key.backend != COMPUTED_HERE:
        return None
    if is_matrix:
        lapack = known_lapack_difference(there.host, _host(key, LAPACK_FACTS))
        cause = f"another LAPACK than the goldens' ({lapack})"
        return Reason(arrays="orthogonal matrices; ", cause=cause) if lapack else None
    if there.packages.get("jaxlib") != key.jaxlib:
        return None
    isa = known_isa_difference(there.host, _host(key, ISA_FACTS))
    has_few_columns = key.shape.endswith(f"x{FEW_COLUMNS}")
    if FUSING_ISA in isa.split() or (AVX512 in isa.split() and has_few_columns):
        return Reason(arrays="", cause=f"other instruction sets than the goldens' ({isa})")
    if level and has_few_columns:
        return Reason(arrays="", cause=f"XLA optimized at level {level}, as --fast asks for")
    return None


def _host(key: Key, facts: tuple[str, ...]) -> Mapping[str, str]:
    return {name: getattr(key, name) or "" for name in facts}
