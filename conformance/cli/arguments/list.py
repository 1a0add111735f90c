"""What `conformance list` takes."""

from __future__ import annotations

import argparse

from conformance.cli.arguments.forms import add_form_options
from conformance.run import declared

KINDS = {
    "cases": "case ids (default), as `conformance run` takes them",
    "problems": "problem ids: what goldens are kept for",
    "initializers": "name, family, smallest tier and definition, between tabs",
    "backends": "backends by name: what `auto` makes of each, who brings it, what installs it",
}
"""What can be listed, and what a line of it says."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is listed, and the selection."""
    parser.description = (
        "List what a selection holds, one a line. Lists cases on the CPU unless --backend says "
        "otherwise, whatever devices are present; never starts JAX."
    )
    kind = parser.add_mutually_exclusive_group()
    for name, text in KINDS.items():
        kind.add_argument(f"--{name}", dest="kind", action="store_const", const=name, help=text)
    declared.add_selection_options(parser.add_argument)
    add_form_options(parser, "json")
