"""Sweep orthogonal matrices over sizes and seeds: the worst backward errors of right ones.

LAPACK chooses a kernel by the CPU, and some split their sums by the number of threads, once for a
process. So one process measures under what it finds, and `merged` joins what several found:

    python -m conformance.run.matrix_sweep float32 4x4:1000 256x256:100      one JSON line a shape

`scripts/measure_matrices.py` runs it under every kernel and writes the budgets of the CPU;
`conformance law` judges SEEDS seeds of SHAPES by them, beside the laws of single words.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from conformance.cases.backends import lookup
from conformance.cases.selection import Selection
from conformance.core.budgets import (
    MATRICES,
    BudgetTable,
    MatrixMeasurement,
    MatrixPoint,
    Measurement,
    ShapeErrors,
)
from conformance.core.errors import MissingBudget
from conformance.core.formats import WIDE_DTYPES
from conformance.core.ids import Tier, format_shape, parse_shape
from conformance.core.records import MatrixBudget
from conformance.core.settings import installed_jax
from conformance.judge.checks.backward_error import column_errors, gram_error
from conformance.observe.backends import open_backend
from conformance.observe.environment import device_text, host_facts
from conformance.observe.matrices import factored

SHAPES = ((2, 2), (3, 3), (4, 4), (9, 6), (16, 16), (64, 32), (128, 128))
SEEDS = 50
"""What a law's sweep looks at: a few seconds."""

DTYPES = {
    Tier.QUICK: ("float32",),
    Tier.STANDARD: ("float32",),
    Tier.FULL: ("float32", *WIDE_DTYPES),
}
"""Dtypes of each tier that have a QR decomposition."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, order=True)
class MatrixSweep:
    """Many seeds and sizes of orthogonal matrices in one dtype on one backend."""

    backend: str
    dtype: str

    @property
    def id(self) -> str:
        """Return e.g. `orthogonal-float32-cpu`."""
        return f"{MATRICES}-{self.dtype}-{self.backend}"

    @property
    def rerun_words(self) -> list[str]:
        """The command that sweeps again."""
        words = ["conformance", "law", "--initializer", MATRICES, "--dtype", self.dtype]
        return [*words, "--backend", self.backend]


def matrix_sweeps(selection: Selection) -> list[MatrixSweep]:
    """Return the sweeps that the tier, backends, initializers and dtypes of a selection ask for."""
    patterns = selection.initializers
    if patterns and not any(fnmatch.fnmatchcase(MATRICES, name) for name in patterns):
        return []
    if selection.transforms and "eager" not in selection.transforms:
        return []
    return [
        MatrixSweep(backend=backend, dtype=dtype)
        for backend in selection.backends
        if not lookup(backend).is_executor
        for dtype in DTYPES[selection.tier]
        if not selection.dtypes or dtype in selection.dtypes
    ]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MatrixResult:
    """What a sweep found, what a right matrix may err, and what is wrong, or ""."""

    sweep: MatrixSweep
    found: MatrixMeasurement
    budget: MatrixBudget
    fault: str

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The errors by shape, as COLUMNS names them."""
        verdict = "failed" if self.fault else "passed"
        return [
            (
                MATRICES,
                self.sweep.dtype,
                shape,
                str(errors.n_seeds),
                f"{errors.column.error:.3g}",
                f"{self.budget.column:.3g}",
                f"{errors.gram.error:.3g}",
                f"{self.budget.gram:.3g}",
                verdict,
            )
            for shape, errors in self.found.by_shape.items()
        ]


COLUMNS = (
    *("initializer", "dtype", "shape", "seeds"),
    *("column error", "at most", "gram error", "at most", "verdict"),
)
"""Errors in units of the unit roundoff: see `checks.backward_error`."""


def evaluate(sweep: MatrixSweep, budgets: BudgetTable) -> MatrixResult:
    """Run one sweep and judge it by the measured budget of the backend.

    Raises:
        BackendUnavailable: the backend has no device in this process.
        MissingBudget: nobody has measured matrices there; the message says how to.
    """
    open_backend(sweep.backend)
    budget = budgets.matrix_budget(sweep.backend, sweep.dtype)
    if budget is None:
        raise MissingBudget(
            f"no budget is stored for matrices in {sweep.dtype} on {sweep.backend}: measure it "
            f"there with `conformance law --initializer {MATRICES} --backend {sweep.backend} "
            f"--dtype {sweep.dtype}{budgets.golden_option} --write-budgets`"
        )
    found = swept(sweep)
    faults = [
        f"{sweep.id}: seed {point.seed} of {point.shape} has a {name} error of "
        f"{point.error:.3g} u, needed at most {most:.3g} u"
        for name, point, most in (
            ("column", found.column, budget.column),
            ("gram", found.gram, budget.gram),
        )
        if not point.error <= most
    ]
    return MatrixResult(sweep=sweep, found=found, budget=budget, fault="\n".join(faults))


def swept(sweep: MatrixSweep) -> MatrixMeasurement:
    """Return the errors over SEEDS seeds of SHAPES."""
    shapes = {
        format_shape(shape): measure(sweep.dtype, shape, SEEDS, sweep.backend) for shape in SHAPES
    }
    return joined([shapes])


def measurement(sweep: MatrixSweep, found: MatrixMeasurement, *, date: str) -> Measurement:
    """Return the line of the table of budgets."""
    return Measurement(
        backend=sweep.backend,
        initializer=MATRICES,
        dtype=sweep.dtype,
        family=MATRICES,
        at_value=None,
        at_sigma=None,
        device=device_text(open_backend(sweep.backend).device),
        jax=installed_jax(),
        date=date,
        matrix=found,
    )


# --- Measuring -----------------------------------------------------------------------------------


def measure(dtype: str, shape: tuple[int, int], n_seeds: int, backend: str = "cpu") -> ShapeErrors:
    """Return the worst errors over the seeds 0 to n_seeds - 1 of `jax.nn.initializers.orthogonal`.

    shape: of a tall or square matrix. A wrong sign counts as an error of the whole column.
    """
    host = host_facts()
    places = {
        name: host.get(name, "unknown") for name in ("lapack", "lapack_kernel", "lapack_threads")
    }
    worst: dict[str, MatrixPoint] = {}
    for seed, orthonormal, drawn in factored(dtype, shape, n_seeds, backend):
        columns = column_errors(orthonormal, drawn, bound=0.0)
        found = {
            "column": max(columns.largest, -columns.lowest_diagonal),
            "gram": gram_error(orthonormal, drawn.dtype).largest,
        }
        for name, error in found.items():
            if name not in worst or _is_worse(error, worst[name].error):
                worst[name] = MatrixPoint(
                    error=error, shape=format_shape(shape), seed=seed, **places
                )
    return ShapeErrors(n_seeds=n_seeds, **worst)


def _is_worse(error: float, than: float) -> bool:
    """Return whether the error is larger; NaN is larger than any number."""
    return error > than or (math.isnan(error) and not math.isnan(than))


def joined(found: Iterable[Mapping[str, ShapeErrors]]) -> MatrixMeasurement:
    """Return the worst of what several processes measured, by shape and of all."""
    first, *others = (
        MatrixMeasurement.of(shapes, map(_place, shapes.values())) for shapes in found
    )
    return functools.reduce(MatrixMeasurement.joined, others, first)


def _place(errors: ShapeErrors) -> str:
    return f"{errors.column.lapack_kernel} x {errors.column.lapack_threads}"


def main(words: Sequence[str]) -> int:
    """Print what this process measures; see the module."""
    dtype, *plan = words
    for item in plan:
        shape, n_seeds = item.split(":")
        rows, columns = parse_shape(shape)
        errors = measure(dtype, (rows, columns), int(n_seeds))
        line: dict[str, Any] = {"shape": shape, **dataclasses.asdict(errors)}
        print(json.dumps(line), flush=True)  # noqa: T201  # the parent reads it
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
