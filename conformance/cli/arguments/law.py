"""What `conformance law` takes."""

from __future__ import annotations

import argparse

from conformance.cli.arguments.forms import add_form_options
from conformance.core.paths import BUDGETS
from conformance.run import declared

SCOPE = ("initializer", "dtype", "transform", "backend")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the selection, the budgets and the form of the table."""
    for name in SCOPE:
        text = declared.LIST_OPTIONS[name]
        parser.add_argument(
            f"--{name}", action="append", default=[], metavar=name.upper(), help=text
        )
    parser.add_argument("--tier", default=None, help="quick, standard (default) or full")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument(
        "--golden",
        default=None,
        metavar="DIR",
        help="golden set with the budgets (default: shipped)",
    )
    declared.add_overlay_option(parser.add_argument)
    parser.add_argument("--ledger", default=None, metavar="FILE", help="known limitations")
    parser.add_argument(
        "--write-budgets",
        action="store_true",
        help=f"store the worst errors in {BUDGETS} of the last overlay, or of the golden set",
    )
    parser.add_argument("--reason", default="", help="why a budget may grow; kept with it")
    declared.add_worker_options(parser.add_argument)
    add_form_options(parser, "json")
    declared.add_folder_option(parser.add_argument)
