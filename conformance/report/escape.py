"""Text that came from elsewhere, shown where some of it would be a command: it stays text.

Names of devices and initializers, exceptions and processors stand in recordings that anybody may
have made. A terminal obeys escape sequences, Markdown loads images, spreadsheets compute formulas.
"""

from __future__ import annotations

import re

_CONTROLS = re.compile(
    r"[^\S \n\t]|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters but for the line's end and the tab; those that turn the direction of text
(Boucher & Anderson, Trojan Source, USENIX Security 2023); halves of one, which no file can hold."""

_MARKUP = re.compile(r"([\\`*\[\]|~!])")

_LINK = re.compile(r"(:)(?=//)|(?<=\bwww)(\.)|(@)(?=\w)")
"""What makes a link or calls a person without any markup: GitHub Flavored Markdown, 6.9."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
"""What begins a formula (OWASP, CSV Injection), and the mark that is put before one."""


def printable(text: str) -> str:
    r"""Return the text with each control character as its escape, `\x1b`."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def markdown_cell(text: str) -> str:
    """Return the text as one line that Markdown shows as it is: no tag, link, image or emphasis."""
    import html  # here, since help has nothing to do with its table of entities

    line = html.escape(" ".join(printable(text).split()), quote=False)
    return _LINK.sub(lambda found: f"&#{ord(found[0])};", _MARKUP.sub(r"\\\1", line))


_ESCAPED = "'\\"
"""Begins a text in which control characters, and backslashes, are escapes. No formula begins so."""

_ESCAPE = re.compile(r"\\(?:\\|[nrt]|x[0-9a-f]{2}|u[0-9a-f]{4})")


def csv_text(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula, nor a terminal for a command.

    `from_csv_text` returns what it was.
    """
    if _CONTROLS.search(text):
        return _ESCAPED + printable(text.replace("\\", r"\\"))
    return f"'{text}" if text.startswith(_FORMULA) else text


def from_csv_text(text: str) -> str:
    """Return the text that `csv_text` was given."""
    if text.startswith(_ESCAPED):
        return _ESCAPE.sub(
            lambda found: found[0].encode("ascii").decode("unicode_escape"),
            text.removeprefix(_ESCAPED),
        )
    return text[1:] if text.startswith("'") else text
