"""The checks of an exact law, on both sides of their bounds, on sweeps made by the oracle."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from conformance.cases.sweeps import log2_points
from conformance.core.arrays import Array, as_dtype, flat, returned
from conformance.core.errors import UnfitForBudget
from conformance.core.formats import FORMATS, fusings
from conformance.core.ids import LATTICE, STRATA, Case, Problem
from conformance.core.lattice import Point, Sweep, lattice_words
from conformance.core.laws import (
    KNOWN_ROUNDS,
    Definition,
    NominalMoments,
    Normal,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
)
from conformance.core.records import (
    MACHINE,
    Budget,
    CheckResult,
    Raised,
    Remedy,
    Status,
    Yardstick,
)
from conformance.judge.checks.oracle import FLIPS_PER_POINT
from conformance.judge.law import checks as law
from conformance.judge.law import exact
from conformance.judge.law.accuracy import (
    Accuracy,
    LawEvidence,
    Reference,
    _TwoKept,
    gather,
    measure_accuracy,
    reference_for,
)
from conformance.judge.law.checks import (
    ACCURACY,
    BOUNDS,
    FINITE,
    LAW_CHECKS,
    MEAN,
    NAMES,
    ORDER,
    SEQUENCE,
    SWEEP,
    VARIANCE,
    check_accuracy,
    check_bounds,
    check_finite,
    check_mean,
    check_order,
    check_sequence,
    check_variance,
    error_bound,
    judge_law,
)
from conformance.judge.law.exact import CHUNK, SUMMATION_ERROR, exact_law
from conformance.judge.law.verdict import (
    LawResult,
    limitation_of,
    outcome_of,
    require_fit,
    unswept,
    worst_point,
)
from conformance.oracle import law_of, solve_words, unit_variate
from tests.evidence import last

SHAPE = (29, 37)
ROUNDOFF = {"bfloat16": 2.0**-8, "float16": 2.0**-11, "float32": 2.0**-24, "float64": 2.0**-53}
WIDE = Budget(max_ulp=2**40, max_ulp_at_sigma=math.inf)


def scaling(distribution: str) -> VarianceScaling:
    return VarianceScaling(scale=1.0, mode="fan_in", distribution=distribution)


NORMAL, TRUNCATED, UNIFORM = Normal(stddev=0.5), TruncatedNormal(stddev=1.0), Uniform(scale=1.0)
DEFINITIONS: tuple[Definition, ...] = (
    NORMAL,
    TRUNCATED,
    TruncatedNormal(stddev=0.5, lower=-1.0, upper=3.0),
    UNIFORM,
    Uniform(scale=-0.25),
    scaling("normal"),
    scaling("truncated_normal"),
    scaling("uniform"),
)
of_definitions = pytest.mark.parametrize("definition", DEFINITIONS, ids=str)


def case_of(dtype: str) -> Case:
    """Return the case of a sweep of a small lattice, or of 2^16 strata of a large one."""
    small = dtype in ("bfloat16", "float16")
    problem = Problem(
        initializer="mine", dtype=dtype, shape=SHAPE, seed=0, prng=LATTICE if small else STRATA
    )
    return Case(problem=problem, backend="cpu" if small else "stablehlo", transform="eager")


@functools.cache
def right(definition: Definition, dtype: str) -> Sweep:
    """Return a sweep of what JAX's roundings make of the definition; in float64, of the exact."""
    case = case_of(dtype)
    words = lattice_words(FORMATS[dtype].word_bits, log2_points(case))
    solution = solve_words(words, definition, as_dtype(dtype), SHAPE)
    values = solution.expected if solution.followed is None else solution.followed
    return Sweep(case=case, device="none", words=words, values=values, elapsed_s=0.0)


def swept(
    definition: Definition,
    dtype: str,
    change: Callable[[Array], Array] = lambda values: values,
    budget: Budget | None = WIDE,
) -> LawEvidence:
    """Return the evidence of a sweep in which `change` was made of the right values."""
    sweep = right(definition, dtype)
    values = change(sweep.values.copy()).astype(as_dtype(dtype))
    return gather(definition, dataclasses.replace(sweep, values=values), budget)


def with_value(index: int, value: float) -> Callable[[Array], Array]:
    def change(values: Array) -> Array:
        values[index] = value
        return values

    return change


def scaled(factor: float) -> Callable[[Array], Array]:
    return lambda values: values.astype(np.float64) * factor


# --- All checks ----------------------------------------------------------------------------------


@of_definitions
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_what_jax_documents_passes_every_check(definition: Definition, dtype: str) -> None:
    results = judge_law(swept(definition, dtype))

    assert [result.message for result in results if result.status is not Status.PASSED] == []


@pytest.mark.parametrize("definition", [NORMAL, scaling("truncated_normal")], ids=str)
def test_the_exact_law_passes_every_check_in_float64(definition: Definition) -> None:
    results = judge_law(swept(definition, "float64"))

    assert [result.message for result in results if result.status is not Status.PASSED] == []


def test_every_check_has_its_name() -> None:
    names = tuple(result.check for result in judge_law(swept(NORMAL, "bfloat16")))

    assert names == (FINITE, BOUNDS, ORDER, MEAN, VARIANCE, law.NOMINAL, ACCURACY, SEQUENCE)
    assert (*names, SWEEP) == NAMES
    assert len(LAW_CHECKS) == len(names)


# --- What was asked for --------------------------------------------------------------------------


def nominal_verdict(lower: float, upper: float, dtype: str = "bfloat16") -> CheckResult:
    definition = TruncatedNormal(stddev=0.02, lower=lower, upper=upper)
    return next(each for each in judge_law(swept(definition, dtype)) if each.check == law.NOMINAL)


@pytest.mark.parametrize("bound", [4.0, 6.0, 100.0])
@pytest.mark.parametrize("is_one_sided", [True, False])
def test_bounds_too_wide_for_the_lattice_fail(bound: float, is_one_sided: bool) -> None:
    """What users of another library's defaults write: one draw of 128 lies on the bound."""
    result = nominal_verdict(-bound, 2.0 if is_one_sided else bound)

    assert result.status is Status.FAILED
    assert "is not the one that was asked for: 128 points are too few" in result.message


def test_how_far_the_law_is_from_what_was_asked_is_told() -> None:
    result = nominal_verdict(-100.0, 100.0)

    assert result.metrics["nominal_variance_error"] == pytest.approx(77, abs=1)
    assert "variance  77.6699 of what was asked; they explain 1 +- 0.0457" in result.message
    assert "extremes  -1.99219 and 0.048584, one draw in 128 each, or more" in result.message


@pytest.mark.parametrize(("lower", "upper"), [(-2, 2), (-3, 3), (-1, 3), (0, 2), (-0.01, 0.02)])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_bounds_that_a_lattice_can_have_pass(lower: float, upper: float, dtype: str) -> None:
    assert nominal_verdict(lower, upper, dtype).status is Status.PASSED


def test_strata_are_no_law() -> None:
    assert nominal_verdict(-100.0, 100.0, "float32").metrics == {}


# --- The yardstick -------------------------------------------------------------------------------

NOMINAL = NominalMoments(mean=0.5, variance=4.0, lower=-3.0, upper=5.0)


def reference(unit: Array, scale: float = 1.0) -> Reference:
    """Return a yardstick with sigma 2."""
    return Reference(law=Normal(stddev=scale), unit=unit, unit_law=exact_law(unit), nominal=NOMINAL)


def test_a_reference_scales_the_law_of_its_unit_variates() -> None:
    found = reference(np.array([1.0, 3.0]), scale=-2.0)

    assert (found.mean, found.variance, found.sigma) == (-4.0, 4.0, 2.0)
    assert found.root_mean_square == math.hypot(4.0, 2.0)


def test_the_last_two_laws_are_kept_and_one_is_let_go_before_the_next_is_made() -> None:
    made: list[str] = []

    def make(name: str) -> Any:
        assert len(kept._found) < 2
        made.append(name)
        return name.upper()

    kept: Any = _TwoKept(make)

    assert [kept(name) for name in "ababcbca"] == list("ABABCBCA")
    assert made == ["a", "b", "c", "a"]


@pytest.mark.parametrize("definition", [NORMAL, TRUNCATED, UNIFORM], ids=str)
def test_a_reference_holds_the_unrounded_variates_of_all_words(definition: Definition) -> None:
    known, dtype = law_of(definition, SHAPE), np.dtype(np.float16)
    assert known is not None

    found = reference_for(definition, SHAPE, "float16")

    exact = unit_variate(lattice_words(16), known, dtype)
    assert found.unit.tolist() == exact.tolist()
    assert "unit=array" not in repr(found)  # every number, in the report of a failing test
    assert found.unit_law == exact_law(exact)
    assert found.law == known
    assert not found.unit.flags.writeable


def test_a_reference_longer_than_a_chunk_is_whole() -> None:
    known = law_of(UNIFORM, SHAPE)
    assert known is not None

    found = reference_for(UNIFORM, SHAPE, "float32", 17)

    exact = unit_variate(lattice_words(32, 17), known, np.dtype(np.float32))
    assert found.unit.tolist() == exact.tolist()


# --- Accuracy ------------------------------------------------------------------------------------


def sweep_of(values: Array) -> Sweep:
    words = np.arange(values.size, dtype=np.uint32) << np.uint32(8)
    return Sweep(case=case_of("float32"), device="none", words=words, values=values, elapsed_s=0.0)


def measured(actual: list[float], exact: list[float]) -> Accuracy:
    return measure_accuracy(sweep_of(np.array(actual, np.float32)), reference(np.array(exact)))


def test_errors_beyond_sigma_count_at_the_value_and_nearer_ones_at_sigma() -> None:
    """Sigma is 2, where a step is 2^-22; at 3 it is the same, at 1 half of it."""
    step = 2.0**-22
    actual = [1.0 + 3 * step, -1.0, 2.0 + step, -3.0 - 2 * step]

    found = measured(actual, [1.0, -1.0, 2.0, -3.0])

    assert found.at_sigma == Point(ulp=3.0, word=0, fraction=0.0, actual=actual[0], expected=1.0)
    assert found.at_value == Point(
        ulp=2.0, word=3 << 8, fraction=3 * 2.0**-24, actual=actual[3], expected=-3.0
    )


def test_a_point_at_one_sigma_counts_at_the_value() -> None:
    found = measured([2.0 + 2.0**-21], [2.0])

    assert found.at_sigma is None
    assert found.at_value is not None
    assert found.at_value.ulp == 2.0


def test_a_law_within_one_sigma_has_no_point_at_the_value() -> None:
    found = measured([1.0], [1.0])

    assert found.at_value is None
    assert found.at_sigma is not None
    assert found.at_sigma.ulp == 0.0


def test_the_expected_value_is_scaled_and_rounded_once() -> None:
    third = np.float32(1 / 3)
    sweep = sweep_of(np.array([third]))

    found = measure_accuracy(sweep, reference(np.array([2 / 3]), scale=0.5))

    assert found.at_sigma is not None
    assert found.at_sigma.ulp == 0.0
    assert found.at_sigma.expected == float(third)
    assert found.mean_error == abs(float(third) - 1 / 3) / 2.0**-22


def test_the_error_away_from_zero_has_a_sign() -> None:
    """A step is that at the larger of value and sigma: 2^-22 at 1 and -3, 2^-21 at 4."""
    fine, coarse = 2.0**-22, 2.0**-21

    found = measured(
        [1.0 + fine, -3.0 + fine, 4.0 + 2 * coarse, -4.0 - coarse], [1.0, -3.0, 4.0, -4.0]
    )

    assert found.mean_error == (1 + 1 + 2 + 1) / 4
    assert found.bias == (1 - 1 + 2 + 1) / 4


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_has_no_size_of_error(value: float) -> None:
    found = measured([value, 1.0 + 2.0**-22], [1.0, 1.0])

    assert (found.mean_error, found.bias) == (0.5, 0.5)
    assert found.at_sigma is not None
    assert found.at_sigma.ulp == math.inf


@pytest.mark.parametrize("at", [0, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 2 * CHUNK])
def test_the_worst_point_of_all_chunks_is_found(at: int) -> None:
    exact = np.full(2 * CHUNK + 1, 3.0)
    actual = exact.astype(np.float32)
    actual[[5, CHUNK + 5]] += np.float32(2.0**-22)
    actual[at] += np.float32(2.0**-20)

    found = measure_accuracy(sweep_of(actual), reference(exact))

    assert found.at_value is not None
    assert (found.at_value.ulp, found.at_value.word) == (4.0, at << 8)
    assert found.bias == found.mean_error == (4 + 1 + 1) / exact.size


def test_of_two_worst_points_the_first_is_shown() -> None:
    exact = np.full(2 * CHUNK, 3.0)
    actual = exact.astype(np.float32)
    actual[[7, 9, CHUNK + 5]] += np.float32(2.0**-22)

    found = measure_accuracy(sweep_of(actual), reference(exact))

    assert found.at_value is not None
    assert found.at_value.word == 7 << 8


def accuracy(at_value: float | None, at_sigma: float | None) -> Accuracy:
    def point(ulp: float | None) -> Point | None:
        if ulp is None:
            return None
        return Point(ulp=ulp, word=0x40, fraction=0.25, actual=1.5, expected=1.25)

    return Accuracy(
        at_value=point(at_value), at_sigma=point(at_sigma), mean_error=0.25, bias=-0.125
    )


def judged_accuracy(found: Accuracy, budget: Budget | None) -> Any:
    return check_accuracy(
        dataclasses.replace(swept(NORMAL, "bfloat16", scaled(1.1)), accuracy=found, budget=budget)
    )


BUDGET = Budget(max_ulp=3, max_ulp_at_sigma=1.5)


@pytest.mark.parametrize(("at_value", "at_sigma"), [(3.0, 1.5), (None, 1.5), (3.0, None)])
def test_errors_at_the_budget_pass(at_value: float | None, at_sigma: float | None) -> None:
    result = judged_accuracy(accuracy(at_value, at_sigma), BUDGET)

    assert result.status is Status.PASSED
    assert result.metrics == {
        "max_ulp": at_value or 0.0,
        "max_ulp_at_sigma": at_sigma or 0.0,
        "mean_ulp": 0.25,
        "bias_ulp": -0.125,
    }


@pytest.mark.parametrize(
    ("at_value", "at_sigma", "worst"),
    [
        (4.0, 1.5, ["  worst: 4 ULP, budget 3, at word 0x40 (u = 0.25)"]),
        (3.0, 1.75, ["  worst: 1.75 ULP of sigma, budget 1.5, at word 0x40 (u = 0.25)"]),
    ],
)
def test_an_error_beyond_the_budget_fails_with_its_point(
    at_value: float, at_sigma: float, worst: list[str]
) -> None:
    result = judged_accuracy(accuracy(at_value, at_sigma), BUDGET)

    assert result.status is Status.FAILED
    assert result.message.split("\n") == [
        "the law of mine-bfloat16-29x37-s0-lattice-cpu-eager is further from the definition than "
        "its budget.",
        *worst,
        "    actual   1.5 (0x1.8p+0)",
        "    expected 1.25 (0x1.4p+0)",
    ]


def test_both_errors_beyond_the_budget_are_told() -> None:
    result = judged_accuracy(accuracy(4.0, 1.75), BUDGET)

    assert result.message.count("  worst: ") == 2


@pytest.mark.parametrize("n_steps", [0, 40])
def test_a_machine_that_fuses_otherwise_than_those_measured_is_held_to_its_own_sequence(
    n_steps: int,
) -> None:
    """AVX has no fused multiply-add: beyond 3 sigma that is more than any kernel may err by."""
    tail = TruncatedNormal(stddev=1.0, lower=2.0, upper=4.0)
    sweep = right(tail, "float32")
    _, unfused = fusings("float32")
    known = solve_words(sweep.words, tail, as_dtype("float32"), SHAPE, fused=unfused).followed
    assert known is not None
    known.view(np.uint32)[99] += n_steps
    found = gather(
        tail, dataclasses.replace(sweep, values=known), Budget(max_ulp=20, max_ulp_at_sigma=5.0)
    )

    result = check_accuracy(found)

    assert found.accuracy.at_value is not None
    assert found.accuracy.at_value.ulp > 100
    assert result.status is (Status.FAILED if n_steps else Status.PASSED)


def test_a_fault_shows_at_its_worst_point_and_no_law_is_followed_whole_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    followed: list[int] = []

    def noting(words: Any, *others: Any, **options: Any) -> Any:
        followed.append(words.size)
        return solve_words(words, *others, **options)

    monkeypatch.setattr(law, "solve_words", noting)
    values = right(NORMAL, "float32").values.copy()
    values[99] *= 2
    sweep = dataclasses.replace(right(NORMAL, "float32"), values=values)

    result = check_accuracy(gather(NORMAL, sweep, Budget(max_ulp=91, max_ulp_at_sigma=2.0)))

    assert result.status is Status.FAILED
    assert max(followed) <= 2  # the worst beyond a sigma, and the worst nearer to zero


def test_without_a_budget_no_accuracy_passes() -> None:
    result = judged_accuracy(accuracy(0.0, 0.0), None)

    assert result.status is Status.FAILED
    assert result.message == "no budget is stored for mine in bfloat16 on cpu"
    assert result.remedy == Remedy(
        yardstick=Yardstick.BUDGET, initializer="mine", dtype="bfloat16", backend="cpu"
    )


# --- Finite, bounds, order -----------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_one_point_that_is_not_finite_fails(value: float) -> None:
    result = check_finite(swept(NORMAL, "bfloat16", with_value(5, value)))

    assert result.status is Status.FAILED
    assert result.metrics == {"n_wrong": 1.0}
    assert result.message.split("\n")[:2] == [
        "1 of 128 points of the law of mine-bfloat16-29x37-s0-lattice-cpu-eager: "
        "the value is not finite.",
        "  first: word 0xa (u = 0.0390625)",
    ]
    assert result.message.split("\n")[3].startswith("    expected -0.87")


def test_all_points_that_are_finite_pass() -> None:
    result = check_finite(swept(NORMAL, "bfloat16"))

    assert result.status is Status.PASSED
    assert result.metrics == {"n_wrong": 0.0}


def bounds_verdict(definition: Definition, value: float, dtype: str = "float16") -> Any:
    return check_bounds(swept(definition, dtype, with_value(700, value)))


@pytest.mark.parametrize(
    ("definition", "value"), [(TRUNCATED, -2.5), (TRUNCATED, 2.5), (UNIFORM, -0.5), (UNIFORM, 1.5)]
)
def test_a_value_far_outside_its_interval_fails(definition: Definition, value: float) -> None:
    assert bounds_verdict(definition, value).status is Status.FAILED


@pytest.mark.parametrize("bound", [-2.0, 2.0])
def test_a_truncated_normal_keeps_to_the_open_interval(bound: float) -> None:
    inside = float(np.nextafter(np.float16(bound), np.float16(0)))

    assert bounds_verdict(TRUNCATED, inside).status is Status.PASSED
    assert bounds_verdict(TRUNCATED, bound).status is Status.FAILED
    assert "the value lies outside (-2, 2)." in bounds_verdict(TRUNCATED, bound).message


def test_a_uniform_may_be_zero_and_may_not_be_one() -> None:
    below_one = float(np.nextafter(np.float16(1), np.float16(0)))
    below_zero = float(np.nextafter(np.float16(0), np.float16(-1)))

    assert bounds_verdict(UNIFORM, 0.0).status is Status.PASSED
    assert bounds_verdict(UNIFORM, below_one).status is Status.PASSED
    assert bounds_verdict(UNIFORM, below_zero).status is Status.FAILED
    assert bounds_verdict(UNIFORM, 1.0).status is Status.FAILED
    assert "the value lies outside [0, 1)." in bounds_verdict(UNIFORM, 1.0).message


@pytest.mark.parametrize("at", [0, 1, 511, 512, 1023])
def test_each_point_must_lie_within_the_bounds(at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "CHUNK", 512)

    result = check_bounds(swept(UNIFORM, "float16", with_value(at, 1.5)))

    assert (result.status, result.metrics["n_wrong"]) == (Status.FAILED, 1.0)


def test_minus_zero_lies_below_a_bound_of_zero_and_within_one_below() -> None:
    assert bounds_verdict(UNIFORM, -0.0).status is Status.FAILED
    assert "the value lies outside [0, 1)." in bounds_verdict(UNIFORM, -0.0).message
    assert bounds_verdict(Uniform(scale=-1.0), -0.0).status is Status.PASSED
    assert bounds_verdict(NORMAL, -0.0).status is Status.PASSED


@pytest.mark.parametrize(
    ("definition", "roundings"),
    [
        (TruncatedNormal(stddev=0.5, lower=-1.0, upper=3.0), 2),
        (Uniform(scale=-0.25), 2),
        (scaling("uniform"), 4),
        (scaling("truncated_normal"), 5),
    ],
    ids=str,
)
def test_a_bound_gives_way_by_the_roundings_of_factor_and_product(
    definition: Definition, roundings: int
) -> None:
    """In float64, where the bounds with their slack are doubles like all values."""
    found = reference_for(definition, SHAPE, "float16").nominal
    slack = roundings * ROUNDOFF["float64"]
    low, high = (bound - slack * abs(bound) * sign for bound, sign in bounds_of(found))

    for value, beyond in ((low, -math.inf), (high, math.inf)):
        at = bounds_verdict(definition, value, "float64")
        over = bounds_verdict(definition, math.nextafter(value, beyond), "float64")

        assert at.status is Status.PASSED
        assert over.status is Status.FAILED
        assert f"], widened by {roundings} roundings." in over.message


def bounds_of(nominal: NominalMoments) -> tuple[tuple[float, int], tuple[float, int]]:
    """Return both bounds with the sign of the way into the interval."""
    return (nominal.lower, 1), (nominal.upper, -1)


def test_a_normal_has_no_bounds() -> None:
    assert bounds_verdict(NORMAL, 6e4).status is Status.PASSED


@pytest.mark.parametrize(
    ("definition", "rises"), [(NORMAL, True), (UNIFORM, True), (Uniform(scale=-0.25), False)]
)
def test_values_follow_the_sign_of_their_factor(definition: Definition, rises: bool) -> None:
    def swapped(values: Array) -> Array:
        values[[70, 71]] = values[[71, 70]]
        return values

    result = check_order(swept(definition, "float16", swapped))

    values = right(definition, "float16").values
    assert (values[71] > values[70]) is np.bool_(rises)
    assert check_order(swept(definition, "float16")).status is Status.PASSED
    assert result.status is Status.FAILED
    assert result.metrics == {"n_wrong": 1.0}
    assert "lies on the wrong side of the point before it" in result.message
    assert f"first: word {71 << 6:#x}" in result.message


@pytest.mark.parametrize("factor", [1.0, -1.0])
@pytest.mark.parametrize("way", [1, -1])
@pytest.mark.parametrize("points", [(0.0, 0.0, 1.0, 2.0), (0.0, 0.0, 2.0), (0.0, 2.0, 2.0)])
def test_the_way_is_that_from_the_first_point_to_the_last(
    points: tuple[float, ...], way: int, factor: float
) -> None:
    """Though neighbours are equal there. The unit variate of some samplers falls."""
    unit = np.array(points[::way])
    evidence: Any = SimpleNamespace(
        sweep=SimpleNamespace(values=(unit * factor).astype(np.float32)),
        reference=SimpleNamespace(unit=unit, law=SimpleNamespace(factor=factor)),
    )

    assert check_order(evidence).status is Status.PASSED


def test_equal_neighbours_are_in_order() -> None:
    def flat(values: Array) -> Array:
        values[71] = values[70]
        return values

    assert check_order(swept(NORMAL, "float16", flat)).status is Status.PASSED


# --- Mean and variance ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("definition", "of_scale", "roundings"),
    [
        (NORMAL, 1, 5),
        (TRUNCATED, 1, 5),
        (UNIFORM, 1, 3),
        (scaling("normal"), 2, 6),
        (scaling("truncated_normal"), 4, 8),
        (scaling("uniform"), 3, 5),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_roundings_on_the_way_to_a_value_are_counted(
    definition: Definition, of_scale: int, roundings: int, dtype: str
) -> None:
    """Of the uniform, erf_inv, sqrt(2); of the factor; of the product."""
    found = error_bound(swept(definition, dtype))

    assert definition.scale_roundings == of_scale
    assert found == roundings * ROUNDOFF[dtype] + 5 * 2.0**-52 + SUMMATION_ERROR


def with_law(evidence: LawEvidence, **moments: float) -> LawEvidence:
    return dataclasses.replace(evidence, law=dataclasses.replace(evidence.law, **moments))  # type: ignore[arg-type]  # floats, all of them


@pytest.mark.parametrize("definition", [UNIFORM, scaling("truncated_normal")], ids=str)
@pytest.mark.parametrize("direction", [1, -1])
def test_a_mean_may_be_off_by_the_roundings_of_the_root_mean_square(
    definition: Definition, direction: int
) -> None:
    held = swept(definition, "float16")
    known = held.reference
    bound = error_bound(held) * math.hypot(known.mean, math.sqrt(known.variance))
    sigma = math.sqrt(known.variance)
    furthest = last(
        known.mean + direction * bound,
        direction * math.inf,
        lambda mean: abs((mean - known.mean) / sigma) <= error_bound(held) * rms(held) / sigma,
    )

    at = check_mean(with_law(held, mean=furthest))
    beyond = check_mean(with_law(held, mean=math.nextafter(furthest, direction * math.inf)))

    assert furthest == pytest.approx(known.mean + direction * bound, rel=1e-12)
    assert at.status is Status.PASSED
    assert beyond.status is Status.FAILED


@pytest.mark.parametrize("direction", [1, -1])
def test_a_moment_at_its_bound_passes(monkeypatch: pytest.MonkeyPatch, direction: int) -> None:
    """Of a law with mean 0 and variance 1, where both bounds are powers of two."""
    monkeypatch.setattr(law, "error_bound", lambda _: 2.0**-10)
    held = dataclasses.replace(swept(NORMAL, "bfloat16"), reference=reference(np.array([-1.0, 1])))
    mean, variance = direction * 2.0**-10, 1 + direction * 2.0**-9
    at = with_law(held, mean=mean, variance=variance)
    beyond = with_law(
        held,
        mean=math.nextafter(mean, direction * 2),
        variance=math.nextafter(variance, 1 + direction),
    )

    assert {check(at).status for check in (check_mean, check_variance)} == {Status.PASSED}
    assert {check(beyond).status for check in (check_mean, check_variance)} == {Status.FAILED}


def rms(held: LawEvidence) -> float:
    return math.hypot(held.reference.mean, math.sqrt(held.reference.variance))


@pytest.mark.parametrize("definition", [UNIFORM, scaling("truncated_normal")], ids=str)
@pytest.mark.parametrize("direction", [1, -1])
def test_a_variance_may_be_off_by_twice_the_roundings(
    definition: Definition, direction: int
) -> None:
    held = swept(definition, "float16")
    variance = held.reference.variance
    bound = 2 * error_bound(held) * rms(held) / math.sqrt(variance)
    furthest = last(
        variance * (1 + direction * bound),
        direction * math.inf,
        lambda found: abs(found / variance - 1) <= bound,
    )

    at = check_variance(with_law(held, variance=furthest))
    beyond = check_variance(with_law(held, variance=math.nextafter(furthest, direction * math.inf)))

    assert furthest == pytest.approx(variance * (1 + direction * bound), rel=1e-12)
    assert at.status is Status.PASSED
    assert beyond.status is Status.FAILED


def test_a_wrong_mean_is_told_with_its_figures() -> None:
    held = swept(UNIFORM, "float16")
    known = held.reference
    sigma = math.sqrt(known.variance)
    result = check_mean(with_law(held, mean=known.mean + sigma / 4))

    bound = error_bound(held) * rms(held) / sigma
    assert result.metrics == {
        "mean_error_sigma": pytest.approx(0.25),
        "mean_bound_sigma": pytest.approx(bound),
        "mean_from_nominal_sigma": pytest.approx(
            (known.mean + sigma / 4 - 0.5) / math.sqrt(1 / 12)
        ),
    }
    assert result.message.split("\n") == [
        "the mean of the law of mine-float16-29x37-s0-lattice-cpu-eager is wrong by +0.25 sigma; "
        f"roundings explain at most {bound:.3g}.",
        f"    actual   {known.mean + sigma / 4!r} over all 1024 points",
        f"    expected {known.mean!r} by the definition at the same points",
        "    nominal  0.5 by the continuous law",
    ]


def test_a_wrong_variance_is_told_with_its_figures() -> None:
    held = swept(UNIFORM, "float16")
    known = held.reference.variance

    result = check_variance(with_law(held, variance=known * 0.75))

    assert result.metrics == {
        "variance_error": pytest.approx(-0.25),
        "variance_bound": pytest.approx(2 * error_bound(held) * rms(held) / math.sqrt(known)),
        "variance_from_nominal": pytest.approx(known * 0.75 * 12 - 1),
    }
    assert (
        "the variance of the law of mine-float16-29x37-s0-lattice-cpu-eager is wrong by -0.25 "
        "of itself; " in result.message
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("factor", [1.00001, 0.99999])
def test_a_variance_off_by_2e_5_fails_in_wide_dtypes(dtype: str, factor: float) -> None:
    assert check_variance(swept(NORMAL, dtype, scaled(factor))).status is Status.FAILED


# --- The sequence of roundings -------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "allowed"), [("bfloat16", 1), ("float16", 8)])
def test_one_point_in_128_may_be_off_the_sequence(dtype: str, allowed: int) -> None:
    def off(count: int) -> Callable[[Array], Array]:
        def change(values: Array) -> Array:
            values[:count] = np.nextafter(values[:count], values.dtype.type(9))
            return values

        return change

    at = check_sequence(swept(NORMAL, dtype, off(allowed)))
    beyond = check_sequence(swept(NORMAL, dtype, off(allowed + 1)))

    assert FLIPS_PER_POINT == 1 / 128
    assert (at.status, at.metrics) == (Status.PASSED, {"n_off_sequence": float(allowed)})
    assert (beyond.status, beyond.metrics) == (Status.FAILED, {"n_off_sequence": allowed + 1.0})


def test_a_law_off_the_sequence_shows_its_worst_point() -> None:
    def change(values: Array) -> Array:
        values[::2] = np.nextafter(values[::2], values.dtype.type(9))
        values[70] = values[91]
        return values

    result = check_sequence(swept(NORMAL, "float16", change))

    lines = result.message.split("\n")
    assert lines[0] == (
        "512 of 1024 points of the law of mine-float16-29x37-s0-lattice-cpu-eager are not what "
        "rounding to nearest at every step gives; kernels of float32 accuracy explain 8."
    )
    assert lines[1].endswith(f" ULP at word {70 << 6:#x} (u = {70 / 1024:.9g})")
    assert lines[2].startswith(f"    actual   {float(right(NORMAL, 'float16').values[91]):.9g} (")
    assert lines[3].startswith(f"    expected {float(right(NORMAL, 'float16').values[70]):.9g} (")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_sequence_is_foretold_in_16_bits_only(dtype: str) -> None:
    result = check_sequence(swept(NORMAL, dtype, scaled(2.0)))

    assert (result.status, result.metrics) == (Status.PASSED, {})


@pytest.mark.parametrize(
    ("n_off", "n_off_fused", "told"), [(0, 0, 0), (1, 0, 1), (2, 0, 2), (3, 0, 0), (3, 2, 2)]
)
def test_a_sequence_is_fused_otherwise_only_where_the_usual_one_explains_too_few(
    monkeypatch: pytest.MonkeyPatch, n_off: int, n_off_fused: int, told: int
) -> None:
    """Two of 256 may be off."""
    values = np.zeros(256, np.float16)
    usual, other = fusings("float16")
    counts = {usual: n_off, other: n_off_fused}
    monkeypatch.setattr(
        law, "_off_sequence", lambda _, fused: (values, np.zeros(256, np.uint64), counts[fused])
    )
    evidence: Any = SimpleNamespace(sweep=SimpleNamespace(values=values))

    found = check_sequence(evidence)

    assert (found.status, found.metrics) == (Status.PASSED, {"n_off_sequence": float(told)})


@pytest.mark.parametrize("rounds", KNOWN_ROUNDS)
@pytest.mark.parametrize(
    ("n_off", "n_off_fused", "is_told"),
    [(0, 9, True), (9, 0, True), (3, 9, True), (9, 3, True), (4, 4, False)],
)
def test_an_order_of_roundings_that_explains_all_points_but_a_few_is_told(
    monkeypatch: pytest.MonkeyPatch, rounds: str, n_off: int, n_off_fused: int, is_told: bool
) -> None:
    evidence = swept(NORMAL, "bfloat16")
    counts = dict(zip(fusings("bfloat16"), (n_off, n_off_fused), strict=True))

    def off(other: LawEvidence, fused: Any) -> Any:
        is_it = other.definition.rounds == KNOWN_ROUNDS[rounds]
        return None, None, counts[fused] if is_it else 9

    monkeypatch.setattr(law, "_off_sequence", off)

    told = list(law._other_rounds(evidence, 3))

    named = f"  they are what rounds={rounds} gives: the definition may say so, if it is meant"
    assert told == ([named] if is_told else [])


@pytest.mark.parametrize(
    ("value", "n_ulp", "max_ulp", "max_ulp_at_sigma", "is_within"),
    [
        (0.5, 2, 2, 0.0, True),
        (0.5, 2, 1, 99.0, False),
        (-0.5, 2, 1, 99.0, False),
        (0.75, 2, 2, 0.0, True),
        (0.25, 2, 0, 1.0, True),
        (0.25, 3, 99, 1.0, False),
    ],
)
def test_from_sigma_on_points_are_judged_at_the_value_and_below_it_at_sigma(
    value: float, n_ulp: int, max_ulp: int, max_ulp_at_sigma: float, is_within: bool
) -> None:
    """Sigma is 1/2, at which the spacing is twice that at 1/4."""
    values = np.full(3, value, np.float32)
    followed = values * np.float32(1)
    followed[1] = (followed[1:2].view(np.int32) + n_ulp).view(np.float32)[0]
    evidence: Any = SimpleNamespace(
        sweep=SimpleNamespace(values=values),
        reference=SimpleNamespace(unit=values / 2.0, law=SimpleNamespace(factor=2.0), sigma=0.5),
    )
    budget = Budget(max_ulp=max_ulp, max_ulp_at_sigma=max_ulp_at_sigma)

    assert law._is_within(evidence, budget, followed) == is_within
    assert not law._is_within(evidence, budget, None)


@pytest.mark.parametrize(
    ("check", "status", "limitation"),
    [
        (MEAN, Status.LIMITED, "known"),
        (VARIANCE, Status.LIMITED, "known"),
        (law.NOMINAL, Status.LIMITED, "known"),
        (ACCURACY, Status.LIMITED, ""),
        (MEAN, Status.FAILED, ""),
        (MEAN, Status.PASSED, ""),
    ],
)
def test_a_limitation_excuses_a_wrong_mean_or_variance(
    check: str, status: Status, limitation: str
) -> None:
    def result(*checks: tuple[str, Status]) -> Any:
        made = [CheckResult(check=name, status=found, message="") for name, found in checks]
        return SimpleNamespace(result=SimpleNamespace(checks=made, limitation="known"))

    right = result((MEAN, Status.PASSED), (VARIANCE, Status.PASSED))

    assert limitation_of([right, result((BOUNDS, Status.LIMITED), (check, status))]) == limitation
    assert limitation_of([]) == ""


def judged(*checks: tuple[str, Status]) -> LawResult:
    made = [CheckResult(check=name, status=status, message="why") for name, status in checks]
    result: Any = SimpleNamespace(status=Status.FAILED, checks=made)
    return LawResult(case=case_of("bfloat16"), result=result, evidence=None)


@pytest.mark.parametrize(
    "checks",
    [
        ((MEAN, Status.PASSED), (ACCURACY, Status.PASSED)),
        ((MEAN, Status.LIMITED), (ACCURACY, Status.LIMITED)),
        ((MEAN, Status.PASSED), (ACCURACY, Status.FAILED)),
    ],
)
def test_a_sweep_whose_accuracy_alone_fails_may_set_a_budget(checks: Any) -> None:
    result = judged(*checks)

    assert require_fit(result) is result


@pytest.mark.parametrize("check", [FINITE, MEAN, SEQUENCE, SWEEP])
def test_a_sweep_that_fails_otherwise_sets_no_budget(check: str) -> None:
    with pytest.raises(UnfitForBudget) as caught:
        require_fit(judged((ACCURACY, Status.FAILED), (check, Status.FAILED)))

    assert str(caught.value) == (
        "mine-bfloat16-29x37-s0-lattice-cpu-eager sets no budget until this is explained:\nwhy\n"
        "  If it is known and stays, announce it in a --ledger: a [[limitation]] with "
        f'checks = ["{check}"] and prng = ["lattice"]'
    )


def test_the_worst_point_is_that_of_the_largest_error() -> None:
    points = [accuracy(each, None).at_value for each in (None, 1.0, 3.0, 2.0, None)]

    assert worst_point(points) is points[2]
    assert worst_point([None]) is worst_point([]) is None


@pytest.mark.parametrize(
    ("size", "stride"), [(1, 1), (1023, 1), (2048, 1), (3071, 1), (3072, 3), (5119, 3), (5120, 5)]
)
def test_of_a_sweep_1024_values_are_kept_at_least(size: int, stride: int) -> None:
    values = np.arange(size, dtype=np.float32)
    held: Any = SimpleNamespace(sweep=SimpleNamespace(values=values), law=exact_law(values))

    found = outcome_of(held)

    assert found.stride == stride
    assert flat(found).tolist() == values[::stride].tolist()
    assert found.sha256 == returned(values).sha256
    assert (found.moments.minimum, found.moments.maximum) == (0.0, size - 1)


def test_an_initializer_that_cannot_be_swept_fails_by_what_it_raised() -> None:
    found = unswept(case_of("bfloat16"), ValueError("no words"), ())

    (check,) = found.checks
    assert (check.check, check.status, check.message) == (SWEEP, Status.FAILED, "no words")
    assert found.observation.outcome == Raised(exception="ValueError", message="no words")
    assert found.observation.elapsed_s == 0.0


def test_a_sweep_that_its_machine_failed_says_nothing_of_the_initializer() -> None:
    error = ValueError("cannot be swept")
    error.__cause__ = MemoryError("no memory")

    found = unswept(case_of("bfloat16"), error, ())

    assert [check.check for check in found.checks] == [MACHINE]
    assert found.observation.outcome == Raised(exception="MemoryError", message="no memory")
    assert found.observation.elapsed_s == 0.0


def test_a_verdict_on_a_sweep_is_a_line_with_its_figures() -> None:
    checks = [
        CheckResult(check=name, status=Status.PASSED, message="", metrics={name: value})
        for name, value in ((MEAN, 1.23456), (VARIANCE, -2e-7))
    ]
    result: Any = SimpleNamespace(status=Status.PASSED, checks=checks)

    line = LawResult(case=case_of("bfloat16"), result=result, evidence=None).line

    assert line == "passed: law_mean 1.23, law_variance -2e-07"


@pytest.mark.parametrize(("n_off_usual", "is_fused"), [(0, False), (1, False), (2, True)])
def test_values_are_fused_otherwise_where_more_of_them_are_just_what_that_gives(
    monkeypatch: pytest.MonkeyPatch, n_off_usual: int, is_fused: bool
) -> None:
    """One of four is off what the other fusing gives."""
    values = np.ones(4, np.float32)
    usual, other = fusings("float32")

    def followed(_: LawEvidence, fused: Any, places: Any = slice(None)) -> Array:
        found = values.copy()
        found[: n_off_usual if fused == usual else 1] = 2.0
        assert fused in (usual, other)
        return np.asarray(found[places])

    monkeypatch.setattr(law, "_followed", followed)
    evidence: Any = SimpleNamespace(
        sweep=SimpleNamespace(values=values, words=np.arange(4, dtype=np.uint32)),
        reference=SimpleNamespace(unit=values, law=SimpleNamespace(factor=1.0), sigma=1.0),
    )
    point: Any = SimpleNamespace(word=3)

    assert law._is_fused_otherwise(evidence, WIDE, [point]) == is_fused


@pytest.mark.parametrize(
    ("dtype", "has_sequence"),
    [("float8_e5m2", True), ("bfloat16", True), ("float16", True), ("float32", False)],
)
def test_a_sequence_of_roundings_is_followed_in_up_to_16_bits(
    monkeypatch: pytest.MonkeyPatch, dtype: str, has_sequence: bool
) -> None:
    values = np.zeros(4, as_dtype(dtype))
    monkeypatch.setattr(law, "_off_sequence", lambda *_: (values, np.zeros(4, np.uint64), 0))
    evidence: Any = SimpleNamespace(sweep=SimpleNamespace(values=values))

    found = check_sequence(evidence)

    assert found.metrics == ({"n_off_sequence": 0.0} if has_sequence else {})


@pytest.mark.parametrize(("check", "is_judged"), [(MEAN, True), (MACHINE, False)])
def test_a_sweep_that_its_machine_failed_is_not_judged(check: str, is_judged: bool) -> None:
    checks = [CheckResult(check=name, status=Status.FAILED, message="") for name in (ORDER, check)]
    result: Any = SimpleNamespace(checks=checks)
    case: Any = None

    assert LawResult(case=case, result=result, evidence=None).is_judged == is_judged


@pytest.mark.parametrize("status", Status)
def test_a_sweep_has_failed_where_its_verdict_says_so(status: Status) -> None:
    result: Any = SimpleNamespace(status=status)
    case: Any = None

    found = LawResult(case=case, result=result, evidence=None)

    assert found.has_failed == (status is Status.FAILED)


@pytest.mark.parametrize(
    ("mean", "variance", "passes"),
    [
        (0.5, 1.25, True),
        (-0.5, 0.75, True),
        (math.nextafter(0.5, 1), 1.0, False),
        (math.nextafter(-0.5, -1), 1.0, False),
        (0.0, math.nextafter(1.25, 2), False),
        (0.0, math.nextafter(0.75, 0), False),
    ],
)
@pytest.mark.parametrize("sigma", [1.0, 4.0, 0.25])
def test_points_may_be_off_what_was_asked_by_the_width_of_their_law_over_their_number(
    mean: float, variance: float, passes: bool, sigma: float
) -> None:
    """Of four points the inner ones are 2 sigma apart, and 1 from the mean: 2/4, and 1/4."""
    nominal = NominalMoments(mean=0.0, variance=sigma**2, lower=-9.0, upper=9.0)
    evidence: Any = SimpleNamespace(
        sweep=SimpleNamespace(case=SimpleNamespace(id="it", problem=SimpleNamespace(prng=LATTICE))),
        law=SimpleNamespace(n_points=4, minimum=-2.0, maximum=2.0),
        reference=SimpleNamespace(
            unit=np.array([2.0, -1.0, 1.0, -2.0]),
            unit_law=SimpleNamespace(direction=0),
            law=SimpleNamespace(factor=sigma),
            nominal=nominal,
            sigma=sigma,
            mean=mean * sigma,
            variance=variance * sigma**2,
        ),
    )

    assert (law.check_nominal(evidence).status is Status.PASSED) == passes


IN_ORDER = np.arange(-100.0, 100.0)


@pytest.mark.parametrize(
    ("unit", "direction"),
    [
        *((np.random.default_rng(seed).permutation(IN_ORDER), 0) for seed in range(4)),
        (IN_ORDER, 1),
        (IN_ORDER[::-1], -1),
    ],
    ids=[*map(str, range(4)), "rising", "falling"],
)
def test_the_outermost_point_of_either_side_is_left_out(
    unit: npt.NDArray[np.float64], direction: int
) -> None:
    """Of the numbers from -100 to 99 in any order, with sigma 2 and mean 3."""
    nominal = NominalMoments(mean=3.0, variance=4.0, lower=-math.inf, upper=math.inf)
    evidence: Any = SimpleNamespace(
        sweep=SimpleNamespace(case=SimpleNamespace(id="it", problem=SimpleNamespace(prng=LATTICE))),
        law=SimpleNamespace(n_points=200, minimum=-2.0, maximum=2.0),
        reference=SimpleNamespace(
            unit=unit,
            unit_law=SimpleNamespace(direction=direction),
            law=SimpleNamespace(factor=0.5),
            nominal=nominal,
            sigma=2.0,
            mean=3.0,
            variance=4.0,
        ),
    )

    metrics = law.check_nominal(evidence).metrics

    assert metrics["nominal_mean_bound_sigma"] == (99 + 98) / 2 / 2 / 200
    assert metrics["nominal_variance_bound"] == ((99 / 2 + 3) / 2) ** 2 / 200
