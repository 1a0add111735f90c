"""Faults that only cases by design meet: each dies in the standard tier, by the check it names."""

from __future__ import annotations

import functools

import jax
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import Catalogue
from conformance.cases.coverage import coverage_cases
from conformance.core.ids import Case, Tier, parse_case
from conformance.core.paths import BUDGETS, shipped
from conformance.core.records import DriftClass, Observation, Status
from conformance.core.settings import installed_jax
from conformance.judge.verdict import compare
from conformance.observe.observer import Observer
from conformance.store import budgets
from conformance.suite.faults import BY_DESIGN, Fault
from tests.benches import bench
from tests.judge.test_faults import catalogue_with

SHIPPED = budgets.load(shipped() / BUDGETS)


@pytest.fixture(params=BY_DESIGN, ids=lambda fault: fault.name)
def fault(request: pytest.FixtureRequest) -> Fault:
    found: Fault = request.param
    return found


@functools.cache
def designed() -> tuple[Case, ...]:
    return tuple(coverage_cases(catalogue(), Tier.STANDARD, ("cpu",)))


def killer(fault: Fault) -> Case:
    """Return the case of the standard tier that must kill the fault."""
    wanted = (fault.base, fault.dtype, fault.shape, fault.transform)
    return next(
        case
        for case in designed()
        for problem in (case.problem,)
        if (problem.initializer, problem.dtype, problem.shape, case.transform) == wanted
        and fault.key in ("", problem.key.text)
    )


catalogue = functools.cache(load_catalogue)


def observed(case: Case, catalogue: Catalogue) -> Observation:
    """Return what the case returns here, without stages: nothing here asks for the first cause."""
    return Observer().observe(case, catalogue.lookup(case.problem.initializer))


@functools.cache
def right(case: Case) -> Observation:
    return observed(case, catalogue())


@functools.cache
def wrong(fault: Fault, case: Case) -> Observation:
    return observed(case, catalogue_with(fault))


def failed(observation: Observation) -> set[str]:
    """Return the checks that fail without a golden, as in a run of these cases."""
    judging = bench(catalogue(), budgets=SHIPPED)
    result = judging.judge(observation, installed_jax())
    return {check.check for check in result.checks if check.status is Status.FAILED}


def test_a_case_by_design_kills_the_fault(fault: Fault) -> None:
    assert fault.caught_by in failed(wrong(fault, killer(fault)))


def test_the_case_passes_what_is_right(fault: Fault) -> None:
    assert not failed(right(killer(fault)))


def test_the_fault_has_its_class_of_drift(fault: Fault) -> None:
    case = killer(fault)
    spec = catalogue().lookup(fault.base)

    drift = compare(
        wrong(fault, case).outcome, right(case).outcome, spec, problem=case.problem
    ).drift_class

    assert drift is fault.drift


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_no_plain_case_shows_the_fault(fault: Fault, seed: int) -> None:
    """Else the design would add nothing."""
    plain = parse_case(f"{fault.base}-{fault.dtype}-64x32-s{seed}-cpu-eager")

    drift = compare(
        wrong(fault, plain).outcome, right(plain).outcome, catalogue().lookup(fault.base)
    )

    assert drift.drift_class is DriftClass.IDENTICAL


def test_a_child_that_jax_itself_makes_wrong_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oracle splits by its own Threefry; nothing of the key comes from JAX."""
    split = jax.random.split
    monkeypatch.setattr(jax.random, "split", lambda key, num: split(key, num)[::-1])
    case = next(each for each in designed() if each.id == SECOND_CHILD)

    assert failed(observed(case, catalogue())) == {"oracle"}


SECOND_CHILD = "normal-float32-64x32-s7.split2at1-cpu-eager"
