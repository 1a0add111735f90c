"""What `conformance gate` takes."""

from __future__ import annotations

import argparse

from conformance.cli.arguments.compare import add_verdict_arguments
from conformance.core.ids import Tier
from conformance.run import declared

SELECTION = ("initializer", "dtype", "shape", "seed", "key", "prng", "transform")
"""Options that narrow what is recorded."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sides, what is recorded on both, the policy and the outputs."""
    add_release_arguments(parser)
    add_asked_arguments(parser)
    add_verdict_arguments(parser)


def add_release_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the two sides and where releases come from, which `bisect` takes too."""
    sides = "a release, `current`, `latest`, a file of constraints, or wheels joined by commas"
    parser.add_argument("--from", dest="before", required=True, metavar="SIDE", help=sides)
    parser.add_argument("--to", dest="after", required=True, metavar="SIDE", help=sides)
    parser.add_argument(
        "--package", choices=("jax", "flax"), default="jax", help="what is upgraded"
    )
    parser.add_argument("--pre", action="store_true", help="take development releases too")
    parser.add_argument("--index", metavar="URL", help="another index, of nightly builds, say")


def add_asked_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is recorded: on the CPU, since that is what every release can install."""
    parser.set_defaults(backend=["cpu"])
    for name in SELECTION:
        text = declared.LIST_OPTIONS[name]
        parser.add_argument(
            f"--{name}", action="append", default=[], metavar=name.upper(), help=text
        )
    parser.add_argument(
        "--tier", default=Tier.QUICK.value, help="quick (default: minutes), standard or full"
    )
    parser.add_argument(
        "--target",
        metavar="PACKAGE.MODULE:FUNCTION",
        help="look at the parameters that this function returns, instead of initializers",
    )
    parser.add_argument(
        "--with",
        dest="extra",
        action="append",
        default=[],
        metavar="REQUIREMENT",
        help="package or folder that the target needs, installed beside every release; repeat it",
    )
    declared.add_deadline_option(parser.add_argument)
