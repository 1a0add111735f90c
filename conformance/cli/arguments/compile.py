"""What `conformance compile` takes."""

from __future__ import annotations

import argparse
from pathlib import Path

from conformance.cli.arguments.forms import add_form_options
from conformance.core.paths import COMPILED
from conformance.run import declared

DEFAULTS = {"cuda": "h100", "tpu": "v5e:1x1"}
"""The device of each platform that is compiled for unless another one is named."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the targets, the selection and what is made of the programs."""
    parser.add_argument("--platform", required=True, choices=DEFAULTS)
    parser.add_argument("--target", help=f"cuda: the device, by name (default: {DEFAULTS['cuda']})")
    parser.add_argument(
        "--topology", help="tpu: topologies, comma-separated, as in v5e:1x1,v4:1x1x1 (v5e:1x1)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="store PTX and HLO in DIR")
    parser.add_argument(
        "--predict",
        action="store_true",
        help="cuda: emulate the PTX of the selected cases, and show how the device's bits lie to "
        "the CPU's and the oracle's",
    )
    parser.add_argument(
        "--record", type=Path, metavar="DIR", help="cuda: predict, and store that in the new DIR"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with the predictions of DIR that were killed"
    )
    parser.add_argument(
        "--golden", default=None, metavar="DIR", help="golden set (default: the shipped one)"
    )
    parser.add_argument(
        "--accept",
        action="store_true",
        help=f"store these programs in DIR/{COMPILED}, instead of comparing with it",
    )
    parser.add_argument("--reason", default="", help="why they are right; kept with them")
    declared.add_selection_options(parser.add_argument)
    add_form_options(parser, "json")


def targets(arguments: argparse.Namespace) -> list[str]:
    """Return the devices that are compiled for, by name."""
    text = arguments.target if arguments.platform == "cuda" else arguments.topology
    return [name.strip() for name in (text or DEFAULTS[arguments.platform]).split(",")]
