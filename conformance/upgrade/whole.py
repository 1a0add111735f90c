"""Two sides compared by all their elements, where what is kept of an array does not settle it."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from pathlib import Path

from conformance.cases.catalogue import Catalogue
from conformance.core.words import counted
from conformance.store.read import Store
from conformance.upgrade.compare import Comparison, compare_stores, key_of
from conformance.upgrade.environments import Plan
from conformance.upgrade.recordings import Asked, Say, record_sides


def compared(
    plans: Sequence[Plan],
    stores: tuple[Store, Store],
    asked: Asked,
    catalogue: Catalogue,
    *,
    names: tuple[str, str],
    say: Say,
    passing: Path,
    only: Collection[str] = (),
) -> Comparison:
    """Return how the second side differs from the first.

    Arrays that differ, of which only samples are kept, are recorded again on both sides, whole:
    those and no others, so that what is alike costs neither disk nor memory.

    names, only: see `compare_stores`. passing: see `record_sides`.

    Raises:
        SideError: a side cannot be recorded again.
        EmptySelection: no case is on both sides.
    """
    comparison = compare_stores(*stores, catalogue, names=names, only=only)
    partly = tuple(key_of(pair) for pair in comparison.pairs if pair.drift.n_compared is not None)
    if not partly:
        return comparison
    say(f"{counted(len(partly), 'array')} of which a sample is kept: recording whole what differs")
    whole = record_sides(plans, asked.whole_of(partly), say, passing)
    again = compare_stores(whole[0], whole[1], catalogue, names=names, only=partly)
    better = {pair.name: pair for pair in again.pairs}
    return dataclasses.replace(
        comparison,
        pairs=tuple(better.get(pair.name, pair) for pair in comparison.pairs),
        causes={**comparison.causes, **again.causes},
    )
