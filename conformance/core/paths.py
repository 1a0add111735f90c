"""Where things lie: the golden sets that are shipped, and the files within a set."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from conformance.core.errors import SelectionError

BUDGETS = "budgets.json"

PACKAGE = Path(__file__).parents[1]
"""Where this package is installed."""

LEDGER = PACKAGE / "judge" / "ledger.toml"

MANIFEST, PROVENANCE, OVERLAYS = "manifest.json", "provenance.json", "overlays"

PREDICTIONS = "predicted"
"""Folder of a golden set that holds a set of predictions for each device, by its name."""

SHIPPED = PACKAGE.parent / "golden"

PACKAGED = PACKAGE / "_golden"
"""Where the shipped set lies: beside the package in a checkout, within it once installed."""


def cache_folder(kind: str) -> Path:
    """Return the folder of the user's cache that holds things of this kind."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "initializer-conformance" / kind


def shipped() -> Path:
    """Return the golden set that comes with this installation."""
    return PACKAGED if PACKAGED.exists() else SHIPPED


def golden_folder(text: str | Path | None) -> Path:
    """Return the golden set asked for, or the one shipped with this installation.

    Raises:
        SelectionError: it has no name.
    """
    return shipped() if text is None else Path(named("golden", text))


def named(option: str, value: str | Path) -> str:
    """Return the value of an option that names something.

    Raises:
        SelectionError: it is empty.
    """
    text = str(value)
    if not text.strip():
        raise empty(option, text)
    return text


def empty(option: str, text: str) -> SelectionError:
    """Return the error of an option that was given, and names nothing."""
    return SelectionError(f"--{option} {text!r} has an empty value: name one, or leave it out")


def golden_option(folder: Path) -> str:
    """Return ` --golden DIR` for the commands that a message names; "" for the shipped set."""
    root = folder.parent.parent if folder.parent.name == OVERLAYS else folder
    return "" if root.resolve() == shipped().resolve() else f" --golden {shlex.quote(str(root))}"


LOWERING = "lowering.json"

LAYERS = "layers"
"""Folder of a golden set that holds the parameters of Flax's layers, and the kind of that store."""

FLAX_TREES = "modules.json"
"""The file in which earlier sets hold them."""

COMPILED = "compiled"
"""Folder of the programs compiled for each device."""
