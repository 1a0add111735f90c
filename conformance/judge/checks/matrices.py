"""Orthogonal matrices: each is held to what was drawn for it, never to another's elements.

An orthogonal initializer draws a tall matrix A of normals and returns the Q of its QR decomposition
with a positive diagonal of R, scaled, transposed where the shape is wide, folded into the shape, or
put into the centre of a kernel. Which A that was tells the backend itself (`Returned.drawn`); where
nobody recorded it, the oracle says it, to within the budget of the backend's normals.

A result is *right* if its backward errors are within the budget. Two right results are rounding of
each other at any size, though their elements may lie a thousand ULP apart: A's condition decides.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
import numpy.typing as npt

from conformance.core.arrays import (
    Array,
    as_dtype,
    as_tall,
    centre_of,
    centred,
    flat,
    in_shape,
    returned,
    whole,
    widen,
)
from conformance.core.ids import Problem
from conformance.core.laws import (
    Definition,
    DeltaOrthogonal,
    NominalMoments,
    Normal,
    Orthogonal,
    nominal_moments,
    tall_shape,
)
from conformance.core.records import (
    Budget,
    Drift,
    DriftClass,
    MatrixBudget,
    Outcome,
    Raised,
    Returned,
)
from conformance.core.ulp import unit_roundoff
from conformance.core.words import counted
from conformance.judge.checks.backward_error import (
    ColumnErrors,
    GramError,
    column_errors,
    gram_error,
    scaling_slack,
    unscaled,
)
from conformance.judge.drift import Comparison, classify, compare_arrays, compare_kept
from conformance.oracle import OracleUnavailable, haar, solve_normals
from conformance.oracle.threefry import Key

MatrixDefinition = Orthogonal | DeltaOrthogonal

RECORDED = "recorded"
"""Who says what was drawn: the backend itself."""

LAMBDA = 6.0
"""Standard errors that a sum of roundings strays at most: exceeded once in 5e8."""

NO_DIGITS = 0.25
"""A column that is off by this part of its length has hardly a bit right, whatever theory says."""

SIDES = {"actual": "the actual matrix: ", "expected": "the expected matrix: "}
"""How the fault of each side begins in the detail of a drift."""

LIKENESS = 0.99
"""Cosine of two columns from which they are the same but for rounding."""

NO_BUDGET = Budget(max_ulp=0, max_ulp_at_sigma=-math.inf)
"""Elements that differ are no rounding of each other, even where that is 0 ULP at a large sigma."""

ANY_DISTANCE = dataclasses.replace(NO_BUDGET, max_ulp_at_sigma=math.inf)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """The tall matrix of normals that was orthonormalised, in the dtype of the result.

    slack: how far each of its columns may be from the one that was drawn, in u of its length: zeros
        where the bits are the backend's own, the budget of normals where they are the oracle's.
    source: who says so.
    """

    matrix: Array
    slack: npt.NDArray[np.float64]
    source: str

    @property
    def widest_slack(self) -> float:
        """The slack of the column that has most."""
        return float(self.slack.max(initial=0.0))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class MatrixErrors:
    """The backward errors of one result, what they may be, and whose A they are held to.

    matrix: the result as a tall matrix without its scale, computed in the dtype.
    """

    columns: ColumnErrors
    matrix: Array
    dtype: np.dtype[np.generic]
    bound: MatrixBudget
    source: str

    @functools.cached_property
    def gram(self) -> GramError:
        """How far the columns are from orthonormal, whatever was drawn."""
        return gram_error(self.matrix, self.dtype)

    @property
    def fault(self) -> str:
        """What is wrong with the matrix, in one sentence; "" if it is right. NaN is wrong."""
        return column_fault(self.columns, self.bound, self.source) or gram_fault(
            self.gram, self.bound
        )


def derived_budget(rows: int, columns: int, dtype: np.dtype[np.generic]) -> MatrixBudget:
    """Return the bounds of a Householder QR by theory, for backends that nobody has measured.

    Rounding errors of random sign add up as their root: each computed column is within
    LAMBDA sqrt(rows columns) u of a right one, and the residual of Q^H Q within twice that. Source:
    Connolly & Higham, Probabilistic rounding error analysis of Householder QR factorization, SIAM
    J. Matrix Anal. Appl. 44 (2023), theorem 4.1; the worst case of Higham's theorem 19.4 has the
    product itself, and would let a matrix pass that was rounded to bfloat16.

    Neither exceeds NO_DIGITS / u: in 16 bits theory reaches 1 / u at 43 columns, where the Q of any
    other matrix lies, and would let it pass.
    """
    root = LAMBDA * math.sqrt(rows * columns)
    most = NO_DIGITS / unit_roundoff(dtype)
    return MatrixBudget(column=min(root, most), gram=min(2 * root, most))


def gram_fault(gram: GramError, bound: MatrixBudget) -> str:
    """Return how Q^H Q departs from I beyond the bound, or ""."""
    if gram.largest <= bound.gram:
        return ""
    row, column = gram.at
    which = f"column {row} has a length" if row == column else f"columns {row} and {column} have"
    what = "other than 1" if row == column else "a product other than 0"
    return (
        f"the matrix is not orthogonal: {which} {what}, |Q^H Q - I| is {gram.largest:.3g} u there, "
        f"needed at most {bound.gram:.3g} u"
    )


def column_fault(columns: ColumnErrors, bound: MatrixBudget, source: str) -> str:
    """Return which column is not that of the Q of what was drawn, or ""."""
    others = f" ({columns.n_beyond} columns are wrong)" if columns.n_beyond > 1 else ""
    if not columns.largest <= bound.column:
        return (
            f"column {columns.at} is not that of the Q of the matrix that was drawn ({source}): "
            f"its backward error is {columns.largest:.3g} u, needed at most {bound.column:.3g} u"
            f"{others}"
        )
    if not columns.lowest_diagonal >= -bound.column:
        return (
            f"column {columns.lowest_at} has the wrong sign: the diagonal of R must be positive, "
            f"and is {columns.lowest_diagonal:.3g} u of the length of what was drawn ({source})"
            f"{others}"
        )
    return ""


# --- Shapes --------------------------------------------------------------------------------------


def is_matrix(definition: Definition | None) -> bool:
    """Return whether results are orthogonal matrices, plain or in the centre of a kernel."""
    return isinstance(definition, Orthogonal | DeltaOrthogonal)


def off_centre_fault(array: Array, definition: MatrixDefinition) -> str:
    """Return whether a delta-orthogonal kernel has anything but zeros off its centre, or ""."""
    if not isinstance(definition, DeltaOrthogonal):
        return ""
    centre, rest = centre_of(array.shape), array.copy()
    rest[centre] = 0
    wrong = np.argwhere(rest != 0)  # NaN differs from 0
    if not len(wrong):
        return ""
    first = tuple(map(int, wrong[0]))
    return (
        f"{counted(len(wrong), 'element is', 'elements are')} not zero off the spatial centre "
        f"{centre}: the first, at {first}, is {array[first]}"
    )


def tall_of(array: Array, definition: MatrixDefinition) -> Array:
    """Return the (rows, columns) matrix, rows >= columns, that a result of the definition holds."""
    inner = array[centre_of(array.shape)] if isinstance(definition, DeltaOrthogonal) else array
    return as_tall(inner, definition.column_axis)


def tall_stack(arrays: Array, definition: MatrixDefinition) -> Array:
    """Return what `tall_of` does of each array along the first axis."""
    is_centred = isinstance(definition, DeltaOrthogonal)
    inner = arrays[_centres(arrays)] if is_centred else arrays
    last = np.moveaxis(inner, definition.column_axis % (inner.ndim - 1) + 1, -1)
    matrices = last.reshape(len(arrays), -1, last.shape[-1])
    is_tall = matrices.shape[1] >= matrices.shape[2]
    return matrices if is_tall else np.swapaxes(matrices, 1, 2)


def are_off_centre(arrays: Array, definition: MatrixDefinition) -> npt.NDArray[np.bool_]:
    """Return for which arrays along the first axis `off_centre_fault` has one."""
    if not isinstance(definition, DeltaOrthogonal):
        return np.zeros(len(arrays), bool)
    rest = arrays.copy()
    rest[_centres(arrays)] = 0
    return np.asarray((rest != 0).reshape(len(arrays), -1).any(axis=1))


def _centres(arrays: Array) -> tuple[slice | int, ...]:
    return (slice(None), *centre_of(arrays.shape[1:]))


# --- What was drawn ------------------------------------------------------------------------------


def drawn_by(
    outcome: Returned,
    definition: MatrixDefinition,
    problem: Problem | None,
    budget: Budget,
    key: Key | None = None,
) -> Drawn | None:
    """Return the matrix that was drawn for a result, as the backend recorded it, or by the oracle.

    key: of the draw, where it is not that of the problem's seed. None where neither can tell: the
    oracle says nothing of a result that is not of the shape and dtype that the problem asks for.
    """
    rows, columns = tall_shape(outcome.shape, definition)
    if outcome.drawn is not None:
        matrix = np.frombuffer(outcome.drawn, as_dtype(outcome.dtype)).reshape(rows, columns)
        return Drawn(matrix=matrix, slack=np.zeros(columns), source=RECORDED)
    asked = problem and (problem.dtype, problem.shape)
    if problem is None or asked != (outcome.dtype, outcome.shape):
        return None
    try:
        normals = solve_normals(problem, definition, key=key)
    except OracleUnavailable:
        return None
    # JAX's own roundings where they are known, which are nearer than the exact values.
    matrix = normals.expected if normals.followed is None else normals.followed
    return Drawn(matrix=matrix, slack=normals_slack(matrix, budget), source="by the oracle")


def normals_slack(drawn: Array, budget: Budget) -> npt.NDArray[np.float64]:
    """Return how far columns of normals within a budget may be from these, in u of their lengths.

    A spacing is at most 2 u of the value, and 2 u at sigma, which is 1.
    """
    lengths = np.linalg.norm(widen(drawn), axis=0)
    with np.errstate(divide="ignore"):  # the errors of a column of zeros are NaN: no bound has them
        at_sigma = budget.max_ulp_at_sigma * math.sqrt(len(drawn)) / lengths
    return np.asarray(2 * (budget.max_ulp + at_sigma), np.float64)


def as_another(drawn: Drawn, budget: Budget) -> Drawn:
    """Return what was drawn for one result as a witness for another of the same problem."""
    return dataclasses.replace(
        drawn,
        slack=drawn.slack + normals_slack(drawn.matrix, budget),
        source="on the other side",
    )


# --- Judging -------------------------------------------------------------------------------------


def matrix_errors(
    outcome: Returned, definition: MatrixDefinition, drawn: Drawn, budget: Budget
) -> MatrixErrors:
    """Return the backward errors of a whole, scaled result with elements.

    Raises:
        ValueError: only a sample of it is stored.
    """
    dtype = as_dtype(outcome.dtype)
    matrix = unscaled(tall_of(whole(outcome), definition), definition.scale)
    bound = bound_of(matrix.shape[0], matrix.shape[1], definition, dtype, budget)
    bound = dataclasses.replace(bound, column=bound.column + drawn.widest_slack)
    return MatrixErrors(
        columns=column_errors(matrix, drawn.matrix, bound=bound.column),
        matrix=matrix,
        dtype=dtype,
        bound=bound,
        source=drawn.source,
    )


def bound_of(
    rows: int,
    columns: int,
    definition: MatrixDefinition,
    dtype: np.dtype[np.generic],
    budget: Budget,
) -> MatrixBudget:
    """Return the bounds of a matrix: those measured, or theory's, and what scaling adds."""
    bound = budget.matrix or derived_budget(rows, columns, dtype)
    slack = scaling_slack(rows, definition.scale, dtype)
    return MatrixBudget(column=bound.column + slack, gram=bound.gram + slack)


def fault_of(outcome: Returned, definition: MatrixDefinition, drawn: Drawn, budget: Budget) -> str:
    """Return why a result is no right one for what was drawn, or "".

    A matrix of which only a sample is stored is held to NumPy's own Q, column by column, within
    what backward errors may move the elements: see `forward_bounds`.
    """
    if not definition.scale or not math.prod(outcome.shape):
        known = outcome.moments  # of all elements, whether or not all are kept
        others = (known.minimum, known.maximum, known.nonfinite)
        return "elements are not zero" if math.prod(outcome.shape) and any(others) else ""
    if not outcome.is_whole:
        return _fault_of_sample(outcome, definition, drawn, budget)
    off_centre = off_centre_fault(whole(outcome), definition)
    return off_centre or matrix_errors(outcome, definition, drawn, budget).fault


def _fault_of_sample(
    outcome: Returned, definition: MatrixDefinition, drawn: Drawn, budget: Budget
) -> str:
    if outcome.moments.nonfinite:
        return f"{outcome.moments.nonfinite} elements are NaN or infinite"
    dtype = as_dtype(outcome.dtype)
    rows, columns = drawn.matrix.shape
    bound = bound_of(rows, columns, definition, dtype, budget)
    expected = haar(widen(drawn.matrix))
    allowed = np.broadcast_to(forward_bounds(drawn, bound) * unit_roundoff(dtype), expected.shape)
    exact, slack = (laid_out(matrix, outcome.shape, definition) for matrix in (expected, allowed))
    distance = np.abs(widen(flat(outcome)) / definition.scale - exact[:: outcome.stride])
    wrong = np.flatnonzero(~(distance <= slack[:: outcome.stride]))
    if not wrong.size:
        return ""
    return (
        f"{wrong.size} of the {distance.size} elements that are stored are further from the Q of "
        f"the matrix that was drawn ({drawn.source}) than backward errors of {bound.column:.3g} u "
        "explain"
    )


def forward_bounds(drawn: Drawn, bound: MatrixBudget) -> npt.NDArray[np.float64]:
    """Return how far an element of each column of a right Q may be from the exact one, in u.

    To first order, if A + dA = (Q + dQ)(R + dR), then Q^H dQ is skew with the lower part of
    W = Q^H dA R^-1, and (I - Q Q^H) dQ = (I - Q Q^H) dA R^-1 (Sun, BIT 31 (1991)). Column j of
    dA R^-1 is no longer than w_j = sum_i |dA_i| |R^-1|_ij; that of dQ than the root of
    w_j^2 + sum_(i<j) w_i^2, to which the departure from orthogonality comes, bound.gram at most.
    Twice that, since NumPy's own Q errs as much in float64, and for the second order. NaN where the
    columns of A are not independent: no element is near enough to a Q that is not determined.
    """
    factor = np.linalg.qr(widen(drawn.matrix), mode="r")
    try:
        inverse = np.abs(np.linalg.inv(factor))
    except np.linalg.LinAlgError:
        return np.full(len(factor), math.nan)
    moved = np.linalg.norm(widen(drawn.matrix), axis=0) * (bound.column + drawn.slack)
    reach = moved @ inverse
    return np.asarray(2 * (np.sqrt(np.cumsum(reach**2)) + bound.gram), np.float64)


def laid_out(matrix: Array, shape: tuple[int, ...], definition: MatrixDefinition) -> Array:
    """Return the elements of a tall matrix in the order of a flattened result of the shape."""
    if not isinstance(definition, DeltaOrthogonal):
        return in_shape(matrix, shape, definition.column_axis).ravel()
    return centred(in_shape(matrix, shape[-2:], definition.column_axis), shape).ravel()


# --- Comparing -----------------------------------------------------------------------------------


def compare_matrices(
    actual: Outcome,
    expected: Outcome,
    definition: MatrixDefinition,
    moments: NominalMoments | None,
    budget: Budget,
    *,
    problem: Problem | None = None,
    key: Key | None = None,
) -> Drift:
    """Return how one result differs from another: rounding if each is the right Q of the same draw.

    The same but for rounding: each may have its own bits. Two right results of different draws are
    as far apart as the draws, and have their class: a new stream is no rounding. Where a result is
    not right, the class is the one that the elements tell, and the detail names which of the two is
    wrong, and how.

    problem, key: what the oracle draws for a side that did not record it; see `drawn_by`. A golden
        keeps no draw; what was recorded for the other side stands for it too.
    """
    if isinstance(actual, Raised) or isinstance(expected, Raised):
        return classify(actual, expected)
    drift = classify(actual, expected, moments=moments, budget=ANY_DISTANCE)
    if drift.drift_class in (DriftClass.IDENTICAL, DriftClass.STRUCTURAL):
        return drift
    mine, theirs = (drawn_by(side, definition, problem, budget, key) for side in (actual, expected))
    if mine is None and theirs is None:
        return classify(actual, expected, moments=moments)  # nobody knows what was drawn
    faults = {
        "actual": _fault_by_any(actual, definition, _witnesses(mine, theirs, budget), budget),
        "expected": _fault_by_any(expected, definition, _witnesses(theirs, mine, budget), budget),
    }
    if any(faults.values()):
        told = classify(actual, expected, moments=moments, budget=NO_BUDGET)
        sides = (actual, expected)
        is_settled = told.drift_class not in (DriftClass.STREAM, DriftClass.UNKNOWN)
        if not (is_settled or all(_is_orthonormal(side, definition, budget) for side in sides)):
            told = dataclasses.replace(told, drift_class=DriftClass.LAW)
        named = [f"{SIDES[side]}{fault}" for side, fault in faults.items() if fault]
        if order := column_order(actual, expected, definition):
            named.append(order)
            told = dataclasses.replace(told, drift_class=DriftClass.STRUCTURAL)
        return dataclasses.replace(told, detail="; ".join(filter(None, (*named, told.detail))))
    if not actual.is_whole:
        return classify(actual, expected, moments=moments)
    between = None
    if mine and theirs:
        between = compare_draws(mine.matrix, theirs.matrix, budget).drift
    if between and between.drift_class.rank > DriftClass.ROUNDING.rank:
        detail = (
            f"each is a right Q, of another matrix: what was drawn has changed: {between.detail}"
        )
        return dataclasses.replace(
            drift, drift_class=between.drift_class, scale=None, detail=detail
        )
    return dataclasses.replace(
        drift,
        drift_class=DriftClass.ROUNDING,
        scale=None,
        detail="each is a right Q of what was drawn, by the backward errors of its columns",
    )


def _is_orthonormal(outcome: Returned, definition: MatrixDefinition, budget: Budget) -> bool:
    """Return whether columns are, or may be for all that is kept: as of any stream's matrix."""
    if not outcome.is_whole or not math.prod(outcome.shape) or not definition.scale:
        return True
    dtype = as_dtype(outcome.dtype)
    matrix = unscaled(tall_of(whole(outcome), definition), definition.scale)
    rows, columns = matrix.shape
    bound = bound_of(rows, columns, definition, dtype, budget)
    return not gram_fault(gram_error(matrix, dtype), bound)


def column_order(actual: Returned, expected: Returned, definition: MatrixDefinition) -> str:
    """Return which columns stand in other places, whatever rounding moved in them; "" if none do.

    Columns of one orthonormal matrix are orthogonal, so each resembles one of the other at most.
    """
    if not actual.is_whole or not expected.is_whole or not definition.scale:
        return ""
    one, two = (tall_of(widen(whole(side)), definition) for side in (actual, expected))
    likeness = np.abs(one.conj().T @ two) / definition.scale**2
    places = likeness.argmax(axis=1)
    moved = np.flatnonzero(places != np.arange(len(places)))
    is_order = len(set(places.tolist())) == len(places) and likeness.max(axis=1).min() > LIKENESS
    if not moved.size or not is_order:
        return ""
    return (
        f"{moved.size} columns stand in other places: column {moved[0]} was column "
        f"{places[moved[0]]}"
    )


def compare_draws(actual: Array, expected: Array, budget: Budget) -> Comparison:
    """Return how what was drawn for one result differs from what was drawn for another.

    budget: of the normals.
    """
    law = nominal_moments(Normal(stddev=1.0), expected.shape)
    assert law is not None
    if (actual.dtype, actual.shape) != (expected.dtype, expected.shape):
        return compare_kept(returned(actual), returned(expected), moments=law, budget=budget)
    return compare_arrays(actual, expected, sigma=math.sqrt(law.variance), budget=budget)


def _witnesses(own: Drawn | None, other: Drawn | None, budget: Budget) -> list[Drawn]:
    """Return who says what was drawn for a result: itself, or the oracle and the other result."""
    if own is not None and own.source == RECORDED:
        return [own]
    others = [as_another(other, budget)] if other is not None and other.source == RECORDED else []
    return others if own is None else [own, *others]


def _fault_by_any(
    outcome: Returned, definition: MatrixDefinition, witnesses: list[Drawn], budget: Budget
) -> str:
    """Return why a result is right by no witness, in the words of the first; "" if by one it is."""
    faults = [fault_of(outcome, definition, drawn, budget) for drawn in witnesses]
    return faults[0] if all(faults) else ""
