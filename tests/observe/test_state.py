"""What a call changes for those after it is seen, put back and told."""

from __future__ import annotations

import os

import jax
import pytest

from conformance.observe.state import State


def test_where_nothing_changed_nothing_is_told() -> None:
    before = State.now()

    with jax.threefry_partitionable(False):
        jax.random.normal(jax.random.key(0), (4,))

    assert before.restored() == ()


def test_a_setting_is_put_back() -> None:
    before = State.now()
    jax.config.update("jax_enable_x64", True)  # type: ignore[no-untyped-call]  # JAX leaves it untyped

    assert before.restored() == ("jax_enable_x64: False -> True",)
    assert State.now() == before


def test_the_default_device_is_put_back() -> None:
    before, device = State.now(), jax.devices("cpu")[0]
    jax.config.update("jax_default_device", device)  # type: ignore[no-untyped-call]  # JAX leaves it untyped

    assert before.restored() == (f"jax_default_device: None -> {device}",)
    assert jax.config.values["jax_default_device"] is None


def test_a_variable_that_numbers_depend_on_is_told_with_its_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    before = State.now()
    os.environ["OPENBLAS_CORETYPE"] = "Prescott"

    assert before.restored() == ("OPENBLAS_CORETYPE: Haswell -> Prescott",)


def test_variables_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHANGED", "1")
    monkeypatch.setenv("DELETED", "2")
    before = State.now()
    os.environ.update(ADDED="3", CHANGED="4")
    del os.environ["DELETED"]

    assert before.restored() == ("ADDED: was set", "CHANGED: was changed", "DELETED: was deleted")
    assert State.now() == before
