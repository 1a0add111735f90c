"""Two stores -> a comparison: how every case of the second differs from the first.

A store is a recording, a golden set, a set of predictions, or the parameters of a user's model.
Recordings and predictions are matched by case; golden sets by problem and backend; a recording with
a golden set as `conformance run` would; parameters by path, for their dtype and shape are part of
what is compared. A recording confirms predictions or refutes them.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from conformance.cases.catalogue import Catalogue, InitializerSpec
from conformance.core.arrays import as_dtype, flat
from conformance.core.budgets import BudgetTable
from conformance.core.errors import EmptySelection, GoldenError
from conformance.core.ids import Case, parse_case, parse_problem
from conformance.core.laws import Definition, nominal_moments
from conformance.core.paths import BUDGETS, LAYERS, shipped
from conformance.core.records import (
    BASE,
    Drift,
    DriftClass,
    Entry,
    Environment,
    Outcome,
    Raised,
    Returned,
)
from conformance.core.settings import differences
from conformance.core.watching import Watch, unwatched
from conformance.core.words import counted
from conformance.judge.budgets import release_budget
from conformance.judge.checks.matrices import compare_matrices
from conformance.judge.drift import classify, first_differing_stage
from conformance.judge.drift.permitted import Deviation, Permitted, deviation
from conformance.judge.drift.refuted import Assumption, fallen
from conformance.judge.verdict import compare
from conformance.observe.lowering import program_key
from conformance.observe.record import failed_by_the_machine
from conformance.store.budgets import load as load_budgets
from conformance.store.entries import (
    BY_CASE,
    GOLDEN,
    PREDICTED,
    RECORDING,
    TREE,
    parameter_id,
    parameter_path,
)
from conformance.store.read import Store, open_store
from conformance.upgrade.cause import Finding, cause_by_programs
from conformance.upgrade.factored import matrix_of
from conformance.upgrade.predicted import Test, test_of

ANY = "any"
"""Backend and transform of a golden, which answers for all of them."""


ORTHOGONAL = "orthogonal"
"""The initializer whose budgets count for a model's orthogonal parameters."""

REWORDED = "raises the same exception with another message"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One case on both sides, and how the second outcome differs from the first.

    definition: what the initializer is declared to be, or of a model's parameter which orthogonal
        matrix it is; None where nobody says so. deviation: how it differs from what the first side
        permits, if that is a set of predictions. fallen: the assumption of it that is refuted.
    """

    case: Case
    drift: Drift
    definition: Definition | None = None
    deviation: Deviation | None = None
    fallen: Assumption | None = None

    @property
    def is_case(self) -> bool:
        """Whether it is asked in one way of one backend, and can be asked again."""
        return self.case.transform != ANY

    @property
    def name(self) -> str:
        """The case's id; of a golden the problem's; of a parameter its path."""
        if self.is_case:
            return self.case.id
        problem, backend = self.case.problem, self.case.backend
        if backend == TREE:
            return problem.initializer
        return problem.id if backend == ANY else f"{problem.id} on {backend}"


def key_of(pair: Pair) -> str:
    """Return the name of a pair in the stores."""
    return parameter_id(pair.name) if pair.case.backend == TREE else pair.name


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All pairs, sorted by name, what only one side holds, and what else differs between them.

    before, after: what the two sides are called. lost, new: cases that only the one side holds.
    unseen: cases that the machine failed on a side, and how: nothing is known of them.
    causes: of the drift of some cases, by id. defaults: what changed defaults have to do with it.
    test: what puts predictions to the test, where a recording is held against them.
    """

    before: str
    after: str
    environments: tuple[Environment, Environment]
    pairs: tuple[Pair, ...]
    lost: tuple[str, ...]
    new: tuple[str, ...]
    unseen: Mapping[str, str] = dataclasses.field(default_factory=dict)
    causes: Mapping[str, Finding] = dataclasses.field(default_factory=dict)
    defaults: tuple[str, ...] = ()
    test: Test | None = None

    @property
    def remarks(self) -> list[str]:
        """What no class tells: changed defaults, and exceptions that only speak otherwise."""
        n_reworded = sum(pair.drift.detail == REWORDED for pair in self.pairs)
        reworded = f"{counted(n_reworded, self.unit)}: {REWORDED}, which is no drift"
        of_test = [self.test.remark] if self.test and self.test.remark else []
        return [*of_test, *self.defaults, *([reworded] if n_reworded else [])]

    @property
    def differences(self) -> list[str]:
        """One line `name: before -> after` for every fact of the environments that differs."""
        return differences(*self.environments)

    @property
    def unit(self) -> str:
        """What a pair is of: a case, or a parameter of a model."""
        return "parameter" if any(pair.case.backend == TREE for pair in self.pairs) else "case"

    @property
    def is_test(self) -> bool:
        """Whether a recording is held against predictions."""
        return self.test is not None

    def counts(self) -> dict[DriftClass, int]:
        """Return how many pairs each class has, harmless first; all classes."""
        found = collections.Counter(pair.drift.drift_class for pair in self.pairs)
        return {drift_class: found[drift_class] for drift_class in DriftClass}


def compare_folders(before: Path, after: Path, catalogue: Catalogue) -> Comparison:
    """Return the comparison of the stores in two folders.

    Raises:
        GoldenError: a store is missing, damaged or of another schema, holds cases that the machine
            failed, or the two are of kinds that cannot be compared.
        EmptySelection: they have no case in common.
    """
    return compare_stores(*open_sides(before, after), catalogue, names=(str(before), str(after)))


def open_sides(before: Path, after: Path) -> tuple[Store, Store]:
    """Return the stores in two folders, for a comparison.

    Raises:
        GoldenError: one is missing, damaged or of another schema, or holds cases that the machine
            failed.
    """
    stores = open_store(before), open_store(after)
    for store in stores:
        records = store.provenance
        if faults := records[-1].get("machine_faults") if records else None:
            raise GoldenError(
                f"{store.folder}: the machine failed {', '.join(faults)}: record them again, or "
                "nothing is known about them"
            )
    return stores


def compare_stores(
    before: Store,
    after: Store,
    catalogue: Catalogue,
    *,
    names: tuple[str, str],
    only: Collection[str] = (),
    watch: Watch[Pair] = unwatched,
) -> Comparison:
    """Return the comparison of two stores; see `compare_folders`.

    names: what the sides are called. only: the cases to compare, where not all are meant.
    """
    if TREE in (before.kind, after.kind) and before.kind != after.kind:
        raise GoldenError(
            f"{names[0]} is a {before.kind} and {names[1]} a {after.kind}: parameters of a model "
            "compare with parameters only; record the other side with the same --target"
        )
    if LAYERS in (before.kind, after.kind):
        raise GoldenError(
            f"{names[0]} or {names[1]} holds {LAYERS}: goldens of layers are of no cases; "
            "`conformance goldens review` compares them with what is staged"
        )
    test = None
    if (before.kind, after.kind) == (PREDICTED, RECORDING):
        test = test_of(before, after, names, catalogue)
    cases = [_cases(store, other) for store, other in ((before, after), (after, before))]
    if only:
        cases = [{key: held[key] for key in only if key in held} for held in cases]
    unseen = _unseen((before, after), names, cases)
    cases = [{key: held[key] for key in held if key not in unseen} for held in cases]
    common = sorted(cases[0].keys() & cases[1].keys())
    if not (common or unseen):
        raise EmptySelection(_nothing(names, cases))
    found = (_pair(name, cases[0][name], before, after, catalogue) for name in common)
    pairs = list(watch(found, len(common)))
    return Comparison(
        before=names[0],
        after=names[1],
        environments=(before.environment, after.environment),
        pairs=tuple(pairs),
        lost=tuple(sorted(cases[0].keys() - cases[1].keys())),
        new=tuple(sorted(cases[1].keys() - cases[0].keys())),
        unseen=unseen,
        causes=_causes(pairs, before, after),
        test=test,
    )


def _unseen(
    stores: Iterable[Store], names: Iterable[str], cases: Sequence[Mapping[str, Case]]
) -> dict[str, str]:
    """Return the cases that the machine failed on a side, and on which one, and how."""
    found = {}
    for store, name, held in zip(stores, names, cases, strict=True):
        if store.kind == RECORDING:
            for key, how in failed_by_the_machine(store).items():
                if key in held:
                    found[key] = f"{name}: {how}"
    return dict(sorted(found.items()))


def _causes(pairs: Iterable[Pair], before: Store, after: Store) -> dict[str, Finding]:
    """Return what two recordings tell of why pairs drifted; a change of contract needs no cause."""
    one, two = (store.latest.get("programs", {}) for store in (before, after))
    found = {}
    for pair in pairs:
        if pair.drift.drift_class in (DriftClass.IDENTICAL, DriftClass.CONTRACT):
            continue
        if finding := cause_by_programs(program_key(pair.case), one, two):
            found[pair.name] = finding
    return found


def _nothing(names: tuple[str, str], cases: list[dict[str, Case]]) -> str:
    holdings = (
        f"{name} holds {len(held)}" + (f" such as {min(held)}" if held else "")
        for name, held in zip(names, cases, strict=True)
    )
    return f"no case is on both sides: {'; '.join(holdings)}. Record the same selection on both"


# --- Which case is which -------------------------------------------------------------------------


def _cases(store: Store, other: Store) -> dict[str, Case]:
    """Return the cases of a store by the name under which the other side may hold them too."""
    if store.kind == TREE:
        return {key: _parameter(key) for key in store.ids()}
    if store.kind in BY_CASE:
        return {key: parse_case(key) for key in store.ids()}
    if other.kind == GOLDEN:
        return dict(_golden_cases(store, other))
    # A golden answers for every case of its problem: take the cases that the recording asks.
    asked = {key: parse_case(key) for key in other.ids()}
    return {key: case for key, case in asked.items() if entry_of(store, case) is not None}


def _golden_cases(store: Store, other: Store) -> Iterator[tuple[str, Case]]:
    for key in store.ids():
        yield key, Case(problem=parse_problem(key), backend=ANY, transform=ANY)
    for backend in sorted({*store.overlay_names(), *other.overlay_names()}):
        overlays = (side.overlay(backend) for side in (store, other))
        for key in sorted({key for overlay in overlays if overlay for key in overlay.ids()}):
            case = Case(problem=parse_problem(key), backend=backend, transform=ANY)
            if entry_of(store, case) is not None:
                yield f"{key} on {backend}", case


def _parameter(key: str) -> Case:
    problem = dataclasses.replace(parse_problem(key), initializer=parameter_path(key))
    return Case(problem=problem, backend=TREE, transform=ANY)


def entry_of(store: Store, case: Case) -> Entry | None:
    """Return what a store holds of a case: of golden sets what they hold for its problem."""
    if case.backend == TREE:
        return store.entry(parameter_id(case.problem.initializer))
    if store.kind in BY_CASE:
        return store.entry(case.id)
    return store.golden(case.problem.id, case.backend)


# --- One pair ------------------------------------------------------------------------------------


def _pair(name: str, case: Case, before: Store, after: Store, catalogue: Catalogue) -> Pair:
    if case.backend == TREE:
        return _parameter_pair(case, before.entry(name), after.entry(name), catalogue)
    expected, actual = (_completed(store, entry_of(store, case)) for store in (before, after))
    initializer = case.problem.initializer
    spec = catalogue.lookup(initializer) if initializer in catalogue else None
    drift = _drift(case, actual.outcome, expected.outcome, spec)
    pair = Pair(
        case=case,
        drift=_with_stage(drift, actual, expected),
        definition=None if spec is None else spec.definition,
    )
    if (before.kind, after.kind) == (PREDICTED, RECORDING):
        return _tested(pair, actual, expected, before)
    return pair


def _drift(case: Case, actual: Outcome, expected: Outcome, spec: InitializerSpec | None) -> Drift:
    if spec is None:
        return classify(actual, expected)
    # A golden answers for all backends and transforms; it was made on the base.
    asked = case if case.backend != ANY else dataclasses.replace(case, backend=BASE)
    budget = release_budget(spec, asked, _budgets())
    return compare(actual, expected, spec, budget, problem=case.problem)


@functools.cache
def _budgets() -> BudgetTable:
    return load_budgets(shipped() / BUDGETS)


def _completed(store: Store, entry: Entry | None) -> Entry:
    """Return an entry of which a set of predictions keeps the digest with the golden's elements."""
    assert entry is not None
    outcome = entry.outcome
    if store.kind != PREDICTED or isinstance(outcome, Raised) or outcome.is_whole:
        return entry
    case = parse_case(entry.id)
    golden = _goldens().golden(case.problem.id, case.backend)
    if golden is None or getattr(golden.outcome, "sha256", "") != outcome.sha256:
        return entry
    return dataclasses.replace(entry, outcome=golden.outcome)


@functools.cache
def _goldens() -> Store:
    return open_store(shipped())


def _tested(pair: Pair, actual: Entry, predicted: Entry, predictions: Store) -> Pair:
    """Return the pair with how it lies to what is permitted, and what falls where it does not."""
    permitted = Permitted(
        digests=tuple(predicted.extra.get("permitted", ())), bounds=predictions.bounds(predicted.id)
    )
    found = deviation(actual.outcome, predicted.outcome, permitted)
    if not found.n_decided:
        return dataclasses.replace(pair, deviation=found)
    golden = _goldens().golden(pair.case.problem.id, BASE)
    assumption = fallen(
        actual.outcome,
        predicted.outcome,
        permitted,
        pair.drift.drift_class,
        on_cpu=golden.outcome if golden else None,
    )
    return dataclasses.replace(pair, deviation=found, fallen=assumption)


def _with_stage(drift: Drift, actual: Entry, expected: Entry) -> Drift:
    if drift.drift_class is DriftClass.IDENTICAL:
        is_reworded = isinstance(actual.outcome, Raised) and actual.outcome != expected.outcome
        return dataclasses.replace(drift, detail=REWORDED) if is_reworded else drift
    if isinstance(actual.outcome, Raised) or isinstance(expected.outcome, Raised):
        return drift
    return dataclasses.replace(drift, stage=first_differing_stage(actual.stages, expected.stages))


def _parameter_pair(
    case: Case, before: Entry | None, after: Entry | None, catalogue: Catalogue
) -> Pair:
    """Judge a parameter: as a case of `orthogonal` where it is on record what it is the Q of."""
    assert before is not None
    assert after is not None
    expected, actual = before.outcome, after.outcome
    assert isinstance(expected, Returned)
    problem = dataclasses.replace(case.problem, dtype=expected.dtype, shape=expected.shape)
    case = dataclasses.replace(case, problem=problem)
    if (definition := matrix_of(actual, expected)) is not None:
        asked = dataclasses.replace(case, backend=BASE)
        budget = release_budget(catalogue.lookup(ORTHOGONAL), asked, _budgets())
        moments = nominal_moments(definition, expected.shape, expected.dtype)
        drift = compare_matrices(actual, expected, definition, moments, budget)
        return Pair(case=case, drift=drift, definition=definition)
    judge = _classify_exact if _is_exact(expected) else classify
    return Pair(case=case, drift=judge(actual, expected))


def _is_exact(outcome: Returned) -> bool:
    """Return whether the elements are integers or truths, which no rounding can change."""
    return as_dtype(outcome.dtype).kind in "iub"


def _classify_exact(actual: Outcome, expected: Outcome) -> Drift:
    assert isinstance(actual, Returned)
    assert isinstance(expected, Returned)
    one, two = (f"{side.dtype}{list(side.shape)}" for side in (expected, actual))
    if one != two:
        return Drift(drift_class=DriftClass.STRUCTURAL, detail=f"{one} -> {two}")
    n_elements = math.prod(expected.shape)
    if actual.sha256 == expected.sha256:
        return Drift(drift_class=DriftClass.IDENTICAL, n_elements=n_elements)
    return Drift(
        drift_class=DriftClass.LAW,
        n_elements=n_elements,
        n_different=int((flat(actual) != flat(expected)).sum()),
        detail="integers have other values",
    )
