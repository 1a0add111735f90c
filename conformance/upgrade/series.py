"""One recording for each release of a package, had when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from conformance.cases.catalogue import Catalogue
from conformance.store.read import Store
from conformance.upgrade.compare import Comparison
from conformance.upgrade.environments import Plan, solve
from conformance.upgrade.gate import require_sound
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
            require_sound([store])
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
