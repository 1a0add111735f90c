"""The number formats, one record each: what is said of a dtype anywhere is said here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

Shapes = tuple[tuple[int, ...], ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """What a dtype is, how JAX draws in it, and what of it is run.

    bits: width of one real. mantissa_bits: those below the leading 1, which are the random bits of
        one uniform. min_exponent: of the smallest normal number, as a power of two.
    real: the format of a complex number's parts, or "".
    is_wide: whether JAX needs x64 for it. is_rare: whether only the full tier runs it.
    is_native: whether NumPy converts to it, rounding once; see `oracle.rounding`.
    is_fused: whether a product and the sum that follows it round once on most CPUs.
    is_followed: whether XLA's own chain of roundings is modelled, as it is up to 32 bits.
    sweep_shapes: of at least as many elements as a sweep has points, see `cases.sweeps`; empty
        where no sweep can say more than the enumerated words do.
    """

    name: str
    bits: int
    mantissa_bits: int
    min_exponent: int
    real: str = ""
    is_wide: bool = False
    is_rare: bool = False
    is_native: bool = True
    is_fused: bool = False
    is_followed: bool = False
    sweep_shapes: Shapes = ()

    @property
    def is_complex(self) -> bool:
        """Return whether its numbers have two parts."""
        return bool(self.real)

    @property
    def word_bits(self) -> int:
        """Return the width of the word that JAX draws for one real."""
        return 8 if self.mantissa_bits < 8 else self.bits

    @property
    def is_foretold(self) -> bool:
        """Return whether the modelled chain foretells every bit: a sweep would measure nothing.

        A kernel good to 16 ULP of float32, 2^-20, is nearer to a tie between two numbers of 4 bits
        less than once in 1e4 lattice points, of which there are 16 at most.
        """
        return self.is_followed and not self.sweep_shapes

    @property
    def cell(self) -> float:
        """Return the distance between two uniforms on [0, 1)."""
        return 2.0**-self.mantissa_bits

    @property
    def smallest_normal(self) -> float:
        """Return the smallest positive number with all its mantissa bits."""
        return 2.0**self.min_exponent


# No size of a sweep's shape is a power of two, for then the arithmetic of the fans would be exact,
# and its roundings, which users see, would not be. The second shape is for axes that need a third
# dimension.
_FLOAT32 = Format(
    name="float32",
    bits=32,
    mantissa_bits=23,
    min_exponent=-126,
    is_fused=True,
    is_followed=True,
    sweep_shapes=((2896, 2897), (203, 204, 203)),
)

_FLOAT64 = Format(
    name="float64",
    bits=64,
    mantissa_bits=52,
    min_exponent=-1022,
    is_wide=True,
    is_rare=True,
    is_fused=True,
    sweep_shapes=((1023, 1026), (101, 102, 102)),
)


def _complex(name: str, part: Format) -> Format:
    """Return the format of pairs, in all else that of a part; no sweep walks two words at once."""
    return dataclasses.replace(
        part,
        name=name,
        real=part.name,
        is_wide=True,
        is_rare=True,
        is_followed=False,
        sweep_shapes=(),
    )


def _float8(name: str, *, mantissa_bits: int, min_exponent: int) -> Format:
    """Return one of the formats of 8 bits, which share their words of 8."""
    return Format(
        name=name,
        bits=8,
        mantissa_bits=mantissa_bits,
        min_exponent=min_exponent,
        is_rare=True,
        is_native=False,
        is_followed=True,
    )


_ALL = (
    _FLOAT32,
    Format(
        name="bfloat16",
        bits=16,
        mantissa_bits=7,
        min_exponent=-126,
        is_native=False,
        is_followed=True,
        sweep_shapes=((11, 12), (5, 5, 6)),
    ),
    Format(
        name="float16",
        bits=16,
        mantissa_bits=10,
        min_exponent=-14,
        is_followed=True,
        sweep_shapes=((29, 37), (10, 10, 11)),
    ),
    _FLOAT64,
    _complex("complex64", _FLOAT32),
    _complex("complex128", _FLOAT64),
    _float8("float8_e3m4", mantissa_bits=4, min_exponent=-2),
    _float8("float8_e4m3", mantissa_bits=3, min_exponent=-6),
    _float8("float8_e4m3b11fnuz", mantissa_bits=3, min_exponent=-10),
    _float8("float8_e4m3fn", mantissa_bits=3, min_exponent=-6),
    _float8("float8_e4m3fnuz", mantissa_bits=3, min_exponent=-7),
    _float8("float8_e5m2", mantissa_bits=2, min_exponent=-14),
    _float8("float8_e5m2fnuz", mantissa_bits=2, min_exponent=-15),
    _float8("float8_e8m0fnu", mantissa_bits=0, min_exponent=-127),
)

FORMATS = {each.name: each for each in _ALL}
"""All formats by the name of their dtype."""


def _names(is_one: Callable[[Format], bool]) -> tuple[str, ...]:
    return tuple(each.name for each in _ALL if is_one(each))


DTYPES = tuple(FORMATS)

NARROW_DTYPES = _names(lambda each: not each.is_rare)
"""Dtypes that every tier runs."""

RARE_DTYPES = _names(lambda each: each.is_rare)
"""Dtypes that only the full tier runs."""

WIDE_DTYPES = _names(lambda each: each.is_wide)
"""Dtypes that are run with x64 enabled."""

FUSED_DTYPES = _names(lambda each: each.is_fused)
"""Formats in which a product and the sum that follows it round once, as a fused multiply-add.

That is a property of the device: XLA leaves it to LLVM. x86 from AVX2 on fuses these two, AVX none,
AVX512-FP16 float16 as well. bfloat16 is never fused, because XLA rounds it explicitly.
"""


def fusings(dtype: str) -> tuple[tuple[str, ...], ...]:
    """Return which formats devices fuse, the commonest first: `dtype` is one of them, or it is not.

    Arm and NVIDIA fuse 16-bit formats, where XLA lets them.
    """
    other = {*FUSED_DTYPES} ^ {dtype}
    return FUSED_DTYPES, tuple(each for each in DTYPES if each in other)


SWEPT_DTYPES = tuple(
    sorted(
        _names(lambda each: bool(each.sweep_shapes)), key=lambda name: FORMATS[name].mantissa_bits
    )
)
"""Dtypes whose laws are swept, the smallest lattice first."""

LOG2_LATTICE = {8: 7, 16: 10, 32: 23, 64: 52}
"""Points of the whole lattice by width of the word, as a power of two. Of 8 bits 7 count in
bfloat16; a format of fewer mantissa bits has the same point several times."""

LOG2_STRATA = 20
"""Strata of a float64 sweep, as a power of two."""


def default_log2_points(bits: int) -> int:
    """Return the points of a sweep on a fast backend, as a power of two."""
    return LOG2_STRATA if bits == 64 else LOG2_LATTICE[bits]


def is_complex(dtype: str) -> bool:
    """Return whether the dtype is a complex one; no other need be a format of ours."""
    return dtype in FORMATS and FORMATS[dtype].is_complex
