"""What explains the roundings of a run, where something outside of JAX does."""

from __future__ import annotations

from collections.abc import Mapping

from conformance.causes import LAPACK_FACTS, known_lapack_difference
from conformance.model import DriftClass
from conformance.report.rows import Row
from conformance.report.run import Run

FACTORED_BY_LAPACK = "cpu"
"""The backend whose QR is LAPACK's; an accelerator has its own."""


def lapack_line(run: Run) -> str:
    """Return one line if another LAPACK than the goldens' explains all roundings, or "".

        74 rounding: all orthogonal; another LAPACK than the goldens' (OpenBLAS kernel: Haswell ->
        SkylakeX)

    It does where every rounded array is of an initializer that factors a matrix, on the CPU, under
    a LAPACK that is known to be another. An unknown one explains nothing.
    """
    rounded = [row for row in run.judged if row.drift_class == DriftClass.ROUNDING]
    if run.golden_environment is None or not all(_is_factored(row, run) for row in rounded):
        return ""
    there = run.golden_environment.host
    found = {known_lapack_difference(there, _host(row)) for row in rounded}
    if not all(found) or not found:
        return ""
    causes = "; ".join(sorted(found))
    return f"{len(rounded)} rounding: all orthogonal; another LAPACK than the goldens' ({causes})"


def _is_factored(row: Row, run: Run) -> bool:
    return row.backend == FACTORED_BY_LAPACK and row.initializer in run.matrices


def _host(row: Row) -> Mapping[str, str]:
    return {name: getattr(row, name) or "" for name in LAPACK_FACTS}
