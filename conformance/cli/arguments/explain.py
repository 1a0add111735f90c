"""What `conformance explain` takes."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the case."""
    parser.add_argument("case", metavar="CASE", help="case id, as `conformance list` prints it")
