"""The array that an initializer must return by its definition, and every stage on the way."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import numpy.typing as npt

from conformance.core.arrays import Array, as_dtype, centred, in_shape
from conformance.core.formats import FORMATS, FUSED_DTYPES, WIDE_DTYPES
from conformance.core.ids import Problem, format_shape
from conformance.core.keys import FOLD, KeySpec, Step, parse_descent
from conformance.core.lattice import mantissa_bits, word_bits
from conformance.core.laws import (
    Constant,
    Declared,
    Definition,
    DeltaOrthogonal,
    Law,
    Normal,
    Orthogonal,
    expected_error,
    law_of,
    tall_shape,
)
from conformance.oracle.distributions import complex_unit_variate, lattice, unit_variate
from conformance.oracle.followed import (
    ErfErrors,
    followed_product,
    followed_uniform,
    followed_value,
    followed_variate,
)
from conformance.oracle.rounding import round_once
from conformance.oracle.threefry import Key, Words, fold_in, random_bits, seed_key, split

CHUNK = 1 << 14
"""Elements per pass of the elementwise stages: a dozen float64 temporaries fit in a 2 MiB cache."""

WIDE = np.dtype(np.float64)
"""In which variates are held before they are rounded."""

LARGEST_KEPT = 1 << 20
"""Elements of the largest array whose words and variates are kept for the next initializer: of
either 16 MiB at most, but for words of 64 bits."""

TABULATED_WORDS = (8, 16)
"""Bits of the words of which all values are looked up in a table: a thousand at most."""


class OracleUnavailable(ValueError):  # noqa: N818 (named like BackendUnavailable)
    """The oracle has no answer to this problem, for the stated reason."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """What decides the words of an array: those of one key, laid out so or so."""

    key: bytes
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    partitionable: bool


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Chain:
    """What becomes of given words, by the definition and by JAX's own sequence of roundings.

    Each part is made when it is asked for. Most arrays lie within rounding of the definition, and
    nobody asks what the sequence gives, nor what was there before the last rounding.
    law: that of the definition for the shape. draw: of the words, if they may be met again. The
    rest: see `solve_words`.
    """

    words: Words
    law: Law
    definition: Definition
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fused: frozenset[str] = frozenset(FUSED_DTYPES)
    folded: ErfErrors | None = None
    draw: Draw | None = None

    @functools.cached_property
    def unit(self) -> Array:
        """The variate before scaling, without a rounding to the dtype on the way."""
        if self.dtype.kind == "c":
            return complex_unit_variate(self.words, self.law, self.dtype)
        if (table := self.table) is not None:
            return self._looked_up(table.unit)
        if self.draw is not None:
            return _kept_unit(self.draw, self.law.unit)
        return _in_parts(self.words, self._unit_of, WIDE)

    @functools.cached_property
    def expected(self) -> Array:
        """The unit variate scaled, and rounded once to the dtype."""
        if (table := self.table) is not None:
            return self._looked_up(table.expected)
        if self.dtype.kind == "c":
            return round_once(self.value, self.dtype)

        def rounded_product(unit: Array) -> Array:
            return round_once(unit * self.law.factor, self.dtype)

        if self.draw is not None:
            return _in_parts(self.unit, rounded_product, self.dtype)
        return _in_parts(
            self.words, lambda words: rounded_product(self._unit_of(words)), self.dtype
        )

    @property
    def value(self) -> Array:
        """The unit variate scaled, in float64 or complex128."""
        return np.asarray(self.unit * self.law.factor)

    def _unit_of(self, words: Words) -> Array:
        return unit_variate(words, self.law, self.dtype)

    def _looked_up(self, values: Array | None) -> Array:
        """Return the value of each word, of those of all points."""
        known = np.asarray(values)
        width = self.words.dtype.type(8 * self.words.dtype.itemsize - mantissa_bits(self.dtype))
        return _in_parts(self.words, lambda words: known.take(words >> width), known.dtype)

    @functools.cached_property
    def uniform(self) -> Array:
        """What `jax.random.uniform` makes of the words; of complex dtypes the two fractions."""
        if self.dtype.kind == "c":
            return lattice(self.words, self.dtype)
        if (table := self.table) is not None:
            return self._looked_up(table.uniform)
        return _in_parts(self.words, self._uniform_of, WIDE)

    @functools.cached_property
    def followed(self) -> Array | None:
        """What it comes to, in the dtype; None where XLA's functions are not modelled."""
        if not FORMATS[self.dtype.name].is_followed:
            return None
        if (table := self.table) is not None:
            return self._looked_up(table.followed)

        def followed_of(words: Words) -> Array:
            uniform = self._uniform_of(words)
            return followed_value(
                uniform, self.law, self.definition, self.shape, self.dtype, self.fused
            )

        return _in_parts(self.words, followed_of, self.dtype)

    def _uniform_of(self, words: Words) -> Array:
        return followed_uniform(words, self.law, self.dtype, self.fused, folded=self.folded)

    @property
    def table(self) -> Solution | None:
        """The stages of each point of the lattice, of which the moments of the law are made too.

        None where the lattice has more points than can be kept; and of the points themselves.
        """
        if word_bits(self.dtype) not in TABULATED_WORDS or self.words is _points(self.dtype):
            return None
        return _table(self.definition, self.shape, self.dtype, self.fused, self.folded)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _ChainOfPoints(Chain):
    """The sequence from the points of a lattice: up to the last factor one for each unit law."""

    @functools.cached_property
    def uniform(self) -> Array:
        """See `Chain`."""
        return _uniforms_of_points(self.law.unit, self.dtype, self.fused, self.folded)

    @functools.cached_property
    def followed(self) -> Array | None:
        """See `Chain`."""
        variates = _variates_of_points(self.law.unit, self.dtype, self.fused, self.folded)
        return followed_product(variates, self.law, self.definition, self.shape, self.dtype)


@functools.lru_cache(maxsize=64)
def _uniforms_of_points(
    unit: Law, dtype: np.dtype[Any], fused: frozenset[str], folded: ErfErrors | None
) -> Array:
    return followed_uniform(_points(dtype), unit, dtype, fused, folded=folded)


@functools.lru_cache(maxsize=64)
def _variates_of_points(
    unit: Law, dtype: np.dtype[Any], fused: frozenset[str], folded: ErfErrors | None
) -> Array:
    uniform = _uniforms_of_points(unit, dtype, fused, folded)
    return followed_variate(uniform, unit, dtype, fused)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An array that is not drawn element by element: `value`, and that rounded once."""

    value: Array
    expected: Array


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """The stages of one answer, each made when it is asked for; None where there is none.

    key: two 32-bit words.
    bits: the random words, one per element; for complex dtypes two, along a new first axis.
    chain: what becomes of them, by the definition and by JAX's sequence of roundings.
    made: a constant, or a matrix made of what is drawn; None where that is the array itself.
    """

    key: Key | None = None
    bits: Words | None = None
    chain: Chain | None = None
    made: Made | None = None

    @property
    def unit(self) -> Array | None:
        """The variate before scaling, from the bits, without rounding to the dtype on the way."""
        return None if self.chain is None else self.chain.unit

    @property
    def value(self) -> Array:
        """The array in float64 or complex128: but for a matrix or a constant, `unit` scaled."""
        return self._array.value

    @property
    def expected(self) -> Array:
        """`value` rounded once to the dtype: the definition's answer."""
        return self._array.expected

    @property
    def _array(self) -> Made | Chain:
        array = self.made or self.chain
        assert array is not None
        return array

    @property
    def uniform(self) -> Array | None:
        """What `jax.random.uniform` makes of the bits in the dtype, as float64.

        For complex dtypes the two fractions in [0, 1).
        """
        return None if self.chain is None else self.chain.uniform

    @property
    def followed(self) -> Array | None:
        """The answer of JAX if it does what it says; real dtypes up to float32 only."""
        return None if self.chain is None or self.made else self.chain.followed


def solve(
    problem: Problem,
    definition: Definition,
    *,
    key: Key | None = None,
    partitionable: bool = True,
    x64: bool = False,
    fused: Collection[str] = FUSED_DTYPES,
    folded: ErfErrors | None = None,
) -> Solution:
    """Return the answer to a problem whose initializer has the definition.

    key: that the initializer is given, where it is not that of the problem; it may draw with
        another, see `drawing_key`.
    partitionable: the layout behind the plain name `threefry2x32`; suffixed names state theirs.
    x64: whether JAX keeps seeds beyond 32 bits. The wide dtypes always run so.
    fused: the formats whose multiply-adds the device fuses; they change `uniform` and `followed`.
    folded: where the call was compiled whole, as by `jit`; see `followed_uniform`.

    Raises:
        OracleUnavailable: the PRNG is not Threefry, the law is stated by moments only, or the
            definition demands an error instead of an array.
    """
    dtype = as_dtype(problem.dtype)
    _refuse_errors(definition, problem.shape, dtype)
    if isinstance(definition, Constant):
        return _constant(definition, problem.shape, dtype)
    layout = layout_of(problem, default=partitionable)
    if key is None:
        key = key_of(problem, x64=x64, partitionable=layout)
    key = drawing_key(definition, key, x64=x64, partitionable=layout)
    match definition:
        case Orthogonal():
            return _orthogonal(key, definition, problem.shape, dtype, partitionable=layout)
        case DeltaOrthogonal():
            return _delta_orthogonal(key, definition, problem.shape, dtype, partitionable=layout)
        case _:
            return _solved(
                key,
                definition,
                problem.shape,
                dtype,
                partitionable=layout,
                fused=fused,
                folded=folded,
            )


def _refuse_errors(definition: Definition, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    error = expected_error(definition, shape, dtype.name)
    if error:
        raise OracleUnavailable(
            f"{definition} has no {dtype.name} array of shape {format_shape(shape)}: "
            f"the call must raise {error}"
        )


def layout_of(problem: Problem, *, default: bool) -> bool:
    """Return whether the problem's counters are laid out so that they can be partitioned.

    default: the layout behind the plain name `threefry2x32`.

    Raises:
        OracleUnavailable: the PRNG is not Threefry.
    """
    layouts = {
        "threefry2x32": default,
        "threefry2x32_partitionable": True,
        "threefry2x32_nonpartitionable": False,
    }
    if problem.prng not in layouts:
        raise OracleUnavailable(
            f"{problem.id} draws from {problem.prng}, whose bits XLA leaves to each backend "
            "(RngBitGenerator with the default algorithm): only threefry2x32 has an oracle"
        )
    return layouts[problem.prng]


def key_of(problem: Problem, *, x64: bool = False, partitionable: bool = True) -> Key:
    """Return the key of a problem: that of its seed or its words, then child of child.

    x64: whether JAX keeps seeds beyond 32 bits; see `solve`. partitionable: the layout, which
    decides how the children of a key are numbered.
    """
    root = _root_key(problem.key, x64=x64 or problem.dtype in WIDE_DTYPES)
    return _descended(root, problem.steps, partitionable=partitionable)


def drawing_key(
    definition: Definition, key: Key, *, x64: bool = False, partitionable: bool = True
) -> Key:
    """Return the key that draws where an initializer of the definition is given this one."""
    descent = parse_descent(definition.drawn_with)
    root = key if descent.root is None else _root_key(descent.root, x64=x64)
    return _descended(root, descent.steps, partitionable=partitionable)


def solve_points(definition: Definition, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Solution:
    """Return the stages of one word of each point of a lattice that is kept: see TABULATED_WORDS.

    They are in the order of the points. Arrays of the definition and the shape look them up.

    Raises:
        OracleUnavailable: see `solve_words`.
    """
    return _table(definition, shape, dtype, frozenset(FUSED_DTYPES), None)


@functools.cache
def _points(dtype: np.dtype[Any]) -> Words:
    """Return a word of each point of the lattice, read-only."""
    kept, width = mantissa_bits(dtype), word_bits(dtype)
    words: Words = np.arange(1 << kept, dtype=f"u{width // 8}") << np.uint8(width - kept)
    words.flags.writeable = False
    return words


def _root_key(spec: KeySpec, *, x64: bool) -> Key:
    return np.array(spec.words, np.uint32) if spec.words else seed_key(spec.seed, x64=x64)


def _descended(key: Key, steps: tuple[Step, ...], *, partitionable: bool) -> Key:
    for step in steps:
        if step.name == FOLD:
            key = fold_in(key, step.number)
        else:
            key = split(key, step.number, partitionable=partitionable)[step.index]
    return key


def draw(key: Key, shape: tuple[int, ...], dtype: np.dtype[Any], *, partitionable: bool) -> Words:
    """Return one word per element; for complex dtypes two, from the two keys that a split gives.

    Of several keys the words are along a new axis, the first or, for complex dtypes, the second.
    """
    width = word_bits(dtype)
    if dtype.kind != "c":
        return random_bits(key, width, shape, partitionable=partitionable)
    halves = np.moveaxis(split(key, partitionable=partitionable), -2, 0)
    return random_bits(halves, width, shape, partitionable=partitionable)


def _in_parts(array: Array, function: Callable[[Array], Array], dtype: np.dtype[Any]) -> Array:
    """Return a function of each element, taken of so few that its temporaries stay in cache."""
    flat, found = array.ravel(), np.empty(array.size, dtype)
    for start in range(0, flat.size, CHUNK):
        part = slice(start, start + CHUNK)
        found[part] = function(flat[part])
    return found.reshape(array.shape)


def _solved(
    key: Key,
    definition: Definition,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    *,
    partitionable: bool,
    fused: Collection[str] = FUSED_DTYPES,
    folded: ErfErrors | None = None,
) -> Solution:
    """Return the stages of what a key draws; a dozen initializers in a row draw the same words."""
    drawn = None
    if math.prod(shape) > LARGEST_KEPT:
        words = draw(key, shape, dtype, partitionable=partitionable)
    else:
        drawn = Draw(key=key.tobytes(), shape=shape, dtype=dtype, partitionable=partitionable)
        words = _kept_words(drawn)
    solution = solve_words(words, definition, dtype, shape, fused=fused, folded=folded, drawn=drawn)
    return dataclasses.replace(solution, key=key)


@functools.lru_cache(maxsize=4)
def _kept_words(drawn: Draw) -> Words:
    """Return the words, read-only."""
    key = np.frombuffer(drawn.key, np.uint32)
    words = draw(key, drawn.shape, drawn.dtype, partitionable=drawn.partitionable)
    words.flags.writeable = False
    return words


@functools.lru_cache(maxsize=2)
def _kept_unit(drawn: Draw, law: Law) -> Array:
    """Return what a law without a factor makes of the words, read-only; of real dtypes."""
    unit = _in_parts(_kept_words(drawn), lambda words: unit_variate(words, law, drawn.dtype), WIDE)
    unit.flags.writeable = False
    return unit


def solve_words(
    words: Words,
    definition: Definition,
    dtype: np.dtype[Any],
    shape_for_fans: tuple[int, ...],
    *,
    fused: Collection[str] = FUSED_DTYPES,
    folded: ErfErrors | None = None,
    drawn: Draw | None = None,
) -> Solution:
    """Return the stages that follow from given random words: `word_bits(dtype)` wide, any shape.

    shape_for_fans: of the array whose fans scale the variance; the words may be of another shape.
    For complex dtypes the first axis of `words` has size 2. drawn: what decides the words, where
    the variates are to be kept for the next definition.

    Raises:
        OracleUnavailable: the definition draws no element by itself, or demands an error.
        ValueError: the words have the wrong width.
    """
    _refuse_errors(definition, shape_for_fans, dtype)
    law = law_of(definition, shape_for_fans, dtype.name)
    if law is None:
        raise OracleUnavailable(
            f"{type(definition).__name__} is no function of single random words"
            + (": it is stated by its moments only" if isinstance(definition, Declared) else "")
        )
    if words.dtype != np.dtype(f"u{word_bits(dtype) // 8}"):
        raise ValueError(
            f"words of {words.dtype} cannot become {dtype}: draw {word_bits(dtype)} bits each"
        )
    chain = Chain(
        words=words,
        law=law,
        definition=definition,
        dtype=dtype,
        shape=shape_for_fans,
        fused=frozenset(fused),
        folded=folded,
        draw=drawn,
    )
    return Solution(bits=words, chain=chain)


@functools.lru_cache(maxsize=256)
def _table(
    definition: Definition,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    fused: frozenset[str],
    folded: ErfErrors | None,
) -> Solution:
    """Return what each lattice point becomes."""
    solution = solve_words(_points(dtype), definition, dtype, shape, fused=fused, folded=folded)
    assert solution.chain is not None
    fields = {each.name: getattr(solution.chain, each.name) for each in dataclasses.fields(Chain)}
    return dataclasses.replace(solution, chain=_ChainOfPoints(**fields))


def _constant(definition: Constant, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Solution:
    value = definition.values(shape)
    wide = value.astype(np.complex128) if dtype.kind == "c" else value.real.astype(np.float64)
    return Solution(made=_rounded_once(np.broadcast_to(wide, shape).copy(), dtype))


def _orthogonal(
    key: Key,
    definition: Orthogonal,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    *,
    partitionable: bool,
) -> Solution:
    """Orthonormalise the matrix of normals that `jax.random.orthogonal` draws, in float64.

    The bits, uniforms and normals are those of the tall matrix, rows >= columns; a wide result is
    its transpose. The rows are then folded back into the other axes of `shape`.
    """
    normals = _normals(key, tall_shape(shape, definition), dtype, partitionable=partitionable)
    matrix = in_shape(haar(normals.value), shape, definition.column_axis)
    return dataclasses.replace(normals, made=_rounded_once(definition.scale * matrix, dtype))


def _normals(
    key: Key, shape: tuple[int, ...], dtype: np.dtype[Any], *, partitionable: bool
) -> Solution:
    return _solved(key, Normal(stddev=1.0), shape, dtype, partitionable=partitionable)


def solve_normals(
    problem: Problem,
    definition: Orthogonal | DeltaOrthogonal,
    *,
    key: Key | None = None,
    partitionable: bool = True,
) -> Solution:
    """Return the tall matrix of normals that a problem orthonormalises, stage by stage: no QR.

    Raises:
        OracleUnavailable: see `solve`.
    """
    dtype = as_dtype(problem.dtype)
    _refuse_errors(definition, problem.shape, dtype)
    layout = layout_of(problem, default=partitionable)
    if key is None:
        key = key_of(problem, partitionable=layout)
    key = drawing_key(definition, key, partitionable=layout)
    return _normals(key, tall_shape(problem.shape, definition), dtype, partitionable=layout)


def haar(normals: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the orthonormal factor Q of Z = QR with positive diagonal R: the only one, hence Haar.

    Source: Mezzadri, How to generate random matrices from the classical compact groups (2007).
    """
    orthonormal, triangular = np.linalg.qr(normals)
    diagonal = np.diagonal(triangular)
    # With D the signs (phases, of complex ones) of the diagonal, Z = (Q D)(D^H R).
    return np.asarray(orthonormal * np.sign(diagonal))


def _delta_orthogonal(
    key: Key,
    definition: DeltaOrthogonal,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    *,
    partitionable: bool,
) -> Solution:
    """Return zeros but for the spatial centre, if any: there the orthogonal matrix lies."""
    inner = Orthogonal(scale=definition.scale, column_axis=definition.column_axis)
    centre = _orthogonal(key, inner, shape[-2:], dtype, partitionable=partitionable)
    return dataclasses.replace(centre, made=_rounded_once(centred(centre.value, shape), dtype))


def _rounded_once(value: Array, dtype: np.dtype[Any]) -> Made:
    return Made(value=value, expected=round_once(value, dtype))
