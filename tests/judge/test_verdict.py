"""One observation beside its golden: whose budgets count, and what checks are given."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from conformance.core.arrays import Array, returned, sampled
from conformance.core.formats import fusings
from conformance.core.ids import Problem
from conformance.core.laws import (
    Definition,
    NominalMoments,
    Normal,
    Orthogonal,
    TruncatedNormal,
    VarianceScaling,
)
from conformance.core.records import (
    COMPILED,
    MACHINE,
    Budget,
    CaseResult,
    CheckResult,
    Drift,
    DriftClass,
    Entry,
    MatrixBudget,
    Raised,
    Status,
)
from conformance.judge.bench import Bench
from conformance.judge.checks.base import Evidence, passed
from conformance.judge.drift import identical
from conformance.judge.ledger import Ledger, Limitation
from conformance.judge.verdict import FUSED, compare, judge, nominal_of, verdict
from conformance.oracle import fold_in, seed_key, solve
from tests.evidence import evidence, spec_of

ARRAY = np.array([0.5, -1.0, 1.5, 0.25], np.float32)


class Swept:
    """Budgets of 1 ULP on `cpu` and of 10 on `tpu`; of matrices 20 u."""

    def budget(self, backend: str, *_: str) -> Budget:
        """Return the figure of the backend."""
        return Budget(max_ulp={"cpu": 1, "tpu": 10}[backend], max_ulp_at_sigma=0.0)

    def matrix_budget(self, *_: str) -> MatrixBudget:
        """Return one figure for all."""
        return MatrixBudget(column=20.0, gram=20.0)


class Seen:
    """A check that passes, and keeps what it was given."""

    def __call__(self, given: Evidence) -> CheckResult:
        """Keep it."""
        self.given = given
        return passed("seen")


def judged(
    actual: Array | Raised,
    expected: Array,
    *,
    definition: Definition | None = None,
    maker: str = "cpu",
    transform: str = "eager",
    stages: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {}),
    **rules: Any,
) -> CaseResult:
    """Return the verdict on what `cpu` returned; the golden was made by `maker`.

    stages: of the observation, and of the golden.
    """
    definition = definition or Normal(stddev=1.0)
    asked = evidence(
        definition, actual, shape=expected.shape, transform=transform, stages=stages[0]
    )
    golden = Entry(
        id="", shard="", outcome=returned(expected), maker=maker, extra={"stages": stages[1]}
    )
    given: dict[str, Any] = {
        "spec": spec_of(definition, "normal"),
        "golden": golden,
        "budgets": Swept(),
        "ledger": Ledger(limitations=()),
        "checks": (),
        "jax_version": "0.12.0",
    }
    return judge(asked.observation, **(given | rules))


def drift_class(*given: Any, **rules: Any) -> DriftClass:
    drift = judged(*given, **rules).drift
    assert drift is not None
    return drift.drift_class


def steps_off(steps: int) -> Array:
    """Return the array with one element so many representable values further from zero."""
    array = ARRAY.copy()
    array.view(np.uint32)[2] += steps
    return array


@pytest.mark.parametrize(("maker", "most"), [("cpu", 2), ("tpu", 11)])
def test_a_golden_may_be_as_far_off_as_the_backend_that_made_it(maker: str, most: int) -> None:
    assert drift_class(steps_off(most), ARRAY, maker=maker) is DriftClass.ROUNDING
    assert drift_class(steps_off(most + 1), ARRAY, maker=maker) is DriftClass.TRANSFORM


def test_how_far_a_golden_may_be_off_is_asked_where_it_is() -> None:
    """That of the backend is for the oracle, and asked once; that of the maker is not."""
    asked: list[str] = []

    class Counted(Swept):
        def budget(self, backend: str, *_: str) -> Budget:
            asked.append(backend)
            return super().budget(backend)

    for actual in (ARRAY, steps_off(1)):
        judged(actual, ARRAY, maker="tpu", budgets=Counted())

    assert asked == ["cpu", "cpu", "tpu"]


def test_only_an_array_of_the_same_type_is_the_same() -> None:
    whole, weak = returned(ARRAY), returned(ARRAY, weak_type=True)
    negative, other = returned(-ARRAY), returned(ARRAY.view(np.int32))

    assert identical(whole, whole) == Drift(drift_class=DriftClass.IDENTICAL, n_elements=ARRAY.size)
    assert identical(whole, returned(ARRAY.reshape(-1, 1, ARRAY.size))) is None
    assert [identical(whole, each) for each in (weak, negative, other)] == [None, None, None]
    refusal = Raised(exception="TypeError", message="")
    assert [identical(*pair) for pair in ((refusal, whole), (whole, refusal))] == [None, None]


TAIL = TruncatedNormal(stddev=1.0, lower=2.0, upper=4.0)


def tail(fused: tuple[str, ...], n_steps: int = 0) -> Array:
    """Return what a device draws that fuses these formats, one element so many values further."""
    problem = Problem(initializer="mine", dtype="float32", shape=(64, 32), seed=0)
    followed = solve(problem, TAIL, fused=fused).followed
    assert followed is not None
    followed.view(np.uint32)[3, 4] += n_steps
    return followed


@pytest.mark.parametrize("ways", list(itertools.permutations(fusings("float32"))))
def test_a_golden_of_a_device_that_fuses_is_as_before_on_one_that_does_not(ways: Any) -> None:
    actual, expected = map(tail, ways)
    drift = judged(actual, expected, definition=TAIL).drift

    assert drift is not None
    assert drift.max_ulp is not None
    assert drift.max_ulp > 20
    assert (drift.drift_class, drift.detail) == (DriftClass.ROUNDING, FUSED)


@pytest.mark.parametrize("side", [0, 1])
def test_of_two_devices_neither_may_be_off_its_own_roundings(side: int) -> None:
    sides = [tail(fused, 2 * (n == side)) for n, fused in enumerate(fusings("float32"))]

    assert drift_class(*sides, definition=TAIL) is DriftClass.TRANSFORM


def test_where_both_fuse_alike_nothing_else_explains_a_difference() -> None:
    fused, _ = fusings("float32")

    assert drift_class(tail(fused, 40), tail(fused), definition=TAIL) is DriftClass.TRANSFORM


@pytest.mark.parametrize("transform", COMPILED)
def test_what_one_compiler_made_another_fusing_does_not_explain(transform: str) -> None:
    """There a constant may be folded too, and which sequence that is nobody knows."""
    sides = map(tail, fusings("float32"))

    assert drift_class(*sides, definition=TAIL, transform=transform) is DriftClass.TRANSFORM


def test_checks_are_given_the_budget_of_the_backend_alone_and_the_key() -> None:
    """What made the golden has no part in how far the result may lie from the exact one."""
    seen, key = Seen(), fold_in(seed_key(0), 3)

    judged(ARRAY, ARRAY, maker="tpu", key=key, checks=[seen])

    assert seen.given.budget == Budget(max_ulp=1, max_ulp_at_sigma=0.0)
    assert seen.given.key is key


def test_unless_fresh_keys_are_asked_for_further_draws_are_those_of_every_run() -> None:
    seen = Seen()
    goldens: Any = SimpleNamespace()  # nobody looks one up
    spec = spec_of(Normal(stddev=1.0))
    held = Bench(specs={spec.name: spec}, goldens=goldens, ledger=Ledger(limitations=()))
    lost = evidence(spec.definition, Raised(exception="MemoryError", message=""), shape=(4,))

    judged(ARRAY, ARRAY, checks=[seen])
    held.judge_beside(None, lost.observation, "0.12.0")

    assert seen.given.fresh == held.fresh == evidence(None, ARRAY).fresh == 0
    assert seen.given.looks == ()


@pytest.mark.parametrize("maker", ["cpu", "tpu"])
def test_a_matrix_is_compared_by_the_key_that_was_used(maker: str) -> None:
    key, definition = fold_in(seed_key(0), 3), Orthogonal()
    problem = evidence(definition, np.zeros((16, 8), np.float32)).observation.case.problem
    expected = solve(problem, definition, key=key).expected
    actual = expected.copy()
    actual[3, 3] = np.nextafter(actual[3, 3], np.float32(2))
    given = {"definition": definition, "maker": maker}

    assert drift_class(actual, expected, **given, key=key) is DriftClass.ROUNDING
    assert drift_class(actual, expected, **given) is not DriftClass.ROUNDING


def test_an_array_where_a_refusal_was_due_is_no_matrix() -> None:
    """By its elements, within the budgets of the two backends."""
    assert drift_class(steps_off(2), ARRAY, definition=Orthogonal()) is DriftClass.ROUNDING
    assert drift_class(steps_off(3), ARRAY, definition=Orthogonal()) is DriftClass.TRANSFORM


def test_the_first_stage_that_differs_from_the_goldens_is_named() -> None:
    known = {"key": "0", "bits": "0", "uniform": "0"}

    drift = judged(steps_off(5), ARRAY, stages=(known | {"bits": "1"}, known)).drift

    assert drift is not None
    assert drift.stage == "bits"


def test_an_array_that_is_as_before_has_the_goldens_stages_where_nobody_looked() -> None:
    known = {"key": "0"}

    assert judged(ARRAY, ARRAY, stages=({}, known)).observation.stages == known
    assert judged(steps_off(1), ARRAY, stages=({}, known)).observation.stages == {}
    assert judged(ARRAY, ARRAY, stages=({"key": "1"}, known)).observation.stages == {"key": "1"}


def test_what_the_machine_failed_is_not_judged() -> None:
    outcome = Raised(exception="XlaRuntimeError", message="RESOURCE_EXHAUSTED: no memory\nmore")

    result = judged(outcome, ARRAY, checks=[Seen()])

    assert (result.status, result.drift) == (Status.FAILED, None)
    (check,) = result.checks
    assert check.check == MACHINE
    assert check.message.startswith(
        "the machine failed mine-float32-4-s0-cpu-eager, so nothing is known about the "
        "initializer: XlaRuntimeError: RESOURCE_EXHAUSTED: no memory\n  free memory"
    )


def test_the_worst_of_the_checks_is_the_verdict() -> None:
    def checks(*statuses: Status) -> list[Any]:
        return [
            lambda _, status=status: CheckResult(check="c", status=status) for status in statuses
        ]

    passed_, limited, failed_ = (
        judged(ARRAY, ARRAY, checks=checks(*statuses)).status
        for statuses in (
            (Status.PASSED, Status.NOT_APPLICABLE),
            (Status.PASSED, Status.LIMITED),
            (Status.LIMITED, Status.FAILED),
        )
    )

    assert (passed_, limited, failed_) == (Status.PASSED, Status.LIMITED, Status.FAILED)


@pytest.mark.parametrize(
    ("status", "named"),
    [(Status.PASSED, None), (Status.LIMITED, "first"), (Status.FAILED, "first")],
)
def test_the_first_limitation_is_named_unless_all_is_well(
    status: Status, named: str | None
) -> None:
    entries = tuple(
        Limitation(id=name, initializer=("*",), checks=("c",), reason="", link="")
        for name in ("first", "second")
    )
    results = (CheckResult(check="c", status=status),)
    observation = evidence(None, ARRAY).observation

    assert verdict(observation, results, None, entries).limitation == named
    assert verdict(observation, results, None, ()).limitation is None


def test_only_an_array_that_is_wanted_has_the_moments_of_a_law() -> None:
    fans = VarianceScaling(scale=1.0, mode="fan_in", distribution="normal")
    refused = Raised(exception="ValueError", message="")

    assert nominal_of(spec_of(Normal(stddev=2.0)), returned(ARRAY)) == NominalMoments(
        mean=0, variance=4.0, lower=-math.inf, upper=math.inf, kurtosis=3.0
    )
    assert nominal_of(spec_of(None), returned(ARRAY)) is None
    assert nominal_of(spec_of(Normal(stddev=2.0)), refused) is None
    assert nominal_of(spec_of(None), refused) is None
    assert nominal_of(spec_of(fans), returned(ARRAY)) is None
    assert nominal_of(spec_of(fans), returned(ARRAY.reshape(2, 2))) is not None


@pytest.mark.parametrize("overlay", ["", "mine"])
def test_a_result_says_which_overlay_its_golden_is_of(overlay: str) -> None:
    golden = Entry(id="", shard="", outcome=returned(ARRAY), overlay=overlay)

    assert judged(ARRAY, ARRAY, golden=golden).golden_from == overlay
    assert judged(ARRAY, ARRAY, golden=None).golden_from == ""


def test_a_call_that_must_be_refused_has_no_limitation() -> None:
    everything = Limitation(id="all", initializer=("*",), checks=("c",), reason="", link="")
    failing: dict[str, Any] = {
        "ledger": Ledger(limitations=(everything,)),
        "checks": [lambda _: CheckResult(check="other", status=Status.FAILED)],
    }
    fans = VarianceScaling(scale=1.0, mode="fan_in", distribution="normal")

    assert judged(ARRAY, ARRAY, **failing).limitation == "all"
    assert judged(ARRAY, ARRAY, definition=fans, **failing).limitation is None


def test_a_sample_of_which_nobody_says_the_problem_is_not_settled() -> None:
    array = np.linspace(-1, 1, 128 * 96, dtype=np.float32).reshape(128, 96)
    other = array.copy()
    other.flat[1] += np.float32(0.125)
    kept = sampled(returned(array))
    problem = evidence(None, array).observation.case.problem

    for definition, asked in ((Normal(stddev=1.0), None), (None, problem)):
        found = compare(returned(other), kept, spec_of(definition), problem=asked)
        assert found.drift_class is DriftClass.UNKNOWN


def test_a_matrix_beside_a_refusal_is_a_change_of_contract() -> None:
    refused = Raised(exception="TypeError", message="")
    found = compare(returned(ARRAY.reshape(2, 2)), refused, spec_of(Orthogonal()))

    assert found.drift_class is DriftClass.CONTRACT
