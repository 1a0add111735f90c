"""The uses of parameters, and how they are noted while a program is followed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from conformance.models.program import SUMS
from conformance.models.terms import (
    Atom,
    Mixed,
    Outputs,
    Rest,
    Term,
    View,
    axes_of,
    outputs_of,
    rests_of,
    views_in,
)

CONTRACTION, CONVOLUTION, LOOKUP = "contraction", "convolution", "lookup"

ELEMENT, ADDED, UNKNOWN_USE = "elementwise", "added", "unknown"


BILINEAR = "bilinear"
"""A contraction whose result is summed with other data over more axes of the kernel.

Its fan is of both sums. It stands beside the use of the first alone: which of the two outputs a law
was made for, that of `x w` or that of `(x w) . y`, the program does not say.
"""

JOINING = (*SUMS, "concatenate", "select_n")
"""Operations after which parts are one again, as of a rotation."""

SUMMED = (CONTRACTION, CONVOLUTION)
"""The uses that have a fan which a variance should follow."""

FUSED = "fused"
"""What was made with it is cut into parts, each of which goes its own way, as q, k and v do."""


@dataclasses.dataclass(frozen=True, slots=True)
class Use:
    """One use of a parameter.

    fan_in: how many of its elements, each times a datum, are summed into one output: on average,
        where outputs differ; from `fan_min` to `fan_max` then. None where unknown.
    axes: those of the parameter that are summed over. field: of these the receptive field.
    factor: what the parameter is multiplied by before. where: the operation.
    outputs: axes that are not summed over, and how much of each goes the same way.
    repeated: axes along which there is a kernel for each, as of a batch, a scan, or an index.
    reason: why the use is unknown.
    """

    parameter: str
    kind: str
    fan_in: float | None = None
    fan_min: float | None = None
    fan_max: float | None = None
    axes: tuple[int, ...] = ()
    field: tuple[int, ...] = ()
    factor: float = 1.0
    outputs: Outputs = ()
    repeated: tuple[int, ...] = ()
    where: str = ""
    reason: str = ""


class Notes:
    """The uses that were found so far, in the order of the program.

    shapes: of the parameters, by name.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.found: list[Use] = []
        self._shapes = shapes
        self._by_hand: set[tuple[str, int]] = set()

    def is_part_of_a_sum(self, use: Use) -> bool:
        """Return whether products with other kernels of its stack were added to what it made."""
        stacks = {(use.parameter, axis) for axis in use.repeated}
        return use.kind in SUMMED and not stacks.isdisjoint(self._by_hand)

    def left_out(self, parameter: str, axes: Iterable[tuple[Atom, ...]]) -> tuple[int, ...]:
        """Return the axes of a parameter of which a view has but one element at a time.

        None is told where it has a part of one: what was merged before it was cut is not told.
        """
        atoms = [atom for each in axes for atom in each]
        if any(atom.is_part for atom in atoms):
            return ()
        here = {atom.axis for atom in atoms}
        shape = self._shapes[parameter]
        return tuple(axis for axis, size in enumerate(shape) if size > 1 and axis not in here)

    def use(
        self, view: View, kind: str, where: str, batch: Iterable[int] = (), **facts: Any
    ) -> None:
        """Note one use. What data chose, and then is not summed, was looked up.

        batch: axes of a sum's view that those of the data are paired with.
        """
        if view.is_indexed and kind in (ELEMENT, ADDED):
            kind = LOOKUP
        if kind == UNKNOWN_USE:
            facts.setdefault("reason", where)
        elif view.is_shifted and kind in SUMMED:
            kind, facts = UNKNOWN_USE, {"reason": "a constant is added to it before"}
        elif kind not in SUMMED:
            facts["fan_in"] = 1.0
        else:
            left_out = self.left_out(view.parameter, view.axes)
            facts["repeated"] = tuple(sorted({*left_out, *axes_of(view, batch)}))
        where = "gather" if kind == LOOKUP and view.is_indexed else where
        self.found.append(Use(view.parameter, kind, factor=view.factor, where=where, **facts))

    def unknown(self, term: Term, where: str, reason: str = "") -> None:
        """Note that a term is used in a way that has no rule."""
        match term:
            case Mixed(parameters=parameters, reason=first):
                for name in sorted(parameters):
                    self.found.append(Use(name, UNKNOWN_USE, where=where, reason=first))
            case _:
                for view in views_in(term):
                    told = reason or where
                    self.use(view, UNKNOWN_USE, where, reason=told)

    def bilinear(self, rest: Rest, where: str, summed: Iterable[int]) -> None:
        """Note that what a kernel made is summed with other data over axes, if they are its own."""
        atoms = [atom for axis in summed for atom in rest.view.axes[axis] if atom.axis >= 0]
        if atoms and not any(atom.is_part for atom in atoms):
            fan = rest.fan_in * math.prod(atom.size for atom in atoms)
            axes = tuple(sorted({*rest.axes, *(atom.axis for atom in atoms)}))
            view = rest.view
            self.found.append(
                Use(view.parameter, BILINEAR, fan, axes=axes, factor=view.factor, where=where)
            )

    def summed_by_hand(self, rests: Sequence[Rest], where: str) -> None:
        """Note that products with several kernels of one stack are added, as of a convolution.

        What was added to other data before is what a residual carries: a layer, and then another.
        """
        name = rests[0].view.parameter
        is_one = all(rest.view.parameter == name and not rest.is_added for rest in rests)
        if is_one and all(rest.left_out for rest in rests):
            axis = rests[0].left_out[0]
            self._by_hand.add((name, axis))
            reason = f"products with elements of axis {axis} are added"
            self.found.append(Use(name, UNKNOWN_USE, where=where, reason=reason))

    def cut(self, operands: Sequence[Term], where: str) -> None:
        """Note that parts of what a kernel made go their own ways, if nothing joins them again."""
        for rest in rests_of(operands).values() if where not in JOINING else ():
            outputs = outputs_of(rest.view.axes)
            if outputs != rest.outputs:
                name = rest.view.parameter
                self.found.append(Use(name, FUSED, outputs=outputs, where=where))

    def element(self, term: Term, where: str, kind: str = ELEMENT) -> None:
        """Note that each element of a term meets data by itself."""
        if isinstance(term, Mixed):
            self.unknown(term, where)
        for view in views_in(term):
            self.use(view, kind, where)
