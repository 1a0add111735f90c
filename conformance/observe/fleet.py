"""Observe on a Ray cluster: compile groups go to the nodes that have what they need.

The nodes observe and judge nothing, so the verdict is that of one machine, whatever came back when.
A group whose worker is lost, or that takes too long, is given to another one, ATTEMPTS times in
all.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar, cast

from conformance.cases.backends import installed, lookup
from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import Catalogue
from conformance.core.errors import ConformanceError, FleetUnavailable
from conformance.core.ids import Case, parse_case
from conformance.core.installation import extra_command
from conformance.core.records import Environment, Observation
from conformance.observe import environment
from conformance.observe.observer import Observer

ATTEMPTS = 3
"""How often a group is tried: a node may be taken away twice, but a program that kills its worker
must not hold up the run for ever."""

POLL_S = 0.5

PROBE_TIMEOUT_S = 120.0
"""A worker has to start, and to import JAX, once before it answers."""


W = TypeVar("W", bound="Work")


class WorkerLost(Exception):  # noqa: N818  # names what happened
    """A worker ended before its group: another one may do better."""


def resource_of(backend: str) -> str:
    """Return the name of the resource that a backend needs one of."""
    return lookup(backend).resource


class Work(Protocol):
    """What one worker does in one go."""

    @property
    def name(self) -> str:
        """Its name, which no other work has."""

    @property
    def backend(self) -> str:
        """The backend that it needs."""

    @property
    def call(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """The function that does it, on a worker, and its arguments."""

    @property
    def n_ahead(self) -> int:
        """How many like it may wait at each worker: 0 where its timeout must be its own."""

    @property
    def parts(self) -> Sequence[Work]:
        """Smaller work that it is made of; () where it cannot be divided."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Cases that share compiled programs: what one worker observes in one go."""

    cases: tuple[Case, ...]

    @property
    def name(self) -> str:
        """The compile group."""
        return self.cases[0].group

    @property
    def backend(self) -> str:
        """The backend of its cases."""
        return self.cases[0].backend

    @property
    def call(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """What a worker does: see `observe_group`."""
        return observe_group, (tuple(case.id for case in self.cases),)

    @property
    def n_ahead(self) -> int:
        """None: it takes seconds or minutes."""
        return 0

    @property
    def parts(self) -> Sequence[Work]:
        """Nothing: its cases share what takes longest."""
        return ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What a worker saw, and where it ran."""

    observations: tuple[Observation, ...]
    environment: Environment


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Arrival(Generic[W]):
    """What came of some work: `observed`, or, where nothing did, the reason."""

    group: W
    observed: Any = None
    reason: str = ""


def groups_of(cases: Iterable[Case]) -> list[Group]:
    """Return the compile groups of the cases, the largest first: none may come last."""
    parts: dict[str, list[Case]] = {}
    for case in cases:
        parts.setdefault(case.group, []).append(case)
    groups = [Group(cases=tuple(part)) for part in parts.values()]
    return sorted(groups, key=lambda group: (-len(group.cases), group.name))


# --- Scheduling ----------------------------------------------------------------------------------
class Cluster(Protocol):
    """What schedules tasks. A ticket stands for one attempt at one piece of work."""

    def resources(self) -> Mapping[str, float]:
        """Return how much of each resource all nodes together have."""

    def submit(self, group: Any) -> Any:
        """Hand the work to a worker and return the ticket."""

    def wait(self, tickets: Collection[Any], timeout_s: float) -> list[Any]:
        """Return the tickets that are done, once there is one or the time is over."""

    def result(self, ticket: Any) -> Any:
        """Return what came of a ticket that is done.

        Raises:
            WorkerLost: the worker ended before it.
            FleetUnavailable: its node lacks the backend or this package.
        """

    def cancel(self, ticket: Any) -> None:
        """End the worker of the ticket."""


def require_resources(backends: Iterable[str], cluster: Cluster) -> None:
    """Ensure that each backend can be scheduled: a task that cannot would wait for ever.

    Raises:
        FleetUnavailable: no node has what one needs.
    """
    present = cluster.resources()
    for backend in sorted(set(backends)):
        needed = resource_of(backend)
        if present.get(needed, 0) < 1:
            shown = ", ".join(f"{name} {present[name]:g}" for name in _shown(present))
            raise FleetUnavailable(
                f"backend {backend!r} needs a node with a {needed}, and the cluster has "
                f"{shown or 'nothing'}: add such a node, or leave the backend out"
            )


def _shown(present: Mapping[str, float]) -> list[str]:
    needed = {"CPU", *(spec.resource for spec in installed().specs())}
    return [name for name in sorted(needed) if name in present]


def arrivals(groups: Sequence[W], cluster: Cluster, *, timeout_s: float) -> Iterator[Arrival[W]]:
    """Yield what came of each group, as it comes; every group arrives, with a result or a reason.

    timeout_s: for one attempt at one group, from when it is handed over. No more groups are handed
        over at once than there are resources, so that none spends its time in a queue, but for what
        may wait there, and has the time of those ahead too. A worker has its next one before
        anybody looks at what it brought.
    """
    waiting = collections.deque(groups)
    attempts: collections.Counter[str] = collections.Counter()
    running: dict[Any, tuple[W, float]] = {}
    while waiting or running:
        arrived = list(_hand_over(waiting, running, cluster, timeout_s))
        for ticket in cluster.wait(list(running), POLL_S):
            group, _ = running.pop(ticket)
            attempts[group.name] += 1
            try:
                arrived.append(Arrival(group=group, observed=cluster.result(ticket)))
            except FleetUnavailable as error:
                arrived.append(Arrival(group=group, reason=str(error)))
            except WorkerLost as error:
                arrived += _again(group, attempts, waiting, str(error))
        for ticket in [each for each, (_, end) in running.items() if time.monotonic() > end]:
            group, _ = running.pop(ticket)
            attempts[group.name] += 1
            cluster.cancel(ticket)
            reason = f"it was not done within {timeout_s:g} s"
            arrived += _again(group, attempts, waiting, reason)
        arrived += _hand_over(waiting, running, cluster, timeout_s)
        yield from arrived


def _hand_over(
    waiting: collections.deque[W],
    running: dict[Any, tuple[W, float]],
    cluster: Cluster,
    timeout_s: float,
) -> Iterator[Arrival[W]]:
    """Fill the nodes; a group whose resource has left the cluster arrives without a result."""
    if not waiting:
        return
    present = cluster.resources()
    busy = collections.Counter(resource_of(group.backend) for group, _ in running.values())
    for group in list(waiting):
        needed = resource_of(group.backend)
        if present.get(needed, 0) < 1 and not busy[needed]:
            waiting.remove(group)
            yield Arrival(group=group, reason=f"no node with a {needed} is left")
        elif busy[needed] < int(present.get(needed, 0)) * (turns := 1 + group.n_ahead):
            waiting.remove(group)
            busy[needed] += 1
            running[cluster.submit(group)] = group, time.monotonic() + timeout_s * turns


def _again(
    group: W, attempts: Mapping[str, int], waiting: collections.deque[W], reason: str
) -> list[Arrival[W]]:
    """Let the group, or what it is made of, be tried again; return what arrives in vain."""
    if attempts[group.name] < ATTEMPTS:
        waiting.append(group)
        return []
    if group.parts:
        waiting.extend(cast("Sequence[W]", group.parts))
        return []
    return [Arrival(group=group, reason=f"{group.name} was tried {ATTEMPTS} times: {reason}")]


class Places:
    """Which node the next work goes to, of those that have done some of ours.

    The news of a node reaches the others ten times a second. A task whose node Ray itself chooses
    therefore finds a worker that became free elsewhere up to 100 ms late: of work of half a second
    that is a tenth. Ray chooses for what no node that is known has room for: so one that joins the
    cluster, or that others were using, is found.
    """

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._handed: dict[Any, str] = {}

    def choose(self, sizes: Mapping[str, float], turns: int) -> str | None:
        """Return the node that was handed the least for its size; None where none has room.

        sizes: how much of the needed resource each node that is alive has. turns: how much work
            each of that may have at once, what waits included.
        """
        n_handed = collections.Counter(self._handed.values())
        room = {node: int(sizes.get(node, 0)) * turns for node in self._seen}
        known = sorted(node for node in self._seen if n_handed[node] < room[node])
        return min(known, key=lambda node: n_handed[node] / room[node], default=None)

    def hand(self, ticket: Any, node: str) -> None:
        """Note that the work of a ticket was handed to a node."""
        self._handed[ticket] = node

    def leave(self, ticket: Any, node: str | None = None) -> None:
        """Note that a ticket is over. node: where its work was done; None if it was not."""
        self._handed.pop(ticket, None)
        if node is not None:
            self._seen.add(node)

    def give_up(self, ticket: Any) -> None:
        """Note that the time of a ticket was over: its node may be in the hands of others."""
        self._seen.discard(self._handed.pop(ticket, ""))


# --- On a worker ---------------------------------------------------------------------------------
def observe_group(ids: tuple[str, ...]) -> Observed:
    """Return what the cases do here, with their stages, which explain a difference later.

    Raises:
        BackendUnavailable: this node has no device of the backend.
    """
    observer, catalogue = _observer(), _catalogue()
    cases = [parse_case(key) for key in ids]
    observations = [
        observer.observe_in_full(case, catalogue.lookup(case.problem.initializer)) for case in cases
    ]
    return Observed(observations=tuple(observations), environment=_captured(cases[0].backend))


@functools.cache
def _observer() -> Observer:
    return Observer()


@functools.cache
def _catalogue() -> Catalogue:
    return load_catalogue()


@functools.cache
def _captured(backend: str) -> Environment:
    """Return this node's environment; made once, for a worker gets many groups."""
    return environment.capture((backend,))


def _on_node(function: Callable[..., Any], *arguments: Any) -> tuple[str, Any]:
    """Return the node that this runs on, as Ray names it, and what the function returns."""
    import ray

    return ray.get_runtime_context().get_node_id(), function(*arguments)


def probe(backend: str) -> Environment:
    """Return the environment of a node that has the backend.

    Raises:
        BackendUnavailable: it has no device.
    """
    from conformance.observe.backends import open_backend

    open_backend(backend)
    return _captured(backend)


# --- Ray -----------------------------------------------------------------------------------------
class RayCluster:
    """An existing Ray cluster, whose nodes have this package installed.

    variables: environment variables of the workers: those that XLA and JAX read, as they are here.

    Raises:
        FleetUnavailable: the extra is not installed, or no cluster answers.
    """

    def __init__(self, address: str, variables: Mapping[str, str]) -> None:
        try:
            import ray
        except ModuleNotFoundError as error:
            raise FleetUnavailable(f"--fleet needs Ray: {extra_command('fleet')}") from error
        self._ray: Any = ray
        self._places = Places()
        self._task = functools.cache(self._new_task)
        try:
            ray.init(
                address=address,
                runtime_env={"env_vars": dict(variables)},
                log_to_driver=False,
                logging_level="ERROR",
            )
        except (ConnectionError, ValueError) as error:
            raise FleetUnavailable(
                f"no Ray cluster answers at {address!r}: start one with `ray start --head`, or "
                f"correct the address. Ray says: {error}"
            ) from error

    def close(self) -> None:
        """Leave the cluster; it goes on without this program."""
        self._ray.shutdown()

    def resources(self) -> Mapping[str, float]:
        """Return how much of each resource all nodes together have."""
        present: Mapping[str, float] = self._ray.cluster_resources()
        return present

    def probe(self, backend: str) -> Environment:
        """Return the environment of a node that has the backend.

        Raises:
            FleetUnavailable: no node answers in time, or it lacks the backend or this package.
        """
        ticket = self._task(probe, backend).remote(backend)
        try:
            found: Environment = self._get(ticket, timeout=PROBE_TIMEOUT_S)
        except (WorkerLost, self._ray.exceptions.GetTimeoutError) as error:
            self.cancel(ticket)
            raise FleetUnavailable(
                f"no worker with a {resource_of(backend)} answered within {PROBE_TIMEOUT_S:g} s: "
                "are all of them busy? `ray status` shows it"
            ) from error
        return found

    def submit(self, group: Work) -> Any:
        """Hand the work to a worker and return the ticket."""
        function, arguments = group.call
        task = self._task(_on_node, group.backend)
        node = self._place(group)
        if node is None:
            return task.remote(function, *arguments)
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        there = NodeAffinitySchedulingStrategy(node, soft=True)  # elsewhere once the node is gone
        ticket = task.options(scheduling_strategy=there).remote(function, *arguments)
        self._places.hand(ticket, node)
        return ticket

    def _place(self, group: Work) -> str | None:
        """Return the node for short work; what takes long goes where Ray finds a worker free."""
        if not group.n_ahead:
            return None
        return self._places.choose(self._sizes(resource_of(group.backend)), 1 + group.n_ahead)

    def _sizes(self, resource: str) -> dict[str, float]:
        """Return how much of a resource each node has that is alive."""
        nodes = (node for node in self._ray.nodes() if node["Alive"])
        return {node["NodeID"]: node["Resources"].get(resource, 0) for node in nodes}

    def wait(self, tickets: Collection[Any], timeout_s: float) -> list[Any]:
        """Return the tickets that are done, once there is one or the time is over."""
        if not tickets:
            return []
        done, _ = self._ray.wait(list(tickets), num_returns=1, timeout=timeout_s)
        return list(done)

    def result(self, ticket: Any) -> Any:
        """Return what came of a ticket that is done; see `Cluster`."""
        node = None
        try:
            node, observed = self._get(ticket)
        finally:
            self._places.leave(ticket, node)
        return observed

    def cancel(self, ticket: Any) -> None:
        """End the worker of the ticket."""
        self._places.give_up(ticket)
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._ray.cancel(ticket, force=True)

    def _new_task(self, function: Any, backend: str) -> Any:
        """Return the task; a worker is kept for the next group, and Ray itself retries nothing."""
        needed = resource_of(backend)
        asked: dict[str, Any] = {"num_cpus": int(needed == "CPU"), "max_retries": 0, "max_calls": 0}
        if needed == "GPU":
            asked["num_gpus"] = 1
        elif needed != "CPU":
            asked["resources"] = {needed: 1}
        return self._ray.remote(**asked)(function)

    def _get(self, ticket: Any, timeout: float | None = None) -> Any:
        exceptions = self._ray.exceptions
        try:
            return self._ray.get(ticket, timeout=timeout)
        except exceptions.GetTimeoutError:
            raise
        except exceptions.RayTaskError as error:
            if isinstance(error.cause, ConformanceError | ImportError):
                raise FleetUnavailable(f"a node of the fleet says: {error.cause}") from error
            raise
        except exceptions.RayError as error:
            raise WorkerLost(f"its worker was lost ({type(error).__name__})") from error
