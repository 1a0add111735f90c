"""The forms, beside text, in which a command tells what it found."""

from __future__ import annotations

import argparse

STDOUT = "-"
"""The name of a file that stands for standard output."""


def add_form_options(parser: argparse.ArgumentParser, *forms: str) -> None:
    """Declare in which forms, beside text, a command tells all that it found."""
    for form in forms:
        text = f"write all of it as {form} to FILE; `{STDOUT}` prints that instead of the text"
        parser.add_argument(f"--{form}", metavar="FILE", help=text)
