"""What is drawn for a matrix is known without its QR: normals, by the key and layout asked."""

from __future__ import annotations

import numpy as np
import pytest

from conformance.core.ids import Problem
from conformance.core.laws import DeltaOrthogonal, Orthogonal
from conformance.oracle import (
    OracleUnavailable,
    fold_in,
    random_bits,
    seed_key,
    solve,
    solve_normals,
    split,
)

SEED = 3


@pytest.mark.parametrize(
    ("definition", "shape", "tall"),
    [
        (Orthogonal(scale=3.0), (4, 10), (10, 4)),
        (Orthogonal(column_axis=0), (2, 3, 4), (12, 2)),
        (DeltaOrthogonal(scale=3.0), (3, 2, 5), (5, 2)),
    ],
    ids=["wide", "folded", "kernel"],
)
def test_the_normals_of_a_matrix_are_those_of_its_answer(
    definition: Orthogonal | DeltaOrthogonal, shape: tuple[int, ...], tall: tuple[int, int]
) -> None:
    problem = Problem(initializer="o", dtype="float32", shape=shape, seed=SEED)
    answer = solve(problem, definition)

    normals = solve_normals(problem, definition)

    np.testing.assert_array_equal(normals.key, seed_key(SEED))
    np.testing.assert_array_equal(normals.bits, random_bits(seed_key(SEED), 32, tall))
    np.testing.assert_array_equal(normals.value, answer.unit)
    np.testing.assert_array_equal(normals.value, normals.unit)
    assert normals.expected.dtype == np.float32
    assert normals.followed is not None
    assert answer.followed is None


def test_normals_are_drawn_with_the_key_that_is_given_or_that_is_made_of_it() -> None:
    problem = Problem(initializer="o", dtype="float32", shape=(3, 4), seed=SEED)
    key = seed_key(8)

    given = solve_normals(problem, Orthogonal(), key=key)
    made = solve_normals(problem, Orthogonal(drawn_with="fold5"), key=key)
    own = solve_normals(problem, Orthogonal(drawn_with="fold5"))

    np.testing.assert_array_equal(given.bits, random_bits(key, 32, (4, 3)))
    np.testing.assert_array_equal(made.bits, random_bits(fold_in(key, 5), 32, (4, 3)))
    np.testing.assert_array_equal(own.bits, random_bits(fold_in(seed_key(SEED), 5), 32, (4, 3)))


@pytest.mark.parametrize("partitionable", [True, False])
def test_normals_are_drawn_in_the_layout_that_is_asked_for(partitionable: bool) -> None:
    problem = Problem(initializer="o", dtype="float32", shape=(3, 4), seed=SEED)
    definition = Orthogonal(drawn_with="split2at1")
    child = split(seed_key(SEED), partitionable=partitionable)[1]

    found = solve_normals(problem, definition, partitionable=partitionable)

    words = random_bits(child, 32, (4, 3), partitionable=partitionable)
    np.testing.assert_array_equal(found.bits, words)
    usual = solve_normals(problem, definition)
    assert (np.asarray(found.bits).tolist() == np.asarray(usual.bits).tolist()) is partitionable


def test_what_is_no_matrix_has_no_normals() -> None:
    problem = Problem(initializer="o", dtype="float32", shape=(3,), seed=SEED)

    with pytest.raises(OracleUnavailable, match="must raise ValueError"):
        solve_normals(problem, Orthogonal())
