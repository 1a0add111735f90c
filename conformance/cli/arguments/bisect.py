"""What `conformance bisect` takes."""

from __future__ import annotations

import argparse
from pathlib import Path

from conformance.cli.arguments.forms import add_form_options
from conformance.cli.arguments.gate import add_asked_arguments, add_release_arguments
from conformance.core.drift_class import DriftClass
from conformance.run import declared


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the releases, what is looked at, and what counts as a change."""
    add_release_arguments(parser)
    add_asked_arguments(parser)
    parser.add_argument(
        "--case", action="append", default=[], metavar="ID", help="look at this case"
    )
    parser.add_argument("--all", action="store_true", help="find every change, not the first")
    parser.add_argument(
        "--class",
        dest="at_least",
        default=DriftClass.ROUNDING.value,
        choices=[name.value for name in DriftClass][1:],
        help="smallest class that counts as a change (default: rounding)",
    )
    parser.add_argument(
        "--changelog", type=Path, metavar="FILE", help="JAX's CHANGELOG.md, to quote from"
    )
    add_form_options(parser, "json")
    declared.add_folder_option(parser.add_argument)
