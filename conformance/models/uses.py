"""What each parameter of a model is used for: which of its axes are summed over, and where.

A program is followed forwards from its parameters, through every operation that only moves their
elements, to the products and convolutions that meet them with data. A rule that is missing makes
the use *unknown*: it never becomes a number.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from conformance.models import patterns
from conformance.models.patterns import Pattern
from conformance.models.program import (
    ELEMENTWISE,
    SAME,
    Loop,
    While,
    asks_the_world,
    body_of,
    computed,
    default_branch,
    live,
    loop_of,
    shape_of,
    while_of,
)
from conformance.observe.jax_compat import Operation, Program, Value

CONTRACTION, CONVOLUTION, LOOKUP = "contraction", "convolution", "lookup"
ELEMENT, ADDED, UNKNOWN_USE = "elementwise", "added", "unknown"
BILINEAR = "bilinear"
"""A contraction whose result is summed with other data over more axes of the kernel.

Its fan is of both sums. It stands beside the use of the first alone: which of the two outputs a law
was made for, that of `x w` or that of `(x w) . y`, the program does not say.
"""

SUMS = ("add", "sub", "add_any")

JOINING = (*SUMS, "concatenate", "select_n")
"""Operations after which parts are one again, as of a rotation."""

SUMMED = (CONTRACTION, CONVOLUTION)
"""The uses that have a fan which a variance should follow."""

FUSED = "fused"
"""What was made with it is cut into parts, each of which goes its own way, as q, k and v do."""

MODULATED = "multiplied by data before it is summed"


Outputs = tuple[tuple[int, int], ...]
"""Axes of a parameter, and how many of their elements."""


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


def _outputs(axes: Iterable[tuple[Atom, ...]]) -> Outputs:
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


def uses(program: Program, inputs: Sequence[Term]) -> list[Use]:
    """Return all uses of the parameters among the inputs, in the order of the program."""
    follower = _Follower({term.parameter: term.shape for term in inputs if isinstance(term, View)})
    for term in follower.run(program, list(inputs)):
        follower.element(term, "output")
        follower.cut([term], "output")
    return [use for use in dict.fromkeys(follower.found) if not follower.is_part_of_a_sum(use)]


class _Follower:
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

    def run(self, program: Program, inputs: Sequence[Term]) -> list[Term]:
        terms: dict[Value, Term] = {
            value: _constant(array) for value, array in program.constants.items()
        }
        terms.update(zip(program.inputs, inputs, strict=True))
        for operation in live(program):
            operands = [terms[value] for value in operation.inputs]
            terms.update(zip(operation.outputs, self._apply(operation, operands), strict=True))
        return [terms[value] for value in program.outputs]

    def _apply(self, operation: Operation, operands: list[Term]) -> list[Term]:
        n_outputs = len(operation.outputs)
        if operation.programs and (made := self._entered(operation, operands)) is not None:
            return made
        if operation.name == "platform_index":
            return [Known(np.int32(default_branch(operation)))]
        if operation.name in SAME and len(operands) == n_outputs:
            return operands
        if not any(isinstance(each, View | Together | Mixed) for each in operands):
            return self._of_data(operation, operands)
        operands = self._settled(operation, operands)
        found = None
        if move := MOVES.get(operation.name):
            found = move(operation, operands)
        elif meeting := MEETINGS.get(operation.name):
            found = meeting(self, operation, operands)
        if found is None:
            found = self._no_rule(operation, operands)
        rests = _rests(operands)
        if operation.name in SUMS and found == DATA and len(rests) == 1:  # a bias, say
            ((place, rest),) = rests.items()
            return [Data(rest=_rests_after(operation, rest, place, operands)[0])]
        self.cut(operands, operation.name)
        return found if isinstance(found, list) else [found] * n_outputs

    def _entered(self, operation: Operation, operands: list[Term]) -> list[Term] | None:
        """Return what a call, a loop or a branch makes; None for anything else."""
        if body := body_of(operation):
            return self.run(body, operands)
        if loop := loop_of(operation):
            return self._looped(loop, operands)
        if repeated := while_of(operation):
            return self._repeated(repeated, operands)
        return self._branches(operation, operands) if operation.name == "cond" else None

    # --- Loops and branches ----------------------------------------------------------------------

    def _looped(self, loop: Loop, operands: list[Term]) -> list[Term]:
        constants = operands[: loop.n_constants]
        carried = self._carried(operands[loop.n_constants :][: loop.n_carried])
        slices = [_item(each) for each in operands[loop.n_constants + loop.n_carried :]]
        made = self._until_steady(
            lambda state: self.run(loop.body, [*constants, *state, *slices]), carried
        )
        appended = [_appended(each, loop.length) for each in made[loop.n_carried :]]
        return made[: loop.n_carried] + appended

    def _repeated(self, loop: While, operands: list[Term]) -> list[Term]:
        of_condition = operands[: loop.n_of_condition]
        of_body = operands[loop.n_of_condition :][: loop.n_of_body]
        state = self._carried(operands[loop.n_of_condition + loop.n_of_body :])
        made = self._until_steady(lambda now: self.run(loop.body, [*of_body, *now]), state)
        self.run(loop.condition, [*of_condition, *made])
        return made

    def _carried(self, state: list[Term]) -> list[Term]:
        """Return what a loop begins with; what data chose of a table is looked up, and data."""
        for term in state:
            if isinstance(term, View) and _is_data(term):
                self.element(term, "loop")
        return [DATA if isinstance(t, View) and _is_data(t) else t for t in state]

    def _until_steady(
        self, turn: Callable[[list[Term]], list[Term]], carried: list[Term]
    ) -> list[Term]:
        """Return what a turn makes of a state that it does not change.

        A parameter that changes in the state has no rule: it is then used in unknown ways.
        """
        for _ in range(len(carried) + 2):
            before = len(self.found)
            made = turn(carried)
            after = [_widened(old, new) for old, new in zip(carried, made, strict=False)]
            if after == carried:
                return [*after, *made[len(carried) :]]
            del self.found[before:]
            carried = after
        raise AssertionError("a state of a loop that does not settle")

    def _branches(self, operation: Operation, operands: list[Term]) -> list[Term]:
        index, *inputs = operands
        programs = operation.programs
        if isinstance(index, Known) and index.value is not None:
            number = min(max(int(index.value), 0), len(programs) - 1)
            return self.run(programs[number], inputs)
        made = [self.run(program, inputs) for program in programs]
        return [_one_of(each) for each in zip(*made, strict=True)]

    # --- Uses ------------------------------------------------------------------------------------

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
            facts["repeated"] = tuple(sorted({*left_out, *_axes_of(view, batch)}))
        where = "gather" if kind == LOOKUP and view.is_indexed else where
        self.found.append(Use(view.parameter, kind, factor=view.factor, where=where, **facts))

    def unknown(self, term: Term, where: str, reason: str = "") -> None:
        """Note that a term is used in a way that has no rule."""
        match term:
            case Mixed(parameters=parameters, reason=first):
                for name in sorted(parameters):
                    self.found.append(Use(name, UNKNOWN_USE, where=where, reason=first))
            case _:
                for view in _views(term):
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

    def _of_data(self, operation: Operation, operands: list[Term]) -> list[Term]:
        made = _without_parameters(operation, operands)
        rests = _rests(operands)
        if operation.name == "dot_general" and all(isinstance(each, Data) for each in operands):
            contracted = operation.parameters["dimension_numbers"][0]
            if len({rest.view.parameter for rest in rests.values()}) == len(rests):
                for place, rest in rests.items():
                    self.bilinear(rest, operation.name, contracted[place])
        if operation.name in SUMS and len(rests) == 2:
            self.summed_by_hand(list(rests.values()), operation.name)
        if operation.name == "reduce_sum" and rests and rests[0].is_met:
            self.bilinear(rests[0], operation.name, operation.parameters["axes"])
        left: list[Rest | None] = [None]
        if len(rests) == 1:
            ((place, rest),) = rests.items()
            left = _rests_after(operation, rest, place, operands)
        if left == [None]:
            self.cut(operands, operation.name)
            return made
        return [
            dataclasses.replace(each, rest=rest) if isinstance(each, Data) else each
            for each, rest in zip(made, left, strict=True)
        ]

    def cut(self, operands: Sequence[Term], where: str) -> None:
        """Note that parts of what a kernel made go their own ways, if nothing joins them again."""
        for rest in _rests(operands).values() if where not in JOINING else ():
            outputs = _outputs(rest.view.axes)
            if outputs != rest.outputs:
                name = rest.view.parameter
                self.found.append(Use(name, FUSED, outputs=outputs, where=where))

    def element(self, term: Term, where: str, kind: str = ELEMENT) -> None:
        """Note that each element of a term meets data by itself."""
        if isinstance(term, Mixed):
            self.unknown(term, where)
        for view in _views(term):
            self.use(view, kind, where)

    def _settled(self, operation: Operation, operands: list[Term]) -> list[Term]:
        """Return the operands, those that are data beside another parameter made so.

        What data chose of a table, or multiplied, is data to the next parameter that it meets.
        """
        if sum(isinstance(each, View | Together | Mixed) for each in operands) < 2:
            return operands
        pending = [each for each in operands if isinstance(each, View) and _is_data(each)]
        if operation.name == "dot_general" and len(pending) == 2:
            for view in pending:
                self.unknown(view, operation.name, "data chose both sides of the product")
            return [DATA, DATA]
        are_products = len(pending) == 2 and all(view.is_met for view in pending)
        is_one = len({view.parameter for view in pending}) == 1
        if operation.name in SUMS and are_products and is_one:
            return operands
        settled: list[Term] = []
        for each in operands:
            if isinstance(each, View) and _is_data(each):
                self.element(each, operation.name)
                each = DATA
            settled.append(each)
        return settled

    def _no_rule(self, operation: Operation, operands: list[Term]) -> Term:
        """Return data where data is involved, which a parameter then met in an unknown way."""
        terms = [each for each in operands if isinstance(each, View | Together | Mixed)]
        pending = [each for each in terms if isinstance(each, View) and _is_data(each)]
        for view in pending:  # once it is anything else than moved
            self.element(view, operation.name)
        rest = [each for each in terms if each not in pending]
        meets_data = pending or any(isinstance(each, Data) for each in operands)
        if meets_data or asks_the_world(operation):
            for term in rest:
                self.unknown(term, operation.name)
            return DATA
        return _mixed(rest, operation.name)


# --- Terms ---------------------------------------------------------------------------------------


def _is_data(view: View) -> bool:
    """Return whether data decides about the elements of a view."""
    return view.is_met or view.is_indexed


def _fitted(view: View, shape: tuple[int, ...]) -> View | None:
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


def _constant(array: Any) -> Known:
    if _is_key(array):
        return SOME_CONSTANT
    if np.ndim(array) == 0:
        return Known(np.asarray(array)[()])
    return Known(pattern=patterns.of_array(np.asarray(array)))


def _is_key(array: Any) -> bool:
    return str(getattr(array, "dtype", "")).startswith("key<")


def _views(term: Term) -> tuple[View, ...]:
    match term:
        case View():
            return (term,)
        case Together(parts=parts):
            return parts
        case _:
            return ()


def _mixed(terms: Iterable[Term], reason: str) -> Mixed:
    """Return the terms mixed; the first way to have no rule is told."""
    names: set[str] = set()
    for term in terms:
        if isinstance(term, Mixed):
            names |= term.parameters
            reason = term.reason
        names |= {view.parameter for view in _views(term)}
    return Mixed(frozenset(names), reason)


def _widened(old: Term, new: Term) -> Term:
    """Return a term that holds before a turn of a loop and after it."""
    if old == new:
        return old
    if isinstance(old, Known | Data) and isinstance(new, Known | Data):
        return _either(old, new)
    return _mixed([old, new], "changes from turn to turn of a loop")


def _either(one: Known | Data, other: Known | Data) -> Term:
    pattern = patterns.either(one.pattern, other.pattern)
    is_known = isinstance(one, Known) and isinstance(other, Known)
    return Known(pattern=pattern) if is_known else Data(pattern)


def _one_of(terms: Sequence[Term]) -> Term:
    first, *others = terms
    if all(each == first for each in others):
        return first
    data = [each for each in terms if isinstance(each, Known | Data)]
    if len(data) == len(terms):
        return Data(functools.reduce(patterns.either, [each.pattern for each in data]))
    return _mixed(terms, "cond: branches that differ")


def _item(term: Term) -> Term:
    """Return a slice of the first axis, as each turn of a loop gets it."""
    match term:
        case View(axes=axes):
            return dataclasses.replace(term, axes=axes[1:])
        case Together(parts=parts, axis=axis) if axis:
            return Together(tuple(_sliced(part) for part in parts), axis - 1)
        case Together():
            return _mixed([term], "scan of joined parameters")
        case Known(value=value, pattern=pattern):
            return Known(value, patterns.without(pattern, 0))
        case Data(pattern=pattern):
            return Data(patterns.without(pattern, 0))
        case _:
            return term


def _sliced(view: View) -> View:
    return dataclasses.replace(view, axes=view.axes[1:])


def _appended(term: Term, length: int) -> Term:
    """Return what a loop collects turn by turn."""
    match term:
        case View() | Together():
            return _mixed([term], "collected by a loop")
        case Known(pattern=pattern):
            return Known(pattern=patterns.appended(pattern, length))
        case Data(pattern=pattern):
            return Data(patterns.appended(pattern, length))
        case _:
            return term


def _without_parameters(operation: Operation, operands: list[Term]) -> list[Term]:
    """Return what an operation makes of constants and data."""
    n_outputs = len(operation.outputs)
    pattern = _pattern_after(operation, operands) if n_outputs == 1 else ()
    if all(isinstance(each, Known) for each in operands):
        values = [each.value for each in operands if isinstance(each, Known)]
        is_single = operation.name in ELEMENTWISE and all(v is not None for v in values)
        if is_single and values and not asks_the_world(operation):
            return [Known(each[()]) for each in computed(operation, values)]
        if operation.name in {"broadcast_in_dim", "reshape", "squeeze"}:
            return [Known(values[0], pattern)]
        return [Known(pattern=pattern)] * n_outputs
    return [Data(pattern)] * n_outputs


def _rests(operands: Sequence[Term]) -> dict[int, Rest]:
    return {
        place: each.rest
        for place, each in enumerate(operands)
        if isinstance(each, Data) and each.rest is not None
    }


def _rests_after(
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
        return [None if axes is None else dataclasses.replace(rest, view=_with_axes(view, axes))]
    if name not in ("mul", *SUMS) and not (name == "div" and place == 0):
        return [None]
    fitted = _fitted(view, shape_of(operation))
    meets = all(isinstance(each, Data) for each in operands)
    is_met = rest.is_met or (name == "mul" and meets)
    is_added = rest.is_added or (name in SUMS and meets)
    if fitted is None:
        return [None]
    return [dataclasses.replace(rest, view=fitted, is_met=is_met, is_added=is_added)]


def _with_axes(view: View, axes: Axes) -> View:
    return dataclasses.replace(view, axes=axes)


def _pattern_after(operation: Operation, operands: Sequence[Term]) -> Pattern:
    return patterns.after(
        operation,
        [
            _pattern_of(operation, term, tuple(value.form.shape))
            for term, value in zip(operands, operation.inputs, strict=True)
            if isinstance(term, Known | Data)
        ],
    )


def _pattern_of(operation: Operation, term: Known | Data, shape: tuple[int, ...]) -> Pattern:
    """Return the pattern of an operand; a single number is as long as what meets it."""
    if term.pattern or isinstance(term, Data) or term.value is None:
        return term.pattern or patterns.plain(shape)
    if operation.name in patterns.ELEMENTS:
        shape = shape_of(operation)
    return patterns.repeated(shape) if term.value else patterns.zeros(shape)


# --- Moves ---------------------------------------------------------------------------------------


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


def _concatenate(follower: _Follower, operation: Operation, operands: list[Term]) -> Any:
    axis = operation.parameters["dimension"]
    if any(isinstance(each, Data) for each in operands):
        for term in operands:
            follower.element(term, operation.name, ADDED)
        return DATA
    if all(isinstance(each, View) for each in operands):
        views = tuple(each for each in operands if isinstance(each, View))
        return None if any(view.is_met for view in views) else Together(views, axis)
    return None


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


# --- Steps that act on elements ------------------------------------------------------------------


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
    fitted = _fitted(view, shape) if isinstance(view, View) else None
    if fitted is None:
        return None
    datum = patterns.product(fitted.pattern, other.pattern, shape)
    return dataclasses.replace(fitted, is_met=True, pattern=datum)


def _times(term: View | Together, number: float) -> View | Together:
    if isinstance(term, Together):
        parts = tuple(dataclasses.replace(p, factor=p.factor * number) for p in term.parts)
        return Together(parts, term.axis)
    return dataclasses.replace(term, factor=term.factor * number)


def _add(follower: _Follower, operation: Operation, operands: list[Term]) -> Any:
    """Note what is added to data; two sums of one parameter's products have no rule."""
    view, other = operands if isinstance(operands[0], View) else reversed(operands)
    if isinstance(view, View) and isinstance(other, Known) and other.value == 0:
        return view
    met = [each for each in operands if isinstance(each, View) and each.is_met]
    if len(met) == 2 and met[0].parameter == met[1].parameter:
        for view in met:
            follower.unknown(view, operation.name, "sums of its products by hand")
        return DATA
    if met or any(isinstance(each, Data) for each in operands):
        for term in operands:
            is_met = isinstance(term, View) and term.is_met
            follower.element(term, operation.name, ELEMENT if is_met else ADDED)
        return DATA
    if isinstance(view, View) and isinstance(other, Known):
        return dataclasses.replace(view, is_shifted=True)
    return None


def _reduce_sum(follower: _Follower, operation: Operation, operands: list[Term]) -> Any:
    """Return data where products with data are summed: this is a contraction, written out."""
    (view,) = operands
    if not isinstance(view, View) or not view.is_met:
        return None
    axes = operation.parameters["axes"]
    summed = [view.axes[axis] for axis in axes]
    if not any(atom.axis >= 0 for atoms in summed for atom in atoms):
        follower.element(view, operation.name)
        return DATA
    if not _is_chosen(follower, operation, view, view.pattern, axes):
        _contracted(follower, operation, view, summed)
    return DATA


def _select(follower: _Follower, operation: Operation, operands: list[Term]) -> Any:
    """Note parameters that are put in the place of data."""
    chosen, *others = operands
    if isinstance(chosen, Known) and chosen.value is not None:
        return others[int(chosen.value)]
    if isinstance(chosen, Data) and any(isinstance(each, Data) for each in others):
        for term in others:
            follower.element(term, operation.name, ADDED)
        return DATA
    if isinstance(chosen, Data | Known) and len([t for t in others if _views(t)]) == 1:
        # `jnp.take` fills with NaN what lies beyond a table.
        (view,) = (each for each in others if _views(each))
        is_filled = all(isinstance(each, Known) for each in others if each is not view)
        if isinstance(view, View) and view.is_indexed and is_filled:
            return view
    return None


# --- Products and convolutions -------------------------------------------------------------------


def _dot_general(follower: _Follower, operation: Operation, operands: list[Term]) -> Any:
    contracted, batches = operation.parameters["dimension_numbers"]
    sides = list(zip(operands, map(tuple, contracted), strict=True))
    for term, axes in sides:
        if isinstance(term, View) and _is_modulated(term, axes):
            follower.unknown(term, operation.name, MODULATED)
            return DATA
    parameters = [each for each in sides if isinstance(each[0], View | Together | Mixed)]
    if len(parameters) == 2 or any(isinstance(t, View) and t.is_met for t, _ in parameters):
        return None
    for term, axes in parameters:
        other = next(each for each in operands if each is not term)
        if isinstance(other, Known) and other.value != 0:  # of zeros: a state that begins so
            return None
        if isinstance(term, Mixed):
            follower.unknown(term, operation.name)
        of_other = contracted[0 if other is operands[0] else 1]
        if isinstance(other, Data) and _is_chosen(
            follower, operation, term, other.pattern, of_other
        ):
            continue
        _dotted(follower, operation, term, axes, batches[0 if term is operands[0] else 1])
        if len(parameters) == 1 and isinstance(term, View):
            rest = _rest(operation, term, is_left=term is operands[0])
            left_out = follower.left_out(term.parameter, term.axes)
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
        _with_axes(view, tuple(axes)),
        float(math.prod(atom.size for atom in atoms)),
        tuple(sorted({atom.axis for atom in atoms if atom.axis >= 0})),
        _outputs(axes),
    )


def _is_chosen(
    follower: _Follower, operation: Operation, term: Term, pattern: Pattern, axes: Sequence[int]
) -> bool:
    """Note what is looked up: of a sum over axes of data but one datum is not 0, as of one-hot.

    Where few are, or nobody knows how many, the use is unknown. Return whether it was noted.
    """
    whole = math.prod(pattern[axis].size for axis in axes) if pattern else 1
    most = patterns.most_summed(pattern, axes) if pattern else whole
    if most == whole:
        return False
    if most is not None and most <= 1:
        follower.element(term, operation.name, LOOKUP)
        return True
    told = "nobody knows how many" if most is None else f"at most {most:g}"
    follower.unknown(
        term, operation.name, f"{operation.name}: of {whole} data that it meets {told} are not 0"
    )
    return True


def _is_modulated(view: View, summed: Iterable[int]) -> bool:
    """Return whether data multiplied a kernel before some of its axes are summed over.

    A scale, which has one axis, multiplies data: what is summed then is no part of it.
    """
    n_axes = len({atom.axis for atoms in view.axes for atom in atoms if atom.axis >= 0})
    return view.is_met and n_axes > 1 and bool(_axes_of(view, summed))


def _dotted(
    follower: _Follower,
    operation: Operation,
    term: Term,
    axes: tuple[int, ...],
    batch: Sequence[int],
) -> None:
    joined = term.axis if isinstance(term, Together) else -1
    whole = sum(view.shape[joined] for view in _views(term)) if joined >= 0 else 0
    for view in _views(term):
        summed = [view.axes[axis] for axis in axes]
        if joined in axes:
            # All that is joined is summed: the part of the others counts too.
            more = whole // view.shape[joined] if whole % view.shape[joined] == 0 else 0
            if not more:
                follower.unknown(view, operation.name, "joined with others and summed with them")
                continue
            summed.append((Atom(-1, more),))
        _contracted(follower, operation, view, summed, batch)


def _contracted(
    follower: _Follower,
    operation: Operation,
    view: View,
    summed: Sequence[tuple[Atom, ...]],
    batch: Sequence[int] = (),
) -> None:
    """Note a contraction over some axes of a view; over a part of one it is unknown."""
    atoms = [atom for each in summed for atom in each]
    if any(atom.is_part and atom.axis >= 0 for atom in atoms):
        axis = next(atom.axis for atom in atoms if atom.is_part)
        follower.unknown(view, operation.name, f"a part of axis {axis} is summed over")
        return
    follower.use(
        view,
        CONTRACTION,
        operation.name,
        batch,
        fan_in=float(math.prod(atom.size for atom in atoms)),
        axes=tuple(sorted({atom.axis for atom in atoms if atom.axis >= 0})),
        outputs=_outputs(each for each in view.axes if each not in summed),
    )


def _convolution(follower: _Follower, operation: Operation, operands: list[Term]) -> Any:
    left, kernel = operands
    if isinstance(kernel, View) and _is_modulated(kernel, range(len(kernel.axes))):
        follower.unknown(kernel, operation.name, MODULATED)
        return DATA
    if not isinstance(left, Data | Known) or not isinstance(kernel, View) or kernel.is_met:
        return None
    parameters = operation.parameters
    _, in_axis, *spatial = parameters["dimension_numbers"].rhs_spec
    if parameters["batch_group_count"] != 1:
        return None
    if any(atom.is_part for axis in (in_axis, *spatial) for atom in kernel.axes[axis]):
        follower.unknown(kernel, operation.name, "a part of it is convolved")
        return DATA
    sizes = [kernel.shape[axis] for axis in spatial]
    dilation = parameters["lhs_dilation"]
    # Between the data lie dilation - 1 zeros: each phase of the output meets other taps.
    counts = [
        [len(range(phase, size, step)) for phase in range(step)]
        for size, step in zip(sizes, dilation, strict=True)
    ]
    n_in, field = kernel.shape[in_axis], math.prod(sizes)
    follower.use(
        kernel,
        CONVOLUTION,
        operation.name,
        fan_in=n_in * field / math.prod(dilation),
        fan_min=float(n_in * math.prod(min(each) for each in counts)),
        fan_max=float(n_in * math.prod(max(each) for each in counts)),
        axes=_axes_of(kernel, (in_axis, *spatial)),
        field=_axes_of(kernel, spatial),
    )
    return DATA


def _axes_of(view: View, places: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted({a.axis for place in places for a in view.axes[place] if a.axis >= 0}))


Move = Callable[[Operation, list[Term]], Any]
Meeting = Callable[[_Follower, Operation, list[Term]], Any]

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

MEETINGS: Mapping[str, Meeting] = {
    "concatenate": _concatenate,
    **dict.fromkeys(SUMS, _add),
    "reduce_sum": _reduce_sum,
    "select_n": _select,
    "dot_general": _dot_general,
    "conv_general_dilated": _convolution,
}
"""The same, of operations in which a parameter may meet data, and be used."""
