"""The emulator: each rounding, each refusal, and whole kernels against XLA, store and oracle."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.core.arrays import Array, as_dtype, returned, whole
from conformance.core.ids import Case, Problem, parse_problem
from conformance.core.paths import BUDGETS
from conformance.core.records import Budget, DriftClass, Returned
from conformance.core.ulp import ordered
from conformance.judge.budgets import budget_for
from conformance.judge.drift import classify
from conformance.judge.verdict import nominal_of
from conformance.observe.backends.problem import settings
from conformance.oracle import solve
from conformance.predict import ptx
from conformance.predict.ptx import approximate, chain, influence, machine, operations, rounding
from conformance.predict.ptx.parser import parse
from conformance.store.budgets import load
from conformance.store.read import open_store
from tests import ROOT

FIXTURES = ROOT / "tests" / "data" / "ptx"
PREDICTED = ROOT / "golden" / "predicted" / "h100"
PROBLEMS = sorted(path.stem for path in FIXTURES.glob("*.ptx"))
SAME_AS_CPU = [name for name in PROBLEMS if "float16" in name or "uniform" in name]
WITH_ORACLE = [name for name in PROBLEMS if not name.endswith("rbg")]
STORED = [name for name in WITH_ORACLE if "float64" not in name]
WIDE_NORMALS = [name for name in PROBLEMS if name not in SAME_AS_CPU]

FLOATS = FLOAT64, FLOAT32, FLOAT16, BFLOAT16 = tuple(
    map(as_dtype, ("float64", "float32", "float16", "bfloat16"))
)
NAN = float("nan")


def f32(values: list[Any]) -> Array:
    return np.array(values, np.float32)


@functools.cache
def program_of(name: str) -> ptx.Program:
    hlo, modules, thunks = (
        (FIXTURES / f"{name}.{suffix}").read_text() for suffix in ("hlo", "ptx", "thunks")
    )
    return ptx.load(hlo, [modules], thunks)


def emulated(name: str, key: tuple[int, int] = (0, 0)) -> Array:
    return program_of(name).run([words_of(parse_problem(name), key)])


def words_of(problem: Problem, key: tuple[int, int]) -> Array:
    """Return the words of a key; Philox's has four, which JAX makes of two like this."""
    return np.array(key * (2 if problem.prng == "rbg" else 1), np.uint32)


def on_cpu(problem: Problem, key: tuple[int, int]) -> Array:
    import jax

    with settings(problem):
        words = jax.numpy.asarray(words_of(problem, key))
        typed = jax.random.wrap_key_data(words, impl=problem.prng)
        return np.asarray(jitted(problem)(typed))


@functools.cache
def jitted(problem: Problem) -> Callable[[Any], Any]:
    """Return the function of a key; JAX compiles it once for all keys."""
    import jax

    initializer = load_catalogue().lookup(problem.initializer).build()
    dtype = as_dtype(problem.dtype)
    return jax.jit(lambda key: initializer(key, problem.shape, dtype))


def measured_budget(problem: Problem) -> Budget:
    spec = load_catalogue().lookup(problem.initializer)
    case = Case(problem=problem, backend="cpu", transform="jit")
    return budget_for(spec, case, load(ROOT / "golden" / BUDGETS))


# --- Whole kernels -------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [(0, 0), (0, 42), (0xDEADBEEF, 0x12345678)])
@pytest.mark.parametrize("name", SAME_AS_CPU)
def test_uniforms_and_16_bit_floats_are_bitwise_those_of_xla_on_the_cpu(
    name: str, key: tuple[int, int]
) -> None:
    """Philox's too, which JAX does not promise to be the same on two backends."""
    expected = on_cpu(parse_problem(name), key)

    assert emulated(name, key).tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", WIDE_NORMALS)
def test_wide_normals_lie_to_the_cpu_by_rounding(name: str) -> None:
    problem = parse_problem(name)
    spec = load_catalogue().lookup(problem.initializer)
    expected = returned(on_cpu(problem, (0, 7)))

    drift = classify(
        returned(emulated(name, (0, 7))),
        expected,
        moments=nominal_of(spec, expected),
        budget=measured_budget(problem).doubled(),
    )

    assert drift.drift_class is DriftClass.ROUNDING


@pytest.mark.parametrize("name", WITH_ORACLE)
def test_every_kernel_is_within_the_measured_budget_of_the_oracle(name: str) -> None:
    """Rounding may go one way.

    These are the exactly defined values, not JAX's own roundings, which `oracle.check_oracle` tries
    too. A factor that is rounded moves all elements alike, on every device; and on one that is no
    CPU the check lets biased rounding pass (`is_warning`).
    """
    problem = parse_problem(name)
    spec = load_catalogue().lookup(problem.initializer)
    assert spec.definition is not None
    expected = returned(solve(problem, spec.definition).expected)

    drift = classify(
        returned(emulated(name)),
        expected,
        moments=nominal_of(spec, expected),
        budget=measured_budget(problem),
    )

    assert drift.drift_class.rank <= DriftClass.BIASED.rank


@pytest.mark.parametrize("name", STORED)
def test_the_stored_predictions_are_what_the_kernels_give(name: str) -> None:
    assert returned(emulated(name)).sha256 == predicted(name).sha256


def predicted(name: str) -> Returned:
    entry = open_store(PREDICTED).entry(f"{name}-cuda-jit")
    assert entry is not None
    assert isinstance(entry.outcome, Returned)
    return entry.outcome


def rounded_twice(a: Array, b: Array, c: Array) -> Array:
    return rounding.add(rounding.multiply(a, b), c)


MUTATIONS: dict[str, Callable[..., Any]] = {
    "fma.rn.f32": rounded_twice,
    "mul.rn.f32": lambda a, b: rounding.towards_zero(a.astype(float) * b, np.zeros(a.shape)),
    "add.rn.f32": operations.add_towards_zero,
    "sub.rn.f32": lambda a, b: operations.add_towards_zero(a, -b),
    "max.NaN.f32": operations.minimum,
}


@pytest.mark.parametrize("opcode", MUTATIONS)
def test_one_wrong_rounding_is_seen_in_the_bits(
    monkeypatch: pytest.MonkeyPatch, opcode: str
) -> None:
    right = operations.OPERATIONS[opcode]
    wrong = dataclasses.replace(right, compute=MUTATIONS[opcode])
    monkeypatch.setattr(machine, "OPERATIONS", {**operations.OPERATIONS, opcode: wrong})

    assert emulated("lecun_normal-float32-64x32-s0").tobytes() != (
        predicted("lecun_normal-float32-64x32-s0").bits
    )


def test_products_contracted_with_their_sums_are_seen_in_the_bits() -> None:
    """The CPU contracts the polynomial; a GPU that did so too would be this far off."""
    name = "lecun_normal-float32-64x32-s0"
    different = emulated(name) != on_cpu(parse_problem(name), (0, 0))

    assert 0.3 < different.mean() < 0.7


# --- Intervals -----------------------------------------------------------------------------------


def alone(program: ptx.Program) -> ptx.Chain:
    """Return a program of a key as a chain of one link."""
    link = ptx.Link(program=program, reads=("key",), writes="result")
    return ptx.Chain(links=(link,), constants={}, result="result")


def prediction(name: str) -> ptx.Prediction:
    return alone(program_of(name)).predict({"key": words_of(parse_problem(name), (0, 0))})


def test_only_the_tail_of_a_normal_depends_on_the_approximate_root() -> None:
    found = prediction("normal-float32-64x32-s0")

    sigmas = np.abs(found.values[found.is_open]) / 0.01
    assert 0 < found.is_open.sum() < 20
    assert sigmas.min() > 2.5


def test_a_truncated_normal_never_reaches_the_approximate_root() -> None:
    assert not prediction("lecun_normal-float32-64x32-s0").is_open.any()


@pytest.mark.parametrize("name", ["normal-float64-64x32-s0", "lecun_normal-float64-64x32-s0"])
def test_no_seed_of_a_reciprocal_shows_in_a_float64_normal(name: str) -> None:
    """One step of Newton's makes all permitted seeds of `rcp.approx.ftz.f64` one result."""
    assert len(list(program_of(name).choices())) == 5
    assert not prediction(name).is_open.any()


def test_an_interval_holds_its_value() -> None:
    found = prediction("normal-float32-64x32-s0")

    assert (found.lowest <= found.values).all()
    assert (found.values <= found.highest).all()


def test_without_approximate_instructions_nothing_is_open() -> None:
    assert not prediction("he_uniform-float32-64x32-s0").is_open.any()


def all_results(compute: Callable[..., Array], *operands: Array) -> list[Array]:
    return [compute(*operands, offset) for offset in approximate.OFFSETS]


def test_permitted_roots_are_all_those_within_the_bound_of_the_manual() -> None:
    values = f32([1.0, 2.0, 3.0, 0.09375, 1e-40, 3e38])
    found = np.array(all_results(approximate.square_root, values))

    for value, results in zip(values, found.T, strict=True):
        exact = math.sqrt(float(value))
        near = int(np.float32(exact).view(np.int32))
        candidates = np.arange(near - 4, near + 5, dtype=np.int32).view(np.float32)
        permitted = {float(x) for x in candidates if abs(float(x) - exact) <= exact * 2**-23}
        assert set(results.tolist()) == permitted


@pytest.mark.parametrize("value", [0.0, -0.0, math.inf, -1.0, NAN])
def test_special_roots_have_one_result(value: float) -> None:
    results = all_results(approximate.square_root, f32([value]))

    expected = math.nan if value < 0 or math.isnan(value) else value
    assert all(np.array_equal(one, f32([expected]), equal_nan=True) for one in results)


def test_a_quotient_may_be_two_steps_off_and_no_more() -> None:
    results = all_results(approximate.divide, f32([1.0]), f32([3.0]))

    steps = sorted(int(one.view(np.int32)[0]) for one in results)
    assert np.diff(steps).tolist() == [1, 1, 1, 1]
    assert results[0] == np.float32(1 / 3)


def test_a_flushed_power_of_two_is_zero_and_closed() -> None:
    assert not any(all_results(approximate.exponential, f32([-149.0])))


def test_seeds_of_a_reciprocal_are_near_it_and_have_a_lower_half_of_zeros() -> None:
    values = patterns(np.dtype(np.float64), 9)
    values = values[np.abs(np.frexp(values)[1]) < 1000]
    found = np.array(all_results(approximate.reciprocal, values))

    assert not (found.view(np.uint64) & np.uint64(0xFFFFFFFF)).any()
    # Cut to 20 bits, rounded to 20 bits, and two steps of these: in all 3.5.
    assert (np.abs(found * values - 1) < 3.5 * 2.0**-20).all()


@pytest.mark.parametrize(
    ("value", "seed"), [(math.inf, 0.0), (-math.inf, -0.0), (0.0, math.inf), (5e-324, math.inf)]
)
def test_special_reciprocals_have_one_result(value: float, seed: float) -> None:
    results = all_results(approximate.reciprocal, np.array([value]))

    assert {(float(one[0]), bool(np.signbit(one[0]))) for one in results} == {
        (seed, math.copysign(1, seed) < 0)
    }


# --- Chains and worlds ---------------------------------------------------------------------------

ROOTS = """
	add.s64 	%rd5, %rd1, %rd3;
	ld.global.b32 	%r2, [%rd5];
	sqrt.approx.f32 	%r3, %r2;
	div.full.f32 	%r4, %r3, 0f40400000;
	st.global.b32 	[%rd4], %r4;
	ret;"""


def small_program(body: str, threads: int = 4) -> ptx.Program:
    """Return a program of a few threads, from an array of four words to another."""
    hlo = "ENTRY %m (p: f32[4]) -> f32[4] {\n  %p = f32[4]{0} parameter(0)\n"
    hlo += "  ROOT %kernel = f32[4]{0} fusion(%p), kind=kLoop, calls=%f\n}"
    thunks = THUNKS.replace(" k ", " kernel ").replace("[4, 1, 1]", f"[{threads}, 1, 1]")
    return ptx.load(hlo, [HEAD + body + "\n}\n"], thunks)


def one_at_a_time(program: ptx.Program, argument: Array) -> tuple[Array, Array]:
    """Return the extremes over the choices in which one instruction deviates."""
    runs = [program.run([argument], choice) for choice in program.choices() if len(choice) <= 1]
    return np.min(runs, axis=0), np.max(runs, axis=0)


def test_two_approximate_instructions_are_varied_against_each_other() -> None:
    """A root 2 ULP too large, divided 2 ULP too high: neither alone reaches so far."""
    program = small_program(ROOTS)
    argument = f32([3.9, 2.0, 7.0, 3.5])
    found = alone(program).predict({"key": argument})
    low, high = one_at_a_time(program, argument)

    assert (found.highest > high).any()
    assert (found.lowest < low).any()
    for value, lowest, highest in zip(argument, found.lowest, found.highest, strict=True):
        roots = all_results(approximate.square_root, f32([value]))
        every = [
            float(result[0])
            for root in roots
            for result in all_results(approximate.divide, root, f32([3.0]))
        ]
        assert (lowest, highest) == (min(every), max(every))


def test_the_programs_of_a_chain_are_varied_against_each_other() -> None:
    """The root in one program and the quotient in the next give what one program of both gives."""
    root = small_program(
        ROOTS.replace("\tdiv.full.f32 \t%r4, %r3, 0f40400000;", "\tmov.b32 \t%r4, %r3;")
    )
    quotient = small_program(ROOTS.replace("sqrt.approx.f32 \t", "mov.b32 \t"))
    links = (
        ptx.Link(program=root, reads=("key",), writes="root"),
        ptx.Link(program=quotient, reads=("root",), writes="result"),
    )
    argument = {"key": f32([3.9, 2.0, 7.0, 3.5])}

    apart = ptx.Chain(links=links, constants={}, result="result").predict(argument)
    together = alone(small_program(ROOTS)).predict(argument)

    assert apart.lowest.tobytes() == together.lowest.tobytes()
    assert apart.highest.tobytes() == together.highest.tobytes()


def test_what_all_threads_share_is_listed_as_whole_arrays() -> None:
    """Every thread divides by the same root: the device returns one of a few arrays."""
    scaled = ROOTS.replace("sqrt.approx.f32 \t%r3, %r2", "sqrt.approx.f32 \t%r5, 0f40466666")
    program = small_program(
        scaled.replace("div.full.f32 \t%r4, %r3, 0f40400000", "mul.rn.f32 \t%r4, %r5, %r2")
    )
    argument = f32([3.9, 2.0, 7.0, 3.5])

    found = alone(program).predict({"key": argument})

    roots = {float(root[0]) for root in all_results(approximate.square_root, f32([3.1]))}
    arrays = [np.float32(root) * argument for root in roots]
    assert found.is_open.all()
    assert found.digests == tuple(sorted(returned(array).sha256 for array in arrays))


def test_what_deviates_thread_by_thread_is_not() -> None:
    found = alone(small_program(ROOTS)).predict({"key": f32([3.9, 2.0, 7.0, 3.5])})

    assert found.digests == ()


def test_copies_in_one_thread_are_not_taken_for_one_instruction() -> None:
    """One thread that computes two elements may err in one of them alone."""
    body = UNROLLED.replace("mul.rn.f32 \t%r7, %r5, %r4", "mov.b32 \t%r7, %r5")
    body = body.replace("mul.rn.f32 \t%r8, %r6, %r4", "mov.b32 \t%r8, %r6")
    one_thread = body.replace("\tdiv.full.f32 \t%r4, 0f3F800000, %r9;\n", "")
    program = small_program(one_thread, threads=1)

    found = alone(program).predict({"key": f32([3.9, 2.0, 7.0, 3.5])})

    assert found.is_open.tolist() == [True, True, False, False]
    assert found.digests == ()


def test_what_is_decided_is_one_whole_array() -> None:
    found = prediction("he_uniform-float32-64x32-s0")

    assert found.digests == (returned(found.values).sha256,)


def test_worlds_that_lose_their_difference_become_one() -> None:
    lost = ROOTS.replace("div.full.f32 \t%r4, %r3, 0f40400000", "and.b32 \t%r4, %r3, -16777216")
    program = small_program(lost)

    found = alone(program).predict({"key": f32([3.0, 2.0, 7.0, 3.5])})

    assert len(list(program.choices())) == 5
    assert not found.is_open.any()


def test_too_many_worlds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "MOST_WORLDS", 2)

    with pytest.raises(ptx.UnsupportedPtx, match="more than 2 combinations of arrays"):
        alone(small_program(ROOTS)).predict({"key": f32([3.9, 2.0, 7.0, 3.5])})


def test_too_many_instructions_that_meet_are_refused() -> None:
    line = "\tsqrt.approx.f32 \t%r3, %r3;\n"

    with pytest.raises(ptx.UnsupportedPtx, match="7 approximate instructions meet in a result"):
        list(small_program(ROOTS.replace("\tdiv", line * 5 + "\tdiv")).choices())


def dials_of(body: str) -> list[list[str]]:
    (kernel,) = parse(HEAD + body + "\n}\n")
    groups = influence.dials(kernel)
    return [[str(kernel.instructions[index]) for index in sorted(group)] for group in groups]


UNROLLED = """
	ld.global.nc.v2.b32 	{%r2, %r3}, [%rd1];
	div.full.f32 	%r4, 0f3F800000, %r9;
	sqrt.approx.f32 	%r5, %r2;
	sqrt.approx.f32 	%r6, %r3;
	mul.rn.f32 	%r7, %r5, %r4;
	mul.rn.f32 	%r8, %r6, %r4;
	st.global.v2.b32 	[%rd2], {%r7, %r8};
	ret;"""


def test_copies_for_different_elements_share_a_dial() -> None:
    assert dials_of(UNROLLED) == [
        ["div.full.f32 %r4, 0f3F800000, %r9"],
        ["sqrt.approx.f32 %r5, %r2", "sqrt.approx.f32 %r6, %r3"],
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("mul.rn.f32 \t%r8, %r6, %r4", "fma.rn.f32 \t%r8, %r6, %r4, %r5"),  # they meet in a sum
        ("\tmul.rn.f32 \t%r8", "\t@%p1 mul.rn.f32 \t%r8"),  # and in a guard
        ("\tmul.rn.f32 \t%r8", "\t@%p1 bra \t$L;\n$L:\n\tmul.rn.f32 \t%r8"),  # and in a jump
    ],
)
def test_what_meets_in_a_value_a_guard_or_a_jump_has_dials_of_its_own(old: str, new: str) -> None:
    compared = "\tsetp.gt.f32 \t%p1, %r5, 0f3F800000;\n\tmul.rn.f32 \t%r7"
    body = UNROLLED.replace("\tmul.rn.f32 \t%r7", compared).replace(old, new)

    assert len(dials_of(body)) == 3


def test_what_was_stored_and_is_read_again_has_a_dial_of_its_own() -> None:
    body = UNROLLED.replace(
        "\tsqrt.approx.f32 \t%r6",
        "\tst.global.b32 \t[%rd1], %r5;\n\tld.global.b32 \t%r3, [%rd1+4];\n\tsqrt.approx.f32 \t%r6",
    )

    assert len(dials_of(body)) == 3


def test_an_approximate_instruction_in_a_loop_is_refused() -> None:
    body = """
	mov.b32 	%r2, 0;
	mov.b32 	%r3, 0f40000000;
$L_again:
	sqrt.approx.f32 	%r3, %r3;
	add.s32 	%r2, %r2, 1;
	setp.lt.u32 	%p1, %r2, %r1;
	@%p1 bra 	$L_again;
	ret;"""

    with pytest.raises(ptx.UnsupportedPtx, match=r"'sqrt\.approx\.f32 %r3, %r3' runs twice"):
        run_kernel(body)


def test_floats_are_ordered_with_minus_zero_below_zero_and_nan_outermost() -> None:
    values = f32([NAN, math.inf, 1.0, 0.0, -0.0, -1.0, -math.inf])

    assert (np.diff(ordered(values).astype(np.int64)) < 0).all()


# --- Roundings -----------------------------------------------------------------------------------


def round_exactly(exact: Fraction, dtype: np.dtype[Any]) -> float:
    """Round a rational number to nearest even, by integers alone."""
    info: Any = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]  # ml_dtypes has no types
    if exact == 0:
        return 0.0
    exponent = exact.numerator.bit_length() - exact.denominator.bit_length()
    while abs(exact) >= Fraction(2) ** (exponent + 1):
        exponent += 1
    while abs(exact) < Fraction(2) ** exponent:
        exponent -= 1
    unit = Fraction(2) ** (max(exponent, info.minexp) - info.nmant)
    result = round(exact / unit) * unit
    if abs(result) > Fraction(float(info.max)):
        return math.inf if result > 0 else -math.inf
    return float(result)


def patterns(dtype: np.dtype[Any], seed: int, size: int = 1500) -> Array:
    """Return random finite numbers of the format, of all magnitudes, subnormal ones too.

    Of float64, every other one is moderate: between 2^-64 and 2^64.
    """
    values = np.frombuffer(np.random.default_rng(seed).bytes(size * dtype.itemsize), dtype)
    values = np.where(np.isfinite(values), values, dtype.type(1.5))
    if dtype == FLOAT64:
        mantissa, exponent = np.frexp(values)
        values[::2] = np.ldexp(mantissa, exponent % 128 - 64)[::2]
    return values


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_a_fused_multiply_add_rounds_once(dtype: np.dtype[Any]) -> None:
    a, b = patterns(dtype, 1), patterns(dtype, 2)
    # An addend near the product makes cancellation and ties likely.
    with np.errstate(all="ignore"):
        near = (-(a.astype(np.float64) * b)).astype(dtype)
    c = np.where(np.isfinite(near), near, patterns(dtype, 3))
    c[::2] = patterns(dtype, 4)[::2]

    actual = rounding.multiply_add(a, b, c)

    assert actual.dtype == dtype
    for one, x, y, z in zip(actual, a, b, c, strict=True):
        exact = Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))
        assert float(one) == round_exactly(exact, dtype)


def test_a_fused_multiply_add_in_float64_would_round_twice() -> None:
    """(1 + 2^-23)(1 + 2^-23) + 2^-60 ... is just above a tie that float64 rounds onto."""
    a = f32([1 + 2**-12])
    c = f32([2.0**-80])
    b = f32([1 + 2**-12])  # the product is 1 + 2^-11 + 2^-24: a tie in float32

    naive = (a.astype(np.float64) * b + c).astype(np.float32)

    assert naive == np.float32(1 + 2**-11)
    assert rounding.multiply_add(a, b, c) == np.float32(1 + 2**-11 + 2**-23)


def test_a_fused_multiply_add_of_subnormal_numbers_would_round_twice_elsewhere() -> None:
    """The exact sum is 2^-182 below a tie that float64 rounds onto, 23 bits below its first."""
    a, b = f32([2.0**-75 * (1 - 2**-16)]), f32([2.0**-75 * (1 + 2**-16)])
    c = f32([2.0**-127 + 2.0**-149])

    naive = (a.astype(np.float64) * b + c).astype(np.float32)

    assert naive == c + f32([2.0**-149])
    assert rounding.multiply_add(a, b, c) == c


def test_a_fused_multiply_add_far_from_ties_and_subnormal_numbers_rounds_once() -> None:
    """There float64 is rounded, which no test of all magnitudes comes to."""
    a, b, c = f32(np.random.default_rng(0).uniform(1, 2, (3, 1500)).tolist())
    assert not rounding._rounds_twice(a.astype(np.float64) * b + c)

    actual = rounding.multiply_add(a, b, c)

    for one, x, y, z in zip(actual, a, b, c, strict=True):
        exact = Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))
        assert float(one) == round_exactly(exact, FLOAT32)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("operation", ["add", "multiply"])
def test_sums_and_products_round_once(operation: str, dtype: np.dtype[Any]) -> None:
    a, b = patterns(dtype, 5), patterns(dtype, 6)
    actual = getattr(rounding, operation)(a, b)

    for one, x, y in zip(actual, a, b, strict=True):
        left, right = Fraction(float(x)), Fraction(float(y))
        exact = left + right if operation == "add" else left * right
        assert float(one) == round_exactly(exact, dtype)


@pytest.mark.parametrize("product", [(-0.0, 1.0), (0.0, 1.0), (-1e-200, 1e-200), (1e-200, 1e-200)])
@pytest.mark.parametrize("addend", [0.0, -0.0, 5e-324, -5e-324])
def test_zeros_of_a_fused_multiply_add_have_the_sign_of_ieee_754(
    product: tuple[float, float], addend: float
) -> None:
    """A product that underflows is not zero until it is rounded with the sum."""
    actual = rounding.multiply_add(*(np.array([value]) for value in (*product, addend)))

    tiny = math.copysign(1e-320, product[0]) if abs(product[0]) else 0.0
    expected = product[0] * product[1] + addend
    if tiny and not addend:
        expected = math.copysign(0.0, tiny)
    assert (actual[0], math.copysign(1, actual[0])) == (expected, math.copysign(1, expected))


def test_a_fused_multiply_add_overflows_to_infinity_only_after_its_sum() -> None:
    largest = float(np.finfo(np.float64).max)
    one, two = np.array([largest, largest, math.inf]), np.array([2.0, 2.0, 1.0])

    actual = rounding.multiply_add(one, two, np.array([-largest, largest, 1.0]))

    assert actual.tolist() == [largest, math.inf, math.inf]


def test_a_sum_towards_zero_is_the_largest_number_that_does_not_exceed_it() -> None:
    a, b = patterns(FLOAT32, 7), patterns(FLOAT32, 8)
    actual = operations.add_towards_zero(a, b)

    for one, x, y in zip(actual, a, b, strict=True):
        exact = Fraction(float(x)) + Fraction(float(y))
        beyond = np.nextafter(one, np.float32(math.copysign(math.inf, exact)))
        assert abs(Fraction(float(one))) <= abs(exact)
        assert math.isinf(beyond) or exact == 0 or abs(Fraction(float(beyond))) > abs(exact)


def test_a_sum_towards_zero_never_overflows_to_infinity() -> None:
    largest = np.finfo(np.float32).max

    assert operations.add_towards_zero(f32([largest]), f32([largest])) == largest


def test_not_a_number_is_the_canonical_one() -> None:
    product = rounding.multiply(f32([math.inf]), f32([0.0]))
    total = rounding.add(f32([math.inf]), f32([-math.inf]))

    assert product.view(np.uint32) == 0x7FFFFFFF
    assert total.view(np.uint32) == 0x7FFFFFFF


@pytest.mark.parametrize(("a", "b"), list(itertools.product([0.0, -0.0, 1.0], repeat=2)))
def test_extremes_in_float64_order_zeros(a: float, b: float) -> None:
    one, two = np.array([a]), np.array([b])
    found = [operations.maximum_number(one, two)[0], operations.minimum_number(one, two)[0]]

    ordered = sorted([a, b], key=lambda value: (value, math.copysign(1, value)))
    assert list(map(repr, map(float, found))) == list(map(repr, ordered[::-1]))


@pytest.mark.parametrize(("a", "b"), list(itertools.product([0.0, -0.0, 1.0, NAN], repeat=2)))
def test_extremes_pass_nan_on_and_order_zeros(a: float, b: float) -> None:
    one, two = f32([a]), f32([b])
    found = [float(operations.maximum(one, two)[0]), float(operations.minimum(one, two)[0])]

    if math.isnan(a) or math.isnan(b):
        assert all(map(math.isnan, found))
        return
    ordered = sorted([a, b], key=lambda value: (value, math.copysign(1, value)))
    assert list(map(repr, found)) == list(map(repr, ordered[::-1]))


@pytest.mark.parametrize(
    ("opcode", "operands", "expected"),
    [
        ("shf.l.wrap.b32", (0x80000001, 0x80000001, 13), 0x00003000),
        ("prmt.b32", (0x33221100, 0x77665544, 0x7430), 0x77443300),
        ("prmt.b32", (0x00008000, 0, 0x0109), 0x008000FF),
        ("shl.b32", (1, 32), 0),
        ("shr.u32", (0x80000000, 31), 1),
        ("shr.s32", (-8, 40), -1),
        ("mul.wide.u32", (0xFFFFFFFF, 0xFFFFFFFF), 0xFFFFFFFE00000001),
        ("mul.hi.u32", (0x80000000, 6), 3),
        ("mad.lo.s32", (3, 33, 5), 104),
        ("cvt.u16.u32", (0x12345,), 0x2345),
        ("cvt.rn.f32.s32", (16777217,), 16777216.0),
        ("setp.gt.s32", (-1, 1), False),
        ("setp.gt.u32", (0xFFFFFFFF, 1), True),
        ("setp.ne.f32", (NAN, 1.0), False),
        ("setp.ltu.f32", (NAN, 1.0), True),
        ("setp.nan.f32", (NAN, 1.0), True),
        ("setp.gt.f64", (1.0, NAN), False),
        ("setp.geu.or.f32", (1.0, 2.0, True), True),
        ("setp.geu.or.f32", (NAN, 2.0, False), True),
        ("setp.lt.and.s32", (-1, 1, False), False),
        ("setp.eq.xor.b64", (1, 1, True), False),
        ("selp.b32", (7, 9, False), 9),
        ("selp.f64", (7.0, 9.0, True), 7.0),
        ("max.f64", (NAN, 1.0), 1.0),
        ("min.f64", (1.0, NAN), 1.0),
        ("div.rn.f64", (1.0, 3.0), 1 / 3),
        ("sqrt.rn.f64", (2.0,), math.sqrt(2)),
        ("copysign.f64", (-1.0, 2.0), -2.0),
        ("cvt.rn.f64.s64", (2**53 + 1,), 2.0**53),
        ("cvt.rn.f32.f64", (1 + 2.0**-24 + 2.0**-50,), 1 + 2.0**-23),
        ("cvt.f64.f32", (np.float32(0.1),), float(np.float32(0.1))),
        ("cvt.rni.f32.f32", (2.5,), 2.0),
        ("fma.rn.bf16x2", (0x3F804000, 0x40004000, 0x3F80BF80), 0x40404040),
        ("add.rn.f16x2", (0x3C000000, 0x3C00BC00), 0x4000BC00),
        ("cvt.rn.bf16x2.f32", (1.0, -2.0), 0x3F80C000),
        ("cvt.rn.f16x2.f32", (1.0, -2.0), 0x3C00C000),
        ("copysign.f32", (-1.0, 2.0), -2.0),
        ("abs.bf16", (-1.5,), 1.5),
        ("not.pred", (True,), False),
    ],
)
def test_an_instruction_does_what_the_manual_says(
    opcode: str, operands: tuple[Any, ...], expected: Any
) -> None:
    operation = operations.OPERATIONS[opcode]
    typed = [
        np.array([value], operations.DTYPES[kind])
        for value, kind in zip(operands, operation.operands, strict=True)
    ]
    with np.errstate(all="ignore"):
        result = operation.compute(*typed)

    assert result.dtype == operations.DTYPES[operation.result]
    assert result[0] == expected


# --- Machine and parser --------------------------------------------------------------------------

HEAD = """
.version 9.0
.target sm_90a
.address_size 64
.visible .entry kernel(
	.param .u64 .ptr .align 16 in,
	.param .u64 .ptr .align 16 out
)
.reqntid 4, 1, 1
{
	.reg .pred 	%p<9>;
	.reg .b16 	%rs<9>;
	.reg .b32 	%r<99>;
	.reg .b64 	%rd<9>;
	ld.param::entry.b64 	%rd1, [in];
	ld.param::entry.b64 	%rd2, [out];
	mov.u32 	%r1, %tid.x;
	mul.wide.u32 	%rd3, %r1, 4;
	add.s64 	%rd4, %rd2, %rd3;
"""


def run_kernel(body: str, size: int = 4, blocks: int = 1) -> list[int]:
    """Run a kernel of four threads; each thread has the address of its own result in %rd4."""
    (kernel,) = parse(HEAD + body + "\n}\n")
    words, result = np.arange(10, 14, dtype=np.uint32), np.zeros(size, np.uint32)
    launch = machine.Launch(blocks=blocks, threads=4)
    machine.run(kernel, launch, [words.view(np.uint8), result.view(np.uint8)], {})
    return [int(value) for value in result]


def test_threads_that_branch_apart_meet_again() -> None:
    body = """
	setp.lt.u32 	%p1, %r1, 2;
	@%p1 bra 	$L_small;
	mov.b32 	%r2, 100;
	bra.uni 	$L_end;
$L_small:
	mov.b32 	%r2, 200;
$L_end:
	add.s32 	%r3, %r2, %r1;
	st.global.b32 	[%rd4], %r3;
	ret;"""

    assert run_kernel(body) == [200, 201, 102, 103]


def test_threads_leave_a_loop_at_their_own_time() -> None:
    body = """
	mov.b32 	%r2, 0;
	mov.b32 	%r3, 0;
$L_again:
	add.s32 	%r2, %r2, %r3;
	add.s32 	%r3, %r3, 1;
	setp.le.u32 	%p1, %r3, %r1;
	@%p1 bra 	$L_again;
	st.global.b32 	[%rd4], %r2;
	ret;"""

    assert run_kernel(body) == [0, 1, 3, 6]


def test_a_negated_guard_holds_where_the_predicate_does_not() -> None:
    body = """
	setp.eq.u32 	%p1, %r1, 0;
	mov.b32 	%r2, 1;
	@!%p1 mov.b32 	%r2, 2;
	st.global.b32 	[%rd4], %r2;
	ret;"""

    assert run_kernel(body) == [1, 2, 2, 2]


def test_vectors_are_loaded_stored_and_unpacked_lowest_first() -> None:
    body = """
	ld.global.nc.v2.b32 	{%r5, %r6}, [%rd1+8];
	mov.b64 	%rd5, {%r6, %r5};
	mov.b64 	{_, %r7}, %rd5;
	st.global.v2.b32 	[%rd2], {%r5, %r6};
	st.global.b32 	[%rd2+8], %r7;
	ret;"""

    assert run_kernel(body) == [12, 13, 12, 0]


def test_a_store_takes_the_low_bits_of_a_wider_register() -> None:
    body = """
	mov.b64 	%rd5, 4294967301;
	st.global.b32 	[%rd4], %rd5;
	mov.b32 	%r2, 511;
	st.global.b8 	[%rd4+2], %r2;
	ret;"""

    assert run_kernel(body) == [0xFF0005] * 4


def test_a_block_declares_a_register_of_its_own() -> None:
    body = """
	mov.b64 	%rd5, 0d4000000100000007;
	{ .reg .b32 tmp; mov.b64 {tmp, %r2}, %rd5; }
	{ .reg .b32 tmp; mov.b64 {%r3, tmp}, %rd5; }
	add.s32 	%r4, %r2, %r3;
	st.global.b32 	[%rd4], %r4;
	ret;"""

    assert run_kernel(body) == [0x40000008] * 4


def test_a_load_that_no_thread_does_leaves_a_register_of_zeros() -> None:
    body = """
	setp.gt.u32 	%p1, %r1, 9;
	@%p1 ld.global.b32 	%r2, [%rd1];
	st.global.b32 	[%rd4], %r2;
	ret;"""

    assert run_kernel(body) == [0, 0, 0, 0]


def test_an_unsigned_constant_may_say_so() -> None:
    assert run_kernel("\tst.global.b32 \t[%rd4], 0x3340U;\n\tret;") == [0x3340] * 4


def test_blocks_know_their_number() -> None:
    body = """
	mov.u32 	%r2, %ctaid.x;
	mad.lo.s32 	%r3, %r2, 4, %r1;
	mul.wide.u32 	%rd5, %r3, 4;
	add.s64 	%rd6, %rd2, %rd5;
	st.global.b32 	[%rd6], %r2;
	ret;"""

    assert run_kernel(body, size=8, blocks=2) == [0, 0, 0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("\tadd.sat.s32 \t%r2, %r1, 1;\n\tret;", ["'add.sat.s32 %r2, %r1, 1'", "operations.py"]),
        ("\tbar.sync \t0;\n\tret;", ["'bar.sync 0'"]),
        ("\tadd.s32 \t%r2, %r3, 1;\n\tret;", ["register %r3", "before it is written"]),
        ("\tst.global.b32 \t[%rd4+400], %r1;\n\tret;", ["outside the 16 bytes"]),
        ("\tst.global.b32 \t[%rd4+2], %r1;\n\tret;", ["misaligned"]),
        ("\tst.global.b32 \t[%rd3], %r1;\n\tret;", ["no or in several buffers"]),
        ("\tcvt.f32.f16 \t%r2, %r1;\n\tret;", ["%r1 of 32 bits", "f16"]),
        ("\tadd.rn.f16 \t%rs1, 0f3F800000, 0f3F800000;\n\tret;", ["0f3F800000 has 32 bits"]),
        ("\tneg.f32 \t%r2, 0d3FF0000000000000;\n\tret;", ["0d3FF0000000000000 has 64 bits"]),
        ("\tmov.b32 \t%r2, shared_0;\n\tret;", ["'shared_0' is not understood"]),
        ("\t.shared .b8 tile[4];\n\tret;", ["directive '.shared .b8 tile[4]'"]),
    ],
)
def test_what_cannot_be_run_is_refused_by_name(body: str, words: list[str]) -> None:
    with pytest.raises(ptx.PtxError) as caught:
        run_kernel(body)

    assert all(word in str(caught.value) for word in words)


def test_a_module_with_shared_memory_is_refused_by_name() -> None:
    with pytest.raises(ptx.UnsupportedPtx, match=r"directive '\.shared \.align 4"):
        parse(".shared .align 4 .b8 tile[4224];\n" + HEAD + "\tret;\n}\n")


def test_a_text_that_is_cut_off_is_refused() -> None:
    with pytest.raises(ptx.PtxError, match="body of kernel does not end"):
        parse(HEAD)


# --- Programs ------------------------------------------------------------------------------------

THUNKS = "001: kCustomKernel [source | sink] k grid: [1, 1, 1] threads: [4, 1, 1]  shared_memory: 0"


def entry_with(instruction: str) -> str:
    parameter = "%p = u32[2]{0} parameter(0)"
    return f"ENTRY %main (p: u32[2]) -> f32[2] {{\n  {parameter}\n  {instruction}\n}}"


@pytest.mark.parametrize(
    ("instruction", "words"),
    [
        (
            'ROOT %c = (f32[2]{0}, s32[]) custom-call(%p), custom_call_target="cusolver_geqrf_ffi"',
            "a call of cusolver_geqrf_ffi",
        ),
        ("ROOT %r = u32[2]{0} rng-bit-generator(%p)", "needs rng-bit-generator"),
        ("ROOT %k = f32[2]{0} fusion(%p), kind=kLoop", "k is not in the PTX, which holds nothing"),
        ("ROOT %c = f32[2,2]{0,1} copy(%p)", "layout {0,1}, not C order"),
        ("ROOT %c = f8e4m3[2]{0} copy(%p)", "dtype f8e4m3"),
        ("ROOT %c = f32[20]{0} constant({...})", "of shape [20] is not read: HLO does not write"),
        ("what is this", "'what is this' is not understood"),
    ],
)
def test_a_program_beyond_its_kernels_is_refused_by_name(instruction: str, words: str) -> None:
    with pytest.raises(ptx.PtxError) as caught:
        ptx.load(entry_with(instruction), [], THUNKS)

    assert words in str(caught.value)


def test_a_launch_that_no_fusion_stands_for_is_refused() -> None:
    with pytest.raises(
        ptx.PtxError, match="kernel k is launched, and no fusion of the HLO is left"
    ):
        ptx.load(entry_with("ROOT %c = u32[2]{0} copy(%p)"), [], THUNKS)


ADD_ONE = """
	add.s64 	%rd5, %rd1, %rd3;
	ld.global.b32 	%r2, [%rd5];
	add.s32 	%r3, %r2, 1;
	st.global.b32 	[ADDRESS], %r3;
	ret;"""


def kernel_text(address: str) -> str:
    return HEAD + ADD_ONE.replace("ADDRESS", address) + "\n}\n"


def steps_of(*instructions: str) -> str:
    lines = ["%p = u32[4]{0} parameter(0)", *instructions]
    return "ENTRY %main (p: u32[4]) -> u32[4] {\n" + "".join(f"  {line}\n" for line in lines) + "}"


LAUNCH = THUNKS.replace(" k ", " kernel ")
WORDS = np.arange(4, dtype=np.uint32)


@pytest.mark.parametrize("address", ["%rd4", "%rd5"])
def test_a_result_may_take_the_place_of_an_operand(address: str) -> None:
    """%rd4 points into the result, %rd5 into the operand."""
    hlo = steps_of("ROOT %kernel = u32[4]{0} fusion(%p), calls=%f")

    assert ptx.load(hlo, [kernel_text(address)], LAUNCH).run([WORDS]).tolist() == [1, 2, 3, 4]


def test_a_kernel_that_stores_nothing_leaves_open_where_its_result_is() -> None:
    hlo = steps_of("ROOT %kernel = u32[4]{0} fusion(%p), calls=%f")
    program = ptx.load(hlo, [HEAD + "\tret;\n}\n"], LAUNCH)

    with pytest.raises(ptx.PtxError, match=r"stores to none of its arrays.* where kernel is"):
        program.run([WORDS])


def test_fusions_that_compute_the_same_share_a_kernel() -> None:
    hlo = steps_of(
        "%kernel = u32[4]{0} fusion(%p), calls=%f",
        "ROOT %kernel.1 = u32[4]{0} fusion(%kernel), calls=%g",
    )
    program = ptx.load(hlo, [kernel_text("%rd4")], LAUNCH + "\n" + LAUNCH)

    assert program.run([WORDS]).tolist() == [2, 3, 4, 5]


def test_a_kernel_of_another_fusion_is_not_taken_for_its_own() -> None:
    hlo = steps_of("ROOT %kernel = u32[4]{0} fusion(%p), calls=%f")
    other = kernel_text("%rd4").replace("entry kernel(", "entry other(")

    with pytest.raises(
        ptx.PtxError, match=r"kernel is not .* launched in its turn, where other is"
    ):
        ptx.load(hlo, [kernel_text("%rd4"), other], LAUNCH.replace("kernel ", "other "))


def test_a_fusion_may_make_several_arrays() -> None:
    hlo = steps_of(
        "%kernel = (u32[4]{0}, /*index=1*/u32[4]{0}) fusion(%p), calls=%f",
        "%first = u32[4]{0} get-tuple-element(%kernel), index=0",
        "ROOT %copy = u32[4]{0} copy(%first)",
    )
    third = ".param .u64 .ptr .align 16 out,\n\t.param .u64 .ptr .align 16 more"
    text = HEAD.replace(".param .u64 .ptr .align 16 out", third)
    body = ADD_ONE.replace("[ADDRESS], %r3", "[%rd4], %r3").replace("\tret;", MORE + "\tret;")
    program = ptx.load(hlo, [text + body + "\n}\n"], LAUNCH)

    assert program.run([WORDS]).tolist() == [1, 2, 3, 4]


MORE = """	ld.param::entry.b64 	%rd6, [more];
	st.global.b32 	[%rd6], %r3;
"""


def test_a_part_that_the_runtime_copies_needs_no_kernel() -> None:
    cut = "%cut (p0: u32[4]) -> u32[2] {\n  %p0 = u32[4]{0} parameter(0)\n"
    cut += "  ROOT %s = u32[2]{0} slice(%p0), slice={[1:3]}\n}\n\n"
    hlo = steps_of("ROOT %wrapped_slice = u32[2]{0} fusion(%p), calls=%cut")

    assert ptx.load(cut + hlo, [], "").run([WORDS]).tolist() == [1, 2]


def test_a_fusion_that_does_more_than_cut_needs_its_kernel() -> None:
    cut = "%cut (p0: u32[4]) -> u32[2] {\n  %p0 = u32[4]{0} parameter(0)\n"
    cut += "  %s = u32[2]{0} slice(%p0), slice={[1:3]}\n"
    cut += "  ROOT %n = u32[2]{0} not(%s)\n}\n\n"
    hlo = steps_of("ROOT %wrapped_slice = u32[2]{0} fusion(%p), calls=%cut")

    with pytest.raises(ptx.PtxError, match="wrapped_slice is not in the PTX"):
        ptx.load(cut + hlo, [], "")


def test_hlo_without_an_entry_is_refused() -> None:
    with pytest.raises(ptx.PtxError, match="no entry computation"):
        ptx.load("HloModule empty", [], "")


def test_a_grid_of_several_dimensions_is_refused() -> None:
    with pytest.raises(ptx.UnsupportedPtx, match="k is launched on a grid of several dimensions"):
        ptx.load(entry_with("ROOT %c = u32[2]{0} copy(%p)"), [], THUNKS.replace("[4, 1", "[4, 2"))


def test_an_argument_of_another_shape_is_refused() -> None:
    with pytest.raises(ptx.PtxError, match=r"is uint32\[3\], the program needs uint32\[2\]"):
        program_of(PROBLEMS[0]).run([np.zeros(3, np.uint32)])


@pytest.mark.parametrize(
    ("constant", "expected"),
    [
        ("f32[2,2]{1,0} constant({ { 1, -2.5 }, { 3e-05, 4 } })", [[1, -2.5], [3e-5, 4]]),
        ("s32[3]{0} constant({-1, 0, 7})", [-1, 0, 7]),
        ("u64[] constant(18446744073709551615)", 2**64 - 1),
        ("pred[2]{0} constant({true, false})", [True, False]),
        ("f32[0,8]{1,0} constant({})", np.zeros((0, 8))),
    ],
)
def test_a_small_constant_is_read(constant: str, expected: Any) -> None:
    hlo = entry_with(f"%c = {constant}\n  ROOT %d = {constant.split()[0]} copy(%c)")

    result = ptx.load(hlo, [], "").run([np.zeros(2, np.uint32)])

    assert result.tolist() == np.array(expected, result.dtype).tolist()


def test_constants_and_copies_need_no_kernel() -> None:
    hlo = entry_with("%c = bf16[] constant(0.5)\n  ROOT %d = bf16[] copy(%c)")

    result = ptx.load(hlo, [], "").run([np.zeros(2, np.uint32)])

    assert result == BFLOAT16.type(0.5)


def test_predictions_are_stored_as_such() -> None:
    store = open_store(PREDICTED)
    observation = store.observation("normal-float32-64x32-s0-cuda-jit")

    assert observation.mode == "predicted"
    assert "H100" in observation.device
    assert whole(returned(emulated("normal-float32-64x32-s0"))).shape == (64, 32)
