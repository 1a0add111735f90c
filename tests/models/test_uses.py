"""Each use of a parameter has its true fan-in, or is unknown; nothing is run to know it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from conformance.models.notes import Use
from conformance.models.terms import DATA, view_of
from conformance.models.uses import uses
from conformance.observe.jax_compat import traced

NHWC = ("NHWC", "HWIO", "NHWC")

Shape = tuple[int, ...]


def abstract(shape: Shape, dtype: Any = jnp.float32) -> Any:
    return jax.ShapeDtypeStruct(shape, dtype)  # type: ignore[no-untyped-call]  # JAX


def found(function: Callable[..., Any], parameters: tuple[Shape, ...], *inputs: Any) -> list[Use]:
    """Return the uses of the parameters `0`, `1` and so on, which come before the inputs."""
    program = traced(function, *map(abstract, parameters), *inputs)
    views = [view_of(str(number), shape) for number, shape in enumerate(parameters)]
    return uses(program, [*views, *[DATA] * len(inputs)])


def conv(x: Any, kernel: Any, **options: Any) -> Any:
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=NHWC, **options)


def upsampled(x: Any, kernel: Any, **options: Any) -> Any:
    return lax.conv_transpose(x, kernel, (2, 2), "SAME", dimension_numbers=NHWC, **options)


IMAGE, X = abstract((1, 8, 8, 16)), abstract((2, 16))
TOKENS, TOKEN = abstract((2,), jnp.int32), abstract((), jnp.int32)


def scanned(stack: Any, x: Any) -> Any:
    return lax.scan(lambda carry, kernel: (jnp.tanh(carry @ kernel), None), x, stack)[0]


def carried(kernel: Any, x: Any) -> Any:
    return lax.scan(lambda c, _: ((c[0] @ c[1], c[1]), None), (x, kernel), None, length=3)[0][0]


def recurrent(inner: Any, outer: Any, x: Any) -> Any:
    def step(state: Any, now: Any) -> Any:
        return jnp.tanh(state @ inner + now @ outer), None

    return lax.scan(step, jnp.zeros((2, 8)), x)[0]


FANS: dict[str, tuple[Callable[..., Any], Shape, Any, float, tuple[int, ...]]] = {
    "dense": (lambda w, x: x @ w, (16, 32), X, 16, (0,)),
    "the kernel first": (lambda w, x: w @ x.T, (32, 16), X, 16, (1,)),
    "transposed": (lambda w, x: x @ w.T, (32, 16), X, 16, (1,)),
    "cast": (lambda w, x: x.astype("bfloat16") @ w.astype("bfloat16"), (16, 32), X, 16, (0,)),
    "fused": (lambda w, x: [x @ part for part in jnp.split(w, 3, 1)], (16, 48), X, 16, (0,)),
    "fused, by slices": (lambda w, x: x @ w[:, 8:24], (16, 48), X, 16, (0,)),
    "heads": (lambda w, x: jnp.einsum("bd,ndh->bnh", x, w), (4, 16, 8), X, 16, (1,)),
    "out of heads": (
        lambda w, x: jnp.einsum("bnh,nhd->bd", x.reshape(2, 2, 8), w), (2, 8, 16), X, 16, (0, 1),
    ),
    "reshaped": (lambda w, x: x @ w.reshape(16, 5), (2, 8, 5), X, 16, (0, 1)),
    "an expert": (lambda w, x: x @ w[1], (5, 16, 32), X, 16, (1,)),
    "an expert that data chose": (lambda w, x: x @ w[x[0, 0].astype(int)], (5, 16, 3), X, 16, (1,)),
    "experts": (
        lambda w, x: jnp.einsum("ebi,eio->ebo", jnp.stack([x] * 5), w), (5, 16, 32), X, 16, (1,),
    ),
    "written out": (lambda w, x: (x[:, :, None] * w).sum(1), (16, 32), X, 16, (0,)),
    "scanned": (scanned, (3, 16, 16), X, 16, (1,)),
    "carried along": (carried, (16, 16), X, 16, (0,)),
    "rematerialised": (lambda w, x: jax.checkpoint(jnp.matmul)(x, w), (16, 32), X, 16, (0,)),
    "mapped": (lambda w, x: jax.vmap(lambda each: each @ w)(x), (16, 32), X, 16, (0,)),
    "while": (
        lambda w, x: lax.while_loop(lambda c: c.sum() < 3, lambda c: c @ w, x),
        (16, 16), X, 16, (0,),
    ),
    "in a branch": (
        lambda w, x: lax.cond(x.sum() > 0, lambda: x @ w, lambda: x), (16, 16), X, 16, (0,),
    ),
    "convolution": (lambda w, x: conv(x, w), (3, 3, 16, 32), IMAGE, 144, (0, 1, 2)),
    "dilated": (
        lambda w, x: conv(x, w, rhs_dilation=(2, 2)), (3, 3, 16, 32), IMAGE, 144, (0, 1, 2),
    ),
    "grouped": (
        lambda w, x: conv(x, w, feature_group_count=8), (3, 3, 2, 32), IMAGE, 18, (0, 1, 2),
    ),
    "depthwise": (
        lambda w, x: conv(x, w, feature_group_count=16), (3, 3, 1, 16), IMAGE, 9, (0, 1, 2),
    ),
    "transposed convolution": (lambda w, x: upsampled(x, w), (4, 4, 16, 5), IMAGE, 64, (0, 1, 2)),
    "transposed, kernel too": (
        lambda w, x: upsampled(x, w, transpose_kernel=True), (4, 4, 5, 16), IMAGE, 64, (0, 1, 3),
    ),
}  # fmt: skip
"""Function, shape of the parameter, input, true fan-in, axes that are summed over."""


@pytest.mark.parametrize("name", FANS)
def test_the_fan_in_is_that_of_the_axes_that_are_summed_over(name: str) -> None:
    function, shape, x, fan_in, axes = FANS[name]

    each = found(function, (shape,), x)

    assert {(use.fan_in, use.axes) for use in each} == {(fan_in, axes)}


UNKNOWN: dict[str, tuple[Callable[..., Any], tuple[Shape, ...], str]] = {
    "plus its transpose": (lambda w, x: x @ (w + w.T), ((16, 16),), "add"),
    "normalised": (lambda w, x: x @ (w / jnp.linalg.norm(w)), ((16, 8),), "mul"),
    "masked": (lambda w, x: x @ (w * jnp.tril(jnp.ones((16, 16)))), ((16, 16),), "mul"),
    "summed in parts": (
        lambda w, x: x[:, :8] @ w[:8] + x[:, 8:] @ w[8:], ((16, 8),), "a part of axis 0 is summed",
    ),
    "merged LoRA": (
        lambda w, a, b, x: x @ (w + a @ b), ((16, 8), (16, 2), (2, 8)), "dot_general",
    ),
    "shifts of a convolution": (
        lambda w, x: sum(w[i] * x[:, i : i + 9] for i in range(3)), ((3,),), "sums of its products",
    ),
    "shifts of a convolution, with kernels": (
        lambda w, x: sum(x[:, i : i + 8] @ w[i] for i in range(3)),
        ((3, 8, 4),), "products with elements of axis 0 are added",
    ),
    "changes in a loop": (
        lambda w, x: lax.fori_loop(0, 3, lambda _, c: (c[0] @ c[1], 0.9 * c[1]), (x, w))[0],
        ((16, 16),), "changes from turn to turn",
    ),
    "outside": (
        lambda w, x: x @ jax.pure_callback(lambda v: v, abstract((16, 8)), w),
        ((16, 8),), "callback",
    ),
    "a constant added": (lambda w, x: x @ (w + 1), ((16, 8),), "a constant is added"),
    "dropped out": (lambda w, x: x @ (w * (x[0][:, None] > 0)), ((16, 8),), "multiplied by data"),
    "modulated": (
        lambda w, x: jnp.einsum("bi,bij->bj", x, w * x[:, :, None]), ((16, 8),), "multiplied by",
    ),
    "a convolution, modulated": (
        lambda w, x: conv(x.reshape(1, 1, 2, 16), w * x[0][:, None]),
        ((1, 1, 16, 8),), "multiplied by data",
    ),
    "padded": (lambda w, x: x @ jnp.pad(w, ((0, 4), (0, 0))), ((12, 8),), "pad"),
    "branches that differ": (
        lambda w, x: x @ lax.cond(x.sum() > 0, lambda: w, lambda: w.T), ((16, 16),), "branches",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_has_no_rule_is_unknown_and_says_why(name: str) -> None:
    function, shapes, reason = UNKNOWN[name]

    each = found(function, shapes, X)

    unknown = [use for use in each if use.kind == "unknown"]
    assert {use.parameter for use in unknown} == {str(n) for n in range(len(shapes))}
    assert all(reason in use.reason and use.fan_in is None for use in unknown)


def test_a_tied_table_has_two_uses() -> None:
    each = found(lambda w, i: (3.0 * w[i]) @ w.T, ((10, 4),), TOKENS)

    assert {(use.kind, use.fan_in, use.factor) for use in each} == {
        ("lookup", 1, 3),
        ("contraction", 4, 1),
    }


@pytest.mark.parametrize(
    "lookup",
    [
        lambda w, i: jnp.take(w, i, axis=0),
        lambda w, i: jax.nn.one_hot(i, 10) @ w,
        lambda w, i: (2 * jax.nn.one_hot(i, 10)) @ w,
        lambda w, i: jnp.einsum("bv,vd->bd", jax.nn.one_hot(i, 10), w),
        lambda w, i: jnp.einsum("vd,vb->bd", w, jax.nn.one_hot(i, 10, axis=0)),
        lambda w, i: jnp.where(i[:, None] == jnp.arange(10), 0.5, 0.0) @ w,
        lambda w, i: jnp.eye(10)[i] @ w,
        lambda w, i: (jax.nn.one_hot(i, 10)[:, :, None] * w).sum(1),
        lambda w, i: (jax.nn.one_hot(i, 10) * (i > 0)[:, None] / 3) @ w,
        lambda w, i: lax.map(lambda one: jax.nn.one_hot(one, 10) @ w, i),
    ],
)
def test_a_lookup_sums_nothing_and_its_result_is_data(lookup: Callable[..., Any]) -> None:
    each = found(lambda w, v, i: lookup(w, i) @ v, ((10, 4), (4, 3)), TOKENS)

    assert [(use.parameter, use.kind, use.fan_in) for use in each] == [
        ("0", "lookup", 1),
        ("1", "contraction", 4),
    ]


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        (lambda i: jax.nn.one_hot(i, 5).reshape(1, 10), "of 10 data that it meets at most 2 are"),
        (lambda i: jax.nn.one_hot(jnp.stack([i] * 3), 10).sum(0), "at most 3 are not 0"),
        (lambda i: jnp.concatenate([jax.nn.one_hot(i, 5)] * 2, 1), "at most 2 are not 0"),
        (lambda i: jnp.cumsum(jax.nn.one_hot(i, 10), 0), "nobody knows how many are not 0"),
        (lambda i: jax.nn.one_hot(i, 10) + 0.1, "nobody knows how many are not 0"),
        (lambda i: (i[:, None] % 2 == jnp.arange(10) % 2) * 1.0, "nobody knows how many"),
    ],
)
def test_a_sum_over_a_choice_that_is_not_one_hot_is_unknown(
    chosen: Callable[..., Any], told: str
) -> None:
    (use,) = found(lambda w, i: chosen(i) @ w, ((10, 4),), TOKENS)

    assert (use.kind, use.fan_in) == ("unknown", None)
    assert use.reason.startswith("dot_general: of 10 data that it meets")
    assert told in use.reason


def test_a_mask_of_whole_rows_leaves_the_fan_as_it_is() -> None:
    (use,) = found(lambda w, x: (x * (x[:, :1] == 0)) @ w, ((16, 4),), X)

    assert (use.kind, use.fan_in) == ("contraction", 16)


BILINEAR: dict[str, tuple[Callable[..., Any], Shape, set[tuple[int, ...]]]] = {
    "an einsum": (
        lambda w, x: jnp.einsum("bi,ijk,bj->bk", x, w, x[:, :6]), (16, 6, 4), {(0,), (0, 1)},
    ),
    "scores": (lambda w, x: (x @ w / 2) @ jnp.tanh(x[:, :6]).T, (16, 6), {(0,), (0, 1)}),
    "written out": (lambda w, x: ((x @ w) * x[:, :6]).sum(1), (16, 6), {(0,), (0, 1)}),
}  # fmt: skip


@pytest.mark.parametrize("name", BILINEAR)
def test_a_bilinear_form_has_the_fan_of_its_first_sum_and_that_of_both(name: str) -> None:
    function, shape, axes = BILINEAR[name]

    each = found(function, (shape,), X)

    assert {(use.kind, use.fan_in) for use in each} == {("contraction", 16), ("bilinear", 96)}
    assert {use.axes for use in each} == axes


def test_products_with_two_data_that_are_then_summed_are_one_contraction() -> None:
    def form(w: Any, x: Any) -> Any:
        return (x[:, :, None, None] * w * x[:, None, :6, None]).sum((1, 2))

    (use,) = found(form, ((16, 6, 4),), X)

    assert (use.kind, use.fan_in) == ("contraction", 96)


def test_scales_and_biases_meet_each_datum_by_itself() -> None:
    def normed(scale: Any, bias: Any, x: Any) -> Any:
        y = (x - x.mean(-1, keepdims=True)) * lax.rsqrt(x.var(-1, keepdims=True))
        return y * (1 + scale) + bias

    each = found(normed, ((16,), (16,)), X)

    assert [(use.parameter, use.kind) for use in each] == [("0", "elementwise"), ("1", "added")]


def test_kernels_joined_along_what_is_summed_are_one_fan() -> None:
    def joined(a: Any, b: Any, x: Any) -> Any:
        return x @ jnp.concatenate([a, b])

    assert {use.fan_in for use in found(joined, ((8, 4), (8, 4)), X)} == {16}


def test_stacked_kernels_have_a_fan_each() -> None:
    def stacked(a: Any, b: Any, x: Any) -> Any:
        return jnp.einsum("bi,ico->bco", x, jnp.stack([a, b], 1))

    assert {use.fan_in for use in found(stacked, ((16, 4), (16, 4)), X)} == {16}


def test_a_stride_that_divides_no_kernel_has_a_range_of_fans() -> None:
    (use,) = found(lambda w, x: upsampled(x, w), ((3, 3, 16, 5),), IMAGE)

    assert (use.fan_min, use.fan_in, use.fan_max) == (16, 36, 64)


def test_a_state_that_begins_with_zeros_is_data() -> None:
    each = found(recurrent, ((8, 8), (16, 8)), abstract((5, 2, 16)))

    assert [(use.kind, use.fan_in) for use in each] == [("contraction", 8), ("contraction", 16)]


def test_a_state_of_zeros_joined_with_what_comes_is_data() -> None:
    def model(kernel: Any, x: Any) -> Any:
        def step(state: Any, now: Any) -> Any:
            return jnp.tanh(jnp.concatenate([now, state], -1) @ kernel), None

        return lax.scan(step, jnp.stack([jnp.zeros(8)] * 2), x)[0]

    (use,) = found(model, ((24, 8),), abstract((5, 2, 16)))

    assert (use.kind, use.fan_in) == ("contraction", 24)


def test_what_is_multiplied_before_counts_in_the_gain() -> None:
    (use,) = found(lambda w, x: x @ (-0.5 * w), ((16, 8),), X)

    assert (use.factor, use.fan_in) == (-0.5, 16)


def test_a_parameter_that_nothing_needs_has_no_use() -> None:
    assert found(lambda _, x: x, ((16, 8),), X) == []


def test_what_is_looked_up_enters_a_loop_as_data() -> None:
    def model(table: Any, kernel: Any, tokens: Any) -> Any:
        return lax.fori_loop(0, 3, lambda _, x: jnp.tanh(x @ kernel), table[tokens])

    each = found(model, ((10, 4), (4, 4)), TOKENS)

    assert [(use.kind, use.fan_in) for use in each] == [("lookup", 1), ("contraction", 4)]


def test_a_scale_of_what_is_then_summed_is_met_by_itself() -> None:
    each = found(lambda s, x: (s * x) @ x.T, ((16,),), X)

    assert [use.kind for use in each] == ["elementwise"]


def test_of_shifts_that_are_added_no_fan_is_told() -> None:
    function, shapes, _ = UNKNOWN["shifts of a convolution, with kernels"]

    assert {use.fan_in for use in found(function, shapes, X)} == {None}


def test_layers_of_one_stack_that_a_residual_joins_have_a_fan_each() -> None:
    def residual(w: Any, x: Any) -> Any:
        x = jnp.tanh(x)
        for number in range(3):
            x = x + x @ w[number]
        return x

    assert {use.fan_in for use in found(residual, ((3, 16, 16),), X)} == {16}


def test_what_is_returned_once_it_met_data_is_used() -> None:
    each = found(lambda s, t, i, x: (s * x, t[i]), ((16,), (5, 8)), TOKENS, X)

    assert [(use.parameter, use.kind) for use in each] == [("0", "elementwise"), ("1", "lookup")]


def test_what_is_returned_without_meeting_data_is_unknown() -> None:
    (use,) = found(lambda w, x: (jnp.linalg.norm(w), x), ((16, 8),), X)

    assert (use.kind, use.where) == ("unknown", "output")


def test_what_data_chose_on_both_sides_is_unknown() -> None:
    each = found(lambda w, v, i: w[i] @ v[i].T, ((5, 8), (5, 8)), TOKEN)

    assert {use.reason for use in each} == {"data chose both sides of the product"}
