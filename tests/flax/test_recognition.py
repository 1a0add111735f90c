"""From arrays that the oracle draws back to their keys, laws and fans, and where that must end."""

from __future__ import annotations

import bisect
import functools
import itertools
import math
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

from conformance.core.arrays import Array, as_dtype, widen
from conformance.core.ids import Problem
from conformance.core.laws import (
    TRUNCATED_STDDEV,
    UNITS,
    Definition,
    Normal,
    Orthogonal,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
)
from conformance.flax import recognition
from conformance.flax.layers import EMBEDDING
from conformance.flax.recognition import (
    FEWEST_FOR_A_KEY,
    LENGTH_TOLERANCE,
    MOST_COMPARED,
    MOST_FACTORED,
    PREFIX,
    UNKNOWN,
    Recognised,
    exact_moments,
    matching_key,
    matching_orthogonal_key,
    recognise,
)
from conformance.judge.alpha import RECOGNITION
from conformance.oracle import fold_in, seed_key, solve
from conformance.oracle.distributions import lattice
from conformance.oracle.threefry import Key, random_bits

KEY = seed_key(7)
REALS = ("float32", "float16", "bfloat16", "float64")


@pytest.fixture
def round_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decide at figures that are easily read, and need no large arrays."""
    monkeypatch.setattr(recognition, "KOLMOGOROV", 2.8)
    monkeypatch.setattr(recognition, "STANDARD_ERRORS", 5)
    monkeypatch.setattr(recognition, "LIKELIHOOD", math.log(1e6))


def test_a_right_law_is_refused_as_often_as_the_error_budget_allows() -> None:
    alpha = pytest.approx(RECOGNITION.alpha, rel=1e-9, abs=0)

    assert 2 * math.exp(-2 * recognition.KOLMOGOROV**2) == alpha
    assert 2 * stats.norm.sf(recognition.STANDARD_ERRORS) == alpha
    assert math.exp(-recognition.LIKELIHOOD) == alpha


@functools.cache
def _drawn(
    definition: Definition, shape: tuple[int, ...], dtype: str, number: int, prng: str
) -> Array:
    problem = Problem(initializer="mine", dtype=dtype, shape=shape, seed=0, prng=prng)
    solution = solve(problem, definition, key=fold_in(KEY, number) if number else KEY)
    return solution.expected if solution.followed is None else solution.followed


def drawn(
    definition: Definition,
    shape: tuple[int, ...] = (8, 16),
    dtype: str = "float32",
    *,
    number: int = 0,
    prng: str = "threefry2x32_partitionable",
) -> Array:
    """Return what an initializer so defined makes of KEY, or of KEY folded with a number."""
    return _drawn(definition, shape, dtype, number, prng).copy()


def candidates(count: int = 6) -> list[tuple[int, Key]]:
    return [(number, fold_in(KEY, number)) for number in range(1, count + 1)]


def scaling(
    mode: str = "fan_in", distribution: str = "truncated_normal", scale: float = 1.0, **axes: Any
) -> VarianceScaling:
    return VarianceScaling(scale=scale, mode=mode, distribution=distribution, **axes)


NORMAL = Normal(stddev=3.0)
LAWS: tuple[Definition, ...] = (
    NORMAL,
    TruncatedNormal(stddev=0.3),
    Uniform(scale=0.3),
    scaling("fan_in", "truncated_normal"),
    scaling("fan_out", "uniform"),
)

# --- Keys ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("definition", LAWS, ids=str)
@pytest.mark.parametrize("dtype", REALS)
def test_the_key_of_a_draw_is_told_from_others_whatever_its_law(
    definition: Definition, dtype: str
) -> None:
    array = drawn(definition, dtype=dtype, number=4)

    match = matching_key(array, candidates())

    assert match is not None
    assert match[0] == 4
    assert matching_key(array, candidates(3)) is None


def test_the_first_of_two_equal_candidates_is_returned() -> None:
    array = drawn(NORMAL)

    match = matching_key(array, [("other", fold_in(KEY, 1)), ("one", KEY), ("two", KEY)])

    assert match == ("one", KEY)


def test_without_candidates_there_is_no_key() -> None:
    assert matching_key(drawn(NORMAL), []) is None


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_a_draw_in_float32_that_was_cast_has_its_key(dtype: str) -> None:
    array = drawn(NORMAL, number=2).astype(as_dtype(dtype))

    match = matching_key(array, candidates())

    assert match is not None
    assert match[0] == 2


def test_a_float32_array_was_drawn_in_float32() -> None:
    array = drawn(NORMAL, dtype="bfloat16", number=2).astype(np.float32)

    assert matching_key(array, candidates()) is None


@pytest.mark.parametrize("is_partitionable", [True, False])
def test_the_layout_of_the_words_is_the_one_that_is_said(is_partitionable: bool) -> None:
    """Without it the first words depend on how many there are."""
    layout = "partitionable" if is_partitionable else "nonpartitionable"
    array = drawn(NORMAL, (16, 16), number=3, prng=f"threefry2x32_{layout}")

    right = matching_key(array, candidates(), partitionable=is_partitionable)
    wrong = matching_key(array, candidates(), partitionable=not is_partitionable)

    assert right is not None
    assert right[0] == 3
    assert wrong is None


def test_thirteen_values_tell_a_key_and_twelve_do_not() -> None:
    assert FEWEST_FOR_A_KEY == 13
    assert matching_key(drawn(NORMAL, (13,)), [("own", KEY)]) == ("own", KEY)
    assert matching_key(drawn(NORMAL, (12,)), [("own", KEY)]) is None


def test_values_that_are_equal_count_once() -> None:
    """Rounded to 12 or 13 different values, a draw is monotone in its words all the same."""
    array = drawn(NORMAL, (64,))
    order = np.argsort(array)
    twelve, thirteen = (array.copy() for _ in range(2))
    for steps, count in ((twelve, 12), (thirteen, 13)):
        for part in np.array_split(order, count):
            steps[part] = steps[part[0]]

    assert matching_key(thirteen, [("own", KEY)]) == ("own", KEY)
    assert matching_key(twelve, [("own", KEY)]) is None


def test_only_the_first_64_values_are_looked_at() -> None:
    array = drawn(NORMAL, (80,))
    array[PREFIX:] = 0.0
    wrong = array.copy()
    wrong[PREFIX - 1] = -wrong[PREFIX - 1]

    assert PREFIX == 64
    assert matching_key(array, [("own", KEY)]) == ("own", KEY)
    assert matching_key(wrong, [("own", KEY)]) is None


def test_a_value_that_falls_between_distant_words_rules_a_key_out() -> None:
    """The two that trade places are neighbours by their words, and not in the array."""
    array = drawn(NORMAL, (64,))
    order = np.argsort(array)
    one, two = next((a, b) for a, b in itertools.pairwise(order) if abs(int(a) - int(b)) > 1)
    array[[one, two]] = array[[two, one]]

    assert matching_key(array, [("own", KEY)]) is None


def test_equal_words_have_equal_values() -> None:
    """Of 128 lattice points some are drawn twice in 64 draws; one of such a pair is changed."""
    array = drawn(NORMAL, (64,), "bfloat16")
    fractions = lattice(random_bits(KEY, 8, (64,), partitionable=True), array.dtype)
    last = next(
        index
        for index in reversed(range(64))
        if (fractions[:index] == fractions[index]).any() and 0.25 < abs(array[index]) < 2.0
    )
    changed = array.copy()
    changed[last] = np.nextafter(changed[last], changed.dtype.type(99))

    assert matching_key(array, [("own", KEY)]) == ("own", KEY)
    assert matching_key(changed, [("own", KEY)]) is None


# --- Laws of known keys --------------------------------------------------------------------------

SHAPE = (8, 32)
PYTORCH = "uniform of +-fan_in**-0.5 (PyTorch)"
SUFFIXES = {"truncated_normal": "normal", "normal": "normal (not truncated)", "uniform": "uniform"}


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("distribution", SUFFIXES)
@pytest.mark.parametrize(
    ("base", "mode", "scale", "fan"),
    [("lecun", "fan_in", 1.0, 8.0), ("he", "fan_in", 2.0, 8.0), ("glorot", "fan_avg", 1.0, 20.0)],
)
def test_a_scaling_is_named_with_its_fan(
    base: str, mode: str, scale: float, fan: float, distribution: str, dtype: str
) -> None:
    definition = scaling(mode, distribution, scale)

    found = recognise(drawn(definition, SHAPE, dtype), KEY)

    assert found == Recognised(
        initializer=f"{base}_{SUFFIXES[distribution]}",
        definition=definition,
        drawn_dtype=dtype,
        fan=fan,
        is_exact=True,
    )


@pytest.mark.parametrize("key", [KEY, None])
@pytest.mark.parametrize(
    ("definition", "shape", "name", "axes"),
    [
        (
            TruncatedNormal(stddev=0.25),
            (16, 32),
            "lecun_normal without its correction (Haiku)",
            (-2, -1),
        ),
        (Uniform(scale=0.125, lower=-1.0), (64, 48), PYTORCH, (-2, -1)),
        (Uniform(scale=8**-0.5, lower=-1.0), (32, 8), PYTORCH, (-1, -2)),
    ],
)
def test_scalings_of_other_libraries_are_named_and_of_values_alone_the_nearest_first(
    definition: Definition,
    shape: tuple[int, ...],
    name: str,
    axes: tuple[int, int],
    key: Key | None,
) -> None:
    found = recognise(drawn(definition, shape), key)

    assert found.initializer.split(" or ")[0] == name
    assert (found.fan, found.fault) == (shape[axes[0]], "")
    assert isinstance(found.definition, VarianceScaling)
    assert (found.definition.in_axis, found.definition.out_axis) == axes


NEAREST = {16: "lecun_normal", 18: "glorot_normal", 20: "embedding"}


@pytest.mark.parametrize("fan", NEAREST)
def test_of_several_fans_the_nearest_comes_first(fan: int) -> None:
    """320 values may be of any fan of 16 to 20, a tenth of the stddev apart."""
    array = quantiles(WHOLE, 320).reshape(16, 20)

    found = recognise(array / array.std() / np.float32(math.sqrt(fan)), None)

    whole = [name for name in found.initializer.split(" or ") if "truncated_" not in name]
    names = [name.removesuffix(" (not truncated)") for name in whole]
    assert set(NEAREST.values()) <= set(names)
    assert (names[0], found.fan) == (NEAREST[fan], fan)


@pytest.mark.parametrize("distribution", ["truncated_normal", "uniform"])
@pytest.mark.parametrize(("base", "scale"), [("lecun", 1.0), ("he", 2.0)])
def test_the_fan_of_the_wrong_side_is_a_fault(base: str, scale: float, distribution: str) -> None:
    definition = scaling("fan_out", distribution, scale)
    name = f"{base}_{SUFFIXES[distribution]} of fan_out"

    found = recognise(drawn(definition, SHAPE), KEY)

    assert found == Recognised(
        initializer=name,
        definition=definition,
        drawn_dtype="float32",
        fan=32.0,
        is_exact=True,
        fault=f"its variance is that of {name}, fan 32",
    )


def test_an_embedding_has_a_normal_of_one_over_its_columns() -> None:
    found = recognise(drawn(EMBEDDING, (32, 8)), KEY)

    assert (found.initializer, found.definition, found.fan) == ("embedding", EMBEDDING, 8.0)
    assert found.fault == ""


def test_only_a_matrix_is_an_embedding() -> None:
    found = recognise(drawn(EMBEDDING, (2, 32, 8)), KEY)

    assert found.initializer != "embedding"


def test_a_convolution_has_the_fans_of_its_receptive_field() -> None:
    definition = scaling("fan_in")

    found = recognise(drawn(definition, (3, 8, 16)), KEY)

    assert (found.initializer, found.definition, found.fan) == ("lecun_normal", definition, 24.0)


@pytest.mark.parametrize(
    ("in_axis", "out_axis", "fan"), [((0,), (1, 2), 5.0), ((0, 1), (2,), 35.0)]
)
def test_a_kernel_of_attention_may_have_several_axes_in_or_out(
    in_axis: tuple[int, ...], out_axis: tuple[int, ...], fan: float
) -> None:
    definition = scaling("fan_in", in_axis=in_axis, out_axis=out_axis)

    found = recognise(drawn(definition, (5, 7, 11)), KEY)

    expected = ("lecun_normal", fan)
    assert (found.initializer, found.fan) == expected
    assert found.definition is not None
    assert found.fault == ""


@pytest.mark.parametrize(
    ("definition", "name"),
    [
        (TruncatedNormal(stddev=0.3), "truncated_normal(stddev=0.3)"),
        (Normal(stddev=3.0), "normal(stddev=3)"),
        (Uniform(scale=0.123456), "uniform(scale=0.1235)"),
        (Uniform(scale=-0.5), "uniform(scale=-0.5)"),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_law_without_a_fan_has_its_parameter(
    definition: Definition, name: str, dtype: str
) -> None:
    found = recognise(drawn(definition, dtype=dtype), KEY)

    if dtype == "float32":
        assert found.initializer == name
    assert found.initializer.partition("(")[0] == name.partition("(")[0]
    assert type(found.definition) is type(definition)
    assert (found.fan, found.is_exact, found.drawn_dtype, found.fault) == (None, True, dtype, "")
    assert _parameter(found.definition) == pytest.approx(_parameter(definition), rel=0.01)


def _parameter(definition: Definition | None) -> float:
    match definition:
        case Normal(stddev=value) | TruncatedNormal(stddev=value) | Uniform(scale=value):
            return value
        case _:
            raise AssertionError(definition)


@pytest.mark.parametrize("shape", [(64,), (64, 1), (1, 1, 64)])
def test_the_fan_of_one_axis_is_no_fan(shape: tuple[int, ...]) -> None:
    """He's variance at a fan of 1 is 2: of a vector it is a plain law's."""
    found = recognise(drawn(TruncatedNormal(stddev=3.0), shape), KEY)

    assert found.initializer == "truncated_normal(stddev=3)"


def test_a_kernel_of_variance_1_has_no_fan() -> None:
    definition = TruncatedNormal(stddev=1 / TRUNCATED_STDDEV)

    found = recognise(drawn(definition, (5, 7, 11)), KEY)

    assert found.initializer == "truncated_normal(stddev=1.137)"


@pytest.mark.parametrize("factor", [0.7, -0.7])
def test_a_symmetric_uniform_of_no_fan_is_that_between_its_bounds(factor: float) -> None:
    found = recognise((_symmetric() * factor).astype(np.float32), KEY)

    assert (found.initializer, found.is_exact) == ("uniform(-0.7, 0.7)", True)
    assert isinstance(found.definition, Uniform)
    assert found.definition.support == (-1.0, 1.0)
    assert found.definition.scale == pytest.approx(0.7)


def _symmetric(count: int = 64) -> Array:
    """Return a uniform on (-1, 1) at the words of KEY."""
    words = random_bits(KEY, 32, (count,), partitionable=True)
    return 2 * lattice(words, np.dtype(np.float32)) - 1


def test_a_negative_factor_has_the_same_name() -> None:
    assert recognise(-drawn(Normal(stddev=3.0)), KEY).initializer == "normal(stddev=3)"
    assert recognise(-drawn(TruncatedNormal(stddev=3.0)), KEY).initializer == (
        "truncated_normal(stddev=3)"
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_law_that_was_drawn_in_float32_says_so(dtype: str) -> None:
    array = drawn(scaling("fan_in"), SHAPE).astype(as_dtype(dtype))

    found = recognise(array, KEY)

    assert (found.initializer, found.drawn_dtype) == ("lecun_normal", "float32")


def test_the_layout_of_the_words_may_depend_on_their_number() -> None:
    array = drawn(scaling("fan_in"), SHAPE, prng="threefry2x32_nonpartitionable")

    assert recognise(array, KEY, partitionable=False).initializer == "lecun_normal"
    assert recognise(array, KEY) == UNKNOWN


def test_the_law_of_another_key_is_not_recognised() -> None:
    assert recognise(drawn(NORMAL, number=1), KEY) == UNKNOWN


@pytest.mark.parametrize(
    ("dtype", "bound"),
    [("float32", 1e-4), ("float64", 1e-4), ("float16", 12 * 2.0**-10), ("bfloat16", 12 * 2.0**-7)],
)
def test_one_value_may_be_off_by_what_its_dtype_explains(dtype: str, bound: float) -> None:
    """In units of the factor, at a value near zero, where the dtype has digits to spare."""
    array = drawn(Normal(stddev=1.0), (64,), dtype)
    place = int(np.abs(widen(array)).argmin())
    near, far = array.copy(), array.copy()
    near[place] += array.dtype.type(0.95 * bound)
    far[place] += array.dtype.type(1.05 * bound)

    assert recognise(near, KEY).initializer.startswith("normal(stddev=")
    assert recognise(far, KEY) == UNKNOWN


def test_a_residual_at_its_bound_is_a_match(monkeypatch: pytest.MonkeyPatch) -> None:
    array = drawn(NORMAL)
    fit = recognition._by_key(array, KEY, True)
    assert fit is not None
    names = []
    for bound in (fit.residual, math.nextafter(fit.residual, 0.0)):
        monkeypatch.setattr(recognition, "_residual_bound", lambda _, bound=bound: bound)
        names.append(recognise(array, KEY).initializer)

    assert fit.residual > 0
    assert names == ["normal(stddev=3)", UNKNOWN.initializer]


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [("float32", 1e-4), ("float16", 3 * 2.0**-10), ("bfloat16", 3 * 2.0**-7)],
)
@pytest.mark.parametrize("direction", [1, -1])
def test_a_stddev_is_that_of_a_fan_within_six_roundings(
    dtype: str, tolerance: float, direction: int
) -> None:
    """The exact values, rounded once, say what they were drawn with to a fiftieth of that."""
    names = []
    for part in (0.95, 1.05):
        stddev = (1 + direction * part * tolerance) / TRUNCATED_STDDEV / math.sqrt(8)
        problem = Problem(initializer="mine", dtype=dtype, shape=SHAPE, seed=0)
        array = solve(problem, TruncatedNormal(stddev=stddev), key=KEY).expected
        names.append(recognise(array, KEY).initializer.partition("(")[0])

    assert names == ["lecun_normal", "truncated_normal"]


def test_a_stddev_at_its_tolerance_is_that_of_a_fan(monkeypatch: pytest.MonkeyPatch) -> None:
    array = drawn(TruncatedNormal(stddev=1.00001 / TRUNCATED_STDDEV / math.sqrt(8)), SHAPE)
    fit = recognition._by_key(array, KEY, True)
    assert fit is not None
    off = abs(abs(fit.scale) * TRUNCATED_STDDEV / math.sqrt(1 / 8) - 1)
    names = []
    for tolerance in (off, math.nextafter(off, 0.0)):
        monkeypatch.setattr(recognition, "_stddev_tolerance", lambda *_, found=tolerance: found)
        names.append(recognise(array, KEY).initializer.partition("(")[0])

    assert names == ["lecun_normal", "truncated_normal"]


# --- Constants and what no law has ---------------------------------------------------------------


@pytest.mark.parametrize("key", [None, KEY], ids=["no key", "key"])
@pytest.mark.parametrize(("value", "name"), [(0.0, "constant(0)"), (0.25, "constant(0.25)")])
def test_equal_elements_are_a_constant(value: float, name: str, key: Key | None) -> None:
    found = recognise(np.full((4, 4), value, np.float32), key)

    assert found == Recognised(initializer=name, is_exact=True)


def test_one_element_is_a_constant() -> None:
    assert recognise(np.full(1, 2.0, np.float32), None).initializer == "constant(2)"


def test_one_element_that_differs_makes_no_constant() -> None:
    array = np.zeros((4, 4), np.float32)
    array[3, 3] = 1.0

    assert recognise(array, None) == UNKNOWN
    assert (UNKNOWN.is_exact, UNKNOWN.definition, UNKNOWN.fan) == (False, None, None)


@pytest.mark.parametrize("key", [None, KEY], ids=["no key", "key"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_array_that_is_not_finite_is_unknown(value: float, key: Key | None) -> None:
    array = drawn(NORMAL)
    array[7, 15] = value

    assert recognise(array, key) == UNKNOWN


@pytest.mark.parametrize("key", [None, KEY], ids=["no key", "key"])
@pytest.mark.parametrize(
    "array", [np.zeros((0, 4), np.float32), np.ones((4, 4), np.complex64)], ids=["empty", "complex"]
)
def test_an_array_that_no_real_law_draws_is_unknown(array: Array, key: Key | None) -> None:
    assert recognise(array, key) == UNKNOWN


# --- Orthogonal matrices -------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(16, 8), (8, 16), (2, 2), (4, 2, 4)])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
@pytest.mark.parametrize("key", [None, KEY], ids=["no key", "key"])
def test_an_orthogonal_matrix_is_recognised(
    shape: tuple[int, ...], dtype: str, key: Key | None
) -> None:
    found = recognise(drawn(Orthogonal(), shape, dtype), key)

    assert found == Recognised(initializer="orthogonal", is_exact=key is not None)


@pytest.mark.parametrize(
    ("scale", "name"),
    [
        (1.0099, "orthogonal"),
        (0.9901, "orthogonal"),
        (1.0101, "orthogonal(scale=1.01)"),
        (0.9899, "orthogonal(scale=0.9899)"),
        (0.5, "orthogonal(scale=0.5)"),
        (-2.0, "orthogonal(scale=2)"),
    ],
)
def test_a_scale_beyond_what_rounding_explains_is_told(scale: float, name: str) -> None:
    assert LENGTH_TOLERANCE == 1e-2
    assert recognise(drawn(Orthogonal(scale=scale), (16, 8)), None).initializer == name


@pytest.mark.parametrize(
    ("dtype", "bound"),
    [
        ("float32", 4 * 2.0**-23 + 16 * 2.0**-23),
        ("float16", 4 * 2.0**-10 + 16 * 2.0**-23),
        ("bfloat16", 4 * 2.0**-7 + 16 * 2.0**-23),
    ],
)
@pytest.mark.parametrize("is_wide", [False, True])
def test_columns_may_be_as_far_from_orthogonal_as_rounding_explains(
    dtype: str, bound: float, is_wide: bool
) -> None:
    """Of an identity of 16 x 2, one product is not 0."""
    near, far = (np.eye(16, 2) for _ in range(2))
    near[0, 1], far[0, 1] = 0.95 * bound, 1.1 * bound

    found = [
        recognise((array.T if is_wide else array).astype(as_dtype(dtype)), None).initializer
        for array in (near, far)
    ]

    assert found == ["orthogonal", UNKNOWN.initializer]


@pytest.mark.parametrize(
    ("rows", "name"), [(16, UNKNOWN.initializer), (17, "orthogonal(scale=2048)")]
)
def test_columns_at_the_bound_are_not_orthogonal(rows: int, name: str) -> None:
    """Of 16 rows it is 10 / 2^22 of the mean square, which is 2^22 here; each row adds to it."""
    matrix = np.zeros((rows, 2), np.float32)
    matrix[:3, 0] = 2048, 3, 1  # 2^22 + 10
    matrix[3:7, 1] = 2047, 63, 10, 4  # 2^22 - 10

    assert recognise(matrix, None).initializer == name


def test_a_matrix_of_zeros_but_one_is_not_orthogonal() -> None:
    array = np.zeros((4, 4), np.float32)
    array[0, 0] = 1.0

    assert recognise(array, None) == UNKNOWN


@pytest.mark.parametrize("shape", [(16,), (16, 1), (1, 16)])
def test_one_column_is_no_orthogonal_matrix(shape: tuple[int, ...]) -> None:
    array = np.arange(16, dtype=np.float32).reshape(shape)

    assert recognise(array, None) == UNKNOWN


@pytest.mark.parametrize("shape", [(16, 8), (8, 16), (8, 8), (13, 2), (4, 3, 8), (2, 3, 8)])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_the_key_of_an_orthogonal_matrix_is_that_of_its_normals(
    shape: tuple[int, ...], dtype: str
) -> None:
    array = drawn(Orthogonal(scale=1.5), shape, number=3).astype(as_dtype(dtype))

    match = matching_orthogonal_key(array, candidates())

    assert match is not None
    assert match[0] == 3
    assert matching_orthogonal_key(array, candidates(2)) is None


@pytest.mark.parametrize("is_partitionable", [True, False])
def test_the_layout_of_the_normals_is_the_one_that_is_said(is_partitionable: bool) -> None:
    layout = "partitionable" if is_partitionable else "nonpartitionable"
    array = drawn(Orthogonal(), (16, 8), number=2, prng=f"threefry2x32_{layout}")

    right = matching_orthogonal_key(array, candidates(), partitionable=is_partitionable)
    wrong = matching_orthogonal_key(array, candidates(), partitionable=not is_partitionable)

    assert right is not None
    assert right[0] == 2
    assert wrong is None


def test_a_column_that_hardly_determines_its_sign_is_of_its_key() -> None:
    """Of key 45 the last column drawn lies in the span of the others but for 0.0017 of it."""
    array = drawn(Orthogonal(), (4, 4), number=45)

    assert matching_orthogonal_key(array, [("own", fold_in(KEY, 45))]) is not None


def test_a_column_of_the_other_sign_is_of_another_key() -> None:
    array = drawn(Orthogonal(), (16, 8), number=2)
    array[:, 3] *= -1

    assert matching_orthogonal_key(array, candidates()) is None


@pytest.mark.parametrize(("angle", "is_own"), [(0.008, True), (0.012, False)])
def test_a_factor_may_be_off_by_a_hundredth_of_what_was_drawn(angle: float, is_own: bool) -> None:
    """The first two columns are turned: of the second drawn one so much is left over."""
    array = widen(drawn(Orthogonal(), (64, 2), number=2))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])

    match = matching_orthogonal_key(array @ turn, candidates())

    assert (match is not None) is is_own


def test_thirteen_elements_at_least_tell_an_orthogonal_key() -> None:
    twelve = drawn(Orthogonal(), (6, 2), number=1)
    fourteen = drawn(Orthogonal(), (7, 2), number=1)

    assert matching_orthogonal_key(twelve, candidates()) is None
    assert matching_orthogonal_key(fourteen, candidates()) is not None


def test_large_matrices_are_not_factored() -> None:
    most = drawn(Orthogonal(), (MOST_FACTORED // 2, 2), number=1)
    over = drawn(Orthogonal(), (145, 113), number=1)

    assert over.size == MOST_FACTORED + 1 == (1 << 14) + 1
    assert matching_orthogonal_key(most, candidates(1)) is not None
    assert matching_orthogonal_key(over, candidates(1)) is None


@pytest.mark.parametrize(
    "array",
    [
        drawn(NORMAL, (16, 8)),
        np.zeros((16, 8), np.float32),
        np.eye(16, 8, dtype=np.complex64),
        np.full((16, 8), np.nan, np.float32),
    ],
    ids=["skew", "zeros", "complex", "NaN"],
)
def test_what_is_not_orthogonal_has_no_orthogonal_key(array: Array) -> None:
    assert matching_orthogonal_key(array, [("own", KEY)]) is None


@pytest.mark.parametrize(
    "array",
    [
        np.eye(4, dtype=np.complex64),
        np.eye(4, dtype=np.int32),
        np.full((4, 4), np.nan, np.float32),
        np.ones((4, 4), np.float32),
        np.eye(4, 1, dtype=np.float32),
    ],
    ids=["complex", "integers", "NaN", "skew", "column"],
)
def test_what_is_no_orthogonal_matrix_has_no_length(array: Array) -> None:
    assert recognition._orthogonal_length(array) == 0.0
    assert recognition._orthogonal_length(np.eye(4, dtype=np.float32)) == 1.0


def test_larger_matrices_are_not_multiplied(monkeypatch: pytest.MonkeyPatch) -> None:
    most = recognition.MOST_MULTIPLIED
    monkeypatch.setattr(recognition, "MOST_MULTIPLIED", 128)

    assert most == 1 << 22
    assert recognise(drawn(Orthogonal(), (16, 8)), None).initializer == "orthogonal"
    assert recognise(drawn(Orthogonal(), (43, 3)), None) != Recognised(initializer="orthogonal")


# --- Statistics, where no key is known -----------------------------------------------------------


def quantiles(law: Any, count: int, scale: float = 1.0, dtype: str = "float32") -> Array:
    """Return the quantiles of a law at the middles of so many strata, in no order of size."""
    values = law.ppf((np.arange(count) + 0.5) / count) * scale
    return np.random.default_rng(0).permutation(values).astype(as_dtype(dtype))


TRUNCATED, WHOLE = stats.truncnorm(-2, 2), stats.norm()
SYMMETRIC, FROM_ZERO = stats.uniform(-1, 2), stats.uniform(0, 1)


@pytest.mark.parametrize(
    ("law", "scale", "name"),
    [
        (TRUNCATED, 0.5, "truncated_normal(stddev=0.5)"),
        (WHOLE, 0.5, "normal(stddev=0.5)"),
        (SYMMETRIC, 0.5, "uniform(-0.5, 0.5)"),
        (FROM_ZERO, 0.5, "uniform(scale=0.5)"),
    ],
    ids=["truncated", "normal", "uniform", "uniform from 0"],
)
def test_many_values_tell_their_law(law: Any, scale: float, name: str) -> None:
    found = recognise(quantiles(law, 8192, scale), None)

    assert found.initializer.partition("=")[0] == name.partition("=")[0]
    assert (found.drawn_dtype, found.is_exact) == ("float32", False)


def test_an_unknown_distribution_is_not_recognised() -> None:
    assert recognise(quantiles(stats.expon(), 4096), None) == UNKNOWN
    assert recognise(quantiles(WHOLE, 4096) + np.float32(0.5), None) == UNKNOWN


def test_64_values_at_least_tell_a_law() -> None:
    assert recognise(quantiles(WHOLE, 63), None) == UNKNOWN
    assert "normal" in recognise(quantiles(WHOLE, 64), None).initializer


def test_two_values_have_a_kurtosis_of_1_though_rounding_makes_it_less() -> None:
    values = np.tile([0.1, -0.1], 32)

    assert stats.kurtosis(values, fisher=False) < 1
    assert "normal(stddev=0.1)" in recognise(values, None).initializer


def test_few_values_leave_the_laws_that_may_be() -> None:
    array = quantiles(TRUNCATED, 256)
    sigma = widen(array).std()

    found = recognise(array, None)

    assert found.initializer == (
        f"truncated_normal(stddev={sigma / TRUNCATED_STDDEV:.4g}) or normal(stddev={sigma:.4g})"
    )
    assert isinstance(found.definition, TruncatedNormal)


def kolmogorov(power: float, count: int = 1024) -> tuple[Array, float]:
    """Return normals bent to |x|^power, and sqrt(n) times their distance from a normal."""
    values = np.sort(widen(quantiles(WHOLE, count)))
    bent = np.sign(values) * np.abs(values) ** power
    below = special.ndtr(bent / bent.std())
    steps = np.arange(count + 1) / count
    distance = max((steps[1:] - below).max(), (below - steps[:-1]).max())
    return bent, float(distance) * math.sqrt(count)


def root(function: Callable[[float], float], low: float, high: float) -> tuple[float, float]:
    """Return two numbers, 1e-7 apart at most, between which the function rises to 0."""
    while high - low > 1e-7:
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) <= 0 else (low, middle)
    return low, high


@pytest.mark.usefixtures("round_figures")
def test_a_distribution_may_be_2_8_off_and_no_further() -> None:
    """Kolmogorov's distance is exceeded by chance at 2.8 less than once in a million arrays."""
    within, beyond = root(lambda power: kolmogorov(power)[1] - 2.8, 1.0, 2.0)

    assert kolmogorov(within)[1] == pytest.approx(2.8, abs=1e-5)
    assert recognise(kolmogorov(within)[0], None).initializer.startswith("normal(stddev=")
    assert recognise(kolmogorov(beyond)[0], None) == UNKNOWN


@pytest.mark.usefixtures("round_figures")
def test_a_distribution_that_is_exactly_2_8_off_is_not_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def distance(of_64: float) -> None:
        found = types.SimpleNamespace(statistic=of_64 / 8)
        monkeypatch.setattr(stats, "kstest", lambda *_: found)

    array = quantiles(WHOLE, 64)
    distance(2.8)
    at = recognise(array, None)
    distance(math.nextafter(2.8, 3.0))
    beyond = recognise(array, None)

    assert "normal(" in at.initializer
    assert beyond == UNKNOWN


def test_of_a_large_array_an_even_sample_is_compared() -> None:
    """Every third of 49,152 values: those between may be anything that leaves the stddev."""
    assert MOST_COMPARED == 1 << 14
    values = widen(quantiles(WHOLE, 3 * MOST_COMPARED)).reshape(-1, 3)
    values[:, 1:] = np.sign(values[:, 1:])

    assert recognise(values.reshape(-1), None).initializer.startswith("normal(stddev=")
    assert recognise(values.reshape(-1)[:-3], None) == UNKNOWN


def likelihoods(count: int) -> tuple[Array, float]:
    """Return truncated normals, and by how much a whole normal explains them less well."""
    values = widen(quantiles(TRUNCATED, count))
    sigma = values.std()
    truncated = np.clip(values / (sigma / TRUNCATED_STDDEV), -2, 2)
    log_truncated = TRUNCATED.logpdf(truncated).sum() - count * math.log(sigma / TRUNCATED_STDDEV)
    log_whole = WHOLE.logpdf(values / sigma).sum() - count * math.log(sigma)
    return values, float(log_truncated - log_whole)


@pytest.mark.usefixtures("round_figures")
def test_a_law_that_explains_a_millionth_as_well_is_out() -> None:
    counts = range(64, 4096)
    count = counts[bisect.bisect_left(counts, math.log(1e6), key=lambda n: likelihoods(n)[1])]

    within, beyond = likelihoods(count - 1), likelihoods(count)

    assert within[1] < math.log(1e6) <= beyond[1]
    assert " or " in recognise(within[0], None).initializer
    assert " or " not in recognise(beyond[0], None).initializer


@pytest.mark.usefixtures("round_figures")
def test_a_law_that_explains_exactly_a_millionth_is_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Likelihoods are set so that the first law's residual is 0 and the second's is the bound."""
    count, bound = 64, math.log(1e6)
    array = widen(quantiles(WHOLE, count))
    array *= 1.1 / array.std()
    terms = {
        kind: count * math.log(float(array.std()) / recognition._stddev(law))
        for kind, law in UNITS.items()
    }

    def names(residual: float) -> str:
        logs = dict.fromkeys(terms, -math.inf)
        logs |= {
            "normal": terms["normal"],
            "truncated_normal": terms["truncated_normal"] - residual,
        }
        assert terms["truncated_normal"] - logs["truncated_normal"] == residual
        monkeypatch.setattr(recognition, "_log_likelihood", lambda _, law, __: logs[law.drawn_by])
        return recognise(array, None).initializer

    assert " or truncated_normal(" in names(math.nextafter(bound, 0.0))
    assert " or " not in names(bound)


@pytest.mark.parametrize("value", [-1.0, 1.0])
def test_a_value_at_a_bound_is_within_it(value: float) -> None:
    within, beyond = (
        recognition._log_likelihood(np.array([0.5, unit]), UNITS["uniform"], 0.0)
        for unit in (value, math.nextafter(value, 2 * value))
    )

    assert within == pytest.approx(2 * math.log(0.5))
    assert beyond == -math.inf


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_value_beyond_an_estimated_bound_has_the_density_of_a_larger_scale(sign: float) -> None:
    """A uniform law on [-1.25, 1.25] has the density 0.4 everywhere."""
    values = sign * np.array([0.5, 1.25])

    assert recognition._log_likelihood(values, UNITS["uniform"], 0.5) == pytest.approx(
        2 * math.log(0.4)
    )


def test_a_normal_that_is_cut_has_no_density_beyond_its_bound_but_that_of_a_larger_scale() -> None:
    """The outermost of 0.5 and 2.2 is at a bound of 2 where the scale is a tenth larger."""
    found = recognition._log_likelihood(np.array([0.5, 2.2]), UNITS["truncated_normal"], 0.5)

    of_larger = TRUNCATED.logpdf(np.array([0.5 / 1.1, 2.0])).sum() - 2 * math.log(1.1)
    assert found == pytest.approx(float(of_larger), rel=1e-9)


@pytest.mark.parametrize(("lower", "value"), [(0.0, 0.0), (-0.5, -0.6), (-0.5, 0.0)])
def test_each_value_is_held_to_the_bound_of_its_side(lower: float, value: float) -> None:
    """Of a uniform up to 1, which is a scale of 1.2 times as much where a value needs it."""
    found = recognition._log_likelihood(
        np.array([value, 0.25]), Uniform(scale=1.0, lower=lower), 0.5
    )

    larger = max(1.0, value / lower) if value else 1.0
    assert found == pytest.approx(-2 * math.log((1 - lower) * larger), rel=1e-12, abs=1e-12)


def test_a_law_that_explains_exactly_so_much_less_well_is_not_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    array = quantiles(TRUNCATED, 64).reshape(8, 8)
    found = []
    for excess in (math.nextafter(recognition.LIKELIHOOD, 0), recognition.LIKELIHOOD):
        monkeypatch.setattr(
            recognition, "_negative_log_likelihood", lambda *_, excess=excess: excess + 0.0
        )
        found.append(recognition._is_likely(scaling(), array, 0.0))

    assert found == [True, False]


def test_of_a_large_array_the_same_sample_is_compared_with_the_laws_of_fans() -> None:
    """Every third value: those between lie beyond its bounds, root(3 / fan_in) to either side."""
    values = widen(quantiles(SYMMETRIC, 3 * MOST_COMPARED)).reshape(-1, 3)
    values[:, 1:] *= 2
    residual = recognition._negative_log_likelihood(values[:, 0], UNITS["uniform"], 1e-6)
    lecun = scaling("fan_in", "uniform")

    assert recognition._is_likely(lecun, values.reshape(3, -1), residual)
    assert not recognition._is_likely(lecun, values[1:].reshape(3, -1)[:, ::-1], residual)


@pytest.mark.usefixtures("round_figures")
def test_the_likeliest_law_comes_first() -> None:
    found = recognise(quantiles(WHOLE, 256), None)

    assert found.initializer.startswith("normal(")


def beyond_its_bound(largest: float) -> tuple[Array, float]:
    """Return a uniform with one larger value, and by how much that is beyond five standard errors.

    The standard error of a stddev is root((kurtosis - 1) / 4 n) of it.
    """
    values = widen(quantiles(SYMMETRIC, 512))
    values[values.argmax()] = largest
    deviation = values - values.mean()
    kurtosis = (deviation**4).mean() / (deviation**2).mean() ** 2
    slack = 5 * math.sqrt((kurtosis - 1) / (4 * 512))
    return values, float(largest / (math.sqrt(3) * values.std()) - 1 - slack)


@pytest.mark.usefixtures("round_figures")
def test_values_a_little_beyond_an_estimated_bound_do_not_rule_a_law_out() -> None:
    within, beyond = root(lambda largest: beyond_its_bound(largest)[1], 1.0, 1.5)

    assert "uniform(" in recognise(beyond_its_bound(within)[0], None).initializer
    assert "uniform(" not in recognise(beyond_its_bound(beyond)[0], None).initializer


@pytest.mark.usefixtures("round_figures")
def test_a_fan_is_found_within_five_standard_errors() -> None:
    array = quantiles(WHOLE, 4096).reshape(64, 64)
    error = 5 / math.sqrt(2 * 4096)
    lecun = array / array.std() / 8

    near, far = (recognise(lecun * (1 + part * error), None) for part in (0.99, 1.01))

    assert near.initializer.startswith("embedding or lecun_normal (not truncated) or glorot")
    assert (near.fan, near.is_exact, near.fault) == (64.0, False, "")
    assert far.initializer.startswith("normal(")


def test_a_law_whose_bounds_do_not_hold_the_values_is_not_named() -> None:
    array = quantiles(SYMMETRIC, 24 * 10).reshape(24, 10)
    bound = 24**-0.5 * math.sqrt(3)

    within, beyond = (
        recognise(array / np.abs(array).max() * b, None) for b in (bound, bound * 1.001)
    )

    assert "lecun_uniform" in within.initializer
    assert "lecun_uniform" not in beyond.initializer


def test_a_uniform_far_from_the_bounds_of_another_is_not_called_by_its_name() -> None:
    """Of he_uniform its stddev is 5 standard errors off, and no value comes near the bound."""
    array = np.random.default_rng(0).uniform(-(8**-0.5), 8**-0.5, (32, 8)).astype(np.float32)

    assert "he_uniform" not in recognise(array, None).initializer


def test_a_fan_of_the_wrong_side_is_a_fault_without_a_key_too() -> None:
    array = quantiles(TRUNCATED, 8192).reshape(16, 512)
    found = recognise(array / array.std() / math.sqrt(512), None)

    assert found.initializer == "lecun_normal of fan_out"
    assert found.fault == "its variance is that of lecun_normal of fan_out, fan 512"


@pytest.mark.usefixtures("round_figures")
def test_of_several_faults_that_of_the_likeliest_law_is_told() -> None:
    array = quantiles(TRUNCATED, 256).reshape(1, 4, 64)

    found = recognise(array / array.std() / 8, None)

    name = "lecun_normal of fan_out"
    assert found.initializer == f"{name} or lecun_normal (not truncated) of fan_out"
    assert found.fault == f"its variance is that of {name}, fan 64"


@pytest.mark.usefixtures("round_figures")
def test_a_law_that_may_be_right_is_no_fault() -> None:
    """256 values leave an embedding, whose fan is natural, beside a truncated normal of fan_out."""
    array = quantiles(TRUNCATED, 256).reshape(4, 64)

    found = recognise(array / array.std() / 8, None)

    assert found.initializer == "lecun_normal of fan_out or embedding"
    assert found.fault == ""


# --- Exact moments -------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "bits"), [("bfloat16", 7), ("float16", 10)])
def test_of_a_small_lattice_the_moments_are_those_of_its_points(dtype: str, bits: int) -> None:
    found = exact_moments(Uniform(scale=1.0), (8, 8), as_dtype(dtype))

    n = 2**bits
    assert found.mean == (n - 1) / (2 * n)
    assert found.stddev == pytest.approx(math.sqrt((1 - n**-2) / 12), rel=1e-14)
    assert found.kurtosis == pytest.approx(1.8 - 2.4 / (n**2 - 1), rel=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_of_a_large_lattice_the_middles_of_strata_stand_for_the_points(dtype: str) -> None:
    found = exact_moments(Uniform(scale=1.0), (8, 8), as_dtype(dtype))

    n = 2**16
    assert found.mean == 0.5
    assert found.stddev == pytest.approx(math.sqrt((1 - n**-2) / 12), rel=1e-14)
    assert found.kurtosis == pytest.approx(1.8 - 2.4 / (n**2 - 1), rel=1e-12)


@pytest.mark.parametrize(
    ("dtype", "n", "offset", "accuracy"),
    [
        ("bfloat16", 2**7, 0.25, 2.0**-7),
        ("float16", 2**10, 0.25, 2.0**-10),
        ("float32", 2**16, 0.5 + 2.0**-9, 1e-6),
        ("float64", 2**16, 0.5, 1e-12),
    ],
)
def test_the_moments_of_a_normal_are_those_of_its_quantiles(
    dtype: str, n: int, offset: float, accuracy: float
) -> None:
    """Of each point the quantile a quarter step on, as JAX draws; or of the middle of a stratum."""
    quantile = 2 * stats.norm.ppf((np.arange(n) + offset) / n)

    found = exact_moments(Normal(stddev=2.0), (8, 8), as_dtype(dtype))

    assert found.mean == pytest.approx(quantile.mean(), abs=accuracy)
    assert found.stddev == pytest.approx(quantile.std(), rel=accuracy)
    assert found.kurtosis == pytest.approx(stats.kurtosis(quantile, fisher=False), rel=4 * accuracy)
