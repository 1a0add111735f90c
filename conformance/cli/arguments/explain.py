"""What `conformance explain` takes."""

from __future__ import annotations

import argparse

from conformance.cli.arguments.forms import add_form_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the case and the output."""
    parser.add_argument("case", metavar="CASE", help="case id, as `conformance list` prints it")
    add_form_options(parser, "json")
