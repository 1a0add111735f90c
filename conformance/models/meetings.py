"""What operations make of parameters that meet data, and how they are used by it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from conformance.models import patterns
from conformance.models.notes import ADDED, CONTRACTION, CONVOLUTION, ELEMENT, LOOKUP, Notes
from conformance.models.patterns import Pattern
from conformance.models.program import SUMS, shape_of
from conformance.models.terms import (
    DATA,
    Atom,
    Data,
    Known,
    Mixed,
    Rest,
    Term,
    Together,
    View,
    axes_of,
    outputs_of,
    views_in,
    with_axes,
)
from conformance.observe.jax_compat import Operation

MODULATED = "multiplied by data before it is summed"

Meeting = Callable[[Notes, Operation, list[Term]], Any]


def _concatenate(notes: Notes, operation: Operation, operands: list[Term]) -> Any:
    axis = operation.parameters["dimension"]
    if any(isinstance(each, Data) for each in operands):
        for term in operands:
            notes.element(term, operation.name, ADDED)
        return DATA
    if all(isinstance(each, View) for each in operands):
        views = tuple(each for each in operands if isinstance(each, View))
        return None if any(view.is_met for view in views) else Together(views, axis)
    return None


def _add(notes: Notes, operation: Operation, operands: list[Term]) -> Any:
    """Note what is added to data; two sums of one parameter's products have no rule."""
    view, other = operands if isinstance(operands[0], View) else reversed(operands)
    if isinstance(view, View) and isinstance(other, Known) and other.value == 0:
        return view
    met = [each for each in operands if isinstance(each, View) and each.is_met]
    if len(met) == 2 and met[0].parameter == met[1].parameter:
        for view in met:
            notes.unknown(view, operation.name, "sums of its products by hand")
        return DATA
    if met or any(isinstance(each, Data) for each in operands):
        for term in operands:
            is_met = isinstance(term, View) and term.is_met
            notes.element(term, operation.name, ELEMENT if is_met else ADDED)
        return DATA
    if isinstance(view, View) and isinstance(other, Known):
        return dataclasses.replace(view, is_shifted=True)
    return None


def _reduce_sum(notes: Notes, operation: Operation, operands: list[Term]) -> Any:
    """Return data where products with data are summed: this is a contraction, written out."""
    (view,) = operands
    if not isinstance(view, View) or not view.is_met:
        return None
    axes = operation.parameters["axes"]
    summed = [view.axes[axis] for axis in axes]
    if not any(atom.axis >= 0 for atoms in summed for atom in atoms):
        notes.element(view, operation.name)
        return DATA
    if not _is_chosen(notes, operation, view, view.pattern, axes):
        _contracted(notes, operation, view, summed)
    return DATA


def _select(notes: Notes, operation: Operation, operands: list[Term]) -> Any:
    """Note parameters that are put in the place of data."""
    chosen, *others = operands
    if isinstance(chosen, Known) and chosen.value is not None:
        return others[int(chosen.value)]
    if isinstance(chosen, Data) and any(isinstance(each, Data) for each in others):
        for term in others:
            notes.element(term, operation.name, ADDED)
        return DATA
    if isinstance(chosen, Data | Known) and len([t for t in others if views_in(t)]) == 1:
        # `jnp.take` fills with NaN what lies beyond a table.
        (view,) = (each for each in others if views_in(each))
        is_filled = all(isinstance(each, Known) for each in others if each is not view)
        if isinstance(view, View) and view.is_indexed and is_filled:
            return view
    return None


def _dot_general(notes: Notes, operation: Operation, operands: list[Term]) -> Any:
    contracted, batches = operation.parameters["dimension_numbers"]
    sides = list(zip(operands, map(tuple, contracted), strict=True))
    for term, axes in sides:
        if isinstance(term, View) and _is_modulated(term, axes):
            notes.unknown(term, operation.name, MODULATED)
            return DATA
    parameters = [each for each in sides if isinstance(each[0], View | Together | Mixed)]
    if len(parameters) == 2 or any(isinstance(t, View) and t.is_met for t, _ in parameters):
        return None
    for term, axes in parameters:
        other = next(each for each in operands if each is not term)
        if isinstance(other, Known) and other.value != 0:  # of zeros: a state that begins so
            return None
        if isinstance(term, Mixed):
            notes.unknown(term, operation.name)
        of_other = contracted[0 if other is operands[0] else 1]
        if isinstance(other, Data) and _is_chosen(notes, operation, term, other.pattern, of_other):
            continue
        _dotted(notes, operation, term, axes, batches[0 if term is operands[0] else 1])
        if len(parameters) == 1 and isinstance(term, View):
            rest = _rest(operation, term, is_left=term is operands[0])
            left_out = notes.left_out(term.parameter, term.axes)
            return Data(rest=dataclasses.replace(rest, left_out=left_out))
    return DATA


def _rest(operation: Operation, view: View, *, is_left: bool) -> Rest:
    """Return what is left of a kernel in its product with data."""
    (left, right), (left_batch, right_batch) = operation.parameters["dimension_numbers"]
    summed, batch = (left, left_batch) if is_left else (right, right_batch)
    free = [a for axis, a in enumerate(view.axes) if axis not in (*summed, *batch)]
    shape = shape_of(operation)
    n_others = len(shape) - len(batch) - len(free)
    start = len(batch) if is_left else len(batch) + n_others
    axes = [view.axes[axis] for axis in batch]
    axes += [(Atom(-1, size),) for size in shape[len(batch) :]]
    axes[start : start + len(free)] = free
    atoms = [atom for axis in summed for atom in view.axes[axis]]
    return Rest(
        with_axes(view, tuple(axes)),
        float(math.prod(atom.size for atom in atoms)),
        tuple(sorted({atom.axis for atom in atoms if atom.axis >= 0})),
        outputs_of(axes),
    )


def _is_chosen(
    notes: Notes, operation: Operation, term: Term, pattern: Pattern, axes: Sequence[int]
) -> bool:
    """Note what is looked up: of a sum over axes of data but one datum is not 0, as of one-hot.

    Where few are, or nobody knows how many, the use is unknown. Return whether it was noted.
    """
    whole = math.prod(pattern[axis].size for axis in axes) if pattern else 1
    most = patterns.most_summed(pattern, axes) if pattern else whole
    if most == whole:
        return False
    if most is not None and most <= 1:
        notes.element(term, operation.name, LOOKUP)
        return True
    told = "nobody knows how many" if most is None else f"at most {most:g}"
    notes.unknown(
        term, operation.name, f"{operation.name}: of {whole} data that it meets {told} are not 0"
    )
    return True


def _is_modulated(view: View, summed: Iterable[int]) -> bool:
    """Return whether data multiplied a kernel before some of its axes are summed over.

    A scale, which has one axis, multiplies data: what is summed then is no part of it.
    """
    n_axes = len({atom.axis for atoms in view.axes for atom in atoms if atom.axis >= 0})
    return view.is_met and n_axes > 1 and bool(axes_of(view, summed))


def _dotted(
    notes: Notes,
    operation: Operation,
    term: Term,
    axes: tuple[int, ...],
    batch: Sequence[int],
) -> None:
    joined = term.axis if isinstance(term, Together) else -1
    whole = sum(view.shape[joined] for view in views_in(term)) if joined >= 0 else 0
    for view in views_in(term):
        summed = [view.axes[axis] for axis in axes]
        if joined in axes:
            # All that is joined is summed: the part of the others counts too.
            more = whole // view.shape[joined] if whole % view.shape[joined] == 0 else 0
            if not more:
                notes.unknown(view, operation.name, "joined with others and summed with them")
                continue
            summed.append((Atom(-1, more),))
        _contracted(notes, operation, view, summed, batch)


def _contracted(
    notes: Notes,
    operation: Operation,
    view: View,
    summed: Sequence[tuple[Atom, ...]],
    batch: Sequence[int] = (),
) -> None:
    """Note a contraction over some axes of a view; over a part of one it is unknown."""
    atoms = [atom for each in summed for atom in each]
    if any(atom.is_part and atom.axis >= 0 for atom in atoms):
        axis = next(atom.axis for atom in atoms if atom.is_part)
        notes.unknown(view, operation.name, f"a part of axis {axis} is summed over")
        return
    notes.use(
        view,
        CONTRACTION,
        operation.name,
        batch,
        fan_in=float(math.prod(atom.size for atom in atoms)),
        axes=tuple(sorted({atom.axis for atom in atoms if atom.axis >= 0})),
        outputs=outputs_of(each for each in view.axes if each not in summed),
    )


def _convolution(notes: Notes, operation: Operation, operands: list[Term]) -> Any:
    left, kernel = operands
    if isinstance(kernel, View) and _is_modulated(kernel, range(len(kernel.axes))):
        notes.unknown(kernel, operation.name, MODULATED)
        return DATA
    if not isinstance(left, Data | Known) or not isinstance(kernel, View) or kernel.is_met:
        return None
    parameters = operation.parameters
    _, in_axis, *spatial = parameters["dimension_numbers"].rhs_spec
    if parameters["batch_group_count"] != 1:
        return None
    if any(atom.is_part for axis in (in_axis, *spatial) for atom in kernel.axes[axis]):
        notes.unknown(kernel, operation.name, "a part of it is convolved")
        return DATA
    sizes = [kernel.shape[axis] for axis in spatial]
    dilation = parameters["lhs_dilation"]
    # Between the data lie dilation - 1 zeros: each phase of the output meets other taps.
    counts = [
        [len(range(phase, size, step)) for phase in range(step)]
        for size, step in zip(sizes, dilation, strict=True)
    ]
    n_in, field = kernel.shape[in_axis], math.prod(sizes)
    notes.use(
        kernel,
        CONVOLUTION,
        operation.name,
        fan_in=n_in * field / math.prod(dilation),
        fan_min=float(n_in * math.prod(min(each) for each in counts)),
        fan_max=float(n_in * math.prod(max(each) for each in counts)),
        axes=axes_of(kernel, (in_axis, *spatial)),
        field=axes_of(kernel, spatial),
    )
    return DATA


MEETINGS: Mapping[str, Meeting] = {
    "concatenate": _concatenate,
    **dict.fromkeys(SUMS, _add),
    "reduce_sum": _reduce_sum,
    "select_n": _select,
    "dot_general": _dot_general,
    "conv_general_dilated": _convolution,
}
"""The same, of operations in which a parameter may meet data, and be used."""
