"""Audit the initial parameters of a model: keys, laws, fans, gains, duplicates, and what moves.

What makes a parameter and what uses it is read from the model's programs; the keys are derived
without Flax and the values without JAX. What the programs do not say is *unknown*.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version

import numpy as np

from conformance.core.arrays import Array, as_dtype, widen
from conformance.core.keys import FOLD
from conformance.core.laws import Constant, Definition, nominal_moments
from conformance.core.watching import Watch, unwatched
from conformance.flax.recognition import (
    FEWEST_FOR_A_KEY,
    PREFIX,
    UNKNOWN,
    ExactMoments,
    exact_moments,
)
from conformance.models.arrays import found as found_of_arrays
from conformance.models.confirm import confirmed
from conformance.models.faults import faults_of_law, faults_of_numbers, faults_of_values
from conformance.models.gains import WRONG_FAN, gain_of, suited_form
from conformance.models.keys import do_overlap, draws_of, keys_of, label, n_copies, scopes, words_of
from conformance.models.law import LawRead, law_read, text_of
from conformance.models.model import LINEN, NNX, Model
from conformance.models.names import UNIFORM, is_same, library_names, names_by_axes, scaled_of
from conformance.models.notes import SUMMED, UNKNOWN_USE, Use
from conformance.models.repetitions import Fault, each_with_others, equal_slices, repetitions

NOTABLE_BIAS = 1e-3
"""Of the mean in sigma, or of the variance: what a 16-bit law is worth a note for."""

AUTOMATIC_NAME = re.compile(r"(.+)_(\d+)")
"""What linen calls a module that was given no name: its class and a count."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """What one use does to the variance of its inputs.

    fan_in: of one output, on average where outputs differ. gain: the variance times the fan-in.
    stddev_for_1, stddev_for_2: what would have been a gain of 1 or of 2.
    """

    kind: str
    fan_in: float | None
    fan_min: float | None
    fan_max: float | None
    factor: float
    gain: float | None
    stddev_for_1: float | None
    stddev_for_2: float | None
    reason: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """One row of the audit.

    key: the two words in hexadecimal of the first that draws, "" where none is known.
    initializer: all initializers of libraries that have just this law, joined by `or`; else the
        law. formula: the law, its dtypes, and how the values were made.
    fan_in, gain: of the first use that sums, or of the bilinear form that alone suits the law;
        None where none does or nobody knows.
    expected_std: of the exact law in the dtype; None where the law is not known.
    std_error: of the actual stddev, were the law right; None where the law is not known.
    n_compared: values that were compared with the oracle's. n_equal: that are bit for bit equal.
        The rest differ by roundings, or there is a fault.
    n_moved: how many other parameters change value when the layer of this one is removed; None
        where keys follow neither from paths nor from counts.
    digest: SHA-256 of the values; "" where there are none.
    faults: what is wrong. known: what a ledger knows of it. notes: what is worth knowing.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    draw: str
    key: str
    initializer: str
    formula: str
    uses: tuple[Gain, ...]
    fan_in: float | None
    gain: float | None
    expected_std: float | None
    actual_std: float | None
    std_error: float | None
    n_compared: int
    n_equal: int
    n_moved: int | None
    digest: str
    faults: tuple[str, ...]
    notes: tuple[str, ...]
    known: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """All parameters of one model, in the order of paths.

    is_partitionable: the layout of JAX's random words. versions: of what made the model.
    outlived: entries of a ledger that match no fault.
    """

    framework: str
    seed: int
    is_abstract: bool
    is_partitionable: bool
    versions: str
    parameters: tuple[Audited, ...]
    outlived: tuple[str, ...] = ()

    @property
    def n_faults(self) -> int:
        """Return how many faults there are, entries that have outlived theirs among them."""
        return len(self.outlived) + sum(len(each.faults) for each in self.parameters)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """All that is known of one parameter before it is compared with others.

    drawn_dtype, drawn_shape: of the unit variates of one key. steps: of the first key.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    array: Array | None
    draw: str
    words: tuple[int, int] | None
    stream: tuple[object, ...]
    law: LawRead
    initializer: str
    formula: str
    uses: tuple[Use, ...]
    is_random: bool
    n_compared: int
    n_equal: int
    faults: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(self.name.split("."))


def audit(model: Model, watch: Watch[str] = unwatched) -> Audit:
    """Return the audit of a model. watch: what is passed each parameter, by name, as it is read."""
    names = watch(sorted(model.leaves), len(model.leaves))
    known = _of_programs(model, names) if model.formulas else _of_arrays(model, names)
    faults: dict[str, list[str]] = defaultdict(list)
    random = {
        one.name: one.array
        for one in known
        if one.is_random and one.array is not None and one.array.size > 1
    }
    for name, text in itertools.chain(_shared(model, known), repetitions(random)):
        if text not in faults[name]:
            faults[name].append(text)
    return Audit(
        framework=model.framework,
        seed=model.seed,
        is_abstract=not model.arrays,
        is_partitionable=model.partitionable,
        versions=", ".join(f"{name} {version(name)}" for name in ("jax", "flax")),
        parameters=tuple(_row(model, one, known, faults[one.name]) for one in known),
    )


# --- What programs say ---------------------------------------------------------------------------


def _of_programs(model: Model, names: Iterable[str]) -> list[_Known]:
    known = scopes(model.leaves, separator=model.separator) if model.framework == LINEN else {}
    by_name: dict[str, list[Use]] = defaultdict(list)
    for use in model.uses or ():
        by_name[use.parameter].append(use)
    found = [_of_program(model, name, tuple(by_name[name]), known) for name in names]
    return [_but_for_a_cell(one, found) for one in found]


def _but_for_a_cell(one: _Known, known: Sequence[_Known]) -> _Known:
    """Return a parameter without the fault of its fan, if it is drawn as the kernel beside it is.

    PyTorch and Equinox draw both kernels of a recurrent cell within +-hidden**-0.5, and `hidden` is
    the fan-in of one of them.
    """
    faults = tuple(text for text in one.faults if not text.startswith(WRONG_FAN))
    if len(faults) == len(one.faults):
        return one
    mate = next((other for other in known if other is not one and _is_mate(one, other)), None)
    if mate is None:
        return one
    note = f"within the bounds of {mate.name}, which suit the fan-in of that one"
    return dataclasses.replace(one, faults=faults, notes=(*one.notes, note))


def _is_mate(one: _Known, other: _Known) -> bool:
    """Return whether the other makes as many outputs of a module, by the same uniform, rightly."""
    mine, its = (scaled_of(each.law.scaled or each.law.definition) for each in (one, other))
    if mine is None or its is None or (mine.distribution, its.distribution) != (UNIFORM, UNIFORM):
        return False
    if one.path[:-1] != other.path[:-1] or not is_same(mine.variance, its.variance, one.dtype):
        return False
    outputs = [
        {
            math.prod(each.shape) / use.fan_in
            for use in each.uses
            if use.kind in SUMMED and use.fan_in
        }
        for each in (one, other)
    ]
    is_right = any(
        use.kind in SUMMED
        and use.fan_in
        and is_same(its.variance, 1 / (3 * use.fan_in), other.dtype)
        for use in other.uses
    )
    return is_right and not outputs[0].isdisjoint(outputs[1])


def _of_program(model: Model, name: str, uses: tuple[Use, ...], names: Mapping[int, str]) -> _Known:
    leaf, formula, array = model.leaves[name], model.formulas[name], model.arrays.get(name)
    law, keys = law_read(formula), keys_of(formula)
    found = (
        confirmed(
            array,
            formula,
            root=model.root,
            seed=model.seed,
            partitionable=model.partitionable,
        )
        if array is not None
        else None
    )
    first = keys[0] if keys else None
    words = first and words_of(first, model.root, model.seed, model.partitionable)
    return _Known(
        name=name,
        shape=leaf.shape,
        dtype=leaf.dtype,
        array=array,
        draw=label(keys, model.root, names),
        words=words or None,
        stream=(first.root, *first.steps) if first else (),
        law=law,
        initializer=_initializer(law, leaf.shape, uses),
        formula=_formula(law, leaf.dtype),
        uses=uses,
        is_random=bool(keys),
        n_compared=found.n if found else 0,
        n_equal=found.n_exact if found else 0,
        faults=(
            *faults_of_law(name, leaf, law, uses),
            *(faults_of_values(array, law, found) if array is not None and found else ()),
        ),
        notes=tuple(_notes(model, name, law, uses)),
    )


def _initializer(law: LawRead, shape: tuple[int, ...], uses: Sequence[Use]) -> str:
    """Return the names of all initializers with the law; its own where libraries have none.

    Axes are read as JAX's defaults do in what was drawn, and as the parameter is used.
    """
    definition, dtype = law.scaled or law.definition, law.drawn_dtype
    if definition is None or law.shift or isinstance(definition, Constant):
        return text_of(law)
    names = library_names(definition, law.drawn_shape, dtype)
    summed = next((use for use in uses if use.kind in SUMMED), None)
    if summed and math.prod(law.drawn_shape) == math.prod(shape):
        names += names_by_axes(definition, shape, dtype, summed.axes, summed.field, names)
    return " or ".join(names) or text_of(law)


def _formula(law: LawRead, dtype: str) -> str:
    """Return the law, the dtype in which it is drawn, and those to which it is cast."""
    if not law.drawn_dtype or law.definition is None:
        return text_of(law)
    casts = "".join(f", cast to {each}" for each in law.casts)
    drawn = "" if law.drawn_dtype == dtype and not casts else f" in {law.drawn_dtype}"
    return f"{text_of(law)}{drawn}{casts}"


def _notes(model: Model, name: str, law: LawRead, uses: Sequence[Use]) -> Iterator[str]:
    if name in model.unrepeated:
        yield "made outside the model: another construction gives other values"
    if law.definition is None and law.scaled is None:
        yield f"law unknown: {law.reason}"
    yield from dict.fromkeys(
        f"fan-in unknown: {use.reason}" for use in uses if use.kind == UNKNOWN_USE
    )
    for use in uses:
        if use.fan_min != use.fan_max and use.fan_min is not None:
            yield f"fan-in from {use.fan_min:g} to {use.fan_max:g}, by the phase of the output"
    leaf = model.leaves[name]
    if form := suited_form(law.scaled or law.definition, leaf.shape, law.drawn_dtype, uses):
        yield (
            f"a bilinear form: summed over axes {', '.join(map(str, form.axes))} with two data, "
            f"of fan-in {form.fan_in:g}, which its law suits"
        )
    if leaf.variable:
        yield f"no parameter (nnx.Param) but a {leaf.variable}"
    elif model.uses is not None and not uses:
        yield "not used"


# --- What arrays say -----------------------------------------------------------------------------


def _of_arrays(model: Model, names: Iterable[str]) -> list[_Known]:
    """Return what is known of parameters without programs."""
    return [_of_array(model, name) for name in names]


def _of_array(model: Model, name: str) -> _Known:
    leaf, array = model.leaves[name], model.arrays[name]
    found = found_of_arrays(model, name)
    recognised = found.recognised
    is_random = not recognised.initializer.startswith("constant")
    notes = []
    if array.size < FEWEST_FOR_A_KEY and is_random:
        notes.append(f"fewer than {FEWEST_FOR_A_KEY} values tell no key")
    elif recognised is UNKNOWN:
        notes.append("law not recognised")
    law = LawRead(
        definition=recognised.definition,
        drawn_dtype=recognised.drawn_dtype,
        drawn_shape=found.unit.shape,
        reason="" if recognised.definition else recognised.initializer,
    )
    about = "" if recognised.is_exact or recognised.fan is None else "~ "
    return _Known(
        name=name,
        shape=leaf.shape,
        dtype=leaf.dtype,
        array=array,
        draw=found.draw,
        words=None if found.key is None else (int(found.key[0]), int(found.key[1])),
        stream=(),
        law=law,
        initializer=about + recognised.initializer,
        formula="",
        uses=(),
        is_random=is_random,
        n_compared=min(array.size, PREFIX) if recognised.is_exact else 0,
        n_equal=0,
        faults=(f"{WRONG_FAN}: {recognised.fault}",) if recognised.fault else (),
        notes=tuple(notes),
    )


# --- Comparisons between parameters --------------------------------------------------------------


def _shared(model: Model, known: Sequence[_Known]) -> Iterator[Fault]:
    """Yield the parameters that share a key, and those whose slices do."""
    groups: dict[object, list[str]] = defaultdict(list)
    for one in known:
        for identity in _identities(model, one):
            groups[identity].append(one.name)
    for names in dict.fromkeys(tuple(dict.fromkeys(group)) for group in groups.values()):
        for name, others in each_with_others(names):
            shared = [other for other in others if _do_overlap(model, name, other)]
            if shared:
                yield name, f"key collision: drawn from the key of {', '.join(shared)}"
    for one in known:
        copies = n_copies(model.formulas.get(one.name))
        if copies > 1 and one.shape and copies == one.shape[0]:
            yield one.name, equal_slices(copies)
        elif copies > 1:
            yield one.name, f"each of its elements is there {copies} times"


def _identities(model: Model, one: _Known) -> Iterator[object]:
    """Yield what tells the keys that drew a parameter: their words, or else how they were made."""
    if not model.formulas:
        if one.words:
            yield one.words
        return
    for key in dict.fromkeys(keys_of(model.formulas[one.name])):
        yield words_of(key, model.root, model.seed, model.partitionable) or key


def _do_overlap(model: Model, name: str, other: str) -> bool:
    if not model.formulas:
        return True
    pairs = itertools.product(draws_of(model.formulas[name]), draws_of(model.formulas[other]))
    return any(do_overlap(*pair) for pair in pairs)


def _narrow(model: Model, one: _Known, known: Sequence[_Known]) -> Iterator[str]:
    """Yield the fault of a parameter that holds less than its module declares, or its others."""
    size, declared = as_dtype(one.dtype).itemsize, model.leaves[one.name].declared
    if declared and as_dtype(declared).itemsize > size:
        yield f"stored in {one.dtype}, where its module has a param_dtype of {declared}"
    elif one.law.casts and not declared:
        for other in known:
            is_wider = other.path[:-1] == one.path[:-1] and as_dtype(other.dtype).itemsize > size
            if is_wider and as_dtype(other.dtype).kind not in "biu":
                yield f"stored in {one.dtype}, beside {other.dtype} of {other.path[-1]}"
                return


# --- Rows ----------------------------------------------------------------------------------------


def _row(model: Model, one: _Known, known: Sequence[_Known], faults: Sequence[str]) -> Audited:
    exact = _exact(one)
    gains = tuple(_gain(one, use) for use in one.uses)
    form = suited_form(
        one.law.scaled or one.law.definition, one.shape, one.law.drawn_dtype, one.uses
    )
    told = [_gain(one, form)] if form else [gain for gain in gains if gain.kind in SUMMED]
    summed = told[0] if told else None
    return Audited(
        path=one.name,
        shape=one.shape,
        dtype=one.dtype,
        draw=one.draw,
        key=" ".join(f"{word:08x}" for word in one.words or ()),
        initializer=one.initializer,
        formula=one.formula,
        uses=gains,
        fan_in=summed.fan_in if summed else None,
        gain=summed.gain if summed else None,
        expected_std=exact.stddev if exact else None,
        actual_std=_stddev(one.array),
        std_error=_std_error(exact, math.prod(one.shape)) if exact else None,
        n_compared=one.n_compared,
        n_equal=one.n_equal,
        n_moved=_n_moved(model, one, known),
        digest="" if one.array is None else hashlib.sha256(one.array.tobytes()).hexdigest(),
        faults=(*faults, *one.faults, *_narrow(model, one, known), *_no_numbers(one)),
        notes=(*one.notes, *_bias_notes(one, exact)),
    )


def _no_numbers(one: _Known) -> Iterator[str]:
    if one.array is not None:
        yield from faults_of_numbers(one.array, is_random=one.is_random)


def _stddev(array: Array | None) -> float | None:
    if array is None or not array.size:
        return None
    with np.errstate(invalid="ignore"):
        found = float(widen(array).std())
    return found if math.isfinite(found) else None


def _gain(one: _Known, use: Use) -> Gain:
    variance, fan = one.law.variance, use.fan_in
    gain = None if variance is None or not one.law.is_random else gain_of(variance, use)
    is_summed = use.kind in SUMMED and bool(fan) and bool(use.factor)
    unit = 1 / (math.sqrt(fan) * abs(use.factor)) if is_summed and fan else None
    return Gain(
        kind=use.kind,
        fan_in=fan,
        fan_min=use.fan_min,
        fan_max=use.fan_max,
        factor=use.factor,
        gain=gain,
        stddev_for_1=unit,
        stddev_for_2=unit and unit * math.sqrt(2),
        reason=use.reason,
    )


def _exact(one: _Known) -> ExactMoments | None:
    definition, law = one.law.definition, one.law
    if definition is None or isinstance(definition, Constant) or definition.unit is None:
        return None
    if not law.variance:
        return None
    return _exact_moments(definition, law.drawn_shape, law.drawn_dtype)


@functools.lru_cache(maxsize=1024)
def _exact_moments(definition: Definition, shape: tuple[int, ...], dtype: str) -> ExactMoments:
    return exact_moments(definition, shape, as_dtype(dtype))


def _std_error(exact: ExactMoments, size: int) -> float | None:
    """Return the standard error of a sample stddev (Cramer 1946, 27.4, and the delta method)."""
    return exact.stddev * math.sqrt((exact.kurtosis - 1) / (4 * size)) if size else None


def _bias_notes(one: _Known, exact: ExactMoments | None) -> Iterator[str]:
    """Yield what a 16-bit dtype does to the law."""
    dtype, definition = one.law.drawn_dtype, one.law.definition
    if exact is None or definition is None or as_dtype(dtype).itemsize > 2:
        return
    nominal = nominal_moments(definition, one.law.drawn_shape)
    assert nominal is not None
    bias = (exact.mean - float(np.real(nominal.mean))) / exact.stddev
    excess = exact.stddev**2 / nominal.variance - 1
    if max(abs(bias), abs(excess)) > NOTABLE_BIAS:
        yield f"{dtype} law: mean {bias:+.2g} sigma, variance {excess:+.2%}"


# --- What moves ----------------------------------------------------------------------------------


def _n_moved(model: Model, one: _Known, known: Sequence[_Known]) -> int | None:
    """Return how many other random parameters change value when this one's layer is removed.

    linen: later modules with automatic names of the same class are renamed, and a name is part of
    the key. nnx: all later draws of the stream are renumbered. The layer's own are removed with it.
    """
    if model.framework not in (LINEN, NNX):
        return None
    if not one.is_random:
        return 0
    layer = one.path[:-1]
    others = [o for o in known if (o.is_random and o.path[: len(layer)] != layer) or not layer]
    others = [other for other in others if other.is_random and other is not one]
    if model.framework == LINEN:
        return sum(_is_later_sibling(layer, other.path) for other in others)
    return sum(_is_later_draw(one.stream, other.stream) for other in others)


def _is_later_sibling(layer: tuple[str, ...], path: tuple[str, ...]) -> bool:
    """Return whether the path lies in a module whose automatic name counts on from the layer's."""
    if len(path) <= len(layer) or not layer or path[: len(layer) - 1] != layer[:-1]:
        return False
    mine, other = (AUTOMATIC_NAME.fullmatch(name) for name in (layer[-1], path[len(layer) - 1]))
    return bool(mine and other and mine[1] == other[1] and int(other[2]) > int(mine[2]))


def _is_later_draw(mine: tuple[object, ...], other: tuple[object, ...]) -> bool:
    """Return whether another key was counted on from mine, in the same stream."""
    depth = len(mine) - 1
    if depth < 1 or len(other) <= depth or other[:depth] != mine[:depth]:
        return False
    first, second = mine[depth], other[depth]
    is_count = getattr(first, "name", "") == FOLD == getattr(second, "name", "")
    return is_count and getattr(second, "number", 0) > getattr(first, "number", 0)
