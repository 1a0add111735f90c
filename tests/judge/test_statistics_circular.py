"""Complex draws: right ones pass, and what is wrong with parts, moduli or angles is refused."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import pytest

from conformance.core.arrays import Array, as_dtype
from conformance.core.laws import Definition, Normal, VarianceScaling
from conformance.judge.statistics import (
    CIRCULAR_TESTS,
    TESTS,
    Decision,
    circular_law,
    circular_of,
    decide,
)
from conformance.oracle import solve_words

SHAPE, N_KEYS = (64, 32), 32
DEFINITIONS: dict[str, Definition] = {
    "normal": Normal(stddev=0.5),
    "disk": VarianceScaling(scale=2.0, mode="fan_in", distribution="uniform"),
    "truncated": VarianceScaling(scale=1.0, mode="fan_avg", distribution="truncated_normal"),
}
Change = Callable[[Array], Array]


@functools.cache
def drawn(name: str, dtype: str = "complex64") -> Array:
    """Return what the definition makes of fair words, along a first axis of keys."""
    width = 32 if dtype == "complex64" else 64
    words = np.random.default_rng(11).integers(
        2**width, size=(2, N_KEYS, *SHAPE), dtype=f"u{width // 8}"
    )
    array: Array = solve_words(words, DEFINITIONS[name], as_dtype(dtype), SHAPE).expected
    return array


def judged(name: str, change: Change = lambda a: a, dtype: str = "complex64") -> Decision:
    law = circular_law(DEFINITIONS[name], SHAPE)
    assert law is not None
    arrays = change(drawn(name, dtype)).astype(dtype)
    return decide([circular_of(arrays, law)], CIRCULAR_TESTS)


def refusals(decision: Decision) -> set[str]:
    return {test.name for test, _ in decision.refused}


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("name", DEFINITIONS)
def test_right_draws_pass_every_test(name: str, dtype: str) -> None:
    decision = judged(name, dtype=dtype)

    assert not decision.refused
    assert (decision.n_draws, decision.size) == (N_KEYS, N_KEYS * math.prod(SHAPE))


def test_every_test_of_real_draws_is_asked() -> None:
    asked = {test.name for test, _ in judged("normal").found}

    assert asked == {test.name for test in TESTS}


def conjugate_pairs(array: Array) -> Array:
    flat = array.reshape(len(array), -1).copy()
    flat[:, 1::2] = flat[:, ::2].conj()
    return flat.reshape(array.shape)


def imaginary_elsewhere(array: Array) -> Array:
    flat = array.reshape(len(array), -1)
    other = np.random.default_rng(3).permutation(flat.shape[1])
    return np.asarray((flat.real + 1j * flat.real[:, other]).reshape(array.shape))


def turned_by_its_modulus(array: Array) -> Array:
    """Angles that follow from the modulus, each modulus and each angle as likely as before."""
    modulus = np.abs(array)
    ranks = np.argsort(np.argsort(modulus, axis=None)) / modulus.size
    return np.asarray(modulus * np.exp(2j * np.pi * ranks.reshape(array.shape)))


FAULTS: dict[str, tuple[str, Change, set[str], str]] = {
    "one part": ("normal", lambda a: a.real * (1 + 1j), {"goodness_of_fit"}, ""),
    "conjugate pairs": ("normal", conjugate_pairs, {"lags", "collisions"}, ""),
    "the real part of the next": (
        "normal",
        lambda a: a.real + 1j * np.roll(a.real, -1, axis=-1),
        {"lags", "lines"},
        "",
    ),
    "real parts of others": ("normal", imaginary_elsewhere, {"collisions"}, "parts"),
    "an ellipse": (
        "disk",
        lambda a: a.real * math.sqrt(1.3) + 1j * a.imag * math.sqrt(0.7),
        {"goodness_of_fit"},
        "",
    ),
    "moduli alike": ("truncated", lambda a: a * 1.05, {"mean", "goodness_of_fit"}, "moduli"),
    "half of the circle": (
        "disk",
        lambda a: np.abs(a) * np.exp(0.5j * np.angle(a)),
        {"variance", "goodness_of_fit"},
        "angles",
    ),
    "angles by modulus": ("disk", turned_by_its_modulus, {"lags", "lines"}, "moduli and angles"),
}
"""What is wrong: the definition, the change, the tests that see it at least, and of what."""


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_wrong_with_complex_draws_is_refused(name: str) -> None:
    definition, change, seen_by, of_what = FAULTS[name]

    decision = judged(definition, change)

    assert seen_by <= refusals(decision)
    where = [finding.where for test, finding in decision.refused if test.name in seen_by]
    assert any(of_what in each for each in where), where


@pytest.mark.parametrize("turn", [1j, -1, np.exp(1j)], ids=["quarter", "half", "odd"])
def test_a_rotation_of_all_is_no_fault(turn: complex) -> None:
    """Every angle is as likely: a stream that is turned as a whole is as right."""
    assert not judged("disk", lambda a: a * turn).refused


def test_nothing_is_known_of_a_law_of_no_variance() -> None:
    assert circular_law(Normal(stddev=0.0), SHAPE) is None
