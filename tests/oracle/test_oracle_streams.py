"""The words and the uniforms of the whole standard tier are JAX's, bit for bit."""

from __future__ import annotations

import itertools
import math
from typing import Any

import jax
import numpy as np
import pytest
from jax import lax

from conformance.cases.builtin import load_catalogue
from conformance.cases.planes import problems
from conformance.core.arrays import as_dtype
from conformance.core.formats import NARROW_DTYPES
from conformance.core.ids import Tier
from conformance.core.lattice import lattice_words
from conformance.core.laws import Definition, Law, Normal, Uniform, expected_error
from conformance.observe.jax_compat import lattice_key, x64
from conformance.oracle import random_bits, seed_key, word_bits
from conformance.oracle.followed import followed_uniform
from tests.together import UNOPTIMIZED

UNIT = Uniform(scale=1.0)


def standard_axes(dtype: str) -> tuple[list[tuple[int, ...]], list[int]]:
    """Return the shapes and the seeds that the standard tier asks of the dtype."""
    tier = [p for p in problems(load_catalogue(), Tier.STANDARD) if p.dtype == dtype]
    assert {problem.prng for problem in tier} == {"threefry2x32"}
    return sorted({p.shape for p in tier}), sorted({p.seed for p in tier})


@pytest.mark.parametrize("name", NARROW_DTYPES)
def test_every_draw_of_the_standard_tier_has_the_bits_of_jax(name: str) -> None:
    """One program draws all shapes of a seed. All is exact: no optimization can change a bit."""
    dtype = as_dtype(name)
    shapes, seeds = standard_axes(name)

    @jax.jit
    def program(key: Any) -> list[tuple[Any, Any]]:
        word = f"uint{word_bits(dtype)}"
        return [
            (jax.random.bits(key, shape, word), jax.random.uniform(key, shape, dtype))
            for shape in shapes
        ]

    run = program.lower(jax.random.key(0)).compile(compiler_options=UNOPTIMIZED)
    drawn = {seed: jax.device_get(run(jax.random.key(seed))) for seed in seeds}

    assert len(shapes) >= 15
    assert len(seeds) >= 2
    for seed, shape in itertools.product(seeds, shapes):
        words, uniforms = drawn[seed][shapes.index(shape)]
        expected = random_bits(seed_key(seed), word_bits(dtype), shape)
        assert words.dtype == expected.dtype
        np.testing.assert_array_equal(words, expected)
        np.testing.assert_array_equal(
            uniforms.astype(np.float64), followed_uniform(expected, UNIT, dtype)
        )


def distinct_laws() -> list[Law]:
    """Return one law for each range from which a built-in initializer draws its uniforms."""
    shape = (4, 4, 4)
    units: set[Law] = set()
    for spec in load_catalogue():
        definition: Definition | None = spec.definition
        if definition is None or expected_error(definition, shape, "float32"):
            continue
        if definition.unit is not None:
            units.add(definition.unit)
    return sorted(units, key=str)


LAWS = pytest.mark.parametrize("law", distinct_laws(), ids=str)


@jax.jit
def erf_of_bound(bound: Any) -> Any:
    return lax.erf(bound / np.array(math.sqrt(2), bound.dtype))


def jax_range(law: Law, dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """Return minval and maxval as the samplers of `jax.random` hand them to `uniform`."""
    lower, upper = law.support
    if isinstance(law, Uniform):
        return lower, upper
    if isinstance(law, Normal):
        return np.nextafter(dtype.type(-1), dtype.type(0)), dtype.type(1)
    return erf_of_bound(dtype.type(lower)), erf_of_bound(dtype.type(upper))


def is_fused_here(name: str) -> bool:
    """Return whether this machine fuses a multiply-add: then x * x - fl(x * x) is not 0."""
    third = as_dtype(name).type(1 / 3)
    square = third * third
    residue = jax.jit(lambda x, y: x * x - y)(third, square)
    return bool(np.asarray(residue) != 0)


@LAWS
@pytest.mark.parametrize("name", NARROW_DTYPES)
def test_uniforms_of_every_range_are_those_of_jax_on_the_whole_lattice(name: str, law: Law) -> None:
    dtype = as_dtype(name)
    words = lattice_words(word_bits(dtype))
    fused = [name] if is_fused_here(name) else []

    uniforms = jax.random.uniform(lattice_key(), words.shape, dtype, *jax_range(law, dtype))

    expected = followed_uniform(words, law, dtype, fused)
    np.testing.assert_array_equal(np.asarray(uniforms).astype(np.float64), expected)


@LAWS
def test_float64_uniforms_of_every_range_are_those_of_jax(law: Law) -> None:
    dtype = np.dtype(np.float64)
    words = random_bits(seed_key(7), 64, (100_000,))
    with x64():
        uniforms = np.asarray(
            jax.random.uniform(jax.random.key(7), words.shape, dtype, *jax_range(law, dtype))
        )

    fused = ["float64"] if is_fused_here("float64") else []
    np.testing.assert_array_equal(uniforms, followed_uniform(words, law, dtype, fused))
