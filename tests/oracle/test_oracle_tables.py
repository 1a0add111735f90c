"""Where words have few values their stages are looked up, and nothing is made that nobody asks."""

from __future__ import annotations

import numpy as np
import pytest

from conformance.core.arrays import Array, as_dtype
from conformance.core.formats import FORMATS, FUSED_DTYPES
from conformance.core.lattice import mantissa_bits, word_bits
from conformance.core.laws import Definition, Normal, TruncatedNormal, Uniform, VarianceScaling
from conformance.oracle import initializers
from conformance.oracle.followed import ErfErrors, followed_value
from conformance.oracle.initializers import solve_points, solve_words

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
@pytest.mark.parametrize("fused", [FUSED_DTYPES, ()], ids=["fused", "not fused"])
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
        solve_words(words, LAWS[0], kind, SHAPE)

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
