"""Right at the first call: wrong at a later one, after another key, or in another thread."""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable
from typing import Any

from conformance.cases.catalogue import Initializer
from conformance.core.records import DriftClass
from conformance.suite.faults.fault import Fault, Shape, Wrong, other_key


def _remembering(first: Callable[[], Any], change: Callable[..., Any]) -> Wrong:
    """Return what `change` makes of what was left behind by calls of the same initializer.

    first: what there is before any call. change: takes that before the arguments of `Wrong`.
    """
    left: weakref.WeakKeyDictionary[Initializer, Any] = weakref.WeakKeyDictionary()

    def wrong(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
        return change(left.setdefault(right, first()), right, key, shape, dtype)

    return wrong


def _each(n: int) -> Wrong:
    """Return the right array but for every n-th call, which takes another key."""

    def change(calls: Any, right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
        is_wrong = next(calls) % n == n - 1
        return other_key(right, key, shape, dtype) if is_wrong else right(key, shape, dtype)

    return _remembering(itertools.count, change)


def _first_array(
    kept: dict[Any, Any], right: Initializer, key: Any, shape: Shape, dtype: Any
) -> Any:
    """Return the first array, whatever the key."""
    if not kept:
        kept[None] = right(key, shape, dtype)
    return kept[None]


def _same_array(
    kept: dict[Any, Any], right: Initializer, key: Any, shape: Shape, dtype: Any
) -> Any:
    """Return the very array that was returned for the key before, whoever has it now."""
    import jax
    import numpy as np

    words = np.asarray(jax.random.key_data(key)).tobytes()
    if words not in kept:
        kept[words] = right(key, shape, dtype)
    return kept[words]


def _wrong_in_a_thread(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    if threading.current_thread() is threading.main_thread():
        return right(key, shape, dtype)
    return other_key(right, key, shape, dtype)


FAULTS = (
    Fault(
        name="third_call_is_wrong",
        base="normal",
        wrong=_each(3),
        transform="third_call",
        caught_by="oracle",
        drift=DriftClass.STREAM,
    ),
    Fault(
        name="thousandth_call_is_wrong",
        base="normal",
        wrong=_each(1000),
        transform="thousand_calls",
        shape=(17, 13),
        caught_by="repeatable",
        drift=DriftClass.IDENTICAL,
    ),
    Fault(
        name="first_key_for_ever",
        base="uniform",
        wrong=_remembering(dict, _first_array),
        transform="after_another_key",
        caught_by="oracle",
        drift=DriftClass.STREAM,
    ),
    Fault(
        name="wrong_in_a_second_thread",
        base="lecun_normal",
        wrong=_wrong_in_a_thread,
        transform="second_thread",
        caught_by="oracle",
        drift=DriftClass.STREAM,
    ),
    Fault(
        name="hands_out_what_was_donated",
        base="normal",
        wrong=_remembering(dict, _same_array),
        transform="after_donation",
        caught_by="contract",
        drift=DriftClass.CONTRACT,
    ),
)
