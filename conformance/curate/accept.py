"""Accept a stage, reject it, or prune what no tier asks for any more.

The set is never written in place: its successor is written beside it, flushed, and the two change
places by renaming, so that a kill at any moment leaves the old set or the new one whole, and
`files.recover` puts it where it belongs.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from conformance.cases.catalogue import Catalogue
from conformance.core import files, inventory
from conformance.core.errors import GoldenError, StagingError
from conformance.core.files import at_work, writing
from conformance.core.paths import LAYERS, PENDING
from conformance.core.records import Entry
from conformance.curate.review import Merge, Review, merge, orphans
from conformance.curate.stage import put, require_stageable, stage_into
from conformance.flax.store import Earlier, open_layers
from conformance.flax.store import orphans as layer_orphans
from conformance.store.entries import GOLDEN
from conformance.store.read import Store, open_store
from conformance.store.stack import Stack
from conformance.store.write import now, write_store


def accept(
    folder: Path, catalogue: Catalogue, below: Stack | None = None, patterns: Sequence[str] = ()
) -> Review:
    """Merge what is pending into the set, and return what that changed. below: see `stage`.

    patterns: see `review`; what they leave out stays pending.

    Raises:
        StagingError: see `review`.
        GoldenError: the set or what is pending is damaged, the disk refuses, or another command is
            at work. The old set and what is pending are then untouched.
    """
    with at_work(folder):
        inventory.require_as_listed(folder)
        return _accept(folder, catalogue, below, patterns)


def accept_recording(
    folder: Path,
    catalogue: Catalogue,
    recording: Store,
    *,
    overlay: str,
    reason: str,
    below: Stack | None = None,
) -> Review:
    """Stage a recording, accept it, and return what that changed. overlay, below: see `stage`.

    The overlay holds the problems whose bits differ from the set's, and no others. If accepting
    fails, nothing is left pending.

    Raises:
        StagingError, GoldenError: as for `stage` and `accept`.
    """
    with at_work(folder):
        require_stageable(folder, reason)
        stage_into(
            folder,
            recording,
            scope=f"recording {recording.folder.name}",
            reason=reason,
            overlay=overlay,
            below=below,
        )
        try:
            return _accept(folder, catalogue, below, ())
        finally:
            files.discard(folder / PENDING)


def _accept(
    folder: Path, catalogue: Catalogue, below: Stack | None, patterns: Sequence[str]
) -> Review:
    merged = merge(folder, below, patterns)
    reviewed = merged.review(catalogue)
    history = {
        "date": now(),
        "scope": merged.stage.scope,
        "reason": merged.stage.reason,
        "counts": reviewed.counts(),
        "environment": dataclasses.asdict(merged.pending.environment),
    }
    # A set of overlays alone has a store of its own none the less, so that it is one like others.
    empty = _Content.of(None, [], history, GOLDEN)
    contents = {folder: empty} if merged.base is None else {}
    contents[merged.target] = _Content.of(
        merged.old, list(merged.merged.values()), history, merged.pending.kind
    )
    _replace(folder, contents, _waiting(merged, below))
    return reviewed


def _waiting(merged: Merge, below: Stack | None) -> Wait | None:
    """Return what puts the pending goldens that were left out beside a set; None if none were."""
    if not merged.waiting:
        return None
    environment = merged.pending.environment
    return lambda draft: put(draft, merged.stage, merged.waiting, environment, below)


def reject(
    folder: Path, below: Stack | None = None, patterns: Sequence[str] = ()
) -> tuple[str, ...]:
    """Remove what is pending, or of it what a pattern matches, and return what was left out.

    below, patterns: see `review`; without patterns what is pending need not be readable.

    Raises:
        StagingError: nothing is pending; with patterns, see `review`.
        GoldenError: the disk refuses, or another command is at work.
    """
    with at_work(folder):
        if not (folder / PENDING).exists():
            raise StagingError(f"nothing is pending in {folder}: there is nothing to reject")
        if patterns:
            rejected = merge(folder, below, patterns)
            if rejected.waiting:
                _replace(folder, {}, _waiting(rejected, below))
                return tuple(entry.id for entry in rejected.waiting)
        with writing(folder):
            files.remove(folder / PENDING)
        return ()


def prune(folder: Path, catalogue: Catalogue, *, reason: str) -> list[str]:
    """Remove what no tier asks for, or no layer, from the set and its overlays; return the ids.

    Raises:
        StagingError: no reason is given, or something is pending.
        GoldenError: the set is damaged, the disk refuses, or another command is at work; the old
            set is then untouched.
    """
    with at_work(folder):
        inventory.require_as_listed(folder)
        require_stageable(folder, reason)
        contents, removed = {}, set()
        for target, (store, gone) in _orphaned(folder, catalogue).items():
            kept = [entry for entry in store.entries() if entry.id not in gone]
            history = {"date": now(), "reason": reason, "counts": {"pruned": len(gone)}}
            kind = LAYERS if target == folder / LAYERS else GOLDEN
            contents[target] = _Content.of(store, kept, history, kind)
            removed |= gone
        if contents:
            _replace(folder, contents)
        return sorted(removed)


def _orphaned(folder: Path, catalogue: Catalogue) -> dict[Path, tuple[Store | Earlier, set[str]]]:
    """Return each store that holds orphans, and these, by the folder that the store is to have."""
    base = open_store(folder)
    stores = [base, *filter(None, map(base.overlay, base.overlay_names()))]
    found: dict[Path, tuple[Store | Earlier, set[str]]] = {
        store.folder: (store, set(orphans(store, catalogue))) for store in stores
    }
    if of_layers := open_layers(folder):
        found[folder / LAYERS] = (of_layers, set(layer_orphans(of_layers.ids())))
    return {target: (store, gone) for target, (store, gone) in found.items() if gone}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    """What a store is to hold; `superseded` are the shards in whose place it comes."""

    entries: list[Entry]
    provenance: list[Mapping[str, Any]]
    superseded: list[Path]
    kind: str

    @classmethod
    def of(
        cls,
        old: Store | Earlier | None,
        entries: list[Entry],
        history: Mapping[str, Any],
        kind: str,
    ) -> _Content:
        return cls(
            entries=entries,
            provenance=[*(() if old is None else old.provenance), history],
            superseded=[] if old is None else [old.folder / name for name in old.shards()],
            kind=kind,
        )


Wait = Callable[[Path], object]
"""Puts beside the draft of a set what is to wait there."""


def _replace(folder: Path, contents: Mapping[Path, _Content], wait: Wait | None = None) -> None:
    """Give the stores within `folder` new contents, all at once; all else stays as it is.

    What is pending does not survive, but for what `wait` puts there: the new set has either taken
    it up or made it stale.
    """
    draft = files.successor(folder)
    superseded = {path for content in contents.values() for path in content.superseded}
    try:
        for target, content in contents.items():
            write_store(
                draft / target.relative_to(folder),
                content.entries,
                kind=content.kind,
                provenance=content.provenance,
            )
        with writing(folder):
            draft.mkdir(exist_ok=True)  # where no store changes, nothing made it
            _copy_others(folder, draft, {folder / PENDING, *superseded})
            inventory.write(draft)
            if wait is not None:
                wait(draft)
            files.flush_tree(draft)
            files.swap(folder)
    finally:
        if folder.exists():  # else the draft is all there is, and `recover` needs it
            files.discard(draft)


def _copy_others(folder: Path, draft: Path, left_out: Collection[Path]) -> None:
    """Give the draft all that the folder holds and the draft does not, modes and links as they are.

    Files of the draft take the modes of those in whose place they come. Drafts stay behind, and the
    set's own version control, which `files.swap` moves. A folder is left out with all that was in
    it; one that was empty before is kept.
    """
    for inner, folders, names in os.walk(folder, onerror=_raise):
        paths = [Path(inner, name) for name in (*folders, *names)]
        kept = [path for path in paths if not _stays_behind(path, folder, draft, left_out)]
        for path in kept:
            _copy_other(path, draft / path.relative_to(folder))
        folders[:] = [path.name for path in kept if path.name in folders]
    for inner, _, _ in os.walk(draft, topdown=False, onerror=_raise):
        original = folder / Path(inner).relative_to(draft)
        if not original.is_dir():
            continue
        if os.listdir(original) and not os.listdir(inner):
            os.rmdir(inner)
        else:  # last of all, for nothing can be put into a folder that is read-only
            shutil.copymode(original, inner)


def _raise(error: OSError) -> None:
    raise error


def _stays_behind(path: Path, folder: Path, draft: Path, left_out: Collection[Path]) -> bool:
    if files.is_draft(path) or path == folder / files.VERSION_CONTROL:
        return True
    return path in left_out and not (draft / path.relative_to(folder)).exists()


def _copy_other(path: Path, copy: Path) -> None:
    if path.is_symlink():
        if copy.exists():
            raise GoldenError(
                f"{path} is a link where the set has what it must change: put what it points at "
                "in its place"
            )
        copy.symlink_to(path.readlink())
    elif path.is_dir():
        copy.mkdir(exist_ok=True)
    elif copy.exists():
        shutil.copymode(path, copy)
    else:
        _second_name(path, copy)


def _second_name(path: Path, copy: Path) -> None:
    """Give a file that stays as it is a second name; a copy where the disk has no hard links."""
    try:
        os.link(path, copy)
    except OSError:
        shutil.copy2(path, copy)
