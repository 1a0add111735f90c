"""What the checks say, in the order of its weight, and the command that puts a yardstick right."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.core.paths import golden_option
from conformance.core.records import Remedy, Yardstick
from conformance.report.messages import way_out


@pytest.mark.parametrize(
    ("remedy", "expected"),
    [
        (
            Remedy(yardstick=Yardstick.GOLDEN, initializer="mine", tier="standard"),
            "record another with `conformance goldens stage --initializer mine --golden sets/mine "
            "--reason '...'`, and review what it stages",
        ),
        (
            Remedy(yardstick=Yardstick.GOLDEN, initializer="mine", tier="full"),
            "record another with `conformance goldens stage --initializer mine --tier full "
            "--golden sets/mine --reason '...'`, and review what it stages",
        ),
        (
            Remedy(yardstick=Yardstick.BUDGET, initializer="mine", dtype="float16", backend="cpu"),
            "measure it with `conformance law --initializer mine --dtype float16 --backend cpu "
            "--golden sets/mine --write-budgets`",
        ),
    ],
    ids=["golden", "golden of the full tier", "budget"],
)
def test_a_way_out_names_the_set_that_judged(remedy: Remedy, expected: str) -> None:
    assert way_out(remedy, golden_option(Path("sets/mine"))) == expected
