"""How the process of a command ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

from conformance.core.ending import TELLS_WHAT_IS_LEFT

ENDS = """
import atexit, gc, sys, types
atexit.register(lambda: print(gc.get_freeze_count() > 1000))  # what is registered first comes last
from conformance.cli import main
sys.modules[sys.argv[1]] = types.ModuleType("imported")
main(["cache", "--help"])
"""


@pytest.mark.usefixtures("cold_python")
@pytest.mark.parametrize(("imported", "is_spared"), [("jax", True), (TELLS_WHAT_IS_LEFT, False)])
def test_garbage_is_not_looked_for_in_what_a_command_imported(
    imported: str, is_spared: bool
) -> None:
    """With JAX it takes a fifth of the CPU of a small run; but IREE would tell of what is left."""
    command = [sys.executable, "-c", ENDS, imported]

    ended = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  # ours

    assert ended.stdout.endswith(f"{is_spared}\n")
