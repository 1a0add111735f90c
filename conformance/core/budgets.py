"""How far right elements and matrices may err: what was measured, of what, and where."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping

from conformance.core.errors import MissingBudget
from conformance.core.lattice import Point
from conformance.core.records import Budget, MatrixBudget

MATRICES = "orthogonal"
"""The initializer that is measured for all that return orthogonal matrices."""

MATRIX_MARGIN = 4.0
"""A matrix may err by this multiple of the largest error that was seen. The largest of 1,000 seeds
is no bound: errors of QR are sums of roundings, whose tail is Gaussian, and over sizes, kernels and
threads the largest differ by a factor of 2. A fault is far beyond: see docs/matrices.md."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MatrixPoint:
    """The worst matrix of a sweep, and where it was seen: shape, seed, LAPACK, kernel and threads.

    error: in units of the unit roundoff.
    """

    error: float
    shape: str
    seed: int
    lapack: str
    lapack_kernel: str
    lapack_threads: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ShapeErrors:
    """The worst matrices of one shape over the seeds from 0 on, under one kernel or several."""

    n_seeds: int
    column: MatrixPoint
    gram: MatrixPoint

    def joined(self, other: ShapeErrors) -> ShapeErrors:
        """Return the worse of both; n_seeds is that of the shorter sweep."""
        return ShapeErrors(
            n_seeds=min(self.n_seeds, other.n_seeds),
            column=max(self.column, other.column, key=lambda point: point.error),
            gram=max(self.gram, other.gram, key=lambda point: point.error),
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MatrixMeasurement:
    """The worst backward errors of orthogonal matrices: see `checks.backward_error`.

    kernels: of LAPACK, each with its number of threads, under which all was measured.
    """

    column: MatrixPoint
    gram: MatrixPoint
    kernels: tuple[str, ...]
    by_shape: Mapping[str, ShapeErrors]

    @classmethod
    def of(cls, by_shape: Mapping[str, ShapeErrors], kernels: Iterable[str]) -> MatrixMeasurement:
        """Return what comes of the errors by shape."""
        return cls(
            column=max((each.column for each in by_shape.values()), key=lambda point: point.error),
            gram=max((each.gram for each in by_shape.values()), key=lambda point: point.error),
            kernels=tuple(sorted(set(kernels))),
            by_shape=dict(by_shape),
        )

    def joined(self, other: MatrixMeasurement) -> MatrixMeasurement:
        """Return the worst of both, shape by shape."""
        by_shape = dict(self.by_shape)
        for name, errors in other.by_shape.items():
            by_shape[name] = errors.joined(by_shape[name]) if name in by_shape else errors
        return MatrixMeasurement.of(by_shape, (*self.kernels, *other.kernels))

    @property
    def budget(self) -> MatrixBudget:
        """How far a right matrix may be from exact."""
        return MatrixBudget(
            column=MATRIX_MARGIN * self.column.error, gram=MATRIX_MARGIN * self.gram.error
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """The worst errors of one initializer in one dtype on one backend, eager and jitted.

    at_value, at_sigma: the worst points, as in `Accuracy`; None where there is no such point.
    limitation: the ledger entry that its mean or variance falls under. Such a sampler is known to
        be inexact, and its error sets no budget for its family.
    device, jax, date: where and when it was measured. reason: why it may be looser than before.
    matrix: of an orthogonal initializer, its backward errors; it has no points.
    overlay: the name of that which holds the line; the file does not say it.
    """

    backend: str
    initializer: str
    dtype: str
    family: str
    at_value: Point | None
    at_sigma: Point | None
    limitation: str = ""
    device: str
    jax: str
    date: str
    reason: str = ""
    matrix: MatrixMeasurement | None = None
    overlay: str = ""

    @property
    def key(self) -> str:
        """Return the name of its line."""
        return f"{self.backend} {self.initializer} {self.dtype}"

    @property
    def budget(self) -> Budget:
        """Return the errors without their places."""
        matrix = self.matrix.budget if self.matrix else None
        return Budget(
            max_ulp=int(self.at_value.ulp) if self.at_value else 0,
            max_ulp_at_sigma=self.at_sigma.ulp if self.at_sigma else 0.0,
            matrix=dataclasses.replace(matrix, overlay=self.overlay) if matrix else None,
            overlay=self.overlay,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class BudgetTable:
    """All measurements, by key.

    golden_option: how commands name the set that they belong to; see `golden.golden_option`.
    """

    measurements: Mapping[str, Measurement]
    golden_option: str = ""

    def of(self, backend: str, initializer: str, dtype: str) -> Budget | None:
        """Return the budget of one initializer, or None if it was never measured."""
        found = self.measurements.get(f"{backend} {initializer} {dtype}")
        return found.budget if found else None

    def matrix_budget(self, backend: str, dtype: str) -> MatrixBudget | None:
        """Return how far orthogonal matrices may be from right ones; None where nobody measured."""
        found = self.of(backend, MATRICES, dtype)
        return found.matrix if found else None

    def budget(self, backend: str, initializer: str, family: str, dtype: str) -> Budget:
        """Return how far an initializer's correct elements may lie from the exact ones.

        Its own measurement, or, where it has none or one under a known defect, its family's worst.

        Raises:
            MissingBudget: none of the family was measured in this dtype on this backend.
        """
        own = self.measurements.get(f"{backend} {initializer} {dtype}")
        if own and not own.limitation:
            return own.budget
        worst = self._worst.get((backend, family, dtype))
        if worst is None:
            raise MissingBudget(
                f"no budget is stored for the family {family!r} in {dtype} on {backend}: measure "
                f"it there with `conformance law --backend {backend} --dtype {dtype}"
                f"{self.golden_option} --write-budgets`"
            )
        return worst

    @functools.cached_property
    def _worst(self) -> Mapping[tuple[str, str, str], Budget]:
        """The worst of each family in a dtype on a backend: most initializers have that budget."""
        members: dict[tuple[str, str, str], list[Budget]] = {}
        for each in self.measurements.values():
            if not each.limitation:
                kin = (each.backend, each.family, each.dtype)
                members.setdefault(kin, []).append(each.budget)
        return {
            kin: Budget(
                max_ulp=max(each.max_ulp for each in budgets),
                max_ulp_at_sigma=max(each.max_ulp_at_sigma for each in budgets),
                overlay=", ".join(sorted({each.overlay for each in budgets} - {""})),
            )
            for kin, budgets in members.items()
        }
