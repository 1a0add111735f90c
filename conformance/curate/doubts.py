"""Why something that is staged may be no golden at all.

Accepting says that an array is right, and every later run believes it. What a run would fail for,
and what no correct initializer returns, is said before.
"""

from __future__ import annotations

import collections
import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence

from conformance.cases.catalogue import Catalogue, InitializerSpec
from conformance.core.errors import MissingBudget
from conformance.core.ids import Case, Problem, parse_problem
from conformance.core.laws import nominal_moments
from conformance.core.records import DriftClass, Entry, Observation, Returned, Status
from conformance.judge.budgets import Budgets
from conformance.judge.checks.values import VALUES
from conformance.judge.rules import default_checks, load_ledger
from conformance.judge.verdict import judge


def doubts(
    entries: Sequence[Entry],
    catalogue: Catalogue,
    budgets: Budgets | None,
    backend: str,
    jax_version: str,
) -> Mapping[str, tuple[str, ...]]:
    """Return what speaks against staged goldens, by id; those that nothing speaks against are out.

    backend, jax_version: what made them.
    """
    problems = {entry.id: parse_problem(entry.id) for entry in entries}
    specs = {key: catalogue.lookup(problem.initializer) for key, problem in problems.items()}
    found: dict[str, list[str]] = collections.defaultdict(list)
    drawn = [entry for entry in entries if _is_drawn(problems[entry.id], specs[entry.id])]
    for key, fault in (*_of_one_value(drawn), *_same_for_other_seeds(drawn, problems)):
        found[key].append(fault)
    ledger, checks = load_ledger(), default_checks(DriftClass.ROUNDING)
    for entry in entries:
        case = Case(problem=problems[entry.id], backend=backend, transform="eager")
        with contextlib.suppress(MissingBudget):  # nobody has measured what such a case may err
            result = judge(
                _observation(case, entry),
                spec=specs[entry.id],
                golden=None,
                budgets=budgets,
                ledger=ledger,
                checks=checks,
                jax_version=jax_version,
            )
            found[entry.id] += [
                f"{check.check}: {check.message}"
                for check in result.checks
                if check.status is Status.FAILED and check.check != VALUES
            ]
    return {key: tuple(faults) for key, faults in sorted(found.items()) if faults}


def _observation(case: Case, entry: Entry) -> Observation:
    """Return the entry as it was observed; what is not repeatable is never staged."""
    outcome = entry.outcome
    return Observation(
        case=case,
        outcome=outcome,
        repeat_sha256=outcome.sha256 if isinstance(outcome, Returned) else None,
        device="",
        elapsed_s=0.0,
        stages=entry.stages,
    )


def _is_drawn(problem: Problem, spec: InitializerSpec) -> bool:
    """Return whether two seeds must give two arrays: not of constants, and not where none is known.

    An array of few bits may well be the same under two seeds.
    """
    if spec.definition is None:
        return False
    nominal = nominal_moments(spec.definition, problem.shape, problem.dtype)
    return (nominal is None or nominal.variance > 0) and math.prod(problem.shape) >= MANY


MANY = 32
"""Elements from which on two seeds give other arrays: with one bit an element, but for one pair of
seeds in 2^32."""


def _of_one_value(entries: Sequence[Entry]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        outcome = entry.outcome
        if isinstance(outcome, Returned) and outcome.moments.minimum == outcome.moments.maximum:
            yield entry.id, f"all elements are {outcome.moments.minimum:g}, and it draws"


def _same_for_other_seeds(
    entries: Sequence[Entry], problems: Mapping[str, Problem]
) -> Iterator[tuple[str, str]]:
    """Yield what has the bits of another seed."""
    groups: dict[tuple[str, str], list[str]] = collections.defaultdict(list)
    for entry in entries:
        if isinstance(entry.outcome, Returned):
            groups[problems[entry.id].initializer, entry.outcome.sha256].append(entry.id)
    for same in groups.values():
        for key in same:
            others = [each for each in same if problems[each].seed != problems[key].seed]
            if others:
                yield key, f"the same bits as {others[0]}, of another seed"
