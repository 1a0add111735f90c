"""Faults under generators whose bits no oracle follows: what statistics alone can see."""

from __future__ import annotations

from typing import Any

from conformance.core.records import DriftClass
from conformance.suite.faults.fault import (
    Fault,
    few_bits,
    mean_off,
    of_array,
    second_half_copied,
    variance_off,
)


def _columns_swapped(array: Any) -> Any:
    return array.at[:, [3, 4]].set(array[:, [4, 3]])


def _antithetic_pairs(array: Any) -> Any:
    """Each second element is the one before it, negated: the law of an element is intact."""
    flat = array.reshape(-1)
    return flat.at[1::2].set(-flat[::2]).reshape(array.shape)


def _two_columns_equal(array: Any) -> Any:
    return array.at[:, 20].set(array[:, 3])


def _symmetric(array: Any) -> Any:
    import jax.numpy as jnp

    return jnp.triu(array) + jnp.triu(array, 1).T


def _in_bfloat16(array: Any) -> Any:
    return array.astype("bfloat16").astype(array.dtype)


FAULTS = (
    Fault(
        name="rbg_variance_doubled",
        base="normal_1",
        wrong=variance_off(1.0),
        shape=(256, 64),
        prng="rbg",
        caught_by="moments",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="rbg_mean_shifted",
        base="normal_1",
        wrong=mean_off(0.1),
        shape=(256, 64),
        dtype="bfloat16",
        prng="unsafe_rbg",
        caught_by="moments",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="rbg_uniform_drawn_from_its_middle",
        base="uniform_1",
        wrong=of_array(lambda a: a / 2 + 0.25),
        shape=(256, 64),
        dtype="float16",
        prng="rbg",
        caught_by="moments",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="rbg_second_half_copied",
        base="he_uniform",
        wrong=of_array(second_half_copied),
        prng="rbg",
        caught_by="statistics",
        drift=DriftClass.STRUCTURAL,
    ),
    Fault(
        name="rbg_neighbours_share_a_draw",
        base="uniform",
        wrong=few_bits,
        dtype="float16",
        prng="unsafe_rbg",
        caught_by="statistics",
        drift=DriftClass.STREAM,
    ),
    Fault(
        name="rbg_complex_variance_doubled",
        base="normal",
        wrong=of_array(lambda a: a * 2**0.5),
        key="s7",
        dtype="complex64",
        prng="rbg",
        caught_by="moments",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="rbg_antithetic_pairs",
        base="normal_1",
        wrong=of_array(_antithetic_pairs),
        prng="rbg",
        caught_by="statistics",
        drift=DriftClass.STREAM,
    ),
    Fault(
        name="unsafe_rbg_two_columns_equal",
        base="lecun_normal",
        wrong=of_array(_two_columns_equal),
        dtype="bfloat16",
        prng="unsafe_rbg",
        caught_by="statistics",
        drift=DriftClass.STRUCTURAL,
    ),
    Fault(
        name="rbg_symmetric",
        base="glorot_uniform",
        wrong=of_array(_symmetric),
        shape=(64, 64),
        prng="rbg",
        caught_by="statistics",
        drift=DriftClass.STREAM,
    ),
    Fault(
        name="rbg_drawn_in_bfloat16",
        base="normal_1",
        wrong=of_array(_in_bfloat16),
        prng="rbg",
        caught_by="statistics",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="rbg_orthogonal_with_columns_swapped",
        base="orthogonal",
        wrong=of_array(_columns_swapped),
        prng="rbg",
        caught_by="oracle",
        drift=DriftClass.STRUCTURAL,
    ),
)
