"""What holds of every element, on both sides of its bound, in every dtype."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from conformance.core.arrays import Array, as_dtype, returned, sampled, thin
from conformance.core.ids import Problem
from conformance.core.laws import (
    COMPLEX_TRUNCATED_STDDEV,
    TRUNCATED_STDDEV,
    Constant,
    Definition,
    DeltaOrthogonal,
    NominalMoments,
    Normal,
    Orthogonal,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
)
from conformance.core.records import Budget, CheckResult, MatrixBudget, Raised, Returned, Status
from conformance.core.ulp import spacing_at, unit_roundoff
from conformance.judge.checks.backward_error import SPARE_BITS
from conformance.judge.checks.structure import (
    STRUCTURE,
    check_structure,
    outermost_draws,
    slack_at,
)
from conformance.judge.drift.classify import ROUNDINGS
from conformance.oracle import solve
from tests.evidence import NOTHING, declared, evidence, with_moments

UNIT_ROUNDOFFS = {
    "bfloat16": 2.0**-8,
    "float16": 2.0**-11,
    "float32": 2.0**-24,
    "float64": 2.0**-53,
    "complex64": 2.0**-24,
    "complex128": 2.0**-53,
}


UNIT = Normal(stddev=1.0)


def judged(definition: Definition, found: Array | Returned, **asked: Any) -> CheckResult:
    return check_structure(evidence(definition, found, **asked))


# --- Constants -----------------------------------------------------------------------------------

DTYPES = tuple(UNIT_ROUNDOFFS)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_constant_is_the_value_rounded_to_the_dtype(dtype: str) -> None:
    array = np.full((3, 4), 0.1, as_dtype(dtype))

    assert judged(Constant(value=0.1), array).status is Status.PASSED


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
@pytest.mark.parametrize("towards", [0.0, 1.0])
def test_a_constant_one_ulp_off_fails(dtype: str, towards: float) -> None:
    array = np.full((3, 4), 0.1, as_dtype(dtype))
    array[2, 3] = np.nextafter(array[2, 3], array.dtype.type(towards))

    result = judged(Constant(value=0.1), array)

    assert result.check == STRUCTURE
    assert result.status is Status.FAILED
    assert f"mine-{dtype}-3x4-s0-cpu-eager: 1 of 12 elements are not the constant: the first, " in (
        result.message
    )


def test_the_first_element_that_is_not_the_constant_is_named() -> None:
    array = np.ones((3, 4), np.float32)
    array[1, 2], array[2, 0] = 2.0, 3.0

    result = judged(Constant(value=1.0), array)

    assert result.message == (
        "mine-float32-3x4-s0-cpu-eager: 2 of 12 elements are not the constant: the first, "
        "at flat index 6, is 2.0, needed 1.0"
    )


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_a_zero_has_a_sign(dtype: str) -> None:
    zeros = np.zeros((3, 4), as_dtype(dtype))

    assert judged(Constant(value=0.0), zeros).status is Status.PASSED
    assert judged(Constant(value=0.0), -zeros).status is Status.FAILED


def test_the_imaginary_part_of_a_constant_counts() -> None:
    array = np.full((3, 4), 1 + 2j, np.complex64)

    assert judged(Constant(value=1 + 2j), array).status is Status.PASSED
    assert judged(Constant(value=1 - 2j), array).status is Status.FAILED


def test_an_array_is_broadcast_row_by_row() -> None:
    value = ((1.0, 2.0, 3.0),)
    array = np.array([[1.0, 2.0, 3.0]] * 2, np.float32)

    assert judged(Constant(value=value), array).status is Status.PASSED
    assert judged(Constant(value=value), array[:, ::-1].copy()).status is Status.FAILED


def test_a_constant_without_elements_passes() -> None:
    assert judged(Constant(value=1.0), np.zeros((0, 3), np.float32)).status is Status.PASSED


def test_of_a_sample_every_stored_element_is_held_to_the_constant() -> None:
    rows = np.ones((100, 50), np.float32) * np.arange(50, dtype=np.float32)
    value = (tuple(float(column) for column in range(50)),)
    outcome = sampled(returned(rows))
    stored = 17 * outcome.stride
    rows.reshape(-1)[stored] = -1.0
    wrong = sampled(returned(rows))

    result = judged(Constant(value=value), wrong)

    assert outcome.stride > 1
    assert judged(Constant(value=value), outcome).status is Status.PASSED
    assert f"the first, at flat index {stored}, is -1.0, needed {stored % 50}.0" in result.message


def test_the_digest_tells_of_a_constant_that_differs_where_nothing_is_kept() -> None:
    ones = np.ones((100, 50), np.float32)
    ones.reshape(-1)[1] = 2.0

    result = judged(Constant(value=1.0), sampled(returned(ones)))

    assert result.status is Status.FAILED
    assert "elements that were not kept differ: the digest is another" in result.message


def test_so_it_does_whatever_the_stride() -> None:
    ones = np.ones(8, np.float32)
    right = returned(ones)
    ones[1] = 2.0

    for stride in range(2, 8):
        wrong = thin(returned(ones), stride)
        assert judged(Constant(value=1.0), thin(right, stride)).status is Status.PASSED
        assert judged(Constant(value=1.0), wrong).status is Status.FAILED


# --- Bounds --------------------------------------------------------------------------------------

DECLARED = declared(NominalMoments(mean=0, variance=1.0, lower=-3.0, upper=5.0))


def scaling(distribution: str) -> VarianceScaling:
    return VarianceScaling(scale=1.0, mode="fan_in", distribution=distribution)


BOUNDED: tuple[tuple[Definition, float, float], ...] = (
    (TruncatedNormal(stddev=0.5), -1.0, 1.0),
    (TruncatedNormal(stddev=1.0, lower=2.0, upper=4.0), 2.0, 4.0),
    (TruncatedNormal(stddev=1.0, lower=-4.0, upper=-2.0), -4.0, -2.0),
    (Uniform(scale=2.0), 0.0, 2.0),
    (Uniform(scale=-2.0), -2.0, 0.0),
    (scaling("uniform"), -math.sqrt(3) / 2, math.sqrt(3) / 2),
    (scaling("truncated_normal"), -1 / TRUNCATED_STDDEV, 1 / TRUNCATED_STDDEV),
    (DECLARED, -3.0, 5.0),
)
REAL = ("bfloat16", "float16", "float32", "float64")


def between(minimum: float, maximum: float, dtype: str) -> Returned:
    moments = {"minimum": minimum, "maximum": maximum}
    return with_moments(np.zeros((4, 6), as_dtype(dtype)), moments)


@pytest.mark.parametrize(("definition", "lower", "upper"), BOUNDED, ids=str)
@pytest.mark.parametrize("dtype", REAL)
def test_elements_may_lie_six_roundings_outside_their_bounds_and_no_further(
    definition: Definition, lower: float, upper: float, dtype: str
) -> None:
    """Six roundings: of variance, root, truncation constant, quotient, unit variate, product."""
    slack = 6 * UNIT_ROUNDOFFS[dtype]
    low, high = lower - slack * abs(lower), upper + slack * abs(upper)

    at = judged(definition, between(low, high, dtype))
    above = judged(definition, between(low, math.nextafter(high, math.inf), dtype))
    below = judged(definition, between(math.nextafter(low, -math.inf), high, dtype))

    assert at.status is Status.PASSED
    assert above.status is Status.FAILED
    assert below.status is Status.FAILED
    assert ": the maximum " in above.message
    assert ": the minimum " in below.message


@pytest.mark.parametrize("extreme", ["minimum", "maximum"])
@pytest.mark.parametrize("value", [-3.1, 5.1, math.nan])
def test_both_extremes_are_held_to_both_bounds(extreme: str, value: float) -> None:
    outcome = with_moments(np.zeros((4, 6), np.float32), {extreme: value})

    assert judged(DECLARED, outcome).status is Status.FAILED


@pytest.mark.parametrize(
    ("distribution", "upper"),
    [("uniform", math.sqrt(2) / 2), ("truncated_normal", 1 / COMPLEX_TRUNCATED_STDDEV)],
)
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_the_modulus_of_a_complex_law_is_bounded(
    distribution: str, upper: float, dtype: str
) -> None:
    high = upper + 6 * UNIT_ROUNDOFFS[dtype] * upper

    at, beyond = (
        judged(scaling(distribution), between(0.0, maximum, dtype))
        for maximum in (high, math.nextafter(high, math.inf))
    )

    assert at.status is Status.PASSED
    assert beyond.status is Status.FAILED


def test_an_element_outside_the_bounds_is_told_with_them() -> None:
    result = judged(DECLARED, np.array([-1.0, 7.0], np.float32))

    assert result.message == (
        "mine-float32-2-s0-cpu-eager: the maximum 7.0 lies outside the law's bounds [-3.0, 5.0], "
        "widened by 6 roundings"
    )
    assert ROUNDINGS == 6


def test_a_scaled_normal_reaches_as_many_sigmas() -> None:
    sigma = math.sqrt(1 / 4)  # by the fan-in of the shape below

    def found(sigmas: float) -> CheckResult:
        return judged(scaling("normal"), np.full((4, 6), -sigmas * sigma, np.float32))

    assert found(5.419).status is Status.PASSED
    assert "lies 5.44 sigma from the mean" in found(5.44).message


def test_complex_normals_are_judged_by_the_oracle_alone() -> None:
    assert judged(UNIT, np.full((4, 6), 1e30, np.complex64)).status is Status.PASSED


def test_without_elements_there_is_nothing_out_of_bounds() -> None:
    assert judged(DECLARED, np.zeros((0, 4), np.float32)).status is Status.PASSED


@pytest.mark.parametrize(
    ("dtype", "farthest"),
    [
        ("bfloat16", -2.890625),
        ("bfloat16", 2.515625),
        ("float16", -3.486328125),
        ("float16", 3.181640625),
        ("float32", -5.41998291),
        ("float32", 5.2201128),
        ("float64", -8.292361),
        ("float64", 8.160707),
    ],
)
def test_no_normal_lies_beyond_what_the_outermost_word_draws(dtype: str, farthest: float) -> None:
    """The lattice of the uniform begins next to -1 and ends a step before 1."""
    within, beyond = (np.array([0.5, x * farthest], as_dtype(dtype)) for x in (0.99, 1.01))

    result = judged(UNIT, beyond)

    assert judged(UNIT, within).status is Status.PASSED
    assert result.status is Status.FAILED
    assert "sigma from the mean, and no word draws what lies outside [" in result.message


def test_of_what_is_not_finite_the_contract_speaks() -> None:
    assert judged(UNIT, np.array([9.0, np.nan], np.float32)).status is Status.PASSED


def test_a_law_that_the_oracle_does_not_know_has_no_outermost_draws() -> None:
    endless = declared(NominalMoments(mean=0, variance=1.0, lower=-math.inf, upper=math.inf))

    assert outermost_draws(endless, (4,), "float32") is None
    assert judged(endless, np.array([99.0], np.float32)).status is Status.PASSED


def test_the_reach_of_normals_gives_way_by_the_budget() -> None:
    budget = Budget(max_ulp=1 << 20, max_ulp_at_sigma=0.0)

    assert judged(UNIT, np.array([5.6], np.float32)).status is Status.FAILED
    assert judged(UNIT, np.array([5.6], np.float32), budget=budget).status is Status.PASSED


def test_minus_zero_lies_below_a_bound_of_zero() -> None:
    array = np.array([0.5, -0.0, 0.25], np.float32)

    result = judged(Uniform(scale=1.0), array)

    assert result.message == (
        "mine-float32-3-s0-cpu-eager: 1 element of -0.0 below the law's bound 0.0"
    )
    assert judged(Uniform(scale=1.0), abs(array)).status is Status.PASSED


@pytest.mark.parametrize(
    ("definition", "dtype"),
    [(UNIT, "float32"), (Uniform(scale=-1.0), "bfloat16"), (UNIT, "complex64")],
    ids=str,
)
def test_minus_zero_is_a_value_like_others_where_there_are_negative_ones(
    definition: Definition, dtype: str
) -> None:
    array = np.array([0.0, -0.0, -0.25], as_dtype(dtype))

    assert judged(definition, array).status is Status.PASSED


# --- Matrices ------------------------------------------------------------------------------------


def of_matrices(gram: float) -> Budget:
    return dataclasses.replace(NOTHING, matrix=MatrixBudget(column=0.0, gram=gram))


def identity(shape: tuple[int, ...], dtype: str) -> Array:
    return np.eye(*shape, dtype=as_dtype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(6, 4), (4, 6)])
@pytest.mark.parametrize("steps", [4, -8])
def test_a_column_may_be_as_long_as_the_budget_says_and_no_longer(
    dtype: str, shape: tuple[int, int], steps: int
) -> None:
    """In one place the length is 1 + steps u; products carry SPARE_BITS beyond u."""
    u, spare = UNIT_ROUNDOFFS[dtype], 2.0**-SPARE_BITS
    length = 1 + steps * u
    error = float(abs(Fraction(length) ** 2 - 1) / Fraction(u))
    matrix = identity(shape, dtype)
    matrix[2, 2] = length

    at, beyond = (
        judged(Orthogonal(), matrix, budget=of_matrices(gram=error + slack))
        for slack in (spare, -spare)
    )

    assert at.status is Status.PASSED
    assert at.metrics["gram_error"] == pytest.approx(error, rel=0, abs=spare)
    assert beyond.status is Status.FAILED
    assert "the matrix is not orthogonal: column 2 has a length other than 1" in beyond.message


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_two_columns_that_are_not_orthogonal_are_named(dtype: str) -> None:
    matrix = identity((6, 4), dtype)
    matrix[0, 3] = 0.25

    result = judged(Orthogonal(), matrix)

    assert result.status is Status.FAILED
    assert "columns 0 and 3 have a product other than 0" in result.message


def test_without_a_measured_budget_theory_bounds_a_matrix() -> None:
    """6 root(6 x 4) u for a column, twice that for a product: 58.8 u. A step of length is 4 u."""
    within, beyond = (identity((6, 4), "float32") for _ in range(2))
    within[1, 1], beyond[1, 1] = (1 + 2 * steps * 2.0**-24 for steps in (14, 15))

    assert judged(Orthogonal(), within).status is Status.PASSED
    assert "needed at most 58.8 u" in judged(Orthogonal(), beyond).message


@pytest.mark.parametrize("scale", [2.0, -0.5, 3.0])
def test_a_matrix_is_divided_by_its_scale(scale: float) -> None:
    matrix = (identity((6, 4), "float32") * scale).astype(np.float32)

    assert judged(Orthogonal(scale=scale), matrix).status is Status.PASSED
    assert judged(Orthogonal(scale=1.25 * scale), matrix).status is Status.FAILED


def test_the_conjugate_is_taken_of_complex_columns() -> None:
    """Without it these columns, of length 1, would have lengths and products of 0."""
    column = np.array([1, 1j], np.complex128) / math.sqrt(2)
    matrix = np.stack([column, column.conj()], axis=1)

    assert judged(Orthogonal(), matrix).status is Status.PASSED
    assert judged(Orthogonal(), np.stack([column, column], axis=1)).status is Status.FAILED


def test_the_columns_lie_on_the_axis_that_the_definition_says() -> None:
    matrix = identity((12, 2), "float32").T.reshape(2, 3, 4)

    assert judged(Orthogonal(column_axis=0), matrix).status is Status.PASSED
    assert judged(Orthogonal(column_axis=-1), matrix).status is Status.FAILED


@pytest.mark.parametrize("definition", [Orthogonal(scale=0.0), DeltaOrthogonal(scale=0.0)], ids=str)
def test_a_scale_of_zero_leaves_zeros(definition: Definition) -> None:
    zeros = np.zeros((3, 2, 2), np.float32)
    one = zeros.copy()
    one[1, 0, 1] = 1e-30

    assert judged(definition, zeros).status is Status.PASSED
    assert "elements are not zero, and the scale is" in judged(definition, one).message


def kernel(spatial: tuple[int, ...], at: tuple[int, ...]) -> Array:
    array = np.zeros((*spatial, 2, 3), np.float32)
    array[at] = np.eye(2, 3)
    return array


@pytest.mark.parametrize(
    ("spatial", "centre"),
    [((3,), (1,)), ((4,), (1,)), ((1,), (0,)), ((3, 4), (1, 1)), ((2, 3, 5), (0, 1, 2))],
)
def test_a_delta_orthogonal_kernel_has_its_matrix_at_the_centre(
    spatial: tuple[int, ...], centre: tuple[int, ...]
) -> None:
    assert judged(DeltaOrthogonal(), kernel(spatial, centre)).status is Status.PASSED


def test_a_matrix_off_the_centre_is_named() -> None:
    result = judged(DeltaOrthogonal(), kernel((3, 3), (1, 2)))

    assert result.message == (
        "mine-float32-3x3x2x3-s0-cpu-eager: 2 elements are not zero off the spatial centre (1, 1): "
        "the first, at (1, 2, 0, 0), is 1.0"
    )


def test_the_matrix_at_the_centre_must_be_orthogonal() -> None:
    array = kernel((3,), (1,))
    array[1, 0, 1] = 0.5

    assert "the matrix is not orthogonal" in judged(DeltaOrthogonal(), array).message


def test_a_verdict_on_a_matrix_has_its_figures() -> None:
    matrix = identity((6, 4), "float32")
    matrix[2, 2] = 1 + 2.0**-23

    result = judged(Orthogonal(), matrix)

    u = 2.0**-24
    error = ((1 + 2 * u) ** 2 - 1) / u
    assert result.metrics == {"gram_error": error, "orthogonality_ratio": error / 12}


# --- Where it does not apply ---------------------------------------------------------------------

SKEW = np.ones((6, 4), np.float32)


@pytest.mark.parametrize(
    "outcome",
    [
        pytest.param(Raised(exception="ValueError", message=""), id="raised"),
        pytest.param(returned(SKEW.astype(np.float64)), id="other dtype"),
        pytest.param(returned(SKEW.T), id="other shape"),
        pytest.param(dataclasses.replace(returned(SKEW), stride=3), id="sample"),
    ],
)
def test_what_another_check_speaks_of_is_left_to_it(outcome: Returned | Raised) -> None:
    result = check_structure(evidence(Orthogonal(), outcome, dtype="float32", shape=(6, 4)))

    assert result.status is Status.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("definition", "shape"),
    [(None, (6, 4)), (Orthogonal(), (4,)), (Orthogonal(), (0, 4)), (DeltaOrthogonal(), (0, 2, 2))],
    ids=str,
)
def test_without_a_promise_or_elements_there_is_nothing_to_check(
    definition: Definition | None, shape: tuple[int, ...]
) -> None:
    result = check_structure(evidence(definition, np.ones(shape, np.float32)))

    assert result.status is Status.NOT_APPLICABLE


def test_a_sample_of_a_bounded_law_is_judged_by_all_its_elements() -> None:
    array = np.zeros((100, 50), np.float32)
    array[0, 1] = 7.0

    assert judged(DECLARED, sampled(returned(array))).status is Status.FAILED


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_unit_roundoff_is_half_the_spacing_at_one(dtype: str) -> None:
    assert unit_roundoff(as_dtype(dtype)) == UNIT_ROUNDOFFS[dtype]


def test_a_budget_of_normals_bounds_no_matrix() -> None:
    """However far normals may be off, the Q of whatever was drawn is orthogonal."""
    wide = Budget(max_ulp=2**40, max_ulp_at_sigma=math.inf)

    assert judged(Orthogonal(), SKEW, budget=wide).status is Status.FAILED


# --- Bounds among subnormal numbers ---------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_a_bound_is_widened_by_halves_of_the_spacing_there(dtype: str) -> None:
    """Of six roundings; among subnormal numbers the spacing no longer shrinks with the number."""
    kind = as_dtype(dtype)
    smallest = spacing_at(0.0, kind)

    assert slack_at(smallest, kind) == slack_at(-3 * smallest, kind) == 3 * smallest
    assert slack_at(1.0, kind) == 6 * unit_roundoff(kind)
    assert slack_at(0.0, kind) == slack_at(math.inf, kind) == 0.0


@pytest.mark.parametrize("definition", [Uniform(scale=1e-7), TruncatedNormal(stddev=1e-7)], ids=str)
def test_a_right_draw_of_subnormal_float16_keeps_its_bounds(definition: Definition) -> None:
    problem = Problem(initializer="mine", dtype="float16", shape=(101, 8), seed=0)
    array = solve(problem, definition).expected

    assert judged(definition, array).status is Status.PASSED
    assert judged(definition, array * np.float16(8)).status is Status.FAILED


@pytest.mark.parametrize(("n_ulp", "status"), [(2, Status.PASSED), (3, Status.FAILED)])
@pytest.mark.parametrize("side", [0, 1])
def test_an_element_may_lie_its_budget_beyond_the_outermost_draws(
    side: int, n_ulp: int, status: Status
) -> None:
    ends = outermost_draws(UNIT, (4,), "float32")
    assert ends is not None
    sign, end = ends[side]
    array = np.array([0.5, -0.5, 0.25, end], np.float32)
    for _ in range(n_ulp):
        array[3] = np.nextafter(array[3], np.float32(math.copysign(math.inf, sign)))

    found = judged(UNIT, array, budget=Budget(max_ulp=2, max_ulp_at_sigma=0.0))

    assert (sign, math.copysign(1, end)) == ((-1, -1.0), (1, 1.0))[side]
    assert found.status is status
