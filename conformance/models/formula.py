"""How each output of a traced program was made: from which keys, by which steps.

Only what an output needs is read. Each value of the program becomes one of the records below;
an operation without a rule makes it `Unknown`, with the reason, and never a guess.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from conformance.core.arrays import Array
from conformance.core.keys import FOLD, SPLIT, Step
from conformance.models.program import (
    ELEMENTWISE,
    MOVING,
    MOVING_BY_INDEX,
    SAME,
    Loop,
    asks_the_world,
    body_of,
    computed,
    default_branch,
    dtype_of,
    loop_of,
    moved,
    shape_of,
)
from conformance.observe.jax_compat import Operation, Program, Value

MOST_COMPUTED = 1 << 24
"""Elements of a constant that is computed to read a program: 128 MiB at most."""

MOST_TURNS = 4096
"""Turns of a loop that are read one by one."""

HAAR = "haar"
"""The step that makes of normals the Q of their QR, times the signs of R's diagonal."""


@dataclasses.dataclass(frozen=True, slots=True)
class Key:
    """A key: what it began as, and the splits and folds since.

    root: `seed 0`, the two words of a constant key, or the name of an argument.
    """

    root: str
    prng: str = "fry"
    steps: tuple[Step, ...] = ()

    def then(self, step: Step) -> Key:
        """Return the key that the step makes of this one."""
        return dataclasses.replace(self, steps=(*self.steps, step))


@dataclasses.dataclass(frozen=True, slots=True)
class Constant:
    """An array that depends on no key and no input. A repeated value is a view without strides."""

    array: Array

    @property
    def is_uniform(self) -> bool:
        """Return whether it is known, without a look at all elements, to be one value."""
        pairs = zip(self.array.shape, self.array.strides, strict=True)
        return self.array.size > 0 and all(size == 1 or not stride for size, stride in pairs)

    @property
    def value(self) -> Any:
        """Return the first element, as a NumPy scalar."""
        return self.array[(0,) * self.array.ndim]


@dataclasses.dataclass(frozen=True, slots=True)
class Keys:
    """An array of keys."""

    paths: Array


@dataclasses.dataclass(frozen=True, slots=True)
class KeyWords:
    """The words of keys, along a last axis: elements are (key, number of the word)."""

    words: Array


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """One step that acts on each element alone.

    place: which operand the element is. others: the other ones, scalars of their dtypes.
    dtype: of the result.
    """

    name: str
    place: int
    others: tuple[Any, ...]
    dtype: str


@dataclasses.dataclass(frozen=True, slots=True)
class Move:
    """One step that only moves elements: what it does to an array of that shape."""

    name: str
    apply: Callable[[Array], Array]
    shape: tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Drawn:
    """Random words, under steps that act on elements and under moves; the two commute.

    keys: an array of keys, each of which draws an array of `drawn_shape`.
    """

    keys: Array
    drawn_shape: tuple[int, ...]
    width: int
    rules: tuple[Rule, ...]
    moves: tuple[Move, ...]
    shape: tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Joined:
    """Several arrays stacked along a new axis, or concatenated along an old one; then moved."""

    parts: tuple[Formula, ...]
    axis: int
    is_stack: bool
    moves: tuple[Move, ...]
    shape: tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Placed:
    """An array at an index of the first axes of zeros, as of a kernel that is a delta in space."""

    part: Drawn
    index: tuple[int, ...]
    shape: tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Factor:
    """Q of the QR of drawn normals, or a function of its R alone."""

    of: Drawn
    function: Callable[[Array], Array] | None
    shape: tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Unknown:
    """No rule leads here; the reason says which operation had none."""

    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Complexed:
    """Complex numbers, each made of the elements of one or two drawn real arrays.

    function: of arrays of elements, one for each part, in double precision.
    """

    parts: tuple[Drawn, ...]
    function: Callable[..., Array]
    shape: tuple[int, ...]


IN_NUMPY: Mapping[str, Callable[..., Array]] = {
    "add": np.add,
    "add_any": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "neg": np.negative,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "complex": lambda real, imaginary: real + 1j * imaginary,
    "convert_element_type": np.asarray,
}
"""What steps on complex numbers do, in double precision."""

Formula = Constant | Keys | KeyWords | Drawn | Joined | Placed | Complexed | Factor | Unknown

FROM_INPUTS = Unknown("made from the inputs of the model")


def read(program: Program, inputs: Sequence[Formula]) -> list[Formula]:
    """Return how each output of the program was made."""
    found = _Reader().run(program, list(inputs), frozenset(range(len(program.outputs))))
    return [found[place] for place in range(len(program.outputs))]


def values(program: Program, inputs: Sequence[Any]) -> list[Array]:
    """Return the outputs for these inputs: only the operations that they need are run.

    Each is run by itself, and calls and loops whole, as JAX runs a program that nobody compiles:
    with all that goes in, though what is needed of their outputs may depend on less.
    """
    known: dict[Value, Any] = dict(program.constants)
    known.update(zip(program.inputs, inputs, strict=True))
    for operation in program.needed().operations:
        made = operation.run(*(known[value] for value in operation.inputs))
        known.update(zip(operation.outputs, made, strict=True))
    return [np.asarray(known[value]) for value in program.outputs]


def root_keys(name: str, prng: str, shape: tuple[int, ...] = ()) -> Keys:
    """Return the formula of an argument that is a key, or an array of keys."""
    paths = np.empty(shape, object)
    if not shape:
        paths[()] = Key(name, prng)
    for index in np.ndindex(shape) if shape else ():
        paths[index] = Key(f"{name}{list(index)}", prng)
    return Keys(paths)


Wanted = frozenset[int]


class _Reader:
    """Reads programs; remembers which operations each wanted set of outputs needs."""

    def __init__(self) -> None:
        self._slices: dict[tuple[int, Wanted], tuple[dict[int, Wanted], Wanted]] = {}

    def run(
        self, program: Program, inputs: Sequence[Formula | None], wanted: Wanted
    ) -> dict[int, Formula]:
        """Return the wanted outputs. inputs: None where no wanted output needs one."""
        known: dict[Value, Formula] = {
            value: Keys(_held_keys(array)) if _is_key(array) else Constant(np.asarray(array))
            for value, array in program.constants.items()
        }
        known.update(
            (value, formula)
            for value, formula in zip(program.inputs, inputs, strict=True)
            if formula is not None
        )
        needed, _ = self._slice(program, wanted)
        for number, outputs in sorted(needed.items()):
            operation = program.operations[number]
            operands = [known.get(value) for value in operation.inputs]
            for place, formula in self._apply(operation, operands, outputs).items():
                known[operation.outputs[place]] = formula
        return {
            place: known.get(program.outputs[place], Unknown("a value that is not in the program"))
            for place in wanted
        }

    # --- Which operations are needed -------------------------------------------------------------

    def _slice(self, program: Program, wanted: Wanted) -> tuple[dict[int, Wanted], Wanted]:
        """Return the wanted outputs of each operation that is needed, and the inputs that are."""
        key = (id(program), wanted)
        if key not in self._slices:
            live = {program.outputs[place] for place in wanted}
            needed: dict[int, Wanted] = {}
            for number in range(len(program.operations) - 1, -1, -1):
                operation = program.operations[number]
                places = frozenset(i for i, out in enumerate(operation.outputs) if out in live)
                if places:
                    needed[number] = places
                    inputs = self._inputs(operation, places)
                    live.update(operation.inputs[place] for place in inputs)
            inputs = frozenset(i for i, each in enumerate(program.inputs) if each in live)
            self._slices[key] = needed, inputs
        return self._slices[key]

    def _inputs(self, operation: Operation, wanted: Wanted) -> Iterable[int]:
        if body := body_of(operation):
            return self._slice(body, wanted)[1]
        if loop := loop_of(operation):
            return self._loop_needs(loop, wanted)[1]
        return range(len(operation.inputs))

    def _loop_needs(self, loop: Loop, wanted: Wanted) -> tuple[Wanted, Wanted]:
        """Return the outputs of the body that are needed, and its inputs: a carry needs itself."""
        while True:
            inputs = self._slice(loop.body, wanted)[1]
            carried = range(loop.n_constants, loop.n_constants + loop.n_carried)
            more = wanted | {place - loop.n_constants for place in inputs if place in carried}
            if more == wanted:
                return wanted, inputs
            wanted = frozenset(more)

    # --- What an operation does ------------------------------------------------------------------

    def _apply(
        self, operation: Operation, operands: list[Formula | None], wanted: Wanted
    ) -> dict[int, Formula]:
        if body := body_of(operation):
            return self.run(body, operands, wanted)
        if loop := loop_of(operation):
            return self._unrolled(loop, operands, wanted)
        if operation.name == "platform_index":
            return {0: Constant(np.asarray(default_branch(operation), np.int32))}
        formulas = [each if each is not None else FROM_INPUTS for each in operands]
        if operation.name == "cond":
            return self._branch(operation, formulas, wanted)
        if operation.name in SAME:
            return {place: formulas[place] for place in wanted}
        if operation.name == "split":  # of arrays: from JAX 0.5 on
            return _split(operation, formulas[0], wanted)
        if operation.name == "unstack":  # from JAX 0.12 on
            axis = operation.parameters["axis"]
            return {place: _at(formulas[0], axis, place) for place in wanted}
        if operation.name == "qr" and isinstance(formulas[0], Drawn):
            return _factored(operation, formulas[0], wanted)
        made = _made(operation, formulas)
        if isinstance(made, tuple):
            return {place: made[place] for place in wanted}
        return dict.fromkeys(wanted, made)

    def _branch(
        self, operation: Operation, formulas: list[Formula], wanted: Wanted
    ) -> dict[int, Formula]:
        index, *operands = formulas
        if not isinstance(index, Constant):
            return dict.fromkeys(wanted, Unknown("cond: a branch that no constant chooses"))
        number = min(max(int(index.value), 0), len(operation.programs) - 1)
        return self.run(operation.programs[number], operands, wanted)

    def _unrolled(
        self, loop: Loop, operands: list[Formula | None], wanted: Wanted
    ) -> dict[int, Formula]:
        if loop.length > MOST_TURNS:
            return dict.fromkeys(wanted, Unknown(f"scan: {loop.length} turns are not read"))
        needed, _ = self._loop_needs(loop, wanted)
        constants = operands[: loop.n_constants]
        state = dict(enumerate(operands[loop.n_constants : loop.n_constants + loop.n_carried]))
        slices = operands[loop.n_constants + loop.n_carried :]
        appended: dict[int, list[Formula]] = {p: [] for p in wanted if p >= loop.n_carried}
        turns = range(loop.length)
        for turn in reversed(turns) if loop.is_reversed else turns:
            here = [None if each is None else _at(each, 0, turn) for each in slices]
            carried = [state[place] for place in range(loop.n_carried)]
            made = self.run(loop.body, [*constants, *carried, *here], needed)
            state.update((p, formula) for p, formula in made.items() if p < loop.n_carried)
            for place, parts in appended.items():
                parts.append(made[place])
        found: dict[int, Formula] = {
            place: _stacked(parts[::-1] if loop.is_reversed else parts)
            for place, parts in appended.items()
        }
        for place in wanted:
            if place < loop.n_carried:
                found[place] = state[place] or FROM_INPUTS
        return found


def _is_key(array: Any) -> bool:
    return str(getattr(array, "dtype", "")).startswith("key<")


def _held_keys(array: Any) -> Array:
    """Return the keys that a program holds as constants, by their words."""
    import jax

    words = np.asarray(jax.random.key_data(array))
    paths = np.empty(words.shape[:-1], object)
    for index in np.ndindex(paths.shape):
        paths[index] = Key(_words_text(words[index]), _prng(str(array.dtype)))
    return paths


def _words_text(words: Array) -> str:
    return "words " + " ".join(f"{int(word):08x}" for word in words.reshape(-1))


def _prng(dtype: str) -> str:
    return dtype.removeprefix("key<").removesuffix(">")


def _made(operation: Operation, formulas: list[Formula]) -> Formula | tuple[Formula, ...]:
    """Return what an operation other than a call, a loop or a branch makes."""
    unknown = next((each for each in formulas if isinstance(each, Unknown)), None)
    if unknown is not None:
        return unknown
    if asks_the_world(operation):
        return Unknown(f"{operation.name}: made outside the program")
    if operation.name.startswith("random_"):
        return _random(operation, formulas)
    if all(isinstance(each, Constant) for each in formulas):
        return _constants(operation, formulas)
    if operation.name == "concatenate":
        return _concatenated(operation, formulas)
    if operation.name == "scatter":
        return _placed(operation, formulas)
    return _of_one(operation, formulas)


def _of_one(operation: Operation, formulas: list[Formula]) -> Formula:
    """Return what an operation makes of an array that is drawn, and of constants."""
    first, *others = formulas
    if operation.name in MOVING and not others:
        return _moved(operation, first)
    if operation.name in MOVING_BY_INDEX and all(isinstance(each, Constant) for each in others):
        arrays = [each.array for each in others if isinstance(each, Constant)]
        return _moved_by(operation, first, lambda array: computed(operation, [array, *arrays])[0])
    if any(isinstance(each, Factor) for each in formulas):
        return _of_factors(operation, formulas)
    if operation.name == "select_n" and isinstance(first, Constant) and first.is_uniform:
        return others[int(first.value)]
    if operation.name in ELEMENTWISE:
        return _elementwise(operation, formulas)
    return Unknown(operation.name)


def _constants(operation: Operation, formulas: Sequence[Formula]) -> Formula | tuple[Formula, ...]:
    """Return what an operation makes of constants: of a repeated value, computed once."""
    constants = [each for each in formulas if isinstance(each, Constant)]
    shape = shape_of(operation)
    if constants and all(each.is_uniform for each in constants):
        if operation.name in MOVING:
            return Constant(np.broadcast_to(np.asarray(constants[0].value), shape))
        if operation.name in ELEMENTWISE:
            (one,) = computed(operation, [np.asarray(each.value) for each in constants])
            return Constant(np.broadcast_to(one, shape))
    sizes = [each.array.size for each in constants]
    sizes += [int(np.prod(shape_of(operation, i))) for i in range(len(operation.outputs))]
    if max(sizes) > MOST_COMPUTED:
        return Unknown(f"{operation.name} of a constant of {max(sizes)} elements")
    if operation.name in MOVING:
        return Constant(moved(operation, constants[0].array))
    return tuple(map(Constant, computed(operation, [each.array for each in constants])))


# --- Keys ----------------------------------------------------------------------------------------


def _random(operation: Operation, formulas: list[Formula]) -> Formula:
    first, *others = formulas
    match operation.name, first:
        case "random_seed", Constant(array=seeds):
            return _each(seeds, lambda seed: Key(f"seed {int(seed)}", _prng(dtype_of(operation))))
        case "random_wrap", Constant(array=words):
            rows = np.empty(words.shape[:-1], object)
            for index in np.ndindex(rows.shape):
                rows[index] = Key(_words_text(words[index]), _prng(dtype_of(operation)))
            return Keys(rows)
        case "random_wrap", KeyWords(words=words):
            return _wrapped(words)
        case "random_unwrap", Keys(paths=paths):
            return _unwrapped(paths, shape_of(operation)[-1])
        case "random_split", Keys(paths=paths):
            return Keys(_children(paths, tuple(operation.parameters["shape"])))
        case "random_fold_in", Keys(paths=paths):
            (data,) = others
            if not isinstance(data, Constant):
                return Unknown("random_fold_in: of a number that no constant gives")
            return Keys(_folded(paths, data.array))
        case "random_bits", Keys(paths=paths):
            shape = tuple(operation.parameters["shape"])
            return Drawn(
                keys=paths,
                drawn_shape=shape,
                width=operation.parameters["bit_width"],
                rules=(),
                moves=(),
                shape=(*paths.shape, *shape),
            )
        case _:
            return Unknown(operation.name)


def _each(array: Array, make: Callable[[Any], Key]) -> Keys:
    paths = np.empty(array.shape, object)
    for index in np.ndindex(array.shape):
        paths[index] = make(array[index])
    return Keys(paths)


def _unwrapped(paths: Array, n_words: int) -> KeyWords:
    words = np.empty((*paths.shape, n_words), object)
    for index in np.ndindex(words.shape):
        words[index] = (paths[index[:-1]], index[-1])
    return KeyWords(words)


def _wrapped(words: Array) -> Formula:
    """Return the keys whose words these are, if each row holds all words of one, in order."""
    paths = np.empty(words.shape[:-1], object)
    for index in np.ndindex(paths.shape):
        row = list(words[index])
        if [number for _, number in row] != list(range(len(row))) or len({k for k, _ in row}) > 1:
            return Unknown("random_wrap: words of several keys")
        paths[index] = row[0][0]
    return Keys(paths)


def _children(paths: Array, shape: tuple[int, ...]) -> Array:
    count = int(np.prod(shape))
    found = np.empty((*paths.shape, *shape), object)
    for index in np.ndindex(paths.shape):
        key: Any = paths[index]
        for number, child in enumerate(np.ndindex(shape)):
            step = Step(name=SPLIT, number=count, index=number)
            found[(*index, *child)] = key.then(step)
    return found


def _folded(paths: Array, data: Array) -> Array:
    shape = np.broadcast_shapes(paths.shape, data.shape)
    paths, data = np.broadcast_to(paths, shape), np.broadcast_to(data, shape)
    found = np.empty(shape, object)
    for index in np.ndindex(shape):
        key: Any = paths[index]
        found[index] = key.then(Step(name=FOLD, number=int(data[index]) % 2**32))
    return found


# --- Moves ---------------------------------------------------------------------------------------


def _moved(operation: Operation, formula: Formula) -> Formula:
    return _moved_by(operation, formula, lambda array: moved(operation, array))


def _moved_by(operation: Operation, formula: Formula, apply: Callable[[Array], Array]) -> Formula:
    move = Move(operation.name, apply, shape_of(operation))
    match formula:
        case Keys(paths=paths) if operation.name in MOVING:
            return Keys(apply(paths))
        case Keys(paths=paths):
            numbers = apply(np.arange(paths.size, dtype=np.int32).reshape(paths.shape))
            return Keys(paths.reshape(-1)[numbers])
        case KeyWords(words=words) if operation.name in MOVING:
            return KeyWords(apply(words))
        case KeyWords(words=words):
            numbers = apply(np.arange(words.size, dtype=np.int32).reshape(words.shape))
            return KeyWords(words.reshape(-1)[numbers])
        case Drawn():
            return dataclasses.replace(formula, moves=(*formula.moves, move), shape=move.shape)
        case Joined():
            return _moved_join(operation, formula, move)
        case Factor(function=None):
            return Unknown(f"{operation.name} of Q before its signs")
        case Factor(function=function):
            return dataclasses.replace(formula, function=_then(function, apply), shape=move.shape)
        case _:
            return Unknown(operation.name)


def _then(first: Any, second: Callable[[Array], Array]) -> Callable[[Array], Array]:
    return lambda array: second(first(array))


def _moved_join(operation: Operation, formula: Joined, move: Move) -> Formula:
    """Return a joined array moved; of a slice, the part that it is."""
    if operation.name == "slice" and not formula.moves:
        starts = operation.parameters["start_indices"]
        stops = operation.parameters["limit_indices"]
        if operation.parameters["strides"] is None:
            return _cut(formula, starts, stops) or Unknown("slice across joined arrays")
    if operation.name in MOVING_BY_INDEX or operation.name in {"slice", "rev"}:
        return Unknown(f"{operation.name} of joined arrays")
    if operation.name in {"reshape", "squeeze"} and not formula.moves and formula.is_stack:
        # A stack of one, without its axis, is the one.
        sizes = [size for place, size in enumerate(formula.shape) if place != formula.axis]
        if len(formula.parts) == 1 and tuple(sizes) == move.shape:
            return formula.parts[0]
    return dataclasses.replace(formula, moves=(*formula.moves, move), shape=move.shape)


def _cut(formula: Joined, starts: Sequence[int], stops: Sequence[int]) -> Formula | None:
    """Return the parts between two indices, if the cut runs between parts and along their axis."""
    whole = all(
        (start, stop) == (0, size)
        for axis, (start, stop, size) in enumerate(zip(starts, stops, formula.shape, strict=True))
        if axis != formula.axis
    )
    if not whole:
        return None
    place, kept = 0, []
    for part in formula.parts:
        size = 1 if formula.is_stack else _shape(part)[formula.axis]
        if starts[formula.axis] <= place and place + size <= stops[formula.axis]:
            kept.append(part)
        elif place < stops[formula.axis] and starts[formula.axis] < place + size:
            return None
        place += size
    shape = list(formula.shape)
    shape[formula.axis] = stops[formula.axis] - starts[formula.axis]
    if len(kept) == 1 and not formula.is_stack:
        return kept[0]
    return dataclasses.replace(formula, parts=tuple(kept), shape=tuple(shape))


def _shape(formula: Formula) -> tuple[int, ...]:
    match formula:
        case Constant(array=array) | Keys(paths=array) | KeyWords(words=array):
            return array.shape
        case Unknown():
            return ()
        case _:
            return formula.shape


def _at(formula: Formula, axis: int, number: int) -> Formula:
    """Return what is at an index of an axis."""
    place = (slice(None),) * axis + (number,)
    match formula:
        case Constant(array=array):
            return Constant(array[place])
        case Keys(paths=paths):
            return Keys(_as_array(paths[place]))
        case KeyWords(words=words):
            return KeyWords(_as_array(words[place]))
        case Drawn(shape=shape):
            move = Move("item", lambda array: array[place], (*shape[:axis], *shape[axis + 1 :]))
            return dataclasses.replace(formula, moves=(*formula.moves, move), shape=move.shape)
        case Joined(parts=parts, axis=along, is_stack=True, moves=()) if along == axis:
            return parts[number]
        case Unknown():
            return formula
        case _:
            return Unknown("a slice of joined arrays")


def _as_array(item: Any) -> Array:
    if isinstance(item, np.ndarray):
        return item
    array = np.empty((), object)
    array[()] = item
    return array


def _stacked(parts: list[Formula]) -> Formula:
    unknown = next((each for each in parts if isinstance(each, Unknown)), None)
    if unknown or not parts:
        return unknown or Unknown("scan: no turns")
    if all(isinstance(each, Keys) for each in parts):
        return Keys(np.stack([each.paths for each in parts if isinstance(each, Keys)]))
    if all(isinstance(each, KeyWords) for each in parts):
        return KeyWords(np.stack([each.words for each in parts if isinstance(each, KeyWords)]))
    shape = (len(parts), *_shape(parts[0]))
    constants = [each for each in parts if isinstance(each, Constant)]
    if len(constants) == len(parts):
        if all(each.is_uniform for each in constants) and len({c.value for c in constants}) == 1:
            return Constant(np.broadcast_to(np.asarray(constants[0].value), shape))
        if sum(each.array.size for each in constants) <= MOST_COMPUTED:
            return Constant(np.stack([each.array for each in constants]))
    return Joined(parts=tuple(parts), axis=0, is_stack=True, moves=(), shape=shape)


def _concatenated(operation: Operation, formulas: list[Formula]) -> Formula:
    axis = operation.parameters["dimension"]
    if all(isinstance(each, Keys) for each in formulas):
        return Keys(
            np.concatenate([each.paths for each in formulas if isinstance(each, Keys)], axis)
        )
    if all(isinstance(each, KeyWords) for each in formulas):
        return KeyWords(
            np.concatenate([each.words for each in formulas if isinstance(each, KeyWords)], axis)
        )
    if any(isinstance(each, Keys | KeyWords | Factor) for each in formulas):
        return Unknown("concatenate")
    shape = shape_of(operation)
    return Joined(parts=tuple(formulas), axis=axis, is_stack=False, moves=(), shape=shape)


def _split(operation: Operation, formula: Formula, wanted: Wanted) -> dict[int, Formula]:
    """Return the parts of an array that `split` cuts along an axis."""
    axis, sizes = operation.parameters["axis"], operation.parameters["sizes"]
    found: dict[int, Formula] = {}
    for place in wanted:
        start = sum(sizes[:place])
        bounds = [slice(None)] * len(_shape(formula))
        if bounds:
            bounds[axis] = slice(start, start + sizes[place])
        found[place] = _indexed(formula, tuple(bounds), shape_of(operation, place))
    return found


def _indexed(formula: Formula, bounds: tuple[slice, ...], shape: tuple[int, ...]) -> Formula:
    match formula:
        case Constant(array=array):
            return Constant(array[bounds])
        case Keys(paths=paths):
            return Keys(paths[bounds])
        case KeyWords(words=words):
            return KeyWords(words[bounds])
        case Drawn():
            move = Move("slice", lambda array: array[bounds], shape)
            return dataclasses.replace(formula, moves=(*formula.moves, move), shape=shape)
        case Unknown():
            return formula
        case Joined(moves=()):
            limits = [each.indices(n) for each, n in zip(bounds, formula.shape, strict=True)]
            cut = _cut(formula, [each[0] for each in limits], [each[1] for each in limits])
            return cut or Unknown("split across joined arrays")
        case _:
            return Unknown("split")


def _placed(operation: Operation, formulas: list[Formula]) -> Formula:
    """Return what is drawn in the midst of zeros, whole and in its order, if it is so placed."""
    zeros, indices, part = formulas
    if not isinstance(zeros, Constant) or not isinstance(indices, Constant):
        return Unknown(operation.name)
    if not isinstance(part, Drawn) or not zeros.is_uniform or zeros.value:
        return Unknown(operation.name)
    size, shape = int(np.prod(part.shape)), shape_of(operation)
    if not 0 < int(np.prod(shape)) <= MOST_COMPUTED:
        return Unknown(f"{operation.name} into {int(np.prod(shape))} elements")
    numbers = np.arange(1, size + 1, dtype=np.float64).reshape(part.shape)
    updates = numbers.astype(zeros.array.dtype)
    (made,) = computed(operation, [zeros.array, indices.array, updates])
    n_before = len(shape) - len(part.shape)
    index = tuple(int(axis[0]) for axis in np.nonzero(made)[:n_before])
    if np.count_nonzero(made) != size or (made[index] != updates).any():
        return Unknown(operation.name)
    return Placed(part, index, shape)


# --- Steps that act on elements ------------------------------------------------------------------


def _elementwise(operation: Operation, formulas: list[Formula]) -> Formula:
    if dtype_of(operation).startswith("complex"):
        return _complexed(operation, formulas)
    places = [i for i, each in enumerate(formulas) if not isinstance(each, Constant)]
    if len(places) > 1:
        return Unknown(f"{operation.name} of two arrays that are drawn")
    (place,) = places
    formula = formulas[place]
    others = [each for each in formulas if isinstance(each, Constant)]
    if not isinstance(formula, Drawn | Joined) or _shape(formula) != shape_of(operation):
        return Unknown(f"{operation.name}: repeats what is drawn")
    if not all(each.is_uniform for each in others):
        return Unknown(f"{operation.name} with a constant that is not the same everywhere")
    rule = Rule(operation.name, place, tuple(c.value for c in others), dtype_of(operation))
    return _ruled(formula, rule, operation)


def _complexed(operation: Operation, formulas: list[Formula]) -> Formula:
    """Return complex numbers made of at most two drawn arrays, and of constants."""
    step, shape = IN_NUMPY.get(operation.name), shape_of(operation)
    parts: list[Drawn] = []
    operands: list[Callable[..., Array]] = []
    for each in formulas:
        start = len(parts)
        match each:
            case Constant() if each.is_uniform:
                operands.append(_constantly(complex(each.value)))
            case Drawn(shape=size) if size == shape:
                parts.append(each)
                operands.append(_of_parts(np.asarray, start, start + 1))
            case Complexed(shape=size) if size == shape:
                parts += each.parts
                operands.append(_of_parts(each.function, start, len(parts)))
            case _:
                return Unknown(f"{operation.name} of complex numbers")
    if step is None or len(parts) > 2:
        return Unknown(f"{operation.name} of complex numbers")
    made = step

    def function(*arrays: Array) -> Array:
        return made(*(operand(*arrays) for operand in operands))

    return Complexed(tuple(parts), function, shape)


def _constantly(value: complex) -> Callable[..., Array]:
    return lambda *_: np.asarray(value)


def _of_parts(function: Callable[..., Array], start: int, stop: int) -> Callable[..., Array]:
    return lambda *arrays: function(*arrays[start:stop])


def _ruled(formula: Formula, rule: Rule, operation: Operation) -> Formula:
    match formula:
        case Drawn():
            return dataclasses.replace(formula, rules=(*formula.rules, rule))
        case Joined(parts=parts):
            made = tuple(_ruled(part, rule, operation) for part in parts)
            unknown = next((each for each in made if isinstance(each, Unknown)), None)
            return unknown or dataclasses.replace(formula, parts=made)
        case Constant(array=array):
            operands = [np.broadcast_to(np.asarray(each), array.shape) for each in rule.others]
            operands.insert(rule.place, array)
            return Constant(computed(operation, operands)[0])
        case _:
            return Unknown(rule.name)


# --- Orthogonal matrices -------------------------------------------------------------------------


def _factored(operation: Operation, drawn: Drawn, wanted: Wanted) -> dict[int, Formula]:
    if drawn.moves or operation.parameters.get("full_matrices") or len(operation.outputs) != 2:
        return dict.fromkeys(wanted, Unknown("qr"))
    q = Factor(drawn, None, shape_of(operation, 0))
    r = Factor(drawn, lambda array: array, shape_of(operation, 1))
    return {place: (q, r)[place] for place in wanted}


def _of_factors(operation: Operation, formulas: list[Formula]) -> Formula:
    """Return a function of R, or Q with its columns' signs made those of R's diagonal.

    Whether it is these signs is seen by running the function on a matrix of known ones.
    """
    factors = [each for each in formulas if isinstance(each, Factor)]
    shape = shape_of(operation)
    if operation.name == "mul" and len(factors) == 2:
        q, signs = sorted(factors, key=lambda each: each.function is not None)
        is_pair = q.of is signs.of and q.function is None and signs.function is not None
        if is_pair and _is_sign_of_diagonal(signs):
            rule = Rule(HAAR, 0, (), dtype_of(operation))
            return dataclasses.replace(q.of, rules=(*q.of.rules, rule))
    if len(factors) != 1 or factors[0].function is None:
        return Unknown(f"{operation.name} of the factors of a QR")
    if len(operation.outputs) > 1 or asks_the_world(operation):
        return Unknown(f"{operation.name} of R")
    others = [each.array if isinstance(each, Constant) else None for each in formulas]
    if sum(each is None for each in others) > 1:
        return Unknown(f"{operation.name} of R and another")
    inner = factors[0].function

    def function(array: Array) -> Array:
        operands = [inner(array) if each is None else each for each in others]
        return computed(operation, operands)[0]

    return Factor(factors[0].of, function, shape)


def _is_sign_of_diagonal(signs: Factor) -> bool:
    *batch, rows, columns = signs.of.shape
    n = min(rows, columns)
    if int(np.prod((*batch, n, n))) > MOST_COMPUTED or not signs.function:
        return False
    diagonal = np.where(np.arange(n) % 3 == 1, -1.0, 1.0) * np.arange(1, n + 1)
    matrix = np.full((n, n), 0.5)
    matrix[np.arange(n), np.arange(n)] = diagonal
    dtype = np.dtype(signs.of.rules[-1].dtype)
    r = np.broadcast_to(matrix, (*batch, n, n)).astype(dtype)
    found = signs.function(r)
    wanted = np.broadcast_to(np.sign(diagonal), (*batch, rows, n))
    return found.ndim == wanted.ndim and bool(
        (np.broadcast_to(found, wanted.shape) == wanted).all()
    )
