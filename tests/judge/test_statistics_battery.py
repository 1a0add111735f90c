"""Each planted fault of a stream or a law dies at two sizes, and right draws pass; no device."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable

import numpy as np
import pytest
from scipy import special

from conformance.core.arrays import Array, as_dtype, widen
from conformance.core.ids import Problem
from conformance.core.keys import KeySpec
from conformance.core.laws import Definition, Normal, TruncatedNormal, Uniform
from conformance.judge.alpha import STATISTICS
from conformance.judge.statistics import (
    MATRIX_TESTS,
    TESTS,
    Decision,
    Matrices,
    decide,
    element_law,
    first_pair,
    look_keys,
    sample_of,
)
from conformance.oracle import haar, random_bits, solve_words, word_bits
from conformance.oracle.initializers import key_of

NORMAL = Normal(stddev=1.0)
DEFINITIONS = {
    "normal": NORMAL,
    "truncated": TruncatedNormal(stddev=0.02),
    "uniform": Uniform(scale=2.0),
}
SMALL, LARGE = (64, 32), (256, 512)
Change = Callable[[Array], Array]
"""One array of float64 -> what a wrong initializer returns in its place."""


@functools.cache
def looks(definition: Definition, shape: tuple[int, ...], dtype: str) -> tuple[Array, ...]:
    """Return what the oracle draws for each look of a problem."""
    problem = Problem(initializer="mine", dtype=dtype, shape=shape, seed=0)
    return tuple(_drawn(definition, keys, shape, dtype) for keys in look_keys(problem))


def problem_of(shape: tuple[int, ...], key: KeySpec) -> Problem:
    return Problem(
        initializer="mine",
        dtype="float32",
        shape=shape,
        seed=key.seed,
        words=key.words,
        steps=key.steps,
    )


def _drawn(
    definition: Definition, keys: Iterable[KeySpec], shape: tuple[int, ...], dtype: str
) -> Array:
    number = as_dtype(dtype)
    words = [random_bits(key_of(problem_of(shape, key)), word_bits(number), shape) for key in keys]
    followed = solve_words(np.stack(words), definition, number, shape).followed
    assert followed is not None
    return followed


def judged(
    change: Change, definition: Definition, shape: tuple[int, ...], dtype: str = "float32"
) -> Decision:
    """Return the decision on draws that are each changed so."""
    law = element_law(definition, shape, dtype)
    assert law is not None
    changed = (  # a look that nobody takes is not made
        np.stack([change(widen(array)) for array in arrays]).astype(as_dtype(dtype))
        for arrays in looks(definition, shape, dtype)
    )
    return decide((sample_of(arrays, law) for arrays in changed), TESTS)


def refusals(decision: Decision) -> set[str]:
    return {test.name for test, _ in decision.refused}


# --- Right draws ---------------------------------------------------------------------------------
@pytest.mark.parametrize("shape", [SMALL, (3, 3, 4, 8), (7,), ()], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("name", DEFINITIONS)
def test_right_draws_pass_every_test(name: str, dtype: str, shape: tuple[int, ...]) -> None:
    decision = judged(lambda array: array, DEFINITIONS[name], shape, dtype)

    assert not decision.refused
    assert min(finding.p_value for _, finding in decision.found) > 1e-6


# --- Wrong draws ---------------------------------------------------------------------------------
def antithetic_halves(array: Array) -> Array:
    half = len(array) // 2
    return np.concatenate([array[:half], -array[:half]])


def antithetic_pairs(array: Array) -> Array:
    flat = array.ravel().copy()
    flat[1::2] = -flat[::2]
    return flat.reshape(array.shape)


def correlated_columns(array: Array) -> Array:
    """Give each two columns a correlation of 0.1, by a part that all share."""
    shared = array[:, :1]
    return np.asarray(np.sqrt(0.9) * array + np.sqrt(0.1) * np.roll(shared, 1, axis=0))


def two_equal_columns(array: Array) -> Array:
    copied = array.copy()
    copied[:, 20] = copied[:, 3]
    return copied


def repeated(lag: int) -> Change:
    def change(array: Array) -> Array:
        flat = array.ravel().copy()
        n = len(flat)
        return np.asarray(flat[np.arange(n) % lag].reshape(array.shape))

    return change


def symmetric(array: Array) -> Array:
    side = min(array.shape)
    changed = array.copy()
    square = changed[:side, :side]
    changed[:side, :side] = np.triu(square) + np.triu(square, 1).T
    return changed


def palindrome(array: Array) -> Array:
    flat = array.ravel()
    half = len(flat) // 2
    return np.concatenate([flat[:half], flat[:half][::-1]]).reshape(array.shape)


def a_row_of_another_level(array: Array) -> Array:
    moved = array.copy()
    moved[3] += 0.7
    return moved


def skewed(array: Array) -> Array:
    """Return a lognormal law of skewness 0.6, of mean 0 and variance 1."""
    spread = 0.2
    mean, variance = math.exp(spread**2 / 2), math.exp(spread**2) * (math.exp(spread**2) - 1)
    return np.asarray((np.exp(spread * array) - mean) / math.sqrt(variance))


def uniform_of_right_variance(array: Array) -> Array:
    return np.asarray(math.sqrt(12) * (special.ndtr(array) - 0.5))


def always_the_same(array: Array) -> Array:
    return widen(looks(NORMAL, array.shape, "float32")[0][0])


FAULTS: dict[str, tuple[Change, set[str]]] = {
    "antithetic halves": (antithetic_halves, {"lags"}),
    "antithetic pairs": (antithetic_pairs, {"lags"}),
    "correlated columns": (correlated_columns, {"lags"}),
    "two equal columns": (two_equal_columns, {"copies", "lines"}),
    "repeat at lag 3": (repeated(3), {"lags", "atoms"}),
    "repeat at lag 1000": (repeated(1000), {"lags", "collisions"}),
    "symmetric": (symmetric, {"transposed"}),
    "palindrome": (palindrome, {"reflections"}),
    "sorted rows": (lambda array: np.sort(array, axis=1), {"lags", "levels"}),
    "a row of another level": (a_row_of_another_level, {"levels"}),
    "variance +5 %": (lambda array: array * math.sqrt(1.05), {"variance"}),
    "mean +0.02 sigma": (lambda array: array + 0.02, {"mean"}),
    "skewed": (skewed, {"skewness"}),
    "uniform of right variance": (uniform_of_right_variance, {"goodness_of_fit", "extremes"}),
    "clipped at 2 sigma": (lambda array: np.clip(array, -2, 2), {"extremes", "atoms"}),
    "bfloat16 values": (
        lambda array: widen(array.astype(as_dtype("bfloat16"))),
        {"atoms", "collisions"},
    ),
    "ignored key": (always_the_same, {"copies", "keys"}),
}
"""Each with tests that must see it, at both sizes."""


@pytest.mark.parametrize("shape", [SMALL, LARGE], ids=str)
@pytest.mark.parametrize("name", FAULTS)
def test_a_wrong_stream_or_law_is_refused(name: str, shape: tuple[int, ...]) -> None:
    change, seen_by = FAULTS[name]

    assert seen_by <= refusals(judged(change, NORMAL, shape))


def test_every_test_sees_a_fault() -> None:
    seen = set().union(*(tests for _, tests in FAULTS.values()))

    assert seen == {test.name for test in TESTS} - {"kurtosis"}


def test_a_law_of_other_tails_shows_in_its_kurtosis() -> None:
    """A third of the elements of another scale, mean and variance as they must be."""

    def of_two_scales(array: Array) -> Array:
        scales = np.where(np.arange(array.size) % 3 == 0, math.sqrt(2.0), math.sqrt(0.5))
        return (array.ravel() * scales).reshape(array.shape)

    assert "kurtosis" in refusals(judged(of_two_scales, NORMAL, LARGE))


def test_the_smallest_fault_that_is_certain_to_show_does_and_a_quarter_does_not() -> None:
    certain = {test.name: each.certain for test, each in judged(lambda a: a, NORMAL, SMALL).found}

    def moved(part: float) -> set[str]:
        return refusals(judged(lambda array: array + part * certain["mean"], NORMAL, SMALL))

    assert "mean" in moved(1.0)
    assert "mean" not in moved(0.25)


# --- What is decided -----------------------------------------------------------------------------
def pairs(keys: list[list[KeySpec]]) -> list[tuple[KeySpec, KeySpec]]:
    flat = [key for look in keys for key in look]
    return list(zip(flat[::2], flat[1::2], strict=True))


def test_keys_follow_from_the_problem_and_none_comes_twice() -> None:
    problem = Problem(initializer="mine", dtype="float32", shape=SMALL, seed=7)

    keys = look_keys(problem)

    assert [len(look) for look in keys] == [8, 32, 128]
    assert keys == look_keys(problem)
    assert keys[0][0] == problem.key
    assert len({key for look in keys for key in look}) == 168


def test_the_keys_of_the_first_look_are_the_same_whoever_wants_no_more() -> None:
    problem = Problem(initializer="mine", dtype="float32", shape=SMALL, seed=7)

    assert look_keys(problem, n_looks=1) == look_keys(problem)[:1]


def test_every_second_pair_of_keys_differs_in_one_bit_and_all_bits_come() -> None:
    problem = Problem(initializer="mine", dtype="float32", shape=SMALL, seed=7)

    differ = [one.seed ^ two.seed for one, two in pairs(look_keys(problem))[::2]]

    assert set(differ) == {1 << bit for bit in range(32)}


def test_the_other_pairs_are_of_one_family() -> None:
    problem = Problem(initializer="mine", dtype="float32", shape=SMALL, seed=7)

    first, second = pairs(look_keys(problem))[1:6:2][:2], pairs(look_keys(problem))[5]

    (one, other), (parent, child) = first
    assert (one.text, other.text) == (f"s{one.seed}.split2at0", f"s{one.seed}.split2at1")
    assert (parent.text, child.text) == (f"s{parent.seed}", f"s{parent.seed}.split2at0")
    root = second[0].seed
    assert [key.text for key in second] == [f"s{root}.fold0", f"s{root}.fold1"]


def test_of_a_key_of_words_the_last_bit_is_another() -> None:
    problem = Problem(initializer="mine", dtype="float32", shape=SMALL, seed=0, words=(3, 9))

    assert [key.text for key in look_keys(problem)[0][:2]] == [
        "k0000000300000009",
        "k0000000300000008",
    ]


@pytest.mark.parametrize(
    "key", [KeySpec(seed=7), KeySpec(words=(1, 2)), KeySpec(seed=3).fold_in(5)]
)
@pytest.mark.parametrize("shape", [(2,), SMALL, LARGE])
def test_the_first_pair_is_known_without_the_looks(key: KeySpec, shape: tuple[int, ...]) -> None:
    """The next pair of kin is a hundredth of what the looks of a small array take."""
    problem = Problem(
        initializer="mine",
        dtype="float32",
        shape=shape,
        seed=key.seed,
        words=key.words,
        steps=key.steps,
    )

    assert list(first_pair(problem)) == look_keys(problem, fresh=20260101)[0][:2]


def test_fresh_keys_are_others_but_for_the_problems_own() -> None:
    problem = Problem(initializer="mine", dtype="float32", shape=SMALL, seed=7)

    one, two = (look_keys(problem, fresh) for fresh in (0, 20260101))

    assert one[0][:2] == two[0][:2]
    assert not set(one[2]) & set(two[2])


def as_seeds_only(draw: Callable[[KeySpec], Array], key: KeySpec) -> Array:
    """Return what an initializer draws that knows no key but those of seeds."""
    return draw(KeySpec(seed=0) if key.steps else key)


def test_an_initializer_that_takes_every_child_for_one_key_is_refused() -> None:
    problem = Problem(initializer="mine", dtype="float32", shape=SMALL, seed=7)
    law = element_law(NORMAL, SMALL, "float32")
    assert law is not None

    def draw(key: KeySpec) -> Array:
        array: Array = _drawn(NORMAL, [key], SMALL, "float32")[0]
        return array

    arrays = np.stack([as_seeds_only(draw, key) for key in look_keys(problem)[0]])
    decision = decide([sample_of(arrays, law)], TESTS)

    assert {"keys", "copies"} <= refusals(decision)


def test_large_arrays_need_one_look_of_two_keys() -> None:
    problem = Problem(initializer="mine", dtype="float32", shape=LARGE, seed=7)

    assert [len(look) for look in look_keys(problem)] == [2]


def test_nothing_is_drawn_of_nothing() -> None:
    problem = Problem(initializer="mine", dtype="float32", shape=(0, 8), seed=7)

    assert look_keys(problem) == []


def test_the_first_look_that_refuses_decides() -> None:
    decision = judged(antithetic_pairs, NORMAL, SMALL)

    assert (decision.look, decision.n_draws, decision.size) == (1, 8, 8 * 64 * 32)
    assert all(finding.p_value < STATISTICS.alpha for _, finding in decision.refused)


# --- Matrices ------------------------------------------------------------------------------------
@functools.cache
def matrices(rows: int, columns: int, *, is_complex: bool = False) -> Array:
    rng = np.random.default_rng(5)

    def normals() -> Array:
        real = rng.standard_normal((rows, columns))
        return real + 1j * rng.standard_normal((rows, columns)) if is_complex else real

    return np.stack([haar(normals()) for _ in range(128)])


def of_matrices(arrays: Array) -> set[str]:
    return refusals(decide([Matrices(arrays=arrays)], MATRIX_TESTS))


@pytest.mark.parametrize("is_complex", [False, True], ids=["orthogonal", "unitary"])
@pytest.mark.parametrize("size", [(32, 32), (64, 32), (5, 5), (1, 1), (4, 1)], ids=str)
def test_haar_matrices_pass_every_test(size: tuple[int, int], is_complex: bool) -> None:
    assert not of_matrices(matrices(*size, is_complex=is_complex))


def symmetric_reflections(arrays: Array) -> Array:
    halves = arrays[..., :16]
    eye = np.eye(32)
    return np.asarray(eye - 2 * halves @ halves.transpose(0, 2, 1))


def of_two_reflections(arrays: Array) -> Array:
    """Reflections in two random mirrors, rows shuffled and columns negated at random."""
    rng, (n, size, _) = np.random.default_rng(8), arrays.shape
    made = np.eye(size) * rng.choice([-1.0, 1.0], (n, 1, size))
    for mirror in (arrays[..., :1], arrays[..., 1:2]):
        made = made - 2 * mirror @ (mirror.transpose(0, 2, 1) @ made)
    return np.stack([rng.permutation(each) for each in made])


def of_independent_angles(arrays: Array) -> Array:
    """Rotations by independent angles in random planes."""
    rng, (n, size, _) = np.random.default_rng(8), arrays.shape
    turns = np.exp(2j * np.pi * rng.random((n, 1, size // 2)))
    one, other = arrays[..., ::2], arrays[..., 1::2]
    turned = turns * (one - 1j * other)
    back = (one.transpose(0, 2, 1), other.transpose(0, 2, 1))
    return np.asarray(turned.real @ back[0] - turned.imag @ back[1])


MATRIX_FAULTS: dict[str, tuple[Change, set[str]]] = {
    "positive diagonals": (
        lambda q: q * np.sign(np.diagonal(q, axis1=1, axis2=2))[:, None, :],
        {"signs", "traces"},
    ),
    "rotations only": (
        lambda q: np.concatenate([q[..., :1] * np.linalg.det(q)[:, None, None], q[..., 1:]], 2),
        {"determinants"},
    ),
    "symmetric": (symmetric_reflections, {"squared_traces"}),
    "a positive row": (lambda q: q * np.sign(q[:, :1]), {"signs"}),
    "a positive column": (lambda q: q * np.sign(q[:, :, :1]), {"signs"}),
    "two reflections": (of_two_reflections, {"normals"}),
    "angles that do not repel": (of_independent_angles, {"trace_spread"}),
    "ignored key": (lambda q: np.broadcast_to(q[:1], q.shape), {"key_pairs"}),
}


@pytest.mark.parametrize("name", MATRIX_FAULTS)
def test_matrices_that_are_not_haar_are_refused(name: str) -> None:
    change, seen_by = MATRIX_FAULTS[name]

    assert seen_by <= of_matrices(change(matrices(32, 32)))


def _of_determinant_one(arrays: Array) -> Array:
    turned = arrays[..., :1] * _phase(np.linalg.det(arrays))
    return np.concatenate([turned, arrays[..., 1:]], axis=2)


def _phase(numbers: Array) -> Array:
    """Return what turns each matrix by minus the angle of its number."""
    return np.asarray((np.abs(numbers) / numbers)[:, None, None])


UNITARY_FAULTS: dict[str, tuple[Change, set[str]]] = {
    "orthogonal": (lambda _: matrices(32, 32).astype(complex), {"normals"}),
    "a real row": (lambda q: q * np.abs(q[:, :1]) / q[:, :1], {"signs"}),
    "determinants of 1": (_of_determinant_one, {"determinants"}),
    "a real trace": (lambda q: q * _phase(np.trace(q, axis1=1, axis2=2)), {"traces"}),
    "ignored key": (lambda q: np.broadcast_to(q[:1], q.shape), {"key_pairs"}),
}


@pytest.mark.parametrize("name", UNITARY_FAULTS)
def test_unitary_matrices_that_are_not_haar_are_refused(name: str) -> None:
    change, seen_by = UNITARY_FAULTS[name]

    assert seen_by <= of_matrices(change(matrices(32, 32, is_complex=True)))


def test_a_haar_matrix_times_another_triangle_is_a_matrix_of_normals() -> None:
    for is_complex in (False, True):
        made = Matrices(arrays=matrices(5, 5, is_complex=is_complex)).normals.arrays

        assert made.shape == ((128, 5, 5, 2) if is_complex else (128, 5, 5))
        assert abs(made.mean()) < 5 / math.sqrt(made.size)
        assert abs(made.var() - 1) < 5 * math.sqrt(2 / made.size)


def test_every_test_of_matrices_sees_a_fault() -> None:
    seen = set().union(*(tests for _, tests in MATRIX_FAULTS.values()))

    assert seen == {test.name for test in MATRIX_TESTS}


def test_two_draws_are_enough_to_be_alike() -> None:
    definition = DEFINITIONS["normal"]
    law = element_law(definition, (8,), "float32")
    assert law is not None
    assert law.heaviest is not None
    (array,) = looks(definition, (8,), "float32")[0][:1]
    (copies,) = (test for test in TESTS if test.name == "copies")

    found = copies.measure(sample_of(np.stack([array, array]), law))
    alone = copies.measure(sample_of(array[None], law))

    assert found is not None
    assert found.statistic == 0.5
    assert found.p_value == pytest.approx(law.heaviest**8, rel=1e-12)
    assert alone is None or alone.p_value == 1.0


def test_the_square_of_a_uniform_score_has_the_moments_of_the_uniform_law() -> None:
    """Of U - 1/2: the fourth moment is 1/80, the second 1/12, and the largest square 1/4."""
    law = element_law(DEFINITIONS["normal"], (8,), "float32")
    assert law is not None
    square = law.square
    assert square is not None

    assert square.mean == 1 / 12
    assert square.variance == pytest.approx(1 / 80 - 1 / 12**2, rel=1e-12)
    assert square.reach == pytest.approx(1 / 4 - 1 / 12, rel=1e-12)
