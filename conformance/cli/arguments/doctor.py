"""What `conformance doctor` takes."""

from __future__ import annotations

import argparse

from conformance.cli.arguments.forms import add_form_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the golden set whose environment this one is compared with."""
    parser.add_argument(
        "--golden", default=None, metavar="DIR", help="golden set (default: the shipped one)"
    )
    add_form_options(parser, "json")
