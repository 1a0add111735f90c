"""The array that an initializer must return by its definition, and every stage on the way."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Collection, Iterator
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

LARGEST_KEPT = 1 << 20
"""Elements of the largest array whose words are kept for the next initializer: 16 MiB at most."""

TABULATED_WORDS = (8, 16)
"""Bits of the words of which all values are looked up in a table: a thousand at most."""


class OracleUnavailable(ValueError):  # noqa: N818 (named like BackendUnavailable)
    """The oracle has no answer to this problem, for the stated reason."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Chain:
    """JAX's own sequence of roundings, from given words; each part is made when it is asked for.

    Most arrays lie within rounding of the definition, and nobody asks what the sequence gives.
    law: that of the definition for the shape. The rest: see `solve_words`.
    """

    words: Words
    law: Law
    definition: Definition
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fused: frozenset[str] = frozenset(FUSED_DTYPES)
    folded: ErfErrors | None = None

    @functools.cached_property
    def uniform(self) -> Array:
        """What `jax.random.uniform` makes of the words; of complex dtypes the two fractions."""
        if self.dtype.kind == "c":
            return lattice(self.words, self.dtype)
        if (table := self.table) is not None:
            return np.asarray(table.uniform)[self.points]
        flat, found = self.words.ravel(), np.empty(self.words.size)
        for part in _parts(flat):
            found[part] = followed_uniform(
                flat[part], self.law, self.dtype, self.fused, folded=self.folded
            )
        return found.reshape(self.words.shape)

    @functools.cached_property
    def followed(self) -> Array | None:
        """What it comes to, in the dtype; None where XLA's functions are not modelled."""
        if not FORMATS[self.dtype.name].is_followed:
            return None
        if (table := self.table) is not None:
            return np.asarray(table.followed)[self.points]
        flat, found = self.uniform.ravel(), np.empty(self.words.size, self.dtype)
        for part in _parts(flat):
            found[part] = followed_value(
                flat[part], self.law, self.definition, self.shape, self.dtype, self.fused
            )
        return found.reshape(self.words.shape)

    @property
    def points(self) -> Words:
        """The place on the lattice of each word."""
        width = 8 * self.words.dtype.itemsize
        found: Words = self.words >> self.words.dtype.type(width - mantissa_bits(self.dtype))
        return found

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
class Solution:
    """The stages of one answer. A stage is None where the definition has none.

    key: two 32-bit words.
    bits: the random words, one per element; for complex dtypes two, along a new first axis.
    unit: the variate before scaling, from the bits, without rounding to the dtype on the way.
    value: `unit` scaled, in float64 or complex128.
    expected: `value` rounded once to the dtype: the definition's answer.
    chain: JAX's sequence of roundings. is_followed: whether it ends in the array itself, and not
        in what is drawn for a matrix.
    """

    key: Key | None
    bits: Words | None
    unit: Array | None
    value: Array
    expected: Array
    chain: Chain | None
    is_followed: bool = True

    @property
    def uniform(self) -> Array | None:
        """What `jax.random.uniform` makes of the bits in the dtype, as float64.

        For complex dtypes the two fractions in [0, 1).
        """
        return None if self.chain is None else self.chain.uniform

    @property
    def followed(self) -> Array | None:
        """The answer of JAX if it does what it says; real dtypes up to float32 only."""
        return None if self.chain is None or not self.is_followed else self.chain.followed


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
            words = _drawn(key, problem.shape, dtype, partitionable=layout)
            solution = solve_words(
                words, definition, dtype, problem.shape, fused=fused, folded=folded
            )
            return dataclasses.replace(solution, key=key)


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


def _drawn(key: Key, shape: tuple[int, ...], dtype: np.dtype[Any], *, partitionable: bool) -> Words:
    """Return the words of one key, read-only: a dozen initializers in a row draw the same ones."""
    if math.prod(shape) > LARGEST_KEPT:
        return draw(key, shape, dtype, partitionable=partitionable)
    return _kept_words(key.tobytes(), shape, dtype, partitionable)


@functools.lru_cache(maxsize=4)
def _kept_words(
    key: bytes, shape: tuple[int, ...], dtype: np.dtype[Any], partitionable: bool
) -> Words:
    words = draw(np.frombuffer(key, np.uint32), shape, dtype, partitionable=partitionable)
    words.flags.writeable = False
    return words


def solve_words(
    words: Words,
    definition: Definition,
    dtype: np.dtype[Any],
    shape_for_fans: tuple[int, ...],
    *,
    fused: Collection[str] = FUSED_DTYPES,
    folded: ErfErrors | None = None,
) -> Solution:
    """Return the stages that follow from given random words: `word_bits(dtype)` wide, any shape.

    shape_for_fans: of the array whose fans scale the variance; the words may be of another shape.
    For complex dtypes the first axis of `words` has size 2.

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
    )
    return _complex_stages(chain) if dtype.kind == "c" else _real_stages(chain)


def _parts(flat: Array) -> Iterator[slice]:
    """Yield the parts of an array whose temporaries stay in cache."""
    return (slice(start, start + CHUNK) for start in range(0, flat.size, CHUNK))


def _real_stages(chain: Chain) -> Solution:
    """Run all elementwise stages: chunk by chunk, or by a table where words have few values."""
    words, law, dtype = chain.words, chain.law, chain.dtype
    if (table := chain.table) is not None:
        return _looked_up(chain, table)
    flat, expected = words.ravel(), np.empty(words.size, dtype)
    unit, value = np.empty((2, words.size))
    for part in _parts(flat):
        unit[part] = unit_variate(flat[part], law, dtype)
        np.multiply(unit[part], law.factor, out=value[part])
        expected[part] = round_once(value[part], dtype)
    return Solution(
        key=None,
        bits=words,
        unit=unit.reshape(words.shape),
        value=value.reshape(words.shape),
        expected=expected.reshape(words.shape),
        chain=chain,
    )


def _looked_up(chain: Chain, table: Solution) -> Solution:
    points = chain.points
    return Solution(
        key=None,
        bits=chain.words,
        unit=np.asarray(table.unit)[points],
        value=table.value[points],
        expected=table.expected[points],
        chain=chain,
    )


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


def _complex_stages(chain: Chain) -> Solution:
    unit = complex_unit_variate(chain.words, chain.law, chain.dtype)
    value = unit * chain.law.factor
    return Solution(
        key=None,
        bits=chain.words,
        unit=unit,
        value=value,
        expected=round_once(value, chain.dtype),
        chain=chain,
    )


def _constant(definition: Constant, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Solution:
    value = definition.values(shape)
    wide = value.astype(np.complex128) if dtype.kind == "c" else value.real.astype(np.float64)
    full = np.broadcast_to(wide, shape).copy()
    expected = round_once(full, dtype)
    return Solution(key=None, bits=None, unit=None, value=full, expected=expected, chain=None)


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
    value = definition.scale * matrix
    return dataclasses.replace(
        normals, value=value, expected=round_once(value, dtype), is_followed=False
    )


def _normals(
    key: Key, shape: tuple[int, ...], dtype: np.dtype[Any], *, partitionable: bool
) -> Solution:
    words = _drawn(key, shape, dtype, partitionable=partitionable)
    normals = solve_words(words, Normal(stddev=1.0), dtype, shape)
    return dataclasses.replace(normals, key=key)


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
    value = centred(centre.value, shape)
    return dataclasses.replace(centre, value=value, expected=round_once(value, dtype))
