"""Whether a golden set is what was stored."""

from __future__ import annotations

from pathlib import Path

from conformance.core.errors import GoldenError
from conformance.core.paths import LAYERS, OVERLAYS, PREDICTIONS
from conformance.store.entries import HIGHEST, LOWEST
from conformance.store.read import Store, open_store


def verify(folder: Path) -> list[str]:
    """Return every fault of the store, one line each: file, problem, what is wrong.

    Checks the digest of every shard and of every whole array, arrays without an entry, and files
    without either; overlays, predictions, layers and bounds too.

    Raises:
        GoldenError: the manifest itself cannot be read.
    """
    store = open_store(folder)
    faults = [fault for key in store.ids() if (fault := _fault(store, key))]
    for name in store.shards():
        faults += _unlisted_arrays(store, name)
    faults += _unlisted_files(store)
    inner = [f"{OVERLAYS}/{backend}" for backend in store.overlay_names()]
    inner += [f"{PREDICTIONS}/{device}" for device in store.prediction_names()]
    inner += [LAYERS] if (folder / LAYERS).exists() else []
    for name in (*inner, *store.bound_names()):
        faults += verify(folder / name)
    return list(dict.fromkeys(faults))


def _fault(store: Store, key: str) -> str:
    try:
        store.entry(key)
    except GoldenError as error:
        return str(error)
    return ""


def _unlisted_arrays(store: Store, name: str) -> list[str]:
    try:
        arrays = store.shard(name)
    except GoldenError as error:
        return [str(error)]
    return [
        f"{store.folder / name} holds an array {key} that the manifest does not list: "
        f"{store.way_out}"
        for key in sorted(arrays)
        if not store.lists(key, name)
    ]


def _unlisted_files(store: Store) -> list[str]:
    listed = set(store.shards())
    names = (path.relative_to(store.folder) for path in store.folder.rglob("*.safetensors"))
    return [
        f"{store.folder / name} is a shard that the manifest does not list: delete it"
        for name in sorted(names)
        if name.as_posix() not in listed
        and name.parts[0] not in (OVERLAYS, PREDICTIONS, LAYERS, LOWEST, HIGHEST)
        and not name.parts[0].startswith(".")
    ]
