"""Arrays are compared some elements at a time: what comes of it is the same, and memory is left."""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import math
import tracemalloc
from collections.abc import Callable, Iterator

import ml_dtypes
import numpy as np
import pytest

from conformance.core import arrays
from conformance.core.arrays import Array, in_parts, returned
from conformance.core.laws import NominalMoments
from conformance.core.records import Drift
from conformance.judge.drift import classify, classify_kept, compare_with, geometry, statistics
from conformance.judge.drift.statistics import Values

classes = importlib.import_module("conformance.judge.drift.classify")
"""The module; the package has its function under the name."""

SIZE = 3000


def normals(seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal(SIZE, dtype=np.float32)


def rounded(array: Array) -> Array:
    """Return the array with every third element moved by an ULP."""
    other = array.copy()
    other[::3] = np.nextafter(other[::3], np.float32(9))
    return other


def spoiled(array: Array) -> Array:
    other = array.copy()
    other[5] = np.nan
    return other


def copied(array: Array) -> Array:
    other = array.copy()
    other[1000:1100] = other[400:500]
    return other


CHANGES: dict[str, Callable[[Array], Array]] = {
    "rounding": rounded,
    "NaN": spoiled,
    "copied": copied,
    "scaled": lambda array: array * np.float32(1.01),
    "negated": lambda array: -array,
    "cubed": lambda array: array**3,
    "reordered": lambda array: array[::-1].copy(),
    "nearly reordered": lambda array: array[::-1] + np.float32(1e-7),
    "stream": lambda _: normals(1),
    "small": lambda array: np.where(np.abs(array) < 0.02, np.float32(0), array),
    "large": lambda array: np.where(np.abs(array) > 2.2, 2 * array, array),
}


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> int:
    """Take arrays apart in 64 elements."""
    for module in (arrays, statistics):
        monkeypatch.setattr(module, "WIDENED", 64)
    return 64


def told(drift: Drift) -> str:
    """Return all of it as text: NaN is not equal to itself, and sums end in other bits."""
    scale = None if drift.scale is None else round(drift.scale, 12)
    return str(dataclasses.replace(drift, scale=scale))


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_told_alike_however_large_the_parts(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = normals(0)
    one, two = returned(CHANGES[name](before)), returned(before)

    whole = classify(one, two)
    for module in (arrays, statistics):
        monkeypatch.setattr(module, "WIDENED", 64)

    assert told(classify(one, two)) == told(whole)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_told_alike_whether_or_not_its_parts_are_held(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = normals(0)
    one, two = returned(CHANGES[name](before)), returned(before)

    held = classify(one, two)
    monkeypatch.setattr(arrays, "HELD", 0)

    assert str(classify(one, two)) == str(held)
    assert returned(before) == two


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("name", CHANGES)
def test_a_class_is_the_same_where_no_distance_tells_it(
    name: str, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What moved is looked for in all elements only if their distances leave it open."""
    before = normals(0)
    one, two = (returned(side.astype(dtype)) for side in (CHANGES[name](before), before))
    law = NominalMoments(mean=0.0, variance=1.0, lower=-math.inf, upper=math.inf)

    found = classify(one, two, moments=law)
    monkeypatch.setattr(classes, "_is_still", lambda _: False)

    assert str(classify(one, two, moments=law)) == str(found)


@pytest.mark.parametrize("weak_type", [False, True])
@pytest.mark.parametrize("variance", [1.0, 0.0, math.inf])
@pytest.mark.parametrize("name", [*CHANGES, "none"])
def test_an_array_is_compared_alike_whether_or_not_it_has_a_record(
    name: str, variance: float, weak_type: bool
) -> None:
    """What the oracle says is compared with without a digest and moments of its own."""
    before = normals(0)
    actual = returned(CHANGES.get(name, np.copy)(before), weak_type=weak_type)
    law = NominalMoments(mean=0.0, variance=variance, lower=-math.inf, upper=math.inf)

    found = compare_with(actual, before, moments=law)
    kept = classify_kept(actual, returned(before), moments=law)

    assert str(found.drift) == str(kept)
    assert found.drift_class is kept.drift_class
    assert str(found.max_ulp_at_sigma) == str(kept.max_ulp_at_sigma)


def parts_of(one: Values, two: Values) -> Callable[[], Iterator[tuple[Values, Values]]]:
    return lambda: ((left, right) for _, left, right in in_parts(one, two))


@pytest.mark.usefixtures("small_parts")
def test_the_line_of_parts_is_that_of_the_whole() -> None:
    expected = normals(0).astype(np.float64)
    actual = 1.5 * expected + 0.25 + 1e-3 * normals(1)

    found, whole = (
        statistics.fit_parts(parts_of(actual, expected)),
        statistics.fit(actual, expected),
    )

    assert found is not None
    for figure in ("scale", "shift", "scale_error", "shift_error"):
        assert getattr(found, figure) == pytest.approx(float(getattr(whole, figure)), rel=1e-12)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("size", [15, 16])
def test_a_line_needs_pairs_that_are_enough_and_not_all_alike(size: int) -> None:
    values = np.arange(float(size))

    assert (statistics.fit_parts(parts_of(values, values)) is None) == (size < statistics.FEWEST)
    assert statistics.fit_parts(parts_of(values, np.full(size, 0.1))) is None


@pytest.mark.parametrize("n_values", [3, 50, 10_000])
def test_no_value_is_in_two_parts(n_values: int, small_parts: int) -> None:
    """Else it would count as two that only one side has."""
    generator = np.random.default_rng(n_values)
    one, two = generator.integers(n_values, size=(2, SIZE)).astype(np.float64)

    parts = list(statistics._same_cells(one, two, 0.0))

    seen = [set(np.concatenate(part).tolist()) for part in parts]
    assert sum(map(len, seen)) == len({*one.tolist(), *two.tolist()})
    assert all(max(low) < min(high) for low, high in itertools.pairwise(seen))
    for side, whole in enumerate((one, two)):
        together = np.concatenate([part[side] for part in parts])
        np.testing.assert_array_equal(together, np.sort(whole))
    assert len(parts) >= min(n_values, SIZE // small_parts) // 2


@pytest.mark.parametrize(
    ("name", "most"),
    [("rounding", 2), ("NaN", 2), ("reordered", 3), ("scaled", 8), ("stream", 8)],
)
def test_a_comparison_takes_a_few_times_the_size_of_an_array_beside_both(
    name: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float64, and of all elements at once, it took 19 times and 35 times as much."""
    for module in (arrays, statistics):
        monkeypatch.setattr(module, "WIDENED", 1 << 10)
    monkeypatch.setattr(arrays, "HELD", 8 << 10)
    before = np.tile(normals(0), 100) + np.repeat(normals(2)[:100], SIZE)
    one, two = returned(CHANGES[name](before)), returned(before)
    if name == "stream":
        one = returned(before[np.random.default_rng(0).permutation(before.size)] * np.float32(-1))

    tracemalloc.start()
    try:
        classify(one, two)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < most * before.nbytes


def test_places_are_found_across_parts(small_parts: int) -> None:
    marks = np.zeros(10 * small_parts, dtype=bool)
    marks[7::200] = True

    assert geometry._first(marks, 3).tolist() == [7, 207, 407]
    assert geometry.describe_places(marks, np.ones(marks.size)) == (
        f"one element in 200, flat indices 7 to {np.flatnonzero(marks)[-1]}"
    )
