"""The definition's word on arrays of every kind, and on one element that is one step off.

And it allows a jitted draw what C libraries make of constant bounds, and nothing else.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import math
from collections.abc import Mapping
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.special

from conformance.cases.builtin import load_catalogue
from conformance.core.arrays import Array, as_dtype, digest, returned, sampled, thin, widen
from conformance.core.formats import fusings
from conformance.core.ids import Case, Problem
from conformance.core.laws import (
    Constant,
    Definition,
    DeltaOrthogonal,
    NominalMoments,
    Normal,
    Orthogonal,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
    nominal_moments,
)
from conformance.core.records import (
    Budget,
    CheckResult,
    Drift,
    DriftClass,
    MatrixBudget,
    Observation,
    Outcome,
    Raised,
    Returned,
    Status,
)
from conformance.judge.alpha import DRIFT
from conformance.judge.checks import oracle as oracle_check
from conformance.judge.checks.base import Evidence
from conformance.judge.checks.matrices import RECORDED, Drawn
from conformance.judge.checks.oracle import ORACLE, check_oracle, exact_stages
from conformance.judge.drift import Comparison, geometry
from conformance.oracle import ErfErrors, Solution, fold_in, seed_key, solve, solve_normals
from tests.evidence import declared, evidence

TAIL = load_catalogue().lookup("truncated_normal_tail")
PROBLEM = Problem(initializer=TAIL.name, dtype="float32", shape=(64, 32), seed=0)
classes = importlib.import_module("conformance.judge.drift.classify")
"""The module; the package has its function under the name."""

NOTHING = Budget(max_ulp=0, max_ulp_at_sigma=0.0)


def verdict(transform: str, folded: ErfErrors | None) -> Status:
    """Return what the check says of draws whose bounds, 2 and 4, were folded so."""
    assert TAIL.definition is not None
    followed = solve(PROBLEM, TAIL.definition, folded=folded).followed
    assert followed is not None
    case = Case(problem=PROBLEM, backend="cpu", transform=transform)
    observation = Observation(
        case=case, outcome=returned(followed), repeat_sha256=None, device="cpu", elapsed_s=0.0
    )
    evidence = Evidence(spec=TAIL, observation=observation, drift=None, budget=NOTHING)
    return check_oracle(evidence).status


@pytest.mark.parametrize("folded", [(0, 0), (0, 1), (0, -1), (1, 0), (-1, -1)])
def test_a_c_library_may_err_by_an_ulp_in_either_bound(folded: ErfErrors) -> None:
    assert verdict("jit", folded) is Status.PASSED


@pytest.mark.parametrize("folded", [(0, 2), (-2, 0)])
def test_a_c_library_may_not_err_by_two(folded: ErfErrors) -> None:
    assert verdict("jit", folded) is Status.FAILED


def fused_by(fused: tuple[str, ...], n_steps: int = 0) -> Status:
    """Return what the check says of draws whose multiply-adds were fused so, one element off."""
    assert TAIL.definition is not None
    followed = solve(PROBLEM, TAIL.definition, fused=fused).followed
    assert followed is not None
    followed.view(np.uint32)[3, 4] += n_steps
    return check_oracle(evidence(TAIL.definition, followed, shape=PROBLEM.shape)).status


def test_a_cpu_may_fuse_multiply_adds_or_not() -> None:
    """x86 without AVX2 does not: at 4 sigma that is 192 ULP of the quantile."""
    assert [fused_by(fused) for fused in fusings("float32")] == [Status.PASSED] * 2


def test_a_device_that_does_not_fuse_is_no_excuse() -> None:
    assert fused_by(fusings("float32")[1], n_steps=20) is Status.FAILED


@pytest.mark.parametrize("transform", ["jit", "sharded"])
def test_a_bound_is_folded_wherever_the_whole_call_is_compiled(transform: str) -> None:
    assert verdict(transform, (0, -1)) is Status.PASSED


@pytest.mark.parametrize("transform", ["eager", "legacy_key", "vmap"])
def test_no_c_library_has_a_part_in_a_call_that_is_not_compiled_whole(transform: str) -> None:
    assert verdict(transform, None) is Status.PASSED
    assert verdict(transform, (0, -1)) is Status.FAILED


def test_the_draws_of_two_c_libraries_differ_beyond_any_rounding() -> None:
    """Why each is a candidate of its own: an ULP of erf at 4 sigma is 1,000 ULP of a draw."""
    assert TAIL.definition is not None
    one, other = (
        solve(PROBLEM, TAIL.definition, folded=errors).followed for errors in ((0, 0), (0, 1))
    )
    assert one is not None
    assert other is not None

    assert np.abs(one.view(np.int32) - other.view(np.int32)).max() > 100


# --- Elements, one by one ------------------------------------------------------------------------

SHAPE = (16, 8)
LAWS: tuple[Definition, ...] = (
    Normal(stddev=0.5),
    TruncatedNormal(stddev=0.5),
    TruncatedNormal(stddev=1.0, lower=-1.0, upper=3.0),
    Uniform(scale=2.0),
    Uniform(scale=-0.25),
    VarianceScaling(scale=1.0, mode="fan_in", distribution="normal"),
    VarianceScaling(scale=1.0, mode="fan_avg", distribution="truncated_normal"),
    VarianceScaling(scale=1.0, mode="fan_out", distribution="uniform"),
)
REALS = ("bfloat16", "float16", "float32", "float64")
ASKED = tuple((definition, dtype) for definition in LAWS for dtype in REALS) + tuple(
    (definition, dtype)
    for definition in (LAWS[0], *LAWS[5:])
    for dtype in ("complex64", "complex128")
)
of_laws = pytest.mark.parametrize(("definition", "dtype"), ASKED, ids=str)


@functools.cache
def solved(
    definition: Definition, dtype: str, shape: tuple[int, ...] = SHAPE, prng: str = "threefry2x32"
) -> Solution:
    problem = Problem(initializer="mine", dtype=dtype, shape=shape, seed=0, prng=prng)
    return solve(problem, definition)


def judged(
    definition: Definition,
    found: Array | Outcome,
    *,
    budget: Budget = NOTHING,
    prng: str = "threefry2x32",
    stages: Mapping[str, str] | None = None,
    drift: Drift | None = None,
) -> CheckResult:
    return check_oracle(
        evidence(definition, found, budget=budget, prng=prng, stages=stages, drift=drift)
    )


def one_step_off(array: Array, place: int = 77) -> Array:
    """Return the array with one element, or its real part, a representable value further."""
    changed = array.copy()
    reals = changed.reshape(-1).real if array.dtype.kind == "c" else changed.reshape(-1)
    reals[place] = np.nextafter(reals[place], reals.dtype.type(math.inf))
    return changed


@of_laws
def test_the_defined_array_passes(definition: Definition, dtype: str) -> None:
    result = judged(definition, solved(definition, dtype).expected)

    assert (result.check, result.status) == (ORACLE, Status.PASSED)
    assert result.metrics == {"oracle_ulp_at_sigma": 0.0}


@of_laws
def test_an_element_one_step_off_is_beyond_a_budget_of_none(
    definition: Definition, dtype: str
) -> None:
    array = one_step_off(solved(definition, dtype).expected)

    within = judged(definition, array, budget=Budget(max_ulp=1, max_ulp_at_sigma=0.0))
    beyond = judged(definition, array)

    assert within.status is Status.PASSED
    assert within.metrics["oracle_ulp_at_sigma"] > 0
    assert beyond.status is Status.FAILED


@of_laws
def test_another_stream_of_the_same_law_is_not_as_defined(
    definition: Definition, dtype: str
) -> None:
    problem = Problem(initializer="mine", dtype=dtype, shape=SHAPE, seed=1)
    other = solve(problem, definition).expected

    result = judged(definition, other, budget=Budget(max_ulp=1000, max_ulp_at_sigma=0.01))

    assert result.status is Status.FAILED


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
@pytest.mark.parametrize("definition", LAWS, ids=str)
def test_what_jax_rounds_on_the_way_passes_too(definition: Definition, dtype: str) -> None:
    followed = solved(definition, dtype).followed
    assert followed is not None

    assert judged(definition, followed).status is Status.PASSED


def test_a_mixture_of_both_chains_of_roundings_is_neither() -> None:
    """Half as defined, half as JAX rounds: each half is beyond a budget of nothing of the other."""
    definition = LAWS[6]
    solution = solved(definition, "bfloat16")
    assert solution.followed is not None
    mixed = solution.expected.copy()
    differing = np.argwhere(mixed != solution.followed)
    for row, column in differing[: len(differing) // 2].tolist():
        mixed[row, column] = solution.followed[row, column]

    assert len(differing) > 1
    assert judged(definition, mixed).status is Status.FAILED


def explained(
    monkeypatch: pytest.MonkeyPatch, *classes: DriftClass, is_within: bool
) -> tuple[oracle_check.Deviation, Solution]:
    """Return by what an array is explained of which the references are so far off, in turn."""
    left = iter(classes)

    def compared(*_: object, **__: object) -> Comparison:
        drift = Drift(drift_class=next(left))
        return Comparison(
            is_within=is_within, classify=lambda: drift.drift_class, describe=lambda: drift
        )

    monkeypatch.setattr(oracle_check, "compare_with", compared)
    solution = solved(LAWS[0], "float32")
    moments = nominal_moments(LAWS[0], SHAPE, "float32")
    assert solution.followed is not None
    assert moments is not None
    seen = returned(solution.expected)
    return oracle_check.deviation(seen, [solution], moments, budget=NOTHING), solution


@pytest.mark.parametrize(
    ("of_defined", "of_followed", "is_defined"),
    [
        (DriftClass.TRANSFORM, DriftClass.LAW, True),
        (DriftClass.LAW, DriftClass.TRANSFORM, False),
        (DriftClass.LAW, DriftClass.LAW, True),
    ],
)
def test_of_two_references_that_explain_nothing_the_nearer_is_told_or_else_the_defined(
    of_defined: DriftClass,
    of_followed: DriftClass,
    is_defined: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, solution = explained(monkeypatch, of_defined, of_followed, is_within=False)

    told, other = solution.expected, solution.followed
    assert other is not None
    assert np.array_equal(found.reference, told if is_defined else other)
    assert not np.array_equal(told, other)
    assert found.drift_class is (of_defined if is_defined else of_followed)


def test_an_array_that_is_within_the_budget_is_explained_by_the_reference_that_it_rounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of the other one all its elements may lie to one side, which no rounding does."""
    found, solution = explained(monkeypatch, DriftClass.BIASED, DriftClass.ROUNDING, is_within=True)

    assert found.reference is solution.followed
    assert found.drift_class is DriftClass.ROUNDING


def test_of_an_array_that_is_right_nobody_asks_where_it_differs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To find the places takes as long as to find that all are within the budget."""
    asked: list[str] = []

    def describe_places(*_: object) -> str:
        asked.append("places")
        return ""

    monkeypatch.setattr(geometry, "describe_places", describe_places)
    array = one_step_off(solved(LAWS[0], "float32").expected)

    right = judged(LAWS[0], array, budget=LOOSE)
    before = list(asked)
    wrong = judged(LAWS[0], array, budget=NOTHING)

    assert (right.status, before) == (Status.PASSED, [])
    assert (wrong.status, asked) == (Status.FAILED, ["places"])


def test_the_key_of_the_draw_may_be_another_than_the_seeds() -> None:
    key = fold_in(seed_key(0), 3)
    problem = Problem(initializer="mine", dtype="float32", shape=SHAPE, seed=0)
    array = solve(problem, LAWS[0], key=key).expected
    given = evidence(LAWS[0], array)

    assert check_oracle(dataclasses.replace(given, key=key)).status is Status.PASSED
    assert check_oracle(given).status is Status.FAILED


@pytest.mark.parametrize("prng", ["threefry2x32_partitionable", "threefry2x32_nonpartitionable"])
def test_each_layout_of_threefry_has_its_answer(prng: str) -> None:
    array = solved(LAWS[0], "float32", prng=prng).expected

    assert judged(LAWS[0], array, prng=prng).status is Status.PASSED


def test_a_wrong_scale_is_told_with_the_variance() -> None:
    array = (solved(LAWS[0], "float64").expected * math.sqrt(1.5)).astype(np.float64)

    result = judged(LAWS[0], array)

    assert result.metrics["oracle_variance_error"] == pytest.approx(0.5)
    assert result.message.startswith(
        "128 of 128 elements of mine-float64-16x8-s0-cpu-eager differ from the definition."
    )


# --- Large arrays --------------------------------------------------------------------------------

LARGE = (96, 64)


@pytest.mark.parametrize("definition", [LAWS[0], LAWS[6]], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_of_a_large_array_every_element_is_compared(definition: Definition, dtype: str) -> None:
    array = solved(definition, dtype, LARGE).expected
    stride = sampled(returned(array)).stride

    assert stride > 1
    assert judged(definition, array).status is Status.PASSED
    for place in (0, 1, stride, stride + 1, array.size - 1):
        assert judged(definition, one_step_off(array, place)).status is Status.FAILED


def test_a_sample_that_was_stored_is_compared_as_it_is() -> None:
    array = solved(LAWS[0], "float32", LARGE).expected
    stored = thin(returned(array), 7)
    wrong = thin(returned(one_step_off(array, 7 * 11)), 7)

    assert judged(LAWS[0], stored).status is Status.PASSED
    assert judged(LAWS[0], wrong).status is Status.FAILED


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("stride", [1, 7])
def test_the_defined_array_passes_whole_and_as_a_sample(dtype: str, stride: int) -> None:
    """Its digest is of all elements, sampled or not."""
    definition = Uniform(scale=1.0)

    result = judged(definition, thin(returned(solved(definition, dtype, LARGE).expected), stride))

    assert (result.status, result.message) == (Status.PASSED, "")
    assert result.metrics == {"oracle_ulp_at_sigma": 0.0}


def test_a_digest_of_the_whole_array_speaks_where_the_sample_is_equal() -> None:
    array = solved(LAWS[0], "float32", LARGE).expected
    wrong = thin(returned(one_step_off(array, 7 * 11 + 1)), 7)

    result = judged(LAWS[0], wrong)

    assert result.status is Status.FAILED
    assert "those that are kept show identical" in result.message
    assert result.remedy is not None
    assert result.remedy.yardstick == "whole"


def test_what_is_kept_of_an_array_that_is_as_before_was_seen_whole_when_it_was_accepted() -> None:
    array = solved(LAWS[0], "float32", LARGE).expected
    moved = thin(returned(one_step_off(array, 7 * 11 + 1)), 7)
    as_before = Drift(drift_class=DriftClass.IDENTICAL, n_elements=array.size)

    result = judged(LAWS[0], moved, drift=as_before)

    assert result.status is Status.PASSED


@pytest.mark.parametrize("drift_class", [DriftClass.ROUNDING, DriftClass.UNKNOWN])
def test_a_sample_that_is_not_as_before_is_not_taken_for_seen(drift_class: DriftClass) -> None:
    array = solved(LAWS[0], "float32", LARGE).expected
    moved = thin(returned(one_step_off(array, 7 * 11 + 1)), 7)

    result = judged(LAWS[0], moved, drift=Drift(drift_class=drift_class, n_elements=array.size))

    assert result.status is Status.FAILED


# --- Stages --------------------------------------------------------------------------------------


def stages_of(definition: Definition, dtype: str) -> dict[str, str]:
    return exact_stages(solved(definition, dtype), dtype)


def test_the_stages_that_no_rounding_blurs_have_digests() -> None:
    solution = solved(LAWS[0], "bfloat16")
    assert solution.key is not None
    assert solution.bits is not None
    assert solution.uniform is not None

    found = exact_stages(solution, "bfloat16")

    assert found == {
        "key": digest(solution.key),
        "bits": digest(solution.bits),
        "uniform": digest(solution.uniform.astype(as_dtype("bfloat16"))),
    }
    assert exact_stages(solved(Constant(value=1.0), "float32"), "float32") == {}


@pytest.mark.parametrize(
    ("stage", "named"), [("key", "key"), ("bits", "bits"), ("uniform", "uniform"), (None, "unit")]
)
def test_the_first_stage_that_differs_is_named(stage: str | None, named: str) -> None:
    stages = stages_of(LAWS[0], "float32")
    if stage:
        stages[stage] = "0"

    result = judged(LAWS[0], one_step_off(solved(LAWS[0], "float32").expected), stages=stages)

    assert f"  first differing stage: {named}; class: " in result.message


def test_of_a_stored_sample_the_stages_are_known_too() -> None:
    solution = solved(LAWS[0], "float32", LARGE)
    stages = exact_stages(solution, "float32") | {"uniform": "0"}
    wrong = thin(returned(one_step_off(solution.expected, 0)), 7)

    result = judged(LAWS[0], wrong, stages=stages)

    assert "  first differing stage: uniform; class: " in result.message


# --- Where it does not apply ---------------------------------------------------------------------

DECLARED = declared(NominalMoments(mean=0, variance=1.0, lower=-9.0, upper=9.0))
ARRAY = np.full(SHAPE, 3.0, np.float32)


@pytest.mark.parametrize("definition", [None, Constant(value=1.0), DECLARED], ids=str)
def test_where_the_definition_says_less_the_oracle_has_no_answer(
    definition: Definition | None,
) -> None:
    assert check_oracle(evidence(definition, ARRAY)).status is Status.NOT_APPLICABLE


@pytest.mark.parametrize("prng", ["rbg", "unsafe_rbg"])
@pytest.mark.parametrize("definition", [LAWS[0], Orthogonal()], ids=str)
def test_a_generator_that_is_left_to_the_backend_has_no_answer(
    definition: Definition, prng: str
) -> None:
    assert judged(definition, ARRAY, prng=prng).status is Status.NOT_APPLICABLE


@pytest.mark.parametrize("definition", [LAWS[0], Orthogonal()], ids=str)
@pytest.mark.parametrize(
    "outcome",
    [
        pytest.param(Raised(exception="ValueError", message=""), id="raised"),
        pytest.param(returned(ARRAY.astype(np.float64)), id="other dtype"),
        pytest.param(returned(ARRAY.T), id="other shape"),
    ],
)
def test_what_the_contract_check_speaks_of_is_left_to_it(
    definition: Definition, outcome: Returned | Raised
) -> None:
    result = check_oracle(evidence(definition, outcome, dtype="float32", shape=SHAPE))

    assert result.status is Status.NOT_APPLICABLE


def test_what_must_be_refused_has_no_array() -> None:
    assert judged(Orthogonal(), np.ones(4, np.float32)).status is Status.NOT_APPLICABLE


# --- Matrices ------------------------------------------------------------------------------------

OF_MATRICES: tuple[tuple[Definition, tuple[int, ...]], ...] = (
    (Orthogonal(), (16, 8)),
    (Orthogonal(scale=-2.0), (8, 16)),
    (Orthogonal(column_axis=0), (8, 4, 4)),
    (DeltaOrthogonal(), (3, 8, 16)),
)
of_matrices = pytest.mark.parametrize(("definition", "shape"), OF_MATRICES, ids=str)
MATRIX_DTYPES = ("bfloat16", "float16", "float32", "float64", "complex64", "complex128")
MATRIX = Budget(max_ulp=2, max_ulp_at_sigma=2.0, matrix=MatrixBudget(column=20.0, gram=20.0))


def recorded(
    array: Array, definition: Orthogonal | DeltaOrthogonal, change: float = 0.0, seed: int = 0
) -> Returned:
    """Return the record of a matrix with the normals that JAX draws for it, but for one element."""
    problem = Problem(initializer="mine", dtype=str(array.dtype), shape=array.shape, seed=seed)
    normals = solve_normals(problem, definition)
    drawn = (normals.expected if normals.followed is None else normals.followed).copy()
    drawn.reshape(-1)[5] += drawn.dtype.type(change)
    return dataclasses.replace(returned(array), drawn=drawn.tobytes())


@of_matrices
@pytest.mark.parametrize("dtype", MATRIX_DTYPES)
def test_the_factor_of_the_defined_normals_passes(
    definition: Definition, shape: tuple[int, ...], dtype: str
) -> None:
    result = judged(definition, solved(definition, dtype, shape).expected, budget=MATRIX)

    assert result.status is Status.PASSED
    assert set(result.metrics) == {"column_error", "n_undetermined_signs", "qr_ratio"}


@of_matrices
@pytest.mark.parametrize("dtype", MATRIX_DTYPES)
def test_a_factor_with_one_column_negated_fails(
    definition: Orthogonal | DeltaOrthogonal, shape: tuple[int, ...], dtype: str
) -> None:
    array = solved(definition, dtype, shape).expected.copy()
    if isinstance(definition, DeltaOrthogonal):
        array[1, 5] *= -1
    else:
        np.moveaxis(array, definition.column_axis, -1)[..., 5] *= -1
        if shape == (8, 16):
            array = solved(definition, dtype, shape).expected.copy()
            array[5] *= -1

    result = judged(definition, array, budget=MATRIX)

    assert result.status is Status.FAILED
    assert result.message.startswith(f"mine-{dtype}-")
    assert "column 5 has the wrong sign" in result.message


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_the_conjugate_of_a_factor_is_another_matrix(dtype: str) -> None:
    array = solved(Orthogonal(), dtype).expected.conj()

    assert judged(Orthogonal(), array, budget=MATRIX).status is Status.FAILED


@pytest.mark.parametrize("prng", ["threefry2x32", "rbg"])
def test_what_was_recorded_as_drawn_is_what_a_matrix_is_held_to(prng: str) -> None:
    """Of rbg only the record says it."""
    array = solved(Orthogonal(), "float32").expected
    right, wrong = recorded(array, Orthogonal()), recorded(array, Orthogonal(), change=0.25)

    assert judged(Orthogonal(), right, budget=MATRIX, prng=prng).status is Status.PASSED
    assert judged(Orthogonal(), wrong, budget=MATRIX, prng=prng).status is Status.FAILED


@of_matrices
@pytest.mark.parametrize("dtype", MATRIX_DTYPES)
def test_the_right_factor_of_other_normals_than_the_defined_ones_fails(
    definition: Orthogonal | DeltaOrthogonal, shape: tuple[int, ...], dtype: str
) -> None:
    """By no column: the backend says itself what it drew, and factored just that."""
    array, other = (
        solve(Problem(initializer="mine", dtype=dtype, shape=shape, seed=seed), definition).expected
        for seed in (0, 1)
    )

    right, wrong = (
        judged(definition, recorded(each, definition, seed=seed), budget=MATRIX)
        for seed, each in enumerate((array, other))
    )

    assert right.status is Status.PASSED
    assert f"elements of what was drawn for mine-{dtype}-" in wrong.message
    assert " differ from the definition." in wrong.message


def test_a_recorded_draw_that_is_not_the_defined_one_is_told_as_such() -> None:
    stages = exact_stages(
        solve_normals(
            Problem(initializer="mine", dtype="float32", shape=SHAPE, seed=0), Orthogonal()
        ),
        "float32",
    )
    array = solved(Orthogonal(), "float32").expected

    result = judged(Orthogonal(), recorded(array, Orthogonal(), 0.25), budget=MATRIX, stages=stages)

    lines = result.message.split("\n")
    assert lines[0] == (
        "1 of 128 elements of what was drawn for mine-float32-16x8-s0-cpu-eager differ from the "
        "definition."
    )
    assert "  first differing stage: unit; class: transform" in lines


def test_a_recorded_draw_may_be_off_by_the_budget_of_normals() -> None:
    """In 16 bits, JAX's own roundings of the normals are as good as the defined ones."""
    problem = Problem(initializer="mine", dtype="bfloat16", shape=SHAPE, seed=0)
    normals = solve_normals(problem, Orthogonal())
    assert normals.followed is not None
    array = solved(Orthogonal(), "bfloat16").expected
    outcome = dataclasses.replace(returned(array), drawn=normals.followed.tobytes())
    budget = dataclasses.replace(NOTHING, matrix=MatrixBudget(column=40.0, gram=40.0))

    assert not np.array_equal(normals.followed, normals.expected)
    assert judged(Orthogonal(), outcome, budget=budget).status is Status.PASSED


def test_the_normals_are_those_of_the_key_that_was_used() -> None:
    key = fold_in(seed_key(0), 3)
    problem = Problem(initializer="mine", dtype="float32", shape=SHAPE, seed=0)
    array = solve(problem, Orthogonal(), key=key).expected
    drawn = solve_normals(problem, Orthogonal(), key=key).expected.tobytes()
    for outcome in (returned(array), dataclasses.replace(returned(array), drawn=drawn)):
        given = evidence(Orthogonal(), outcome, budget=MATRIX)

        assert check_oracle(dataclasses.replace(given, key=key)).status is Status.PASSED
        assert check_oracle(given).status is Status.FAILED


@pytest.mark.parametrize("definition", [Orthogonal(scale=0.0), DeltaOrthogonal(scale=0.0)], ids=str)
def test_a_scale_of_zero_wants_zeros(definition: Definition) -> None:
    zeros = np.zeros((3, 2, 4), np.float32)
    one = zeros.copy()
    one[1, 1, 1] = 1.0

    assert judged(definition, zeros, budget=MATRIX).status is Status.PASSED
    assert "elements are not zero" in judged(definition, one, budget=MATRIX).message


def test_a_matrix_without_elements_passes() -> None:
    result = judged(Orthogonal(), np.zeros((0, 4), np.float32), budget=MATRIX)

    assert (result.status, result.metrics) == (Status.PASSED, {})


def test_a_stored_sample_of_a_matrix_is_judged_by_its_elements() -> None:
    wrong = solved(Orthogonal(), "float32").expected.copy()
    wrong.reshape(-1)[3 * 9] += 0.5

    result = judged(Orthogonal(), thin(returned(wrong), 3), budget=MATRIX)

    assert "1 of the 43 elements that are stored are further" in result.message


def test_a_sample_of_a_matrix_passes_only_as_before() -> None:
    sample = thin(returned(solved(Orthogonal(), "float32").expected), 3)
    as_before = Drift(drift_class=DriftClass.IDENTICAL, n_elements=128)

    alone = judged(Orthogonal(), sample, budget=MATRIX)
    accepted = judged(Orthogonal(), sample, budget=MATRIX, drift=as_before)

    assert accepted.status is Status.PASSED
    assert alone.status is Status.FAILED
    assert "one element in 3 is kept and is right; of the others nothing is known" in alone.message
    assert alone.remedy is not None
    assert alone.remedy.yardstick == "whole"


def test_what_is_off_the_centre_of_a_kernel_is_left_to_the_structure_check() -> None:
    array = solved(DeltaOrthogonal(), "float32", (3, 8, 16)).expected.copy()
    array[0] = widen(array[1]).astype(np.float32)

    assert judged(DeltaOrthogonal(), array, budget=MATRIX).status is Status.PASSED


# --- Another mode of rounding, another draw ------------------------------------------------------


def of_backend(found: Evidence, backend: str) -> Evidence:
    case = dataclasses.replace(found.observation.case, backend=backend)
    observation = dataclasses.replace(found.observation, case=case)
    return dataclasses.replace(found, observation=observation)


LOOSE = Budget(max_ulp=8, max_ulp_at_sigma=8.0)


def rounded_otherwise(how: str) -> Evidence:
    """Return 2048 normals of bfloat16 that are each within a step of the defined ones."""
    problem = Problem(initializer="mine", dtype="bfloat16", shape=(64, 32), seed=0)
    solution = solve(problem, Normal(stddev=1.0))
    assert solution.followed is not None
    words = solution.followed.view(np.int16)
    if how == "stochastic":
        words = words + np.random.default_rng(0).integers(-1, 2, words.shape).astype(np.int16)
    elif how == "towards zero":
        words = words - np.random.default_rng(0).integers(0, 2, words.shape).astype(np.int16)
    elif how == "up":
        words = words + np.int16(2)
    array = np.ascontiguousarray(words).view(solution.followed.dtype)
    return evidence(Normal(stddev=1.0), array, budget=LOOSE)


@pytest.mark.parametrize("how", ["stochastic", "towards zero", "up"])
def test_rounding_by_another_mode_fails_as_biased_on_a_cpu_only(how: str) -> None:
    found = rounded_otherwise(how)

    on_cpu, elsewhere = check_oracle(found), check_oracle(of_backend(found, "cuda"))

    assert on_cpu.status is Status.FAILED
    assert "class: biased" in on_cpu.message
    assert elsewhere.status is Status.PASSED


def test_rounding_to_either_side_is_told_with_what_kernels_explain() -> None:
    message = check_oracle(rounded_otherwise("stochastic")).message

    assert "kernels of float32 accuracy explain 1 in 128" in message


def test_rounding_to_nearest_at_every_step_is_no_other_mode() -> None:
    assert check_oracle(rounded_otherwise("nearest")).status is Status.PASSED


def test_another_draw_is_named_where_one_fits() -> None:
    problem = Problem(initializer="mine", dtype="float32", shape=(64, 32), seed=0)
    array = solve(problem, Normal(stddev=1.0), key=fold_in(seed_key(0), 1)).expected

    found = check_oracle(evidence(Normal(stddev=1.0), array))

    assert found.message.endswith(
        "\n  it is right to rounding, but drawn with fold_in(key, 1), the second key of split(key)"
    )


def test_of_another_stream_no_more_is_said_than_is_known() -> None:
    problem = Problem(initializer="mine", dtype="float32", shape=(64, 32), seed=12345)
    array = solve(problem, Normal(stddev=1.0)).expected

    found = check_oracle(evidence(Normal(stddev=1.0), array))

    assert "class: stream" in found.message
    assert "key" not in found.message


@pytest.mark.parametrize("size", [1, 256, 5000])
def test_intact_kernels_round_as_many_otherwise_as_the_binomial_law_explains(size: int) -> None:
    """Of each element by a chance of 1 in 128; the sum has 20 terms that count."""
    share = Fraction(1, 128)

    def is_explained(n_off: int) -> bool:
        ways = (  # in units of share ** size, so that they are whole numbers
            math.comb(size, k) * (1 / share - 1) ** (size - k)
            for k in range(n_off, min(n_off + 20, size + 1))
        )
        return n_off == 0 or float(sum(ways) * share**size) >= DRIFT.alpha

    counts = range(min(size, 100) + 1)

    found = oracle_check.is_by_flips(np.array(counts), size)

    assert found.tolist() == [is_explained(count) for count in counts]
    assert oracle_check.is_by_flips(0, size)
    assert size == 1 or not found.all()


@pytest.mark.parametrize(
    ("shape", "is_whole", "is_tried"),
    [((2**8, 2**8), True, True), ((2**16 + 1,), True, False), ((64,), False, False)],
)
def test_other_draws_are_tried_of_arrays_that_are_whole_and_not_too_large(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], is_whole: bool, is_tried: bool
) -> None:
    asked: list[Problem] = []

    def no_other(_: Definition, problem: Problem, __: object) -> list[tuple[str, list[Array]]]:
        asked.append(problem)
        return []

    monkeypatch.setattr(oracle_check, "other_draws", no_other)
    outcome: Any = SimpleNamespace(is_whole=is_whole, shape=shape, dtype="float32")
    found: Any = SimpleNamespace(drift_class=DriftClass.STREAM)

    told = oracle_check._other_draw(evidence(None, np.zeros(1)), Normal(stddev=1.0), outcome, found)

    assert told == ""
    assert bool(asked) == is_tried


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (7, 1), (4, 4)])
def test_by_what_a_variance_is_wrong_is_told_of_arrays_of_any_size(shape: tuple[int, ...]) -> None:
    """The ledger states it, and holds each case to it."""
    law = VarianceScaling(scale=1.0, mode="fan_in", distribution="truncated_normal")
    problem = Problem(initializer="lecun_normal", dtype="complex64", shape=shape, seed=1)
    wrong = (solve(problem, law).expected * np.sqrt(1.018657)).astype(np.complex64)
    case = Case(problem=problem, backend="cpu", transform="eager")
    found = Observation(
        case=case, outcome=returned(wrong), repeat_sha256=None, device="cpu", elapsed_s=0.0
    )
    spec = dataclasses.replace(load_catalogue().lookup("lecun_normal"), definition=law)

    result = check_oracle(Evidence(spec=spec, observation=found, drift=None, budget=NOTHING))

    assert result.status is Status.FAILED
    assert result.metrics["oracle_variance_error"] == pytest.approx(0.018657, rel=1e-3)


def test_beyond_the_budget_the_class_is_asked_for_where_no_answer_explains_the_array(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It takes sorts of all elements that differ, and JAX's own roundings follow."""
    asked: list[str] = []

    def told(_: object) -> Any:
        asked.append("class")
        return SimpleNamespace(drift_class=DriftClass.TRANSFORM)

    monkeypatch.setattr(classes, "_classify_other", told)
    solution = solved(LAWS[0], "float32")
    moments = nominal_moments(LAWS[0], SHAPE, "float32")
    assert solution.followed is not None
    assert moments is not None
    other = solution.followed + np.float32(1)

    found = oracle_check.deviation(returned(solution.followed), [solution], moments, budget=NOTHING)
    nobody = list(asked)
    unexplained = oracle_check.deviation(returned(other), [solution], moments, budget=NOTHING)

    assert found.reference is solution.followed
    assert (nobody, asked) == ([], ["class", "class"])
    assert unexplained.drift_class is DriftClass.TRANSFORM


@pytest.mark.parametrize("is_followed", [False, True])
def test_a_draw_may_be_biased_where_no_sequence_of_roundings_is_known_of_it(
    monkeypatch: pytest.MonkeyPatch, is_followed: bool
) -> None:
    """As complex normals, which are products with a factor that is itself rounded."""
    known = np.ones((2, 2), np.float32)
    biased = Drift(
        drift_class=DriftClass.BIASED,
        n_elements=4,
        n_different=4,
        max_ulp=1,
        max_ulp_at_sigma=1.0,
        worst_index=(0, 0),
        worst_actual=1.0,
        worst_expected=1.5,
    )
    normals = SimpleNamespace(followed=known if is_followed else None, expected=known)
    other = np.full_like(known, 1.5)
    monkeypatch.setattr(oracle_check, "solve_normals", lambda *_, **__: normals)
    compared = Comparison(
        is_within=True, classify=lambda: biased.drift_class, describe=lambda: biased
    )
    monkeypatch.setattr(oracle_check, "compare_draws", lambda *_: compared)
    monkeypatch.setattr(oracle_check, "exact_stages", lambda *_: {})
    drawn = Drawn(matrix=other, slack=np.zeros(2), source=RECORDED)

    fault = oracle_check._fault_of_draw(evidence(None, other), drawn, Orthogonal())

    assert ("class: biased" in fault) == is_followed
    assert bool(fault) == is_followed


def test_flips_that_are_as_likely_as_the_share_are_explained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That 20 of 1,000 or more are rounded to the other neighbour, each once in 128."""
    chance = float(scipy.special.bdtrc(19, 1000, 1 / 128))

    monkeypatch.setattr(oracle_check, "DRIFT", SimpleNamespace(alpha=chance))
    assert oracle_check.is_by_flips(20, 1000)
    assert oracle_check.is_by_flips(np.array([0, 20, 21]), 1000).tolist() == [True, True, False]
    monkeypatch.setattr(oracle_check, "DRIFT", SimpleNamespace(alpha=math.nextafter(chance, 1)))
    assert not oracle_check.is_by_flips(20, 1000)


def test_only_elements_of_16_bits_have_another_mode_of_rounding() -> None:
    """Of no answer none is what rounding to nearest gives."""
    none: list[Solution] = []

    assert oracle_check._other_mode(returned(np.ones(4, np.float32)), none) == ""
    assert oracle_check._other_mode(returned(np.ones(0, np.float16)), none) == ""
    assert oracle_check._other_mode(returned(np.ones(4, np.float16)), none).startswith(
        "biased rounding: 4 of 4 elements are not what rounding to nearest"
    )


def test_of_16_bits_elements_are_compared_by_value_so_no_nan_is_right() -> None:
    """As where many arrays are judged at once."""

    def mode(actual: float, expected: float) -> str:
        one, two = (np.full(8, value, np.float16) for value in (actual, expected))
        answers: list[Any] = [SimpleNamespace(expected=two, followed=None)]
        return oracle_check._other_mode(returned(one), answers)

    assert mode(0.0, -0.0) == mode(math.inf, math.inf) == ""
    for actual, expected in ((math.nan, math.nan), (1.0, 2.0), (math.inf, -math.inf)):
        assert mode(actual, expected).startswith("biased rounding: 8 of 8 elements are not")
