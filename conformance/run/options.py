"""The options that both front ends take, and the selection they make."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from conformance.cases.selection import Selection
from conformance.core.errors import SelectionError
from conformance.core.ids import Tier
from conformance.core.records import DriftClass, Environment
from conformance.core.settings import assignments
from conformance.observe.backends import present_backends
from conformance.observe.process import force_host_devices

Value = Callable[[str], Any]
"""Returns the value of an option by its name, as both front ends hold it."""

AUTO = "auto"

JUDGING = {"golden": None, "max-drift": DriftClass.ROUNDING.value, "ledger": None}
"""Options that the verdict depends on, and what they are by default."""

LIST_OPTIONS: Mapping[str, str] = {
    "initializer": "names or glob patterns",
    "dtype": "float32, bfloat16, float16, float64, complex64, complex128",
    "shape": "sizes joined by x, as in 64x32; or scalar",
    "seed": "seeds",
    "prng": "threefry2x32, rbg, unsafe_rbg, threefry2x32_partitionable, ..._nonpartitionable",
    "transform": "eager, legacy_key, jit, vmap, sharded",
    "backend": "cpu, cuda, tpu or another PJRT platform; stablehlo, iree: without any; "
    f"{AUTO} takes what is present (default)",
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
    add(
        "--max-drift",
        default=JUDGING["max-drift"],
        choices=[name.value for name in DriftClass],
        help="worst class of drift that passes (default: rounding)",
    )
    add("--ledger", default=None, metavar="FILE", help="known limitations (default: shipped)")


def add_report_options(add: Callable[..., Any]) -> None:
    """Declare which reports are written, and where."""
    text = "reports are written to DIR/<run> (default: reports)"
    add("--reports", default="reports", metavar="DIR", help=text)
    add("--junit-report", action="store_true", help="also write junit.xml to the reports")
    add("--html-report", action="store_true", help="also write report.html")


def values_of(arguments: argparse.Namespace) -> Value:
    """Return the options that argparse holds, by name; None for those that a command has not."""
    return lambda name: getattr(arguments, name.replace("-", "_"), None)


def selection_from(value: Value, cases: tuple[str, ...] = ()) -> Selection:
    """Return the selection that the options make, and make this process fit to run it.

    `auto` becomes the backends present in this process, which starts JAX; before that, XLA is
    asked for the host devices that sharded cases need.

    Raises:
        SelectionError: a value cannot be read, or case ids come with --backend.
    """
    selection = selection_on(("cpu",), value, cases)
    if may_shard(selection):
        force_host_devices()
    if cases or not _is_auto(value):
        return selection
    return dataclasses.replace(selection, backends=present_backends())


def selection_on(auto: tuple[str, ...], value: Value, cases: tuple[str, ...] = ()) -> Selection:
    """Return the selection that the options make, with `auto` where no backend was named.

    Raises:
        SelectionError: a value cannot be read, or case ids come with --backend.
    """
    lists = {name: _split(value(name)) for name in LIST_OPTIONS}
    if cases and lists["backend"]:
        raise SelectionError("case ids name their backend: leave out --backend")
    return Selection(
        tier=_tier(value("tier")),
        backends=auto if _is_auto(value) else lists["backend"],
        initializers=lists["initializer"],
        dtypes=lists["dtype"],
        shapes=lists["shape"],
        seeds=tuple(_integer("seed", seed) for seed in lists["seed"]),
        prngs=lists["prng"],
        transforms=lists["transform"],
        cases=cases,
        shard=_shard(value("shard")),
    )


def narrows_cases(value: Value) -> bool:
    """Return whether cases are picked out by what they ask, whatever the backend and the tier."""
    return any(value(name) for name in LIST_OPTIONS if name != "backend")


def is_narrowed(value: Value) -> bool:
    """Return whether any option narrows the selection; a shard alone does not."""
    return value("tier") is not None or any(value(name) for name in LIST_OPTIONS)


def may_shard(selection: Selection) -> bool:
    """Return whether cases of the selection may spread an array over several devices."""
    if selection.cases:
        return any(case.endswith("-sharded") for case in selection.cases)
    if selection.transforms:
        return "sharded" in selection.transforms
    return selection.tier is Tier.FULL


def rerun(words: Sequence[str], value: Value, environment: Environment) -> str:
    """Return the command that repeats what was seen: the words, and all that the verdict hung on.

    That is every judging option and every setting of JAX, XLA and the drivers that is not as usual.
    Options that the front end does not have are left out.
    """
    judging = [
        part
        for name, default in JUDGING.items()
        if (text := value(name)) not in (None, default)
        for part in (f"--{name}", str(text))
    ]
    return " ".join([*assignments(environment), shlex.join([*words, *judging])])


def golden_folder(text: str | None) -> Path:
    """Return the golden set asked for, or the one shipped with this installation."""
    from conformance.core.paths import shipped

    return shipped() if text is None else Path(text)


def _split(values: list[str]) -> tuple[str, ...]:
    return tuple(part.strip() for value in values for part in value.split(",") if part.strip())


def _tier(text: str | None) -> Tier:
    try:
        return Tier(text or Tier.STANDARD)
    except ValueError:
        raise SelectionError(f"tier {text!r} is unknown: choose from {', '.join(Tier)}") from None


def _is_auto(value: Value) -> bool:
    names = _split(value("backend"))
    return not names or AUTO in names


def _integer(kind: str, text: str) -> int:
    if not text.isdigit():
        raise SelectionError(f"{kind} {text!r} is not a whole number of 0 or more")
    return int(text)


def _shard(text: str) -> tuple[int, int]:
    index, slash, count = text.partition("/")
    if not (slash and index.isdigit() and count.isdigit()):
        raise SelectionError(f"shard {text!r} is not understood: write --shard 2/5")
    return int(index), int(count)
