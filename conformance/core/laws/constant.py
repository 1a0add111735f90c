"""Arrays that nothing is drawn for."""

from __future__ import annotations

import dataclasses
import numbers
from typing import TYPE_CHECKING, Any, ClassVar

from conformance.core.later import np
from conformance.core.laws.base import Definition, NominalMoments

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Constant(Definition):
    """Every element equals `value`, or `value` broadcast to the shape when it is a (nested) tuple.

    A nested tuple is an array, row by row, as `numpy.asarray` reads it.
    """

    value: complex | tuple[object, ...]

    family: ClassVar[str] = "constant"

    @property
    def fault(self) -> str:
        """Return that the value is neither a number nor a tuple, where it is not."""
        if isinstance(self.value, numbers.Complex | tuple):
            return ""
        return f"value={self.value!r} is no number: write one, or a (nested) tuple of numbers"

    def values(self, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """Return what is broadcast to the shape, before it is rounded to the dtype."""
        del shape
        return np.asarray(self.value)

    def nominal(self, shape: tuple[int, ...], *, is_complex: bool) -> NominalMoments | None:
        """Return the value with no variance; None for an array of several."""
        del shape, is_complex
        value = self.value
        if isinstance(value, tuple):
            return None
        return NominalMoments(mean=value, variance=0.0, lower=abs(value), upper=abs(value))

    def refusal(self, shape: tuple[int, ...], *, is_complex: bool) -> str | None:
        """Return ValueError where the value cannot be broadcast to the shape."""
        del is_complex
        if isinstance(self.value, tuple) and not _broadcasts(self.value, shape):
            return "ValueError"
        return None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Identity(Constant):
    """`value` times the identity: ones where the last two indices are the same, whatever others.

    A wide or a tall matrix has zeros beyond its square.
    """

    value: complex | tuple[object, ...] = 1.0

    def values(self, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """Return the matrix of the last two axes."""
        rows, columns = shape[-2:]
        return np.asarray(np.eye(rows, columns) * np.asarray(self.value))

    def nominal(self, shape: tuple[int, ...], *, is_complex: bool) -> None:
        """Return None: elements follow no common law."""
        del shape, is_complex

    def refusal(self, shape: tuple[int, ...], *, is_complex: bool) -> str | None:
        """Return ValueError for what is no matrix."""
        del is_complex
        return "ValueError" if len(shape) < 2 else None


def _broadcasts(value: tuple[object, ...], shape: tuple[int, ...]) -> bool:
    """Return whether an array of this nested tuple broadcasts to the shape, as NumPy has it."""
    sizes = []
    inner: object = value
    while isinstance(inner, tuple):
        sizes.append(len(inner))
        inner = inner[0] if inner else None
    if len(sizes) > len(shape):
        return False
    pairs = zip(reversed(sizes), reversed(shape), strict=False)
    return all(size in (1, wanted) for size, wanted in pairs)
