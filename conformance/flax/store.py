"""Goldens of the trees: every parameter of every layer, one sorted line each in one JSON file.

The trees are small, so all bits are kept, and a drift has a class. Reading verifies every digest.
Only `accept` writes, on an explicit command with a reason:

    python -m conformance.curate.flax_trees --reason "..."
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from conformance.core.arrays import as_dtype, returned
from conformance.core.errors import GoldenError
from conformance.core.files import replace_file
from conformance.core.paths import FLAX_TREES
from conformance.core.records import SCHEMA, Environment, Outcome, Raised, Returned

VERSIONS = ("jax", "jaxlib", "flax")
"""Packages whose versions stand beside the reason where no environment does."""

RENAMED = {"NotImplementedError": "TypeError"}
"""JAX 0.11 changed the type of the error for dtypes without a QR decomposition."""


def entry_id(layer: str, dtype: str, parameter: str = "") -> str:
    """Return `flax.linen.Dense/float32/params.kernel`; without a parameter, of an error."""
    return "/".join((layer, dtype, parameter)) if parameter else f"{layer}/{dtype}"


def outcomes_of(layer: str, dtype: str, tree: Mapping[str, Any] | Raised) -> dict[str, Outcome]:
    """Return what a tree comes to, by entry: an outcome a parameter, or the error alone."""
    if isinstance(tree, Raised):
        name = RENAMED.get(tree.exception, tree.exception)
        return {entry_id(layer, dtype): Raised(exception=name, message=tree.message)}
    return {entry_id(layer, dtype, name): returned(array) for name, array in tree.items()}


def load(folder: Path) -> dict[str, Outcome]:
    """Return all goldens of the trees.

    Raises:
        GoldenError: the file is missing, is no such file, is of another schema, or is damaged.
    """
    path = folder / FLAX_TREES
    lines = _document(path)["entries"]
    return {name: _outcome(path, name, fields) for name, fields in lines.items()}


def environment_of(folder: Path) -> Environment | None:
    """Return where the goldens of the trees were made; None if the folder holds no such goldens.

    Those accepted before it was on record say three versions, and nothing else is known then.

    Raises:
        GoldenError: what the file says is no environment.
    """
    path = folder / FLAX_TREES
    if not path.exists():
        return None
    accepted = _document(path)["accepted"]
    versions = {name: accepted[name] for name in VERSIONS if name in accepted}
    nowhere = {"packages": versions, "config": {}, "host": {}, "devices": {}}
    try:
        found = Environment(**accepted.get("environment", nowhere))
        facts = [fact for section in dataclasses.asdict(found).values() for fact in section.items()]
    except (AttributeError, TypeError) as error:
        raise _unreadable(path, error) from error
    if not all(isinstance(text, str) for fact in facts for text in fact):
        raise _unreadable(path, TypeError("a fact of the environment is no text"))
    return found


def _document(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_text())
        schema = document["schema"]
        for part in ("accepted", "entries"):
            dict(document[part])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unreadable(path, error) from error
    if schema != SCHEMA:
        raise GoldenError(f"{path} has schema {schema}, this release reads {SCHEMA}: upgrade it")
    return document


def _unreadable(path: Path, error: Exception) -> GoldenError:
    return GoldenError(
        f"{path} cannot be read as goldens of layers ({error!r}): restore it from version "
        "control, or name another folder with --golden"
    )


def _outcome(path: Path, name: str, fields: Mapping[str, Any]) -> Outcome:
    try:
        if "raises" in fields:
            return Raised(exception=fields["raises"], message=fields["message"])
        bits = bytes.fromhex(fields["bits"])
        array = np.frombuffer(bits, as_dtype(fields["dtype"])).reshape(fields["shape"])
        intact = hashlib.sha256(bits).hexdigest() == fields["sha256"]
    except (KeyError, TypeError, ValueError) as error:
        raise GoldenError(f"{path}: {name} is damaged: {error!r}. Restore the file") from error
    if not intact:
        raise GoldenError(f"{path}: {name} does not have the digest it states. Restore the file")
    return returned(array)


def save(folder: Path, entries: Mapping[str, Outcome], accepted: Mapping[str, Any]) -> None:
    """Replace the goldens in one step; a reader sees the old file or the new one.

    accepted: reason, date and environment.
    """
    lines = ",\n".join(
        f"{json.dumps(name)}: {json.dumps(_fields(entries[name]), sort_keys=True)}"
        for name in sorted(entries)
    )
    head = json.dumps({"schema": SCHEMA, "accepted": accepted}, sort_keys=True)[:-1]
    replace_file(folder / FLAX_TREES, f'{head}, "entries": {{\n{lines}\n}}}}\n')


def _fields(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Raised):
        return {"raises": outcome.exception, "message": outcome.message}
    assert isinstance(outcome, Returned)
    return {
        "dtype": outcome.dtype,
        "shape": list(outcome.shape),
        "sha256": outcome.sha256,
        "bits": outcome.bits.hex(),
    }
