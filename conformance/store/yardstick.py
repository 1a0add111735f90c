"""By what a verdict was given, in one line that another verdict's can be compared with."""

from __future__ import annotations

import hashlib
import importlib.metadata
from pathlib import Path

from conformance.core.inventory import INVENTORY
from conformance.core.paths import MANIFEST
from conformance.core.records import DriftClass

N_DIGITS = 12


def judged_by(golden: Path, ledger: Path, max_drift: DriftClass) -> str:
    """Return digests of the golden set and of the ledger, the policy, and this package's version.

    Raises:
        OSError: one cannot be read.
    """
    listed = golden / INVENTORY
    goldens = _digest(listed if listed.exists() else golden / MANIFEST)
    try:
        version = importlib.metadata.version("initializer-conformance")
    except importlib.metadata.PackageNotFoundError:
        version = "of a folder"
    return (
        f"goldens {goldens}, ledger {_digest(ledger)}, at most {max_drift}, conformance {version}"
    )


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:N_DIGITS]
