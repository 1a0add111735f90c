"""Text that came from elsewhere, shown where some of it would be a command: it stays text.

Names of devices and initializers, exceptions and processors stand in recordings that anybody may
have made. A terminal obeys escape sequences, Markdown loads images, spreadsheets compute formulas.
"""

from __future__ import annotations

import html
import re

_CONTROLS = re.compile(r"[^\S \n\t]|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters but for the line's end and the tab, and those that turn the direction of text:
Boucher & Anderson, Trojan Source, USENIX Security 2023."""

_MARKUP = re.compile(r"([\\`*\[\]|~!])")

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
"""What begins a formula (OWASP, CSV Injection), and the mark that is put before one."""


def printable(text: str) -> str:
    r"""Return the text with each control character as its escape, `\x1b`."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def markdown_cell(text: str) -> str:
    """Return the text as one line that Markdown shows as it is: no tag, link, image or emphasis."""
    line = html.escape(" ".join(printable(text).split()), quote=False)
    return _MARKUP.sub(r"\\\1", line)


def csv_text(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula; see `from_csv_text`."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def from_csv_text(text: str) -> str:
    """Return the text that `csv_text` was given."""
    return text[1:] if text.startswith("'") else text
