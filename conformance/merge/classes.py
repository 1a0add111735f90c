"""Facts -> a merge. Pure: the facts alone decide, in whatever order they come."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TypeVar

from conformance.catalogue import Catalogue, InitializerSpec
from conformance.checks.budget import Budgets, budget_for
from conformance.drift import DEFAULT_BUDGET, classify
from conformance.engine import Goldens, compare
from conformance.golden import GoldenError
from conformance.ledger import Ledger
from conformance.matrix import FORCED_DEVICES, refusal
from conformance.merge.model import (
    Class,
    Conflict,
    Fact,
    Judgement,
    Merged,
    Place,
    ProblemClasses,
    case_id,
)
from conformance.model import (
    Budget,
    Case,
    Drift,
    DriftClass,
    Outcome,
    Problem,
    Raised,
    Status,
)
from conformance.promises import Promise, is_promised
from conformance.report.rows import outcome_text

Question = tuple[Problem, str]
"""A problem and a transform: what a case is when no backend is named yet."""

BASE = "any"
"""Names no backend: what the goldens hold for it, they hold for all that have no overlay."""

T = TypeVar("T")
K = TypeVar("K")


class Referee:
    """Says how two results of a problem lie to each other, and what excuses a difference.

    outcomes: arrays by their text; those of the goldens are added to them.
    """

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        goldens: Goldens | None,
        budgets: Budgets | None,
        ledger: Ledger,
        outcomes: Mapping[str, Outcome],
        max_drift: DriftClass = DriftClass.ROUNDING,
    ) -> None:
        self._catalogue = catalogue
        self._goldens = goldens
        self._budgets = budgets
        self._ledger = ledger
        self._outcomes = outcomes
        self._max_drift = max_drift

    def golden(self, problem: Problem, backend: str) -> Outcome | None:
        """Return what the goldens hold for a problem on a backend."""
        entry = self._goldens.golden(problem.id, backend) if self._goldens else None
        return None if entry is None else entry.outcome

    def drift(
        self,
        problem: Problem,
        actual: str,
        expected: str,
        places: Collection[Place],
        judgements: Iterable[Judgement],
    ) -> Drift | None:
        """Return how one result lies to another, or None where nobody kept the bits.

        judgements: what runs said of the actual result; it counts where the expected one is the
            golden that they judged by.
        """
        one, two = (self._outcome(problem, text, places) for text in (actual, expected))
        if one is not None and two is not None:
            if problem.initializer not in self._catalogue:  # registered where it ran
                return classify(one, two)
            spec = self._catalogue.lookup(problem.initializer)
            budget = self._budget(spec, problem, places).doubled()
            return compare(one, two, spec, budget, problem=problem)
        goldens = (self.golden(problem, place.backend) for place in places)
        if not any(golden and outcome_text(golden) == expected for golden in goldens):
            return None
        known = sorted((each for each in judgements if each.drift_class), key=repr)
        return _drift_of(known[0]) if known else None

    def is_beyond(self, drift: Drift | None) -> bool:
        """Return whether the policy forbids the drift; what cannot be told is forbidden."""
        return drift is None or drift.drift_class.rank > self._max_drift.rank

    def excuse(self, fact: Fact, first: Class) -> str:
        """Return why the place may differ from those of the first class, or ""."""
        problem, place = fact.problem, fact.place
        case = Case(problem=problem, backend=place.backend, transform=fact.transform)
        golden = self.golden(problem, place.backend)
        if golden is not None and outcome_text(golden) == fact.outcome:
            return f"accepted as golden of {place.backend}"
        if entries := self._ledger.matching(case, place.jax):
            return f"limited by {entries[0].id}"
        if not is_promised(Promise.BACKENDS, problem.prng) and _is_elsewhere(place, first):
            return f"{problem.prng} promises no equal bits there"
        return ""

    def _outcome(self, problem: Problem, text: str, places: Collection[Place]) -> Outcome | None:
        if text.startswith("raises "):
            return Raised(exception=text.removeprefix("raises "), message="")
        if text in self._outcomes:
            return self._outcomes[text]
        for backend in sorted({place.backend for place in places}):
            golden = self.golden(problem, backend)
            if golden is not None and outcome_text(golden) == text:
                return golden
        return None

    def _budget(self, spec: InitializerSpec, problem: Problem, places: Collection[Place]) -> Budget:
        """Return the widest budget of the places; backends never swept have the default."""
        budgets = []
        for backend in sorted({place.backend for place in places}):
            case = Case(problem=problem, backend=backend, transform="eager")
            try:
                budgets.append(budget_for(spec, case, self._budgets))
            except GoldenError:
                budgets.append(DEFAULT_BUDGET)
        return max(budgets, key=lambda budget: (budget.max_ulp_at_sigma, budget.max_ulp))


def _drift_of(judgement: Judgement) -> Drift:
    return Drift(
        drift_class=DriftClass(judgement.drift_class),
        max_ulp=judgement.max_ulp,
        max_ulp_at_sigma=judgement.max_ulp_at_sigma,
        detail="as its run judged it",
    )


def _is_elsewhere(place: Place, first: Class) -> bool:
    there = {(other.backend, other.jax) for other, _ in first.members}
    return (place.backend, place.jax) not in there


# --- Merging -------------------------------------------------------------------------------------


def merge(
    facts: Collection[Fact],
    referee: Referee,
    *,
    expected: Iterable[Question] = (),
    faults: Iterable[str] = (),
) -> Merged:
    """Return the verdict on a set of facts.

    expected: questions that every place must answer, beside those that any place answered.
    """
    facts = set(facts)
    by_key = _grouped(facts, lambda fact: (fact.case, fact.place))
    conflicts = [each for group in by_key.values() if (each := _conflict(group)) is not None]
    contradictory = {(each.case, each.place) for each in conflicts}
    sound = [fact for fact in facts if (fact.case, fact.place) not in contradictory]
    by_problem = sorted(_grouped(sound, lambda fact: fact.problem).items())
    problems = tuple(_classes(problem, group, referee) for problem, group in by_problem)
    return Merged(
        places=tuple(sorted({fact.place for fact in facts})),
        n_results=len(by_key),
        problems=problems,
        conflicts=tuple(sorted(conflicts)),
        missing=_missing(facts, set(expected)),
        failed=tuple(sorted({row for fact in facts if (row := _failure(fact)) is not None})),
        beyond=tuple(sorted(row for each in problems for row in _beyond(each, referee))),
        faults=tuple(sorted(set(faults))),
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


def _missing(facts: Collection[Fact], expected: set[Question]) -> dict[Place, tuple[str, ...]]:
    questions = expected | {_question(fact) for fact in facts}
    by_shards = _grouped(facts, lambda fact: (fact.root, fact.place.kind))
    missing = {}
    for place, mine in sorted(_grouped(facts, lambda fact: fact.place).items()):
        fellows = {(fact.root, place.kind) for fact in mine}
        answered = {_question(fact) for key in fellows for fact in by_shards[key]}
        left = questions - answered - {_question(fact) for fact in mine}
        ids = [case_id(*each, place) for each in left if _can_be_asked(*each, place)]
        if ids:
            missing[place] = tuple(sorted(ids))
    return missing


def _question(fact: Fact) -> Question:
    return fact.problem, fact.transform


def _can_be_asked(problem: Problem, transform: str, place: Place) -> bool:
    if transform == "sharded" and place.backend not in FORCED_DEVICES:
        return False
    return not refusal(place.backend, transform, problem.prng, problem.shape, problem.dtype)


# --- Classes -------------------------------------------------------------------------------------


def _classes(problem: Problem, facts: list[Fact], referee: Referee) -> ProblemClasses:
    groups = _grouped(facts, lambda fact: fact.outcome)
    members = {text: _members(group) for text, group in groups.items()}
    texts = sorted(groups, key=lambda text: _rank(problem, text, members[text], referee))
    first = Class(outcome=texts[0], members=members[texts[0]])
    others = (_class(groups[text], first, facts, referee) for text in texts[1:])
    return ProblemClasses(problem=problem, classes=(first, *others))


def _class(mine: list[Fact], first: Class, facts: list[Fact], referee: Referee) -> Class:
    """Return the class of the facts of one outcome, as it lies to the first class."""
    excuses = {(fact.place, fact.transform): referee.excuse(fact, first) for fact in mine}
    drift = referee.drift(
        mine[0].problem,
        mine[0].outcome,
        first.outcome,
        places={fact.place for fact in facts},
        judgements=[fact.judgement for fact in mine if fact.judgement is not None],
    )
    return Class(
        outcome=mine[0].outcome,
        members=_members(mine),
        drift=drift,
        excuses={member: excuse for member, excuse in sorted(excuses.items()) if excuse},
    )


def _members(facts: list[Fact]) -> tuple[tuple[Place, str], ...]:
    return tuple(sorted({(fact.place, fact.transform) for fact in facts}))


def _rank(
    problem: Problem, text: str, members: tuple[tuple[Place, str], ...], referee: Referee
) -> tuple[bool, int, tuple[tuple[Place, str], ...]]:
    """Return where a class belongs: the golden's first, then the largest, then by name."""
    golden = referee.golden(problem, BASE)
    is_golden = golden is not None and outcome_text(golden) == text
    return not is_golden, -len(members), members


def _beyond(classes: ProblemClasses, referee: Referee) -> Iterator[tuple[str, Place, str]]:
    for each in classes.classes[1:]:
        if referee.is_beyond(each.drift):
            for place, transform in each.members:
                if (place, transform) not in each.excuses:
                    yield case_id(classes.problem, transform, place), place, each.drift_name
