"""Goldens of layers: every parameter of every layer, in a store of their own within a golden set.

An earlier set holds them as one JSON file, which is read as that store is; accepting or pruning
layers puts the store in its place.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from conformance.core.arrays import Array, as_dtype, returned
from conformance.core.errors import GoldenError
from conformance.core.ids import Parameter, parse_parameter
from conformance.core.paths import FLAX_TREES, LAYERS, golden_option
from conformance.core.reading import naming, read_file
from conformance.core.records import Entry, Environment, Outcome, Raised
from conformance.core.versions import LAYERS as FORMAT
from conformance.flax.layers import PARAM_DTYPES
from conformance.flax.observe import LAYERS as KNOWN
from conformance.store.entries import shard_name
from conformance.store.read import Store, open_store

VERSIONS = ("jax", "jaxlib", "flax")
"""Packages whose versions stand beside the reason where no environment does."""


def entry_id(layer: str, dtype: str, path: str = "") -> str:
    """Return `flax.linen.Dense/float32/params.kernel`; without a path, of an error."""
    return Parameter(layer=layer, dtype=dtype, path=path).id


def outcomes_of(layer: str, dtype: str, tree: Mapping[str, Array] | Raised) -> dict[str, Outcome]:
    """Return what a tree comes to, by id: an outcome a parameter, or the error alone."""
    if isinstance(tree, Raised):
        return {entry_id(layer, dtype): tree}
    return {entry_id(layer, dtype, name): returned(array) for name, array in tree.items()}


def entry_of(key: str, outcome: Outcome) -> Entry:
    """Return the outcome as a store holds it: one shard a layer, its variants included."""
    family, _, name = parse_parameter(key).layer.partition(":")[0].rpartition(".")
    return Entry(id=key, shard=shard_name(family, name), outcome=outcome)


class Earlier:
    """The goldens of layers in the one file of an earlier set, to be read as a store is."""

    def __init__(self, path: Path) -> None:
        """Raises GoldenError: the file cannot be read, is of a newer version, or is damaged."""
        self.folder = path.parent
        way_out = "restore it from version control, or name another folder with --golden"
        self._file = read_file(_File, path, FORMAT, error=GoldenError, way_out=way_out)
        with naming(path, GoldenError, way_out):
            self._entries = {
                key: entry_of(key, _outcome(path, key, line))
                for key, line in self._file.entries.items()
            }

    def ids(self) -> list[str]:
        """Return the ids of all entries, sorted."""
        return sorted(self._entries)

    def entry(self, key: str) -> Entry | None:
        """Return the entry of `key`, or None if there is none."""
        return self._entries.get(key)

    def entries(self) -> Iterator[Entry]:
        """Yield every entry, in the order of ids."""
        return (self._entries[key] for key in self.ids())

    @property
    def provenance(self) -> list[Mapping[str, Any]]:
        """The one acceptance that the file speaks of."""
        said = self._file.accepted
        environment = dataclasses.asdict(self.environment)
        return [{"date": said.date, "reason": said.reason, "environment": environment}]

    @functools.cached_property
    def environment(self) -> Environment:
        """Where they were made; where that was not kept, three versions are all that is known."""
        said = {name: getattr(self._file.accepted, name) for name in VERSIONS}
        packages = {name: version for name, version in said.items() if version}
        nowhere = Environment(packages=packages, config={}, host={}, devices={})
        return self._file.accepted.environment or nowhere

    def shards(self) -> list[str]:
        """Return the name of the file, which is all there is."""
        return [FLAX_TREES]


def open_layers(folder: Path) -> Store | Earlier | None:
    """Return the goldens of layers that a set holds, or None if it holds none.

    Raises:
        GoldenError: they cannot be read.
    """
    if (folder / LAYERS).exists():
        return open_store(folder / LAYERS)
    return Earlier(folder / FLAX_TREES) if (folder / FLAX_TREES).exists() else None


def load(folder: Path) -> dict[str, Outcome]:
    """Return all goldens of layers in a set, by id.

    Raises:
        GoldenError: it holds none, or they are damaged.
    """
    found = open_layers(folder)
    if found is None:
        raise GoldenError(
            f"{folder} holds no goldens of layers: run `{staging(folder, '*')}`, or name another "
            "folder with --golden"
        )
    return {entry.id: entry.outcome for entry in found.entries()}


def staging(folder: Path, layer: str) -> str:
    """Return the command that stages goldens of a layer."""
    option = golden_option(folder)
    return f"conformance goldens stage{option} --layer '{layer}' --reason '...'"


def orphans(ids: Iterable[str]) -> list[str]:
    """Return the ids that no layer's claims ask for any more."""
    asked = {
        entry_id(layer.name, dtype, path)
        for layer in KNOWN
        for dtype in PARAM_DTYPES
        for path in ("", *(claim.name for claim in layer.claims))
    }
    return sorted(set(ids) - asked)


# --- The earlier file ----------------------------------------------------------------------------
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
