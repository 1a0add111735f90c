#!/usr/bin/env python3
"""A uv for tests: installs made-up releases of JAX, each this environment with another flag.

Release 1.0 draws the bits of JAX before 0.5, 2.0 and 3.0 those of today, and 4.0 crashes. 9.9 has
no wheel for the first Python that is tried, 8.8 contradicts everything, 5.5 was never released,
and the registry can be silent. Every call is appended to the file that FAKE_UV_LOG names.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

PYTHON_OF = {
    "1.0": 'JAX_THREEFRY_PARTITIONABLE=${{JAX_THREEFRY_PARTITIONABLE:-0}} exec {python} "$@"',
    "2.0": 'JAX_THREEFRY_PARTITIONABLE=${{JAX_THREEFRY_PARTITIONABLE:-1}} exec {python} "$@"',
    "3.0": 'JAX_THREEFRY_PARTITIONABLE=1 exec {python} "$@"',
    "4.0": "echo about to crash >&2; kill -SEGV $$",
}

OTHER_KERNEL = "Nehalem" if os.environ.get("OPENBLAS_CORETYPE") == "Prescott" else "Prescott"

UNLISTED = {
    "2.1": 'XLA_FLAGS=--xla_cpu_max_isa=AVX exec {python} "$@"',
    "2.2": 'grep -q \'"run"\' "$3" && kill -SEGV $$; '
    'XLA_FLAGS=--xla_cpu_max_isa=AVX exec {python} "$@"',
    "2.4": 'PYTHONPATH="$PYTHONPATH:$FAKE_UV_FATAL" exec {python} "$@"',
    "2.3": f'OPENBLAS_CORETYPE={OTHER_KERNEL} exec {{python}} "$@"',
}
"""Releases that no list offers: 2.1 compiles what 2.0 lowers for another processor, 2.2 crashes
when it runs what another release exported, 2.3 has a LAPACK with another kernel than the machine's,
and 2.4 begins with what lies in the folder that FAKE_UV_FATAL names."""


def main(words: list[str]) -> None:
    """Do what uv would, for the four commands that are used."""
    with Path(os.environ["FAKE_UV_LOG"]).open("a") as log:
        log.write(" ".join(words) + "\n")
    if os.environ.get("FAKE_UV_OFFLINE"):
        sys.exit("error: client error (Connect): dns error")
    command = words[0] if words[0] in ("run", "venv") else " ".join(words[:2])
    COMMANDS[command](words)


def pinned(text: str) -> str:
    """Return the release of JAX that a list of requirements asks for."""
    (release,) = re.findall(r"^jax==(\S+)", text, re.MULTILINE)
    return str(release)


def list_versions(_: list[str]) -> None:
    """Print what `pip index versions --json` does."""
    json.dump({"versions": [*reversed(PYTHON_OF), "0.9"]}, sys.stdout)


def compile_pins(words: list[str]) -> None:
    """Pin the release that the input asks for, and keep what the output pinned before."""
    asked = Path(words[2]).read_text()
    output = Path(words[words.index("--output-file") + 1])
    release = pinned(asked)
    if "nosuch" in asked:
        sys.exit("error: Because nosuch was not found in the package registry and you require it")
    if "./noproject" in asked:
        sys.exit("error: `noproject` does not appear to be a Python project: no setup.py")
    if release == "8.8":
        sys.exit("error: Because jax==8.8 needs numpy<2 and you require numpy>=2, unsatisfiable")
    if release == "7.7":
        sys.exit("error: Because jax==7.7 depends on jaxlib==7.7 and jaxlib==7.7 was yanked")
    if release == "0.4.1":
        sys.exit("error: Because only jaxlib>=0.4.13 is available and you require jaxlib<=0.4.1")
    if release == "5.6rc1":
        sys.exit("error: there is no version of jax==5.6rc1 and you require jax==5.6rc1")
    if release == "5.5":
        sys.exit("error: there is no version of jax==5.5 and you require jax==5.5")
    if release == "9.9" and words[words.index("--python") + 1] == sys.executable:
        sys.exit("error: jax==9.9 has no wheels with a matching Python version tag")
    kept = [line for line in output.read_text().splitlines() if line]
    numpy = next((line for line in kept if line.startswith("numpy")), f"numpy=={release}")
    output.write_text(f"jax=={release}\n{numpy}\n")


def make_environment(words: list[str]) -> None:
    """Make the folder of an environment that holds nothing yet."""
    (Path(words[-1]) / "bin").mkdir(parents=True)


def install(words: list[str]) -> None:
    """Install the release: a program that calls the present Python with its flag.

    A library goes into a folder of its own, where nothing need be: this Python has it.
    """
    if "--target" in words:
        Path(words[words.index("--target") + 1]).mkdir(parents=True)
        return
    python = Path(words[words.index("--python") + 1])
    pins = Path(words[words.index("--requirements") + 1]).read_text()
    release = pinned(pins)
    line = {**PYTHON_OF, **UNLISTED}[release].format(python=os.environ["FAKE_UV_PYTHON"])
    python.write_text(f"#!/bin/sh\n{line}\n")
    python.chmod(0o755)


COMMANDS = {
    "run": list_versions,
    "pip compile": compile_pins,
    "venv": make_environment,
    "pip install": install,
}

if __name__ == "__main__":
    main(sys.argv[1:])
