"""What is looked at of arrays drawn under different keys."""

from __future__ import annotations

import dataclasses

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

from conformance.core.arrays import Array, as_dtype
from conformance.core.laws import Uniform
from conformance.judge.statistics import ElementLaw, sample, sample_of
from conformance.judge.statistics.element import Reals, Term

COINS = ElementLaw(
    mean=0.5,
    sigma=2.0,
    powers=(),
    points=np.array([0.0, 1.0]),
    upto=np.array([0.25, 1.0]),
    score=Term(mean=0.0, variance=3 / 64, reach=3 / 8),
)
"""A coin that shows 1 in three of four throws; what it is standardised by is made up."""

MOMENTS = dataclasses.replace(COINS, points=None, upto=None)


def test_a_sample_counts_its_draws_and_elements() -> None:
    found = sample_of(np.zeros((3, 4, 5)), COINS)

    assert (found.n_draws, found.shape, found.size) == (3, (4, 5), 60)
    assert found.values.shape == (3, 20)


def test_elements_are_standardised_by_their_law() -> None:
    found = sample_of(np.array([[2.5, -1.5, 0.5]]), COINS)

    assert found.standard.tolist() == [[1.0, -1.0, 0.0]]


def test_all_elements_are_put_in_one_order() -> None:
    assert sample_of(np.array([[3.0, 1.0], [2.0, 0.0]]), COINS).ordered.tolist() == [0, 1, 2, 3]


def test_a_score_is_the_mid_distribution_less_a_half() -> None:
    """Up to 0 there is 1/4, below 1 as much: 1/8 and 5/8 in the middle."""
    found = sample_of(np.array([[0.0, 1.0]]), COINS)

    assert found.scores.tolist() == [[1 / 8 - 1 / 2, 5 / 8 - 1 / 2]]


def test_a_score_of_an_unknown_law_is_the_distance_from_the_mean_up_to_three_sigma() -> None:
    found = sample_of(np.array([[0.5, 2.5, 6.5, 6.75, -20.0]]), MOMENTS)

    assert found.scores.tolist() == [[0.0, 2.0, 6.0, 6.0, -6.0]]


def test_a_score_of_a_continuous_law_is_its_distribution_less_a_half() -> None:
    law = dataclasses.replace(MOMENTS, law=Uniform(scale=2.0).law((4,), is_complex=False))

    assert sample_of(np.array([[0.5, 2.0]]), law).scores.tolist() == [[-0.25, 0.5]]


def test_a_negative_factor_mirrors_the_distribution() -> None:
    law = dataclasses.replace(MOMENTS, law=Uniform(scale=-2.0).law((4,), is_complex=False))
    found = sample_of(np.array([[-0.5, -2.0]]), law)

    assert [each.tolist() for each in found.distribution] == [[[0.75, 0.0]]] * 2


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_lines_are_columns_those_of_all_draws_on_top(axis: int) -> None:
    arrays = np.random.default_rng(0).integers(0, 2, (2, 3, 4, 5)).astype(np.float64)
    found = sample_of(arrays, COINS)

    columns = found.lines(axis)

    others = arrays[0].size // arrays.shape[axis + 1]
    assert columns.shape == (2 * others, arrays.shape[axis + 1])
    for number in range(columns.shape[1]):
        for draw in range(2):
            line = np.take(arrays[draw], number, axis).ravel() * 0.5 - 3 / 8
            assert columns[draw * others : (draw + 1) * others, number].tolist() == line.tolist()


@pytest.mark.parametrize(
    ("size", "padded"), [(1, 2), (2, 4), (3, 8), (4, 8), (5, 16), (8, 16), (9, 32)]
)
def test_a_transform_is_padded_so_that_no_distance_wraps_around(size: int, padded: int) -> None:
    """2 n - 1 distances need as many places; a power of two is quickest."""
    found = sample_of(np.zeros((2, size)), COINS)

    assert found.padded == padded
    assert found.spectrum.shape == (2, padded // 2 + 1)


@pytest.mark.parametrize(
    ("most", "shape", "n_lines"),
    [(24, (2, 3, 4), 6), (23, (2, 3, 4), 5), (12, (2, 3, 4), 3), (3, (2, 3, 4), 1), (5, (7,), 1)],
)
def test_of_large_arrays_the_first_lines_are_looked_at(
    monkeypatch: pytest.MonkeyPatch, most: int, shape: tuple[int, ...], n_lines: int
) -> None:
    monkeypatch.setattr(sample, "MOST", most)
    arrays = np.arange(2.0 * np.prod(shape)).reshape(2, *shape)

    found = sample_of(arrays, COINS)

    lines = arrays.reshape(2, -1, shape[-1])[:, :n_lines]
    assert found.values.tolist() == lines.reshape(2, -1).tolist()
    is_whole = arrays[0].size <= most
    assert found.shape == (shape if is_whole else (n_lines, shape[-1]))


def test_a_million_elements_of_an_array_are_looked_at() -> None:
    assert sample.MOST == 2**20


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32])
def test_elements_of_16_bits_are_at_the_points_where_their_values_are(dtype: type) -> None:
    law = dataclasses.replace(
        COINS, points=np.array([-1.0, 0.0, 0.25, 3.0]), upto=np.array([0.25, 0.5, 0.75, 1.0])
    )
    arrays: Array = np.random.default_rng(0).standard_normal((3, 4, 50)).astype(dtype)
    arrays[0, 0, :3] = [-0.0, 0.125, -1.0]

    found = sample_of(arrays, law)

    assert found.indices.tolist() == law.indices(found.values).tolist()
    assert found.counts.tolist() == [int((found.indices == point).sum()) for point in range(4)]
    for one, two in zip(found.distribution, law.distribution(found.values), strict=True):
        assert one.tolist() == two.tolist()


@pytest.mark.parametrize("dtype", ["float8_e5m2", "bfloat16", "float16"])
def test_every_pattern_is_looked_up_once(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no value of an array: those are many times as many."""
    asked: list[int] = []

    def noted(law: ElementLaw, values: Reals) -> npt.NDArray[np.intp]:
        asked.append(values.size)
        return at(law, values)

    at = ElementLaw.indices
    monkeypatch.setattr(ElementLaw, "indices", noted)
    number, law = as_dtype(dtype), dataclasses.replace(COINS)
    found = [sample_of(np.ones((2, size), number), law) for size in (3, 4)]
    points = [each.indices.tolist() for each in found]

    assert points == [[[1] * 3] * 2, [[1] * 4] * 2]
    assert asked == [2 ** (8 * number.itemsize)]
