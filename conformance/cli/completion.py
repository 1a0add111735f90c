"""`conformance completion SHELL`: a script that completes commands, options and some values.

All is in the script, which shtab writes from the parsers: nothing of this program runs while
somebody types.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from conformance.cases.backends import installed
from conformance.cases.builtin import builtin_specs
from conformance.cli.main import COMMANDS, program
from conformance.core.errors import ExitCode, PackageBroken
from conformance.core.formats import DTYPES
from conformance.core.ids import PRNGS, TRANSFORMS, Tier
from conformance.run.declared import AUTO

FOLDERS, FILES = {"DIR"}, {"FILE", "RECORDING"}
"""What the values of options that are paths are called in help."""


def run(arguments: argparse.Namespace) -> int:
    """Print the script.

    Raises:
        PackageBroken: shtab is not installed.
    """
    try:
        import shtab
    except ModuleNotFoundError as error:
        raise PackageBroken(
            "completion needs shtab, which is not installed: pip install shtab"
        ) from error
    parser, _ = program(COMMANDS)
    values = _values()
    for option in _options(parser):
        name = next((each.removeprefix("--") for each in option.option_strings), "")
        if name in values and option.choices is None:
            option.choices = values[name]
        elif option.metavar in FOLDERS:
            option.complete = shtab.DIRECTORY  # type: ignore[attr-defined]  # shtab looks for it
        elif option.metavar in FILES:
            option.complete = shtab.FILE  # type: ignore[attr-defined]  # the same
    sys.stdout.write(shtab.complete(parser, arguments.shell))
    return ExitCode.OK


def _values() -> dict[str, list[str]]:
    """Return the values of options that have few."""
    return {
        "initializer": sorted(spec.name for spec in builtin_specs()),
        "dtype": list(DTYPES),
        "transform": list(TRANSFORMS),
        "prng": list(PRNGS),
        "backend": [*installed().names(), AUTO],
        "tier": [tier.value for tier in Tier],
    }


def _options(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from _options(each)
        else:
            yield action
