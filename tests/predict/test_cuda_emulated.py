"""The backend that emulates a CUDA device: what it asks, operation by operation, and refuses."""

from __future__ import annotations

import dataclasses
import importlib.util
import logging
from collections.abc import Iterator
from typing import Any

import jax
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.core.arrays import as_dtype, whole
from conformance.core.ids import Case, Problem
from conformance.core.records import Raised, Returned
from conformance.observe.backends import BackendUnavailable, open_backend
from conformance.observe.backends.pjrt import PjrtBackend
from conformance.observe.jax_compat import Operation, traced
from conformance.predict import aot
from conformance.predict.cuda_emulated import CudaEmulatedBackend

NAME = "cuda-emulated"

needs_cuda_compiler = pytest.mark.skipif(
    importlib.util.find_spec("jax_cuda13_plugin") is None,
    reason="needs the extra cuda-aot, which holds the CUDA compiler",
)


def case_of(
    initializer: str,
    transform: str,
    *,
    dtype: str = "float32",
    prng: str = "threefry2x32",
    backend: str = NAME,
) -> Case:
    problem = Problem(initializer=initializer, dtype=dtype, shape=(18, 13), seed=0, prng=prng)
    return Case(problem=problem, backend=backend, transform=transform)


# --- What JAX dispatches -------------------------------------------------------------------------


@pytest.fixture
def compiled() -> Iterator[list[str]]:
    """Return the names of the programs that JAX compiles from here on."""
    names: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            words = record.getMessage().split()
            if words[0] == "Compiling":
                names.append(words[1])

    logger, listener = logging.getLogger("jax"), Listener()
    logger.addHandler(listener)
    jax.clear_caches()  # type: ignore[no-untyped-call]  # JAX leaves it untyped
    with jax.log_compiles(True):
        yield names
    logger.removeHandler(listener)


CONVERSION = "jit(convert_element_type)"
"""Of a Python number into an array: exact, or rounded once, as the traced literal is."""


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "name", ["normal", "lecun_normal", "glorot_uniform", "truncated_normal", "uniform"]
)
def test_jax_dispatches_one_program_for_each_operation_that_is_traced(
    compiled: list[str], name: str, dtype: str
) -> None:
    """An emulated eager call is made of the programs that JAX runs, whatever it fuses in none."""
    initializer, key = load_catalogue().lookup(name).build(), jax.random.key(0)
    del compiled[:]
    initializer(key, (18, 13), as_dtype(dtype))
    dispatched = {each for each in compiled if each != CONVERSION}

    program = traced(lambda key: initializer(key, (18, 13), as_dtype(dtype)), key)
    assert dispatched == {f"jit({_function(operation)})" for operation in program.operations}


def _function(operation: Operation) -> str:
    """Return the function of `jax.numpy` that dispatches an operation."""
    if operation.name == "jit":
        return str(operation.parameters["name"])
    return {"mul": "multiply", "div": "true_divide"}.get(operation.name, operation.name)


# --- Cases ---------------------------------------------------------------------------------------


def observed(case: Case) -> Returned | Raised:
    return (
        open_backend(NAME).observe(case, load_catalogue().lookup(case.problem.initializer)).outcome
    )


def array_of(case: Case) -> Any:
    outcome = observed(case)
    assert isinstance(outcome, Returned), outcome
    return whole(outcome)


@needs_cuda_compiler
@pytest.mark.parametrize("transform", ["eager", "legacy_key", "vmap", "jit"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_every_transform_draws_the_uniforms_of_the_cpu(transform: str, dtype: str) -> None:
    case = case_of("uniform", transform, dtype=dtype)
    executed = PjrtBackend("cpu").observe(case, load_catalogue().lookup("uniform")).outcome

    assert observed(case) == executed


@needs_cuda_compiler
@pytest.mark.parametrize("prng", ["rbg", "unsafe_rbg", "threefry2x32_nonpartitionable"])
@pytest.mark.parametrize("transform", ["eager", "jit"])
def test_every_generator_draws_the_bits_of_the_cpu(transform: str, prng: str) -> None:
    case = case_of("uniform", transform, prng=prng)
    executed = PjrtBackend("cpu").observe(case, load_catalogue().lookup("uniform")).outcome

    assert observed(case) == executed


@needs_cuda_compiler
def test_an_eager_scale_is_an_interval_and_a_jitted_one_is_folded() -> None:
    backend, spec = open_backend(NAME), load_catalogue().lookup("glorot_uniform")
    eager, jit = (backend.predict(case_of("glorot_uniform", way), spec) for way in ("eager", "jit"))  # type: ignore[attr-defined]  # of this backend alone

    assert eager.is_open.all()
    assert not jit.is_open.any()
    assert (eager.lowest <= jit.values).all()
    assert (jit.values <= eager.highest).all()


@needs_cuda_compiler
def test_an_operation_that_returns_several_arrays_is_refused_by_name() -> None:
    backend = open_backend(NAME)

    with pytest.raises(ValueError, match="operation split returns several arrays"):
        backend.execute(
            lambda key: jax.numpy.split(jax.random.key_data(key), 2)[0], jax.random.key(0)
        )


@needs_cuda_compiler
@pytest.mark.parametrize(
    ("initializer", "dtype", "words"),
    [
        ("orthogonal", "float32", "a call of cusolver_geqrf_ffi"),
        ("lecun_normal", "complex64", "directive '.global .align 4 .b8 __cudart_i2opi_f"),
    ],
)
def test_what_is_beyond_the_subset_is_an_outcome_that_names_it(
    initializer: str, dtype: str, words: str
) -> None:
    outcome = observed(case_of(initializer, "jit", dtype=dtype))

    assert isinstance(outcome, Raised)
    assert outcome.exception == "UnsupportedPtx"
    assert words in outcome.message


@needs_cuda_compiler
def test_an_unknown_transform_is_refused_with_the_known_ones() -> None:
    outcome = observed(case_of("normal", "sharded"))

    assert isinstance(outcome, Raised)
    assert "'sharded' is not emulated: ask for eager, legacy_key, vmap, jit" in outcome.message


# --- Other devices -------------------------------------------------------------------------------


def predicted_for(target: str, case: Case) -> Returned | Raised:
    backend = CudaEmulatedBackend(aot.open_target("cuda", target))
    return backend.observe(case, load_catalogue().lookup(case.problem.initializer)).outcome


@needs_cuda_compiler
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "float64"])
@pytest.mark.parametrize("name", ["normal", "lecun_normal", "glorot_uniform"])
def test_a_b200_is_predicted_to_return_what_an_h100_does(name: str, dtype: str) -> None:
    case = case_of(name, "eager", dtype=dtype)

    assert predicted_for("b200", case) == predicted_for("h100", case)


@needs_cuda_compiler
@pytest.mark.parametrize(("dtype", "is_equal"), [("float32", True), ("bfloat16", False)])
def test_an_a100_is_predicted_to_differ_in_bfloat16_alone(dtype: str, is_equal: bool) -> None:
    case = case_of("lecun_normal", "jit", dtype=dtype)

    assert (predicted_for("a100", case) == predicted_for("h100", case)) is is_equal


def test_a_plugin_that_needs_a_device_to_start_is_said_with_the_way_around(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any) -> None:
        raise NotImplementedError("topology not implemented for cuda")

    compiler = dataclasses.replace(aot.COMPILERS["cuda"], modules=("json",))
    monkeypatch.setitem(aot.COMPILERS, "cuda", compiler)
    monkeypatch.setattr(aot, "topology", refuse)

    with pytest.raises(BackendUnavailable, match=r"does not start .*: set JAX_PLATFORMS=cpu"):
        open_backend(NAME)
