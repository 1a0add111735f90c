"""What accepting a stage would change, by class of drift."""

from __future__ import annotations

import collections
import dataclasses
import fnmatch
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from conformance.cases.catalogue import Catalogue
from conformance.cases.planes import problems
from conformance.core import versions
from conformance.core.budgets import BudgetTable
from conformance.core.errors import GoldenError, StagingError, unknown
from conformance.core.ids import Case, Tier, parse_parameter, parse_problem
from conformance.core.paths import PENDING, golden_folder, golden_option
from conformance.core.reading import read_file
from conformance.core.records import Drift, DriftClass, Entry, Environment, Outcome, Raised
from conformance.core.watching import Watch, unwatched
from conformance.curate.doubts import doubts
from conformance.curate.stage import (
    STAGE,
    Stage,
    digest_of,
    open_if_there,
    stacked,
)
from conformance.curate.verify import stage_faults
from conformance.flax import store as layers
from conformance.flax.store import Earlier
from conformance.flax.verdict import parameter_drift
from conformance.judge.bench import Bench
from conformance.judge.budgets import release_budget
from conformance.judge.checks.matrices import is_matrix
from conformance.judge.rules import load_ledger
from conformance.judge.verdict import compare
from conformance.store.budgets import stacked as load_budgets
from conformance.store.read import Store, open_store
from conformance.store.stack import Stack, name_of


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A golden that would change: what it is, what it would be, and how these differ."""

    before: Outcome
    after: Outcome
    drift: Drift


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What accepting would change.

    environment: where what is staged was recorded; golden_environment: where the set was, if there
    is one. changes: by id, for what the set holds already. new: what it does not hold yet. removed:
    what an overlay no longer needs, since the backend now agrees with the set itself, and what a
    layer no longer has. orphans: what the set holds and no tier and no layer asks for; only `prune`
    removes them. doubts: by id, why something staged may be no golden at all; see `curate.doubts`.
    parted: which problems that draw alike would no longer agree in a stage, since not all of them
    are staged. n_waiting: of how many others nothing is said here, which stay pending.
    """

    stage: Stage
    environment: Environment
    changes: Mapping[str, Change]
    new: tuple[str, ...]
    removed: tuple[str, ...]
    orphans: tuple[str, ...]
    doubts: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    parted: tuple[str, ...] = ()
    n_waiting: int = 0
    golden_environment: Environment | None = None

    @property
    def drifts(self) -> Mapping[str, Drift]:
        """The drift of each golden that would change, by id."""
        return {key: change.drift for key, change in self.changes.items()}

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


def review(
    folder: Path,
    catalogue: Catalogue,
    below: Stack | None = None,
    patterns: Sequence[str] = (),
    watch: Watch[Entry] = unwatched,
) -> Review:
    """Return what accepting the pending goldens would change. below: see `stage`.

    patterns: of ids, as a shell has them; those of which none matches stay out. All where empty.

    Raises:
        StagingError: nothing is pending, it was staged against another set than is there now, a
            pattern matches nothing, or it takes a part of a layer's parameters.
        GoldenError: the set or what is pending is damaged.
    """
    merged = merge(folder, below, patterns)
    return dataclasses.replace(merged.review(catalogue), doubts=merged.doubts(catalogue, watch))


def merge(folder: Path, below: Stack | None = None, patterns: Sequence[str] = ()) -> Merge:
    """Return what is pending and what it is to be merged into; arguments: see `review`."""
    staged = _require_pending(folder, below)
    return (LayerMerge if staged.layers else Merge)(folder, staged, below, patterns)


class Merge:
    """A store of the set, what is pending for it, and the entries that come of the two.

    below, patterns: see `review`. chosen: the pending entries that are merged; waiting: the others.
    """

    def __init__(
        self, folder: Path, staged: Stage, below: Stack | None, patterns: Sequence[str]
    ) -> None:
        self.folder = folder
        self.stage = staged
        self.pending = open_store(folder / PENDING)
        self.target = folder / staged.part
        self.old = self._open()
        self._below = below
        taken = _matching(self.pending.ids(), patterns)
        entries = list(self.pending.entries())
        self.chosen = [entry for entry in entries if entry.id in taken]
        self.waiting = [entry for entry in entries if entry.id not in taken]

    def _open(self) -> Store | Earlier | None:
        return open_if_there(self.target)

    @functools.cached_property
    def base(self) -> Store | None:
        """What every backend returns but where its overlay says otherwise."""
        return open_if_there(self.folder)

    @functools.cached_property
    def _stack(self) -> Stack | None:
        return stacked(self.folder, self._below)

    def review(self, catalogue: Catalogue) -> Review:
        """Compare what is staged with what the set holds already; its doubts are asked apart."""
        changes, new = {}, []
        for entry in self.chosen:
            expected = self._expected(entry.id)
            if expected is None:
                new.append(entry.id)
            else:
                changes[entry.id] = Change(
                    before=expected.outcome,
                    after=entry.outcome,
                    drift=self._drift(entry, expected, catalogue),
                )
        return Review(
            stage=self.stage,
            environment=self.pending.environment,
            changes=changes,
            new=tuple(new),
            removed=tuple(key for key in self.old_ids() if key not in self.merged),
            orphans=tuple(self._orphans(catalogue)),
            parted=tuple(self._parted(catalogue)),
            n_waiting=len(self.waiting),
            golden_environment=before.environment if (before := self.old or self.base) else None,
        )

    def doubts(self, catalogue: Catalogue, watch: Watch[Entry]) -> Mapping[str, tuple[str, ...]]:
        """Return what speaks against the chosen entries, by id: see `curate.doubts`.

        Where the set has no budget, the shipped one counts: the law is the same.
        """
        jax = self.pending.environment.packages.get("jax", "")
        bench = Bench(
            specs=catalogue.by_name(),
            goldens=self.pending,
            ledger=load_ledger(),
            budgets=load_budgets(golden_folder(None), [*self._budget_folders(), self.folder]),
        )
        found = doubts(self.chosen, catalogue, bench, self.stage.backend, jax, watch)
        return {key: tuple(faults) for key, faults in found}

    def _parted(self, catalogue: Catalogue) -> list[str]:
        """Return what `verify` would name once this is accepted, and does not yet."""
        before = self.old.entries() if self.old else ()
        known = set(stage_faults(before, catalogue))
        return [each for each in stage_faults(self.merged.values(), catalogue) if each not in known]

    def _orphans(self, catalogue: Catalogue) -> list[str]:
        return orphans(self.base, catalogue) if self.base else []

    def _drift(self, entry: Entry, expected: Entry, catalogue: Catalogue) -> Drift:
        spec = catalogue.lookup(entry.id.partition("-")[0])
        case = Case(problem=parse_problem(entry.id), backend=self.stage.backend, transform="eager")
        budgets = self._budgets if is_matrix(spec.definition) else None
        budget = release_budget(spec, case, budgets)
        return compare(entry.outcome, expected.outcome, spec, budget, problem=case.problem)

    @functools.cached_property
    def _budgets(self) -> BudgetTable:
        first, *others = [*self._budget_folders(), self.folder]
        return load_budgets(first, others)

    def _budget_folders(self) -> list[Path]:
        lower = self._below
        return [lower.folder, *lower.folders] if lower else []

    def old_ids(self) -> list[str]:
        """Return what the target holds today."""
        return self.old.ids() if self.old else []

    @functools.cached_property
    def merged(self) -> dict[str, Entry]:
        """The entries of the target once this is accepted, by id."""
        old = {entry.id: entry for entry in self.old.entries()} if self.old else {}
        merged = old | {entry.id: entry for entry in self.chosen}
        if not self.stage.overlay and self._below is None:
            return merged
        return {key: entry for key, entry in merged.items() if self._is_needed(entry)}

    def _expected(self, key: str) -> Entry | None:
        return next(self._answers(key), None)

    def _answers(self, key: str) -> Iterator[Entry]:
        """Yield what is held for a problem where the target counts, the first one before others."""
        if self._stack is None:
            return iter(())
        return self._stack.answers(key, self.stage.backend, self.stage.release)

    def _is_needed(self, entry: Entry) -> bool:
        """Return whether another one, or none, counts where the target does not hold the entry."""
        mine = self._name()
        other = next((each for each in self._answers(entry.id) if each.overlay != mine), None)
        return other is None or _identity(other.outcome) != _identity(entry.outcome)

    def _name(self) -> str:
        """Return what the stack calls the target."""
        folder = name_of(self.folder) if self._below else ""
        return "/".join(filter(None, (folder, self.stage.part)))


class LayerMerge(Merge):
    """The goldens of layers: what is staged of a layer under one dtype takes the place of all."""

    def __init__(
        self, folder: Path, staged: Stage, below: Stack | None, patterns: Sequence[str]
    ) -> None:
        super().__init__(folder, staged, below, patterns)
        trees = [{_tree_of(entry.id) for entry in part} for part in (self.chosen, self.waiting)]
        if parted := sorted(set.intersection(*trees)):
            layer, dtype = parted[0]
            raise StagingError(
                f"a layer's parameters are accepted together, and {' '.join(patterns)} takes some "
                f"of {layer} in {dtype} only: name all, as in '{layer}*'"
            )

    def doubts(self, _: Catalogue, __: Watch[Entry]) -> Mapping[str, tuple[str, ...]]:
        """Return nothing."""
        return {}  # the suite judges layers by their definitions; their keys are not of a seed

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

    def _parted(self, _: Catalogue) -> list[str]:
        return []  # parameters keep no stages

    def _orphans(self, _: Catalogue) -> list[str]:
        return [key for key in layers.orphans(self.old_ids()) if key in self.merged]

    @functools.cached_property
    def merged(self) -> dict[str, Entry]:
        """The entries of all layers once this is accepted, by id."""
        new = {entry.id: entry for entry in self.chosen}
        staged = set(map(_tree_of, new))
        old = self.old.entries() if self.old else ()
        return {entry.id: entry for entry in old if _tree_of(entry.id) not in staged} | new


def _matching(ids: Sequence[str], patterns: Sequence[str]) -> set[str]:
    """Return the ids that a pattern matches, all if there is none.

    Raises:
        StagingError: a pattern matches nothing.
    """
    if not patterns:
        return set(ids)
    found = {pattern: fnmatch.filter(ids, pattern) for pattern in patterns}
    for pattern, matched in found.items():
        if not matched:
            raise StagingError(unknown("pending golden", pattern, ids))
    return {key for matched in found.values() for key in matched}


def _tree_of(key: str) -> tuple[str, str]:
    parameter = parse_parameter(key)
    return parameter.layer, parameter.dtype


def _identity(outcome: Outcome) -> tuple[Any, ...]:
    """Return what two outcomes have in common exactly if they are the same to the bit."""
    if isinstance(outcome, Raised):
        return (outcome.exception,)
    return (outcome.dtype, outcome.shape, outcome.weak_type, outcome.sha256)


def _require_pending(folder: Path, below: Stack | None) -> Stage:
    staged = pending(folder)
    if staged is None:
        raise StagingError(
            f"nothing is pending in {folder}: stage something with "
            f"`conformance goldens stage{golden_option(folder)}`"
        )
    if staged.base != digest_of(folder, staged, below):
        raise StagingError(
            f"{folder / PENDING} was staged against another golden set than is there now: "
            f"name the --golden and the --overlay of then, or drop it with "
            f"`conformance goldens reject{golden_option(folder)}` and stage again"
        )
    return staged


def orphans(store: Store, catalogue: Catalogue) -> list[str]:
    """Return the stored problems that no tier asks for any more."""
    asked = {problem.id for problem in problems(catalogue, Tier.FULL)}
    return [key for key in store.ids() if key not in asked]
