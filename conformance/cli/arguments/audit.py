"""What `conformance audit` takes."""

from __future__ import annotations

import argparse
from pathlib import Path

from conformance.cli.arguments.forms import add_form_options
from conformance.run import declared


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the target and how to show the result."""
    parser.add_argument(
        "target",
        metavar="PACKAGE.MODULE:FUNCTION",
        help="function that returns a module (linen, nnx, Equinox, Haiku) with inputs, or a tree",
    )
    parser.add_argument(
        "--seed", type=declared.whole, default=0, help="seed of the root key (default: 0)"
    )
    parser.add_argument(
        "--abstract",
        action="store_true",
        help="run nothing: what the programs say of a model that does not fit, without its values",
    )
    parser.add_argument(
        "--ledger", type=Path, metavar="FILE", help="faults that are known, as [[known]] tables"
    )
    parser.add_argument(
        "--baseline",
        type=Path,
        metavar="PATH",
        help="what --keep or --json wrote, perhaps under another JAX: tell what changed, by class",
    )
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="FOLDER",
        help="keep the audit and all values in this new folder, for a later --baseline",
    )
    add_form_options(parser, "json")
    declared.add_folder_option(parser.add_argument)
