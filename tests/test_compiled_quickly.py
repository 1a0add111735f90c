"""What this process compiles quickly has the bits of what any other compiles as ever."""

from __future__ import annotations

import os
import subprocess
import sys

from tests import draws
from tests.conftest import OPTIMIZATION

USUAL = 3
"""The level of a process that asks for none. Said aloud, it keeps the child from our programs."""


def test_a_draw_that_is_compiled_quickly_has_the_bits_of_one_that_is_not() -> None:
    child = subprocess.run(  # noqa: S603  # ours
        [sys.executable, draws.__file__],
        env=os.environ | {"XLA_FLAGS": f"{os.environ['XLA_FLAGS']} {OPTIMIZATION}={USUAL}"},
        capture_output=True,
        check=True,
        text=True,
    )

    assert child.stdout.split() == list(draws.digests())


def test_no_child_and_no_record_sees_how_this_process_compiles() -> None:
    assert OPTIMIZATION not in os.environ["XLA_FLAGS"]
