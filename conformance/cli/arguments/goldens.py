"""What `conformance goldens` takes."""

from __future__ import annotations

import argparse
from pathlib import Path

from conformance.cli.arguments.forms import add_form_options
from conformance.run import declared

SCOPE = ("initializer", "dtype", "shape", "seed", "key", "prng")
"""Options that narrow what is staged."""

COMMANDS = {
    "stage": "record a scope and put it beside the set for review",
    "review": "show what accepting would change, by class of drift",
    "accept": "merge what is pending into the set",
    "reject": "drop what is pending",
    "pending": "say what is pending",
    "prune": "remove what no tier and no layer asks for any more",
    "verify": "check all that the set holds",
    "textconv": "print a shard as text, for git diff",
    "install-textconv": "make git diff show shards as text in this clone",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands."""
    commands = parser.add_subparsers(dest="goldens_command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        if name in ("textconv", "install-textconv"):
            continue
        command.add_argument(
            "--golden", default=None, metavar="DIR", help="golden set (default: the shipped one)"
        )
        command.add_argument(
            "--overlay",
            action="append",
            default=[],
            metavar="DIR",
            help="golden set that lies on that one; may be repeated: the last one is changed",
        )
    _add_stage_arguments(commands.choices["stage"])
    commands.choices["accept"].add_argument(
        "--from",
        dest="recording",
        type=Path,
        metavar="RECORDING",
        help="stage and accept in one step what this recording holds of --backend",
    )
    for name in ("stage", "accept"):
        commands.choices[name].add_argument(
            "--backend", dest="maker", help="whose answers they are (default: those of the cpu)"
        )
        commands.choices[name].add_argument(
            "--release", default="", help="of JAX, as in 0.10: they count under it alone"
        )
    for name in ("review", "accept", "reject"):
        commands.choices[name].add_argument(
            "patterns",
            nargs="*",
            metavar="PATTERN",
            help="only pending goldens whose id matches, as in 'lecun_*-bfloat16-*'; the others "
            "stay pending (default: all)",
        )
    review_options = commands.choices["review"].add_argument
    review_options(
        "--interactive",
        action="store_true",
        help="show one kind of change after the other, and ask whether to accept it",
    )
    add_form_options(commands.choices["review"], "json")
    declared.add_folder_option(review_options)
    commands.choices["verify"].add_argument(
        "--judge",
        action="store_true",
        help="also hold every golden to its definition, and no two keys to one array (minutes)",
    )
    for name in ("accept", "prune"):
        commands.choices[name].add_argument("--reason", default="", help="why; kept for ever")
    commands.choices["textconv"].add_argument("file", type=Path, help="a .safetensors shard")


def _add_stage_arguments(command: argparse.ArgumentParser) -> None:
    for name in SCOPE:
        text = declared.LIST_OPTIONS[name]
        command.add_argument(f"--{name}", action="append", default=[], help=text)
    command.add_argument("--all", action="store_true", help="every problem of the tier")
    command.add_argument(
        "--layer",
        action="append",
        default=[],
        help="names or glob patterns of Flax's layers, whose parameters are staged instead; "
        "--dtype then names what they are asked for",
    )
    command.add_argument("--tier", default=None, help="quick, standard (default) or full")
    command.set_defaults(transform=[], backend=[], shard="1/1")
    declared.add_worker_options(command.add_argument)
    command.add_argument("--reason", default="", help="why the goldens change; kept for ever")
    command.add_argument(
        "--from",
        dest="recording",
        type=Path,
        metavar="RECORDING",
        help="stage this recording, instead of recording here and now",
    )
