"""Large arrays wrong only where the sample that goldens keep of them does not look."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from conformance.cases.catalogue import Initializer
from conformance.core.records import DriftClass
from conformance.suite.faults.fault import Fault, Graded, Shape, Wrong, in_float64


def _unseen_by_a_sample(change: Callable[[Any], Any]) -> Wrong:
    """Return a large array changed only where the sample that goldens keep of it does not look."""

    def wrong(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
        import numpy as np

        from conformance.core.arrays import returned, sampled

        array = right(key, shape, dtype)
        stride = sampled(returned(np.asarray(array))).stride

        def changed(wide: Any) -> Any:
            elements = wide.reshape(-1)
            unseen = np.arange(elements.size) % stride != 0
            if unseen.any():
                elements[unseen] = change(elements[unseen])
            return wide

        return in_float64(array, changed)

    return wrong


def _first(value: Callable[[float], float]) -> Callable[[Any], Any]:
    """Return a change of the first element only."""

    def change(elements: Any) -> Any:
        elements[0] = value(elements[0])
        return elements

    return change


def _shrunk(part: float) -> Wrong:
    """Return all but the sample smaller by such a part: within the law's bounds, of less spread."""
    return _unseen_by_a_sample(lambda x: x * (1 - part))


FAULTS = (
    Fault(
        name="one_unsampled_element_shifted",
        base="lecun_normal",
        wrong=_unseen_by_a_sample(_first(lambda x: x + 0.001)),
        shape=(255, 257),
        key="s16777217",
        caught_by="oracle",
        drift=DriftClass.TRANSFORM,
    ),
    Fault(
        name="one_unsampled_element_huge",
        base="he_normal",
        wrong=_unseen_by_a_sample(_first(lambda _: 1e4)),
        shape=(1, 65537),
        key="k123456789abcdef0",
        dtype="float16",
        caught_by="structure",
        drift=DriftClass.TRANSFORM,
    ),
    Fault(
        name="one_unsampled_element_not_a_number",
        base="uniform",
        wrong=_unseen_by_a_sample(_first(lambda _: math.nan)),
        shape=(255, 257),
        key="s7.fold5",
        dtype="bfloat16",
        caught_by="contract",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="unsampled_elements_reversed",
        base="uniform",
        wrong=_unseen_by_a_sample(lambda x: x[::-1].copy()),
        shape=(255, 257),
        key="s7.fold5",
        dtype="bfloat16",
        caught_by="oracle",
        drift=DriftClass.STRUCTURAL,
    ),
    Fault(
        name="unsampled_elements_scaled",
        base="lecun_normal",
        wrong=_unseen_by_a_sample(lambda x: x * (1 + 1e-12)),
        shape=(255, 257),
        key="s7",
        dtype="float64",
        caught_by="oracle",
        drift=DriftClass.LAW,
    ),
    # Of a right sample the moments are all that says something of the other elements.
    Fault(
        name="unsampled_elements_shrunk_where_a_sample_is_kept",
        base="lecun_normal",
        wrong=Graded(at=_shrunk, planted=0.5, unit="of each unsampled element"),
        shape=(255, 257),
        key="s7",
        is_sampled=True,
        caught_by="moments",
        drift=DriftClass.UNKNOWN,
    ),
)
