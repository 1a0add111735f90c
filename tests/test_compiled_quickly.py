"""What this process compiles quickly has the bits of what any other compiles as ever."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from typing import Any, cast

import pytest

from conformance.core.settings import OPTIMIZATION_FLAG
from tests import ROOT, draws
from tests.conftest import is_asked

USUAL = 3
"""The level of a process that asks for none. Said aloud, it keeps the child from our programs."""


def test_a_draw_that_is_compiled_quickly_has_the_bits_of_one_that_is_not() -> None:
    child = subprocess.run(  # noqa: S603  # ours
        [sys.executable, draws.__file__],
        env=os.environ | {"XLA_FLAGS": f"{os.environ['XLA_FLAGS']} {OPTIMIZATION_FLAG}={USUAL}"},
        capture_output=True,
        check=True,
        text=True,
    )

    assert child.stdout.split() == list(draws.digests())


def test_no_child_and_no_record_sees_how_this_process_compiles() -> None:
    assert OPTIMIZATION_FLAG not in os.environ["XLA_FLAGS"]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["conformance"], False),
        (["conformance.suite.test_initializers"], False),
        (["conformance/suite/test_initializers.py::test_case[zeros]"], False),
        (["tests"], True),
        (["conformance", "tests/core/test_ulp.py::test_it"], True),
        (["."], True),
        ([str(ROOT / "tests" / "core")], True),
    ],
    ids=str,
)
def test_a_run_of_the_harness_itself_is_left_as_it_is(args: list[str], expected: bool) -> None:
    invoked = types.SimpleNamespace(dir=ROOT)
    config = cast(Any, types.SimpleNamespace(args=args, invocation_params=invoked))

    assert is_asked(config) is expected
