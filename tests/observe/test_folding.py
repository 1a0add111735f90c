"""Which functions of constants a program takes, and what XLA folds each to, is asked as it is."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import re
from typing import Any

import jax
import numpy as np
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.core.ids import parse_case
from conformance.observe import lowering
from conformance.observe.folding import stepwise_folds, whole_folds
from conformance.observe.lowering import custom_calls, folding_key, program_key

BOUND = np.float32(-0.17677669)
CATALOGUE = load_catalogue()


def words() -> Any:
    return jax.random.key_data(jax.random.key(0))


def narrow(data: Any) -> Any:
    key = jax.random.wrap_key_data(data)
    return jax.random.truncated_normal(key, -0.25, 0.25, (64, 32), "float32")


def test_the_constants_are_those_that_stand_in_the_compiled_program() -> None:
    compiled = jax.jit(narrow).lower(words()).compile().as_text() or ""
    standing = {np.float32(text) for text in re.findall(r"constant\((-?\d[\d.e-]*)\)", compiled)}

    folds = whole_folds(narrow, words())

    assert [fold.call for fold in folds] == ["erf(-0.17677669)", "erf(0.17677669)"]
    assert np.float32(folds[0].folded) in standing


@pytest.mark.skipif("CS_GNU_LIBC_VERSION" not in os.confstr_names, reason="names glibc's library")
def test_a_constant_that_a_function_is_passed_is_folded_by_the_c_library() -> None:
    library = ctypes.CDLL("libm.so.6")
    library.erff.restype, library.erff.argtypes = ctypes.c_float, [ctypes.c_float]

    (fold, _) = whole_folds(narrow, words())

    assert np.float32(fold.folded) == np.float32(library.erff(BOUND))


def test_a_call_that_is_compiled_step_by_step_passes_its_bounds_and_folds_nothing() -> None:
    assert stepwise_folds(narrow, words()) == []


def test_a_function_of_a_user_that_is_jitted_folds_its_constants_even_so() -> None:
    @jax.jit
    def initializer(data: Any) -> Any:
        return data * jax.jit(jax.lax.erf)(BOUND)

    assert [fold.call for fold in stepwise_folds(initializer, words())] == ["erf(-0.17677669)"]


def test_a_function_of_what_is_drawn_is_no_constant() -> None:
    assert whole_folds(lambda data: jax.lax.erf(data.astype("float32")), words()) == []


def test_recorded_is_what_each_program_calls_and_folds() -> None:
    cases = [
        parse_case(f"{name}-float32-64x32-s0-cpu-{transform}")
        for name in ("orthogonal", "truncated_normal_narrow")
        for transform in ("eager", "jit")
    ]

    found = lowering.recorded(cases, CATALOGUE)

    assert set(found["programs"]) == {program_key(case) for case in cases}
    assert [name[:7] for name in found["calls"]["cpu orthogonal float32"]] == ["lapack_"] * 2
    assert set(found["calls"]) == {"cpu orthogonal float32"}
    assert set(found["folded"]) == {folding_key(cases[3])}
    assert len(found["folded"][folding_key(cases[3])]["erf(0.17677669)"]) == 2


def test_a_custom_call_is_named_once() -> None:
    text = "%1 = stablehlo.custom_call @lapack_sgeqrf_ffi(%0)\n%2 = stablehlo.custom_call @a.b(%1)"

    assert custom_calls(text * 2) == ["a.b", "lapack_sgeqrf_ffi"]
