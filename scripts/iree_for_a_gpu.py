"""Compile by IREE beforehand for a GPU that is lent: `python scripts/iree_for_a_gpu.py DIR`.

Run it where IREE's compiler is, under the JAX and the Python of the machine with the GPU. DIR holds
the quick tier for `iree-cuda` and `iree-vulkan`, and IREE's runtime, which needs no installation:
`python scripts/on_a_gpu.py OUT --iree DIR`. See docs/first-gpu.md.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import shutil
import sys
from pathlib import Path

from on_a_gpu import RUNTIME

from conformance.cases.builtin import load_catalogue
from conformance.cases.selection import Selection, select
from conformance.cli.progress import Progress
from conformance.core.errors import ConformanceError, ExitCode
from conformance.core.files import require_new
from conformance.core.ids import Tier
from conformance.core.words import counted
from conformance.observe.backends import iree
from conformance.observe.backends.kept import keep

BACKENDS = ("iree-cuda", "iree-vulkan")

TRACED = "_runtime_libs_tracy"
"""The runtime a second time, for a profiler."""


def main() -> int:
    """Compile, and say what IREE refuses."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="a new folder")
    parser.add_argument("--tier", type=Tier, choices=Tier, default=Tier.QUICK)
    asked = parser.parse_args()
    try:
        require_new(asked.folder)
        for name in BACKENDS:
            _compile(asked.folder / f"{name}.zip", name, asked.tier)
        copy_runtime(asked.folder / RUNTIME)
    except ConformanceError as error:
        print(f"iree_for_a_gpu: {error}", file=sys.stderr)
        return error.exit_code
    return ExitCode.OK


def _compile(path: Path, name: str, tier: Tier) -> None:
    catalogue = load_catalogue()
    cases = select(catalogue, Selection(tier=tier, backends=(name,)))
    with Progress("compiled") as progress:
        left_out = keep(path, cases, catalogue, lambda each, n: progress.over(each, n, name=str))
    for case, why in left_out.items():
        print(f"{case} is left out, for IREE does not compile it: {why}")
    n_kept = counted(len(cases) - len(left_out), "case")
    print(f"{path}: {n_kept}, {path.stat().st_size / 2**20:.1f} MiB")


def copy_runtime(folder: Path) -> None:
    """Copy the runtime that is installed here: for this Python, this system and processor."""
    for file in importlib.metadata.files(iree.RUNTIME) or ():
        if TRACED not in file.parts and ".." not in file.parts:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file.locate(), folder / file)


if __name__ == "__main__":
    sys.exit(main())
