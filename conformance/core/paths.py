"""Where things lie: the golden sets that are shipped, and the files within a set."""

from __future__ import annotations

import shlex
from pathlib import Path

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


def shipped() -> Path:
    """Return the golden set that comes with this installation."""
    return PACKAGED if PACKAGED.exists() else SHIPPED


def golden_folder(text: str | Path | None) -> Path:
    """Return the golden set asked for, or the one shipped with this installation."""
    return shipped() if text is None else Path(text)


def golden_option(folder: Path) -> str:
    """Return ` --golden DIR` for the commands that a message names; "" for the shipped set."""
    root = folder.parent.parent if folder.parent.name == OVERLAYS else folder
    return "" if root.resolve() == shipped().resolve() else f" --golden {shlex.quote(str(root))}"


LOWERING = "lowering.json"

FLAX_TREES = "modules.json"

COMPILED = "compiled"
"""Folder of the programs compiled for each device."""
