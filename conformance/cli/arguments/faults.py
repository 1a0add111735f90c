"""What `conformance faults` takes."""

from __future__ import annotations

import argparse

from conformance.cli.arguments.forms import add_form_options
from conformance.run import declared


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which faults, how they run, and the forms of the table."""
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="PATTERN",
        help="faults by name or kind, as in 'rbg_*' or law; may be given more than once",
    )
    declared.add_workers_option(parser.add_argument)
    declared.add_worker_options(parser.add_argument)
    add_form_options(parser, "json", "markdown")
    declared.add_folder_option(parser.add_argument)
