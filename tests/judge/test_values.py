"""The golden's word on a drift of every class, and on a golden that is missing or wrong."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from conformance.core.ids import Tier
from conformance.core.laws import Normal
from conformance.core.records import VALUES, Drift, DriftClass, Remedy, Status, Yardstick
from conformance.judge.checks.base import Evidence, failed, not_applicable, passed
from conformance.judge.checks.values import values_check
from conformance.judge.drift import explain
from tests.evidence import evidence

ID = "mine-float32-64x32-s0-cpu-eager"
CLASSES = tuple(DriftClass)


def drift(drift_class: DriftClass = DriftClass.LAW, detail: str = "") -> Drift:
    return Drift(
        drift_class=drift_class,
        n_elements=2048,
        n_different=3,
        max_ulp=6,
        max_ulp_at_sigma=0.5,
        worst_index=(5, 1),
        worst_actual=1.5,
        worst_expected=1.25,
        detail=detail,
    )


def found(
    found_drift: Drift | None, dtype: str = "float32", shape: tuple[int, ...] = (64, 32)
) -> Evidence:
    return evidence(Normal(stddev=1.0), np.zeros(shape, dtype), drift=found_drift)


WHOLE = Remedy(yardstick=Yardstick.WHOLE, initializer="mine", case=ID)
ANOTHER_GOLDEN = Remedy(yardstick=Yardstick.GOLDEN, initializer="mine", tier="standard")


@pytest.mark.parametrize("most", CLASSES)
@pytest.mark.parametrize("drift_class", CLASSES)
def test_drift_passes_up_to_the_class_that_the_policy_names(
    drift_class: DriftClass, most: DriftClass
) -> None:
    seen = drift(drift_class)
    metrics = {"n_different": 3.0}

    result = values_check(most)(found(seen))

    if CLASSES.index(drift_class) <= CLASSES.index(most):
        assert result == passed(VALUES, metrics)
    else:
        is_unknown = drift_class is DriftClass.UNKNOWN
        remedy = WHOLE if is_unknown else None
        assert result == failed(VALUES, explain(seen, ID), metrics, remedy)


# --- A wrong golden ------------------------------------------------------------------------------


def test_a_golden_that_alone_is_wrong_is_named_before_all_else() -> None:
    seen = drift(detail="the expected matrix: it is skew; a column is wrong")

    result = values_check(DriftClass.ROUNDING)(found(seen))

    assert result.message == (
        f"the golden of mine-float32-64x32-s0 is wrong, and {ID} is right: it is skew.\n"
        f"{explain(seen, ID)}"
    )
    assert result.remedy == ANOTHER_GOLDEN


@pytest.mark.parametrize(
    "detail",
    [
        "the actual matrix: it is skew",
        "the actual matrix: it is skew; the expected matrix: it is skew",
    ],
)
def test_a_matrix_that_is_wrong_itself_blames_no_golden(detail: str) -> None:
    seen = drift(detail=detail)

    result = values_check(DriftClass.ROUNDING)(found(seen))

    assert result.message == explain(seen, ID)
    assert result.remedy is None


# --- No golden -----------------------------------------------------------------------------------


@pytest.mark.parametrize("most", CLASSES)
def test_without_a_golden_no_policy_passes(most: DriftClass) -> None:
    result = values_check(most)(found(None))

    assert result == failed(
        VALUES, "no golden is stored for mine-float32-64x32-s0", remedy=ANOTHER_GOLDEN
    )


def test_a_golden_that_only_the_full_tier_holds_is_staged_with_it() -> None:
    result = values_check(DriftClass.ROUNDING)(found(None, "float64"))

    assert result.remedy == dataclasses.replace(ANOTHER_GOLDEN, tier="full")


def test_a_golden_of_the_quick_tier_is_staged_with_it() -> None:
    given = found(None)
    quick = dataclasses.replace(given, spec=dataclasses.replace(given.spec, tier=Tier.QUICK))

    result = values_check(DriftClass.ROUNDING)(quick)

    assert result.remedy == dataclasses.replace(ANOTHER_GOLDEN, tier="quick")


def test_a_problem_that_no_tier_asks_for_is_judged_by_its_definition() -> None:
    result = values_check(DriftClass.ROUNDING)(found(None, shape=(7, 9)))

    assert result == not_applicable(VALUES)


def test_without_golden_and_definition_nothing_says_what_is_right() -> None:
    given = found(None, shape=(7, 9))
    undefined = dataclasses.replace(given, spec=dataclasses.replace(given.spec, definition=None))
    result = values_check(DriftClass.ROUNDING)(undefined)

    assert result == failed(
        VALUES,
        "no golden is stored for mine-float32-7x9-s0, no tier asks for it, and mine states no "
        "definition: nothing says what it must return. Register it with a definition, or stage a "
        "golden of your own",
    )


@pytest.mark.parametrize(
    ("backend", "most", "passes"),
    [
        ("cuda", DriftClass.ROUNDING, True),
        ("cuda", DriftClass.IDENTICAL, False),
        ("cpu", DriftClass.ROUNDING, False),
    ],
)
def test_biased_rounding_on_another_device_is_told_but_to_the_strict_gate(
    backend: str, most: DriftClass, passes: bool
) -> None:
    seen = found(drift(DriftClass.BIASED))
    case = dataclasses.replace(seen.observation.case, backend=backend)
    seen = dataclasses.replace(seen, observation=dataclasses.replace(seen.observation, case=case))

    result = values_check(most)(seen)

    assert (result.status is Status.PASSED) == passes
