"""JAX returns what its own sequence of roundings gives, and that is so far from the definition.

Where the two are one, a deviation from the definition is JAX's rounding; anything else is a fault.
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import math
import os
import platform
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax import lax

from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import InitializerSpec
from conformance.cases.sweeps import sweep_case
from conformance.core.arrays import Array, as_dtype, widen
from conformance.core.formats import FORMATS
from conformance.core.lattice import lattice_words
from conformance.core.laws import (
    Law,
    Normal,
    TruncatedNormal,
    Uniform,
    expected_error,
    law_of,
)
from conformance.core.ulp import ulp_at, ulp_distance
from conformance.observe.backends import open_backend
from conformance.observe.jax_compat import x64
from conformance.observe.sweep import sweep
from conformance.oracle import random_bits, seed_key, solve_words, unit_variate
from conformance.oracle.followed import (
    C_LIBRARY_ERF_ULP,
    FOLDED_CORRECTLY,
    ErfErrors,
    _folded_erf_of,
    erf_float32,
    erf_inv_float32,
    followed_product,
    followed_uniform,
    followed_variate,
)
from conformance.oracle.initializers import CHUNK
from conformance.oracle.rounding import Reals, round_once
from tests.oracle.test_oracle_streams import is_fused_here


def truncated(lower: float, upper: float) -> TruncatedNormal:
    return TruncatedNormal(stddev=1.0, lower=lower, upper=upper)


SIGMA_ULP: dict[Law, dict[str, float]] = {
    Uniform(scale=1.0): {"bfloat16": 1, "float16": 1, "float32": 1},
    Uniform(scale=1.0, lower=-1.0): {"bfloat16": 1, "float16": 1, "float32": 1},
    Normal(stddev=1.0): {"bfloat16": 4, "float16": 12, "float32": 360},
    truncated(-2.0, 2.0): {
        "bfloat16": 6,
        "float16": 10,
        "float32": 12,
    },
    truncated(-3.0, 3.0): {
        "bfloat16": 12,
        "float16": 24,
        "float32": 40,
    },
    truncated(-1.0, 3.0): {
        "bfloat16": 10,
        "float16": 38,
        "float32": 40,
    },
    truncated(0.0, 2.0): {"bfloat16": 3, "float16": 2, "float32": 7},
    truncated(2.0, 4.0): {
        "bfloat16": 112,
        "float16": 378,
        "float32": 2110,
    },
    truncated(1.625, 3.0): {"float16": 42},
    truncated(-0.25, 0.25): {
        "bfloat16": 0.25,
        "float16": 0.25,
        "float32": 0.625,
    },
}
"""How far JAX 0.12.0.1 on a CPU is from the definition, in ULP at the scale of the law: the worst
lattice point of the worst initializer that draws from the range. Not tolerances but observations:
they may only shrink."""

LOG1P_SHARE, LOG1P_ULP = 0.011, 4
"""What XLA's float32 log1p, which does not round correctly, moves: of all lattice points of a
float32 normal or truncated normal this share, by so many ULP at most."""


def elementwise(dtype: str) -> list[InitializerSpec]:
    """Return the specs of the catalogue whose elements are functions of one word each, by law."""
    chosen: dict[InitializerSpec, Law] = {}
    for spec in load_catalogue():
        shape = sweep_case(spec, dtype, "cpu", "eager").problem.shape
        if spec.definition is None or expected_error(spec.definition, shape, dtype):
            continue
        if law := law_of(spec.definition, shape):
            chosen[spec] = law.unit
    return sorted(chosen, key=lambda spec: str(chosen[spec]))


PART = 1 << 17
"""Points that are compared at once: all 2^23 take memory that is faulted in anew for each test."""

STRIDE = 1 << 7
"""Of so many points one is solved as any other would be, to show that sharing changes nothing."""


@functools.cache
def fused_here() -> tuple[str, ...]:
    return tuple(name for name in ("float16", "float32") if is_fused_here(name))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """How far JAX's values at every lattice point are from two answers of the oracle.

    sigma_ulp: from the definition, the worst, in ULP at the scale of the law; at most `allowed`.
    share, ulp: of the points that are not the followed ones, and the worst of these.
    """

    law: Law
    sigma_ulp: float
    allowed: float
    share: float
    ulp: int


@functools.lru_cache(maxsize=1)
def variates(unit: Law, dtype: str, folded: ErfErrors | None) -> tuple[Reals, Reals]:
    """Return the variates at every lattice point, exact and followed: all scalings share them."""
    words, number = lattice_words(FORMATS[dtype].word_bits), as_dtype(dtype)
    exact, followed = np.empty((2, words.size))
    for start in range(0, words.size, CHUNK):
        part = slice(start, start + CHUNK)
        exact[part] = unit_variate(words[part], unit, number)
        uniform = followed_uniform(words[part], unit, number, fused_here(), folded=folded)
        followed[part] = followed_variate(uniform, unit, number, fused_here())
    return exact, followed


@functools.cache
def departure(name: str, dtype: str, transform: str = "eager") -> Departure:
    """Return it for an initializer of the catalogue; what one test asked, another need not."""
    return departure_of(load_catalogue().lookup(name), dtype, transform)


def departure_of(spec: InitializerSpec, dtype: str, transform: str = "eager") -> Departure:
    """Return it for an initializer."""
    case = sweep_case(spec, dtype, "cpu", transform)
    definition, shape, number = spec.definition, case.problem.shape, as_dtype(dtype)
    observed = sweep(spec, case, open_backend("cpu"))
    assert definition is not None
    law = law_of(definition, shape)
    assert law is not None
    folded = FOLDED_CORRECTLY if transform == "jit" else None
    exact, variate = variates(law.unit, dtype, folded)
    solution = solve_words(
        observed.words[::STRIDE], definition, number, shape, fused=fused_here(), folded=folded
    )
    assert solution.followed is not None
    sigma_ulp, n_others, ulp = 0.0, 0, 0
    expectations, answers = [], []
    for start in range(0, observed.words.size, PART):
        part = slice(start, start + PART)
        values = observed.values[part]
        expected = round_once(exact[part] * law.factor, number)
        answer = followed_product(variate[part], law, definition, shape, number)
        expectations.append(expected[::STRIDE])
        answers.append(answer[::STRIDE])
        followed = answer if dtype == "float16" else flushed(answer)
        others = np.flatnonzero(values != followed)
        worst = [np.argmax(np.abs(widen(values) - widen(expected)))]  # or the first NaN
        sigma_ulp = max(sigma_ulp, float(ulp_at(values[worst], expected[worst], law.factor)[0]))
        ulp = max(ulp, int(ulp_distance(values[others], followed[others]).max(initial=0)))
        n_others += others.size
    np.testing.assert_array_equal(np.concatenate(expectations), solution.expected)
    np.testing.assert_array_equal(np.concatenate(answers), solution.followed)
    return Departure(
        law=law,
        sigma_ulp=sigma_ulp,
        allowed=SIGMA_ULP[law.unit][dtype],
        share=n_others / observed.words.size,
        ulp=ulp,
    )


def flushed(array: Array) -> Array:
    """Return the array with subnormals set to zero, as XLA's float32 arithmetic has it."""
    is_tiny = np.abs(array.astype(np.float32, copy=False)) < np.float32(2.0**-126)
    return np.where(is_tiny, array.dtype.type(0), array) if is_tiny.any() else array


def names(specs: list[InitializerSpec]) -> list[str]:
    return [spec.name for spec in specs]


@pytest.mark.parametrize("name", names(elementwise("float16")))
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_every_16_bit_value_is_the_followed_one(dtype: str, name: str) -> None:
    found = departure(name, dtype)

    assert found.sigma_ulp <= found.allowed
    assert found.share == 0


USUAL = ("normal", "lecun_normal", "he_uniform", "truncated_normal_tail")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in USUAL else pytest.mark.slow)
        for name in names(elementwise("float32"))
    ],
)
def test_every_float32_value_is_the_followed_one_but_for_log1p(name: str) -> None:
    found = departure(name, "float32")
    share, worst = (0, 0) if isinstance(found.law, Uniform) else (LOG1P_SHARE, LOG1P_ULP)

    assert found.sigma_ulp <= found.allowed
    assert found.share <= share
    assert found.ulp <= worst


BOUNDS = (0.0, 0.1, -0.25, 1.0, 2.0, -3.0, 4.0, 5.0, 6.0, -math.inf)


@pytest.mark.parametrize("bound", BOUNDS)
def test_the_erf_of_a_bound_is_that_of_xla_at_run_time(bound: float) -> None:
    x = np.float32(bound) / np.float32(math.sqrt(2))

    assert erf_float32(float(x)) == float(jax.jit(lax.erf)(x))


@jax.jit
def erf_of(bound: jax.Array) -> jax.Array:
    """Return erf of a bound as `truncated_normal` asks for it, behind a call."""
    return lax.erf(bound / np.sqrt(np.array(2, bound.dtype)))


def folded_erf(bounds: Array) -> Array:
    """Return what XLA folds erf of each bound to, one by one: it divides arrays otherwise."""
    return np.asarray(jax.jit(lambda: [erf_of(bound) for bound in bounds])())


EIGHTHS = np.arange(-48, 49) / 8


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_folded_erf_is_within_an_ulp_of_the_right_one_of_the_true_quotient(dtype: str) -> None:
    """In float32, bounds of 0.375, 1.125 and 1.5 have another product with the reciprocal."""
    bounds = EIGHTHS.astype(dtype)
    possible = [
        [_folded_erf_of(float(bound), bounds.dtype, error) for error in C_LIBRARY_ERF_ULP]
        for bound in bounds
    ]

    with x64():
        folded = folded_erf(bounds)
    assert folded.dtype == bounds.dtype
    assert (np.asarray(possible) == folded[:, None]).any(axis=1).all()


BOUNDED = [spec for spec in elementwise("float16") if isinstance(spec.definition, TruncatedNormal)]


@pytest.mark.parametrize("name", names(BOUNDED))
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_every_jitted_16_bit_value_is_the_followed_one(dtype: str, name: str) -> None:
    assert departure(name, dtype, "jit").share == 0


@pytest.mark.parametrize("transform", ["eager", "jit"])
def test_in_16_bits_the_division_by_a_constant_is_a_product_before_it_is_folded(
    transform: str,
) -> None:
    """The float16 erf of 1.625 / sqrt 2 is one ULP more by the quotient than by the product."""
    law = TruncatedNormal(stddev=1.0, lower=1.625, upper=3.0)
    spec = InitializerSpec(
        name="truncated_normal_1_625",
        build=lambda: jax.nn.initializers.truncated_normal(1.0, lower=law.lower, upper=law.upper),
        definition=law,
        family="truncated_normal",
    )

    assert departure_of(spec, "float16", transform).share == 0


def test_a_folded_erf_is_the_c_librarys() -> None:
    libm = ctypes.CDLL(None)
    libm.erff.restype, libm.erff.argtypes = ctypes.c_float, [ctypes.c_float]
    bounds = EIGHTHS.astype(np.float32)

    assert folded_erf(bounds).tolist() == [libm.erff(x) for x in bounds / np.sqrt(np.float32(2))]


def test_a_bound_that_is_a_constant_gets_another_erf() -> None:
    """Why an eager and a jitted `truncated_normal` of bounds (2, 4) differ."""
    float32 = np.dtype(np.float32)

    assert folded_erf(np.array([4], np.float32))[0] == _folded_erf_of(4.0, float32, 0)
    assert erf_float32(float(np.float32(4 / math.sqrt(2)))) == _folded_erf_of(4.0, float32, 1)


def test_erf_inv_is_that_of_xla_but_for_log1p() -> None:
    steps = np.arange(1 - 2**16, 2**16, dtype=np.float32) * np.float32(2.0**-16)
    u = np.concatenate([steps, np.array([-1.0, 1.0], np.float32)])
    followed = erf_inv_float32(u.astype(np.float64), is_fused=is_fused_here("float32"))
    distance = ulp_distance(np.asarray(lax.erf_inv(u)), followed.astype(np.float32))

    assert np.mean(distance > 0) <= LOG1P_SHARE
    assert distance.max() <= LOG1P_ULP


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the ISA to forbid is one of x86")
def test_a_device_that_fuses_nothing_is_followed_too() -> None:
    """AVX has no fused multiply-add. Half of the truncated normals move, and are followed."""
    definition, shape, float32 = TruncatedNormal(stddev=1.0), (64, 32), np.dtype(np.float32)
    program = (
        "import jax, sys; key = jax.random.key(0); "
        "draw = jax.nn.initializers.truncated_normal(1.0)(key, (64, 32)); "
        "sys.stdout.write(bytes(draw).hex())"
    )
    environment = {**os.environ, "XLA_FLAGS": "--xla_cpu_max_isa=AVX"}
    run = subprocess.run(  # noqa: S603 (its own program)
        [sys.executable, "-c", program], env=environment, capture_output=True, check=True, text=True
    )
    values = np.frombuffer(bytes.fromhex(run.stdout), np.float32).reshape(shape)
    words = random_bits(seed_key(0), 32, shape)

    fused, unfused = (
        solve_words(words, definition, float32, shape, fused=dtypes).followed
        for dtypes in (("float32",), ())
    )
    assert fused is not None
    assert unfused is not None
    assert np.mean(values != fused) > 0.4
    assert np.mean(values != unfused) <= LOG1P_SHARE
