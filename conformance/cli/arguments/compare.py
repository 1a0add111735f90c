"""What `conformance compare` takes."""

from __future__ import annotations

import argparse
from pathlib import Path

from conformance.cli.arguments.forms import add_form_options
from conformance.core.drift_class import DriftClass
from conformance.run import declared


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the two sides, the policy and the outputs."""
    parser.add_argument("before", type=Path, help="recording or golden set to compare with")
    parser.add_argument("after", type=Path, help="recording or golden set that is compared")
    add_verdict_arguments(parser)


def add_verdict_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the policy and the outputs, which `gate` takes too."""
    parser.add_argument(
        "--max-drift",
        choices=[name.value for name in DriftClass],
        help="worst class that passes (default: the policy's, else rounding)",
    )
    parser.add_argument(
        "--policy",
        type=Path,
        metavar="FILE",
        help="TOML file with [tool.conformance] (default: ./pyproject.toml, if it has that)",
    )
    add_form_options(parser, "json", "markdown")
    for name in ("csv", "parquet"):
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help="write every case to FILE")
    declared.add_folder_option(parser.add_argument)
