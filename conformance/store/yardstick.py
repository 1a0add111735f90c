"""By what a verdict was given, in one line that another verdict's can be compared with."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

from conformance.core.inventory import INVENTORY
from conformance.core.paths import BUDGETS, MANIFEST
from conformance.core.records import DriftClass
from conformance.store.stack import name_of

N_DIGITS = 12


def judged_by(
    golden: Path, ledger: Path, max_drift: DriftClass, overlays: Sequence[Path] = ()
) -> str:
    """Return digests of goldens, overlays and ledger, the policy, and this package's version.

    An overlay is told by name too, in the order in which they lie one on another.

    Raises:
        OSError: one cannot be read.
    """
    sets = [f"goldens {_digest_of_set(golden)}"]
    sets += [f"overlay {name_of(folder)} {_digest_of_set(folder)}" for folder in overlays]
    try:
        version = importlib.metadata.version("initializer-conformance")
    except importlib.metadata.PackageNotFoundError:
        version = "of a folder"
    rules = [f"ledger {_digest(ledger)}", f"at most {max_drift}", f"conformance {version}"]
    return ", ".join([*sets, *rules])


def _digest_of_set(folder: Path) -> str:
    paths = (folder / name for name in (INVENTORY, MANIFEST, BUDGETS))
    return _digest(next(path for path in paths if path.exists()))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:N_DIGITS]
