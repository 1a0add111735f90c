"""An audit with the values of its parameters, in a folder: what another day's is compared with."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from conformance.core.arrays import Array, returned, sampled
from conformance.core.files import atomic_folder, locked, writing
from conformance.core.records import Entry, Outcome
from conformance.models.audit import Audit
from conformance.models.changes import load_audit
from conformance.observe import environment
from conformance.store.entries import TREE, parameter_id
from conformance.store.read import Store, open_store
from conformance.store.write import write_one_by_one

AUDIT_FILE, VALUES = "audit.json", "values"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An audit of another day. values: of its parameters; None where only the audit was kept."""

    audit: Audit
    values: Store | None

    def outcome(self, path: str) -> Outcome | None:
        """Return what a parameter was; None where nothing is kept of it."""
        entry = self.values.entry(parameter_id(path)) if self.values else None
        return entry.outcome if entry else None


def keep(folder: Path, target: str, text: str, arrays: Mapping[str, Array]) -> None:
    """Write an audit and its values into the new folder; of what is too large a sample.

    text: the audit as its JSON document.

    Raises:
        GoldenError: the folder is not empty, or the disk refuses.
    """
    captured = environment.capture(("cpu",))
    provenance = {"environment": dataclasses.asdict(captured), "target": target}
    entries = (
        Entry(
            id=parameter_id(path),
            shard=f"parameters/{number:06}.safetensors",
            outcome=sampled(returned(array)),
        )
        for number, (path, array) in enumerate(sorted(arrays.items()))
    )
    with locked(folder), writing(folder), atomic_folder(folder) as draft:
        write_one_by_one(draft / VALUES, entries, kind=TREE, provenance=[provenance])
        (draft / AUDIT_FILE).write_text(text)


def load_kept(path: Path) -> Kept:
    """Return what `keep` wrote into a folder, or the audit alone of a file that `--json` wrote.

    Raises:
        StoreError: the audit cannot be read as one.
        GoldenError: the values cannot.
    """
    if path.is_dir():
        return Kept(audit=load_audit(path / AUDIT_FILE), values=open_store(path / VALUES))
    return Kept(audit=load_audit(path), values=None)
