"""What a value of a program holds: elements of parameters, moved, or data that met them."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from conformance.models import patterns
from conformance.models.patterns import Pattern

Outputs = tuple[tuple[int, int], ...]
"""Axes of a parameter, and how many of their elements."""


@dataclasses.dataclass(frozen=True, slots=True)
class Atom:
    """A run of one axis of a parameter, or of none (`axis` < 0): what was broadcast or is data.

    is_part: some of the axis is missing here, so a sum over it is not the whole sum.
    """

    axis: int
    size: int
    is_part: bool = False


Axes = tuple[tuple[Atom, ...], ...]
"""Of each axis of an array the runs that it is made of, the slowest first."""


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """The elements of one parameter, moved.

    is_indexed: data chose an index of some axis. is_shifted: a constant was added.
    is_met: each element was multiplied by a datum, of this pattern, and awaits its sum.
    """

    parameter: str
    axes: Axes
    factor: float = 1.0
    is_indexed: bool = False
    is_shifted: bool = False
    is_met: bool = False
    pattern: Pattern = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the sizes of the axes."""
        return tuple(math.prod(atom.size for atom in atoms) for atoms in self.axes)


@dataclasses.dataclass(frozen=True, slots=True)
class Together:
    """Views of several parameters, concatenated along an axis."""

    parts: tuple[View, ...]
    axis: int


@dataclasses.dataclass(frozen=True, slots=True)
class Mixed:
    """Elements made of parameters in a way that has no rule; `reason` is the first such way."""

    parameters: frozenset[str]
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Known:
    """A constant; its value, where it is a single one and known, or else its pattern."""

    value: Any = None
    pattern: Pattern = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Rest:
    """The other axes of a kernel that data were summed with, as axes of what came out.

    fan_in, axes: of that sum. outputs: what came out of it. left_out: axes with one index each.
    is_met: it was multiplied by other data since. is_added: other data were added since.
    """

    view: View
    fan_in: float
    axes: tuple[int, ...]
    outputs: Outputs
    is_met: bool = False
    is_added: bool = False
    left_out: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Data:
    """What depends on an input. rest: of the kernel that made it, while it is but moved."""

    pattern: Pattern = ()
    rest: Rest | None = None


Term = View | Together | Mixed | Known | Data


DATA, SOME_CONSTANT = Data(), Known()


def outputs_of(axes: Iterable[tuple[Atom, ...]]) -> Outputs:
    """Return how much there is of each axis of a parameter."""
    sizes: dict[int, int] = {}
    for atoms in axes:
        for atom in atoms:
            if atom.axis >= 0:
                sizes[atom.axis] = sizes.get(atom.axis, 1) * atom.size
    return tuple(sorted(sizes.items()))


def view_of(parameter: str, shape: Sequence[int]) -> View:
    """Return a parameter as the program gets it."""
    return View(parameter, tuple((Atom(axis, size),) for axis, size in enumerate(shape)))


def is_of_data(view: View) -> bool:
    """Return whether data decides about the elements of a view."""
    return view.is_met or view.is_indexed


def fitted_to(view: View, shape: tuple[int, ...]) -> View | None:
    """Return a view in the shape that an operation repeats its axes of size 1 to."""
    if not view.axes:
        return dataclasses.replace(view, axes=tuple((Atom(-1, size),) for size in shape))
    if len(view.axes) != len(shape):
        return None
    axes = tuple(
        atoms if size == now else (Atom(-1, size),)
        for atoms, now, size in zip(view.axes, view.shape, shape, strict=True)
    )
    return dataclasses.replace(view, axes=axes)


def constant(array: Any) -> Known:
    """Return a constant of a program; a key is one of which nothing is known."""
    if _is_key(array):
        return SOME_CONSTANT
    if np.ndim(array) == 0:
        return Known(np.asarray(array)[()])
    return Known(pattern=patterns.of_array(np.asarray(array)))


def _is_key(array: Any) -> bool:
    return str(getattr(array, "dtype", "")).startswith("key<")


def views_in(term: Term) -> tuple[View, ...]:
    """Return the views that a term is made of; of mixed ones there are none."""
    match term:
        case View():
            return (term,)
        case Together(parts=parts):
            return parts
        case _:
            return ()


def mixed(terms: Iterable[Term], reason: str) -> Mixed:
    """Return the terms mixed; the first way to have no rule is told."""
    names: set[str] = set()
    for term in terms:
        if isinstance(term, Mixed):
            names |= term.parameters
            reason = term.reason
        names |= {view.parameter for view in views_in(term)}
    return Mixed(frozenset(names), reason)


def widened(old: Term, new: Term) -> Term:
    """Return a term that holds before a turn of a loop and after it."""
    if old == new:
        return old
    if isinstance(old, Known | Data) and isinstance(new, Known | Data):
        return _either(old, new)
    return mixed([old, new], "changes from turn to turn of a loop")


def _either(one: Known | Data, other: Known | Data) -> Term:
    pattern = patterns.either(one.pattern, other.pattern)
    is_known = isinstance(one, Known) and isinstance(other, Known)
    return Known(pattern=pattern) if is_known else Data(pattern)


def one_of(terms: Sequence[Term]) -> Term:
    """Return a term that holds whichever branch was taken."""
    first, *others = terms
    if all(each == first for each in others):
        return first
    data = [each for each in terms if isinstance(each, Known | Data)]
    if len(data) == len(terms):
        return Data(functools.reduce(patterns.either, [each.pattern for each in data]))
    return mixed(terms, "cond: branches that differ")


def item_of(term: Term) -> Term:
    """Return a slice of the first axis, as each turn of a loop gets it."""
    match term:
        case View(axes=axes):
            return dataclasses.replace(term, axes=axes[1:])
        case Together(parts=parts, axis=axis) if axis:
            return Together(tuple(_sliced(part) for part in parts), axis - 1)
        case Together():
            return mixed([term], "scan of joined parameters")
        case Known(value=value, pattern=pattern):
            return Known(value, patterns.without(pattern, 0))
        case Data(pattern=pattern):
            return Data(patterns.without(pattern, 0))
        case _:
            return term


def _sliced(view: View) -> View:
    return dataclasses.replace(view, axes=view.axes[1:])


def appended(term: Term, length: int) -> Term:
    """Return what a loop collects turn by turn."""
    match term:
        case View() | Together():
            return mixed([term], "collected by a loop")
        case Known(pattern=pattern):
            return Known(pattern=patterns.appended(pattern, length))
        case Data(pattern=pattern):
            return Data(patterns.appended(pattern, length))
        case _:
            return term


def with_axes(view: View, axes: Axes) -> View:
    """Return a view with other axes."""
    return dataclasses.replace(view, axes=axes)


def axes_of(view: View, places: Iterable[int]) -> tuple[int, ...]:
    """Return the axes of the parameter that some axes of a view are made of."""
    return tuple(sorted({a.axis for place in places for a in view.axes[place] if a.axis >= 0}))


def rests_of(operands: Sequence[Term]) -> dict[int, Rest]:
    """Return what is left of kernels in the data among operands, by place."""
    return {
        place: each.rest
        for place, each in enumerate(operands)
        if isinstance(each, Data) and each.rest is not None
    }
