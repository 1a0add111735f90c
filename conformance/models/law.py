"""The law of what a formula draws, from the primitives that it applies to random words.

The names of inner functions say nothing: from JAX 0.12 on sqrt(2) and the stddev are one constant
of `normal`. What counts is the chain: words, shifted and given the exponent of 1, less 1, are a
uniform; affine steps move its ends; erf_inv makes normals of (-1, 1), and of narrower ends normals
cut at their quantiles.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import special

from conformance.core.arrays import Array, as_dtype
from conformance.core.formats import FORMATS
from conformance.core.laws import (
    COMPLEX_TRUNCATED_STDDEV,
    Definition,
    DeltaOrthogonal,
    Normal,
    Orthogonal,
    TruncatedNormal,
    Uniform,
)
from conformance.core.laws import Constant as ConstantLaw
from conformance.core.ulp import unit_roundoff
from conformance.models.formula import (
    HAAR,
    IN_NUMPY,
    Complexed,
    Constant,
    Drawn,
    Formula,
    Joined,
    Placed,
    Rule,
    Unknown,
)
from conformance.models.names import NORMAL, TRUNCATED, UNIFORM, Scaled


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LawRead:
    """What a formula draws.

    definition: None where it is unknown; `reason` then says why.
    shift: what is added to every element of a normal, which no definition here has.
    is_mirrored: the values fall as the random words rise: `-normal(...)`, of the same law.
    drawn_dtype: in which the unit variate is drawn; "" of constants. casts: dtypes that came after.
    drawn_shape: what one key draws, before it is moved.
    scaled: the law of complex numbers, of which no definition here is one.
    """

    definition: Definition | None = None
    shift: float = 0.0
    is_mirrored: bool = False
    drawn_dtype: str = ""
    casts: tuple[str, ...] = ()
    drawn_shape: tuple[int, ...] = ()
    reason: str = ""
    scaled: Scaled | None = None

    @property
    def is_random(self) -> bool:
        """Return whether keys decide about the values, for all that is known."""
        return bool(self.drawn_dtype)

    @property
    def variance(self) -> float | None:
        """Return the variance of an element by the definition, before any rounding."""
        if self.scaled:
            return self.scaled.variance
        if self.definition is None:
            return None
        if isinstance(self.definition, Orthogonal):
            # Rows or columns, the shorter side, have the length `scale`, shared by n elements.
            rows = math.prod(self.drawn_shape) // max(1, self.drawn_shape[-1])
            return self.definition.scale**2 / max(1, rows, self.drawn_shape[-1])
        nominal = self.definition.nominal(self.drawn_shape, is_complex=False)
        return None if nominal is None else nominal.variance

    @property
    def mean(self) -> float:
        """Return the mean of an element, 0 where nobody knows it."""
        if self.definition is None:
            return 0.0
        nominal = self.definition.nominal(self.drawn_shape, is_complex=False)
        return self.shift + (float(nominal.mean.real) if nominal else 0.0)


class _NoLawError(Exception):
    """The chain of steps is that of no law here; the message says where."""


def law_read(formula: Formula) -> LawRead:
    """Return the law of a formula; of joined parts, that which all of them have."""
    match formula:
        case Constant() if formula.is_uniform:
            return LawRead(definition=ConstantLaw(value=float(formula.value)))
        case Constant(array=array) if array.size:
            return LawRead(reason=f"constants from {array.min():g} to {array.max():g}")
        case Constant():
            return LawRead(reason="no elements")
        case Drawn():
            return _of_drawn(formula)
        case Placed():
            return _of_placed(formula)
        case Complexed():
            return _of_complexed(formula)
        case Joined(parts=parts):
            each = (dataclasses.replace(law_read(part), is_mirrored=False) for part in parts)
            laws = list(dict.fromkeys(each))
            if len(laws) == 1:
                return laws[0]
            told = ", ".join(dict.fromkeys(each.reason or text_of(each) for each in laws))
            return LawRead(reason=f"joined of {told}")
        case Unknown(reason=reason):
            return LawRead(reason=reason)
        case _:
            return LawRead(reason=type(formula).__name__.lower())


def text_of(law: LawRead) -> str:
    """Return the law as an expression: `normal(stddev=0.02)`."""
    if law.scaled:
        return f"complex {law.scaled.distribution} of stddev {math.sqrt(law.scaled.variance):.4g}"
    match law.definition:
        case None:
            return f"unknown: {law.reason}"
        case ConstantLaw(value=value):
            return f"constant({value:g})"
        case TruncatedNormal(stddev=stddev, lower=lower, upper=upper):
            text = f"truncated_normal(stddev={stddev:.4g}, {lower:.4g}, {upper:.4g})"
        case Orthogonal(scale=scale) | DeltaOrthogonal(scale=scale):
            name = "orthogonal" if isinstance(law.definition, Orthogonal) else "delta_orthogonal"
            text = name + ("" if math.isclose(scale, 1) else f"(scale={scale:.4g})")
        case Normal() | Uniform():
            text = law.definition.call
        case _:
            text = str(law.definition)
    return f"{law.shift:.4g} + {text}" if law.shift else text


def _of_drawn(formula: Drawn) -> LawRead:
    reader = _Steps(formula.width)
    try:
        reader.read(formula.rules)
        definition = reader.definition()
    except _NoLawError as error:
        dtype = reader.dtype or "words"
        return LawRead(reason=str(error), drawn_dtype=dtype, drawn_shape=formula.drawn_shape)
    return LawRead(
        definition=definition,
        shift=reader.shift(),
        is_mirrored=reader.is_mirrored(definition),
        drawn_dtype=reader.dtype,
        casts=tuple(reader.casts),
        drawn_shape=formula.drawn_shape,
    )


def _of_placed(formula: Placed) -> LawRead:
    """Return the law of orthogonal matrices in the centre of zeros; of anything else none."""
    law, field = _of_drawn(formula.part), formula.shape[:-2]
    is_delta = formula.index == tuple((size - 1) // 2 for size in field)
    if is_delta and isinstance(law.definition, Orthogonal):
        definition = DeltaOrthogonal(scale=law.definition.scale)
        return dataclasses.replace(law, definition=definition, drawn_shape=formula.shape)
    reason = f"at {formula.index} in the midst of zeros: {law.reason or text_of(law)}"
    return dataclasses.replace(law, definition=None, reason=reason)


COMPLEX: Mapping[str, tuple[Callable[[Array, Array], Array], float]] = {
    NORMAL: (lambda u, v: special.erfinv(2 * u - 1) + 1j * special.erfinv(2 * v - 1), 1.0),
    TRUNCATED: (
        lambda u, v: np.sqrt(-np.log(1 - (1 - math.exp(-4)) * u)) * np.exp(2j * math.pi * v),
        COMPLEX_TRUNCATED_STDDEV**2,
    ),
    UNIFORM: (lambda u, v: np.sqrt(u) * np.exp(2j * math.pi * v), 0.5),
}
"""How the complex numbers of a distribution are made of two uniforms, and their variance.

Source: `_complex_truncated_normal` and `_complex_uniform` of jax._src.nn.initializers; a normal has
both parts independent.
"""

IN_NUMPY_OF_REALS: Mapping[str, Callable[..., Array]] = {
    **IN_NUMPY,
    "erf_inv": special.erfinv,
    "max": np.maximum,
    "min": np.minimum,
}

N_COMPARED, COMPLEX_ACCURACY = 61, 1e-4
"""Points at which complex numbers are compared with those of a distribution; and how nearly, since
the uniforms of `normal` begin a number above -1. The factor is read at one more point, where what
that moves the real part up it moves the imaginary part down."""


def _of_complexed(formula: Complexed) -> LawRead:
    """Return which distribution makes the same numbers of the same uniforms, times a factor."""
    dtypes = {rule.dtype for part in formula.parts for rule in part.rules if rule.dtype in FORMATS}
    law = LawRead(
        drawn_dtype=min(dtypes, default="words"),
        drawn_shape=formula.parts[0].drawn_shape,
        reason="complex numbers of no known law",
    )
    points = (np.arange(N_COMPARED) + 0.5) / N_COMPARED
    uniforms = [np.append(points, 0.8), np.append(np.roll(points[::-1], 7), 0.2)]
    try:
        parts = [_valued(part, u) for part, u in zip(formula.parts, uniforms, strict=True)]
    except (_NoLawError, ValueError):
        return law
    numbers = formula.function(*parts)
    for distribution, (made, variance) in COMPLEX.items():
        for pair in (uniforms, uniforms[::-1]):
            factors = numbers / made(*pair)
            factor = abs(factors[-1])
            if np.allclose(factors, factor, rtol=COMPLEX_ACCURACY, atol=0):
                scaled = Scaled(distribution, float(factor) ** 2 * variance, is_complex=True)
                return dataclasses.replace(law, scaled=scaled, reason="")
    return law


def _valued(part: Drawn, uniform: Array) -> Array:
    """Return what a part is where its words are these uniforms; dtypes do not round here."""
    reader = _Steps(part.width)
    value = uniform
    for rule in part.rules[reader.read_uniform(part.rules) :]:
        step = IN_NUMPY_OF_REALS.get(rule.name)
        if step is None:
            raise _NoLawError(rule.name)
        operands: list[Any] = [np.asarray(each, np.complex128) for each in rule.others]
        if rule.name in ("max", "min", "erf_inv"):
            operands = [each.real for each in operands]
        operands.insert(rule.place, value)
        value = step(*operands)
        value = value.real if np.isrealobj(value) or not value.imag.any() else value
    return value


def _affine_step(rule: Rule, number: float) -> tuple[float, float] | None:
    """Return the factor of a step and what it adds; None if it is no such step."""
    match rule.name:
        case "mul":
            return number, 0.0
        case "div" if rule.place == 0:
            return (1 / number if number else math.nan), 0.0
        case "neg":
            return -1.0, 0.0
        case "add" | "add_any":
            return 1.0, number
        case "sub":
            return (-1.0, number) if rule.place else (1.0, -number)
        case _:
            return None


class _Steps:
    """An element as `scale * variate + offset`, while the steps are read one by one.

    variate: `uniform` on [0, 1), `normal`, or `haar`; a normal is cut at `lower` and `upper`.
    """

    def __init__(self, width: int) -> None:
        self.width, self.dtype, self.casts = width, "", list[str]()
        self.variate, self.scale, self.offset = "uniform", 1.0, 0.0
        self.lower, self.upper = -math.inf, math.inf
        self.ends = (0.0, 1.0)

    def read(self, rules: Sequence[Rule]) -> None:
        """Read all steps.

        Raises:
            _NoLawError: one of them leads to no law that is known.
        """
        for rule in rules[self.read_uniform(rules) :]:
            self._read(rule)

    def read_uniform(self, rules: Sequence[Rule]) -> int:
        """Read how words become a uniform, and return by how many steps.

        Their leading bits become the mantissa of a number in [1, 2), from which 1 is taken.
        """
        start = 1 if rules and rules[0].name == "convert_element_type" else 0
        steps = rules[start : start + 4]
        names = [rule.name for rule in steps]
        if names != ["shift_right_logical", "or", "bitcast_convert_type", "sub"]:
            raise _NoLawError("random words that do not become a uniform")
        shift, exponent, cast, one = steps
        dtype = as_dtype(cast.dtype)
        pattern = np.asarray(1, dtype).view(f"u{dtype.itemsize}")
        kept = self.width - int(shift.others[0])
        if cast.dtype not in FORMATS:
            raise _NoLawError(f"words that become {cast.dtype}")
        if kept != FORMATS[cast.dtype].mantissa_bits or exponent.others[0] != pattern:
            raise _NoLawError("random words that do not become a uniform")
        if one.place or float(one.others[0]) != 1:
            raise _NoLawError("random words that do not become a uniform")
        self.dtype = cast.dtype
        return start + 4

    def _read(self, rule: Rule) -> None:
        number = float(rule.others[0]) if len(rule.others) == 1 else math.nan
        if (line := _affine_step(rule, number)) is not None:
            self._affine(*line)
            return
        match rule.name:
            case "max" | "min":
                self._cut(number, is_lower=rule.name == "max")
            case "clamp" if rule.place == 1:
                self._cut(float(rule.others[0]), is_lower=True)
                self._cut(float(rule.others[1]), is_lower=False)
            case "erf_inv" if self.variate == "uniform":
                self._invert()
            case "convert_element_type" if as_dtype(rule.dtype).kind not in "iub":
                self.casts.append(rule.dtype)
            case name if name == HAAR and self._is_unit_normal():
                self.variate, self.scale = HAAR, 1.0
            case name:
                raise _NoLawError(name)

    def _affine(self, factor: float, addend: float) -> None:
        if not (math.isfinite(factor) and math.isfinite(addend)):
            raise _NoLawError("a factor that is not finite")
        self.scale, self.offset = self.scale * factor, self.offset * factor + addend
        if self.variate == "normal" and abs(self.scale - 1) <= self._accuracy:
            self.scale = 1.0  # sqrt(2), rounded, times the exact sqrt(1/2)

    @property
    def _accuracy(self) -> float:
        """Return what a few roundings may leave, relative: the bounds of a law are told by less."""
        return 8 * unit_roundoff(as_dtype(self.dtype))

    def _is_unit_normal(self) -> bool:
        is_whole = math.isinf(self.lower) and math.isinf(self.upper)
        is_unit = abs(self.scale - 1) <= self._accuracy and not self.offset
        return self.variate == "normal" and is_whole and is_unit

    def _invert(self) -> None:
        """Read erf_inv, whose argument lies between erf of the bounds over sqrt(2)."""
        self.ends = ends = (self.offset, self.offset + self.scale)
        cell = FORMATS[self.dtype].cell
        if not -1 <= ends[0] < ends[1] <= 1 + cell:
            raise _NoLawError(f"erf_inv of numbers from {ends[0]:g} to {ends[1]:g}")
        # `normal` begins one number above -1, whose erf_inv is infinite.
        self.lower = -math.inf if ends[0] <= cell - 1 else _quantile(ends[0])
        self.upper = math.inf if ends[1] >= 1 - cell / 2 else _quantile(ends[1])
        self.variate, self.scale, self.offset = "normal", math.sqrt(0.5), 0.0

    def _cut(self, number: float, *, is_lower: bool) -> None:
        """Read max or min: of an end that is the law's own, which alone makes no other law."""
        if self.variate == "uniform":
            end = self.offset if is_lower else self.offset + self.scale
            if (number <= end) if is_lower else (number >= end):
                return
            raise _NoLawError("max" if is_lower else "min")
        if self.variate != "normal" or self.scale <= 0 or self.offset:
            raise _NoLawError("max" if is_lower else "min")
        # The outermost number inside the open interval: its neighbour is the bound itself.
        dtype = as_dtype(self.dtype)
        outward = np.nextafter(dtype.type(number), dtype.type(-np.inf if is_lower else np.inf))
        nearest = float(outward) / (self.scale if abs(self.scale - 1) > self._accuracy else 1.0)
        # That the uniforms ended there already makes it the law's own: erf is rounded twice.
        end = self.ends[0 if is_lower else 1]
        if abs(math.erf(nearest / math.sqrt(2)) - end) > self._accuracy:
            raise _NoLawError("max" if is_lower else "min")
        if is_lower:
            self.lower = nearest
        else:
            self.upper = nearest

    def shift(self) -> float:
        """Return what is added to a normal."""
        return 0.0 if self.variate == "uniform" else self.offset

    def is_mirrored(self, definition: Definition) -> bool:
        """Return whether the law is that of the negative of what rises with the words."""
        is_told = isinstance(definition, Orthogonal) or (
            isinstance(definition, Uniform) and definition.scale < 0
        )
        return self.scale < 0 and not is_told

    def definition(self) -> Definition:
        """Return the law that the steps come to."""
        if self.variate == HAAR:
            return Orthogonal(scale=self.scale)
        if self.variate == "uniform":
            return _uniform(self.offset, self.offset + self.scale, self._accuracy)
        lower, upper = sorted(math.copysign(1, self.scale) * b for b in (self.lower, self.upper))
        if math.isinf(lower) and math.isinf(upper):
            return Normal(stddev=abs(self.scale))
        return TruncatedNormal(stddev=abs(self.scale), lower=lower, upper=upper)


def _quantile(u: float) -> float:
    return math.sqrt(2) * float(special.erfinv(u))


def _uniform(first: float, last: float, accuracy: float) -> Uniform:
    """Return the uniform between two numbers, from 0 or about 0 where it is so to rounding."""
    lower, upper = sorted((first, last))
    size = max(abs(lower), abs(upper))
    if abs(lower + upper) <= accuracy * size:
        return Uniform(scale=upper, lower=-1.0)
    if not first:
        return Uniform(scale=last)
    return Uniform(scale=1.0, lower=lower, upper=upper)
