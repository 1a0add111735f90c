"""The exact law is right about right initializers, and nothing wrong gets past it."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import Catalogue, InitializerSpec
from conformance.cases.selection import Selection
from conformance.cases.sweeps import is_swept, law_cases, select_sweeps, sweep_case
from conformance.core.arrays import as_dtype
from conformance.core.budgets import BudgetTable
from conformance.core.errors import EmptySelection, NotElementwise, SweepError
from conformance.core.formats import FORMATS
from conformance.core.ids import Tier
from conformance.core.lattice import lattice_words
from conformance.core.laws import Normal, TruncatedNormal, nominal_moments
from conformance.core.paths import BUDGETS, shipped
from conformance.core.records import Status
from conformance.judge.law.accuracy import LawEvidence, gather, reference_for
from conformance.judge.law.checks import check_variance
from conformance.judge.law.exact import SUMMATION_ERROR, exact_law
from conformance.judge.law.verdict import LawResult
from conformance.judge.ledger import Ledger
from conformance.observe.backends import open_backend
from conformance.observe.jax_compat import lattice_key
from conformance.observe.sweep import sweep
from conformance.report.messages import messages_of
from conformance.run.sweeps import evaluate
from conformance.store.budgets import load

CATALOGUE = load_catalogue()
SIXTEEN_BIT = ("bfloat16", "float16")

Wrong = Callable[[Any, Any], Any]
"""(array in the right law, its dtype) -> the array in a wrong one."""


@functools.cache
def stored_budgets() -> BudgetTable:
    return load(shipped() / BUDGETS)


def with_build(base: str, build: Callable[[], Any]) -> InitializerSpec:
    return dataclasses.replace(CATALOGUE.lookup(base), build=build)


def judged(spec: InitializerSpec, dtype: str, transform: str = "eager") -> LawResult:
    """Sweep the spec, with the stored budgets and no limitations."""
    catalogue = Catalogue()
    catalogue.add(spec)
    case = sweep_case(spec, dtype, "cpu", transform)
    return evaluate(
        case, catalogue=catalogue, budgets=stored_budgets(), ledger=Ledger(limitations=())
    )


def messages(result: LawResult) -> list[str]:
    return messages_of(result.result, [Status.FAILED])


def failed_checks(result: LawResult) -> set[str]:
    return {check.check for check in result.result.checks if check.status is Status.FAILED}


def changed(base: str, change: Callable[[Any], Any]) -> InitializerSpec:
    """Return the spec of an initializer that changes what the right one returns."""
    right = CATALOGUE.lookup(base).build()
    return with_build(base, lambda: lambda key, shape, dtype: change(right(key, shape, dtype)))


def wide(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the change made on the host in float64, then rounded to the array's dtype."""
    return on_host(lambda array: change(array.astype(np.float64)).astype(array.dtype))


def on_host(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the change of a NumPy array as a change that JAX can trace."""
    import jax

    return lambda array: jax.pure_callback(lambda values: change(np.asarray(values)), array, array)


GAIN_OFF = wide(lambda x: x * 1.0001)


@functools.lru_cache(maxsize=1)  # 2^23 points each
def judged_in_float32(change: Callable[[Any], Any]) -> LawResult:
    return judged(changed("lecun_normal", change), "float32")


# --- Faults --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("transform", ["eager", "jit"])
def test_a_right_initializer_passes_every_check(dtype: str, transform: str) -> None:
    result = judged(CATALOGUE.lookup("lecun_normal"), dtype, transform)

    assert messages(result) == []


@pytest.mark.parametrize(
    ("change", "caught_by"),
    [
        pytest.param(
            wide(lambda x: x * math.sqrt(1.00001)),
            {"law_variance", "law_bounds", "law_accuracy"},
            id="variance x 1.00001",
        ),
        pytest.param(
            wide(lambda x: x + 1e-6 * x.std()), {"law_mean", "law_accuracy"}, id="mean + 1e-6 sigma"
        ),
        pytest.param(
            wide(lambda x: x * 0.87962566103423978),
            {"law_variance", "law_accuracy"},
            id="truncation correction dropped",
        ),
        pytest.param(
            lambda x: x.at[5, 7].set(math.nan), {"law_finite", "law_accuracy"}, id="one point NaN"
        ),
        pytest.param(
            lambda x: x.at[2895, 1792].multiply(1.001),  # the last point
            {"law_bounds", "law_accuracy"},
            id="one point beyond the bound",
        ),
        pytest.param(
            # The shape holds some points twice, and others than before now come last.
            lambda x: x.T.reshape(x.shape),
            {"law_order", "law_mean", "law_variance", "law_accuracy"},
            id="transposed",
        ),
        pytest.param(
            GAIN_OFF, {"law_variance", "law_accuracy", "law_bounds"}, id="gain off by 1e-4"
        ),
    ],
)
def test_float32_faults_are_caught(change: Callable[[Any], Any], caught_by: set[str]) -> None:
    assert failed_checks(judged_in_float32(change)) == caught_by


def test_a_wrong_variance_is_reported_with_its_figures() -> None:
    result = judged_in_float32(GAIN_OFF)

    message = next(text for text in messages(result) if "variance" in text)

    assert "lecun_normal-float32-2896x2897-s0-lattice-cpu-eager" in message
    assert "wrong by +0.0002 of itself; roundings explain at most 9.54e-07" in message
    assert "over all 8388608 points" in message


@pytest.mark.parametrize("dtype", SIXTEEN_BIT)
@pytest.mark.parametrize(
    ("change", "check"),
    [
        pytest.param(
            wide(lambda x: x * 0.87962566103423978),
            "law_variance",
            id="truncation correction dropped",
        ),
        pytest.param(wide(lambda x: x + 0.05 * x.std()), "law_mean", id="mean + 0.05 sigma"),
        pytest.param(wide(lambda x: x * 1.01), "law_sequence", id="gain off by 1e-2"),
        pytest.param(lambda x: x.at[5, 7].set(math.nan), "law_finite", id="one point NaN"),
        pytest.param(lambda x: x.at[5, 7].set(math.inf), "law_bounds", id="one point infinite"),
        pytest.param(lambda x: x.T.reshape(x.shape), "law_order", id="transposed"),
    ],
)
def test_16_bit_faults_are_caught(dtype: str, change: Callable[[Any], Any], check: str) -> None:
    result = judged(changed("lecun_normal", change), dtype)

    assert check in failed_checks(result)


@pytest.mark.parametrize("dtype", SIXTEEN_BIT)
def test_rounding_towards_zero_is_caught_by_the_sequence_alone(dtype: str) -> None:
    """Every value is within half an ULP of where it was, and mean and variance within roundings."""
    unit = CATALOGUE.lookup("truncated_normal_1").build()
    stddev = float(np.array(0.01).astype(as_dtype(dtype)))

    def towards_zero(variate: Any) -> Any:
        exact = variate.astype(np.float64) * stddev
        near = exact.astype(variate.dtype)
        is_too_far = np.abs(near.astype(np.float64)) > np.abs(exact)
        return np.where(is_too_far, np.nextafter(near, np.zeros_like(near)), near)

    truncating = on_host(towards_zero)
    spec = with_build("truncated_normal", lambda: lambda *call: truncating(unit(*call)))

    result = judged(spec, dtype)

    assert "law_sequence" in failed_checks(result)
    assert not failed_checks(result) & {"law_mean", "law_variance", "law_bounds", "law_order"}


def test_a_sweep_that_the_machine_failed_says_nothing_of_the_law() -> None:
    def exhaust(*_: Any) -> Any:
        raise MemoryError("no room for 2^23 elements")

    spec = with_build("normal", lambda: exhaust)

    result = judged(spec, "bfloat16")

    assert not result.is_judged
    assert failed_checks(result) == {"machine"}
    assert "MemoryError: no room for 2^23 elements" in messages(result)[0]


def test_a_wrong_point_is_named_by_its_word() -> None:
    result = judged(changed("uniform_1", lambda x: x.at[0, 3].set(2.0)), "bfloat16")

    message = next(text for text in messages(result) if "lies outside" in text)

    assert message.startswith("1 of 128 points of the law of uniform_1-bfloat16-11x12")
    assert "the value lies outside [0, 1)" in message
    assert "word 0x6 (u = 0.0234375)" in message
    assert "actual   2 (0x1p+1)" in message


def test_an_error_beyond_the_budget_shows_the_worst_point() -> None:
    result = judged(changed("normal_1", wide(lambda x: x * 1.0000005)), "float32")

    message = next(text for text in messages(result) if "budget" in text)

    assert "is further from the definition than its budget" in message
    assert re.search(r"worst: 9\d ULP, budget 91, at word 0x\w+ \(u = 0.999", message)
    assert "budget 2, at word" in message


def test_a_missing_budget_fails_and_says_how_to_measure_it() -> None:
    spec = dataclasses.replace(CATALOGUE.lookup("normal"), name="mine")

    result = judged(spec, "bfloat16")

    assert failed_checks(result) == {"law_accuracy"}
    assert "no budget is stored for mine in bfloat16 on cpu" in messages(result)[0]
    assert "`conformance law --initializer mine --dtype bfloat16" in messages(result)[0]


def test_the_verdict_fits_in_a_line_with_its_figures() -> None:
    line = judged(CATALOGUE.lookup("uniform_1"), "bfloat16").line

    assert line.startswith("passed: n_wrong 0, ")
    assert "variance_from_nominal -6.1e-05" in line
    assert "max_ulp 0" in line


def test_an_initializer_that_raises_fails_its_sweep() -> None:
    def broken(*_: Any) -> Any:
        raise TypeError("no such dtype")

    result = judged(with_build("normal", lambda: broken), "bfloat16")

    assert failed_checks(result) == {"law_sweep"}
    assert "raised TypeError: no such dtype" in messages(result)[0]


# --- What a sweep is -----------------------------------------------------------------------------


@pytest.mark.parametrize(("bits", "kept"), [(8, 7), (16, 10), (32, 23)])
def test_the_lattice_holds_every_word_that_differs_in_a_kept_bit(bits: int, kept: int) -> None:
    words = lattice_words(bits)

    assert words.dtype == f"u{bits // 8}"
    assert (words >> words.dtype.type(bits - kept) == np.arange(2**kept)).all()


def test_64_bit_words_are_scattered_one_in_each_stratum() -> None:
    """In the middle of each the words would have few bits, and no operation would round."""
    words = lattice_words(64)

    assert np.array_equal(words >> 44, np.arange(2**20))
    assert np.diff(np.sort(words & (2**44 - 1))).all()


@pytest.mark.parametrize("bits", [8, 16, 32, 64])
def test_the_generator_draws_the_lattice(bits: int) -> None:
    import jax

    words = lattice_words(bits)

    with jax.enable_x64(bits == 64):
        drawn = jax.random.bits(lattice_key(), (len(words) + 5,), f"uint{bits}")

    assert np.array_equal(drawn[:-5], words)
    assert np.array_equal(drawn[-5:], words[:5])


def test_the_words_depend_on_the_key() -> None:
    """Else a compiler may compute a law beforehand, by other means than it computes draws."""
    import jax

    key = lattice_key()
    next_key = jax.random.wrap_key_data(jax.random.key_data(key) + 1, impl=jax.random.key_impl(key))

    drawn = jax.random.bits(next_key, (127,), "uint8")

    assert np.array_equal(drawn, lattice_words(8)[1:])


def test_a_sampler_that_draws_twice_is_refused() -> None:
    import jax

    def box_muller(key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
        one, two = jax.random.split(key)
        return jax.random.uniform(one, shape, dtype) + jax.random.uniform(two, shape, dtype)

    spec = with_build("normal", lambda: box_muller)

    with pytest.raises(NotElementwise, match="132 words of 8 bits and 132 words of 8 bits for 132"):
        sweep(spec, sweep_case(spec, "bfloat16", "cpu", "eager"), open_backend("cpu"))


def test_another_dtype_than_asked_for_is_refused() -> None:
    import jax

    right = CATALOGUE.lookup("normal").build()
    spec = with_build("normal", lambda: lambda *call: right(*call).astype(jax.numpy.float32))

    with pytest.raises(
        SweepError, match=r"returned float32\[11, 12\], asked for bfloat16\[11, 12\]"
    ):
        sweep(spec, sweep_case(spec, "bfloat16", "cpu", "eager"), open_backend("cpu"))


def test_axes_that_need_three_dimensions_get_them() -> None:
    case = sweep_case(CATALOGUE.lookup("lecun_normal_heads"), "float32", "cpu", "eager")

    assert len(case.problem.shape) == 3
    assert math.prod(case.problem.shape) >= 2**23


def test_a_float64_sweep_says_that_it_is_stratified() -> None:
    case = sweep_case(CATALOGUE.lookup("normal"), "float64", "cpu", "eager")

    assert case.id == "normal-float64-1023x1026-s0-strata-cpu-eager"


def test_constants_and_matrices_have_no_law_to_sweep() -> None:
    swept = {spec.name for spec in CATALOGUE if is_swept(spec)}

    assert not swept & {"zeros", "constant", "orthogonal", "delta_orthogonal"}


def test_every_tier_sweeps_what_it_says() -> None:
    quick = law_cases(CATALOGUE, Selection(tier=Tier.QUICK))
    standard = law_cases(CATALOGUE, Selection(tier=Tier.STANDARD))

    float32 = {case.problem.initializer for case in quick if case.problem.dtype == "float32"}
    assert float32 == {"lecun_normal", "normal"}
    assert set(quick) < set(standard)
    assert {case.transform for case in standard} == {"eager", "jit"}
    assert "float64" not in {case.problem.dtype for case in standard}


def test_a_selection_without_a_sweep_is_refused_and_says_what_there_is() -> None:
    selection = Selection(tier=Tier.QUICK, initializers=("orthogonal",))

    with pytest.raises(
        EmptySelection, match="Initializers that draw one word for each element: gl"
    ):
        select_sweeps(CATALOGUE, selection)


# --- Exactness -----------------------------------------------------------------------------------


def test_moments_are_exact_within_the_stated_error() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, 2**16 + 9).astype(np.float32)
    exact = [Fraction(float(value)) for value in values]
    mean = Fraction(sum(exact), len(exact))
    variance = Fraction(sum((value - mean) ** 2 for value in exact), len(exact))

    law = exact_law(values)

    assert abs(Fraction(law.mean) / mean - 1) < SUMMATION_ERROR
    assert abs(Fraction(law.variance) / variance - 1) < SUMMATION_ERROR


def test_a_law_counts_what_its_values_are() -> None:
    law = exact_law(np.array([-2.0, -1.0, -1.0, 1.0, 1.0, 2.0], np.float32))

    assert (law.n_points, law.n_distinct, law.n_nonfinite) == (6, 4, 0)
    assert (law.mean, law.variance, law.skewness) == (0.0, 2.0, 0.0)
    assert law.kurtosis == 36 / 6 / 2.0**2
    assert (law.minimum, law.maximum) == (-2.0, 2.0)
    assert (law.direction, law.is_symmetric) == (1, True)


def test_a_law_without_order_or_symmetry_says_so() -> None:
    law = exact_law(np.array([1.0, -1.0, 3.0, math.nan], np.float32))

    assert (law.direction, law.is_symmetric, law.n_nonfinite) == (0, False, 1)
    assert (law.minimum, law.maximum, law.n_distinct) == (-1.0, 3.0, 3)


@pytest.mark.parametrize("dtype", SIXTEEN_BIT)
@pytest.mark.parametrize(
    "name", ["uniform", "truncated_normal", "truncated_normal_tail", "he_normal"]
)
def test_the_lattice_law_is_the_continuous_one_but_for_its_cells(name: str, dtype: str) -> None:
    """A quantile at any point of each of N cells has its mean within the range / N."""
    spec = CATALOGUE.lookup(name)
    assert spec.definition is not None
    shape = (5, 5, 6)
    nominal = nominal_moments(spec.definition, shape)
    assert nominal is not None

    reference = reference_for(spec.definition, shape, dtype)

    cells = len(lattice_words(FORMATS[dtype].word_bits))
    assert abs(reference.mean - nominal.mean.real) <= (nominal.upper - nominal.lower) / cells


@pytest.mark.parametrize("name", ["lecun_normal", "normal", "he_uniform"])
def test_float32_variances_are_nominal_to_one_in_a_million(name: str) -> None:
    evidence = evidence_of(name, "float32")

    metrics = check_variance(evidence).metrics

    assert abs(metrics["variance_from_nominal"]) < 1e-6
    assert metrics["variance_bound"] < 1e-6


def evidence_of(name: str, dtype: str) -> LawEvidence:
    spec = CATALOGUE.lookup(name)
    assert spec.definition is not None
    return gather(
        spec.definition,
        sweep(spec, sweep_case(spec, dtype, "cpu", "eager"), open_backend("cpu")),
        None,
    )


def test_rounding_to_nearest_has_no_bias() -> None:
    """uniform_1 is exact; `normal_1` in bfloat16 rounds three times, and no way in particular."""
    assert evidence_of("uniform_1", "float16").accuracy.mean_error == 0
    assert abs(evidence_of("normal_1", "bfloat16").accuracy.bias) < 0.05


def test_the_reference_scales_one_unit_variate() -> None:
    one = reference_for(Normal(stddev=1.0), (11, 12), "bfloat16")
    two = reference_for(Normal(stddev=2.0), (11, 12), "bfloat16")

    assert one.unit is two.unit
    assert two.variance == 4 * one.variance


def test_a_wrong_bound_is_judged_by_its_own_definition() -> None:
    """The same values under narrower bounds cross them."""
    spec = dataclasses.replace(
        CATALOGUE.lookup("truncated_normal_1"),
        definition=TruncatedNormal(stddev=1.0, lower=-1.5, upper=1.5),
    )

    assert "law_bounds" in failed_checks(judged(spec, "bfloat16"))


def fused_truncated_normal(key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Return draws of which the multiply-add of the uniform rounds once, as on Arm in float16."""
    root = jnp.sqrt(jnp.asarray(2, dtype))
    lower, upper = (jax.lax.erf(jnp.asarray(bound, dtype) / root) for bound in (-2, 2))
    width, drawn = upper - lower, jax.random.uniform(key, shape, dtype)
    wide = drawn.astype("float32") * width.astype("float32") + lower.astype("float32")
    uniform = jnp.maximum(lower, wide.astype(dtype))
    return jnp.clip(root * jax.lax.erf_inv(uniform), *(np.array([-2, 2], dtype) * (1 - 2**-11)))


def test_a_device_may_fuse_the_multiply_adds_of_16_bits() -> None:
    spec = with_build("truncated_normal_1", lambda: fused_truncated_normal)

    assert failed_checks(judged(spec, "float16")) == set()
