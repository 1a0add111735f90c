"""Which cases are judged by chance: what the head of a run counts, before anything judges."""

from __future__ import annotations

from conformance.core.ids import Problem
from conformance.core.laws import Constant, Declared, Definition


def has_oracle(definition: Definition, problem: Problem) -> bool:
    """Return whether the oracle says what each element must be."""
    return problem.prng.startswith("threefry") and not isinstance(definition, Declared)


def is_sampled(definition: Definition | None, problem: Problem) -> bool:
    """Return whether statistics decide on the draws, since no oracle does."""
    if definition is None or isinstance(definition, Constant):
        return False
    return not has_oracle(definition, problem)
