"""Each name of the program in docs/glossary.md is there."""

from __future__ import annotations

import importlib
import importlib.util
import re

import pytest

from tests import ROOT

TEXT = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
ROWS = [line.strip("| ").split(" | ") for line in TEXT.splitlines() if line.startswith("| ")][2:]
NAMES = sorted({name for row in ROWS for name in re.findall(r"`([\w.]+)`", row[2])})


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_the_glossary_is_one_of_the_program(name: str) -> None:
    full = f"conformance.{name}"
    module, _, attribute = full.rpartition(".")

    is_module = re.search(r"\.[A-Z]", full) is None and _has_module(full)

    assert is_module or hasattr(importlib.import_module(module), attribute)


def _has_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def test_a_word_has_one_meaning() -> None:
    words = [row[0] for row in ROWS]

    assert len(set(words)) == len(words)
    assert all(len(row) == 3 for row in ROWS)
