"""What `conformance audit` takes."""

from __future__ import annotations

import argparse

from conformance.cli.arguments.forms import add_form_options
from conformance.run import declared


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the target and how to show the result."""
    parser.add_argument(
        "target",
        metavar="PACKAGE.MODULE:FUNCTION",
        help="function that returns (linen module, inputs ...), an nnx module, or a parameter tree",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the root key (default: 0)")
    parser.add_argument(
        "--abstract",
        action="store_true",
        help="run nothing: shapes, dtypes and possible key collisions of a model that does not fit",
    )
    add_form_options(parser, "json")
    declared.add_folder_option(parser.add_argument)
