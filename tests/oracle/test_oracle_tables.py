"""Where words have few values their stages are looked up, and nothing is made that nobody asks."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from conformance.core.arrays import Array, as_dtype
from conformance.core.formats import FORMATS, FUSED_DTYPES
from conformance.core.ids import Problem
from conformance.core.lattice import mantissa_bits, word_bits
from conformance.core.laws import Definition, Normal, TruncatedNormal, Uniform, VarianceScaling
from conformance.oracle import Law, initializers, solve
from conformance.oracle.distributions import unit_variate
from conformance.oracle.followed import ErfErrors, followed_value
from conformance.oracle.initializers import solve_points, solve_words
from conformance.oracle.threefry import Words

SHAPE = (48, 5)
LAWS: tuple[Definition, ...] = (
    Normal(stddev=0.5),
    Uniform(scale=-2.0),
    TruncatedNormal(stddev=2.0, lower=-0.25, upper=1.5),
    VarianceScaling(scale=2.0, mode="fan_in", distribution="truncated_normal"),
)
STAGES = ("uniform", "unit", "value", "expected", "followed")

PARTS = 32
"""So often are there as many words as the lattice has points; of float16, 4 times."""


@pytest.mark.parametrize("folded", [None, (0, -(2**16))], ids=["run", "folded"])  # 16 bits show it
@pytest.mark.parametrize("fused", [FUSED_DTYPES, (*FORMATS,)], ids=["usual", "all fused"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float8_e5m2", "float8_e8m0fnu"])
@pytest.mark.parametrize("definition", LAWS, ids=repr)
def test_what_is_looked_up_is_what_the_words_come_to(
    definition: Definition,
    dtype: str,
    fused: tuple[str, ...],
    folded: ErfErrors | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind = as_dtype(dtype)
    n_words = min(4096, PARTS << mantissa_bits(kind))
    scattered = np.arange(n_words) * 40503  # Fibonacci hashing: in no order
    words = scattered.astype(f"u{word_bits(kind) // 8}")

    def solved() -> tuple[bool, list[Array]]:
        solution = solve_words(words, definition, kind, SHAPE, fused=fused, folded=folded)
        assert solution.chain is not None
        stages = [np.asarray(getattr(solution, stage)) for stage in STAGES]
        return solution.chain.table is not None, stages

    is_looked_up, found = solved()
    monkeypatch.setattr(initializers, "TABULATED_WORDS", ())
    is_looked_up_again, computed = solved()

    assert is_looked_up
    assert not is_looked_up_again
    for stage, one, two in zip(STAGES, found, computed, strict=True):
        assert one.dtype == two.dtype
        assert one.tobytes() == two.tobytes(), stage


@pytest.mark.parametrize("dtype", ["float8_e5m2", "bfloat16", "float16", "float32", "float64"])
def test_values_are_looked_up_where_there_are_a_thousand_at_most(dtype: str) -> None:
    """A table of what float32 draws would hold 8 million, computed for a few elements."""
    initializers._table.cache_clear()
    kind = as_dtype(dtype)
    words = np.zeros(4096, f"u{word_bits(kind) // 8}")
    for _ in range(2):
        assert solve_words(words, LAWS[0], kind, SHAPE).expected.size == 4096

    n_tables = int(FORMATS[dtype].mantissa_bits <= 10)
    assert initializers._table.cache_info().misses == n_tables
    assert initializers._table.cache_info().hits == n_tables


@pytest.mark.parametrize("dtype", ["float8_e5m2", "bfloat16", "float16"])
def test_the_points_of_a_lattice_are_computed_once(dtype: str) -> None:
    """Moments of the law are made of them, and arrays of any size look them up."""
    initializers._table.cache_clear()
    kind = as_dtype(dtype)

    points = solve_points(LAWS[0], SHAPE, kind)
    sizes = (0, 1, 2048)
    looked_up = [
        solve_words(np.zeros(size, f"u{word_bits(kind) // 8}"), LAWS[0], kind, SHAPE)
        for size in sizes
    ]

    assert points.chain is not None
    assert points.chain.table is None
    assert points.bits is not None
    assert not points.bits.flags.writeable
    assert initializers._table.cache_info().misses == 1
    for size, solution in zip(sizes, looked_up, strict=True):
        assert solution.chain is not None
        assert solution.chain.table is points
        assert solution.expected.tolist() == [points.expected[0]] * size


def test_nobody_follows_the_roundings_of_an_array_that_is_as_defined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In float32 that takes as long as all else that the oracle does."""
    asked: list[str] = []

    def noted(*arguments: object) -> object:
        asked.append("followed")
        return followed_value(*arguments)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(initializers, "followed_value", noted)
    words = np.arange(64, dtype=np.uint32) << np.uint32(26)
    solution = solve_words(words, LAWS[0], as_dtype("float32"), SHAPE)
    before = list(asked)
    first, second = solution.followed, solution.followed

    assert not before
    assert asked == ["followed"]
    assert first is second is not None


# --- What is made when it is asked for ------------------------------------------------------------


def problem_of(name: str, shape: tuple[int, ...] = (64, 32), dtype: str = "float32") -> Problem:
    return Problem(initializer=name, dtype=dtype, shape=shape, seed=3)


UNIT_LAWS = [Normal(stddev=1.0), Normal(stddev=7.0)]


def test_what_differs_by_a_factor_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    initializers._kept_unit.cache_clear()
    drawn: list[Law] = []

    def noted(words: Words, law: Law, dtype: np.dtype[Any]) -> Array:
        drawn.append(law)
        return unit_variate(words, law, dtype)

    monkeypatch.setattr(initializers, "unit_variate", noted)
    found = [solve(problem_of("normal"), definition) for definition in UNIT_LAWS]
    arrays = [each.expected for each in found]
    monkeypatch.undo()

    assert len(drawn) == 1
    for solution, array, definition in zip(found, arrays, UNIT_LAWS, strict=True):
        assert solution.bits is not None
        again = solve_words(solution.bits, definition, as_dtype("float32"), (64, 32))
        assert array.tobytes() == again.expected.tobytes()
        assert np.array_equal(np.asarray(solution.unit), np.asarray(again.unit))
        assert not np.asarray(solution.unit).flags.writeable


@pytest.mark.parametrize(("size", "is_kept"), [(64, True), (65, False)])
def test_the_variates_of_an_array_that_is_too_large_are_not_kept(
    size: int, is_kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(initializers, "LARGEST_KEPT", 64)
    initializers._kept_unit.cache_clear()

    assert solve(problem_of("normal", (size,)), LAWS[0]).expected.size == size
    assert initializers._kept_unit.cache_info().currsize == int(is_kept)


def test_an_answer_holds_no_more_than_what_it_is_asked_for() -> None:
    """The array itself, its words, and parts of the rest: no float64 of all elements."""
    size = initializers.LARGEST_KEPT + 1
    tracemalloc.start()
    expected = solve(problem_of("normal", (size,)), LAWS[0]).expected
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert expected.nbytes == 4 * size
    assert most < 12 * size
