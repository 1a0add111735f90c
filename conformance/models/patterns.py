"""What is known of data along each of its axes: few of them are not 0, all are one, no two are.

A one-hot row is found by what makes it: a comparison for equality of numbers that are all one along
an axis with numbers that all differ there. How many elements may differ from 0 is then followed
through the operations that keep zeros; after any other nobody knows, which is not the same as all.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from conformance.core.arrays import Array
from conformance.models.program import shape_of
from conformance.observe.jax_compat import Operation

MOST_LOOKED_AT = 1 << 16
"""Elements of a constant that are looked at."""


@dataclasses.dataclass(frozen=True, slots=True)
class Along:
    """What is known along one axis, wherever one stands on the others.

    most: how many elements may differ from 0; None where nobody knows.
    is_same: all are equal. is_distinct: no two are.
    """

    size: int
    most: int | None
    is_same: bool = False
    is_distinct: bool = False

    @property
    def is_plain(self) -> bool:
        """Return whether any element may be anything."""
        return self.most == self.size and not self.is_same and not self.is_distinct


Pattern = tuple[Along, ...]
"""Of each axis; empty where nothing is known of any."""


def plain(shape: Sequence[int]) -> Pattern:
    """Return the pattern of data of which nothing is known."""
    return tuple(Along(size, size) for size in shape)


def zeros(shape: Sequence[int]) -> Pattern:
    """Return the pattern of zeros."""
    return tuple(Along(size, 0, is_same=True) for size in shape)


def repeated(shape: Sequence[int]) -> Pattern:
    """Return the pattern of one number everywhere, other than 0."""
    return tuple(Along(size, size, is_same=True) for size in shape)


def of_array(array: Array) -> Pattern:
    """Return the pattern of a constant: one-hot rows, numbers that are all one, or all differ."""
    if not 0 < array.size <= MOST_LOOKED_AT or array.dtype.kind not in "biuf":
        return ()
    return kept(_along(array, axis) for axis in range(array.ndim))


def _along(array: Array, axis: int) -> Along:
    size = array.shape[axis]
    steps = np.diff(np.sort(array.astype(np.float64), axis), axis=axis)
    # A table of sines has a 0 here and there: only what is one-hot is told.
    is_hot = size > 1 and (array != 0).sum(axis).max() <= 1
    return Along(size, 1 if is_hot else size, bool((steps == 0).all()), bool((steps != 0).all()))


def kept(along: Iterable[Along]) -> Pattern:
    """Return a pattern, empty if it says nothing."""
    found = tuple(along)
    return () if all(each.is_plain for each in found) else found


def most_summed(pattern: Pattern, axes: Sequence[int]) -> int | None:
    """Return how many elements that differ from 0 a sum over axes may have; None: nobody knows."""
    sizes = [pattern[axis].size for axis in axes]
    counts = [
        most * math.prod(sizes[:place] + sizes[place + 1 :])
        for place, axis in enumerate(axes)
        if (most := pattern[axis].most) is not None
    ]
    least = min(counts, default=None)
    is_unknown = any(pattern[axis].most is None for axis in axes)
    return None if is_unknown and least == math.prod(sizes) else least


def either(first: Pattern, second: Pattern) -> Pattern:
    """Return what holds of data that have one pattern or another."""
    if first == second:
        return first
    if not first or not second:
        first = first or plain([each.size for each in second])
        second = second or plain([each.size for each in first])
    return kept(
        one if one == other else Along(one.size, _one_of(one, other))
        for one, other in zip(first, second, strict=True)
    )


def _one_of(one: Along, other: Along) -> int | None:
    """Return how many may differ from 0: after zeros, as a state begins with, those that come."""
    if 0 in (one.most, other.most):
        return other.most if one.most == 0 else one.most
    return one.most if one.most == other.most else None


def after(operation: Operation, patterns: Sequence[Pattern]) -> Pattern:
    """Return the pattern of what an operation makes of data and constants.

    patterns: of its inputs, each as long as the input has axes.
    """
    if operation.name == "iota":
        dimension, shape = operation.parameters["dimension"], shape_of(operation)
        return tuple(
            Along(size, size, is_same=axis != dimension, is_distinct=axis == dimension)
            for axis, size in enumerate(shape)
        )
    if not any(not each.is_plain for pattern in patterns for each in pattern):
        return kept(_along_all(operation, patterns, _equal)) if operation.name == "eq" else ()
    if move := MOVES.get(operation.name):
        return kept(move(operation, patterns))
    if rule := ELEMENTS.get(operation.name):
        return kept(_along_all(operation, patterns, rule))
    if operation.name in FORGETTING:
        return ()
    shape = shape_of(operation)
    is_sparse = any(each.most != each.size for pattern in patterns for each in pattern)
    return tuple(Along(size, None) for size in shape) if is_sparse else ()


# --- Operations on elements ----------------------------------------------------------------------


def _along_all(
    operation: Operation, patterns: Sequence[Pattern], rule: Callable[..., Along]
) -> list[Along]:
    """Return what a rule says along each axis of the operands, axes of size 1 repeated."""
    shape = shape_of(operation)
    operands = [_fitted(pattern, shape) for pattern in patterns]
    return [rule(*along) for along in zip(*operands, strict=True)]


def product(first: Pattern, second: Pattern, shape: Sequence[int]) -> Pattern:
    """Return the pattern of a product of this shape; of neither nothing may be known."""
    operands = [_fitted(each, shape) if each else plain(shape) for each in (first, second)]
    return kept(map(_product, *operands))


def _fitted(pattern: Pattern, shape: Sequence[int]) -> Pattern:
    if not pattern:  # a scalar
        return repeated(shape)
    return tuple(
        each if each.size == size else Along(size, size if each.most else each.most, is_same=True)
        for each, size in zip(pattern, shape, strict=True)
    )


def _equal(one: Along, other: Along) -> Along:
    is_hot = (one.is_same and other.is_distinct) or (one.is_distinct and other.is_same)
    if is_hot or one.size == 1:
        return Along(one.size, 1)
    if one.is_same and other.is_same:
        return Along(one.size, one.size, is_same=True)
    return Along(one.size, None)


def _kept_zeros(one: Along) -> Along:
    return dataclasses.replace(one, is_distinct=False)


def _product(one: Along, other: Along) -> Along:
    counts = [each.most for each in (one, other) if each.most is not None]
    least = min(counts, default=None)
    if len(counts) == 1 and least == one.size:
        least = None  # of all times nobody knows how many
    return Along(one.size, least, is_same=one.is_same and other.is_same)


def _quotient(one: Along, other: Along) -> Along:
    return Along(one.size, one.most, is_same=one.is_same and other.is_same)


def _sum(one: Along, other: Along) -> Along:
    """Return what is known of a sum, or of another function of two zeros that is zero.

    All and few are, by the program, all: but as in `hot + soft - soft` they may be few.
    """
    is_distinct = (one.is_distinct and other.is_same) or (one.is_same and other.is_distinct)
    is_same, size = one.is_same and other.is_same, one.size
    counts = (one.most, other.most)
    most: int | None = None
    if 0 in counts:
        most = max(counts, key=lambda count: math.inf if count is None else count)
    elif counts == (size, size) or is_same:
        most = size
    elif one.most is not None and other.most is not None and size not in counts:
        most = min(size, one.most + other.most)
    return Along(size, most, is_same=is_same, is_distinct=is_distinct)


def _chosen(which: Along, *cases: Along) -> Along:
    """Return what is known of the first case where `which` is 0, of the second where it is 1."""
    size, is_same = which.size, which.is_same and all(each.is_same for each in cases)
    if len(cases) != 2:
        return Along(size, None, is_same=is_same)
    at_0, at_1 = cases[0], _product(which, cases[1])
    if at_0.most == size or (at_1.most == size and at_0.most is not None):
        return Along(size, size, is_same=is_same)
    if at_0.most is None or at_1.most is None:
        return Along(size, None, is_same=is_same)
    return Along(size, min(size, at_0.most + at_1.most), is_same=is_same)


def _differs(one: Along, other: Along) -> Along:
    """Return what is known of a comparison that 0 with 0 fails."""
    if 0 in (one.most, other.most):
        return _kept_zeros(_sum(one, other))
    return _compared(one, other)


def _compared(one: Along, other: Along) -> Along:
    is_plain = one.most == one.size and other.most in (other.size, 0)
    most = one.size if is_plain else None
    return Along(one.size, most, is_same=one.is_same and other.is_same)


def _dense(one: Along) -> Along:
    return Along(one.size, one.size, is_same=one.is_same)


ELEMENTS: Mapping[str, Callable[..., Along]] = {
    "eq": _equal,
    **dict.fromkeys(("mul", "and"), _product),
    "div": _quotient,
    **dict.fromkeys(("add", "add_any", "sub", "max", "min", "or", "xor"), _sum),
    "select_n": _chosen,
    **dict.fromkeys(("ne", "lt", "gt"), _differs),
    **dict.fromkeys(("le", "ge"), _compared),
    **dict.fromkeys(("exp", "exp2", "cos", "logistic", "rsqrt", "log"), _dense),
    **dict.fromkeys(
        (
            *("neg", "sign", "abs", "sqrt", "cbrt", "square", "tanh", "sin", "tan", "expm1"),
            *("log1p", "floor", "ceil", "round", "erf", "erf_inv"),
        ),
        _kept_zeros,
    ),
}
"""What an operation on elements leaves known along an axis, from what is known of its operands."""


# --- Operations that move elements ---------------------------------------------------------------


def _cast(operation: Operation, patterns: Sequence[Pattern]) -> Iterable[Along]:
    dtype = np.dtype(operation.outputs[0].form.dtype)
    if dtype.itemsize >= 4:  # holds all numbers of places along an axis, or nearly
        return patterns[0]
    return map(_kept_zeros, patterns[0])


def _transpose(operation: Operation, patterns: Sequence[Pattern]) -> Iterable[Along]:
    return [patterns[0][axis] for axis in operation.parameters["permutation"]]


def _broadcast(operation: Operation, patterns: Sequence[Pattern]) -> Iterable[Along]:
    found = list(repeated(operation.parameters["shape"]))
    for axis, along in zip(operation.parameters["broadcast_dimensions"], patterns[0], strict=True):
        found[axis] = _fitted((along,), (found[axis].size,))[0]
    return found


def _slice(operation: Operation, patterns: Sequence[Pattern]) -> Iterable[Along]:
    return [
        dataclasses.replace(each, size=size, most=_least(size, each.most))
        for each, size in zip(patterns[0], shape_of(operation), strict=True)
    ]


def _least(size: int, most: int | None) -> int | None:
    return None if most is None else min(size, most)


def _reshape(operation: Operation, patterns: Sequence[Pattern]) -> Iterable[Along]:
    """Return the axes merged and split: those of runs that begin and end together."""
    old, sizes = [each for each in patterns[0] if each.size != 1], list(shape_of(operation))
    if 0 in sizes:
        return plain(sizes)
    found: list[Along] = []
    while sizes:
        if sizes[0] == 1:
            found.append(Along(sizes.pop(0), 1))
            continue
        before, now = [old.pop(0)] if old else [], [sizes.pop(0)]
        while math.prod(each.size for each in before) != math.prod(now):
            if math.prod(each.size for each in before) < math.prod(now):
                before.append(old.pop(0))
            else:
                now.append(sizes.pop(0))
        found += _regrouped(before, now)
    return found


def _regrouped(before: Sequence[Along], now: Sequence[int]) -> Iterable[Along]:
    is_same = all(each.is_same for each in before)
    most = most_summed(tuple(before), range(len(before)))
    if len(before) == 1:
        (one,) = before
        return [dataclasses.replace(one, size=n, most=_least(n, most)) for n in now]
    is_all = most == math.prod(now)
    return [
        Along(n, n if is_all else most if len(now) == 1 else None, is_same=is_same) for n in now
    ]


def _concatenate(operation: Operation, patterns: Sequence[Pattern]) -> Iterable[Along]:
    joined = operation.parameters["dimension"]
    for axis, along in enumerate(zip(*patterns, strict=True)):
        counts = [each.most for each in along]
        known = [count for count in counts if count is not None]
        if axis == joined:
            size = sum(each.size for each in along)
            yield Along(size, sum(known) if len(known) == len(counts) else None)
        else:
            yield Along(along[0].size, max(known) if len(known) == len(counts) else None)


def _gather(operation: Operation, patterns: Sequence[Pattern]) -> Iterable[Along]:
    numbers, sizes = operation.parameters["dimension_numbers"], operation.parameters["slice_sizes"]
    dropped = (*numbers.collapsed_slice_dims, *getattr(numbers, "operand_batching_dims", ()))
    left = [
        each if each.size == size else Along(size, _least(size, each.most))
        for axis, (each, size) in enumerate(zip(patterns[0], sizes, strict=True))
        if axis not in dropped
    ]
    found = list(plain(shape_of(operation)))
    for axis, each in zip(numbers.offset_dims, left, strict=True):
        found[axis] = each
    return found


def _summed(operation: Operation, patterns: Sequence[Pattern]) -> Iterable[Along]:
    axes = operation.parameters["axes"]
    n_summed = math.prod(patterns[0][axis].size for axis in axes)
    for axis, each in enumerate(patterns[0]):
        if axis not in axes:
            most = None if each.most is None else each.most * n_summed
            yield Along(each.size, _least(each.size, most), is_same=each.is_same)


MOVES: Mapping[str, Callable[[Operation, Sequence[Pattern]], Iterable[Along]]] = {
    "convert_element_type": _cast,
    "transpose": _transpose,
    "broadcast_in_dim": _broadcast,
    **dict.fromkeys(("slice", "dynamic_slice"), _slice),
    "rev": lambda _, patterns: patterns[0],
    **dict.fromkeys(("reshape", "squeeze", "expand_dims"), _reshape),
    "concatenate": _concatenate,
    "gather": _gather,
    **dict.fromkeys(("reduce_sum", "reduce_max", "reduce_or"), _summed),
}

FORGETTING = frozenset(
    {
        *("dot_general", "conv_general_dilated", "argmax", "argmin", "reduce_min", "reduce_and"),
        *("reduce_prod", "sort", "top_k", "random_bits", "random_fold_in", "random_split"),
    }
)
"""Operations after which data are data, whatever they were made of."""


def without(pattern: Pattern, axis: int) -> Pattern:
    """Return what is left at an index of an axis."""
    return kept(pattern[:axis] + pattern[axis + 1 :])


def appended(pattern: Pattern, length: int) -> Pattern:
    """Return what a loop collects of so many turns."""
    return (Along(length, length), *pattern) if pattern else ()
