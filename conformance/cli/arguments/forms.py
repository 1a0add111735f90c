"""The forms, beside text, in which a command tells what it found."""

from __future__ import annotations

import argparse

STDOUT = "-"
"""The name of a file that stands for standard output."""

SPELT = {"json": "JSON", "markdown": "Markdown"}


def add_form_options(parser: argparse.ArgumentParser, *forms: str) -> None:
    """Declare in which forms, beside text, a command tells all that it found."""
    for form in forms:
        spelt = SPELT[form]
        text = f"write all of it as {spelt} to FILE; `{STDOUT}` prints that instead of the text"
        parser.add_argument(f"--{form}", metavar="FILE", help=text)
