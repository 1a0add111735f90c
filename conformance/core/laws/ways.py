"""Where an initializer departs from how those of JAX go about the same law."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from conformance.core.errors import unknown
from conformance.core.formats import DTYPES

if TYPE_CHECKING:
    from conformance.core.laws.base import Definition

Rounded = Callable[[Any], Any]
"""Rounds a number, or an array of them, to the dtype: to nearest, held in float64."""

FactorSteps = Callable[["Definition", tuple[int, ...], Rounded], Any]
"""Of a definition and a shape, the factor as a program makes it, rounded where that rounds."""


# --- Which calls must raise ----------------------------------------------------------------------
def _every(shape: tuple[int, ...]) -> bool:
    del shape
    return True


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Calls that must raise this exception, by its name: those of such dtypes and such shapes.

    dtypes: empty for all. shapes: whether a shape is refused; every one is if nothing is said.
    """

    exception: str
    dtypes: tuple[str, ...] = ()
    shapes: Callable[[tuple[int, ...]], bool] = _every

    def holds(self, shape: tuple[int, ...], dtype: str) -> bool:
        """Return whether the call is refused."""
        return (not self.dtypes or dtype in self.dtypes) and self.shapes(shape)

    @property
    def fault(self) -> str:
        """Return what of it cannot be meant, with the value; "" where all can."""
        if not (isinstance(self.exception, str) and self.exception.isidentifier()):
            return f"exception={self.exception!r} is no name of an exception: write 'ValueError'"
        if isinstance(self.dtypes, str):
            return f"dtypes={self.dtypes!r} is one text: write ({self.dtypes!r},)"
        for dtype in self.dtypes:
            if dtype not in DTYPES:
                return unknown("dtype", str(dtype), DTYPES)
        if not callable(self.shapes):
            return f"shapes={self.shapes!r} is no function: write one from a shape to True or False"
        return ""


# --- Which steps round ---------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """In which order a program rounds the factor, and its product with the variate.

    factor: its steps. None: each is rounded, as `jax.nn.initializers` does.
    of_unit: whether it multiplies the unit variate as `jax.random` returns that, rounded. If not,
        the factor of a normal takes the sqrt(2) of its variate, as `jax.nn.initializers` does.
    """

    factor: FactorSteps | None = None
    of_unit: bool = False


def once(definition: Definition, shape: tuple[int, ...], rounded: Rounded) -> Any:
    """Return the factor in float64, rounded at the end: what Python's numbers come to."""
    law = definition.law(shape, is_complex=False)
    assert law is not None
    return rounded(law.factor)


AS_JAX = Rounds()
"""As `jax.nn.initializers` does."""

SCALE_ONCE = Rounds(factor=once, of_unit=True)
"""As in `jax.random.normal(key, shape, dtype) * stddev`, with a stddev of Python's."""

SCALE_STEPWISE = Rounds(of_unit=True)
"""The same with a factor that is computed in the dtype, step by step."""

KNOWN_ROUNDS = {
    "AS_JAX": AS_JAX,
    "SCALE_ONCE": SCALE_ONCE,
    "SCALE_STEPWISE": SCALE_STEPWISE,
}
"""By the names under which the package offers them."""
