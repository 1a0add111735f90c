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
        "--whole", action="store_true", help="store all elements, however large an array is"
    )
    declared.add_selection_options(parser.add_argument)
    declared.add_worker_options(parser.add_argument)
