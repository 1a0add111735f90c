"""What a check is given, made of arrays: no device, no JAX."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from conformance.cases.catalogue import Initializer, InitializerSpec
from conformance.core.arrays import Array, returned
from conformance.core.ids import Case, Problem
from conformance.core.laws import Declared, Definition, NominalMoments
from conformance.core.records import Budget, Drift, Observation, Outcome, Raised, Returned
from conformance.judge.checks.base import Evidence

NOTHING = Budget(max_ulp=0, max_ulp_at_sigma=0.0)


@dataclasses.dataclass(frozen=True, slots=True)
class _Always:
    """The same moments for every shape; unlike a lambda it has the same name in every process."""

    moments: NominalMoments

    def __call__(self, _: tuple[int, ...]) -> NominalMoments:
        return self.moments


def declared(moments: NominalMoments) -> Declared:
    """Return the definition of a law that is stated by these moments only."""
    return Declared(moments=_Always(moments))


def spec_of(definition: Definition | None, family: str = "mine") -> InitializerSpec:
    """Return an initializer that nobody may build."""
    return InitializerSpec(name="mine", build=_never_built, definition=definition, family=family)


def evidence(
    definition: Definition | None,
    found: Array | Outcome,
    *,
    dtype: str = "float32",
    shape: tuple[int, ...] | None = None,
    prng: str = "threefry2x32",
    transform: str = "eager",
    budget: Budget = NOTHING,
    drift: Drift | None = None,
    repeat_sha256: str | None = None,
    stages: Mapping[str, str] | None = None,
) -> Evidence:
    """Return that a call with seed 0 on `cpu` of an initializer so defined came to `found`.

    dtype, shape: what was asked for; those of the outcome where it is an array.
    """
    outcome = found if isinstance(found, Returned | Raised) else returned(found)
    if isinstance(outcome, Returned):
        dtype, shape = (outcome.dtype, outcome.shape) if shape is None else (dtype, shape)
    problem = Problem(initializer="mine", dtype=dtype, shape=shape or (), seed=0, prng=prng)
    return Evidence(
        spec=spec_of(definition),
        observation=Observation(
            case=Case(problem=problem, backend="cpu", transform=transform),
            outcome=outcome,
            repeat_sha256=repeat_sha256,
            device="cpu",
            elapsed_s=0.0,
            stages=stages or {},
        ),
        drift=drift,
        budget=budget,
    )


def _never_built() -> Initializer:
    raise AssertionError("the initializer was built")


def with_moments(array: Array, moments: Mapping[str, Any]) -> Returned:
    """Return the record of an array with other moments than its own."""
    outcome = returned(array)
    return dataclasses.replace(outcome, moments=dataclasses.replace(outcome.moments, **moments))


MOST_DOUBLES = 1000
"""Steps after which `last` gives up: for a bound that is farther off it would look without end."""


def last(start: float, towards: float, holds: Callable[[float], bool]) -> float:
    """Return the last double on the way from `start` to `towards` for which it holds.

    Of a start for which it does not, the last one before: a bound that was computed another way is
    a few doubles off.

    Raises:
        AssertionError: it is more than MOST_DOUBLES off.
    """
    value, steps = start, iter(range(MOST_DOUBLES))
    while not holds(value):
        value = math.nextafter(value, -towards)
        assert next(steps, None) is not None, f"does not even hold at {value!r}"
    while holds(math.nextafter(value, towards)):
        value = math.nextafter(value, towards)
        assert next(steps, None) is not None, f"still holds at {value!r}"
    return value
