"""What docs/other-libraries.md says that adapters showed happens still."""

from __future__ import annotations

import sys
from typing import Any

import jax
import numpy as np
import pytest

from tests.adapters import registered

SHAPE = (64, 64)
FAN = 64


def haiku_of(name: str, dtype: str, shape: tuple[int, ...] = SHAPE) -> Any:
    haiku = pytest.importorskip("haiku")
    initializer = getattr(haiku.initializers, name)()
    drawn = haiku.transform(lambda: initializer(shape, jax.numpy.dtype(dtype)))
    return np.asarray(drawn.apply({}, jax.random.key(0)))


def power(array: Any) -> float:
    return float(np.mean(np.abs(array) ** 2))


@pytest.mark.filterwarnings("ignore:Casting complex values to real")
def test_haikus_complex_scaling_has_twice_the_variance() -> None:
    assert power(haiku_of("VarianceScaling", "complex64")) * FAN == pytest.approx(2, rel=0.1)
    assert power(haiku_of("VarianceScaling", "float32")) * FAN == pytest.approx(1, rel=0.1)
    assert power(haiku_of("RandomNormal", "complex64")) == pytest.approx(1, rel=0.1)


def test_equinoxs_complex_kernels_have_twice_the_variance_of_real_ones() -> None:
    equinox = pytest.importorskip("equinox")
    real, double = (
        equinox.nn.Linear(FAN, FAN, dtype=dtype, key=jax.random.key(0)).weight
        for dtype in (np.float32, np.complex64)
    )

    assert power(double) / power(real) == pytest.approx(2, rel=0.1)


def test_haiku_rounds_the_truncation_constant() -> None:
    """Its bfloat16 draws are JAX's times one number, a step of the dtype above 1."""
    shape, key = (11, 12), jax.random.split(jax.random.key(0))[1]
    scaled = haiku_of("VarianceScaling", "bfloat16", shape).astype(np.float64)
    usual = np.asarray(jax.nn.initializers.lecun_normal()(key, shape, "bfloat16"), np.float64)

    ratio = np.sqrt(power(scaled) / power(usual))

    assert ratio == pytest.approx(1.0057, abs=0.001)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_keras_refuses_seeds_that_do_not_fit_32_bits(seed: int) -> None:
    registered("keras")
    initializers = sys.modules["keras"].initializers

    with pytest.raises(OverflowError):
        initializers.RandomNormal(seed=seed)((2,))
