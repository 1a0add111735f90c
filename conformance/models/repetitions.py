"""Parameters whose values repeat those of others: equal, reordered, or correlated."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from scipy import special

from conformance.core.arrays import Array, widen
from conformance.models.arrays import has_equal_slices

FALSE_ALARM_RATE = 1e-6
"""Of all correlations of one audit together."""

PREFIX = 64
"""Elements of each parameter that are correlated with those of others."""

Fault = tuple[str, str]
"""The name of a parameter, and what is wrong with it."""


def repetitions(random: Mapping[str, Array]) -> Iterator[Fault]:
    """Yield parameters, and slices of one, that repeat the values of others.

    random: by name, those that are drawn and have several elements.
    """
    seen: set[frozenset[str]] = set()
    for text, digest in (("identical to", _digest), ("a reordering of", _sorted_digest)):
        groups: dict[str, list[str]] = defaultdict(list)
        for name, array in random.items():
            groups[digest(array)].append(name)
        for group in groups.values():
            if len(group) > 1 and frozenset(group) not in seen:
                seen.add(frozenset(group))
                for name, others in each_with_others(group):
                    yield name, f"{text} {', '.join(others)}"
    yield from _correlations(random)
    for name, array in random.items():
        if array.ndim > 1 and len(array) > 1 and has_equal_slices(array):
            yield name, equal_slices(len(array))


def equal_slices(n: int) -> str:
    """Return the fault of an array whose slices along the first axis are one."""
    return f"its {n} slices along axis 0 are identical"


def each_with_others(group: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each of several names with the others; nothing of one alone."""
    for name in group if len(group) > 1 else ():
        yield name, [other for other in group if other != name]


def _digest(array: Array) -> str:
    return f"{array.dtype}{array.shape}{hashlib.sha256(array.tobytes()).hexdigest()}"


def _sorted_digest(array: Array) -> str:
    return hashlib.sha256(np.sort(widen(array), axis=None).tobytes()).hexdigest()


def _correlations(random: Mapping[str, Array]) -> Iterator[Fault]:
    """Yield pairs whose first elements are correlated, though not repeated.

    Fisher's z of independent samples is normal with variance 1 / (n - 3); all pairs of an audit
    together raise a false alarm at FALSE_ALARM_RATE.
    """
    long = [name for name, array in random.items() if array.size >= PREFIX]
    n_pairs = len(long) * (len(long) - 1) // 2
    if not n_pairs:
        return
    matrix = np.corrcoef([widen(random[name].reshape(-1)[:PREFIX]) for name in long])
    bound = math.tanh(-special.ndtri(FALSE_ALARM_RATE / n_pairs / 2) / math.sqrt(PREFIX - 3))
    for first, second in np.argwhere(np.triu(np.abs(matrix) > bound, k=1)):
        pair = (long[first], long[second])
        if _sorted_digest(random[pair[0]]) == _sorted_digest(random[pair[1]]):
            continue
        r = matrix[first, second]
        for name, (other,) in each_with_others(pair):
            yield name, f"correlated with {other} (r = {r:.2f} over {PREFIX} elements)"
