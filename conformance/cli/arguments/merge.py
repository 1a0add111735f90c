"""What `conformance merge` takes."""

from __future__ import annotations

import argparse
from pathlib import Path

from conformance.cli.arguments.forms import add_form_options
from conformance.run import declared


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is merged, what is expected, what judges it and what is written."""
    parser.add_argument(
        "folders",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="a recording, a run's reports, or a folder that holds the shards of one machine",
    )
    parser.add_argument(
        "--tier", help="every place must have all cases of this tier (default: what any place has)"
    )
    declared.add_judging_options(parser.add_argument)
    parser.add_argument(
        "--mixed", action="store_true", help="take verdicts by different goldens, ledgers, policies"
    )
    add_form_options(parser, "json", "markdown")
    declared.add_folder_option(parser.add_argument)
