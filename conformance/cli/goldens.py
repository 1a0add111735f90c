"""`conformance goldens`: what it takes, and the commands that only read."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

from conformance import options
from conformance.cli.main import INFRASTRUCTURE, OK, USAGE
from conformance.golden import textconv

SCOPE = ("initializer", "dtype", "shape", "seed", "prng")
"""Options that narrow what is staged."""

COMMANDS = {
    "stage": "record a scope and put it beside the set for review",
    "review": "show what accepting would change, by class of drift",
    "accept": "merge what is pending into the set",
    "reject": "drop what is pending",
    "pending": "say what is pending",
    "prune": "remove what no tier asks for any more",
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
    _add_stage_arguments(commands.choices["stage"])
    commands.choices["accept"].add_argument(
        "--overlay", metavar="BACKEND", help="accept into the overlay of this backend, from --from"
    )
    commands.choices["accept"].add_argument(
        "--from", dest="recording", type=Path, metavar="RECORDING", help="recording for --overlay"
    )
    for name in ("accept", "prune"):
        commands.choices[name].add_argument("--reason", default="", help="why; kept for ever")
    commands.choices["textconv"].add_argument("file", type=Path, help="a .safetensors shard")


def _add_stage_arguments(command: argparse.ArgumentParser) -> None:
    for name in SCOPE:
        text = options.LIST_OPTIONS[name]
        command.add_argument(f"--{name}", action="append", default=[], help=text)
    command.add_argument("--all", action="store_true", help="every problem of the tier")
    command.add_argument("--tier", default=None, help="quick, standard (default) or full")
    command.set_defaults(transform=[], backend=[], shard="1/1")
    command.add_argument("--reason", default="", help="why the goldens change; kept for ever")
    command.add_argument(
        "--from",
        dest="recording",
        type=Path,
        metavar="RECORDING",
        help="stage this recording, instead of recording here and now",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand that was chosen."""
    match arguments.goldens_command:
        case "verify":
            return _verify(options.golden_folder(arguments.golden))
        case "textconv":
            sys.stdout.write(textconv(arguments.file))
            return OK
        case "install-textconv":
            return _install_textconv()
        case name:
            from conformance.cli import golden_changes  # imports SciPy; git calls textconv often

            return golden_changes.CHANGES[name](arguments)


def _verify(folder: Path) -> int:
    from conformance.builtin import load_catalogue
    from conformance.verification import verify_set

    found = verify_set(folder, load_catalogue())
    for fault in found.faults:
        print(fault, file=sys.stderr)
    if found.faults:
        print(f"{folder}: {len(found.faults)} faults", file=sys.stderr)
        return INFRASTRUCTURE
    held = ", ".join(f"{count} {what}" for what, count in found.held.items())
    print(f"{folder}: all is as it was stored: {held}")
    if found.absent:
        print(f"{folder} has no {', '.join(found.absent)}")
    return OK


def _install_textconv() -> int:
    """Tell the git repository of the working folder how to show shards; see .gitattributes."""
    program = shlex.quote(str(Path(sysconfig.get_path("scripts")) / "conformance"))
    for name, value in (
        ("textconv", f"{program} goldens textconv"),
        ("xfuncname", "^([^ ].*)$"),
        ("cachetextconv", "true"),
    ):
        command = ["git", "config", f"diff.safetensors.{name}", value]
        done = subprocess.run(command, check=False)  # noqa: S603  # nothing comes from outside
        if done.returncode:
            print("call this within the clone whose git diff is meant", file=sys.stderr)
            return USAGE
    print("git diff now shows golden shards as text in this clone")
    return OK
