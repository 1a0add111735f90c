"""What the checks say, in the order of its weight, and the command that puts a yardstick right."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.cases import catalogue
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


def test_what_a_module_registers_is_imported_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """No command knows it otherwise; the shipped set is no place for its goldens.

    And it is recorded in the tier that was run: the default one takes minutes.
    """
    monkeypatch.setattr(catalogue, "_REGISTERED", [])
    catalogue.register("mine", lambda: lambda *_: None)
    remedy = Remedy(yardstick=Yardstick.GOLDEN, initializer="mine", tier="quick")

    told = way_out(remedy, "")

    assert told == (
        f'record another with `python -c "import {__name__}, conformance.__main__" goldens stage '
        "--initializer mine --tier quick --golden my_golden --reason '...'`, and review what it "
        "stages"
    )
