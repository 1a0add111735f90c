"""Are the draws of the law, and independent? What nothing else shows where no oracle answers.

There every statistical test is asked, of the case's own array and, where its backend can be asked
for more, of those of other keys. Where the oracle says what each element must be, only one question
is left: whether another key draws another array.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import numpy as np

from conformance.core.arrays import Array, whole, widen
from conformance.core.formats import FORMATS
from conformance.core.ids import Problem
from conformance.core.keys import KeySpec
from conformance.core.laws import Constant, Definition, DeltaOrthogonal, Orthogonal
from conformance.core.records import CheckResult, Returned, Statistic
from conformance.core.words import counted
from conformance.judge.alpha import STATISTICS as SHARE
from conformance.judge.checks.backward_error import unscaled
from conformance.judge.checks.base import (
    Evidence,
    check_of_defined,
    failed,
    not_applicable,
    passed,
)
from conformance.judge.checks.matrices import tall_of
from conformance.judge.sampled import has_oracle
from conformance.judge.statistics import (
    CIRCULAR_TESTS,
    MATRIX_TESTS,
    TESTS,
    Circular,
    Decision,
    Matrices,
    Sample,
    Test,
    circular_law,
    circular_of,
    decide,
    element_law,
    first_pair,
    look_keys,
    sample_of,
)

CHECK = "statistics"

SIGNS = 45
"""Fair coins that fall alike less often than the error budget allows: 2^-45 is 3e-14."""

Sampled: TypeAlias = Sample | Circular | Matrices

CONSTANT = KeySpec(seed=0)
"""A key that somebody puts in place of the one that is given, and the only one of the
quick tier: under every other seed the oracle refuses what such a key draws."""

LARGEST_COPY = 1 << 12
"""Elements of the largest array for which another key is tried where an oracle answers: the sizes
above share their sampler, and cost more."""


@check_of_defined(CHECK)
def check_statistics(evidence: Evidence, definition: Definition, outcome: Returned) -> CheckResult:
    """Ensure that the draws are of the law and independent, as far as their number can tell.

    Not applicable to constants, and to stored samples.
    """
    case = evidence.observation.case
    if not outcome.is_whole or outcome.moments.nonfinite or not math.prod(outcome.shape):
        return not_applicable(CHECK)
    if isinstance(definition, Constant):
        return not_applicable(CHECK)
    looks = evidence.looks or (whole(outcome)[None],)
    if has_oracle(definition, case.problem):
        return _of_another_key(evidence, looks)
    asked = sampled(definition, case.problem, looks)
    if asked is None:
        return not_applicable(CHECK)
    decision = decide(*asked)
    metrics = {f"p_{test.name}": finding.p_value for test, finding in decision.found}
    least = statistic_of(decision)
    if not decision.refused:
        return passed(CHECK, metrics, least)
    text = f"{case.id}: {said(decision)}"
    return failed(CHECK, text, metrics, statistic=least)


def wanted_keys(definition: Definition | None, problem: Problem, fresh: int) -> list[list[KeySpec]]:
    """Return the keys whose arrays a check wants to see, by look, the problem's own first.

    fresh: see `look_keys`. Nothing where one array says all, or where nothing is drawn with the key
    that is given.
    """
    size = math.prod(problem.shape)
    if definition is None or isinstance(definition, Constant) or not size:
        return []
    if not definition.draws_as_given:
        return []
    if not has_oracle(definition, problem):
        return look_keys(problem, fresh)
    if size > LARGEST_COPY or problem.key != CONSTANT:
        return []
    return [list(first_pair(problem))]


def _of_another_key(evidence: Evidence, looks: tuple[Array, ...]) -> CheckResult:
    """Fail where two keys draw the same array, and chance hardly would."""
    if len(looks[0]) < 2:
        return passed(CHECK)
    case = evidence.observation.case
    first, second = looks[0][:2]
    if not np.array_equal(first, second) or not is_no_accident(
        evidence.spec.definition, case.problem
    ):
        return passed(CHECK)
    own, other = first_pair(case.problem)
    pair = f"seeds {own.seed} and {other.seed}"
    return failed(CHECK, f"{case.id}: {pair} return the same array: the key is ignored")


def is_no_accident(definition: Definition | None, problem: Problem) -> bool:
    """Return whether two keys draw one array less often than the error budget allows.

    n elements agree with probability h^n at most, h the heaviest atom. Of a matrix each column has
    a sign of its own.
    """
    assert definition is not None
    if isinstance(definition, Orthogonal | DeltaOrthogonal):
        return definition.scale != 0 and min(problem.shape[-2:]) >= SIGNS
    law = element_law(definition, problem.shape, problem.dtype)
    if law is None or law.heaviest is None:
        return FORMATS[problem.dtype].is_complex and math.prod(problem.shape) > 1
    return math.prod(problem.shape) * math.log(law.heaviest) < math.log(SHARE.alpha)


def sampled(
    definition: Definition, problem: Problem, looks: Iterable[Array]
) -> tuple[Iterator[Sampled], Sequence[Test]] | None:
    """Return the sample of each look, and the tests of it; None where there are none."""
    if isinstance(definition, Orthogonal | DeltaOrthogonal):
        return (_matrices(definition, looks), MATRIX_TESTS) if definition.scale else None
    if FORMATS[problem.dtype].is_complex:
        circle = circular_law(definition, problem.shape)
        if circle is None:
            return None
        return (circular_of(each, circle) for each in looks), CIRCULAR_TESTS
    law = element_law(definition, problem.shape, problem.dtype)
    return None if law is None else ((sample_of(each, law) for each in looks), TESTS)


def _matrices(
    definition: Orthogonal | DeltaOrthogonal, looks: Iterable[Array]
) -> Iterator[Matrices]:
    for arrays in looks:
        tall = [widen(unscaled(tall_of(each, definition), definition.scale)) for each in arrays]
        yield Matrices(arrays=np.stack(tall))


def statistic_of(decision: Decision) -> Statistic | None:
    """Return the finding of the smallest p-value."""
    if decision.least is None:
        return None
    test, finding = decision.least
    return Statistic(
        name=test.name,
        value=finding.statistic,
        p_value=finding.p_value,
        share=SHARE.alpha,
        sample_size=decision.size,
        certain=finding.certain,
    )


def said(decision: Decision) -> str:
    """Return which tests refuse the draws, the surest first."""
    n_keys, odds = counted(decision.n_draws, "key"), f"once in {1 / SHARE.alpha:.0g}"
    lines = [
        f"{len(decision.refused)} of {len(decision.found)} tests refused {decision.size} elements "
        f"of {n_keys}, each less often than {odds} by chance"
    ]
    for test, finding in sorted(decision.refused, key=lambda each: each[1].p_value):
        where = f", {finding.where}" if finding.where else ""
        certain = "" if math.isnan(finding.certain) else f", certain to show {finding.certain:.2g}"
        lines.append(
            f"  {test.name}: {test.says}, is off by {finding.statistic:+.3g}{where}; "
            f"p = {finding.p_value:.2g}{certain}"
        )
    return "\n".join(lines)
