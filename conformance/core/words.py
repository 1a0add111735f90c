"""Numbers with their nouns, as messages say them."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return `1 case` or `2 cases`. plural: of a noun that does not form it by an s."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
