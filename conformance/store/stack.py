"""Golden sets one above another: the one that judges, and the overlays that a run was given.

An overlay is a golden set too, of few problems or of budgets alone. What a backend answered itself
counts before what the CPU did; of the sets that hold either, the last one that was named counts,
and in it the overlay of the nearest release of JAX.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from conformance.core import inventory
from conformance.core.errors import GoldenError, SelectionError
from conformance.core.paths import BUDGETS, MANIFEST, OVERLAYS
from conformance.core.records import Entry, Environment
from conformance.store.entries import GOLDEN
from conformance.store.read import Store, makers, open_store


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """A set that lies on others. store: None where it holds budgets alone."""

    folder: Path
    store: Store | None

    @property
    def name(self) -> str:
        """What verdicts call it."""
        return name_of(self.folder)

    def answers(self, problem_id: str, maker: str, release: str) -> Iterator[Entry]:
        """Yield what it holds of one backend's answers: see `Store.answers`."""
        if self.store is None:
            return
        for entry in self.store.answers(problem_id, maker, release):
            within = f"{self.name}/{entry.overlay}" if entry.overlay else self.name
            yield dataclasses.replace(entry, overlay=within)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A golden set and the overlays on it, the last of which counts first."""

    base: Store
    overlays: tuple[Overlay, ...] = ()

    @property
    def folder(self) -> Path:
        """The golden set that all else lies on."""
        return self.base.folder

    @property
    def environment(self) -> Environment:
        """Where most goldens were made; raises as `Store.environment` does."""
        return self.base.environment

    @property
    def folders(self) -> list[Path]:
        """The folders of the overlays, in the order in which they lie."""
        return [overlay.folder for overlay in self.overlays]

    def under(self, overlay: Overlay) -> Stack:
        """Return the stack with one more overlay on it."""
        return dataclasses.replace(self, overlays=(*self.overlays, overlay))

    def manifests(self) -> list[Path]:
        """Return the manifests of the sets and of the overlays within them, sorted."""
        within = f"{OVERLAYS}/*/{MANIFEST}"
        sets = [self.folder, *self.folders]
        return sorted(path for each in sets for path in (each / MANIFEST, *each.glob(within)))

    def golden(self, problem_id: str, backend: str, release: str = "") -> Entry | None:
        """Return what a backend must return for a problem under a release of JAX: see above.

        Raises:
            GoldenError: a shard is missing, damaged, or disagrees with its manifest.
        """
        return next(self.answers(problem_id, backend, release), None)

    def answers(self, problem_id: str, backend: str, release: str) -> Iterator[Entry]:
        """Yield what each set holds for a problem on a backend, in the order in which it counts.

        Raises:
            GoldenError: see `golden`.
        """
        sets: list[Overlay | Store] = [*reversed(self.overlays), self.base]
        for maker in makers(backend):
            for each in sets:
                yield from each.answers(problem_id, maker, release)


def open_stack(golden: Path, overlays: Sequence[Path] = ()) -> Stack:
    """Return a golden set and the overlays on it, in the order in which they were named.

    Raises:
        SelectionError: two overlays have the same name.
        GoldenError: one holds nothing, is no golden set, or cannot be read.
    """
    counts = collections.Counter(map(name_of, overlays))
    if twice := [name for name, count in counts.items() if count > 1]:
        raise SelectionError(
            f"--overlay names {counts[twice[0]]} folders called {twice[0]!r}, and verdicts tell "
            "overlays by that name: rename one, or name it once"
        )
    return Stack(base=open_store(golden), overlays=tuple(map(open_overlay, overlays)))


def open_overlay(folder: Path) -> Overlay:
    """Return the overlay in a folder; raises as `open_stack` does."""
    if is_of_budgets(folder):
        return Overlay(folder=folder, store=None)
    store = open_store(folder)
    if store.kind != GOLDEN:
        raise GoldenError(
            f"{folder} is a {store.kind}, and --overlay takes a golden set: make one of it with "
            f"`conformance goldens stage --from {folder} --overlay DIR --backend NAME`"
        )
    return Overlay(folder=folder, store=store)


def is_of_budgets(folder: Path) -> bool:
    """Return whether an overlay holds budgets alone, and its inventory lists nothing of a store."""
    if (folder / MANIFEST).exists() or not (folder / BUDGETS).exists():
        return False
    listed = inventory.read(folder)
    return listed is None or MANIFEST not in listed.files


def name_of(folder: Path) -> str:
    """Return what verdicts call an overlay: the name of its folder."""
    return folder.resolve().name
