"""What `conformance cache` takes."""

from __future__ import annotations

import argparse

from conformance.cli.arguments.forms import add_form_options
from conformance.core.paths import CACHE_KINDS
from conformance.run.declared import whole

DAYS = 30
"""An entry that was of no use for so long goes, unless another number is asked for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to do, with which kinds, and how old they must be."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="show each entry, its size and when it was of use")
    pruning = actions.add_parser("prune", help="remove what was of no use for long")
    for action in (listing, pruning):
        action.add_argument(
            "--kind", action="append", default=[], help=f"of {', '.join(CACHE_KINDS)}; repeat it"
        )
    add_form_options(listing, "json")
    pruning.add_argument(
        "--older-than", type=whole, default=DAYS, metavar="DAYS", help=f"default: {DAYS}; 0: all"
    )
