"""The pictures of the documents are of the faults that they name."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest
import screenshots

from conformance.suite.faults import FAULTS
from tests import ROOT


def test_what_is_planted_is_known_and_told_in_the_document() -> None:
    told = (ROOT / "docs" / "page.md").read_text(encoding="utf-8")
    bases = {fault.name: fault.base for fault in FAULTS}

    assert {bases[name] for name in screenshots.PLANTED} == {
        "he_normal",
        "lecun_uniform",
        "glorot_normal",
    }
    assert all(bases[name] in told for name in screenshots.PLANTED)


def test_a_planted_initializer_is_wrong_wherever_it_is_public(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    namespaces = [types.ModuleType(name) for name in ("first", "second")]
    for each in namespaces:
        each.he_normal = lambda: lambda *_: 1.0  # type: ignore[attr-defined]  # a stand-in of ours
        monkeypatch.setitem(sys.modules, each.__name__, each)
    monkeypatch.setattr(screenshots, "NAMESPACES", ("first", "second"))
    fault = next(fault for fault in FAULTS if fault.base == "he_normal")
    monkeypatch.setattr(type(fault), "build", lambda _, right: lambda *words: 2 * right(*words))

    screenshots.plant(fault)

    made: list[Any] = [each.he_normal()(0, (), "float32") for each in namespaces]
    assert made == [2.0, 2.0]


def test_a_run_that_does_not_end_as_it_was_planted_makes_no_picture(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(screenshots, "conformance", lambda _: 1)

    with pytest.raises(SystemExit, match="law ended with 1, planted: nothing"):
        screenshots.page_of(tmp_path, ["law"])
