"""How far a correct element may lie from the exact one: measured where it can be, else derived."""

from __future__ import annotations

import math
from typing import Protocol

from conformance.arrays import as_dtype
from conformance.backends.stages import sampler_of
from conformance.builtin import BUILTIN_FAMILIES
from conformance.catalogue import InitializerSpec
from conformance.checks.structure import orthogonality_tolerance
from conformance.definition import DeltaOrthogonal, Orthogonal, VarianceScaling
from conformance.drift import DEFAULT_BUDGET
from conformance.drift.classify import ROUNDINGS
from conformance.model import Budget, Case, Problem
from conformance.oracle import condition_number
from conformance.ulp import unit_roundoff

REAL_PARTS = {"complex64": "float32", "complex128": "float64"}

POLAR_REACH = 2.0 / 0.95
"""Largest modulus of a complex variate in units of sigma: truncated at 2, rescaled by 0.95."""

POLAR_ROUNDINGS = 4 * math.pi + 2 + 4 + 3
"""Error of radius * exp(i angle), relative to the radius, in units of the unit roundoff u. The
angle 2 pi f has a rounded constant and a rounded product, each u of at most 2 pi; sine and cosine
err by one ULP, 2 u; the radius takes four operations, its scaling three."""


class Budgets(Protocol):
    """Where the measured budgets come from: `budgets.BudgetTable`."""

    def budget(self, backend: str, initializer: str, family: str, dtype: str) -> Budget:
        """Return the initializer's measured budget, or its family's."""


def budget_for(spec: InitializerSpec, case: Case, measured: Budgets | None) -> Budget:
    """Return the budget of a case's elements.

    Laws of single words are measured by the exhaustive sweep, one word an element. Matrices and
    complex variates are no such laws: theirs follow from the measured parts and from the number of
    roundings. A user's law has `DEFAULT_BUDGET`, and so has everything where nothing is measured.

    Raises:
        GoldenError: the backend has never been swept.
    """
    problem, definition = case.problem, spec.definition
    if isinstance(definition, Orthogonal | DeltaOrthogonal):
        return orthogonal_budget(problem, definition)
    if measured is None or definition is None or spec.family not in BUILTIN_FAMILIES:
        return DEFAULT_BUDGET
    sampler = sampler_of(definition, problem.shape)
    if sampler is None:
        return DEFAULT_BUDGET
    if problem.dtype not in REAL_PARTS:
        found = measured.budget(case.backend, spec.name, spec.family, problem.dtype)
        return _rescaled(found) if isinstance(definition, VarianceScaling) else found
    if sampler.kind != "normal":
        return Budget(max_ulp=0, max_ulp_at_sigma=POLAR_ROUNDINGS * POLAR_REACH)
    parts = measured.budget(case.backend, "normal_1", "normal", REAL_PARTS[problem.dtype])
    return _rescaled(parts)


def _rescaled(measured: Budget) -> Budget:
    """Return the budget under another scale factor than the sweep's: its roundings come on top.

    The sweep has one shape, hence one fan; another fan's factor is rounded at other places.
    """
    return Budget(
        max_ulp=measured.max_ulp + ROUNDINGS // 2,
        max_ulp_at_sigma=measured.max_ulp_at_sigma + ROUNDINGS / 2,
    )


def orthogonal_budget(problem: Problem, definition: Orthogonal | DeltaOrthogonal) -> Budget:
    """Return how far an element of Q may lie from the exact one.

    The factor of A + dA moves by sqrt(2) cond(A) |dA| / |A| (Sun, Perturbation bounds for the
    Cholesky and QR factorizations, BIT 31 (1991)), and dA is what `orthogonality_tolerance` allows.
    An element has a sigma of 1 / sqrt(n), n the larger side. Where the oracle does not know A the
    condition is that of the bulk of square Gaussian matrices, n (Edelman 1988).
    """
    shape = problem.shape[-2:] if isinstance(definition, DeltaOrthogonal) else problem.shape
    if len(shape) < 2 or not math.prod(problem.shape):
        return DEFAULT_BUDGET
    columns = shape[definition.column_axis]
    rows = math.prod(shape) // columns
    dtype = as_dtype(problem.dtype)
    condition = condition_number(problem, definition) or float(max(rows, columns))
    moved = math.sqrt(2) * condition * orthogonality_tolerance(rows, columns, dtype) / 2
    at_sigma = moved * math.sqrt(max(rows, columns)) / unit_roundoff(dtype)
    return Budget(max_ulp=0, max_ulp_at_sigma=at_sigma)
