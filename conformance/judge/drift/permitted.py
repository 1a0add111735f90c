"""Whether an outcome is one that a prediction permits.

Where instructions have several permitted results, a prediction is more than one array: a list of
whole ones, if all elements deviate together, or an interval for each element. Such elements are
*open*; all others are *decided*, and a difference there refutes the prediction.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from conformance.core.arrays import Array, flat, thin
from conformance.core.records import Outcome, Raised, Returned
from conformance.core.ulp import ordered, real_parts
from conformance.core.words import counted


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Permitted:
    """What is permitted beside the predicted array itself.

    digests: SHA-256 of whole arrays, or the beginnings of them. bounds: the lowest and the highest
    array, where each element may deviate by itself.
    """

    digests: tuple[str, ...] = ()
    bounds: tuple[Outcome, Outcome] | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """In how many elements an outcome differs from its prediction: permitted, and not."""

    n_open: int = 0
    n_decided: int = 0

    def __str__(self) -> str:
        if not self.n_open + self.n_decided:
            return "as predicted"
        decided = f"{self.n_decided} decided" if self.n_decided else "all open"
        return f"differs in {counted(self.n_open + self.n_decided, 'element')}, {decided}"


def deviation(actual: Outcome, predicted: Outcome, permitted: Permitted) -> Deviation:
    """Return how an outcome differs from its prediction.

    Another exception, dtype or shape, and a difference in an element of which no sample was kept,
    count as one decided element.
    """
    if isinstance(actual, Raised) or isinstance(predicted, Raised):
        return Deviation(n_decided=int(_named(actual) != _named(predicted)))
    if actual.sha256 == predicted.sha256:
        return Deviation()
    if _named(actual) != _named(predicted):
        return Deviation(n_decided=1)
    stride = max(actual.stride, predicted.stride)
    one, two = (_numbers(side, stride) for side in (actual, predicted))
    differs = one != two
    n_different = max(1, _count(differs))
    if any(actual.sha256.startswith(digest) for digest in permitted.digests):
        return Deviation(n_open=n_different)
    if permitted.bounds is None:
        return Deviation(n_decided=n_different)
    lowest, highest = (_numbers(bound, stride) for bound in permitted.bounds)
    n_decided = _count(differs & ~((lowest <= one) & (one <= highest)))
    return Deviation(n_open=n_different - n_decided, n_decided=n_decided)


def _named(outcome: Outcome) -> str:
    if isinstance(outcome, Raised):
        return f"raises {outcome.exception}"
    return f"{'weakly typed ' * outcome.weak_type}{outcome.dtype}{list(outcome.shape)}"


def _numbers(outcome: Outcome, stride: int) -> Array:
    """Return the elements as integers that order as they do, those of complex ones in pairs."""
    assert isinstance(outcome, Returned)
    return ordered(real_parts(flat(thin(outcome, stride))))


def _count(marks: Array) -> int:
    """Return how many elements are marked, complex ones in either part."""
    return int(np.count_nonzero(marks.any(axis=tuple(range(1, marks.ndim)))))
