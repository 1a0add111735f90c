"""What each instruction computes, by its full opcode. One that is not here is not emulated.

An opcode is listed with the types of its result and operands; registers are untyped, and are read
and written as these types say. Every floating-point instruction states its rounding, with the place
in the manual (PTX ISA 9.0). Those with an explicit `.rn` or `.rz` are "treated conservatively by
the code optimizer": no multiplication is contracted with an addition afterwards. Subnormal numbers
are supported wherever `.ftz` is absent.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from conformance.predict.ptx import rounding
from conformance.predict.ptx.approximate import divide, exponential, reciprocal, square_root

Array = npt.NDArray[Any]
Compute = Callable[..., Any]

DTYPES: Mapping[str, np.dtype[Any]] = {
    "pred": np.dtype(np.bool_),
    "f16": np.dtype(np.float16),
    "bf16": np.dtype(ml_dtypes.bfloat16),
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
    **{f"{kind}{bits}": np.dtype(f"u{bits // 8}") for kind in "bu" for bits in (16, 32, 64)},
    **{f"s{bits}": np.dtype(f"i{bits // 8}") for bits in (16, 32, 64)},
}
FLOATS = ("f16", "bf16", "f32", "f64")
NARROW_FLOATS = ("f16", "bf16", "f32")
SIGNED, UNSIGNED = ("s16", "s32", "s64"), ("u16", "u32", "u64")
WORDS = ("b16", "b32", "b64")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One opcode: types of result and operands, and the function from these to that.

    is_approximate: the function takes one argument more, an offset: see `approximate`.
    """

    result: str
    operands: tuple[str, ...]
    compute: Compute
    is_approximate: bool = False


# --- Floating point ------------------------------------------------------------------------------


def add(a: Array, b: Array) -> Array:
    """`add.rn`: a + b, rounded to nearest even (9.7.3.3; 9.7.4.1 for f16 and bf16)."""
    return rounding.add(a, b)


def add_towards_zero(a: Array, b: Array) -> Array:
    """`add.rz.f32`: a + b, rounded towards zero (9.7.3.3)."""
    exact = rounding.exact_sum(a.astype(np.float64), b.astype(np.float64))
    return rounding.towards_zero(*exact)


def subtract(a: Array, b: Array) -> Array:
    """`sub.rn`: a - b, rounded to nearest even (9.7.3.4, 9.7.4.2)."""
    return rounding.add(a, -b)


def multiply(a: Array, b: Array) -> Array:
    """`mul.rn`: a * b, rounded to nearest even (9.7.3.5, 9.7.4.3)."""
    return rounding.multiply(a, b)


def fused_multiply_add(a: Array, b: Array, c: Array) -> Array:
    """`fma.rn`: a * b + c "with no loss of precision in the intermediate product and addition",
    rounded to nearest even once (9.7.3.6, 9.7.4.4).
    """  # noqa: D205  # the quotation is one sentence
    return rounding.multiply_add(a, b, c)


def maximum(a: Array, b: Array) -> Array:
    """`max.NaN`: exact; NaN if either is NaN, and +0 > -0 (9.7.3.12, 9.7.4.8)."""
    return rounding.canonical(np.where(_is_first_larger(a, b), a, b))


def minimum(a: Array, b: Array) -> Array:
    """`min.NaN`: exact; NaN if either is NaN, and -0 < +0 (9.7.3.11, 9.7.4.7)."""
    return rounding.canonical(np.where(np.isnan(a) | ~_is_first_larger(a, b) & ~np.isnan(b), a, b))


def maximum_number(a: Array, b: Array) -> Array:
    """`max.f64`: exact; the other operand where one is NaN, and +0 > -0 (9.7.3.12)."""
    return np.where(np.isnan(b) | ~np.isnan(a) & _is_first_larger(a, b), a, b)


def minimum_number(a: Array, b: Array) -> Array:
    """`min.f64`: exact; the other operand where one is NaN, and -0 < +0 (9.7.3.11)."""
    return np.where(np.isnan(a) | ~np.isnan(b) & _is_first_larger(a, b), b, a)


def quotient(a: Array, b: Array) -> Array:
    """`div.rn.f64`: a / b, rounded to nearest even (9.7.3.8)."""
    return np.asarray(a / b)


def root(a: Array) -> Array:
    """`sqrt.rn.f64`: rounded to nearest even (9.7.3.15)."""
    return np.asarray(np.sqrt(a))


def to_integer(a: Array) -> Array:
    """`cvt.rni` between floats: the nearest integer, ties to the even one (9.7.9.21)."""
    return np.asarray(np.rint(a))


def _is_first_larger(a: Array, b: Array) -> Array:
    """Return whether a is NaN, or larger than b and b no NaN; zeros are ordered by sign."""
    is_zero_above = (a == b) & ~np.signbit(a)
    return np.asarray(np.isnan(a) | ((a > b) | is_zero_above) & ~np.isnan(b))


def negate(a: Array) -> Array:
    """`neg`: exact, the sign flipped (9.7.3.10, 9.7.4.5)."""
    return np.negative(a)


def absolute(a: Array) -> Array:
    """`abs`: exact, the sign cleared (9.7.3.9, 9.7.4.6)."""
    return np.abs(a)


def copy_sign(a: Array, b: Array) -> Array:
    """`copysign`: exact; the magnitude of b with the sign of a (9.7.3.2)."""
    return np.copysign(b, a)


APPROXIMATE = {
    "sqrt.approx.f32": Operation(result="f32", operands=("f32",), compute=square_root),
    "div.full.f32": Operation(result="f32", operands=("f32", "f32"), compute=divide),
    "ex2.approx.ftz.f32": Operation(result="f32", operands=("f32",), compute=exponential),
    "rcp.approx.ftz.f64": Operation(result="f64", operands=("f64",), compute=reciprocal),
}
"""Instructions that `approximate` describes: their last bits are the device's own."""


def _floating_point() -> dict[str, Operation]:
    table = {}
    for kind in FLOATS:
        for opcode, compute in {"add": add, "sub": subtract, "mul": multiply}.items():
            table[f"{opcode}.rn.{kind}"] = _uniform(kind, 2, compute)
        table[f"fma.rn.{kind}"] = _uniform(kind, 3, fused_multiply_add)
        table[f"neg.{kind}"] = _uniform(kind, 1, negate)
        table[f"abs.{kind}"] = _uniform(kind, 1, absolute)
    for kind in NARROW_FLOATS:
        table[f"max.NaN.{kind}"] = _uniform(kind, 2, maximum)
        table[f"min.NaN.{kind}"] = _uniform(kind, 2, minimum)
    for kind in ("f32", "f64"):
        table[f"copysign.{kind}"] = _uniform(kind, 2, copy_sign)
        table[f"cvt.rni.{kind}.{kind}"] = _uniform(kind, 1, to_integer)
    for half in ("f16", "bf16"):
        for name in [name for name in table if name.endswith(f".{half}")]:
            table[f"{name}x2"] = _paired(half, table[name])
    table["add.rz.f32"] = _uniform("f32", 2, add_towards_zero)
    table["max.f64"] = _uniform("f64", 2, maximum_number)
    table["min.f64"] = _uniform("f64", 2, minimum_number)
    table["div.rn.f64"] = _uniform("f64", 2, quotient)
    table["sqrt.rn.f64"] = _uniform("f64", 1, root)
    for opcode, approximate in APPROXIMATE.items():
        table[opcode] = dataclasses.replace(approximate, is_approximate=True)
    return table


def _paired(kind: str, single: Operation) -> Operation:
    """Return the operation on both halves of a word, as `.f16x2` and `.bf16x2` do it (9.7.4)."""

    def compute(*words: Array) -> Array:
        halves = (np.ascontiguousarray(word).view(DTYPES[kind]) for word in words)
        return np.ascontiguousarray(single.compute(*halves)).view(np.uint32)

    return _uniform("b32", len(single.operands), compute)


def _uniform(kind: str, n_operands: int, compute: Compute) -> Operation:
    return Operation(result=kind, operands=(kind,) * n_operands, compute=compute)


# --- Comparison and selection --------------------------------------------------------------------

COMPARISONS = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}
COMBINATIONS = {"and": operator.and_, "or": operator.or_, "xor": operator.xor}


def _ordered(compare: Compute) -> Compute:
    """`setp` of floats is false where either operand is NaN (9.7.6.2, 9.7.7.2)."""
    return lambda a, b: compare(a, b) & ~(np.isnan(a) | np.isnan(b))


def _unordered(compare: Compute) -> Compute:
    """With the suffix `u` it is true where either operand is NaN (9.7.6.2, 9.7.7.2)."""
    return lambda a, b: compare(a, b) | np.isnan(a) | np.isnan(b)


def _either_nan(a: Array, b: Array) -> Array:
    return np.isnan(a) | np.isnan(b)


def _neither_nan(a: Array, b: Array) -> Array:
    return ~_either_nan(a, b)


def _select(a: Array, b: Array, chosen: Array) -> Array:
    """`selp`: a where the predicate holds, else b (9.7.6.3)."""
    return np.where(chosen, a, b)


def _combined(compare: Compute, combine: Compute) -> Compute:
    """`setp` with a third operand combines the comparison with it (9.7.6.2, 9.7.7.2)."""
    return lambda a, b, other: combine(compare(a, b), other)


def _comparison() -> dict[str, Operation]:
    table = {}
    for name, kind, compare in _comparisons():
        table[f"setp.{name}.{kind}"] = Operation(
            result="pred", operands=(kind, kind), compute=compare
        )
        for word, combine in COMBINATIONS.items():
            table[f"setp.{name}.{word}.{kind}"] = Operation(
                result="pred", operands=(kind, kind, "pred"), compute=_combined(compare, combine)
            )
    for kind in (*WORDS, *SIGNED, *UNSIGNED, "f32", "f64"):
        table[f"selp.{kind}"] = Operation(
            result=kind, operands=(kind, kind, "pred"), compute=_select
        )
    return table


def _comparisons() -> Iterator[tuple[str, str, Compute]]:
    """Yield the name of each comparison, the type of its operands, and what it computes."""
    for name, compare in COMPARISONS.items():
        for kind in (*SIGNED, *UNSIGNED, *WORDS):
            yield name, kind, compare
        for kind in FLOATS:
            yield name, kind, _ordered(compare)
            yield f"{name}u", kind, _unordered(compare)
    for kind in FLOATS:
        yield "nan", kind, _either_nan
        yield "num", kind, _neither_nan


# --- Integers, logic, shifts ---------------------------------------------------------------------


def _multiply_add_low(a: Array, b: Array, c: Array) -> Array:
    return np.asarray(a * b + c)


def _multiply_high(a: Array, b: Array) -> Array:
    """`mul.hi`: the upper half of the product (9.7.1.3)."""
    return np.asarray(_widening(a, b) >> (8 * a.dtype.itemsize)).astype(a.dtype)


def _shift_left(a: Array, count: Array) -> Array:
    """`shl`: amounts beyond the width give 0 (9.7.8.8)."""
    width = 8 * a.dtype.itemsize
    shifted = np.asarray(a << np.minimum(count, width - 1).astype(a.dtype))
    return np.asarray(np.where(count < width, shifted, a.dtype.type(0)))


def _shift_right(a: Array, count: Array) -> Array:
    """`shr`: amounts are clamped to the width; signed operands fill with the sign (9.7.8.9)."""
    width = 8 * a.dtype.itemsize
    shifted = np.asarray(a >> np.minimum(count, width - 1).astype(a.dtype))
    if a.dtype.kind == "i":
        return shifted
    return np.asarray(np.where(count < width, shifted, a.dtype.type(0)))


def _funnel_left(low: Array, high: Array, count: Array) -> Array:
    """`shf.l.wrap.b32`: the high word of high:low << (count mod 32) (9.7.8.7)."""
    both = (high.astype(np.uint64) << np.uint64(32)) | low
    moved = both << (count & np.uint32(31)).astype(np.uint64)
    return np.asarray(moved >> np.uint64(32), np.uint32)


def _permute(a: Array, b: Array, selector: Array) -> Array:
    """`prmt.b32`: four bytes of the pair b:a, or their signs where a nibble's top bit is set
    (9.7.9.7).
    """  # noqa: D205  # one sentence
    both = (b.astype(np.uint64) << np.uint64(32)) | a
    result = np.zeros(a.shape, np.uint64)
    for position in range(4):
        nibble = (selector >> np.uint32(4 * position)).astype(np.uint64)
        byte = (both >> (nibble % np.uint64(8) * np.uint64(8))) & np.uint64(0xFF)
        sign = (byte >> np.uint64(7)) * np.uint64(0xFF)
        chosen = np.where(nibble & np.uint64(8), sign, byte)
        result |= chosen << np.uint64(8 * position)
    return result.astype(np.uint32)


def _integer() -> dict[str, Operation]:
    table = {}
    for kind in ("s16", "s32", "u16", "u32"):
        table[f"mul.hi.{kind}"] = _uniform(kind, 2, _multiply_high)
    for kind in (*SIGNED, *UNSIGNED):
        table[f"add.{kind}"] = _uniform(kind, 2, operator.add)
        table[f"sub.{kind}"] = _uniform(kind, 2, operator.sub)
        table[f"mul.lo.{kind}"] = _uniform(kind, 2, operator.mul)
        table[f"mad.lo.{kind}"] = _uniform(kind, 3, _multiply_add_low)
        table[f"shr.{kind}"] = Operation(result=kind, operands=(kind, "u32"), compute=_shift_right)
    for sign in "us":
        for narrow, wide in (("16", "32"), ("32", "64")):
            table[f"mul.wide.{sign}{narrow}"] = Operation(
                result=f"{sign}{wide}", operands=(f"{sign}{narrow}",) * 2, compute=_widening
            )
    for kind in (*WORDS, "pred"):
        table[f"and.{kind}"] = _uniform(kind, 2, operator.and_)
        table[f"or.{kind}"] = _uniform(kind, 2, operator.or_)
        table[f"xor.{kind}"] = _uniform(kind, 2, operator.xor)
        table[f"not.{kind}"] = _uniform(kind, 1, operator.invert)
    for kind in WORDS:
        table[f"shl.{kind}"] = Operation(result=kind, operands=(kind, "u32"), compute=_shift_left)
    table["prmt.b32"] = _uniform("b32", 3, _permute)
    table["shf.l.wrap.b32"] = Operation(
        result="b32", operands=("b32", "b32", "u32"), compute=_funnel_left
    )
    return table


def _widening(a: Array, b: Array) -> Array:
    wide = np.dtype(f"{a.dtype.kind}{2 * a.dtype.itemsize}")
    return np.asarray(a.astype(wide) * b.astype(wide))


# --- Moves and conversions -----------------------------------------------------------------------


def _same(a: Array) -> Array:
    return a


def _converted(kind: str) -> Compute:
    """`cvt.rn`: rounded to nearest even (9.7.9.21). Widening floats is exact."""
    return lambda a: rounding.convert(a, DTYPES[kind])


def _packed(kind: str) -> Compute:
    """`cvt.rn` of two floats into one word: the first into its upper half (9.7.9.21)."""

    def pack(high: Array, low: Array) -> Array:
        halves = (rounding.convert(side, DTYPES[kind]).view(np.uint16) for side in (high, low))
        upper, lower = (half.astype(np.uint32) for half in halves)
        return np.asarray(upper << np.uint32(16) | lower)

    return pack


def _resized(kind: str) -> Compute:
    """`cvt` between integers keeps the low bits, or extends by the sign of the source."""
    return lambda a: a.astype(DTYPES[kind])


def _moves() -> dict[str, Operation]:
    table = {}
    for kind in (*WORDS, *SIGNED, *UNSIGNED, "f32", "f64", "pred"):
        table[f"mov.{kind}"] = _uniform(kind, 1, _same)
    table["cvta.to.global.u64"] = _uniform("u64", 1, _same)
    for target in FLOATS:
        for source in ("s16", "u16", "s32", "u32"):
            table[f"cvt.rn.{target}.{source}"] = Operation(
                result=target, operands=(source,), compute=_converted(target)
            )
    for narrow, wide in (("f16", "f32"), ("bf16", "f32"), ("f32", "f64")):
        table[f"cvt.rn.{narrow}.{wide}"] = Operation(
            result=narrow, operands=(wide,), compute=_converted(narrow)
        )
        table[f"cvt.{wide}.{narrow}"] = Operation(
            result=wide, operands=(narrow,), compute=_converted(wide)
        )
    for half in ("f16", "bf16"):
        table[f"cvt.rn.{half}x2.f32"] = Operation(
            result="b32", operands=("f32", "f32"), compute=_packed(half)
        )
    for source in ("s64", "u64"):
        table[f"cvt.rn.f64.{source}"] = Operation(
            result="f64", operands=(source,), compute=_converted("f64")
        )
    integers = (*SIGNED, *UNSIGNED)
    for target in integers:
        for source in integers:
            table[f"cvt.{target}.{source}"] = Operation(
                result=target, operands=(source,), compute=_resized(target)
            )
    return table


OPERATIONS: Mapping[str, Operation] = {
    **_floating_point(),
    **_comparison(),
    **_integer(),
    **_moves(),
}
"""All instructions between registers, by opcode. Loads, stores and jumps are the machine's."""
