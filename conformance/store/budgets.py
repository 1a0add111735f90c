"""How exact each initializer is: the worst error over its whole lattice, measured and kept.

`golden/budgets.json` holds one line for each backend, initializer and dtype. Measuring again
replaces a line: a smaller figure at once, a larger one only with a reason, which the line then
carries. So budgets tighten by themselves, and loosening is a decision that somebody signed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from conformance.core.errors import BudgetError, LooserBudget, MissingBudget
from conformance.core.files import Waiting, at_work, writing
from conformance.core.lattice import Point
from conformance.core.paths import golden_option
from conformance.core.records import Budget, MatrixBudget
from conformance.store import documents

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

    @property
    def key(self) -> str:
        """Return the name of its line."""
        return f"{self.backend} {self.initializer} {self.dtype}"

    @property
    def budget(self) -> Budget:
        """Return the errors without their places."""
        return Budget(
            max_ulp=int(self.at_value.ulp) if self.at_value else 0,
            max_ulp_at_sigma=self.at_sigma.ulp if self.at_sigma else 0.0,
            matrix=self.matrix.budget if self.matrix else None,
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
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
        members = [
            measurement.budget
            for measurement in self.measurements.values()
            if (measurement.backend, measurement.family, measurement.dtype)
            == (backend, family, dtype)
            and not measurement.limitation
        ]
        if not members:
            raise MissingBudget(
                f"no budget is stored for the family {family!r} in {dtype} on {backend}: measure "
                f"it there with `conformance law --backend {backend} --dtype {dtype}"
                f"{self.golden_option} --write-budgets`"
            )
        return Budget(
            max_ulp=max(member.max_ulp for member in members),
            max_ulp_at_sigma=max(member.max_ulp_at_sigma for member in members),
        )


def merged(table: BudgetTable, measured: Iterable[Measurement], reason: str = "") -> BudgetTable:
    """Return the table with the measured lines in place of those of the same key.

    Of matrices the worst that was ever seen counts: another machine has another LAPACK kernel, and
    a sweep under one says nothing of the others.

    Raises:
        LooserBudget: a line would allow more than before, and the reason is empty.
    """
    lines = dict(table.measurements)
    looser = []
    for new in measured:
        old = lines.get(new.key)
        if old and old.matrix and new.matrix:
            new = dataclasses.replace(new, matrix=old.matrix.joined(new.matrix))
        if old and is_looser(new.budget, old.budget):
            looser.append(f"{new.key}: {_figures(old.budget)} -> {_figures(new.budget)}")
            new = dataclasses.replace(new, reason=reason)
        lines[new.key] = new
    if looser and not reason:
        raise LooserBudget(
            "these budgets would grow:\n  "
            + "\n  ".join(looser)
            + "\nFind out why. If it is right, say so with --reason '...'"
        )
    return dataclasses.replace(table, measurements=lines)


def is_looser(new: Budget, old: Budget) -> bool:
    """Return whether the new budget allows an error that the old one does not."""
    return any(one > two for one, two in zip(_values(new), _values(old), strict=True))


def _values(budget: Budget) -> tuple[float, ...]:
    matrix = budget.matrix or MatrixBudget(column=0.0, gram=0.0)
    return budget.max_ulp, budget.max_ulp_at_sigma, matrix.column, matrix.gram


def _figures(budget: Budget) -> str:
    if budget.matrix:
        return f"column {budget.matrix.column:.3g} u, gram {budget.matrix.gram:.3g} u"
    return f"{budget.max_ulp} ULP, {budget.max_ulp_at_sigma:g} ULP of sigma"


def load(path: Path) -> BudgetTable:
    """Return the table in a file; an empty one if there is no file.

    Raises:
        BudgetError: the file cannot be read as a table of this schema or an older one.
    """
    option = golden_option(path.parent)
    if not path.exists():
        return BudgetTable(measurements={}, golden_option=option)
    way_out = f"delete it and measure again with `conformance law{option} --write-budgets`"
    return BudgetTable(
        measurements=documents.read(path, _measurements, way_out, BudgetError), golden_option=option
    )


def _measurements(document: Mapping[str, Any]) -> dict[str, Measurement]:
    return {key: _parsed(key, fields) for key, fields in document["budgets"].items()}


def _parsed(key: str, fields: Mapping[str, Any]) -> Measurement:
    backend, initializer, dtype = key.split(" ")
    points = {
        name: Point(**fields[name]) if fields[name] else None for name in ("at_value", "at_sigma")
    }
    identity = {"backend": backend, "initializer": initializer, "dtype": dtype}
    matrix = _matrix(fields["matrix"]) if fields.get("matrix") else None
    return Measurement(**{**fields, **points, **identity, "matrix": matrix})


def _matrix(fields: Mapping[str, Any]) -> MatrixMeasurement:
    return MatrixMeasurement(
        column=MatrixPoint(**fields["column"]),
        gram=MatrixPoint(**fields["gram"]),
        kernels=tuple(fields["kernels"]),
        by_shape={name: shape_errors(each) for name, each in fields["by_shape"].items()},
    )


def shape_errors(fields: Mapping[str, Any]) -> ShapeErrors:
    """Return the errors of one shape that JSON holds."""
    points = {name: MatrixPoint(**fields[name]) for name in ("column", "gram")}
    return ShapeErrors(n_seeds=fields["n_seeds"], **points)


def update(
    path: Path, measured: Iterable[Measurement], reason: str, waiting: Waiting
) -> BudgetTable:
    """Merge what was measured into the table in a golden set, and return what it holds now.

    The set is held meanwhile, so nothing is lost that another sweep, or `accept`, has written since
    this one began. waiting: told who holds the set.

    Raises:
        LooserBudget: see `merged`; nothing has changed then.
        BudgetError: the table cannot be read.
        GoldenError: the disk refuses.
    """
    with at_work(path.parent, waiting):
        table = merged(load(path), measured, reason)
        with writing(path):
            save(path, table)
    return table


def save(path: Path, table: BudgetTable) -> None:
    """Write the table, one sorted line each, so that `git diff` shows one line a change."""
    lines = {key: _fields(measurement) for key, measurement in table.measurements.items()}
    documents.write(path, {}, "budgets", lines)


def _fields(measurement: Measurement) -> dict[str, Any]:
    identity = ("backend", "initializer", "dtype")
    fields = dataclasses.asdict(measurement)
    left_out = identity if measurement.matrix else (*identity, "matrix")
    return {name: value for name, value in fields.items() if name not in left_out}
