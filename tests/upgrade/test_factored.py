"""A model's orthogonal parameters are judged as cases are: by what was factored for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.core.arrays import Array, in_shape, returned, whole
from conformance.core.laws import DeltaOrthogonal, Orthogonal
from conformance.core.records import Drift, DriftClass, Entry, Returned
from conformance.observe.child.parameters import record_target
from conformance.store.entries import TREE
from conformance.store.read import Store, open_store
from conformance.store.write import write_one_by_one
from conformance.upgrade.compare import compare_stores
from conformance.upgrade.factored import matrix_of
from conformance.upgrade.outside import explained

MODEL = """
import jax
from jax.nn import initializers


def parameters():
    key = jax.random.key(0)
    return {
        "plain": initializers.orthogonal(2.0)(key, (64, 32)),
        "jitted": jax.jit(initializers.orthogonal(), static_argnums=1)(key, (8, 32)),
        "first": initializers.orthogonal(column_axis=0)(key, (4, 2, 4)),
        "delta": initializers.delta_orthogonal()(key, (3, 3, 4, 8)),
        "normal": initializers.normal()(key, (64, 32)),
        "eye": jax.numpy.eye(4),
        "zeros": jax.numpy.zeros((4, 4)),
        "steps": jax.numpy.arange(6).reshape(3, 2),
        "key": key,
    }
"""

MATRICES = {"plain", "jitted", "first", "delta"}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("model")
    (folder / "orthogonal_model.py").write_text(MODEL)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        record_target("orthogonal_model:parameters", folder / "kept")
    return open_store(folder / "kept")


def parameter(store: Store, name: str) -> Returned:
    entry = next(entry for entry in store.entries() if entry.id.startswith(f"{name}-"))
    assert isinstance(entry.outcome, Returned)
    return entry.outcome


def test_what_was_factored_is_on_record_of_orthogonal_parameters_alone(recorded: Store) -> None:
    entries = {entry.id.partition("-")[0]: entry.outcome for entry in recorded.entries()}
    drawn = {name for name, outcome in entries.items() if getattr(outcome, "drawn", None)}

    assert drawn == MATRICES
    assert len(entries) == 9


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain", Orthogonal(scale=2.0)),
        ("jitted", Orthogonal()),
        ("first", Orthogonal(column_axis=-3)),
        ("delta", DeltaOrthogonal()),
    ],
)
def test_the_matrix_is_known_by_what_was_factored(
    recorded: Store, name: str, expected: Orthogonal
) -> None:
    found = parameter(recorded, name)

    assert matrix_of(found, found) == expected


def test_what_only_one_side_records_is_no_matrix(recorded: Store) -> None:
    found = parameter(recorded, "plain")

    assert matrix_of(found, dataclasses.replace(found, drawn=None)) is None


# --- Judged --------------------------------------------------------------------------------------


def changed(store: Store, folder: Path, name: str, change: Callable[[Returned], Any]) -> Store:
    """Write the parameters with one of them changed."""

    def entries() -> Any:
        for entry in store.entries():
            is_it = entry.id.startswith(f"{name}-")
            outcome = change(parameter(store, name)) if is_it else entry.outcome
            yield Entry(id=entry.id, shard=entry.shard, outcome=outcome)

    write_one_by_one(folder, entries(), kind=TREE, provenance=list(store.provenance))
    return open_store(folder)


def of_array(change: Callable[[Array], Array]) -> Callable[[Returned], Returned]:
    def outcome(found: Returned) -> Returned:
        array = np.ascontiguousarray(change(whole(found).copy()))
        return dataclasses.replace(returned(array), drawn=found.drawn)

    return outcome


def by_another_lapack(found: Returned) -> Returned:
    """Return the Q of the same matrix, factored in float64 and rounded."""
    drawn = np.frombuffer(found.drawn or b"", np.float32).reshape(64, 32).astype(np.float64)
    q, r = np.linalg.qr(drawn)
    q = 2 * in_shape(q * np.sign(np.diagonal(r)), found.shape, -1)
    return dataclasses.replace(returned(q.astype(np.float32)), drawn=found.drawn)


def drift_of(before: Store, after: Store, name: str) -> Drift:
    compared = compare_stores(before, after, load_catalogue(), names=("a", "b"))
    return next(pair.drift for pair in compared.pairs if pair.name == name)


def test_another_lapack_is_rounding_however_far_elements_move(
    recorded: Store, tmp_path: Path
) -> None:
    other = changed(recorded, tmp_path / "other", "plain", by_another_lapack)
    drift = drift_of(recorded, other, "plain")

    assert drift.drift_class is DriftClass.ROUNDING
    assert drift.max_ulp is not None
    assert drift.max_ulp > 6
    assert "each is a right Q of what was drawn" in drift.detail


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda array: array[:, ::-1], DriftClass.STRUCTURAL),
        (lambda array: array * np.float32(1.0001), DriftClass.LAW),
        (lambda array: array * np.where(np.arange(32) == 3, -1, 1).astype("f4"), None),
    ],
    ids=["order", "scale", "sign"],
)
def test_a_wrong_matrix_is_no_rounding(
    recorded: Store, tmp_path: Path, change: Any, expected: DriftClass | None
) -> None:
    other = changed(recorded, tmp_path / "other", "plain", of_array(change))
    drift = drift_of(recorded, other, "plain")

    assert drift.drift_class.rank > DriftClass.ROUNDING.rank
    assert expected in (None, drift.drift_class)
    assert "the actual matrix: " in drift.detail


def test_the_cause_is_asked_of_lapack_where_the_same_matrix_was_factored(
    recorded: Store, tmp_path: Path
) -> None:
    other = changed(recorded, tmp_path / "other", "plain", by_another_lapack)
    environment = other.provenance[-1]["environment"]
    environment["host"]["lapack_kernel"] = "Other"
    compared = compare_stores(recorded, other, load_catalogue(), names=("a", "b"))
    found = explained(compared, (recorded, other), load_catalogue())

    assert set(found.causes) == {"plain"}
    assert "other OpenBLAS kernel" in found.causes["plain"].proof
    assert "told by what was recorded, not run again" in found.causes["plain"].proof
