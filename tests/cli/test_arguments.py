"""What each command takes: declared beside what it does, and read without what that needs."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import pytest

from conformance.cli import arguments
from conformance.cli import list as listing
from conformance.cli.arguments import compile as of_compile
from conformance.cli.arguments import list as of_list
from conformance.cli.main import COMMANDS
from conformance.predict import aot
from conformance.predict.targets import target_names

NAMES_ONLY = """
import contextlib, io, sys

from conformance.cli.main import COMMANDS, main

for words in (["--help"], *([name, "--help"] for name in COMMANDS)):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        main(words)
print(*sorted(sys.modules))
"""
"""Asks for all help there is, and prints what it took."""

HEAVY = {"asyncio", "flax", "hashlib", "html", "http", "importlib.metadata", "jax", "ml_dtypes"}
HEAVY |= {"numpy", "pandas", "pytest", "scipy", "subprocess", "urllib", "xml"}
OURS = {"conformance.cases", "conformance.core.records", "conformance.observe.worker"}


@pytest.mark.usefixtures("cold_python")
def test_help_imports_nothing_that_takes_long() -> None:
    done = subprocess.run(  # noqa: S603  # this interpreter
        [sys.executable, "-c", NAMES_ONLY], capture_output=True, text=True, check=True
    )

    taken = set(done.stdout.split())
    assert {"argparse", "conformance.cli.arguments.goldens"} <= taken
    assert taken & (HEAVY | OURS) == set()


def test_every_command_has_its_arguments_in_a_file_of_their_own() -> None:
    files = {module.name for module in pkgutil.iter_modules(arguments.__path__)} - {"forms"}

    assert files == set(COMMANDS)


def test_what_can_be_listed_is_declared() -> None:
    assert set(of_list.KINDS) == {*listing.OF_CASES, listing.BACKENDS}


def test_a_device_is_proposed_for_each_platform_that_can_be_compiled_for() -> None:
    assert list(of_compile.DEFAULTS) == list(aot.COMPILERS)
    assert of_compile.DEFAULTS["cuda"] in target_names()
