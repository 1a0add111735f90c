"""The options that both front ends take, as they are declared; `options` reads what was given.

Help reads this file, so it imports no more than names: no NumPy, and nothing that runs a case.
"""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Callable, Mapping
from typing import Any

from conformance.core.deadline import CASE_TIMEOUT_S, LONGEST_S
from conformance.core.drift_class import DriftClass
from conformance.core.formats import DTYPES
from conformance.core.ids import TRANSFORMS

AUTO = "auto"

MOST_WORKERS = 1024
"""Processes of one command, each of which holds JAX: 300 GB. A slip of the finger stops a machine
that is asked for 100,000."""

DEFAULT_DRIFT = DriftClass.ROUNDING
"""The worst class of drift that passes, unless somebody says otherwise."""


LIST_OPTIONS: Mapping[str, str] = {
    "initializer": "names or glob patterns",
    "dtype": ", ".join(DTYPES),
    "shape": "sizes joined by x, as in 64x32; or scalar",
    "seed": "seeds, or ranges of them as in 0:200, which ends before 200",
    "key": "keys as ids have them: s7.fold5 for fold_in, s7.split3at1 for a child of split, "
    "k000000010000abcd for the words of a key",
    "prng": "threefry2x32, rbg, unsafe_rbg, threefry2x32_partitionable, ..._nonpartitionable",
    "transform": ", ".join(TRANSFORMS),
    "backend": "cpu, cuda, tpu, another PJRT platform, or what a plug-in brings; stablehlo, iree: "
    f"without any; {AUTO} takes every device that is present (default)",
}
"""Options that take values separated by commas, and may be repeated."""


def add_selection_options(add: Callable[..., Any]) -> None:
    """Declare the selection on an argparse parser or on a pytest option group."""
    for name, text in LIST_OPTIONS.items():
        add(f"--{name}", action="append", default=[], metavar=name.upper(), help=text)
    add("--tier", default=None, help="quick (seconds), standard (default) or full (nightly)")
    add("--shard", default="1/1", metavar="I/N", help="run the I-th of N parts, by compile group")


def add_judging_options(add: Callable[..., Any]) -> None:
    """Declare what the verdict depends on."""
    add("--golden", default=None, metavar="DIR", help="golden set to judge by (default: shipped)")
    add_overlay_option(add)
    add(
        "--max-drift",
        default=DEFAULT_DRIFT.value,
        choices=[name.value for name in DriftClass],
        help="worst class of drift that passes (default: rounding)",
    )
    add("--ledger", default=None, metavar="FILE", help="known limitations (default: shipped)")
    text = "another N has the statistical checks draw with other keys (default: 0, the same always)"
    add("--fresh-seeds", default=None, metavar="N", help=text)


def add_fast_option(add: Callable[..., Any]) -> None:
    """Declare that XLA may compile in a hurry."""
    text = "compile at XLA's level 1, which takes less time: before a commit, never for a verdict"
    add("--fast", action="store_true", default=False, help=text)


def add_pytest_options(add: Callable[..., Any]) -> None:
    """Declare all that `pytest --pyargs conformance` takes."""
    add_selection_options(add)
    add_judging_options(add)
    add_fast_option(add)
    add_report_options(add)
    add_deadline_option(add)


def add_overlay_option(add: Callable[..., Any]) -> None:
    """Declare the golden sets that lie on the one that judges."""
    text = "golden set of what is otherwise, and its budgets; may be repeated: the last one counts"
    add("--overlay", action="append", default=[], metavar="DIR", help=text)


def add_worker_options(add: Callable[..., Any]) -> None:
    """Declare how the process is kept that runs the cases of a command."""
    add_deadline_option(add)
    text = "run the cases in this process, for a debugger: one that crashes ends the command"
    add("--in-process", action="store_true", help=text)


def add_workers_option(add: Callable[..., Any]) -> None:
    """Declare how many processes share the cases of a command, by pytest-xdist's name."""
    text = f"processes that share the cases, or {AUTO}: one for each core (default: 1)"
    add("-n", "--workers", type=n_workers, default=1, metavar="N", help=text)


def n_workers(text: str) -> int:
    """Return a number of processes, for argparse; accelerators limit what `auto` means.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if text == AUTO:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        from conformance.observe.process import most_workers  # starts no program, and takes a while

        return min(filter(None, (cores, most_workers())), default=1)
    if text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_WORKERS:
        return int(text)
    raise argparse.ArgumentTypeError(
        f"{text!r} is no number of processes: 1 to {MOST_WORKERS}, or {AUTO}"
    )


def add_deadline_option(add: Callable[..., Any]) -> None:
    """Declare how long a case may take."""
    text = f"seconds after which a case counts as hung (default: {CASE_TIMEOUT_S:g})"
    add("--case-timeout", type=seconds, default=CASE_TIMEOUT_S, metavar="S", help=text)


def whole(text: str) -> int:
    """Return a whole number, for argparse.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    with contextlib.suppress(ValueError):
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no whole number")


def seconds(text: str) -> float:
    """Return a time that has an end, for argparse.

    Raises:
        argparse.ArgumentTypeError: it has none.
    """
    with contextlib.suppress(ValueError):
        if 0 < (value := float(text)) <= LONGEST_S:
            return value
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0, of a year at most")


def add_report_options(add: Callable[..., Any]) -> None:
    """Declare which reports are written, and where."""
    add_folder_option(add)
    add("--junit-report", action="store_true", help="also write junit.xml to the reports")


def add_folder_option(add: Callable[..., Any]) -> None:
    """Declare where every command leaves what it has to show."""
    text = "reports are written to DIR/<run> (default: reports)"
    add("--reports", default="reports", metavar="DIR", help=text)
