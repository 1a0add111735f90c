"""`conformance history DIR`: when each case last changed class, on which backend."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from conformance.core.errors import ExitCode
from conformance.upgrade.history import History, LastChange, read_history


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the folder of runs and the output."""
    parser.add_argument("reports", type=Path, help="the folder that `--reports` named")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the last change of every case that ever changed."""
    history = read_history(arguments.reports)
    for line in history.unfinished:
        print(f"unfinished: {line}", file=sys.stderr)
    if arguments.json:
        print(json.dumps(dataclasses.asdict(history), indent=1))
        return ExitCode.OK
    print(f"{history.n_runs} runs; {history.n_steady} cases kept their class in all of them")
    for line in _lines(history):
        print(line)
    return ExitCode.OK


def _lines(history: History) -> list[str]:
    lines = []
    run_id = ""
    for change in history.changes:
        if change.run_id != run_id:
            run_id = change.run_id
            lines.append(f"{run_id}:")
        lines.append(f"  {_text(change)}")
    return lines


def _text(change: LastChange) -> str:
    versions = (
        f"jax {change.jax_after}"
        if change.jax_before == change.jax_after
        else f"jax {change.jax_before} -> {change.jax_after}"
    )
    return (
        f"{change.case} on {change.backend}: {change.class_before} -> {change.class_after} "
        f"({versions})"
    )
