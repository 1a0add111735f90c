"""Where things lie: the golden sets that are shipped, and the files within a set."""

from __future__ import annotations

import functools
import os
import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from conformance.core.errors import SelectionError

BUDGETS = "budgets.json"

PACKAGE = Path(__file__).parents[1]
"""Where this package is installed."""

LEDGER = PACKAGE / "judge" / "ledger.toml"

MANIFEST, PROVENANCE, OVERLAYS = "manifest.json", "provenance.json", "overlays"

PENDING = ".pending"
"""Folder of a golden set in which what is staged waits to be accepted."""

PREDICTIONS = "predicted"
"""Folder of a golden set that holds a set of predictions for each device, by its name."""

SHIPPED = PACKAGE.parent / "golden"

PACKAGED = PACKAGE / "_golden"
"""Where the shipped set lies: beside the package in a checkout, within it once installed."""

CACHE_KINDS = {
    "environments": "one release of JAX or Flax and what it needs",
    "recordings": "what a release returned on this machine",
    "recorders": "the part of this package that records, by its content",
    "plans": "what a side installs",
    "releases": "lists of releases",
    "libraries": "what proofs of causes need",
    "logs": "last words of recorders",
    "programs": "compiled programs of runs in one environment",
    "passing": "what a command that was killed recorded for itself",
}
"""Folders of the cache, and what their entries are."""


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


def golden_option(folder: Path, overlays: Iterable[Path] = ()) -> str:
    """Return ` --golden DIR` for the commands that a message names; "" for the shipped set.

    After it come the overlays, each as ` --overlay DIR`.
    """
    root = folder.parent.parent if folder.parent.name == OVERLAYS else folder
    option = "" if root.resolve() == shipped().resolve() else f" --golden {shlex.quote(str(root))}"
    return option + "".join(f" --overlay {shlex.quote(str(overlay))}" for overlay in overlays)


OVERLAY_NAME = re.compile(r"(?P<backend>[A-Za-z_][\w.-]*)(@(?P<release>\d+(\.\d+)*))?")
"""What the folder of an overlay is called, as in `cuda` and `cpu@0.10`: whose answers it holds, and
under which releases of JAX."""


def overlay_name(backend: str, release: str = "") -> str:
    """Return the name of a backend's overlay, of a release of JAX or of all."""
    return f"{backend}@{release}" if release else backend


@functools.cache
def overlay_names(backend: str, release: str) -> tuple[str, ...]:
    """Return the names of all that speak for a backend under a release, the nearest first.

    Under 0.10.2 these are `cpu@0.10.2`, `cpu@0.10`, `cpu@0` and `cpu`.
    """
    numbers = release.split(".") if release else []
    ends = range(len(numbers), -1, -1)
    return tuple(overlay_name(backend, ".".join(numbers[:end])) for end in ends)


LOWERING = "lowering.json"

LAYERS = "layers"
"""Folder of a golden set that holds the parameters of Flax's layers, and the kind of that store."""

FLAX_TREES = "modules.json"
"""The file in which earlier sets hold them."""

COMPILED = "compiled"
"""Folder of the programs compiled for each device."""
