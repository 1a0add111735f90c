"""What comes from elsewhere is shown as text, whatever it would do."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.cli.output import standard_output
from conformance.report.escape import csv_text, from_csv_text, markdown_cell, printable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
        ("\x1b[2J", r"\x1b[2J"),
        ("a\rb", r"a\rb"),
        ("\u202egnp", r"\u202egnp"),
        ("two\nlines\tand a tab, \u00e4\u00f6", "two\nlines\tand a tab, \u00e4\u00f6"),
    ],
)
def test_a_terminal_obeys_nothing(text: str, expected: str) -> None:
    assert printable(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("![x](http://e.vil/x.png)", r"\!\[x\](http&#58;//e.vil/x.png)"),
        ("[x](javascript:alert(1))", r"\[x\](javascript:alert(1))"),
        ("see http://e.vil", "see http&#58;//e.vil"),
        ("www.e.vil", "www&#46;e.vil"),
        ("thanks @someone", "thanks &#64;someone"),
        ("<script>&", "&lt;script&gt;&amp;"),
        ("a | b\nc", r"a \| b c"),
        ("lecun_normal-float32-64x32-s0", "lecun_normal-float32-64x32-s0"),
    ],
)
def test_markdown_shows_what_is_there(text: str, expected: str) -> None:
    assert markdown_cell(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b]0;owned\x07", "'\\\\x1b]0;owned\\x07"),
        ("=1\x1b", "'\\=1\\x1b"),
        ("C:\\x1b \x00", "'\\C:\\\\x1b \\x00"),
    ],
)
def test_a_terminal_that_shows_csv_obeys_nothing(text: str, expected: str) -> None:
    written = csv_text(text)

    assert written == expected
    assert from_csv_text(written) == text


@pytest.mark.parametrize("text", ["=1+1", "+1", "-2", "@SUM(A1)", "'quoted", "\t=1"])
def test_a_spreadsheet_computes_nothing(text: str) -> None:
    assert csv_text(text) == f"'{text}"


@given(st.text())
def test_csv_text_reads_back(text: str) -> None:
    assert from_csv_text(csv_text(text)) == text


def test_what_a_command_prints_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    with standard_output():
        sys.stdout.write("device \x1b[31mred\n")

    assert capsys.readouterr().out == "device \\x1b[31mred\n"
