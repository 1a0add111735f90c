"""Each planted scale is a fault that says what explains it, and its right twin is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from conformance.models.formula import read, root_keys
from conformance.models.gains import fan_fault
from conformance.models.law import law_read
from conformance.observe.jax_compat import traced
from tests.models.test_uses import IMAGE, X, abstract, conv, found, scanned, upsampled

INITIALIZERS = jax.nn.initializers
Shape = tuple[int, ...]
Call = Callable[..., Any]

LECUN, GLOROT = INITIALIZERS.lecun_normal, INITIALIZERS.glorot_normal


def fan_out(**axes: Any) -> Any:
    return INITIALIZERS.variance_scaling(2.0, "fan_out", "normal", **axes)


def fault(initializer: Any, shape: Shape, call: Call, x: Any) -> str:
    """Return what is wrong with the scale of a kernel that is made and used so."""
    program = traced(lambda key: initializer(key, shape, jnp.float32), jax.random.key(0))
    law = law_read(read(program, [root_keys("key", "fry")])[0])
    assert law.definition is not None
    return fan_fault(law.definition, shape, "float32", found(call, (shape,), x))


def dense(w: Any, x: Any) -> Any:
    return x @ w


def heads(w: Any, x: Any) -> Any:
    return jnp.einsum("btd,ndh->btnh", x, w)


def image(w: Any, x: Any) -> Any:
    return conv(x, w)


def grouped(w: Any, x: Any) -> Any:
    return conv(x, w, feature_group_count=8)


def depthwise(w: Any, x: Any) -> Any:
    return conv(x, w, feature_group_count=16)


def fused(w: Any, x: Any) -> Any:
    return [x @ part for part in jnp.split(w, 3, axis=1)]


def attention(w: Any, x: Any) -> Any:
    q, k, v = jnp.split(x @ w + 1.0, 3, axis=-1)
    return jax.nn.softmax(q @ k.T / 4) @ v


def stacked(w: Any, x: Any) -> Any:
    qkv = jnp.einsum("bi,ico->bco", x, w)
    return jax.nn.softmax(qkv[:, 0] @ qkv[:, 1].T) @ qkv[:, 2]


def three_glorot(key: Any, shape: Shape, dtype: Any) -> Any:
    keys, width = jax.random.split(key, 3), shape[1] // 3
    return jnp.concatenate([GLOROT()(each, (shape[0], width), dtype) for each in keys], 1)


def rotated(w: Any, x: Any) -> Any:
    one, other = jnp.split(x @ w, 2, axis=-1)
    turned = jnp.concatenate([one * 0.6 - other * 0.8, one * 0.8 + other * 0.6], -1)
    return turned @ turned.T


def one_by_one(w: Any, x: Any) -> Any:
    for number in range(3):
        x = jnp.tanh(x @ w[number])
    return x


def experts(w: Any, x: Any) -> Any:
    return jnp.einsum("ebi,eio->ebo", jnp.stack([x] * 3), w)


SEQUENCE = abstract((1, 3, 32))
SMALL = abstract((1, 8, 8, 4))

PLANTED: dict[str, tuple[Any, Any, Shape, Call, Any, str]] = {
    "Conv: in_axis and out_axis": (
        LECUN(in_axis=0, out_axis=(1, 2, 3)), LECUN(in_axis=0), (3, 3, 16, 32), image, IMAGE,
        "gain 48: as if fan-in were 3, not 144: axes 1, 2 left out",
    ),
    "Conv: out_axis": (
        LECUN(out_axis=-2), LECUN(), (3, 3, 16, 32), image, IMAGE, "as if fan-in were 288, not 144",
    ),
    "Conv: batch_axis": (
        LECUN(batch_axis=0), LECUN(), (3, 3, 16, 32), image, IMAGE,
        "gain 3: as if fan-in were 48, not 144: axis 1 left out",
    ),
    "Conv: in_axis in fan_out": (
        fan_out(in_axis=0), fan_out(), (3, 3, 16, 32), image, IMAGE,
        "gain 0.187: as if fan-in were 1536, not 144",
    ),
    "Conv: in_axis in fan_avg": (
        GLOROT(in_axis=0), GLOROT(), (3, 3, 16, 32), image, IMAGE,
        "2 / (fan_in + fan_out) with fans 144 and 1536; fan-in is 144",
    ),
    "Einsum of heads": (
        LECUN(), LECUN(batch_axis=0), (4, 32, 8), heads, SEQUENCE,
        "gain 0.25: as if fan-in were 128, not 32: axis 0 counted",
    ),
    "grouped": (
        LECUN(in_axis=-1, out_axis=-2), LECUN(), (3, 3, 2, 32), grouped, IMAGE,
        "as if fan-in were 288, not 18: axis 3 counted, axis 2 left out",
    ),
    "depthwise": (
        LECUN(in_axis=-1, out_axis=-2), LECUN(), (3, 3, 1, 16), depthwise, IMAGE,
        "as if fan-in were 144, not 9: axis 3 counted",
    ),
    "transposed convolution": (
        LECUN(), LECUN(batch_axis=0), (4, 4, 4, 16), lambda w, x: upsampled(x, w), SMALL,
        "gain 0.25: as if fan-in were 64, not 16: the zeros between strides are counted",
    ),
    "fused": (
        LECUN(in_axis=1, out_axis=0), LECUN(), (16, 48), fused, X, "as if fan-in were 48, not 16",
    ),
    "fused, by glorot": (
        GLOROT(), three_glorot, (16, 48), fused, X,
        "2 / (fan_in + fan_out) with fans 16 and 48; fan-in is 16, and its outputs are cut into 3",
    ),
    "fused, cut after the product": (
        GLOROT(), three_glorot, (16, 48), attention, X, "outputs are cut into 3 parts",
    ),
    "fused, with an axis for the parts": (
        GLOROT(in_axis=0, out_axis=(1, 2)), GLOROT(in_axis=0, out_axis=2, batch_axis=1),
        (16, 3, 16), stacked, X, "with fans 16 and 48; fan-in is 16, and its outputs are cut into",
    ),
    "scanned": (
        LECUN(), LECUN(batch_axis=0), (3, 16, 16), scanned, X,
        "as if fan-in were 48, not 16: axis 0 counted",
    ),
    "scanned, square, by he": (
        INITIALIZERS.he_normal(), INITIALIZERS.he_normal(batch_axis=0), (3, 16, 16), scanned, X,
        "gain 0.667: as if fan-in were 48, not 16: axis 0 counted",
    ),
    "stacked, in fan_out": (
        fan_out(), fan_out(batch_axis=0), (3, 16, 16), one_by_one, X, "gain 0.667: as if fan-in",
    ),
    "experts, in fan_out": (
        fan_out(), fan_out(batch_axis=0), (3, 16, 32), experts, X, "as if fan-in were 48, not 16",
    ),
    "the kernel first": (
        LECUN(), LECUN(in_axis=1, out_axis=0), (32, 16), lambda w, x: w @ x.T, X,
        "gain 0.5: as if fan-in were 32, not 16: axis 0 counted, axis 1 left out",
    ),
    "missing correction": (
        INITIALIZERS.truncated_normal(0.25), LECUN(), (16, 32), dense, X,
        "missing truncation correction: cut at 2 sigma, a variance of 0.0625 becomes 0.04836",
    ),
    "uniform of the wrong side": (
        lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -(8**-0.5), 8**-0.5),
        lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -0.25, 0.25),
        (16, 8), dense, X, "as if fan-in were 8, not 16: axis 1 counted, axis 0 left out",
    ),
}  # fmt: skip
"""Initializer with the fault, its right twin, shape, call, input, and what is said."""


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_scale_is_found_and_explained(name: str) -> None:
    planted, _, shape, call, x, told = PLANTED[name]

    assert told in fault(planted, shape, call, x)


@pytest.mark.parametrize("name", PLANTED)
def test_its_right_twin_is_no_fault(name: str) -> None:
    _, right, shape, call, x, _ = PLANTED[name]

    assert fault(right, shape, call, x) == ""


@pytest.mark.parametrize("initializer", [INITIALIZERS.normal(0.02), INITIALIZERS.he_normal()])
def test_a_stddev_of_ones_own_and_a_gain_of_2_are_no_faults(initializer: Any) -> None:
    assert fault(initializer, (16, 32), dense, X) == ""


@pytest.mark.parametrize(
    ("initializer", "shape", "call"),
    [
        (GLOROT(), (16, 32), rotated),
        (GLOROT(batch_axis=0), (3, 16, 16), one_by_one),
        (GLOROT(batch_axis=0), (3, 16, 16), scanned),
        (GLOROT(), (16, 48), lambda w, x: jnp.split(x @ w, [8, 16], 1)),
        (LECUN(), (16, 48), attention),
    ],
)
def test_parts_that_are_joined_again_or_stand_alone_are_not_fused(
    initializer: Any, shape: Shape, call: Call
) -> None:
    assert fault(initializer, shape, call, X) == ""


def test_a_table_that_serves_two_is_right_if_it_suits_one() -> None:
    def tied(w: Any, x: Any) -> Any:
        return (x @ w.T) @ w

    assert fault(LECUN(in_axis=1, out_axis=0), (10, 16), tied, X) == ""


def bilinear(w: Any, x: Any) -> Any:
    return jnp.einsum("bi,ijk,bj->bk", x, w, x[:, :6])


@pytest.mark.parametrize("axes", [{}, {"batch_axis": 1}])
def test_a_bilinear_kernel_is_right_by_its_first_sum_and_by_both(axes: Any) -> None:
    assert fault(LECUN(**axes), (16, 6, 4), bilinear, X) == ""


def test_a_bilinear_kernel_that_suits_neither_of_its_sums_is_found() -> None:
    told = fault(LECUN(batch_axis=0), (16, 6, 4), bilinear, X)

    assert told.startswith("wrong fan: gain 2.67: as if fan-in were 6, not 16")


def test_where_one_use_is_unknown_nobody_can_say() -> None:
    def other(w: Any, x: Any) -> Any:
        return x @ w, x @ (w + w.T)

    assert fault(LECUN(batch_axis=0), (16, 16), other, X) == ""
