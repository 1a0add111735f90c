"""Judge orthogonal matrices and all layers under several kernels of OpenBLAS, as a Markdown table.

    python scripts/lapack_kernels.py                             Prescott, Haswell and SkylakeX
    python scripts/lapack_kernels.py Nehalem Zen                 others, as in OPENBLAS_CORETYPE
    python scripts/lapack_kernels.py Haswell -- --tier quick     what follows -- is given to pytest

JAX's `qr` on the CPU is that of SciPy's OpenBLAS, which chooses its kernel by the model of the CPU:
each is the machine of some user. A kernel that cannot run on this CPU is listed as not run, with
the reason. Exits with 1 if a kernel that ran failed, with 3 if none ran, else with 0.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping
from pathlib import Path

from conformance.observe.environment import host_facts

ROOT = Path(__file__).parent.parent
DEFAULT = ("Prescott", "Haswell", "SkylakeX")

SELECTION = (
    "conformance/suite/test_initializers.py",
    "conformance/suite/test_modules.py",
    "-k",
    "(test_case and orthogonal and float32) or test_every_layer",
)
"""Where LAPACK's numbers are: in the float32 matrices of the tier, and in layers that hold some."""

ANSWERS: Mapping[str, str] = {
    "prescott": "katmai",
    "core2": "katmai",
    "zen": "haswell",
    "cooperlake": "skylakex",
    "sapphirerapids": "skylakex",
}
"""What a kernel that SciPy's build leaves out calls itself: the one that stands in for it."""

NEEDS: Mapping[str, tuple[str, ...]] = {
    "sandybridge": ("avx",),
    "haswell": ("avx2", "fma"),
    "zen": ("avx2", "fma"),
    "skylakex": ("avx512f",),
    "cooperlake": ("avx512f", "avx512_bf16"),
}
"""Instruction sets of a kernel, where a CPU may lack them; in the words of `host_facts`."""

PROBE = """
import numpy, scipy.linalg
from conformance.observe import lapack
print(lapack.facts().get("lapack_kernel", ""), flush=True)
for size in (4, 1024):
    scipy.linalg.qr(numpy.random.default_rng(0).normal(size=(size, size)).astype("float32"))
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a small process under a kernel did: the architecture that answered, or why none did."""

    architecture: str = ""
    not_run: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What came of one kernel. `not_run` says why there is nothing else to tell."""

    kernel: str
    architecture: str = ""
    not_run: str = ""
    n_layers: int = 0
    n_failed: int = 0
    classes: Mapping[str, int] = dataclasses.field(default_factory=dict)
    exit_code: int = 0

    def cells(self) -> list[str]:
        """Return the cells of the table."""
        if self.not_run:
            return [self.kernel, f"not run: {self.not_run}", "", "", "", "", ""]
        n_cases = sum(self.classes.values())
        counts = [n_cases, self.classes.get("identical", 0), self.classes.get("rounding", 0)]
        verdict = str(self.n_failed) if self.exit_code in (0, 1) else f"exit code {self.exit_code}"
        return [self.kernel, self.architecture, *map(str, counts), str(self.n_layers), verdict]


HEAD = (
    "kernel",
    "architecture that answered",
    "cases",
    "identical",
    "rounding",
    "layers",
    "failed",
)


# --- Whether a kernel can run ---------------------------------------------------------------------


def under(kernel: str) -> dict[str, str]:
    """Return the environment of a process that uses the kernel."""
    return os.environ | {"OPENBLAS_CORETYPE": kernel}


def probe(kernel: str, isa: str) -> Probe:
    """Ask a process of its own whether the kernel runs here.

    isa: the instruction sets of this CPU, between spaces.
    """
    done = subprocess.run(  # noqa: S603  # ours
        [sys.executable, "-c", PROBE],
        env=under(kernel),
        capture_output=True,
        text=True,
        check=False,
    )
    return judged(kernel, isa, done.returncode, done.stdout.strip(), done.stderr.strip())


def judged(kernel: str, isa: str, exit_code: int, architecture: str, errors: str) -> Probe:
    """Return what the probing process says of the kernel."""
    if exit_code < 0:
        return Probe(not_run=_lack(kernel, isa) or f"died of {signal.Signals(-exit_code).name}")
    if exit_code:
        return Probe(not_run=errors.rpartition("\n")[2] or f"its probe exits with {exit_code}")
    if not architecture:
        return Probe(not_run="unknown which answers: `pip install threadpoolctl` tells")
    if architecture.lower() not in (kernel.lower(), ANSWERS.get(kernel.lower())):
        return Probe(not_run=_lack(kernel, isa) or f"{architecture} answered in its place")
    return Probe(architecture=architecture)


def _lack(kernel: str, isa: str) -> str:
    missing = [name for name in NEEDS.get(kernel.lower(), ()) if name not in isa.split()]
    return f"this CPU lacks {' '.join(missing)}" if missing else ""


# --- Running -------------------------------------------------------------------------------------


def run(kernel: str, isa: str, arguments: Iterable[str]) -> Line:
    """Run the selection under the kernel, if it runs here at all."""
    found = probe(kernel, isa)
    if found.not_run:
        return Line(kernel=kernel, not_run=found.not_run)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        command = [sys.executable, "-m", "pytest", *SELECTION, "-q", "-n", "auto"]
        command += ["--reports", str(folder), "--junit-xml", str(folder / "junit.xml"), *arguments]
        done = subprocess.run(  # noqa: S603  # the arguments are the caller's own
            command, env=under(kernel), cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            print(f"{kernel}:\n{done.stdout}{done.stderr}", file=sys.stderr)
        return told(kernel, found.architecture, folder, done.returncode)


def told(kernel: str, architecture: str, folder: Path, exit_code: int) -> Line:
    """Return what the reports in the folder tell of a run."""
    rows = [
        json.loads(line)
        for path in folder.glob("*/rows.jsonl")
        for line in path.read_text().splitlines()
    ]
    n_layers, n_failed = _outcomes(folder / "junit.xml")
    return Line(
        kernel=kernel,
        architecture=architecture,
        n_layers=n_layers,
        n_failed=n_failed,
        classes=collections.Counter(str(row["drift_class"]) for row in rows),
        exit_code=exit_code,
    )


def _outcomes(junit: Path) -> tuple[int, int]:
    """Return how many layers ran and how many tests failed; zeros if the run broke off."""
    if not junit.exists():
        return 0, 0
    tests = list(ElementTree.parse(junit).iter("testcase"))  # noqa: S314  # our own file
    n_layers = sum("test_modules" in test.get("classname", "") for test in tests)
    n_failed = sum(any(child.tag in ("failure", "error") for child in test) for test in tests)
    return n_layers, n_failed


# --- Telling -------------------------------------------------------------------------------------


def table(lines: Iterable[Line]) -> str:
    """Return the lines as a Markdown table."""
    rows = [HEAD, ["---"] * len(HEAD), *(line.cells() for line in lines)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def exit_code(lines: Iterable[Line]) -> int:
    """Return 1 if a kernel that ran failed, 3 if none ran, else 0."""
    codes = [line.exit_code for line in lines if not line.not_run]
    if not codes:
        return 3
    return int(any(codes))


def parsed(arguments: list[str]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kernels", nargs="*", help=f"default: {' '.join(DEFAULT)}")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Run all kernels, print the table and return the exit code."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    kernels = parsed(arguments[:end]).kernels or DEFAULT
    isa = host_facts().get("isa", "")
    lines = [run(kernel, isa, arguments[end + 1 :]) for kernel in kernels]
    print(table(lines))
    return exit_code(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
