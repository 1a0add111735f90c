"""What each parameter of a model is used for: which of its axes are summed over, and where.

A program is followed forwards from its parameters, through every operation that only moves their
elements, to the products and convolutions that meet them with data. A rule that is missing makes
the use *unknown*: it never becomes a number.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from conformance.models import patterns
from conformance.models.meetings import MEETINGS
from conformance.models.moves import MOVES, rests_after
from conformance.models.notes import Notes, Use
from conformance.models.patterns import Pattern
from conformance.models.program import (
    ELEMENTWISE,
    SAME,
    SUMS,
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
from conformance.models.terms import (
    DATA,
    Data,
    Known,
    Mixed,
    Rest,
    Term,
    Together,
    View,
    appended,
    constant,
    is_of_data,
    item_of,
    mixed,
    one_of,
    rests_of,
    widened,
)
from conformance.observe.jax_compat import Operation, Program, Value


def uses(program: Program, inputs: Sequence[Term]) -> list[Use]:
    """Return all uses of the parameters among the inputs, in the order of the program."""
    notes = Notes({term.parameter: term.shape for term in inputs if isinstance(term, View)})
    for term in Follower(notes).run(program, list(inputs)):
        notes.element(term, "output")
        notes.cut([term], "output")
    return [use for use in dict.fromkeys(notes.found) if not notes.is_part_of_a_sum(use)]


class Follower:
    """Follows the terms of a program, and notes how the parameters among them are used."""

    def __init__(self, notes: Notes) -> None:
        self.notes = notes

    def run(self, program: Program, inputs: Sequence[Term]) -> list[Term]:
        """Return the terms of the program's outputs."""
        terms: dict[Value, Term] = {
            value: constant(array) for value, array in program.constants.items()
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
            found = meeting(self.notes, operation, operands)
        if found is None:
            found = self._no_rule(operation, operands)
        rests = rests_of(operands)
        if operation.name in SUMS and found == DATA and len(rests) == 1:  # a bias, say
            ((place, rest),) = rests.items()
            return [Data(rest=rests_after(operation, rest, place, operands)[0])]
        self.notes.cut(operands, operation.name)
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

    def _looped(self, loop: Loop, operands: list[Term]) -> list[Term]:
        constants = operands[: loop.n_constants]
        carried = self._carried(operands[loop.n_constants :][: loop.n_carried])
        slices = [item_of(each) for each in operands[loop.n_constants + loop.n_carried :]]
        made = self._until_steady(
            lambda state: self.run(loop.body, [*constants, *state, *slices]), carried
        )
        collected = [appended(each, loop.length) for each in made[loop.n_carried :]]
        return made[: loop.n_carried] + collected

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
            if isinstance(term, View) and is_of_data(term):
                self.notes.element(term, "loop")
        return [DATA if isinstance(t, View) and is_of_data(t) else t for t in state]

    def _until_steady(
        self, turn: Callable[[list[Term]], list[Term]], carried: list[Term]
    ) -> list[Term]:
        """Return what a turn makes of a state that it does not change.

        A parameter that changes in the state has no rule: it is then used in unknown ways.
        """
        for _ in range(len(carried) + 2):
            before = len(self.notes.found)
            made = turn(carried)
            after = [widened(old, new) for old, new in zip(carried, made, strict=False)]
            if after == carried:
                return [*after, *made[len(carried) :]]
            del self.notes.found[before:]
            carried = after
        raise AssertionError("a state of a loop that does not settle")

    def _branches(self, operation: Operation, operands: list[Term]) -> list[Term]:
        index, *inputs = operands
        programs = operation.programs
        if isinstance(index, Known) and index.value is not None:
            number = min(max(int(index.value), 0), len(programs) - 1)
            return self.run(programs[number], inputs)
        made = [self.run(program, inputs) for program in programs]
        return [one_of(each) for each in zip(*made, strict=True)]

    def _of_data(self, operation: Operation, operands: list[Term]) -> list[Term]:
        made = _without_parameters(operation, operands)
        rests = rests_of(operands)
        if operation.name == "dot_general" and all(isinstance(each, Data) for each in operands):
            contracted = operation.parameters["dimension_numbers"][0]
            if len({rest.view.parameter for rest in rests.values()}) == len(rests):
                for place, rest in rests.items():
                    self.notes.bilinear(rest, operation.name, contracted[place])
        if operation.name in SUMS and len(rests) == 2:
            self.notes.summed_by_hand(list(rests.values()), operation.name)
        if operation.name == "reduce_sum" and rests and rests[0].is_met:
            self.notes.bilinear(rests[0], operation.name, operation.parameters["axes"])
        left: list[Rest | None] = [None]
        if len(rests) == 1:
            ((place, rest),) = rests.items()
            left = rests_after(operation, rest, place, operands)
        if left == [None]:
            self.notes.cut(operands, operation.name)
            return made
        return [
            dataclasses.replace(each, rest=rest) if isinstance(each, Data) else each
            for each, rest in zip(made, left, strict=True)
        ]

    def _settled(self, operation: Operation, operands: list[Term]) -> list[Term]:
        """Return the operands, those that are data beside another parameter made so.

        What data chose of a table, or multiplied, is data to the next parameter that it meets.
        """
        if sum(isinstance(each, View | Together | Mixed) for each in operands) < 2:
            return operands
        pending = [each for each in operands if isinstance(each, View) and is_of_data(each)]
        if operation.name == "dot_general" and len(pending) == 2:
            for view in pending:
                self.notes.unknown(view, operation.name, "data chose both sides of the product")
            return [DATA, DATA]
        are_products = len(pending) == 2 and all(view.is_met for view in pending)
        is_one = len({view.parameter for view in pending}) == 1
        if operation.name in SUMS and are_products and is_one:
            return operands
        settled: list[Term] = []
        for each in operands:
            if isinstance(each, View) and is_of_data(each):
                self.notes.element(each, operation.name)
                each = DATA
            settled.append(each)
        return settled

    def _no_rule(self, operation: Operation, operands: list[Term]) -> Term:
        """Return data where data is involved, which a parameter then met in an unknown way."""
        terms = [each for each in operands if isinstance(each, View | Together | Mixed)]
        pending = [each for each in terms if isinstance(each, View) and is_of_data(each)]
        for view in pending:  # once it is anything else than moved
            self.notes.element(view, operation.name)
        rest = [each for each in terms if each not in pending]
        meets_data = pending or any(isinstance(each, Data) for each in operands)
        if meets_data or asks_the_world(operation):
            for term in rest:
                self.notes.unknown(term, operation.name)
            return DATA
        return mixed(rest, operation.name)


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
