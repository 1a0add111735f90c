"""What a call changes for those after it is seen, put back and told."""

from __future__ import annotations

import dataclasses
import os
import traceback
from typing import Any

import jax
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.core.ids import Problem, parse_case, parse_problem
from conformance.core.records import Raised
from conformance.observe.backends.problem import settings
from conformance.observe.jax_compat import whole_tracebacks
from conformance.observe.observer import Observer
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


# --- Settings ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("dtype", "prng", "is_wide", "is_partitionable"),
    [
        ("float32", "threefry2x32", False, True),
        ("float32", "rbg", False, True),
        ("float64", "threefry2x32", True, True),
        ("float32", "threefry2x32_nonpartitionable", False, False),
        ("complex64", "threefry2x32_nonpartitionable", True, False),
    ],
)
def test_a_problem_has_the_settings_that_it_asks_for_and_leaves_none(
    dtype: str, prng: str, is_wide: bool, is_partitionable: bool
) -> None:
    problem, before = (
        Problem(initializer="zeros", dtype=dtype, shape=(), seed=0, prng=prng),
        State.now(),
    )

    with settings(problem):
        found = jax.config.values

    names = ("jax_enable_x64", "jax_threefry_partitionable")
    assert [found[name] for name in names] == [is_wide, is_partitionable]
    assert State.now() == before


def test_a_forced_layout_is_set_where_it_is_not_jaxs_own() -> None:
    problem = parse_problem("zeros-float32-4-s0-threefry2x32_partitionable")

    with jax.threefry_partitionable(False), settings(problem):
        assert jax.config.values["jax_threefry_partitionable"] is True


# --- Tracebacks ----------------------------------------------------------------------------------
REFUSED = "orthogonal-bfloat16-4x4-s0-cpu-eager"


def refusal() -> Exception:
    """Return what JAX raises where no matrix of the dtype can be factored."""
    with pytest.raises(TypeError) as caught:
        jax.nn.initializers.orthogonal()(jax.random.key(0), (4, 4), "bfloat16")
    return caught.value


def test_an_exception_is_the_same_with_its_whole_traceback() -> None:
    before = State.now()
    filtered = refusal()
    with whole_tracebacks():
        whole = refusal()

    assert str(whole) == str(filtered)
    lengths = [len(traceback.extract_tb(each.__traceback__)) for each in (whole, filtered)]
    assert lengths[0] > lengths[1]
    assert before.restored() == ()


def test_jax_filters_no_traceback_of_an_outcome() -> None:
    """It would take most of the time of a case that raises, and nobody sees the result."""
    spec = load_catalogue().lookup("orthogonal")

    def asked(*_: object) -> Any:
        raise ValueError(jax.config.values["jax_traceback_filtering"])

    outcome = Observer().observe(
        parse_case(REFUSED), dataclasses.replace(spec, build=lambda: asked)
    )

    assert outcome.outcome == Raised(exception="ValueError", message="off")
    assert outcome.changed == ()


def test_a_setting_of_tracebacks_that_a_call_leaves_behind_is_told() -> None:
    spec = load_catalogue().lookup("orthogonal")

    def meddling(*_: object) -> Any:
        jax.config.update("jax_traceback_filtering", "tracebackhide")  # type: ignore[no-untyped-call]  # JAX leaves it untyped

    observation = Observer().observe(
        parse_case(REFUSED), dataclasses.replace(spec, build=lambda: meddling)
    )

    assert observation.changed == ("jax_traceback_filtering: auto -> tracebackhide",)
