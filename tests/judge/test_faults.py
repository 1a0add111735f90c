"""Every wrong initializer is caught by the check that must catch it; right ones pass them all."""

from __future__ import annotations

import dataclasses
import functools
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import Catalogue
from conformance.core.ids import Case, Problem
from conformance.core.paths import BUDGETS, shipped
from conformance.core.records import CaseResult, DriftClass, Observation, Status
from conformance.core.settings import installed_jax
from conformance.judge.rules import default_checks
from conformance.observe.observer import Observer
from conformance.planted.trial import seen
from conformance.store import budgets
from conformance.suite.faults import FAULTS, Fault
from tests import small_golden
from tests.benches import bench

SHIPPED = budgets.load(shipped() / BUDGETS)

STORE = "STORED_FAULTS"
"""Variable that names a folder in which observations are kept."""

CHECKS = {
    "contract",
    "repeatable",
    "values",
    "oracle",
    "structure",
    "moments",
    "statistics",
}


def case_of(fault: Fault) -> Case:
    problem = Problem(
        initializer=fault.base,
        dtype=fault.dtype,
        shape=fault.shape,
        seed=fault.seed,
        prng=fault.prng,
    )
    return Case(problem=problem, backend="cpu", transform="eager")


def observed(catalogue: Catalogue, case: Case) -> Observation:
    """Return what the case returns here, without stages, which take programs of their own."""
    return Observer().observe(case, catalogue.lookup(case.problem.initializer))


catalogue_as_it_is = functools.cache(load_catalogue)


@functools.cache
def right(case: Case) -> Observation:
    return stored(f"right-{case.id}", lambda: observed(catalogue_as_it_is(), case))


@functools.cache
def wrong(fault: Fault) -> Observation:
    return stored(
        f"{fault.name}-{fault.dtype}", lambda: observed(catalogue_with(fault), case_of(fault))
    )


def stored(name: str, observe: Callable[[], Observation]) -> Observation:
    """Return what was observed once, by whichever process; see `scripts/mutants.py`."""
    if STORE not in os.environ:
        return observe()
    path = Path(os.environ[STORE]) / f"{name}.pickle"
    if not path.exists():
        part = path.with_suffix(f".{os.getpid()}")
        part.write_bytes(pickle.dumps(observe()))
        part.rename(path)
    found: Observation = pickle.loads(path.read_bytes())  # noqa: S301  # written here
    return found


def catalogue_with(fault: Fault) -> Catalogue:
    """Return a catalogue in which the fault takes the place of what it claims to be."""
    base = catalogue_as_it_is().lookup(fault.base)
    definition = None if fault.is_undefined else fault.definition or base.definition
    catalogue = Catalogue()
    catalogue.add(
        dataclasses.replace(base, build=lambda: fault.build(base.build()), definition=definition)
    )
    return catalogue


@functools.cache
def judged(fault: Fault) -> CaseResult:
    """Return the verdict on the fault, by a golden of what it claims to be."""
    golden = seen(right(case_of(fault)), fault)
    return verdict(catalogue_with(fault), seen(wrong(fault), fault), golden)


@functools.cache
def judged_as_accepted(fault: Fault) -> CaseResult:
    """Return the verdict on the fault where its own outcome was accepted as golden."""
    accepted = seen(wrong(fault), fault)
    return verdict(catalogue_with(fault), accepted, accepted)


def verdict(catalogue: Catalogue, observation: Observation, golden: Observation) -> CaseResult:
    return bench(catalogue, golden, budgets=SHIPPED).judge(observation, installed_jax())


def failed(result: CaseResult) -> set[str]:
    return {check.check for check in result.checks if check.status is Status.FAILED}


@pytest.fixture(params=FAULTS, ids=lambda fault: fault.name)
def fault(request: pytest.FixtureRequest) -> Fault:
    found: Fault = request.param
    return found


def test_the_check_that_must_catch_a_fault_does(fault: Fault) -> None:
    result = judged(fault)

    assert fault.caught_by in failed(result)


def test_a_fault_has_its_drift_class(fault: Fault) -> None:
    result = judged(fault)

    assert result.drift is not None
    assert result.drift.drift_class is fault.drift


@pytest.mark.parametrize(
    "fault", [fault for fault in FAULTS if fault.caught_by != "values"], ids=lambda f: f.name
)
def test_a_fault_that_was_accepted_as_golden_is_still_caught(fault: Fault) -> None:
    """All but what only the golden can know: what an initializer without definition returns."""
    assert fault.caught_by in failed(judged_as_accepted(fault))


def test_every_check_has_a_fault_that_only_it_catches() -> None:
    undefined = next(fault for fault in FAULTS if fault.is_undefined)
    alone = {"values"} if failed(judged(undefined)) == {"values"} else set()
    for fault in FAULTS:
        if len(caught := failed(judged_as_accepted(fault))) == 1:
            alone |= caught

    assert alone == CHECKS


def test_every_other_check_has_a_fault_of_a_built_in_law_that_only_it_catches() -> None:
    """A fault of a law that a user declared shows nothing of the laws that everybody uses.

    Where no oracle answers for such a law, the statistics hold its moments too, of complex numbers
    as of real ones. Alone the check of moments sees what a kept sample leaves out.
    """
    alone = set()
    for fault in FAULTS:
        if fault.definition or fault.is_undefined:
            continue
        if len(caught := failed(judged_as_accepted(fault))) == 1:
            alone |= caught

    assert alone == CHECKS - {"values"}


def test_the_list_of_checks_is_complete() -> None:
    """The names above are those of the checks that run."""
    result = judged(FAULTS[0])

    assert {check.check for check in result.checks} == CHECKS
    assert len(default_checks(DriftClass.ROUNDING)) == len(CHECKS)


def test_right_initializers_pass_every_check() -> None:
    catalogue = catalogue_as_it_is()
    for fault in {(case_of(fault), fault.is_sampled): fault for fault in FAULTS}.values():
        observation = seen(right(case_of(fault)), fault)
        assert not failed(verdict(catalogue, observation, observation))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize(
    "name",
    ["truncation_correction_dropped", "transposed", "key_ignored", "second_half_copied"],
)
def test_faults_that_16_bits_can_show_are_caught_there_by_check_and_class(
    name: str, dtype: str
) -> None:
    fault = dataclasses.replace(_named(name), dtype=dtype)

    result = judged(fault)

    assert fault.caught_by in failed(result)
    assert result.drift is not None
    assert result.drift.drift_class is fault.drift


@pytest.mark.parametrize(
    "name",
    [
        "variance_off_by_1e_5",
        "mean_off_by_1e_6_sigma",
        "truncation_correction_dropped",
        "gain_off_by_1e_4",
        "transposed",
        "key_ignored",
        "second_half_copied",
    ],
)
def test_a_fault_behind_intact_samplers_is_located_in_the_scaling(name: str) -> None:
    result = judged_beside_its_stages(_named(name))

    assert result.drift is not None
    assert result.drift.stage == "scaled"


def test_another_key_behind_intact_samplers_is_named_by_the_oracle() -> None:
    result = judged_beside_its_stages(_named("key_ignored"))

    messages = {check.check: check.message for check in result.checks}
    assert "drawn with the key of seed 0" in messages["oracle"]
    assert "the initializer draws otherwise" in messages["values"]
    assert "key" not in messages["values"]


def judged_beside_its_stages(fault: Fault) -> CaseResult:
    """Return the verdict on the fault where each stage of both arrays is known."""
    case, catalogue = case_of(fault), catalogue_with(fault)

    def staged(name: str, catalogue: Catalogue) -> Observation:
        return stored(f"stages-{name}", lambda: small_golden.observed(case, catalogue))

    golden = staged(f"right-{case.id}", catalogue_as_it_is())
    return verdict(catalogue, staged(f"{fault.name}-{fault.dtype}", catalogue), golden)


def _named(name: str) -> Fault:
    return next(fault for fault in FAULTS if fault.name == name)
