"""Facts -> a merge. Pure: the facts alone decide, in whatever order they come."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from conformance.cases.catalogue import InitializerSpec
from conformance.cases.offers import is_offered
from conformance.core.errors import StoreError
from conformance.core.ids import Case, Problem
from conformance.core.prng import Promise, is_promised
from conformance.core.records import BASE, Budget, Drift, DriftClass, Outcome, Raised, Status
from conformance.core.watching import Watch, unwatched
from conformance.judge.bench import Bench
from conformance.judge.budgets import budget_for
from conformance.judge.checks.matrices import SIDES, is_matrix
from conformance.judge.drift import DEFAULT_BUDGET, classify
from conformance.judge.ledger import Limitation
from conformance.judge.verdict import compare
from conformance.merge.cause import cause
from conformance.merge.facts import (
    Agreed,
    Class,
    Conflict,
    Fact,
    Members,
    Merged,
    Place,
    ProblemClasses,
    case_id,
)
from conformance.merge.lots import Lot, settled
from conformance.report.rows import outcome_text

Question = tuple[Problem, str]
"""A problem and a transform: what a case is when no backend is named yet."""

RAISES = "raises "
"""What an outcome's text begins with where it is no array."""

T = TypeVar("T")
K = TypeVar("K")


class Standing(enum.IntEnum):
    """How well a class without the golden's bits serves as what others are compared with.

    The lowest serves best. A foreign class lies beyond the policy to the golden, or has none.
    """

    KIN = enum.auto()  # within the policy to the golden, or the golden of its backend
    FOREIGN = enum.auto()
    FAILED = enum.auto()  # in every run that had it, or a matrix that is no Q of its draw
    LIMITED = enum.auto()  # announced by the ledger wherever it was returned


class Referee:
    """Says how two results of a problem lie to each other, and what excuses a difference.

    outcomes: arrays by their text; those of the goldens are added to them. golden_place: where the
        goldens were made; None where no record says it.
    """

    def __init__(
        self,
        *,
        bench: Bench,
        outcomes: Mapping[str, Outcome],
        golden_place: Place | None = None,
    ) -> None:
        self._bench = bench
        self._outcomes = outcomes
        self._golden_place = golden_place

    def golden(self, problem: Problem, backend: str, release: str = "") -> Outcome | None:
        """Return what the goldens hold for a problem on a backend, under a release of JAX."""
        entry = self._bench.goldens.golden(problem.id, backend, release)
        return None if entry is None else entry.outcome

    def golden_text(self, problem: Problem) -> str | None:
        """Return the outcome that the goldens hold for a problem, as text, if they hold one."""
        golden = self.golden(problem, BASE)
        return None if golden is None else outcome_text(golden)

    def standing(self, facts: Sequence[Fact]) -> Standing:
        """Return how well the class of these facts, all of one outcome, serves as the first."""
        if all(self._announcement(fact) for fact in facts):
            return Standing.LIMITED
        if all(_failure(fact) for fact in facts):
            return Standing.FAILED
        golden = self.golden(facts[0].problem, BASE)
        if golden is None:
            return Standing.FOREIGN
        if all(self._is_golden_there(fact) for fact in facts):
            return Standing.KIN
        drift = self.drift(facts, Class(outcome=outcome_text(golden), members=()))
        if drift is not None and drift.detail.startswith(SIDES["actual"]):
            return Standing.FAILED  # no right Q of what was drawn for it, whatever the release
        return Standing.FOREIGN if self.is_beyond(drift) else Standing.KIN

    def drift(self, facts: Sequence[Fact], first: Class) -> Drift | None:
        """Return how the outcome of these facts differs from the first class's.

        None where nobody kept the bits: then what runs said of it counts, if the first class is a
        golden.
        """
        problem = facts[0].problem
        mine, theirs = _backends(_members(facts)), _backends(first.members)
        goldens = [self.golden(problem, backend) for backend in sorted({BASE} | mine | theirs)]
        known = {outcome_text(golden): golden for golden in goldens if golden is not None}
        one, two = (self._outcome(text, known) for text in (facts[0].outcome, first.outcome))
        if one is not None and two is not None:
            spec = self._spec(problem)
            if spec is None:
                return classify(one, two)
            budget = self._budget(spec, problem, mine).plus(self._budget(spec, problem, theirs))
            return compare(one, two, spec, budget, problem=problem)
        return _drift_of(facts) if first.outcome in known else None

    def is_beyond(self, drift: Drift | None) -> bool:
        """Return whether the policy forbids the drift; what cannot be told is forbidden."""
        return drift is None or drift.drift_class.rank > self._bench.max_drift.rank

    def cause(self, problem: Problem, members: Members, first: Class, drift: Drift | None) -> str:
        """Return the fact by which alone the members differ from the first class, or "".

        Another LAPACK or C library rounds otherwise, and does no more.
        """
        spec = self._spec(problem)
        if spec is None or drift is None or drift.drift_class is not DriftClass.ROUNDING:
            return ""
        theirs = first.members or ((self._golden_place, "eager"),)
        found = (
            cause(spec.definition, transform, before, after)
            for after, transform in members
            for before, asked in theirs
            if before is not None and (asked == transform or is_matrix(spec.definition))
        )
        return next(filter(None, found), "")

    def excuse(self, fact: Fact, first: Class) -> str:
        """Return why the place may differ from those of the first class, or ""."""
        if self._is_golden_there(fact):
            return f"accepted as golden of {fact.place.backend}"
        if entry := self._announcement(fact):
            return f"limited by {entry.id}"
        prng = fact.problem.prng
        if not is_promised(Promise.BACKENDS, prng) and _is_elsewhere(fact.place, first):
            return f"{prng} promises no equal bits there"
        return ""

    def _is_golden_there(self, fact: Fact) -> bool:
        golden = self.golden(fact.problem, fact.place.backend, fact.place.jax)
        return golden is not None and outcome_text(golden) == fact.outcome

    def _announcement(self, fact: Fact) -> Limitation | None:
        """Return the entry of the ledger that announces this outcome, or bits unlike the golden's.

        One about an outcome that did not come, or about a law alone, announces neither.
        """
        case = Case(problem=fact.problem, backend=fact.place.backend, transform=fact.transform)
        raised = fact.outcome if fact.outcome.startswith(RAISES) else ""
        try:
            entries = self._bench.ledger.matching(case, fact.place.jax)
        except ValueError:  # the source names no JAX, or no version that can be compared
            return None
        return next(
            (
                entry
                for entry in entries
                if entry.outcome == raised and (raised or "values" in (*entry.checks, *entry.also))
            ),
            None,
        )

    def _spec(self, problem: Problem) -> InitializerSpec | None:
        """Return what the catalogue says, or None of what is registered elsewhere."""
        return self._bench.specs.get(problem.initializer)

    def _outcome(self, text: str, goldens: Mapping[str, Outcome]) -> Outcome | None:
        if text.startswith(RAISES):
            return Raised(exception=text.removeprefix(RAISES), message="")
        return self._outcomes.get(text) or goldens.get(text)

    def _budget(self, spec: InitializerSpec, problem: Problem, backends: Iterable[str]) -> Budget:
        """Return the widest budget of the backends; one that was never swept has the default."""
        budgets = []
        for backend in sorted(backends):
            case = Case(problem=problem, backend=backend, transform="eager")
            try:
                budgets.append(budget_for(spec, case, self._bench.budgets))
            except StoreError:
                budgets.append(DEFAULT_BUDGET)
        return max(budgets, key=lambda budget: (budget.max_ulp_at_sigma, budget.max_ulp))


def _drift_of(facts: Iterable[Fact]) -> Drift | None:
    """Return what a run said of the outcome, or None where none said anything."""
    judgements = (fact.judgement for fact in facts if fact.judgement is not None)
    judged = sorted((each for each in judgements if each.drift_class), key=repr)
    if not judged:
        return None
    return Drift(
        drift_class=DriftClass(judged[0].drift_class),
        max_ulp=judged[0].max_ulp,
        max_ulp_at_sigma=judged[0].max_ulp_at_sigma,
        detail="as its run judged it",
    )


def _backends(members: Members) -> set[str]:
    """Return the backends of a class; the golden is of that on which golden sets are made."""
    return {place.backend for place, _ in members} or {BASE}


def _is_elsewhere(place: Place, first: Class) -> bool:
    if not first.members:
        return place.backend != BASE
    there = {(other.backend, other.jax) for other, _ in first.members}
    return (place.backend, place.jax) not in there


# --- Merging -------------------------------------------------------------------------------------


def merge(
    facts: Collection[Fact],
    referee: Referee,
    *,
    lots: Sequence[Lot] = (),
    expected: Iterable[Question] = (),
    faults: Iterable[str] = (),
    watch: Watch[ProblemClasses] = unwatched,
) -> Merged:
    """Return the verdict on a set of facts.

    lots: more of them. expected: questions that every place must answer, beside those that any
        place answered.
    """
    expected = set(expected)
    busy = {fact.problem for fact in facts} | {problem for problem, _ in expected}
    agreed, told = settled(lots, busy, referee.golden_text)
    facts = {*facts, *told}
    known = {(fact.root, fact.place) for fact in (*facts, *(lot.fact for lot in lots))}
    by_key = _grouped(facts, lambda fact: (fact.case, fact.place))
    conflicts = [each for group in by_key.values() if (each := _conflict(group)) is not None]
    contradictory = {(each.case, each.place) for each in conflicts}
    sound = [fact for fact in facts if (fact.case, fact.place) not in contradictory]
    by_problem = sorted(_grouped(sound, lambda fact: fact.problem).items())
    found = (_classes(problem, group, referee) for problem, group in by_problem)
    problems = tuple(watch(found, len(by_problem)))
    return Merged(
        places=tuple(sorted({place for _, place in known})),
        n_results=len(by_key) + sum(each.n_problems * len(each.members) for each in agreed),
        problems=problems,
        conflicts=tuple(sorted(conflicts)),
        missing=_missing(facts, agreed, known, expected),
        failed=tuple(sorted({row for fact in facts if (row := _failure(fact)) is not None})),
        beyond=tuple(sorted(row for each in problems for row in _beyond(each, referee))),
        faults=tuple(sorted(set(faults))),
        agreed=tuple(agreed),
    )


def _grouped(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def _conflict(facts: list[Fact]) -> Conflict | None:
    """Return what contradicts itself in the facts of one case at one place."""
    claims = _grouped(facts, lambda fact: fact.outcome)
    is_of_verdicts = len(claims) == 1
    if is_of_verdicts:
        judged = [fact for fact in facts if fact.judgement is not None]
        claims = _grouped(judged, lambda fact: f"{fact.outcome}, judged {fact.judgement}")
    if len(claims) < 2:
        return None
    return Conflict(
        case=facts[0].case,
        place=facts[0].place,
        is_of_verdicts=is_of_verdicts,
        claims=tuple(
            (text, tuple(sorted({fact.source for fact in claims[text]}))) for text in sorted(claims)
        ),
    )


def _failure(fact: Fact) -> tuple[str, Place, str] | None:
    if fact.judgement is None or fact.judgement.status != Status.FAILED:
        return None
    return fact.case, fact.place, str(fact.judgement)


def _missing(
    facts: Collection[Fact],
    agreed: Iterable[Agreed],
    known: Collection[tuple[str, Place]],
    expected: set[Question],
) -> dict[Place, tuple[str, ...]]:
    """Return the cases that a place lacks. known: each root that holds results of a place."""
    questions = expected | {_question(fact) for fact in facts}
    by_shards = _grouped(facts, lambda fact: (fact.root, fact.place.kind))
    by_place = _grouped(facts, lambda fact: fact.place)
    missing = {}
    for place, roots in sorted(_grouped(known, lambda one: one[1]).items()):
        fellows = {(root, place.kind) for root, _ in roots}
        answered = {_question(fact) for key in fellows for fact in by_shards.get(key, ())}
        left = questions - answered - {_question(fact) for fact in by_place.get(place, ())}
        lacking = itertools.chain(left, *(_lacking(each, place, fellows) for each in agreed))
        cases = (Case(problem=each, backend=place.backend, transform=how) for each, how in lacking)
        ids = [case_id(case.problem, case.transform, place) for case in cases if is_offered(case)]
        if ids:
            missing[place] = tuple(sorted(ids))
    return missing


def _lacking(
    agreed: Agreed, place: Place, fellows: Collection[tuple[str, tuple[str, ...]]]
) -> Iterator[Question]:
    """Yield the questions that other places answered alike, and neither this one nor a fellow."""
    asked = {transform for _, _, transform in agreed.by}
    answered = {
        transform
        for root, where, transform in agreed.by
        if where == place or (root, where.kind) in fellows
    }
    return itertools.product(agreed.problems, asked - answered) if asked - answered else iter(())


def _question(fact: Fact) -> Question:
    return fact.problem, fact.transform


# --- Classes -------------------------------------------------------------------------------------


def _classes(problem: Problem, facts: list[Fact], referee: Referee) -> ProblemClasses:
    groups = sorted(_grouped(facts, lambda fact: fact.outcome).values(), key=_size)
    first = _first(problem, groups, referee)
    others = (
        _class(group, first, referee) for group in groups if group[0].outcome != first.outcome
    )
    return ProblemClasses(problem=problem, classes=(first, *others))


def _size(group: list[Fact]) -> tuple[int, Members]:
    """Sort the largest class first, and then by name."""
    members = _members(group)
    return -len(members), members


def _first(problem: Problem, groups: list[list[Fact]], referee: Referee) -> Class:
    """Return the class that the others are compared with.

    The golden's; if no place has its bits, none the less, unless only foreign classes could take
    its place: recordings of another release are asked whether they agree, not whether they are new.
    """
    golden = referee.golden(problem, BASE)
    if golden is not None:
        text = outcome_text(golden)
        held = [_members(group) for group in groups if group[0].outcome == text]
        if held:
            return Class(outcome=text, members=held[0])
    standings = [referee.standing(group) for group in groups]
    best = min(standings)
    if golden is not None and best is not Standing.FOREIGN:
        return Class(outcome=text, members=())
    group = groups[standings.index(best)]
    return Class(outcome=group[0].outcome, members=_members(group))


def _class(mine: list[Fact], first: Class, referee: Referee) -> Class:
    """Return the class of the facts of one outcome, as it differs from the first class."""
    excuses = {(fact.place, fact.transform): referee.excuse(fact, first) for fact in mine}
    members = _members(mine)
    drift = referee.drift(mine, first)
    return Class(
        outcome=mine[0].outcome,
        members=members,
        drift=drift,
        cause=referee.cause(mine[0].problem, members, first, drift),
        excuses={member: excuse for member, excuse in sorted(excuses.items()) if excuse},
    )


def _members(facts: Iterable[Fact]) -> Members:
    return tuple(sorted({(fact.place, fact.transform) for fact in facts}))


def _beyond(classes: ProblemClasses, referee: Referee) -> Iterator[tuple[str, Place, str]]:
    for each in classes.classes[1:]:
        if referee.is_beyond(each.drift):
            for place, transform in each.members:
                if (place, transform) not in each.excuses:
                    yield case_id(classes.problem, transform, place), place, each.difference
