"""Where two arrays differ, and whether one is the other in another order."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from conformance.core.arrays import Array, block_size, in_parts, widen

Mask = npt.NDArray[np.bool_]

MOST_RUNS = 3
"""Runs of blocks that are named."""

FEWEST_COPIED = 16
"""Least number of elements that are told to be copies of others."""

MOST_FIELDS = 24
"""Fields of a map along an axis: more say little more, and each is a character of a row."""

MOST_AXES = 5
"""Axes up to which every order is tried: 120 orders."""


def reordering(actual: Array, expected: Array) -> str:
    """Return how `actual` is made of the elements of `expected`, or "" if it is not.

    Both are whole arrays of one shape. Names a transposition, a reversal or a rotation where it is
    one, a block that occurs twice, and any other permutation as such.
    """
    if not expected.size or _are_alike(expected) or _are_alike(actual):
        return ""
    if not np.array_equal(np.sort(actual, axis=None), np.sort(expected, axis=None)):
        return _duplication(actual, expected)
    return _named_order(actual, expected) or "the same elements in another order"


def _are_alike(array: Array) -> bool:
    return bool((array == next(array.flat)).all())


def _named_order(actual: Array, expected: Array) -> str:
    flat = actual.ravel()
    for axes in _orders(expected.ndim):
        if np.array_equal(np.transpose(expected, axes).ravel(), flat):
            return f"transposed: the golden's axes in the order {axes}"
    for axis in range(expected.ndim):
        if np.array_equal(np.flip(expected, axis), actual):
            return f"reversed along axis {axis}"
    starts = np.argwhere(expected == flat[0])
    for axis, size in enumerate(expected.shape):
        for place in sorted(set(starts[:, axis].tolist())):
            if np.array_equal(np.roll(expected, -place, axis), actual):
                return f"rotated by {place} of {size} along axis {axis}"
    return ""


def _orders(ndim: int) -> list[tuple[int, ...]]:
    if ndim > MOST_AXES:
        return [tuple(reversed(range(ndim)))]
    return list(itertools.permutations(range(ndim)))


def _duplication(actual: Array, expected: Array) -> str:
    """Return which half of an axis repeats the other although the golden's halves differ."""
    for axis, size in enumerate(actual.shape):
        halves = [
            np.array_split(array, [size // 2, 2 * (size // 2)], axis)[:2]
            for array in (actual, expected)
        ]
        (first, second), (golden_first, golden_second) = halves
        if np.array_equal(first, second) and not np.array_equal(golden_first, golden_second):
            return f"the second half of axis {axis} repeats the first"
    return _copy(actual.ravel(), expected.ravel())


def _copy(actual: Array, expected: Array) -> str:
    """Return how far off the elements lie that those in other places are copies of, if they are.

    That FEWEST_COPIED elements are so by chance happens in one of 1e12 arrays of the coarsest
    lattice, whose values are each one of eight at best, for each place that the first may be from.
    """
    different = actual != expected
    n_moved = int(np.count_nonzero(different))
    if n_moved < FEWEST_COPIED:
        return ""
    # A few first: there are many places to try where a lattice repeats its values.
    few = _first(different, FEWEST_COPIED)
    last = len(different) - 1 - int(np.argmax(different[::-1]))
    reach = last - few[0]
    for start in np.flatnonzero(expected[: len(expected) - reach] == actual[few[0]]):
        shift = int(start - few[0])
        if not np.array_equal(expected[few + shift], actual[few]):
            continue
        if all(np.array_equal(expected[at + shift], actual[at]) for at in _places(different)):
            return f"{n_moved} elements are copies of those {abs(shift)} places off"
    return ""


def _places(marks: Mask) -> Iterator[npt.NDArray[np.intp]]:
    """Yield where a row is marked, some at a time: the places of all are eight bytes each."""
    for start, part in in_parts(marks):
        yield start + np.flatnonzero(part)


def _first(marks: Mask, count: int) -> npt.NDArray[np.intp]:
    """Return the first places that are marked, of which there are as many."""
    return np.fromiter(itertools.chain.from_iterable(_places(marks)), np.intp, count)


def describe_places(different: Mask, expected: Array) -> str:
    """Return where the differing elements lie, if it is a pattern: near zero, a run, a stride.

    `different` has the shape of `expected`; both may be 1-D samples.
    """
    count = int(np.count_nonzero(different))
    if not count or count == different.size:
        return "every element" if count > 1 else ""
    patterns = (
        _one_slice(different),
        _run_or_stride(different.ravel(), count),
        _magnitude(different.ravel(), expected.ravel()),
    )
    return next((pattern for pattern in patterns if pattern), "scattered")


def mismatch(different: Mask) -> str:
    """Return a coarse map of where elements differ; "" where none do, or all.

    As in `64x32 f0/07`: of the array as a matrix, its last axis across and all others down, as
    JAX takes a kernel's fans; then its rows of fields, from the top, each of which stands for a
    part of the matrix, all of nearly one size. A digit is 0 where no element of the field differs,
    f where all do, and between them the hexadecimal number that grows with their share.
    """
    count = int(np.count_nonzero(different))
    if not count or count == different.size:
        return ""
    matrix = different.reshape(-1, different.shape[-1])
    digits = [[_share(field) for field in _parts(strip.T)] for strip in _parts(matrix)]
    lines = ("".join(f"{digit:x}" for digit in line) for line in digits)
    return f"{matrix.shape[0]}x{matrix.shape[1]} {'/'.join(lines)}"


def _parts(matrix: Mask) -> list[Mask]:
    """Return at most MOST_FIELDS parts of the first axis, one after the other; views."""
    size = len(matrix)
    n_parts = min(size, MOST_FIELDS)
    ends = [size * part // n_parts for part in range(n_parts + 1)]
    return [matrix[start:end] for start, end in itertools.pairwise(ends)]


def _share(field: Mask) -> int:
    """Return 0 where no element is set, 15 where all are, and 1 to 14 between."""
    count = int(np.count_nonzero(field))
    return 15 if count == field.size else min(count, 1) + 14 * count // field.size


def describe_blocks(actual: Sequence[str], expected: Sequence[str], size: int) -> str:
    """Return which blocks of two arrays of `size` elements differ, by digests; "" where none tell.

    All elements of the other blocks are the same, those included that nobody kept.
    """
    if len(actual) != len(expected):
        return ""
    wrong = np.flatnonzero(np.array(actual) != np.array(expected))
    if not wrong.size:
        return ""
    length = block_size(size)
    runs = np.split(wrong, np.flatnonzero(np.diff(wrong) != 1) + 1)
    spans = [(run[0] * length, min((run[-1] + 1) * length, size)) for run in runs]
    named = [f"{start} to {stop - 1}" for start, stop in spans[:MOST_RUNS]]
    places = ", ".join([*named, "..."] if len(spans) > MOST_RUNS else named)
    n_same = size - sum(stop - start for start, stop in spans)
    rest = f", elements {places}; the other {n_same} elements are the same" if n_same else ""
    return f"{len(wrong)} of {len(expected)} blocks differ{rest}"


def _one_slice(different: Mask) -> str:
    """Return the run of one axis, at most half of it, that holds all differences, densely."""
    if different.ndim == 1:
        return ""
    for axis, size in enumerate(different.shape):
        others = tuple(other for other in range(different.ndim) if other != axis)
        hit = np.flatnonzero(different.any(axis=others))
        is_run = len(hit) == hit[-1] - hit[0] + 1
        is_dense = 2 * different.sum() * size > len(hit) * different.size
        if is_run and is_dense and 2 * len(hit) <= size:
            return f"only [{hit[0]}:{hit[-1] + 1}] of axis {axis}"
    return ""


def _run_or_stride(different: Mask, count: int) -> str:
    if count < 3:
        return ""
    first, second = _first(different, 2).tolist()
    last, step = len(different) - 1 - int(np.argmax(different[::-1])), second - first
    if first + (count - 1) * step != last or not different[first:last:step].all():
        return ""
    span = f"flat indices {first} to {last}"
    return f"one run, {span}" if step == 1 else f"one element in {step}, {span}"


def _magnitude(different: Mask, expected: Array) -> str:
    finite = (np.abs(widen(part[np.isfinite(part)])) for _, part in in_parts(expected))
    largest = max((float(sizes.max()) for sizes in finite if sizes.size), default=0.0)
    squares, lowest, highest = [], [], []
    for _, part, marks in in_parts(expected, different):
        # In units of the largest, whose squares are numbers.
        sizes = np.ldexp(np.abs(widen(part)), -math.frexp(largest)[1])
        squares.append(float(np.sum(sizes**2)))
        if (hit := sizes[marks]).size:
            lowest.append(hit.min())
            highest.append(hit.max())
    sigma = math.sqrt(math.fsum(squares) / expected.size)
    if np.max(highest) < 0.1 * sigma:
        return "only near zero (below 0.1 sigma)"
    if np.min(lowest) > 2 * sigma:
        return "only in the tails (beyond 2 sigma)"
    return ""
