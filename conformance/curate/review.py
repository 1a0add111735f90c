"""What accepting a stage would change, by class of drift."""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from conformance.cases.catalogue import Catalogue, InitializerSpec
from conformance.cases.planes import problems
from conformance.core import versions
from conformance.core.budgets import BudgetTable
from conformance.core.errors import GoldenError, StagingError
from conformance.core.ids import Case, Tier, parse_problem
from conformance.core.paths import BUDGETS, golden_option
from conformance.core.reading import read_file
from conformance.core.records import BASE, Drift, DriftClass, Entry, Environment, Outcome, Raised
from conformance.curate.stage import (
    PENDING,
    STAGE,
    Stage,
    digest_of,
    open_if_there,
    target_folder,
)
from conformance.judge.budgets import release_budget
from conformance.judge.checks.matrices import is_matrix
from conformance.judge.verdict import compare
from conformance.store.budgets import load as load_budgets
from conformance.store.read import Store, open_store


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What accepting would change.

    environment: where what is staged was recorded. drifts: by problem id, for what the set holds
    already. new: what it does not hold yet. removed: what an overlay no longer needs, since the
    backend now agrees with the set itself. orphans: what the set holds and no tier asks for; only
    `prune` removes them.
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
    return Merge(folder).review(catalogue)


class Merge:
    """The set, what is pending, and the entries that come of the two."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stage = _require_pending(folder)
        self.pending = open_store(folder / PENDING)
        self.base = open_if_there(folder)
        self.target = target_folder(folder, self.stage.overlay)
        self.old = open_if_there(self.target)

    def review(self, catalogue: Catalogue) -> Review:
        """Compare what is staged with what the set holds already."""
        drifts, new = {}, []
        for entry in self.pending.entries():
            expected = self._expected(entry.id)
            if expected is None:
                new.append(entry.id)
            else:
                spec = catalogue.lookup(entry.id.partition("-")[0])
                drifts[entry.id] = self._drift(entry, expected, spec)
        return Review(
            stage=self.stage,
            environment=self.pending.environment,
            drifts=drifts,
            new=tuple(new),
            removed=tuple(key for key in self.old_ids() if key not in self.merged),
            orphans=tuple(orphans(self.base, catalogue)) if self.base else (),
        )

    def _drift(self, entry: Entry, expected: Entry, spec: InitializerSpec) -> Drift:
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
    if staged.base != digest_of(folder, staged.overlay):
        raise StagingError(
            f"{folder / PENDING} was staged against another golden set than is there now: "
            f"drop it with `conformance goldens reject{golden_option(folder)}` and stage again"
        )
    return staged


def orphans(store: Store, catalogue: Catalogue) -> list[str]:
    """Return the stored problems that no tier asks for any more."""
    asked = {problem.id for problem in problems(catalogue, Tier.FULL)}
    return [key for key in store.ids() if key not in asked]
