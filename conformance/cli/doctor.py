"""`conformance doctor`: what in this environment can change numbers, and what is unusual in it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from conformance import environment, options
from conformance.backends import present_backends
from conformance.cli.main import OK
from conformance.golden import open_store
from conformance.model import Environment


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the golden set whose environment this one is compared with."""
    parser.add_argument(
        "--golden", default=None, metavar="DIR", help="golden set (default: the shipped one)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the facts, then what is unusual, then what differs from where the goldens were made."""
    here = environment.capture(present_backends())
    for title in ("packages", "devices", "host", "config"):
        print("\n".join(_section(title, getattr(here, title))))
    print("\n".join(unusual_lines(here)))
    print("\n".join(golden_lines(here, arguments.golden)))
    return OK


def unusual_lines(here: Environment) -> list[str]:
    """Return each unusual setting with its consequence."""
    found = environment.unusual(here)
    return ["unusual", *(f"  {line}" for line in found or ["nothing"])]


def golden_lines(here: Environment, golden: str | None) -> list[str]:
    """Return what differs from the environment of the golden set, golden first.

    Raises:
        GoldenError: the set cannot be read.
    """
    folder = options.golden_folder(golden)
    there = open_store(folder).environment
    found = environment.differences(there, here)
    return [f"unlike where {folder} was made", *(f"  {line}" for line in found or ["nothing"])]


def _section(title: str, facts: Mapping[str, str]) -> list[str]:
    width = max(map(len, facts), default=0)
    return [title, *(f"  {name:{width}}  {facts[name]}" for name in facts)]
