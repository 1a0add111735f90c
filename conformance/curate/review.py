"""What accepting a stage would change, by class of drift."""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from conformance.cases.catalogue import Catalogue
from conformance.cases.planes import problems
from conformance.core import versions
from conformance.core.budgets import BudgetTable
from conformance.core.errors import GoldenError, StagingError
from conformance.core.ids import Case, Tier, parse_parameter, parse_problem
from conformance.core.paths import BUDGETS, golden_option
from conformance.core.reading import read_file
from conformance.core.records import BASE, Drift, DriftClass, Entry, Environment, Outcome, Raised
from conformance.curate.stage import (
    PENDING,
    STAGE,
    Stage,
    digest_of,
    open_if_there,
)
from conformance.flax import store as layers
from conformance.flax.store import Earlier
from conformance.flax.verdict import parameter_drift
from conformance.judge.budgets import release_budget
from conformance.judge.checks.matrices import is_matrix
from conformance.judge.verdict import compare
from conformance.store.budgets import load as load_budgets
from conformance.store.read import Store, open_store


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What accepting would change.

    environment: where what is staged was recorded. drifts: by id, for what the set holds already.
    new: what it does not hold yet. removed: what an overlay no longer needs, since the backend now
    agrees with the set itself, and what a layer no longer has. orphans: what the set holds and no
    tier and no layer asks for; only `prune` removes them.
    """

    stage: Stage
    environment: Environment
    drifts: Mapping[str, Drift]
    new: tuple[str, ...]
    removed: tuple[str, ...]
    orphans: tuple[str, ...]

    def counts(self) -> dict[str, int]:
        """Return the number of problems by class of drift, then of new and of removed ones."""
        by_class = collections.Counter(drift.drift_class for drift in self.drifts.values())
        counts = {name.value: by_class[name] for name in DriftClass if by_class[name]}
        others = {"new": len(self.new), "removed": len(self.removed)}
        return counts | {name: count for name, count in others.items() if count}


# --- Reviewing -----------------------------------------------------------------------------------
def pending(folder: Path) -> Stage | None:
    """Return what is waiting to be accepted, or None.

    Raises:
        GoldenError: what is there cannot be read.
    """
    path = folder / PENDING / STAGE
    if not path.parent.exists():
        return None
    way_out = f"drop it with `conformance goldens reject{golden_option(folder)}`"
    return read_file(Stage, path, versions.STAGE, error=GoldenError, way_out=way_out)


def review(folder: Path, catalogue: Catalogue) -> Review:
    """Return what accepting the pending goldens would change.

    Raises:
        StagingError: nothing is pending, or it was staged against another set than is there now.
        GoldenError: the set or what is pending is damaged.
    """
    return merge(folder).review(catalogue)


def merge(folder: Path) -> Merge:
    """Return what is pending and what it is to be merged into; raises as `review` does."""
    staged = _require_pending(folder)
    return (LayerMerge if staged.layers else Merge)(folder, staged)


class Merge:
    """A store of the set, what is pending for it, and the entries that come of the two."""

    def __init__(self, folder: Path, staged: Stage) -> None:
        self.folder = folder
        self.stage = staged
        self.pending = open_store(folder / PENDING)
        self.target = folder / staged.part
        self.old = self._open()

    def _open(self) -> Store | Earlier | None:
        return open_if_there(self.target)

    @functools.cached_property
    def base(self) -> Store | None:
        """What every backend returns but where its overlay says otherwise."""
        return open_if_there(self.folder)

    def review(self, catalogue: Catalogue) -> Review:
        """Compare what is staged with what the set holds already."""
        drifts, new = {}, []
        for entry in self.pending.entries():
            expected = self._expected(entry.id)
            if expected is None:
                new.append(entry.id)
            else:
                drifts[entry.id] = self._drift(entry, expected, catalogue)
        return Review(
            stage=self.stage,
            environment=self.pending.environment,
            drifts=drifts,
            new=tuple(new),
            removed=tuple(key for key in self.old_ids() if key not in self.merged),
            orphans=tuple(self._orphans(catalogue)),
        )

    def _orphans(self, catalogue: Catalogue) -> list[str]:
        return orphans(self.base, catalogue) if self.base else []

    def _drift(self, entry: Entry, expected: Entry, catalogue: Catalogue) -> Drift:
        spec = catalogue.lookup(entry.id.partition("-")[0])
        case = Case(
            problem=parse_problem(entry.id),
            backend=self.stage.overlay or BASE,
            transform="eager",
        )
        budgets = self._budgets if is_matrix(spec.definition) else None
        budget = release_budget(spec, case, budgets)
        return compare(entry.outcome, expected.outcome, spec, budget, problem=case.problem)

    @functools.cached_property
    def _budgets(self) -> BudgetTable:
        return load_budgets(self.folder / BUDGETS)

    def old_ids(self) -> list[str]:
        """Return what the target holds today."""
        return self.old.ids() if self.old else []

    @functools.cached_property
    def merged(self) -> dict[str, Entry]:
        """The entries of the target once this is accepted, by id."""
        old = {entry.id: entry for entry in self.old.entries()} if self.old else {}
        merged = old | {entry.id: entry for entry in self.pending.entries()}
        if not self.stage.overlay:
            return merged
        return {key: entry for key, entry in merged.items() if self._differs_from_base(entry)}

    def _expected(self, key: str) -> Entry | None:
        if self.base is None:
            return None
        return self.base.golden(key, self.stage.overlay or "cpu")

    def _differs_from_base(self, entry: Entry) -> bool:
        base = self.base.entry(entry.id) if self.base else None
        return base is not None and _identity(base.outcome) != _identity(entry.outcome)


class LayerMerge(Merge):
    """The goldens of layers: what is staged of a layer under one dtype takes the place of all."""

    def _open(self) -> Store | Earlier | None:
        return layers.open_layers(self.folder)

    def _expected(self, key: str) -> Entry | None:
        return self.old.entry(key) if self.old else None

    def _drift(self, entry: Entry, expected: Entry, catalogue: Catalogue) -> Drift:
        return parameter_drift(
            parse_parameter(entry.id),
            entry.outcome,
            expected.outcome,
            catalogue=catalogue,
            budgets=self._budgets,
        )

    def _orphans(self, _: Catalogue) -> list[str]:
        return [key for key in layers.orphans(self.old_ids()) if key in self.merged]

    @functools.cached_property
    def merged(self) -> dict[str, Entry]:
        """The entries of all layers once this is accepted, by id."""
        new = {entry.id: entry for entry in self.pending.entries()}
        staged = set(map(_tree_of, new))
        old = self.old.entries() if self.old else ()
        return {entry.id: entry for entry in old if _tree_of(entry.id) not in staged} | new


def _tree_of(key: str) -> tuple[str, str]:
    parameter = parse_parameter(key)
    return parameter.layer, parameter.dtype


def _identity(outcome: Outcome) -> tuple[Any, ...]:
    """Return what two outcomes have in common exactly if they are the same to the bit."""
    if isinstance(outcome, Raised):
        return (outcome.exception,)
    return (outcome.dtype, outcome.shape, outcome.weak_type, outcome.sha256)


def _require_pending(folder: Path) -> Stage:
    staged = pending(folder)
    if staged is None:
        raise StagingError(
            f"nothing is pending in {folder}: stage something with "
            f"`conformance goldens stage{golden_option(folder)}`"
        )
    if staged.base != digest_of(folder, staged):
        raise StagingError(
            f"{folder / PENDING} was staged against another golden set than is there now: "
            f"drop it with `conformance goldens reject{golden_option(folder)}` and stage again"
        )
    return staged


def orphans(store: Store, catalogue: Catalogue) -> list[str]:
    """Return the stored problems that no tier asks for any more."""
    asked = {problem.id for problem in problems(catalogue, Tier.FULL)}
    return [key for key in store.ids() if key not in asked]
