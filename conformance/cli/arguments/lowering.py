"""What `conformance lowering` takes."""

from __future__ import annotations

import argparse

from conformance.cli.arguments.forms import add_form_options
from conformance.core.paths import LOWERING


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the golden set, and what it takes to change it."""
    parser.add_argument(
        "--golden", default=None, metavar="DIR", help="golden set (default: the shipped one)"
    )
    parser.add_argument(
        "--accept", action="store_true", help=f"store today's fingerprints in DIR/{LOWERING}"
    )
    parser.add_argument("--reason", default="", help="why they are right; kept with them")
    add_form_options(parser, "json")
