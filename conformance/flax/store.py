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
from conformance.core.reading import read_file
from conformance.core.records import Environment, Outcome, Raised, Returned
from conformance.core.versions import LAYERS

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
        GoldenError: the file is missing, is no such file, is of a newer version, or is damaged.
    """
    path = folder / FLAX_TREES
    lines = _file(path).entries
    return {name: _outcome(path, name, line) for name, line in lines.items()}


def environment_of(folder: Path) -> Environment | None:
    """Return where the goldens of the trees were made; None if the folder holds no such goldens.

    Those accepted before it was on record say three versions, and nothing else is known then.

    Raises:
        GoldenError: the file cannot be read.
    """
    path = folder / FLAX_TREES
    if not path.exists():
        return None
    accepted = _file(path).accepted
    said = {name: getattr(accepted, name) for name in VERSIONS}
    versions = {name: version for name, version in said.items() if version}
    nowhere = Environment(packages=versions, config={}, host={}, devices={})
    return accepted.environment or nowhere


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Accepted:
    date: str = ""
    reason: str = ""
    environment: Environment | None = None
    jax: str = ""
    jaxlib: str = ""
    flax: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """What was returned, or raised."""

    dtype: str = ""
    shape: tuple[int, ...] = ()
    sha256: str = ""
    bits: str = ""
    raises: str | None = None
    message: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    accepted: _Accepted
    entries: Mapping[str, _Line]


def _file(path: Path) -> _File:
    way_out = "restore it from version control, or name another folder with --golden"
    return read_file(_File, path, LAYERS, error=GoldenError, way_out=way_out)


def _outcome(path: Path, name: str, line: _Line) -> Outcome:
    if line.raises is not None:
        return Raised(exception=line.raises, message=line.message)
    try:
        bits = bytes.fromhex(line.bits)
        array = np.frombuffer(bits, as_dtype(line.dtype)).reshape(line.shape)
    except (TypeError, ValueError) as error:
        raise GoldenError(f"{path}: {name} is damaged: {error!r}. Restore the file") from error
    if hashlib.sha256(bits).hexdigest() != line.sha256:
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
    head = json.dumps(LAYERS.stamped({"accepted": accepted}), sort_keys=True)[:-1]
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
