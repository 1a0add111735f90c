"""What `conformance run` takes."""

from __future__ import annotations

import argparse
from pathlib import Path

from conformance.cli.arguments.forms import add_form_options
from conformance.run import declared


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the cases, the selection, what judges them and what is written."""
    parser.add_argument("cases", nargs="*", metavar="CASE", help="case ids, instead of a selection")
    parser.add_argument(
        "--recording",
        type=Path,
        metavar="DIR",
        help="judge this recording, made anywhere, instead of running here",
    )
    parser.add_argument(
        "--fleet",
        metavar="ADDRESS",
        help="run on this Ray cluster (`auto`: the one that this node belongs to)",
    )
    parser.add_argument(
        "--fleet-timeout",
        type=declared.seconds,
        default=600.0,
        metavar="S",
        help="seconds for one attempt at one compile group (default: 600)",
    )
    parser.add_argument(
        "--resume",
        type=Path,
        metavar="DIR",
        help="go on with the run in DIR, reports/<run>, as it was begun: it takes no selection",
    )
    declared.add_selection_options(parser.add_argument)
    declared.add_judging_options(parser.add_argument)
    declared.add_fast_option(parser.add_argument)
    declared.add_report_options(parser.add_argument)
    declared.add_worker_options(parser.add_argument)
    declared.add_workers_option(parser.add_argument)
    add_form_options(parser, "json")
