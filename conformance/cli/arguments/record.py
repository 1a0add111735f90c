"""What `conformance record` takes."""

from __future__ import annotations

import argparse
from pathlib import Path

from conformance.run import declared


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the selection and where the recording goes."""
    parser.add_argument("cases", nargs="*", metavar="CASE", help="case ids, instead of a selection")
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="new folder to record into", type=Path
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with the recording of DIR that was killed"
    )
    parser.add_argument(
        "--finish",
        nargs="+",
        default=[],
        type=Path,
        metavar="PATH",
        help="record nothing: make the recording of DIR of what journals of killed ones hold, or "
        "of the parts that a folder holds of a pod",
    )
    parser.add_argument(
        "--coordinator",
        metavar="HOST:PORT",
        help="record what this process of a pod holds of sharded arrays; process 0 listens there",
    )
    parser.add_argument(
        "--process", metavar="I/N", help="with --coordinator: which process this is, from 0/N on"
    )
    parser.add_argument(
        "--whole", action="store_true", help="store all elements, however large an array is"
    )
    declared.add_selection_options(parser.add_argument)
    declared.add_worker_options(parser.add_argument)
