"""What operations make of parameters that they only move, cut or scale: no use of them yet."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from conformance.models import patterns
from conformance.models.program import SUMS, shape_of
from conformance.models.terms import (
    Atom,
    Axes,
    Data,
    Known,
    Rest,
    Term,
    Together,
    View,
    fitted_to,
    with_axes,
)
from conformance.observe.jax_compat import Operation

Move = Callable[[Operation, list[Term]], Any]


def _reshaped(axes: Axes, sizes: Sequence[int]) -> Axes | None:
    """Return the axes in other sizes, where runs can be split and merged to them; else None."""
    runs = [atom for atoms in axes for atom in atoms if atom.size != 1]
    found: list[tuple[Atom, ...]] = []
    for size in sizes:
        atoms: list[Atom] = []
        while size > 1:
            if not runs:
                return None
            atom = runs.pop(0)
            if size % atom.size == 0:
                size //= atom.size
            elif atom.size % size == 0:
                runs.insert(0, dataclasses.replace(atom, size=atom.size // size))
                atom = dataclasses.replace(atom, size=size)
                size = 1
            else:
                return None
            atoms.append(atom)
        found.append(tuple(atoms))
    return tuple(found) if not runs else None


def _move(operation: Operation, operands: list[Term]) -> Term | None:
    term = operands[0]
    match term:
        case View():
            axes = _moved_axes(operation, term.axes)
            if axes is None:
                return None
            pattern = patterns.after(operation, [term.pattern]) if term.pattern else ()
            return dataclasses.replace(term, axes=axes, pattern=pattern)
        case Together():
            return _moved_together(operation, term)
        case _:
            return term


def _moved_axes(operation: Operation, axes: Axes) -> Axes | None:
    parameters = operation.parameters
    match operation.name:
        case "transpose":
            return tuple(axes[axis] for axis in parameters["permutation"])
        case "rev":
            return axes
        case "slice":
            bounds = zip(parameters["start_indices"], parameters["limit_indices"], strict=True)
            strides = parameters["strides"] or (1,) * len(axes)
            return tuple(
                _cut(atoms, len(range(start, stop, stride)))
                for atoms, (start, stop), stride in zip(axes, bounds, strides, strict=True)
            )
        case "broadcast_in_dim":
            found: list[tuple[Atom, ...]] = [(Atom(-1, size),) for size in parameters["shape"]]
            for axis, atoms in zip(parameters["broadcast_dimensions"], axes, strict=True):
                size = math.prod(atom.size for atom in atoms)
                if size == parameters["shape"][axis]:
                    found[axis] = atoms
            return tuple(found)
        case _:
            return _reshaped(axes, shape_of(operation))


def _cut(atoms: tuple[Atom, ...], size: int) -> tuple[Atom, ...]:
    """Return an axis of which only `size` elements are left: an index, or a part."""
    if math.prod(atom.size for atom in atoms) == size:
        return atoms
    if len(atoms) == 1:
        return (dataclasses.replace(atoms[0], size=size, is_part=True),)
    return (Atom(atoms[0].axis, size, is_part=True),)


def _moved_together(operation: Operation, term: Together) -> Term | None:
    parameters, axis = operation.parameters, term.axis
    if operation.name == "transpose":
        permutation = parameters["permutation"]
        parts = tuple(
            dataclasses.replace(part, axes=tuple(part.axes[each] for each in permutation))
            for part in term.parts
        )
        return Together(parts, permutation.index(axis))
    if operation.name == "slice" and parameters["strides"] is None:
        start, stop = parameters["start_indices"][axis], parameters["limit_indices"][axis]
        return _part(term, start, stop)
    if operation.name == "reshape":
        return _reshaped_together(operation, term)
    return None


def _reshaped_together(operation: Operation, term: Together) -> Term | None:
    """Return joined views with axes of size 1 put in or taken out, or others split and merged."""
    shape = shape_of(operation)
    whole = list(term.parts[0].shape)
    whole[term.axis] = sum(part.shape[term.axis] for part in term.parts)
    before = math.prod(whole[: term.axis])
    for axis, size in enumerate(shape):
        if size == whole[term.axis] and math.prod(shape[:axis]) == before:
            parts = []
            for part in term.parts:
                sizes = list(shape)
                sizes[axis] = part.shape[term.axis]
                axes = _reshaped(part.axes, sizes)
                if axes is None:
                    return None
                parts.append(dataclasses.replace(part, axes=axes))
            return Together(tuple(parts), axis)
    return None


def _part(term: Together, start: int, stop: int) -> Term | None:
    """Return the views between two indices of the axis along which they are joined."""
    place, kept = 0, []
    for view in term.parts:
        size = view.shape[term.axis]
        if start <= place and place + size <= stop:
            kept.append(view)
        elif place < stop and start < place + size:
            return None
        place += size
    return kept[0] if len(kept) == 1 else Together(tuple(kept), term.axis)


def _split(operation: Operation, operands: list[Term]) -> Any:
    (term,) = operands
    axis, sizes = operation.parameters["axis"], operation.parameters["sizes"]
    if isinstance(term, View):
        return [
            dataclasses.replace(
                term, axes=(*term.axes[:axis], _cut(term.axes[axis], size), *term.axes[axis + 1 :])
            )
            for size in sizes
        ]
    if isinstance(term, Together) and term.axis == axis:
        starts = [sum(sizes[:place]) for place in range(len(sizes))]
        parts = [
            _part(term, start, start + size) for start, size in zip(starts, sizes, strict=True)
        ]
        return parts if all(part is not None for part in parts) else None
    return None


def _unstack(operation: Operation, operands: list[Term]) -> Any:
    (term,) = operands
    axis = operation.parameters["axis"]
    if not isinstance(term, View):
        return None
    axes = (*term.axes[:axis], *term.axes[axis + 1 :])
    pattern = patterns.without(term.pattern, axis)
    return [dataclasses.replace(term, axes=axes, pattern=pattern)] * len(operation.outputs)


def _gather(operation: Operation, operands: list[Term]) -> Any:
    """Return rows of a table that data chose: still a view, until it is used."""
    table, indices = operands[:2]
    if not isinstance(table, View) or not isinstance(indices, Data | Known):
        return None
    numbers = operation.parameters["dimension_numbers"]
    sizes = operation.parameters["slice_sizes"]
    dropped = (*numbers.collapsed_slice_dims, *getattr(numbers, "operand_batching_dims", ()))
    kept = [
        _cut(atoms, size)
        for axis, (atoms, size) in enumerate(zip(table.axes, sizes, strict=True))
        if axis not in dropped
    ]
    shape, offsets = shape_of(operation), numbers.offset_dims
    axes: list[tuple[Atom, ...]] = [(Atom(-1, size),) for size in shape]
    for axis, atoms in zip(offsets, kept, strict=True):
        axes[axis] = atoms
    return dataclasses.replace(
        table, axes=tuple(axes), is_indexed=table.is_indexed or bool(dropped)
    )


def _dynamic_slice(operation: Operation, operands: list[Term]) -> Any:
    table = operands[0]
    if not isinstance(table, View):
        return None
    sizes = operation.parameters["slice_sizes"]
    axes = tuple(_cut(atoms, size) for atoms, size in zip(table.axes, sizes, strict=True))
    is_chosen = axes != table.axes and any(isinstance(each, Data) for each in operands[1:])
    return dataclasses.replace(table, axes=axes, is_indexed=table.is_indexed or is_chosen)


def _cast(operation: Operation, operands: list[Term]) -> Any:
    """Return what a cast leaves as it is."""
    del operation
    return operands[0]


def _multiply(operation: Operation, operands: list[Term]) -> Any:
    """Return a view times a number, or met with data."""
    if operation.name == "neg":
        operands = [*operands, Known(-1.0)]
    first, second = operands
    view, other = (first, second) if isinstance(first, View | Together) else (second, first)
    divides = operation.name == "div"
    if divides and view is second:
        return None
    if isinstance(other, Known) and other.value is not None and isinstance(view, View | Together):
        number = float(other.value)
        return _times(view, 1 / number if divides and number else number)
    if not isinstance(other, Data) or divides:
        return None
    shape = shape_of(operation)
    fitted = fitted_to(view, shape) if isinstance(view, View) else None
    if fitted is None:
        return None
    datum = patterns.product(fitted.pattern, other.pattern, shape)
    return dataclasses.replace(fitted, is_met=True, pattern=datum)


def _times(term: View | Together, number: float) -> View | Together:
    if isinstance(term, Together):
        parts = tuple(dataclasses.replace(p, factor=p.factor * number) for p in term.parts)
        return Together(parts, term.axis)
    return dataclasses.replace(term, factor=term.factor * number)


def rests_after(
    operation: Operation, rest: Rest, place: int, operands: Sequence[Term]
) -> list[Rest | None]:
    """Return the rest of a kernel in what is but moved, scaled, cut, or met with other data."""
    view, name = rest.view, operation.name
    if name == "convert_element_type":
        return [rest]
    if name in ("split", "unstack"):
        cut: Any = MOVES[name](operation, [view])
        return [dataclasses.replace(rest, view=each) for each in cut]
    if MOVES.get(name) is _move:
        axes = _moved_axes(operation, view.axes)
        return [None if axes is None else dataclasses.replace(rest, view=with_axes(view, axes))]
    if name not in ("mul", *SUMS) and not (name == "div" and place == 0):
        return [None]
    fitted = fitted_to(view, shape_of(operation))
    meets = all(isinstance(each, Data) for each in operands)
    is_met = rest.is_met or (name == "mul" and meets)
    is_added = rest.is_added or (name in SUMS and meets)
    if fitted is None:
        return [None]
    return [dataclasses.replace(rest, view=fitted, is_met=is_met, is_added=is_added)]


MOVES: Mapping[str, Move] = {
    **dict.fromkeys(("transpose", "reshape", "squeeze", "broadcast_in_dim", "slice", "rev"), _move),
    "split": _split,
    "unstack": _unstack,
    "gather": _gather,
    "dynamic_slice": _dynamic_slice,
    "convert_element_type": _cast,
    **dict.fromkeys(("mul", "div", "neg"), _multiply),
}
"""What an operation makes of terms among which there are parameters; None: no rule for these."""
