"""Haar-distributed matrices, which are made of the normals of a tall one."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

from conformance.core.laws.base import (
    Definition,
    NominalMoments,
    Sampler,
    squared,
    unfit_number,
)
from conformance.core.laws.normal import Normal


class Matrix(Definition):
    """What is orthonormalised from a tall matrix of normals."""

    __slots__ = ()

    family: ClassVar[str] = "orthogonal"

    scale: float

    @property
    def fault(self) -> str:
        """Return what is wrong with the scale."""
        return unfit_number("scale", self.scale)

    def sampler(self, shape: tuple[int, ...]) -> Sampler:
        """Return how the normals of the tall matrix are drawn."""
        return Sampler(
            kind=Normal.drawn_by, shape=tall_shape(shape, self), drawn_with=self.drawn_with
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Orthogonal(Matrix):
    """scale times a Haar-distributed matrix with orthonormal rows or columns (the smaller side).

    The matrix has prod(shape) / shape[column_axis] rows and shape[column_axis] columns.
    Source: Saxe et al. 2013; Mezzadri 2007 for the sign fix that makes QR Haar.
    """

    scale: float = 1.0
    column_axis: int = -1

    def nominal(self, shape: tuple[int, ...], *, is_complex: bool) -> NominalMoments:
        """Return the moments of an entry: mean 0 and variance scale^2 / max(rows, columns)."""
        del is_complex
        longer, _ = tall_shape(shape, self)
        variance = squared(self.scale) / longer if longer else 0.0
        return NominalMoments(mean=0, variance=variance, lower=-self.scale, upper=self.scale)

    def refusal(self, shape: tuple[int, ...], *, is_complex: bool) -> str | None:
        """Return ValueError for what is no matrix."""
        del is_complex
        return "ValueError" if len(shape) < 2 else None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DeltaOrthogonal(Matrix):
    """Zero but for the spatial centre: `Orthogonal` of shape[-2:]. Source: Xiao et al. 2018."""

    scale: float = 1.0
    column_axis: int = -1

    def nominal(self, shape: tuple[int, ...], *, is_complex: bool) -> None:
        """Return None: the structure check says more."""
        del shape, is_complex

    def refusal(self, shape: tuple[int, ...], *, is_complex: bool) -> str | None:
        """Return ValueError for what is no kernel, or has fewer features out than in."""
        del is_complex
        return "ValueError" if not 3 <= len(shape) <= 5 or shape[-1] < shape[-2] else None


def tall_shape(shape: tuple[int, ...], definition: Matrix) -> tuple[int, int]:
    """Return (rows, columns), rows >= columns, of the matrix of normals that is orthonormalised.

    A wide result is the transpose of a tall one. (0, 0) where the shape has no elements.
    """
    assert isinstance(definition, Orthogonal | DeltaOrthogonal)
    inner = shape[-2:] if isinstance(definition, DeltaOrthogonal) else shape
    columns = inner[definition.column_axis]
    rows = math.prod(inner) // columns if columns else 0
    return (max(rows, columns), min(rows, columns)) if rows else (0, 0)
