"""Which faults there are, and what a broken or mistaken one costs."""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint

import pytest

from conformance.core import installation
from conformance.core.errors import CatalogueError, SelectionError
from conformance.judge.rules import NAMES
from conformance.planted.fault import BEYOND, Fault
from conformance.planted.known import ENTRY_POINT_GROUP, chosen, known_faults
from conformance.suite.faults import EVERY
from conformance.suite.faults.fault import scaled

MINE = (Fault(name="mine", base="normal", wrong=scaled(2.0), caught_by="oracle"),)
NO_FAULTS = ("no fault",)
TAKEN = (Fault(name="all_nan", base="normal", wrong=scaled(2.0), caught_by="oracle"),)


def bring(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Install a distribution, as it were, that brings a sequence of this module."""
    brought = EntryPoint(name="acme", value=f"{__name__}:{name}", group=ENTRY_POINT_GROUP)
    monkeypatch.setattr(installation, "entry_points", lambda group: [brought])  # noqa: ARG005


def test_there_are_many_of_all_kinds_and_each_claims_a_check_that_there_is() -> None:
    faults = known_faults()

    assert faults == EVERY
    assert len(faults) >= 150
    assert {fault.caught_by for fault in faults} == {*NAMES, *BEYOND}
    assert all(fault.kind for fault in faults)
    asked = [fault for fault in faults if isinstance(fault, Fault)]
    assert all((fault.drift is None) == fault.is_swept for fault in asked)


def test_an_entry_point_brings_more(monkeypatch: pytest.MonkeyPatch) -> None:
    bring(monkeypatch, "MINE")

    assert known_faults() == (*EVERY, *MINE)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "MISSING",
            f"entry point acme = {__name__}:MISSING of conformance.faults cannot be read "
            "(AttributeError: ",
        ),
        ("NO_FAULTS", "holds 'no fault', which is no Fault: mend that distribution, or uninstall"),
        ("TAKEN", "two faults are called 'all_nan', the second in "),
    ],
)
def test_a_broken_entry_point_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    bring(monkeypatch, name)

    with pytest.raises(CatalogueError, match=re.escape(message)):
        known_faults()


def test_faults_are_chosen_by_name_or_kind() -> None:
    found = chosen(EVERY, ["minus_*", "calls"])

    assert {fault.kind for fault in found} == {"calls", "constants"}
    assert "minus_zero" in {fault.name for fault in found}
    assert chosen(EVERY, []) == EVERY


def test_a_pattern_that_fits_nothing_is_refused_with_the_nearest() -> None:
    with pytest.raises(SelectionError, match="fault 'variance_dubled' is unknown: did you mean "):
        chosen(EVERY, ["all_nan", "variance_dubled"])
