"""What `conformance history` takes."""

from __future__ import annotations

import argparse
from pathlib import Path

from conformance.cli.arguments.forms import add_form_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the folder of runs and the output."""
    parser.add_argument("reports", type=Path, help="the folder that `--reports` named")
    add_form_options(parser, "json")
    text = "also write a page that shows the classes run by run"
    parser.add_argument("--page", type=Path, metavar="FILE", help=text)
