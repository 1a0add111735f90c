"""The law of a draw is read from the primitives of its program, and never guessed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from conformance.models.formula import read, root_keys
from conformance.models.law import LawRead, law_read, text_of
from conformance.models.names import library_names, names_by_axes
from conformance.observe.jax_compat import traced

INITIALIZERS = jax.nn.initializers
SHAPE = (16, 32)

Draw = Callable[[Any, Any], Any]


def law(draw: Draw, dtype: Any = jnp.float32) -> LawRead:
    program = traced(lambda key: draw(key, dtype), jax.random.key(0))
    return law_read(read(program, [root_keys("key", "fry")])[0])


def named(initializer: Any) -> Draw:
    return lambda key, dtype: initializer(key, SHAPE, dtype)


LAWS: dict[str, tuple[Draw, str]] = {
    "lecun_normal": (named(INITIALIZERS.lecun_normal()), "truncated_normal(stddev=0.2842, -2, 2)"),
    "he_uniform": (named(INITIALIZERS.he_uniform()), "uniform(-0.6124, 0.6124)"),
    "normal": (named(INITIALIZERS.normal(0.02)), "normal(stddev=0.02)"),
    "uniform": (named(INITIALIZERS.uniform(0.3)), "uniform(scale=0.3)"),
    "other bounds": (
        named(INITIALIZERS.truncated_normal(0.02, lower=-3.0, upper=1.0)),
        "truncated_normal(stddev=0.02, -3, 1)",
    ),
    "orthogonal": (named(INITIALIZERS.orthogonal(2.0)), "orthogonal(scale=2)"),
    "delta_orthogonal": (
        lambda key, dtype: INITIALIZERS.delta_orthogonal(2.0)(key, (3, 4, 4, 8), dtype),
        "delta_orthogonal(scale=2)",
    ),
    "ends": (
        lambda key, dtype: jax.random.uniform(key, SHAPE, dtype, -0.25, 0.25),
        "uniform(-0.25, 0.25)",
    ),
    "shifted": (
        lambda key, dtype: 1 + 0.1 * jax.random.normal(key, SHAPE, dtype),
        "1 + normal(stddev=0.1)",
    ),
    "zeros": (named(INITIALIZERS.zeros), "constant(0)"),
    "stacked": (
        lambda key, dtype: jnp.stack(
            [INITIALIZERS.normal(0.5)(each, (2, 3), dtype) for each in jax.random.split(key)]
        ),
        "normal(stddev=0.5)",
    ),
    "of stacked keys": (
        lambda key, dtype: jax.vmap(lambda each: INITIALIZERS.normal(0.5)(each, (2, 3), dtype))(
            jnp.stack([jax.random.fold_in(key, number) for number in range(2)])
        ),
        "normal(stddev=0.5)",
    ),
}


@pytest.mark.parametrize("name", LAWS)
def test_a_law_is_read_with_its_bounds_and_its_scale(name: str) -> None:
    draw, text = LAWS[name]

    assert text_of(law(draw)) == text


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["lecun_normal", "he_uniform", "normal", "other bounds"])
def test_16_bits_have_the_same_laws_with_a_rounded_scale(name: str, dtype: str) -> None:
    draw, _ = LAWS[name]
    exact, found = law(draw), law(draw, jnp.dtype(dtype))

    assert type(found.definition) is type(exact.definition)
    assert found.drawn_dtype == dtype
    assert found.variance == pytest.approx(exact.variance, rel=0.02)


def other_signs(matrix: Any) -> Any:
    q, r = jnp.linalg.qr(matrix)
    return q * jnp.sign(r[0])


COMPLEX: dict[str, tuple[Any, str, str]] = {
    "normal": (INITIALIZERS.normal(0.02), "complex normal of stddev 0.02", ""),
    "lecun_normal": (
        INITIALIZERS.lecun_normal(), "complex truncated_normal of stddev 0.2523", "lecun_normal",
    ),
    "he_uniform": (INITIALIZERS.he_uniform(), "complex uniform of stddev 0.3536", "he_uniform"),
    "not truncated": (
        INITIALIZERS.variance_scaling(1.0, "fan_in", "normal"), "complex normal of stddev 0.25",
        "lecun_normal (not truncated)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPLEX)
def test_the_law_of_complex_numbers_is_read_and_named(name: str) -> None:
    initializer, text, called = COMPLEX[name]

    found = law(named(initializer), jnp.complex64)

    assert text_of(found) == text
    assert found.scaled is not None
    assert called in (*library_names(found.scaled, SHAPE, found.drawn_dtype), "")


@pytest.mark.parametrize(
    "draw",
    [
        lambda key: jax.random.normal(key, SHAPE, "complex64") ** 2,
        lambda key: jax.lax.complex(
            jax.random.normal(key, SHAPE), 2 * jax.random.normal(jax.random.fold_in(key, 1), SHAPE)
        ),
        lambda key: jnp.exp(1j * jax.random.normal(key, SHAPE)),
    ],
)
def test_complex_numbers_of_another_law_are_unknown(draw: Any) -> None:
    found = law(lambda key, _: draw(key))

    assert (found.definition, found.scaled) == (None, None)
    assert "complex numbers" in found.reason


UNKNOWN: dict[str, tuple[Draw, str]] = {
    "clipped": (lambda key, _: jnp.clip(jax.random.normal(key, SHAPE), -2, 2), "max"),
    "gumbel": (lambda key, _: jax.random.gumbel(key, SHAPE), "log"),
    "masked": (lambda key, _: jax.random.bernoulli(key, 0.5, SHAPE) * 1.0, "lt"),
    "two draws": (
        lambda key, _: sum(jax.random.normal(k, SHAPE) for k in jax.random.split(key)),
        "add of two arrays that are drawn",
    ),
    "not in the centre": (
        lambda key, _: jnp.zeros((3, 8, 4)).at[0].set(INITIALIZERS.orthogonal()(key, (8, 4))),
        "at (0,) in the midst of zeros: orthogonal",
    ),
    "reversed in the centre": (
        lambda key, _: (
            jnp.zeros((3, 4, 4))
            .at[1, jnp.arange(4)[::-1]]
            .set(INITIALIZERS.orthogonal()(key, (4, 4)))
        ),
        "scatter",
    ),
    "permuted": (lambda key, _: jax.random.permutation(key, 16.0 * jnp.arange(16)), "sort"),
    "Q without signs": (
        lambda key, _: jnp.linalg.qr(jax.random.normal(key, (8, 8)))[0] * 2,
        "mul of the factors of a QR",
    ),
    "other signs": (
        lambda key, _: other_signs(jax.random.normal(key, (8, 8))),
        "mul of the factors of a QR",
    ),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_draw_of_no_known_law_is_unknown_by_the_operation(name: str) -> None:
    draw, reason = UNKNOWN[name]
    found = law(draw)

    assert found.definition is None
    assert reason in found.reason


def test_all_initializers_of_one_law_are_named() -> None:
    square = law(lambda key, _: INITIALIZERS.lecun_normal()(key, (16, 16)))

    assert square.definition is not None
    assert library_names(square.definition, (16, 16), "float32") == (
        "lecun_normal",
        "glorot_normal",
    )


HE, UNIFORM = INITIALIZERS.he_normal, INITIALIZERS.lecun_uniform
HE_FAN_OUT = INITIALIZERS.variance_scaling(2.0, "fan_out", "truncated_normal")


@pytest.mark.parametrize(
    ("initializer", "shape", "axes", "names"),
    [
        (
            HE(in_axis=1, out_axis=0), (32, 24), (1,),
            {"he_normal by fan_out", "he_normal with in_axis=1, out_axis=0"},
        ),
        (
            INITIALIZERS.glorot_normal(in_axis=1, out_axis=2, batch_axis=0), (4, 32, 8), (1,),
            {"glorot_normal with in_axis=1, out_axis=2, batch_axis=0"},
        ),
        (HE_FAN_OUT, (3, 3, 8, 20), (0, 1, 2), {"he_normal by fan_out"}),
        (
            INITIALIZERS.lecun_normal(), (16, 32), (0,),
            {"lecun_normal", "he_normal by fan_out"},
        ),
        (
            INITIALIZERS.lecun_normal(), (32, 16), (1,),
            {"lecun_normal"},
        ),
        (
            INITIALIZERS.variance_scaling(2.0, "fan_out", "uniform", 1, 0), (20, 8, 3, 3),
            (1, 2, 3), {"he_uniform by fan_out with in_axis=1, out_axis=0"},
        ),
        (UNIFORM(), (3, 3, 8, 20), (0, 1, 2), {"lecun_uniform"}),
    ],
)  # fmt: skip
def test_all_names_of_a_law_are_told_with_the_axes_that_they_need(
    initializer: Any, shape: tuple[int, ...], axes: tuple[int, ...], names: set[str]
) -> None:
    found = law(lambda key, _: initializer(key, shape))

    assert found.definition is not None
    known = library_names(found.definition, shape, "float32")
    field = axes[1:] if axes == (1, 2, 3) else axes[:2] if len(axes) > 1 else ()
    explicit = names_by_axes(found.definition, shape, "float32", axes, field, known)
    assert {*known, *explicit} == names


def test_a_normal_that_is_cut_and_not_corrected_has_no_name() -> None:
    cut = law(named(INITIALIZERS.truncated_normal(0.25)))

    assert cut.definition is not None
    assert library_names(cut.definition, SHAPE, "float32") == ()
