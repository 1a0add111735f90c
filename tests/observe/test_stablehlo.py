"""The interpreter runs what JAX lowers, and what it cannot run is refused by name."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import InitializerSpec
from conformance.cases.selection import Selection, select
from conformance.cases.sweeps import law_cases, select_sweeps, sweep_case
from conformance.core.arrays import Array, whole
from conformance.core.errors import SelectionError
from conformance.core.ids import Tier, parse_case
from conformance.core.lattice import lattice_words
from conformance.core.records import Raised, Returned
from conformance.observe import sweep as law
from conformance.observe.backends import BackendUnavailable, open_backend, stablehlo
from conformance.observe.backends.exported import ExportedBackend, UnsupportedOperation, export
from conformance.observe.jax_compat import lattice_key

CATALOGUE = load_catalogue()
INTERPRETER = open_backend("stablehlo")
CPU = open_backend("cpu")
KEY = jax.random.key(0)


def outcome(text: str) -> Returned | Raised:
    case = parse_case(text)
    spec = CATALOGUE.lookup(case.problem.initializer)
    return open_backend(case.backend).observe(case, spec).outcome


def array_of(text: str) -> Array:
    found = outcome(text)
    assert isinstance(found, Returned)
    return whole(found)


def with_build(initializer: Any) -> InitializerSpec:
    return dataclasses.replace(CATALOGUE.lookup("normal"), build=lambda: initializer)


CASE = parse_case("normal-float32-17x13-s0-stablehlo-eager")


@pytest.mark.parametrize(
    "problem",
    [
        "normal-bfloat16-17x13-s0",
        "lecun_normal-float16-17x13-s0",
        "uniform-float32-17x13-s0",
        "constant-float32-scalar-s0",
        "normal-float32-0x8-s0",
        "uniform_1-float64-17x13-s0",
        "uniform_1-float32-64-s4294967295",
        "uniform_1-float32-64-s0-threefry2x32_nonpartitionable",
    ],
)
def test_what_needs_no_fusing_is_what_xla_returns(problem: str) -> None:
    one, two = outcome(f"{problem}-stablehlo-eager"), outcome(f"{problem}-cpu-eager")

    assert isinstance(one, Returned)
    assert isinstance(two, Returned)
    assert (one.dtype, one.shape, one.sha256) == (two.dtype, two.shape, two.sha256)
    assert one.weak_type == two.weak_type


def test_fused_float32_differs_by_rounding_only() -> None:
    """XLA contracts a multiply and an add; the interpreter rounds twice."""
    one, two = (array_of(f"lecun_normal-float32-17x13-s0-{b}-eager") for b in ("stablehlo", "cpu"))

    assert (one != two).any()
    assert np.abs(one - two).max() < 1e-6 * np.abs(two).max()


def test_complex_numbers_come_back_whole() -> None:
    one, two = (array_of(f"normal-complex64-17x13-s0-{b}-eager") for b in ("stablehlo", "cpu"))

    assert one.dtype == np.complex64
    assert np.abs(one - two).max() < 1e-6 * np.abs(two).max()


@pytest.mark.parametrize("transform", ["vmap", "legacy_key"])
def test_transforms_ask_for_the_same_array(transform: str) -> None:
    asked = outcome(f"he_normal-float32-17x13-s3-stablehlo-{transform}")

    assert asked == outcome("he_normal-float32-17x13-s3-stablehlo-eager")


def test_a_case_is_run_twice_by_the_executor_that_its_row_names() -> None:
    observation = INTERPRETER.observe(CASE, CATALOGUE.lookup("normal"))

    assert isinstance(observation.outcome, Returned)
    assert observation.repeat_sha256 == observation.outcome.sha256
    assert observation.mode == "executed"
    assert observation.device.startswith("stablehlo-interpreter (jaxlib ")


def test_an_executor_that_answers_differently_the_second_time_is_seen() -> None:
    answers = iter(np.arange(2 * 17 * 13, dtype=np.uint32).reshape(2, 17, 13))
    backend = ExportedBackend(name="stablehlo", device="fickle", runner=lambda *_: [next(answers)])

    observation = backend.observe(CASE, CATALOGUE.lookup("normal"))

    assert isinstance(observation.outcome, Returned)
    assert observation.repeat_sha256 != observation.outcome.sha256


def test_weak_types_are_on_record() -> None:
    spec = with_build(lambda key, shape, dtype: jnp.asarray(1.0))  # noqa: ARG005

    found = INTERPRETER.observe(CASE, spec).outcome

    assert isinstance(found, Returned)
    assert found.weak_type


def test_what_raises_while_tracing_raises_the_same_exception() -> None:
    case = "lecun_normal-float32-64-s0-{}-eager"

    found = outcome(case.format("stablehlo"))

    assert isinstance(found, Raised)
    assert found == outcome(case.format("cpu"))


def test_a_spec_that_cannot_be_built_is_told_from_a_call_that_raises() -> None:
    def refuse() -> Any:
        raise RuntimeError("no such thing")

    spec = dataclasses.replace(CATALOGUE.lookup("normal"), build=refuse)

    found = INTERPRETER.observe(CASE, spec).outcome

    assert found == Raised(exception="SpecError", message="RuntimeError: no such thing")


def test_what_is_no_array_is_refused_by_its_type() -> None:
    spec = with_build(lambda key, shape, dtype: np.zeros(shape, dtype))  # noqa: ARG005

    found = INTERPRETER.observe(CASE, spec).outcome

    assert isinstance(found, Raised)
    assert found.message == "the initializer returned a ndarray, not a jax.Array"


def test_a_kernel_of_lapack_is_named() -> None:
    found = outcome("orthogonal-float32-17x13-s0-stablehlo-eager")

    assert isinstance(found, Raised)
    assert found.exception == "UnsupportedOperation"
    assert "calls lapack_sgeqrf_ffi, lapack_sorgqr_ffi, of which StableHLO knows" in found.message


def test_an_operation_that_would_end_the_process_is_refused_before() -> None:
    program = export(lambda key: jax.random.bits(key, (4,)), jax.random.key(0, impl="rbg"))

    with pytest.raises(UnsupportedOperation, match=r"not know stablehlo\.rng_bit_generator"):
        stablehlo.interpret(program, np.zeros(4, np.uint32))


def test_a_program_does_not_depend_on_where_its_source_lies() -> None:
    program = export(lambda key: jax.random.uniform(key, (4,)), KEY)

    assert "loc(" not in program.text
    assert ".py" not in program.text


def test_stages_are_the_interpreters_own() -> None:
    """Bits are equal everywhere; the unit variate shows the roundings of who computed it."""
    case = parse_case("lecun_normal-float32-17x13-s0-stablehlo-eager")
    spec = CATALOGUE.lookup("lecun_normal")

    one, two = INTERPRETER.stages(case, spec), CPU.stages(case, spec)

    assert list(one) == ["key", "bits", "uniform", "unit"]
    assert one["bits"] == two["bits"]
    assert one["unit"] != two["unit"]


def test_constants_have_no_stages() -> None:
    case = parse_case("zeros-float32-64-s0-stablehlo-eager")

    assert INTERPRETER.stages(case, CATALOGUE.lookup("zeros")) == {}


def test_a_jaxlib_without_the_interpreter_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stablehlo, "stablehlo_dialect", object)

    with pytest.raises(BackendUnavailable, match=r"holds no StableHLO interpreter .*install jax>="):
        open_backend("stablehlo")


# --- What is asked of it -------------------------------------------------------------------------


def test_the_list_offers_only_what_it_can_be_asked() -> None:
    cases = select(CATALOGUE, Selection(backends=("stablehlo",), tier=Tier.FULL))

    assert {case.transform for case in cases} == {"eager", "legacy_key", "vmap"}
    assert not {"rbg", "unsafe_rbg"} & {case.problem.prng for case in cases}
    assert (1024, 1024) not in {case.problem.shape for case in cases}


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (Selection(transforms=("jit",), tier=Tier.FULL), "transform 'jit'"),
        (Selection(prngs=("rbg",), tier=Tier.FULL), "prng 'rbg'"),
        (Selection(shapes=("1024x1024",)), "shape '1024x1024'"),
        (Selection(cases=("normal-float32-64-s0-stablehlo-sharded",)), "transform 'sharded'"),
    ],
)
def test_what_it_cannot_be_asked_is_refused_beside_other_backends_too(
    asked: Selection, named: str
) -> None:
    backends = () if asked.cases else ("cpu", "stablehlo")
    asked = dataclasses.replace(asked, backends=backends or asked.backends)

    with pytest.raises(SelectionError, match=f"{named} cannot be asked of backend 'stablehlo'"):
        select(CATALOGUE, asked)


def test_whoever_asks_it_directly_is_told_too() -> None:
    case = dataclasses.replace(CASE, transform="jit")

    with pytest.raises(ValueError, match="'jit' is none of an exported program, which knows eager"):
        INTERPRETER.observe(case, CATALOGUE.lookup("normal"))


# --- The exact law through it --------------------------------------------------------------------


def test_sweeps_are_eager_and_of_strata_in_float32() -> None:
    cases = law_cases(CATALOGUE, Selection(backends=("stablehlo",), initializers=("normal",)))

    kinds = [(case.problem.dtype, case.problem.prng, case.transform) for case in cases]
    assert kinds == [
        ("bfloat16", "lattice", "eager"),
        ("float16", "lattice", "eager"),
        ("float32", "strata", "eager"),
    ]


def test_a_jitted_sweep_is_refused() -> None:
    asked = Selection(backends=("cpu", "stablehlo"), transforms=("jit",))

    with pytest.raises(SelectionError, match="transform 'jit' cannot be asked of backend"):
        select_sweeps(CATALOGUE, asked)


def test_a_sweep_visits_every_word_of_the_lattice() -> None:
    spec = CATALOGUE.lookup("uniform_1")

    swept = law.sweep(spec, sweep_case(spec, "float16", "stablehlo", "eager"), INTERPRETER)

    assert np.array_equal(swept.values, np.arange(1024, dtype=np.float16) / np.float16(1024))
    assert swept.device == INTERPRETER.device


def test_strata_of_float32_are_scattered_and_each_has_one_point() -> None:
    words = lattice_words(32, 16)

    assert np.array_equal(words >> 16, np.arange(1 << 16))
    assert np.unique((words & 0xFFFF) >> 9).size == 128


def test_the_key_of_strata_draws_their_words() -> None:
    drawn = jax.random.bits(lattice_key(16), (1 << 16,), "uint32")

    assert np.array_equal(np.asarray(drawn), lattice_words(32, 16))


def test_a_subnormal_bound_is_kept_where_compilers_flush_it() -> None:
    """XLA's CPU compiler makes this draw 0, outside the open interval: a finding."""
    spec = CATALOGUE.lookup("truncated_normal_positive")

    first = [
        law.sweep(spec, sweep_case(spec, "bfloat16", name, "eager"), backend).values[0]
        for name, backend in (("stablehlo", INTERPRETER), ("cpu", CPU))
    ]

    assert first[0] > 0
    assert first[1] == 0
