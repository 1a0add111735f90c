"""How far a correct element may lie from the exact one: measured where it can be, else derived."""

from __future__ import annotations

import dataclasses
import math
from typing import Protocol

from conformance.cases.builtin import BUILTIN_FAMILIES
from conformance.cases.catalogue import InitializerSpec
from conformance.core.errors import MissingBudget
from conformance.core.formats import FORMATS, is_complex
from conformance.core.ids import Case
from conformance.core.laws import VarianceScaling, sampler_of
from conformance.core.records import Budget, MatrixBudget
from conformance.judge.checks.matrices import is_matrix
from conformance.judge.drift import DEFAULT_BUDGET
from conformance.judge.drift.classify import ROUNDINGS

POLAR_REACH = 2.0 / 0.95
"""Largest modulus of a complex variate in units of sigma: truncated at 2, rescaled by 0.95."""

POLAR_ROUNDINGS = 4 * math.pi + 2 + 4 + 3
"""Error of radius * exp(i angle), relative to the radius, in units of the unit roundoff u. The
angle 2 pi f has a rounded constant and a rounded product, each u of at most 2 pi; sine and cosine
err by one ULP, 2 u; the radius takes four operations, its scaling three."""


class Budgets(Protocol):
    """Where the measured budgets come from: `core.budgets.BudgetTable`."""

    def budget(self, backend: str, initializer: str, family: str, dtype: str) -> Budget:
        """Return the initializer's measured budget, or its family's."""

    def matrix_budget(self, backend: str, dtype: str) -> MatrixBudget | None:
        """Return how far matrices may be from right ones, or None if nobody measured it."""


def budget_for(spec: InitializerSpec, case: Case, measured: Budgets | None) -> Budget:
    """Return the budget of a case's elements.

    Laws of single words are measured by the exhaustive sweep, one word an element. Complex variates
    are no such laws: theirs follow from the measured parts and from the number of roundings. A
    matrix has the budget of the normals that are drawn for it, and its own. A user's law has
    `DEFAULT_BUDGET`, and so has everything where nothing is measured; so have the normals of a
    user's matrix in a set that has no budgets. Where the oracle foretells every bit, nothing
    is measured, and nothing allowed.

    Raises:
        MissingBudget: the backend has never been swept.
    """
    problem, definition = case.problem, spec.definition
    if measured is not None and FORMATS[problem.dtype].is_foretold:
        return Budget(max_ulp=0, max_ulp_at_sigma=0.0)
    if measured is not None and is_matrix(definition):
        return _budget_of_matrix(spec, case, measured)
    if measured is None or definition is None or spec.family not in BUILTIN_FAMILIES:
        return DEFAULT_BUDGET
    sampler = sampler_of(definition, problem.shape)
    if sampler is None:
        return DEFAULT_BUDGET
    if not is_complex(problem.dtype):
        found = measured.budget(case.backend, spec.name, spec.family, problem.dtype)
        return _rescaled(found) if isinstance(definition, VarianceScaling) else found
    if sampler.kind != "normal":
        return Budget(max_ulp=0, max_ulp_at_sigma=POLAR_ROUNDINGS * POLAR_REACH)
    return _budget_of_normals(case, measured)


def release_budget(spec: InitializerSpec | None, case: Case, measured: Budgets | None) -> Budget:
    """Return how far apart two releases may lie and be called rounding.

    Not the measured budgets: those say how far a release may lie from the exact value, and a
    sampler that is 60 ULP off may still not move by 60 ULP unnoticed. A matrix is held to what was
    drawn for it, under each release; of a backend that was never swept, within what theory allows.
    """
    if spec is None or not is_matrix(spec.definition):
        return DEFAULT_BUDGET
    try:
        return budget_for(spec, case, measured)
    except MissingBudget:
        return DEFAULT_BUDGET


def _budget_of_matrix(spec: InitializerSpec, case: Case, measured: Budgets) -> Budget:
    matrix = measured.matrix_budget(case.backend, case.problem.dtype)
    try:
        normals = _budget_of_normals(case, measured)
    except MissingBudget:
        if spec.family in BUILTIN_FAMILIES:
            raise
        normals = DEFAULT_BUDGET
    overlays = {normals.overlay, matrix.overlay if matrix else ""} - {""}
    return dataclasses.replace(normals, matrix=matrix, overlay=", ".join(sorted(overlays)))


def _budget_of_normals(case: Case, measured: Budgets) -> Budget:
    """Return the budget of normals; complex ones are those of their parts, rescaled."""
    dtype = case.problem.dtype
    part = FORMATS[dtype].real or dtype
    found = measured.budget(case.backend, "normal_1", "normal", part)
    return _rescaled(found) if is_complex(dtype) else found


def _rescaled(measured: Budget) -> Budget:
    """Return the budget under another scale factor than the sweep's: its roundings come on top.

    The sweep has one shape, hence one fan; another fan's factor is rounded at other places.
    """
    return dataclasses.replace(
        measured,
        max_ulp=measured.max_ulp + ROUNDINGS // 2,
        max_ulp_at_sigma=measured.max_ulp_at_sigma + ROUNDINGS / 2,
    )
