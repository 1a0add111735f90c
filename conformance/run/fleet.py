"""A session whose cases are observed on a Ray cluster, one by one or as blocks of seeds."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from conformance.cases.selection import blocks, select
from conformance.core.errors import FleetUnavailable, SelectionError
from conformance.core.ids import Block, Case
from conformance.core.records import CaseResult, Environment
from conformance.observe import environment, fleet
from conformance.observe.process import force_host_devices
from conformance.report.lots import Lots, Told
from conformance.report.rows import Row
from conformance.run.isolated import verdict_told
from conformance.run.options import may_shard, read_given, rerun
from conformance.run.parcels import asked_of_nodes, parcels_of
from conformance.run.session import Session, Verdict

if TYPE_CHECKING:
    from conformance.report.page.model import Figure


class Fleet(Session):
    """A session whose cases are observed on a Ray cluster, and judged here as they arrive.

    Blocks of ranges of seeds are judged there: see `parcels`. timeout_s: for one attempt at one
    compile group or parcel. given: what `options.given` told. done: see `Session`.
    """

    def __init__(
        self,
        address: str,
        timeout_s: float,
        given: Mapping[str, Any],
        run_id: str,
        *,
        done: Collection[str] = (),
    ) -> None:
        super().__init__(read_given(given), run_id, done=done)
        self._given = given
        self._address = address
        self._timeout_s = timeout_s
        self._arrived: dict[str, fleet.Arrival[fleet.Group]] = {}

    def laws(self, failed: Iterable[Row]) -> tuple[Figure, ...]:
        """Return nothing: what was observed elsewhere is not to be swept here."""
        del failed
        return ()

    @functools.cached_property
    def selected(self) -> list[Case | Block]:
        """The selected cases, or blocks of them for ranges of seeds.

        Their backends must be named: what is present here says nothing about the cluster.

        Raises:
            SelectionError: no backend is named.
        """
        if self.options.is_auto:
            raise SelectionError(
                "--fleet needs --backend: what is present here says nothing about the cluster"
            )
        if may_shard(self.options.asked):
            force_host_devices()
        asked = self.options.on()
        return [*blocks(self.catalogue, asked)] or [*select(self.catalogue, asked)]

    @functools.cached_property
    def cluster(self) -> fleet.RayCluster:
        """The cluster, whose workers have the variables that JAX and XLA read here.

        Raises:
            FleetUnavailable: it is not there.
        """
        _ = self.selected  # they may ask for host devices by such a variable
        return fleet.RayCluster(self._address, environment.environment_variables())

    @functools.cached_property
    def environment(self) -> Environment:
        """The environment of one node for each backend; a row tells its own node's.

        Raises:
            FleetUnavailable: the cluster lacks a resource, or a node cannot run its backend.
        """
        programs = (each.case if isinstance(each, Block) else each for each in self.selected)
        names = sorted({case.backend for case in programs})
        fleet.require_resources(names, self.cluster)
        first, *others = [self.cluster.probe(name) for name in names]
        devices = dict(first.devices)
        for other in others:
            devices |= other.devices
        return dataclasses.replace(first, devices=devices)

    def verdicts(self) -> Iterator[Verdict | Lots | Told]:
        """Yield what comes of each case, as it comes."""
        return self._of_parcels() if self.blocks else super().verdicts()

    def _of_parcels(self) -> Iterator[Verdict | Lots | Told]:
        """Yield what comes of blocks; of those that nothing came of, the reason, case by case."""
        asked = asked_of_nodes(self._given, self.run_id, self._address, self.judged_by)
        parcels = parcels_of(self.blocks, asked)
        for arrival in fleet.arrivals(parcels, self.cluster, timeout_s=self._timeout_s):
            if arrival.observed is not None:
                for own, lots in arrival.observed:
                    yield from map(verdict_told, own)
                    yield lots
                continue
            for block in arrival.group.blocks:
                for case in block.cases():
                    yield Verdict(case=case, reason=arrival.reason)
                yield Lots(block=block, lots=())

    def arriving(self) -> Iterator[Case]:
        """Yield the cases as their groups come back."""
        groups = fleet.groups_of(self.cases)
        for arrival in fleet.arrivals(groups, self.cluster, timeout_s=self._timeout_s):
            for case in arrival.group.cases:
                self._arrived[case.id] = arrival
                yield case

    def evaluate(self, case: Case) -> tuple[CaseResult, Row]:
        """Judge what arrived, by the JAX version that made it.

        Raises:
            FleetUnavailable: nothing came of it; the message says why.
            GoldenError: the golden cannot be read.
        """
        arrival = self._arrived.pop(case.id)
        if arrival.observed is None:
            raise FleetUnavailable(arrival.reason)
        observed: fleet.Observed = arrival.observed
        there = observed.environment
        number = arrival.group.cases.index(case)
        observation = observed.observations[number]
        result = self.bench.judge(observation, there.packages["jax"])
        return result, self.row(result, there)

    def rerun(self, case: Case) -> str:
        """Return the command that runs the case again on the cluster."""
        words = ["conformance", "run", case.id, "--fleet", self._address]
        return rerun(words, self.options, self.environment)

    def close(self) -> None:
        """Leave the cluster, if it was joined."""
        if "cluster" in vars(self):
            self.cluster.close()
