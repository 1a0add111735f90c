"""Audit the initial parameters of a model: keys, laws, fans, duplicates, and what moves with what.

The keys are derived without Flax and the laws without JAX, so the audit can see where a model, or
Flax itself, gives two parameters one key, draws with the wrong fan, or repeats itself.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from scipy import stats

from conformance.core.arrays import Array, as_dtype, widen
from conformance.core.laws import Definition, nominal_moments
from conformance.flax.model import LINEN, NNX, Model
from conformance.flax.recognition import (
    FEWEST_FOR_A_KEY,
    PREFIX,
    UNKNOWN,
    ExactMoments,
    Recognised,
    exact_moments,
    matching_key,
    matching_orthogonal_key,
    recognise,
)
from conformance.oracle import fold_in, linen_key, nnx_key, seed_key, split
from conformance.oracle.threefry import Key

FALSE_ALARM_RATE = 1e-6
"""Of all statistical checks of one audit together."""

SPARE_DRAWS = 8
"""How many more keys than it has parameters a scope may have drawn."""

NOTABLE_BIAS = 1e-3
"""Of the mean in sigma, or of the variance: what a 16-bit law is worth a note for."""

UNSEEN = Recognised(initializer="not looked at")
"""What an abstract audit says of every parameter."""

AUTOMATIC_NAME = re.compile(r"(.+)_(\d+)")
"""What linen calls a module that was given no name: its class and a count."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """Where a key comes from. linen: `scope` and number; nnx: number in the stream `params`.

    `copies` is the length of the axis over which a lifted transform has split the key; 0 if none.
    """

    scope: tuple[str, ...]
    number: int
    copies: int = 0

    @property
    def label(self) -> str:
        """Return e.g. `encoder/Dense_0 #1`."""
        lifted = f" split {self.copies}" if self.copies else ""
        return f"{'/'.join(self.scope) or '.'} #{self.number}{lifted}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """One row of the audit.

    key: the two words in hexadecimal, "" where no key was recognised.
    n_moved: how many other parameters change value when the layer of this one is removed.
    expected_std: of the exact law in the dtype; None where the law is not known.
    std_error: of the actual stddev, were the law right; None where the law is not known.
    faults: what is wrong. notes: what is worth knowing.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    draw: str
    key: str
    initializer: str
    fan: float | None
    expected_std: float | None
    actual_std: float | None
    std_error: float | None
    is_exact: bool
    n_moved: int
    faults: tuple[str, ...]
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """All parameters of one model, in the order of paths."""

    framework: str
    seed: int
    is_abstract: bool
    parameters: tuple[Audited, ...]

    @property
    def n_faults(self) -> int:
        """Return how many faults there are."""
        return sum(len(parameter.faults) for parameter in self.parameters)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What one array was recognised as, before it is compared with the others.

    unit: the array, or its first copy where a lifted transform has stacked several.
    """

    path: tuple[str, ...]
    array: Array
    unit: Array
    draw: Draw | None
    key: Key | None
    recognised: Recognised

    @property
    def name(self) -> str:
        return ".".join(self.path)

    @property
    def is_random(self) -> bool:
        return not self.recognised.initializer.startswith("constant")


Fault = tuple[str, str]
"""The name of a parameter, and what is wrong with it."""


def audit(model: Model) -> Audit:
    """Return the audit of a model."""
    found = [_find(model, path) for path in sorted(model.arrays)]
    faults: dict[str, list[str]] = defaultdict(list)
    compare = (_possible_collisions,) if model.is_abstract else (_shared_keys, _repetitions)
    for name, text in itertools.chain.from_iterable(check(model, found) for check in compare):
        faults[name].append(text)
    return Audit(
        framework=model.framework,
        seed=model.seed,
        is_abstract=model.is_abstract,
        parameters=tuple(_row(model, one, found, faults[one.name]) for one in found),
    )


# --- Keys ----------------------------------------------------------------------------------------


def _find(model: Model, name: str) -> _Found:
    """Recognise one parameter: as it is, then as one of several stacked by a lifted transform."""
    path, array = tuple(name.split(".")), model.arrays[name]
    if model.is_abstract:
        return _Found(path=path, array=array, unit=array, draw=None, key=None, recognised=UNSEEN)
    for unit, copies in _units(array):
        candidates = _candidates(model, path[:-1], copies)
        for seek in (matching_key, matching_orthogonal_key):
            match = seek(unit, candidates, partitionable=model.partitionable)
            if match:
                return _found(model, path, array, unit, match)
    return _found(model, path, array, _units(array)[0][0], None)


def _units(array: Array) -> list[tuple[Array, int]]:
    """Return what one draw may have made: the array, or one of its slices along axis 0.

    With each comes the number of keys that the slices were split for, 0 for none.
    """
    if array.ndim < 2 or len(array) < 2:
        return [(array, 0)]
    return [(array[0] if _has_equal_slices(array) else array, 0), (array[0], len(array))]


def _has_equal_slices(array: Array) -> bool:
    return bool((array == array[:1]).all())


def _found(
    model: Model, path: tuple[str, ...], array: Array, unit: Array, match: tuple[Draw, Key] | None
) -> _Found:
    draw, key = match or (None, None)
    recognised = recognise(unit, key, partitionable=model.partitionable)
    return _Found(path=path, array=array, unit=unit, draw=draw, key=key, recognised=recognised)


def _candidates(model: Model, scope: tuple[str, ...], copies: int) -> list[tuple[Draw, Key]]:
    """Return the keys that a parameter of the scope may have been given."""
    if model.framework == LINEN:
        n_siblings = sum(tuple(name.split(".")[:-1]) == scope for name in model.arrays)
        return _linen_candidates(model, scope, 3 * n_siblings + SPARE_DRAWS, copies)
    if model.framework == NNX:
        return _nnx_candidates(model.seed, 2 * len(model.arrays) + SPARE_DRAWS, copies)
    return []


def _linen_candidates(
    model: Model, scope: tuple[str, ...], n_draws: int, copies: int
) -> list[tuple[Draw, Key]]:
    root = seed_key(model.seed)
    if copies:
        root = split(root, copies, partitionable=model.partitionable)[0]
    return [
        (
            Draw(scope=scope, number=number, copies=copies),
            linen_key(root, (*scope, number), separator=model.separator),
        )
        for number in range(1, n_draws + 1)
    ]


@functools.lru_cache(maxsize=4)
def _nnx_keys(seed: int, n_draws: int) -> tuple[Key, ...]:
    return tuple(nnx_key({"default": seed}, "params", number) for number in range(n_draws))


def _nnx_candidates(seed: int, n_draws: int, copies: int) -> list[tuple[Draw, Key]]:
    """Return the keys of the stream; for copies, those of streams split from one of the first."""
    keys = _nnx_keys(seed, n_draws)
    if not copies:
        return [(Draw(scope=(), number=number), key) for number, key in enumerate(keys)]
    return [
        (Draw(scope=(f"#{first}",), number=number, copies=copies), fold_in(root, number))
        for first, key in enumerate(keys[:SPARE_DRAWS])
        for root in split(key, copies)[:1]
        for number in range(SPARE_DRAWS)
    ]


# --- Comparisons between parameters --------------------------------------------------------------


def _shared_keys(_: Model, found: Sequence[_Found]) -> Iterator[Fault]:
    """Yield the parameters that were drawn from one key, and are therefore not independent."""
    groups: dict[bytes, list[_Found]] = defaultdict(list)
    for one in found:
        if one.key is not None:
            groups[one.key.tobytes()].append(one)
    for group in groups.values():
        for one, others in _each_with_others(group):
            yield one.name, f"key collision: drawn from the key of {_names(others)}"


def _possible_collisions(model: Model, found: Sequence[_Found]) -> Iterator[Fault]:
    """Yield the linen parameters whose scopes hand out equal keys, without drawing any."""
    if model.framework != LINEN:
        return
    sizes = Counter(one.path[:-1] for one in found)
    scopes: dict[bytes, set[tuple[str, ...]]] = defaultdict(set)
    for scope, size in sizes.items():
        for _, key in _linen_candidates(model, scope, size, 0):
            scopes[key.tobytes()].add(scope)
    for one in found:
        clashes = [group for group in scopes.values() if len(group) > 1 and one.path[:-1] in group]
        others = {other for group in clashes for other in group} - {one.path[:-1]}
        for other in sorted(others):
            yield one.name, f"key collision: its scope hands out the keys of {'/'.join(other)}"


def _repetitions(_: Model, found: Sequence[_Found]) -> Iterator[Fault]:
    """Yield parameters, and slices of one, that repeat the values of others."""
    random = [one for one in found if one.is_random and one.array.size > 1]
    seen: set[frozenset[str]] = set()
    for text, digest in (("identical to", _digest), ("a reordering of", _sorted_digest)):
        groups: dict[str, list[_Found]] = defaultdict(list)
        for one in random:
            groups[digest(one.array)].append(one)
        for group in groups.values():
            if len(group) > 1 and frozenset(one.name for one in group) not in seen:
                seen.add(frozenset(one.name for one in group))
                for one, others in _each_with_others(group):
                    yield one.name, f"{text} {_names(others)}"
    yield from _correlations(random)
    for one in random:
        if one.unit is not one.array and _has_equal_slices(one.array):
            yield one.name, f"its {len(one.array)} slices along axis 0 are identical"


def _digest(array: Array) -> str:
    return f"{array.dtype}{array.shape}{hashlib.sha256(array.tobytes()).hexdigest()}"


def _sorted_digest(array: Array) -> str:
    return hashlib.sha256(np.sort(widen(array), axis=None).tobytes()).hexdigest()


def _correlations(random: Sequence[_Found]) -> Iterator[Fault]:
    """Yield pairs whose first elements are correlated, though not repeated.

    Fisher's z of independent samples is normal with variance 1 / (n - 3); all pairs of an audit
    together raise a false alarm at FALSE_ALARM_RATE.
    """
    long = [one for one in random if one.array.size >= PREFIX]
    n_pairs = len(long) * (len(long) - 1) // 2
    if not n_pairs:
        return
    matrix = np.corrcoef([widen(one.array.reshape(-1)[:PREFIX]) for one in long])
    bound = math.tanh(stats.norm.isf(FALSE_ALARM_RATE / n_pairs / 2) / math.sqrt(PREFIX - 3))
    for first, second in np.argwhere(np.triu(np.abs(matrix) > bound, k=1)):
        pair = (long[first], long[second])
        if _sorted_digest(pair[0].array) == _sorted_digest(pair[1].array):
            continue
        for one, others in _each_with_others(pair):
            r = matrix[first, second]
            yield one.name, f"correlated with {_names(others)} (r = {r:.2f} over {PREFIX} elements)"


def _each_with_others(group: Sequence[_Found]) -> Iterator[tuple[_Found, list[_Found]]]:
    for one in group if len(group) > 1 else ():
        yield one, [other for other in group if other is not one]


def _names(found: Sequence[_Found]) -> str:
    return ", ".join(one.name for one in found)


# --- Rows ----------------------------------------------------------------------------------------


def _row(model: Model, one: _Found, found: Sequence[_Found], faults: Sequence[str]) -> Audited:
    exact = _exact(one)
    is_seen = not model.is_abstract and one.array.size > 0
    fan_fault = one.recognised.fault
    return Audited(
        path=one.name,
        shape=tuple(one.array.shape),
        dtype=str(one.array.dtype),
        draw=one.draw.label if one.draw else "",
        key="" if one.key is None else " ".join(f"{word:08x}" for word in one.key),
        initializer=one.recognised.initializer,
        fan=one.recognised.fan,
        expected_std=exact.stddev if exact else None,
        actual_std=float(widen(one.array).std()) if is_seen else None,
        std_error=_std_error(exact, one.array.size) if exact else None,
        is_exact=one.recognised.is_exact,
        n_moved=_n_moved(model, one, found),
        faults=(*faults, *((f"wrong fan: {fan_fault}",) if fan_fault else ())),
        notes=tuple(_notes(one, exact)),
    )


def _exact(one: _Found) -> ExactMoments | None:
    definition = one.recognised.definition
    if definition is None:
        return None
    return exact_moments(definition, one.unit.shape, as_dtype(one.recognised.drawn_dtype))


def _std_error(exact: ExactMoments, size: int) -> float:
    """Return the standard error of a sample stddev (Cramer 1946, 27.4, and the delta method)."""
    return exact.stddev * math.sqrt((exact.kurtosis - 1) / (4 * size))


def _notes(one: _Found, exact: ExactMoments | None) -> Iterator[str]:
    if one.recognised is UNSEEN:
        return
    if one.array.size < FEWEST_FOR_A_KEY and one.is_random:
        yield f"fewer than {FEWEST_FOR_A_KEY} values tell no key"
    elif one.recognised is UNKNOWN:
        yield "law not recognised"
    drawn_dtype = one.recognised.drawn_dtype
    if exact is None or as_dtype(drawn_dtype).itemsize > 2:
        return
    nominal = nominal_moments(_definition(one), one.unit.shape)
    assert nominal is not None
    bias = (exact.mean - float(np.real(nominal.mean))) / exact.stddev
    excess = exact.stddev**2 / nominal.variance - 1
    if max(abs(bias), abs(excess)) > NOTABLE_BIAS:
        yield f"{drawn_dtype} law: mean {bias:+.2g} sigma, variance {excess:+.2%}"


def _definition(one: _Found) -> Definition:
    assert one.recognised.definition is not None
    return one.recognised.definition


def _n_moved(model: Model, one: _Found, found: Sequence[_Found]) -> int:
    """Return how many other random parameters change value when this one's layer is removed.

    linen: later modules with automatic names of the same class are renamed, and a name is part of
    the key. nnx: all later draws of the stream are renumbered.
    """
    if one.draw is None:
        return 0
    layer, draw = one.path[:-1], one.draw
    others = [other for other in found if other.is_random and other.path[:-1] != layer]
    if model.framework == LINEN:
        return sum(_is_later_sibling(layer, other.path) for other in others)
    return sum(other.draw is not None and other.draw.number > draw.number for other in others)


def _is_later_sibling(layer: tuple[str, ...], path: tuple[str, ...]) -> bool:
    """Return whether the path lies in a module whose automatic name counts on from the layer's."""
    if len(path) <= len(layer) or not layer or path[: len(layer) - 1] != layer[:-1]:
        return False
    mine, other = (AUTOMATIC_NAME.fullmatch(name) for name in (layer[-1], path[len(layer) - 1]))
    return bool(mine and other and mine[1] == other[1] and int(other[2]) > int(mine[2]))
