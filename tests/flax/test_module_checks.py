"""A layer's tree against its claims, on both sides of what roundings explain. No Flax, no JAX."""

from __future__ import annotations

import math

import numpy as np
import pytest

from conformance.core.arrays import Array
from conformance.core.laws import Constant, Normal
from conformance.flax import checks as modules
from conformance.flax.checks import (
    NORMALIZATION_ROUNDINGS,
    derived_key,
    parameter_fault,
    tree_fault,
)
from conformance.flax.layers import Claim, Layer
from conformance.oracle import fold_in, linen_key, nnx_key, seed_key
from tests.evidence import last

HALF_EPSILON = {"float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}


def claim(
    path: str = "params.kernel",
    draw: int | None = 1,
    shape: tuple[int, ...] = (4, 3),
    *,
    stored: str = "",
    normalized: bool = False,
) -> Claim:
    return Claim(
        path=tuple(path.split(".")),
        shape=shape,
        draw=draw,
        definition=Normal(stddev=1.0),
        drawn_shape=shape,
        stored=stored,
        normalized=normalized,
    )


def layer(name: str, *claims: Claim) -> Layer:
    def build() -> None:
        raise AssertionError("a check built the layer")

    return Layer(name=name, build=build, claims=claims)


LINEN, NNX = layer("flax.linen.Dense"), layer("flax.nnx.Linear")

# --- Keys ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("params.kernel", ()),
        ("params.inner.kernel", ("inner",)),
        ("batch_stats.outer.inner.mean", ("outer", "inner")),
    ],
)
@pytest.mark.parametrize("separator", [False, True])
def test_a_key_of_linen_follows_from_the_scope_and_the_draw(
    path: str, scope: tuple[str, ...], separator: bool
) -> None:
    found = derived_key(LINEN, claim(path, draw=2), 7, separator=separator)

    expected = linen_key(seed_key(7), (*scope, 2), separator=separator)
    assert found is not None
    assert found.tolist() == expected.tolist()


def test_a_path_is_joined_without_a_mark_unless_asked() -> None:
    plain = derived_key(LINEN, claim("params.inner.kernel"), 7)
    marked = derived_key(LINEN, claim("params.inner.kernel"), 7, separator=True)

    assert plain is not None
    assert marked is not None
    assert plain.tolist() == linen_key(seed_key(7), ("inner", 1)).tolist()
    assert plain.tolist() != marked.tolist()


@pytest.mark.parametrize("draw", [0, 1, 5])
def test_a_key_of_nnx_follows_from_its_count(draw: int) -> None:
    found = derived_key(NNX, claim("inner.kernel", draw=draw), 7)

    assert found is not None
    assert found.tolist() == fold_in(seed_key(7), draw).tolist()
    assert found.tolist() == nnx_key({"default": 7}, "params", draw).tolist()


@pytest.mark.parametrize("of", [LINEN, NNX], ids=["linen", "nnx"])
def test_what_is_not_drawn_has_no_key(of: Layer) -> None:
    assert derived_key(of, claim(draw=None), 7) is None


# --- The tree ------------------------------------------------------------------------------------

ARRAY = np.zeros(1, np.float32)
TWO = layer("flax.linen.Two", claim("params.a"), claim("params.b"))


def test_a_tree_of_all_that_is_promised_has_no_fault() -> None:
    assert tree_fault(TWO, {"params.b": ARRAY, "params.a": ARRAY}) == ""


def test_what_is_missing_and_what_nobody_promised_are_named_in_order() -> None:
    assert tree_fault(TWO, {}) == "flax.linen.Two lacks params.a, params.b"
    assert tree_fault(TWO, dict.fromkeys(["params.a", "params.b", "d", "c"], ARRAY)) == (
        "flax.linen.Two has no claim for c, d"
    )
    assert tree_fault(TWO, {"params.a": ARRAY, "c": ARRAY}) == (
        "flax.linen.Two lacks params.b; flax.linen.Two has no claim for c"
    )


# --- Parameters ----------------------------------------------------------------------------------

DRAWN = np.arange(1, 13, dtype=np.float32).reshape(4, 3) / 16


def fault(actual: Array, of: Claim | None = None, drawn: Array = DRAWN) -> str:
    return parameter_fault(of or claim(), "float32", {"params.kernel": actual}, drawn)


def test_a_parameter_is_its_draw_to_the_bit() -> None:
    off = DRAWN.copy()
    off[2, 1] = np.nextafter(off[2, 1], np.float32(9))
    off[3, 0] = 0.5

    assert fault(DRAWN.copy()) == ""
    assert fault(off) == (
        "is not Normal(stddev=1.0) of draw 1: 2 of 12 elements differ, first is 0.50000006, "
        "should be 0.5"
    )


def test_the_sign_of_a_zero_counts() -> None:
    zeros = np.zeros((4, 3), np.float32)
    negative = zeros.copy()
    negative[1, 1] = -0.0

    assert "1 of 12 elements differ, first is -0.0, should be 0.0" in fault(negative, drawn=zeros)


def test_a_draw_is_rounded_to_the_dtype_that_is_stored() -> None:
    of = claim(stored="float16")
    drawn = DRAWN + np.float32(2.0**-20)

    assert fault(drawn.astype(np.float16), of, drawn) == ""
    assert fault(drawn, of, drawn) == "is float32[4, 3], not float16[4, 3]"


def test_a_draw_takes_the_shape_of_the_claim() -> None:
    assert fault(DRAWN, drawn=DRAWN.reshape(2, 6)) == ""
    assert fault(DRAWN.reshape(2, 6)) == "is float32[2, 6], not float32[4, 3]"


def test_a_transposed_view_is_read_in_its_own_order() -> None:
    of = claim(shape=(3, 4))

    assert fault(DRAWN.T, of, DRAWN.T) == ""
    assert "10 of 12 elements differ" in fault(DRAWN.T, of, DRAWN)


def test_a_constant_is_told_as_what_it_must_be() -> None:
    of = Claim(
        path=("params", "kernel"),
        shape=(2,),
        draw=None,
        definition=Constant(value=1.0),
        drawn_shape=(2,),
    )

    found = fault(np.zeros(2, np.float32), of, np.ones(2, np.float32))

    assert found.startswith("is not Constant(value=1.0) of draw None: 2 of 2 elements differ")


# --- Weight norm ---------------------------------------------------------------------------------

ONES = np.ones((4, 3), np.float32)
"""Each column has length 2."""

SCALE = np.array([1.0, 2.0, -8.0], np.float32)
FACTOR = np.array([0.5, 1.0, -4.0])
NORMALIZED = claim("params.inner.kernel", stored="float64", normalized=True)
"""Stored in float64 so that a test may go one double beyond a bound."""


def weight_fault(actual: Array, drawn: Array = ONES, scale: Array = SCALE) -> str:
    tree = {"params.inner.kernel": actual, "params.inner/kernel/scale": scale}
    return parameter_fault(NORMALIZED, "float32", tree, drawn)


def bound_of(roundings: float, dtype: str = "float32") -> float:
    """Return n u / (1 - n u): Higham's gamma."""
    return roundings * HALF_EPSILON[dtype] / (1 - roundings * HALF_EPSILON[dtype])


WEIGHT_ROUNDINGS = (4 + 1) / 2 + 3 + 1
"""The sum of 4 squares and tiny, halved by the root; root and quotient; two products."""


def test_a_column_is_its_draw_times_its_scale_over_its_length() -> None:
    assert weight_fault(ONES * FACTOR) == ""


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("direction", [1, -1])
def test_a_column_may_be_off_by_the_roundings_of_its_norm(dtype: str, direction: int) -> None:
    drawn, bound = ONES.astype(dtype), bound_of(WEIGHT_ROUNDINGS, dtype)
    furthest = last(
        1 + direction * bound, direction * math.inf, lambda relative: abs(relative - 1) <= bound
    )

    at, beyond = (
        weight_fault(ONES * FACTOR * np.array([1, relative, 1]), drawn)
        for relative in (furthest, math.nextafter(furthest, direction * math.inf))
    )

    assert furthest == pytest.approx(1 + direction * bound, rel=1e-15)
    assert at == ""
    assert beyond.startswith("is not its draw divided by its norm: the factor is ")


def test_a_column_at_the_bound_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modules, "_bound", lambda *_: 2.0**-30)

    at, beyond = (
        weight_fault(ONES * FACTOR * (1 + error)) for error in (2.0**-30, 2.0**-30 + 2.0**-52)
    )

    assert at == ""
    assert beyond.startswith("is not its draw divided by its norm: the factor is ")


def test_a_wrong_factor_is_told_of_the_worst_element() -> None:
    actual = ONES * FACTOR
    actual[1, 1], actual[2, 2] = 1.01, -4.4

    assert weight_fault(actual) == (
        "is not its draw divided by its norm: the factor is -4.4, should be -4"
    )


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_element_that_is_not_finite_is_a_fault(value: float) -> None:
    actual = ONES * FACTOR
    actual[3, 0] = value

    assert weight_fault(actual).startswith("is not its draw divided by its norm")


def test_an_element_without_a_ratio_is_a_fault() -> None:
    drawn = ONES.copy()
    drawn[0, 0] = 0.0
    with np.errstate(invalid="ignore"):
        found = weight_fault(drawn * FACTOR, drawn)

    assert found.startswith("is not its draw divided by its norm: the factor is nan")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_elements_of_a_column_share_their_factor_but_for_four_roundings(dtype: str) -> None:
    spread = NORMALIZATION_ROUNDINGS * HALF_EPSILON[dtype]
    furthest = last(1 + spread, math.inf, lambda relative: relative - 1 <= spread)
    actual = [ONES * FACTOR, ONES * FACTOR]
    actual[0][2, 1] *= furthest
    actual[1][2, 1] *= math.nextafter(furthest, math.inf)

    at, beyond = (weight_fault(array, ONES.astype(dtype)) for array in actual)

    assert NORMALIZATION_ROUNDINGS == 4
    assert at == ""
    assert beyond == (
        f"is not its draw times one factor a column: the factors spread by {spread:.3g}"
    )


def test_columns_may_have_different_errors() -> None:
    """Three roundings up and three down: more than four apart, and each within its own."""
    step = 3 * HALF_EPSILON["float32"]

    assert weight_fault(ONES * FACTOR * np.array([1 + step, 1 - step, 1])) == ""


# --- Spectral norm -------------------------------------------------------------------------------


def spectral_fault(actual: Array, drawn: Array, start: Array) -> str:
    tree = {"params.inner.kernel": actual, "batch_stats.inner/kernel/u": start}
    of = claim("params.inner.kernel", shape=drawn.shape, stored="float64", normalized=True)
    return parameter_fault(of, "float32", tree, drawn)


def rank_one(rows: int, columns: int) -> Array:
    """Return a matrix whose norm is root(rows columns), whatever the start."""
    return np.ones((rows, columns), np.float32)


def held_to(relative: float, drawn: Array, start: Array, norm: float) -> str:
    return spectral_fault(drawn.astype(np.float64) / norm * relative, drawn, start)


@pytest.mark.parametrize(
    ("drawn", "start", "norm", "roundings"),
    [
        # |W| |u| / |W u| = 1 and |W| / norm = 1: 4 (1 + 2), twice 2.5 + 3, two of the division.
        (rank_one(4, 3), [[1, 1, 1]], math.sqrt(12), 4 * 3 + 2 * 5.5 + 2),
        (rank_one(3, 4), [[1, 1, 1, 1]], math.sqrt(12), 4 * 3 + 2 * 5.5 + 2),
        (rank_one(4, 1), [[3]], 2.0, 4 * 3 + 2 * 5.5 + 2),
        # |W| |u| / |W u| = root 2.
        (rank_one(2, 2), [[1, 0]], 2.0, 2 * (math.sqrt(2) + 2) + 2 * 4.5 + 2),
        # Both singular values are root 2: |W| / norm = root 2 as well.
        (
            np.array([[1, 1], [1, -1]], np.float32),
            [[1, 0]],
            math.sqrt(2),
            (2 * (math.sqrt(2) + 2) + 2 * 4.5 + 2) * math.sqrt(2),
        ),
    ],
    ids=["tall", "wide", "column", "other start", "two singular values"],
)
@pytest.mark.parametrize("direction", [1, -1])
def test_a_kernel_may_be_off_by_the_roundings_of_one_step_of_power_iteration(
    drawn: Array, start: list[list[float]], norm: float, roundings: float, direction: int
) -> None:
    bound, u = bound_of(roundings), np.array(start, np.float32)

    exact = held_to(1.0, drawn, u, norm)
    within = held_to(1 + direction * bound * (1 - 1e-6), drawn, u, norm)
    beyond = held_to(1 + direction * bound * (1 + 1e-6), drawn, u, norm)

    assert (exact, within) == ("", "")
    assert beyond.startswith("is not its draw divided by its norm: the factor is ")


def test_the_norm_is_that_after_one_step_and_not_the_largest_singular_value() -> None:
    """From (1, 0) the step reaches v = W u / |W u|, and |v W| = |W^T W u| / |W u|."""
    drawn = np.array([[4.0, 1.0], [2.0, 3.0]], np.float32)
    wide = drawn.astype(np.float64)
    u = np.array([1.0, 0.0])
    norm = float(np.linalg.norm(wide.T @ wide @ u) / np.linalg.norm(wide @ u))

    start = u[None].astype(np.float32)

    assert held_to(1.0, drawn, start, norm) == ""
    assert "should be" in held_to(1.0, drawn, start, float(np.linalg.norm(wide, 2)))


def test_the_scale_of_the_tree_comes_before_its_vector() -> None:
    tree = {
        "params.inner.kernel": ONES * FACTOR,
        "params.inner/kernel/scale": SCALE,
        "batch_stats.inner/kernel/u": np.ones((1, 3), np.float32),
    }

    assert parameter_fault(NORMALIZED, "float32", tree, ONES) == ""


def test_a_norm_that_the_tree_does_not_state_is_a_fault() -> None:
    tree = {"params.inner.kernel": ONES * FACTOR}

    assert parameter_fault(NORMALIZED, "float32", tree, ONES) == (
        "is normalized, but neither inner/kernel/scale nor inner/kernel/u says by which norm"
    )
