"""Observe layers here and now, and stage what they draw beside the goldens of a set."""

from __future__ import annotations

import contextlib
import dataclasses
import fnmatch
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from conformance.core.errors import GoldenError, SelectionError, unknown
from conformance.core.files import at_work, scratch_folder
from conformance.core.ids import Parameter
from conformance.core.paths import LAYERS
from conformance.core.records import Entry, Environment, Outcome, Returned
from conformance.curate.stage import Stage, put, require_fit, require_stageable
from conformance.flax import store
from conformance.flax.layers import PARAM_DTYPES, Layer
from conformance.flax.observe import installed_layers, on_cpu, tree
from conformance.observe import environment
from conformance.observe.worker import Began, Lost, Voice, left_after, supervised
from conformance.store.read import open_store
from conformance.store.write import now, write_store


def asked_layers(patterns: Sequence[str]) -> list[Layer]:
    """Return the layers of the installed Flax that the names or glob patterns mean.

    Raises:
        SelectionError: one of them means none.
    """
    layers = installed_layers()
    names = [layer.name for layer in layers]
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise SelectionError(unknown("layer", pattern, names))
    meant = {name for pattern in patterns for name in fnmatch.filter(names, pattern)}
    return [layer for layer in layers if layer.name in meant]


def asked_dtypes(dtypes: Sequence[str]) -> tuple[str, ...]:
    """Return the dtypes that layers are asked for: those named, else all.

    Raises:
        SelectionError: no layer is asked for one of them.
    """
    for dtype in dtypes:
        if dtype not in PARAM_DTYPES:
            raise SelectionError(unknown("param_dtype", dtype, PARAM_DTYPES))
    return tuple(dtypes) or PARAM_DTYPES


def record_and_stage_layers(
    folder: Path,
    layers: Sequence[Layer],
    dtypes: Sequence[str],
    *,
    scope: str,
    reason: str,
    observer: Observer,
) -> Mapping[str, str]:
    """Initialize the layers and stage every parameter.

    Return the trees that ended their process, and how. They are left out, and the scope says so:
    their goldens stay as they are.

    observer: `Here` or `Apart`.

    Raises:
        StagingError: no reason is given, or something is pending already.
        SelectionError: none of the layers has a parameter.
        GoldenError: a parameter is no golden, all trees were lost, the folder cannot be written, or
            another command is at work on it.
        WorkerGone: a worker ended outside of a tree.
    """
    trees = list(itertools.product(layers, dtypes))
    with at_work(folder):
        require_stageable(folder, reason)
        with scratch_folder(folder) as scratch:
            seen = observer(trees, scratch)
        if len(seen.lost) == len(trees):
            raise GoldenError(f"nothing is left to stage: {_told(seen.lost)}")
        if not seen.entries:
            raise SelectionError(f"{scope}: these layers have no parameters, so no goldens")
        require_fit(seen.entries, "this Flax")
        scope = f"{scope} but for {', '.join(seen.lost)}" if seen.lost else scope
        staged = Stage(scope=scope, reason=reason, date=now(), layers=True)
        goldens = [dataclasses.replace(entry, extra={}) for entry in seen.entries]
        put(folder, staged, goldens, seen.environment)
        return seen.lost


def _told(lost: Mapping[str, str]) -> str:
    return "; ".join(f"{tree}: {reason}" for tree, reason in lost.items())


# --- Initializing --------------------------------------------------------------------------------
Tree = tuple[Layer, str]
"""A layer, and the dtype that its parameters are asked for in."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Today's outcome of every parameter, and what a second call returned.

    lost: trees that ended their process, by id, and how.
    """

    entries: list[Entry]
    environment: Environment
    lost: Mapping[str, str] = dataclasses.field(default_factory=dict)


Observer = Callable[[Sequence[Tree], Path], Seen]
"""Initializes trees; the folder is its own to write into."""

Progress = Callable[[int, int, Parameter], None]
"""Called after each tree: the number of this one, the number of all, the layer and its dtype."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """Initializes trees in this process."""

    progress: Progress

    def __call__(self, trees: Sequence[Tree], _: Path) -> Seen:
        """Return what the trees hold."""
        entries: list[Entry] = []
        with on_cpu():
            for number, (layer, dtype) in enumerate(trees, start=1):
                entries += _observed(layer, dtype)
                self.progress(number, len(trees), _id(layer, dtype))
        return Seen(entries=entries, environment=environment.capture(("cpu",)))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """Initializes trees in a supervised worker: one that ends its process costs itself alone."""

    progress: Progress
    timeout_s: float

    def __call__(self, trees: Sequence[Tree], scratch: Path) -> Seen:
        """Return what the trees hold, by way of a store for each in the folder."""
        asked = {"trees": [(layer.name, dtype) for layer, dtype in trees], "out": str(scratch)}
        entries: list[Entry] = []
        lost: dict[str, str] = {}
        with contextlib.closing(supervised(TASK, asked, self.timeout_s)) as events:
            began = next(events)
            assert isinstance(began, Began)
            for number, ((layer, dtype), event) in enumerate(zip(trees, events, strict=True)):
                tree = _id(layer, dtype)
                if isinstance(event, Lost):
                    lost[tree.id] = event.reason
                else:
                    entries += open_store(scratch / str(number)).entries()
                self.progress(number + 1, len(trees), tree)
        told = Environment(**began.facts["environment"])
        return Seen(entries=entries, environment=told, lost=lost)


def _id(layer: Layer, dtype: str) -> Parameter:
    return Parameter(layer=layer.name, dtype=dtype)


def _observed(layer: Layer, dtype: str) -> Iterator[Entry]:
    """Yield the outcome of every parameter of a tree, and what a second call returned."""
    first, again = (_outcomes(layer, dtype) for _ in range(2))
    for key, outcome in first.items():
        extra = {"repeat_sha256": _sha256(again.get(key))}
        yield dataclasses.replace(store.entry_of(key, outcome), extra=extra)


def _outcomes(layer: Layer, dtype: str) -> dict[str, Outcome]:
    return store.outcomes_of(layer.name, dtype, tree(layer, dtype))


def _sha256(outcome: Outcome | None) -> str | None:
    return outcome.sha256 if isinstance(outcome, Returned) else None


# --- In a worker ---------------------------------------------------------------------------------
TASK = "conformance.curate.layers:observe_apart"


def observe_apart(asked: Mapping[str, Any], lost: Mapping[str, str], voice: Voice) -> None:
    """Store what each tree holds in a folder of its own, by its number."""
    layers = {layer.name: layer for layer in installed_layers()}
    trees = {_id(layers[name], dtype).id: (layers[name], dtype) for name, dtype in asked["trees"]}
    ids = list(trees)
    left = left_after(lost, ids)
    with on_cpu():
        captured = dataclasses.asdict(environment.capture(("cpu",)))
        voice.begin(left, environment=captured)
        for key in left:
            folder = Path(asked["out"]) / str(ids.index(key))
            write_store(folder, list(_observed(*trees[key])), kind=LAYERS, provenance=[])
            voice.answer(key)
