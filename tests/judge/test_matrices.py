"""Matrices are held to what was drawn for them: every planted fault is found, right ones pass."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import mpmath
import numpy as np
import planted_matrices
import pytest
import threadpoolctl
from planted_matrices import LARGE, OFF_CENTRE, RIGHT, SETTINGS, Draw, Row, Setting

from conformance.cases.builtin import load_catalogue
from conformance.core.arrays import Array, as_dtype, returned, sampled, thin, whole, widen
from conformance.core.formats import WIDE_DTYPES
from conformance.core.ids import Problem, format_shape, parse_case
from conformance.core.laws import DeltaOrthogonal, Normal, Orthogonal
from conformance.core.records import Budget, Drift, DriftClass, MatrixBudget, Raised, Returned
from conformance.core.ulp import unit_roundoff
from conformance.judge.checks import matrices
from conformance.judge.checks.backward_error import ColumnErrors, GramError, scaling_slack
from conformance.judge.checks.matrices import (
    NO_DIGITS,
    Drawn,
    _witnesses,
    are_off_centre,
    as_another,
    bound_of,
    column_fault,
    column_order,
    compare_draws,
    compare_matrices,
    derived_budget,
    drawn_by,
    fault_of,
    forward_bounds,
    gram_fault,
    is_matrix,
    laid_out,
    matrix_errors,
    normals_slack,
    off_centre_fault,
    tall_of,
    tall_stack,
)
from conformance.observe.jax_compat import x64
from conformance.oracle import Made, haar, solve_normals
from tests import small_golden
from tests.together import drawn_together

BOUNDS = MatrixBudget(column=50.0, gram=55.0)
BUDGET = Budget(max_ulp=91, max_ulp_at_sigma=4.0, matrix=BOUNDS)
SEEN_GRAM = 13.0
"""The largest gram error of right matrices, in u."""

FLOAT32 = np.dtype(np.float32)
PLAIN = Orthogonal()


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Of matrices as small as these a second thread only waits, and burns half of the time."""
    import scipy.linalg  # noqa: F401  # which brings the LAPACK that JAX calls

    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        yield


def normals(shape: tuple[int, int], seed: int = 0, dtype: str = "float32") -> Array:
    values = np.random.default_rng(seed).standard_normal(shape)
    if dtype.startswith("complex"):
        values = values + 1j * np.random.default_rng(seed + 1000).standard_normal(shape)
    return np.asarray(values.astype(dtype))


def q_of(drawn: Array) -> Array:
    return haar(widen(drawn)).astype(drawn.dtype)


def recorded(array: Array, drawn: Array) -> Returned:
    return dataclasses.replace(returned(array), drawn=drawn.tobytes())


def witness(drawn: Array) -> Drawn:
    return Drawn(matrix=drawn, slack=np.zeros(drawn.shape[1]), source="recorded")


def compared(actual: Returned, expected: Returned, problem: Problem | None = None) -> Drift:
    return compare_matrices(actual, expected, PLAIN, None, BUDGET, problem=problem)


def draw_by_numpy(setting: Setting, dtype: str, seed: int) -> Draw:
    """Return what the script's `draw` does, in a millisecond: NumPy's normals, and their Q."""
    drawn = normals(setting.tall, 500 + seed, dtype)  # other seeds than the faults' own
    array = planted_matrices.array_of(haar(widen(drawn)), setting, dtype)
    return planted_matrices.draw_of(array, drawn, setting, seed)


draw_by_jax = functools.cache(planted_matrices.draw)


@functools.cache
def drawn_by_jax(dtype: str) -> dict[Setting, Draw]:
    """Return JAX's draws of seed 0 in every setting it is asked for here, of one program.

    The script's draws are those of a program for each operation and shape.
    """
    settings = [setting for setting, each in CASES_OF_JAX if each == dtype]
    draws = [
        functools.partial(planted_matrices.arrays_of_jax, setting=setting, dtype=dtype)
        for setting in settings
    ]
    with x64() if dtype in WIDE_DTYPES else contextlib.nullcontext():
        arrays = drawn_together(draws, 0, is_optimized=False)
    return {
        setting: planted_matrices.draw_of(array, drawn, setting, 0)
        for setting, (array, drawn) in zip(settings, arrays, strict=True)
    }


# --- Planted faults ------------------------------------------------------------------------------


@functools.cache
def rows(setting: Setting, dtype: str) -> list[Row]:
    return planted_matrices.rows_of(setting, dtype, BUDGET, draw_by_numpy)


OTHERS = {
    "float64": ("2x2", "6x9"),
    "complex64": ("2x2", "64x32", "delta 3x3x16x32"),
    "complex128": ("9x6",),
}
"""What JAX is asked for here in other dtypes; the script asks for all, in seconds each."""

CASES_OF_JAX = [
    *((setting, "float32") for setting in SETTINGS),
    *(
        (setting, dtype)
        for dtype, names in OTHERS.items()
        for setting in SETTINGS
        if setting.name in names
    ),
]
CASES = [
    (setting, dtype)
    for setting in SETTINGS
    for dtype in ("float32", "float64", "complex64", "complex128")
    if dtype == "float32" or math.prod(setting.tall) <= 64 * 32
]
"""Larger ones in other dtypes are the script's: each takes a second."""


def each_of(cases: list[tuple[Setting, str]]) -> pytest.MarkDecorator:
    ids = [f"{setting.name} {dtype}".replace(" ", "-") for setting, dtype in cases]
    return pytest.mark.parametrize(("setting", "dtype"), cases, ids=ids)


@each_of(CASES)
def test_every_planted_fault_is_found(setting: Setting, dtype: str) -> None:
    missed = [row.fault for row in rows(setting, dtype) if not row.is_as_planted]

    assert missed == []


@each_of(CASES_OF_JAX)
def test_what_jax_returns_is_right(setting: Setting, dtype: str) -> None:
    found = drawn_by_jax(dtype)[setting]

    row = planted_matrices.judged(RIGHT, found.array, found.drawn, setting, BUDGET)

    assert row.verdict == ""


@pytest.mark.slow
def test_faults_are_found_among_a_thousand_columns() -> None:
    faults = (RIGHT, "neighbouring columns swapped", "one column turned by 1e-4 within the span")

    found = [
        planted_matrices.judged(name, array, drawn, LARGE, BUDGET)
        for name, array, drawn in planted_matrices.planted(LARGE, "float32", faults, draw_by_numpy)
    ]

    assert {row.fault for row in found} == set(faults)
    assert [row.fault for row in found if not row.is_as_planted] == []


def test_each_fault_says_what_is_wrong() -> None:
    verdicts = {row.fault: row.verdict for row in rows(Setting(shape=(64, 32)), "float32")}

    assert (
        "column 16 has the wrong sign: the diagonal of R must be positive"
        in (verdicts["one column negated"])
    )
    assert (
        "column 0 is not that of the Q of the matrix that was drawn (recorded)"
        in (verdicts["neighbouring columns swapped"])
    )
    assert "needed at most 50 u" in verdicts["one column turned by 1e-4 out of the span"]


def test_a_fault_that_leaves_the_columns_theirs_is_one_of_lengths() -> None:
    """Of one column scaled the errors in the span vanish with its part of A."""
    drawn = normals((2, 1))
    q = q_of(drawn) * np.float32(1 + 1e-5)

    fault = fault_of(
        returned(q),
        PLAIN,
        witness(drawn),
        Budget(max_ulp=0, max_ulp_at_sigma=0.0, matrix=MatrixBudget(column=1e9, gram=55.0)),
    )

    assert "the matrix is not orthogonal: column 0 has a length other than 1" in fault
    assert "needed at most 55 u" in fault


def test_what_is_off_the_centre_of_a_kernel_is_named() -> None:
    kernels = [s for s in SETTINGS if isinstance(s.definition, DeltaOrthogonal)]
    verdicts = {row.fault: row.verdict for row in rows(kernels[0], "float32")}

    assert verdicts[OFF_CENTRE].startswith("1 element is not zero off the spatial centre (1, 1): ")


OF_EACH_KIND = ("2x2", "delta 3x3x16x32", "6x9 x -0.5", "3x4x5 columns on axis 0")


def test_the_script_says_what_it_planted_and_found(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one setting of each kind: here each draw of JAX takes programs of its own."""
    of_each_kind = [s for s in SETTINGS if s.name in OF_EACH_KIND]
    monkeypatch.setattr(planted_matrices, "SETTINGS", of_each_kind)

    code = planted_matrices.main(["--dtype", "float32", "--bounds", "1e9", "1e9", "--markdown"])
    printed = capsys.readouterr().out

    assert code == 1
    assert "float32, OpenBLAS" in printed
    assert "| 2x2 | none |" in printed
    assert "4 right matrices, 4 passed" in printed
    assert "not as planted: float32 2x2, one column scaled by 1 + 1e-4: " in printed


# --- Bounds, at them and beside them -------------------------------------------------------------


def gram_at(largest: float, at: tuple[int, int] = (2, 2)) -> GramError:
    return GramError(largest=largest, at=at, ratio=0.0)


def columns_at(
    largest: float = 0.0, lowest_diagonal: float = 1e6, n_beyond: int = 0
) -> ColumnErrors:
    return ColumnErrors(
        largest=largest,
        at=3,
        lowest_diagonal=lowest_diagonal,
        lowest_at=5,
        n_beyond=n_beyond,
        n_undetermined=0,
        ratio=0.0,
    )


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ((2, 2), "column 2 has a length other than 1"),
        ((2, 4), "columns 2 and 4 have a product other than 0"),
    ],
)
def test_a_gram_error_is_a_fault_beyond_its_bound(at: tuple[int, int], words: str) -> None:
    beyond = math.nextafter(55.0, 56)

    assert gram_fault(gram_at(55.0, at), BOUNDS) == ""
    assert gram_fault(gram_at(beyond, at), BOUNDS) == (
        f"the matrix is not orthogonal: {words}, |Q^H Q - I| is 55 u there, needed at most 55 u"
    )
    assert gram_fault(gram_at(math.nan, at), BOUNDS) != ""


@pytest.mark.parametrize(("n_beyond", "others"), [(0, ""), (1, ""), (2, " (2 columns are wrong)")])
def test_a_column_error_is_a_fault_beyond_its_bound(n_beyond: int, others: str) -> None:
    beyond = math.nextafter(50.0, 51)

    assert column_fault(columns_at(50.0), BOUNDS, "recorded") == ""
    assert column_fault(columns_at(beyond, n_beyond=n_beyond), BOUNDS, "recorded") == (
        "column 3 is not that of the Q of the matrix that was drawn (recorded): "
        f"its backward error is 50 u, needed at most 50 u{others}"
    )
    assert column_fault(columns_at(math.nan), BOUNDS, "recorded") != ""


@pytest.mark.parametrize(("n_beyond", "others"), [(1, ""), (3, " (3 columns are wrong)")])
def test_a_diagonal_is_a_fault_below_minus_its_bound(n_beyond: int, others: str) -> None:
    beyond = math.nextafter(-50.0, -51)

    assert column_fault(columns_at(0.0, -50.0), BOUNDS, "recorded") == ""
    assert column_fault(columns_at(0.0, beyond, n_beyond), BOUNDS, "recorded") == (
        "column 5 has the wrong sign: the diagonal of R must be positive, and is -50 u of the "
        f"length of what was drawn (recorded){others}"
    )
    assert column_fault(columns_at(0.0, math.nan), BOUNDS, "recorded") != ""


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "complex64"])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (4, 3), (100, 1), (64, 64), (4096, 512)])
def test_the_bounds_of_theory_are_six_roots_of_the_size(
    rows: int, columns: int, dtype: str
) -> None:
    u = unit_roundoff(np.dtype(dtype))
    root = 6 * math.sqrt(rows * columns)

    found = derived_budget(rows, columns, np.dtype(dtype))

    assert found == MatrixBudget(column=min(root, 0.25 / u), gram=min(2 * root, 0.25 / u))


def test_measured_bounds_come_before_theory_and_a_scale_adds_its_roundings() -> None:
    theory = derived_budget(64, 16, FLOAT32)
    unmeasured = dataclasses.replace(BUDGET, matrix=None)

    assert bound_of(64, 16, PLAIN, FLOAT32, BUDGET) == BOUNDS
    assert bound_of(64, 16, PLAIN, FLOAT32, unmeasured) == theory
    slack = scaling_slack(64, 1.5, FLOAT32)
    assert slack == pytest.approx(6.0)
    assert bound_of(64, 16, Orthogonal(scale=1.5), FLOAT32, BUDGET) == MatrixBudget(
        column=50.0 + slack, gram=55.0 + slack
    )


def test_the_slack_of_normals_is_two_units_for_each_ulp() -> None:
    """By the formula: at sigma, which is 1, an ULP moves an element by 2 u whatever its size."""
    drawn = np.array([[3, 0.5], [4, 0], [0, 0], [0, 0]], np.float32)
    budget = Budget(max_ulp=7, max_ulp_at_sigma=3.0)

    found = normals_slack(drawn, budget)

    assert found.tolist() == [2 * (7 + 3 * 2 / 5), 2 * (7 + 3 * 2 / 0.5)]
    assert normals_slack(np.zeros((4, 1), np.float32), budget).tolist() == [math.inf]
    assert normals_slack(drawn, Budget(max_ulp=7, max_ulp_at_sigma=0.0)).tolist() == [14, 14]


def test_a_witness_for_another_may_err_by_the_budget_of_normals_more() -> None:
    drawn = Drawn(matrix=normals((4, 2)), slack=np.array([1.0, 2.0]), source="recorded")

    found = as_another(drawn, BUDGET)

    assert found.source == "on the other side"
    assert found.matrix is drawn.matrix
    assert found.slack.tolist() == (drawn.slack + normals_slack(drawn.matrix, BUDGET)).tolist()


def test_the_widest_slack_widens_the_bound_of_columns_only() -> None:
    drawn = dataclasses.replace(witness(normals((4, 2))), slack=np.array([7.0, 3.0]))

    errors = matrix_errors(returned(q_of(drawn.matrix)), PLAIN, drawn, BUDGET)

    assert drawn.widest_slack == 7
    assert errors.bound == MatrixBudget(column=57.0, gram=55.0)
    empty = dataclasses.replace(drawn, slack=np.zeros(0))
    assert empty.widest_slack == 0


def test_a_tall_matrix_that_nobody_measured_is_held_to_theory() -> None:
    drawn = witness(normals((9, 2)))

    errors = matrix_errors(
        returned(q_of(drawn.matrix)), PLAIN, drawn, dataclasses.replace(BUDGET, matrix=None)
    )

    assert errors.bound == derived_budget(9, 2, FLOAT32)


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_the_reach_of_backward_errors_is_that_of_the_formula(dtype: str) -> None:
    """In 30 digits: w_j = sum_i |dA_i| |R^-1|_ij, and twice the root of sums of w^2, and gram."""
    matrix = normals((5, 3), dtype=dtype)
    drawn = Drawn(matrix=matrix, slack=np.array([0.0, 4.0, 9.0]), source="recorded")
    with mpmath.workdps(30):
        exact = mpmath.matrix([[mpmath.mpmathify(complex(x)) for x in row] for row in matrix])
        gram = exact.H * exact
        inverse = mpmath.inverse(mpmath.cholesky(gram).H)
        moved = [
            mpmath.sqrt(abs(gram[i, i])) * (BOUNDS.column + slack)
            for i, slack in enumerate(drawn.slack.tolist())
        ]
        reach = [sum(moved[i] * abs(inverse[i, j]) for i in range(3)) for j in range(3)]
        expected = [
            2 * (mpmath.sqrt(sum(w**2 for w in reach[: j + 1])) + BOUNDS.gram) for j in range(3)
        ]

    found = forward_bounds(drawn, BOUNDS)

    assert found.tolist() == pytest.approx([float(bound) for bound in expected], rel=1e-6)


def test_columns_that_depend_on_each_other_have_no_reach() -> None:
    bounds = forward_bounds(witness(np.ones((3, 2), np.float32)), BOUNDS)
    none = forward_bounds(witness(np.zeros((3, 2), np.float32)), BOUNDS)

    assert np.isnan(none).all()
    assert none.shape == (2,)
    assert not (bounds < 1e6).all()


def test_an_element_of_a_sample_may_be_as_far_as_the_bound_reaches() -> None:
    """Three columns of the identity: Q and R are exact, and so is every distance from a 0."""
    drawn = np.eye(4, 3, dtype=np.float64)
    reach = (forward_bounds(witness(drawn), BOUNDS) * 2.0**-53).tolist()
    sample = thin(returned(drawn), 5)  # elements (0, 0), (1, 2) and (3, 1)

    def fault(*values: float) -> str:
        moved = dataclasses.replace(sample, bits=np.array(values, np.float64).tobytes())
        return fault_of(moved, PLAIN, witness(drawn), BUDGET)

    assert reach[1] < reach[2]
    assert fault(1, 0, 0) == ""
    assert fault(1, reach[2], -reach[1]) == ""
    assert fault(1, 0, math.nextafter(reach[1], 1)).startswith("1 of the 3 elements")
    assert fault(1, math.nextafter(-reach[2], -1), 0) == (
        "1 of the 3 elements that are stored are further from the Q of the matrix that was drawn "
        "(recorded) than backward errors of 50 u explain"
    )
    assert fault(2, 0, 1).startswith("2 of the 3 elements")
    assert fault(math.nan, 0, 0).startswith("1 of the 3 elements")


def test_a_scaled_sample_is_held_to_the_scaled_q() -> None:
    drawn = np.eye(4, 3, dtype=np.float64)
    sample = thin(returned(-2.5 * drawn), 5)

    assert fault_of(sample, Orthogonal(scale=-2.5), witness(drawn), BUDGET) == ""
    assert fault_of(sample, Orthogonal(scale=2.5), witness(drawn), BUDGET) != ""
    assert fault_of(sample, PLAIN, witness(drawn), BUDGET) != ""


# --- Layouts of results --------------------------------------------------------------------------


KERNELS = [
    Setting(shape=shape, definition=DeltaOrthogonal(column_axis=axis))
    for shape in ((3, 2, 4), (2, 3, 4, 2, 4))
    for axis in (-1, -2)
]


@pytest.mark.parametrize("setting", [*SETTINGS, *KERNELS], ids=lambda setting: setting.name)
def test_a_tall_matrix_is_found_where_it_was_laid_out(setting: Setting) -> None:
    rows, columns = setting.tall
    tall = np.arange(1.0, rows * columns + 1).reshape(rows, columns)

    result = laid_out(tall, setting.shape, setting.definition).reshape(setting.shape)

    np.testing.assert_array_equal(tall_of(result, setting.definition), tall)


def test_the_columns_of_a_result_lie_on_its_axis() -> None:
    array = np.arange(24.0).reshape(2, 3, 4)

    assert tall_of(array, Orthogonal()).tolist() == array.reshape(6, 4).tolist()
    assert tall_of(array, Orthogonal(column_axis=1))[:, 2].tolist() == array[:, 2].ravel().tolist()
    wide = np.arange(6.0).reshape(2, 3)
    assert tall_of(wide, Orthogonal()).tolist() == wide.T.tolist()
    assert tall_of(wide[:, :2], Orthogonal()).tolist() == wide[:, :2].tolist()
    kernel = np.zeros((3, 4, 3))
    kernel[1] = np.arange(12.0).reshape(4, 3)
    assert tall_of(kernel, DeltaOrthogonal()).tolist() == kernel[1].tolist()


def test_only_orthogonal_matrices_are_matrices() -> None:
    assert is_matrix(PLAIN)
    assert is_matrix(DeltaOrthogonal())
    assert not is_matrix(Normal(stddev=1.0))
    assert not is_matrix(None)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (1e-45, "float32"),
        (-1.0, "bfloat16"),
        (math.nan, "float32"),
        (math.nan, "float16"),
        (complex(0, math.nan), "complex64"),
    ],
)
def test_what_is_off_the_centre_is_counted_and_the_first_named(value: complex, dtype: str) -> None:
    kernel = np.zeros((3, 3, 2, 2), as_dtype(dtype))
    kernel[1, 1] = np.eye(2)
    assert off_centre_fault(kernel, DeltaOrthogonal()) == ""

    kernel[0, 2, 1, 0] = kernel[2, 2, 0, 0] = value

    assert off_centre_fault(kernel, DeltaOrthogonal()).startswith(
        "2 elements are not zero off the spatial centre (1, 1): the first, at (0, 2, 1, 0), is "
    )
    assert off_centre_fault(kernel, PLAIN) == ""
    assert "off the spatial centre" in fault_of(
        returned(kernel), DeltaOrthogonal(), witness(np.eye(2, dtype=kernel.dtype)), BUDGET
    )
    assert kernel[1, 1, 0, 0] == 1


# --- The smallest fault that is certain to be found ----------------------------------------------


@pytest.mark.parametrize("shape", [(2, 2), (4, 4), (16, 16), (64, 64), (9, 6), (256, 4)], ids=str)
def test_a_length_beyond_the_budget_and_what_is_ever_seen_is_found(
    shape: tuple[int, int],
) -> None:
    """|q|^2 is then off by more than the budget, whatever rounding takes from it."""
    u = unit_roundoff(FLOAT32)
    excess = 1.01 * (BOUNDS.gram + SEEN_GRAM) * u / 2
    for seed in range(50):
        drawn = normals(shape, seed)
        wrong = q_of(drawn)
        column = seed % shape[1]
        wrong[:, column] = wrong[:, column] * (1 + excess)

        assert fault_of(returned(wrong), PLAIN, witness(drawn), BUDGET)


@pytest.mark.parametrize("shape", [(2, 2), (16, 16), (64, 64), (256, 4)], ids=str)
def test_a_length_that_rounding_explains_passes(shape: tuple[int, int]) -> None:
    for seed in range(50):
        drawn = normals(shape, seed)
        scaled = widen(q_of(drawn)) * (1 + unit_roundoff(FLOAT32))

        outcome = returned(scaled.astype(FLOAT32))

        assert not fault_of(outcome, PLAIN, witness(drawn), BUDGET)


def test_two_columns_turned_in_their_plane_are_found_by_the_part_of_a_that_they_hold() -> None:
    """By t, c is t r_jj / (u |a_j|): what is small of a late column of a square A is its r_jj.

    That is the blind spot of any backward error: such a Q is right for an A next to the one drawn.
    """
    drawn = normals((256, 256))
    q = widen(q_of(drawn))

    def turned(first: int) -> str:
        wrong, t = q.copy(), 1e-5
        wrong[:, first : first + 2] @= np.array([[np.cos(t), np.sin(t)], [-np.sin(t), np.cos(t)]])
        return fault_of(returned(wrong.astype(FLOAT32)), PLAIN, witness(drawn), BUDGET)

    assert "column 0 is not that of the Q" in turned(0)
    assert turned(254) == ""


# --- Comparing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [2, 3, 4, 16, 64, 256])
def test_two_right_matrices_by_different_algorithms_are_rounding(side: int) -> None:
    of_jax = draw_by_jax(Setting(shape=(side, side)), "float32", 0)
    by_numpy = q_of(of_jax.drawn)

    drift = compared(recorded(of_jax.array, of_jax.drawn), recorded(by_numpy, of_jax.drawn))

    assert drift.drift_class is DriftClass.ROUNDING
    assert "each is a right Q of what was drawn" in drift.detail


def test_a_golden_without_its_draw_is_held_to_that_of_the_other_side() -> None:
    found = draw_by_jax(Setting(shape=(16, 16)), "float32", 0)

    drift = compared(recorded(found.array, found.drawn), returned(q_of(found.drawn)))

    assert drift.drift_class is DriftClass.ROUNDING


@pytest.mark.parametrize("wrong", ["actual", "expected"])
def test_the_matrix_that_is_wrong_is_named(wrong: str) -> None:
    drawn = normals((16, 16))
    right, swapped = q_of(drawn), q_of(drawn)
    swapped[:, [3, 4]] = swapped[:, [4, 3]]
    pair = {"actual": right, "expected": right, wrong: swapped}

    drift = compared(recorded(pair["actual"], drawn), returned(pair["expected"]))

    named = "expected" if wrong == "actual" else "actual"
    assert drift.drift_class.rank > DriftClass.ROUNDING.rank
    assert f"the {wrong} matrix: column 3 is not that of the Q" in drift.detail
    assert f"the {named} matrix" not in drift.detail


def test_both_are_named_where_both_are_wrong() -> None:
    drawn = normals((16, 16))
    one, two = q_of(drawn), q_of(drawn)
    one[:, 0] *= -1
    two[:, [3, 4]] = two[:, [4, 3]]

    detail = compared(recorded(one, drawn), recorded(two, drawn)).detail

    assert "the actual matrix: column 0 has the wrong sign" in detail
    assert "the expected matrix: column 3 is not that of the Q" in detail


def test_two_wrong_matrices_are_no_rounding_of_each_other() -> None:
    """However near they lie."""
    drawn = normals((16, 16))
    one = -q_of(drawn)
    two = one.copy()
    two[0, 0] = np.nextafter(one[0, 0], np.float32(2))

    drift = compared(recorded(one, drawn), recorded(two, drawn))

    assert drift.drift_class.rank > DriftClass.ROUNDING.rank
    assert drift.max_ulp_at_sigma is not None
    assert drift.max_ulp_at_sigma < 1


@pytest.mark.parametrize(
    ("made", "drift_class"),
    [
        (lambda _: q_of(normals((64, 64), seed=1)), DriftClass.STREAM),
        (lambda _: normals((64, 64), seed=1) / np.float32(8), DriftClass.LAW),
        (lambda q: q + np.float32(1e-3) * np.sin(300 * q), DriftClass.TRANSFORM),
    ],
    ids=["orthonormal", "normals", "bent"],
)
def test_other_elements_of_no_orthonormal_columns_are_another_law(
    made: Callable[[Array], Array], drift_class: DriftClass
) -> None:
    """Unless they are of the same stream, which the elements tell."""
    drawn = normals((64, 64))

    drift = compared(recorded(made(q_of(drawn)), drawn), recorded(q_of(drawn), drawn))

    assert drift.drift_class is drift_class
    assert drift.detail.startswith("the actual matrix: column ")


def test_where_zeros_are_wanted_no_columns_are_orthonormal() -> None:
    one, two = normals((64, 64)), normals((64, 64), seed=1)

    drift = compare_matrices(
        recorded(one, one), recorded(two, two), Orthogonal(scale=0.0), None, BUDGET
    )

    assert drift.drift_class is DriftClass.STREAM
    assert drift.detail.startswith(
        "the actual matrix: elements are not zero; the expected matrix: elements are not zero; "
    )


def test_what_is_wrong_by_every_witness_is_said_in_the_words_of_its_own() -> None:
    problem, golden = _problem_and_its_q()
    swapped = whole(golden)[:, [1, 0, *range(2, 16)]]
    drawn = normals((16, 16), seed=9)

    detail = compared(recorded(q_of(drawn), drawn), returned(swapped), problem).detail

    assert (
        "the expected matrix: column 0 is not that of the Q of the matrix that was drawn (by"
        in (detail)
    )


def test_witnesses_are_ones_own_record_or_else_the_oracle_and_the_others_record() -> None:
    mine, theirs = witness(normals((4, 2))), witness(normals((4, 2), seed=1))
    solved = dataclasses.replace(mine, source="by the oracle")

    def sources(own: Drawn | None, other: Drawn | None) -> list[str]:
        return [drawn.source for drawn in _witnesses(own, other, BUDGET)]

    assert sources(mine, theirs) == sources(mine, None) == ["recorded"]
    assert sources(solved, theirs) == ["by the oracle", "on the other side"]
    assert sources(solved, solved) == sources(solved, None) == ["by the oracle"]
    assert sources(None, theirs) == ["on the other side"]


@pytest.mark.parametrize("side", [3, 64])
def test_right_matrices_of_different_draws_are_no_rounding(side: int) -> None:
    """Each recorded its own draw and is right for it; a new stream is a new stream."""
    one, two = normals((side, side), seed=1), normals((side, side), seed=2)

    drift = compared(recorded(q_of(one), one), recorded(q_of(two), two))

    assert drift.drift_class.rank > DriftClass.ROUNDING.rank
    assert "each is a right Q, of another matrix: what was drawn has changed" in drift.detail


def test_a_new_stream_is_called_so() -> None:
    one, two = normals((64, 64), seed=1), normals((64, 64), seed=2)

    drift = compared(recorded(q_of(one), one), recorded(q_of(two), two))

    assert drift.drift_class is DriftClass.STREAM


def test_a_new_stream_is_no_rounding_of_what_the_oracle_draws() -> None:
    """The older side has no draw on record, the oracle knows it: a recording made before."""
    problem, older = _problem_and_its_q()
    drawn = normals((16, 16), seed=9)

    drift = compared(recorded(q_of(drawn), drawn), older, problem)

    assert drift.drift_class.rank > DriftClass.ROUNDING.rank
    assert "what was drawn has changed" in drift.detail


def test_draws_within_the_budget_of_normals_are_the_same_draw() -> None:
    one = normals((64, 64))
    jitter = np.random.default_rng(1).integers(-8, 9, one.shape)
    two = (one.view(np.int32) + jitter.astype(np.int32)).view(np.float32)

    drift = compared(recorded(q_of(one), one), recorded(q_of(two), two))

    assert drift.drift_class is DriftClass.ROUNDING
    assert drift.detail.startswith("each is a right Q of what was drawn, by the backward errors")


def _problem_and_its_q() -> tuple[Problem, Returned]:
    problem = Problem(initializer="orthogonal", dtype="float32", shape=(16, 16), seed=5)
    found = draw_by_jax(Setting(shape=problem.shape), "float32", problem.seed)
    return problem, returned(q_of(found.drawn))


def test_the_oracle_says_what_was_drawn_where_nobody_recorded_it() -> None:
    problem, golden = _problem_and_its_q()
    found = draw_by_jax(Setting(shape=problem.shape), "float32", problem.seed)

    assert compared(returned(found.array), golden, problem).drift_class is DriftClass.ROUNDING


def test_the_oracle_draws_with_the_roundings_of_jax_where_it_knows_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem, golden = _problem_and_its_q()
    normals_ = solve_normals(problem, PLAIN)

    followed = drawn_by(golden, PLAIN, problem, BUDGET)
    as_defined = Made(value=normals_.value, expected=normals_.expected)
    unknown = dataclasses.replace(normals_, made=as_defined)
    monkeypatch.setattr(matrices, "solve_normals", lambda *_, **__: unknown)
    exact = drawn_by(golden, PLAIN, problem, BUDGET)

    assert followed is not None
    assert exact is not None
    assert followed.matrix.tobytes() == np.asarray(normals_.followed).tobytes()
    assert exact.matrix.tobytes() == normals_.expected.tobytes()
    assert exact.matrix.tobytes() != followed.matrix.tobytes()
    assert exact.slack.tolist() == normals_slack(exact.matrix, BUDGET).tolist()


def test_the_oracle_draws_nothing_for_what_nobody_asked_for() -> None:
    problem, golden = _problem_and_its_q()
    record = dataclasses.replace(golden, drawn=golden.bits)

    for other in ({"dtype": "float64"}, {"shape": (8, 32)}):
        changes: dict[str, Any] = other
        asked = dataclasses.replace(problem, **changes)
        assert drawn_by(golden, PLAIN, asked, BUDGET) is None
        assert drawn_by(record, PLAIN, asked, BUDGET) is not None
    assert drawn_by(golden, PLAIN, None, BUDGET) is None
    assert drawn_by(golden, PLAIN, dataclasses.replace(problem, prng="rbg"), BUDGET) is None


def test_what_one_side_recorded_stands_for_the_other_whichever_it_is() -> None:
    """As of rbg, of which the oracle knows nothing, in a recording made before."""
    found = draw_by_jax(Setting(shape=(16, 16)), "float32", 0)
    older, newer = returned(found.array), recorded(q_of(found.drawn), found.drawn)

    assert compared(older, newer).drift_class is DriftClass.ROUNDING
    assert compared(newer, older).drift_class is DriftClass.ROUNDING


def test_where_nobody_knows_what_was_drawn_elements_are_compared() -> None:
    problem = Problem(initializer="orthogonal", dtype="float32", shape=(16, 16), seed=5, prng="rbg")
    drawn = normals((16, 16))
    swapped = q_of(drawn)
    swapped[:, [3, 4]] = swapped[:, [4, 3]]

    drift = compared(returned(swapped), returned(q_of(drawn)), problem)

    assert drift.drift_class.rank > DriftClass.ROUNDING.rank
    assert "the matrix that was drawn" not in drift.detail


def test_two_matrices_of_a_shape_that_nobody_asked_for_are_still_compared() -> None:
    """A wrong shape that was accepted as golden: the oracle has no draw for it."""
    problem = Problem(initializer="orthogonal", dtype="float32", shape=(4, 3), seed=0)
    one, two = (returned(q_of(normals((6, 2), seed))) for seed in (1, 2))

    assert compared(one, two, problem).drift_class.rank > DriftClass.ROUNDING.rank


@pytest.mark.parametrize(
    "drawn",
    [
        np.ones((128, 128), np.float32),
        np.zeros((128, 128), np.float32),
        np.full((128, 128), np.nan, np.float32),
    ],
    ids=["singular", "zero", "nan"],
)
@pytest.mark.parametrize("golden", ["whole", "sample"])
def test_a_draw_without_a_q_is_a_verdict_and_no_error(drawn: Array, golden: str) -> None:
    right = returned(q_of(normals((128, 128))))
    actual = recorded(q_of(normals((128, 128), seed=1)), drawn)

    drift = compared(actual, right if golden == "whole" else sampled(right))

    assert "the actual matrix: column 0 is not that of the Q" in drift.detail
    assert "the expected matrix" in drift.detail


@pytest.mark.parametrize("scale", [1.0, -2.5])
def test_columns_in_other_places_are_named_whatever_rounding_moved(scale: float) -> None:
    asked = Orthogonal(scale=scale)
    right = scale * q_of(normals((8, 4)))
    moved = right[:, [0, 3, 1, 2]] + np.float32(1e-3)

    found = column_order(returned(moved), returned(right), asked)

    assert found == "3 columns stand in other places: column 1 was column 3"
    assert column_order(returned(right), returned(right), asked) == ""
    negated = returned(-right[:, [1, 0, 2, 3]])
    assert column_order(negated, returned(right), asked).startswith("2 columns stand")


@pytest.mark.parametrize("scale", [1.0, 2.5, -0.5])
@pytest.mark.parametrize(("cosine", "is_order"), [(0.9901, True), (0.9899, False), (0.95, False)])
def test_columns_must_be_alike_to_be_called_moved(
    cosine: float, is_order: bool, scale: float
) -> None:
    """The cosine of the one that was turned out of the span is just that."""
    right = np.eye(3, 2)
    other = right[:, [1, 0]].copy()
    other[:, 0] = [0, cosine, math.sqrt(1 - cosine**2)]

    found = column_order(returned(scale * other), returned(scale * right), Orthogonal(scale=scale))

    assert bool(found) == is_order


def test_a_cosine_of_99_in_100_is_not_alike_enough() -> None:
    right = np.eye(3, 2)
    other = right[:, [1, 0]] * 0.99

    assert column_order(returned(other), returned(right), PLAIN) == ""


def test_every_column_must_be_alike_to_the_one_in_whose_place_it_is() -> None:
    """The last of the golden is alike to both, which orthonormal ones cannot be."""
    golden = np.array([[0.3, 0.95], [0.999, 0.995]])

    assert column_order(returned(np.eye(2)), returned(golden), PLAIN) == ""


def test_a_column_that_occurs_twice_is_no_order() -> None:
    right = np.eye(3, 2)

    assert column_order(returned(right[:, [1, 1]]), returned(right), PLAIN) == ""


def test_without_all_elements_or_a_scale_no_order_is_named() -> None:
    right = np.eye(6, 4)
    moved = right[:, [1, 0, 2, 3]]

    assert column_order(returned(moved), returned(right), PLAIN) != ""
    assert column_order(thin(returned(moved), 5), returned(right), PLAIN) == ""
    assert column_order(returned(moved), thin(returned(right), 5), PLAIN) == ""
    assert column_order(returned(moved), returned(right), Orthogonal(scale=0.0)) == ""


def test_columns_in_another_order_are_structural() -> None:
    drawn = normals((16, 16))
    right = q_of(drawn)
    moved = np.nextafter(right[:, [0, 2, 1, *range(3, 16)]], np.float32(2))

    drift = compared(recorded(moved, drawn), recorded(right, drawn))

    assert drift.drift_class is DriftClass.STRUCTURAL
    assert "2 columns stand in other places: column 1 was column 2" in drift.detail


def test_what_raises_is_compared_as_an_exception() -> None:
    raised = Raised(exception="TypeError", message="no")

    drift = compare_matrices(raised, returned(np.eye(2)), PLAIN, None, BUDGET)

    assert drift.drift_class is DriftClass.CONTRACT


@pytest.mark.parametrize("shape", [(2, 3), (3, 2)])
def test_identical_results_and_other_types_are_what_they_are(shape: tuple[int, int]) -> None:
    q = q_of(normals((3, 2)))
    wrong = returned(np.zeros(shape, np.float32))

    assert compared(wrong, wrong).drift_class is DriftClass.IDENTICAL
    assert compared(returned(q.astype(np.float16)), returned(q)).drift_class is (
        DriftClass.STRUCTURAL
    )


def test_rounding_has_no_scale_and_says_how_it_is_known() -> None:
    drawn = normals((16, 16))
    other = (q_of(drawn).astype(np.float64) * (1 + 2.0**-23)).astype(np.float32)

    drift = compared(recorded(other, drawn), recorded(q_of(drawn), drawn))

    assert (drift.drift_class, drift.scale) == (DriftClass.ROUNDING, None)
    assert drift.detail == (
        "each is a right Q of what was drawn, by the backward errors of its columns"
    )


def test_what_was_drawn_drifts_by_the_budget_of_normals() -> None:
    """At sigma 1, whatever the sample's own."""
    one = normals((64, 64))
    ends = np.where(np.arange(64) % 2, 9, -9).astype(np.float32)
    two = np.nextafter(one, ends)

    drift = compare_draws(one, two, Budget(max_ulp=1, max_ulp_at_sigma=0.0)).drift

    assert (drift.drift_class, drift.max_ulp) == (DriftClass.ROUNDING, 1)
    exact = compare_draws(one, two, Budget(max_ulp=0, max_ulp_at_sigma=0.0))
    assert exact.drift_class is not DriftClass.ROUNDING
    assert drift.max_ulp_at_sigma == float(np.abs(widen(one) - widen(two)).max()) * 2**23
    at_sigma = Budget(max_ulp=0, max_ulp_at_sigma=drift.max_ulp_at_sigma)
    assert compare_draws(one, two, at_sigma).drift_class is DriftClass.ROUNDING
    half = Budget(max_ulp=0, max_ulp_at_sigma=drift.max_ulp_at_sigma * 0.75)
    assert compare_draws(one, two, half).drift_class is not DriftClass.ROUNDING
    shifted = compare_draws(one + np.float32(0.5), one, BUDGET).drift
    assert "(0.5 sigma)" in shifted.detail


def test_what_was_drawn_of_another_type_is_structural() -> None:
    one = normals((8, 8))

    other_dtype = compare_draws(one.astype(np.float64), one, BUDGET).drift
    other_shape = compare_draws(one.reshape(16, 4), one, BUDGET).drift

    assert other_dtype.drift_class is other_shape.drift_class is DriftClass.STRUCTURAL
    assert other_dtype.detail == "float32[8, 8] -> float64[8, 8]"
    assert other_shape.detail == "float32[8, 8] -> float32[16, 4]"


# --- Samples -------------------------------------------------------------------------------------


def test_a_sampled_golden_is_judged_by_how_far_backward_errors_move_elements() -> None:
    found = draw_by_jax(Setting(shape=(256, 256)), "float32", 0)
    golden = sampled(returned(q_of(found.drawn)))

    drift = compared(recorded(found.array, found.drawn), golden)

    assert golden.stride != 1
    assert drift.drift_class is DriftClass.ROUNDING


def test_an_element_of_a_sample_that_moved_is_found_where_a_is_well_conditioned() -> None:
    """The bound of a column grows with the inverse of R: it is stated, and 1e-3 in half of them."""
    drawn = normals((128, 128))
    sample = sampled(returned(q_of(drawn)))
    allowed = forward_bounds(witness(drawn), BOUNDS) * unit_roundoff(FLOAT32)
    for index in range(0, 1024, 96):
        column = index * sample.stride % 128
        values = np.frombuffer(sample.bits, np.float32).copy()
        values[index] += 1e-3
        moved = dataclasses.replace(sample, bits=values.tobytes())

        fault = fault_of(moved, PLAIN, witness(drawn), BUDGET)

        assert bool(fault) == (allowed[column] < 1e-3)
    assert np.mean(allowed < 1e-3) > 0.5


def test_a_sample_of_another_draw_is_found() -> None:
    drawn = normals((128, 128))
    sample = sampled(returned(q_of(normals((128, 128), seed=1))))

    fault = fault_of(sample, PLAIN, witness(drawn), BUDGET)

    assert "elements that are stored are further from the Q of the matrix that was drawn" in fault


@pytest.mark.parametrize(
    ("shape", "definition"),
    [
        ((32, 256), Orthogonal(scale=1.5)),
        ((256, 32), Orthogonal(column_axis=0)),
        ((3, 3, 32, 64), DeltaOrthogonal(scale=0.5)),
        ((3, 3, 16, 64), Orthogonal(column_axis=-2)),
    ],
    ids=str,
)
def test_samples_of_every_layout_are_judged(
    shape: tuple[int, ...], definition: Orthogonal | DeltaOrthogonal
) -> None:
    found = draw_by_numpy(Setting(shape=shape, definition=definition), "float32", 0)
    sample = sampled(returned(found.array))
    other = dataclasses.replace(definition, scale=-definition.scale)

    assert sample.stride != 1
    assert fault_of(sample, definition, witness(found.drawn), BUDGET) == ""
    assert fault_of(sample, other, witness(found.drawn), BUDGET) != ""


def test_a_sample_of_a_matrix_on_the_side_that_is_judged_settles_nothing() -> None:
    """Swapped or not: what was not kept of it may be anything."""
    found = draw_by_jax(Setting(shape=(256, 256)), "float32", 0)
    right = returned(q_of(found.drawn))

    drift = compared(sampled(returned(found.array)), right)

    assert drift.drift_class is DriftClass.UNKNOWN


def test_what_is_not_a_number_is_known_of_elements_that_nobody_kept() -> None:
    drawn = normals((128, 128))
    matrix = q_of(drawn)
    matrix.flat[1] = np.nan

    fault = fault_of(sampled(returned(matrix)), PLAIN, witness(drawn), BUDGET)

    assert fault == "1 elements are NaN or infinite"


@pytest.mark.parametrize("value", [0.5, math.nan])
def test_of_zeros_what_nobody_kept_is_known_by_its_extremes(value: float) -> None:
    zeros = np.zeros((128, 128), np.float32)
    right = sampled(returned(zeros))
    zeros.flat[1] = value
    asked = Orthogonal(scale=0.0)

    assert fault_of(right, asked, witness(normals((128, 128))), BUDGET) == ""
    fault = fault_of(sampled(returned(zeros)), asked, witness(normals((128, 128))), BUDGET)
    assert fault == "elements are not zero"


# --- Edges ---------------------------------------------------------------------------------------


def test_a_scale_of_zero_wants_zeros_of_either_sign() -> None:
    none = Orthogonal(scale=0.0)
    drawn = normals((3, 3))
    zeros = np.array([[0.0, -0.0, 0.0]] * 3, np.float32)

    assert fault_of(returned(zeros), none, witness(drawn), BUDGET) == ""
    assert fault_of(returned(q_of(drawn)), none, witness(drawn), BUDGET) == "elements are not zero"


@pytest.mark.parametrize("shape", [(0, 8), (8, 0), (3, 0, 2)], ids=format_shape)
def test_an_empty_matrix_is_right(shape: tuple[int, ...]) -> None:
    outcome = dataclasses.replace(returned(np.zeros(shape, np.float32)), drawn=b"")
    drawn = drawn_by(outcome, PLAIN, None, BUDGET)

    assert drawn is not None
    assert fault_of(outcome, PLAIN, drawn, BUDGET) == ""


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16], ids=["float16", "bfloat16"])
@pytest.mark.parametrize("side", [4, 64, 256])
def test_in_16_bits_the_q_of_another_draw_is_found(dtype: type, side: int) -> None:
    """JAX refuses 16 bits, other initializers need not; theory alone would let any Q pass there."""
    unmeasured = dataclasses.replace(BUDGET, matrix=None)
    drawn: Array = normals((side, side), seed=1).astype(dtype)
    rounded = q_of(drawn)
    other = q_of(normals((side, side), seed=2).astype(dtype))

    assert fault_of(returned(rounded), PLAIN, witness(drawn), unmeasured) == ""
    assert "is not that of the Q" in fault_of(returned(other), PLAIN, witness(drawn), unmeasured)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16], ids=str)
def test_theory_never_allows_a_column_that_has_no_digit_right(dtype: type) -> None:
    bound = derived_budget(4096, 4096, np.dtype(dtype))

    assert max(bound.column, bound.gram) * unit_roundoff(np.dtype(dtype)) <= NO_DIGITS


def test_the_errors_name_whose_draw_they_are_held_to() -> None:
    drawn = normals((4, 4))
    errors = matrix_errors(recorded(q_of(drawn), drawn), PLAIN, witness(drawn), BUDGET)

    assert (errors.source, errors.fault) == ("recorded", "")
    assert errors.bound == BOUNDS


# --- What is recorded as drawn -------------------------------------------------------------------


@pytest.mark.parametrize("prng", ["", "-rbg", "-unsafe_rbg", "-threefry2x32_nonpartitionable"])
@pytest.mark.parametrize("transform", ["eager", "jit", "vmap"])
def test_what_is_recorded_is_what_the_transform_draws(prng: str, transform: str) -> None:
    """Under vmap rbg draws other bits than without."""
    case = parse_case(f"orthogonal-float32-64x32-s0{prng}-cpu-{transform}")

    outcome = small_golden.outcome_of(case, load_catalogue())

    assert isinstance(outcome, Returned)
    drawn = drawn_by(outcome, PLAIN, None, BUDGET)
    assert drawn is not None
    assert fault_of(outcome, PLAIN, drawn, BUDGET) == ""


# --- Stacks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("column_axis", [-1, 0, 1])
@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (2, 3, 4)])
def test_the_tall_matrices_of_a_stack_are_those_of_each(
    shape: tuple[int, ...], column_axis: int
) -> None:
    arrays = np.arange(3 * math.prod(shape), dtype=np.float32).reshape(3, *shape)
    definition = dataclasses.replace(PLAIN, column_axis=column_axis)

    found = tall_stack(arrays, definition)

    assert found.tolist() == [tall_of(each, definition).tolist() for each in arrays]


@pytest.mark.parametrize("column_axis", [-1, 0])
def test_the_tall_matrices_of_a_stack_of_kernels_are_their_centres(column_axis: int) -> None:
    arrays = np.arange(2 * 3 * 5 * 2 * 4, dtype=np.float32).reshape(2, 3, 5, 2, 4)
    definition = DeltaOrthogonal(scale=1.0, column_axis=column_axis)

    found = tall_stack(arrays, definition)

    assert found.tolist() == [tall_of(each, definition).tolist() for each in arrays]


def test_kernels_of_a_stack_that_are_not_zero_off_their_centre_are_told() -> None:
    arrays = np.zeros((4, 3, 2, 2), np.float32)
    arrays[:, 1] = 1
    arrays[1, 0, 0, 1], arrays[2, 2, 1, 1] = 1e-30, np.nan
    definition = DeltaOrthogonal(scale=1.0, column_axis=-1)

    found = are_off_centre(arrays, definition)

    assert found.tolist() == [bool(off_centre_fault(each, definition)) for each in arrays]
    assert found.tolist() == [False, True, True, False]
    assert not are_off_centre(arrays, PLAIN).any()
