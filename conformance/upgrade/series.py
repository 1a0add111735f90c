"""One recording for each release of a package, had when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from conformance.cases.catalogue import Catalogue
from conformance.core.errors import SideError
from conformance.observe.record import failed_by_the_machine
from conformance.store.entries import RECORDING
from conformance.store.read import Store
from conformance.upgrade.compare import Comparison
from conformance.upgrade.environments import Plan, solve
from conformance.upgrade.outside import explained
from conformance.upgrade.recordings import Asked, Say, find_recording, interpreters_of, record_sides
from conformance.upgrade.releases import Registry, release_side
from conformance.upgrade.whole import compared


class Releases:
    """The recordings of one selection under the releases of one package.

    extra: requirements of the user's own code, installed beside every release.
    """

    def __init__(
        self,
        package: str,
        registry: Registry,
        asked: Asked,
        catalogue: Catalogue,
        say: Say,
        passing: Path,
        *,
        extra: Sequence[str] = (),
    ) -> None:
        self._package = package
        self._registry = registry
        self._asked = asked
        self._catalogue = catalogue
        self._say = say
        self._passing = passing
        self._extra = tuple(extra)
        self._stores: dict[str, Store] = {}
        self._plans: dict[str, Plan] = {}

    def probe(self, release: str) -> None:
        """Record the release, unless a recording holds all that is asked.

        Raises:
            SideError: it cannot be installed, or crashes.
        """
        self.store(release)

    def store(self, release: str) -> Store:
        """Return the recording of the release; see `probe`."""
        if release not in self._stores:
            plan = solve(release_side(release, self._package), self._registry, extra=self._extra)
            store = find_recording(plan, self._asked) if self._asked.cases else None
            if store is None:
                (store,) = record_sides([plan], self._asked, self._say, self._passing)
            require_sound(store)
            self._stores[release], self._plans[release] = store, plan
        return self._stores[release]

    def compare(self, older: str, newer: str) -> Comparison:
        """Return how the newer release differs from the older, in the cases that are asked for."""
        names = (f"{self._package} {older}", f"{self._package} {newer}")
        stores = self.store(older), self.store(newer)
        return compared(
            (self._plans[older], self._plans[newer]),
            stores,
            self._asked,
            self._catalogue,
            names=names,
            say=self._say,
            passing=self._passing,
            only=self._asked.ids,
        )

    def explained(self, older: str, newer: str) -> Comparison:
        """Return the same with its causes, those outside of JAX too.

        Raises:
            SideError: an environment is gone, and cannot be built again.
        """
        stores = self.store(older), self.store(newer)
        plans = self._plans[older], self._plans[newer]
        comparison = self.compare(older, newer)
        return explained(comparison, stores, self._catalogue, interpreters_of(plans))


def require_sound(store: Store) -> None:
    """Ensure that no case failed for want of memory, of a device or of its process.

    Raises:
        SideError: some did; the message names them, and how the first one failed.
    """
    if store.kind == RECORDING and (failed := failed_by_the_machine(store)):
        first = next(iter(failed.values()))
        raise SideError(
            f"the machine failed {', '.join(failed)} ({first}): free its memory, and run the "
            "command again"
        )
