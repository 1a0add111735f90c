"""The options that both front ends take, and the selection they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from conformance.matrix import Selection, SelectionError
from conformance.model import DriftClass, Tier

AUTO = "auto"
DEFAULT_GOLDENS = Path(__file__).parent.parent / "golden"
PACKAGED_GOLDENS = Path(__file__).parent / "_golden"

LIST_OPTIONS: Mapping[str, str] = {
    "initializer": "names or glob patterns",
    "dtype": "float32, bfloat16, float16, float64, complex64, complex128",
    "shape": "sizes joined by x, as in 64x32; or scalar",
    "seed": "seeds",
    "prng": "threefry2x32, rbg, unsafe_rbg, threefry2x32_partitionable, ..._nonpartitionable",
    "transform": "eager, legacy_key, jit, vmap, sharded",
    "backend": f"cpu, cuda, tpu or another PJRT platform; {AUTO} takes what is present (default)",
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
        default=DriftClass.ROUNDING.value,
        choices=[name.value for name in DriftClass],
        help="worst class of drift that passes (default: rounding)",
    )
    add("--ledger", default=None, metavar="FILE", help="known limitations (default: shipped)")
    add(
        "--reports",
        default="reports",
        metavar="DIR",
        help="reports are written to DIR/<run> (default: reports)",
    )


def selection_from(value: Callable[[str], Any], cases: tuple[str, ...] = ()) -> Selection:
    """Return the selection that the options make; `value` returns an option's value by name.

    `auto` becomes the backends present in this process, which starts JAX.

    Raises:
        SelectionError: a value cannot be read.
    """
    lists = {name: _split(value(name)) for name in LIST_OPTIONS}
    return Selection(
        tier=_tier(value("tier")),
        backends=_backends(lists["backend"]),
        initializers=lists["initializer"],
        dtypes=lists["dtype"],
        shapes=lists["shape"],
        seeds=tuple(_integer("seed", seed) for seed in lists["seed"]),
        prngs=lists["prng"],
        transforms=lists["transform"],
        cases=cases,
        shard=_shard(value("shard")),
    )


def golden_folder(text: str | None) -> Path:
    """Return the golden set asked for, or the one shipped with this installation."""
    if text is not None:
        return Path(text)
    return PACKAGED_GOLDENS if PACKAGED_GOLDENS.exists() else DEFAULT_GOLDENS


def _split(values: list[str]) -> tuple[str, ...]:
    return tuple(part.strip() for value in values for part in value.split(",") if part.strip())


def _tier(text: str | None) -> Tier:
    try:
        return Tier(text or Tier.STANDARD)
    except ValueError:
        raise SelectionError(f"tier {text!r} is unknown: choose from {', '.join(Tier)}") from None


def _backends(names: tuple[str, ...]) -> tuple[str, ...]:
    if names and AUTO not in names:
        return names
    from conformance.backends import present_backends

    return present_backends()


def _integer(kind: str, text: str) -> int:
    if not text.isdigit():
        raise SelectionError(f"{kind} {text!r} is not a whole number of 0 or more")
    return int(text)


def _shard(text: str) -> tuple[int, int]:
    index, slash, count = text.partition("/")
    if not (slash and index.isdigit() and count.isdigit()):
        raise SelectionError(f"shard {text!r} is not understood: write --shard 2/5")
    return int(index), int(count)
