"""Measure the backward errors of orthogonal matrices under every LAPACK kernel; write the budgets.

    python scripts/measure_matrices.py --reason '...'            an hour on two cores
    python scripts/measure_matrices.py --dtype float32 --seeds 10 --dry-run

Each kernel and number of threads has a process of its own. Kernels are those that OpenBLAS knows by
the names of OPENBLAS_CORETYPE; one that this CPU cannot run is named and left out.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import subprocess
import sys

from conformance.core.budgets import ShapeErrors
from conformance.core.errors import LooserBudget
from conformance.core.paths import BUDGETS, golden_folder
from conformance.core.reading import record
from conformance.run.matrix_sweep import MatrixSweep, joined, measurement
from conformance.store.budgets import load, merged, save

KERNELS = ("Prescott", "Nehalem", "Sandybridge", "Haswell", "SkylakeX")
DTYPES = ("float32", "float64", "complex64", "complex128")
SIDES = (2, 3, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
TALL = ("9x6", "64x32", "1024x16")
FEWER = {"256": 5, "512": 20, "1024": 100}
"""By which the number of seeds is divided at large sides: the cost grows with the cube."""


def plan(n_seeds: int, *, largest: int, smallest: int = 1) -> list[str]:
    """Return `shape:seeds` for every shape whose longer side is within the limits."""
    shapes = [*(f"{side}x{side}" for side in SIDES), *TALL]
    sides = {shape: max(map(int, shape.split("x"))) for shape in shapes}
    return [
        f"{shape}:{max(2, n_seeds // FEWER.get(shape.partition('x')[2], 1))}"
        for shape in shapes
        if smallest <= sides[shape] <= largest
    ]


def swept(kernel: str, threads: int, dtype: str, shapes: list[str]) -> dict[str, ShapeErrors] | str:
    """Return what a process under the kernel measures, or why it could not."""
    variables = {"OPENBLAS_CORETYPE": kernel, "OPENBLAS_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "conformance.run.matrix_sweep", dtype, *shapes]
    done = subprocess.run(  # noqa: S603  # this package's own
        command, env=os.environ | variables, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return f"{kernel} x {threads} ended with {done.returncode}: {last}"
    rows = (json.loads(line) for line in done.stdout.splitlines())
    return {row.pop("shape"): record(ShapeErrors, row) for row in rows}


def main(words: list[str]) -> int:
    """Measure, print, and write unless told not to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dtype", action="append", choices=DTYPES, help="default: all")
    parser.add_argument("--seeds", type=int, default=1000, help="of small shapes (default: 1000)")
    parser.add_argument("--largest", type=int, default=max(SIDES), help="longest side")
    parser.add_argument("--golden", default=None, help="golden set (default: the shipped one)")
    parser.add_argument("--reason", default="", help="why a budget may grow; kept with it")
    parser.add_argument("--dry-run", action="store_true", help="write nothing")
    options = parser.parse_args(words)
    path = golden_folder(options.golden) / BUDGETS
    table = load(path)
    for dtype in options.dtype or DTYPES:
        found = []
        for kernel in KERNELS:
            for threads in (1, 2):
                # Threads are used from 256 columns on.
                smallest = 1 if threads == 1 else 256
                shapes = plan(options.seeds, largest=options.largest, smallest=smallest)
                result = swept(kernel, threads, dtype, shapes) if shapes else {}
                if isinstance(result, str):
                    print(f"not measured: {result}", flush=True)
                    break
                found.append(result)
        if not found:
            print(f"{dtype}: no kernel of {', '.join(KERNELS)} runs here", file=sys.stderr)
            return 3
        matrices = joined(found)
        for name, each in matrices.by_shape.items():
            print(f"{dtype} {name}: column {each.column.error:.3g}, gram {each.gram.error:.3g}")
        print(f"{dtype}: column {matrices.column}, gram {matrices.gram}", flush=True)
        date = f"{dt.datetime.now(dt.UTC):%Y-%m-%d}"
        line = measurement(MatrixSweep(backend="cpu", dtype=dtype), matrices, date=date)
        try:
            table = merged(table, [line], options.reason)
        except LooserBudget as error:
            print(error, file=sys.stderr)
            return 4
        if not options.dry_run:
            save(path, table)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
