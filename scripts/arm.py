"""Run the initializers on Arm without an Arm machine: by QEMU, with JAX's own Arm wheels.

    python scripts/arm.py setup DIR                # Debian's QEMU and arm64 Python, and JAX for it
    python scripts/arm.py record DIR               # the quick tier, judged here when it is whole
    python scripts/arm.py record DIR --tier standard --minutes 60   # seed 0; again to go on
    python scripts/arm.py layers DIR               # float32 layers, judged by the emulated Arm

A recording goes on where the last one ended, and is judged by this machine once it is whole. What
setting up needs is said by debian_python.py; on an idle core the quick tier takes ten minutes.

Exits as `conformance run` and `pytest` do, with 3 while a recording is not whole or where something
is missing, and says what.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from debian_python import ROOT, Debian, MissingHere, called, make_environment, require_tools, unpack

from conformance.core.errors import ExitCode
from conformance.core.paths import MANIFEST
from conformance.observe.journal import journal_path

STABLE = Debian(
    suite="trixie",
    architecture="arm64",
    python="3.13",
    loader=(
        "{folder}/others/usr/bin/qemu-aarch64",
        # Under `max` pointer authentication is emulated as well, and all is many times slower.
        *("-cpu", "neoverse-n1"),
        *("-L", "{folder}/debian"),
        *("-0", '"$0"'),
    ),
)

WHAT = {"quick": ("--tier", "quick"), "standard": ("--tier", "standard", "--seed", "0")}
"""Selections by tier: of the standard one a seed, as each case takes seconds."""

CASE_TIMEOUT_S = 7200
"""Compiling takes minutes where the emulator has to share its core."""


def setup(folder: Path) -> int:
    """Make the environment and return 0."""
    require_tools()
    unpack(STABLE, folder, "qemu-user:amd64")
    python = make_environment(STABLE, folder)
    # Wheels alone: nothing is built under emulation, and this package is used where it lies.
    wheels = ["--only-binary", ":all:", "--requirements", str(ROOT / "pyproject.toml")]
    called(["uv", "pip", "install", "--python", str(python), "--extra", "judge", *wheels])
    print(python)
    return ExitCode.OK


def record(folder: Path, tier: str, minutes: float) -> int:
    """Record the tier, or what is left of it, and judge a recording that is whole."""
    recording = folder / "recordings" / tier
    if not (recording / MANIFEST).exists():
        words = ["conformance", "record", "--backend", "cpu", *WHAT[tier]]
        words += ["--out", str(recording), "--case-timeout", str(CASE_TIMEOUT_S)]
        words += ["--resume"] if journal_path(recording).exists() else []
        code = emulated(folder, words, minutes)
        if code != ExitCode.OK:
            return code
    return subprocess.call(  # noqa: S603  # ours
        [sys.executable, "-m", "conformance", "run", "--recording", str(recording)], cwd=ROOT
    )


def layers(folder: Path, minutes: float) -> int:
    """Judge the layers, whose claims compare them with JAX's own draws there."""
    words = ["pytest", "-p", "conformance.pytest_plugin", "conformance/suite", "-n0"]
    return emulated(folder, [*words, "-k", "test_modules and float32"], minutes)


def emulated(folder: Path, words: Sequence[str], minutes: float) -> int:
    """Run a module under the emulator; MISSING where its time is over."""
    python = folder / "environment" / "bin" / "python"
    if not python.exists():
        raise MissingHere(f"{python} is missing: `python scripts/arm.py setup {folder}` makes it")
    process = subprocess.Popen([str(python), "-m", *words], cwd=ROOT)  # noqa: S603  # ours
    try:
        return process.wait(timeout=minutes * 60)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait()
        print(f"{minutes:g} minutes are over: say it again to go on", file=sys.stderr)
        return ExitCode.MISSING


def parsed(words: Sequence[str]) -> argparse.Namespace:
    """Return the step and its options."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("step", choices=["setup", "record", "layers"])
    parser.add_argument("folder", type=Path, metavar="DIR", help="where all of it lies")
    parser.add_argument("--tier", choices=list(WHAT), default="quick", help="default: quick")
    parser.add_argument("--minutes", type=float, default=60.0, help="default: 60")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    """Take the step and return its exit code."""
    options = parsed(words)
    folder = options.folder.resolve()
    try:
        if options.step == "setup":
            return setup(folder)
        if options.step == "layers":
            return layers(folder, options.minutes)
        return record(folder, options.tier, options.minutes)
    except MissingHere as error:
        print(error, file=sys.stderr)
        return ExitCode.MISSING


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
