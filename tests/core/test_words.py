"""A number and its noun agree."""

from __future__ import annotations

import re

import pytest

from conformance.core.paths import PACKAGE
from conformance.core.words import counted


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((0, "case"), "0 cases"),
        ((1, "case"), "1 case"),
        ((2, "case"), "2 cases"),
        ((1, "entry", "entries"), "1 entry"),
        ((2, "entry", "entries"), "2 entries"),
    ],
)
def test_one_is_singular(words: tuple[int, str], expected: str) -> None:
    assert counted(*words) == expected


COUNTED = re.compile(
    r"\{len\([^}]*\)\} (cases|faults|problems|parameters|programs|places|results)\b"
    r"|\{len\([^}]*\)\} (releases|goldens|rows)\b"
)
"""What a message must not write: it would say `1 cases`."""


def test_every_message_counts_by_the_one_helper() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)}: {found[0]}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for found in COUNTED.finditer(path.read_text(encoding="utf-8"))
    ]

    assert not wrong
