"""What every definition answers, and what a law of single elements adds to it.

A definition is data: what an initializer must return, said without JAX. From it follow the nominal
moments, the structure, and which calls must fail. A law is a definition whose every element is
`scale` times a unit variate, itself a function of one random word.
"""

from __future__ import annotations

import abc
import dataclasses
import math
import numbers
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias

from conformance.core.formats import Format
from conformance.core.keys import parse_descent
from conformance.core.laws.ways import AS_JAX, Refusal, Rounds

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Reals: TypeAlias = "npt.NDArray[np.float64]"


def squared(number: float) -> float:
    """Return the square: infinite, and no error, beyond 1e154."""
    return number * number


def unfit_number(name: str, value: object) -> str:
    """Return why the value of a field is no finite number; "" if it is one."""
    if isinstance(value, numbers.Real) and math.isfinite(value):
        return ""
    return f"{name}={value!r} is no finite number"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NominalMoments:
    """The law's own mean, variance and bounds, before any rounding. Units: of the array's elements.

    For complex dtypes the variance is E|x - mean|^2 and the bounds are of the modulus.
    kurtosis: E|x - mean|^4 over the square of the variance; infinite where nobody states it.
    """

    mean: complex
    variance: float
    lower: float
    upper: float
    kurtosis: float = math.inf


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """Which function of `jax.random` draws the unit variate, in which shape, between which bounds.

    kind: the function's name: `normal`, `truncated_normal`, `uniform`, and so on.
    """

    kind: str
    shape: tuple[int, ...]
    lower: float = -math.inf
    upper: float = math.inf
    drawn_with: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Definition(abc.ABC):
    """What an initializer must return. Subclasses are frozen records.

    family: the folder of the goldens of JAX's own initializers, and the unit of their budgets.

    The fields say where an initializer goes about it otherwise than those of JAX.

    drawn_with: how the key that draws is made of the one that is given, as ids have keys:
        `split2at1` for the second of split(key), `fold5.split2at0`; or a key of its own, `s7`,
        `k0000000700000000`. Empty: the key itself.
    refusals: which calls must raise; the first that holds says what. None: those of JAX.
    rounds: the order in which the factor and the product are rounded.
    """

    family: ClassVar[str] = "custom"

    drawn_with: str = dataclasses.field(default="", repr=False)
    refusals: tuple[Refusal, ...] | None = dataclasses.field(default=None, repr=False)
    rounds: Rounds = dataclasses.field(default=AS_JAX, repr=False)

    @property
    def fault(self) -> str:
        """Return why nothing can be what the fields define, with the value; "" where that can be.

        Whoever registers is told. Numbers that were computed, as those of `times`, are not asked.
        """
        return ""

    @property
    def fault_of_ways(self) -> str:
        """Return why nothing can go about it so, with the value; "" where something can."""
        try:
            parse_descent(self.drawn_with)
        except (AttributeError, ValueError) as error:
            return f"drawn_with={self.drawn_with!r}: {error}"
        if not (self.refusals is None or isinstance(self.refusals, tuple)):
            return f"refusals={self.refusals!r} is no tuple: write (Refusal(...),), or ()"
        for each in self.refusals or ():
            if not isinstance(each, Refusal):
                return f"refusals has {each!r}, which is no Refusal"
            if each.fault:
                return each.fault
        if not isinstance(self.rounds, Rounds):
            return f"rounds={self.rounds!r} is no Rounds: write SCALE_ONCE, or one of your own"
        return ""

    @property
    def draws_as_given(self) -> bool:
        """Return whether the key that is given decides what is drawn."""
        return parse_descent(self.drawn_with).root is None

    @property
    def unit(self) -> Law | None:
        """Return the law of the unit variate, or None where elements are not drawn one by one."""
        return None

    @property
    def scale_roundings(self) -> int:
        """Return how many roundings the last factor goes through; a constant is rounded once."""
        return 1

    @abc.abstractmethod
    def nominal(self, shape: tuple[int, ...], *, is_complex: bool) -> NominalMoments | None:
        """Return the moments of one element, or None where elements follow no common law."""

    def law(self, shape: tuple[int, ...], *, is_complex: bool) -> Law | None:
        """Return the law of one element, or None where elements are not drawn one by one."""
        del shape, is_complex
        return None

    def sampler(self, shape: tuple[int, ...]) -> Sampler | None:
        """Return how the elements are drawn; None where nothing is drawn or nobody knows how."""
        return None if self.unit is None else self._sampler_of(self.unit, shape)

    def _sampler_of(self, unit: Law, shape: tuple[int, ...]) -> Sampler:
        """Return how elements of this unit variate are drawn."""
        lower, upper = unit.support
        return Sampler(
            kind=unit.drawn_by, shape=shape, lower=lower, upper=upper, drawn_with=self.drawn_with
        )

    def refused(self, shape: tuple[int, ...], dtype: str, *, is_complex: bool) -> str | None:
        """Return the name of the exception that a call must raise, or None if it must return."""
        if self.refusals is None:
            return self.refusal(shape, is_complex=is_complex)
        found = (each.exception for each in self.refusals if each.holds(shape, dtype))
        return next(found, None)

    def refusal(self, shape: tuple[int, ...], *, is_complex: bool) -> str | None:
        """Return the name of the exception that JAX's own must raise, or None if they must return.

        It holds where `refusals` says nothing.
        """
        del shape, is_complex
        return None


class Law(Definition):
    """A law of single elements: `scale` times a unit variate.

    drawn_by: the function of `jax.random` that draws the unit variate.
    roundings: up to the unit variate. factor_name: what initializers call the factor.
    is_open: whether draws keep off the bounds, as documented.
    takes_complex: whether the sampler draws complex numbers.
    """

    __slots__ = ()

    drawn_by: ClassVar[str]
    roundings: ClassVar[int]
    factor_name: ClassVar[str] = "scale"
    is_open: ClassVar[bool] = False
    takes_complex: ClassVar[bool] = False

    @property
    def fault(self) -> str:
        """Return what is wrong with factor and bounds."""
        name, factor = self.factor_name, self.factor
        if fault := unfit_number(name, factor):
            return fault
        if name == "stddev" and factor < 0:
            return f"stddev={factor!r} is no standard deviation: write 0 or more"
        lower, upper = self.support
        if not lower < upper:
            return f"nothing lies in ({lower!r}, {upper!r}): lower must be less than upper"
        return ""

    @property
    @abc.abstractmethod
    def factor(self) -> float:
        """Return what the unit variate is multiplied by."""

    @property
    def unit(self) -> Self:
        """Return the law of the unit variate."""
        return self.times(1.0)

    @property
    def support(self) -> tuple[float, float]:
        """Return the bounds of the unit variate."""
        return -math.inf, math.inf

    @abc.abstractmethod
    def times(self, factor: float) -> Self:
        """Return the law of the same unit variate under another factor."""

    @property
    def is_symmetric(self) -> bool:
        """Return whether the law of minus the unit variate is the same."""
        lower, upper = self.support
        return lower == -upper

    @property
    def call(self) -> str:
        """Return how an initializer of this law is called, its factor to four digits."""
        return f"{self.drawn_by}({self.factor_name}={self.factor:.4g})"

    @abc.abstractmethod
    def cdf(self, unit: Reals) -> Reals:
        """Return the probability that the unit variate is at most this: the quantile's inverse."""

    @abc.abstractmethod
    def log_density(self, unit: Reals) -> Reals:
        """Return the logarithm of the unit variate's density, within its support."""

    def quantile(self, fraction: Reals, number: Format) -> Reals:
        """Return the unit variate at the lattice points `fraction` of a format, to 5 float64 ULP.

        Where the sampler evaluates it: at the point itself, or a little beyond so as to be finite.
        It falls with the fraction where the sampler does, as `jax.random.laplace`.
        The laws that need SciPy for it have a hook in `oracle.distributions`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no quantile: give it one, or a hook")

    def uniform_range(self, number: Format) -> tuple[float, float]:
        """Return between which numbers of the format the sampler draws its uniforms."""
        del number
        return self.support

    def followed(self, uniform: Reals, rounded: Any) -> Reals:
        """Return the unit variate by the sampler's own steps.

        rounded: what rounds an array to the format, to be applied to the result of each step.
        """
        raise NotImplementedError(f"{type(self).__name__} has no steps: state them, or a hook")

    @abc.abstractmethod
    def nominal(self, shape: tuple[int, ...], *, is_complex: bool) -> NominalMoments:
        """Return the moments of one element, of which a law always has some."""

    def law(self, shape: tuple[int, ...], *, is_complex: bool) -> Law:
        """Return itself."""
        del shape, is_complex
        return self

    def refusal(self, shape: tuple[int, ...], *, is_complex: bool) -> str | None:
        """Return ValueError for complex numbers, which most samplers refuse."""
        del shape
        return "ValueError" if is_complex and not self.takes_complex else None
