"""Observe layers here and now, and stage what they draw beside the goldens of a set."""

from __future__ import annotations

import dataclasses
import fnmatch
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from conformance.core.errors import SelectionError, unknown
from conformance.core.files import at_work
from conformance.core.ids import Parameter
from conformance.core.records import Entry, Outcome, Returned
from conformance.curate.stage import Stage, put, require_fit, require_stageable
from conformance.flax import store
from conformance.flax.layers import PARAM_DTYPES, Layer
from conformance.flax.observe import installed_layers, on_cpu, tree
from conformance.observe import environment
from conformance.store.write import now

Progress = Callable[[int, int, Parameter], None]
"""Called after each tree: the number of this one, the number of all, the layer and its dtype."""


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
    progress: Progress | None = None,
) -> Stage:
    """Initialize the layers here and now, and stage every parameter.

    Raises:
        StagingError: no reason is given, or something is pending already.
        SelectionError: none of the layers has a parameter.
        GoldenError: a parameter is no golden, the folder cannot be written, or another command is
            at work on it.
    """
    with at_work(folder):
        require_stageable(folder, reason)
        with on_cpu():
            entries = list(_observed(layers, dtypes, progress))
        if not entries:
            raise SelectionError(f"{scope}: these layers have no parameters, so no goldens")
        require_fit(entries, "this Flax")
        staged = Stage(scope=scope, reason=reason, date=now(), layers=True)
        goldens = [dataclasses.replace(entry, extra={}) for entry in entries]
        return put(folder, staged, goldens, environment.capture(("cpu",)))


def _observed(
    layers: Sequence[Layer], dtypes: Sequence[str], progress: Progress | None
) -> Iterator[Entry]:
    """Yield today's outcome of every parameter, and what a second call returned."""
    trees = list(itertools.product(layers, dtypes))
    for number, (layer, dtype) in enumerate(trees, start=1):
        first, again = (_outcomes(layer, dtype) for _ in range(2))
        for key, outcome in first.items():
            extra = {"repeat_sha256": _sha256(again.get(key))}
            yield dataclasses.replace(store.entry_of(key, outcome), extra=extra)
        if progress is not None:
            progress(number, len(trees), Parameter(layer=layer.name, dtype=dtype))


def _outcomes(layer: Layer, dtype: str) -> dict[str, Outcome]:
    return store.outcomes_of(layer.name, dtype, tree(layer, dtype))


def _sha256(outcome: Outcome | None) -> str | None:
    return outcome.sha256 if isinstance(outcome, Returned) else None
